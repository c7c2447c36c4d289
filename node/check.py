"""Is the node ready? Weights, database, disk and each destination, without changing anything."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from model.errors import WeightsError
from model.manifest import SHIPPED_WEIGHTS, read_manifest
from model.preprocess import PREPROCESS_VERSION
from node.delivery.association import request_association
from node.errors import PermanentError
from node.keeping.passing_time import last_mark_at
from node.keeping.retention import held_back
from node.settings import DeliverySettings, DestinationSettings, Settings
from node.store import Store
from node.study_log.database import (
    SQLITE_FILE,
    Database,
    database_url,
    has_database,
    newest_version,
)

ECHO_TIMEOUT_S = 5
"""For each step of a C-ECHO; a PACS in the same hospital answers in milliseconds."""
_ECHO = DeliverySettings(
    connection_timeout_s=ECHO_TIMEOUT_S,
    acse_timeout_s=ECHO_TIMEOUT_S,
    dimse_timeout_s=ECHO_TIMEOUT_S,
    network_timeout_s=ECHO_TIMEOUT_S,
)
_GIB = 1024**3
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Machines on one study log need not agree to the minute."""
CLOCK_AWAY = timedelta(days=31)
"""A node that was not run for so long, or a clock that is ahead."""


class Verdict(StrEnum):
    """What a check came to. WARN: the node runs, and a person should look. FAIL: it will not."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name
        What, as in ``weights`` or ``destination pacs``.
    found
        What was found.
    to_do
        What a person can do; empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    found: str
    to_do: str = ""


def run_checks(settings: Settings) -> Iterator[Check]:
    """Look at everything that the node needs, one thing after the other.

    Parameters
    ----------
    settings
        Read and valid: that they could be read is the first line.

    Yields
    ------
    check
        As soon as it is known.
    """
    yield _check_settings(settings)
    yield _check_weights(settings)
    database = _check_database(settings)
    yield database
    if database.verdict is Verdict.OK and has_database(settings):
        yield _check_clock(settings, now=datetime.now(UTC))
    yield _check_disk(settings)
    for destination in settings.destinations:
        yield _check_destination(destination, calling_ae_title=settings.receive.ae_title)


def _check_settings(settings: Settings) -> Check:
    receive = settings.receive
    callers = ", ".join(receive.allowed_ae_titles) or "any caller"
    found = f"{receive.ae_title} at {receive.host}:{receive.port} for {callers}"
    if not settings.destinations:
        return Check(
            name="settings",
            verdict=Verdict.WARN,
            found=f"{found}; no destination",
            to_do="Results stay in the store; add [[destinations]] to send them",
        )
    return Check(name="settings", verdict=Verdict.OK, found=found)


def _check_weights(settings: Settings) -> Check:
    folder = Path(settings.model.weights) if settings.model.weights else SHIPPED_WEIGHTS
    try:
        manifest = read_manifest(folder)
        manifest.require_preprocessing(PREPROCESS_VERSION)
    except WeightsError as error:
        found = f"expected {error.expected}; found {error.found}"
        return Check(name="weights", verdict=Verdict.FAIL, found=found, to_do=error.to_do)
    found = f"{manifest.name} {manifest.version} ({manifest.sha256[:12]}), {manifest.licence}"
    return Check(name="weights", verdict=Verdict.OK, found=found)


def _check_database(settings: Settings) -> Check:
    if settings.database.url:
        where = make_url(settings.database.url).render_as_string(hide_password=True)
    else:
        where = str(settings.data_dir / SQLITE_FILE)
        if not has_database(settings):
            return Check(
                name="database",
                verdict=Verdict.OK,
                found=f"{where} is not there yet; the first `mammonode serve` makes it",
            )
    database = Database(database_url(settings))
    try:
        version = database.version()
    except DBAPIError as error:
        return Check(
            name="database",
            verdict=Verdict.FAIL,
            found=f"{where} does not answer: {str(error.orig).strip()}",
            to_do="Check [database] url, and that the server runs and lets this user in",
        )
    finally:
        database.close()
    if version is None:
        return Check(
            name="database",
            verdict=Verdict.OK,
            found=f"{where} is empty; the first `mammonode serve` makes the tables",
        )
    newest = newest_version()
    if version != newest:
        is_newer = version > newest  # they are counted: 0001, 0002
        return Check(
            name="database",
            verdict=Verdict.FAIL if is_newer else Verdict.WARN,
            found=f"{where} has tables of version {version}, this software {newest}",
            to_do=(
                "Install the version of mammonode that wrote it, or name another database"
                if is_newer
                else "The next `mammonode serve` brings them up to date; make a backup before"
            ),
        )
    return Check(name="database", verdict=Verdict.OK, found=where)


def _check_clock(settings: Settings, *, now: datetime) -> Check:
    """Compare the clock with the moments in the study log."""
    database = Database(database_url(settings))
    try:
        with database.reading() as session:
            last_at = last_mark_at(session)
        held = held_back(database, settings.retention, now)
    except DBAPIError:  # tables that are not there yet
        last_at, held = None, 0
    finally:
        database.close()
    found = f"{now:%Y-%m-%d %H:%M} UTC"
    to_do = "See whether the clock is right (NTP)"
    if last_at is not None:
        found = f"{found}; the node last left a mark at {last_at:%Y-%m-%d %H:%M}"
    if last_at is not None and last_at > now + CLOCK_TOLERANCE:
        return Check(name="clock", verdict=Verdict.WARN, found=f"{found}, later", to_do=to_do)
    if last_at is not None and now - last_at > CLOCK_AWAY:
        return Check(name="clock", verdict=Verdict.WARN, found=f"{found}, long ago", to_do=to_do)
    if held:
        found = f"{found}; studies that are too old by the clock alone: {held}"
        to_do += "; files are kept until they are as old by the time that the node has run"
        return Check(name="clock", verdict=Verdict.WARN, found=found, to_do=to_do)
    return Check(name="clock", verdict=Verdict.OK, found=found)


def _check_disk(settings: Settings) -> Check:
    folder = _nearest_existing(settings.data_dir)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return Check(
            name="disk",
            verdict=Verdict.FAIL,
            found=f"{folder} is no folder that this user can write to",
            to_do="Set data_dir to one, or give this user the right to write",
        )
    free_bytes = Store(folder).free_bytes()
    low_bytes = settings.receive.low_watermark_bytes
    is_new = "" if folder == settings.data_dir else " (not there yet)"
    found = f"{free_bytes / _GIB:.1f} GiB free for {settings.data_dir}{is_new}"
    if free_bytes < low_bytes:
        return Check(
            name="disk",
            verdict=Verdict.FAIL,
            found=f"{found}, less than the {low_bytes / _GIB:.1f} GiB below which none is received",
            to_do="Free space, or lower receive.low_watermark_bytes",
        )
    if free_bytes < 2 * low_bytes:
        return Check(
            name="disk",
            verdict=Verdict.WARN,
            found=f"{found}; below {low_bytes / _GIB:.1f} GiB nothing more is received",
            to_do="Free space soon",
        )
    return Check(name="disk", verdict=Verdict.OK, found=found)


def _nearest_existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _check_destination(destination: DestinationSettings, *, calling_ae_title: str) -> Check:
    """Ask a destination for a C-ECHO response (PS3.4 Annex A)."""
    name = f"destination {destination.name}"
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    try:
        association = request_association(
            destination,
            [build_context(Verification)],
            calling_ae_title=calling_ae_title,
            delivery=_ECHO,
        )
    except PermanentError as error:
        to_do = "Check the paths, and that the user of the node can read the files"
        return Check(name=name, verdict=Verdict.FAIL, found=error.reason, to_do=to_do)
    if association.is_established:
        status = association.send_c_echo()
        association.release()
        if "Status" in status and status.Status == 0x0000:
            return Check(name=name, verdict=Verdict.OK, found=f"{where} answers C-ECHO")
        found = f"{where} takes the association and gives no good answer to C-ECHO"
        to_do = f"Ask for Verification to be allowed to {calling_ae_title}"
        return Check(name=name, verdict=Verdict.WARN, found=found, to_do=to_do)
    if association.is_rejected:
        found = f"{where} rejects the association{_reason(association)}"
        to_do = f"Enter {calling_ae_title} as a known AE title there, and check the called one"
    else:
        found = f"{where} cannot be reached"
        to_do = "Check host, port and firewall, and that it runs"
        if destination.tls:
            to_do += "; that it speaks TLS there, and that each side trusts the other's certificate"
    return Check(name=name, verdict=Verdict.FAIL, found=found, to_do=to_do)


def _reason(association: Association) -> str:
    """Give the peer's own words, PS3.8 9.3.4."""
    answer = association.acceptor.primitive
    return f": {answer.reason_str}" if answer is not None else ""
