"""Is the node ready? Each thing that can be wrong is found, named, and said how to mend."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
from sqlalchemy import column, table, update

from command_line import run
from log_entries import study_entry
from model.manifest import MANIFEST_FILE, sha256_of
from node.check import Check, Verdict, run_checks
from node.keeping.passing_time import mark_time
from node.settings import (
    DestinationSettings,
    ModelSettings,
    ReceiveSettings,
    RetentionSettings,
    Settings,
)
from node.study_log.database import SQLITE_FILE, VERSION_TABLE, Database
from node.study_log.tables import StudyState


@contextmanager
def verification_scp(ae_title: str) -> Iterator[int]:
    """Answer C-ECHO on loopback, to who calls it by its name; give the port."""
    ae = AE(ae_title=ae_title)
    ae.add_supported_context(Verification)
    ae.require_called_aet = True
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def destination(port: int, ae_title: str = "PACS") -> DestinationSettings:
    return DestinationSettings(
        name="pacs", ae_title=ae_title, host="127.0.0.1", port=port, profile="ohif"
    )


def found(settings: Settings, name: str) -> Check:
    (check,) = [check for check in run_checks(settings) if check.name == name]
    return check


def settings_in(folder: Path, **changes: object) -> Settings:
    facts = {
        "data_dir": folder,
        "model": ModelSettings(weights=str(folder)),
        "receive": ReceiveSettings(low_watermark_bytes=0),
    }
    return Settings.model_validate(facts | changes)


def test_a_destination_that_answers_is_well(tmp_path: Path) -> None:
    with verification_scp("PACS") as port:
        check = found(settings_in(tmp_path, destinations=[destination(port)]), "destination pacs")

    assert check.verdict is Verdict.OK


def test_a_destination_that_does_not_know_the_called_ae_title_says_so(tmp_path: Path) -> None:
    with verification_scp("OTHER") as port:
        check = found(settings_in(tmp_path, destinations=[destination(port)]), "destination pacs")

    assert check.verdict is Verdict.FAIL
    assert "rejects the association: Called AE title not recognised" in check.found
    assert check.to_do


def test_a_destination_that_is_not_there_cannot_be_reached(tmp_path: Path) -> None:
    with verification_scp("PACS") as port:
        pass
    check = found(settings_in(tmp_path, destinations=[destination(port)]), "destination pacs")

    assert check.verdict is Verdict.FAIL
    assert "cannot be reached" in check.found


def test_a_node_without_a_destination_is_warned(tmp_path: Path) -> None:
    check = found(settings_in(tmp_path), "settings")

    assert check.verdict is Verdict.WARN
    assert "[[destinations]]" in check.to_do


def test_weights_without_a_manifest_are_found(tmp_path: Path) -> None:
    check = found(settings_in(tmp_path), "weights")

    assert check.verdict is Verdict.FAIL
    assert MANIFEST_FILE in check.found


def test_weights_that_fit_their_manifest_are_well(tmp_path: Path, untrained_weights: Path) -> None:

    model = ModelSettings(weights=str(untrained_weights))

    check = found(settings_in(tmp_path, model=model), "weights")

    assert check.verdict is Verdict.OK
    assert sha256_of(next(untrained_weights.glob("*.h5")))[:12] in check.found


def test_a_look_at_the_database_does_not_make_one(tmp_path: Path) -> None:
    check = found(settings_in(tmp_path), "database")

    assert check.verdict is Verdict.OK
    assert "not there yet" in check.found
    assert not (tmp_path / SQLITE_FILE).exists()


def test_a_database_of_this_version_is_well(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    database = Database.open(settings)
    database.migrate()
    database.close()

    assert found(settings, "database").verdict is Verdict.OK


@pytest.mark.parametrize(("version", "verdict"), [("0000", Verdict.WARN), ("9999", Verdict.FAIL)])
def test_a_database_of_another_version_is_found(
    tmp_path: Path, version: str, verdict: Verdict
) -> None:
    settings = settings_in(tmp_path)
    database = Database.open(settings)
    database.migrate()
    with database.writing() as session:
        session.execute(
            update(table(VERSION_TABLE, column("version_num"))).values(version_num=version)
        )
    database.close()

    check = found(settings, "database")

    assert check.verdict is verdict
    assert version in check.found
    assert check.to_do


@pytest.mark.parametrize(
    ("ago", "verdict", "says"),
    [
        (timedelta(minutes=3), Verdict.OK, "UTC"),
        (timedelta(days=-1), Verdict.WARN, "later"),
        (timedelta(days=100), Verdict.WARN, "long ago"),
    ],
)
def test_a_clock_that_the_study_log_contradicts_is_found(
    tmp_path: Path, ago: timedelta, verdict: Verdict, says: str
) -> None:
    settings = settings_in(tmp_path)
    database = Database.open(settings)
    database.migrate()
    mark_time(database, datetime.now(UTC) - ago)
    database.close()

    check = found(settings, "clock")

    assert check.verdict is verdict
    assert says in check.found


def test_studies_that_are_old_by_the_clock_alone_are_found(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, retention=RetentionSettings(instances_days=30))
    database = Database.open(settings)
    database.migrate()
    years_ago = datetime.now(UTC) - timedelta(days=1000)
    mark_time(database, years_ago - timedelta(days=1))
    with database.writing() as session:
        session.add(study_entry(state=StudyState.SKIPPED, received_at=years_ago))
    mark_time(database, datetime.now(UTC))
    database.close()

    check = found(settings, "clock")

    assert check.verdict is Verdict.WARN
    assert "too old by the clock alone: 1" in check.found


def test_a_file_that_is_no_database_is_found(tmp_path: Path) -> None:
    (tmp_path / SQLITE_FILE).write_bytes(b"not a database, but long enough to be looked at" * 9)

    check = found(settings_in(tmp_path), "database")

    assert check.verdict is Verdict.FAIL
    assert "does not answer" in check.found


def test_a_database_server_that_is_away_is_found_without_its_password(tmp_path: Path) -> None:
    with verification_scp("X") as port:
        pass
    url = f"postgresql+psycopg://node:hush@127.0.0.1:{port}/log"

    check = found(settings_in(tmp_path, database={"url": url}), "database")

    assert check.verdict is Verdict.FAIL
    assert "hush" not in check.found


def test_a_disk_without_room_is_found(tmp_path: Path) -> None:
    receive = ReceiveSettings(low_watermark_bytes=2**60)

    check = found(settings_in(tmp_path, receive=receive), "disk")

    assert check.verdict is Verdict.FAIL


def test_a_data_folder_that_is_not_there_yet_is_well(tmp_path: Path) -> None:
    check = found(settings_in(tmp_path, data_dir=tmp_path / "a" / "b"), "disk")

    assert check.verdict is Verdict.OK
    assert not (tmp_path / "a").exists()


def test_a_data_folder_that_is_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    check = found(settings_in(tmp_path, data_dir=tmp_path / "file" / "data"), "disk")

    assert check.verdict is Verdict.FAIL


def test_the_command_ends_with_1_if_anything_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f'data_dir = "{tmp_path}"\n[model]\nweights = "{tmp_path}"')

    ended = run(capsys, "check", "--config", str(path))
    as_json = json.loads(run(capsys, "check", "--config", str(path), "--json").out)

    assert ended.code == 1
    assert [line.split()[1] for line in ended.out.splitlines()] == [
        "settings:",
        "weights:",
        "database:",
        "disk:",
    ]
    assert as_json["checks"][1]["verdict"] == "FAIL"


def test_settings_that_cannot_be_read_are_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "check", "--config", "/no/such.toml")

    assert ended.code == 1
    assert ended.out.startswith("FAIL  settings: --config: found /no/such.toml")
