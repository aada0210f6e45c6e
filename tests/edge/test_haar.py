"""The Haar detector by itself: where its boxes are, at every size, tilt and place, and what it leaves out."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.config import DetectorConfig
from fer_edge.detectors import open_detector
from fer_edge.detectors.cascades import Cascade, find_cascade, hits_of
from fer_edge.detectors.haar import HaarDetector
from fer_edge.detectors.region_view import RegionView
from fer_edge.geometry import iou
from fer_edge.types import FaceBox, Image

PLACE = FaceBox(220, 140, 150, 150)


def room(place: FaceBox = PLACE, *, tilt: float = 0, size: tuple[int, int] = (640, 480)) -> Image:
    """A grey room with a composite face, turned clockwise about its middle."""
    side = round(place.width)
    face = cv2.resize(load_composites()["surprise"], (side, side), interpolation=cv2.INTER_CUBIC)
    left, top = round(place.x), round(place.y)
    image = np.full((size[1], size[0]), 128, np.uint8)
    image[top : top + side, left : left + side] = face
    turn = cv2.getRotationMatrix2D((left + side / 2, top + side / 2), -tilt, 1.0)
    turned = cv2.warpAffine(image, turn, size, borderValue=128)
    return np.asarray(cv2.merge([turned] * 3), np.uint8)


EMPTY = np.full((480, 640, 3), 128, np.uint8)


def detector(**options: object) -> HaarDetector:
    made = open_detector(DetectorConfig.model_validate(options))
    assert isinstance(made, HaarDetector)
    return made


def parts_of(found_by: HaarDetector, image: Image) -> list[list[FaceBox]]:
    """What each part of one whole scan finds."""
    height, width = image.shape[:2]
    return [found_by.detect(image, part) for part in range(len(found_by.regions(width, height)))]


# Parts of a scan


@pytest.mark.parametrize(("width", "height"), [(640, 480), (640, 360), (360, 640), (1920, 1080)])
def test_a_scan_is_three_searches_of_the_frame_and_tiles_that_cover_it(width: int, height: int) -> None:
    haar = detector()
    whole = FaceBox(0, 0, width, height)
    regions = haar.regions(width, height)
    tiles = [region for region in regions if region != whole]
    assert len(regions) - len(tiles) == 3
    covered = np.zeros((height, width), int)
    for tile in tiles:
        assert tile.x >= 0
        assert tile.y >= 0
        assert tile.x + tile.width <= width + 1e-6
        assert tile.y + tile.height <= height + 1e-6
        covered[round(tile.y) : round(tile.y + tile.height), round(tile.x) : round(tile.x + tile.width)] += 1
    assert covered.min() >= 1
    assert haar.regions(width, height) is regions, "computed once"


def test_tiles_are_left_out_where_small_faces_are_not_wanted() -> None:
    counts = [len(detector(min_face=least).regions(640, 480)) for least in (20, 30, 45)]
    assert counts[0] == counts[1] > counts[2] == 3


@pytest.mark.parametrize("side", [36, 44, 60, 150, 300, 440])
def test_the_searches_of_the_frame_find_faces_of_all_sizes_where_they_are(side: int) -> None:
    """One after the other: some scans search for the sizes between, and some a mirrored picture."""
    place, haar = FaceBox(120 if side < 400 else 20, 20, side, side), detector()
    image = room(place)
    for variant in range(haar.variants):
        boxes = [box for found in parts_of(haar, image)[:3] for box in found]
        assert boxes or variant
        for box in boxes:
            assert iou(haar.crop_calibration.apply(box), place) > 0.42
            assert box.roll == 0
            assert 0 < box.score < 1


@pytest.mark.parametrize("side", [30, 150, 300, 440])
def test_a_finer_scan_finds_smaller_faces_and_large_ones_still(side: int) -> None:
    image = room(FaceBox(20, 20, side, side))
    searches = {width: parts_of(detector(scan_width=width), image)[:3] for width in (320, 640)}
    assert any(searches[640])
    assert any(searches[320]) == (side > 30)


@pytest.mark.parametrize("x", [20, 170, 310, 590])
@pytest.mark.parametrize("y", [20, 300])
def test_a_small_face_is_found_in_tiles_and_where_it_is(x: int, y: int) -> None:
    place, haar = FaceBox(x, y, 26, 26), detector()
    found = parts_of(haar, room(place))
    tiles = [box for part in found[3:] for box in part]
    assert not any(found[:3])
    assert tiles
    assert all(iou(haar.crop_calibration.apply(box), place) > 0.7 for box in tiles)
    assert not [box for found in parts_of(detector(min_face=40), room(place)) for box in found]
    wide = parts_of(detector(min_face=36), room(FaceBox(2 * x, y, 52, 52), size=(1280, 480)))
    assert any(wide[3:]), "its tiles have half the resolution of the frame, and so has the smallest face"


def test_scans_take_turns_at_other_sizes_and_with_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cascades get for the first part of each scan: the frame at half its size, 320 pixels wide."""
    searched: list[tuple[Image, tuple[float, float], int]] = []
    find = Cascade.find

    def noted(self: Cascade, picture: Image, sides: tuple[float, float], step: float, neighbours: int) -> list[FaceBox]:
        searched.append((picture, sides, neighbours))
        return find(self, picture, sides, step, neighbours)

    monkeypatch.setattr(Cascade, "find", noted)
    haar = detector(min_neighbours=3)
    for _ in range(4):
        parts_of(haar, room())
    first = [(picture, sides) for picture, sides, _ in searched if picture.shape[0] >= 240 and sides == (24, 28)]
    plain, larger, mirrored, again = (picture for picture, _ in first)
    assert plain.shape == (240, 320)
    assert larger.shape[1] == pytest.approx(320 * 2 ** (1 / 6), abs=1), "between two steps of a third of an octave"
    assert (mirrored == plain[:, ::-1]).all()
    assert (again == plain).all()
    assert {neighbours for *_, neighbours in searched} == {3}
    searched.clear()
    detector().detect(room(FaceBox(40, 20, 60, 60), size=(160, 120)), 0)
    assert [picture.shape for picture, *_ in searched] == [(120, 160)], "a small frame is not scaled up"


