"""``mammonode outcomes`` and ``performance``: what is printed, how they end, and what never is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import run
from databases import make_tables
from node.commands.options import ExitCode
from node.settings import Settings
from node.study_log.database import Database, database_url
from outcome_logs import HEADING, entry

MALIGNANT = "SECRET-P,,R,2024-03-20,histopathology,malignant\n"
BENIGN = "SECRET-P,,R,2024-03-22,histopathology,benign\n"
STRANGER = "SECRET-Q,,L,2024-03-20,histopathology,benign\n"


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Make a log of one analysed study, which the environment names."""
    settings = Settings(data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    make_tables(database_url(settings))
    database = Database(database_url(settings))
    with database.writing() as session:
        session.add(entry(1, "SECRET-P"))
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(settings.data_dir))
    yield database
    database.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file with an outcome of a known and one of an unknown patient."""
    file = tmp_path / "pathology.csv"
    file.write_text(HEADING + MALIGNANT + STRANGER)
    return file


def test_an_import_says_what_it_did_and_what_is_about_no_study(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    ended = run(capsys, "outcomes", "import", str(file))

    assert ended.code == 0
    assert ended.out == (
        "Imported: 2 of 2 outcomes in 2 rows; 0 were there before. 1 are about a study.\n"
        "About no study by now: 1\n"
        "  row 3 L: no study in the log is of that patient\n"
    )


def test_a_second_import_says_that_nothing_changed(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    run(capsys, "outcomes", "import", str(file))

    ended = run(capsys, "outcomes", "import", str(file))

    assert (ended.code, "Nothing changed." in ended.out) == (0, True)


def test_a_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    told = run(capsys, "outcomes", "import", str(file), "--dry-run")
    listed = run(capsys, "outcomes", "list")

    assert told.out.startswith("Would import: 2 of 2")
    assert (listed.out, listed.err) == ("", "No outcomes.\n")


def test_an_import_as_json_has_every_row(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    file.write_text(HEADING + MALIGNANT + BENIGN + STRANGER)

    answer = json.loads(run(capsys, "outcomes", "import", str(file), "--json").out)

    assert (answer["rows"], answer["added"], answer["linked"]) == (3, 3, 2)
    assert [one["row"] for one in answer["conflicts"]] == ["row 2", "row 3"]
    assert answer["unmatched"] == [
        {"row": "row 4", "laterality": "L", "reason": "no study in the log is of that patient"}
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEADING + MALIGNANT.replace("2024", "SECRET"), "row 2: date: expected a day"),
        (HEADING.replace(",", ";") + MALIGNANT, "found semicolons"),
        (HEADING.replace("source", "souce") + MALIGNANT, "Did you mean source?"),
        ("", "found nothing"),
        ('{"resourceType": "Patient", "id": "SECRET"}', "DiagnosticReport"),
    ],
)
def test_a_file_that_is_not_accepted_ends_with_1_and_is_not_quoted(
    capsys: pytest.CaptureFixture[str], file: Path, content: str, said: str
) -> None:
    file.write_text(content)

    ended = run(capsys, "outcomes", "import", str(file))

    assert ended.code == ExitCode.FAILURE
    assert ended.err.startswith("mammonode: ")
    assert said in ended.err
    assert "SECRET" not in ended.err + ended.out


def test_a_file_that_is_not_there_is_a_matter_of_usage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = run(capsys, "outcomes", "import", str(tmp_path / "none.csv"))

    assert ended.code == ExitCode.USAGE


def test_outcomes_are_listed_without_their_patient(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    run(capsys, "outcomes", "import", str(file))

    listed = run(capsys, "outcomes", "list")
    unmatched = run(capsys, "outcomes", "list", "--unmatched", "--json")

    assert entry(1).study_instance_uid in listed.out
    assert "no study in the log is of that patient" in listed.out
    assert "In all: 1 linked, 1 unmatched." in listed.err
    answer = json.loads(unmatched.out)
    assert [one["number"] for one in answer["outcomes"]] == [2]
    assert answer["counts"] == {"linked": 1, "unmatched": 1}
    assert "SECRET" not in listed.out + unmatched.out
    table = run(capsys, "outcomes", "list", "--csv").out.splitlines()
    assert table[0].startswith("number,date,laterality,source,result,state")
    assert table[1].startswith("2,2024-03-20,L,histopathology,benign,unmatched")


def test_a_conflict_is_listed_and_ends_with_a_withdrawal(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    file.write_text(HEADING + MALIGNANT + BENIGN)
    run(capsys, "outcomes", "import", str(file))
    before = run(capsys, "outcomes", "list", "--conflicts", "--json")

    done = run(capsys, "outcomes", "withdraw", "2", "--reason", "[/b] of another lesion")
    again = run(capsys, "outcomes", "withdraw", "2", "--reason", "of another lesion")
    none = run(capsys, "outcomes", "withdraw", "3", "--reason", "of another lesion")

    assert json.loads(before.out)["total"] == 2
    assert done.out == "Withdrawn: outcome 2.\n"
    assert again.out == "Nothing to do: outcome 2 was withdrawn before.\n"
    assert (none.code, "No outcome 3" in none.err) == (ExitCode.FAILURE, True)
    listed = run(capsys, "outcomes", "list")
    assert "[/b] of another lesion" in listed.out
    assert "1 linked, 1 withdrawn" in listed.err


def test_a_log_that_is_not_there_can_be_tried_later(
    capsys: pytest.CaptureFixture[str], file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path / "elsewhere"))

    assert run(capsys, "outcomes", "import", str(file)).code == ExitCode.TRY_AGAIN
    assert run(capsys, "performance").code == ExitCode.TRY_AGAIN


def test_an_export_of_what_has_no_file_says_so(
    capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path
) -> None:
    run(capsys, "outcomes", "import", str(file))
    out = tmp_path / "table" / "outcomes.csv"

    ended = run(capsys, "outcomes", "export", "--out", str(out))

    assert ended.out == "Written: 2 images of 1 breasts, 1 patients; 2 images are of a cancer.\n"
    assert len(out.read_text().splitlines()) == 3


def test_performance_says_what_it_measured_and_what_it_does_not_mean(
    capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path
) -> None:
    page = tmp_path / "performance.html"
    before = run(capsys, "performance")
    run(capsys, "outcomes", "import", str(file))

    ended = run(capsys, "performance", "--html", str(page))
    answer = json.loads(run(capsys, "performance", "--json").out)

    assert "there is nothing to measure" in before.out
    assert "1 analysed studies; the outcome of 1 is known" in ended.out
    assert "not for diagnostic use" in ended.out
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert answer["verification"]["known"] == 1
    assert answer["levels"][0]["auc"] is None
    assert answer["by_month"][0]["value"] == "2024-03"


def test_performance_is_narrowed_by_the_grammar_of_all_lists(
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = json.loads(
        run(capsys, "performance", "--study-date", "2024-03", "--ae-title", "MAM*", "--json").out
    )
    elsewhere = json.loads(run(capsys, "performance", "--study-date", "..2024-02", "--json").out)
    wrong = run(capsys, "performance", "--study-date", "March")

    assert there["verification"]["studies"] == 1
    assert there["narrowed_to"] == "Study Date 2024-03, AE title MAM*"
    assert elsewhere["verification"]["studies"] == 0
    assert (wrong.code, "--study-date" in wrong.err) == (ExitCode.USAGE, True)


def test_performance_of_no_study_says_from_where_there_are_some(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "performance", "--ae-title", "MAMO*")

    assert ended.code == 0
    assert "No analysed study is meant" in ended.out
    assert ended.err == "Studies ever came from: MAMMO1.\n"


@pytest.mark.parametrize("command", [("performance", "--html"), ("outcomes", "export", "--out")])
def test_a_folder_is_no_file_to_write_to(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = run(capsys, *command, str(tmp_path))

    assert ended.code == ExitCode.USAGE
    assert "is a directory" in ended.err
