"""The tables of measurements, checks and services: each number in its column, in its unit."""

from dataclasses import replace

import pytest
from tests.screen import rows_of

from fer_edge.cli.bench import BenchResult, StageTime
from fer_edge.cli.doctor import Check
from fer_edge.cli.tables import bench_markdown, bench_table, doctor_table, journal_lines, service_table
from fer_edge.device.service import JournalLine, ServiceState
from fer_edge.device.thermal import Heat
from fer_edge.device.unit import Unit

Printed = pytest.CaptureFixture[str]

RESULT = BenchResult(
    machine={"board": "Board [5]", "cores": "4", "python": "3.12"},
    source="clip [x].mp4",
    model="ferplus7",
    threads=2,
    frames=300,
    frames_with_faces=280,
    faces_per_frame=1.25,
    fps=24.06,
    fps_sustained=20.04,
    overhead_percent=3.44,
    cpu_percent=180.4,
    peak_memory_mb=150.6,
    before=Heat(50.0, 0),
    after=Heat(None, None),
    stages={"source": StageTime(1.0, 2.005, 3.0, 4.0), "frame": StageTime(30.0, 29.0, 40.0, 50.0)},
)
OLD = replace(
    RESULT,
    machine={"board": "Other", "cores": "2"},
    fps=12.03,
    frames=100,
    stages={"source": StageTime(2.0, 2.0, 2.0, 2.0)},
)
TITLE = "Board [5]: clip [x].mp4, ferplus7, 2 thread(s)"
RATES = (
    "300 frames, 280 with faces, 1.25 faces per frame: 24.1 FPS (20.0 in the slowest tenth), "
    "CPU 180 % of a core, overhead 3.4 % of a frame, peak memory 151 MB; heat before: 50 °C, throttled=0x0, "
    "after: temperature unknown"
)
OLD_RATES = RATES.replace("300 frames", "100 frames").replace("24.1", "12.0")
BEFORE = f"before: Other: clip [x].mp4, ferplus7, 2 thread(s): {OLD_RATES}"


def test_a_measurement_is_a_table_between_its_title_and_its_rates(capsys: Printed) -> None:
    bench_table(RESULT)
    out = capsys.readouterr().out
    assert out.splitlines()[0] == TITLE
    assert out.splitlines()[-1] == RATES
    assert rows_of(out) == [
        ["stage", "mean, ms", "p50", "p95", "p99"],
        ["source", "1.00", "2.00", "3.00", "4.00"],
        ["frame", "30.00", "29.00", "40.00", "50.00"],
    ]
    assert "│ frame  │    30.00 │" in out, "names to the left, numbers to the right"


def test_a_measurement_is_compared_with_an_older_one(capsys: Printed) -> None:
    bench_table(RESULT, OLD)
    out = capsys.readouterr().out
    assert rows_of(out) == [
        ["stage", "mean, ms", "p50", "p95", "p99", "before, mean", "change"],
        ["source", "1.00", "2.00", "3.00", "4.00", "2.00", "-50 %"],
        ["frame", "30.00", "29.00", "40.00", "50.00", "", ""],
    ]
    assert out.splitlines()[-3:] == [RATES, BEFORE, "FPS: +100 % (not comparable: another board)"]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({}, ""),
        ({"machine": {"board": "Board [5]", "cores": "8"}}, ""),
        ({"source": "demo", "model": "mine"}, " (not comparable: another source, model)"),
        ({"threads": 4}, " (not comparable: another threads)"),
    ],
)
def test_measurements_of_different_things_are_not_comparable(changes: dict[str, object], warning: str) -> None:
    old = replace(RESULT, **changes)  # type: ignore[arg-type]
    assert f"\nFPS: +0 %{warning}\n" in bench_markdown(RESULT, old)


def test_no_change_is_told_of_a_rate_of_nothing() -> None:
    assert "\nFPS: \n" in bench_markdown(RESULT, replace(RESULT, fps=0.0))


