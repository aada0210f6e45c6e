"""The picture for viewers: how often it is encoded, for whom, and what it hides."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.clock import Clock
from tests.conftest import wait_until

from fer_edge.sinks.overlay import draw
from fer_edge.types import FaceBox, Frame, FrameResult, Image, Prediction, Track, TrackedFace
from fer_edge.web.picture import Picture, PictureEncoder, PictureKind


class SlowClock(Clock):
    """Set by hand; pauses are real."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = SlowClock()
    monkeypatch.setattr("fer_edge.web.picture.time", clock)
    return clock


def result(*, at: float = 0.0) -> FrameResult:
    """A face of fine noise."""
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    read = Prediction(np.full(7, 1 / 7, np.float32), "happy", 0.5)
    face = TrackedFace(Track(1, FaceBox(110, 80, 80, 80), 1, 0), read, read)
    return FrameResult(Frame(noise, at, live=True), (face,), {})


@contextmanager
def encoder(kind: PictureKind = "annotated", fps: float = 1000.0) -> Iterator[PictureEncoder]:
    encoder = PictureEncoder(kind, fps)
    encoder.start()
    try:
        yield encoder
    finally:
        encoder.close()


def first(encoder: PictureEncoder) -> Picture:
    wait_until(lambda: encoder.latest().number > 0)
    return encoder.latest()


def face_of(picture: Picture) -> Image:
    image = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.shape == (240, 320)
    return np.asarray(image, np.uint8)[90:150, 120:180]


@pytest.mark.parametrize(("kind", "least", "most"), [("annotated", 30, 100), ("blurred", 0, 15), ("boxes", 0, 3)])
def test_a_face_is_shown_hidden_or_left_out(kind: PictureKind, least: float, most: float) -> None:
    with encoder(kind) as encoding:
        encoding.put(result())
        picture = first(encoding)
    assert least <= face_of(picture).std() <= most
    head, _, body = picture.part.partition(b"\r\n\r\n")
    assert head.startswith(b"--frame\r\n")
    assert f"Content-Length: {len(picture.jpeg)}".encode() in head
    assert body == picture.jpeg + b"\r\n"


def test_without_a_viewer_in_the_last_two_seconds_nothing_is_encoded(clock: Clock) -> None:
    encoded: list[float] = []
    with encoder() as encoding:
        encoding.on_picture = lambda: encoded.append(clock.now)
        encoding.put(result())
        time.sleep(0.05)
        assert not encoded, "nobody has asked"
        first(encoding)
        wait_until(lambda: len(encoded) == 1)
        clock.now += 1.9
        encoding.put(result(at=1.9))
        wait_until(lambda: len(encoded) == 2)
        clock.now += 0.2
        encoding.put(result(at=2.1))
        time.sleep(0.2)
        assert encoded == pytest.approx([100, 101.9])
        assert encoding.latest().number == 2, "who asks now gets the next"
        wait_until(lambda: len(encoded) == 3)


def test_no_more_pictures_per_second_are_encoded_than_asked_for() -> None:
    with encoder(fps=5) as encoding:
        encoding.put(result())
        first(encoding)
        before, began = encoding.latest().number, time.monotonic()
        while time.monotonic() - began < 0.5:
            encoding.put(result())
            encoding.latest()
            time.sleep(0.002)
        assert encoding.latest().number - before <= 5 * (time.monotonic() - began) + 2


def test_scores_are_left_out_unless_they_are_asked_for() -> None:
    with encoder() as encoding:
        encoding.put(result())
        shown = cv2.imdecode(np.frombuffer(first(encoding).jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    near, far = (np.abs(shown.astype(int) - draw(result(), score=score)).mean() for score in (False, True))
    assert near < far


def test_a_frame_that_cannot_be_drawn_gives_an_empty_picture() -> None:
    empty = replace(result(), frame=Frame(np.zeros((0, 0, 3), np.uint8), 0.0, live=True))
    with encoder() as encoding:
        encoding.put(empty)
        assert first(encoding).jpeg == b""
        encoding.put(result())
        wait_until(lambda: encoding.latest().jpeg[:2] == b"\xff\xd8")


def test_the_end_is_the_end_of_its_thread() -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "web picture"]

    with encoder() as encoding:
        encoding.put(result())
        first(encoding)
        assert threads() == ["web picture"]
    assert threads() == []


def test_pictures_are_counted_from_one() -> None:
    with encoder() as encoding:
        assert encoding.latest() == Picture(0, b"", b"")
        encoding.put(result())
        assert first(encoding).number == 1


def test_boxes_hide_the_small_image_too() -> None:
    seen = result()
    with encoder("boxes") as encoding:
        encoding.put(replace(seen, frame=replace(seen.frame, small=seen.frame.image[::2, ::2])))
        assert face_of(first(encoding)).std() < 3
