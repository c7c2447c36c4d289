"""The words that go with weights: their model card and their licence."""

from collections.abc import Mapping

from model.manifest import (
    Distribution,
    Interval,
    IsotonicCalibration,
    Manifest,
    PlattScaling,
    Reference,
    SplitFigures,
)
from training.evaluation.levels import LevelName
from training.evaluation.report import Evaluation

CARD_FILE = "MODEL_CARD.md"

ORIGINAL_FIGURES: Mapping[str, float] = {
    "accuracy": 0.937,
    "precision": 0.925,
    "recall": 0.941,
    "f1": 0.933,
    "auc": 0.961,
}
"""What the method that this software began from published, by key of `figures.TITLES`."""
_REFERENCE = "## Reference for drift"
_REFERENCE_BEFORE = "## What it has not been shown"
_ORIGINAL_TITLES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auc": "AUC-ROC",
}


def model_card(manifest: Manifest, *, note: str, test: Evaluation) -> str:
    """Write the model card from the manifest, so that the two cannot differ.

    Parameters
    ----------
    manifest
        With its figures.
    note
        What is known of these weights and not in the manifest, in whole sentences.
    test
        The evaluation on the test split.

    Returns
    -------
    card
        Markdown.

    Raises
    ------
    ValueError
        If the weights were never evaluated.

    References
    ----------
    Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
    """
    if manifest.figures is None:
        raise ValueError("expected evaluated weights; found none of their figures")
    point, calibration = manifest.operating_point, manifest.calibration
    height, width = manifest.input_size_px
    data = "\n".join(
        f"- {part.name}: {part.images:,} images of {part.patients:,} patients in the training "
        f"split. {part.licence}. {part.citation}"
        for part in manifest.training_data
    )
    gaps = "\n".join(f"- {gap}" for gap in manifest.known_gaps)
    figures = manifest.figures.test
    *others, cancer = manifest.classes
    card = f"""# {manifest.name} {manifest.version}

**{manifest.intended_use}** Not a medical device. It tells images of breasts with cancer from images
of other breasts, with the reliability below; it never says of a patient that a finding is benign.

## Network

EfficientNetV2B0, average and maximum pooling, 128 hidden units, softmax over
{", ".join(others)} and {cancer} (`{manifest.network}`). Input {height} × {width} pixels, one breast
cropped, chest wall left (`model/preprocess.py`, version {manifest.preprocess_version}). Start:
{manifest.start_weights}.

## Data

{data}

Split by patient into train, validation and test: as the publisher did, else by a hash of the
pseudonym (68, 16 and 16 %). Validation chose the epoch, the calibration, the roll-up and the
operating point. Test was scored once, after everything was chosen.

## Figures

95 % intervals by 1,000 resamplings of patients.

| | validation | test |
| --- | --- | --- |
{_rows(manifest.figures.validation, figures)}

The control is a logistic regression on nine intensity statistics of the same input: what brightness
and contrast alone would reach. The test split has {figures.cancer_images} images with cancer among
{figures.images}; a screening population has far fewer.{_pointing(test)}

## Beside the original's published table

This software began from a published method: EfficientNetV2B0 on CBIS-DDSM, with a breast MRI set.

| | original, as published | these weights, test split, by image |
| --- | --- | --- |
{_beside_original(test)}

The two columns are not the same measurement, and their difference is not progress or loss:

- The original does not state its split. Where images of one patient, or crops of one lesion, lie on
  both sides of a split, a network is tested on what it was trained on. Here no patient is in two.
- The published table has neither intervals nor a number of patients. These figures are of
  {test.measured.patients} patients.
- CBIS-DDSM is digitised film, delivered as whole images and as crops of lesions that a radiologist
  had found; two in five of its lesions are malignant. The original does not say which of them it
  tested on. These figures are of images of {test.data_set}.
- Accuracy, precision and F1 follow the share of cancers and the threshold: here {_share(test)} of
  images have cancer, and the threshold was chosen for a specificity of 90 % by breast.

## Score, roll-up and operating point

The AI malignancy score is {_calibration(manifest)} of the softmax for {cancer}, fitted on
validation at a prevalence of {calibration.prevalence:.3f} by image. It is an estimate of a
probability only where the site's own prevalence has been set. {note}

Views to breast: {manifest.roll_up.views_to_breast}; breasts to study:
{manifest.roll_up.breasts_to_study}. A breast is called at or above
{point.threshold:.4f}, chosen for a {point.chosen_for}: sensitivity {point.sensitivity:.2f} and
specificity {point.specificity:.2f} there. Where the training data do not record laterality, a
breast is the side of the image on which the chest wall lies.

{_REFERENCE_BEFORE}

{gaps}
- Patients of another site than those of the training data; what it does there has to be measured
  there. `python -m training evaluate --weights` does that.
- Any use in care: nobody has tested whether it helps or harms a reader.

## Licence

{manifest.licence}. See `LICENSE`.
"""
    return card if manifest.reference is None else with_reference(card, manifest.reference)


