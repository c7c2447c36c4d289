"""``mammonode studies list``: the study log, narrowed, sorted and in pages."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import completion
from node.commands.listing import (
    Cell,
    CSVOption,
    Form,
    form_of,
    print_list,
    read_words,
    require_terminal,
    watch,
)
from node.commands.options import ConfigOption, JSONOption
from node.commands.ranges import PERIOD_HELP, Period, read_days, read_period, read_scores

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from node.study_log.answers import StudySummary
    from node.study_log.database import Database
    from node.study_log.study_filter import StudyFilter, StudyOrder

WATCH_EVERY_S = 2
WILD_CARDS_HELP = "* and ? are wild cards."
AETitleOption = Annotated[
    str,
    typer.Option(
        "--ae-title",
        metavar="AE",
        help=f"Only studies from this calling AE title. {WILD_CARDS_HELP}",
        show_default=False,
        autocompletion=completion.ae_titles,
    ),
]
ModelVersionOption = Annotated[
    str,
    typer.Option(
        "--model-version",
        metavar="TEXT",
        help=f"Only studies whose newest revision such weights scored. {WILD_CARDS_HELP}",
        show_default=False,
    ),
]


class State(StrEnum):
    """The states that a list can be narrowed to, as one types them."""

    RECEIVING = "receiving"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    DELETED = "deleted"


class Call(StrEnum):
    """On which side of the operating point a score lies."""

    SUSPICIOUS = "suspicious"
    NOT_SUSPICIOUS = "not-suspicious"


class Sort(StrEnum):
    """What a list can be sorted by."""

    RECEIVED = "received"
    STUDY_DATE = "study-date"
    SCORE = "score"
    STATE = "state"
    AE_TITLE = "ae-title"


ASCENDING = (Sort.STATE, Sort.AE_TITLE)
"""Words begin with A; moments and scores with the newest and the highest."""


def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help=f"Only studies in this state: {', '.join(State)}. May be given several times.",
            autocompletion=completion.words(State),
        ),
    ] = None,
    received: Annotated[
        str | None,
        typer.Option(
            "--received",
            metavar="WHEN",
            help=f"Only those whose last instance came then: {PERIOD_HELP}.",
        ),
    ] = None,
    study_date: Annotated[
        str | None,
        typer.Option(
            "--study-date", metavar="WHEN", help="Only those with such a Study Date; days as above."
        ),
    ] = None,
    patient_id: Annotated[
        str, typer.Option("--patient-id", metavar="TEXT", help=WILD_CARDS_HELP, show_default=False)
    ] = "",
    patient_name: Annotated[
        str,
        typer.Option(
            "--patient-name",
            metavar="TEXT",
            help=f"As in FAMILY^GIVEN; case and accents do not count. {WILD_CARDS_HELP}",
            show_default=False,
        ),
    ] = "",
    accession_number: Annotated[
        str, typer.Option("--accession", metavar="TEXT", help=WILD_CARDS_HELP, show_default=False)
    ] = "",
    ae_title: AETitleOption = "",
    score: Annotated[
        str | None,
        typer.Option(
            "--score", metavar="RANGE", help="AI malignancy score, as in 0.5.. or 0.2..0.4."
        ),
    ] = None,
    call: Annotated[
        str | None,
        typer.Option(
            "--call",
            metavar="CALL",
            help=f"At or above the operating point, or below: {' or '.join(Call)}.",
            autocompletion=completion.words(Call),
        ),
    ] = None,
    model_version: ModelVersionOption = "",
    study: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            metavar="STUDY",
            help="Only this one, by its UID or an ending of it. May be given several times.",
            autocompletion=completion.studies,
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="KEY",
            help=f"By {', '.join(Sort)}: newest or highest first, words from A.",
            autocompletion=completion.words(Sort),
        ),
    ] = Sort.RECEIVED.value,
    is_reversed: Annotated[
        bool, typer.Option("--reverse", help="Sort the other way round.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most so many on a page.")
    ] = 20,
    page: Annotated[int, typer.Option("--page", min=1, metavar="N", help="Which page.")] = 1,
    is_watched: Annotated[
        bool, typer.Option("--watch", help="Show the table again every 2 s, until Ctrl+C.")
    ] = False,
    as_json: JSONOption = False,
    as_csv: CSVOption = False,
    config: ConfigOption = None,
) -> None:
    """List studies: state, sender, time, images, score, and whether the results were delivered.

    Times are those of this machine. A score at or above the operating point stands out. What is
    asked for by several options must fit all of them.
    """
    form = form_of(as_json=as_json, as_csv=as_csv)
    if is_watched and form is not Form.TABLE:
        raise typer.BadParameter(f"--watch and --{form} cannot be given together")
    if is_watched:
        require_terminal("--watch", instead="`mammonode tail` follows the log in a pipe")
    now = datetime.now().astimezone()
    when = read_period(received, option="--received", now=now) if received else Period()
    days = read_days(study_date, option="--study-date", now=now) if study_date else ("", "")
    scores = read_scores(score, option="--score") if score else (None, None)
    states = read_words(state, State, option="--state")
    calls = read_words([call] if call else [], Call, option="--call")
    (key,) = read_words([sort], Sort, option="--sort")

    from node.commands.display import studies_table
    from node.commands.open_log import find_study, open_log
    from node.settings_loading import load_settings
    from node.study_log.study_filter import StudyFilter, StudyOrder
    from node.study_log.tables import StudyState

    with open_log(load_settings(config)) as database:
        asked = _Asked(
            which=StudyFilter(
                study_instance_uids=[find_study(database, text) for text in study or ()],
                states=[StudyState[item.name] for item in states],
                received_from=when.first,
                received_to=when.last,
                study_date_from=days[0],
                study_date_to=days[1],
                patient_id=patient_id,
                patient_name=patient_name,
                accession_number=accession_number,
                calling_ae_title=ae_title,
                score_from=scores[0],
                score_to=scores[1],
                is_suspicious=calls[0] is Call.SUSPICIOUS if calls else None,
                model_version=model_version,
            ),
            order=StudyOrder(key.value),
            descending=(key in ASCENDING) == is_reversed,
            limit=limit,
            page=page,
        )
        if is_watched:
            watch(lambda console: _watched(asked, database, console), every_s=WATCH_EVERY_S)
        found, total = asked.answer(database)
    print_list(
        found,
        form,
        plural="studies",
        total=total,
        columns=COLUMNS,
        table=studies_table,
        to_see_more=f"page {page} of {asked.pages(total)}; --page and --limit show more",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked of the log, be it once or again and again."""

    which: "StudyFilter"
    order: "StudyOrder"
    descending: bool
    limit: int
    page: int

    def pages(self, total: int) -> int:
        return max(1, math.ceil(total / self.limit))

    def answer(self, database: "Database") -> "tuple[Sequence[StudySummary], int]":
        """Give the studies of the page, and how many there are on all pages.

        Raises
        ------
        typer.BadParameter
            If there are not so many pages.
        """
        from node.study_log import queries

        with database.reading() as session:
            total = queries.count_studies(session, self.which)
            pages = self.pages(total)
            if self.page > pages:
                expected = f"Expected 1 to {pages}, found {self.page}"
                raise typer.BadParameter(expected, param_hint="--page")
            found = queries.list_studies(
                session,
                self.which,
                order=self.order,
                descending=self.descending,
                limit=self.limit,
                offset=(self.page - 1) * self.limit,
            )
        return found, total


