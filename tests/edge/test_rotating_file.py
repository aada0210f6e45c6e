"""A log's file by itself: rotated, replaced, synced, and whole after a write that failed in its middle."""

import errno
import json
import os
import resource
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer_edge.config import JsonLinesConfig
from fer_edge.sinks.rotating_file import RotatingFile, write_whole


def line(number: int, *, minutes_ago: float = 0, pad: int = 0) -> bytes:
    written = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()
    return json.dumps({"time": written, "n": number, "pad": "x" * pad}, separators=(",", ":")).encode() + b"\n"


def opened(path: Path, **options: object) -> RotatingFile:
    log = RotatingFile(path, JsonLinesConfig.model_validate({"append": True, **options}))
    log.open()
    return log


def numbers(path: Path) -> list[int]:
    return [json.loads(text)["n"] for text in path.read_text().splitlines()]


@pytest.mark.parametrize("pad", [0, 40_000, 70_000])
def test_the_last_line_of_an_earlier_run_is_known(tmp_path: Path, pad: int) -> None:
    """Also where it begins in an earlier block of the file than it ends; of one longer than a block, the end."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(number, pad=pad) for number in range(3)))
    log = opened(path, max_mb=1)
    last = path.read_bytes().splitlines()[-1]
    assert log.last_line == last[-65_535:]
    log.write(line(3))
    log.close()
    assert numbers(path) == [0, 1, 2, 3]
    assert RotatingFile(tmp_path / "new", JsonLinesConfig()).last_line == b""


@pytest.mark.parametrize("length", [9, 40_000, 65_534, 65_535, 65_536])
def test_an_incomplete_line_is_removed_and_no_complete_one(tmp_path: Path, length: int) -> None:
    """Also where the complete one ends at the first byte of the last block of 65 536."""
    path = tmp_path / "log.jsonl"
    complete = [line(number, pad=40_000) for number in range(3)]
    path.write_bytes(b"".join(complete) + line(3, pad=70_000)[:length])
    log = opened(path, max_mb=1)
    assert complete[-1].removesuffix(b"\n") == log.last_line
    log.close()
    assert path.read_bytes() == b"".join(complete)


def test_a_log_is_rotated_before_it_is_larger_than_allowed(tmp_path: Path) -> None:
    """Exactly as large is allowed."""
    path = tmp_path / "log.jsonl"
    ten = [line(number, pad=20) for number in range(10)]
    log = opened(path, max_mb=sum(map(len, ten)) / 1e6)
    for one in (*ten, line(10)):
        log.write(one)
    log.close()
    assert [numbers(path.with_name("log.jsonl.1")), numbers(path)] == [list(range(10)), [10]]


def test_a_file_that_is_replaced_keeps_its_content_until_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line(7, pad=500))
    out = opened(path, append=False)
    assert numbers(path) == [7]
    for number in range(3):
        out.write(line(number))
    out.close()
    assert numbers(path) == [0, 1, 2]


@pytest.mark.parametrize(("minutes", "rotates"), [(59, False), (61, True), (-61, True)])
def test_a_log_is_rotated_when_its_first_line_is_so_many_hours_old(
    tmp_path: Path, minutes: float, rotates: bool
) -> None:
    """Or as far in the future, since the clock was set back."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(0, minutes_ago=minutes))
    log = opened(path, max_hours=1)
    log.write(line(1))
    log.close()
    assert [path.with_name("log.jsonl.1").exists(), numbers(path)] == [rotates, [1] if rotates else [0, 1]]


def test_a_log_that_is_empty_is_not_rotated_however_old_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(
        "fer_edge.sinks.rotating_file.time", SimpleNamespace(time=lambda: now, monotonic=time.monotonic)
    )
    log = opened(tmp_path / "log.jsonl", max_hours=1)
    now += 7200
    log.write(line(0))
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_only_so_many_rotated_files_are_kept(tmp_path: Path) -> None:
    log = opened(tmp_path / "log.jsonl", max_mb=0.001, keep=2)
    for number in range(5):
        log.write(line(number, pad=900))
    log.close()
    found = {path.name: numbers(path) for path in tmp_path.iterdir()}
    assert found == {"log.jsonl": [4], "log.jsonl.1": [3], "log.jsonl.2": [2]}


def test_lines_are_synced_when_it_is_due_and_only_if_there_are_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for sync_s, counts in ((0, [1, 1, 2, 3]), (1000, [0, 0, 0, 1]), (None, [0, 0, 0, 0])):
        synced.clear()
        log = opened(tmp_path / "log.jsonl", sync_s=sync_s)
        told = []
        log.write(line(0))
        told.append(len(synced))
        log.sync()
        told.append(len(synced))
        log.write(line(1))
        told.append(len(synced))
        log.close()
        log.close()
        assert [*told, len(synced)] == counts, sync_s


def test_lines_are_synced_once_in_so_many_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, now = [], 100.0
    clock = SimpleNamespace(time=time.time, monotonic=lambda: now)
    monkeypatch.setattr("fer_edge.sinks.rotating_file.time", clock)
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(now))
    log = opened(tmp_path / "log.jsonl", sync_s=10)
    for second in range(35):
        now = 100.0 + second
        log.write(line(second))
    log.close()
    assert synced == [110, 120, 130, 134]


def test_a_line_that_fits_only_in_part_is_not_written_at_all(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = opened(path)
    log.write(line(0))
    size, limits = path.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limits[1]))  # as on a disk with five bytes left
    try:
        with pytest.raises(OSError, match="File too large"):
            log.write(line(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == size
    log.write(line(2))
    log.close()
    assert numbers(path) == [0, 2]


def test_an_interruption_in_the_middle_of_a_line_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that was opened as the shell opens it for `>`."""
    path, write = tmp_path / "out.jsonl", os.write

    def interrupted(descriptor: int, rest: memoryview) -> int:
        if len(rest) < 20:
            raise KeyboardInterrupt
        return write(descriptor, rest[:-10])

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    write_whole(descriptor, line(0))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "write", interrupted)
        write_whole(descriptor, line(1))
    write_whole(descriptor, line(2))
    os.close(descriptor)
    assert numbers(path) == [0, 2]


def test_only_the_file_that_was_there_at_the_start_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(line(7))
    out = opened(path, append=False)
    path.rename(tmp_path / "kept.jsonl")
    path.write_bytes(line(8))  # of another program
    out.write(line(0))
    out.close()
    assert [numbers(tmp_path / "kept.jsonl"), numbers(path)] == [[7], [8, 0]]


def test_what_is_no_log_is_never_added_to(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("my notes\nmy last note")
    with pytest.raises(OSError, match="is no log of this program") as caught:
        opened(path)
    assert caught.value.errno == errno.EINVAL
    assert path.read_text() == "my notes\nmy last note"
