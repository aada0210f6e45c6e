"""The keys of the configuration, as its models describe them."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from fer_edge.config.section import Section
from fer_edge.config.sections import RunConfig


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the configuration. `section` is empty at the top of the file."""

    section: str
    name: str
    info: FieldInfo
    description: str

    @property
    def dotted(self) -> str:
        """The dotted name, as in error messages."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def help(self) -> str:
        """Its description, with unit and choices."""
        text = inspect.cleandoc(self.description).replace("\n", " ")
        choices = _choices(self.info.annotation)
        return f"{text} One of {', '.join(map(toml, choices))}." if choices else text

    @property
    def default(self) -> Any:  # noqa: ANN401 - of any type
        """The default value; None if it depends on the device or means `not set`."""
        return None if self.info.default_factory or self.info.default in {None, ()} else self.info.default

    @property
    def example(self) -> Any:  # noqa: ANN401 - of any type
        """A value for a key without a default."""
        return (self.info.examples or [""])[0]

    @property
    def environment(self) -> str:
        """The environment variable that changes the default; empty if there is none."""
        extra = self.info.json_schema_extra
        return str(extra["environment"]) if isinstance(extra, dict) and "environment" in extra else ""

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return SecretStr in (self.info.annotation, *get_args(self.info.annotation))


def sections() -> Iterator[tuple[str, type[Section]]]:
    """The tables, the top of the file first, under an empty name."""
    yield "", RunConfig
    for name, info in RunConfig.model_fields.items():
        if _is_section(info):
            assert isinstance(info.annotation, type)  # noqa: S101 - for the type checker
            yield name, info.annotation


def keys_of(section: str, model: type[Section]) -> Iterator[Key]:
    """The keys of one table."""
    texts = _descriptions(model)
    for name, info in model.model_fields.items():
        if not _is_section(info):
            yield Key(section, info.alias or name, info, texts.get(name, ""))


def toml(value: object) -> str:
    """A value as TOML. JSON's strings, numbers and lists are valid TOML, except DEL, which TOML escapes."""
    if isinstance(value, Path | SecretStr):
        value = str(value)
    return json.dumps(value, ensure_ascii=False, default=list).replace("\x7f", "\\u007f")


def _descriptions(model: type[Section]) -> dict[str, str]:
    """The strings below its keys, by key."""
    table = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(table, ast.ClassDef)  # noqa: S101 - for the type checker
    return {
        key.target.id: str(text.value.value)
        for key, text in pairwise(table.body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def _is_section(info: FieldInfo) -> bool:
    return isinstance(info.annotation, type) and issubclass(info.annotation, Section)


def _choices(annotation: object) -> tuple[object, ...]:
    for kind in (annotation, *get_args(annotation)):
        if get_origin(kind) is Literal:
            return get_args(kind)
    return ()
