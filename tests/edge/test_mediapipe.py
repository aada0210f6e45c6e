"""MediaPipe's models by the TFLite runtime. They are downloaded: without them these tests skip, and say so."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run
from tests.screen import run_in_terminal

from fer_edge.assets.composites import load_composites
from fer_edge.config import DetectorConfig, TrackerConfig
from fer_edge.detectors import Detector, open_detector, scan
from fer_edge.detectors.blazeface import BlazeFace, letterbox
from fer_edge.detectors.mediapipe_files import FULL_RANGE, SHORT_RANGE, find_models, has_models
from fer_edge.errors import ConfigError
from fer_edge.geometry import iou
from fer_edge.images import read_image
from fer_edge.preprocess import crop_face
from fer_edge.tracking.tracker import Tracker
from fer_edge.types import FaceBox, Frame, Image

needs_models = pytest.mark.skipif(not has_models(), reason="no models: fer-edge models fetch mediapipe")

SIDE = 200
PLACE = FaceBox(220, 140, SIDE, SIDE)


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    detector = open_detector(DetectorConfig(name="mediapipe"))
    yield detector
    detector.close()


def scene(tilt: float = 0, place: FaceBox = PLACE, size: tuple[int, int] = (640, 480), grey: int = 110) -> Image:
    """A composite face on grey, turned clockwise about its middle."""
    side = round(place.width)
    face = cv2.resize(load_composites()["happy"], (side, side), interpolation=cv2.INTER_AREA)
    image = np.full((size[1], size[0]), grey, np.uint8)
    left, top = round(place.x), round(place.y)
    image[top : top + side, left : left + side] = face
    turn = cv2.getRotationMatrix2D((left + side / 2, top + side / 2), -tilt, 1.0)
    turned = cv2.warpAffine(image, turn, size, borderValue=grey)
    return np.asarray(cv2.merge([turned, turned, turned]), np.uint8)


@needs_models
def test_it_finds_the_face_where_fer2013_would_crop_it(detector: Detector) -> None:
    (box,) = detector.detect(scene())
    assert iou(detector.crop_calibration.apply(box), PLACE) > 0.8
    assert abs(box.roll) < 15
    (near,) = detector.detect_near(scene(), FaceBox(200, 130, 190, 190))
    assert iou(near, box) > 0.8
    assert abs(near.roll) < 8
    assert detector.detect_near(scene(), FaceBox(10, 10, 40, 40)) == []
    assert detector.detect_near(scene(), FaceBox(900, 10, 40, 40)) == [], "outside"


@needs_models
@pytest.mark.parametrize("tilt", [-35, 35])
def test_the_roll_of_a_tilted_head_is_corrected(detector: Detector, tilt: int) -> None:
    (upright,) = detector.detect_near(scene(), PLACE)
    (tilted,) = detector.detect_near(scene(tilt), PLACE)
    assert tilted.roll == pytest.approx(tilt, abs=10)
    expected = crop_face(scene(), upright, detector.crop_calibration)

    def likeness(box: FaceBox) -> float:
        return float(
            np.corrcoef(expected.ravel(), crop_face(scene(tilt), box, detector.crop_calibration).ravel())[0, 1]
        )

    assert likeness(tilted) > likeness(replace(tilted, roll=0.0)) + 0.2


@needs_models
def test_an_empty_picture_has_no_face(detector: Detector) -> None:
    assert detector.detect(np.full((480, 640, 3), 90, np.uint8)) == []


@needs_models
@pytest.mark.parametrize(("width", "height"), [(640, 360), (640, 480), (360, 640), (1920, 1080)])
def test_the_first_part_is_the_whole_frame_and_the_others_are_tiles_of_it(
    detector: Detector, width: int, height: int
) -> None:
    whole, *others = detector.regions(width, height)
    assert whole == FaceBox(0, 0, width, height)
    assert 10 <= len(others) <= 16
    assert all(0 <= tile.x <= width - tile.width and 0 <= tile.y <= height - tile.height for tile in others)
    assert len({(tile.x, tile.y, tile.width) for tile in others}) == len(others)


@needs_models
def test_tiles_for_faces_that_are_not_wanted_are_left_out() -> None:
    counts = [
        len(open_detector(DetectorConfig(name="mediapipe", min_face=least)).regions(640, 360)) for least in (20, 30, 60)
    ]
    assert counts[0] > counts[1] > counts[2] == 1


@needs_models
@pytest.mark.parametrize("x", [8, 310, 590])
def test_a_small_face_is_found_in_tiles_and_where_it_is(detector: Detector, x: int) -> None:
    place = FaceBox(x, 200, 26, 26)
    image = scene(place=place, size=(640, 360), grey=20)
    whole, *tiles = (detector.detect(image, part) for part in range(len(detector.regions(640, 360))))
    boxes = [box for found in tiles for box in found]
    assert boxes
    assert all(iou(detector.crop_calibration.apply(box), place) > 0.4 for box in boxes)
    assert all(box.score >= 0.6 for box in boxes)
    (once,) = detector.detect(image)
    assert once in [*whole, *boxes], "the full scan reports it once"


@needs_models
@pytest.mark.parametrize(("size", "side"), [((1280, 720), 30), ((1920, 1080), 50)])
def test_a_still_image_has_finer_tiles_for_smaller_faces(detector: Detector, size: tuple[int, int], side: int) -> None:
    place = FaceBox(0.7 * size[0], 0.6 * size[1], side, side)
    image = scene(place=place, size=size, grey=20)
    assert not [box for part in range(len(detector.regions(*size))) for box in detector.detect(image, part)]
    (box,) = detector.detect(image)
    assert iou(detector.crop_calibration.apply(box), place) > 0.6


@needs_models
def test_tiles_are_searched_in_the_large_picture_and_the_whole_frame_in_the_small_one(detector: Detector) -> None:
    place = FaceBox(1400, 700, 60, 60)
    frame = Frame(scene(place=place, size=(1920, 1080), grey=20), small=np.zeros((180, 320, 3), np.uint8))
    found = [box for part in range(len(detector.regions(1920, 1080))) for box in scan(detector, frame, part)]
    assert found, "the small picture shows nothing"
    assert all(iou(detector.crop_calibration.apply(box), place) > 0.4 for box in found)
    large = Frame(scene(place=FaceBox(1200, 300, 500, 500), size=(1920, 1080)))
    small = replace(large, image=np.zeros_like(large.image), small=np.asarray(cv2.resize(large.image, (320, 180))))
    (box,) = scan(detector, small, 0)
    assert iou(detector.crop_calibration.apply(box), FaceBox(1200, 300, 500, 500)) > 0.8


@needs_models
@pytest.mark.parametrize("name", ["happy", "neutral", "surprise", "sad", "angry"])
def test_a_face_that_fills_a_still_picture_is_found(detector: Detector, name: str) -> None:
    face = np.asarray(cv2.cvtColor(load_composites()[name], cv2.COLOR_GRAY2BGR), np.uint8)
    boxes = detector.detect(face)
    assert len(boxes) == 1
    assert iou(detector.crop_calibration.apply(boxes[0]), FaceBox(0, 0, face.shape[1], face.shape[0])) > 0.7


@needs_models
def test_the_threshold_is_the_score_from_which_a_box_is_a_face() -> None:
    (box,) = open_detector(DetectorConfig(name="mediapipe")).detect(scene(), 0)
    above, below = (
        open_detector(DetectorConfig(name="mediapipe", min_score=box.score + step)).detect(scene(), 0)
        for step in (0.01, -0.01)
    )
    assert not above
    assert len(below) == 1


@needs_models
def test_a_model_file_or_a_folder_can_be_configured() -> None:
    models = find_models()
    single = open_detector(DetectorConfig(name="mediapipe", model=models[SHORT_RANGE]))
    assert len(single.detect(scene(), 0)) == 1
    folder = open_detector(DetectorConfig(name="mediapipe", model=models[FULL_RANGE].parent))
    assert len(folder.detect(scene(), 0)) == 1


def test_a_wrong_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detector.model: .*none.tflite: cannot be read \(No such file"):
        open_detector(DetectorConfig(name="mediapipe", model=tmp_path / "none.tflite"))
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    with pytest.raises(ConfigError, match=r"detector.model: .*bad.tflite: not a TFLite model"):
        open_detector(DetectorConfig(name="mediapipe", model=tmp_path / "bad.tflite"))


@needs_models
def test_a_whole_run(command: Run, demo_video: Path) -> None:
    done = command("fer-edge", "run", "--detector", "mediapipe", demo_video, "--json", "-")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 90
    assert sum(len(line["faces"]) == 1 for line in lines) > 80
    early = [face["label"] for line in lines[:60] for face in line["faces"]]
    assert early.count("happy") > 0.8 * len(early)


@needs_models
def test_the_doctor_and_the_start_line_recommend_it(command: Run, demo_video: Path) -> None:
    finding = command("fer-edge", "doctor").stdout.replace("│", " ")  # however the table breaks its lines
    assert "--detector mediapipe finds more" in " ".join(finding.split())
    program: list[str | Path] = [Path(sys.executable).with_name("fer-edge"), "run", demo_video, "--max-frames", "2"]
    data_home = Path(os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser())
    for chosen in ((), ("--detector", "haar")):
        _, screen = run_in_terminal([*program, *chosen], data_home=data_home)
        assert ("--detector mediapipe finds more" in " ".join(screen.lines)) == (not chosen)


def test_without_the_models_one_line_says_how_to_get_them(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("mediapipe"):
        pytest.skip("mediapipe is installed, and brings them")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = command("fer-edge", "run", "demo", "--detector", "mediapipe", env=None)
    assert done.returncode == 2
    fix = "fer-edge models fetch mediapipe"
    assert done.stderr.strip() == f"error: MediaPipe's models are not installed. Fix: {fix}"


def pictures() -> list[Image]:
    """Two hundred: faces of many sizes, tilts and places on noise, and what photographs FER_MEDIA holds."""
    rng = np.random.default_rng(0)
    paths = sorted(Path(os.environ["FER_MEDIA"]).glob("**/*.jpg")) if "FER_MEDIA" in os.environ else []
    found = [image for image in map(read_image, paths) if image is not None]
    while len(found) < 200:
        side = int(rng.integers(40, 300))
        width, height = int(rng.integers(side + 1, 900)), int(rng.integers(side + 1, 700))
        place = FaceBox(int(rng.integers(0, width - side)), int(rng.integers(0, height - side)), side, side)
        image = scene(float(rng.uniform(-30, 30)), place, (width, height), int(rng.integers(0, 255)))
        found.append(np.asarray(np.clip(image + rng.normal(0, 8, image.shape), 0, 255), np.uint8))
    return found


@pytest.mark.skipif(
    find_spec("mediapipe") is None, reason="the mediapipe package is not installed: make test-mediapipe"
)
@pytest.mark.parametrize(("selection", "name", "min_score"), [(0, SHORT_RANGE, 0.5), (1, FULL_RANGE, 0.6)])
def test_boxes_are_those_of_the_mediapipe_package(selection: int, name: str, min_score: float) -> None:
    """Given the same scaled picture: ours is averaged, which mediapipe does not do."""
    from mediapipe.python.solutions.face_detection import FaceDetection

    network = BlazeFace(find_models()[name].read_bytes())
    reference = FaceDetection(model_selection=selection, min_detection_confidence=min_score)
    compared = 0
    for image in pictures():
        whole = FaceBox(0, 0, image.shape[1], image.shape[0])
        entry, to_picture = letterbox(image, whole, network.side)
        square = np.rint((entry[0] + 1) * 127.5).astype(np.uint8)
        theirs = []
        for found in reference.process(square).detections or ():
            box = found.location_data.relative_bounding_box
            corners = np.array([[box.xmin, box.ymin], [box.xmin + box.width, box.ymin + box.height]]) * network.side
            (left, top), (right, bottom) = corners * to_picture.scale + to_picture.offset
            theirs.append(FaceBox(left, top, right - left, bottom - top, found.score[0]))
        ours = network.find(image, whole, min_score)
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, sorted(theirs, key=lambda box: -box.score), strict=True):
            assert iou(mine, other) >= 0.98
            assert mine.score == pytest.approx(other.score, abs=0.01)
        compared += len(ours)
    reference.close()
    assert compared > 100


@needs_models
def test_a_face_beyond_doubt_is_shown_in_its_first_frame(detector: Detector) -> None:
    tracks = Tracker(TrackerConfig()).update(detector, Frame(scene(), 0.0, 0))
    assert len(tracks) == 1
