"""What a set of weights is: the file that lies beside them, and without which they do not load.

``manifest.json`` says which network the weights fit, how pixels must be prepared, what turns the
network's output into a calibrated score, above which score a breast is called, and what is known
about its figures. It is read without TensorFlow.
"""

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from model.errors import WeightsError

MANIFEST_FILE = "manifest.json"
SHIPPED_WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the weights that come with the software."""
NOT_FOR_DIAGNOSTIC_USE = "Research software, not for diagnostic use."

Share = Annotated[float, Field(ge=0.0, le=1.0)]
_CANCER = ("cancer", "malignant")
_SMALLEST = 1e-7
_LEAST_LOG_ODDS = -700.0


class _Fact(BaseModel):
    """A frozen part of a manifest; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RollUpRule(StrEnum):
    """How scores of several images become one."""

    MEAN = "mean"
    MAX = "max"

    def of(self, scores: list[float]) -> float:
        """Combine scores in [0, 1].

        Parameters
        ----------
        scores
            At least one.

        Returns
        -------
        score
            Their mean or their largest, in [0, 1].
        """
        return max(scores) if self is RollUpRule.MAX else math.fsum(scores) / len(scores)


class FindingType(StrEnum):
    """What a region can claim to be: as much as the lesions that the network was trained on.

    SELECTED_REGION claims nothing but the place. SOFT_TISSUE_LESION: trained on masses and the like
    alone. CALCIFICATION_CLUSTER: trained on calcifications alone.
    """

    SELECTED_REGION = "selected_region"
    SOFT_TISSUE_LESION = "soft_tissue_lesion"
    CALCIFICATION_CLUSTER = "calcification_cluster"


class Interval(_Fact):
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Calibration(_Fact):
    """What turns the network's output into a score that holds at one prevalence.

    References
    ----------
    The shift to another prevalence: Saerens et al., Neural Computation 14, 2002.
    """

    prevalence: float = Field(gt=0.0, lt=1.0)
    """Share of cancers among the images that the calibration was fitted on."""

    def score(self, malignancy: float) -> float:
        """Turn the network's output into an AI malignancy score.

        Parameters
        ----------
        malignancy
            The softmax unit for cancer, in [0, 1].

        Returns
        -------
        score
            In (0, 1); never falls as `malignancy` rises, and holds at the prevalence of the
            calibration.
        """
        raise NotImplementedError

    def at_prevalence(self, score: float, prevalence: float) -> float:
        """Carry a score (or a threshold) from the calibration's prevalence to another.

        Parameters
        ----------
        score
            In [0, 1], at the calibration's prevalence.
        prevalence
            The other one, in (0, 1): the site's own share of cancers.

        Returns
        -------
        score
            In (0, 1), at the other prevalence: an estimate of the probability of cancer there.
        """
        return _sigmoid(_logit(score) + _logit(prevalence) - _logit(self.prevalence))


class PlattScaling(Calibration):
    """score = sigmoid(slope · logit + offset); temperature scaling where the offset is 0.

    References
    ----------
    Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """

    slope: float = Field(gt=0.0)
    offset: float

    def score(self, malignancy: float) -> float:
        """Scale the log odds of the output; see `Calibration.score`."""
        return _sigmoid(self.slope * _logit(malignancy) + self.offset)


class IsotonicCalibration(Calibration):
    """A score that rises from point to point in straight lines, and is level before and after.

    References
    ----------
    Oron and Flournoy, Centered Isotonic Regression, Statistics in Biopharmaceutical Research 9,
    2017.
    """

    points: tuple[tuple[Share, Annotated[float, Field(gt=0.0, lt=1.0)]], ...] = Field(min_length=2)
    """(output of the network, score), both rising."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for (output, score), (next_output, next_score) in pairwise(self.points):
            if not (output < next_output and score <= next_score):
                raise ValueError("points must rise from one to the next")
        return self

    def score(self, malignancy: float) -> float:
        """Read the score between the points beside the output; see `Calibration.score`."""
        place = bisect_right(self.points, malignancy, key=lambda point: point[0])
        if place == 0:
            return self.points[0][1]
        if place == len(self.points):
            return self.points[-1][1]
        (output, score), (next_output, next_score) = self.points[place - 1 : place + 1]
        share = (malignancy - output) / (next_output - output)
        return score + share * (next_score - score)


def _kind_of_calibration(value: object) -> str:
    """Tell the calibrations apart by what only one of them has."""
    has_points = "points" in value if isinstance(value, dict) else hasattr(value, "points")
    return "isotonic" if has_points else "platt"


AnyCalibration = Annotated[
    Annotated[PlattScaling, Tag("platt")] | Annotated[IsotonicCalibration, Tag("isotonic")],
    Discriminator(_kind_of_calibration),
]
"""As a manifest holds it."""


class OperatingPoint(_Fact):
    """The threshold at or above which a breast is called, and what it was chosen for."""

    threshold: Share
    """On the calibrated score of a breast, at the calibration's prevalence."""
    chosen_for: str
    sensitivity: Share
    """On the validation split, by breast."""
    specificity: Share
    """On the validation split, by breast."""

    def is_reached(self, score: float) -> bool:
        """Whether a calibrated score in [0, 1] is at or above the threshold."""
        return score >= self.threshold


