"""The loop's own duties."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.clock import Clock

from fer_edge import FaceBox, Frame, FrameResult, Pipeline, Prediction, RunConfig, RunStats, Track, TrackedFace
from fer_edge.config import ClassifierConfig
from fer_edge.detectors.base import BaseDetector
from fer_edge.device.thermal import Heat
from fer_edge.sinks import Sink
from fer_edge.sources.demo import DemoSource, Scene
from fer_edge.tracking.smoothing import Smoother
from fer_edge.types import Image


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


def test_labels_are_smoothed_in_the_time_of_the_frames_however_quickly_they_are_processed() -> None:
    config = RunConfig()
    with Pipeline(config) as pipeline, DemoSource(paced=False) as source:
        smoother = Smoother(config.smoothing, pipeline.labels)
        for frame in source:
            faces = pipeline.process(frame).faces
            seen = {face.id: face.raw for face in faces if face.track.missed_s == 0}
            expected = smoother.update([face.track for face in faces], seen, frame.captured_at)
            for face, same in zip(faces, expected, strict=True):
                assert np.array_equal(face.smoothed.probabilities, same.smoothed.probabilities)
            if frame.captured_at > 3.2:  # the demo's expression has changed
                break
    assert [face.id for face in faces] == [1]
    assert face.raw.label != "happy"


def test_the_statistics_of_a_run() -> None:
    read = Prediction(np.ones(1, np.float32), "happy", 1.0)
    stats = RunStats()
    assert (stats.fps, stats.latency_ms(50)) == (0, 0)
    stats.begin()
    for number, latency in enumerate((0.010, 0.020, 0.090)):
        faces = tuple(
            TrackedFace(Track(identity, FaceBox(0, 0, 9, 9), 1.0, 0.0), read, read)
            for identity in ((), (4, 5), (5,))[number]
        )
        stats.count(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8)), faces, {}), latency)
    assert (stats.frames, stats.faces) == (3, 5), "ids count from 1, and some have left"
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


def test_the_configured_power_of_the_prior_is_used() -> None:
    with DemoSource(paced=False) as demo:
        image = demo.render(Scene("fear", "fear", 0, FaceBox(200, 120, 200, 200)))
    read = {}
    for power in (0.0, 1.0):
        with Pipeline(RunConfig(classifier=ClassifierConfig(prior=power))) as pipeline:
            (face,) = pipeline.process(Frame(image, still=True)).faces
            read[power], prior = face.raw.probabilities, pipeline.model.manifest.prior
    assert prior is not None
    expected = read[0.0] / np.array(list(prior.values()))
    np.testing.assert_allclose(read[1.0], expected / expected.sum(), atol=0.001)
    assert np.abs(read[1.0] - read[0.0]).max() > 0.02, "else the face tells nothing"


class Watched(BaseDetector):
    """Counts the scans of whole frames, and finds somebody from the 150th frame on."""

    def __init__(self) -> None:
        self.scans, self.frames, self.is_closed = 0, 0, False

    def find_faces(self, image: Image) -> list[FaceBox]:
        if self.frames < 150:
            self.scans += 1
            return []
        return [FaceBox(10, 10, image.shape[1] - 20, image.shape[0] - 20)]

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("celsius", [40, 90])
def test_a_camera_is_read_less_often_while_nobody_is_there_and_scanned_less_on_a_hot_board(
    celsius: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, detector, pauses = Clock(1000.0), Watched(), []
    monkeypatch.setattr("fer_edge.pipeline.time", clock)
    monkeypatch.setattr("fer_edge.device.thermal.read_heat", lambda *_: Heat(celsius, None))

    class Camera(DemoSource):
        """Frames of noise, ten per second unless the loop is slower."""

        live = True

        def __iter__(self) -> Iterator[Frame]:
            rng = np.random.default_rng(0)
            room = rng.integers(0, 255, (480, 640, 3), np.uint8)
            for index in range(200):
                detector.frames, before = index, clock.now
                room[:, :80] = rng.integers(0, 255)
                yield Frame(room, clock.now, index, live=True)
                pauses.append(clock.now - before)
                clock.now += 0.1

    source = Camera(paced=False)
    source.live = True
    with Pipeline(RunConfig(power_save=True), detector=detector) as pipeline:
        pipeline.run(source, [])
        assert not detector.is_closed
    assert detector.is_closed
    assert max(pauses[:49]) == 0
    assert min(pauses[52:149]) == pytest.approx(0.4), "two frames per second"
    assert max(pauses[160:]) == 0, "somebody is there"
    assert detector.scans == pytest.approx(55 / 0.5 if celsius == 40 else 55 / 1.5, rel=0.25), "in 55 seconds"
