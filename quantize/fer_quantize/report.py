"""The comparison as tables on the terminal."""

from __future__ import annotations

from fer_edge.bundle import Accuracy
from rich.console import Console
from rich.table import Table

from fer_quantize.steps import Outcome


def print_comparison(outcome: Outcome) -> None:
    """Print accuracies, the recall of each class, and the verdict."""
    console = Console()
    table = Table(title=f"{outcome.folder}: float against int8")
    for heading in ("data", "labels", "images", "float", "int8", "drop, pp"):
        table.add_column(heading, justify="left" if heading in {"data", "labels"} else "right")
    for accuracy in outcome.comparison.accuracies:
        table.add_row(
            f"{accuracy.data} {accuracy.split}",
            accuracy.labels,
            str(accuracy.images),
            f"{accuracy.accuracy_float:.2%}",
            f"{accuracy.accuracy_int8:.2%}",
            f"{100 * (accuracy.accuracy_float - accuracy.accuracy_int8):+.2f}",
        )
    console.print(table)
    console.print(_recalls(outcome.comparison.accuracies[0]))
    console.print(f"Both give the same label on {outcome.comparison.agreement:.2%} of the faces.")
    console.print(f"[red]FAILED[/]: {outcome.refusal}" if outcome.refusal else "[green]passed[/]", soft_wrap=True)
    if outcome.written:
        console.print(f"{outcome.folder}: written")


def _recalls(accuracy: Accuracy) -> Table:
    table = Table(title=f"recall a class, {accuracy.labels} labels")
    table.add_column("class")
    table.add_column("float", justify="right")
    table.add_column("int8", justify="right")
    for label, before in accuracy.recall_float.items():
        after = accuracy.recall_int8[label]
        table.add_row(label, *("-" if recall is None else f"{recall:.1%}" for recall in (before, after)))
    return table
