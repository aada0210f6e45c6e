"""Rare expressions are found more often where the probabilities are divided by the training prior."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ModelError
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.prior import prior_weights, reweight

SHARES = {"angry": 0.64, "disgust": 0.04, "fear": 0.32}
MANIFEST = "model.json"


def corrected(power: float, *probabilities: float) -> list[float]:
    weights = prior_weights(SHARES, power)
    return [float(share) for share in reweight(np.array(probabilities, np.float32), weights)]


def copy_with(bundle: Path, copy: Path, prior: object) -> Path:
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("*.keras"))
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["prior"] = prior
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return copy


def test_a_model_that_only_says_the_prior_says_nothing_at_full_power() -> None:
    assert corrected(1, *SHARES.values()) == pytest.approx([1 / 3] * 3)
    assert corrected(0, *SHARES.values()) == pytest.approx([*SHARES.values()])


def test_half_power_divides_by_the_square_root() -> None:
    raw = [0.8 * 0.5, 0.2 * 0.4, 0.0]
    expected = [0.5, 0.4, 0.0]
    assert corrected(0.5, *raw) == pytest.approx([share / sum(expected) for share in expected])


def test_a_label_that_was_never_trained_on_gains_nothing() -> None:
    weights = prior_weights({"a": 0.5, "b": 0.5, "never": 0.0}, 1)
    assert np.isfinite(weights).all()
    before, after = np.array([0.5, 0.3, 0.2], np.float32), reweight(np.array([0.5, 0.3, 0.2], np.float32), weights)
    assert after[2] < before[2]


def test_the_classifier_divides_by_the_prior_of_each_label(bundle_dir: Path) -> None:
    bundle = load_bundle(bundle_dir)
    prior = bundle.manifest.prior
    assert prior
    plain, strong = Classifier(bundle), Classifier(bundle, prior=1)
    for face in load_composites().values():
        raw = plain.probabilities(face)
        ratio = {label: share / prior[label] for label, share in zip(plain.labels, raw, strict=True)}
        expected = np.array([ratio[label] / sum(ratio.values()) for label in strong.labels])
        np.testing.assert_allclose(strong.probabilities(face), expected, rtol=1e-4)
        np.testing.assert_array_equal(plain.outputs(face), strong.outputs(face))


def test_rare_labels_gain_and_frequent_ones_lose(bundle_dir: Path) -> None:
    bundle = load_bundle(bundle_dir)
    face = load_composites()["fear"]
    readings = [Classifier(bundle, prior=power).probabilities(face) for power in (0, 0.15, 0.5, 1)]
    fear = [float(reading[bundle.manifest.labels.index("fear")]) for reading in readings]
    assert fear == sorted(fear)
    assert fear[0] < fear[-1]


def test_a_bundle_without_a_prior_runs_as_before_and_says_so(
    bundle_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = load_bundle(copy_with(bundle_dir, tmp_path / "old", None))
    face = load_composites()["sad"]
    with caplog.at_level(logging.WARNING):
        probabilities = Classifier(old, prior=1).probabilities(face)
    assert "has no prior" in caplog.text
    np.testing.assert_array_equal(probabilities, Classifier(old).probabilities(face))
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda prior: dict(reversed(prior.items())), "does not name the labels in their order"),
        (lambda prior: {label: share / 2 for label, share in prior.items()}, "sum to one"),
        (lambda prior: prior | {"angry": -0.1, "happy": prior["happy"] + prior["angry"] + 0.1}, "sum to one"),
    ],
)
def test_a_wrong_prior_is_refused(bundle_dir: Path, tmp_path: Path, change: object, problem: str) -> None:
    prior = load_bundle(bundle_dir).manifest.prior
    assert prior
    assert callable(change)
    with pytest.raises(ModelError, match=problem):
        load_bundle(copy_with(bundle_dir, tmp_path / "wrong", change(prior)))


def test_the_configuration_decides(command: Run, tmp_path: Path) -> None:
    config, readings = tmp_path / "config.toml", {}
    for power in ("0.0", "1.0"):
        config.write_text(f"[classifier]\nprior = {power}\n")
        done = command("fer-edge", "run", "--source", "demo", "--max-frames", 30, "--json", "-", "--config", config)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        readings[power] = np.array([face["raw"] for line in lines for face in line["faces"]])
    prior = load_bundle_prior()
    expected = readings["0.0"] / prior
    np.testing.assert_allclose(readings["1.0"], expected / expected.sum(axis=1, keepdims=True), atol=0.02)


def load_bundle_prior() -> np.ndarray:
    from fer_edge.model.bundle import find_bundle

    return np.array(list((load_bundle(find_bundle("ferplus7")).manifest.prior or {}).values()))


def test_each_class_and_each_row_is_weighed_by_itself() -> None:
    weights = prior_weights({"often": 0.25, "rarely": 0.0625, "never": 0.0}, 0.5)
    assert weights.dtype == np.float32
    assert weights.tolist() == [2, 4, 1]
    rows = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]], np.float32)
    weighted = reweight(rows, weights)
    assert weighted.dtype == np.float32
    assert weighted == pytest.approx(np.array([[4 / 21, 12 / 21, 5 / 21], [12 / 22, 8 / 22, 2 / 22]]), abs=1e-6)
    assert reweight(rows[0], weights) == pytest.approx(weighted[0])
