import json
from pathlib import Path

import pytest
from commands_of_training import run
from drawn_breasts import write_rsna_layout
from score_tables import drawn_table, evaluation_of

from networks import write_untrained_weights
from training.commands.options import ExitCode
from training.evaluation.report import FIGURES_FILE, REPORT_FILE, write_evaluation
from training.evaluation.scores import SCORES_FILE


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the evaluations `a`, `b` and `other`, which is of fewer images."""
    folder = tmp_path_factory.mktemp("evaluations")
    for name, patients, skill in (("a", 60, 0.5), ("b", 60, 2.0), ("other", 40, 1.0)):
        table = drawn_table(patients=patients, skill=skill)
        write_evaluation(evaluation_of(table), table, (), folder / name)
    return folder


def test_weights_are_measured_on_a_data_set_and_the_report_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_rsna_layout(tmp_path / "rsna", patients=12)
    weights = write_untrained_weights(tmp_path / "weights", input_size_px=(64, 48))

    code = run(
        "evaluate", "--weights", str(weights), "--data-set", "rsna", "--data", str(data),
        "--split", "all",
    )  # fmt: skip

    printed = capsys.readouterr().out
    made = Path("evaluations/untrained-0-on-rsna-all")
    assert code == ExitCode.SUCCESS
    assert "all: 12 patients" in printed
    assert "AUC by patient: " in printed
    assert "trained on other data" in printed
    assert str(made / REPORT_FILE) in printed
    assert {file.name for file in made.iterdir() if file.is_file()} == {
        REPORT_FILE, FIGURES_FILE, SCORES_FILE,
    }  # fmt: skip


def test_weights_that_are_not_there_end_with_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rsna_layout(tmp_path / "rsna", patients=2)

    code = run(
        "evaluate", "--weights", str(tmp_path / "nowhere"), "--data-set", "rsna",
        "--data", str(data),
    )  # fmt: skip

    assert code == ExitCode.WEIGHTS
    assert "manifest.json" in capsys.readouterr().err


def test_two_evaluations_are_set_side_by_side(
    evaluations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("compare", str(evaluations / "a"), str(evaluations / "b"))

    printed = capsys.readouterr().out
    assert code == ExitCode.SUCCESS
    assert "60 patients" in printed
    assert "AUC-ROC" in printed
    assert "+0." in printed


def test_differences_are_printed_as_json_alone(
    evaluations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("compare", str(evaluations / "a"), str(evaluations / "b"), "--json")

    found = json.loads(capsys.readouterr().out)
    areas = [each for each in found["differences"] if each["figure"] == "auc"]
    assert [each["level"] for each in areas] == ["image", "breast", "patient"]
    assert all(each["difference"]["low"] > 0 for each in areas)


def test_evaluations_of_other_images_end_with_1_and_what_to_do(
    evaluations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("compare", str(evaluations / "a"), str(evaluations / "other"))

    printed = capsys.readouterr()
    assert code == ExitCode.FAILURE
    assert "240 and 160 images, 160 of them in both" in printed.err
    assert "the same split of the same data set" in printed.err
    assert printed.out == ""
