"""`fer-edge`: read expressions from a camera, a file or the demo."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.console import Debug, run_app, set_up, tell
from fer_edge.signals import StopSignals

if TYPE_CHECKING:
    from fer_edge.config import RunConfig
    from fer_edge.sinks import Sink
    from fer_edge.sources import Source
    from fer_edge.summary import Summary

app = typer.Typer(
    help="Facial expression recognition on small computers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

SourceOption = Annotated[
    str | None,
    typer.Option(
        help="auto, demo, picamera2, a camera's number, a video, an image, a folder, an rtsp:// or http:// URL."
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="A shipped model's name or a bundle's folder.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="A TOML file; options given here override it.")]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads for the model and for OpenCV, each.")]


@app.callback()
def main(debug: Debug = False) -> None:
    """Facial expression recognition on small computers."""
    set_up(debug)


@app.command("run")
def run_command(
    source: SourceOption = None,
    model: ModelOption = None,
    detector: Annotated[str | None, typer.Option(help="haar or mediapipe.")] = None,
    display: Annotated[str | None, typer.Option(help="none, window or hdmi.")] = None,
    json_path: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write a JSON line a frame; - is standard output.")
    ] = None,
    on_change: Annotated[
        bool | None, typer.Option("--on-change", help="JSON lines only when faces or labels change.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the annotated video, .mp4 or .mkv; pictures: a folder.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the probabilities over time, .png, .svg or .pdf.")] = None,
    mqtt: Annotated[str | None, typer.Option(metavar="HOST", help="Tell this MQTT broker of every change.")] = None,
    max_frames: Annotated[int | None, typer.Option(help="Stop after this many frames.")] = None,
    max_fps: Annotated[float | None, typer.Option(help="Process at most this many frames a second.")] = None,
    power_save: Annotated[
        bool | None, typer.Option("--power-save", help="Two frames a second while nobody is there.")
    ] = None,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
) -> None:
    """Find faces, follow them and read their expressions."""
    stop = StopSignals()
    options = {
        "source": source,
        "model": model,
        "detector.name": detector,
        "display": display,
        "json": json_path,
        "json_lines.on_change": on_change,
        "record": record,
        "plot": plot,
        "mqtt.host": mqtt,
        "max_frames": max_frames,
        "max_fps": max_fps,
        "power_save": power_save,
        "threads": threads,
    }
    try:
        from fer_edge.config import load_config

        _run(load_config(config, options), stop, config)
    except KeyboardInterrupt:  # it was ended, and something blocked
        if not stop.requested:
            raise


@app.command()
def bench(
    source: SourceOption = None,
    model: ModelOption = None,
    frames: Annotated[int, typer.Option(min=1, help="Measure at most this many.")] = 300,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a table to paste.")] = False,
    compare: Annotated[Path | None, typer.Option(metavar="OLD.JSON", help="Show the change since this result.")] = None,
) -> None:
    """Measure frames a second, and the time of each stage: on the demo unless a source is given or configured."""
    from fer_edge.config import load_config
    from fer_edge.errors import ConfigError

    if as_json and (markdown or compare):
        raise ConfigError(f"--json gives the numbers alone: leave out {'--markdown' if markdown else '--compare'}")
    settings = load_config(config, {"source": source, "model": model, "threads": threads})
    if settings.source == "auto" and not source:
        settings = settings.model_copy(update={"source": "demo"})
    _prepare(settings)
    from fer_edge.bench import read_result, run_bench
    from fer_edge.tables import bench_markdown, bench_table

    old = read_result(compare) if compare else None
    result = run_bench(settings, frames)
    if as_json or markdown:
        typer.echo(result.as_json() if as_json else bench_markdown(result, old))
    else:
        bench_table(result, old)


@app.command()
def doctor(model: Annotated[str, typer.Option(help="The model to examine.")] = "ferplus7") -> None:
    """Tell what works on this machine, and how to mend what does not. Exit 1 if something needed is broken."""
    from fer_edge.doctor import examine
    from fer_edge.tables import doctor_table

    checks = examine(model)
    doctor_table(checks)
    if any(check.needed and not check.works for check in checks):
        raise typer.Exit(1)


models = typer.Typer(help="List or verify model bundles.", pretty_exceptions_enable=False)
app.add_typer(models, name="models")


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the shipped models; with `verify`, verify one."""
    if context.invoked_subcommand:
        return
    from fer_edge.bundle import find_bundle, load_bundle, shipped_bundles
    from fer_edge.tables import models_table

    models_table([load_bundle(find_bundle(name)) for name in shipped_bundles()])


@models.command("verify")
def verify_model(
    model: Annotated[str, typer.Argument(help="A shipped model's name or a folder.")] = "ferplus7",
) -> None:
    """Compare a bundle's hashes, and its answers on this machine with the golden ones."""
    from fer_edge.bundle import find_bundle
    from fer_edge.selftest import verify

    typer.echo(verify(find_bundle(model)))