def test_parts_that_find_one_face_twice_report_it_once() -> None:
    haar = detector()
    assert [len(found) for found in parts_of(haar, room())] == [0, 0, 1, *[0] * 12]
    assert not any(parts_of(haar, EMPTY))


# Region search


@pytest.mark.parametrize("tilt", [-20, 0, 20])
def test_a_tilted_head_is_found_with_its_roll(tilt: int) -> None:
    (box,) = detector().detect_near(room(tilt=tilt), PLACE)
    assert box.roll == tilt
    assert iou(detector().crop_calibration.apply(box), PLACE) > 0.8
    (again,) = detector().detect_near(room(tilt=tilt), replace(PLACE, roll=tilt))
    assert again.roll == tilt


def test_a_head_tilts_on_from_its_last_tilt() -> None:
    haar = detector()
    assert haar.detect_near(room(tilt=40), PLACE) == [], "upright before"
    for tilt in (40, 60):
        (box,) = haar.detect_near(room(tilt=tilt), replace(PLACE, roll=tilt - 20))
        assert box.roll == tilt
    assert haar.detect_near(room(tilt=80), replace(PLACE, roll=60)) == [], "nobody's head tilts that far"


@pytest.mark.parametrize("place", [FaceBox(10, 10, 40, 40), FaceBox(900, 10, 40, 40), FaceBox(220, 140, 40, 40)])
def test_only_a_face_at_that_place_and_of_that_size_is_found_near(place: FaceBox) -> None:
    assert detector().detect_near(room(), place) == []


def test_a_longer_reach_searches_further_and_for_more_sizes() -> None:
    haar = detector()
    beside, larger = replace(PLACE, x=PLACE.x + 75), replace(PLACE, width=PLACE.width * 1.4, height=PLACE.height * 1.4)
    for expected in (beside, larger):
        assert haar.detect_near(room(), expected, 1.2) == []
        (box,) = haar.detect_near(room(), expected, 2.2)
        assert iou(haar.crop_calibration.apply(box), PLACE) > 0.7


