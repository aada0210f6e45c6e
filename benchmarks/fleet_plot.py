"""Draws what `benchmarks.fleet` found."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw the good version, the poisoned one, and what the web server sent, by the hour."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    total, hours = result["devices"], result["hours"]
    parts = list(dict.fromkeys(hour["part"] for hour in hours))
    good, poisoned = ([hour for hour in hours if hour["part"] == part] for part in parts[-2:])
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")

    axes[0].step(range(len(good)), [hour["percent"] for hour in good], where="post", color="0.6", label="may take it")
    axes[0].plot([0, *(100 * hour["running"] / total for hour in good)], marker=".", label="run it")
    axes[0].set(title="A good version", xlabel="hours since its publication", ylabel="devices, %", ylim=(0, 105))

    axes[1].plot([0, *(hour["tried"] for hour in poisoned)], marker=".", color="C3", label="have tried it")
    axes[1].plot([0, *(hour["running"] for hour in poisoned)], marker=".", color="C1", label="run it")
    halted = [index for index, hour in enumerate(poisoned) if hour["said"].startswith("halted")]
    if halted:
        axes[1].axvline(halted[0], color="0.6", linestyle="--", label="halted")
    axes[1].set(
        title="A poisoned one", xlabel="hours since its publication", ylabel=f"devices of {total}", xlim=(0, None)
    )
    axes[1].set_ylim(bottom=0)

    axes[2].plot(range(1, len(hours) + 1), [hour["requests"] / 3600 for hour in hours], color="C2", marker=".")
    axes[2].set(title="Web server", xlabel="hours of the simulation", ylabel="requests per second")
    axes[2].set_ylim(bottom=0)
    for place, (before, now) in enumerate(pairwise(hours), 1):
        if before["part"] != now["part"]:
            axes[2].axvline(place, color="0.8", linewidth=1)

    for each in axes:
        each.grid(alpha=0.3)
    for each in axes[:2]:
        each.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
