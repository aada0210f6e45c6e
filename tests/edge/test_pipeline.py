"""The loop's own duties."""

from collections.abc import Iterator

import cv2
import pytest

from fer_edge import Pipeline, RunConfig


@pytest.fixture
def _restore_threads() -> Iterator[None]:
    count = cv2.getNumThreads()
    yield
    cv2.setNumThreads(count)


@pytest.mark.usefixtures("_restore_threads")
@pytest.mark.parametrize("count", [1, 2])
def test_opencv_uses_the_configured_number_of_threads(count: int) -> None:
    cv2.setNumThreads(3 - count)
    with Pipeline(RunConfig(threads=count)):
        assert cv2.getNumThreads() == count
