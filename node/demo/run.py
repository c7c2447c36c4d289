"""Starts the node and a PACS, sends two studies, waits for what comes back, and stops it all."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom import dcmread
from pynetdicom import AE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from model.views import STANDARD_VIEWS
from node.demo.films import FilmStudy, find_films, regroup
from node.demo.node_process import running_node, write_settings
from node.demo.outcome import ENDED, Outcome, read_outcome
from node.demo.pacs import Filed, FilingPacs
from node.demo.show import FILED, Row, introduce, make_console, show_table
from node.errors import PermanentError
from node.result_kinds import ResultKind
from node.settings import Settings
from node.settings_loading import load_settings
from node.study_log.database import Database

PATIENCE_S = 170.0
"""Most of the usual time is TensorFlow's start."""
POLL_S = 0.1
SENDER_AE_TITLE = "DEMO_MODALITY"

_MARKER = ".mammonode-demo"
"""Marks a folder as one that a demo made, and a demo may empty."""
_OWN_NAMES = ("films", "node", FILED, "node.toml", "node.log", "heat_map.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What came back.

    Attributes
    ----------
    rows
        One a study.
    heat_map
        A picture to look at: the heat map of the view with the highest score; None if none came.
    """

    rows: tuple[Row, ...]
    heat_map: Path | None

    @property
    def is_complete(self) -> bool:
        """Whether every study came back whole."""
        return all(row.is_complete for row in self.rows)


def run_demo(
    out: Path, *, weights: str = "", patience_s: float = PATIENCE_S, has_table: bool = True
) -> DemoResult:
    """Send two real studies through a real node and show what comes back.

    Parameters
    ----------
    out
        Folder for the films as sent, the node's data and log, and what the PACS filed. What an
        earlier demo left there is removed.
    weights
        As in ``[model] weights``; empty: the shipped ones.
    patience_s
        After so long it gives up on what has not come back, in seconds.
    has_table
        Whether the results are printed; without, standard output is left to the caller, and
        progress goes to standard error.

    Returns
    -------
    result
        A study has come back whole with a score report, four heat maps, and every other object
        that the node's log says was made.

    Raises
    ------
    PermanentError
        If the films are not installed, `out` holds something else, or the node does not start.
    """
    console = make_console(stderr=not has_table)
    deadline_s = time.monotonic() + patience_s
    paths = find_films()
    _make_way(out)
    studies = regroup(paths, out / "films")
    introduce(console, studies)
    folder_names = {study.study_instance_uid: study.number for study in studies}
    with FilingPacs(out / FILED, folder_names) as archive:
        settings_file = write_settings(out, pacs_port=archive.port, weights=weights)
        settings = load_settings(settings_file, environment={})
        with running_node(settings_file, settings, out / "node.log", deadline_s) as port:
            rows = _send_and_wait(console, studies, archive, settings, port, deadline_s)
    result = DemoResult(rows=tuple(rows), heat_map=_write_picture(rows, out / "heat_map.png"))
    if has_table:
        show_table(console, rows, out)
        if result.heat_map is not None:
            console.print(
                f"A heat map to look at: {result.heat_map}", highlight=False, soft_wrap=True
            )
    for row in rows:
        if not row.is_complete:
            state = row.outcome.state.value if row.outcome.state else "never received"
            console.print(
                f"{row.study.number} did not come back whole: {state}. {row.outcome.reason} "
                f"The node's log: {out / 'node.log'}",
                highlight=False,
                soft_wrap=True,
            )
    return result


def _make_way(out: Path) -> None:
    """Empty what an earlier demo left in `out`, and touch nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()) and not (out / _MARKER).exists():
        raise PermanentError(
            reason=f"{out} is not empty and no demo made it; name another folder with --out"
        )
    (out / _MARKER).touch()
    for name in _OWN_NAMES:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _send_and_wait(
    console: Console,
    studies: Sequence[FilmStudy],
    archive: FilingPacs,
    settings: Settings,
    port: int,
    deadline_s: float,
) -> list[Row]:
    """Send all, then follow the log and the PACS until everything ended or time is up."""
    progress = Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    database = Database.open(settings)
    sent_at_s: dict[str, float] = {}
    outcomes: dict[str, Outcome] = {}
    with progress:
        sending = progress.add_task("Films sent", total=sum(len(s.films) for s in studies))
        analysing = progress.add_task("Studies analysed", total=len(studies))
        receiving = progress.add_task("Objects received back", total=None)
        for study in studies:
            _send(study, port, lambda: progress.advance(sending))
            sent_at_s[study.study_instance_uid] = time.monotonic()
        while True:  # at least once: sending may have used up the time
            for uid in sent_at_s:
                outcomes[uid] = read_outcome(database, uid)
            ended = sum(outcome.state in ENDED for outcome in outcomes.values())
            made = sum(len(outcome.kinds) for outcome in outcomes.values())
            progress.update(analysing, completed=ended)
            is_all_made = ended == len(studies)
            total = made if is_all_made else None
            progress.update(receiving, completed=len(archive.filed), total=total)
            has_ended = all(outcome.has_ended for outcome in outcomes.values())
            if has_ended or time.monotonic() >= deadline_s:
                break
            time.sleep(POLL_S)
    database.close()
    return [
        _row(study, outcomes[study.study_instance_uid], archive.filed, sent_at_s)
        for study in studies
    ]


def _row(
    study: FilmStudy, outcome: Outcome, filed: Sequence[Filed], sent_at_s: dict[str, float]
) -> Row:
    """Put together what is known of one study."""
    uid = study.study_instance_uid
    own = tuple(item for item in filed if item.study_instance_uid == uid)
    last_s = max((item.filed_at_s for item in own), default=None)
    seconds = None if last_s is None else last_s - sent_at_s[uid]
    return Row(study=study, outcome=outcome, filed=own, seconds=seconds)


def _send(study: FilmStudy, port: int, on_sent: Callable[[], None]) -> None:
    """Send one study over one association, as a modality does."""
    ae = AE(ae_title=SENDER_AE_TITLE)
    for film in study.films:
        meta = dcmread(film.path, stop_before_pixels=True).file_meta
        ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="MAMMONODE")
    if not association.is_established:
        raise PermanentError(reason="The node accepted no association; its log says why")
    try:
        for film in study.films:
            status = association.send_c_store(film.path).get("Status")
            if status != 0x0000:
                answer = "no answer" if status is None else f"status 0x{status:04X}"
                raise PermanentError(reason=f"The node took no {film.path.name}: {answer}")
            on_sent()
    finally:
        association.release()


def _write_picture(rows: Sequence[Row], path: Path) -> Path | None:
    """Write the heat map of the view with the highest score as a PNG; None if none came."""
    candidates = [
        (row.outcome.view_scores.get(view, -1.0), item.path)
        for row in rows
        for item in row.filed
        for view in STANDARD_VIEWS
        if row.outcome.kinds.get(item.sop_instance_uid) is ResultKind.HEAT_MAP
        and (item.laterality, item.view_position) == view
    ]
    if not candidates:
        return None
    _, best = max(candidates)
    Image.fromarray(dcmread(best).pixel_array).save(path)
    return path
