"""Every named network can be built, trained for an epoch in the table's order, and says its size."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.model.bundle import find_bundle
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import ARCHITECTURES, build, count_macs  # noqa: E402
from fer_train.keras_models import load_model  # noqa: E402


@pytest.mark.slow
def test_the_table_names_them_all_with_their_size_as_the_documentation_does(command: Run) -> None:
    done = command("fer-train", "architectures", env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in done.stdout.splitlines() if "│" in line]
    assert [name for name, *_ in rows] == list(ARCHITECTURES)
    lines = (Path(__file__).parents[2] / "docs" / "training.md").read_text().splitlines()
    told = [[cell.strip(" `") for cell in line.split("|")[1:5]] for line in lines if line.startswith("| `")]
    sizes = {name: figures for name, _, *figures in told}
    assert {name: figures for name, *figures in rows} == {name: sizes[name] for name in ARCHITECTURES}


@pytest.mark.parametrize(("name", "bundle"), [("edge", "ferplus7"), ("edge-tiny", "ferplus7-tiny")])
def test_a_shipped_model_is_built_again_layer_by_layer(name: str, bundle: str) -> None:
    """Else no training could start from it."""
    shipped = load_model(find_bundle(bundle) / "model.keras")

    def layers(model: keras.Model) -> list[tuple[str, dict[str, object]]]:
        return [
            (type(layer).__name__, layer.get_config())
            for layer in model.layers
            if not isinstance(layer, keras.layers.Dropout)
        ]

    for (kind, one), (other_kind, other) in zip(layers(shipped), layers(build(name, 7)), strict=True):
        assert kind == other_kind
        same = one.keys() & other.keys() - {"name", "dtype", "kernel_initializer", "trainable"}
        assert {key: one[key] for key in same} == {key: other[key] for key in same}, one["name"]


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("edge-tiny", [0.2]),
        ("cnn-bn", [0.2, 0.2, 0.2, 0.2, 0.4]),
        ("cnn-elu", [0.2, 0.2, 0.2, 0.3]),
        ("cnn-small", [0.2, 0.2, 0.2, 0.4, 0.4]),
        ("cnn-3block", [0.2, 0.2]),
        ("mini-xception", [0.2]),
        ("mobile", [0.2]),
        ("resnet", [0.2]),
        ("resnet29-face", [0.2]),
    ],
)
def test_the_dropout_of_a_recipe_reaches_each_network(name: str, rates: list[float]) -> None:
    model = build(name, 5, 0.2)
    found = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert found == pytest.approx(rates)
    assert model.output_shape == (None, 5)
    head = model.layers[-1]
    assert (head.name, head.activation.__name__, head.compute_dtype) == ("probabilities", "softmax", "float32")
    kinds = {type(layer).__name__ for layer in model.layers}
    assert ("BatchNormalization" in kinds) == (name != "cnn-small")
    elu = [layer for layer in model.layers if getattr(layer, "activation", None) is keras.activations.elu]
    assert len(elu) == (7 if name == "cnn-elu" else 0)


def test_levels_are_scaled_inside_the_network() -> None:
    model = build("cnn-small", 7)
    scaled = keras.Model(model.input, model.layers[1].output)
    assert np.asarray(scaled(np.full((1, 48, 48, 1), 255, np.uint8))).max() == pytest.approx(1)


@pytest.mark.parametrize(("name", "largest"), [("edge", 60e6), ("edge-tiny", 8e6)])
def test_those_for_boards_keep_to_their_budget(name: str, largest: float) -> None:
    assert count_macs(build(name, 8)) <= largest


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in {"edge", "cnn-small"}])
def test_each_learns_is_saved_alone_and_becomes_a_bundle(
    command: Run, tiny_data: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "run"
    options = ("--recipe", "adam-50", "--architecture", name, "--epochs", 1, "--set", "also={ferplus8=1}")
    done = command("fer-train", "fit", "--data", tiny_data, *options, "--out", out, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "training.json").read_text())["recipe"]["architecture"] == name
    assert (out / "ferplus8" / "model.keras").is_file()
    done = command("fer-quantize", out, "--data", tiny_data, "--labels", "ferplus7", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "bundle" / "model.tflite").is_file()
