"""Tables for the terminal, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from fer_edge.terminal import output_console, printable
from fer_edge.updates.releases import CHANNELS, Release, Releases, Rollout
from fer_fleet.repository import Repository
from fer_fleet.verification import RoleState


def releases_table(releases: Releases) -> None:
    """Print the releases, the newest first, and how far each is rolled out."""
    table = Table()
    for heading in ("model", "version", "published", *CHANNELS, "remarks"):
        table.add_column(heading, overflow="fold")
    for name, model in releases.models.items():
        for release in reversed(model.releases):
            rollouts = [
                next((each for each in model.channel(channel) if each.version == release.version), None)
                for channel in CHANNELS
            ]
            table.add_row(
                name,
                release.version,
                f"{release.published:%Y-%m-%d %H:%M}",
                *map(_share, rollouts),
                escape(printable(_remarks(release, rollouts))),
            )
    output_console().print(table)


def roles_table(states: Sequence[RoleState]) -> None:
    """Print version, expiry and keys of each role."""
    table = Table()
    for heading in ("role", "file", "expires", "days left", "keys"):
        table.add_column(heading, overflow="fold")
    for state in states:
        days = f"{state.days_left:.1f}"
        table.add_row(
            state.name,
            str(state.version),
            f"{state.expires:%Y-%m-%d %H:%M}",
            f"[red]{days}[/]" if state.due else days,
            f"{state.threshold} of {', '.join(state.keys)}",
        )
    output_console().print(table)


def show_json(repository: Repository, states: Sequence[RoleState]) -> str:
    """What `show` prints, as JSON."""
    content = {
        "current": repository.is_current(),
        "releases": repository.releases.model_dump(mode="json"),
        "roles": [{**asdict(state), "expires": state.expires.isoformat()} for state in states],
    }
    return json.dumps(content, indent=2)


def _share(rollout: Rollout | None) -> str:
    if rollout is None:
        return ""
    cohorts = "".join(f", {percent:g} % of {tag}" for tag, percent in rollout.cohorts.items())
    share = f"{rollout.percent:g} %{cohorts}"
    return f"[red]halted[/] at {share}" if rollout.halted is not None else share


def _remarks(release: Release, rollouts: Sequence[Rollout | None]) -> str:
    halted = {rollout.halted for rollout in rollouts if rollout and rollout.halted is not None}
    found = [f"revoked: {release.revoked}"] if release.revoked is not None else []
    found += [f"halted: {why}" for why in sorted(halted)]
    found += [f"forced: {release.forced}"] if release.forced is not None else []
    return "; ".join(found)