def with_reference(card: str, reference: Reference) -> str:
    """Put what drift is told by into a model card, in the place of what it said of it before.

    Parameters
    ----------
    card
        Markdown of `model_card`.
    reference
        Of the same weights.

    Returns
    -------
    card
        Markdown.

    Raises
    ------
    ValueError
        If it is no such card.
    """
    before, found, after = card.partition(_REFERENCE_BEFORE)
    if not found:
        raise ValueError(f"expected a model card with the heading {_REFERENCE_BEFORE!r}")
    rows = "\n".join(
        f"| {name} | {' | '.join(_bins(distribution))} |"
        for name, distribution in (("score", reference.score), *reference.image_statistics.items())
    )
    bins = len(reference.score.edges) + 1
    return f"""{before.partition(_REFERENCE)[0]}{_REFERENCE}

What `mammonode stats` compares a site's images with: {reference.images} images of
{reference.patients} patients, validation. Each cell: the bin's upper edge, and how many images with
cancer and without lie in it.

| by image | {" | ".join(f"bin {number}" for number in range(1, bins + 1))} |
| --- |{" --- |" * bins}
{rows}

The image statistics are defined in `model/image_statistics.py`.

{found}{after}"""


def licence_text(manifest: Manifest) -> str:
    """Say what the training data allow.

    Parameters
    ----------
    manifest
        Names the data and the start weights.

    Returns
    -------
    text
        Of the file ``LICENSE`` beside the weights.
    """
    parts = "\n\n".join(
        f"  {part.name}\n  {part.licence}\n  {part.citation}" for part in manifest.training_data
    )
    return f"""The weights in this folder ({manifest.name} {manifest.version})

{manifest.licence}.

These weights were trained on the images below, each under the terms that are named with it. Nobody
may try to identify the persons in them.

{parts}

A network trained on them is not given wider terms than the strictest of these. You may use, copy
and pass on the weights for non-commercial research and education, with this notice and with the
citations above. The images themselves are not part of this distribution.

Start of the training: {manifest.start_weights}.

The MIT licence of the software does not extend to the weights.

The weights come without any warranty. They are research software, not a medical device, and not for
diagnostic use.
"""


def _rows(validation: SplitFigures, test: SplitFigures) -> str:
    """Rows of the table of figures."""
    one, other = (
        f"{figures.patients} / {figures.images} / {figures.cancer_images}"
        for figures in (validation, test)
    )
    lines = [f"| patients / images / with cancer | {one} | {other} |"]
    for title, of in (
        ("AUC by image", "image_auc"),
        ("AUC by breast", "breast_auc"),
        ("AUC by patient", "patient_auc"),
        ("PR-AUC by image", "image_average_precision"),
        ("sensitivity by image at 90 % specificity", "image_sensitivity_at_90_specificity"),
        ("sensitivity by breast at the operating point", "breast_sensitivity"),
        ("specificity by breast at the operating point", "breast_specificity"),
        ("accuracy by image at the operating point", "image_accuracy"),
        ("precision by image at the operating point", "image_precision"),
        ("recall by image at the operating point", "image_recall"),
        ("F1 by image at the operating point", "image_f1"),
        ("Brier score by image", "image_brier"),
        ("expected calibration error by image", "image_calibration_error"),
        ("control: AUC by image", "shortcut_auc"),
    ):
        cells = (_interval(getattr(figures, of)) for figures in (validation, test))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _beside_original(test: Evaluation) -> str:
    """Rows of the original's table, each with ours beside it."""
    ours = test.measured.level(LevelName.IMAGE).figures
    return "\n".join(
        f"| {title} | {ORIGINAL_FIGURES[name]:.3f} | {_interval(ours[name])} |"
        for name, title in _ORIGINAL_TITLES.items()
    )


def _pointing(test: Evaluation) -> str:
    """Say how often Grad-CAM points at the lesion, where that is known."""
    game = test.pointing_game
    if game is None:
        return "\n\nWhether Grad-CAM points at a cancer is not known: the data do not say where."
    return (
        f"\n\nOn {game.images} test images with a cancer of known place, the highest point of the "
        f"heat map lies on it in a share of\n{_interval(game.hit_rate)}; pointing anywhere on the "
        f"breast would in {_interval(game.chance)}."
    )


def _share(test: Evaluation) -> str:
    """Share of test images with cancer, in percent."""
    by_image = test.measured.level(LevelName.IMAGE)
    return f"{100 * by_image.cancers / by_image.rows:.0f} %"


def _calibration(manifest: Manifest) -> str:
    """Name the calibration."""
    calibration = manifest.calibration
    if isinstance(calibration, IsotonicCalibration):
        return "an isotonic calibration"
    if isinstance(calibration, PlattScaling) and calibration.offset == 0.0:
        return "temperature scaling"
    return "Platt scaling"


def _bins(distribution: Distribution) -> list[str]:
    """Upper edge and counts of each bin."""
    edges = [f"< {edge:.4g}" for edge in distribution.edges] + ["above"]
    counts = zip(distribution.cancer, distribution.others, strict=True)
    return [f"{edge}: {one} + {other}" for edge, (one, other) in zip(edges, counts, strict=True)]


def _interval(interval: Interval | None) -> str:
    """Value and interval."""
    if interval is None:
        return "not defined"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
