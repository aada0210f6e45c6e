"""Tracks over rendered scenes, found by the real cascade."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.config import DetectorConfig, TrackerConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.detectors.base import BaseDetector
from fer_edge.geometry import iou, overlap
from fer_edge.sources.demo import DemoSource, scene_at
from fer_edge.tracking.scan_schedule import ScanSchedule
from fer_edge.tracking.tracker import Tracker
from fer_edge.types import FaceBox, Frame, Image, Track

SIDE = 150
SURE_SIDE = 180


def picture(*corners: tuple[int, int]) -> Image:
    """A grey room with a surprised face at each corner."""
    image = np.full((480, 640), 128, np.uint8)
    face = cv2.resize(load_composites()["surprise"], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for x, y in corners:
        image[y : y + SIDE, x : x + SIDE] = face
    return cv2.merge([image, image, image])  # type: ignore[return-value]


def restless(index: int, *corners: tuple[int, int]) -> Image:
    """The same, with a lamp that moves on in every frame."""
    image = picture(*corners)
    cv2.circle(image, (60 + 7 * index, 440), 25, (200, 200, 200), -1)
    return image


def noisy(image: Image, seed: int) -> Image:
    """What a camera makes of it in poor light."""
    grain = np.random.default_rng(seed).normal(0, 8, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


class Counting:
    """The real detector, with its work counted."""

    def __init__(self) -> None:
        self._detector: Detector = open_detector(DetectorConfig())
        self.crop_calibration = self._detector.crop_calibration
        regions = self._detector.regions(640, 480)
        self.whole = [share for share, region in enumerate(regions) if region == FaceBox(0, 0, 640, 480)]
        self.shares = len(self.whole)
        self.certain, self.variants = self._detector.certain, self._detector.variants
        self.scanned: list[int | None] = []
        self.tiles: list[int] = []
        self.looks = 0

    def regions(self, width: int, height: int) -> Sequence[FaceBox]:
        return self._detector.regions(width, height)

    def detect(self, image: Image, share: int | None = None) -> list[FaceBox]:
        if share is None or share in self.whole:
            self.scanned.append(share)
        else:
            self.tiles.append(share)
        return self._detector.detect(image, share)

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        self.looks += 1
        return self._detector.detect_near(image, expected, reach)

    def confirm(self, image: Image, box: FaceBox) -> FaceBox | None:
        return self._detector.confirm(image, box)

    def close(self) -> None:
        self._detector.close()


class Doubtful(BaseDetector):
    """Finds a white square, and is never sure of it."""

    def find_faces(self, image: Image) -> list[FaceBox]:
        x, y, width, height = cv2.boundingRect(np.asarray(image[:, :, 0] > 250, np.uint8))
        return [FaceBox(x, y, width, height, 0.4)] if width else []


class Certain(BaseDetector):
    """Finds a white square wherever it is, and is sure of it."""

    def find_faces(self, image: Image) -> list[FaceBox]:
        x, y, width, height = cv2.boundingRect(np.asarray(image[:, :, 0] > 250, np.uint8))
        return [FaceBox(x, y, width, height)] if width else []

    def detect_near(self, image: Image, _expected: FaceBox, _reach: float = 1.4) -> list[FaceBox]:
        return self.find_faces(image)


class Asked(Certain):
    """Remembers where it was asked to look."""

    def __init__(self) -> None:
        self.expected: list[FaceBox] = []

    def detect_near(self, image: Image, expected: FaceBox, reach: float = 1.4) -> list[FaceBox]:
        self.expected.append(expected)
        return super().detect_near(image, expected, reach)


def white_square(*corners: tuple[int, int]) -> Image:
    """A grey room with a white square at each corner."""
    image = picture()
    for x, y in corners:
        image[y : y + SIDE, x : x + SIDE] = 255
    return image


def follow(
    tracker: Tracker, scenes: Iterable[Image], begin: int = 0, detector: Detector | None = None
) -> list[tuple[Track, ...]]:
    """The tracks of each picture, shown at 30 frames per second."""
    detector = detector or open_detector(DetectorConfig())
    return [
        tracker.update(detector, Frame(scene, index / 30, index)) for index, scene in enumerate(scenes, start=begin)
    ]


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


def test_a_face_is_shown_once_it_was_seen_often_enough() -> None:
    """A scan and a region search see it in the first frame already, but are not sure."""
    shown = follow(Tracker(TrackerConfig(confirm_after=4)), [white_square((200, 150))] * 5, detector=Doubtful())
    assert [len(tracks) for tracks in shown] == [0, 0, 1, 1, 1]
    assert {track.id for tracks in shown for track in tracks} == {1}


def test_a_face_beyond_doubt_is_shown_at_once() -> None:
    face = cv2.resize(load_composites()["happy"], (SURE_SIDE, SURE_SIDE), interpolation=cv2.INTER_CUBIC)
    image = np.full((480, 640), 128, np.uint8)
    image[150 : 150 + SURE_SIDE, 200 : 200 + SURE_SIDE] = face
    assert len(follow(Tracker(TrackerConfig()), [np.asarray(cv2.merge([image] * 3), np.uint8)])[0]) == 1


def test_a_track_says_how_long_its_face_has_been_there_and_for_how_long_it_is_out_of_sight() -> None:
    scenes = [white_square((200, 150))] * 45 + [white_square()] * 6
    shown = [tracks[0] for tracks in follow(Tracker(TrackerConfig()), scenes, begin=30, detector=Certain())]
    assert [track.age_s for track in shown] == pytest.approx([index / 30 for index in range(51)])
    assert [track.missed_s for track in shown[:45]] == pytest.approx([0] * 45, abs=0.2), "not searched in every frame"
    assert shown[-1].missed_s - shown[-4].missed_s == pytest.approx(0.1)


def test_a_moving_face_is_looked_for_where_it_should_be_by_now() -> None:
    """Two pixels behind at most, of the eight that it moves from frame to frame."""
    detector = Asked()
    tracker = Tracker(TrackerConfig(search_interval=0, detect_interval=0))
    follow(tracker, [white_square((20 + 8 * index, 150)) for index in range(50)], detector=detector)
    assert detector.expected[-1].x == pytest.approx(20 + 8 * 49, abs=3)
    assert detector.expected[-1].x - detector.expected[-2].x == pytest.approx(8, abs=1)


def test_who_is_lost_at_the_edge_of_the_frame_but_inside_is_waited_for() -> None:
    for corner in ((640 - SIDE, 150), (200, 480 - SIDE)):
        scenes = [white_square(corner)] * 30 + [white_square()] * 6
        assert [track.id for track in follow(Tracker(TrackerConfig()), scenes, detector=Certain())[-1]] == [1]


def test_who_walks_out_of_the_frame_is_forgotten_at_once() -> None:
    down = [white_square((200, 90 + 30 * index)) for index in range(14)]
    assert not follow(Tracker(TrackerConfig()), [*down, *[white_square()] * 8], detector=Certain())[-1]


def test_a_face_of_one_frame_is_never_shown_and_costs_no_id() -> None:
    tracker, detector = Tracker(TrackerConfig(confirm_after=3)), Doubtful()
    scenes = [white_square((60, 150)), *[white_square()] * 30]
    assert not any(follow(tracker, scenes, detector=detector))
    scenes = [white_square((420, 150))] * 30
    assert [track.id for track in follow(tracker, scenes, begin=31, detector=detector)[-1]] == [1]


def test_a_still_picture_shows_its_faces_at_once() -> None:
    tracker, detector = Tracker(TrackerConfig()), open_detector(DetectorConfig())
    assert len(tracker.update(detector, Frame(picture((200, 150)), 0.0, 0, still=True))) == 1


def test_between_scans_only_regions_are_searched_and_not_in_every_frame() -> None:
    tracker, detector = Tracker(TrackerConfig(scan_interval=1.0, search_interval=0.06)), Counting()
    for index in range(60):
        tracks = tracker.update(detector, Frame(picture((200 + index, 150)), index / 30, index))
        assert len(tracks) == 1
    assert len(detector.scanned) <= 3 * detector.shares
    assert 8 <= detector.looks <= 16
    assert abs(tracks[0].box.x + tracks[0].box.width / 2 - (259 + SIDE / 2)) < 12


def test_a_scan_is_spread_over_frames() -> None:
    tracker, detector = Tracker(TrackerConfig(idle_scan_interval=0.3, scan_spread=0.1)), Counting()
    a_frame: list[list[int | None]] = []
    for index in range(27):
        before = len(detector.scanned)
        tracker.update(detector, Frame(restless(index), index / 30, index))
        a_frame.append(detector.scanned[before:])
    assert a_frame[0] == [0, 1, 2]  # the first frame of all
    assert a_frame[3:9] == [[0], [1], [2]] * 2  # scans that differ
    assert a_frame[9:24] == [[]] * 15, "they wait twice as long after three in vain"
    assert a_frame[24:] == [[0], [1], [2]]


def test_scans_that_differ_follow_one_another_at_the_start_and_after_a_cut() -> None:
    """Not even in a room where nothing moves does one of them find everybody."""
    tracker, detector = Tracker(TrackerConfig()), Counting()
    other = np.asarray(cv2.resize(np.random.default_rng(1).integers(0, 255, (9, 12), np.uint8), (640, 480)), np.uint8)
    began: list[int] = []
    for index, scene in enumerate([picture((200, 150))] * 30 + [cv2.merge([other] * 3)] * 25):
        before = len(detector.scanned)
        tracker.update(detector, Frame(np.asarray(scene, np.uint8), index / 30, index))
        began += [index] * (0 in detector.scanned[before:])
    assert began == [0, 3, 6, 30, 33, 36]


def test_tiles_are_searched_in_turns_and_never_beside_a_whole_scan() -> None:
    tracker, detector = Tracker(TrackerConfig(tile_interval=0.1)), Counting()
    for index in range(90):
        before = len(detector.scanned), len(detector.tiles)
        tracker.update(detector, Frame(restless(index), index / 30, index))
        whole, tiles = len(detector.scanned) - before[0], len(detector.tiles) - before[1]
        assert not (whole and tiles)
        assert tiles <= 1
    assert set(detector.tiles) == set(range(len(detector.regions(640, 480)))) - set(detector.whole)


def test_tiles_are_searched_half_as_often_once_all_of_them_showed_nobody_new() -> None:
    config = TrackerConfig(tile_interval=0.3, still_scan_interval=0.1, idle_scan_interval=100)
    tracker, detector, searched_at = Tracker(config), Counting(), []
    for index in range(300):
        before = len(detector.tiles)
        tracker.update(detector, Frame(picture(), index / 30, index))
        searched_at += [index] * (len(detector.tiles) - before)
    count = len(detector.regions(640, 480)) - len(detector.whole)
    pauses = np.diff(searched_at[count:])  # each was searched once at the start
    assert len(pauses) > 5
    assert set(pauses[1:]) <= {16, 17, 18}


def test_tiles_where_something_moves_come_before_those_where_nothing_does() -> None:
    tracker, detector = Tracker(TrackerConfig(still_scan_interval=100)), Counting()
    for index in range(150):
        image = picture()
        cv2.circle(image, (60 + index % 40, 60), 25, (200, 200, 200), -1)
        tracker.update(detector, Frame(image, index / 30, index))
    regions = detector.regions(640, 480)
    late = [regions[share] for share in detector.tiles[len(regions) :]]
    assert late
    assert all(region.x < 160 and region.y < 130 for region in late)


class Mosaic(BaseDetector):
    """Searches the frame in one part and its four quarters in others, and finds what it is told to find."""

    def __init__(self, *found: FaceBox) -> None:
        self.found = found
        self.now = 0.0
        self.searched: list[tuple[float, int]] = []

    def find_faces(self, _image: Image) -> list[FaceBox]:
        return []

    def regions(self, width: int, height: int) -> list[FaceBox]:
        half = (width / 2, height / 2)
        return [FaceBox(0, 0, width, height), *(FaceBox(x, y, *half) for y in (0, half[1]) for x in (0, half[0]))]

    def detect(self, image: Image, part: int | None = None) -> list[FaceBox]:
        assert part is not None
        self.searched.append((self.now, part))
        return [box for box in self.found if part and overlap(self.regions(*image.shape[1::-1])[part], box) == 1]


def tiles_of(
    detector: Mosaic, *, pace: float = 1.0, restless: bool = True, **options: float
) -> list[tuple[float, int]]:
    """When which quarter was searched in a minute, after the first ten seconds; somebody known is in the second."""
    rng = np.random.default_rng(0)
    room = rng.integers(0, 255, (48, 64, 3), np.uint8)
    schedule = ScanSchedule(TrackerConfig(scan_interval=1000, **options))
    schedule.pace = pace
    for index in range(600):
        detector.now = index / 10
        moved = room.copy()
        moved[:, : 8 * restless] = index % 2 * 255
        moved[-6:, :: 2 if restless else 100] = index % 2 * 255
        frame = Frame(moved, detector.now, index)
        schedule.scan(detector, frame, [FaceBox(40, 4, 8, 8)], known=1)
    return [(now, part) for now, part in detector.searched if part and now > 10]


def test_only_somebody_new_makes_tiles_frequent() -> None:
    known, new = FaceBox(40, 4, 8, 8), FaceBox(4, 30, 8, 8)
    nobody, again, both = (
        len(tiles_of(Mosaic(*found), tile_interval=0.3, still_scan_interval=0.1))
        for found in ((), (known,), (known, new))
    )
    assert nobody == again == pytest.approx(50 / 0.6, rel=0.2)
    assert both == pytest.approx(50 / 0.3, rel=0.2)


@pytest.mark.parametrize("pace", [1, 1 / 3])
def test_tiles_keep_to_the_pace_of_a_hot_board(pace: float) -> None:
    rare = tiles_of(Mosaic(), pace=pace, restless=False, tile_interval=0.1, still_scan_interval=2.0)
    for quarter in (1, 2):
        times = [now for now, part in rare if part == quarter]
        assert [after - before for before, after in pairwise(times)] == pytest.approx(
            [2 / pace] * (len(times) - 1), abs=0.15 + 0.3 / pace
        )
    often = tiles_of(Mosaic(FaceBox(4, 30, 8, 8)), pace=pace, tile_interval=0.3, still_scan_interval=0.1)
    assert len(often) == pytest.approx(50 * pace / 0.3, rel=0.2)


def test_whole_scans_become_rare_only_after_three_found_nobody() -> None:
    room, detector = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8), Mosaic()
    schedule = ScanSchedule(TrackerConfig(scan_interval=0.5, idle_scan_interval=0.25, tile_interval=1000))
    for index in range(200):
        detector.now = index / 20
        seen = [FaceBox(40, 4, 8, 8)] if index < 100 else []
        moved = room.copy()
        moved[:, :8] = index % 2 * 255
        schedule.scan(detector, Frame(moved, detector.now, index), seen, known=len(seen))
    scans = [now for now, part in detector.searched if part == 0 and now >= 5]
    pauses = [after - before for before, after in pairwise(scans)]
    assert pauses[:6] == pytest.approx([0.25, 0.25, 0.5, 0.5, 0.5, 0.5], abs=0.06)


@pytest.mark.parametrize(("gap", "identity"), [(4.9, 1), (5.1, 2)])
def test_after_a_long_pause_tracking_starts_again(gap: float, identity: int) -> None:
    tracker, scenes = Tracker(TrackerConfig()), [white_square((100, 100))] * 10
    follow(tracker, scenes, detector=Certain())
    tracks = follow(tracker, scenes, begin=round(9 + 30 * gap), detector=Certain())
    assert {track.id for track in tracks[-1]} == {identity}


def test_a_lost_face_is_searched_in_a_region_that_grows() -> None:
    """It comes back beyond the region of a face that was just seen, and no scan is due."""
    config = TrackerConfig(idle_scan_interval=1000, scan_interval=1000, tile_interval=1000)
    scenes = [picture((200, 150))] * 20 + [picture()] * 5 + [picture((268, 150))] * 20
    tracks = follow(Tracker(config), scenes)
    back = next(shown for shown in tracks[25:] if shown and shown[0].missed_s == 0)
    assert [track.id for track in tracks[19]] == [track.id for track in back] == [1]
    assert back[0].box.x == pytest.approx(268, abs=10), "and not only the part of it that is nearer"


@pytest.mark.parametrize(("score", "is_kept"), [(0.9, True), (0.4, False)])
def test_a_face_that_looks_unchanged_is_kept_for_a_second_if_the_detector_was_sure(score: float, is_kept: bool) -> None:
    class Tires(BaseDetector):
        """Finds a face for half a second, and then no more."""

        def __init__(self) -> None:
            self.frames = 0

        def find_faces(self, _image: Image) -> list[FaceBox]:
            return [FaceBox(200, 150, SIDE, SIDE, score)] if self.frames < 15 else []

        def detect_near(self, image: Image, _expected: FaceBox, _reach: float = 1.4) -> list[FaceBox]:
            return self.find_faces(image)

    detector, tracker, missed = Tires(), Tracker(TrackerConfig(detect_interval=0, search_interval=0)), []
    for index in range(75):
        detector.frames = index
        tracks = tracker.update(detector, Frame(picture((200, 150)), index / 30, index))
        missed.append(tracks[0].missed_s if tracks else 9)
    assert (missed[14], missed[20] < 0.1) == (0, is_kept)
    assert missed[55] > 0.3, "after a second it is lost"


def test_after_a_cut_who_is_still_there_keeps_the_id() -> None:
    wall = cv2.resize(np.random.default_rng(0).normal(110, 25, (12, 16)).astype(np.float32), (640, 480))
    scenes = []
    for light in (wall, 220 - wall):
        room = np.asarray(cv2.merge([np.clip(light, 0, 255).astype(np.uint8)] * 3), np.uint8)
        room[150 : 150 + SIDE, 200 : 200 + SIDE] = picture((200, 150))[150 : 150 + SIDE, 200 : 200 + SIDE]
        scenes += [room] * 20
    shown = follow(Tracker(TrackerConfig()), scenes)
    assert [track.id for track in shown[19]] == [track.id for track in shown[-1]] == [1]


def test_two_boxes_are_one_face_if_they_overlap_as_much_as_is_configured() -> None:
    scenes = [white_square((100, 100))] * 20 + [white_square((160, 100))] * 60  # their IoU is 90 / 210 = 0.43
    for least, last in ((0.4, 1), (0.46, 2)):
        tracks = follow(Tracker(TrackerConfig(min_iou=least)), scenes, detector=Certain())
        assert [track.id for track in tracks[19]] == [1]
        assert [track.id for track in tracks[-1]] == [last]
        assert tracks[-1][0].box.x == pytest.approx(160, abs=2)


def test_two_people_have_two_ids_and_one_who_leaves_is_forgotten() -> None:
    tracker = Tracker(TrackerConfig(max_missed=0.5))
    both = follow(tracker, [picture((60, 150), (420, 150))] * 30)[-1]
    assert {track.id for track in both} == {1, 2}
    kept = next(track.id for track in both if track.box.x > 320)
    alone = follow(tracker, [picture((420, 150))] * 30, begin=30)[-1]
    assert [track.id for track in alone] == [kept]


def test_two_who_cross_keep_their_ids() -> None:
    """The one who passes behind is covered for a while."""
    scenes = [picture((480 - 5 * index, 170), (20 + 5 * index, 150)) for index in range(90)]
    shown = follow(Tracker(TrackerConfig()), scenes)
    first = {track.id: track.box.x for track in shown[20]}
    last = {track.id: track.box.x for track in shown[-1]}
    assert set(first) == set(last) == {1, 2}
    assert all((first[identity] < 250) == (last[identity] > 250) for identity in first)


def test_who_is_hidden_for_a_moment_keeps_the_id() -> None:
    scenes = [picture((200 + 3 * index, 150)) if not 30 <= index < 50 else picture() for index in range(70)]
    shown = follow(Tracker(TrackerConfig()), scenes)
    assert {track.id for tracks in shown for track in tracks} == {1}
    assert shown[-1][0].missed_s < 0.1
    assert shown[49][0].missed_s == pytest.approx(20 / 30, abs=0.05)


def test_a_lost_face_does_not_fly_on_and_is_hidden_soon() -> None:
    scenes = [picture(*([(60 + 8 * index, 150)] if index < 30 else [])) for index in range(55)]
    shown = follow(Tracker(TrackerConfig(hide_after=0.3)), scenes)
    last = shown[29][0].box.x
    assert last == pytest.approx(60 + 8 * 29, abs=25)
    lost = [tracks[0] for tracks in shown[31:] if tracks]
    assert all(track.box.x - last < 60 for track in lost), "240 pixels per second for a fifth of a second at most"
    assert {track.visible for track in lost if track.missed_s <= 0.3} == {True}
    assert {track.visible for track in lost if track.missed_s > 0.35} == {False}


def test_a_cut_forgets_who_is_not_there_any_more() -> None:
    rng = np.random.default_rng(1)
    scenes = [picture((200, 150))] * 30
    other = np.asarray(cv2.resize(rng.integers(0, 255, (9, 12), np.uint8), (640, 480)), np.uint8)
    scenes += [np.asarray(cv2.cvtColor(other, cv2.COLOR_GRAY2BGR), np.uint8)] * 3
    shown = follow(Tracker(TrackerConfig()), scenes)
    assert len(shown[29]) == 1
    assert shown[30] == ()


def test_who_comes_back_later_is_somebody_new() -> None:
    tracker = Tracker(TrackerConfig())
    follow(tracker, [picture((200, 150))] * 5)
    assert not follow(tracker, [picture()] * 60, begin=5)[-1]
    assert [track.id for track in follow(tracker, [picture((200, 150))] * 30, begin=65)[-1]] == [2]


def test_who_walked_out_of_the_picture_is_not_shown_outside_of_it() -> None:
    scenes = [picture(*([(450 - 15 * index, 150)] if index <= 30 else [])) for index in range(60)]
    shown = follow(Tracker(TrackerConfig()), scenes)
    assert shown[29]
    assert all(track.box.x + track.box.width > 0 for tracks in shown for track in tracks)
    assert not shown[-1]


@pytest.mark.parametrize("sides", [(300, 120), (120, 300)])
def test_a_cut_to_a_face_of_another_size_at_the_same_place_shows_it_soon(sides: tuple[int, int]) -> None:
    face = load_composites()["surprise"]
    scenes = []
    for side in sides:
        image = np.full((480, 640, 3), 128, np.uint8)
        x, y = 350 - side // 2, 250 - side // 2
        image[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)[:, :, None]
        scenes += [image] * 30
    shown = follow(Tracker(TrackerConfig()), scenes)
    for tracks in shown[45:]:
        (track,) = tracks
        assert track.id == 2
        assert iou(track.box, FaceBox(350 - sides[1] // 2, 250 - sides[1] // 2, sides[1], sides[1])) > 0.5


def test_an_empty_room_with_motion_is_scanned_from_time_to_time() -> None:
    """More rarely once scans have found nobody: after three of them."""
    tracker, detector = Tracker(TrackerConfig(idle_scan_interval=0.2)), Counting()
    began: list[int] = []
    for index in range(72):
        before = len(detector.scanned)
        assert not tracker.update(detector, Frame(restless(index), index / 30, index))
        began += [index] * (0 in detector.scanned[before:])
    assert began == [0, 3, 6, *range(18, 72, 12)]


def test_whole_scans_are_frequent_again_once_somebody_was_lost() -> None:
    scenes = [restless(index % 60, *([(200, 150)] if 60 <= index < 90 else [])) for index in range(120)]
    tracker, detector, began = Tracker(TrackerConfig(idle_scan_interval=0.2)), Counting(), list[int]()
    for index, scene in enumerate(scenes):
        before = len(detector.scanned)
        tracker.update(detector, Frame(scene, index / 30, index))
        began += [index] * (0 in detector.scanned[before:])
    assert {later - before for before, later in pairwise(began) if before >= 92 and later <= 118} == {6}


def test_a_still_room_is_scanned_rarely_and_at_once_when_somebody_enters() -> None:
    tracker, detector = Tracker(TrackerConfig(still_scan_interval=2.0)), Counting()
    for index in range(110):
        assert not tracker.update(detector, Frame(noisy(picture(), index), index / 30, index))
    assert len(detector.scanned) == (detector.variants + 1) * detector.shares
    shown = [
        tracker.update(detector, Frame(noisy(picture((200, 150)), index), index / 30, index))
        for index in range(110, 116)
    ]
    assert shown[-1]


def test_who_is_followed_in_a_room_where_nothing_else_moves_needs_no_scans() -> None:
    tracker, detector = Tracker(TrackerConfig()), Counting()
    for index in range(59):
        tracker.update(detector, Frame(noisy(picture((200 + index % 10, 150)), index), index / 30, index))
    assert len(detector.scanned) == detector.variants * detector.shares  # those of the start


def test_a_still_picture_is_not_scanned_more_often_than_a_restless_one() -> None:
    tracker, detector = Tracker(TrackerConfig(idle_scan_interval=1.5, still_scan_interval=0.5)), Counting()
    for index in range(40):
        tracker.update(detector, Frame(picture(), index / 30, index))
    assert len(detector.scanned) == detector.variants * detector.shares  # those of the start


def test_who_is_only_not_looked_at_is_not_forgotten() -> None:
    """Not even where one who is not seen is forgotten at once."""
    shown = follow(Tracker(TrackerConfig(max_missed=0)), [picture((200 + index, 150)) for index in range(30)])
    assert {track.id for tracks in shown for track in tracks} == {1}
    assert all(shown[3:])


def test_a_hot_board_scans_less() -> None:
    tracker, detector = Tracker(TrackerConfig(idle_scan_interval=0.2)), Counting()
    tracker.pace_scans(1 / 3)
    for index in range(60):
        tracker.update(detector, Frame(restless(index), index / 30, index))
    assert len(detector.scanned) <= 4 * detector.shares


def test_a_scan_takes_the_small_picture_and_reports_in_the_large_one() -> None:
    detector = open_detector(DetectorConfig())
    large = picture((200, 150))
    small = np.asarray(cv2.resize(large, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)
    (track,) = Tracker(TrackerConfig()).update(detector, Frame(large, still=True, small=small))
    assert iou(track.box, FaceBox(200, 150, SIDE, SIDE)) > 0.5
    empty = Frame(large, still=True, small=np.zeros_like(small))
    assert not Tracker(TrackerConfig()).update(detector, empty)


def test_only_boxes_of_the_configured_score_are_faces() -> None:
    loose, strict = (open_detector(DetectorConfig(min_score=score)) for score in (None, 0.95))
    image = picture((200, 150))
    (box,) = loose.detect(image)
    assert 0.3 < box.score < 0.95
    assert strict.detect(image) == strict.detect_near(image, box) == []
    assert len(loose.detect_near(image, box)) == 1


def test_every_variant_of_a_haar_scan_finds_a_clear_face_where_it_is() -> None:
    detector = open_detector(DetectorConfig())
    image, truth = picture((380, 150)), FaceBox(380, 150, SIDE, SIDE)
    for _ in range(detector.variants):
        found = [box for part in range(3) for box in detector.detect(image, part)]
        assert found
        assert all(iou(box, truth) > 0.5 for box in found)


def test_a_haar_scan_finds_a_face_in_the_dark() -> None:
    dark = np.asarray(picture((200, 150)) // 12, np.uint8)
    assert follow(Tracker(TrackerConfig()), [dark] * 4)[-1]


def test_haar_confirms_faces_and_nothing_else() -> None:
    detector, strict = (open_detector(DetectorConfig(min_score=score)) for score in (None, 0.95))
    image, box = picture((200, 150)), FaceBox(210, 160, 130, 130, 0.3)
    again = detector.confirm(image, box)
    assert again is not None
    assert iou(again, FaceBox(200, 150, SIDE, SIDE)) > 0.6
    assert box.score + again.score > detector.certain
    assert detector.confirm(image, FaceBox(420, 160, 130, 130, 0.3)) is None
    assert detector.confirm(image, FaceBox(630, 470, 130, 130, 0.3)) is None, "almost outside"
    assert strict.confirm(image, box) is None


def test_a_detector_of_your_own_confirms_by_a_region_search() -> None:
    detector, image = Doubtful(), white_square((200, 150))
    place = FaceBox(200, 150, SIDE, SIDE, 0.4)
    assert detector.confirm(image, place) == place
    assert detector.confirm(image, FaceBox(400, 150, SIDE, SIDE, 0.4)) is None


def test_a_frame_of_another_size_has_other_tiles() -> None:
    tracker, detector = Tracker(TrackerConfig()), open_detector(DetectorConfig())
    small = np.asarray(cv2.resize(picture((200, 150)), (320, 240)), np.uint8)
    for index, image in enumerate([picture((200, 150))] * 20 + [small] * 20):
        tracks = tracker.update(detector, Frame(image, index / 30, index))
    assert len([track for track in tracks if track.visible]) == 1


class Insisting(BaseDetector):
    """Its first scan finds a face, and later ones each time, sometimes or not; region searches go on finding it."""

    def __init__(self, score: float, one_scan_in: int) -> None:
        self._box = FaceBox(200, 150, 100, 100, score)
        self._one_in = one_scan_in
        self._scans = 0

    def find_faces(self, image: Image) -> list[FaceBox]:
        if image.shape[:2] == (480, 640):
            self._scans += 1
            return [self._box] if self._scans % self._one_in == 1 % self._one_in else []
        return [FaceBox(image.shape[1] / 2 - 50, image.shape[0] / 2 - 50, 100, 100, self._box.score)]


@pytest.mark.parametrize(
    ("score", "one_scan_in", "stays"), [(0.3, 1000, False), (0.3, 3, True), (0.3, 1, True), (0.7, 1000, True)]
)
def test_what_looks_only_a_little_like_a_face_must_be_found_by_whole_scans(
    score: float, one_scan_in: int, stays: bool
) -> None:
    tracker, detector = Tracker(TrackerConfig(detect_interval=0)), Insisting(score, one_scan_in)
    tracks = [tracker.update(detector, Frame(restless(index), index / 30, index)) for index in range(300)]
    assert tracks[60]
    assert [track.id for track in tracks[-1]] == ([1] if stays else [])
