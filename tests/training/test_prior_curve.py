"""Measure the effect of the training prior, as a user does."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_train.data.datasets import LABELS, LabelledFaces
from fer_train.evaluation.prior_curve import measure_curve


def rows(table: str) -> dict[str, list[str]]:
    """The cells of a Markdown table by their first one."""
    lines = [line.strip("| ").replace("*", "").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in lines}


@pytest.mark.slow
def test_the_curve_agrees_with_the_runtime_at_each_power(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    done = command("fer-train", "prior", "ferplus7", tiny_data, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    table = rows((tmp_path / "prior.md").read_text())
    assert table["prior"] == ["accuracy, %", "macro recall, %", "disgust, %", "fear, %", "ECE", "log loss"]
    assert "| **0.15** |" in (tmp_path / "prior.md").read_text()
    assert (tmp_path / "prior.png").read_bytes().startswith(b"\x89PNG")
    for power in ("0", "0.5", "1"):
        out = tmp_path / power
        assert command("fer-train", "evaluate", "ferplus7", tiny_data, "--prior", power, "--out", out).returncode == 0
        scores = json.loads((out / "scores.json").read_text())
        recall = scores["recall"]
        expected = [scores["accuracy"], sum(recall.values()) / 7, recall["disgust"], recall["fear"]]
        assert [float(cell) for cell in table[power][:4]] == pytest.approx([100 * x for x in expected], abs=0.06)
        assert float(table[power][4]) == pytest.approx(scores["calibration_error"], abs=0.0006)
    assert table["0"] != table["1"]


def test_only_a_bundle_knows_its_prior(command: Run, tiny_data: Path, bundle_dir: Path) -> None:
    done = command("fer-train", "evaluate", bundle_dir / "model.tflite", tiny_data, "--prior", "0.5")
    assert done.returncode == 2
    assert "only a bundle has a prior" in done.stderr


def test_the_log_loss_is_that_of_the_labels_at_each_power() -> None:
    """Natural logarithms; an int8 model may give a label no probability at all, which counts as half of a step."""
    names = LABELS["ferplus7"]
    images = np.stack([load_composites()[name] for name in names])
    last = Classifier(load_bundle(find_bundle("ferplus7"))).probabilities(images[6])
    targets = np.eye(7, dtype=np.float32)[[*range(6), int(last.argmin())]]  # the last label is wrong
    faces = LabelledFaces(images, targets, np.arange(7), "ferplus7", Path("made.csv"), "validation")
    curve = measure_curve("ferplus7", faces)
    assert [point.power for point in curve.points] == [0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1]
    least = []
    for point in curve.points:
        classifier = Classifier(load_bundle(find_bundle("ferplus7")), prior=point.power)
        said = np.array([classifier.probabilities(image) for image in images])[np.arange(7), faces.classes]
        least.append(said.min())
        assert point.loss == pytest.approx(-np.log(np.maximum(said, 1 / 512)).mean(), rel=1e-3)
    assert least[0] < 1 / 512
