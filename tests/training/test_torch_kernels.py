"""PyTorch's own kernels in the place of Keras' in a training: the same numbers, and the same file."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Run

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="no PyTorch: pip install torch")

ON_TORCH = os.environ | {"KERAS_BACKEND": "torch"}

COMPARE = """
import keras
import numpy as np
from fer_train.architectures import build
from fer_train.training.torch_kernels import fuse_layers

keras.utils.set_random_seed(0)
plain, fused = build("edge-tiny", 7), build("edge-tiny", 7)
fused.set_weights(plain.get_weights())
fuse_layers(fused)
faces = np.random.default_rng(0).integers(0, 256, (64, 48, 48, 1)).astype(np.uint8)
for training in (True, False):
    answers = [keras.ops.convert_to_numpy(model(faces, training=training)) for model in (plain, fused)]
    np.testing.assert_allclose(*answers, atol=1e-4)
for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
    np.testing.assert_allclose(one, other, rtol=0.02, atol=1e-4)
assert not np.allclose(plain.get_layer("stem1_norm").moving_mean, 0)
"""


def test_it_computes_what_keras_does() -> None:
    subprocess.run([sys.executable, "-c", COMPARE], env=ON_TORCH, check=True)


def test_its_model_is_read_by_tensorflow(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = ("--recipe", "tiny", "--set", "needs_teachers=false", "--labels", "fer2013")
    options = (*recipe, "--set", "imbalance=logit_adjustment", "--epochs", 2, "--batch-size", 28)
    done = command("fer-train", "fit", "--data", tiny_data, *options, "--out", out, env=ON_TORCH, timeout=300)
    assert done.returncode == 0, done.stderr
    judged = command("fer-train", "evaluate", out, tiny_data, env=os.environ | {"KERAS_BACKEND": "tensorflow"})
    assert judged.returncode == 0, judged.stderr
