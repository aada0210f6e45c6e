"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SourceOption = Annotated[
    str | None,
    typer.Option(
        help="auto, demo, picamera2, a camera's number, a video, an image, a folder, an rtsp:// or http:// URL."
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="A shipped model's name or a bundle's folder.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="A TOML file; options given here override it.")]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads for the model and for OpenCV, each.")]