def test_a_measurement_as_markdown_names_the_versions() -> None:
    assert bench_markdown(RESULT).splitlines() == [
        TITLE,
        "",
        "| stage | mean, ms | p50 | p95 | p99 |",
        "|---|---|---|---|---|",
        "| source | 1.00 | 2.00 | 3.00 | 4.00 |",
        "| frame | 30.00 | 29.00 | 40.00 | 50.00 |",
        "",
        RATES,
        "",
        "(cores 4, python 3.12)",
    ]
    compared = bench_markdown(RESULT, OLD).splitlines()
    assert compared[2:5] == [
        "| stage | mean, ms | p50 | p95 | p99 | before, mean | change |",
        "|---|---|---|---|---|---|---|",
        "| source | 1.00 | 2.00 | 3.00 | 4.00 | 2.00 | -50 % |",
    ]
    assert compared[7:11] == [RATES, "", BEFORE, "FPS: +100 % (not comparable: another board)"]


CHECKS = [
    Check("OpenCV", True, True, "4.12 [contrib]"),
    Check("camera", False, True, "none"),
    Check("MQTT", False, False, "not installed"),
]


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours, as on a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_each_part_works_is_broken_or_is_absent(capsys: Printed) -> None:
    doctor_table(CHECKS)
    assert rows_of(capsys.readouterr().out) == [
        ["part", "state", "finding"],
        ["OpenCV", "works", "4.12 [contrib]"],
        ["camera", "broken", "none"],
        ["MQTT", "absent", "not installed"],
    ]


@pytest.mark.usefixtures("coloured")
def test_what_works_is_green_and_what_is_broken_is_red(capsys: Printed) -> None:
    doctor_table(CHECKS)
    out = capsys.readouterr().out
    assert [f"\x1b[{colour}m{word}" in out for colour, word in ((32, "works"), (31, "broken"), (33, "absent"))] == [
        True,
        True,
        True,
    ]
    service_table([state(), state("door", runs=False)])
    out = capsys.readouterr().out
    assert "\x1b[32mactive (running)" in out
    assert "\x1b[31mfailed (failed)" in out


def state(instance: str = "", *, runs: bool = True) -> ServiceState:
    facts = {"it says": "24 FPS [demo]", "since": "Mon", "restarts since boot": "3", "memory": "80 MB"}
    return ServiceState(Unit(instance), "active (running)" if runs else "failed (failed)", runs, facts if runs else {})


def test_one_service_has_a_row_per_fact(capsys: Printed) -> None:
    service_table([state()])
    assert rows_of(capsys.readouterr().out) == [
        ["service", "active (running)"],
        ["it says", "24 FPS [demo]"],
        ["since", "Mon"],
        ["restarts since boot", "3"],
        ["memory", "80 MB"],
    ]


def test_several_services_have_a_row_each(capsys: Printed) -> None:
    service_table([state(), state("door", runs=False)])
    assert rows_of(capsys.readouterr().out) == [
        ["service", "state", "it says", "since", "restarts"],
        ["fer-edge", "active (running)", "24 FPS [demo]", "Mon", "3"],
        ["fer-edge@door", "failed (failed)", "", "", ""],
    ]


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (119, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86399, "23 h"),
        (86400, "1 d"),
        (3 * 86400, "3 d"),
    ],
)
def test_a_line_of_the_journal_tells_its_age(capsys: Printed, seconds: float, age: str) -> None:
    journal_lines([JournalLine("fer-edge.service", seconds, "lost [camera]\x1b")])
    assert capsys.readouterr().out == f"{age} ago: lost [camera]\\x1b\n"


def test_lines_of_several_services_name_them(capsys: Printed) -> None:
    journal_lines([JournalLine("fer-edge.service", 5, "one"), JournalLine("fer-edge@door.service", 4, "two")])
    assert capsys.readouterr().out == "5 s ago: fer-edge: one\n4 s ago: fer-edge@door: two\n"


@pytest.mark.usefixtures("coloured")
def test_lines_of_the_journal_are_not_coloured(capsys: Printed) -> None:
    journal_lines([JournalLine("fer-edge.service", 5, "192.168.1.2 has 7")])
    assert capsys.readouterr().out == "5 s ago: 192.168.1.2 has 7\n"
