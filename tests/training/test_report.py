"""Reports of known predictions, and that a report is written completely or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_edge.errors import ConfigError
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.evaluation import plots
from fer_train.evaluation.metrics import confusion, reliability, score
from fer_train.evaluation.plots import read_history
from fer_train.evaluation.report import table, write_report

PICTURES = {"classes.png", "confusion.png", "reliability.png", "samples.png"}


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not made into pictures, which takes most of the time of a report."""
    monkeypatch.setattr(plots, "as_png", lambda _: b"picture")


@pytest.fixture
def faces(tiny_data: Path) -> LabelledFaces:
    """Ten a class."""
    return load_dataset(tiny_data, "validation", "ferplus7")


def reading(faces: LabelledFaces, sure: float = 0.7) -> npt.NDArray[np.float32]:
    """Probabilities of a model that takes all disgust for anger, half of fear for surprise, and is right else."""
    read = faces.classes.copy()
    read[read == 1] = 0
    read[np.flatnonzero(read == 2)[:5]] = 5
    rest = (1 - sure) / (len(faces.labels) - 1)
    return np.asarray(np.where(np.eye(len(faces.labels))[read] > 0, sure, rest), np.float32)


def test_scores_of_a_model_that_never_says_disgust(faces: LabelledFaces) -> None:
    result = score(reading(faces), faces)
    assert result.images == 70
    assert result.accuracy == pytest.approx(55 / 70, abs=1e-4)
    assert result.interval == pytest.approx((0.6762, 0.8658), abs=1e-3)
    assert result.support == dict.fromkeys(faces.labels, 10)
    assert result.precision["angry"] == 0.5
    assert result.precision["disgust"] is None
    assert (result.recall["disgust"], result.f1["disgust"]) == (0, 0)
    assert result.recall["fear"] == 0.5
    assert result.f1["fear"] == pytest.approx(2 / 3, abs=1e-4)
    assert result.calibration_error == pytest.approx(55 / 70 - 0.7, abs=1e-4)


def test_confusion_has_the_true_class_in_its_rows(faces: LabelledFaces) -> None:
    counts = confusion(reading(faces), faces)
    assert counts.shape == (7, 7)
    assert counts[1].tolist() == [10, 0, 0, 0, 0, 0, 0]
    assert counts[2].tolist() == [0, 0, 5, 0, 0, 5, 0]
    assert counts.sum() == 70


def test_reliability_leaves_empty_bins_out() -> None:
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [1, 0]], np.float32)
    bins = reliability(probabilities, np.array([0, 1, 1, 0]), bins=10)
    assert bins.low.tolist() == pytest.approx([0.5, 0.9])
    assert bins.count.tolist() == [1, 3]
    assert bins.accuracy.tolist() == pytest.approx([0, 2 / 3])
    assert bins.confidence.tolist() == pytest.approx([0.55, 2.9 / 3])


