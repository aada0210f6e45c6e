"""Pauses between frames, in seconds of a clock that the test turns."""

import pytest

from fer_edge.device.frame_rate import FrameRateLimiter


def rate(pace: FrameRateLimiter, *, nobody: bool, begin: float, frames: int = 20, work: float = 0.01) -> float:
    """Frames per second, where each takes `work` seconds."""
    now = begin
    for _ in range(frames):
        now += work
        now += pace.pause(now, nobody=nobody)
    return frames / (now - begin)


def test_without_a_limit_nothing_waits() -> None:
    assert rate(FrameRateLimiter(None, power_save=False), nobody=True, begin=100.0) == pytest.approx(100)


def test_no_more_frames_than_asked_are_taken() -> None:
    assert rate(FrameRateLimiter(20.0, power_save=False), nobody=False, begin=100.0) == pytest.approx(20, rel=0.1)


def test_a_slow_board_does_not_wait_and_catches_nothing_up() -> None:
    pace = FrameRateLimiter(20.0, power_save=False)
    assert rate(pace, nobody=False, begin=100.0, work=0.2) == pytest.approx(5)
    assert rate(pace, nobody=False, begin=110.0) == pytest.approx(20, rel=0.1)


def test_power_save_begins_some_seconds_after_the_last_face() -> None:
    pace = FrameRateLimiter(None, power_save=True)
    assert rate(pace, nobody=True, begin=100.0) == pytest.approx(100)
    assert rate(pace, nobody=True, begin=110.0) == pytest.approx(2, rel=0.1)
    assert rate(pace, nobody=False, begin=130.0) == pytest.approx(100)
    assert rate(pace, nobody=True, begin=131.0) == pytest.approx(100)


def test_power_save_begins_after_five_seconds_and_never_speeds_up() -> None:
    pace, limited = FrameRateLimiter(None, power_save=True), FrameRateLimiter(1.0, power_save=True)
    assert [pace.pause(now, nobody=True) for now in (0.0, 2.0, 4.9, 5.0)] == pytest.approx([0, 0, 0, 0.4])
    assert pace.pause(5.5, nobody=False) == 0
    assert [limited.pause(now, nobody=True) for now in (0.0, 6.0, 6.1)] == pytest.approx([1, 0, 0.9])
