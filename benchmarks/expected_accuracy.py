"""Expected against true accuracy, on corruptions that the estimate was fitted on and on others.

    python -m benchmarks.expected_accuracy ferplus7 --data DATA

Writes the reference into the bundle's model.json, as `fer-quantize --add-reference` does, and a table and a plot to
results/expected-accuracy/. Half of the validation faces fit, the other half try.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure

from fer_quantize.reference import Trial, add_reference

_OUT = Path(__file__).resolve().parents[1] / "results" / "expected-accuracy"


def main(
    model: Annotated[str, typer.Argument(help="A bundle, by name or folder.")],
    data: Annotated[Path, typer.Option(envvar="FER_DATA")],
    most: Annotated[int | None, typer.Option(help="Take the first so many validation faces; all if left out.")] = None,
) -> None:
    """Measure and write."""
    folder, reference, trials = add_reference(model, data, most)
    _OUT.mkdir(exist_ok=True)
    text = [
        f"# Expected accuracy of {folder.name}",
        "",
        f"`python -m benchmarks.expected_accuracy {folder.name} --data DATA{f' --most {most}' if most else ''}`: "
        f"{reference.faces} faces of "
        f"{reference.data} {reference.split} ({reference.labels}) that the detector `{reference.detector}` finds, "
        f"[classifier] prior {reference.prior:g}. Fitted on half of them, tried on the other half. Figures in %.",
        "",
    ]
    for fitted, title in ((True, "Corruptions that it was fitted on"), (False, "Other corruptions")):
        chosen = [trial for trial in trials if trial.fitted == fitted]
        text += [f"## {title}", "", *_table(chosen), "", *_summary(chosen), ""]
    (_OUT / f"{folder.name}.md").write_text("\n".join(text).rstrip() + "\n")
    _draw(trials, folder.name)
    typer.echo("\n".join(text))


def _table(trials: Sequence[Trial]) -> list[str]:
    head = "| corruption | level | mean confidence | expected | true | expected - true | trusted |"
    rows = [
        f"| {trial.corruption or 'none'} | {trial.level:g} | {100 * trial.confidence:.1f} | "
        f"{100 * trial.expected:.1f} | {100 * trial.accuracy:.1f} | {100 * (trial.expected - trial.accuracy):+.1f} | "
        f"{'yes' if trial.trusted else 'no'} |"
        for trial in trials
    ]
    return [head, "|---|---|---|---|---|---|---|", *rows]


def _summary(trials: Sequence[Trial]) -> list[str]:
    def line(name: str, chosen: Sequence[Trial]) -> str:
        expected = np.array([trial.expected - trial.accuracy for trial in chosen])
        plain = np.array([trial.confidence - trial.accuracy for trial in chosen])
        if not len(chosen):
            return f"- {name}: none"
        return (
            f"- {name} ({len(chosen)}): error {100 * np.sqrt((expected**2).mean()):.1f} points (root mean square), "
            f"{100 * abs(expected).max():.1f} at most, over 4 points in {(abs(expected) > 0.04).sum()}; "
            f"plain confidence {100 * np.sqrt((plain**2).mean()):.1f}, {100 * abs(plain).max():.1f} and "
            f"{(abs(plain) > 0.04).sum()}"
        )

    return [line("all", trials), line("trusted", [trial for trial in trials if trial.trusted])]


def _draw(trials: Sequence[Trial], name: str) -> None:
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    for axes, title in zip(figure.subplots(1, 2, sharex=True, sharey=True), ("confidence", "expected"), strict=True):
        axes.plot([40, 90], [40, 90], color="0.7", zorder=0)
        for fitted, trusted, marker, colour, label in (
            (True, True, "o", "#0072B2", "fitted on"),
            (False, True, "^", "#D55E00", "not fitted on"),
            (False, False, "x", "#D55E00", "not fitted on, not trusted"),
            (True, False, "x", "#0072B2", "fitted on, not trusted"),
        ):
            chosen = [trial for trial in trials if (trial.fitted, trial.trusted) == (fitted, trusted)]
            if chosen:
                values = [100 * (trial.confidence if title == "confidence" else trial.expected) for trial in chosen]
                axes.scatter([100 * trial.accuracy for trial in chosen], values, marker=marker, c=colour, label=label)
        for trial in trials:
            value = 100 * (trial.confidence if title == "confidence" else trial.expected)
            if abs(value - 100 * trial.accuracy) > 7:
                axes.annotate(f"{trial.corruption} {trial.level:g}", (100 * trial.accuracy, value), fontsize=7)
        axes.set_title({"confidence": "mean confidence", "expected": "corrected by contrast and sharpness"}[title])
        axes.set_xlabel("true accuracy, %")
    figure.axes[0].set_ylabel("expected accuracy, %")
    figure.axes[1].legend(fontsize="small")
    figure.suptitle(f"{name}: expected against true accuracy on corrupted faces")
    figure.savefig(_OUT / f"{name}.png", dpi=90)


if __name__ == "__main__":
    typer.run(main)
