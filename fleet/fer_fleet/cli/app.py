"""`fer-fleet`: the signed repository of a fleet's models, and the state of its devices."""

from __future__ import annotations

import logging

from fer_edge.cli.console import run_app
from fer_edge.cli.general import Debug, Version, build, new_app
from fer_edge.cli.json_output import JsonCommand
from fer_fleet.cli.fleet import collect, devices, status
from fer_fleet.cli.publishing import halt, promote, publish, revoke, rollout
from fer_fleet.cli.repository import init, refresh, rotate, show, verify

app = new_app("Publish models to a fleet of devices, signed, and watch how they do.")


@app.callback()
def main(_debug: Debug = False, _version: Version = False) -> None:
    """Publish models to a fleet of devices, signed, and watch how they do."""
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger("tuf").setLevel(logging.CRITICAL)  # it logs each signature that it looks for


for _command in (init, publish, promote, rollout, halt, revoke, refresh, rotate, verify):
    app.command()(_command)
app.command(cls=JsonCommand)(show)
app.command(cls=JsonCommand)(status)
app.command(cls=JsonCommand)(collect)
app.add_typer(devices, name="devices")


def run() -> None:
    """Entry point."""
    run_app(build(app), extra="fleet")
