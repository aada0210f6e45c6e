"""A shipped model as ONNX, in onnxruntime, against its int8 answers in the runtime."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_train.data.augmentation import Augmentation

RUN = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(entry,) = session.get_inputs()
assert entry.shape[1:] == [48, 48, 1]
np.save(sys.argv[3], session.run(None, {entry.name: np.load(sys.argv[2])[..., None].astype(np.float32)})[0])
"""
WITHOUT = not all(map(find_spec, ("tf2onnx", "onnxruntime")))


@pytest.mark.skipif(WITHOUT, reason="tf2onnx or onnxruntime is not installed: pip install '.[onnx]'")
@pytest.mark.parametrize("name", ["ferplus7", "ferplus7-tiny"])
def test_a_model_answers_in_onnxruntime_as_on_the_device(name: str, command: Run, tmp_path: Path) -> None:
    models = Path(__file__).resolve().parents[2] / "models"
    done = command("fer-train", "export", models / name, tmp_path / "out", "--onnx", timeout=300)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.onnx"]
    composites = np.repeat(np.array(list(load_composites().values())), 20, axis=0)
    faces = Augmentation().apply(composites, np.random.default_rng(0))
    np.save(tmp_path / "faces.npy", faces)
    run: list[str | Path] = [
        sys.executable,
        "-c",
        RUN,
        tmp_path / "out" / "model.onnx",
        tmp_path / "faces.npy",
        tmp_path / "floats.npy",
    ]
    subprocess.run(run, check=True, env=os.environ | {"TMPDIR": str(tmp_path)})  # onnxruntime leaves a file there
    floats = np.load(tmp_path / "floats.npy")
    classifier = Classifier(load_bundle(models / name))
    ints = np.array([classifier.probabilities(face) for face in faces])
    assert (floats.argmax(axis=1) == ints.argmax(axis=1)).mean() >= 0.97
    assert np.abs(floats - ints).mean() < 0.01
    assert floats.sum(axis=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.skipif(find_spec("tf2onnx") is not None, reason="tf2onnx is installed")
def test_a_missing_converter_is_named(command: Run, tmp_path: Path) -> None:
    models = Path(__file__).resolve().parents[2] / "models"
    done = command("fer-train", "export", models / "ferplus7-tiny", tmp_path / "out", "--onnx", timeout=300)
    assert done.returncode == 2
    assert "[onnx]" in done.stderr
    assert not (tmp_path / "out").exists()
