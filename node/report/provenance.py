"""Who and what made a result object: its UIDs, its equipment, what it refers to and replaces.

Nothing here asks the clock or draws a number: the same analysis gives the same object, so that
whatever is made a second time after a crash takes the place of the first.
"""

import json
import uuid
from copy import deepcopy
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node import __version__
from node.equipment import MANUFACTURER, MODEL_NAME
from node.report import codes
from node.results import InstanceResult, Predecessor, ResultKind, StudyResult

CONTRIBUTION = "AI inference, research use only"

_NAMESPACE = uuid.UUID("b1a6a3f0-2c5f-5e6e-9d0b-6a1c3f8f7d21")
IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(_NAMESPACE, 'implementation class').int}"

# General Equipment of the source, for its item of the Contributing Equipment Sequence.
_EQUIPMENT = (
    "Manufacturer",
    "InstitutionName",
    "StationName",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
)


def derive_uid(*parts: object) -> str:
    """Derive a UID from what it names.

    Parameters
    ----------
    parts
        Whatever JSON can hold. The same parts give the same UID; parts that differ in value, type
        or grouping give another.

    Returns
    -------
    uid
        ``2.25.`` and the decimal form of a UUID version 5 (PS3.5 B.2).
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"2.25.{uuid.uuid5(_NAMESPACE, canonical).int}"


def sop_instance_uid(
    result: StudyResult, kind: ResultKind, index: int, *inputs: InstanceResult
) -> str:
    """Derive the SOP Instance UID of a result object.

    Parameters
    ----------
    result
        The analysis.
    kind
        What the object is.
    index
        Its place among objects of that kind made from the same inputs, from 0.
    inputs
        The images that the object is made from. A heat map is made from its own view alone: a
        late image of the study does not make it another object.

    Returns
    -------
    uid
        Another one as soon as study, inputs, which of them were analysed, weights, settings, engine
        or this software's version differ.
    """
    replaced = [p.sop_instance_uid for p in predecessors(result, kind)]
    form = _form(result, kind)
    return derive_uid(*_analysis(result), kind, form, _identities(inputs), replaced, index)


def series_instance_uid(
    result: StudyResult, kind: ResultKind, *inputs: InstanceResult, part: str = ""
) -> str:
    """Derive the Series Instance UID of a result object.

    Parameters
    ----------
    result
        The analysis.
    kind
        Kinds never share a series.
    inputs
        For a report, its images: OHIF shows only the last report of a series, so that each has one
        of its own. Without inputs: one series for all objects of the kind that these weights made.
    part
        Which of several shared series: what must be alike in a series, such as its Laterality.

    Returns
    -------
    uid
        The same for all objects that share the series.
    """
    replaced = [p.sop_instance_uid for p in predecessors(result, kind)] if inputs else []
    parts = [part] if part else []
    form = _form(result, kind)
    return derive_uid(
        "series", *_analysis(result), kind, form, _identities(inputs), replaced, *parts
    )


def tracking_uid(result: StudyResult, kind: ResultKind, identifier: str) -> str:
    """Derive the Tracking Unique Identifier (112040, DCM) of one measurement group.

    Parameters
    ----------
    result
        The analysis.
    kind
        The report that the group stands in.
    identifier
        The group's Tracking Identifier (112039, DCM), which no other group of the report has.

    Returns
    -------
    uid
        OHIF merges groups that share one; no two groups do.
    """
    inputs = _identities(result.instances)
    return derive_uid("tracking", *_analysis(result), kind, inputs, identifier)


def region_uid(result: StudyResult, image: InstanceResult, number: int) -> str:
    """Derive the Tracking Unique Identifier (112040, DCM) of one region of one view.

    Parameters
    ----------
    result
        The analysis.
    image, number
        The view, and the place of the region among the view's, from 1.

    Returns
    -------
    uid
        The same in all kinds of object and in later revisions, as long as view and weights are. No
        two regions share one: OHIF merges measurement groups that do.
    """
    return derive_uid("region", *_analysis(result), _identities((image,)), number)


def frame_of_reference_uid(result: StudyResult, image: InstanceResult) -> str:
    """Derive the Frame of Reference UID (0020,0052) of an object that must have one.

    Parameters
    ----------
    result
        The analysis.
    image
        The view that the object is made from; a mammogram has no frame of reference of its own.

    Returns
    -------
    uid
        Another one for each view and analysis: nothing is registered with anything.
    """
    return derive_uid("frame of reference", *_analysis(result), _identities((image,)))


def device_uid(result: StudyResult) -> str:
    """Derive the Device Observer UID (121012, DCM): one for each version of software and weights.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    uid
        The same in every study that these weights analyse with this software.
    """
    return derive_uid("device", MODEL_NAME, __version__, result.manifest.sha256)


def serial_number(result: StudyResult) -> str:
    """Device Serial Number (0018,1000): the beginning of the weights' SHA-256."""
    return result.manifest.sha256[:16]


