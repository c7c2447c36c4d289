"""``mammonode patients``: studies under the right patient."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from node.commands.options import (
    ByOption,
    ConfigOption,
    JSONOption,
    ReasonOption,
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
    str | None,
    typer.Option(
        "--from-id",
        metavar="ID",
        help="Patient ID that the studies have in the log now.",
    ),
]
PatientFileOption = Annotated[
    typer.FileBinaryRead | None,
    typer.Option(
        "--patient-file",
        metavar="FILE",
        help='TOML with what the options would say of the patient, as name = "DOE^JANE"; - reads '
        "standard input. Keeps it out of the list of processes and of the history of the shell.",
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


@app.command(
    epilog="Examples:\n\nmammonode patients correct --from-id 4711 --name DOE^JANE "
    '--reason "misspelt"\n\nmammonode patients correct --from-id 4711 --to-id 4712 '
    '--study 604688119 --reason "wrong entry of the worklist"\n\nmammonode patients correct '
    '--patient-file right.toml --reason "misspelt"'
)
def correct(
    reason: ReasonOption,
    patient_file: PatientFileOption = None,
    from_id: FromOption = None,
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

    said = _said(
        patient_file,
        {
            "from_id": from_id,
            "from_issuer": from_issuer,
            "to_id": to_id,
            "to_issuer": to_issuer,
            "name": name,
            "birth_date": birth_date,
            "sex": sex,
        },
    )
    given = {
        "PatientID": said["to_id"],
        "IssuerOfPatientID": said["to_issuer"],
        "PatientName": said["name"],
        "PatientBirthDate": said["birth_date"],
        "PatientSex": said["sex"],
    }
    of = patients.Patient(
        patient_id=_required(said, "from_id"), issuer_of_patient_id=said["from_issuer"]
    )
    with open_log_and_queue(load_settings(config)) as (database, queue):
        corrected = patients.correct(
            database,
            queue,
            of,
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
    reason: ReasonOption,
    patient_file: PatientFileOption = None,
    from_id: FromOption = None,
    into_id: Annotated[
        str | None,
        typer.Option(
            "--into-id",
            metavar="ID",
            help="Patient ID of whom it is; of this patient there is a study in the log.",
        ),
    ] = None,
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

    said = _said(
        patient_file,
        {
            "from_id": from_id,
            "from_issuer": from_issuer,
            "into_id": into_id,
            "into_issuer": into_issuer,
        },
    )
    of, into = (
        patients.Patient(
            patient_id=_required(said, f"{which}_id"), issuer_of_patient_id=said[f"{which}_issuer"]
        )
        for which in ("from", "into")
    )
    with open_log_and_queue(load_settings(config)) as (database, queue):
        corrected = patients.merge(
            database,
            queue,
            of,
            into,
            reason=reason,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
        )
    _print_corrected(corrected, as_json=as_json)


def _said(file: BinaryIO | None, options: Mapping[str, str | None]) -> dict[str, str | None]:
    """Join what the options and the file say of the patients; no message quotes a value."""
    said = dict(options)
    if file is None:
        return said
    try:
        read = tomllib.loads(file.read().decode())
    except ValueError:
        raise typer.BadParameter(
            'Expected TOML in UTF-8 with one value a line, as name = "DOE^JANE"; found something '
            "else.",
            param_hint="--patient-file",
        ) from None
    for key, value in read.items():
        if key not in options or not isinstance(value, str):
            raise typer.BadParameter(
                f"Expected nothing but {', '.join(options)}, each with a value in quotes.",
                param_hint="--patient-file",
            )
        if options[key] is not None:
            raise typer.BadParameter(
                f"{key} is given as an option too.", param_hint="--patient-file"
            )
        said[key] = value
    return said


def _required(said: Mapping[str, str | None], key: str) -> str:
    value = said[key]
    if value is None:
        option = f"--{key.replace('_', '-')}"
        raise typer.BadParameter(f"Expected it, or {key} in --patient-file.", param_hint=option)
    return value


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
