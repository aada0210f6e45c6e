"""Robustness, against a model that only sees how bright a face is."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fer_train.data.corruptions import CORRUPTIONS
from fer_train.data.datasets import LABELS, LabelledFaces
from fer_train.evaluation.predictors import Predictor
from fer_train.evaluation.robustness import mean_accuracy, measure, write_robustness

NAMES = LABELS["ferplus7"]


@pytest.fixture
def faces() -> LabelledFaces:
    """Three neutral faces of grey 120, and one happy face of 200."""
    images = np.repeat(np.array([120, 120, 120, 200], np.uint8), 48 * 48).reshape(4, 48, 48)
    classes = [NAMES.index(name) for name in ("neutral", "neutral", "neutral", "happy")]
    targets = np.eye(7, dtype=np.float32)[classes]
    return LabelledFaces(images, targets, np.arange(4), "ferplus7", Path("made.csv"), "validation")


class Brightness:
    """Dark faces are sad to it, bright ones happy, and others neutral; it keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[npt.NDArray[np.uint8]] = []

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.seen.append(images)
        names = ["sad" if grey < 60 else "neutral" if grey < 160 else "happy" for grey in images.mean(axis=(1, 2))]
        return np.eye(7, dtype=np.float32)[[NAMES.index(name) for name in names]]


def test_each_level_says_what_is_lost_and_how_many_neutral_faces_look_sad(faces: LabelledFaces, tmp_path: Path) -> None:
    model = Predictor("brightness", "ferplus7", Brightness())
    rows = measure(model, faces, 0)
    found = {(row.corruption, row.level): (row.accuracy, row.neutral_as_sad) for row in rows}
    assert found["none", ""] == (1, 0)
    assert found["darker", "1.7 gamma"] == (1, 0)
    assert found["darker", "2.5 gamma"] == (0, 1)
    assert found["lighter", "0.4 gamma"] == (0.25, 0)
    write_robustness(tmp_path, model, faces, rows)
    table = (tmp_path / "robustness.md").read_text()
    assert "| darker | 2.5 gamma | 0.0 (0.0 to 49.0) | +100.0 | 100.0% |" in table
    assert "| lighter | 0.4 gamma | 25.0 (4.6 to 69.9) | +75.0 | 0.0% |" in table
    # Of the eight corruptions one leaves half of it, and one a quarter.
    assert mean_accuracy(rows) == pytest.approx((6 + 0.5 + 0.25) / 8)
    assert "| mean |  | 84.4 | +15.6 |  |" in table


def test_the_model_is_shown_each_corruption_with_the_draws_of_the_seed(faces: LabelledFaces) -> None:
    shown = {}
    for seed in (0, 7):
        model = Brightness()
        measure(Predictor("brightness", "ferplus7", model), faces, seed)
        cases = [(corruption, level) for corruption in CORRUPTIONS for level in corruption.levels]
        assert np.array_equal(model.seen[0], faces.images)
        for images, (corruption, level) in zip(model.seen[1:], cases, strict=True):
            assert np.array_equal(images, corruption.apply(faces.images, level, seed)), corruption.name
        shown[seed] = model.seen
    assert any(not np.array_equal(one, other) for one, other in zip(shown[0], shown[7], strict=True))
