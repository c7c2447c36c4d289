"""``mammonode predict``: which kinds are written, the progress, and the table at the end."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from node import logs
from node.commands.display import plain_or_ruled_table
from node.result_kinds import PROFILES, ResultKind
from node.settings import Settings

if TYPE_CHECKING:
    from node.predict.document import Document


def kinds_wanted(results: str | None, profile: str | None) -> tuple[ResultKind, ...]:
    """Read ``--results`` and ``--profile``; all but the experimental if neither is given.

    Raises
    ------
    typer.BadParameter
        If both are given, or one names what there is not.
    """
    if results is not None and profile is not None:
        raise typer.BadParameter("--results and --profile cannot be given together")
    if profile is not None:
        if profile not in PROFILES:
            raise typer.BadParameter(f"--profile {profile!r} is none of {', '.join(PROFILES)}")
        return PROFILES[profile]
    if results is None:
        return PROFILES["everything"]
    names = [name.strip() for name in results.split(",") if name.strip()]
    known = [kind.value for kind in ResultKind]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"--results {name!r} is none of {', '.join(known)}")
    if not names:
        raise typer.BadParameter(f"--results names none of {', '.join(known)}")
    return tuple(ResultKind(name) for name in names)


def predict_with_progress(
    paths: Sequence[Path], out: Path, *, kinds: Sequence[ResultKind], settings: Settings
) -> "Document":
    """Find, analyse and write, and show on standard error how far it is."""
    from node.predict.find import find_studies
    from node.predict.run import predict

    logs.quiet_libraries()
    with logs.native_chatter_held() as stream, _progress(stream) as progress:
        reading = progress.add_task("Files read", total=None)
        found = find_studies(paths, on_file=lambda: progress.advance(reading))
        images = sum(len(study.instances) for study in found.studies)
        progress.update(reading, visible=False)
        analysing = progress.add_task("Network loads", total=images)

        def on_image() -> None:
            progress.update(analysing, advance=1, description="Images analysed")

        return predict(found, out, kinds=kinds, settings=settings, on_image=on_image)


def _progress(stream: TextIO) -> Progress:
    """Give a progress display that leaves no trace, and none where nobody watches."""
    return Progress(
        TextColumn("{task.description:<15}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(file=stream),
        transient=True,
        disable=not stream.isatty(),
    )


def predictions_table(document: "Document", console: Console) -> RenderableType:
    """Give a line for each image, study by study."""
    table: Table = plain_or_ruled_table(
        console, "Study", "View", "Score", "Breast", "Not analysed because"
    )
    for study in document["studies"]:
        uid = f"…{study['study_instance_uid'][-20:]}" if console.is_terminal else ""
        uid = uid or study["study_instance_uid"]
        for breast in study["breasts"]:
            for instance in breast["instances"]:
                parts = (instance["laterality"], instance["view_position"])
                table.add_row(
                    uid,
                    " ".join(part for part in parts if part) or "unknown",
                    _number(instance["score"]),
                    _call(breast),
                    _reason(instance),
                )
                uid = "" if console.is_terminal else uid
    return table


def summary_of(document: "Document", out: Path) -> str:
    """Say in one line what was read, what was left out, and where it was written."""
    studies = document["studies"]
    images = [
        image for study in studies for breast in study["breasts"] for image in breast["instances"]
    ]
    analysed = sum(image["score"] is not None for image in images)
    objects = sum(len(study["results"]) for study in studies)
    left_out = [f"{document['not_dicom']} not DICOM"] if document["not_dicom"] else []
    if document["left_out"]:
        left_out.append(f"{len(document['left_out'])} left out, see {out / 'result.json'}")
    others = f" Other files: {', '.join(left_out)}." if left_out else ""
    return (
        f"{analysed} of {len(images)} images in {len(studies)} "
        f"{'study' if len(studies) == 1 else 'studies'} analysed, "
        f"{objects} objects in {out}.{others} {document['notice']}"
    )


def is_any_analysed(document: "Document") -> bool:
    """Say whether any image has a score."""
    return any(study["score"] is not None for study in document["studies"])


def _number(score: float | None) -> str:
    return "–" if score is None else f"{score:.3f}"


def _call(breast: dict[str, Any]) -> str:
    if breast["score"] is None:
        return "–"
    return f"{breast['score']:.3f}{', suspicious' if breast['is_suspicious'] else ''}"


def _reason(instance: dict[str, Any]) -> str:
    if not instance["triage_reason"]:
        return ""
    return ": ".join(
        part for part in (instance["triage_reason"], instance["triage_detail"]) if part
    )