def _watched(asked: _Asked, database: "Database", console: "Console") -> "RenderableType":
    """Give the table as it is now, under a line that says of when it is."""
    from rich.console import Group
    from rich.text import Text

    from node.commands.display import studies_table

    found, total = asked.answer(database)
    said = (
        f"{len(found)} of {total} studies at {datetime.now().astimezone():%H:%M:%S}. Ctrl+C ends."
    )
    table = studies_table(found, console) if found else Text("No studies.")
    return Group(Text(said, style="dim"), table)


def _of_revision(name: str) -> "Callable[[StudySummary], Cell]":
    """Give what reads an attribute of the newest revision; None where there is no revision yet."""
    return lambda study: getattr(study.revision, name, None)


def _call(study: "StudySummary") -> str:
    revision = study.revision
    if revision is None or revision.is_suspicious is None:
        return ""
    return (Call.SUSPICIOUS if revision.is_suspicious else Call.NOT_SUSPICIOUS).value


COLUMNS: "Mapping[str, Callable[[StudySummary], Cell]]" = {
    "study_instance_uid": lambda study: study.study_instance_uid,
    "state": lambda study: study.state.value,
    "study_date": lambda study: study.study_date,
    "calling_ae_title": lambda study: study.calling_ae_title,
    "called_ae_title": lambda study: study.called_ae_title,
    "first_received_at": lambda study: study.first_received_at,
    "last_received_at": lambda study: study.last_received_at,
    "instances": lambda study: study.instances,
    "revision": _of_revision("number"),
    **{
        name: _of_revision(name)
        for name in (
            "attempt",
            "close_reason",
            "closed_at",
            "started_at",
            "ended_at",
            "reason",
            "score",
            "score_right",
            "score_left",
        )
    },
    "call": _call,
    **{name: _of_revision(name) for name in ("model_name", "model_version", "weights_sha256")},
    "failed_deliveries": lambda study: study.failed_deliveries,
    "open_deliveries": lambda study: study.open_deliveries,
    "open_conflicts": lambda study: study.open_conflicts,
    "removed_at": lambda study: study.removed_at,
}
"""Of the CSV; the names are those of the JSON document."""
