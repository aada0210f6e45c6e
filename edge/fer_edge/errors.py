"""All errors for users, as one tree.

    FerError                 exit code 1
    ├── ConfigError          2   a wrong option, configuration file or output path
    ├── DataError            2   a data set that cannot be used: names file, row and field
    ├── MissingDependency    2   a package or system library is absent: names the command that fixes it
    ├── SourceError          3   a camera, stream, video or image that cannot be read
    └── ModelError           4   a model or bundle that cannot be used

The message is one line: what is wrong and what to do. The command line prints it and exits with `exit_code`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FerError(Exception):
    """Base of all errors that are meant for the user."""

    exit_code = 1


class ConfigError(FerError):
    """A wrong option, configuration file or output path."""

    exit_code = 2


class DataError(FerError):
    """A data set that cannot be used."""

    exit_code = 2


class MissingDependency(FerError):  # noqa: N818 - it names what is absent
    """A package or system library is absent."""

    exit_code = 2


class MissingExtra(MissingDependency):
    """The packages of an optional part are not installed."""

    def __init__(self, part: str, extra: str, hint: str = "") -> None:
        also = f" ({hint})" if hint else ""
        super().__init__(f"{part} is not installed. Fix: pip install '.[{extra}]'{also}")


class SourceError(FerError):
    """A camera, stream, video or image that cannot be read."""

    exit_code = 3


class ModelError(FerError):
    """A model or model bundle that cannot be used."""

    exit_code = 4


def reason(error: Exception) -> str:
    """The reason of an error, without the path and error number of the operating system."""
    return str(getattr(error, "strerror", None) or error)


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is closest to a misspelt one; None if none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else None


def choose(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name, such as "Did you mean haar? Choose haar or mediapipe"."""
    names = list(known)
    meant = closest(name, names)
    *others, last = names
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"Did you mean {meant}? Choose {listed}" if meant else f"Choose {listed}"
