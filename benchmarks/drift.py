"""Measure how soon drift is noticed, and how many false alarms quiet months give, with simulated visitors.

python -m benchmarks.drift --months 200
"""

from __future__ import annotations

from typing import Annotated

import typer
from tests.visitors import Scene, month

from fer_edge.monitoring.drift import State, compare
from fer_edge.monitoring.period import Period

_REFERENCE_HOURS, _RECENT_HOURS = 7 * 24, 48


def states(hours: list[Period], step: int = 1) -> list[tuple[float, State, str]]:
    """The changes of state over a month: day, state, reason."""
    days = [_sum(hours[start : start + 24]) for start in range(0, _REFERENCE_HOURS, 24)]
    state: State = "ok"
    changes: list[tuple[float, State, str]] = []
    for now in range(_REFERENCE_HOURS + _RECENT_HOURS, len(hours) + 1, step):
        report = compare(days, [_sum(hours[now - 48 : now - 24]), _sum(hours[now - 24 : now])], state)
        if report.state not in {state, "too little data"}:
            changes.append((now / 24, report.state, report.reason))
            state = report.state
    return changes


def _sum(periods: list[Period]) -> Period:
    whole = Period()
    for period in periods:
        whole.add(period)
    return whole


def main(months: Annotated[int, typer.Option(help="Quiet months to simulate.")] = 200) -> None:
    """Print false alarms, then how four changes are noticed."""
    quiet = [states(month(seed), step=3) for seed in range(months)]
    for name in ("watch", "drifted"):
        count = sum(any(state == name for _, state, _ in one) for one in quiet)
        typer.echo(f"{name} in {count} of {months} quiet months")
    for name, change in {
        "half the light from day 10": {10: Scene(light=0.5)},
        "three quarters of the light from day 10": {10: Scene(light=0.75)},
        "camera closer from day 20, faces 1.8 times as large": {20: Scene(size=1.8)},
        "dust from day 10, a sixth of the sharpness": {10: Scene(sharpness=1 / 6)},
    }.items():
        found = [f"day {day:.1f} {state}: {why}" for day, state, why in states(month(1000, changes=change))[:2]]
        typer.echo(f"{name}: " + ("; ".join(found) or "not noticed"))


if __name__ == "__main__":
    typer.run(main)
