"""Keras is loaded in silence, with the backend that is asked for; where it is missing, one line tells how to get it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_edge.errors import MissingExtra
from fer_train.backend import load_keras


@pytest.fixture
def other_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that takes the place of Keras, which may be loaded already or not."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "keras.py"
    sys.modules.pop("keras", None)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this changes in the environment is changed back."""
    for name in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "before")


def test_the_backend_is_the_one_that_is_named_else_that_of_the_environment(other_keras: Path) -> None:
    other_keras.touch()
    load_keras()
    assert os.environ["KERAS_BACKEND"] == "before"
    load_keras("jax")
    assert os.environ["KERAS_BACKEND"] == "jax"


def test_tensorflow_and_keras_are_silent(other_keras: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other_keras.write_text("import os\nos.write(1, b'noise')\nos.write(2, b'noise')\n")
    load_keras()
    assert "keras" in sys.modules
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3", "errors that end the process, and nothing else"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("import no_such_backend", "no_such_backend"),
        ("raise ImportError('a file is missing')", "keras"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_installs_it(
    other_keras: Path, source: str, missing: str
) -> None:
    other_keras.write_text(source)
    with pytest.raises(MissingExtra) as caught:
        load_keras()
    assert str(caught.value) == (
        f"{missing} is not installed. Fix: pip install '.[train]' (or the backend that KERAS_BACKEND names)"
    )
