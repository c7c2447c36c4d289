"""Tables of scores as an evaluation makes them, drawn at random: two views of two breasts each."""

import numpy as np

from model.manifest import OperatingPoint, RollUp, RollUpRule
from training.datasets import Label
from training.evaluation.measure import measure
from training.evaluation.report import Evaluation, Weights
from training.evaluation.scores import ScoreTable

RULES = RollUp(views_to_breast=RollUpRule.MEAN, breasts_to_study=RollUpRule.MAX)
POINT = OperatingPoint(threshold=0.5, chosen_for="a test", sensitivity=0.5, specificity=0.5)


def drawn_table(
    *, patients: int = 40, classes: int = 2, skill: float = 1.0, seed: int = 6
) -> ScoreTable:
    """Draw scores that tell cancer from the rest as well as `skill`, a distance in log odds, says.

    Every third patient has a cancer in the left breast; other breasts are normal or, every fifth,
    benign (with two classes: no cancer).
    """
    rng = np.random.default_rng(seed)
    names = ("no_cancer", "cancer") if classes == 2 else ("normal", "benign", "malignant")
    labels, breasts, patient_ids = [], [], []
    for patient in range(patients):
        for side in ("L", "R"):
            is_cancer = side == "L" and patient % 3 == 0
            other = Label.BENIGN if (2 * patient + (side == "R")) % 5 == 0 else Label.NORMAL
            label = Label.MALIGNANT if is_cancer else (other if classes == 3 else Label.NO_CANCER)
            labels += [label, label]
            breasts += [f"{patient}/{side}"] * 2
            patient_ids += [str(patient)] * 2
    sick = np.array([label is Label.MALIGNANT for label in labels])
    scores = 1 / (1 + np.exp(-rng.normal(skill * (sick - 0.5), 1.0)))
    rest = rng.dirichlet(np.ones(classes - 1), len(labels)) * (1 - scores)[:, None]
    return ScoreTable(
        images=tuple(f"images/{row}.png" for row in range(len(labels))),
        patient_ids=tuple(patient_ids),
        breasts=tuple(breasts),
        labels=tuple(labels),
        view_positions=("CC", "MLO") * (len(labels) // 2),
        densities=tuple("abcd"[int(patient) % 4] for patient in patient_ids),
        bi_rads=("",) * len(labels),
        sources=("drawn",) * len(labels),
        classes=names,
        outputs=np.concatenate([rest, scores[:, None]], axis=1),
        scores=scores,
        control=rng.random(len(labels)),
    )


def evaluation_of(table: ScoreTable, **changes: object) -> Evaluation:
    """Wrap a table into an evaluation of weights that do not exist."""
    evaluation = Evaluation(
        weights=Weights(
            name="drawn-net",
            version="1.2.3",
            sha256="0123456789abcdef" * 4,
            network="efficientnetv2b0",
            classes=table.classes,
            input_size_px=(96, 72),
            trained_on=("Another data set",),
        ),
        data_set="Drawn breasts",
        licence="MIT",
        citation="Nobody, Nowhere, 2024.",
        split="test",
        seed=1,
        roll_up=RULES,
        operating_point=POINT,
        calibration_prevalence=0.25,
        control_fitted_on="fitted on the training split",
        images_without_breast=2,
        mixed_breasts=0,
        cautions=("The weights were trained on other data than these.",),
        measured=measure(table, RULES, POINT, seed=1),
        pointing_game=None,
    )
    return evaluation.model_copy(update=changes)
