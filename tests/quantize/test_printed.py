"""What is printed of a conversion, and its figures for programs: every number in its place."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.screen import make_narrow_terminal

from fer_train.backend import load_keras

load_keras()

from tests.quantize.outcome import CALIBRATION, COMPARISON, OUTCOME, RIVAL, shown  # noqa: E402

from fer_quantize.layer_error import LayerError  # noqa: E402
from fer_quantize.reference import Trial  # noqa: E402
from fer_quantize.report import as_json, print_layers, print_outcome, print_trials  # noqa: E402


def test_the_tables_of_a_conversion_hold_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcome(OUTCOME)
    lines, rows = shown(capsys.readouterr().out)
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
    lines, _ = shown(capsys.readouterr().out)
    assert lines[-len(last) :] == last
    assert lines[-len(last) - 1].startswith("Same label")


def test_trials_of_the_estimate_are_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_trials([Trial("", 0, True, 0.81, 0.792, 0.7854, True), Trial("fog", 0.5, False, 0.6, 0.51, 0.4, False)])
    lines, rows = shown(capsys.readouterr().out)
    assert rows == [
        ["corruption", "level", "fitted on", "mean confidence", "expected", "true", "trusted"],
        ["none", "0", "yes", "81.0", "79.2", "78.5", "yes"],
        ["fog", "0.5", "no", "60.0", "51.0", "40.0", "no"],
    ]
    assert "expected against true accuracy, on faces that the estimate was not fitted on, %" in lines


def test_a_long_sentence_is_not_broken_into_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_narrow_terminal(monkeypatch)
    caution, why = "a caution of many words " * 5 + "ends", "a reason of many words " * 5 + "ends"
    print_outcome(replace(OUTCOME, cautions=(caution,), refusal=why, rival=RIVAL, calibration=CALIBRATION))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert lines[-2:] == [f"Note: {caution}.", f"FAILED: {why}"]
    assert lines[-3].startswith("Against other") and lines[-3].endswith("McNemar p 0.45.")
    assert lines[-4].startswith("Calibrated at") and lines[-4].endswith("prior 0.5).")
    assert lines[-5].startswith("Same label") and lines[-5].endswith("0.042 int8.")


def test_the_layer_that_loses_most_stands_out_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third has the least signal left, but the second lost it."""
    errors = [
        LayerError(0, "ADD", "good", 40.0, 0.0),
        LayerError(1, "ADD", "bad", 20.0, 20.0),
        LayerError(2, "ADD", "late", 19.0, 1.0),
    ]
    monkeypatch.setattr("fer_quantize.report.layer_errors", lambda *_: errors)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    origin: Any = SimpleNamespace(path=Path("a"), model=None, faces=None, labellings=[SimpleNamespace(images=())])
    print_layers(origin)
    lines = [line for line in capsys.readouterr().out.splitlines() if "ADD" in line]
    assert ["\x1b[1;31m" in line for line in lines] == [False, True, False]


def test_figures_for_programs_are_rounded_to_a_millionth() -> None:
    text = as_json(COMPARISON)
    assert text.startswith('{\n  "measurements"') and text.endswith("}\n")
    found = json.loads(text)
    assert found["distribution"] == {"happy": 0.123457}
    assert (found["int8"], found["macs"]) == ({"bytes": 1_312_000, "latency_ms": 0.5}, 56_640_000)
    (measured,) = found["measurements"]
    assert measured["drop"]["interval"] == [0.5, 4.125]
    assert measured["accuracy"]["recall_float"] == {"happy": 0.9, "fear": 0.5, "sad": None}
