"""The plain networks that people usually train on FER2013: convolutions and pooling, then dense layers."""

from __future__ import annotations

import keras
from keras import layers

from fer_train.architectures.parts import classify, conv, grey_input


def cnn_bn(classes: int, dropout: float = 0.25) -> keras.Model:
    """Four blocks of two 3x3 convolutions with batch norm and ReLU, max-pooling and dropout; one dense layer of 256."""
    inputs, x = grey_input()
    for filters in (32, 64, 128, 256):
        x = conv(conv(x, filters), filters)
        x = layers.Dropout(dropout)(layers.MaxPooling2D()(x))
    x = layers.Dense(256, use_bias=False, kernel_initializer="he_normal")(layers.Flatten()(x))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return classify(inputs, layers.Dropout(2 * dropout)(x), classes, "cnn_bn")


def cnn_elu(classes: int, dropout: float = 0.4) -> keras.Model:
    """Three blocks of two 3x3 convolutions, each ELU, then batch norm; more dropout with depth; dense 128."""
    inputs, x = grey_input()
    for filters in (32, 64, 128):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="elu", kernel_initializer="he_normal")(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Dropout(dropout)(layers.MaxPooling2D()(x))
    x = layers.Dense(128, activation="elu", kernel_initializer="he_normal")(layers.Flatten()(x))
    x = layers.BatchNormalization(momentum=0.9)(x)
    return classify(inputs, layers.Dropout(min(1.5 * dropout, 0.9))(x), classes, "cnn_elu")


def cnn_small(classes: int, dropout: float = 0.25) -> keras.Model:
    """3x3 convolutions of 32, 64 and 128 with ReLU, each pooled; dense layers of 256 and 128. No batch norm."""
    inputs, x = grey_input()
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.Dropout(dropout)(layers.MaxPooling2D()(x))
    x = layers.Flatten()(x)
    for units in (256, 128):
        x = layers.Dropout(2 * dropout)(layers.Dense(units, activation="relu")(x))
    return classify(inputs, x, classes, "cnn_small")


def cnn_3block(classes: int, dropout: float = 0.3) -> keras.Model:
    """Three sets of 3x3 convolution, batch norm, ReLU and pooling (64, 128, 256); three dense layers."""
    inputs, x = grey_input()
    for filters in (64, 128, 256):
        x = layers.MaxPooling2D()(conv(x, filters))
    x = layers.Flatten()(x)
    for units in (256, 128):
        x = layers.Dropout(dropout)(layers.Dense(units, activation="relu", kernel_initializer="he_normal")(x))
    return classify(inputs, x, classes, "cnn_3block")
