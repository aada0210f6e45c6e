"""Put a sample of mutmut's faults into modules, each against the quickest tests that reach its function.

    make mutants ARGS='fer_edge.geometry.x_iou__mutmut_1'       # makes the faults, and learns which tests reach what
    .venv-dev/bin/python tools/sample_mutants.py fer_edge.geometry fer_edge.tracking.tracker --count 24

One fault takes half a second, where mutmut, which runs all tests that reach it, takes many. What survives here may be
noticed by a slower test: ask mutmut about it by its name. Results are kept in .mutation/sample.jsonl, so that an
interrupted run goes on where it was. With --again the survivors are tried against ten times as many tests, and with
--also tests/edge/test_live.py against all tests of a file as well, those that start programs included.

mutmut does not see what the programs reach that tests start. --learn runs all quick tests once, and notes it (25
minutes); after that --programs tries survivors against those tests as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

MUTATION = Path(__file__).resolve().parents[1] / ".mutation"
MUTANTS = MUTATION / "mutants"
LOG = MUTATION / "sample.jsonl"
# What --learn has learnt: a line for each function that a test reaches, and the seconds of each test.
REACHED, SECONDS = MUTATION / "reached.tsv", MUTATION / "seconds.json"
# The programs of a fault's tests find its code here.
SOURCES = str(MUTANTS / "src")
ARGUMENTS = ["--rootdir=.", "-q", "--tb=no", "-m", "not slow"]
ARGUMENTS += [word for plugin in ("schemathesis", "cacheprovider", "xdist") for word in ("-p", f"no:{plugin}")]
# Leaves out the tests that start programs.
QUICK = "--hypothesis-profile=mutants"
# The tests of a fault take this many seconds together, as measured without faults; and each some more to begin.
BUDGET, START = 4.0, 0.05
# A fault whose tests take more seconds, of the processor or in all, is noticed: it never ends.
PROCESSOR_S, ALL_S = 60, 300
NOTICED = ("noticed", "never ended")


class Durations:
    """A plugin for pytest that adds up the seconds of each test.

    Attributes:
        seconds: for setup, call and teardown together, by the name of the test; None for a test that failed.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float | None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each phase of a test."""
        before = self.seconds.get(report.nodeid, 0.0)
        self.seconds[report.nodeid] = None if before is None or report.failed else before + report.duration


def learn() -> None:
    """Run the tests once without a fault, and note which functions they and their programs reach."""
    REACHED.write_text("")
    os.environ |= {"MUTANT_UNDER_TEST": "stats", "REACHED": str(REACHED)}
    os.environ["PYTHONPATH"] = os.pathsep.join([SOURCES, str(Path(__file__).parent / "reached")])
    durations = Durations()
    options = ["--rootdir=.", "-q", "--tb=line", "-m", "not slow", "-p", "no:schemathesis", "-p", "no:cacheprovider"]
    folders = [f"tests/{name}" for name in ("edge", "fleet", "training", "quantize")]
    pytest.main([*options, "--numprocesses=2", "--dist=loadfile", *folders], plugins=[durations])
    SECONDS.write_text(json.dumps(durations.seconds))


def learnt() -> tuple[dict[str, list[str]], dict[str, float]]:
    """The tests that reach each function, themselves or with a program, and their seconds; without those that failed.

    Returns:
        Tests by the mangled name of a function, and seconds by test.
    """
    seconds: dict[str, float | None] = json.loads(SECONDS.read_text())
    tests: dict[str, list[str]] = {}
    for line in REACHED.read_text().splitlines():
        test, function = line.split("\t")
        if seconds.get(test) is not None and test not in tests.setdefault(function, []):
            tests[function].append(test)
    return tests, {test: taken for test, taken in seconds.items() if taken is not None}


def faults_of(module: str, count: int) -> list[str]:
    """The names of about so many of a module's faults, evenly spread."""
    stem = MUTANTS / "src" / module.replace(".", "/")
    path = stem / "__init__.py.meta" if stem.is_dir() else stem.with_name(f"{stem.name}.py.meta")
    faults = list(json.loads(path.read_text())["exit_code_by_key"])
    return faults[:: max(round(len(faults) / count), 1)]


