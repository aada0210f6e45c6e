"""Faces are hidden in all images."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tests.conftest import Run

from fer_edge import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.sinks.blur import FaceBlur


def result(image: np.ndarray[Any, np.dtype[np.uint8]], at: float, *boxes: FaceBox) -> FrameResult:
    read = Prediction(np.array([1.0], np.float32), "happy", 1.0)
    faces = tuple(TrackedFace(Track(number, box, 1.0, 0.0), read, read) for number, box in enumerate(boxes, start=1))
    return FrameResult(Frame(image, at), faces, {})


def test_blur_hides_the_face_a_margin_around_it_and_gaps() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (240, 320, 3)).astype(np.uint8)
    blur, box = FaceBlur(), FaceBox(100, 80, 60, 60)
    hidden = blur.apply(result(image, 0.0, box)).frame.image
    assert hidden is not image
    colours = {tuple(pixel) for pixel in hidden[66:154, 86:174].reshape(-1, 3)}
    assert len(colours) <= 36, "six by six cells at most, 15 pixels around the box too"
    assert (hidden[:60] == image[:60]).all()
    assert (hidden[:, :80] == image[:, :80]).all()
    gap = blur.apply(result(image, 0.9)).frame.image
    assert (gap[80:140, 100:160] == hidden[80:140, 100:160]).all()
    assert (blur.apply(result(image, 1.2)).frame.image == image).all()


def test_a_blurred_run_records_no_face(command: Run, tmp_path: Path) -> None:
    config, lines = tmp_path / "config.toml", tmp_path / "out.jsonl"
    config.write_text("blur = true\n")
    sharpness: list[float] = []
    for name, options in (("plain.mkv", ()), ("hidden.mkv", ("--config", config))):
        outputs = ("--record", tmp_path / name, "--json", lines)
        done = command("fer-edge", "run", "demo", "--max-frames", 20, *outputs, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        capture = cv2.VideoCapture(str(tmp_path / name))
        while (read := capture.read())[0]:
            last = cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY).astype(float)
        (face,) = json.loads(lines.read_text().splitlines()[-1])["faces"]
        x, y, width, height = (round(side) for side in face["box"])
        inner = last[y + height // 5 : y + height * 4 // 5, x + width // 5 : x + width * 4 // 5]
        assert ("use --detector mediapipe" in done.stderr) == (name == "hidden.mkv")
        sharpness.append(float(np.mean(np.diff(inner, axis=1) != 0)))  # a coarse pixel is of one grey
    assert sharpness[1] < 0.6 * sharpness[0], sharpness
