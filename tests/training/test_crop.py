"""From a folder of photographs to a trained model, as somebody with their own does it."""

import csv
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from logging.handlers import BufferingHandler
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.config import DetectorConfig
from fer_edge.detectors import open_detector
from fer_edge.errors import ConfigError, DataError
from fer_edge.images import read_image
from fer_edge.labels import FER2013
from fer_edge.preprocess import crop_face
from fer_edge.sources.demo import DemoSource, Scene
from fer_edge.types import FaceBox
from fer_train.data.datasets import load_dataset
from fer_train.explore.crop import Photograph, crop_photographs

PHOTOGRAPHS_A_CLASS = 5


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered photographs: each shows a composite face somewhere in a scene."""
    folder = tmp_path_factory.mktemp("photographs")
    with DemoSource(paced=False) as demo:
        for label in FER2013:
            (folder / label).mkdir()
            for index in range(PHOTOGRAPHS_A_CLASS):
                side = 180.0 + 12 * index
                scene = Scene(label, label, 0, FaceBox(30.0 + 70 * index, 60.0 + 20 * index, side, side))
                cv2.imwrite(str(folder / label / f"IMG {index}.jpg"), demo.render(scene))
    return folder


def told(faces: Path) -> dict[str, tuple[str, str]]:
    """Finding and split of each photograph, by name."""
    with (faces / "photographs.csv").open(newline="") as handle:
        return {Path(row["photograph"]).name: (row["finding"], row["split"]) for row in csv.DictReader(handle)}


@pytest.mark.slow
def test_photographs_become_faces_and_the_faces_a_model(command: Run, photographs: Path, tmp_path: Path) -> None:
    faces, out = tmp_path / "my faces", tmp_path / "run"
    done = command("fer-train", "crop", photographs, faces)
    assert done.returncode == 0, done.stderr
    assert f"Next: fer-train fit --data '{faces}' --recipe photographs --init ferplus7 --out runs/mine" in done.stdout
    train, validation = load_dataset(faces, "train"), load_dataset(faces, "validation")
    assert len(train) + len(validation) >= 0.8 * PHOTOGRAPHS_A_CLASS * len(FER2013)
    assert np.bincount(validation.classes).tolist() == [1] * len(FER2013)
    composites = load_composites()
    for image, label in zip(train.images, train.classes, strict=True):
        middle = image[10:-8, 10:-10]
        likeness = cv2.matchTemplate(composites[train.labels[label]], middle, cv2.TM_CCOEFF_NORMED).max()
        assert likeness > 0.7, train.labels[label]
    options = ("--data", faces, "--recipe", "photographs", "--architecture", "cnn-small", "--epochs", 1, "--out", out)
    done = command("fer-train", "fit", *options, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (out / "model.keras").is_file()


def test_the_split_depends_on_the_photographs_not_on_their_names(
    command: Run, photographs: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "renamed"
    shutil.copytree(photographs / "sad", renamed / "Sad")
    for path in (renamed / "Sad").iterdir():
        path.rename(path.with_name(f"{9 - int(path.stem[-1])}.jpg"))
    shutil.copytree(photographs / "sad", tmp_path / "first" / "sad")
    for source in ("first", "renamed"):
        done = command("fer-train", "crop", tmp_path / source, tmp_path / f"{source} faces", "--validation", 0.4)
        assert done.returncode == 0, done.stderr
    first, second = (load_dataset(tmp_path / f"{source} faces", "validation") for source in ("first", "renamed"))
    assert len(first) == 2
    assert {face.tobytes() for face in first.images} == {face.tobytes() for face in second.images}


def test_photographs_without_a_face_with_several_or_broken(command: Run, photographs: Path, tmp_path: Path) -> None:
    source = tmp_path / "photographs" / "happy"
    (source / "holiday").mkdir(parents=True)
    one, other = (cv2.imread(str(photographs / "happy" / f"IMG {index}.jpg")) for index in (0, 3))
    assert one is not None
    assert other is not None
    third = cv2.imread(str(photographs / "sad" / "IMG 0.jpg"))
    assert third is not None
    small = cv2.resize(third, None, fx=0.6, fy=0.6)
    both = np.full((480, 1100, 3), 110, np.uint8)
    both[: small.shape[0], : small.shape[1]] = small
    both[:, 460:] = other
    pictures = (("one.png", one), ("same.png", one), ("two.png", both), ("none.png", one[:60]))
    for name, image in (*pictures, ("holiday/one.png", other), ("../outside.png", one)):
        cv2.imwrite(str(source / name), image)
    (source / "phone.heic").write_bytes(b"ftypheic")
    (source / ".DS_Store").write_bytes(b"not a photograph")
    done = command("fer-train", "crop", tmp_path / "photographs", tmp_path / "faces")
    assert done.returncode == 0, done.stderr
    assert "1 files are in no class folder and are skipped, the first is outside.png" in done.stderr
    written = sorted((tmp_path / "faces").glob("*/happy/*.png"))
    assert [path.parts[-3] for path in written] == ["train", "train", "validation"]
    assert sorted(path.name[:7] for path in written) == ["one.png", "one.png", "two.png"], "of two folders, by one name"
    findings = told(tmp_path / "faces")
    assert {name: finding for name, (finding, _) in findings.items()} == {
        "one.png": "one face",
        "same.png": "twice",
        "two.png": "several faces",
        "none.png": "no face",
        "phone.heic": "cannot be read",
    }
    row = next(line for line in done.stdout.splitlines() if "│ happy" in line)
    assert [cell.strip() for cell in row.split("│")[2:-1]] == ["6", "2", "1", "1", "1", "1", "1"]
    assert f"{source / 'two.png'}: several faces, the largest is used" in done.stdout
    assert f"{source / 'none.png'}: no face" in done.stdout
    taken = cv2.imread(str(next((tmp_path / "faces").glob("*/happy/two.png.*.png"))), cv2.IMREAD_GRAYSCALE)
    assert taken is not None
    likeness = {
        label: cv2.matchTemplate(face, taken[8:-8, 8:-8], cv2.TM_CCOEFF_NORMED).max()
        for label, face in load_composites().items()
    }
    assert likeness["happy"] > 0.8
    assert max(likeness, key=lambda label: likeness[label]) == "happy", "the larger is taken"


@pytest.mark.parametrize(
    ("names", "telling"),
    [
        ([], "no photographs"),
        (["bored/a.png"], "unknown class 'bored'"),
        (["happy/a.png"], "no face in any of 1 photographs"),
    ],
)
def test_what_cannot_be_cropped_is_one_line_and_leaves_nothing(
    command: Run, tmp_path: Path, names: list[str], telling: str
) -> None:
    source = tmp_path / "photographs"
    source.mkdir()
    for name in names:
        (source / name).parent.mkdir()
        cv2.imwrite(str(source / name), np.full((90, 90), 128, np.uint8))
    done = command("fer-train", "crop", source, tmp_path / "faces")
    assert done.returncode == 2
    assert telling in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photographs"]
    done = command("fer-train", "crop", source, source.parent)
    assert done.returncode == 2
    assert "is not an empty folder" in done.stderr


def test_real_portraits(command: Run, tmp_path: Path) -> None:
    media = Path(os.environ.get("FER_MEDIA", "/nonexistent"))
    if not (media / "portrait_a.jpg").is_file():
        pytest.skip("FER_MEDIA is not set to a folder with portrait_a.jpg")
    (tmp_path / "photographs" / "happy").mkdir(parents=True)
    for photograph in media.glob("*.jpg"):
        shutil.copy(photograph, tmp_path / "photographs" / "happy")
    done = command("fer-train", "crop", tmp_path / "photographs", tmp_path / "faces")
    assert done.returncode == 0, done.stderr
    assert {name: finding for name, (finding, _) in told(tmp_path / "faces").items()} == {
        "portrait_a.jpg": "one face",
        "portrait_b.jpg": "one face",
        "two_people.jpg": "several faces",
    }


# In this process


@dataclass
class Cropped:
    """A folder of photographs and what became of it."""

    source: Path
    out: Path
    found: dict[str, Photograph]
    shown: list[str]
    warnings: list[str]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small photographs with one face, with two, with none, twice, and outside of a class."""
    source = tmp_path_factory.mktemp("small") / "photographs"
    (source / "happy" / "holiday").mkdir(parents=True)
    (source / "Sad").mkdir()
    with DemoSource(paced=False) as demo:
        for name, label, side in (
            ("happy/one.png", "happy", 180.0),
            ("happy/holiday/one.png", "happy", 220.0),
            ("Sad/a.png", "sad", 190.0),
            ("Sad/b.png", "sad", 230.0),
        ):
            image = demo.render(Scene(label, label, 0, FaceBox(120.0, 90.0, side, side)))
            cv2.imwrite(str(source / name), image[60:350, 90:380])
    large, small = (cv2.imread(str(source / name)) for name in ("Sad/b.png", "happy/one.png"))
    assert large is not None
    assert small is not None
    cv2.imwrite(str(source / "happy" / "two.png"), np.hstack([small, large]))
    shutil.copy(source / "happy" / "one.png", source / "Sad" / "one again.png")
    cv2.imwrite(str(source / "happy" / "none.png"), small[:60])
    (source / "happy" / "text.jpg").write_text("text")
    for name in ("outside.png", "another.png"):
        shutil.copy(source / "Sad" / "a.png", source / name)
    return source


