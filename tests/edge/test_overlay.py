"""What is drawn on pictures: readable, beside the faces, and the same in recordings as on the screen."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from tests.conftest import Run

from fer_edge.labels import FER2013
from fer_edge.sinks.overlay import COLOURS, draw
from fer_edge.sinks.text import draw_mask, text_mask
from fer_edge.types import FaceBox, Frame, FrameResult, Image, Prediction, Track, TrackedFace

FONT = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


def result(*boxes: FaceBox, size: tuple[int, int] = (640, 480), label: str = "happy") -> FrameResult:
    """Faces on a picture of noise, which shows whatever is drawn on it."""
    noise = np.random.default_rng(0).integers(60, 200, (size[1], size[0], 3)).astype(np.uint8)
    read = Prediction(np.array([0.05, 0, 0, 0.9, 0.05, 0, 0], np.float32), label, 0.9)
    faces = tuple(TrackedFace(Track(number, box, 1, 0), read, read) for number, box in enumerate(boxes, start=1))
    return FrameResult(Frame(noise), faces, {})


def rendered(text: str, em: int) -> Image:
    """The text as another library draws it with the same font, light on dark."""
    font = ImageFont.truetype(str(FONT), em)
    picture = Pillow.new("L", (round(font.getlength(text)) + 2, round(1.3 * em)))
    ImageDraw.Draw(picture).text((1, em), text, 255, font, anchor="ls")
    return np.asarray(picture, np.uint8)


def likeness(picture: Image, text: str, em: int) -> float:
    """How much the place of a picture that is most like this text resembles it, -1..1."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return float(cv2.matchTemplate(grey, rendered(text, em), cv2.TM_CCOEFF_NORMED).max())


@pytest.mark.parametrize(("size", "em"), [((320, 240), 12), ((640, 480), 26), ((1920, 1080), 58)])
def test_label_and_classes_can_be_read_in_every_size(size: tuple[int, int], em: int) -> None:
    unit = size[1] / 480
    drawn = draw(result(FaceBox(200 * unit, 150 * unit, 150 * unit, 150 * unit), size=size))
    assert likeness(drawn, "happy 90%", em) > 0.75
    assert likeness(drawn, "sad 90%", em) < likeness(drawn, "happy 90%", em) - 0.1
    for name in FER2013:
        assert likeness(drawn, name, max(2 * round(8 * unit), 10)) > 0.6, name


def test_the_longest_bar_is_that_of_the_most_probable_class() -> None:
    drawn = draw(result(FaceBox(200, 150, 150, 150)))
    beside = drawn[150:330, 356:470]
    lengths = {name: int((beside == COLOURS[name]).all(axis=2).sum(axis=1).max()) for name in FER2013}
    assert max(lengths, key=lambda name: lengths[name]) == "happy"
    assert lengths["happy"] == pytest.approx(18 * lengths["angry"], rel=0.3)


@pytest.mark.parametrize(
    "boxes",
    [
        [FaceBox(245, 165, 150, 150)],
        [FaceBox(0, 0, 150, 150)],
        [FaceBox(490, 330, 150, 150)],
        [FaceBox(120, 40, 400, 400)],
        [FaceBox(100, 100, 150, 150), FaceBox(270, 110, 140, 140), FaceBox(430, 90, 150, 150)],
        [FaceBox(x, y, 60, 60) for x in (60, 290, 520) for y in (60, 210, 360)],
    ],
)
def test_no_face_is_covered(boxes: list[FaceBox]) -> None:
    shown = result(*boxes)
    changed = (draw(shown) != shown.frame.image).any(axis=2)
    for box in boxes:
        face = changed[
            round(box.y) + 4 : round(box.y + box.height) - 3, round(box.x) + 4 : round(box.x + box.width) - 3
        ]
        assert not face.any(), box
    assert changed.any()


def test_texts_do_not_cover_one_another() -> None:
    boxes = [FaceBox(100, 100, 100, 100), FaceBox(220, 110, 100, 100)]
    alone = [(draw(result(box)) != result().frame.image).any(axis=2) for box in boxes]
    assert (alone[0] & alone[1]).any(), "each would take the same place"
    both = draw(result(*boxes))
    assert likeness(both, "happy 90%", 26) > 0.9
    grey = cv2.cvtColor(both, cv2.COLOR_BGR2GRAY)
    found = [cv2.matchTemplate(grey, rendered("happy 90%", em), cv2.TM_CCOEFF_NORMED) > 0.8 for em in (26, 18)]
    assert sum(cv2.connectedComponents(np.asarray(hits, np.uint8))[0] - 1 for hits in found) == 2


@pytest.mark.parametrize("size", [(16, 16), (64, 48), (3000, 40), (40, 3000)])
def test_odd_sizes_do_no_harm(size: tuple[int, int]) -> None:
    box = FaceBox(-5, -5, size[0] / 2, size[1] / 2)
    assert draw(result(box, FaceBox(0, 0, 1, 1), size=size), status="30 fps").shape == (size[1], size[0], 3)


def test_letters_that_the_font_lacks_become_squares() -> None:
    box = FaceBox(200, 150, 150, 150)
    assert likeness(draw(result(box, label="счастье 😀")), "□□□□□□□ □ 90%", 26) > 0.8
    assert likeness(draw(result(box, label="Überraschung")), "Überraschung 90%", 26) > 0.8


