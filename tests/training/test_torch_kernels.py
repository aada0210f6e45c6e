"""PyTorch's own kernels in the place of Keras' in a training: the same numbers, and the same file."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.training.torch_kernels import fuse_layers  # noqa: E402

needs_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="no PyTorch: pip install torch")


def on_torch(folder: Path) -> dict[str, str]:
    """The environment of a program on PyTorch, which keeps compiled code in that folder."""
    return {**os.environ, "KERAS_BACKEND": "torch", "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}


COMPARE = """
import keras
import numpy as np
import torch
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

# One layer at a time, on pictures whose sides are neither equal nor even.
FUSED = ("call", "convolution_op")


def both(layer, shape, training=False, within=1e-4, is_fused=True):
    noise = np.random.default_rng(1).normal(3, 2, (5, *shape))
    pictures = torch.tensor(noise, dtype=getattr(torch, layer.compute_dtype))
    found = []
    for fuse in (False, True):
        copy = type(layer).from_config(layer.get_config())
        image = keras.Input(shape, dtype=layer.compute_dtype)
        model = keras.Model(image, copy(image))
        copy.set_weights([np.random.default_rng(2).uniform(0.5, 1.5, weight.shape) for weight in copy.weights])
        before = [vars(copy).get(name) for name in FUSED]
        if fuse:
            fuse_layers(model)
            assert ([vars(copy).get(name) for name in FUSED] != before) == is_fused, layer.name
        answer = model(pictures, training=training)
        assert (answer.shape[1:], answer.dtype) == (model.output_shape[1:], pictures.dtype), layer.name
        found.append([keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in (answer, *copy.weights)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=within, atol=1e-4, err_msg=layer.name)
    return found[1]


conv, norm = keras.layers.Conv2D, keras.layers.BatchNormalization
sizes = ((3, 1), (1, 1), (3, 2), (2, 1), (5, 3), (1, 2), ((5, 2), 1), ((2, 5), (1, 2)), (4, (3, 2)))
for padding in ("same", "valid"):
    for place, (kernel, stride) in enumerate(sizes):
        both(conv(3, kernel, stride, padding=padding, name=f"{padding}{place}"), (11, 8, 2))
both(conv(3, 3, padding="same", dtype="bfloat16", name="short"), (6, 5, 2), within=0.05)
both(conv(4, 3, groups=2, name="groups"), (6, 5, 2), is_fused=False)
both(conv(4, 3, dilation_rate=2, name="wide"), (7, 6, 2), is_fused=False)
both(conv(4, 3, dilation_rate=(1, 2), name="wide_on_one_side"), (7, 6, 2), is_fused=False)
both(keras.layers.Dense(2, name="dense"), (4,), is_fused=False)
for place, (momentum, epsilon) in enumerate(((0.9, 1e-3), (0.5, 0.5))):
    layer = norm(momentum=momentum, epsilon=epsilon, name=f"norm{place}")
    still = both(layer, (9, 7, 3))
    moved = both(layer, (9, 7, 3), training=True, within=0.02)
    assert not np.allclose(still[3], moved[3], rtol=0.02), "it measures these pictures"
    layer.trainable = False
    kept = both(layer, (9, 7, 3), training=True)
    assert all(map(np.array_equal, kept, still)), "what is frozen uses the old statistics"
"""


@needs_torch
def test_it_computes_what_keras_does(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", COMPARE], env=on_torch(tmp_path), check=True)


def test_on_another_back_end_nothing_is_changed() -> None:
    if keras.backend.backend() == "torch":
        pytest.skip("these tests run on PyTorch")
    image = keras.Input((8, 8, 1))
    conv, norm = keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization()
    model = keras.Model(image, norm(conv(image)))
    before = [dict(vars(layer)) for layer in model.layers]
    fuse_layers(model)
    assert [vars(layer).keys() for layer in model.layers] == [each.keys() for each in before]
    assert model(np.zeros((1, 8, 8, 1), np.float32), training=True).shape == (1, 6, 6, 2)


@needs_torch
def test_its_model_is_read_by_tensorflow(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = ("--recipe", "tiny", "--set", "needs_teachers=false", "--labels", "fer2013")
    options = (*recipe, "--set", "imbalance=logit_adjustment", "--epochs", 2, "--batch-size", 28)
    done = command("fer-train", "fit", "--data", tiny_data, *options, "--out", out, env=on_torch(tmp_path), timeout=300)
    assert done.returncode == 0, done.stderr
    judged = command("fer-train", "evaluate", out, tiny_data, env=os.environ | {"KERAS_BACKEND": "tensorflow"})
    assert judged.returncode == 0, judged.stderr
