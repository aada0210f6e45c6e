"""What all detectors share: a scan of a frame, which may have a small image beside it."""

import numpy as np
import pytest

from fer_edge.config import DetectorConfig
from fer_edge.detectors import Detector, open_detector, scan
from fer_edge.detectors.haar import HaarDetector
from fer_edge.types import FaceBox, Frame, Image


class Recorder:
    """Finds a face at one place of any image; a scan has two parts of the whole frame and a tile."""

    def __init__(self) -> None:
        self.searched: list[tuple[tuple[int, ...], int | None]] = []
        self.sizes: list[tuple[int, int]] = []

    def regions(self, width: int, height: int) -> list[FaceBox]:
        self.sizes.append((width, height))
        whole = FaceBox(0, 0, width, height)
        return [whole, FaceBox(0, 0, width / 2, height), whole]

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:
        self.searched.append((image.shape, part))
        return [FaceBox(10, 20, 30, 40, 0.75, 5.0)]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def searched(recorder: Recorder, frame: Frame, part: int | None = None) -> FaceBox:
    detector: Detector = recorder  # type: ignore[assignment]
    (box,) = scan(detector, frame, part)
    return box


LARGE, SMALL = np.zeros((300, 800, 3), np.uint8), np.zeros((100, 400, 3), np.uint8)


@pytest.mark.parametrize("part", [None, 0, 1, 2])
def test_a_frame_without_a_small_image_is_searched_itself(recorder: Recorder, part: int | None) -> None:
    assert searched(recorder, Frame(LARGE), part) == FaceBox(10, 20, 30, 40, 0.75, 5.0)
    assert recorder.searched == [(LARGE.shape, part)]


@pytest.mark.parametrize("part", [None, 0, 2])
def test_boxes_in_the_small_image_are_in_pixels_of_the_frame(recorder: Recorder, part: int | None) -> None:
    assert searched(recorder, Frame(LARGE, small=SMALL), part) == FaceBox(20, 60, 60, 120, 0.75, 5.0)
    assert recorder.searched == [(SMALL.shape, part)]


def test_a_tile_is_searched_in_the_large_image(recorder: Recorder) -> None:
    assert searched(recorder, Frame(LARGE, small=SMALL), 1) == FaceBox(10, 20, 30, 40, 0.75, 5.0)
    assert recorder.searched == [(LARGE.shape, 1)]
    assert recorder.sizes == [(800, 300)]


def test_a_scan_is_full_unless_a_part_is_asked_for(recorder: Recorder) -> None:
    detector: Detector = recorder  # type: ignore[assignment]
    scan(detector, Frame(LARGE))
    assert recorder.searched == [(LARGE.shape, None)]


def test_the_configured_detector_is_opened_with_its_settings() -> None:
    small, large = (open_detector(DetectorConfig(name="haar", min_face=least)) for least in (24, 200))
    assert isinstance(small, HaarDetector)
    assert small.crop_calibration == large.crop_calibration
    assert small.variants >= 1
