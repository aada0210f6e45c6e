"""`fer-edge`: read expressions from a camera, a file or the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.console import Debug, exit_at_once, run_app, set_up, tell
from fer_edge.cli.models import models
from fer_edge.cli.options import ConfigOption, ModelOption, SourceOption, ThreadsOption
from fer_edge.cli.service import service
from fer_edge.cli.signals import StopSignals

if TYPE_CHECKING:
    from fer_edge.config import RunConfig
    from fer_edge.session import Session

app = typer.Typer(
    help="Facial expression recognition on small computers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

app.add_typer(models, name="models")
app.add_typer(service, name="service")


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
    from fer_edge.opencv import require_opencv

    if as_json and (markdown or compare):
        raise ConfigError(f"--json gives the numbers alone: leave out {'--markdown' if markdown else '--compare'}")
    settings = load_config(config, {"source": source, "model": model, "threads": threads})
    if settings.source == "auto" and not source:
        settings = settings.model_copy(update={"source": "demo"})
    require_opencv()
    from fer_edge.cli.bench import read_result, run_bench
    from fer_edge.cli.tables import bench_markdown, bench_table

    old = read_result(compare) if compare else None
    result = run_bench(settings, frames)
    if as_json or markdown:
        typer.echo(result.as_json() if as_json else bench_markdown(result, old))
    else:
        bench_table(result, old)


@app.command()
def doctor(model: Annotated[str, typer.Option(help="The model to examine.")] = "ferplus7") -> None:
    """Tell what works on this machine, and how to mend what does not. Exit 1 if something needed is broken."""
    from fer_edge.cli.doctor import run_checks
    from fer_edge.cli.tables import doctor_table

    checks = run_checks(model)
    doctor_table(checks)
    if any(check.needed and not check.works for check in checks):
        raise typer.Exit(1)


def _run(settings: RunConfig, stop: StopSignals, config: Path | None) -> None:
    from fer_edge.opencv import require_opencv

    require_opencv()
    from fer_edge.session import Session

    session = Session(settings, config)
    failed = True
    try:
        session.run(stop)
        failed = False
    finally:
        _summarise(session, failed=failed)
        if session.hangs:
            exit_at_once()


def _summarise(session: Session, *, failed: bool) -> None:
    stats, source = session.stats, session.source
    if source is None or (failed and not stats.frames):
        return
    if not stats.frames:
        tell(f"{source.description}: there was no frame")
        return
    faces = "1 face" if stats.faces == 1 else f"{stats.faces} faces"
    tell(
        f"{source.description}: {stats.frames} frames in {stats.seconds:.1f} s, {stats.fps:.1f} FPS, {faces}, "
        f"latency p50 {stats.latency_ms(50):.1f} ms, p95 {stats.latency_ms(95):.1f} ms"
    )


def run() -> None:
    """Entry point."""
    run_app(app)
