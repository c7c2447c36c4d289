"""The same question, asked of the study log in every way there is, gets the same answer."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from large_logs import (
    AE_TITLES,
    MODEL_VERSIONS,
    NEWEST_AT,
    fill_log,
    patient_id,
    study_instance_uid,
)
from node.settings import Settings
from node.study_log import queries
from node.study_log.database import Database
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import StudyState
from querying import asked_node, find, keys, private, querying, with_private

pytestmark = pytest.mark.integration

STUDIES = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question in the words of each asker.

    Attributes
    ----------
    which
        Asked of the log.
    options
        Of ``mammonode studies list``.
    keys, private_keys
        Of a C-FIND request at STUDY level.
    """

    which: StudyFilter
    options: tuple[str, ...] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)
    private_keys: Mapping[str, Any] = field(default_factory=dict)


DAY = NEWEST_AT - timedelta(days=40)
QUESTIONS = {
    "all of them": Question(which=StudyFilter()),
    "what failed": Question(
        which=StudyFilter(states=[StudyState.FAILED]),
        options=("--state", "failed"),
        private_keys={"e01": "FAILED"},
    ),
    "what is on its way": Question(
        which=StudyFilter(
            states=[StudyState.RECEIVING, StudyState.SCHEDULED, StudyState.IN_PROGRESS]
        ),
        options=("--state", "receiving", "--state", "scheduled", "--state", "in-progress"),
        private_keys={"e01": ["RECEIVING", "SCHEDULED", "IN PROGRESS"]},
    ),
    "of a range of days": Question(
        which=StudyFilter(study_date_from=f"{DAY:%Y%m%d}", study_date_to=f"{NEWEST_AT:%Y%m%d}"),
        options=("--study-date", f"{DAY:%Y-%m-%d}..{NEWEST_AT:%Y-%m-%d}"),
        keys={"StudyDate": f"{DAY:%Y%m%d}-{NEWEST_AT:%Y%m%d}"},
    ),
    "received on a day or later": Question(
        which=StudyFilter(received_from=datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)),
        options=("--received", f"{DAY:%Y-%m-%d}T00:00Z.."),
        private_keys={"e0C": f"{DAY:%Y%m%d}-"},
    ),
    "of a patient": Question(
        which=StudyFilter(patient_id=patient_id(9)),
        options=("--patient-id", patient_id(9)),
        keys={"PatientID": patient_id(9)},
    ),
    "of some patients": Question(
        which=StudyFilter(patient_id="P000000?"),
        options=("--patient-id", "P000000?"),
        keys={"PatientID": "P000000?"},
    ),
    "of a name": Question(
        which=StudyFilter(patient_name="dvorakova*"),
        options=("--patient-name", "dvorakova*"),
        keys={"PatientName": "dvorakova*"},
    ),
    "of an accession number": Question(
        which=StudyFilter(accession_number="A00000001?"),
        options=("--accession", "A00000001?"),
        keys={"AccessionNumber": "A00000001?"},
    ),
    "from a sender": Question(
        which=StudyFilter(calling_ae_title=AE_TITLES[0]),
        options=("--ae-title", AE_TITLES[0]),
        private_keys={"e0B": AE_TITLES[0]},
    ),
    "of a range of scores": Question(
        which=StudyFilter(score_from=0.2, score_to=0.4),
        options=("--score", "0.2..0.4"),
        private_keys={"e0D": "0.2", "e0E": "0.4"},
    ),
    "of a call": Question(
        which=StudyFilter(is_suspicious=True),
        options=("--call", "suspicious"),
        private_keys={"e06": "SUSPICIOUS"},
    ),
    "of a model": Question(
        which=StudyFilter(model_version=MODEL_VERSIONS[0]),
        options=("--model-version", MODEL_VERSIONS[0]),
        private_keys={"e08": MODEL_VERSIONS[0]},
    ),
    "of a study": Question(
        which=StudyFilter(study_instance_uids=[study_instance_uid(7)]),
        options=("--study", study_instance_uid(7)),
        keys={"StudyInstanceUID": study_instance_uid(7)},
    ),
    "of several at once": Question(
        which=StudyFilter(
            states=[StudyState.COMPLETED], is_suspicious=False, patient_name="*^ANNA"
        ),
        options=("--state", "completed", "--call", "not-suspicious", "--patient-name", "*^ANNA"),
        keys={"PatientName": "*^ANNA"},
        private_keys={"e01": "COMPLETED", "e06": "NOT SUSPICIOUS"},
    ),
    "of nobody": Question(
        which=StudyFilter(patient_id="NOBODY"),
        options=("--patient-id", "NOBODY"),
        keys={"PatientID": "NOBODY"},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every asker is told of a study, the score to eight digits."""

    study_instance_uid: str
    state: str
    calling_ae_title: str
    revision: int | None
    score: float | None
    is_suspicious: bool | None
    model_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A study log, and the receiver that is asked about it."""

    database: Database
    data_dir: Path
    port: int


Asker = Callable[[Log, Question], list[Answer]]


def of_the_log(log: Log, question: Question) -> list[Answer]:
    with log.database.reading() as session:
        found = queries.list_studies(session, question.which, limit=None)
    return [of_summary(asdict(study)) for study in found]


def by_command_line(log: Log, question: Question) -> list[Answer]:
    ended = subprocess.run(
        [
            sys.executable, "-m", "node", "studies", "list", "--json", "--limit", str(STUDIES),
            *question.options,
        ],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "MAMMONODE_DATA_DIR": str(log.data_dir), "TZ": "UTC"},
    )  # fmt: skip
    return [of_summary(study) for study in json.loads(ended.stdout)["studies"]]


