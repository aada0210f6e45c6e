"""Read a CSV that lists images: `path,label[,split][,left,top,right,bottom]`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import DataError, reason
from fer_edge.labels import FER2013
from fer_train.data.datasets.class_names import LEFT_OUT, find_classes
from fer_train.data.datasets.faces import LabelledFaces, Split
from fer_train.data.datasets.fer2013 import FER2013_COLUMNS
from fer_train.data.datasets.listing import (
    SPLIT_NAMES,
    Entry,
    divided,
    has_no_splits,
    load_entries,
    part,
    require_split,
)
from fer_train.data.datasets.records import place, read_records

_COLUMNS = ("path", "label")
_BOX = ("left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    path: str
    label: str
    split: str
    box: tuple[int, int, int, int] | None


def is_list(path: Path) -> bool:
    """Whether a CSV lists images: whether its header has the columns `path` and `label`. Raises DataError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({reason(error)})") from error
    if header and not {*_COLUMNS, *FER2013_COLUMNS} & set(header):
        raise DataError(f"{path}: expected the columns {', '.join(FER2013_COLUMNS)}, or {', '.join(_COLUMNS)}")
    return set(_COLUMNS) <= set(header)


def splits_of_list(path: Path) -> tuple[Split, ...]:
    """The splits that rows name, or that can be made. Raises DataError."""
    return divided(_split_names(_rows(path)))


def read_list(path: Path, split: Split) -> LabelledFaces:
    """Read one split. Paths are relative to the folder of the CSV.

    Without a column `split`, or if all rows are `train`, a fifth of each class is the validation split. Columns `left`,
    `top`, `right` and `bottom` are the face in pixels of the image.

    Raises:
        DataError: a row cannot be understood, or there is no such split. The message names the row.
    """
    rows = _rows(path)
    names = _split_names(rows)
    chosen = require_split(names, split, path)
    meanings = find_classes({row.label for row in rows}, path)
    entries = [
        Entry(file, FER2013.index(meanings[row.label]), file.read_bytes, row.box)
        for row in rows
        if row.split == chosen and meanings[row.label] != LEFT_OUT
        for file in (path.parent / row.path,)
    ]
    return load_entries(part(entries, split) if has_no_splits(names) else entries, path, split)


def _split_names(rows: list[_Row]) -> list[str]:
    """The names of splits in the file; none if it has none."""
    return list(dict.fromkeys(row.split for row in rows if row.split))


def _rows(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    known = {name for names in SPLIT_NAMES.values() for name in names}
    for number, (line, record) in enumerate(read_records(path, _COLUMNS)):
        where = place(path, number, line)
        split = (record.get("split") or "").strip().lower()
        if split and split not in known:
            raise DataError(f"{where}: split is {split[:20]!r}, expected {', '.join(sorted(known))}")
        if rows and bool(split) != bool(rows[0].split):
            raise DataError(f"{where}: split is {split[:20]!r}, but {rows[0].split!r} before. Fill it in all rows")
        for column in _COLUMNS:
            if not record[column].strip():
                raise DataError(f"{where}: {column} is empty")
        rows.append(_Row(where, record["path"].strip(), record["label"].strip(), split, _box(record, where)))
    return rows


def _box(record: dict[str, str], where: str) -> tuple[int, int, int, int] | None:
    given = [(record.get(name) or "").strip() for name in _BOX]
    if not any(given):
        return None
    try:
        left, top, right, bottom = (round(float(text)) for text in given)
    except (ValueError, OverflowError):
        raise DataError(f"{where}: {', '.join(_BOX)} are {', '.join(given)[:40]!r}, expected four numbers") from None
    if right <= left or bottom <= top:
        raise DataError(f"{where}: the box {left}, {top}, {right}, {bottom} is empty")
    return left, top, right, bottom
