"""Tables of labels as their publishers wrote them: columns by name, errors by line."""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from training.datasets.errors import some
from training.errors import DataSetError

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table."""

    file: Path
    line: int
    """Of the file, counted from 1, where the row ends: a quoted value may hold line breaks."""
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Value of a column, without the space around it."""
        return self.values[_plain(column)].strip()

    def one_of(self, column: str, meanings: Mapping[str, Meaning]) -> Meaning:
        """Look up what a value means.

        Parameters
        ----------
        column
            Of the value.
        meanings
            Every value that the layout knows.

        Returns
        -------
        meaning
            Of the value that stands there.

        Raises
        ------
        DataSetError
            If the layout does not know the value.
        """
        value = self[column]
        if value not in meanings:
            raise self.error(
                expected=f"{column} to be one of {', '.join(map(repr, meanings))}",
                found=repr(value),
            )
        return meanings[value]

    def error(self, *, expected: str, found: str) -> DataSetError:
        """Build the error of a value that cannot be used."""
        return DataSetError(
            where=f"{self.file} line {self.line}",
            expected=expected,
            found=found,
            to_do="Correct or remove that line, or fetch the table from its publisher again.",
        )


def read_rows(file: Path, columns: Collection[str], *, delimiter: str = ",") -> Iterator[Row]:
    """Read a CSV table with a heading.

    Parameters
    ----------
    file
        In UTF-8, with or without a byte order mark.
    columns
        That must be there. A blank and an underscore are the same, capital letters too: the
        publishers' own tables differ in that.
    delimiter
        Between values.

    Yields
    ------
    row
        In the order of the file.

    Raises
    ------
    DataSetError
        If a column is missing, a row is too short or the file is no text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataSetError(
            where=file,
            expected="a table in UTF-8",
            found=error.__class__.__name__,
            to_do="Fetch the table from its publisher again.",
        ) from error
    # Not split into lines beforehand: quoted values hold line breaks.
    reader = csv.DictReader(_lines(text), delimiter=delimiter)
    found = {_plain(name): name for name in reader.fieldnames or ()}
    missing = [column for column in columns if _plain(column) not in found]
    if missing:
        raise DataSetError(
            where=file,
            expected=f"the columns {', '.join(map(repr, missing))}",
            found=some(list(reader.fieldnames or ()), count=20),
            to_do=(
                f"Take the publisher's own {file.name}; a spreadsheet may have renamed its columns "
                f"or changed the delimiter {delimiter!r}."
            ),
        )
    for values in reader:
        row = Row(
            file=file,
            line=reader.line_num,
            values={plain: values[name] for plain, name in found.items()},
        )
        if any(row.values[_plain(column)] is None for column in columns):
            raise row.error(expected=f"{len(found)} values", found="fewer")
        yield row


def _lines(text: str) -> Iterable[str]:
    """Lines with their ends, as `csv` wants them: only line feeds end one."""
    return (line + "\n" for line in text.split("\n"))


def _plain(column: str) -> str:
    """Bring the spellings of a column's name together."""
    return column.strip().lower().replace(" ", "_").replace("-", "_")
