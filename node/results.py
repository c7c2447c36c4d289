"""What an analysis found: the frozen values that pass from the pipeline to the reports."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from model.explain import HeatMap, Region
from model.image_statistics import ImageStatistics
from model.manifest import Manifest
from model.views import Laterality
from node.errors import TriageReason
from node.result_kinds import ResultKind as ResultKind
from node.settings import ResultsSettings

UInt8Array = npt.NDArray[np.uint8]

PREVIEW_SIZE_PX = 1536
"""Longest side of the pictures that the results are drawn on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InstanceResult:
    """What came of one source image.

    Exactly one of `score` and `triage_reason` is set; with a score come `preview` and `heat_map`.

    Attributes
    ----------
    source
        The source data set without its pixel data; every identity in a result is copied from it.
    dataset_sha256
        Hash of the data set as received, without the file meta information.
    laterality, view_position
        What the image shows, or None where nothing in the data set says so. `view_position` is a
        Defined Term of View Position (0018,5101).
    score
        AI malignancy score in [0, 1], calibrated at the prevalence that the manifest states.
    triage_reason, triage_detail
        Why the image was not analysed, and what was found.
    preview
        Shape (rows, columns) in the source's aspect ratio, longest side at most
        ``PREVIEW_SIZE_PX``, values 0 to 255, air is 0: the source as a reader sees it.
    heat_map
        Grad-CAM of the malignant class with its place on the source's pixel grid.
    regions
        Where the heat map passes the manifest's region rule, most suspicious first; only at or
        above the operating point.
    image_statistics
        What the network's input is like; None also where a version from before they were kept
        analysed the image.
    """

    source: Dataset
    dataset_sha256: str
    laterality: Laterality | None
    view_position: str | None
    score: float | None = None
    triage_reason: TriageReason | None = None
    triage_detail: str = ""
    preview: UInt8Array | None = None
    heat_map: HeatMap | None = None
    regions: tuple[Region, ...] = ()
    image_statistics: ImageStatistics | None = None

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018) of the source image."""
        return str(self.source.SOPInstanceUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreastResult:
    """The score of one breast, rolled up from its views; None where no view was analysed."""

    laterality: Laterality | None
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """A Structured Report of the revision before, PS3.3 C.17.2 Predecessor Documents Sequence."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What came of one revision of a study: everything that the reports are written from.

    Attributes
    ----------
    study_instance_uid
        Study Instance UID (0020,000D).
    revision
        1 for the first analysis, one more each time that the input or the model changed; None for
        an analysis of files, outside a study log.
    closed_at
        When the study was closed out, aware UTC: the date that every result object carries.
    instances
        One for each instance of the study: standard views first in hanging order, then others.
    breasts
        Right, left, then unknown side; only breasts of which there is an image.
    score
        AI malignancy score of the study in [0, 1], or None if no view was analysed.
    manifest
        Of the weights that made the scores.
    prevalence
        Fraction of the breasts examined at this site that have cancer (the calibration counts
        images, labelled by their breast), or None if the site did not state it; then the score is
        not called a probability.
    form
        In which form the results are written.
    predecessors
        Reports of the revision before, which the new reports replace.
    failure
        Why the analysis as a whole failed; empty if it came to its end. Where it is set, no
        instance has a score.
    """

    study_instance_uid: str
    revision: int | None
    closed_at: datetime
    instances: tuple[InstanceResult, ...]
    breasts: tuple[BreastResult, ...]
    score: float | None
    manifest: Manifest
    prevalence: float | None = None
    form: ResultsSettings = field(default_factory=ResultsSettings)
    predecessors: tuple[Predecessor, ...] = ()
    failure: str = ""

    @property
    def analysed(self) -> tuple[InstanceResult, ...]:
        """The instances that have a score, in the order of `instances`."""
        return tuple(instance for instance in self.instances if instance.score is not None)

    @property
    def triaged(self) -> tuple[InstanceResult, ...]:
        """The instances that were not analysed, in the order of `instances`."""
        return tuple(i for i in self.instances if i.triage_reason is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObject:
    """One DICOM object that the node made.

    Attributes
    ----------
    kind
        What it is.
    index
        Its place among the objects of its kind in this revision, from 0.
    dataset
        The whole object, with file meta information, ready to be written.
    source_sop_instance_uid
        The one image it was made from, or None if from several.
    """

    kind: ResultKind
    index: int
    dataset: Dataset
    source_sop_instance_uid: str | None = None
