"""`fer-edge service`: what the installed service does, and whether it could start."""

from __future__ import annotations

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.options import ConfigOption

service = new_app("Show what the installed service does, or check whether it could start.")


@service.command("status")
def service_status() -> None:
    """Show the service's state on one screen. Exit 1 if it does not run."""
    from fer_edge.cli.tables import service_table
    from fer_edge.device.service import service_state

    state = service_state()
    service_table(state)
    if not state.runs:
        raise typer.Exit(1)


@service.command("check")
def service_check(config: ConfigOption = None) -> None:
    """Check the configuration, the model and the packages that the outputs need. Opens no camera and no output."""
    from fer_edge.config import load_config
    from fer_edge.opencv import require_opencv

    settings = load_config(config, {})
    require_opencv()
    from fer_edge.pipeline import Pipeline
    from fer_edge.sinks import make_sinks

    make_sinks(settings, fps=30)
    with Pipeline(settings):
        pass
    typer.echo(f"{config or 'the default configuration'} and model {settings.model} are valid")