def test_a_report_shows_everything(faces: LabelledFaces, tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text("epoch,accuracy,loss,val_accuracy,val_loss\n0,0.2,2,0.1,2.5\n1,0.5,1,NA,NA\n")
    record = {"recipe": {"epochs": 2, "augmentation": {"mirror": True}}, "results": {"hidden": 1}}
    out = tmp_path / "new" / "folder"
    write_report(out, reading(faces), faces, "A tiny model", history=history, record=record)
    assert {path.name for path in out.iterdir()} == PICTURES | {"curves.png", "report.md", "scores.json"}
    text = (out / "report.md").read_text()
    assert text.startswith("# A tiny model\n")
    assert "Accuracy 78.57% (95 % interval 67.6% to 86.6%) on 70 faces of fer2013.csv, validation split" in text
    assert "| disgust | 10 | - | 0.0% | 0.0% |" in text
    assert "disgust predicted as angry (10 faces, 100% of the class); fear predicted as surprise (5 faces" in text
    assert "| recipe.augmentation.mirror | True |" in text
    assert "hidden" not in text
    for name in PICTURES | {"curves.png"}:
        assert f"({name})" in text
        picture = cv2.imread(str(out / name))
        assert picture is not None
        assert min(picture.shape[:2]) > 300
        assert (out / name).stat().st_size < 200_000
    figures = json.loads((out / "scores.json").read_text())
    assert figures["confusion"] == confusion(reading(faces), faces).tolist()
    assert figures["labels"] == "ferplus7"


@pytest.mark.usefixtures("unpainted")
def test_a_report_explains_its_numbers_and_pictures(faces: LabelledFaces, tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text("epoch,accuracy,loss\n0,0.2,2\n")
    record = {"labels": 1, "seed": 5, "trainings": {"a": 1}, "recipe": {"labels": 2, "name": "a|b", "results": 3}}
    write_report(tmp_path / "out", reading(faces), faces, "Mine", history=history, record=record)
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.endswith("| recipe.name | a b |\n")
    paragraphs = text.split("\n\n")
    assert paragraphs[0] == "# Mine"
    assert paragraphs[1].endswith("expected calibration error 0.0857.")
    assert [line for line in paragraphs if line.startswith("#")][1:] == [
        "## Each class", "## Confusion matrix", "## Calibration", "## Samples", "## The training", "## Training record"
    ]  # fmt: skip
    assert paragraphs[3].splitlines()[:2] == [
        "| class | faces | precision | recall | F1 |",
        "|---|---:|---:|---:|---:|",
    ]
    assert paragraphs[4:6] == [
        "Precision: the fraction of the predictions of this class that are correct. Recall: the fraction of the faces "
        "of this class that were found. F1: their harmonic mean. The last line is the macro average: the mean over "
        "the classes.",
        "![Precision, recall and F1 of each class](classes.png)",
    ]
    assert paragraphs[7] == (
        "Most frequent mistakes: disgust predicted as angry (10 faces, 100% of the class); "
        "fear predicted as surprise (5 faces, 50% of the class)."
    )
    assert paragraphs[8:] == [
        "![Confusion matrix: faces, and percent of the true class](confusion.png)",
        "## Calibration",
        "Bars above the line: accuracy is higher than confidence. Bars below: the model is overconfident.",
        "![Accuracy against confidence](reliability.png)",
        "## Samples",
        "Chosen at random.",
        "![Faces with correct and with wrong predictions](samples.png)",
        "## The training",
        "![Loss and accuracy by epoch](curves.png)",
        "## Training record",
        "|  |  |\n|---|---:|\n| seed | 5 |\n| recipe.name | a b |\n",
    ]


@pytest.mark.usefixtures("unpainted")
def test_the_scores_for_programs_have_every_figure_on_lines_of_their_own(faces: LabelledFaces, tmp_path: Path) -> None:
    result = write_report(tmp_path, reading(faces), faces, "Mine")
    text = (tmp_path / "scores.json").read_text()
    assert text.startswith('{\n  "labels": "ferplus7",\n')
    assert text.endswith("\n}\n")
    figures = json.loads(text)
    assert figures["images"] == 70
    assert figures["accuracy"] == result.accuracy
    assert figures["interval"] == [*result.interval]
    assert figures["calibration_error"] == result.calibration_error
    for name in ("support", "precision", "recall", "f1"):
        assert figures[name] == getattr(result, name)


@pytest.mark.usefixtures("unpainted")
def test_the_three_most_frequent_mistakes_are_named_the_largest_first(faces: LabelledFaces, tmp_path: Path) -> None:
    read = faces.classes.copy()
    for true, other, count in ((0, 1, 2), (1, 2, 5), (2, 3, 3), (3, 4, 1)):
        read[np.flatnonzero(faces.classes == true)[:count]] = other
    write_report(tmp_path, np.eye(7, dtype=np.float32)[read], faces, "Mine")
    (line,) = [line for line in (tmp_path / "report.md").read_text().splitlines() if "mistakes" in line]
    assert line == (
        "Most frequent mistakes: disgust predicted as fear (5 faces, 50% of the class); fear predicted as happy "
        "(3 faces, 30% of the class); angry predicted as disgust (2 faces, 20% of the class)."
    )


def test_a_table_has_its_numbers_on_the_right() -> None:
    assert [*table(("a", "b", "c"), [("x|y", "1", "2")])] == ["| a | b | c |", "|---|---:|---:|", "| x y | 1 | 2 |"]


def test_two_reports_share_a_folder(faces: LabelledFaces, tmp_path: Path) -> None:
    own = replace(faces, scheme="fer2013")
    write_report(tmp_path, reading(faces), faces, "By votes")
    write_report(tmp_path, reading(own), own, "By FER2013's labels", suffix="-fer2013")
    assert "(samples-fer2013.png)" in (tmp_path / "report-fer2013.md").read_text()
    assert "(samples.png)" in (tmp_path / "report.md").read_text()


def test_eight_classes_one_of_them_empty(tiny_data: Path, tmp_path: Path) -> None:
    faces = load_dataset(tiny_data, "validation", "ferplus8")
    result = write_report(tmp_path, np.eye(8, dtype=np.float32)[faces.classes], faces, "Perfect")
    assert (result.accuracy, result.calibration_error) == (1, 0)
    assert result.recall["contempt"] is None
    text = (tmp_path / "report.md").read_text()
    assert "| contempt | 0 | - | - | - |" in text
    assert f"| mean | {len(faces)} | 100.0% | 100.0% | 100.0% |" in text, "of the classes that have faces"
    assert "Most frequent mistakes: none." in text


def test_a_report_that_cannot_be_written_leaves_nothing(faces: LabelledFaces, tmp_path: Path) -> None:
    (tmp_path / "report.md").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(tmp_path, reading(faces), faces, "No")
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".new-")]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be created"):
        write_report(tmp_path / "file" / "below", reading(faces), faces, "No")