@pytest.fixture
def cropped(source: Path, tmp_path: Path) -> Cropped:
    out, shown = tmp_path / "faces", []

    def show(paths: list[Path]) -> Iterator[Path]:
        for path in paths:
            shown.append(str(path.relative_to(source)))
            yield path

    log, kept = logging.getLogger("fer_train.explore.crop"), BufferingHandler(9)
    log.addHandler(kept)
    found = crop_photographs(source, out, 0.34, show)
    log.removeHandler(kept)
    warnings = [record.getMessage() for record in kept.buffer]
    return Cropped(source, out, {str(each.path.relative_to(source)): each for each in found}, shown, warnings)


def test_each_photograph_has_its_finding_and_the_class_of_its_folder(cropped: Cropped) -> None:
    assert {name: (each.finding, each.label) for name, each in cropped.found.items()} == {
        "Sad/a.png": ("one face", "sad"),
        "Sad/b.png": ("one face", "sad"),
        "Sad/one again.png": ("one face", "sad"),
        "happy/holiday/one.png": ("one face", "happy"),
        "happy/none.png": ("no face", "happy"),
        "happy/one.png": ("twice", "happy"),
        "happy/text.jpg": ("cannot be read", "happy"),
        "happy/two.png": ("several faces", "happy"),
    }
    assert cropped.shown == list(cropped.found), "the progress sees each once"
    for name, each in cropped.found.items():
        content = (cropped.source / name).read_bytes()
        assert each.digest == ("" if name.endswith(".jpg") else hashlib.sha256(content).hexdigest())
        has_face = each.finding in {"one face", "several faces"}
        assert (each.face is not None, each.split is not None) == (has_face, has_face)


