"""A table of outcomes: what is accepted, and what a person is told of the rest."""

from datetime import date

import pytest

from node.errors import PermanentError
from node.outcomes.csv_table import read_csv
from node.study_log.tables import OutcomeResult, OutcomeSource
from outcome_logs import HEADING

TODAY = date(2026, 6, 1)
GOOD = "SECRET,,R,2024-05-01,histopathology,malignant\n"


def refusal(data: bytes) -> str:
    """Give what a person is told; it never holds a value that could be a patient's."""
    with pytest.raises(PermanentError) as caught:
        read_csv(data, today=TODAY)
    assert "SECRET" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_table_in_utf_8_is_read_with_and_without_a_byte_order_mark(
    mark: bytes, ending: str
) -> None:
    text = HEADING + "Ä-1,Kreis Süd,l,20240501,Follow_Up,NEGATIVE\n\n"

    given = read_csv(mark + text.replace("\n", ending).encode(), today=TODAY)

    (item,) = given.outcomes
    assert (given.rows, item.row) == (1, "row 2")
    assert item.outcome.patient_id == "Ä-1"
    assert item.outcome.issuer_of_patient_id == "Kreis Süd"
    assert item.outcome.laterality == "L"
    assert item.outcome.date == date(2024, 5, 1)
    assert item.outcome.source is OutcomeSource.FOLLOW_UP
    assert item.outcome.result is OutcomeResult.NEGATIVE


def test_columns_come_in_any_order_and_the_issuer_may_be_absent() -> None:
    data = b"result,date,patient_id,laterality,source\nbenign,2024-05-01,A,R,histopathology\n"

    (item,) = read_csv(data, today=TODAY).outcomes

    assert (item.outcome.patient_id, item.outcome.issuer_of_patient_id) == ("A", "")


def test_a_follow_up_of_both_breasts_gives_two_outcomes() -> None:
    given = read_csv(f"{HEADING}A,,B,2024-05-01,follow_up,negative\n".encode(), today=TODAY)

    assert [item.outcome.laterality for item in given.outcomes] == ["R", "L"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("SECRET,,R,2024-13-01,histopathology,benign", "row 3: date: expected a day as YYYY-MM-DD"),
        ("SECRET,,R,1.5.2024,histopathology,benign", "row 3: date: expected a day"),
        ("SECRET,,R,,histopathology,benign", "found nothing"),
        ("SECRET,,R,2026-06-02,histopathology,benign", "a day that has come"),
        ("SECRET,,R,1024-05-01,histopathology,benign", "from 1950 on"),
        ("SECRET,,SECRET,2024-05-01,histopathology,benign", "laterality: expected R, L or B"),
        ("SECRET,,B,2024-05-01,histopathology,benign", "one row for each breast"),
        ("SECRET,,R,2024-05-01,SECRET,benign", "source: expected histopathology or follow_up"),
        ("SECRET,,R,2024-05-01,histopathology,SECRET", "result: expected malignant or benign"),
        ("SECRET,,R,2024-05-01,follow_up,malignant", "expected negative from follow_up"),
        ("SECRET,,R,2024-05-01,histopathology,negative", "expected malignant or benign from"),
        (",,R,2024-05-01,histopathology,benign", "patient_id: expected one, found nothing"),
        (f"{'SECRET' * 11},,R,2024-05-01,histopathology,benign", "at most 64 printable"),
        ("SECRET\\X,,R,2024-05-01,histopathology,benign", "no backslash"),
        ("SECRET,R,2024-05-01,histopathology,benign", "expected 6 values, found 5"),
    ],
)
def test_a_row_that_is_not_accepted_is_named_and_not_quoted(row: str, said: str) -> None:
    assert said in refusal(f"{HEADING}{GOOD}{row}\n".encode())


def test_all_rows_at_fault_are_counted_and_the_first_ten_are_named() -> None:
    told = refusal((HEADING + GOOD.replace("R,", "X,") * 12).encode())

    assert told.startswith("12 rows are not accepted, and nothing was imported")
    assert told.count("row ") == 10
    assert "and 2 more" in told


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "found nothing"),
        (HEADING.replace(",", ";").encode(), "found semicolons"),
        (HEADING.replace(",", "\t").encode(), "found tabs"),
        ((HEADING + GOOD).encode("utf-16"), "found UTF-16"),
        (f"{HEADING}{GOOD}SECRETä,,R,2024-05-01,x,y\n".encode("latin-1"), "in line 3"),
        (b"patient_id,laterality\0", "zero bytes"),
        (HEADING.replace("laterality", "lateralty").encode(), "Did you mean laterality?"),
        (HEADING.replace("date", "SECRET 12").encode(), "found one that is not known"),
        (HEADING.replace(",result", "").encode(), "The column is missing: result."),
        (HEADING.replace("issuer_of_patient_id", "date").encode(), "found date twice"),
        (f'{HEADING}"SECRET,,R,2024-05-01\n'.encode(), "quotes that do not close"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_with_what_to_do(data: bytes, said: str) -> None:
    assert said in refusal(data)
