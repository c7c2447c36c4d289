"""``mammonode patients``: studies under the right patient."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.options import (
    ByOption,
    ConfigOption,
    JSONOption,
    print_json,
    user_of_this_machine,
)

if TYPE_CHECKING:
    from node.keeping.patients import CorrectedStudy

app = typer.Typer(
    help="Put studies under the right patient; their results are made anew.",
    no_args_is_help=True,
)

FromOption = Annotated[
    str,
    typer.Option(
        "--from-id",
        metavar="ID",
        help="Patient ID that the studies have in the log now.",
        show_default=False,
    ),
]
FromIssuerOption = Annotated[
    str | None,
    typer.Option(
        "--from-issuer",
        metavar="ISSUER",
        help="Issuer of that Patient ID; without it whatever issuer.",
    ),
]
ReasonOption = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        help="Why; stays in the log. Name no patient in it.",
        show_default=False,
    ),
]


@app.command(
    epilog="Examples:\n\nmammonode patients correct --from-id 4711 --name DOE^JANE "
    '--reason "misspelt"\n\nmammonode patients correct --from-id 4711 --to-id 4712 '
    '--study 604688119 --reason "wrong entry of the worklist"'
)
def correct(
    from_id: FromOption,
    reason: ReasonOption,
    from_issuer: FromIssuerOption = None,
    to_id: Annotated[
        str | None, typer.Option("--to-id", metavar="ID", help="The right Patient ID.")
    ] = None,
    to_issuer: Annotated[
        str | None,
        typer.Option("--to-issuer", metavar="ISSUER", help="The right Issuer of Patient ID."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The right Patient's Name, as FAMILY^GIVEN."),
    ] = None,
    birth_date: Annotated[
        str | None,
        typer.Option("--birth-date", metavar="YYYYMMDD", help="The right Patient's Birth Date."),
    ] = None,
    sex: Annotated[
        str | None, typer.Option("--sex", metavar="M|F|O", help="The right Patient's Sex.")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="STUDY",
            help="Only this study, by its UID or an ending of it; else all of the patient.",
        ),
    ] = None,
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Correct what studies say of their patient; what is not named stays as the images have it.

    The correction stands in the log and holds for images that come later; the images stay as they
    came. Each study is analysed anew. Results that were sent stay where they were sent to.
    """
    from node.commands.open_log import find_study, open_log_and_queue
    from node.keeping import patients
    from node.settings_loading import load_settings

    given = {
        "PatientID": to_id,
        "IssuerOfPatientID": to_issuer,
        "PatientName": name,
        "PatientBirthDate": birth_date,
        "PatientSex": sex,
    }
    with open_log_and_queue(load_settings(config)) as (database, queue):
        corrected = patients.correct(
            database,
            queue,
            patients.Patient(patient_id=from_id, issuer_of_patient_id=from_issuer),
            {keyword: value for keyword, value in given.items() if value is not None},
            reason=reason,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
            study_instance_uid=None if study is None else find_study(database, study),
        )
    _print_corrected(corrected, as_json=as_json)


@app.command(
    epilog="Example:\n\nmammonode patients merge --from-id TEMP-17 --into-id 4711 "
    '--reason "registered twice"'
)
def merge(
    from_id: FromOption,
    into_id: Annotated[
        str,
        typer.Option(
            "--into-id",
            metavar="ID",
            help="Patient ID of whom it is; of this patient there is a study in the log.",
            show_default=False,
        ),
    ],
    reason: ReasonOption,
    from_issuer: FromIssuerOption = None,
    into_issuer: Annotated[
        str | None,
        typer.Option(
            "--into-issuer",
            metavar="ISSUER",
            help="Issuer of that Patient ID; without it whatever issuer.",
        ),
    ] = None,
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Put all studies of a patient under another one, with that one's name, birth date and sex.

    Otherwise as `mammonode patients correct`.
    """
    from node.commands.open_log import open_log_and_queue
    from node.keeping import patients
    from node.settings_loading import load_settings

    with open_log_and_queue(load_settings(config)) as (database, queue):
        corrected = patients.merge(
            database,
            queue,
            patients.Patient(patient_id=from_id, issuer_of_patient_id=from_issuer),
            patients.Patient(patient_id=into_id, issuer_of_patient_id=into_issuer),
            reason=reason,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
        )
    _print_corrected(corrected, as_json=as_json)


def _print_corrected(corrected: "tuple[CorrectedStudy, ...]", *, as_json: bool) -> None:
    if as_json:
        print_json({"studies": corrected})
        return
    if not corrected:
        typer.echo("Nothing to correct: the studies say so already.")
    for study in corrected:
        if study.revision is None:
            what = f"not analysed anew: {study.reason_for_none}"
        else:
            what = f"queued as revision {study.revision}"
        typer.echo(f"Corrected: {study.study_instance_uid}, {what}.")