def of_summary(study: dict[str, Any]) -> Answer:
    """Read what the command line prints, and what the log says to it in the same words."""
    newest = study["revision"] or {}
    return Answer(
        study_instance_uid=study["study_instance_uid"],
        state=str(study["state"]),
        calling_ae_title=study["calling_ae_title"],
        revision=newest.get("number"),
        score=rounded(newest.get("score")),
        is_suspicious=newest.get("is_suspicious"),
        model_version=newest.get("model_version"),
    )


def over_dicom(log: Log, question: Question) -> list[Answer]:
    asked = {f"e{element:02X}": None for element in (0x01, 0x03, 0x06, 0x08, 0x09, 0x0B)}
    identifier = with_private(keys(**question.keys), **{**asked, **question.private_keys})
    with querying(log.port) as assoc:
        found = find(assoc, identifier)
    assert found.status.Status == 0
    return [of_identifier(ds) for ds in found.identifiers]


def of_identifier(ds: Dataset) -> Answer:
    call, number, score = (private(ds, element) for element in (0x06, 0x09, 0x03))
    return Answer(
        study_instance_uid=str(ds.StudyInstanceUID),
        state=private(ds, 0x01),
        calling_ae_title=private(ds, 0x0B),
        revision=None if number is None else int(number),
        score=rounded(None if score is None else float(score)),
        is_suspicious=call == "SUSPICIOUS" if call else None,
        model_version=private(ds, 0x08) or None,
    )


def rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 8)


ASKERS: dict[str, Asker] = {"command line": by_command_line, "C-FIND": over_dicom}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data_dir: Path = tmp_path_factory.mktemp("log")
    database = Database.open(Settings(data_dir=data_dir))
    database.migrate()
    fill_log(database, STUDIES)
    with asked_node(database, data_dir) as receiver:
        yield Log(database=database, data_dir=data_dir, port=receiver.port)
    database.close()


@pytest.mark.parametrize("asker", ASKERS.values(), ids=ASKERS)
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_whoever_asks_gets_the_same_answer(log: Log, question: Question, asker: Asker) -> None:
    def in_order(answers: list[Answer]) -> list[Answer]:
        return sorted(answers, key=lambda answer: answer.study_instance_uid)

    expected = in_order(of_the_log(log, question))

    assert in_order(asker(log, question)) == expected


def test_the_questions_tell_studies_apart(log: Log) -> None:
    counts = {name: len(of_the_log(log, question)) for name, question in QUESTIONS.items()}

    assert counts.pop("all of them") == STUDIES
    assert counts.pop("of nobody") == 0
    assert {name for name, count in counts.items() if not 0 < count < STUDIES} == set()
