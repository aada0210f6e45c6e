"""The option `--json` of commands that print a table: the same as JSON, on standard output or in a file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from fer_edge.errors import ConfigError, reason

if TYPE_CHECKING:
    from typer._click import Context

JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="[FILE|-]", help="Write the result as JSON; -, or nothing behind it, is standard output."
    ),
]


class JsonCommand(TyperCommand):
    """A command whose `--json` may have nothing behind it, which is then `-`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Put `-` behind a `--json` that is last, or before another option."""
        words: list[str] = []
        for word, following in zip(args, [*args, "--"][1:], strict=True):
            words.append(word)
            if word == "--json" and following.startswith("-") and following != "-":
                words.append("-")
        return super().parse_args(ctx, words)


def require_json_target(target: str) -> None:
    """Refuse to replace what is not JSON: `--json clip.mp4` may have been meant otherwise. Raises ConfigError."""
    begin = b""
    if target != "-" and os.path.isfile(target):  # noqa: PTH113 - a name too long is no file
        with suppress(OSError), Path(target).open("rb") as file:  # writing will say what is wrong
            begin = file.read(1)
    if begin not in {b"", b"{", b"["}:
        raise ConfigError(f"--json {target}: exists and holds something else than JSON. Choose another file")


def write_json(text: str, target: str) -> None:
    """Write to standard output (`-`) or a file, whole or not at all. Raises ConfigError where that cannot be done."""
    if target == "-":
        typer.echo(text)
        return
    require_json_target(target)
    aside = Path(f"{target}.part")
    try:
        aside.write_text(text + "\n", encoding="utf-8")
        aside.replace(target)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            aside.unlink(missing_ok=True)
        raise ConfigError(f"--json {target}: cannot be written ({reason(error)})") from error
