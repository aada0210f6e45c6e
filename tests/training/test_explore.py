"""`fer-train explore` on data sets with known faults."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_train.data.augmentation import Augmentation
from fer_train.explore.exploration import explore


def findings(out: Path) -> dict[str, list[dict[str, str]]]:
    """Lines of the list, by finding."""
    with (out / "findings.csv").open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    return {name: [line for line in lines if line["finding"] == name] for name in {line["finding"] for line in lines}}


def test_folders_with_twins_dark_and_broken_pictures(command: Run, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    faces = load_composites()
    for split, label, name, image in (
        ("train", "happy", "a.png", faces["happy"]),
        ("train", "happy", "b.png", faces["happy"]),
        ("train", "sad", "c.png", faces["sad"]),
        ("train", "sad", "d.png", np.full((48, 48), 3, np.uint8)),
        ("train", "sad", "g.png", np.tile(np.array([0, 30], np.uint8), (48, 24))),
        ("test", "happy", "e.png", cv2.resize(faces["happy"], (96, 96))),
        ("test", "fear", "f.png", faces["sad"]),
    ):
        (data / split / label).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(data / split / label / name), image)
    (data / "train" / "sad" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(64))
    done = command("fer-train", "explore", data, "--out", out)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert "1 of 6 images of the train split cannot be read" in line
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert rows["all"].split() == ["│", "all", "│", "5", "│", "│", "2", "│", "│"]
    assert rows["happy"].split()[3:8:2] == ["2", "40.0", "1"], "two of five, and one of two"
    assert rows["cannot be read"].split("│")[2].strip() == "1"
    assert [int(cell) for cell in rows["train, copies after the first"].split("│")[2:4]] == [1, 1]
    assert [int(cell) for cell in rows["validation, also in train"].split("│")[2:4]] == [1, 2]
    assert [int(cell) for cell in rows["duplicate with another class"].split("│")[2:4]] == [2, 2]
    assert f"cannot be read: {data / 'train' / 'sad' / 'broken.jpg'}" in done.stdout
    told = findings(out)
    assert [Path(line["place"]).name for line in told["cannot be read"]] == ["broken.jpg"]
    assert [Path(line["place"]).name for line in told["dark"]] == ["d.png", "g.png"]
    assert [Path(line["place"]).name for line in told["flat"]] == ["d.png"]
    assert [line["class"] for line in told["dark"] + told["flat"]] == ["sad"] * 3
    assert [Path(line["place"]).name for line in told["same pixels"]] == ["a.png", "b.png", "c.png", "f.png"]
    for picture in ("contact_sheet.png", "histogram.png"):
        shown = cv2.imread(str(out / picture))
        assert shown is not None
        assert shown.std() > 10


def test_the_csv_by_votes(command: Run, tiny_data: Path) -> None:
    done = command("fer-train", "explore", tiny_data, "--labels", "ferplus8", "--votes", "majority")
    assert done.returncode == 0, done.stderr
    for words in ("contempt", "train", "validation", "test"):
        assert words in done.stdout
    assert next(line for line in done.stdout.splitlines() if "disgust" in line).split()[3] == "40"


def test_pictures_that_people_disagree_on_are_left_out_on_request(
    command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_data / "fer2013.csv", tmp_path)
    head, *rows = (tiny_data / "fer2013new.csv").read_text().splitlines()
    odd = next(index for index, row in enumerate(rows) if row.startswith("Training"))
    rows[odd] = "Training,odd.png,4,3,3,0,0,0,0,0,0,0"
    (tmp_path / "fer2013new.csv").write_text("\n".join([head, *rows]) + "\n")
    for votes, images in (("plurality", "280"), ("majority", "279")):
        done = command("fer-train", "explore", tmp_path, "--labels", "ferplus7", "--votes", votes)
        (row,) = [line for line in done.stdout.splitlines() if "│ all " in line]
        assert row.split("│")[2].strip() == images, done.stderr


def test_pictures_in_which_most_people_saw_no_face(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_data / "fer2013.csv", tmp_path)
    votes = (tiny_data / "fer2013new.csv").read_text().splitlines()
    votes[4] = ",".join([*votes[4].split(",")[:2], *["0"] * 8, "2", "8"])
    (tmp_path / "fer2013new.csv").write_text("\n".join(votes))
    done = command("fer-train", "explore", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (line,) = findings(tmp_path / "out")["not a face"]
    assert line["place"] == f"{tmp_path / 'fer2013.csv'}: row 3 (line 5)"
    (tmp_path / "fer2013new.csv").write_text("\n".join(votes[:100]))
    done = command("fer-train", "explore", tmp_path)
    assert done.returncode == 2
    assert "fer2013new.csv: 99 rows, fewer than fer2013.csv has" in done.stderr


def test_a_drawing_among_faces_is_the_least_like_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, face in load_composites().items():
        folder = tmp_path / "train" / label
        folder.mkdir(parents=True)
        for index, image in enumerate(
            Augmentation(erase=0, noise=0, compress=0).apply(np.repeat(face[None], 150, axis=0), rng)
        ):
            cv2.imwrite(str(folder / f"{index}.png"), image)
    drawing = np.full((48, 48), 255, np.uint8)
    cv2.putText(drawing, "no", (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 0, 2)
    cv2.imwrite(str(tmp_path / "train" / "fear" / "drawing.png"), drawing)
    found = explore(tmp_path, "fer2013")
    faces, position = found.locate(int(found.strangest[0]))
    assert Path(faces.place(position)).name == "drawing.png"


def test_twins_are_counted_per_split_and_between_splits(tmp_path: Path) -> None:
    """Position by position: the images of all splits in order, first those for training."""
    faces, rng = load_composites(), np.random.default_rng(0)
    small = cv2.resize(cv2.resize(faces["happy"], (96, 96)), (48, 48))
    for split, label, name, image in (
        ("train", "happy", "a.png", faces["happy"]),
        ("train", "happy", "b.png", faces["happy"]),
        ("train", "sad", "c.png", rng.integers(0, 256, (48, 48), np.uint8)),
        ("train", "sad", "d.png", np.full((48, 48), 20, np.uint8)),
        ("validation", "fear", "e.png", faces["happy"]),
        ("validation", "happy", "f.png", small),
        ("validation", "sad", "g.png", np.tile(np.array([9, 29], np.uint8), (48, 24))),
    ):
        (tmp_path / split / label).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / split / label / name), image)
    found = explore(tmp_path, "fer2013")
    assert [len(part) for part in found.splits] == [4, 3]
    names = [Path(part.place(place)).name for part, place in map(found.locate, range(7))]
    assert sorted(names[:4]) == ["a.png", "b.png", "c.png", "d.png"]
    assert sorted(names[4:]) == ["e.png", "f.png", "g.png"]
    assert found.locate(4) == (found.splits[1], 0)
    with pytest.raises(IndexError):
        found.locate(7)
    assert found.exact.repeated == {"train": 1, "validation": 0}
    assert found.exact.shared == {("train", "validation"): 2, ("validation", "train"): 1}
    assert found.exact.disagreeing == 3
    assert found.near.repeated == {"train": 1, "validation": 1}
    assert found.near.shared == {("train", "validation"): 2, ("validation", "train"): 2}
    assert found.near.disagreeing == 4
    assert [names[place] for place in found.dark] == ["g.png"], "a mean of exactly 20 is not dark"
    assert sorted(names[place] for place in found.flat) == ["d.png"], "a deviation of exactly 10 is not flat"
    assert not len(found.voted_out)
    assert not len(found.strangest), "too few to tell"


def test_what_cannot_be_explored_is_one_line(command: Run, tmp_path: Path) -> None:
    for data, telling in (
        (tmp_path / "none", "no such file or folder"),
        (tmp_path, "neither fer2013.csv nor folders of images"),
    ):
        done = command("fer-train", "explore", data)
        assert done.returncode == 2
        assert telling in done.stderr
        assert len(done.stderr.splitlines()) == 1
    (tmp_path / "train" / "sad").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "train" / "sad" / "a.png"), load_composites()["sad"])
    (tmp_path / "file").touch()
    (tmp_path / "faces.csv").write_text("emotion,pixels\n0,1 2 3\n")
    done = command("fer-train", "explore", tmp_path / "faces.csv")
    assert "faces.csv: no column 'Usage'. Expected emotion, pixels, Usage" in done.stderr
    done = command("fer-train", "explore", tmp_path, "--out", tmp_path / "file" / "out")
    assert done.returncode == 2
    assert "cannot be created" in done.stderr
    assert len(done.stderr.splitlines()) == 1
