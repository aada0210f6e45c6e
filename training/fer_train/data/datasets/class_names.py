"""Maps the names of class folders in other data sets to the classes of FER2013."""

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

# This file beside the class folders maps their names to classes.
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

# These are the numbers of known data sets. A set is recognised only if all of its numbers are present, because a part
# of them is ambiguous.
_NUMBERED = {
    "FER2013 and ExpW": dict(enumerate(FER2013)),
    # Li et al., 2017, "Reliable crowdsourcing and deep locality-preserving learning", list_patition_label.txt
    "RAF-DB": dict(enumerate(("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), start=1)),
    # Mollahosseini et al., 2017 (arXiv:1708.03985), table 3
    "AffectNet": dict(enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", LEFT_OUT))),
}


def find_classes(names: Iterable[str], root: Path) -> dict[str, str]:
    """Map each folder to a class of FER2013 or to LEFT_OUT, and log a line about names that are not FER2013's.

    `classes.toml` in `root` comes first, then FER2013's names and those of other data sets, in upper or lower case and
    with or without a number in front, then the numbers of FER2013, RAF-DB (1 to 7) and AffectNet (0 to 7).

    Args:
        names: the names of all class folders of a data set.
        root: the folder of the data set.

    Raises:
        DataError: a name is not understood. The message names it, and what was expected.
    """
    told = _read_classes_file(root)
    meanings: dict[str, str] = {}
    numbers = {name: int(name) for name in names if name.isdecimal() and name.lower() not in told}
    numbered = _numbered(numbers, root)
    for name in sorted(names):
        found = told.get(name.lower(), numbered.get(name, _meaning(name)))
        if found is None:
            raise DataError(
                f"{root}: unknown class folder '{name}'. {choose(name, FER2013)}, or say in {root / CLASSES_FILE} "
                f'what it means: {_as_key(name)} = "happy"'
            )
        meanings[name] = found
    _say(root, tuple((name, found) for name, found in meanings.items() if found != name.lower()))
    return meanings


def may_be_class(name: str) -> bool:
    """Return whether a folder's name is a class or a number, which can stand for a class."""
    return name.isdecimal() or _meaning(name) is not None


def has_classes_file(root: Path) -> bool:
    """Return whether a data set has a file with the meaning of its folders."""
    return (root / CLASSES_FILE).is_file()


def _meaning(name: str) -> str | None:
    """Return the class of a name, with or without a number in front, as in 03_fear."""
    return _MEANINGS.get(re.sub(r"^\d+[\s._-]*(?=\D)", "", name.lower()))


def _numbered(numbers: Mapping[str, int], root: Path) -> dict[str, str]:
    if not numbers:
        return {}
    for meanings in _NUMBERED.values():
        if set(numbers.values()) == set(meanings):
            return {name: meanings[number] for name, number in numbers.items()}
    found = ", ".join(sorted(numbers, key=int))
    raise DataError(
        f"{root}: class folders {found}: numbers are understood as 0 to 6 (FER2013), 1 to 7 (RAF-DB) and 0 to 7 "
        f'(AffectNet). Say in {root / CLASSES_FILE} what they mean: {min(numbers)} = "happy"'
    )


def _read_classes_file(root: Path) -> dict[str, str]:
    """Return the folders in the file, in lower case, with their classes; nothing without such a file."""
    path = root / CLASSES_FILE
    if not path.is_file():
        return {}
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error
    for folder, name in told.items():
        if not isinstance(name, str) or name not in {*FER2013, LEFT_OUT}:
            raise DataError(
                f'{path}: {folder}: {name!r} is no class. {choose(str(name), FER2013)}, or "" to leave it out'
            )
    return {folder.lower(): name for folder, name in told.items()}


def _as_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{printable(name)}"'


@cache
def _say(root: Path, renamed: tuple[tuple[str, str], ...]) -> None:
    """Log once how names were understood."""
    if renamed:
        pairs = ", ".join(f"{name} = {found or 'left out'}" for name, found in renamed)
        log.info("%s: class folders are read as %s", root, pairs)
