"""Takes a file of outcomes into the log: whole, or not at all, and never twice."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from node.errors import PermanentError
from node.outcomes.csv_table import read_csv
from node.outcomes.diagnostic_report import read_reports
from node.outcomes.link import Unmatched, link
from node.outcomes.rows import GivenFile
from node.settings import OutcomeSettings
from node.study_log import outcomes as log
from node.study_log.database import Database
from node.study_log.outcomes import Outcome

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 256 * 1024**2
"""Of a file that is read whole; a million rows have some 50 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedRow:
    """A row that is about no study by now, though it is in the log."""

    row: str
    laterality: str
    reason: Unmatched


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictingRow:
    """A row of histopathology with which another one disagrees, of the same breast and study."""

    row: str
    laterality: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of a file.

    Attributes
    ----------
    is_dry_run
        Whether nothing was written, and all else is what would have come of it.
    rows
        Of the file.
    outcomes
        That the rows give, one a breast.
    added, known
        Those of them that were new, and those that the log had; the same twice in a file is new
        once.
    linked
        Those about a study that is analysed.
    passed_over
        Rows that are not to be taken, with the reason.
    """

    is_dry_run: bool
    rows: int
    outcomes: int
    added: int
    known: int
    linked: int
    unmatched: tuple[UnmatchedRow, ...]
    conflicts: tuple[ConflictingRow, ...]
    passed_over: tuple[tuple[str, str], ...]


def read_file(path: Path, *, today: date) -> GivenFile:
    """Read a file of outcomes: JSON if it begins with a brace, else CSV.

    Parameters
    ----------
    path
        Of the file.
    today
        No outcome is of a later day.

    Raises
    ------
    PermanentError
        If it cannot be read, or is not accepted.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PermanentError(
                reason=f"Expected at most {MAX_FILE_BYTES // 1024**2} MiB, found more: split it"
            )
        data = path.read_bytes()
    except OSError as error:
        raise PermanentError(reason=f"The file cannot be read: {error.strerror}") from None
    is_json = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    read = read_reports if is_json else read_csv
    return read(data, today=today)


def import_outcomes(
    database: Database,
    given: GivenFile,
    rules: OutcomeSettings,
    *,
    by: str,
    at: datetime,
    is_dry_run: bool = False,
) -> Imported:
    """Take what a file gave into the log, and say which studies it is about.

    Parameters
    ----------
    database
        The study log.
    given
        From `read_file`.
    rules
        For the links.
    by, at
        Who asks, and now, aware UTC; both stay in the log.
    is_dry_run
        Whether nothing is written.
    """
    with database.reading() if is_dry_run else database.writing() as session:
        known = log.known_keys(session)
        new = {
            item.outcome.key: item.outcome
            for item in given.outcomes
            if item.outcome.key not in known
        }
        if not is_dry_run:
            log.add_outcomes(session, new.values(), by=by, at=at)
        imported = _said(session, given, list(new.values()), rules, is_dry_run=is_dry_run)
    if not is_dry_run:
        logger.info(
            "Outcomes imported",
            extra={
                "event": "outcomes_imported",
                "rows": imported.rows,
                "added": imported.added,
                "known": imported.known,
                "unmatched": len(imported.unmatched),
                "by": by,
            },
        )
    return imported


def _said(
    session: Session,
    given: GivenFile,
    new: Sequence[Outcome],
    rules: OutcomeSettings,
    *,
    is_dry_run: bool,
) -> Imported:
    """Say what the rows of the file are about, beside all that the log has of those patients."""
    patients = {item.outcome.patient_id for item in given.outcomes}
    there = [one for one in log.read_outcomes(session) if one.patient_id in patients]
    links = link(there + list(new) if is_dry_run else there, log.read_studies(session), rules)
    reasons = {outcome.key: reason for outcome, reason in links.unmatched}
    disagreeing = {
        outcome.key: breast.study.study_instance_uid
        for breast in links.conflicts
        for outcome in breast.deciding
    }
    linked = {
        outcome.key
        for study in links.studies
        for breast in study.breasts
        for outcome in breast.outcomes
    }
    times = Counter(item.outcome.key for item in given.outcomes)
    return Imported(
        is_dry_run=is_dry_run,
        rows=given.rows,
        outcomes=len(given.outcomes),
        added=len(new),
        known=len(given.outcomes) - len(new),
        linked=sum(times[key] for key in linked),
        unmatched=tuple(
            UnmatchedRow(
                row=item.row,
                laterality=item.outcome.laterality,
                reason=reasons[item.outcome.key],
            )
            for item in given.outcomes
            if item.outcome.key in reasons
        ),
        conflicts=tuple(
            ConflictingRow(
                row=item.row,
                laterality=item.outcome.laterality,
                study_instance_uid=disagreeing[item.outcome.key],
            )
            for item in given.outcomes
            if item.outcome.key in disagreeing
        ),
        passed_over=given.passed_over,
    )
