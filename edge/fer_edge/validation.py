"""Describe pydantic's errors in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import get_args

from pydantic import BaseModel, SecretStr, ValidationError

from fer_edge.errors import choose, closest


def first_problem(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """Describe the first error. An unknown key comes first, since a typing mistake also explains a missing key.

    Args:
        error: pydantic's error.
        model: the validated model, whose keys are suggested for unknown ones.

    Returns:
        The dotted field, or `(file)` if the whole file is malformed; and the problem.
    """
    findings = error.errors(include_url=False)
    finding = next((one for one in findings if one["type"] == "extra_forbidden"), findings[0])
    field = ".".join(str(part) for part in finding["loc"]) or "(file)"
    given = finding.get("input")
    names = re.findall(r"'([^']*)'", finding.get("ctx", {}).get("expected", ""))
    if finding["type"] == "extra_forbidden":
        meant = closest(str(finding["loc"][-1]), _keys(model, finding["loc"][:-1]))
        return field, f"unknown key. Did you mean {meant}?" if meant else "unknown key"
    if finding["type"] == "literal_error" and names and isinstance(given, str):
        return field, f"'{given}' is unknown. {choose(given, names)}"[:200]
    problem = finding["msg"].removeprefix("Value error, ")
    if isinstance(given, str | int | float | bool) and finding["loc"] and not _is_secret(model, finding["loc"]):
        problem = f"{problem}, not {given!r}"
    return field, problem[:200]


def _keys(model: type[BaseModel], sections: Iterable[int | str]) -> list[str]:
    """The keys of a section of a model; none if the section does not exist."""
    return list(_fields(model, sections))


def _is_secret(model: type[BaseModel], place: Sequence[int | str]) -> bool:
    return SecretStr in _parts(_fields(model, place[:-1]).get(str(place[-1])))


def _fields(model: type[BaseModel], sections: Iterable[int | str]) -> dict[str, object]:
    """The types of a section's keys."""
    for section in sections:
        kind = _fields(model, ()).get(str(section))
        inner = [part for part in _parts(kind) if isinstance(part, type) and issubclass(part, BaseModel)]
        if not inner:
            return {}
        model = inner[0]
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _parts(kind: object) -> tuple[object, ...]:
    """A type and its type arguments."""
    return (kind, *get_args(kind))
