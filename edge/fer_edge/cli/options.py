"""Options that several commands have, and how they override the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from fer_edge.errors import ConfigError

if TYPE_CHECKING:
    from fer_edge.config import RunConfig

# These options have another name than their key in the configuration.
_KEYS = {"detector": "detector.name", "on_change": "json_lines.on_change", "mqtt": "mqtt.host", "web": "web.listen"}


def default(text: str, value: object) -> str:
    """The help text of an option whose default comes from the configuration."""
    return f"{text} \\[default: {value}]"


def _sources(incomplete: str) -> list[str]:
    from fer_edge.config import NAMED_SOURCES

    return [name for name in NAMED_SOURCES if name.startswith(incomplete)]


def complete_models(incomplete: str) -> list[str]:
    """The names of shipped and installed models that begin like this, for a shell's completion."""
    from fer_edge.model.bundle import shipped_bundles
    from fer_edge.model.slots import Slots

    names = [*shipped_bundles(), *map(str, Slots().installed())]
    return [name for name in names if name.startswith(incomplete)]


def _detectors(incomplete: str) -> list[str]:
    from fer_edge.config import DetectorConfig

    names = get_args(DetectorConfig.model_fields["name"].annotation)
    return [name for name in names if name.startswith(incomplete)]


def _displays(incomplete: str) -> list[str]:
    from fer_edge.config import RunConfig

    names = get_args(RunConfig.model_fields["display"].annotation)
    return [name for name in names if name.startswith(incomplete)]


def _source(configured: str) -> Any:  # noqa: ANN401 - as typer has it
    text = (
        "A video, an image, a folder of images, a camera's number or /dev path, an rtsp:// or http:// URL, demo, "
        "picamera2, or auto: the first camera that works, else the demo."
    )
    return typer.Argument(metavar="SOURCE", help=default(text, configured), show_default=False, autocompletion=_sources)


SourceArgument = Annotated[str | None, _source("auto")]
BenchSourceArgument = Annotated[str | None, _source("demo")]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="SOURCE", help="The same as SOURCE.", autocompletion=_sources)
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FOLDER",
        help=default(
            "The model: a shipped or installed one (see fer-edge models list), or a bundle's folder.", "current"
        ),
        autocompletion=complete_models,
    ),
]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=default("How faces are found: haar or mediapipe.", "haar"),
        autocompletion=_detectors,
    ),
]
DisplayOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=default("Where the annotated frames are shown: none, window or hdmi (the full screen).", "none"),
        autocompletion=_displays,
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(metavar="N", help=default("Threads for the model, and as many for OpenCV.", 1))
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A TOML file with settings. The options given here override it."),
]


def one_source(argument: str | None, option: str | None) -> str | None:
    """Return the source from the argument or the option. Raises ConfigError if both are given."""
    if argument is not None and option is not None:
        raise ConfigError(f"two sources: {argument} and --source {option}. Give one")
    return argument if option is None else option


def load(config: Path | None, **given: object) -> RunConfig:
    """Read the configuration.

    Args:
        config: the file; None for none.
        given: values of the options by name; None means not given.

    Raises:
        ConfigError: a value is wrong. The message names the file and key, or the option.
    """
    from fer_edge.config import load_config

    return load_config(config, *keyed(given))


def keyed(given: Mapping[str, object]) -> tuple[dict[str, object], dict[str, str]]:
    """The values of options, and the options' names, both by keys of the configuration."""
    keys = {name: _KEYS.get(name, name) for name in given}
    options = {key: f"--{name.replace('_', '-')}" for name, key in keys.items()}
    return {keys[name]: value for name, value in given.items()}, options
