"""The linked breasts as a table for training, and the reader on the other side of it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands_of_training import run
from sqlalchemy import select

from bench import BEGIN, Bench, phantom
from node.errors import PermanentError
from node.outcomes.training_table import COLUMNS, Exported, export_table
from node.study_log.outcome_patients import empty_outcomes
from node.study_log.outcomes import Outcome, add_outcomes
from node.study_log.revisions import images_here, queue_revision
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import (
    CloseReason,
    Gone,
    Instance,
    OutcomeResult,
    OutcomeSource,
    Study,
    StudyState,
)
from outcome_logs import NOW
from training.datasets import Label, outcomes, registry
from training.errors import DataSetError
from training.splits import by_split


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    """Give a log and a store with two patients, of each four views that were analysed."""
    bench = Bench(tmp_path, url=either_database)
    for seed in range(2):
        for number, (side, view) in enumerate(
            [("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")], 1
        ):
            bench.admit(
                phantom(seed=seed, laterality=side, view_position=view, instance_number=number)
            )
    queue = bench.queue  # its tables are made before the log is written to
    with bench.database.writing() as session:
        for study in session.scalars(select(Study)):
            study.study_date = "20240304"
            revision = queue_revision(
                session,
                queue.enqueue_analysis,
                study,
                images_here(study),
                close_reason=CloseReason.VIEW_SET,
                closed_at=BEGIN,
            )
            study.state = revision.state = StudyState.COMPLETED
            revision.score = revision.score_right = 0.4
            revision.score_left = 0.1
            for outcome in revision.outcomes:
                outcome.score = 0.2
    yield bench
    bench.close()


def add(bench: Bench, *said: tuple[str, str, str]) -> None:
    """Add outcomes: the number of the patient, side and result."""
    added = []
    for number, side, result in said:
        is_negative = result == "negative"
        source = OutcomeSource.FOLLOW_UP if is_negative else OutcomeSource.HISTOPATHOLOGY
        added.append(
            Outcome(
                patient_id=f"PHANTOM-{number}",
                issuer_of_patient_id="",
                date=BEGIN.date().replace(year=2025 if is_negative else 2024, day=9),
                laterality=side,
                source=source,
                result=OutcomeResult(result),
            )
        )
    with bench.database.writing() as session:
        add_outcomes(session, added, by="someone", at=NOW)


def export(bench: Bench, out: Path) -> Exported:
    return export_table(bench.database, bench.settings, StudyFilter(), out)


def test_an_exported_table_is_read_as_a_data_set(bench: Bench, tmp_path: Path) -> None:
    add(bench, ("0", "R", "malignant"), ("0", "L", "negative"), ("1", "L", "benign"))

    exported = export(bench, tmp_path / "table" / "outcomes.csv")
    data_set = registry.read_data_set("outcomes", tmp_path / "table")

    assert (exported.images, exported.cancers, exported.breasts) == (6, 2, 3)
    assert exported.patients == 2
    assert not data_set.problems
    found = {(i.laterality, i.view_position, i.label) for i in data_set.images}
    assert len(found) == 6
    assert {label for *_, label in found} == {Label.MALIGNANT, Label.BENIGN, Label.NO_CANCER}
    assert len({image.study_id for image in data_set.images}) == 2
    image = data_set.images[0]
    assert data_set.read_display(image).shape == (32, 24)
    splits = by_split(data_set.images)
    assert sum(len(images) for images in splits.values()) == 6


def test_inspect_counts_an_exported_table(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(bench, ("0", "R", "malignant"), ("0", "L", "negative"), ("1", "L", "benign"))
    export(bench, tmp_path / "outcomes.csv")

    run("inspect", "outcomes", str(tmp_path), "--json")

    counted = json.loads(capsys.readouterr().out)
    assert (counted["all"]["images"], counted["all"]["patients"]) == (6, 2)
    assert set(counted["by_view"]) == {"R CC", "L CC", "R MLO", "L MLO"}
    assert (counted["broken"], counted["problems"]) == ([], {})


def test_the_table_holds_no_patient_attribute(bench: Bench, tmp_path: Path) -> None:
    add(bench, ("0", "R", "malignant"))
    export(bench, tmp_path / "outcomes.csv")

    text = (tmp_path / "outcomes.csv").read_text()

    assert tuple(csv.DictReader(text.splitlines()).fieldnames or ()) == COLUMNS
    assert "PHANTOM" not in text


def test_a_patient_keeps_the_pseudonym_in_every_export(bench: Bench, tmp_path: Path) -> None:
    add(bench, ("0", "R", "malignant"))
    export(bench, tmp_path / "one" / "outcomes.csv")
    add(bench, ("0", "L", "negative"), ("1", "R", "benign"))
    export(bench, tmp_path / "two" / "outcomes.csv")

    one, two = (outcomes.read(tmp_path / name).images for name in ("one", "two"))

    assert {image.patient_id for image in one} < {image.patient_id for image in two}


def test_breasts_in_conflict_and_images_without_a_file_are_left_out_and_counted(
    bench: Bench, tmp_path: Path
) -> None:
    add(bench, ("0", "R", "malignant"), ("0", "R", "benign"), ("1", "L", "benign"))
    with bench.database.writing() as session:
        gone = session.scalars(
            select(Instance).where(Instance.laterality == "L").order_by(Instance.id.desc())
        ).first()
        assert gone is not None
        gone.removed_at, gone.removed_because = NOW, Gone.EXPIRED

    exported = export(bench, tmp_path / "outcomes.csv")

    assert (exported.images, exported.conflicts, exported.without_file) == (1, 1, 1)


def test_without_a_linked_breast_nothing_is_written(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="nothing was written"):
        export(bench, tmp_path / "outcomes.csv")

    assert not (tmp_path / "outcomes.csv").exists()


def test_the_reader_refuses_what_the_table_cannot_say(bench: Bench, tmp_path: Path) -> None:
    add(bench, ("0", "R", "malignant"))
    export(bench, tmp_path / "outcomes.csv")
    table = tmp_path / "outcomes.csv"
    table.write_text(table.read_text().replace("malignant", "perhaps"))

    with pytest.raises(DataSetError, match="line 2"):
        outcomes.read(tmp_path)


def test_an_image_that_has_gone_since_is_a_problem(bench: Bench, tmp_path: Path) -> None:
    add(bench, ("0", "R", "malignant"))
    export(bench, tmp_path / "outcomes.csv")
    for path in bench.settings.data_dir.rglob("*.dcm"):
        path.unlink()

    data_set = outcomes.read(tmp_path)

    assert (len(data_set.images), len(data_set.problems)) == (0, 2)


def test_an_emptied_outcome_is_exported_no_more(bench: Bench, tmp_path: Path) -> None:
    add(bench, ("0", "R", "malignant"))
    with bench.database.writing() as session:
        study = session.scalars(select(Study).where(Study.patient_id == "PHANTOM-0")).one()
        assert empty_outcomes(session, study, NOW) == 1

    with pytest.raises(PermanentError):
        export(bench, tmp_path / "outcomes.csv")