def test_a_doubtful_face_has_the_mean_hits_of_two_cascades_if_that_is_more() -> None:
    sides = (PLACE.width * 0.24 * (1 - 0.4 / 3), PLACE.width * 0.24 * (1 + 0.4 / 3))
    first, second = (Cascade(find_cascade(f"haarcascade_frontalface_{name}.xml")) for name in ("alt", "default"))
    kinds = set()
    for blur, noise in ((0, 0), (4, 10), (4, 60), (6, 0), (6, 10), (8, 20), (8, 60)):
        grain = np.random.default_rng(0).normal(0, noise, (480, 640, 1))
        sharp = room()
        image = np.asarray(
            np.clip((cv2.GaussianBlur(sharp, (0, 0), blur) if blur else sharp) + grain, 0, 255), np.uint8
        )
        view = RegionView(image, PLACE, 1.4, 36.0).picture
        equalised = np.asarray(cv2.equalizeHist(view), np.uint8)
        (one,) = (hits_of(box.score) for box in first.find(view, sides, 1.1, 1))
        other = max((hits_of(box.score) for box in second.find(equalised, sides, 1.1, 1)), default=0)
        (box,) = detector().detect_near(image, PLACE)
        assert hits_of(box.score) == pytest.approx(one if one > 3.5 else max(one, (one + other) / 2))
        kinds.add("sure" if one > 3.5 else "more" if other > one else "less" if other < one else "equal")
    assert kinds >= {"sure", "more", "less"}


# New faces


def test_a_new_face_is_confirmed_in_detail_and_nothing_else_is() -> None:
    haar = detector()
    box = haar.confirm(room(), replace(PLACE, score=0.3))
    assert box is not None
    assert iou(box, PLACE) > 0.8
    assert box.score > 0.8
    assert haar.confirm(EMPTY, replace(PLACE, score=0.99)) is None
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    assert haar.confirm(noise, replace(PLACE, score=0.3)) is None


def test_in_doubt_a_new_face_needs_a_sum_of_two_scores() -> None:
    """Of the scan and of a detailed search; else, a lower one, of the scan and of a region search."""
    haar, grain = detector(), np.random.default_rng(0).normal(0, 60, (480, 640, 1))
    image = np.asarray(np.clip(cv2.GaussianBlur(room(), (0, 0), 8) + grain, 0, 255), np.uint8)
    sure = haar.confirm(image, replace(PLACE, score=0.69))
    (near,) = haar.detect_near(image, PLACE, 1.5)
    assert sure is not None
    assert 0.7 - sure.score > 0.45 - near.score + 0.02, "else nothing is in doubt"

    def score(of_scan: float) -> float:
        found = haar.confirm(image, replace(PLACE, score=of_scan))
        return found.score if found else 0

    assert score(0.7 - sure.score + 0.01) == sure.score
    assert score(0.45 - near.score + 0.01) == near.score
    assert score(0.45 - near.score - 0.01) == 0


# Still images


@pytest.mark.parametrize(
    ("place", "size"),
    [
        (FaceBox(0, 0, 200, 200), (640, 480)),
        (FaceBox(440, 280, 200, 200), (640, 480)),
        (FaceBox(1700, 900, 900, 900), (2600, 1800)),
        (FaceBox(200, 30, 60, 60), (300, 900)),
    ],
)
def test_a_still_image_is_searched_up_to_its_edges_at_its_own_scale(place: FaceBox, size: tuple[int, int]) -> None:
    haar = detector()
    (box,) = haar.detect(room(place, size=size))
    assert iou(haar.crop_calibration.apply(box), place) > 0.8
    assert detector(min_face=round(place.width * 1.3)).detect(room(place, size=size)) == []
    (box,) = detector(min_face=round(place.width * 0.8)).detect(room(place, size=size))
    assert iou(haar.crop_calibration.apply(box), place) > 0.8


def test_a_least_score_is_that_of_every_search() -> None:
    haar = detector()
    (still,), (near,) = haar.detect(room()), haar.detect_near(room(), PLACE)
    (part,) = haar.detect(room(), 2)
    confirmed = haar.confirm(room(), PLACE)
    assert confirmed is not None
    for score, search in (
        (still.score, lambda made: made.detect(room())),
        (near.score, lambda made: made.detect_near(room(), PLACE)),
        (part.score, lambda made: made.detect(room(), 2)),
        (confirmed.score, lambda made: [box for box in [made.confirm(room(), PLACE)] if box]),
    ):
        assert len(search(detector(min_score=score))) == 1
        assert search(detector(min_score=min(score + 0.01, 1))) == []
