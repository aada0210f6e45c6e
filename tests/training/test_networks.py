"""What each network is made of: its size as the documentation states it, its layers and their names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import ConfigError
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so
from keras import layers  # noqa: E402

from fer_train.architectures import build, count_macs  # noqa: E402
from fer_train.architectures.classic import cnn_3block, cnn_bn, cnn_elu, cnn_small  # noqa: E402
from fer_train.architectures.compact import mini_xception, mobile, resnet  # noqa: E402
from fer_train.architectures.edge import edge_net  # noqa: E402
from fer_train.architectures.face_resnet import face_resnet  # noqa: E402
from fer_train.architectures.parts import conv, depthwise  # noqa: E402

DOCUMENTED = Path(__file__).parents[2] / "docs" / "training.md"
PLAIN = ("cnn-bn", "cnn-elu", "cnn-small", "cnn-3block", "mini-xception", "mobile", "resnet", "edge")


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize("name", PLAIN)
def test_a_network_has_the_size_that_the_documentation_states(name: str) -> None:
    model = build(name, 7)
    rows = [[cell.strip(" `") for cell in line.split("|")[1:5]] for line in DOCUMENTED.read_text().splitlines()]
    (stated,) = [row[2:] for row in rows if row and row[0] == name and row[2][:1].isdigit()]
    assert [f"{model.count_params():,}", f"{count_macs(model) / 1e6:.1f}"] == stated


@pytest.mark.parametrize("name", PLAIN)
def test_a_network_is_named_and_takes_levels_by_a_named_input(name: str) -> None:
    model = build(name, 7)
    assert model.name == {"edge": "edge_net"}.get(name, name.replace("-", "_"))
    assert (model.layers[0].name, model.input_shape) == ("grey", (None, 48, 48, 1))
    assert (model.layers[-1].name, model.output_shape) == ("probabilities", (None, 7))


@pytest.mark.parametrize(
    ("make", "rates"),
    [
        (cnn_bn, [0.25, 0.25, 0.25, 0.25, 0.5]),
        (cnn_elu, [0.4, 0.4, 0.4, 0.6]),
        (cnn_small, [0.25, 0.25, 0.25, 0.5, 0.5]),
        (cnn_3block, [0.3, 0.3]),
        (mini_xception, [0.0]),
        (mobile, [0.2]),
        (resnet, [0.4]),
        (edge_net, [0.2]),
    ],
)
def test_a_network_has_its_own_dropout(make: Callable[[int], keras.Model], rates: list[float]) -> None:
    found = [layer.rate for layer in make(3).layers if isinstance(layer, layers.Dropout)]
    assert found == pytest.approx(rates)


def test_more_dropout_than_nine_tenths_is_never_used() -> None:
    rates = [layer.rate for layer in cnn_elu(3, 0.7).layers if isinstance(layer, layers.Dropout)]
    assert rates == pytest.approx([0.7, 0.7, 0.7, 0.9])


@pytest.mark.parametrize(
    ("name", "activations"),
    [
        ("cnn-bn", ["linear"] * 9),
        ("cnn-elu", ["elu"] * 7),
        ("cnn-small", ["relu"] * 5),
        ("cnn-3block", ["linear"] * 3 + ["relu"] * 2),
    ],
)
def test_each_layer_with_weights_is_followed_by_its_activation(name: str, activations: list[str]) -> None:
    weighted = [layer for layer in build(name, 7).layers if isinstance(layer, (layers.Conv2D, layers.Dense))]
    assert [layer.activation.__name__ for layer in weighted] == [*activations, "softmax"]


@pytest.mark.parametrize("name", ["cnn-bn", "cnn-elu", "cnn-3block", "mini-xception", "mobile", "resnet", "edge"])
def test_weights_suit_the_activation_and_statistics_follow_the_last_batches(name: str) -> None:
    for layer in build(name, 7).layers[:-1]:
        if isinstance(layer, layers.DepthwiseConv2D):
            assert isinstance(layer.depthwise_initializer, keras.initializers.HeNormal), layer.name
        elif isinstance(layer, (layers.Conv2D, layers.Dense)):
            assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal), layer.name
        if isinstance(layer, layers.BatchNormalization):
            assert layer.momentum == pytest.approx(0.9), layer.name


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        *(("cnn-bn", 3), ("cnn-elu", 6), ("cnn-small", 6), ("cnn-3block", 6)),
        *(("mini-xception", 3), ("mobile", 3), ("resnet", 6), ("edge", 3)),
    ],
)
def test_the_last_picture_has_its_side(name: str, sides: int) -> None:
    pictures = [layer.output.shape for layer in build(name, 7).layers if len(layer.output.shape) == 4]
    assert pictures[-1][1:3] == (sides, sides)


@pytest.mark.parametrize(
    ("name", "added", "rectified"),
    [("mini-xception", 4, 2 + 4), ("mobile", 5, 1 + 2 * 8 + 1), ("resnet", 4, 1 + 2 * 4), ("edge", 6, 2 + 2 * 6)],
)
def test_shortcuts_are_added_and_bottlenecks_stay_linear(name: str, added: int, rectified: int) -> None:
    found = kinds(build(name, 7))
    assert (found.count("Add"), found.count("ReLU")) == (added, rectified)


def test_the_parts_of_a_residual_block_are_named() -> None:
    names = {layer.name for layer in edge_net(3, widths=(4, 8), depths=(1, 2), stem=2).layers}
    assert {"stem1_conv", "stem2_norm", "stage2_block1_shortcut_conv", "stage2_block1_shortcut_norm"} <= names
    block = {"first_conv", "first_norm", "first_relu", "second_conv", "second_norm", "add", "relu"}
    assert {f"stage{stage}_{part}" for stage in ("1_block1", "2_block1", "2_block2") for part in block} <= names
    assert "stage1_block1_shortcut_conv" not in names
    assert "stage2_block2_shortcut_conv" not in names


def test_convolutions_are_rectified_unless_told_otherwise() -> None:
    x = keras.Input((8, 8, 2))
    for part in (conv, depthwise):
        before = keras.Model(x, part(x) if part is depthwise else conv(x, 2))
        after = keras.Model(x, part(x, relu=False) if part is depthwise else conv(x, 2, relu=False))
        assert kinds(before)[1:] == [kinds(before)[1], "BatchNormalization", "ReLU"]
        assert kinds(after)[1:] == [kinds(before)[1], "BatchNormalization"]


def test_work_is_counted_by_hand() -> None:
    """3x5 filters on 6x4 pixels, then depthwise, then a network inside, then dense."""
    inner = keras.Sequential([keras.Input((2,)), layers.Dense(5)])
    x = keras.Input((6, 4, 2))
    y = layers.Conv2D(3, (3, 5), padding="same")(x)
    y = layers.DepthwiseConv2D((5, 3), padding="same")(y)
    y = layers.Dense(2)(layers.GlobalAveragePooling2D()(y))
    assert count_macs(keras.Model(x, inner(y))) == 6 * 4 * 3 * 3 * 5 * 2 + 6 * 4 * 3 * 5 * 3 + 3 * 2 + 2 * 5


def test_an_unknown_network_is_told_with_a_like_one() -> None:
    with pytest.raises(ConfigError, match=r"architecture 'mobil' is unknown\. .*mobile"):
        build("mobil", 7)


def test_the_face_network_halves_the_side_and_doubles_the_channels() -> None:
    model = face_resnet(3, width=2)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert (model.name, model.output_shape) == ("face_resnet", (None, 3))
    assert shapes["stem_relu"] == (53, 53, 2)
    assert [shapes[f"block{name}_relu"] for name in ("32_3", "64_3", "128_2", "256_2", "256_down_out")] == [
        (26, 26, 2),
        (13, 13, 4),
        (6, 6, 8),
        (3, 3, 16),
        (1, 1, 16),
    ]
    assert [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)] == [0.3]
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert {(round(norm.momentum, 3), round(norm.epsilon, 9)) for norm in norms} == {(0.9, 1e-5)}
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert len(convolutions) == len(norms) == 29
    assert convolutions[0].kernel.shape == (7, 7, 1, 2)
    for layer in convolutions:
        assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)
        assert not layer.use_bias
        assert layer.kernel.shape[:2] == (3, 3) or layer is convolutions[0]


def test_the_shortcut_of_a_halving_block_is_the_mean_and_new_channels_are_empty() -> None:
    model = face_resnet(3, width=2)
    before, block = model.get_layer("block32_3_relu").output, model.get_layer("block64_down_relu")
    seen = keras.Model(model.input, [before, block.output])
    model.get_layer("block64_down_second_norm").set_weights([np.zeros(4), np.zeros(4), np.zeros(4), np.ones(4)])
    faces = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype(np.float32)
    start, end = (np.asarray(each) for each in seen(faces))
    assert start.max() > 0
    mean = start.reshape(2, 13, 2, 13, 2, 2).mean(axis=(2, 4))
    assert end[..., :2] == pytest.approx(mean, abs=1e-5)
    assert end[..., 2:].max() == 0
