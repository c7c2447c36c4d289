"""What is known of a study's instances before a pixel is read; nothing here loads TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info

from model.attributes import VALUE_ERRORS
from model.decoders import UNREADABLE
from model.views import STANDARD_VIEWS, Laterality, View, read_view
from node.analysis.sources import SourceInstance
from node.errors import (
    PermanentError,
    RejectedInstance,
    TransientError,
    TriageReason,
    UnsuitableInstance,
)
from node.header import dataset_offset, read_header
from node.results import InstanceResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHeader:
    """One instance of the study: its data set without pixels, and what it shows."""

    source: SourceInstance
    ds: Dataset
    view: View


def read_source(source: SourceInstance) -> SourceHeader:
    """Read what stands before the pixel data, in little memory whatever the file inflates to.

    What a person corrected about the patient is corrected in it. A sequence that cannot be read to
    its last item is not in it: no report could hold it, and each would fail over it.

    Raises
    ------
    PermanentError
        If the file is missing or is not DICOM.
    TransientError
        If it cannot be read now.
    """
    if not source.path.exists():
        raise PermanentError(reason=f"Expected an image at {source.path}; found none")
    try:
        meta = read_file_meta_info(source.path)
        ds = read_header(
            source.path,
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            dataset_offset=dataset_offset(source.path),
        )
        _drop_broken_sequences(ds)
        source.correct(ds)
        ds.file_meta = meta
        return SourceHeader(source=source, ds=ds, view=read_view(ds))
    except OSError as error:
        raise TransientError(
            reason=f"Expected a readable image at {source.path}; found {error}"
        ) from error
    except (RejectedInstance, *UNREADABLE) as error:
        # What a library says of a value may quote it; what we say never does.
        found = error.reason if isinstance(error, RejectedInstance) else type(error).__name__
        raise PermanentError(
            reason=f"Expected a DICOM file at {source.path}; found {found}"
        ) from error


def _drop_broken_sequences(ds: Dataset) -> None:
    """Take out sequences that cannot be read; the others stay as the bytes that they were."""
    for tag in list(ds.keys()):
        raw = ds.get_item(tag)
        vr = raw.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "")
        if vr not in ("SQ", "UN") or not isinstance(raw, RawDataElement):
            continue
        probe = Dataset()
        probe[tag] = raw
        try:
            for _ in probe.iterall():
                pass
        except VALUE_ERRORS:
            del ds[tag]


def hanging_order(header: SourceHeader) -> tuple[int, str, str, str, str]:
    """Sort the four standard views as they are hung, then others by side, view and UID."""
    laterality, view_position = header.view.laterality, header.view.view_position
    place = len(STANDARD_VIEWS)
    for index, standard in enumerate(STANDARD_VIEWS):
        if standard == (laterality, view_position):
            place = index
    # "R" before "L" before unknown, as in the standard views.
    side = {Laterality.RIGHT: "1", Laterality.LEFT: "2", None: "3"}[laterality]
    return (
        place,
        side,
        view_position or "~",
        str(header.ds.SOPInstanceUID),
        header.source.dataset_sha256,
    )


def left_out(header: SourceHeader, unsuitable: UnsuitableInstance) -> InstanceResult:
    """Say why an instance was not analysed."""
    return InstanceResult(
        source=header.ds,
        dataset_sha256=header.source.dataset_sha256,
        laterality=header.view.laterality,
        view_position=header.view.view_position,
        triage_reason=unsuitable.reason,
        triage_detail=unsuitable.detail,
    )


def breasts_shown(instances: Sequence[InstanceResult]) -> tuple[Laterality | None, ...]:
    """List the breasts of which there is a mammogram: right, left, then unknown side."""
    shown = {i.laterality for i in instances if i.triage_reason is not TriageReason.NOT_MAMMOGRAPHY}
    return tuple(side for side in (Laterality.RIGHT, Laterality.LEFT, None) if side in shown)
