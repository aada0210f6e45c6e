"""Read Hugging Face data sets: folders of parquet files, and what `datasets` writes with `save_to_disk`.

Formats: https://huggingface.co/docs/hub/datasets-manual-configuration (names of files and splits), and the feature
types `Image` and `ClassLabel` in https://huggingface.co/docs/datasets/about_dataset_features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fer_edge.errors import DataError, MissingExtra, reason
from fer_edge.labels import FER2013
from fer_train.data.datasets.class_names import LEFT_OUT, find_classes
from fer_train.data.datasets.faces import LabelledFaces, Split
from fer_train.data.datasets.listing import (
    Entry,
    divided,
    has_no_splits,
    load_entries,
    part,
    require_split,
    splits_among,
)

# Names of columns.
_IMAGES, _LABELS = ("image", "img", "picture"), ("label", "labels", "emotion", "expression")


def is_hugging_face(root: Path) -> bool:
    """Whether a path is a parquet file, a folder that holds some, or one that `datasets` wrote."""
    return bool(_files(root))


def splits_of_tables(root: Path) -> tuple[Split, ...]:
    """The splits that the data set has, or that can be made."""
    return divided(_files(root))


def read_tables(root: Path, split: Split) -> LabelledFaces:
    """Read one split. If there is only one, a fifth of each of its classes is the validation split.

    Raises:
        DataError: a file or a column cannot be used, or there is no such split.
        MissingExtra: pyarrow is not installed.
    """
    files = _files(root)
    chosen = require_split(files, split, root)
    tables = {name: [(file, _read(file)) for file in group] for name, group in files.items()}
    every = [table for group in tables.values() for _, table in group]
    for table in every:
        _column(table, _IMAGES, root)
    meanings = find_classes({label for table in every for label in _labels(table, root)}, root)
    entries = [
        Entry(place, FER2013.index(meanings[label]), content)
        for file, table in tables[chosen]
        for place, label, content in _rows(file, table, root)
        if meanings[label] != LEFT_OUT
    ]
    return load_entries(part(entries, split) if has_no_splits(files) else entries, root, split)


def _files(root: Path) -> dict[str, list[Path]]:
    """The files of each split, by its name; by an empty name if there is none."""
    if root.suffix.lower() == ".parquet":
        return {"": [root]}
    if (root / "dataset_dict.json").is_file():
        folders = sorted(path.parent for path in root.glob("*/dataset_info.json"))
        return {folder.name: sorted(folder.glob("*.arrow")) for folder in folders}
    if (root / "dataset_info.json").is_file() and (single := sorted(root.glob("*.arrow"))):
        return {"": single}
    found: dict[str, list[Path]] = {}
    for file in sorted(root.glob("*.parquet")) or sorted(root.glob("data/*.parquet")):
        name = file.stem.partition("-")[0]
        found.setdefault(name, []).append(file)
    return found if splits_among(found) else {"": [file for group in found.values() for file in group]} if found else {}


def _read(file: Path) -> Any:  # noqa: ANN401 - pyarrow ships no types
    try:
        import pyarrow as pa  # noqa: PLC0415 - few need it
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    try:
        if file.suffix == ".arrow":
            with pa.OSFile(str(file)) as source:
                return pa.ipc.open_stream(source).read_all()
        return pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{file}: cannot be read as {file.suffix[1:]} ({reason(error)})") from error


def _column(table: Any, names: tuple[str, ...], root: Path) -> str:  # noqa: ANN401
    found = [name for name in names if name in table.column_names]
    if not found:
        raise DataError(f"{root}: no column {' or '.join(names)} among {', '.join(table.column_names)}")
    return found[0]


def _class_names(table: Any, column: str) -> list[str]:  # noqa: ANN401
    """The names that a `ClassLabel` feature gives to the numbers in a column; none if it is no such feature."""
    try:
        features = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return []


def _labels(table: Any, root: Path) -> list[str]:  # noqa: ANN401
    """The label of each row by its name, or as a number if nothing names it."""
    column = _column(table, _LABELS, root)
    names = _class_names(table, column)
    values = table.column(column).to_pylist()
    if not all(isinstance(value, int | str) for value in values):
        raise DataError(f"{root}: column {column} holds something that is neither a number nor a name")
    return [names[value] if isinstance(value, int) and 0 <= value < len(names) else str(value) for value in values]


def _rows(file: Path, table: Any, root: Path) -> Iterator[tuple[Path, str, Any]]:  # noqa: ANN401
    """Place, label and content of each row."""
    images = table.column(_column(table, _IMAGES, root))
    for number, label in enumerate(_labels(table, root)):
        yield file / f"row {number}", label, partial(_content, images, number, file.parent)


def _content(images: Any, number: int, folder: Path) -> bytes:  # noqa: ANN401
    """The bytes of an image's file: in the table, or beside it. Raises OSError."""
    value = images[number].as_py()
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return bytes(value["bytes"])
    path = value.get("path") if isinstance(value, dict) else value
    return (folder / path).read_bytes() if isinstance(path, str) else b""
