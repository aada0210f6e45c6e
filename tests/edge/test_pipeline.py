"""The loop's own duties."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_edge import FaceBox, Frame, FrameResult, Pipeline, Prediction, RunConfig, RunStats, Track, TrackedFace
from fer_edge.sinks import Sink
from fer_edge.sources.demo import DemoSource


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


THREADS = """
import os
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
for threads in (1, 3):
    before = len(os.listdir("/proc/self/task"))
    classifier = Classifier(load_bundle(find_bundle("ferplus7")), threads=threads)
    print(len(os.listdir("/proc/self/task")) - before)
"""


def test_the_model_uses_the_configured_number_of_threads() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "2"], "in addition to the one that asks"


def test_the_times_of_the_stages_add_up_to_no_more_than_the_frame_took() -> None:
    with Pipeline() as pipeline, DemoSource(paced=False) as source:
        for frame in source:
            began = time.perf_counter()
            spent = pipeline.process(frame).timings_ms
            whole = 1000 * (time.perf_counter() - began)
            assert min(spent.values()) >= 0
            assert 0 < sum(spent.values()) <= whole
            if frame.index == 10:
                break
    assert set(spent) == {"track", "detect", "classify", "smooth"}


def test_the_statistics_of_a_run() -> None:
    read = Prediction(np.ones(1, np.float32), "happy", 1.0)
    stats = RunStats()
    assert (stats.fps, stats.latency_ms(50)) == (0, 0)
    stats.begin()
    for number, latency in enumerate((0.010, 0.020, 0.090)):
        faces = tuple(
            TrackedFace(Track(identity, FaceBox(0, 0, 9, 9), 1.0, 0.0), read, read) for identity in range(number, 0, -1)
        )
        stats.count(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), faces, {}), latency)
    assert (stats.frames, stats.faces) == (3, 2)
    assert [stats.latency_ms(percentile) for percentile in (0, 50, 100)] == pytest.approx([10, 20, 90])
    assert stats.fps == pytest.approx(3 / stats.seconds)
    for _ in range(9000):
        stats.count(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), (), {}), 0.5)
    assert stats.latency_ms(0) == 500, "of the latest frames"


class Shown(Sink):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.results: list[FrameResult] = []

    def emit(self, result: FrameResult) -> None:
        self.results.append(result)


class Live(DemoSource):
    """The demo as a camera would give it, a tenth of a second late."""

    def __init__(self) -> None:
        super().__init__(paced=False)
        self.live = True

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            yield replace(frame, captured_at=time.monotonic() - 0.1, live=True)


def test_a_run_of_a_camera_counts_from_capture_and_hides_faces_where_that_is_wanted() -> None:
    shown, stats, plain = Shown(), RunStats(), Shown()
    with Pipeline(RunConfig(blur=True)) as pipeline, Live() as source:
        pipeline.run(source, [shown], stats, max_frames=3)
    assert (len(shown.results), stats.frames) == (3, 3)
    assert stats.latency_ms(0) >= 100, "from the capture"
    with Pipeline() as pipeline, DemoSource(paced=False) as source:
        pipeline.run(source, [plain], stats := RunStats(), max_frames=3)
    assert stats.latency_ms(100) < 1000 * stats.seconds
    for hidden, open_face in zip(shown.results, plain.results, strict=True):
        (face,) = open_face.faces
        box = face.box
        changed = (hidden.frame.image != open_face.frame.image).any(axis=2)
        assert changed[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)].mean() > 0.5
        assert not changed[:20].any()
