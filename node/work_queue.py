"""The queue of durable work: the only file that knows the engine, DBOS.

Two kinds of work are kept, each row beside the study log in the same database: the analysis of
one revision of a study, and one try to deliver one revision to one destination. Work is put in
within the caller's own transaction, so that a study is closed and its work queued together or
not at all. A workflow's arguments are ids only; what it makes lives in the log and the store.

What the engine would do by default, and why it is told otherwise:

- its application version is a hash of the code, and work queued before an upgrade would wait for
  ever: `WORKFLOW_VERSION` changes only when the steps of a workflow change, and `migrate` carries
  over what older versions left;
- every process is the executor ``local`` and would take up work that another still does: each
  worker slot has a stable name of its own;
- a workflow id that is taken is ignored without a word: the id holds the attempt, and queueing
  an analysis twice under one attempt is an error here;
- arguments are pickled: here they are JSON;
- it polls once a second, talks about a paid service in its log, and gives up on work that was
  interrupted too often: attempts are counted in the study log, where a person sees them.
"""

import contextlib
import logging
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from node.errors import NodeError, PermanentError

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions

logger = logging.getLogger(__name__)

WORKFLOW_VERSION = "1"
"""Of the workflows' steps; a worker takes up no work of another version than its own."""

APPLICATION_NAME = "mammonode"
ANALYSIS = "analysis"
DELIVERY = "delivery"
ENGINE_SCHEMA = "dbos"
"""Of the engine's tables on PostgreSQL; SQLite knows no schemas."""
FORGOTTEN_AT_ONCE = 1000
POLLING_INTERVAL_S = 0.1
"""How often a worker looks for new work; a part of the time to result, so it is short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisWork:
    """One attempt to analyse one revision of a study."""

    study_instance_uid: str
    revision: int
    attempt: int

    @property
    def workflow_id(self) -> str:
        """Unique for ever: the engine takes an id once."""
        return f"{ANALYSIS}/{self.study_instance_uid}/{self.revision}/{self.attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryWork:
    """One try to send the results of one revision to one destination."""

    study_instance_uid: str
    revision: int
    destination: str
    attempt: int

    @property
    def workflow_id(self) -> str:
        """Unique for ever: the engine takes an id once."""
        return (
            f"{DELIVERY}/{self.study_instance_uid}/{self.revision}"
            f"/{self.destination}/{self.attempt}"
        )


Work = AnalysisWork | DeliveryWork
T = TypeVar("T")


class Checkpoint(Protocol):
    """Runs one step of a workflow, or gives back what it returned when it ran before a crash."""

    def __call__(self, name: str, step: Callable[[], str], /) -> str:
        """Run `step` under `name`; its result is durable when this returns.

        If the step raises, `Handlers.failed` is called and the workflow ends here.
        """


class Handlers(Protocol):
    """What a worker does with its work; each may be called again for the same work."""

    def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
        """Take one revision from its instances to stored results."""

    def deliver(self, work: DeliveryWork) -> None:
        """Try once to send one revision to one destination."""

    def failed(self, work: Work, error: Exception) -> None:
        """Write the failure of work into the study log, where it decides what comes next."""


class WorkQueue:
    """Durable work beside the study log.

    Parameters
    ----------
    url
        SQLAlchemy URL of the database of the study log, with the password if there is one.
    associations
        How many tries may run at the same time to a destination, by its name; to others: one.
    """

    def __init__(self, url: str, *, associations: Mapping[str, int] | None = None) -> None:
        self._url = url
        self._associations = dict(associations or {})
        self._begun: set[Work] = set()

    def migrate(self) -> int:
        """Create the engine's tables or bring them up to date, and carry over older work.

        Before any role starts: a worker of another version must not run meanwhile.

        Returns
        -------
        carried_over
            How much work of another `WORKFLOW_VERSION` is work of this one now.
        """
        from dbos import DBOS

        _keep_engine_quiet()
        DBOS.migrate(self._url)
        # Queues that are known when a worker starts are polled from its first moment on.
        self._client.register_queue(
            ANALYSIS, worker_concurrency=1, polling_interval_sec=POLLING_INTERVAL_S
        )
        # One try at a time in each lane; destinations, and their lanes, do not wait for each other.
        self._client.register_queue(
            DELIVERY, partition_concurrency=1, polling_interval_sec=POLLING_INTERVAL_S
        )
        return self._carry_over()

    def table_versions(self) -> tuple[int, int]:
        """Give the versions of the engine's tables: that of the database, and the newest one.

        The first is 0 if the database has none.
        """
        from dbos import _migration

        engine = sa.create_engine(self._url, poolclass=sa.NullPool)
        if engine.dialect.name == "sqlite":
            return _migration.get_sqlite_migration_versions(engine)
        return _migration.get_migration_versions(engine, ENGINE_SCHEMA, use_listen_notify=True)

    def count_of_other_versions(self) -> int:
        """Count the work that waits under another `WORKFLOW_VERSION`, for `migrate`."""
        with _connected(self._url) as connection:
            return len(_of_other_versions(connection))

    def enqueue_analysis(
        self,
        session: Session,
        *,
        study_instance_uid: str,
        revision: int,
        attempt: int,
        delay_s: float = 0,
    ) -> None:
        """Queue one attempt to analyse a revision, within the session's transaction.

        Parameters
        ----------
        session
            Of the same database; the caller commits or rolls back.
        study_instance_uid
            Study Instance UID (0020,000D).
        revision
            Number of the revision, from 1.
        attempt
            From 1, one more each time; never used before for this revision.
        delay_s
            Seconds before a worker may take it.

        Raises
        ------
        PermanentError
            If that attempt was queued before: the engine would ignore it silently.
        """
        from dbos import error as engine_error

        work = AnalysisWork(
            study_instance_uid=study_instance_uid, revision=revision, attempt=attempt
        )
        options: EnqueueOptions = {
            "workflow_name": ANALYSIS,
            "queue_name": ANALYSIS,
            "workflow_id": work.workflow_id,
            "workflow_id_reuse_policy": "reject",
            "app_version": WORKFLOW_VERSION,
        }
        if delay_s > 0:
            options["delay_seconds"] = delay_s
        try:
            self._client.enqueue_in_transaction(session, options, **asdict(work))
        except engine_error.DBOSWorkflowIDInUseError as error:
            raise PermanentError(
                reason=f"Expected an attempt that was never queued, found {work.workflow_id}"
            ) from error

    def enqueue_delivery(
        self,
        session: Session,
        *,
        study_instance_uid: str,
        revision: int,
        destination: str,
        attempt: int,
    ) -> None:
        """Queue one try to deliver a revision, within the session's transaction.

        Queueing the same try again does nothing, so the clock may ask for all that is due.

        Parameters
        ----------
        session
            Of the same database; the caller commits or rolls back.
        study_instance_uid
            Study Instance UID (0020,000D).
        revision
            Number of the revision, from 1.
        destination
            Its name in the settings.
        attempt
            From 1, one more with each try.
        """
        work = DeliveryWork(
            study_instance_uid=study_instance_uid,
            revision=revision,
            destination=destination,
            attempt=attempt,
        )
        options: EnqueueOptions = {
            "workflow_name": DELIVERY,
            "queue_name": DELIVERY,
            "workflow_id": work.workflow_id,
            "queue_partition_key": self._lane(destination, study_instance_uid),
            "app_version": WORKFLOW_VERSION,
        }
        self._client.enqueue_in_transaction(session, options, **asdict(work))

    def _lane(self, destination: str, study_instance_uid: str) -> str:
        """Name the lane to a destination: it has as many as associations may be open.

        All revisions of a study take the same one, so that none overtakes another.
        """
        lane = zlib.crc32(study_instance_uid.encode()) % self._associations.get(destination, 1)
        return f"{destination}/{lane}" if lane else destination

    def held_by(self, worker_slot: str) -> tuple[Work, ...]:
        """List the work that a worker slot has taken and not ended."""
        rows = self._client.list_workflows(
            executor_id=worker_slot, status="PENDING", load_output=False
        )
        return tuple(_work_from(row.name, row.input) for row in rows)

    def not_begun_by(self, worker_slot: str) -> tuple[Work, ...]:
        """List the work that a slot has taken and that `running`, here, has not begun.

        Most of it will begin at once; some is listed that has just ended.
        """
        held = self.held_by(worker_slot)
        return tuple(work for work in held if work not in self._begun)

    def waiting_or_running(self) -> frozenset[str]:
        """List the workflow ids of all work that is queued, delayed or under way."""
        rows = self._client.list_workflows(
            status=["ENQUEUED", "DELAYED", "PENDING"], load_input=False, load_output=False
        )
        return frozenset(row.workflow_id for row in rows)

    def end_delays(self) -> None:
        """Let all delayed work be taken now: until when it is delayed is a matter of the clock."""
        for row in self._client.list_workflows(
            status="DELAYED", load_input=False, load_output=False
        ):
            self._client.set_workflow_delay(row.workflow_id, delay_until_epoch_ms=0)

    def forget_finished(self, before: datetime) -> int:
        """Delete the engine's rows of work that ended before a moment.

        Parameters
        ----------
        before
            Aware UTC.

        Returns
        -------
        count
            How many were deleted; at most ``FORGOTTEN_AT_ONCE``.
        """
        rows = self._client.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=before.isoformat(),
            limit=FORGOTTEN_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        ids = [row.workflow_id for row in rows]
        if ids:
            self._client.delete_workflows(ids)
        return len(ids)

    def cancel(self, work: Work) -> None:
        """End work that was given anew under another attempt; a finished one stays as it is."""
        self._client.cancel_workflow(work.workflow_id)

    @contextlib.contextmanager
    def running(
        self, worker_slot: str, handlers: Handlers, *, stop_timeout_s: int = 20
    ) -> Iterator[None]:
        """Take work and do it, in threads, until the context ends.

        One engine runs in a process. What the slot had under way when it died is taken up first,
        from its last finished step.

        Parameters
        ----------
        worker_slot
            Stable name of this place for a worker; no two running processes share one.
        handlers
            What to do with the work.
        stop_timeout_s
            How long to wait at the end for work under way; what is left then is resumed by the
            next process of this slot.
        """
        from dbos import DBOS, DBOSPortableJSONSerializer, StepOptions

        _keep_engine_quiet()
        DBOS(
            config={
                "name": APPLICATION_NAME,
                "system_database_url": self._url,
                "application_version": WORKFLOW_VERSION,
                "executor_id": worker_slot,
                "serializer": DBOSPortableJSONSerializer(),
                "run_migrations": False,
                "log_level": "WARNING",
            }
        )

        @DBOS.workflow(name=ANALYSIS, max_recovery_attempts=None)
        def analysis(**ids: Any) -> None:
            work = AnalysisWork(**ids)

            def checkpoint(name: str, step: Callable[[], str], /) -> str:
                # A step that failed is recorded as a result, not as an exception: the engine
                # would give the exception back after a crash as one of another class.
                options: StepOptions = {"name": name}
                outcome = DBOS.run_step(options, lambda: _attempt(step, work, handlers))
                if outcome is None:
                    raise _Ended
                return outcome

            with self._in_hand(work), contextlib.suppress(_Ended):
                handlers.analyse(work, checkpoint)

        @DBOS.workflow(name=DELIVERY, max_recovery_attempts=None)
        def delivery(**ids: Any) -> None:
            work = DeliveryWork(**ids)
            with self._in_hand(work):
                _attempt(lambda: handlers.deliver(work), work, handlers)

        try:
            DBOS.listen_queues([ANALYSIS, DELIVERY])
            DBOS.launch()
            yield
        finally:
            DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=stop_timeout_s)

    @contextlib.contextmanager
    def _in_hand(self, work: Work) -> Iterator[None]:
        """Be at a piece of work."""
        self._begun.add(work)
        try:
            yield
        finally:
            self._begun.discard(work)

    def _carry_over(self) -> int:
        """Let this version have the work of others; what was under way begins at its first step.

        Which steps there are, and what a finished one returned, is what the version stands for.
        Every step may run twice, so nothing is lost by that but time.
        """
        with _connected(self._url) as connection:
            ids = _of_other_versions(connection)
            for workflow_id in ids:
                for table, change in (
                    ("operation_outputs", "DELETE FROM {table}"),
                    ("workflow_status", "UPDATE {table} SET application_version = :version"),
                ):
                    statement = change.format(table=engine_table(connection.dialect.name, table))
                    connection.execute(
                        sa.text(f"{statement} WHERE workflow_uuid = :id"),
                        {"id": workflow_id, "version": WORKFLOW_VERSION},
                    )
        if ids:
            logger.info(
                "Work that another version queued is carried over",
                extra={"event": "work_carried_over", "work": len(ids), "version": WORKFLOW_VERSION},
            )
        return len(ids)

    def close(self) -> None:
        """Give the database connections back."""
        if "_client" in self.__dict__:
            self._client.destroy()
            del self.__dict__["_client"]

    @cached_property
    def _client(self) -> "DBOSClient":
        """The engine without workflows; imported late, since a receiver must listen at once."""
        from dbos import DBOSClient, DBOSPortableJSONSerializer

        _keep_engine_quiet()
        return DBOSClient(
            system_database_url=self._url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION_NAME,
            lazy=True,
        )


def engine_table(dialect: str, name: str) -> str:
    """Give the name of one of the engine's tables as SQL; it has a schema of its own where it can.

    Parameters
    ----------
    dialect
        ``sqlite`` or ``postgresql``.
    name
        As in the engine's documentation, ``workflow_status``.
    """
    return name if dialect == "sqlite" else f"{ENGINE_SCHEMA}.{name}"


@contextlib.contextmanager
def _connected(url: str) -> Iterator[sa.Connection]:
    """Give a connection of its own for what the engine has no call for, in one transaction."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _of_other_versions(connection: sa.Connection) -> Sequence[str]:
    """List the ids of work that has not ended and that no worker of this version takes up."""
    table = engine_table(connection.dialect.name, "workflow_status")
    return connection.scalars(
        sa.text(
            f"SELECT workflow_uuid FROM {table} "  # noqa: S608  # a name of the engine's
            "WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING') "
            f"AND name IN ('{ANALYSIS}', '{DELIVERY}') "
            "AND coalesce(application_version, '') <> :version"
        ),
        {"version": WORKFLOW_VERSION},
    ).all()


class _Ended(Exception):
    """Leaves a workflow whose step has failed."""


def _attempt(step: Callable[[], T], work: Work, handlers: Handlers) -> T | None:
    """Do the work; whatever goes wrong ends this work alone, and is written down."""
    try:
        return step()
    except Exception as error:  # the worker goes on; the failure becomes the state of this work
        if not isinstance(error, NodeError):
            logger.exception(
                "Work failed", extra={"event": "work_failed", "workflow_id": work.workflow_id}
            )
        handlers.failed(work, error)
        return None


_quiet_lock = threading.Lock()


def _keep_engine_quiet() -> None:
    """Let the engine log warnings through the node's own handlers, and nothing else."""
    with _quiet_lock:
        engine_logger = logging.getLogger("dbos")
        engine_logger.setLevel(logging.WARNING)
        if not engine_logger.handlers:
            # It adds a handler of its own to a logger that has none.
            engine_logger.addHandler(logging.NullHandler())


def _work_from(name: str, stored: Any) -> Work:
    """Rebuild work from the arguments that the engine kept."""
    ids = stored["kwargs"]
    return AnalysisWork(**ids) if name == ANALYSIS else DeliveryWork(**ids)