service = typer.Typer(
    help="What a device's service does, and whether it could start.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(service, name="service")


@service.command("status")
def service_status() -> None:
    """Show what matters on one screen. Exit 1 if the service does not run."""
    from fer_edge.service import examine
    from fer_edge.tables import service_table

    state = examine()
    service_table(state)
    if not state.runs:
        raise typer.Exit(1)


@service.command("check")
def service_check(config: ConfigOption = None) -> None:
    """Read the configuration, open the model and find the packages that outputs need; open no camera or output."""
    from fer_edge.config import load_config

    settings = load_config(config, {})
    _prepare(settings)
    from fer_edge.pipeline import Pipeline
    from fer_edge.sinks import make_sinks

    make_sinks(settings, fps=30)
    Pipeline(settings).close()
    typer.echo(f"{config or 'the default configuration'} and model {settings.model} are good")


def _run(settings: RunConfig, stop: StopSignals, config: Path | None) -> None:
    _prepare(settings)
    _refuse_overwriting(settings, config)
    from fer_edge.errors import ConfigError, SourceError
    from fer_edge.notify import open_notifier
    from fer_edge.pipeline import Pipeline
    from fer_edge.sinks import open_sinks
    from fer_edge.sources import open_source
    from fer_edge.summary import Summary

    pipeline = Pipeline(settings)
    summary = Summary()
    notifier = open_notifier()
    with ExitStack() as stack:
        stack.callback(pipeline.close)
        try:
            source = stack.enter_context(open_source(settings, observer=pipeline))
        except SourceError:
            if stop.requested:  # it was ended while it waited for the camera
                return
            raise
        stop.then(source.stop)
        _refuse_unsuited(settings, source)
        sinks = open_sinks(settings, stack, source.fps)
        watchers = [notifier] if notifier else _watchers(settings, source)
        sinks += [stack.enter_context(watcher) for watcher in watchers]
        if notifier:
            notifier.source, notifier.outputs = source.description, sinks
        stack.push(lambda error, *_: _summarise(source.description, summary, failed=error is not None))
        with suppress(KeyboardInterrupt):
            pipeline.run(source, sinks, summary, settings.max_frames)
        stop.is_over()
    for sink, lost in summary.lost.items():
        raise ConfigError(f"{sink}: {lost} of {summary.frames} frames could not be written")


def _refuse_overwriting(settings: RunConfig, config: Path | None) -> None:
    """Refuse outputs that would replace an input, or each other."""
    from fer_edge.errors import ConfigError

    detector = settings.detector
    inputs = {"source": settings.source, "--config": config, "cascade": detector.cascade, "detector": detector.model}
    taken = {_real(name): what for what, name in inputs.items() if name is not None}
    taken |= {_real(picture): "source" for picture in _pictures_in(Path(settings.source))}
    model = _real(settings.model)
    folder = str(Path(_real(settings.source)).parent)
    outputs = (("--record", settings.record), ("--plot", settings.plot), ("--json", settings.json_path))
    for option, name in outputs:
        if name is None or name == "-" or "\0" in str(name):
            continue
        path = os.path.realpath(name)
        other = "model" if path.startswith(model + os.sep) else taken.get(path)
        if path == folder and os.path.isfile(settings.source):  # noqa: PTH113 - a name too long is no file
            raise ConfigError(f"{option} {name}: holds the source, which would be replaced. Choose another folder")
        if other:
            raise ConfigError(f"{option} {name}: is also the {other} file. Choose another")
        taken[path] = option


def _real(name: str | Path) -> str:
    """The path without links; a name that no file can have (it holds a NUL) as it is."""
    with suppress(ValueError):
        return os.path.realpath(name)
    return str(name)


def _pictures_in(folder: Path) -> list[Path]:
    """The pictures that a source reads; none where it is no folder, or one that cannot be listed."""
    from fer_edge.images import pictures_in

    with suppress(OSError, ValueError):
        return pictures_in(folder)
    return []


def _refuse_unsuited(settings: RunConfig, source: Source) -> None:
    """Refuse outputs that this kind of source has no use for."""
    from fer_edge.errors import ConfigError

    pictures = _gives_pictures(source)
    if settings.plot and (pictures or source.frames is None):
        raise ConfigError(f"--plot is for a video; {source.description} is none")
    if settings.record and not settings.record.suffix and not pictures:
        raise ConfigError(f"--record {settings.record}: a folder is for pictures; a video is written as .mp4 or .mkv")


def _summarise(source: str, summary: Summary, *, failed: bool) -> None:
    if not summary.frames:
        if not failed:
            tell(f"{source}: there was no frame")
        return
    faces = "1 face" if summary.faces == 1 else f"{summary.faces} faces"
    tell(
        f"{source}: {summary.frames} frames in {summary.seconds:.1f} s, {summary.fps:.1f} FPS, {faces}, "
        f"latency p50 {summary.latency_ms(50):.1f} ms, p95 {summary.latency_ms(95):.1f} ms"
    )


def _prepare(settings: RunConfig) -> None:
    from fer_edge.opencv import require_opencv

    require_opencv()
    import cv2

    cv2.setNumThreads(settings.threads)


def _watchers(settings: RunConfig, source: Source) -> list[Sink]:
    """The live line or progress bar on a terminal; without one, a log of changes; a table of pictures."""
    from fer_edge.sinks.pictures import PictureTable
    from fer_edge.sinks.terminal import ChangeLog, LiveLine

    watchers: list[Sink] = []
    pictures = _gives_pictures(source)
    if pictures and settings.json_path != "-":
        watchers.append(PictureTable())
    if not sys.stderr.isatty():
        return watchers if settings.json_path or pictures else [ChangeLog()]
    shares_terminal = settings.json_path == "-" and sys.stdout.isatty()
    wanted = source.frames is not None or settings.json_path is None
    return [*watchers, LiveLine(source.frames)] if wanted and not shares_terminal else watchers


def _gives_pictures(source: Source) -> bool:
    from fer_edge.sources.file import ImageSource

    return isinstance(source, ImageSource)


def run() -> None:
    """Entry point."""
    run_app(app)
