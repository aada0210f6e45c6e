"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fer_edge.bench import BenchResult
from fer_edge.bundle import Bundle
from fer_edge.doctor import Check
from fer_edge.service import ServiceState


def bench_table(result: BenchResult) -> None:
    """Print a measurement."""
    table = Table(title=f"{result.machine['board']}: {result.source}, {result.model}, {result.threads} thread(s)")
    table.add_column("stage")
    table.add_column("p50, ms", justify="right")
    table.add_column("p95, ms", justify="right")
    for stage, spent in result.stages.items():
        table.add_row(stage, f"{spent.p50:.2f}", f"{spent.p95:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"{result.frames} frames ({result.frames_with_faces} with faces): {result.fps:.1f} FPS, "
        f"CPU {result.cpu_percent:.0f} % of a core, peak memory {result.peak_memory_mb:.0f} MB"
    )


def doctor_table(checks: Sequence[Check]) -> None:
    """Print the findings."""
    table = Table()
    for heading in ("part", "state", "finding"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        state = "[green]works[/]" if check.works else "[red]broken[/]" if check.needed else "[yellow]absent[/]"
        table.add_row(check.part, state, escape(check.finding))
    Console().print(table)


def models_table(bundles: Sequence[Bundle]) -> None:
    """Print what is shipped."""
    table = Table()
    for heading in ("model", "classes", "MMACs", "kB", "accuracy, int8", "on"):
        table.add_column(heading)
    for bundle in bundles:
        manifest = bundle.manifest
        first = manifest.accuracy[0] if manifest.accuracy else None
        table.add_row(
            manifest.name,
            str(len(manifest.labels)),
            f"{manifest.macs / 1e6:.1f}",
            f"{len(bundle.model) / 1000:.0f}",
            f"{first.accuracy_int8:.1%}" if first else "not measured",
            f"{first.images} faces of {first.data} {first.split}, {first.labels} labels" if first else "",
        )
    Console().print(table)


def service_table(state: ServiceState) -> None:
    """Print the state of the service, and its last warnings."""
    colour = "green" if state.runs else "red"
    table = Table(show_header=False)
    table.add_row("service", f"[{colour}]{escape(state.state)}[/]")
    for name, value in state.facts.items():
        table.add_row(name, escape(value))
    console = Console()
    console.print(table)
    for line in state.warnings:
        console.print(line, markup=False, highlight=False)