def test_colours_differ_for_colour_blind_people_too() -> None:
    # Machado, Oliveira & Fernandes (2009), severity 1: what protanopes and deuteranopes see, in linear RGB.
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    for matrix in (np.eye(3), np.array(protan), np.array(deutan)):
        seen = {name: lab(matrix @ linear(colour)) for name, colour in COLOURS.items()}
        for one, other in combinations(FER2013, 2):
            assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def linear(bgr: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    values = np.array(bgr[::-1]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """CIE L*a*b* of linear RGB: a distance of 2.3 is just noticeable."""
    found = cv2.cvtColor(np.clip(rgb, 0, 1).astype(np.float32).reshape(1, 1, 3), cv2.COLOR_LRGB2Lab)
    return np.asarray(found).reshape(3)


@pytest.mark.parametrize("score", [False, True])
def test_a_recording_shows_label_and_score(command: Run, tmp_path: Path, score: bool) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[overlay]\nscore = {str(score).lower()}\n")
    options = (
        "--config",
        config,
        "--max-frames",
        12,
        "--record",
        tmp_path / "out.mkv",
        "--json",
        tmp_path / "out.jsonl",
    )
    done = command("fer-edge", "run", "demo", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *_, line = (tmp_path / "out.jsonl").read_text().splitlines()
    (face,) = json.loads(line)["faces"]
    capture = cv2.VideoCapture(str(tmp_path / "out.mkv"))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    assert likeness(frames[-1], f"{face['label']} {face['confidence']:.0%}", 26) > 0.8
    assert (likeness(frames[-1], f"face {face['score']:.2f}", 16) > 0.7) == score


def test_a_mirrored_picture_has_its_boxes_at_the_faces_and_text_that_can_be_read() -> None:
    shown = result(FaceBox(60, 150, 100, 100))
    drawn = draw(shown, mirror=True)
    columns = np.flatnonzero((drawn[160:240] == COLOURS["happy"]).all(axis=2).all(axis=0))
    assert (columns.min(), columns.max()) == (pytest.approx(480, abs=2), pytest.approx(580, abs=2))
    assert (drawn[160:240, 490:570] == shown.frame.image[160:240, 70:150][:, ::-1]).mean() > 0.95
    assert likeness(drawn, "happy 90%", 26) > 0.75


def test_a_copy_fits_into_a_size_and_keeps_its_proportions() -> None:
    shown = result(FaceBox(320, 240, 160, 120))
    assert draw(shown, (320, 480)).shape == (240, 320, 3)
    drawn = draw(shown, (2000, 240))
    assert drawn.shape == (240, 320, 3)
    columns = np.flatnonzero((drawn[130:170] == COLOURS["happy"]).all(axis=2).all(axis=0))
    assert (columns.min(), columns.max()) == (pytest.approx(160, abs=2), pytest.approx(240, abs=2))


def test_what_is_shown_is_smoothed_and_a_lost_face_is_not_shown() -> None:
    noise = result().frame.image
    raw = Prediction(np.array([0, 0, 0, 0.1, 0.7, 0.2, 0], np.float32), "sad", 0.7)
    smoothed = Prediction(np.array([0, 0, 0, 0.8, 0.2, 0, 0], np.float32), "happy", 0.8)
    box = FaceBox(200, 150, 150, 150)
    drawn = draw(FrameResult(Frame(noise), (TrackedFace(Track(1, box, 1, 0), raw, smoothed),), {}))
    assert likeness(drawn, "happy 80%", 26) > 0.8
    assert not (drawn == COLOURS["sad"]).all(axis=2)[140:310, 190:360].any(), "the box has the label's colour"
    lost = TrackedFace(Track(1, box, 3, 2, visible=False), raw, smoothed)
    assert np.array_equal(draw(FrameResult(Frame(noise), (lost,), {})), noise)


def test_bars_have_the_names_of_the_models_own_labels() -> None:
    shown = result(FaceBox(200, 150, 150, 150))
    drawn = draw(replace(shown, labels=("calm", "bored", "fear", "happy", "sad", "surprise", "neutral")))
    assert likeness(drawn, "calm", 16) > 0.8
    assert likeness(drawn, "bored", 16) > 0.8
    assert likeness(drawn, "disgust", 16) < 0.6


def test_ink_covers_what_the_mask_covers_and_what_lies_outside_is_cut_off() -> None:
    colour, mask = (10, 200, 250), np.full((30, 40), 255, np.uint8)
    mask[0] = 0
    for corner, rows, columns in (
        ((5, 8), slice(9, 38), slice(5, 45)),
        ((-5, -8), slice(0, 22), slice(0, 35)),
        ((80, 40), slice(41, 50), slice(80, 100)),
    ):
        image = np.full((50, 100, 3), 90, np.uint8)
        expected = image.copy()
        expected[rows, columns] = colour
        draw_mask(image, mask, corner, colour)
        assert np.array_equal(image, expected), corner
    image = np.full((50, 100, 3), 90, np.uint8)
    for corner in ((100, 0), (0, 50), (-40, 0), (0, -30)):
        draw_mask(image, mask, corner, colour)
    assert (image == 90).all()


def test_text_has_the_height_of_its_font_and_a_square_for_an_unknown_letter() -> None:
    assert [text_mask("sad", em).shape[0] for em in (0, 2, 20, 50)] == [3, 3, 26, 64]
    assert np.array_equal(text_mask("愛", 20), text_mask("□", 20))


def test_lines_and_bars_of_a_small_picture_are_thin_but_there() -> None:
    shown = result(FaceBox(20, 80, 60, 60), size=(320, 240))
    drawn = draw(replace(shown, frame=replace(shown.frame, image=np.full((240, 320, 3), 200, np.uint8))))
    groove = (drawn == (96, 96, 96)).all(axis=2)
    assert int(groove.sum(axis=0).max()) == 2 * len(FER2013), "two rows for each class"
    tiny = result(FaceBox(20, 15, 20, 20), size=(64, 48))
    box = (draw(tiny) == COLOURS["happy"]).all(axis=2)
    assert box[24, :30].sum() == 1, "its left side is a pixel wide"
