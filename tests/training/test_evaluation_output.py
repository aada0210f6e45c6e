"""What the measurements of a model print and write, for scores that are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from tests.screen import rows_of

from fer_edge.errors import ConfigError
from fer_train.data.datasets import LABELS, LabelledFaces
from fer_train.evaluation import evaluate as evaluation
from fer_train.evaluation import prior_curve
from fer_train.evaluation.evaluate import evaluate, parse_split
from fer_train.evaluation.metrics import Score
from fer_train.evaluation.predictors import Predictor
from fer_train.evaluation.prior_curve import Curve, Point, as_markdown, cells, headings, write_curve
from fer_train.evaluation.robustness import Row, measure, print_robustness, write_robustness

NAMES = LABELS["ferplus7"]


@pytest.fixture
def faces() -> LabelledFaces:
    """Three faces of the first class, dark on their right half, and one of the second, dark on its left."""
    images = np.full((4, 48, 48), 200, np.uint8)
    images[:3, :, 24:] = 10
    images[3, :, :24] = 10
    targets = np.eye(7, dtype=np.float32)[[0, 0, 0, 1]]
    return LabelledFaces(images, targets, np.arange(4), "ferplus7", Path("made.csv"), "validation")


def left_or_right(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Light on the left is the first class, with 0.9; light on the right is the second, with 0.7."""
    assert images.flags.c_contiguous
    assert images.shape[1:] == (48, 48)
    read = np.zeros((len(images), 7), np.float32)
    left = images[:, 0, 0] > 100
    read[left, :2] = 0.9, 0.1
    read[~left, :2] = 0.3, 0.7
    return read


@pytest.mark.parametrize("name", ["train", "validation", "test", "held-out"])
def test_a_split_has_its_name(name: str) -> None:
    assert parse_split(name) == name


def test_an_unknown_split_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"^split 'tests' is unknown\. Did you mean test\?"):
        parse_split("tests")
    with pytest.raises(ConfigError, match="train, validation, test"):
        parse_split("xyz")


