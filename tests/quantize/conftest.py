"""Fixtures for what is quantized in the tests' own process."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def folder_of_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow leaves its files there until the end."""
    (tmp_path / "tensorflow").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tensorflow"))
