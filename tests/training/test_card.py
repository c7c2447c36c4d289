import pytest
from score_tables import drawn_table, evaluation_of

from manifests import made_up_manifest
from model.manifest import (
    NOT_FOR_DIAGNOSTIC_USE,
    Figures,
    Interval,
    IsotonicCalibration,
    Manifest,
    PlattScaling,
    SplitFigures,
    TrainingData,
)
from training.card import ORIGINAL_FIGURES, licence_text, model_card
from training.evaluation.levels import LevelName
from training.evaluation.pointing_game import PointingGame

TEST = evaluation_of(drawn_table(patients=60))
FOUND = Interval(value=0.5, low=0.4, high=0.6)
FIGURES = SplitFigures.model_validate(
    {"patients": 60, "images": 240, "cancer_images": 40}
    | {
        name: FOUND
        for name, field in SplitFigures.model_fields.items()
        if field.annotation is not int
    }
)


def evaluated(**facts: object) -> Manifest:
    return made_up_manifest(
        figures=Figures(validation=FIGURES, test=FIGURES),
        training_data=(
            TrainingData(
                name="Drawn breasts",
                licence="Free",
                citation="Nobody, 2024.",
                patients=9,
                images=36,
            ),
        ),
        known_gaps=("Drawn, not photographed.",),
        **facts,
    )


def card_of(manifest: Manifest, **changes: object) -> str:
    test = TEST.model_copy(update=changes)
    return " ".join(model_card(manifest, note="A note.", test=test).split())


def test_the_card_says_what_the_weights_are_and_are_not_for() -> None:
    card = card_of(evaluated())

    for expected in (
        NOT_FOR_DIAGNOSTIC_USE,
        "Not a medical device",
        "36 images of 9 patients",
        "Drawn, not photographed.",
        "A note.",
        "| AUC by image | 0.500 (0.400 to 0.600) | 0.500 (0.400 to 0.600) |",
        "| control: AUC by image |",
        "never says of a patient that a finding is benign",
    ):
        assert expected in card


def test_the_originals_table_stands_beside_ours_with_why_they_cannot_be_compared() -> None:
    card = card_of(evaluated())

    ours = TEST.measured.level(LevelName.IMAGE).figures
    for name, title in (("accuracy", "accuracy"), ("f1", "F1"), ("auc", "AUC-ROC")):
        found = ours[name]
        assert found is not None
        assert (
            f"| {title} | {ORIGINAL_FIGURES[name]:.3f} | {found.value:.3f} "
            f"({found.low:.3f} to {found.high:.3f}) |" in card
        )
    assert "not the same measurement" in card
    assert "does not state its split" in card
    assert "here 17 % of images have cancer" in card


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (PlattScaling(slope=2.0, offset=0.1, prevalence=0.3), "is Platt scaling of"),
        (PlattScaling(slope=2.0, offset=0.0, prevalence=0.3), "is temperature scaling of"),
        (
            IsotonicCalibration(points=((0.2, 0.1), (0.4, 0.3)), prevalence=0.3),
            "is an isotonic calibration of",
        ),
    ],
)
def test_the_card_names_the_calibration(
    calibration: PlattScaling | IsotonicCalibration, words: str
) -> None:
    assert words in card_of(evaluated(calibration=calibration))


def test_the_card_of_three_classes_names_them_and_whose_score_it_is() -> None:
    card = card_of(evaluated(classes=("normal", "benign", "malignant")))

    assert "softmax over normal, benign and malignant" in card
    assert "of the softmax for malignant" in card


def test_whether_grad_cam_points_at_cancers_is_said_or_said_to_be_unknown() -> None:
    chance = Interval(value=0.05, low=0.04, high=0.06)
    game = PointingGame(images=31, patients=30, hit_rate=FOUND, chance=chance, above_chance=FOUND)

    assert "Whether Grad-CAM points at a cancer is not known" in card_of(evaluated())
    card = card_of(evaluated(), pointing_game=game)
    assert "On 31 test images" in card
    assert "0.500 (0.400 to 0.600); pointing anywhere on the breast would in 0.050" in card


def test_weights_that_were_never_evaluated_have_no_card() -> None:
    with pytest.raises(ValueError, match="none of their figures"):
        model_card(made_up_manifest(), note="", test=TEST)


def test_the_licence_names_the_data_and_forbids_what_they_forbid() -> None:
    text = licence_text(evaluated())

    assert "Drawn breasts" in text
    assert "Nobody, 2024." in text
    assert "non-commercial" in text
    assert "Nobody\nmay try to identify the persons" in text
