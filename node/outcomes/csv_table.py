"""Outcomes as a CSV table: one row a breast, or one for both where a follow-up found nothing."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date

from node.errors import PermanentError
from node.outcomes.rows import Faults, GivenFile, GivenOutcome, outcomes_of
from node.settings_faults import nearest_key

REQUIRED = ("patient_id", "laterality", "date", "source", "result")
OPTIONAL = ("issuer_of_patient_id",)
COLUMNS = (*REQUIRED, *OPTIONAL)
_SAVE_AS = 'A spreadsheet writes it as "CSV UTF-8".'
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_csv(data: bytes, *, today: date) -> GivenFile:
    """Read a table of outcomes.

    Parameters
    ----------
    data
        The file: UTF-8 with or without a byte order mark, values between commas, a heading with
        the names of the columns in any order.
    today
        No outcome is of a later day.

    Returns
    -------
    file
        All rows, each accepted.

    Raises
    ------
    PermanentError
        If the file is no such table, or a row is not accepted; says which and why.
    """
    rows = _rows(decoded(data))
    number, heading = next(rows, (1, []))
    columns = [name.strip().lower() for name in heading]
    _check(columns)
    faults = Faults()
    outcomes: list[GivenOutcome] = []
    last = 0
    for number, cells in rows:
        last += 1
        row = f"row {number}"
        if len(cells) != len(columns):
            faults.add(row, f"expected {len(columns)} values, found {len(cells)}")
            continue
        values = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        outcomes += outcomes_of(values, row, faults, today=today)
    faults.raise_if_any()
    return GivenFile(rows=last, outcomes=tuple(outcomes))


def decoded(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises
    ------
    PermanentError
        If it is another encoding; says which where that can be seen.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PermanentError(reason=f"Expected UTF-8, found UTF-16. {_SAVE_AS}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PermanentError(
            reason=f"Expected UTF-8, found another encoding in line {line}. {_SAVE_AS}"
        ) from None
    if "\0" in text:
        raise PermanentError(reason="Expected text, found a file with zero bytes")
    return text


def _rows(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Give the rows with their numbers as a spreadsheet counts them; empty ones are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for number, cells in enumerate(reader, 1):
            if any(cell.strip() for cell in cells):
                yield number, cells
    except csv.Error:
        raise PermanentError(
            reason=f"Expected values between commas, found quotes that do not close or stand in "
            f"the middle of a value, near line {reader.line_num}"
        ) from None


def _check(columns: Sequence[str]) -> None:
    """Make sure that the heading names the columns, each once."""
    if not columns:
        raise PermanentError(
            reason=f"Expected a heading with the columns {', '.join(REQUIRED)}; found nothing"
        )
    if len(columns) == 1:
        for sign, name in _OTHER_DELIMITERS.items():
            if sign in columns[0]:
                raise PermanentError(
                    reason=f"Expected commas between the columns, found {name}. Save the table "
                    "with commas; a spreadsheet takes the sign from the country it is set to."
                )
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in columns]
    if unknown or missing:
        raise PermanentError(reason=" ".join([*map(_unknown, unknown[:3]), *_missing(missing)]))
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise PermanentError(reason=f"Expected each column once, found {twice} twice")


def _unknown(name: str) -> str:
    """Name a column that is not known; not quoted if it may be a value of a table without one."""
    is_word = name.replace("_", "").replace(" ", "").isalpha() and name.isascii()
    nearest = nearest_key(name.replace(" ", "_"), COLUMNS)
    shown = name if is_word and nearest else "one that is not known"
    hint = f" Did you mean {nearest}?" if nearest else ""
    return f"Expected the columns {', '.join(COLUMNS)}; found {shown}.{hint}"


def _missing(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    noun = "column is" if len(names) == 1 else "columns are"
    return [f"The {noun} missing: {', '.join(names)}."]
