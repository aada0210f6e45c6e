"""MediaPipe's detector, under whichever mediapipe is installed: `make test-mediapipe` runs this under both kinds.

Version 1 brings no model: FER_BLAZEFACE points to one.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.config import DetectorConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.errors import ConfigError, MissingDependency
from fer_edge.geometry import iou
from fer_edge.preprocess import crop_face
from fer_edge.types import FaceBox, Image

needs_mediapipe = pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe is not installed")

SIDE = 200
PLACE = FaceBox(220, 140, SIDE, SIDE)


def settings(**values: object) -> DetectorConfig:
    model = os.environ.get("FER_BLAZEFACE")
    return DetectorConfig.model_validate({"name": "mediapipe", "model": Path(model) if model else None, **values})


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    detector = open_detector(settings())
    yield detector
    detector.close()


def scene(tilt: float) -> Image:
    """A composite face on grey, at PLACE, turned clockwise."""
    image = np.full((480, 640), 110, np.uint8)
    face = cv2.resize(load_composites()["happy"], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image[140 : 140 + SIDE, 220 : 220 + SIDE] = face
    turn = cv2.getRotationMatrix2D((320, 240), -tilt, 1.0)
    turned = cv2.warpAffine(image, turn, (640, 480), borderValue=110)
    return np.asarray(cv2.merge([turned, turned, turned]), np.uint8)


@needs_mediapipe
def test_it_finds_the_face_where_fer2013_would_crop_it(detector: Detector) -> None:
    (box,) = detector.detect(scene(0))
    assert iou(detector.framing.apply(box), PLACE) > 0.7
    assert abs(box.roll) < 8
    (near,) = detector.detect_near(scene(0), FaceBox(200, 130, 190, 190))
    assert iou(near, box) > 0.8
    assert detector.detect_near(scene(0), FaceBox(10, 10, 60, 60)) == []


@needs_mediapipe
@pytest.mark.parametrize("tilt", [-35, 35])
def test_a_tilted_head_is_levelled(detector: Detector, tilt: int) -> None:
    (upright,) = detector.detect(scene(0))
    (tilted,) = detector.detect(scene(tilt))
    assert tilted.roll == pytest.approx(tilt, abs=8)
    expected = crop_face(scene(0), upright, detector.framing)

    def likeness(box: FaceBox) -> float:
        return float(np.corrcoef(expected.ravel(), crop_face(scene(tilt), box, detector.framing).ravel())[0, 1])

    assert likeness(tilted) > likeness(replace(tilted, roll=0.0)) + 0.2


@needs_mediapipe
def test_an_empty_picture_has_no_face(detector: Detector) -> None:
    assert detector.detect(np.full((480, 640, 3), 90, np.uint8)) == []


@needs_mediapipe
def test_a_whole_run(command: Run, demo_video: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    model = os.environ.get("FER_BLAZEFACE")
    config.write_text("[detector]\nname = 'mediapipe'\n" + (f"model = '{model}'\n" if model else ""))
    done = command("fer-edge", "run", "--config", config, "--source", demo_video, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "0000 00:00" not in done.stderr, "the library talks"
    assert "ignored" not in done.stderr, "the library was not closed in time"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 90
    assert sum(len(line["faces"]) == 1 for line in lines) > 80
    early = [face["label"] for line in lines[:60] for face in line["faces"]]
    assert early.count("happy") > 0.8 * len(early)


@needs_mediapipe
def test_a_wrong_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.tflite: no such file"):
        open_detector(settings(model=tmp_path / "none.tflite"))
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    with pytest.raises(ConfigError, match=r"bad.tflite: is no face detector"):
        open_detector(settings(model=tmp_path / "bad.tflite"))


@needs_mediapipe
@pytest.mark.skipif(bool(find_spec("mediapipe")) and version("mediapipe") < "1", reason="0.10 brings its models")
def test_version_1_without_a_model_says_what_to_do() -> None:
    with pytest.raises(MissingDependency, match="brings no face model"):
        open_detector(DetectorConfig(name="mediapipe"))


@needs_mediapipe
@pytest.mark.skipif(bool(find_spec("mediapipe")) and version("mediapipe") >= "1", reason="1 brings no models")
def test_the_full_range_finds_a_face_too_far_for_the_short_one() -> None:
    far = np.full((480, 640), 20, np.uint8)
    far[200:264, 300:364] = cv2.resize(load_composites()["happy"], (64, 64), interpolation=cv2.INTER_CUBIC)
    image = np.asarray(cv2.merge([far, far, far]), np.uint8)
    found = {reach: len(open_detector(settings(range=reach)).detect(image)) for reach in ("short", "full")}
    assert found == {"short": 0, "full": 1}


@pytest.mark.skipif(find_spec("mediapipe") is not None, reason="mediapipe is installed")
def test_without_the_package_one_line_says_how_to_get_it(command: Run) -> None:
    done = command("fer-edge", "run", "--source", "demo", "--detector", "mediapipe")
    assert done.returncode == 2
    assert done.stderr.strip() == "error: mediapipe is not installed. Mend: pip install 'fer-edge[mediapipe]'"
