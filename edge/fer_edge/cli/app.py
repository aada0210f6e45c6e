"""The command line `fer-edge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.config import config
from fer_edge.cli.console import run_app
from fer_edge.cli.drift import drift
from fer_edge.cli.general import Debug, Version, build, new_app
from fer_edge.cli.json_output import JsonCommand, JsonOption, require_json_target, write_json
from fer_edge.cli.models import models
from fer_edge.cli.options import (
    BenchSourceArgument,
    ConfigOption,
    DetectorOption,
    ModelOption,
    SourceOption,
    ThreadsOption,
    load,
    one_source,
)
from fer_edge.cli.report import report
from fer_edge.cli.run import run as run_command
from fer_edge.cli.samples import samples
from fer_edge.cli.service import service
from fer_edge.cli.stats import stats
from fer_edge.cli.web import web

app = new_app("Facial expression recognition on small computers.")


@app.callback()
def main(_debug: Debug = False, _version: Version = False) -> None:
    """Facial expression recognition on small computers."""


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
    """Measure frames per second and the time of each stage. The default source is the demo."""
    from fer_edge.errors import ConfigError
    from fer_edge.opencv import require_opencv

    if json_target == "-" and (markdown or compare):
        raise ConfigError(f"--json prints only JSON: remove {'--markdown' if markdown else '--compare'}")
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


def doctor(model: ModelOption = None) -> None:
    """Check this machine, and say how to fix what does not work. Exit 1 if a needed part is broken."""
    from fer_edge.cli.doctor import run_checks
    from fer_edge.cli.tables import doctor_table
    from fer_edge.model.bundle import CURRENT_MODEL

    checks = run_checks(model or CURRENT_MODEL)
    doctor_table(checks)
    if any(check.needed and not check.works for check in checks):
        raise typer.Exit(1)


app.command("run")(run_command)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(config)
app.command(cls=JsonCommand)(bench)
app.command()(doctor)
app.command(cls=JsonCommand)(stats)
app.command()(report)
app.add_typer(models, name="models")
app.add_typer(service, name="service")
app.add_typer(drift, name="drift")
app.add_typer(samples, name="samples")
app.add_typer(web, name="web")


def run() -> None:
    """Entry point."""
    run_app(build(app))
