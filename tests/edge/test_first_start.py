"""The line at the first start of a service."""

from pathlib import Path

import pytest

from fer_edge.device.first_start import say_once


def test_it_is_said_at_the_first_start_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:{tmp_path / 'other'}")
    for _ in range(3):
        say_once()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("this service reads facial expressions: tell the people in view. In the EU ")
    assert record.getMessage().endswith("See docs/responsible-use.md")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".responsible-use"]


def test_who_runs_it_by_hand_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("STATE_DIRECTORY", raising=False)
        else:
            monkeypatch.setenv("STATE_DIRECTORY", value)
        say_once()
    assert not caplog.records
    assert not list(tmp_path.iterdir())


def test_a_state_folder_that_is_not_there_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "missing"))
    say_once()
    assert not caplog.records
