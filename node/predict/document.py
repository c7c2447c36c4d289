"""``result.json``: what came of each image, by study and breast, for other programs to read."""

import json
from collections.abc import Sequence
from typing import Any

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from model.views import Laterality
from node import __version__
from node.predict.find import Found
from node.results import InstanceResult, ResultObject, StudyResult

FORMAT_VERSION = 1
"""Changes when a name that is there changes its meaning or goes away."""

Document = dict[str, Any]


def describe(found: Found, *, model: Document, studies: Sequence[Document]) -> Document:
    """Describe everything that was found.

    Parameters
    ----------
    found
        What the files held.
    model
        What analysed the studies, by `describe_model`.
    studies
        Each by `describe_study`.

    Returns
    -------
    document
        Of JSON values alone.
    """
    return {
        "format_version": FORMAT_VERSION,
        "notice": NOT_FOR_DIAGNOSTIC_USE,
        "software": {"name": "mammonode", "version": __version__},
        "model": model,
        "studies": list(studies),
        "left_out": [{"path": str(each.path), "reason": each.reason} for each in found.left_out],
        "not_dicom": found.not_dicom,
    }


def describe_model(result: StudyResult) -> Document:
    """Describe the model that an analysis was made with."""
    manifest = result.manifest
    point = manifest.operating_point
    return {
        "name": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.sha256,
        "licence": manifest.licence,
        "calibration_prevalence": manifest.calibration.prevalence,
        "site_prevalence": result.prevalence,
        "operating_point": {
            "threshold": point.threshold,
            "chosen_for": point.chosen_for,
            "sensitivity": point.sensitivity,
            "specificity": point.specificity,
        },
    }


def describe_study(result: StudyResult, objects: Sequence[Document]) -> Document:
    """Describe one study: what came of each image, by breast.

    Parameters
    ----------
    result
        The analysis. Scores are AI malignancy scores in [0, 1], calibrated at
        ``model.calibration_prevalence``; where the site states a prevalence,
        ``probability_of_cancer`` is the score carried to it. A breast is ``R``, ``L`` or null
        where nothing in the image says which.
    objects
        What was written of it, each by `describe_object`.
    """
    lateralities = (Laterality.RIGHT, Laterality.LEFT, None)
    return {
        "study_instance_uid": result.study_instance_uid,
        "dated": result.closed_at.isoformat(),
        **_scored(result, result.score),
        "breasts": [
            _breast(result, laterality)
            for laterality in lateralities
            if any(instance.laterality is laterality for instance in result.instances)
        ],
        "results": list(objects),
    }


def describe_object(result_object: ResultObject, file: str) -> Document:
    """Describe one result object; `file` is relative to the output folder."""
    return {
        "kind": result_object.kind.value,
        "sop_class_uid": str(result_object.dataset.SOPClassUID),
        "sop_instance_uid": str(result_object.dataset.SOPInstanceUID),
        "source_sop_instance_uid": result_object.source_sop_instance_uid,
        "file": file,
    }


def to_json(document: Document) -> str:
    """Write the document as indented JSON that ends with a line feed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _breast(result: StudyResult, laterality: Laterality | None) -> Document:
    scores = {breast.laterality: breast.score for breast in result.breasts}
    return {
        "laterality": laterality and laterality.value,
        **_scored(result, scores.get(laterality)),
        "instances": [
            _instance(result, instance)
            for instance in result.instances
            if instance.laterality is laterality
        ],
    }


def _instance(result: StudyResult, instance: InstanceResult) -> Document:
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "view_position": instance.view_position,
        "laterality": instance.laterality and instance.laterality.value,
        **_scored(result, instance.score),
        "triage_reason": instance.triage_reason and instance.triage_reason.value,
        "triage_detail": instance.triage_detail or None,
        "regions": [
            {
                "top": region.top,
                "left": region.left,
                "bottom": region.bottom,
                "right": region.right,
                "peak_row": region.peak_row,
                "peak_column": region.peak_column,
            }
            for region in instance.regions
        ],
    }


def _scored(result: StudyResult, score: float | None) -> Document:
    """Give a score, whether it reaches the operating point, and what it means at the site."""
    facts: Document = {
        "score": score,
        "is_suspicious": (
            None if score is None else result.manifest.operating_point.is_reached(score)
        ),
    }
    if result.prevalence is not None:
        facts["probability_of_cancer"] = (
            None
            if score is None
            else result.manifest.calibration.at_prevalence(score, result.prevalence)
        )
    return facts