def test_an_evaluation_prints_each_class_and_a_sentence(
    faces: LabelledFaces, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(Predictor("[my] model", "ferplus7", left_or_right), faces, None, mirror=False)
    text = capsys.readouterr().out
    assert text.splitlines()[0].strip() == "[my] model"
    table = rows_of(text)
    assert table[0] == ["class", "faces", "precision", "recall", "F1"]
    assert table[1] == [NAMES[0], "3", "100.0%", "100.0%", "100.0%"]
    assert table[2] == [NAMES[1], "1", "100.0%", "100.0%", "100.0%"]
    assert table[3] == [NAMES[2], "0", "-", "-", "-"]
    assert table[-1] == ["mean", "4", "100.0%", "100.0%", "100.0%"]
    assert len(table) == 9
    lines = text.splitlines()
    mean = next(place for place, line in enumerate(lines) if line.startswith("│ mean"))
    assert lines[mean - 1].startswith("├"), "set off from the classes"
    assert lines[mean].split("│")[2].endswith("4 "), "numbers on the right"
    assert lines[-1] == (
        "Accuracy 100.00% (95 % interval 51.0% to 100.0%) on 4 faces of made.csv, validation split, ferplus7 labels; "
        "expected calibration error 0.1500."
    )


def test_the_mirrored_reading_is_the_mean_of_both_and_has_files_of_its_own(
    faces: LabelledFaces, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[object, ...]] = []

    def keep(out: Path, shares: npt.NDArray[np.float32], about: LabelledFaces, title: str, *, suffix: str) -> None:
        assert about is faces
        written.append((out, suffix, title, shares[0, 0], shares[3, 0], shares.dtype))

    monkeypatch.setattr(evaluation, "write_report", keep)
    evaluate(Predictor("mine", "ferplus7", left_or_right), faces, tmp_path / "out", mirror=True)
    assert written == [
        (tmp_path / "out", "", "mine", pytest.approx(0.9), pytest.approx(0.3), np.float32),
        (
            tmp_path / "out",
            "-mirror",
            "mine, with the mirror image",
            pytest.approx(0.6),
            pytest.approx(0.6),
            np.float32,
        ),
    ]
    text = capsys.readouterr().out
    accuracies = [line[:16] for line in text.splitlines() if line.startswith("Accuracy")]
    assert accuracies == ["Accuracy 100.00%", "Accuracy 75.00% "]
    assert "mine, with the mirror image" in text
    assert text.endswith(f"{tmp_path / 'out' / 'report.md'}: written\n")


# Robustness


LEVELS = [
    Row("none", "", 0.9, (0.8, 0.95), 0.0),
    Row("scale", "40 px", 0.8, (0.7, 0.9), 0.125),
    Row("scale", "32 px", 0.6, (0.5, 0.7), None),
    *(Row(name, "1", 0.5, (0.25, 0.75), 0.5) for name in ("blur", "noise", "lighter", "darker", "JPEG", "shift")),
    Row("rotation", "5 degrees", 0.1, (0.05, 0.2), 1.0),
]


def test_robustness_is_printed_by_level_with_the_loss_and_the_mean(
    faces: LabelledFaces, capsys: pytest.CaptureFixture[str]
) -> None:
    print_robustness(Predictor("[my] model", "ferplus7", left_or_right), faces, LEVELS)
    text = capsys.readouterr().out
    assert text.splitlines()[0].strip() == "[my] model on 4 corrupted faces of made.csv, validation, ferplus7"
    table = rows_of(text)
    assert table[0] == ["corruption", "level", "accuracy, % (95 %)", "lost, pp", "neutral as sad"]
    assert table[1] == ["none", "", "90.0 (80.0 to 95.0)", "+0.0", "0.0%"]
    assert table[2] == ["scale", "40 px", "80.0 (70.0 to 90.0)", "+10.0", "12.5%"]
    assert table[3] == ["scale", "32 px", "60.0 (50.0 to 70.0)", "+30.0", "-"]
    assert table[-1] == ["mean", "", "47.5", "+42.5", ""]
    lines = text.splitlines()
    kinds = [line[0] for line in lines if line[:1] in {"│", "├"}]
    assert kinds == [*"│├││", *"├│" * 8], "the levels of one corruption belong together"
    (small,) = [line.split("│") for line in lines if line.startswith("│ scale") and "32 px" in line]
    assert small[1].startswith(" scale ")
    assert [cell[-2] for cell in small[2:6]] == ["x", ")", "0", "-"], "numbers on the right"


def test_robustness_is_written_for_people_and_for_programs(faces: LabelledFaces, tmp_path: Path) -> None:
    write_robustness(tmp_path / "new" / "out", Predictor("mine", "ferplus7", left_or_right), faces, LEVELS)
    lines = (tmp_path / "new" / "out" / "robustness.csv").read_bytes().decode().split("\n")
    assert lines[:4] == [
        "corruption,level,accuracy,low,high,neutral_as_sad",
        "none,,0.9000,0.8000,0.9500,0.0000",
        "scale,40 px,0.8000,0.7000,0.9000,0.1250",
        "scale,32 px,0.6000,0.5000,0.7000,",
    ]
    assert lines[-2:] == ["rotation,5 degrees,0.1000,0.0500,0.2000,1.0000", ""]
    text = (tmp_path / "new" / "out" / "robustness.md").read_text().split("\n")
    assert text[:5] == [
        "# mine on 4 corrupted faces of made.csv, validation, ferplus7",
        "",
        "| corruption | level | accuracy, % (95 %) | lost, pp | neutral as sad |",
        "|---|---:|---:|---:|---:|",
        "| none |  | 90.0 (80.0 to 95.0) | +0.0 | 0.0% |",
    ]
    assert text[-2:] == ["| mean |  | 47.5 | +42.5 |  |", ""]


def test_without_neutral_faces_nobody_says_how_many_look_sad(faces: LabelledFaces) -> None:
    happy = replace(faces, targets=np.eye(7, dtype=np.float32)[[NAMES.index("happy")] * 4])
    measured = measure(Predictor("mine", "ferplus7", left_or_right), happy, 0)
    assert {row.neutral_as_sad for row in measured} == {None}
    assert measured[1].level == "40 px"


# The curve of the prior


def point(power: float, accuracy: float, **recall: float | None) -> Point:
    none: dict[str, float | None] = {}
    return Point(power, Score(100, accuracy, (0.1, 0.9), 0.0456, {}, none, recall, none), 1.2344)


@pytest.fixture
def curve() -> Curve:
    """Disgust is rare; fear is rare and has no faces; sad is just common enough."""
    prior = {"happy": 0.89, "sad": 0.05, "disgust": 0.04, "fear": 0.02}
    points = [
        point(power, power / 2 + 0.25, happy=0.9, sad=0.6, disgust=share, fear=None)
        for power, share in ((0.0, 0.0), (0.15, 0.3), (1.0, 0.75))
    ]
    return Curve("mine, int8", prior, tuple(points))


def test_a_rare_class_with_faces_has_its_own_column(curve: Curve) -> None:
    assert curve.rare == ["disgust"]
    assert headings(curve) == ["prior", "accuracy, %", "macro recall, %", "disgust, %", "ECE", "log loss"]
    assert cells(curve, curve.points[2]) == ["1", "75.0", "75.0", "75.0", "0.046", "1.234"]
    assert cells(curve, curve.points[0]) == ["0", "25.0", "50.0", "0.0", "0.046", "1.234"]


def test_the_table_of_the_curve_has_the_default_in_bold(curve: Curve) -> None:
    assert as_markdown(curve).split("\n") == [
        "mine, int8:",
        "",
        "| prior | accuracy, % | macro recall, % | disgust, % | ECE | log loss |",
        "| --- | --- | --- | --- | --- | --- |",
        "| 0 | 25.0 | 50.0 | 0.0 | 0.046 | 1.234 |",
        "| **0.15** | **32.5** | **60.0** | **30.0** | **0.046** | **1.234** |",
        "| 1 | 75.0 | 75.0 | 75.0 | 0.046 | 1.234 |",
        "",
    ]


def test_the_plot_has_a_line_for_each_measure_and_one_for_the_default(
    curve: Curve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        figures.append(figure)
        return b"plot"

    monkeypatch.setattr(prior_curve, "as_png", keep)
    paths = write_curve(curve, tmp_path / "new" / "out")
    assert paths == [tmp_path / "new" / "out" / "prior.md", tmp_path / "new" / "out" / "prior.png"]
    assert paths[0].read_text() == as_markdown(curve)
    assert paths[1].read_bytes() == b"plot"
    (axes,) = figures[0].axes
    *shares, default = axes.lines
    assert {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in shares} == {
        "accuracy": pytest.approx([25, 32.5, 75]),
        "macro recall": pytest.approx([50, 60, 75]),
        "recall of disgust": pytest.approx([0, 30, 75]),
    }
    assert [line.get_linestyle() for line in shares] == ["-", "-", "--"]
    assert {line.get_marker() for line in shares} == {"."}
    assert np.asarray(shares[0].get_xdata()).tolist() == [0, 0.15, 1]
    assert np.asarray(default.get_xdata()).tolist() == [0.15, 0.15]
    assert (default.get_color(), default.get_linewidth()) == ("grey", 0.8)
    assert axes.get_xlabel() == "[classifier] prior (grey line: the default)"
    assert (axes.get_ylabel(), axes.get_title()) == ("%", "mine, int8")
    assert axes.xaxis.label.get_fontsize() == 9
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["accuracy", "macro recall", "recall of disgust"]
    assert legend.get_texts()[0].get_fontsize() == 8
    assert figures[0].get_size_inches().tolist() == [6.4, 3.2]
    assert figures[0].get_layout_engine() is not None
