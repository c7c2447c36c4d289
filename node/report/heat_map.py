"""The heat map: one Secondary Capture a view analysed, that any viewer shows in colour."""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.report import codes, envelope, provenance
from node.report.hanging import hanging_of
from node.report.overlay import draw_overlay
from node.report.secondary_capture import begin_capture
from node.report.source_image import copy_of
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9003
SERIES_DESCRIPTION = "Grad-CAM heat maps"


def write_heat_maps(result: StudyResult) -> list[ResultObject]:
    """Write one heat map for each analysed view.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        Secondary Captures of one series, all of one size, in the order of the instances; none if
        no view was analysed. Their UIDs depend on their own view alone.
    """
    return [
        ResultObject(
            kind=ResultKind.HEAT_MAP,
            index=index,
            dataset=_heat_map(result, instance),
            source_sop_instance_uid=instance.sop_instance_uid,
        )
        for index, instance in enumerate(result.analysed)
    ]


def _heat_map(result: StudyResult, instance: InstanceResult) -> Dataset:
    """Make the Secondary Capture of one view."""
    hanging = hanging_of(instance)
    turned = hanging.transformation.words
    ds = begin_capture(
        result,
        kind=ResultKind.HEAT_MAP,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        instance_number=envelope.view_number(result, instance),
        inputs=(instance,),
        drawn=(instance,),
        derivation=(
            f"Grad-CAM of {provenance.model_label(result)} over the resampled source image"
            f"{', ' + turned if turned else ''}, with score and legend"
        ),
        pixels=draw_overlay(result, instance),
        is_series_shared=True,
    )
    # Type 2: empty where the source holds none, or one that cannot be.
    ds.PatientOrientation = list(hanging.patient_orientation or ()) or None
    if instance.laterality is not None:
        ds.ImageLaterality = instance.laterality.value
    else:
        # Type 2C for a paired body part without Image Laterality (PS3.3 C.7.3.1).
        ds.Laterality = None
    view = _view_code(instance)
    if view is not None:
        # Without one OHIF's mammography layout never loads.
        ds.ViewCodeSequence = Sequence([view])
    return ds


def _view_code(instance: InstanceResult) -> Dataset | None:
    """Make an item of View Code Sequence (0054,0220): the source's own, else by view position."""
    if not instance.source.get("ViewCodeSequence"):
        view = codes.VIEWS.get(instance.view_position or "")
        return codes.code_item(view) if view is not None else None
    item: Dataset = copy_of(instance.source, "ViewCodeSequence").value[0]
    # Outside the Mammography Image Module its items would be content items (PS3.3 C.7.6.1, Optional
    # View and Slice Progression Direction Macro), as dciodvfy demands.
    if "ViewModifierCodeSequence" in item:
        del item.ViewModifierCodeSequence
    return item
