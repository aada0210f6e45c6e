"""What the doctor finds on this machine, and on one that lacks a part."""

import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import pytest

from fer_edge.cli.doctor import Check, run_checks

NEEDED = ("fer-edge", "OpenCV", "Haar cascade", "TFLite runtime", "model")
OPTIONAL = ("MediaPipe", "camera", "ribbon-cable camera", "display window", "display hdmi", "recording", "plot")


def findings(model: str = "ferplus7-tiny") -> dict[str, Check]:
    return {check.part: check for check in run_checks(model)}


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a desktop."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.usefixtures("console")
def test_what_is_needed_works_and_what_is_absent_is_said() -> None:
    found = findings()
    assert [(part, check.needed) for part, check in found.items()] == [
        *((part, True) for part in NEEDED),
        *((part, False) for part in OPTIONAL),
    ]
    assert all(found[part].works for part in NEEDED)
    assert found["Haar cascade"].finding.endswith("haarcascade_frontalface_alt.xml")
    assert "hashes agree" in found["model"].finding
    assert found["OpenCV"].finding == cv2.__version__
    assert found["plot"] == Check("plot", True, False, f"matplotlib {version('matplotlib')}")
    assert found["recording"] == Check("recording", True, False, f"H.264 by PyAV {version('av')}")
    window = found["display window"]
    assert (window.works, window.finding.partition(" (")[0]) == (False, "no desktop")
    if not list(Path("/dev").glob("video*")):
        assert not found["camera"].works
        assert "no /dev/video*. Connect a camera" in found["camera"].finding
        assert not found["ribbon-cable camera"].works


def test_a_screen_is_named_with_its_size_and_driver(console: pytest.MonkeyPatch) -> None:
    """SDL's driver that draws into memory, which is no screen unless it was asked for."""
    console.setenv("DISPLAY", ":9876")
    console.setenv("SDL_VIDEODRIVER", "dummy")
    found = findings()
    window, hdmi = found["display window"], found["display hdmi"]
    assert window.works
    assert hdmi.works
    assert window.finding.endswith(" by dummy")
    assert hdmi.finding == f"{window.finding}, full screen on this desktop"


def test_an_optional_package_that_is_missing_is_named_with_the_fix_and_a_broken_model_is_not_optional(
    console: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    console.setenv("DISPLAY", ":9876")
    for name in ("pygame", "matplotlib", "av"):
        console.setitem(sys.modules, name, None)
    found = findings(str(tmp_path))
    assert (found["model"].works, found["model"].needed) == (False, True)
    assert "model.json: missing" in found["model"].finding
    for part, fix in (
        ("display window", "pip install '.[display]'"),
        ("display hdmi", "pip install '.[display]'"),
        ("plot", "pip install '.[plot]'"),
        ("recording", "pip install '.[recording]'"),
    ):
        assert not found[part].works, part
        assert not found[part].needed
        assert fix in found[part].finding


@pytest.mark.usefixtures("console")
def test_a_console_without_a_screen_says_what_to_look_at() -> None:
    if list(Path("/dev").glob("dri/card*")):
        pytest.skip("this machine has a screen")
    hdmi = findings()["display hdmi"]
    assert not hdmi.works
    assert "Is a screen connected? Fix: sudo usermod -aG video,render,input" in hdmi.finding
    assert "pygame.error" not in hdmi.finding
