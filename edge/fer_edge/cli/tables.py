"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from fer_edge.cli.bench import BenchResult
from fer_edge.cli.doctor import Check
from fer_edge.device.service import JournalLine, ServiceState
from fer_edge.device.thermal import describe
from fer_edge.terminal import output_console, printable


def bench_table(result: BenchResult, old: BenchResult | None = None) -> None:
    """Print a measurement, and the change of its means since an older one."""
    console = output_console()
    console.print(_bench_title(result), markup=False)
    table = Table()
    for heading in _bench_headings(old):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for row in _bench_rows(result, old):
        table.add_row(*row)
    console.print(table)
    console.print(_bench_rates(result))
    if old:
        console.print(_bench_before(result, old), markup=False)


def bench_markdown(result: BenchResult, old: BenchResult | None = None) -> str:
    """A measurement, and its change since an older one, as Markdown to paste into a report."""
    headings = _bench_headings(old)
    lines = [_bench_title(result), "", _markdown_row(headings), "|" + "---|" * len(headings)]
    lines += [_markdown_row(row) for row in _bench_rows(result, old)]
    lines += ["", _bench_rates(result)]
    if old:
        lines += ["", _bench_before(result, old)]
    versions = ", ".join(f"{name} {version}" for name, version in result.machine.items() if name != "board")
    return "\n".join([*lines, "", f"({versions})"])


def _bench_headings(old: BenchResult | None) -> tuple[str, ...]:
    return ("stage", "mean, ms", "p50", "p95", "p99", *(("before, mean", "change") if old else ()))


def _bench_rows(result: BenchResult, old: BenchResult | None) -> Iterator[list[str]]:
    for stage, spent in result.stages.items():
        row = [stage, *(f"{value:.2f}" for value in (spent.mean, spent.p50, spent.p95, spent.p99))]
        if old:
            earlier = old.stages.get(stage)
            row += [f"{earlier.mean:.2f}", _change(spent.mean, earlier.mean)] if earlier else ["", ""]
        yield row


def _bench_before(result: BenchResult, old: BenchResult) -> str:
    """The older measurement, the change of the rate, and a warning if board, source, model or threads differ."""
    pairs = {
        "board": (result.machine["board"], old.machine["board"]),
        "source": (result.source, old.source),
        "model": (result.model, old.model),
        "threads": (result.threads, old.threads),
    }
    other = ", ".join(name for name, (now, before) in pairs.items() if now != before)
    warning = f" (not comparable: another {other})" if other else ""
    return f"before: {_bench_title(old)}: {_bench_rates(old)}\nFPS: {_change(result.fps, old.fps)}{warning}"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bench_title(result: BenchResult) -> str:
    return f"{result.machine['board']}: {result.source}, {result.model}, {result.threads} thread(s)"


def _bench_rates(result: BenchResult) -> str:
    return (
        f"{result.frames} frames, {result.frames_with_faces} with faces, {result.faces_per_frame:g} faces per frame: "
        f"{result.fps:.1f} FPS ({result.fps_sustained:.1f} in the slowest tenth), "
        f"CPU {result.cpu_percent:.0f} % of a core, overhead {result.overhead_percent:.1f} % of a frame, "
        f"peak memory {result.peak_memory_mb:.0f} MB; heat before: {describe(result.before)}, "
        f"after: {describe(result.after)}"
    )


def _change(new: float, old: float) -> str:
    return f"{100 * (new / old - 1):+.0f} %" if old else ""


def doctor_table(checks: Sequence[Check]) -> None:
    """Print the results of the checks."""
    table = Table()
    for heading in ("part", "state", "finding"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        state = "[green]works[/]" if check.works else "[red]broken[/]" if check.needed else "[yellow]absent[/]"
        table.add_row(check.part, state, escape(check.finding))
    output_console().print(table)


def service_table(states: Sequence[ServiceState]) -> None:
    """Print the state of a unit, or of several, one per row."""
    table = Table(show_header=len(states) > 1)
    if len(states) == 1:
        table.add_row("service", _coloured(states[0]))
        for name, value in states[0].facts.items():
            table.add_row(name, escape(value))
    else:
        columns = ("it says", "since", "restarts since boot")
        for heading in ("service", "state", "it says", "since", "restarts"):
            table.add_column(heading, overflow="fold")
        for state in states:
            facts = (escape(state.facts.get(name, "")) for name in columns)
            table.add_row(state.unit.name.removesuffix(".service"), _coloured(state), *facts)
    output_console().print(table)


def journal_lines(lines: Sequence[JournalLine]) -> None:
    """Print lines of the journal with their age."""
    console = output_console()
    several = len({line.unit for line in lines}) > 1
    for line in lines:
        unit = f"{line.unit.removesuffix('.service')}: " if several else ""
        console.print(f"{_age(line.age_s)} ago: {unit}{printable(line.message)}", markup=False, highlight=False)


def _coloured(state: ServiceState) -> str:
    return f"[{'green' if state.runs else 'red'}]{escape(state.state)}[/]"


def _age(seconds: float) -> str:
    """Whole seconds, minutes, hours or days, rounded down."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
