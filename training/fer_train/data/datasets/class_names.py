"""Maps the names of classes in other data sets to the classes of FER2013."""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from fer_edge.errors import DataError, choose, reason
from fer_edge.labels import FER2013
from fer_edge.terminal import printable

log = logging.getLogger(__name__)

# This file beside the class folders, or beside a list or table, maps their names to classes.
CLASSES_FILE = "classes.toml"
# Folders that are left out get this class.
LEFT_OUT = ""

_ALIASES = {
    "angry": ("anger", "an", "mad"),
    "disgust": ("disgusted", "di"),
    "fear": ("fearful", "afraid", "scared", "fe"),
    "happy": ("happiness", "joy", "joyful", "ha"),
    "sad": ("sadness", "sa"),
    "surprise": ("surprised", "su"),
    "neutral": ("neutrality", "ne"),
    LEFT_OUT: ("contempt", "contemptuous"),
}
_MEANINGS = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases) if alias}

# In that file this key names the data set whose numbers the classes have.
_NUMBERS = "numbers"

# The numbers of known data sets, by the name that `numbers` gives them. They contradict one another.
NUMBERED = {
    "fer2013": dict(enumerate(FER2013)),
    # Barsoum et al., 2016 (arXiv:1608.01041): the columns of fer2013new.csv
    "ferplus": dict(
        enumerate(("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", LEFT_OUT, LEFT_OUT, LEFT_OUT))
    ),
    # Lucey et al., 2010: ReadMeCohnKanadeDatabase_website.txt
    "ck+": dict(enumerate(("neutral", "angry", LEFT_OUT, "disgust", "fear", "happy", "sad", "surprise"))),
    # Li et al., 2017, "Reliable crowdsourcing and deep locality-preserving learning": list_patition_label.txt
    "raf-db": dict(enumerate(("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), start=1)),
    # Mollahosseini et al., 2017 (arXiv:1708.03985), table 3; then contempt, none, uncertain and no face
    "affectnet": dict(enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", *4 * [LEFT_OUT]))),
    # Zhang et al., 2018 (arXiv:1609.06426): readme.txt
    "expw": dict(enumerate(FER2013)),
}


def find_classes(names: Iterable[str], root: Path) -> dict[str, str]:
    """Map each name of a class to a class of FER2013 or to LEFT_OUT, and log a line about those that are not FER2013's.

    `classes.toml` in or beside `root` comes first, then FER2013's names and those of other data sets, in upper or lower
    case and with or without a number in front. Bare numbers need a line `numbers = "raf-db"` in that file, since the
    data sets contradict one another.

    Args:
        names: the names of all classes of a data set: of folders, or in a column.
        root: the folder or the file of the data set.

    Raises:
        DataError: a name is not understood. The message names it, and what was expected.
    """
    path = _classes_file(root)
    told, numbered = _read_classes_file(path)
    meanings: dict[str, str] = {}
    for name in sorted(names):
        number = _number(name)
        found = told.get(name.lower(), _meaning(name) if number is None else numbered.get(number))
        if found is None:
            raise DataError(f"{root}: {_not_understood(name, number, numbered, path)}")
        meanings[name] = found
    _say(root, tuple((name, found) for name, found in meanings.items() if found != name.lower()))
    return meanings


def _not_understood(name: str, number: int | None, numbered: Mapping[int, str], path: Path) -> str:
    if number is None:
        return (
            f"unknown class '{name}'. {choose(name, FER2013)}, or say in {path} what it means: "
            f'{_as_key(name)} = "happy"'
        )
    if numbered:
        return f"class {name} is none of the numbers that {path} names: {min(numbered)} to {max(numbered)}"
    return (
        f"class {name}: the numbers of data sets contradict one another. Say in {path} whose these are, as in "
        f'{_NUMBERS} = "{next(iter(NUMBERED))}" (or {", ".join(list(NUMBERED)[1:])}), or what each means: '
        f'{name} = "happy"'
    )


def _number(name: str) -> int | None:
    """The whole number that a name is; 3.0000000e+00 is one too, as CK+ writes it."""
    try:
        value = float(name)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def _classes_file(root: Path) -> Path:
    return (root if root.is_dir() else root.parent) / CLASSES_FILE


def may_be_class(name: str) -> bool:
    """Return whether a folder's name is a class or a number, which can stand for a class."""
    return name.isdecimal() or _meaning(name) is not None


def has_classes_file(root: Path) -> bool:
    """Return whether a data set has a file with the meaning of its folders."""
    return _classes_file(root).is_file()


def _meaning(name: str) -> str | None:
    """Return the class of a name, with or without a number in front, as in 03_fear."""
    return _MEANINGS.get(re.sub(r"^\d+[\s._-]*(?=\D)", "", name.lower()))


def _read_classes_file(path: Path) -> tuple[dict[str, str], Mapping[int, str]]:
    """Return the classes of the names in the file, in lower case, and of numbers; nothing without such a file."""
    if not path.is_file():
        return {}, {}
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error
    numbers = str(told.pop(_NUMBERS, ""))
    if numbers and numbers not in NUMBERED:
        raise DataError(f"{path}: {_NUMBERS}: '{numbers}' is unknown. {choose(numbers, NUMBERED)}")
    for folder, name in told.items():
        if not isinstance(name, str) or name not in {*FER2013, LEFT_OUT}:
            raise DataError(
                f'{path}: {folder}: {name!r} is no class. {choose(str(name), FER2013)}, or "" to leave it out'
            )
    return {folder.lower(): name for folder, name in told.items()}, NUMBERED.get(numbers, {})


def _as_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{printable(name)}"'


@cache
def _say(root: Path, renamed: tuple[tuple[str, str], ...]) -> None:
    """Log once how names were understood."""
    if renamed:
        pairs = ", ".join(f"{name} = {found or 'left out'}" for name, found in renamed)
        log.info("%s: classes are read as %s", root, pairs)