class RollUp(_Fact):
    """From views to a breast, from breasts to a study; chosen on the validation split."""

    views_to_breast: RollUpRule
    breasts_to_study: RollUpRule


class RegionRule(_Fact):
    """When a part of the heat map becomes a region in a report."""

    score_at_least: Share
    """A view below this calibrated score has no region."""
    heat_map_at_least: Share
    """Share of the heat map's largest value that a pixel of the region reaches."""
    area_at_least: Share
    """Share of the breast's area that a region covers at least."""
    regions_at_most: int = Field(ge=1)


_Later = Annotated[Interval | None, Field(default=None, exclude_if=lambda value: value is None)]
"""A figure that the first manifests do not state: they read back, and are written, as they were."""


class SplitFigures(_Fact):
    """What was measured on one split; intervals by bootstrap over patients."""

    patients: int
    images: int
    cancer_images: int
    image_auc: Interval
    breast_auc: Interval
    patient_auc: Interval
    image_average_precision: _Later
    """Area under the precision-recall curve."""
    image_sensitivity_at_90_specificity: Interval
    image_accuracy: _Later
    """At the operating point, as precision, recall and F1 are."""
    image_precision: _Later
    image_recall: _Later
    image_f1: _Later
    breast_sensitivity: Interval
    """At the operating point."""
    breast_specificity: Interval
    """At the operating point."""
    image_brier: Interval
    image_calibration_error: _Later
    """Expected calibration error, ten bins of equal numbers."""
    shortcut_auc: Interval
    """Control: what nine global intensity statistics alone reach, by image."""


class Figures(_Fact):
    """Validation chose epoch, calibration and operating point; test was looked at once."""

    validation: SplitFigures
    test: SplitFigures


class Distribution(_Fact):
    """How one number is spread over the images of the validation split, by class.

    Bins are half-open: a value that equals an edge lies above it. The first and the last have no
    outer edge.
    """

    edges: tuple[float, ...] = Field(min_length=1)
    """Between the bins, rising."""
    cancer: tuple[Annotated[int, Field(ge=0)], ...]
    """Images with cancer in each bin."""
    others: tuple[Annotated[int, Field(ge=0)], ...]
    """Images without, in each bin."""

    @model_validator(mode="after")
    def _counts_fit_edges(self) -> Self:
        if any(edge >= next_edge for edge, next_edge in pairwise(self.edges)):
            raise ValueError("edges must rise")
        if not len(self.cancer) == len(self.others) == len(self.edges) + 1:
            raise ValueError("there must be one count more than edges, for each class")
        if not any(self.cancer) or not any(self.others):
            raise ValueError("there must be images of both classes")
        return self

    def shares(self, prevalence: float | None = None) -> tuple[float, ...]:
        """Give the share of images that is expected in each bin.

        Parameters
        ----------
        prevalence
            Share of cancers among the images, in [0, 1]; None: as among those counted here.

        Returns
        -------
        shares
            Each in (0, 1), of sum 1; a bin that is empty here counts as half an image.
        """
        if prevalence is None:
            together = zip(self.cancer, self.others, strict=True)
            return smoothed_shares([one + other for one, other in together])
        by_class = zip(smoothed_shares(self.cancer), smoothed_shares(self.others), strict=True)
        return tuple(prevalence * one + (1.0 - prevalence) * other for one, other in by_class)


class Reference(_Fact):
    """What the scores and the pixels of the validation split are like: drift is told by it."""

    patients: int
    images: int
    score: Distribution
    """Calibrated scores of images."""
    image_statistics: dict[str, Distribution]
    """By the names of `model.image_statistics.ImageStatistics`; empty where the images had been
    cropped before they came to the training."""


class TrainingData(_Fact):
    """One data set that the weights were trained on."""

    name: str
    licence: str
    citation: str
    patients: int
    images: int


