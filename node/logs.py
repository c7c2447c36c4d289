"""The log: one JSON line for each event, on standard error, without patient attributes.

A line holds the moment (UTC), the level, the event's name, the logger, the process, a fixed
phrase, and the fields that were given in ``extra``. A traceback names places and classes, not
what a library's exception says. The libraries' own loggers are turned down: pynetdicom would log
C-FIND identifiers, pydicom quotes values that it does not like, TensorFlow tells how it was built.
"""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Any, TextIO

from model.errors import ModelError
from node.errors import NodeError

LOG_LEVEL = "INFO"
"""What an operator needs to tell the story of one study."""

PATIENT_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "PatientAge",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "PatientMotherBirthName",
    "PatientBirthName",
    "PatientComments",
    "AccessionNumber",
    "AdmissionID",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "RequestingPhysician",
    "InstitutionName",
)
"""Attributes that never stand in a log (PS3.15 table E.1-1 lists them among those to remove)."""

WITHHELD = "withheld"

_SPEAK_OF_NO_PATIENT = (
    NodeError,
    ModelError,
    OSError,
    MemoryError,
    ImportError,
    AttributeError,
    NameError,
    IndexError,
)

_QUIET_LOGGERS = {
    "pynetdicom": logging.WARNING,
    # Its messages, and the warnings of the warnings module, quote the values of attributes.
    "pydicom": logging.CRITICAL,
    "py.warnings": logging.CRITICAL,
    "highdicom": logging.WARNING,
    "apscheduler": logging.WARNING,
    "alembic": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "dbos": logging.WARNING,
    "tensorflow": logging.ERROR,
    "absl": logging.ERROR,
    "h5py": logging.WARNING,
    "PIL": logging.WARNING,
}
_RECORD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _in_one_spelling(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


_PATIENT_FIELDS = frozenset(_in_one_spelling(keyword) for keyword in PATIENT_KEYWORDS)


class JSONFormatter(logging.Formatter):
    """One record as one line of JSON.

    A field that is named as a patient attribute, as ``PatientID`` or ``patient_id``, at any depth,
    keeps its name and loses its value: a slip in the code must not become a disclosure.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON, without its line feed."""
        extra = {k: v for k, v in record.__dict__.items() if k not in _RECORD_ATTRIBUTES}
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "event": extra.pop("event", ""),
            "message": record.getMessage(),
            "logger": record.name,
            "process_id": record.process,
        }
        line |= {name: value for name, value in _without_patient(extra).items() if name not in line}
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = "".join(_traceback(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str = LOG_LEVEL, *, stream: TextIO | None = None) -> None:
    """Send every log record of this process to one place, as JSON lines.

    Called once in each process, before TensorFlow is imported. Calling it again replaces what
    was set up before.

    Parameters
    ----------
    level
        Name of the lowest level that is written, as in ``"INFO"``.
    stream
        Where to; None: standard error.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    quiet_libraries()


def quiet_libraries() -> None:
    """Turn the libraries' own loggers and warnings down; before TensorFlow is imported."""
    logging.captureWarnings(True)
    for name, level in _QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    # Read by TensorFlow's C++ side when it is loaded: errors only.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _keep_values_out()


@contextmanager
def native_chatter_held() -> Iterator[TextIO]:
    """Hold back what C++ libraries write to standard error; show it only if the block fails.

    TensorFlow tells of processors and of GPUs that are not there, whatever its log level. For
    commands that a person watches: everything that this process writes to standard error is held,
    except through the stream that is given.

    Yields
    ------
    stream
        Standard error as it was.
    """
    sys.stderr.flush()
    descriptor = sys.stderr.fileno()
    with os.fdopen(os.dup(descriptor), "w", buffering=1) as stream, TemporaryFile() as held:
        os.dup2(held.fileno(), descriptor)
        try:
            yield stream
        except (NodeError, ModelError, KeyboardInterrupt, SystemExit):
            raise  # said in one line, which is all that is needed
        except BaseException:
            held.seek(0)
            stream.write(held.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr.flush()
            stream.flush()
            os.dup2(stream.fileno(), descriptor)


def _keep_values_out() -> None:
    """Switch off, whatever a level is set to later, what would quote the values of attributes.

    pynetdicom does it with queries, pydicom with values that do not fit their VR.
    """
    import pydicom.config
    from pynetdicom import _config

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE

    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False


def _traceback(error: BaseException) -> Iterator[str]:
    """Give the chain of exceptions, first cause first, with where each was raised.

    What an exception says is kept where the node or the machine says it; a library's own words
    may quote the value of an attribute.
    """
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _traceback(cause)
        yield "Then:\n"
    yield from traceback.format_tb(error.__traceback__)
    # `node.study_log.database` has SQLAlchemy hide the values of a statement.
    is_of_database = type(error).__module__ == "sqlalchemy.exc"
    is_told = is_of_database or isinstance(error, _SPEAK_OF_NO_PATIENT)
    yield f"{type(error).__name__}: {error if is_told else WITHHELD}\n"


def _without_patient(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Copy fields, with the values of patient attributes withheld."""
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if _in_one_spelling(str(name)) in _PATIENT_FIELDS:
            kept[str(name)] = WITHHELD
        else:
            kept[str(name)] = _without_patient(value) if isinstance(value, Mapping) else value
    return kept
