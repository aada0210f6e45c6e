"""Write a configuration file with every key from the models, so that it always fits this version."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from fer_edge.config.keys import Key, keys_of, sections, toml

_WIDTH = 110
_HEAD = """\
# Every key of fer-edge's configuration, with its default. To change one, remove its # and edit the value.
# A key that is not set has an example. Check the file: fer-edge config --check FILE
"""


def template(values: Mapping[str, Any]) -> str:
    """Return a TOML file with every key as a comment, except those that have a value.

    Args:
        values: the values of a configuration file, as read from TOML.
    """
    parts = [_HEAD]
    for section, model in sections():
        given = values.get(section, {}) if section else values
        about = f"[{section}]  # {(model.__doc__ or '').splitlines()[0]}\n" if section else ""
        parts.append(about + "\n".join(line for key in keys_of(section, model) for line in _lines(key, given)))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _lines(key: Key, given: Mapping[str, Any]) -> Iterator[str]:
    yield from textwrap.wrap(key.help, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    if key.name in given:
        yield f"{key.name} = {toml(given[key.name])}"
    elif key.default is None:
        yield f"#{key.name} = {toml(key.example)}  # an example: not set"
    else:
        yield f"#{key.name} = {toml(key.default)}"
