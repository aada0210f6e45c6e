"""`fer-edge`: read expressions from a camera, a file or the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.console import exit_at_once, run_app
from fer_edge.cli.drift import drift
from fer_edge.cli.general import Debug, Version, build, new_app
from fer_edge.cli.json_output import JsonCommand, JsonOption, require_json_target, write_json
from fer_edge.cli.models import models
from fer_edge.cli.options import (
    BenchSourceArgument,
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
from fer_edge.cli.service import service
from fer_edge.cli.signals import StopSignals
from fer_edge.cli.stats import stats
from fer_edge.cli.web import web
from fer_edge.terminal import tell

if TYPE_CHECKING:
    from fer_edge.config import RunConfig
    from fer_edge.session import Session

app = new_app("Facial expression recognition on small computers.")


@app.callback()
def main(_debug: Debug = False, _version: Version = False) -> None:
    """Facial expression recognition on small computers."""


@app.command("run")
def run_command(
    source: SourceArgument = None,
    source_option: SourceOption = None,
    model: ModelOption = None,
    detector: DetectorOption = None,
    display: DisplayOption = None,
    json_lines: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Write one JSON line per frame; - is standard output."),
    ] = None,
    on_change: Annotated[
        bool | None,
        typer.Option(
            "--on-change",
            help="With --json: write a line only when a face comes, goes or changes its label.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="Write the annotated video (.mp4 or .mkv), or the annotated pictures (a folder).",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw a video's probabilities over time (.png, .svg or .pdf)."),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option(metavar="HOST", help="Send every change of faces and labels to this MQTT broker.")
    ] = None,
    web_address: Annotated[
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
    """Find faces, follow them and read their expressions."""
    stop = StopSignals()
    try:
        settings = load(
            config,
            source=one_source(source, source_option),
            model=model,
            detector=detector,
            display=display,
            json=json_lines,
            on_change=on_change,
            record=record,
            plot=plot,
            mqtt=mqtt,
            web=web_address,
            max_frames=max_frames,
            max_fps=max_fps,
            power_save=power_save,
            threads=threads,
        )
        _run(settings, stop, config, json_lines)
    except KeyboardInterrupt:  # it was ended, and something blocked
        if not stop.requested:
            raise


@app.command(cls=JsonCommand)
def bench(
    source: BenchSourceArgument = None,
    source_option: SourceOption = None,
    model: ModelOption = None,
    detector: DetectorOption = None,
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="Measure at most this many frames.")] = 300,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    json_target: JsonOption = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table as Markdown, to paste into a report.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show the change since this result, which --json wrote.")
    ] = None,
) -> None:
    """Measure frames per second and the time of each stage, on the demo unless a source is given or configured."""
    from fer_edge.errors import ConfigError
    from fer_edge.opencv import require_opencv

    if json_target == "-" and (markdown or compare):
        raise ConfigError(f"--json prints JSON alone: leave out {'--markdown' if markdown else '--compare'}")
    if json_target:
        require_json_target(json_target)
    named = one_source(source, source_option)
    settings = load(config, source=named, model=model, detector=detector, threads=threads)
    if settings.source == "auto" and not named:
        settings = settings.model_copy(update={"source": "demo"})
    require_opencv()
    from fer_edge.cli.bench import read_result, run_bench
    from fer_edge.cli.tables import bench_markdown, bench_table

    old = read_result(compare) if compare else None
    result = run_bench(settings, frames)
    if markdown:
        typer.echo(bench_markdown(result, old))
    elif json_target != "-":
        bench_table(result, old)
    if json_target:
        write_json(result.as_json(), json_target)


@app.command()
def doctor(model: ModelOption = None) -> None:
    """Check what works on this machine, and say how to fix the rest. Exit 1 if something needed is broken."""
    from fer_edge.cli.doctor import run_checks
    from fer_edge.cli.tables import doctor_table
    from fer_edge.model.bundle import DEFAULT_MODEL

    checks = run_checks(model or DEFAULT_MODEL)
    doctor_table(checks)
    if any(check.needed and not check.works for check in checks):
        raise typer.Exit(1)


app.add_typer(models, name="models")
app.add_typer(service, name="service")
app.command(cls=JsonCommand)(stats)
app.add_typer(drift, name="drift")
app.add_typer(web, name="web")


def _run(settings: RunConfig, stop: StopSignals, config: Path | None, json_lines: str | None) -> None:
    from fer_edge.opencv import require_opencv

    require_opencv()
    from fer_edge.session import Session

    session = Session(settings, config)
    if json_lines is not None:
        require_json_target(json_lines)
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
    frames = "1 frame" if stats.frames == 1 else f"{stats.frames} frames"
    faces = "1 face" if stats.faces == 1 else f"{stats.faces} faces"
    tell(
        f"{source.description}: {frames} in {stats.seconds:.1f} s, {stats.fps:.1f} FPS, {faces}, "
        f"latency p50 {stats.latency_ms(50):.1f} ms, p95 {stats.latency_ms(95):.1f} ms"
    )


def run() -> None:
    """Entry point."""
    run_app(build(app))
