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
from fer_edge.thermal import describe


def bench_table(result: BenchResult, old: BenchResult | None = None) -> None:
    """Print a measurement, and how its means differ from those of an older one."""
    console = Console()
    console.print(_bench_title(result), markup=False)
    table = Table()
    for heading in ("stage", "mean, ms", "p50", "p95", "p99", *(("before, mean", "change") if old else ())):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, spent in result.stages.items():
        cells = [f"{value:.2f}" for value in (spent.mean, spent.p50, spent.p95, spent.p99)]
        if old:
            earlier = old.stages.get(stage)
            cells += [f"{earlier.mean:.2f}", _change(spent.mean, earlier.mean)] if earlier else ["", ""]
        table.add_row(stage, *cells)
    console.print(table)
    console.print(_bench_rates(result))
    if old:
        console.print(f"before, on {old.machine['board']}: {_bench_rates(old)}", markup=False)
        console.print(f"FPS: {_change(result.fps, old.fps)}")


def bench_markdown(result: BenchResult) -> str:
    """A measurement as Markdown, to paste into a report."""
    lines = [_bench_title(result), "", "| stage | mean, ms | p50 | p95 | p99 |", "|---|---|---|---|---|"]
    for stage, spent in result.stages.items():
        lines.append(f"| {stage} | {spent.mean:.2f} | {spent.p50:.2f} | {spent.p95:.2f} | {spent.p99:.2f} |")
    versions = ", ".join(f"{name} {version}" for name, version in result.machine.items() if name != "board")
    return "\n".join([*lines, "", _bench_rates(result), "", f"({versions})"])


def _bench_title(result: BenchResult) -> str:
    return f"{result.machine['board']}: {result.source}, {result.model}, {result.threads} thread(s)"


def _bench_rates(result: BenchResult) -> str:
    return (
        f"{result.frames} frames, {result.frames_with_faces} with faces, {result.faces_a_frame:g} faces a frame: "
        f"{result.fps:.1f} FPS ({result.fps_sustained:.1f} in the slowest tenth), "
        f"CPU {result.cpu_percent:.0f} % of a core, overhead {result.overhead_percent:.1f} % of a frame, "
        f"peak memory {result.peak_memory_mb:.0f} MB; heat before: {describe(result.before)}, "
        f"after: {describe(result.after)}"
    )


def _change(new: float, old: float) -> str:
    return f"{100 * (new / old - 1):+.0f} %" if old else ""


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
