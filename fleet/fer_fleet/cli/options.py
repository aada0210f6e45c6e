"""Options that several commands have."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_edge.errors import ConfigError

if TYPE_CHECKING:
    from fer_fleet.keys import Keys

_PASSPHRASE = "FER_FLEET_PASSPHRASE"  # noqa: S105 - the variable's name
# A reason is shown in one line of a table.
_LONGEST_REASON = 200


def _whole(path: Path) -> Path:
    """The path as messages name it: not `.`."""
    return path.absolute()


RepositoryOption = Annotated[
    Path,
    typer.Option(
        "--repo",
        metavar="FOLDER",
        envvar="FER_FLEET_REPO",
        callback=_whole,
        show_default=False,
        help="The repository. Default: the current folder.",
    ),
]
KeysOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--keys",
        metavar="FOLDER",
        envvar="FER_FLEET_KEYS",
        help="A folder with keys. May be repeated. Default: the repository's name with .keys, beside it.",
    ),
]
ChannelOption = Annotated[Literal["stable", "beta"], typer.Option(help="The channel: stable or beta.")]
VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="A published version; NAME@VERSION if several models have it.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, in a few words: devices log it.", show_default=False)
]


def key_folders(repository: Path, given: list[Path] | None) -> list[Path]:
    """The folders with keys."""
    whole = repository.absolute()
    return given or [whole.with_name(f"{whole.name}.keys")]


def open_keys(repository: Path, given: list[Path] | None) -> Keys:
    """The private keys; passphrases are asked for when they are needed."""
    from fer_fleet.keys import Keys

    return Keys(key_folders(repository, given), ask_passphrase)


def ask_passphrase(name: str) -> str:
    """Ask for the passphrase of a key file, or take it from the environment."""
    return os.environ.get(_PASSPHRASE) or _prompt(f"passphrase of {name}")


def ask_new_passphrase() -> str:
    """Ask for a new passphrase twice, or take it from the environment."""
    return os.environ.get(_PASSPHRASE) or _prompt("new passphrase for the keys of root and targets", confirm=True)


def one_line(option: str, text: str) -> str:
    """Require a short text that can be shown in one line. Raises ConfigError."""
    text = text.strip()
    if not text or len(text) > _LONGEST_REASON or not text.isprintable():
        raise ConfigError(f"{option}: give a reason in one line, of at most {_LONGEST_REASON} characters")
    return text


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def _prompt(text: str, *, confirm: bool = False) -> str:
    answer = typer.prompt(text, hide_input=True, confirmation_prompt=confirm, err=True)
    return str(answer)
