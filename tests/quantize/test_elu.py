"""ELU written as operations that int8 has: the same network, computed otherwise."""

import numpy as np
import pytest

from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_quantize.elu import with_int8_elu  # noqa: E402

pytestmark = pytest.mark.usefixtures("folder_of_tensorflow")

X = np.linspace(-3, 3, 61, dtype=np.float32).reshape(-1, 1)


def one_by_one(activation: keras.layers.Layer | str) -> keras.Model:
    """A network of one weight, 1, and this activation."""
    dense = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
    last = keras.layers.Activation(activation) if isinstance(activation, str) else activation
    return keras.Sequential([keras.Input((1,)), dense, last])


def test_a_network_without_elu_stays_itself() -> None:
    model = one_by_one("relu")
    assert with_int8_elu(model) is model


@pytest.mark.parametrize(
    ("model", "alpha"),
    [
        (one_by_one("elu"), 1.0),
        (one_by_one(keras.layers.ELU()), 1.0),
        (one_by_one(keras.layers.ELU(alpha=0.25, name="own")), 0.25),
        (keras.Sequential([keras.Input((1,)), one_by_one(keras.layers.ELU(alpha=0.5))]), 0.5),
        (keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, "elu", use_bias=False)]), 1.0),
    ],
)
def test_elu_is_computed_by_other_operations_with_the_same_weights(model: keras.Model, alpha: float) -> None:
    for weights in model.weights:
        weights.assign(np.full(weights.shape, 0.9))
    rewritten = with_int8_elu(model)
    assert rewritten is not model
    levels = 0.9 * X
    expected = np.where(levels > 0, levels, alpha * (np.exp(levels) - 1))
    assert np.asarray(rewritten(X)) == pytest.approx(expected, abs=1e-6)
    assert np.asarray(model(X)) == pytest.approx(expected, abs=1e-6), "the given one stays as it was"
    assert "Elu" not in operations(rewritten)
    assert "Elu" in operations(model)


def operations(model: keras.Model) -> set[str]:
    """TensorFlow's operations that compute it."""
    import tensorflow as tf

    concrete = tf.function(model, autograph=False).get_concrete_function(tf.TensorSpec((None, 1), tf.float32))
    return {operation.type for operation in concrete.graph.get_operations()}


def test_a_layer_keeps_its_name_and_settings() -> None:
    dense = keras.layers.Dense(3, "elu", name="first")
    model = keras.Sequential([keras.Input((1,)), dense, keras.layers.ELU(name="own"), keras.layers.ReLU(name="last")])
    rewritten = with_int8_elu(model)
    assert [layer.name for layer in rewritten.layers] == ["first", "own", "last"]
    assert rewritten.layers[0].units == 3
    assert rewritten.layers[2].get_config() == model.layers[2].get_config()