class Manifest(_Fact):
    """Everything that the node must know of a set of weights."""

    name: str
    version: str
    weights_file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    network: str
    input_size_px: tuple[int, int]
    """(height, width)."""
    preprocess_version: str
    classes: tuple[str, ...]
    """In the order of the softmax; the last is cancer, and the score is about it alone."""
    grad_cam_layer: str
    calibration: AnyCalibration
    operating_point: OperatingPoint
    roll_up: RollUp
    region_rule: RegionRule
    finding: FindingType = FindingType.SELECTED_REGION
    """What a region is called in a CAD report."""
    figures: Figures | None
    """Absent only from weights that were never evaluated, such as those of tests."""
    reference: Annotated[Reference | None, Field(exclude_if=lambda value: value is None)] = None
    """Absent from weights that were exported before it was kept."""
    start_weights: str
    training_data: tuple[TrainingData, ...]
    licence: str
    known_gaps: tuple[str, ...]
    intended_use: str

    @model_validator(mode="after")
    def _weights_lie_beside(self) -> Self:
        if Path(self.weights_file).name != self.weights_file:
            raise ValueError("weights_file must be a file name without a folder")
        if not self.weights_file.endswith(".weights.h5"):
            raise ValueError("weights_file must be a Keras HDF5 file, *.weights.h5")
        if min(self.input_size_px) < 32:
            raise ValueError("input_size_px must be at least 32 by 32")
        if len(self.classes) < 2 or self.classes[-1] not in _CANCER:
            raise ValueError(f"classes must be two or more, the last of them one of {_CANCER}")
        return self

    @property
    def cancer_unit(self) -> int:
        """Place of cancer among the units of the softmax, from 0."""
        return len(self.classes) - 1

    def require_preprocessing(self, version: str) -> None:
        """Refuse weights that were trained on images prepared in another way.

        Parameters
        ----------
        version
            `model.preprocess.PREPROCESS_VERSION` of this software.

        Raises
        ------
        WeightsError
            If the manifest names another one.
        """
        if self.preprocess_version != version:
            raise WeightsError(
                expected=f"weights made with preprocessing version {version}",
                found=f"version {self.preprocess_version} in the manifest of {self.name}",
                to_do="Use weights made for this version of the software, or train them again",
            )

    def to_json(self) -> str:
        """Return the text of ``manifest.json``.

        Returns
        -------
        text
            Indented JSON that ends with a line feed.
        """
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def smoothed_shares(counts: Sequence[int]) -> tuple[float, ...]:
    """Turn counts into shares with half an image more in each bin, so that none is 0.

    Parameters
    ----------
    counts
        In each bin, at least 0.

    Returns
    -------
    shares
        Each in (0, 1), of sum 1.
    """
    total = sum(counts) + 0.5 * len(counts)
    return tuple((count + 0.5) / total for count in counts)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check the weights beside it against its digest.

    Parameters
    ----------
    path
        The manifest, or the folder that holds ``manifest.json``.

    Returns
    -------
    manifest
        Its ``weights_file`` lies in the manifest's own folder and has the digest it names.

    Raises
    ------
    WeightsError
        If a file is missing, a field is missing or wrong, or the weights are not those described.
    """
    manifest = describe_weights(path)
    folder = path if path.is_dir() else path.parent
    _check_digest(folder / manifest.weights_file, manifest.sha256)
    return manifest


def describe_weights(path: Path) -> Manifest:
    """Read a manifest alone, for those who do not use the weights beside it.

    Parameters
    ----------
    path
        As in `read_manifest`.

    Returns
    -------
    manifest
        Valid; whether the weights are the ones described has not been looked at.

    Raises
    ------
    WeightsError
        If the manifest is missing, or a field is missing or wrong.
    """
    file = path / MANIFEST_FILE if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            expected=f"a readable {MANIFEST_FILE}",
            found=f"{file}: {error}",
            to_do="Set [model] weights to a folder that holds weights and their manifest",
        ) from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise WeightsError(
            expected=f"a manifest whose every field is valid ({error.error_count()} wrong)",
            found=f"{file}: {where}: {first['msg']}",
            to_do="Export the weights again; a manifest is not edited by hand",
        ) from error


def sha256_of(path: Path) -> str:
    """Digest of a file, in blocks.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    sha256
        64 lower-case hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_digest(path: Path, expected: str) -> None:
    """Raise unless the file is there and is the one that the manifest describes."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise WeightsError(
            expected="the weights file that the manifest names",
            found=f"{path}: {error}",
            to_do="Keep weights and manifest together, or export them again",
        ) from error
    if found != expected:
        raise WeightsError(
            expected=f"weights with SHA-256 {expected}",
            found=f"{path} with {found}",
            to_do="The file is damaged or not the one described: restore it, or export again",
        )


def _logit(probability: float) -> float:
    """Log odds; those of 0 and 1 are held where float32 ends."""
    inside = min(max(probability, _SMALLEST), 1.0 - _SMALLEST)
    return math.log(inside / (1.0 - inside))


def _sigmoid(log_odds: float) -> float:
    """Undo `_logit`; held where a float ends."""
    return 1.0 / (1.0 + math.exp(-max(log_odds, _LEAST_LOG_ODDS)))
