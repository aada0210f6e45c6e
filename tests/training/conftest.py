"""A training that several files of tests start from."""

import shutil
from pathlib import Path

import pytest
from tests import warm

TWO_HEADS = ("--labels", "ferplus7", "--set", "also={ferplus8=0.5}")


@pytest.fixture(scope="session")
def two_heads(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of one epoch with the labels ferplus7 and ferplus8. Change a copy only."""
    out = tmp_path_factory.mktemp("trained") / "teacher"
    options = ("--recipe", "adam-50", "--architecture", "cnn-small", *TWO_HEADS, "--epochs", "1")
    done = warm.run("fer-train", ["fit", "--data", str(tiny_data), *options, "--out", str(out)], timeout=300)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def teacher(two_heads: Path, tmp_path: Path) -> Path:
    """A copy of that training with the labels ferplus7 alone."""
    return Path(shutil.copytree(two_heads, tmp_path / "teacher", ignore=shutil.ignore_patterns("ferplus8")))
