"""``mammonode fsck``: what was found and mended, one line each."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import typer

from node.commands.open_log import open_log
from node.commands.options import progress_bar
from node.errors import PermanentError
from node.keeping.promises import Fault
from node.keeping.remove import remove_given_up
from node.keeping.repair import ORDER, repair
from node.keeping.whole import Examiner, Finding, Looked
from node.settings import Settings
from node.store import Store

_COLOURS = {
    Fault.MISSING: typer.colors.RED,
    Fault.DAMAGED: typer.colors.RED,
    Fault.UNREADABLE: typer.colors.RED,
    Fault.UNKNOWN: typer.colors.YELLOW,
    Fault.LEFT_OVER: typer.colors.CYAN,
    Fault.STRANGE: typer.colors.YELLOW,
}
_LONGEST_FAULT = max(len(fault) for fault in Fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What a whole run came to.

    Attributes
    ----------
    findings
        Each with what was done about it; empty where only a person can do something.
    is_alone
        Whether no node ran meanwhile, so that nothing was passed over.
    deleted
        How many files were deleted that had been given up before.
    """

    looked: Looked
    findings: tuple[tuple[Finding, str], ...]
    is_alone: bool
    deleted: int

    @property
    def left(self) -> int:
        """How many findings nothing was done about."""
        return sum(not done for _, done in self.findings)


def examine(
    settings: Settings,
    *,
    mends: bool,
    reads_files: bool,
    on_finding: Callable[[Finding, str], None],
    progress: bool,
) -> Examined:
    """Look at everything, and mend what is found if that is wanted."""
    store = Store(settings.data_dir)
    findings: list[tuple[Finding, str]] = []
    with ExitStack() as stack:
        database = stack.enter_context(open_log(settings))
        is_alone = stack.enter_context(_alone(store))
        examiner = Examiner(database, store, now=_now, is_alone=is_alone, reads_files=reads_files)
        on_study = stack.enter_context(
            progress_bar("Studies", examiner.count_studies(), is_shown=progress)
        )
        found: Iterable[Finding] = examiner.examine(on_study)
        if mends:
            found = sorted(found, key=_turn)
            examiner.require_files()  # now, for a disk may have gone while it was looked at
        for finding in found:
            done = repair(finding, database=database, store=store, now=_now) if mends else ""
            findings.append((finding, done))
            on_finding(finding, done)
        deleted = remove_given_up(database, store) if mends else 0
    return Examined(
        looked=examiner.looked, findings=tuple(findings), is_alone=is_alone, deleted=deleted
    )


def _turn(finding: Finding) -> int:
    return ORDER.index(finding.fault) if finding.fault in ORDER else len(ORDER)


def print_finding(finding: Finding, done: str) -> None:
    """Print one line: the fault, the file, what was found, and what was done."""
    fault = typer.style(
        f"{finding.fault.value:<{_LONGEST_FAULT}}", fg=_COLOURS[finding.fault], bold=True
    )
    typer.echo(f"{fault}  {finding.path}: {finding.detail}{f'; {done}' if done else ''}")


def summary_of(examined: Examined, *, mends: bool) -> str:
    """Say in a sentence or two what it came to."""
    looked = examined.looked
    parts = [
        f"{looked.studies} studies, {looked.files} files, {looked.size_bytes / 1024**3:.1f} GiB: "
        + (f"{len(examined.findings)} findings" if examined.findings else "all whole")
    ]
    if mends:
        parts.append(f"{len(examined.findings) - examined.left} mended")
        if examined.deleted:
            parts.append(f"{examined.deleted} files deleted that had been given up")
    sentence = ", ".join(parts) + "."
    if not examined.is_alone:
        sentence += (
            " A node runs on this data folder: what is being received, and files of the last hour "
            "without a row, were passed over."
        )
    return sentence


def document_of(examined: Examined) -> dict[str, Any]:
    """Give what ``--json`` prints."""
    return {
        "looked": examined.looked,
        "is_alone": examined.is_alone,
        "findings": [{**asdict(finding), "done": done} for finding, done in examined.findings],
        "deleted": examined.deleted,
    }


@contextmanager
def _alone(store: Store) -> Iterator[bool]:
    """Hold the data folder, if neither a node nor a worker does."""
    with ExitStack() as stack:
        is_alone = True
        try:
            stack.enter_context(store.alone())
        except PermanentError:
            is_alone = False
        yield is_alone


def _now() -> datetime:
    return datetime.now(UTC)
