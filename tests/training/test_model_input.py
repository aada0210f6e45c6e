"""Faces get the size and the channels of a model's input."""

import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.preprocess import resize
from fer_train.model_input import model_input

FACES = np.array(list(load_composites().values()))


@pytest.mark.parametrize("shape", [(48, 48, 1), (32, 32, 3), (96, 96, 2)])
def test_each_channel_is_the_face_in_the_size_of_the_input(shape: tuple[int, int, int]) -> None:
    found = model_input(FACES, shape)
    assert found.dtype == np.uint8
    assert found.shape == (7, *shape)
    for face, image in zip(FACES, found, strict=True):
        for channel in range(shape[2]):
            assert np.array_equal(image[:, :, channel], resize(face, shape[0]))


def test_no_faces_are_no_inputs() -> None:
    found = model_input(FACES[:0], (32, 32, 3))
    assert found.dtype == np.uint8
    assert found.shape == (0, 32, 32, 3)
