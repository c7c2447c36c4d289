"""What the study log answers on many studies at once: figures alone, nothing of any one of them.

The command line prints them, and as JSON they are an interface: a name that is here stays.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How much came, and what became of it.

    Attributes
    ----------
    images
        Instances with pixels, be they analysable or not.
    failed, skipped
        Studies whose analysis failed, and studies of which no image could be analysed.
    scored, suspicious
        Studies with an AI malignancy score, and those of them at or above the operating point.
    """

    studies: int
    images: int
    failed: int
    skipped: int
    scored: int
    suspicious: int

    def __add__(self, other: "Volume") -> "Volume":
        """Give both together."""
        return Volume(
            studies=self.studies + other.studies,
            images=self.images + other.images,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            scored=self.scored + other.scored,
            suspicious=self.suspicious + other.suspicious,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayVolume:
    """One day, YYYY-MM-DD in the time zone of this machine."""

    day: str
    volume: Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class AETitleVolume:
    """One calling AE title."""

    calling_ae_title: str
    volume: Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVolume:
    """Studies that one set of weights scored."""

    model_name: str
    model_version: str
    weights_sha256: str
    studies: int


class Interval(StrEnum):
    """From when to when a latency runs.

    RECEIVED is when the last instance came, CLOSED when the study was held to be complete,
    COMPLETED when its results were in the store, DELIVERED when the last destination had
    acknowledged them. Studies that failed or were skipped are timed as far as CLOSED.
    """

    RECEIVED_TO_CLOSED = "received to closed"
    CLOSED_TO_COMPLETED = "closed to completed"
    COMPLETED_TO_DELIVERED = "completed to delivered"
    RECEIVED_TO_DELIVERED = "received to delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long studies took; percentiles in seconds, None where there is no study."""

    interval: Interval
    studies: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """How often one reason was given."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFailures:
    """Deliveries to one destination that were given up for one reason."""

    destination: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDistribution:
    """How the AI malignancy scores of studies are spread.

    Attributes
    ----------
    studies
        With a score.
    histogram
        Studies in each of 20 bins of equal width from 0 to 1; 1 itself lies in the last.
    p5, p25, p50, p75, p95
        Percentiles of the scores; None without any.
    suspicious
        Studies at or above the operating point.
    per_1000, per_1000_low, per_1000_high
        Those in 1,000 studies, with the ends of the 95 % interval (Wilson); None without any.
    """

    studies: int
    histogram: tuple[int, ...]
    p5: float | None
    p25: float | None
    p50: float | None
    p75: float | None
    p95: float | None
    suspicious: int
    per_1000: float | None
    per_1000_low: float | None
    per_1000_high: float | None


class Verdict(StrEnum):
    """What a population stability index says of the images, beside those of validation."""

    STABLE = "stable"
    SHIFTED = "shifted"
    FAR = "far off"
    TOO_FEW = "too few to say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One number of images here, against the same number of the validation split.

    Attributes
    ----------
    statistic
        ``score`` or a field of `model.image_statistics.ImageStatistics`.
    images
        That the shares are of.
    psi
        Population stability index; None where there are too few images.
    edges
        Between the bins; the first and the last have no outer edge.
    expected, found
        Share of images in each bin, in training and here.
    """

    statistic: str
    images: int
    psi: float | None
    verdict: Verdict
    edges: tuple[float, ...]
    expected: tuple[float, ...]
    found: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAnswer:
    """How far the images are from those of the validation split of the node's weights.

    Attributes
    ----------
    model_name, model_version, weights_sha256
        Of the weights that the settings name; only images that they scored are counted. Empty
        where the weights cannot be read.
    reference_images, reference_patients
        What the validation split is made of; 0 without a reference.
    prevalence
        Share of cancers that the expected shares are mixed at: the site's, or None for that of the
        validation split.
    images_of_other_weights
        Images in the range that other weights scored: not counted.
    shifted_from, far_from
        The indices from which a statistic is called shifted, and far off.
    least_images
        Of fewer images no index is given.
    statistics
        Empty where `reason` says why.
    reason
        Why there is nothing to compare; else empty.
    """

    model_name: str
    model_version: str
    weights_sha256: str
    reference_images: int
    reference_patients: int
    prevalence: float | None
    images_of_other_weights: int
    shifted_from: float
    far_from: float
    least_images: int
    statistics: tuple[Drift, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsAnswer:
    """What became of the studies that were received in a range of time.

    Attributes
    ----------
    received_from, received_to
        The range, as it was asked.
    calling_ae_title, model_version
        What it was narrowed to; empty: all.
    total
        All of them.
    states
        Studies by state, the commonest first; `reason` is the state.
    days, ae_titles
        Only days and AE titles that studies came on and from.
    latencies
        Of newest revisions that the node closed by itself, not at a person's request.
    failures
        Why analyses failed, by study. Paths and UIDs in the reasons are taken out.
    triage
        Why images were left out of the newest revision, by image.
    operating_point
        Of the weights that the settings name; None where they cannot be read. What `suspicious`
        counts was decided by the weights that scored each study.
    """

    received_from: datetime | None
    received_to: datetime | None
    calling_ae_title: str
    model_version: str
    total: Volume
    states: tuple[ReasonCount, ...]
    days: tuple[DayVolume, ...]
    ae_titles: tuple[AETitleVolume, ...]
    models: tuple[ModelVolume, ...]
    latencies: tuple[Latency, ...]
    failures: tuple[ReasonCount, ...]
    delivery_failures: tuple[DeliveryFailures, ...]
    triage: tuple[ReasonCount, ...]
    scores: ScoreDistribution
    operating_point: float | None
    drift: DriftAnswer
