"""Scored images to a whole evaluation: figures, heat maps and report, in a folder of its own."""

import logging
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from model.classify import Classifier
from model.manifest import Manifest
from training.calibrate import calibrated
from training.datasets import DataSet, Split
from training.evaluation.gallery import Row, chosen_rows, gallery
from training.evaluation.heat_maps import heat_maps, why_no_heat_maps
from training.evaluation.measure import measure
from training.evaluation.pointing_game import PointingGame, has_cancer_of_known_place, play
from training.evaluation.report import Evaluation, Weights, write_evaluation
from training.evaluation.scores import ScoreTable, score_table
from training.evaluation.scoring import ScoredImages
from training.run_data import is_of_same_patients

logger = logging.getLogger(__name__)

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def assess(
    scored: ScoredImages,
    control: Float64Array,
    classifier: Classifier | None,
    manifest: Manifest,
    data_set: DataSet,
    data_folder: Path,
    *,
    split: Split | None,
    control_fitted_on: str,
    seed: int,
    to: Path,
) -> Evaluation:
    """Measure scored images, draw what explains them, and write all of it.

    Parameters
    ----------
    scored
        From `score_images`.
    control
        Shape (images,): the control's scores, NaN where there is none.
    classifier
        From `classifier_of`.
    manifest
        Of the weights: calibration, roll-up and operating point are used as they are.
    data_set, data_folder
        Where the images come from.
    split
        Which they are; None: all of the data set.
    control_fitted_on
        In words.
    seed
        Of the resamplings.
    to
        Folder for the report, the figures and the scores.

    Returns
    -------
    evaluation
        As written.

    Raises
    ------
    DataSetError
        If an image or the mask of a lesion cannot be read.
    """
    table = score_table(
        scored.images,
        folder=data_folder,
        breasts=scored.breasts,
        classes=manifest.classes,
        outputs=scored.outputs,
        scores=calibrated(manifest.calibration, scored.outputs[:, manifest.cancer_unit]),
        control=control,
    )
    game, rows = _explain(scored, table, classifier, data_set, seed=seed)
    no_maps = why_no_heat_maps()
    evaluation = Evaluation(
        weights=Weights(
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            network=manifest.network,
            classes=manifest.classes,
            input_size_px=manifest.input_size_px,
            trained_on=tuple(part.name for part in manifest.training_data),
        ),
        data_set=data_set.name,
        licence=data_set.licence,
        citation=data_set.citation,
        split=split or "all",
        seed=seed,
        roll_up=manifest.roll_up,
        operating_point=manifest.operating_point,
        calibration_prevalence=manifest.calibration.prevalence,
        control_fitted_on=control_fitted_on,
        images_without_breast=scored.without_breast,
        mixed_breasts=scored.mixed_breasts,
        cautions=(
            *_cautions(manifest, data_set, split, scored.is_cancer),
            *([no_maps] if no_maps else []),
        ),
        measured=measure(table, manifest.roll_up, manifest.operating_point, seed=seed),
        pointing_game=game,
    )
    report = write_evaluation(evaluation, table, rows, to)
    logger.info("Evaluation written", extra={"event": "evaluation_written", "report": str(report)})
    return evaluation


def classifier_of(model: keras.Model, manifest: Manifest) -> Classifier | None:
    """Make what draws heat maps; compiled once, it serves several splits.

    Parameters
    ----------
    model
        From `model.network.build` or `model.network.load`.
    manifest
        Of its weights.

    Returns
    -------
    classifier
        The node's own; None where heat maps cannot be drawn (`why_no_heat_maps`).
    """
    return None if why_no_heat_maps() else Classifier(model, manifest)


def _explain(
    scored: ScoredImages,
    table: ScoreTable,
    classifier: Classifier | None,
    data_set: DataSet,
    *,
    seed: int,
) -> tuple[PointingGame | None, tuple[Row, ...]]:
    """Play the pointing game and fill the gallery."""
    if classifier is None:
        return None, ()
    placed = [row for row, image in enumerate(scored.images) if has_cancer_of_known_place(image)]
    chosen = [row for rows in chosen_rows(table).values() for row in rows]
    rows = sorted({*placed, *chosen})
    drawn = dict(zip(rows, heat_maps(classifier, data_set, scored, rows), strict=True))
    return (
        play([(drawn[row], scored.images[row]) for row in placed], seed=seed),
        gallery(table, scored, drawn),
    )


def _cautions(
    manifest: Manifest, data_set: DataSet, split: Split | None, is_cancer: BoolArray
) -> tuple[str, ...]:
    """Say what keeps the figures from being read as more than they are."""
    cautions = []
    related = [part for part in manifest.training_data if is_of_same_patients(part, data_set)]
    if related:
        if split in (Split.TRAIN, None):
            cautions.append(
                "The weights were trained on patients of this evaluation: its figures say nothing "
                "of patients whom they have not seen."
            )
        elif split is Split.VALIDATION:
            cautions.append(
                "Validation chose the weights, the calibration, the roll-up and the operating "
                "point: its figures flatter them."
            )
        elif data_set.name not in {part.name for part in related}:
            cautions.append(
                "The weights were trained on another part of these data, which may have been split "
                "in another way: some of these patients may be among those trained on."
            )
    else:
        cautions.append(
            "The weights were trained on other data than these. Calibration, roll-up and operating "
            "point were chosen there, too, and were not fitted to these images."
        )
    if not 0 < is_cancer.sum() < len(is_cancer):
        cautions.append("All images are of one class: most figures are not defined.")
    return tuple(cautions)
