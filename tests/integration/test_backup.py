"""A node that is backed up while it has work to do, and another one that does it afterwards."""

from pathlib import Path
from textwrap import dedent

import pytest

from command_line import run
from node.demo.pacs import AE_TITLE, FilingPacs
from node.keeping.backup import MANIFEST
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.queries import list_studies
from node.study_log.tables import StudyState
from peers import send
from phantoms import screening_study
from serving import delivering_settings, running_node, wait_until

pytestmark = [pytest.mark.integration]

STUDY_DEADLINE_S = 240


def states(data_dir: Path) -> list[StudyState]:
    database = Database.open(Settings(data_dir=data_dir))
    with database.reading() as session:
        found = [study.state for study in list_studies(session)]
    database.close()
    return found


def test_work_that_was_pending_at_the_backup_is_done_after_the_restore(
    tmp_path: Path,
    untrained_weights: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    with FilingPacs(tmp_path / "pacs", {}) as pacs:
        settings = dedent(
            delivering_settings(
                weights=untrained_weights, pacs_ae_title=AE_TITLE, pacs_port=pacs.port
            )
        )
        with running_node(before, settings, role="receive") as node:
            statuses = send(node.port, screening_study(seed=21))
            wait_until(
                lambda: states(node.data_dir) == [StudyState.SCHEDULED],
                deadline_s=60,
                what="the study waits for a worker",
            )
            backup = ["--with-files", "--config", str(before / "node.toml")]
            made = run(capsys, "backup", str(tmp_path / "backup"), *backup)
        monkeypatch.setenv("MAMMONODE_DATA_DIR", str(after / "data"))
        restored = run(capsys, "restore", str(tmp_path / "backup"))
        with running_node(after, settings) as node:
            wait_until(
                lambda: len(pacs.filed) >= 5,
                deadline_s=STUDY_DEADLINE_S,
                what="five results came",
            )
            wait_until(
                lambda: states(node.data_dir) == [StudyState.COMPLETED],
                deadline_s=30,
                what="the study is completed",
            )

    assert statuses == [0x0000] * 4
    assert (made.code, restored.code) == (0, 0)
    assert (tmp_path / "backup" / MANIFEST).exists()
