"""`fer-edge run`: find and track faces, and classify their expressions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_edge.cli.console import exit_at_once
from fer_edge.cli.json_output import require_json_target
from fer_edge.cli.options import (
    ConfigOption,
    DetectorOption,
    DisplayOption,
    ModelOption,
    SourceArgument,
    SourceOption,
    ThreadsOption,
    default,
    load,
    one_source,
)
from fer_edge.cli.signals import StopSignals
from fer_edge.terminal import tell

if TYPE_CHECKING:
    from fer_edge.config import RunConfig
    from fer_edge.session import Session


def run(
    source: SourceArgument = None,
    source_option: SourceOption = None,
    recursive: Annotated[
        bool | None, typer.Option("--recursive", help="Read the images of a folder's subfolders, too.")
    ] = None,
    source_fps: Annotated[
        float | None,
        typer.Option(metavar="N", help=default("Frames per second of a raw .h264 or .mjpeg file.", "25")),
    ] = None,
    model: ModelOption = None,
    detector: DetectorOption = None,
    display: DisplayOption = None,
    json: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Write one JSON line per frame; - is standard output."),
    ] = None,
    on_change: Annotated[
        bool | None,
        typer.Option(
            "--on-change",
            help="With --json: write a line only when a face appears, leaves or changes its label.",
        ),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE|-", help="Write one row per face and frame as CSV; - is standard output."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Write the annotated video (.mp4, .mkv or .webm), or the annotated images (a folder).",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plot a video's probabilities over time (.png, .svg or .pdf)."),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option(metavar="HOST", help="Send every change of faces and labels to this MQTT broker.")
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(
            "--web", metavar="[HOST:]PORT", help="Serve the live page there, as in 8080: http://localhost:8080"
        ),
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(metavar="N", help=default("Stop after this many frames.", "no limit"))
    ] = None,
    max_fps: Annotated[
        float | None,
        typer.Option(metavar="N", help=default("Process at most this many frames per second of a camera.", "no limit")),
    ] = None,
    power_save: Annotated[
        bool | None,
        typer.Option("--power-save", help="Process two frames per second of a camera while nobody is in view."),
    ] = None,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
) -> None:
    """Find and track faces, and classify their expressions."""
    stop = StopSignals()
    try:
        settings = load(
            config,
            source=one_source(source, source_option),
            recursive=recursive,
            source_fps=source_fps,
            model=model,
            detector=detector,
            display=display,
            json=json,
            csv=csv,
            on_change=on_change,
            record=record,
            plot=plot,
            mqtt=mqtt,
            web=web,
            max_frames=max_frames,
            max_fps=max_fps,
            power_save=power_save,
            threads=threads,
        )
        _run(settings, stop, config, json)
    except KeyboardInterrupt:  # the user ended it while something blocked
        if not stop.requested:
            raise


def overrides(parameters: Mapping[str, Any]) -> dict[str, object]:
    """The values of `run`'s options that override the configuration, by name, from all parameters of the command."""
    source = one_source(parameters["source"], parameters["source_option"])
    return {**parameters, "source": source, "source_option": None, "config": None}


def _run(settings: RunConfig, stop: StopSignals, config: Path | None, json_lines: str | None) -> None:
    from fer_edge.opencv import require_opencv

    require_opencv()
    from fer_edge.session import Session

    session = Session(settings, config)
    if json_lines is not None:
        require_json_target(json_lines)
    _recommend_mediapipe(settings)
    failed = True
    try:
        session.run(stop)
        failed = False
    finally:
        _summarise(session, failed=failed)
        if session.hangs:
            exit_at_once()


def _recommend_mediapipe(settings: RunConfig) -> None:
    """Recommend the better detector on a terminal if it is installed and none was chosen."""
    from fer_edge.detectors.mediapipe_files import has_models

    if sys.stderr.isatty() and "name" not in settings.detector.model_fields_set and has_models():
        tell("faces are found by haar; --detector mediapipe finds more")


def _summarise(session: Session, *, failed: bool) -> None:
    stats, source = session.stats, session.source
    if source is None or (failed and not stats.frames):
        return
    if not stats.frames:
        tell(f"{source.description}: no frames")
        return
    frames = "1 frame" if stats.frames == 1 else f"{stats.frames} frames"
    faces = "1 face" if stats.faces == 1 else f"{stats.faces} faces"
    skipped = f", {source.skipped} skipped" if source.skipped else ""
    tell(
        f"{source.description}: {frames}{skipped} in {stats.seconds:.1f} s, {stats.fps:.1f} FPS, {faces}, "
        f"latency p50 {stats.latency_ms(50):.1f} ms, p95 {stats.latency_ms(95):.1f} ms"
    )
