"""The values in force, and where each comes from."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from fer_edge.config.keys import Key, keys_of, sections, toml
from fer_edge.config.loading import load_config
from fer_edge.config.sections import RunConfig
from fer_edge.terminal import without_password


@dataclass(frozen=True, slots=True)
class Setting:
    """One key's value, for people.

    Attributes:
        value: as TOML; empty where it is not set. A secret is hidden.
        origin: `default`, the file, `$VARIABLE` or `--option`.
    """

    key: str
    value: str
    origin: str


def settings_in_force(
    path: Path | None, overrides: Mapping[str, object], options: Mapping[str, str]
) -> Iterator[Setting]:
    """Read the configuration as `load_config` does, and say where each value comes from.

    Args:
        path: a TOML file; None for the defaults.
        overrides: values by dotted key; None means not given.
        options: names of the options for the overridden keys.

    Raises:
        ConfigError: as `load_config` does.
    """
    config, of_file = load_config(path, overrides, options), load_config(path, {})
    given = {key for key, value in overrides.items() if value is not None}
    for section, model in sections():
        for key in keys_of(section, model):
            value, is_set = _look_up(config, key)
            _, by_file = _look_up(of_file, key)
            if key.dotted in given:
                origin = options.get(key.dotted, key.dotted)
            elif is_set:  # an address may include a port
                origin = str(path) if by_file else _option_of(section, given, options)
            else:
                origin = f"${key.environment}" if key.environment in os.environ else "default"
            yield Setting(key.dotted, _shown(value), origin)


def _look_up(config: RunConfig, key: Key) -> tuple[object, bool]:
    """The value of a key, and whether it was given."""
    section = getattr(config, key.section) if key.section else config
    field = next(name for name, info in type(section).model_fields.items() if (info.alias or name) == key.name)
    return getattr(section, field), field in section.model_fields_set


def _option_of(section: str, given: Collection[str], options: Mapping[str, str]) -> str:
    return next(options.get(key, key) for key in given if key.startswith(f"{section}."))


def _shown(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, SecretStr):
        return '"…"  # hidden'
    return toml(without_password(value) if isinstance(value, str) else value)
