import json
from pathlib import Path

import pytest

from manifests import made_up_manifest, made_up_reference
from model.errors import WeightsError
from model.image_statistics import STATISTICS
from model.manifest import (
    MANIFEST_FILE,
    SHIPPED_WEIGHTS,
    Distribution,
    IsotonicCalibration,
    PlattScaling,
    RollUpRule,
    read_manifest,
    sha256_of,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a manifest and a weights file that fits it."""
    weights = tmp_path / "net.weights.h5"
    weights.write_bytes(b"as good as weights to whoever only counts their digest")
    manifest = made_up_manifest(
        weights_file=weights.name,
        sha256=sha256_of(weights),
        input_size_px=(64, 48),
        calibration=PlattScaling(slope=2.0, offset=-0.5, prevalence=0.3),
    )
    (tmp_path / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return tmp_path


def changed(folder: Path, **values: object) -> Path:
    """Write other values into the manifest."""
    file = folder / MANIFEST_FILE
    content = json.loads(file.read_text()) | values
    file.write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_manifest_reads_back_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)

    assert manifest == read_manifest(folder / MANIFEST_FILE)
    assert manifest.to_json() == (folder / MANIFEST_FILE).read_text(encoding="utf-8")
    assert manifest.roll_up.views_to_breast is RollUpRule.MEAN
    assert manifest.input_size_px == (64, 48)


def test_weights_without_a_manifest_do_not_load(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()

    with pytest.raises(WeightsError, match=r"manifest\.json.*\[model\] weights"):
        read_manifest(folder)


def test_a_changed_weights_file_is_refused_with_both_digests(folder: Path) -> None:
    expected = sha256_of(folder / "net.weights.h5")
    with (folder / "net.weights.h5").open("ab") as file:
        file.write(b"!")

    with pytest.raises(WeightsError) as caught:
        read_manifest(folder)

    assert expected in caught.value.expected
    assert sha256_of(folder / "net.weights.h5") in caught.value.found
    assert caught.value.to_do


def test_a_missing_weights_file_is_named(folder: Path) -> None:
    (folder / "net.weights.h5").unlink()

    with pytest.raises(WeightsError, match=r"net\.weights\.h5"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"sha256": "abc"}, "sha256"),
        (
            {"calibration": {"slope": -1.0, "offset": 0.0, "prevalence": 0.3}},
            r"calibration\.platt\.slope",
        ),
        ({"surprise": 1}, "surprise"),
        ({"weights_file": "../../elsewhere.weights.h5"}, "without a folder"),
        ({"weights_file": "net.pkl"}, "HDF5"),
        ({"input_size_px": [16, 16]}, "32 by 32"),
        (
            {"calibration": {"points": [[0.2, 0.4], [0.6, 0.3]], "prevalence": 0.3}},
            r"calibration\.isotonic.*rise",
        ),
        ({"classes": ["cancer"]}, "classes"),
        ({"classes": ["malignant", "benign"]}, "classes.*the last"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, values: dict[str, object], field: str) -> None:
    changed(folder, **values)

    with pytest.raises(WeightsError, match=field):
        read_manifest(folder)


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_bytes(b"\xff\xfe\x00weights")

    with pytest.raises(WeightsError, match=r"manifest\.json"):
        read_manifest(folder)


def test_other_preprocessing_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder)

    manifest.require_preprocessing("1")
    with pytest.raises(WeightsError, match=r"version 2.*version 1"):
        manifest.require_preprocessing("2")


def test_the_score_is_the_sigmoid_of_the_scaled_log_odds() -> None:
    calibration = PlattScaling(slope=2.0, offset=-0.5, prevalence=0.3)

    # Log odds of 0.5 are 0: sigmoid(-0.5).
    assert calibration.score(0.5) == pytest.approx(0.3775407)
    assert 0.0 < calibration.score(0.0) < calibration.score(0.4) < calibration.score(1.0) < 1.0


def test_an_isotonic_score_runs_straight_from_point_to_point_and_level_outside() -> None:
    calibration = IsotonicCalibration(points=((0.2, 0.1), (0.4, 0.3), (0.8, 0.3)), prevalence=0.2)

    outputs = (0.0, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
    expected = (0.1, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3)
    assert [calibration.score(output) for output in outputs] == pytest.approx(expected)


def test_isotonic_points_read_back_as_they_were_written(folder: Path) -> None:
    calibration = IsotonicCalibration(points=((0.2, 0.1), (0.4, 0.3)), prevalence=0.2)
    changed(folder, calibration=calibration.model_dump(mode="json"))

    assert read_manifest(folder).calibration == calibration


@pytest.mark.parametrize("classes", [("no_cancer", "cancer"), ("normal", "benign", "malignant")])
def test_the_last_unit_of_the_softmax_is_cancer(folder: Path, classes: tuple[str, ...]) -> None:
    manifest = read_manifest(changed(folder, classes=classes))

    assert manifest.classes[manifest.cancer_unit] == classes[-1]


def test_a_steep_calibration_ends_at_0_and_1_and_overflows_nowhere() -> None:
    calibration = PlattScaling(slope=1000.0, offset=-500.0, prevalence=0.3)

    assert 0.0 < calibration.score(0.0) < 1e-300
    assert calibration.score(1.0) == 1.0


def test_another_prevalence_shifts_the_odds_and_keeps_the_order() -> None:
    calibration = PlattScaling(slope=1.0, offset=0.0, prevalence=0.5)

    # Even odds at a prevalence of one half are the prevalence itself at any other.
    assert calibration.at_prevalence(0.5, 0.01) == pytest.approx(0.01)
    assert calibration.at_prevalence(0.8, 0.5) == pytest.approx(0.8)
    # Odds 4 times 1/99 of the prevalence: 4/99, a probability of 4/103.
    assert calibration.at_prevalence(0.8, 0.01) == pytest.approx(4 / 103)
    carried = [calibration.at_prevalence(score, 0.01) for score in (0.0, 0.2, 0.8, 1.0)]
    assert 0.0 < carried[0] < carried[1] < carried[2] < carried[3] < 1.0


def test_scores_roll_up_by_their_rule() -> None:
    assert RollUpRule.MEAN.of([0.2, 0.6]) == pytest.approx(0.4)
    assert RollUpRule.MAX.of([0.2, 0.6]) == 0.6


def test_a_reference_reads_back_as_it_was_written_and_older_manifests_have_none(
    folder: Path,
) -> None:
    assert read_manifest(folder).reference is None
    assert "reference" not in read_manifest(folder).to_json()

    changed(folder, reference=made_up_reference().model_dump(mode="json"))

    assert read_manifest(folder).reference == made_up_reference()


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"edges": (0.2, 0.1)}, "edges must rise"),
        ({"edges": (0.1, 0.1)}, "edges must rise"),
        ({"cancer": (1, 2)}, "one count more than edges"),
        ({"cancer": (0, 0, 0)}, "images of both classes"),
    ],
)
def test_a_distribution_that_contradicts_itself_is_refused(
    fault: dict[str, object], found: str
) -> None:
    sound = {"edges": (0.1, 0.2), "cancer": (1, 2, 3), "others": (4, 5, 6)}

    with pytest.raises(ValueError, match=found):
        Distribution.model_validate(sound | fault)


def test_the_expected_shares_follow_the_prevalence() -> None:
    distribution = Distribution(edges=(0.5,), cancer=(1, 3), others=(9, 1))

    # With half an image more in each bin: (10.5, 4.5) of 15; (1.5, 3.5) of 5; (9.5, 1.5) of 11.
    assert distribution.shares() == pytest.approx((0.7, 0.3))
    assert distribution.shares(1.0) == pytest.approx((0.3, 0.7))
    assert distribution.shares(0.0) == pytest.approx((9.5 / 11, 1.5 / 11))
    mixed = (0.1 * 0.3 + 0.9 * 9.5 / 11, 0.1 * 0.7 + 0.9 * 1.5 / 11)
    assert distribution.shares(0.1) == pytest.approx(mixed)


def test_the_shipped_weights_bring_a_reference_of_the_split_their_figures_are_of() -> None:
    shipped = read_manifest(SHIPPED_WEIGHTS)

    assert shipped.reference is not None
    assert shipped.figures is not None
    validation = shipped.figures.validation
    assert shipped.reference.images == validation.images
    assert shipped.reference.patients == validation.patients
    assert set(shipped.reference.image_statistics) == set(STATISTICS)
    for each in (shipped.reference.score, *shipped.reference.image_statistics.values()):
        assert sum(each.cancer) == validation.cancer_images
        assert sum(each.cancer) + sum(each.others) == validation.images
