"""Study in, scores and heat maps out: decode, preprocess, classify, explain, roll up.

No sockets and no SQL: the worker and ``mammonode predict`` run the same.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from model.classify import Classification, Classifier, roll_up_breasts, roll_up_study
from model.errors import PixelDataError
from model.explain import find_regions
from model.image_statistics import ImageStatistics, image_statistics
from model.preprocess import NetworkInput, to_network_input
from node.analysis.decode import PixelReader
from node.analysis.decoding_process import TRIAGE_REASONS
from node.analysis.headers import (
    SourceHeader,
    breasts_shown,
    hanging_order,
    left_out,
    read_source,
)
from node.analysis.sources import SourceInstance
from node.errors import UnsuitableInstance
from node.results import (
    PREVIEW_SIZE_PX,
    BreastResult,
    InstanceResult,
    Predecessor,
    StudyResult,
)
from node.settings import ResultsSettings, Settings

logger = logging.getLogger(__name__)

Float32Array = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]

_IMAGES_AT_A_TIME = 2
"""Two: while one is decoded by its child, the other is preprocessed here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """One image ready for the network."""

    network_input: NetworkInput
    image_statistics: ImageStatistics
    preview: UInt8Array


class Analyser:
    """A classifier and the children that read pixels for it.

    Parameters
    ----------
    classifier
        Network, weights and manifest.
    pixel_reader
        Reads pixels within limits; `close` closes it.
    prevalence
        Fraction of examined women who have cancer at this site, in (0, 1), or None.
    form
        In which form the results are written; by default that of the settings.
    """

    def __init__(
        self,
        *,
        classifier: Classifier,
        pixel_reader: PixelReader,
        prevalence: float | None = None,
        form: ResultsSettings | None = None,
    ) -> None:
        self._classifier = classifier
        self._pixel_reader = pixel_reader
        self._prevalence = prevalence
        self._form = form or ResultsSettings()

    @classmethod
    def load(cls, settings: Settings, *, weights: str | None = None) -> "Analyser":
        """Load the network, and have it compiled before a study waits for it.

        Parameters
        ----------
        settings
            Weights, prevalence, and the limits of decoding.
        weights
            Folder with weights and manifest in place of the settings' own; empty: the shipped
            ones.

        Raises
        ------
        WeightsError
            If the weights cannot be used.
        """
        folder = settings.model.weights if weights is None else weights
        classifier = Classifier.load(Path(folder) if folder else None)
        classifier.warm_up()
        return cls(
            classifier=classifier,
            pixel_reader=PixelReader(
                timeout_s=settings.work.decode_timeout_s,
                memory_bytes=settings.work.decode_memory_bytes,
                children=_IMAGES_AT_A_TIME,
            ),
            prevalence=settings.model.prevalence,
            form=settings.results,
        )

    def analyse(
        self,
        *,
        study_instance_uid: str,
        revision: int | None,
        closed_at: datetime,
        sources: Sequence[SourceInstance],
        predecessors: Sequence[Predecessor] = (),
        on_image: Callable[[], None] = lambda: None,
    ) -> StudyResult:
        """Score and explain what can be analysed, and say of the rest why not.

        Parameters
        ----------
        study_instance_uid, revision, closed_at
            Passed on.
        sources
            Every instance of the revision, in any order.
        predecessors
            Reports of the revision before.
        on_image
            Called after each image is read, for those who show progress; from several threads.

        Returns
        -------
        result
            With one entry for each source, in hanging order. The same sources give the same
            result, whatever their order and whatever was analysed before.

        Raises
        ------
        PermanentError
            If an instance's file is missing or is not DICOM.
        TransientError
            If a file cannot be read now, or no decoding process can be started.
        """
        started = time.monotonic()
        headers = sorted((read_source(source) for source in sources), key=hanging_order)

        def prepare(header: SourceHeader) -> _Prepared | UnsuitableInstance:
            try:
                return self._prepare(header.source)
            except UnsuitableInstance as unsuitable:
                return unsuitable
            finally:
                on_image()

        with ThreadPoolExecutor(_IMAGES_AT_A_TIME) as pool:
            prepared = list(pool.map(prepare, headers))
        read = time.monotonic()
        classifications = iter(
            self._classifier.classify(
                [each.network_input for each in prepared if isinstance(each, _Prepared)]
            )
        )
        instances = tuple(
            self._scored(header, each, next(classifications))
            if isinstance(each, _Prepared)
            else left_out(header, each)
            for header, each in zip(headers, prepared, strict=True)
        )
        breasts = self._breasts(instances)
        logger.debug(
            "Study analysed",
            extra={
                "event": "study_analysed",
                "study_instance_uid": study_instance_uid,
                "images": len(instances),
                "read_ms": round((read - started) * 1000),
                "classify_ms": round((time.monotonic() - read) * 1000),
            },
        )
        return StudyResult(
            study_instance_uid=study_instance_uid,
            revision=revision,
            closed_at=closed_at,
            instances=instances,
            breasts=breasts,
            score=roll_up_study(
                [breast.score for breast in breasts if breast.score is not None],
                self._classifier.manifest.roll_up,
            ),
            manifest=self._classifier.manifest,
            prevalence=self._prevalence,
            form=self._form,
            predecessors=tuple(predecessors),
        )

    def _prepare(self, source: SourceInstance) -> _Prepared:
        """Read the pixels of one image, and make of them what the network and the reader see."""
        if source.triage_reason is not None:
            raise UnsuitableInstance(reason=source.triage_reason, detail=source.triage_detail)
        display = self._pixel_reader.read(source.path)
        try:
            network_input = to_network_input(display, self._classifier.manifest.input_size_px)
        except PixelDataError as error:
            raise UnsuitableInstance(
                reason=TRIAGE_REASONS[error.cause], detail=str(error)
            ) from error
        return _Prepared(
            network_input=network_input,
            image_statistics=image_statistics(network_input),
            preview=_preview(display),
        )

    def _scored(
        self, header: SourceHeader, prepared: _Prepared, classification: Classification
    ) -> InstanceResult:
        """Put together what came of an image that was analysed."""
        return InstanceResult(
            source=header.ds,
            dataset_sha256=header.source.dataset_sha256,
            laterality=header.view.laterality,
            view_position=header.view.view_position,
            score=classification.score,
            preview=prepared.preview,
            heat_map=classification.heat_map,
            regions=find_regions(
                classification.heat_map,
                self._classifier.manifest.region_rule,
                score=classification.score,
            ),
            image_statistics=prepared.image_statistics,
        )

    def _breasts(self, instances: Sequence[InstanceResult]) -> tuple[BreastResult, ...]:
        """Roll views up to breasts; a breast whose images were all left out has no score."""
        scores = roll_up_breasts(
            [(i.laterality, i.score) for i in instances if i.score is not None],
            self._classifier.manifest.roll_up,
        )
        return tuple(
            BreastResult(laterality=laterality, score=scores.get(laterality))
            for laterality in breasts_shown(instances)
        )

    def close(self) -> None:
        """End the decoding processes."""
        self._pixel_reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _preview(display: Float32Array) -> UInt8Array:
    """Shrink what a reader sees to the size that results are drawn on."""
    rows, columns = display.shape
    shrink = min(1.0, PREVIEW_SIZE_PX / max(rows, columns))
    size = max(1, round(columns * shrink)), max(1, round(rows * shrink))
    small = cv2.resize(display, size, interpolation=cv2.INTER_AREA) if shrink < 1 else display
    return np.round(small * 255).astype(np.uint8)
