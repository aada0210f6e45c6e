"""The pictures of the report: SVG text to put into a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fer_edge.errors import MissingExtra
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.monitoring.measured_accuracy import MeasuredAccuracy
from fer_edge.monitoring.stats import Group, ordered_labels
from fer_edge.sinks.overlay import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GREY = (150, 150, 150)
_BLUE, _RED = "#0072B2", "#D55E00"


def new_figure(height: float) -> Figure:
    """An empty picture, 8 inches wide. Raises MissingExtra where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure as NewFigure  # noqa: PLC0415 - no device needs it but for this
    except ImportError as error:
        raise MissingExtra("matplotlib, for pictures,", "plot") from error
    return NewFigure(figsize=(8, height), layout="constrained")


def as_svg(figure: Figure) -> str:
    """The picture as an SVG element, the same for the same data."""
    from matplotlib import rc_context  # noqa: PLC0415

    text = io.StringIO()
    with rc_context({"svg.hashsalt": "fer-edge", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg") :]


def draw_labels(groups: Sequence[Group]) -> str:
    """Face time per label, and people below it."""
    figure = new_figure(3.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    places, base = range(len(groups)), [0.0] * len(groups)
    for label in ordered_labels(groups):
        heights = [group.period.face_s[label] / 60 for group in groups]
        blue, green, red = COLOURS.get(label, _GREY)
        upper.bar(places, heights, bottom=base, label=label, color=(red / 255, green / 255, blue / 255))
        base = [low + height for low, height in zip(base, heights, strict=True)]
    upper.set_ylabel("face time, minutes")
    if any(base):
        upper.legend(ncols=5, fontsize="x-small", frameon=False)
    lower.bar(places, [group.period.people for group in groups], color=_BLUE)
    lower.set_ylabel("people")
    _name_periods(lower, groups)
    return as_svg(figure)


def draw_week(groups: Sequence[Group]) -> str:
    """When faces are there: face time by weekday and hour; `groups` are hours."""
    figure = new_figure(2.6)
    axes = figure.subplots()
    minutes = [[0.0] * 24 for _ in range(7)]
    for group in groups:
        minutes[group.start.weekday()][group.start.hour] += sum(group.period.face_s.values()) / 60
    image = axes.imshow(minutes, aspect="auto", cmap="viridis")
    axes.set_yticks(range(7), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    axes.set_xticks(range(0, 24, 3))
    axes.set_xlabel("hour")
    figure.colorbar(image, label="face time, minutes")
    return as_svg(figure)


def draw_features(groups: Sequence[Group], reference: Mapping[str, float]) -> str:
    """Mean brightness, contrast, sharpness and size over time; a dashed line where the reference week was."""
    figure = new_figure(4.2)
    shown = ("brightness", "contrast", "sharpness", "size")
    for axes, name in zip(figure.subplots(2, 2, sharex=True).flat, shown, strict=True):
        means = [FEATURES[name].mean(group.period.histograms[name]) for group in groups]
        axes.plot(
            range(len(groups)), [float("nan") if mean is None else mean for mean in means], marker=".", color=_BLUE
        )
        if name in reference:
            axes.axhline(reference[name], color="0.5", linestyle="--", linewidth=1)
        axes.set_title(f"{name}, {FEATURES[name].unit}", fontsize="small")
        axes.set_ylim(bottom=0)
        _name_periods(axes, groups)
    return as_svg(figure)


def draw_accuracy(groups: Sequence[Group], months: Mapping[str, MeasuredAccuracy]) -> str:
    """Expected accuracy over time, and measured accuracy with its interval in the month that it is of."""
    figure = new_figure(2.8)
    axes = figure.subplots()
    means = [FEATURES["expected"].mean(group.period.histograms["expected"]) for group in groups]
    percent = [float("nan") if mean is None else 100 * mean for mean in means]
    axes.plot(range(len(groups)), percent, marker=".", color=_BLUE, label="expected")
    for month, measured in months.items():
        inside = [place for place, group in enumerate(groups) if f"{group.start:%Y-%m}" == month]
        rate = measured.accuracy
        if inside and rate:
            axes.fill_between(inside, 100 * rate.low, 100 * rate.high, color=_RED, alpha=0.2, linewidth=0)
            axes.plot(inside, [100 * rate.value] * len(inside), color=_RED, label=f"measured, {month}")
    axes.set_ylim(0, 100)
    axes.set_ylabel("accuracy, %")
    axes.legend(fontsize="x-small", frameon=False)
    _name_periods(axes, groups)
    return as_svg(figure)


def draw_faults(groups: Sequence[Group]) -> str:
    """Frame rate, minutes without a camera, temperature."""
    figure = new_figure(3.6)
    places = range(len(groups))
    first, second, third = figure.subplots(3, 1, sharex=True)
    first.bar(places, [group.period.frames / max(group.seconds, 1) for group in groups], color="0.6")
    first.set_ylabel("FPS")
    second.bar(places, [group.period.camera_lost_s / 60 for group in groups], color=_RED)
    second.set_ylabel("camera lost,\nminutes")
    hottest = [float("nan") if group.period.hottest is None else group.period.hottest for group in groups]
    third.plot(places, hottest, marker=".", color=_RED)
    third.set_ylabel("hottest, °C")
    _name_periods(third, groups)
    return as_svg(figure)


def _name_periods(axes: Axes, groups: Sequence[Group]) -> None:
    names = [group.start.strftime("%d %b %Hh" if group.start.hour else "%d %b %Y") for group in groups]
    step = max(len(names) // 10, 1)
    axes.set_xticks(range(0, len(names), step), names[::step])
    axes.tick_params(axis="x", rotation=45, labelsize="x-small")
