"""What every Structured Report has in common, whatever its template: the document around it.

highdicom's own document classes are not used: they ask for attributes that film instances lack,
and they stamp the current time.

References
----------
DICOM PS3.3 C.17.1 SR Document Series, C.17.2 SR Document General, C.17.3 SR Document Content.
"""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from node.report import envelope, provenance
from node.report.source_image import is_image, reference_to
from node.results import InstanceResult, ResultKind, StudyResult


def begin_document(
    result: StudyResult,
    *,
    kind: ResultKind,
    sop_class_uid: str,
    series_number: int,
    series_description: str,
    images: tuple[InstanceResult, ...],
    replaces: tuple[ResultKind, ...],
) -> Dataset:
    """Make a Structured Report without its content.

    Parameters
    ----------
    result
        The analysis.
    kind, sop_class_uid, series_number, series_description
        What the document is and how it is listed.
    images
        What the content refers to; instances that are no images are passed over.
    replaces
        Kinds of report of the revision before that this one takes the place of.

    Returns
    -------
    dataset
        All modules but SR Document Content, with file meta information.
    """
    ds = envelope.begin(
        result,
        kind=kind,
        sop_class_uid=sop_class_uid,
        modality="SR",
        series_number=series_number,
        series_description=series_description,
        instance_number=1,
        index=0,
        inputs=result.instances,
    )
    # Type 2 and empty: nobody told us of a performed procedure step (PS3.3 C.17.1, C.17.2).
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.PerformedProcedureCodeSequence = Sequence()
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "PRELIMINARY"
    evidence = references(
        result.study_instance_uid,
        [(str(i.source.SeriesInstanceUID), *reference_to(i)) for i in images if is_image(i)],
    )
    if evidence:
        ds.CurrentRequestedProcedureEvidenceSequence = evidence
    predecessors = predecessors_sequence(result, *replaces)
    if predecessors:
        ds.PredecessorDocumentsSequence = predecessors
    return ds


def add_content(ds: Dataset, root: Dataset) -> None:
    """Put a content tree into its document.

    Parameters
    ----------
    ds
        From `begin_document`.
    root
        The root CONTAINER. Continuity of Content (0040,A050) becomes SEPARATE throughout: as
        CONTINUOUS, a reader shows values without names. Whole numbers lose the decimal that
        highdicom gives them: an image has 256 rows, not 256.0. What the tree says may come from
        another image than the document's identity, in letters of another character set.
    """
    _set_straight(root)
    envelope.widen_character_set(ds, _text_of(root))
    for element in root:
        ds[element.tag] = element


def nest(item: Dataset, *children: Dataset) -> Dataset:
    """Put content items under another one.

    Parameters
    ----------
    item
        Any content item; what it holds already is replaced.
    children
        In their order. highdicom's own sequences refuse references by identifier (an item without
        a Value Type, PS3.3 C.17.3.2.5); here they are welcome.

    Returns
    -------
    nested
        A plain data set with the attributes of `item` and, if there are any, the children.
    """
    nested = Dataset()
    for element in item:
        if element.keyword != "ContentSequence":
            nested[element.tag] = element
    if children:
        nested.ContentSequence = Sequence(children)
    return nested


def predecessors_sequence(result: StudyResult, *kinds: ResultKind) -> Sequence:
    """List the reports that a report replaces.

    Parameters
    ----------
    result
        The analysis, with the reports of the revision before.
    kinds
        Which kinds are replaced.

    Returns
    -------
    sequence
        Items of Predecessor Documents Sequence (0040,A360), PS3.3 C.17.2; empty for revision 1.
    """
    return references(
        result.study_instance_uid,
        [
            (p.series_instance_uid, p.sop_class_uid, p.sop_instance_uid)
            for kind in kinds
            for p in provenance.predecessors(result, kind)
        ],
    )


def references(study_instance_uid: str, instances: list[tuple[str, str, str]]) -> Sequence:
    """Nest references to instances of one study as PS3.3 Table C.17-3 asks.

    Parameters
    ----------
    study_instance_uid
        The study that all are in.
    instances
        (Series Instance UID, SOP Class UID, SOP Instance UID) of each.

    Returns
    -------
    sequence
        One item with a Referenced Series Sequence; or none if there are no instances.
    """
    by_series: dict[str, list[Dataset]] = {}
    for series_uid, sop_class_uid, instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = instance_uid
        by_series.setdefault(series_uid, []).append(item)
    if not by_series:
        return Sequence()
    study = Dataset()
    study.ReferencedSeriesSequence = Sequence()
    for series_uid, items in by_series.items():
        series = Dataset()
        series.ReferencedSOPSequence = Sequence(items)
        series.SeriesInstanceUID = series_uid
        study.ReferencedSeriesSequence.append(series)
    study.StudyInstanceUID = study_instance_uid
    return Sequence([study])


def _set_straight(item: Dataset) -> None:
    """Set Continuity of Content and whole numbers in a content item and in all below it."""
    if item.get("ValueType") == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for measured in item.get("MeasuredValueSequence", ()):
        if float(measured.NumericValue).is_integer():
            measured.NumericValue = str(int(measured.NumericValue))
    for child in item.get("ContentSequence", ()):
        _set_straight(child)


def _text_of(root: Dataset) -> str:
    """All text in a content tree, whose encoding depends on Specific Character Set."""
    return "".join(
        str(element.value) for element in root.iterall() if element.VR in CUSTOMIZABLE_CHARSET_VR
    )
