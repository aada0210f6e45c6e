"""The option `--json` of commands that print a table: the same content as JSON, on standard output or in a file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from fer_edge.errors import ConfigError, reason
from fer_edge.files import replace_file

if TYPE_CHECKING:
    from typer._click import Context

JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="[FILE|-]",
        help="Write the result as JSON to FILE; to standard output for - or without a value.",
    ),
]


class JsonCommand(TyperCommand):
    """A command whose `--json` may have no value, which then means `-`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Insert `-` after a `--json` that is last or followed by another option."""
        words: list[str] = []
        for word, following in zip(args, [*args, "--"][1:], strict=True):
            words.append(word)
            if word == "--json" and following.startswith("-") and following != "-":
                words.append("-")
        return super().parse_args(ctx, words)


def require_json_target(target: str) -> None:
    """Refuse to replace a file that is not JSON, as in `--json clip.mp4`. Raises ConfigError."""
    begin = b""
    if target != "-" and os.path.isfile(target):  # noqa: PTH113 - a name too long is no file
        with suppress(OSError), Path(target).open("rb") as file:  # writing will say what is wrong
            begin = file.read(1)
    if begin not in {b"", b"{", b"["}:
        raise ConfigError(f"--json {target}: exists and holds something else than JSON. Choose another file")


def write_json(text: str, target: str) -> None:
    """Write to standard output (`-`) or, atomically, to a file. Raises ConfigError if that fails."""
    if target == "-":
        typer.echo(text)
        return
    require_json_target(target)
    try:
        replace_file(Path(target), f"{text}\n".encode())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--json {target}: cannot be written ({reason(error)})") from error
