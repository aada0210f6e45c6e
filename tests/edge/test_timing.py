"""What is measured of each stage, and that a detector which is measured does the same."""

import numpy as np
import pytest
from tests.clock import Clock

from fer_edge.detectors.base import BaseDetector
from fer_edge.timing import StageTimer, Stopwatch, TimedDetector
from fer_edge.types import FaceBox, Image

IMAGE = np.zeros((120, 160, 3), np.uint8)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fer_edge.timing.time", clock)
    return clock


def test_a_stage_that_ran_inside_another_is_taken_from_it(clock: Clock) -> None:
    timer = StageTimer()
    clock.now += 0.25
    timer.lap("track")
    clock.now += 0.05
    timer.lap("classify")
    timer.split("track", "detect", 200.0)
    assert timer.laps == pytest.approx({"track": 50.0, "detect": 200.0, "classify": 50.0})


def test_a_stopwatch_adds_up_until_it_is_taken(clock: Clock) -> None:
    stopwatch = Stopwatch()
    for _ in range(2):
        with stopwatch:
            clock.now += 0.5
        clock.now += 3
    assert stopwatch.take() == pytest.approx(1000)
    assert stopwatch.take() == 0


def test_a_measured_detector_is_asked_the_same(clock: Clock) -> None:
    class Found(BaseDetector):
        """Finds one face, the larger the picture the larger; each search takes a second."""

        certain, variants = 0.7, 2
        closed = False

        def find_faces(self, image: Image) -> list[FaceBox]:
            clock.now += 1
            return [FaceBox(0, 0, image.shape[1], image.shape[0], 0.5)]

        def close(self) -> None:
            self.closed = True

    detector, stopwatch, box = Found(), Stopwatch(), FaceBox(60, 40, 20, 20)
    timed = TimedDetector(detector, stopwatch)
    assert (timed.certain, timed.variants, timed.crop_calibration) == (0.7, 2, detector.crop_calibration)
    assert timed.regions(160, 120) == [FaceBox(0, 0, 160, 120)]
    assert timed.detect(IMAGE, 0) == [FaceBox(0, 0, 160, 120, 0.5)]
    assert [timed.detect_near(IMAGE, box, reach)[0].width for reach in (1.0, 2.0)] == [20, 40]
    assert timed.confirm(IMAGE, box) == detector.confirm(IMAGE, box)
    assert stopwatch.take() == pytest.approx(4000), "detect, twice detect_near, and confirm"
    timed.close()
    assert detector.closed


def test_a_measured_detector_searches_the_same_part_and_as_far() -> None:
    class Halves(BaseDetector):
        """Finds a face in each half, as large as the half; near a face, one as large as what it searches."""

        certain, variants = 0.7, 2

        def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:
            half = image.shape[1] / 2
            halves = [FaceBox(0, 0, half, 9), FaceBox(half, 0, half, 9)]
            return halves if part is None else [halves[part]]

        def find_faces(self, image: Image) -> list[FaceBox]:
            return [FaceBox(0, 0, image.shape[1], image.shape[0], 0.5)]

    detector, box = Halves(), FaceBox(60, 40, 20, 20)
    timed = TimedDetector(detector, Stopwatch())
    for part in (0, 1, None):
        assert timed.detect(IMAGE, part) == detector.detect(IMAGE, part)
    assert timed.detect(IMAGE, 1) != timed.detect(IMAGE, 0)
    assert timed.detect_near(IMAGE, box) == detector.detect_near(IMAGE, box)
