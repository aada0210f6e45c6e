"""Pydantic's findings in one line."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return (field, problem) of the first finding; the field is dotted, `(file)` where the whole is malformed."""
    finding = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in finding["loc"]) or "(file)"
    problem = "unknown key" if finding["type"] == "extra_forbidden" else finding["msg"].removeprefix("Value error, ")
    given = finding.get("input")
    if isinstance(given, str | int | float | bool) and finding["type"] != "extra_forbidden" and finding["loc"]:
        problem = f"{problem}, not {given!r}"
    return field, problem[:200]