def software_versions(result: StudyResult) -> list[str]:
    """Software Versions (0018,1020): this software's, then the weights'."""
    return [f"mammonode {__version__}"[:64], model_label(result)[:64]]


def model_label(result: StudyResult) -> str:
    """Name and version of the weights, as every object states them."""
    return f"{result.manifest.name} {result.manifest.version}"


def algorithm_name(result: StudyResult) -> str:
    """Algorithm Name (111001, DCM): the weights and the network that they are for."""
    return f"{result.manifest.name} ({result.manifest.network})"


def predecessors(result: StudyResult, kind: ResultKind) -> list[Predecessor]:
    """List the reports of one kind that the revision before wrote."""
    return [p for p in result.predecessors if p.kind is kind]


def _analysis(result: StudyResult) -> tuple[object, ...]:
    """Everything but its inputs that decides what an analysis finds and how it is written."""
    manifest = result.manifest
    engine = {name: _version_of(name) for name in ("keras", "tensorflow")}
    return (
        result.study_instance_uid,
        # What drift is told by says nothing of this analysis.
        manifest.model_dump(mode="json", exclude={"reference"}),
        {"prevalence": result.prevalence},
        # Files are dated by their images, a logged study by its close-out: not the same object.
        {"is_logged": result.revision is not None},
        {"failure": result.failure},
        engine,
        # The bytes name it, and the same result is written otherwise by another version.
        __version__,
    )


def _form(result: StudyResult, kind: ResultKind) -> list[str]:
    """List the settings that decide in which form a kind is written."""
    if kind in (ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT):
        return [result.form.sr_class]
    return [result.form.heat_map] if kind is ResultKind.HEAT_MAP else []


def _identities(instances: tuple[InstanceResult, ...]) -> list[list[str]]:
    """List the images; one that was left out may be analysed in another attempt, or the reverse."""
    return sorted(
        [i.sop_instance_uid, i.dataset_sha256, i.triage_reason or "", i.triage_detail]
        for i in instances
    )


@cache
def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def contributing_equipment(result: StudyResult, source: Dataset) -> list[Dataset]:
    """List the equipment that had a part in a result object.

    Parameters
    ----------
    result
        The analysis.
    source
        An image; its General Equipment Module is kept as the acquisition equipment.

    Returns
    -------
    items
        Of Contributing Equipment Sequence (0018,A001), PS3.3 C.12.1: the algorithm, then the device
        that made the image, where the image names one.
    """
    own = Dataset()
    own.PurposeOfReferenceCodeSequence = Sequence([codes.code_item(codes.PROCESSING_EQUIPMENT)])
    own.Manufacturer = MANUFACTURER
    # IHE Radiology, AI Results 6.5.3.1: as the content tree names the algorithm and the observer.
    own.ManufacturerModelName = algorithm_name(result)[:64]
    own.DeviceSerialNumber = serial_number(result)
    own.SoftwareVersions = result.manifest.version[:64]
    own.DeviceUID = device_uid(result)
    own.ContributionDateTime = _datetime(result.closed_at)
    own.ContributionDescription = f"{CONTRIBUTION}. {NOT_FOR_DIAGNOSTIC_USE}"
    items = [own]
    if source.get("Manufacturer"):
        device = Dataset()
        device.PurposeOfReferenceCodeSequence = Sequence(
            [codes.code_item(codes.ACQUISITION_EQUIPMENT)]
        )
        for keyword in _EQUIPMENT:
            if source.get(keyword):
                device[keyword] = deepcopy(source[keyword])
        items.append(device)
    return items


def private_scheme() -> Dataset:
    """Declare our coding scheme: an item of Coding Scheme Identification Sequence (0008,0110)."""
    item = Dataset()
    item.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    item.CodingSchemeName = codes.PRIVATE_SCHEME_NAME
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def _datetime(moment: datetime) -> str:
    """Value for DT, with its offset (PS3.5 6.2)."""
    return moment.strftime("%Y%m%d%H%M%S.%f%z")
