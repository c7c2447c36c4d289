"""Analyses as the pipeline hands them on, made up around phantoms: nothing here runs a network."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    MammographyCADSRStorage,
)

import phantoms
from manifests import made_up_manifest
from model.explain import HeatMap, find_regions
from model.image_statistics import image_statistics
from model.manifest import FindingType, Manifest
from model.preprocess import to_network_input
from model.views import Laterality
from node.errors import TriageReason
from node.result_kinds import REPORT_KINDS, SRClass
from node.results import (
    PREVIEW_SIZE_PX,
    BreastResult,
    InstanceResult,
    Predecessor,
    ResultKind,
    StudyResult,
)
from node.settings import ResultsSettings

CLOSED_AT = datetime(2024, 5, 17, 10, 31, 7, 250000, tzinfo=UTC)
THRESHOLD = made_up_manifest().operating_point.threshold
INPUT_SIZE_PX = (96, 72)


def manifest(*, name: str = "phantom-net") -> Manifest:
    """Make a manifest; there are no weights to it."""
    return made_up_manifest(name=name, input_size_px=INPUT_SIZE_PX)


def analysed(
    ds: Dataset,
    *,
    score: float,
    weights: Manifest | None = None,
    stored: npt.NDArray[np.float32] | None = None,
) -> InstanceResult:
    """Make the result of a phantom: a heat map of two hills on the breast, regions by the rule.

    The breast hangs as it should, unless the pixels `stored`, in [0, 1], say how it is stored.
    """
    weights = weights or manifest()
    laterality, view_position = view_of(ds)
    rows, columns = int(ds.Rows), int(ds.Columns)
    smaller = min(1.0, PREVIEW_SIZE_PX / max(rows, columns))
    preview = stored
    if preview is None:
        preview = phantoms.breast_pixels(
            laterality or "R", rows=round(rows * smaller), columns=round(columns * smaller), seed=1
        )
    display = cv2.resize(preview, (columns, rows))
    network_input = to_network_input(np.asarray(display, np.float32), INPUT_SIZE_PX)
    row, column = np.mgrid[0 : INPUT_SIZE_PX[0], 0 : INPUT_SIZE_PX[1]].astype(np.float32)
    hills = np.exp(-((row - 40) ** 2 + (column - 20) ** 2) / 90)
    hills += 0.8 * np.exp(-((row - 70) ** 2 + (column - 12) ** 2) / 40)
    strength = min(1.0, score / weights.operating_point.threshold)
    values = hills * network_input.breast_mask
    heat_map = HeatMap(
        values=(values * strength / values.max()).astype(np.float32),
        breast_mask=network_input.breast_mask,
        geometry=network_input.geometry,
    )
    return InstanceResult(
        source=without_pixels(ds),
        dataset_sha256=f"{score:.4f}".replace(".", "a").ljust(64, "0"),
        laterality=Laterality(laterality) if laterality else None,
        view_position=view_position,
        score=score,
        preview=np.round(preview * 255).astype(np.uint8),
        heat_map=heat_map,
        regions=find_regions(heat_map, weights.region_rule, score=score),
        image_statistics=image_statistics(network_input),
    )


def triaged(
    ds: Dataset, reason: TriageReason = TriageReason.FOR_PROCESSING, detail: str = "as a test wants"
) -> InstanceResult:
    """Make the result of an image that was not analysed."""
    laterality, view_position = view_of(ds)
    return InstanceResult(
        source=without_pixels(ds),
        dataset_sha256="f" * 64,
        laterality=Laterality(laterality) if laterality else None,
        view_position=view_position,
        triage_reason=reason,
        triage_detail=detail,
    )


def study(
    *instances: InstanceResult,
    weights: Manifest | None = None,
    prevalence: float | None = None,
    predecessors: tuple[Predecessor, ...] = (),
) -> StudyResult:
    """Roll instances up to a study: breasts by the mean, the study by the largest."""
    breasts = []
    for laterality in (*Laterality, None):
        own = [i for i in instances if i.laterality is laterality]
        scores = [i.score for i in own if i.score is not None]
        if own:
            score = sum(scores) / len(scores) if scores else None
            breasts.append(BreastResult(laterality=laterality, score=score))
    return StudyResult(
        study_instance_uid=str(instances[0].source.StudyInstanceUID),
        revision=2 if predecessors else 1,
        closed_at=CLOSED_AT,
        instances=instances,
        breasts=tuple(breasts),
        score=max((b.score for b in breasts if b.score is not None), default=None),
        manifest=weights or manifest(),
        prevalence=prevalence,
        predecessors=predecessors,
    )


def normal() -> StudyResult:
    """Four views below the operating point: no region."""
    views = phantoms.screening_study()
    return study(*(analysed(ds, score=0.05 + 0.01 * i) for i, ds in enumerate(views)))


def positive(**attributes: Any) -> StudyResult:
    """Four views, the right breast above the operating point; `attributes` go to every source."""
    views = phantoms.screening_study(lesion_in_right=True, **attributes)
    scores = (0.62, 0.08, 0.87, 0.11)
    return study(*(analysed(ds, score=score) for ds, score in zip(views, scores, strict=True)))


def one_view(**attributes: Any) -> StudyResult:
    """One view above the operating point; `attributes` go to its source."""
    return study(analysed(phantoms.mammogram(**attributes), score=0.7))


def films() -> StudyResult:
    """Two films in Secondary Captures: no spacing, the view in Patient Orientation."""
    uid = phantoms.uid("study of films")
    cc = phantoms.film(view_position="CC", StudyInstanceUID=uid)
    mlo = phantoms.film(view_position="MLO", StudyInstanceUID=uid)
    return study(analysed(cc, score=0.55), analysed(mlo, score=0.3))


def all_triaged() -> StudyResult:
    """No image could be analysed; one of the instances is no image at all."""
    first, second, third, _ = phantoms.screening_study()
    document = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
        document[keyword] = third[keyword]
    document.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    document.SOPInstanceUID = phantoms.uid("a text report")
    document.Modality = "SR"
    return study(
        triaged(first),
        triaged(second, TriageReason.UNDECODABLE_PIXELS, "Pixel Data (7FE0,0010): 12 bytes"),
        triaged(document, TriageReason.NOT_MAMMOGRAPHY, "Modality (0008,0060) is SR"),
    )


def failed() -> StudyResult:
    """The analysis as a whole failed; one of the images had been set aside before."""
    *views, last = phantoms.screening_study()
    reason = "The worker process ended 3 times in the middle of it"
    return replace(
        study(
            *(triaged(ds, TriageReason.ANALYSIS_FAILED, "") for ds in views),
            triaged(last, TriageReason.SPECIMEN),
        ),
        failure=reason,
    )


def partly_triaged() -> StudyResult:
    """Two views analysed, one not."""
    first, second, third, _ = phantoms.screening_study()
    return study(analysed(first, score=0.9), analysed(second, score=0.1), triaged(third))


def one_breast() -> StudyResult:
    """Both views of the left breast, after the right one was removed."""
    _, left_cc, _, left_mlo = phantoms.screening_study()
    return study(analysed(left_cc, score=0.5), analysed(left_mlo, score=0.2))


def eight_views() -> StudyResult:
    """The four standard views, each once more: a repeat, two laterals and an exaggerated one."""
    uid = phantoms.uid("eight views")
    further = (("R", "CC"), ("L", "XCCL"), ("R", "ML"), ("L", "ML"))
    views = phantoms.screening_study(study_instance_uid=uid) + [
        phantoms.mammogram(
            laterality=laterality,
            view_position=view,
            instance_number=number,
            study_instance_uid=uid,
            ViewCodeSequence=None,
        )
        for number, (laterality, view) in enumerate(further, start=5)
    ]
    scores = (0.2, 0.1, 0.3, 0.9, 0.45, 0.5, 0.1, 0.2)
    return study(*(analysed(ds, score=score) for ds, score in zip(views, scores, strict=True)))


def oddly_stored() -> StudyResult:
    """Four views, stored mirrored, upside down, on the side and, the last, mirrored unsaid."""
    right, left = (phantoms.breast_pixels(laterality, seed=1) for laterality in ("R", "L"))
    ways = (
        (right[:, ::-1], ["A", "L"], 0.62),
        (left[::-1, ::-1], ["P", "L"], 0.08),
        (right.T, ["FL", "P"], 0.87),
        (left[:, ::-1], None, 0.11),
    )
    instances = []
    for ds, (pixels, orientation, score) in zip(phantoms.screening_study(), ways, strict=True):
        ds.Rows, ds.Columns = pixels.shape
        ds.PatientOrientation = orientation
        instances.append(analysed(ds, score=score, stored=np.ascontiguousarray(pixels)))
    return study(*instances)


def raw_twins() -> StudyResult:
    """Every view comes for presentation and for processing, as many devices send them."""
    uid = phantoms.uid("raw twins")
    views = phantoms.screening_study(study_instance_uid=uid)
    raw = phantoms.screening_study(study_instance_uid=uid, photometric="MONOCHROME1")
    return study(*(analysed(ds, score=0.1) for ds in views), *(triaged(ds) for ds in raw))


def unknown_side() -> StudyResult:
    """A view of which nobody says what it shows."""
    ds = phantoms.mammogram(ImageLaterality=None, ViewPosition=None, ViewCodeSequence=None)
    return study(analysed(ds, score=0.7))


def with_prevalence() -> StudyResult:
    """The site has set its prevalence: scores become probabilities."""
    return replace(positive(), prevalence=0.006)


def soft_tissue_lesions() -> StudyResult:
    """The weights were trained on masses alone, and the site has set its prevalence."""
    return with_findings(FindingType.SOFT_TISSUE_LESION)


def calcification_clusters() -> StudyResult:
    """The weights were trained on calcifications alone, and the site has set its prevalence."""
    return with_findings(FindingType.CALCIFICATION_CLUSTER)


def with_findings(finding: FindingType) -> StudyResult:
    """Let the manifest say what a region is."""
    result = with_prevalence()
    return replace(result, manifest=result.manifest.model_copy(update={"finding": finding}))


def for_ai_results() -> StudyResult:
    """The TID 1500 reports as Comprehensive 3D SR, as IHE AI Results asks for."""
    form = ResultsSettings(sr_class=SRClass.COMPREHENSIVE_3D)
    return replace(positive(), form=form)


def second_revision() -> StudyResult:
    """Every report replaces that of the revision before."""
    predecessors = tuple(
        Predecessor(
            kind=kind,
            sop_class_uid=(
                MammographyCADSRStorage if kind is ResultKind.CAD_REPORT else ComprehensiveSRStorage
            ),
            sop_instance_uid=phantoms.uid("before", kind),
            series_instance_uid=phantoms.uid("series before", kind),
        )
        for kind in REPORT_KINDS
    )
    return replace(positive(), revision=2, predecessors=predecessors)


def latin_1() -> StudyResult:
    """A patient's name in Latin-1."""
    return positive(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jördis")


def utf_8() -> StudyResult:
    """A patient's name in UTF-8."""
    return positive(SpecificCharacterSet="ISO_IR 192", PatientName="Κόρη^Άννα")


def japanese() -> StudyResult:
    """A patient's name with code extensions, PS3.5 H.3.1."""
    return positive(
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Hanako=山田^花子=やまだ^はなこ",
    )


STUDIES: dict[str, Callable[[], StudyResult]] = {
    made.__name__: made
    for made in (
        normal,
        positive,
        one_view,
        films,
        all_triaged,
        failed,
        partly_triaged,
        one_breast,
        eight_views,
        oddly_stored,
        raw_twins,
        unknown_side,
        with_prevalence,
        soft_tissue_lesions,
        calcification_clusters,
        for_ai_results,
        second_revision,
        latin_1,
        utf_8,
        japanese,
    )
}
"""Kinds of study that reports must be right for."""


def view_of(ds: Dataset) -> tuple[str | None, str | None]:
    """Read side and view of a phantom or film."""
    side = ds.get("ImageLaterality") or ds.get("Laterality")
    view = ds.get("ViewPosition")
    if view is None and isinstance(ds.get("PatientOrientation"), str):
        view = ds.PatientOrientation
    return side, view


def without_pixels(ds: Dataset) -> Dataset:
    """Copy a data set without its Pixel Data (7FE0,0010)."""
    # Not Dataset(ds): the two would share their elements.
    copy = Dataset()
    for tag in ds.keys() - {tag_for_keyword("PixelData")}:
        copy[tag] = ds.get_item(tag)
    return copy


def as_read_from_files(result: StudyResult) -> StudyResult:
    """Give every header the file meta information that reading a file brings along."""
    for instance in result.instances:
        instance.source.file_meta = FileMetaDataset()
        instance.source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result