def quickest(tests: list[str], seconds: Mapping[str, float], budget: float) -> Iterator[str]:
    """The quickest tests first, as many as fit into so many seconds, at least one."""
    spent = 0.0
    for test in sorted(tests, key=lambda test: seconds.get(test, 0.0)):
        spent += START + seconds.get(test, 0.0)
        if spent <= budget or spent == START + seconds.get(test, 0.0):
            yield test


def try_fault(fault: str, tests: list[str], options: Sequence[str]) -> str:
    """Run pytest with a fault in a process of its own, which has all modules loaded."""
    if not tests:
        return "no tests"
    child = os.fork()
    if child == 0:
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.environ["MUTANT_UNDER_TEST"] = fault
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S + 5))
        os._exit(int(pytest.main([*ARGUMENTS, *options, "-x", *tests])))
    end = time.monotonic() + ALL_S
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(ended[1])
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(f"{fault}: its tests are not there any more. Make the mutants again")
    return "survived" if code == 0 else "noticed" if code > 0 else "never ended"


def table(results: Mapping[str, str]) -> Iterator[str]:
    """Rows of Markdown: module, tried, noticed, survived, share."""
    modules: dict[str, Counter[str]] = {}
    for fault, result in results.items():
        modules.setdefault(fault.partition(".x")[0], Counter())[result] += 1
    yield "| module | tried | noticed | survived | without a test | noticed, % |\n|---|---|---|---|---|---|"
    for module, counts in modules.items():
        noticed = sum(counts[result] for result in NOTICED)
        share = 100 * noticed / counts.total()
        yield (
            f"| `{module}` | {counts.total()} | {noticed} | {counts['survived']} | {counts['no tests']} | {share:.0f} |"
        )


def main() -> None:
    """Try the faults that were not tried before, and print all results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--count", type=int, default=24, metavar="N", help="faults per module (default: about 24)")
    parser.add_argument("--again", action="store_true", help="try survivors again, against ten times as many tests")
    parser.add_argument("--also", metavar="FILE", help="the same, and against all tests of this file")
    parser.add_argument("--learn", action="store_true", help="note what tests reach, with the programs that they start")
    parser.add_argument("--programs", action="store_true", help="--again, with the tests that start programs")
    arguments = parser.parse_args()
    os.chdir(MUTANTS)
    sys.path[:0] = [SOURCES, str(MUTANTS)]
    if arguments.learn:
        learn()
    lines = LOG.read_text().splitlines() if LOG.exists() else []
    results = {name: result for line in lines for name, result in json.loads(line).items()}
    stats = json.loads((MUTANTS / "mutmut-stats.json").read_text())
    reached, seconds = stats["tests_by_mangled_function_name"], stats["duration_by_test"]
    faults = [fault for module in arguments.modules for fault in faults_of(module, arguments.count)]
    if arguments.programs:
        reached, seconds = learnt()
    budget = 10 * BUDGET if arguments.again or arguments.also or arguments.programs else BUDGET
    tests = {
        fault: list(quickest(reached.get(fault.partition("__mutmut_")[0], []), seconds, budget)) for fault in faults
    }
    if budget > BUDGET:
        results = {fault: result for fault, result in results.items() if result in NOTICED}
    if arguments.also:
        shutil.copy(MUTATION.parent / arguments.also, MUTANTS / arguments.also)
        tests = {fault: [arguments.also, *names] for fault, names in tests.items()}
    os.environ |= {"PYTHONPATH": SOURCES, "MUTANT_UNDER_TEST": ""}
    options = [] if arguments.also or arguments.programs else [QUICK]
    files = {test.partition("::")[0] for names in tests.values() for test in names}
    # This loads what the processes of the faults need. Tests that cannot even be collected would notice every fault.
    if pytest.main([*ARGUMENTS, *options, "--collect-only", "-qq", *sorted(files)]):
        sys.exit("some tests cannot be collected: see above")
    for fault in faults:
        if fault not in results:
            results[fault] = try_fault(fault, tests[fault], options)
            with LOG.open("a") as log:
                log.write(json.dumps({fault: results[fault]}) + "\n")
            sys.stdout.write(f"{results[fault]}: {fault}\n")
    sys.stdout.write("\n".join(table(results)) + "\n")


if __name__ == "__main__":
    main()
