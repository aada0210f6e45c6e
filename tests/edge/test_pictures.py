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


@pytest.mark.slow
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


def test_subfolders_are_read_when_asked_for_and_what_is_skipped_is_counted(
    command: Run, pictures: Path, tmp_path: Path
) -> None:
    for folder in ("b/deep", "a", ".thumbnails"):
        (pictures / folder).mkdir(parents=True)
        shutil.copy(pictures / "tiny.png", pictures / folder / "tiny.png")
    (pictures / "a" / "broken.jpg").write_bytes(b"no picture")
    (pictures / "a" / "notes.txt").write_text("no picture")
    (pictures / "loop").symlink_to(pictures)
    plain = command("fer-edge", "run", pictures)
    assert "'a', 'b', 'loop'. Subfolders are read with --recursive" in plain.stderr
    out = tmp_path / "out"
    done = command("fer-edge", "run", pictures, "--recursive", "--record", out, "--csv", tmp_path / "faces.csv")
    assert done.returncode == 0, done.stderr
    names = [line.split("│")[1].strip() for line in done.stdout.splitlines() if line.startswith("│")]
    assert names == ["a/tiny.png", "b/deep/tiny.png", "large.jpg", "nobody.png", "tiny.png"]
    assert "skipped, since they are no images: 'a/notes.txt'\n" in done.stderr
    assert "5 frames, 1 skipped in " in done.stderr
    copies = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert copies == [
        "a/tiny.annotated.png",
        "b/deep/tiny.annotated.png",
        "large.annotated.jpg",
        "nobody.annotated.png",
        "tiny.annotated.png",
    ]
    inside = command("fer-edge", "run", pictures, "--recursive", "--record", pictures / "out")
    assert inside.returncode == 2
    assert "is in the source, and would be read by the next run" in inside.stderr


def test_a_folder_of_subfolders_alone_says_how_to_read_them(command: Run, pictures: Path) -> None:
    above = pictures.parent / "above"
    above.mkdir()
    pictures.rename(above / "pictures")
    done = command("fer-edge", "run", above)
    assert done.returncode == 3
    assert "holds no images" in done.stderr
    assert "Subfolders are read with --recursive" in done.stderr


def test_pictures_of_any_name_are_copied(command: Run, pictures: Path, tmp_path: Path) -> None:
    long = [f"{'x' * 240}{end}.png" for end in ("phone-a-", "phone-b-")]
    (pictures / "tiny.png").rename(pictures / long[0])
    shutil.copy(pictures / long[0], pictures / long[1])
    (pictures / "large.jpg").rename(pictures / "large.jfif")
    (pictures / "nobody.png").rename(pictures / "nobody")
    out = tmp_path / "out"
    done = command("fer-edge", "run", pictures, "--record", out)
    assert done.returncode == 0, done.stderr
    copies = sorted(path.name for path in out.iterdir())
    assert copies[:2] == ["large.jfif.annotated.jpg", "nobody.annotated.jpg"]
    assert len(set(copies)) == 4
    assert all(name.startswith("xxx") and name.endswith(".annotated.png") for name in copies[2:])
    assert all(cv2.imread(str(out / name)) is not None for name in copies)
