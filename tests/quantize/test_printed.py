"""What is printed of a conversion, and its figures for programs: every number in its place."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fer_edge.model.manifest import Calibration
from fer_train.backend import load_keras

load_keras()

from fer_edge.model.manifest import Accuracy  # noqa: E402
from fer_quantize.check import Comparison, Cost, Measurement  # noqa: E402
from fer_quantize.gate import Outcome, Rival  # noqa: E402
from fer_quantize.reference import Trial  # noqa: E402
from fer_quantize.report import as_json, print_outcome, print_trials  # noqa: E402
from fer_quantize.statistics import PairedDrop  # noqa: E402

MEASURED = Measurement(
    accuracy=Accuracy(
        data="made.csv",
        split="validation",
        labels="ferplus7",
        images=400,
        accuracy_float=0.8125,
        accuracy_int8=0.79,
        recall_float={"happy": 0.9, "fear": 0.5, "sad": None},
        recall_int8={"happy": 0.87, "fear": 0.51, "sad": None},
    ),
    interval_float=(0.771, 0.848),
    interval_int8=(0.747, 0.827),
    drop=PairedDrop(2.25, (0.5, 4.125), 12, 3, 0.035),
    net_losses={"happy": 9, "fear": -1, "sad": 0},
    class_images={"happy": 300, "fear": 100, "sad": 0},
    agreement=0.9575,
    mean_difference=0.01234,
    max_difference=0.2345,
    ece_float=0.031,
    ece_int8=0.042,
)
COMPARISON = Comparison((MEASURED,), {"happy": 0.12345678}, Cost(5_056_000, 1.2345), Cost(1_312_000, 0.5), 56_640_000)
CALIBRATION = Calibration(temperature=1.25, split="held-out", images=210, ece_before=0.09, ece=0.02, prior=0.5)
RIVAL = Rival("other", 0.8, PairedDrop(1.0, (-0.5, 2.5), 10, 6, 0.454))
OUTCOME = Outcome(Path("out/mine"), COMPARISON, None, False, None, (), None, False)


def shown(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[list[str]]]:
    """The lines of text, and the cells of the tables' rows."""
    lines = capsys.readouterr().out.splitlines()
    rows = [line.replace("┃", "│").split("│")[1:-1] for line in lines if "│" in line or "┃" in line]
    return [line.strip() for line in lines], [[cell.strip() for cell in row] for row in rows]


def test_the_tables_of_a_conversion_hold_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcome(OUTCOME)
    lines, rows = shown(capsys)
    assert rows == [
        ["labels", "images", "float, %", "int8, %", "drop, pp", "McNemar p"],
        [
            "ferplus7, validation",
            "400",
            "81.25 (77.1 to 84.8)",
            "79.00 (74.7 to 82.7)",
            "+2.25 (+0.50 to +4.12)",
            "0.04",
        ],
        ["class", "float", "int8", "drop, pp", "faces lost"],
        ["happy", "90.0%", "87.0%", "+3.0", "+9"],
        ["fear", "50.0%", "51.0%", "-1.0", "-1"],
        ["sad", "-", "-", "+0.0", "+0"],
        ["", "kB", "ms per face, one thread here"],
        ["float32", "5056", "1.234"],
        ["int8", "1312", "0.500"],
    ]
    for title in (
        "out/mine: float against int8, 95 % intervals",
        "recall per class, ferplus7",
        "56.6 million multiply-accumulates per face",
        "Same label on 95.75% of the faces; probabilities differ by 0.0123 on average, 0.234 at most; "
        "calibration error 0.031 float, 0.042 int8.",
    ):
        assert title in lines
    assert lines[-1].startswith("Same label"), "there is nothing else to say"


def test_numbers_are_aligned_to_the_right_and_names_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcome(OUTCOME)
    lines = capsys.readouterr().out.splitlines()
    (happy,) = (line.split("│") for line in lines if "happy" in line)
    (float32,) = (line.split("│") for line in lines if "float32" in line)
    (first,) = (line.split("│") for line in lines if "ferplus7, validation" in line)
    for row in (happy, float32, first):
        assert row[1].startswith(" ") and not row[1].startswith("  ")
        for cell in row[2:-1]:
            assert cell.endswith(" ") and not cell.endswith("  ")


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"gated": True}, ["passed"]),
        ({"refusal": "int8 loses [too] much", "gated": True}, ["FAILED: int8 loses [too] much"]),
        ({"written": True, "folder": Path("out/my [new] one")}, ["out/my [new] one: written"]),
        ({"cautions": ("few [old] faces", "odd faces")}, ["Note: few [old] faces.", "Note: odd faces."]),
        (
            {"rival": RIVAL},
            ["Against other (80.00%): -1.00 percentage points (-2.50 to +0.50), McNemar p 0.45."],
        ),
        (
            {"calibration": CALIBRATION},
            [
                "Calibrated at temperature 1.250 on 210 faces of held-out: calibration error 0.090 before, "
                "0.020 after (cross-fitted, float, [classifier] prior 0.5)."
            ],
        ),
    ],
)
def test_the_end_says_what_came_of_it(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], last: list[str]
) -> None:
    print_outcome(replace(OUTCOME, **changes))
    lines, _ = shown(capsys)
    assert lines[-len(last) :] == last
    assert lines[-len(last) - 1].startswith("Same label")


def test_trials_of_the_estimate_are_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_trials([Trial("", 0, True, 0.81, 0.792, 0.7854, True), Trial("fog", 0.5, False, 0.6, 0.51, 0.4, False)])
    lines, rows = shown(capsys)
    assert rows == [
        ["corruption", "level", "fitted on", "mean confidence", "expected", "true", "trusted"],
        ["none", "0", "yes", "81.0", "79.2", "78.5", "yes"],
        ["fog", "0.5", "no", "60.0", "51.0", "40.0", "no"],
    ]
    assert "expected against true accuracy, on faces that the estimate was not fitted on, %" in lines


def test_figures_for_programs_are_rounded_to_a_millionth() -> None:
    text = as_json(COMPARISON)
    assert text.startswith('{\n  "measurements"') and text.endswith("}\n")
    found = json.loads(text)
    assert found["distribution"] == {"happy": 0.123457}
    assert (found["int8"], found["macs"]) == ({"bytes": 1_312_000, "latency_ms": 0.5}, 56_640_000)
    (measured,) = found["measurements"]
    assert measured["drop"]["interval"] == [0.5, 4.125]
    assert measured["accuracy"]["recall_float"] == {"happy": 0.9, "fear": 0.5, "sad": None}