def test_a_history_with_two_heads_is_read_by_column(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,fer2013_accuracy,loss,val_fer2013_accuracy\n0,0.2,2,NA\n")
    history = read_history(path)
    assert history["fer2013_accuracy"].tolist() == [0.2]
    assert np.isnan(history["val_fer2013_accuracy"]).all()


# What the pictures show


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures, which are kept instead of made into a picture."""
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "as_png", figures.append)
    return figures


def bars(axes: Axes) -> dict[str, list[float]]:
    """The heights of each group of bars, by its label."""
    return {str(group.get_label()): [bar.get_height() for bar in group] for group in axes.containers}


def test_curves_show_training_and_validation_of_each_head_from_epoch_1_on(drawn: list[Figure]) -> None:
    columns = {"epoch": [0, 1], "accuracy": [0.2, 0.5], "val_accuracy": [0.1, 0.4], "loss": [2, 1], "val_loss": [3, 2]}
    columns |= {"fer2013_accuracy": [0.25, 0.3], "val_fer2013_accuracy": [0.15, 0.2]}
    plots.curves({name: np.array(values, float) for name, values in columns.items()})
    left, right = drawn[0].axes
    lines = {line.get_label(): line for line in left.lines}
    assert {label: np.asarray(line.get_ydata()).tolist() for label, line in lines.items()} == {
        "training": [20, 50], "validation": [10, 40], "fer2013 training": [25, 30], "fer2013 validation": [15, 20],
    }  # fmt: skip
    assert np.asarray(lines["training"].get_xdata()).tolist() == [1, 2]
    assert (lines["training"].get_linestyle(), lines["validation"].get_linestyle()) == ("-", "--")
    assert lines["training"].get_color() == lines["validation"].get_color() != lines["fer2013 training"].get_color()
    assert {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in right.lines} == {
        "training": [2, 1],
        "validation": [3, 2],
    }


def test_the_confusion_matrix_has_the_true_class_in_its_rows(faces: LabelledFaces, drawn: list[Figure]) -> None:
    plots.confusion_matrix(reading(faces), faces)
    (axes,) = drawn[0].axes
    texts: dict[tuple[int, int], list[str]] = {}
    for text in axes.texts:
        column, row = map(round, text.get_position())
        texts.setdefault((column, row), []).append(text.get_text())
    assert texts[0, 1] == ["100 %", "10"], "disgust is taken for anger"
    assert texts[1, 0] == ["0 %", "0"]
    assert texts[5, 2] == texts[2, 2] == ["50 %", "5"], "half of fear is taken for surprise"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert np.asarray(axes.images[0].get_array())[1, 0] == 100


def test_the_reliability_diagram_shows_accuracy_by_confidence(faces: LabelledFaces, drawn: list[Figure]) -> None:
    plots.reliability_diagram(reading(faces, sure=0.72), faces)
    upper, lower = drawn[0].axes
    assert bars(upper) == {"accuracy": [pytest.approx(100 * 55 / 70)]}
    (bar,) = upper.containers[0]
    assert bar.get_x() < 72 < bar.get_x() + bar.get_width()
    assert [*bars(lower).values()] == [[70]]
    assert upper.get_title() == f"expected calibration error: {100 * 55 / 70 - 72:.1f} percentage points"


def test_the_bars_of_a_class_are_its_precision_recall_and_f1(faces: LabelledFaces, drawn: list[Figure]) -> None:
    result = score(reading(faces), faces)
    plots.class_bars(result)
    (axes,) = drawn[0].axes
    shares = {"precision": result.precision, "recall": result.recall, "F1": result.f1}
    assert bars(axes) == {
        name: [pytest.approx(100 * (of_class[label] or 0)) for label in faces.labels]
        for name, of_class in shares.items()
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{label}\n10 faces" for label in faces.labels]


def test_the_sheet_has_correct_faces_on_the_left_and_wrong_ones_on_the_right(
    faces: LabelledFaces, drawn: list[Figure]
) -> None:
    plots.samples(reading(faces), faces)
    correct, wrong = drawn[0].axes
    rows = {
        label.get_text(): place for place, label in zip(correct.get_yticks(), correct.get_yticklabels(), strict=True)
    }
    said = [(text.get_text().split()[1], text.get_text().split()[2], text.get_position()[1]) for text in correct.texts]
    assert len(said) == 4 * 6, "four of each class that is ever read right"
    for label, confidence, below in said:
        assert confidence == "70%"
        assert 0 < below - rows[label] < 48
    assert [text.get_text() for text in wrong.texts] == ["✗ angry 70%"] * 4 + ["✗ surprise 70%"] * 4
    sheet = np.asarray(correct.images[0].get_array())
    first = sheet[1:49, 1:49, 0]
    angry = faces.images[faces.classes == 0]
    assert any(np.array_equal(first, image) for image in angry)


def test_the_pictures_have_their_sizes_names_and_colours(faces: LabelledFaces, drawn: list[Figure]) -> None:
    plots.confusion_matrix(reading(faces), faces)
    plots.reliability_diagram(reading(faces), faces)
    plots.class_bars(score(reading(faces), faces))
    plots.samples(reading(faces), faces)
    plots.curves({name: np.array([1.0, 2.0]) for name in ("epoch", "accuracy", "loss")})
    sizes = [tuple(figure.get_size_inches()) for figure in drawn]
    assert sizes == [(6.4, 6), (5.4, 6), (9, 3.6), pytest.approx((9.6, 8.8)), (9, 3.6)]
    assert all(figure.get_layout_engine() is not None for figure in drawn)
    matrix, calibration, classes, samples, training = (figure.axes for figure in drawn)
    assert matrix[0].images[0].get_cmap().name == "Blues"
    assert matrix[0].images[0].get_clim() == (0, 100)
    assert [text.get_text() for text in matrix[0].get_xticklabels()] == list(faces.labels)
    assert [text.get_text() for text in matrix[0].get_yticklabels()] == list(faces.labels)
    assert {text.get_rotation() for text in matrix[0].get_xticklabels()} == {30}
    assert {(text.get_horizontalalignment(), text.get_verticalalignment()) for text in matrix[0].texts} == {
        ("center", "center")
    }
    assert {text.get_color() for text in matrix[0].texts if text.get_text() == "100 %"} == {"white"}
    assert {text.get_color() for text in matrix[0].texts if text.get_text() in {"50 %", "0 %"}} == {"black"}
    upper, lower = calibration
    assert (upper.get_ylabel(), upper.get_xlim(), upper.get_ylim()) == ("accuracy, %", (0, 100), (0, 100))
    assert (lower.get_xlabel(), lower.get_ylabel()) == ("confidence (the largest probability), %", "faces")
    (perfect,) = upper.lines
    assert (perfect.get_label(), perfect.get_linestyle(), perfect.get_color()) == ("perfect calibration", "--", "black")
    assert np.asarray(perfect.get_xydata()).tolist() == [[0, 0], [100, 100]]
    assert upper.get_legend() is not None
    assert (classes[0].get_ylabel(), classes[0].get_ylim()) == ("%", (0, 105))
    colours = {str(group.get_label()): group[0].get_facecolor() for group in classes[0].containers}
    assert len(set(colours.values())) == 3
    left, right = samples
    assert left.get_title() == "✓ correct (row: true class; below the face: prediction)"
    assert right.get_title() == "✗ wrong (row: true class; below the face: prediction)"
    assert left.title.get_color() == left.texts[0].get_color() != right.title.get_color()
    assert (list(left.get_xticks()), left.spines["top"].get_visible()) == ([], False)
    assert [axes.get_xlabel() for axes in training] == ["epoch"] * 2
    assert [axes.get_ylabel() for axes in training] == ["accuracy, %", "loss"]
    assert all(axes.get_legend() is not None for axes in training)


def test_the_bars_of_a_class_stand_in_the_order_of_the_legend_around_its_name(
    faces: LabelledFaces, drawn: list[Figure]
) -> None:
    plots.class_bars(score(reading(faces), faces))
    (axes,) = drawn[0].axes
    centres = [group[3].get_x() + group[3].get_width() / 2 for group in axes.containers]
    assert centres == pytest.approx([2.73, 3, 3.27])
    assert [bar.get_width() for bar in axes.containers[0]] == pytest.approx([0.25] * 7)


def test_the_sheet_has_the_same_faces_each_time_and_others_by_another_seed(
    faces: LabelledFaces, drawn: list[Figure]
) -> None:
    for seed in ({}, {"seed": 0}, {"seed": 1}):
        plots.samples(reading(faces), faces, **seed)
    first, again, other = (np.asarray(figure.axes[0].images[0].get_array()) for figure in drawn)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
