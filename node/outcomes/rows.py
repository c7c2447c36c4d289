"""What one row of a file must hold, whatever its form, and how faults are gathered.

No message quotes a value: a row whose columns are shifted may have a name anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from node.errors import PermanentError
from node.study_log.outcomes import Outcome
from node.study_log.tables import OutcomeResult, OutcomeSource

Term = TypeVar("Term", OutcomeSource, OutcomeResult)

_LONGEST = 64
"""Characters of LO, PS3.5 6.2."""
_EARLIEST = date(1950, 1, 1)
_SHOWN = 10
_SIDES: Mapping[str, tuple[str, ...]] = {"R": ("R",), "L": ("L",), "B": ("R", "L")}
"""Terms of Laterality (0020,0060) and of Image Laterality (0020,0062)."""
RESULTS: Mapping[OutcomeSource, tuple[OutcomeResult, ...]] = {
    OutcomeSource.HISTOPATHOLOGY: (OutcomeResult.MALIGNANT, OutcomeResult.BENIGN),
    OutcomeSource.FOLLOW_UP: (OutcomeResult.NEGATIVE,),
}
"""What each source can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOutcome:
    """One outcome as a file gave it.

    Attributes
    ----------
    row
        Where it stands, for a person: ``row 7``.
    """

    row: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFile:
    """What a file gave.

    Attributes
    ----------
    rows
        How many it has.
    outcomes
        A row of both breasts gives two.
    passed_over
        Rows that are not to be taken, and why.
    """

    rows: int
    outcomes: tuple[GivenOutcome, ...]
    passed_over: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Faults:
    """What is wrong with the rows of a file; a file with any is not imported."""

    found: list[str] = field(default_factory=list)
    rows: set[str] = field(default_factory=set)

    def add(self, row: str, what: str) -> None:
        """Remember one; `what` quotes no value."""
        self.rows.add(row)
        self.found.append(f"{row}: {what}")

    def raise_if_any(self) -> None:
        """Raise if anything was found.

        Raises
        ------
        PermanentError
            With the first of them, one a line.
        """
        if not self.found:
            return
        lines = self.found[:_SHOWN]
        if len(self.found) > len(lines):
            lines.append(f"… and {len(self.found) - len(lines)} more")
        noun = "row is" if len(self.rows) == 1 else "rows are"
        raise PermanentError(
            reason=f"{len(self.rows)} {noun} not accepted, and nothing was imported:\n  "
            + "\n  ".join(lines)
        )


def outcomes_of(
    values: Mapping[str, str], row: str, faults: Faults, *, today: date
) -> tuple[GivenOutcome, ...]:
    """Make the outcomes of one row, one a breast; none if anything is wrong.

    Parameters
    ----------
    values
        By column of `csv_table.COLUMNS`, without the space around them.
    row
        As `GivenOutcome.row`.
    faults
        Where what is wrong is put.
    today
        No outcome is of a later day.
    """
    before = len(faults.found)
    patient_id = _text(values, "patient_id", row, faults)
    issuer = _text(values, "issuer_of_patient_id", row, faults, may_be_empty=True)
    sides = _SIDES.get(values["laterality"].upper())
    if sides is None:
        faults.add(row, f"laterality: expected R, L or B, {_found(values['laterality'])}")
    day = _date(values["date"], row, faults, today=today)
    source = _one_of("source", tuple(OutcomeSource), values, row, faults)
    result = _one_of("result", tuple(OutcomeResult), values, row, faults)
    if source is not None and result is not None and result not in RESULTS[source]:
        accepted = " or ".join(RESULTS[source])
        faults.add(row, f"result: expected {accepted} from {source}, found {result}")
    if sides is not None and len(sides) > 1 and source is OutcomeSource.HISTOPATHOLOGY:
        faults.add(row, "laterality: expected R or L from histopathology: one row for each breast")
    if len(faults.found) > before:
        return ()
    if sides is None or day is None or source is None or result is None:
        return ()
    return tuple(
        GivenOutcome(
            row=row,
            outcome=Outcome(
                patient_id=patient_id,
                issuer_of_patient_id=issuer,
                date=day,
                laterality=side,
                source=source,
                result=result,
            ),
        )
        for side in sides
    )


def _text(
    values: Mapping[str, str], column: str, row: str, faults: Faults, *, may_be_empty: bool = False
) -> str:
    value = values.get(column, "")
    if not value and not may_be_empty:
        faults.add(row, f"{column}: expected one, found nothing")
    elif len(value) > _LONGEST or not value.isprintable() or "\\" in value:
        faults.add(
            row,
            f"{column}: expected at most {_LONGEST} printable characters and no backslash, "
            "found something else",
        )
    return value


def _date(value: str, row: str, faults: Faults, *, today: date) -> date | None:
    is_form = len(value) in (8, 10) and value.replace("-", "").isdecimal() and value.isascii()
    try:
        day = date.fromisoformat(value) if is_form else None
    except ValueError:
        day = None
    if day is None:
        faults.add(row, f"date: expected a day as YYYY-MM-DD or YYYYMMDD, {_found(value)}")
    elif day > today:
        faults.add(row, "date: expected a day that has come, found a later one")
    elif day < _EARLIEST:
        faults.add(row, f"date: expected one from {_EARLIEST.year} on, found an earlier one")
    else:
        return day
    return None


def _one_of(
    column: str, terms: tuple[Term, ...], values: Mapping[str, str], row: str, faults: Faults
) -> Term | None:
    value = values[column].lower()
    for term in terms:
        if term.value == value:
            return term
    faults.add(row, f"{column}: expected {' or '.join(terms)}, {_found(value)}")
    return None


def _found(value: str) -> str:
    return "found something else" if value else "found nothing"
