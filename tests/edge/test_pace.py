"""Fewer frames while nobody is there: of real time."""

import time

from fer_edge.pace import Pace


def waited(pace: Pace, *, nobody: bool) -> float:
    start = time.monotonic()
    pace.wait(nobody=nobody)
    return time.monotonic() - start


def test_without_a_limit_nothing_waits() -> None:
    pace = Pace(None, power_save=False)
    assert sum(waited(pace, nobody=True) for _ in range(100)) < 0.5


def test_frames_come_no_closer_than_asked() -> None:
    pace = Pace(20.0, power_save=False)
    start = time.monotonic()
    for _ in range(10):
        pace.wait(nobody=False)
    assert time.monotonic() - start >= 0.45


def test_power_save_rests_only_while_nobody_was_there_for_a_while() -> None:
    pace = Pace(None, power_save=True)
    assert waited(pace, nobody=True) < 0.4
    time.sleep(5.1)
    assert waited(pace, nobody=True) > 0.4
    assert waited(pace, nobody=False) < 0.4
    assert waited(pace, nobody=True) < 0.4
