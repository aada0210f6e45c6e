"""Tables, annotated copies and timelines, as a user asks for them."""

import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.labels import FERPLUS8
from fer_edge.sinks.timeline import Timeline
from fer_edge.sources.demo import DemoSource
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A large image with a face, a tiny one that is a face, and one without a face."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    with DemoSource(paced=False) as demo:
        image = next(iter(demo)).image
    cv2.imwrite(str(folder / "large.jpg"), image)
    cv2.imwrite(str(folder / "nobody.png"), image[:100, :100])
    cv2.imwrite(str(folder / "tiny.png"), load_composites()["surprise"])
    return folder


def test_a_folder_gives_a_table_and_annotated_copies(command: Run, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command("fer-edge", "run", "--source", pictures, "--record", out)
    assert done.returncode == 0, done.stderr
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert set(rows) == {"large.jpg", "nobody.png", "tiny.png"}
    assert "happy" in rows["large.jpg"]
    assert "surprise" in rows["tiny.png"]
    assert "nobody" in rows["nobody.png"].split("│")[3]
    sizes = {path.name: cv2.imread(str(path)).shape[:2] for path in out.iterdir()}  # type: ignore[union-attr]
    assert sizes == {
        "large.annotated.jpg": (480, 640),
        "nobody.annotated.png": (480, 480),
        "tiny.annotated.png": (480, 480),
    }


def test_json_on_standard_output_takes_the_tables_place(command: Run, pictures: Path) -> None:
    done = command("fer-edge", "run", "--source", pictures / "large.jpg", "--json", "-")
    assert done.stdout.startswith("{")
    assert "│" not in done.stdout


def test_the_pictures_themselves_are_never_replaced(command: Run, pictures: Path) -> None:
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    for source in (pictures, pictures / "large.jpg"):
        done = command("fer-edge", "run", "--source", source, "--record", pictures)
        assert done.returncode == 2
        assert "Choose another" in done.stderr
    assert {path: path.read_bytes() for path in pictures.iterdir()} == before


def test_pictures_of_other_folders_are_never_replaced_and_copies_are(
    command: Run, pictures: Path, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    album.mkdir()
    (album / "tiny.png").write_bytes(b"another photograph")
    for _ in range(2):
        assert command("fer-edge", "run", "--source", pictures / "tiny.png", "--record", album).returncode == 0
    assert (album / "tiny.png").read_bytes() == b"another photograph"
    assert sorted(path.name for path in album.iterdir()) == ["tiny.annotated.png", "tiny.png"]


def test_a_name_that_is_not_utf8_and_a_strip_are_copied_too(command: Run, pictures: Path, tmp_path: Path) -> None:
    odd, out = tmp_path / "odd", tmp_path / "out"
    odd.mkdir()
    shutil.copy(os.fsencode(pictures / "tiny.png"), os.fsencode(odd) + b"/face\xff.PNG")
    cv2.imwrite(str(odd / "strip.png"), np.zeros((2, 8000, 3), np.uint8))
    done = command("fer-edge", "run", "--source", odd, "--record", out)
    assert done.returncode == 0, done.stderr
    assert sorted(os.fsencode(path.name) for path in out.iterdir()) == [
        b"face\xff.annotated.PNG",
        b"strip.annotated.png",
    ]
    assert cv2.imread(str(out / "strip.annotated.png")).shape == (2, 8000, 3)  # type: ignore[union-attr]


def test_no_output_replaces_a_picture_of_the_source(command: Run, pictures: Path) -> None:
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    done = command("fer-edge", "run", "--source", pictures, "--json", pictures / "tiny.png")
    assert done.returncode == 2
    assert "is also the source file" in done.stderr
    assert {path: path.read_bytes() for path in pictures.iterdir()} == before


def test_a_folder_is_no_recording_of_a_video(command: Run, demo_video: Path, tmp_path: Path) -> None:
    done = command("fer-edge", "run", "--source", demo_video, "--record", tmp_path / "out")
    assert done.returncode == 2
    assert "a video is written as .mp4" in done.stderr


def test_a_video_becomes_a_timeline(command: Run, demo_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "timeline.png"
    done = command("fer-edge", "run", "--source", demo_video, "--plot", out)
    assert done.returncode == 0, done.stderr
    image = cv2.imread(str(out))
    assert image is not None
    yellow = (abs(image.astype(int) - (66, 228, 240)) < 12).all(axis=2).mean()
    assert yellow > 0.15, "two of three seconds are happy"
    assert [path.name for path in tmp_path.iterdir()] == ["timeline.png"]


def test_a_timeline_wants_a_video_and_a_format(command: Run, demo_video: Path, pictures: Path, tmp_path: Path) -> None:
    for source in ("demo", pictures):
        done = command("fer-edge", "run", "--source", source, "--plot", tmp_path / "x.png")
        assert done.returncode == 2
        assert "--plot is for a video" in done.stderr
    kept = Path(shutil.copy(demo_video, tmp_path / "kept.mp4"))
    done = command("fer-edge", "run", "--source", demo_video, "--plot", kept)
    assert done.returncode == 2
    assert "a plot is written as .pdf, .png, .svg" in done.stderr
    assert kept.read_bytes() == demo_video.read_bytes()


def test_a_plot_of_a_day_takes_no_more_memory_than_one_of_minutes(tmp_path: Path) -> None:
    """One face all day, and passers-by."""
    picture = Frame(np.zeros((4, 4, 3), np.uint8), 0.0, 0)
    with Timeline(tmp_path / "day.png") as timeline:
        tracemalloc.start()
        used = []
        for number in range(12_000):
            frame = replace(picture, captured_at=number / 0.15, index=number)
            timeline.emit(FrameResult(frame, (face(1, number), face(2 + number // 4, number)), {}))
            if number % 4000 == 3999:
                used.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert used[-1] < 1.5 * used[0]
    drawn = cv2.imread(str(tmp_path / "day.png"))
    assert drawn is not None
    assert drawn.shape[1] == 1200


def face(identity: int, number: int) -> TrackedFace:
    probabilities = np.roll(np.linspace(0, 2 / 7, 7, dtype=np.float32), number)
    reading = Prediction(probabilities, FERPLUS8[int(probabilities.argmax())], float(probabilities.max()))
    return TrackedFace(Track(identity, FaceBox(0, 0, 48, 48), 1.0, 0.0), reading, reading)
