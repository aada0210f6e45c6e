"""Read the records of a CSV, with messages that say where a fault is."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from fer_edge.errors import DataError, reason


def read_records(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, record) of a CSV that must have these columns, all of them filled. Blank lines are ignored.

    Spaces around the names in the header are ignored: one of Kaggle's copies of FER2013 has them.

    Raises:
        DataError: it cannot be read, a column is missing, or a record is too short.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in columns if name not in reader.fieldnames]
            if missing:
                raise DataError(f"{path}: no column '{missing[0]}'. Expected {', '.join(columns)}")
            for row, record in enumerate(reader):
                empty = [name for name in columns if record[name] is None]
                if empty:
                    raise DataError(f"{place(path, row, reader.line_num)}: no field '{empty[0]}'")
                yield reader.line_num, record
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({reason(error)})") from error


def whole_number(text: str, where: str, field: str, largest: int) -> int:
    """Return a field's value. Raises DataError unless it is a whole number from 0 to `largest`."""
    if not text.strip().isdecimal() or int(text) > largest:
        raise DataError(f"{where}: {field} is {text[:20]!r}, expected a whole number from 0 to {largest}")
    return int(text)


def place(path: Path, row: int, line: int) -> str:
    """The place of a record in a CSV: its row, 0 for the first after the header, and its line number."""
    return f"{path}: row {row} (line {line})"
