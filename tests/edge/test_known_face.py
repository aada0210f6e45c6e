"""Where a tracked face is expected, by its motion alone."""

from dataclasses import replace

import numpy as np
import pytest

from fer_edge.tracking.known_face import KnownFace, new_face
from fer_edge.types import FaceBox, Frame

FRAME = Frame(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8), 5.0)


def moving(x: float, y: float, *, seconds: float = 3.0) -> KnownFace:
    """A face of 60 pixels that moves by so many pixels per second, at 30 frames per second, from (300, 200) on."""
    face = new_face(FRAME, FaceBox(300, 200, 60, 60, 0.8), certain=False)
    for index in range(1, round(seconds * 30) + 1):
        passed = index / 30
        face.see(FaceBox(300 + x * passed, 200 + y * passed, 60, 60, 0.8), 5 + passed)
    return face


def test_a_new_face_is_where_it_was_found() -> None:
    face = new_face(FRAME, FaceBox(300, 200, 60, 60, 0.8), certain=True)
    assert (face.first_seen, face.last_seen, face.last_looked, face.detected) == (5, 5, 5, 5)
    assert (face.certain, face.score, face.sightings, face.id, face.unconfirmed) == (True, 0.8, 2, 0, 0)
    assert face.expected(9.0) == face.moved_on(9.0) == face.box
    assert face.is_in_sight


def test_it_is_expected_to_move_on_and_to_stop_soon() -> None:
    face = moving(60, -30)
    now, box = face.last_seen, face.box
    assert now == pytest.approx(8)
    assert face.sightings == 92
    assert face.speed == pytest.approx((60, -30), rel=0.02)
    soon, later = face.expected(now + 0.05), face.expected(now + 100)
    assert (soon.x - box.x, soon.y - box.y) == pytest.approx((3, -1.5), rel=0.2)
    assert 3 < later.x - box.x < 30, "less than half a second's way"
    assert (later.y - box.y) / (later.x - box.x) == pytest.approx(-0.5, rel=0.02)
    assert face.expected(now + 50).x == pytest.approx(later.x, abs=0.1)


def test_behind_another_it_keeps_its_speed_until_it_has_left() -> None:
    face = moving(60, 0)
    now = face.last_seen
    assert face.moved_on(now + 1).x - face.box.x == pytest.approx(60, rel=0.02)
    assert face.moved_on(now + 1).y == face.box.y
    assert not face.has_left(640, 480, now + 2)
    assert face.has_left(640, 480, now + 3), "540 of 640 pixels, and 60 more per second"
    up = moving(0, -60, seconds=2)
    assert not up.has_left(640, 480, up.last_seen + 2)
    assert up.has_left(640, 480, up.last_seen + 3)


def test_a_step_between_two_frames_does_not_throw_it_far() -> None:
    face = moving(0, 0)
    face.see(FaceBox(310, 200, 60, 60), face.last_seen + 1 / 30)
    assert 0 < face.speed[0] < 150, "of 300 pixels per second"
    face.see(FaceBox(350, 200, 60, 60), face.last_seen)
    assert face.box.x == 350
    face.stop()
    assert face.expected(face.last_seen + 1) == face.box


def test_a_face_that_comes_nearer_does_not_move() -> None:
    face = new_face(FRAME, FaceBox(300, 200, 60, 60), certain=False)
    for index in range(1, 31):
        face.see(FaceBox(300 - index, 200 - 2 * index, 60 + 2 * index, 60 + 4 * index), 5 + index / 30)
    assert face.speed == pytest.approx((0, 0), abs=1e-6)


def test_its_score_is_a_mean_over_the_latest_searches() -> None:
    face = moving(0, 0)
    face.judge(0.0)
    assert 0.4 < face.score < 0.8
    for _ in range(100):
        face.judge(0.5)
    assert face.score == pytest.approx(0.5, abs=0.01)


def test_it_is_out_of_sight_when_a_search_did_not_find_it() -> None:
    face = moving(0, 0)
    face.last_looked += 0.1
    assert not face.is_in_sight


def test_two_at_one_place_are_one() -> None:
    lost, found = moving(30, 0), moving(30, 0)
    assert lost.is_at(found)
    found.see(FaceBox(found.box.x + 200, 200, 60, 60), found.last_seen + 1)
    assert not lost.is_at(found)


def test_a_lost_face_is_looked_for_where_it_should_be_by_now() -> None:
    """At 300 pixels per second it has left its old place after 0.2 s."""
    lost = moving(300, 0, seconds=1)
    now = lost.last_seen + 0.2
    there, before = (
        new_face(replace(FRAME, captured_at=now), box, certain=False) for box in (lost.expected(now), lost.box)
    )
    assert lost.is_at(there)
    assert not lost.is_at(before)
