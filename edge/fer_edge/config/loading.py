"""Load the configuration: a TOML file, then the overrides of the command line."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fer_edge.config.sections import RunConfig
from fer_edge.errors import ConfigError, reason
from fer_edge.terminal import printable
from fer_edge.validation import first_problem

# Values of these keys may begin with ~ and are no paths.
_NO_PATHS = frozenset({"password", "token", "topic", "name"})


def load_config(
    path: Path | None, overrides: Mapping[str, object], options: Mapping[str, str] | None = None
) -> RunConfig:
    """Read the configuration.

    Args:
        path: a TOML file; None for the defaults.
        overrides: values by dotted key (`detector.name`); None means not given.
        options: names of the options for the overridden keys, for error messages; None for the keys themselves.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong. The message names the key.
    """
    values = _with_home(read_toml(path)) if path else {}
    config = _validate(values, f"{path}: " if path else "", {})
    given = {key: value for key, value in overrides.items() if value is not None}
    if not given:
        return config
    for key, value in given.items():
        _put(values, key, value)
    return _validate(values, "", options or {})


def _validate(values: dict[str, Any], where: str, options: Mapping[str, str]) -> RunConfig:
    """Validate strictly: "2" is not a number, nor is true. As JSON, in which a path is a string."""
    try:
        text = json.dumps(values, default=str, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        key = _undecodable(values)
        raise ConfigError(f"{where}{options.get(key, key)}: the name is not UTF-8. Rename it") from None
    try:
        return RunConfig.model_validate_json(text, strict=True)
    except ValidationError as error:
        field, problem = first_problem(error, RunConfig)
        raise ConfigError(printable(f"{where}{options.get(field, field)}: {problem}")) from error


def _with_home(values: dict[str, Any]) -> dict[str, Any]:
    """The same values with the home folder in place of ~, except in what is no path."""
    return {
        key: _with_home(value)
        if isinstance(value, dict)
        else os.path.expanduser(value)  # noqa: PTH111 - a source need not be a path
        if isinstance(value, str) and value.startswith("~") and key not in _NO_PATHS
        else value
        for key, value in values.items()
    }


def _undecodable(values: Mapping[str, Any]) -> str:
    """The dotted key of the first value with bytes that are not UTF-8."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            if inner := _undecodable(value):
                return f"{key}.{inner}"
        elif any("\ud800" <= letter <= "\udfff" for letter in str(value)):
            return key
    return ""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigError."""
    not_utf8 = ConfigError(f"{path}: is not UTF-8. Save it as UTF-8 in your editor")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8 from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error
    if "\0" in text:  # UTF-16 without a mark
        raise not_utf8
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def _put(values: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[name] = str(value) if isinstance(value, Path) else value
