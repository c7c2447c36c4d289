"""The words that go with weights: their model card and their licence."""

from model.manifest import Interval, Manifest, SplitFigures


def model_card(manifest: Manifest, *, note: str) -> str:
    """Write the model card from the manifest, so that the two cannot differ.

    Parameters
    ----------
    manifest
        With its figures.
    note
        What is known of these weights and not in the manifest, in whole sentences.

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
    test = manifest.figures.test
    return f"""# {manifest.name} {manifest.version}

**{manifest.intended_use}** Not a medical device. It tells images of breasts with biopsy-proven
cancer from images of other breasts, with the reliability below; it never says that a finding is
benign.

## Network

EfficientNetV2B0, average and maximum pooling, 128 hidden units, softmax over
{" and ".join(manifest.classes)} (`{manifest.network}`). Input {height} × {width} pixels, one breast
cropped, chest wall left (`model/preprocess.py`, version {manifest.preprocess_version}). Start:
{manifest.start_weights}.

## Data

{data}

Split by patient, by a hash of the pseudonym: 68 % train, 16 % validation, 16 % test. Validation
chose the epoch, the calibration, the roll-up and the operating point. Test was scored once, after
everything was chosen.

## Figures

95 % intervals by 1,000 resamplings of patients.

| | validation | test |
| --- | --- | --- |
{_rows(manifest.figures.validation, test)}

The control is a logistic regression on nine intensity statistics of the same input: what brightness
and contrast alone would reach. The test split has {test.cancer_images} images with cancer among
{test.images}; a screening population has far fewer.

## Score, roll-up and operating point

The AI malignancy score is Platt scaling of the softmax, fitted on validation at a prevalence of
{calibration.prevalence:.3f} by image. It is an estimate of a probability only where the site's own
prevalence has been set. {note}

Views to breast: {manifest.roll_up.views_to_breast}; breasts to study:
{manifest.roll_up.breasts_to_study}. A breast is called at or above
{point.threshold:.4f}, chosen for a {point.chosen_for}: sensitivity {point.sensitivity:.2f} and
specificity {point.specificity:.2f} there. In training data a breast is a patient's side of the
chest wall, for laterality is not recorded.

## What it has not been shown

{gaps}

## Licence

{manifest.licence}. See `LICENSE`.
"""


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

These weights were trained on images whose terms allow non-commercial use for research and education
only, and forbid any attempt to identify the persons in them:

{parts}

A network trained on them cannot be given wider terms than they have. You may use, copy and pass on
the weights for non-commercial research and education, with this notice and with the citations
above. The images themselves are not part of this distribution.

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
        ("sensitivity by image at 90 % specificity", "image_sensitivity_at_90_specificity"),
        ("sensitivity by breast at the operating point", "breast_sensitivity"),
        ("specificity by breast at the operating point", "breast_specificity"),
        ("Brier score by image", "image_brier"),
        ("control: AUC by image", "shortcut_auc"),
    ):
        cells = (_interval(getattr(figures, of)) for figures in (validation, test))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(interval: Interval) -> str:
    """Value and interval."""
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
