"""The log: what a line holds, and what never stands in it."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pydicom.config
import pytest
from pydicom.datadict import keyword_dict
from pydicom.valuerep import DA
from pynetdicom import _config

from node.errors import TransientError
from node.logs import PATIENT_KEYWORDS, WITHHELD, configure


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    settings = pydicom.config.settings
    modes = (settings.reading_validation_mode, settings.writing_validation_mode)
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    configure("INFO", stream=stream)
    yield stream
    logging.captureWarnings(False)
    settings.reading_validation_mode, settings.writing_validation_mode = modes
    root.handlers[:], root.level = before


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_moment_level_name_and_fields(stream: io.StringIO) -> None:
    logging.getLogger("node.x").info(
        "Instance stored", extra={"event": "instance_stored", "sop_instance_uid": "1.2", "size": 3}
    )

    (line,) = lines(stream)
    assert datetime.fromisoformat(line["at"]).utcoffset() == timedelta(0)
    assert line["level"] == "INFO"
    assert line["event"] == "instance_stored"
    assert line["message"] == "Instance stored"
    assert line["logger"] == "node.x"
    assert line["sop_instance_uid"] == "1.2"
    assert line["size"] == 3


def test_a_message_of_two_lines_stays_on_one(stream: io.StringIO) -> None:
    logging.getLogger("node.x").error("one\ntwo", extra={"event": "e", "reason": "a\nb"})

    assert len(stream.getvalue().splitlines()) == 1


def test_an_error_brings_its_traceback_and_no_value_that_a_library_quotes(
    stream: io.StringIO,
) -> None:
    try:
        try:
            DA("Doe^Jane")
        except ValueError as error:
            raise TransientError(reason="the study cannot be read") from error
    except TransientError:
        logging.getLogger("node.x").exception("Work failed", extra={"event": "work_failed"})

    (line,) = lines(stream)
    assert __file__ in line["traceback"]
    assert f"ValueError: {WITHHELD}\n" in line["traceback"]
    assert line["traceback"].endswith("TransientError: the study cannot be read\n")
    assert "Doe" not in line["traceback"].replace('DA("Doe^Jane")', "")


@pytest.mark.parametrize("field", ["PatientName", "patient_name", "accession_number", "PatientID"])
def test_a_patient_attribute_loses_its_value(stream: io.StringIO, field: str) -> None:
    logging.getLogger("node.x").info("Slip", extra={"event": "slip", field: "SECRET"})

    assert "SECRET" not in stream.getvalue()
    assert lines(stream)[0][field] == WITHHELD


def test_a_patient_attribute_inside_a_field_loses_its_value(stream: io.StringIO) -> None:
    logging.getLogger("node.x").info("Slip", extra={"event": "slip", "found": {"PatientID": "S3"}})

    assert "S3" not in stream.getvalue()


def test_a_field_cannot_pass_for_the_level_or_the_moment(stream: io.StringIO) -> None:
    logging.getLogger("node.x").info("Odd", extra={"event": "odd", "level": "DEBUG", "at": "then"})

    assert lines(stream)[0]["level"] == "INFO"
    assert lines(stream)[0]["at"] != "then"


def test_the_withheld_keywords_are_keywords_of_the_dictionary() -> None:
    unknown = [keyword for keyword in PATIENT_KEYWORDS if keyword not in keyword_dict]

    assert unknown == []


def test_the_libraries_do_not_log_what_the_data_sets_hold(stream: io.StringIO) -> None:
    logging.getLogger("pynetdicom.acse").info("Identifier: Doe^Jane")
    logging.getLogger("pydicom").warning("Invalid value for VR PN: Doe^Jane")
    logging.getLogger("py.warnings").warning("Invalid value for VR PN: Doe^Jane")

    assert stream.getvalue() == ""
    assert not _config.LOG_REQUEST_IDENTIFIERS
    assert not _config.LOG_RESPONSE_IDENTIFIERS


def test_what_goes_wrong_in_an_association_is_still_logged(stream: io.StringIO) -> None:
    logging.getLogger("pynetdicom.assoc").error("Association Aborted")

    assert lines(stream)[0]["message"] == "Association Aborted"
