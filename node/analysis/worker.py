"""The durable workflow: one revision of a study, from its instances to stored results.

Two steps, each checkpointed by the work queue and each safe to run twice: ``analyse`` reads,
preprocesses, classifies and explains, and leaves its outcome in a file; ``report`` writes the
result objects to the store and closes the revision in the study log, with its deliveries, in one
transaction. Only the newest attempt of a revision may write: whoever finds another number in the
log has been given up on, and ends without a trace. A revision that is not the newest any more ends
as CANCELED: its reports would reach the PACS beside or after those of the newer one. One that is
given up ends as FAILED, with reports that say so, in the same one transaction.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.orm import Session

from model.manifest import SHIPPED_WEIGHTS, describe_weights
from node.analysis import record
from node.analysis.claim import Claim, find_attempt, newest_number, read_claim, show_state
from node.analysis.failure import failed_study
from node.analysis.leftovers import nothing_left
from node.analysis.outcome import keep, make_deliveries, write_outcome
from node.analysis.sources import SourceInstance
from node.errors import PermanentError
from node.report.write import write_results
from node.result_kinds import EXPERIMENTAL, ResultKind
from node.results import Predecessor, StudyResult
from node.retries import GiveUp, RetryPolicy, after_failure
from node.settings import DestinationSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Event, Result, Revision, Study, StudyState
from node.work_queue import AnalysisWork, Checkpoint, WorkQueue

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 10
LONGEST_RETRY_S = 300
_DONE = "done"
_SUPERSEDED = "superseded"


def kinds_written(destinations: Sequence[DestinationSettings]) -> tuple[ResultKind, ...]:
    """List what is written for every revision: what any destination may ask for some day.

    A destination that joins later finds its kinds there; only the experimental ones wait until a
    destination names them.
    """
    named = {kind for destination in destinations for kind in destination.kinds}
    return tuple(kind for kind in ResultKind if kind not in EXPERIMENTAL or kind in named)


class StudyAnalyser(Protocol):
    """What the worker needs of `node.analysis.pipeline.Analyser`."""

    def analyse(
        self,
        *,
        study_instance_uid: str,
        revision: int,
        closed_at: datetime,
        sources: Sequence[SourceInstance],
        predecessors: Sequence[Predecessor],
    ) -> StudyResult:
        """Score and explain what can be analysed, say of the rest why not."""


class AnalysisWorker:
    """Analyses revisions and writes what was found.

    Parameters
    ----------
    settings
        Attempts and destinations.
    database
        The study log.
    store
        Where instances are and results go.
    queue
        For the next attempt and for deliveries.
    analyser_for
        Gives the analyser for a `weights` folder as it stands in the study log; empty: the
        node's own. May block while the network is loaded.
    now
        The clock, giving aware UTC.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        store: Store,
        queue: WorkQueue,
        analyser_for: Callable[[str], StudyAnalyser],
        now: Callable[[], datetime],
    ) -> None:
        self._destinations = settings.destinations
        self._kinds = kinds_written(settings.destinations)
        self._model = settings.model
        self._form = settings.results
        self._policy = RetryPolicy(
            max_attempts=settings.work.max_attempts,
            first_retry_s=FIRST_RETRY_S,
            longest_retry_s=LONGEST_RETRY_S,
        )
        self._database = database
        self._store = store
        self._queue = queue
        self._analyser_for = analyser_for
        self._now = now
        self._begun: set[AnalysisWork] = set()

    def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
        """Do one attempt; after a crash, what is left of it."""
        if checkpoint("analyse", lambda: self._run(self._analyse, work)) == _DONE:
            checkpoint("report", lambda: self._run(self._report, work))
        self._begun.discard(work)

    def failed(self, work: AnalysisWork, error: Exception) -> None:
        """Write down that an attempt failed, and queue the next one if there is to be one."""
        with self._nothing_left(work):
            self._fail(work, error)
        self._begun.discard(work)

    def _fail(self, work: AnalysisWork, error: Exception) -> None:
        step = after_failure(
            error, work_id=work.workflow_id, attempt=work.attempt, policy=self._policy
        )
        rows: list[Result] = []
        if isinstance(step, GiveUp):
            if self._cancel_if_overtaken(work):
                return
            rows = self._report_failure(work, step.reason)
        with self._database.writing() as session:
            found = find_attempt(session, work)
            if found is None:
                return
            study, revision = found
            revision.reason = step.reason
            if isinstance(step, GiveUp):
                self._add_results(session, revision, work, rows)
                self._end(study, revision, StudyState.FAILED)
                self._note(session, study, "analysis_failed", work, reason=step.reason)
            else:
                revision.state = StudyState.SCHEDULED
                revision.attempt += 1
                show_state(study, revision)
                self._queue.enqueue_analysis(
                    session,
                    study_instance_uid=work.study_instance_uid,
                    revision=work.revision,
                    attempt=revision.attempt,
                    delay_s=step.delay_s,
                )
                self._note(session, study, "analysis_postponed", work, reason=step.reason)
        if isinstance(step, GiveUp):
            logger.error(
                "Analysis given up; mend the cause, then retry the study",
                extra={**_fields("analysis_failed", work), "reason": step.reason},
            )
        else:
            logger.warning(
                "Analysis failed and will be tried again",
                extra={
                    **_fields("analysis_postponed", work),
                    "reason": step.reason,
                    "delay_s": step.delay_s,
                },
            )

    def release(self) -> None:
        """Hand back what is still under way when the worker is told to stop.

        It is resumed by the next process without being counted as interrupted.
        """
        for work in tuple(self._begun):
            with self._database.writing() as session:
                found = find_attempt(session, work)
                if found is not None:
                    study, revision = found
                    revision.state = StudyState.SCHEDULED
                    show_state(study, revision)

    def _run(self, step: Callable[[AnalysisWork], str], work: AnalysisWork) -> str:
        with self._nothing_left(work):
            return step(work)

    def _nothing_left(self, work: AnalysisWork) -> AbstractContextManager[None]:
        return nothing_left(work, database=self._database, store=self._store)

    def _analyse(self, work: AnalysisWork) -> str:
        """Step one: to a file that holds all that the results are written from."""
        claim = self._claim(work)
        if claim is None:
            return _SUPERSEDED
        analyser = self._analyser_for(claim.weights)
        result = analyser.analyse(
            study_instance_uid=work.study_instance_uid,
            revision=work.revision,
            closed_at=claim.closed_at,
            sources=claim.sources,
            predecessors=claim.predecessors,
        )
        record.save(result, self._record_path(work))
        return _DONE

    def _report(self, work: AnalysisWork) -> str:
        """Step two: objects into the store, then the revision closed in one transaction."""
        claim = self._claim(work)
        if claim is None:
            return _SUPERSEDED
        result = self._outcome(work)
        if result is None:
            return _SUPERSEDED
        rows = self._keep_results(work, result, claim)
        with self._database.writing() as session:
            found = find_attempt(session, work)
            if found is None:
                return _SUPERSEDED
            study, revision = found
            write_outcome(revision, result)
            self._add_results(session, revision, work, rows)
            state = StudyState.COMPLETED if result.analysed else StudyState.SKIPPED
            self._end(study, revision, state)
            event = "analysis_completed" if result.analysed else "analysis_skipped"
            self._note(session, study, event, work, results=len(rows))
            ended_at, started_at = revision.ended_at, revision.started_at
        took = ended_at - started_at if ended_at and started_at else timedelta()
        logger.info(
            "Results stored",
            extra={
                **_fields(event, work),
                "results": len(rows),
                "duration_ms": round(took.total_seconds() * 1000),
            },
        )
        return _DONE

    def _outcome(self, work: AnalysisWork) -> StudyResult | None:
        """Read what step one left, and do that step again if this version cannot use it.

        An upgrade or a restored backup can come between the two; neither is the study's fault.
        """
        path = self._record_path(work)
        try:
            if path.exists():
                return record.load(path)
            reason = f"Expected the outcome of the analysis at {path.name}, found nothing"
        except PermanentError as error:
            reason = error.reason
        logger.warning(
            "Outcome of the analysis cannot be used, and the study is analysed again",
            extra={**_fields("analysis_repeated", work), "reason": reason},
        )
        return record.load(path) if self._analyse(work) == _DONE else None

    def _report_failure(self, work: AnalysisWork, reason: str) -> list[Result]:
        """Write the reports of a failure to the store.

        Nothing that goes wrong here may keep the study from being failed: if it takes the worker
        down again and again, it is left out.
        """
        try:
            with self._database.writing() as session:
                found = find_attempt(session, work)
                if found is None:
                    return []
                _, revision = found
                if revision.interruptions > self._policy.max_attempts:
                    logger.error(
                        "The failed analysis is in the log alone: the report of it ends the worker",
                        extra=_fields("failure_not_reported", work),
                    )
                    return []
                claim = read_claim(session, revision, self._store)
            weights = claim.weights or self._model.weights
            result = failed_study(
                study_instance_uid=work.study_instance_uid,
                revision=work.revision,
                closed_at=claim.closed_at,
                sources=claim.sources,
                predecessors=claim.predecessors,
                manifest=describe_weights(Path(weights) if weights else SHIPPED_WEIGHTS),
                prevalence=self._model.prevalence,
                form=self._form,
                reason=reason,
            )
            return [] if result is None else self._keep_results(work, result, claim)
        except Exception:  # whatever took the analysis down may take this down too
            logger.exception(
                "The failed analysis is in the log alone: no report could be made of it",
                extra=_fields("failure_not_reported", work),
            )
            return []

    def _keep_results(self, work: AnalysisWork, result: StudyResult, claim: Claim) -> list[Result]:
        """Write the objects of a result to the store, and describe them for the log."""
        return [
            keep(
                self._store, work, result_object, known=claim.known_objects, created_at=self._now()
            )
            for result_object in write_results(result, self._kinds)
        ]

    def _add_results(
        self, session: Session, revision: Revision, work: AnalysisWork, rows: Sequence[Result]
    ) -> None:
        """List the objects of a revision, and queue the first try of each delivery."""
        if not rows:
            return
        revision.results.extend(rows)
        for delivery in make_deliveries(revision, self._destinations, self._now()):
            self._queue.enqueue_delivery(
                session,
                study_instance_uid=work.study_instance_uid,
                revision=work.revision,
                destination=delivery.destination,
                attempt=delivery.attempt + 1,
            )

    def _claim(self, work: AnalysisWork) -> Claim | None:
        """Take the revision for this attempt; None if it has ended or another one has it."""
        if self._cancel_if_overtaken(work):
            return None
        with self._database.writing() as session:
            found = find_attempt(session, work)
            if found is None:
                return None
            study, revision = found
            is_new_here = work not in self._begun
            if is_new_here and revision.state == StudyState.IN_PROGRESS:
                # A process died in the middle of it. Analyses run one at a time in a worker, so
                # no other study is to blame.
                revision.interruptions += 1
            interruptions = revision.interruptions
            if is_new_here:
                revision.started_at = self._now()
                self._note(session, study, "analysis_started", work, interruptions=interruptions)
            revision.state = StudyState.IN_PROGRESS
            show_state(study, revision)
            claim = read_claim(session, revision, self._store)
        self._begun.add(work)
        if is_new_here:
            logger.info(
                "Analysis started",
                extra={**_fields("analysis_started", work), "interruptions": interruptions},
            )
            if interruptions and interruptions % self._policy.max_attempts == 0:
                raise PermanentError(
                    reason=f"The worker process ended {interruptions} times in the middle of it"
                )
        return claim

    def _cancel_if_overtaken(self, work: AnalysisWork) -> bool:
        """End a revision that is not the newest of its study any more."""
        with self._database.writing() as session:
            found = find_attempt(session, work)
            if found is None:
                return False
            study, revision = found
            newest = newest_number(study)
            if revision.number == newest:
                return False
            revision.reason = f"Revision {newest} has taken its place"
            self._end(study, revision, StudyState.CANCELED)
            self._note(session, study, "analysis_overtaken", work, newest=newest)
        logger.info(
            "Analysis overtaken by a newer revision",
            extra={**_fields("analysis_overtaken", work), "newest": newest},
        )
        return True

    def _end(self, study: Study, revision: Revision, state: StudyState) -> None:
        revision.state = state
        revision.ended_at = self._now()
        show_state(study, revision)

    def _note(
        self, session: Session, study: Study, event: str, work: AnalysisWork, **fields: Any
    ) -> None:
        """Add an event to the study's story."""
        session.add(
            Event(
                study_id=study.id,
                at=self._now(),
                event=event,
                fields={"revision": work.revision, "attempt": work.attempt, **fields},
            )
        )

    def _record_place(self, work: AnalysisWork) -> str:
        return self._store.record_place(
            study_instance_uid=work.study_instance_uid, revision=work.revision
        )

    def _record_path(self, work: AnalysisWork) -> Path:
        return self._store.path(self._record_place(work))


def _fields(event: str, work: AnalysisWork) -> dict[str, Any]:
    """Name the attempt in a log line."""
    return {
        "event": event,
        "study_instance_uid": work.study_instance_uid,
        "revision": work.revision,
        "attempt": work.attempt,
    }
