"""Commands for releases: publish, promote, roll out, halt, revoke."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_edge.errors import ConfigError
from fer_fleet.cli.broker_options import BrokerOption, CafileOption, UserOption, broker_config, tell_refused
from fer_fleet.cli.options import (
    ChannelOption,
    KeysOption,
    ReasonOption,
    RepositoryOption,
    VersionArgument,
    now,
    one_line,
    open_keys,
)

if TYPE_CHECKING:
    from fer_edge.config import MqttConfig
    from fer_edge.updates.releases import Releases

PercentOption = Annotated[float, typer.Option(min=0, max=100, metavar="PERCENT", help="Share of the devices.")]


def publish(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or a shipped model.")],
    channel: ChannelOption = "beta",
    percent: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            metavar="PERCENT",
            help="Share of the channel's devices that may take it. Default: 100 in beta, 0 in stable.",
        ),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Publish a bundle that did not pass the gate. The reason is signed, too."),
    ] = None,
    repository: RepositoryOption = Path(),
    keys: KeysOption = None,
) -> None:
    """Publish a bundle that fer-quantize measured and that lost little by int8."""
    from fer_edge.model.bundle import find_bundle
    from fer_fleet import operations
    from fer_fleet.gate import check

    reason = one_line("--force", force) if force is not None else None
    share = percent if percent is not None else 100.0 if channel == "beta" else 0.0
    gated = check(find_bundle(bundle))
    current = operations.publish(repository, open_keys(repository, keys), gated, channel, share, reason, now())
    manifest = gated.bundle.manifest
    _report(f"{manifest.name}@{manifest.version}: published, {channel} at {share:g} %", current=current)


def promote(
    version: VersionArgument,
    percent: PercentOption = 0.0,
    repository: RepositoryOption = Path(),
    keys: KeysOption = None,
) -> None:
    """Take a version from the beta channel to the stable one."""
    from fer_fleet import edits

    done = f"promoted, stable at {percent:g} %"
    _change(
        repository, keys, version, lambda releases, name, number: edits.promote(releases, name, number, percent), done
    )


def rollout(
    version: VersionArgument,
    percent: Annotated[
        float | None, typer.Option(min=0, max=100, metavar="PERCENT", help="Share of the devices.")
    ] = None,
    cohort: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Only the devices with this tag. May be repeated. Default: all devices."),
    ] = None,
    channel: ChannelOption = "stable",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a version that was halted.")] = False,
    auto: Annotated[
        bool,
        typer.Option(
            "--auto",
            help="Ask the devices, and raise the share one step (1, 10, 50, 100 %), wait, or halt. For a timer.",
        ),
    ] = False,
    limit: Annotated[
        float, typer.Option(min=0, max=100, metavar="PERCENT", help="With --auto: share of the trials that may fail.")
    ] = 5.0,
    broker: BrokerOption = None,
    user: UserOption = None,
    cafile: CafileOption = None,
    repository: RepositoryOption = Path(),
    keys: KeysOption = None,
) -> None:
    """Raise the share of devices that take a version. Devices that have it keep it."""
    from fer_fleet import edits

    if auto:
        if percent is not None or cohort or resume:
            raise ConfigError("--auto decides by itself: leave out --percent, --cohort and --resume")
        _automatic(version, channel, limit, broker_config(broker, user, cafile), repository, keys)
        return
    if percent is None:
        raise ConfigError("no share. Give --percent, or --auto")
    tags = tuple(cohort or ())

    def edit(releases: Releases, name: str, number: str) -> Releases:
        return edits.roll_out(releases, name, number, channel, percent, tags, resume=resume)

    who = f"devices tagged {', '.join(tags)}" if tags else "all devices"
    _change(repository, keys, version, edit, f"{channel} at {percent:g} % of {who}")


def _automatic(
    version: str,
    channel: Literal["stable", "beta"],
    limit: float,
    broker: MqttConfig,
    repository: Path,
    keys: list[Path] | None,
) -> None:
    from fer_edge.updates.fleet_messages import DeviceState
    from fer_fleet import edits
    from fer_fleet.broker import read_messages
    from fer_fleet.progress import next_step
    from fer_fleet.repository import Repository

    releases = Repository(repository).releases
    name, number = edits.find(releases, version)
    rollout = edits.rollout_in(releases, name, number, channel)
    found, heard = read_messages(broker, DeviceState)
    tell_refused(heard)
    step = next_step(name, channel, rollout, list(found.values()), limit, now())
    if step.halt is not None:
        why = step.halt
        _change(repository, keys, version, lambda old, *_: edits.halt(old, name, number, why), step.reason)
        raise typer.Exit(1)
    if step.percent is None:
        typer.echo(f"{name}@{number}: {step.reason}")
        return
    share = step.percent
    _change(repository, keys, version, lambda old, *_: edits.roll_out(old, name, number, channel, share), step.reason)


def halt(
    version: VersionArgument,
    reason: ReasonOption = "halted by hand",
    repository: RepositoryOption = Path(),
    keys: KeysOption = None,
) -> None:
    """Let no further device take a version. Those that have it keep it; see revoke."""
    from fer_fleet import edits

    why = one_line("--reason", reason)
    _change(repository, keys, version, lambda releases, name, number: edits.halt(releases, name, number, why), "halted")


def revoke(
    version: VersionArgument,
    reason: ReasonOption = "revoked by hand",
    repository: RepositoryOption = Path(),
    keys: KeysOption = None,
) -> None:
    """Take a version back: devices that have it take another at their next update."""
    from fer_fleet import edits

    why = one_line("--reason", reason)
    _change(
        repository, keys, version, lambda releases, name, number: edits.revoke(releases, name, number, why), "revoked"
    )


def _change(
    repository: Path, keys: list[Path] | None, version: str, edit: Callable[[Releases, str, str], Releases], done: str
) -> None:
    from fer_fleet import edits, operations
    from fer_fleet.repository import Repository

    pair = edits.find(Repository(repository).releases, version)
    current = operations.change(repository, open_keys(repository, keys), lambda old: edit(old, *pair), now())
    _report(f"{'@'.join(pair)}: {done}", current=current)


def _report(text: str, *, current: bool) -> None:
    typer.echo(text if current else f"{text}; signed, and devices get it after fer-fleet refresh with the online keys")
