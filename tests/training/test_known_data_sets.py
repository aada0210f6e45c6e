"""The known data sets in their own layouts, prepared by the commands of docs/data.md; lists of paths; archives."""

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.errors import DataError
from fer_edge.labels import FER2013
from fer_train.data.datasets import LabelledFaces, available_splits, load_dataset

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "data.md").read_text()


def commands(heading: str) -> list[str]:
    """The commands of a section of docs/data.md."""
    section = DOCS.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


def draw(
    path: Path, label: str, size: tuple[int, int] = (60, 80), box: tuple[int, int, int, int] | None = None
) -> None:
    """A colour image of any size whose face, the whole or the box, has a grey level that tells its class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    level = 30 * FER2013.index(label) + 10 if label in FER2013 else 250
    image = np.full((*size, 3), 5 if box else level, np.uint8)
    if box:
        left, top, right, bottom = box
        image[top - 4 : bottom + 4, left - 4 : right + 4] = level  # JPEG blurs the edge
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix == ".jpg" else [])


def labels_of(faces: LabelledFaces) -> list[str]:
    """The labels in order; each must fit its whole image."""
    found = [FER2013[label] for label in faces.classes]
    for image, label in zip(faces.images, found, strict=True):
        assert np.abs(image.astype(int) - 30 * FER2013.index(label) - 10).max() <= 3, label
    return found


def ck_plus(folder: Path) -> dict[str, list[str]]:
    classes = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    ours = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
    for number, label in enumerate(ours):
        person = f"S{10 + number:03d}"
        for frame in (1, 9):
            name = f"{person}_001_{frame:08d}"
            draw(folder / "cohn-kanade-images" / person / "001" / f"{name}.png", label if frame == 9 else "neutral")
        emotion = folder / "Emotion" / person / "001" / f"{name}_emotion.txt"
        emotion.parent.mkdir(parents=True)
        emotion.write_text(f"   {number:.7e}\n")
    assert len(classes) == len(ours)
    # Of S010 to S017, the fifth persons are S010 and S015.
    return {"validation": ["neutral", "happy"], "train": ["angry", "disgust", "fear", "sad", "surprise"]}


def raf_db(folder: Path) -> dict[str, list[str]]:
    ours = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
    lines = []
    for split, count in (("train", 7), ("test", 3)):
        for number, label in enumerate(ours[:count], start=1):
            lines.append(f"{split}_{number:05d}.jpg {number}")
            draw(folder / "Image" / "aligned" / f"{split}_{number:05d}_aligned.jpg", label)
    (folder / "EmoLabel").mkdir()
    (folder / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return {"train": list(ours), "validation": list(ours[:3])}


def affectnet(folder: Path) -> dict[str, list[str]]:
    read = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
    ours = (*read, "contempt", "none", "uncertain", "no face")
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for file, count in (("training.csv", 11), ("validation.csv", 2)):
        lines = [header]
        for number, label in enumerate(ours[:count]):
            name = f"{number}/{file[0]}{number}.jpg"
            draw(folder / "Manually_Annotated_Images" / name, label, (90, 120), (20, 10, 70, 60))
            lines.append(f"{name},20,10,50,50,21.5;30.2;40.1,{number},-0.5,0.25")
        (folder / file).write_text("\n".join(lines) + "\n")
    return {"train": list(read), "validation": list(ours[:2])}


def expw(folder: Path) -> dict[str, list[str]]:
    lines = []
    for number, label in enumerate(FER2013):
        for copy in (1, 2):
            draw(folder / "image" / "origin" / f"{label}_{copy}.jpg", label, (100 + copy, 90), (12, 30, 62, 80))
            lines.append(f"{label}_{copy}.jpg 0 30 12 62 80 22.93 {number}")
    (folder / "label").mkdir()
    (folder / "label" / "label.lst").write_text("\n".join(lines) + "\n")
    return {"train": list(FER2013), "validation": list(FER2013)}  # one of two faces per class is held out


@pytest.mark.parametrize(
    ("heading", "make"), [("CK+", ck_plus), ("RAF-DB", raf_db), ("AffectNet", affectnet), ("ExpW", expw)]
)
def test_the_documented_commands_read_a_data_set_in_its_own_layout(
    heading: str, make: Callable[[Path], dict[str, list[str]]], command: Run, tmp_path: Path
) -> None:
    expected = make(tmp_path)
    *prepare, fit = commands(heading)
    subprocess.run(["bash", "-ec", "\n".join(prepare)], cwd=tmp_path, check=True)
    words = shlex.split(fit)
    data = tmp_path / words[words.index("--data") + 1]
    for split, labels in expected.items():
        assert sorted(labels_of(load_dataset(data, split))) == sorted(labels)  # type: ignore[arg-type]
    done = command("fer-train", "explore", data)
    assert done.returncode == 0, done.stderr


def test_the_numbers_in_the_docs_are_those_of_the_code() -> None:
    from fer_train.data.datasets.class_names import NUMBERED

    named = re.search(r'numbers = "([a-z+-]+)"  # or (.*)', DOCS)
    assert named
    assert {named[1], *named[2].split(", ")} == set(NUMBERED)
    for name in NUMBERED:
        assert f"`{name}`" in DOCS


def write_list(folder: Path, rows: str, header: str = "path,label,split") -> Path:
    for number, label in enumerate(FER2013):
        draw(folder / "images" / f"{number}.png", label)
    path = folder / "faces.csv"
    path.write_text(f"{header}\n{rows}\n")
    return path


def test_a_list_of_paths_with_splits_in_any_words(tmp_path: Path) -> None:
    rows = "images/0.png,Anger,Train\nimages/3.png,happiness,val\n images/4.png , sad ,train\nimages/6.png,Neutral,test"
    data = write_list(tmp_path, rows)
    assert available_splits(data) == ("train", "validation", "test")
    assert labels_of(load_dataset(data, "train")) == ["angry", "sad"]
    assert labels_of(load_dataset(data, "validation")) == ["happy"]
    faces = load_dataset(data, "test")
    assert labels_of(faces) == ["neutral"]
    assert faces.place(0) == str(tmp_path / "images" / "6.png")


def test_a_list_without_splits_is_divided_by_content(tmp_path: Path) -> None:
    rows = [f"many/{number}.png,{FER2013[number % 2]}" for number in range(20)]
    for number in range(20):
        draw(tmp_path / "many" / f"{number}.png", FER2013[number % 2], (48, 48 + number))
    data = write_list(tmp_path, "\n".join(rows), "path,label")
    train, validation = load_dataset(data, "train"), load_dataset(data, "validation")
    assert sorted(labels_of(validation)) == ["angry"] * 2 + ["disgust"] * 2
    assert len(train) == 16
    renamed = tmp_path / "renamed.csv"
    renamed.write_text("path,label\n" + "\n".join(reversed(rows)) + "\n")
    assert {validation.place(number) for number in range(4)} == {
        load_dataset(renamed, "validation").place(number) for number in range(4)
    }
    only_train = tmp_path / "train.csv"
    only_train.write_text("path,label,split\n" + "\n".join(f"{row},train" for row in rows) + "\n")
    assert len(load_dataset(only_train, "validation")) == 4
    with pytest.raises(DataError, match="no test split"):
        load_dataset(data, "test")


def test_faces_of_one_image_are_cut_out_and_divided_each_by_itself(tmp_path: Path) -> None:
    """Two people, each ten times, side by side; the boxes of the first and the last lie partly outside."""
    image = np.repeat([[10, 100] * 10], 30, axis=0).repeat(20, axis=1)
    cv2.imwrite(str(tmp_path / "group.png"), image)
    edges = [(left, left + 20) for left in range(0, 400, 20)]
    edges[0], edges[-1] = (-15, 20), (380, 420)
    rows = [
        f"group.png,{FER2013[3 * (number % 2)]},{left},-5,{right},{25 if number else 40}"
        for number, (left, right) in enumerate(edges)
    ]
    data = tmp_path / "faces.csv"
    data.write_text("\n".join(["path,label,left,top,right,bottom", *rows]) + "\n")
    train, validation = (load_dataset(data, split) for split in ("train", "validation"))
    assert sorted(labels_of(train)) == ["angry"] * 8 + ["happy"] * 8
    assert sorted(labels_of(validation)) == ["angry"] * 2 + ["happy"] * 2


def test_missing_images_of_a_list_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_list(tmp_path, "images/0.png,angry,train\nimages/none.png,happy,train\nimages/1.png,disgust,val")
    assert labels_of(load_dataset(data, "train")) == ["angry"]
    assert "1 of 2 images of the train split cannot be read and are skipped" in caplog.text


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("path,label", "images/0.png,bored", "unknown class 'bored'. Choose angry"),
        ("path,label", "images/0.png,3", "contradict one another"),
        ("path,label", "images/0.png,", r"row 0 \(line 2\): label is empty"),
        ("path,label,split", "images/0.png,sad,tset", r"row 0 \(line 2\): split is 'tset', expected dev, "),
        ("path,label,split", "images/0.png,sad,val\nimages/1.png,sad,", r"row 1 \(line 3\): .* Fill it in all rows"),
        ("path,label,split", "images/0.png,sad,val", "no train split"),
        ("path,label,left,top,right,bottom", "images/0.png,sad,1,2,x,4", r"row 0 \(line 2\): left, top, right, bottom"),
        ("path,label,left,top,right,bottom", "images/0.png,sad,1,2,,4", r"row 0 \(line 2\): left, top, right, bottom"),
        ("path,label,left,top,right,bottom", "images/0.png,sad,9,2,3,4", "the box 9, 2, 3, 4 is empty"),
        ("path,label,left,top,right,bottom", "images/0.png,sad,1,4,3,4", "the box 1, 4, 3, 4 is empty"),
        ("file,class", "images/0.png,sad", "expected the columns emotion, pixels, Usage, or path, label"),
    ],
)
def test_a_faulty_list_is_refused_by_row_and_field(header: str, rows: str, message: str, tmp_path: Path) -> None:
    data = write_list(tmp_path, rows, header)
    with pytest.raises(DataError, match=message):
        load_dataset(data, "train")


@pytest.mark.parametrize(
    ("suffix", "packer"), [("zip", "zip"), ("tar.gz", "gztar"), ("tar", "tar"), ("tar.xz", "xztar")]
)
def test_an_archive_is_named_as_such_and_its_command_unpacks_it(suffix: str, packer: str, tmp_path: Path) -> None:
    import shutil

    draw(tmp_path / "faces" / "train" / "happy" / "1.png", "happy")
    packed = Path(shutil.make_archive(str(tmp_path / "my faces"), packer, tmp_path / "faces"))
    assert packed.name == f"my faces.{suffix}"
    with pytest.raises(DataError, match=r"is an archive\. Unpack it, then give the folder: ") as caught:
        load_dataset(packed, "train")
    unpack = str(caught.value).partition("folder: ")[2]
    if suffix != "zip" or shutil.which("unzip"):
        subprocess.run(["bash", "-ec", unpack], check=True)
        assert labels_of(load_dataset(tmp_path / "my faces", "train")) == ["happy"]
