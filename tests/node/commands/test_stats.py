"""``mammonode stats``: what it prints in a terminal, through a pipe, as JSON and as CSV."""

import csv
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from command_line import Ended, run
from large_logs import AE_TITLES, MODEL_VERSIONS, fill_log
from manifests import made_up_manifest, made_up_reference
from model.manifest import MANIFEST_FILE, Manifest
from node.commands import stats_view
from node.commands.options import ExitCode
from node.commands.stats import TableName
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.statistics import statistics_of
from node.study_log.study_filter import StudyFilter

STUDIES = 600
EVER = ("--received", "2020..2030")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a log of two years that the newest weights scored half of."""
    folder = tmp_path_factory.mktemp("data")
    database = Database.open(Settings(data_dir=folder))
    database.migrate()
    fill_log(database, STUDIES)
    database.close()
    return folder


def weights(**facts: Any) -> Manifest:
    digest = hashlib.sha256(MODEL_VERSIONS[1].encode()).hexdigest()
    return made_up_manifest(
        **{"version": MODEL_VERSIONS[1], "sha256": digest, "reference": made_up_reference()} | facts
    )


def use_weights(folder: Path, monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> None:
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    monkeypatch.setenv("MAMMONODE_MODEL__WEIGHTS", str(folder))


@pytest.fixture(autouse=True)
def _settings(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(filled))
    use_weights(tmp_path, monkeypatch, weights())


def stats(capsys: pytest.CaptureFixture[str], *options: str) -> Ended:
    return run(capsys, "stats", *options)


def document(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    return json.loads(stats(capsys, *options, "--json").out)


def drawn(filled: Path, *, width: int, manifest: Manifest | None = None) -> str:
    """Draw it as a terminal of that width shows it."""
    database = Database.open(Settings(data_dir=filled))
    with database.reading() as session:
        answer = statistics_of(session, StudyFilter(), manifest or weights())
    database.close()
    console = Console(
        width=width, force_terminal=True, highlight=False, color_system=None, file=io.StringIO()
    )
    with console.capture() as captured:
        console.print(stats_view.statistics_view(answer, console))
    return captured.get()


def test_everything_that_is_asked_of_a_month_is_answered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = stats(capsys, *EVER)

    assert ended.code == ExitCode.SUCCESS
    for expected in (
        "Studies received from 2020-01-01 00:00 to 2030-12-31 23:59",
        f"Studies              {STUDIES}",
        "Positives per 1,000",
        "95 % interval",
        "By calling AE title",
        AE_TITLES[0],
        "received to closed",
        "completed to delivered",
        "out of memory",
        "spot or magnification view",
        "0.45 to 0.50",
        "operating point 0.400",
        "grey deviation",
        "Against 400 images of 100 women",
        "PSI below 0.1: stable; below 0.25: shifted, look why; else far off.",
        "Fewer than 500 images: too few to say.",
        "images that other weights scored are left out.",
        "set [model] prevalence",
        "Research software, not for diagnostic use.",
    ):
        assert expected in ended.out, expected


def test_through_a_pipe_there_are_neither_bars_nor_colours_nor_rules(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = stats(capsys, *EVER).out

    assert "\x1b" not in out
    assert not set("█▏▎▍▌▋▊▉─") & set(out)
    assert max(len(line) for line in out.splitlines()) < 200
    assert all(line == line.rstrip() for line in out.splitlines())


@pytest.mark.parametrize("width", [80, 120])
def test_in_a_terminal_nothing_is_wider_than_it_or_cut_off(filled: Path, width: int) -> None:
    out = drawn(filled, width=width)

    assert max(len(line) for line in out.splitlines()) <= width
    assert "…" not in out
    assert "█" in out
    for line in out.splitlines():
        if " to " in line and "operating point" in line:
            assert line.split()[:3] == ["0.40", "to", "0.45"]


def test_the_longest_bar_is_that_of_the_commonest_score(filled: Path) -> None:
    lines = [line for line in drawn(filled, width=120).splitlines() if " to 0." in line]
    lines = [line for line in lines if line.split()[0].startswith("0.")]

    counts = {line: int(line.split()[3].replace(",", "")) for line in lines}
    longest = max(lines, key=lambda line: line.count("█"))
    assert counts[longest] == max(counts.values())
    assert longest.count("█") == 40
    assert all((count > 0) == bool(set("█▏▎▍▌▋▊▉") & set(line)) for line, count in counts.items())


def test_a_long_range_is_shown_by_month_and_a_short_one_by_day(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long, short = stats(capsys, *EVER).out, stats(capsys, "--received", "2026-02").out

    assert "By month" in long
    assert "\n  2025-07 " in long
    assert "By day" in short
    assert "\n  2026-02-14 " in short


def test_json_has_every_part_and_names_its_thresholds(capsys: pytest.CaptureFixture[str]) -> None:
    answer = document(capsys, *EVER)

    assert answer["total"]["studies"] == STUDIES
    assert sum(row["volume"]["studies"] for row in answer["days"]) == STUDIES
    assert len(answer["scores"]["histogram"]) == 20
    assert {row["interval"] for row in answer["latencies"]} == {
        "received to closed",
        "closed to completed",
        "completed to delivered",
        "received to delivered",
    }
    drift = answer["drift"]
    thresholds = [drift[name] for name in ("shifted_from", "far_from", "least_images")]
    assert thresholds == [0.1, 0.25, 500]
    assert [row["statistic"] for row in drift["statistics"]] == [
        "score", "breast_share", "mean_grey", "grey_deviation", "detail",
    ]  # fmt: skip
    assert all(row["psi"] is not None for row in drift["statistics"])


def test_json_gives_the_range_that_was_asked_for_in_utc(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = document(capsys, "--received", "2026-02-01T00:00:00+02:00..2026-02-28T12:00:00+02:00")

    assert answer["received_from"] == "2026-01-31T22:00:00.000+00:00"
    assert answer["received_to"] == "2026-02-28T10:00:00.999+00:00"


@pytest.mark.parametrize("table", TableName)
def test_every_table_is_there_as_csv(capsys: pytest.CaptureFixture[str], table: TableName) -> None:
    ended = stats(capsys, *EVER, "--csv", table.value)

    rows = list(csv.reader(io.StringIO(ended.out)))
    assert ended.code == ExitCode.SUCCESS
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}


def test_the_days_as_csv_are_those_of_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    days = document(capsys, *EVER)["days"]

    rows = list(csv.DictReader(io.StringIO(stats(capsys, *EVER, "--csv", "days").out)))

    assert rows == [
        {"day": row["day"], **{name: str(count) for name, count in row["volume"].items()}}
        for row in days
    ]


def test_no_patient_stands_in_any_form(capsys: pytest.CaptureFixture[str]) -> None:
    printed = [stats(capsys, *EVER).out, stats(capsys, *EVER, "--json").out]
    printed += [stats(capsys, *EVER, "--csv", table.value).out for table in TableName]

    for out in printed:
        assert not any(word in out for word in ("HOSPITAL", "MÜLLER", "P0000", "A00000", "^"))
        assert "1.2.826.0.1" not in out


def test_an_ae_title_that_nothing_came_from_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = stats(capsys, *EVER, "--ae-title", "MAMO1")

    assert (ended.code, ended.out) == (ExitCode.SUCCESS, "")
    assert "No studies received from 2020-01-01 00:00 to 2030-12-31 23:59 from MAMO1." in ended.err
    assert ", ".join(sorted(AE_TITLES)) in ended.err
    empty = document(capsys, *EVER, "--ae-title", "MAMO1")
    assert empty["total"]["studies"] == 0
    assert empty["scores"]["per_1000"] is None
    days = stats(capsys, *EVER, "--ae-title", "MAMO1", "--csv", "days").out
    assert days.splitlines() == ["day,studies,images,failed,skipped,scored,suspicious"]


def test_by_default_the_last_30_days_are_meant(capsys: pytest.CaptureFixture[str]) -> None:
    ended = stats(capsys)

    # The log ends months ago.
    assert (ended.code, ended.out) == (ExitCode.SUCCESS, "")
    assert "No studies received from 20" in ended.err


def test_a_log_that_nothing_came_to_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(Settings(data_dir=tmp_path / "empty"))
    database.migrate()
    database.close()
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path / "empty"))

    ended = stats(capsys)

    assert ended.code == ExitCode.SUCCESS
    assert ended.err.endswith("None was ever received.\n")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--received", "2026-13"), "2026-13"),
        (("--received", "last month"), "last month"),
        (("--received", "2026-03..2026-02"), "ends before it begins"),
        (("--received", ".."), ".."),
        (("--csv", "day"), "Did you mean days?"),
        (("--csv", "days", "--json"), "cannot be given together"),
        (("--from", "2026-02-01"), "--from"),
    ],
)
def test_what_cannot_be_answered_ends_with_one_line_and_2(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], found: str
) -> None:
    ended = stats(capsys, *options)

    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert found in ended.err
    assert len(ended.err.splitlines()) == 1


def test_without_a_log_there_is_nothing_to_ask(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path))

    ended = stats(capsys)

    assert ended.code == ExitCode.TRY_AGAIN
    assert "No study log" in ended.err


def test_weights_without_a_reference_say_so_in_the_place_of_the_drift(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_weights(tmp_path, monkeypatch, weights(reference=None))

    assert "The weights bring no reference: drift cannot be told." in stats(capsys, *EVER).out


def test_weights_that_cannot_be_read_spoil_the_drift_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MANIFEST_FILE).write_text("{}", encoding="utf-8")

    ended = stats(capsys, *EVER)

    assert ended.code == ExitCode.SUCCESS
    assert "The weights of the settings cannot be read." in ended.out
    assert "received to closed" in ended.out
    assert "operating point" not in ended.out


def test_other_weights_than_those_of_the_settings_have_no_drift_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = stats(capsys, *EVER, "--model-version", MODEL_VERSIONS[0]).out

    assert "No image was scored by phantom-net 1.1.0 (" in out
    assert "the weights of the settings: drift cannot be told." in out


def test_the_prevalence_of_the_site_is_what_scores_are_compared_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMONODE_MODEL__PREVALENCE", "0.006")

    out = stats(capsys, *EVER).out

    assert "at a prevalence of 0.006" in out
    assert "set [model] prevalence" not in out


def test_the_command_does_without_tensorflow() -> None:
    program = (
        "import sys\nfrom node.cli import main\n"
        "sys.argv = ['mammonode', 'stats', '--received', '2020..2030']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit('tensorflow' in sys.modules or 'dbos' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)

    assert ended.returncode == 0
    assert b"By calling AE title" in ended.stdout
