"""Tracks over rendered scenes, found by the real cascade."""

import cv2
import numpy as np

from fer_edge.config import DetectorConfig, TrackerConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.geometry import iou
from fer_edge.sources.demo import DemoSource, load_composites, scene_at
from fer_edge.tracker import Tracker
from fer_edge.types import FaceBox, Frame, Image

SIDE = 150


def picture(*corners: tuple[int, int]) -> Image:
    """A grey room with a surprised face at each corner."""
    image = np.full((480, 640), 128, np.uint8)
    face = cv2.resize(load_composites()["surprise"], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for x, y in corners:
        image[y : y + SIDE, x : x + SIDE] = face
    return cv2.merge([image, image, image])  # type: ignore[return-value]


class Counting:
    """The real detector, with its whole scans counted."""

    def __init__(self) -> None:
        self._detector: Detector = open_detector(DetectorConfig())
        self.framing = self._detector.framing
        self.scans = 0

    def detect(self, image: Image) -> list[FaceBox]:
        self.scans += 1
        return self._detector.detect(image)

    def detect_near(self, image: Image, last: FaceBox) -> FaceBox | None:
        return self._detector.detect_near(image, last)


def test_a_moving_face_keeps_its_id_and_place() -> None:
    tracker, detector = Tracker(TrackerConfig()), open_detector(DetectorConfig())
    ids: set[int] = set()
    found = 0
    with DemoSource(paced=False) as demo:
        for frame in demo:
            tracks = tracker.update(detector, frame)
            ids.update(track.id for track in tracks)
            found += any(iou(track.box, scene_at(frame.captured_at).box) > 0.5 for track in tracks)
            if frame.index == 89:
                break
    assert ids == {1}
    assert found >= 85


def test_between_scans_only_regions_are_searched() -> None:
    tracker, detector = Tracker(TrackerConfig(scan_interval=1.0)), Counting()
    for index in range(60):
        tracks = tracker.update(detector, Frame(picture((200 + index, 150)), index / 30, index))
        assert len(tracks) == 1
    assert detector.scans <= 3


def test_two_people_have_two_ids_and_one_who_leaves_is_forgotten() -> None:
    tracker, detector = Tracker(TrackerConfig(max_missed=0.5)), open_detector(DetectorConfig())
    both, one = picture((60, 150), (420, 150)), picture((420, 150))
    for index in range(30):
        tracks = tracker.update(detector, Frame(both, index / 30, index))
    assert {track.id for track in tracks} == {1, 2}
    kept = next(track.id for track in tracks if track.box.x > 320)
    for index in range(30, 60):
        tracks = tracker.update(detector, Frame(one, index / 30, index))
    assert [track.id for track in tracks] == [kept]


def test_who_comes_back_later_is_somebody_new() -> None:
    tracker, detector = Tracker(TrackerConfig()), open_detector(DetectorConfig())
    for index, image in enumerate([picture((200, 150)), picture(), picture((200, 150))]):
        tracks = tracker.update(detector, Frame(image, index * 5.0, index))
    assert [track.id for track in tracks] == [2]


def test_an_empty_room_is_scanned_only_now_and_then() -> None:
    tracker, detector = Tracker(TrackerConfig(idle_scan_interval=0.1)), Counting()
    for index in range(60):
        assert not tracker.update(detector, Frame(picture(), index / 30, index))
    assert detector.scans <= 21