def test_a_face_is_cropped_as_the_runtime_does_and_of_several_the_largest(cropped: Cropped) -> None:
    detector, image = open_detector(DetectorConfig()), read_image(cropped.source / "happy" / "two.png")
    assert image is not None
    small, large = sorted(detector.detect(image), key=lambda box: box.width)
    assert small.width < large.width
    face = cropped.found["happy/two.png"].face
    assert face is not None
    assert face.shape == (48, 48)
    assert np.array_equal(face, crop_face(image, large, detector.crop_calibration))


def test_the_smallest_hashes_of_each_class_are_for_validation(cropped: Cropped) -> None:
    for label, count in (("happy", 2), ("sad", 3)):
        mine = [each for each in cropped.found.values() if each.label == label and each.face is not None]
        assert len(mine) == count
        first = min(mine, key=lambda each: each.digest)
        assert {each.split for each in mine if each is not first} == {"train"}
        assert first.split == "validation"


def test_each_face_is_written_below_its_split_and_class(cropped: Cropped) -> None:
    expected = {
        f"{each.split}/{each.label}/{each.path.name}.{each.digest[:8]}.png": each.face
        for each in cropped.found.values()
        if each.face is not None
    }
    written = {str(path.relative_to(cropped.out)): path for path in cropped.out.rglob("*.png")}
    assert written.keys() == expected.keys()
    for name, path in written.items():
        image, face = read_image(path, grey=True), expected[name]
        assert image is not None
        assert face is not None
        assert np.array_equal(image, face)
    assert sorted(path.name for path in cropped.out.parent.iterdir()) == ["faces"]


def test_the_list_names_each_photograph_with_its_finding_and_split(cropped: Cropped) -> None:
    with (cropped.out / "photographs.csv").open(newline="", encoding="utf-8") as handle:
        first, *rows = csv.reader(handle)
    assert first == ["photograph", "class", "finding", "split"]
    assert rows == [[str(each.path), each.label, each.finding, each.split or ""] for each in cropped.found.values()]


def test_what_is_in_no_class_folder_is_counted(cropped: Cropped) -> None:
    assert cropped.warnings == [
        f"{cropped.source}: 2 files are in no class folder and are skipped, the first is another.png"
    ]


def test_without_a_photograph_or_a_face_nothing_is_written(tmp_path: Path) -> None:
    source, out = tmp_path / "photographs", tmp_path / "faces"

    def refusal() -> str:
        with pytest.raises(DataError) as refused:
            crop_photographs(source, out, 0.2)
        assert not out.exists()
        return str(refused.value)

    assert refusal() == f"{source}: no such folder. Give a folder that holds one folder of photographs per class"
    (source / "happy").mkdir(parents=True)
    assert refusal() == f"{source}: no photographs. Expected {source}/<class>/<photograph>.jpg"
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(source / "happy" / name), np.full((90, 90), 10 * ord(name[0]) % 256, np.uint8))
    assert refusal() == f"{source}: no face in any of 2 photographs"


def test_faces_go_into_a_new_folder_that_can_be_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "photographs"
    (mine / "sad").mkdir(parents=True)
    shutil.copy(source / "Sad" / "a.png", mine / "sad" / "ärgerlich.png")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="sad: is not an empty folder"):
        crop_photographs(mine, mine / "sad", 0.5)
    below = tmp_path / "file" / "faces"
    with pytest.raises(ConfigError) as refused:
        crop_photographs(mine, below, 0.5)
    assert str(refused.value) == f"{below}: cannot be written (Not a directory)"
    monkeypatch.chdir(tmp_path)
    left = tmp_path / "new" / ".faces.part"
    left.mkdir(parents=True)
    (left / "left by a crash").touch()
    crop_photographs(mine, Path("new", "faces"), 0.5)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["faces"]
    assert sorted(path.name for path in (tmp_path / "new" / "faces").iterdir()) == ["photographs.csv", "train"]
    assert "ärgerlich" in (tmp_path / "new" / "faces" / "photographs.csv").read_text(encoding="utf-8")
