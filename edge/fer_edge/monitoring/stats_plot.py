"""Plot a usage record: face time per label, and frames per second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fer_edge.errors import ConfigError, MissingExtra, reason
from fer_edge.monitoring.stats import Group, ordered_labels
from fer_edge.sinks.overlay import COLOURS

_GREY = (150, 150, 150)


def draw_stats(groups: Sequence[Group], path: Path) -> None:
    """Draw stacked bars of face time per label, and frames per second below them.

    Raises:
        MissingExtra: matplotlib is not installed.
        ConfigError: there is nothing to draw, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - no device needs it but for this
    except ImportError as error:
        raise MissingExtra("matplotlib, for --plot,", "plot") from error
    if not groups:
        raise ConfigError("--plot: nothing was recorded in this time")
    figure = Figure(figsize=(9, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    names = [group.start.strftime("%d %b %H:%M") for group in groups]
    base = [0.0] * len(groups)
    for label in ordered_labels(groups):
        heights = [group.period.face_s[label] / 60 for group in groups]
        blue, green, red = COLOURS.get(label, _GREY)
        upper.bar(names, heights, bottom=base, label=label, color=(red / 255, green / 255, blue / 255))
        base = [low + height for low, height in zip(base, heights, strict=True)]
    upper.set_ylabel("face time, minutes")
    upper.legend(ncols=5, fontsize="small")
    lower.bar(names, [group.period.frames / group.seconds for group in groups], color="0.6")
    lower.set_ylabel("frames per second")
    lower.tick_params(axis="x", rotation=60)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--plot {path}: cannot be written ({reason(error)})") from error
