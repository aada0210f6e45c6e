"""What is read, and how a bad file is refused: with file, row and field."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import ConfigError, DataError
from fer_edge.labels import FER2013, FERPLUS8
from fer_train.data.datasets import available_splits, load_both, load_dataset, load_schemes
from fer_train.data.datasets.faces import parse_scheme, parse_votes
from fer_train.data.datasets.ferplus import not_faces
from fer_train.data.datasets.records import read_records

GREY = " ".join(["7"] * 2304)


def write_csv(folder: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("emotion", "pixels", "Usage")) -> Path:
    path = folder / "fer2013.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])
    return path


def write_votes(folder: Path, *rows: dict[str, int], usage: str = "Training") -> None:
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
    with (folder / "fer2013new.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("Usage", "Image name", *names))
        writer.writerows(
            (usage, f"fer{row}.png", *(votes.get(name, 0) for name in names)) for row, votes in enumerate(rows)
        )


def test_splits_labels_and_pixels_of_the_csv(tmp_path: Path) -> None:
    ramp = " ".join(str(level % 256) for level in range(2304))
    path = write_csv(tmp_path, ("3", GREY, "Training"), ("6", ramp, "PublicTest"), ("0", GREY, "PrivateTest"))
    train, validation = load_dataset(path, "train"), load_dataset(tmp_path, "validation")
    assert train.labels == FER2013
    assert train.classes.tolist() == [3]
    assert [part.dtype.name for part in (train.images, train.targets, train.rows)] == ["uint8", "float32", "int64"]
    assert (train.images == 7).all()
    assert validation.rows.tolist() == [1]
    assert validation.images.reshape(-1)[:300].tolist() == [level % 256 for level in range(300)]
    assert train.fingerprint != validation.fingerprint
    assert available_splits(path) == ("train", "validation", "test")
    assert available_splits(write_csv(tmp_path, ("3", GREY, "Training"), ("0", GREY, "PrivateTest"))) == (
        "train",
        "test",
    )


def test_votes_become_fractions_without_outliers_contempt_and_unknown(tmp_path: Path) -> None:
    write_csv(tmp_path, *[("0", GREY, "Training")] * 3)
    write_votes(
        tmp_path,
        {"anger": 6, "sadness": 2, "fear": 1, "contempt": 1},
        {"contempt": 4, "neutral": 4, "unknown": 2},
        {"NF": 9, "fear": 1},
    )
    seven = load_dataset(tmp_path, "train", "ferplus7")
    assert seven.rows.tolist() == [0, 1], "a picture that nobody names cannot be learnt from"
    np.testing.assert_allclose(seven.targets[0], [0.75, 0, 0, 0, 0.25, 0, 0])
    np.testing.assert_allclose(seven.targets[1], [0, 0, 0, 0, 0, 0, 1])
    eight = load_dataset(tmp_path, "train", "ferplus8")
    assert eight.labels == FERPLUS8
    np.testing.assert_allclose(eight.targets[1], [0, 0, 0, 0, 0, 0, 0.5, 0.5])


def test_a_majority_is_more_than_half_and_a_plurality_the_most(tmp_path: Path) -> None:
    write_csv(tmp_path, *[("0", GREY, "Training")] * 8)
    write_votes(
        tmp_path,
        {"anger": 6, "sadness": 3, "fear": 1},
        {"sadness": 4, "neutral": 4, "fear": 2},
        {"unknown": 6, "fear": 4},
        {"NF": 6, "fear": 4},
        {"contempt": 7, "neutral": 3},
        {"fear": 4, "unknown": 3, "NF": 3},
        {"fear": 5, "sadness": 3, "anger": 2},
        {"fear": 5, "sadness": 1, "anger": 1, "neutral": 1, "contempt": 1, "unknown": 1},
    )
    eight = load_dataset(tmp_path, "train", "ferplus8", "majority")
    assert eight.rows.tolist() == [0, 4, 7], "no majority, half, unknown and not-a-face are left out"
    assert [eight.labels[index] for index in eight.classes] == ["angry", "contempt", "fear"]
    assert eight.targets.max(axis=1).tolist() == [1, 1, 1]
    assert load_dataset(tmp_path, "train", "ferplus7", "majority").rows.tolist() == [0, 7]
    most = load_dataset(tmp_path, "train", "ferplus8", "plurality")
    assert most.rows.tolist() == [0, 1, 4, 5, 6, 7]
    assert [most.labels[index] for index in most.classes] == ["angry", "neutral", "contempt", *["fear"] * 3]


def test_an_image_is_no_face_if_more_than_half_of_the_people_say_so() -> None:
    votes = np.zeros((3, 10), np.float32)
    votes[:, -1], votes[:, 0] = (0, 5, 6), (10, 5, 4)
    assert not_faces(votes).tolist() == [False, False, True]


def test_one_reading_gives_each_scheme_its_own_rows(tmp_path: Path) -> None:
    write_csv(tmp_path, *[(str(emotion), GREY, "Training") for emotion in (0, 3, 6)])
    write_votes(tmp_path, {"anger": 9}, {"contempt": 9}, {"NF": 9})
    both = load_schemes(tmp_path, "train", ("ferplus7", "fer2013", "ferplus8"))
    assert {scheme: faces.rows.tolist() for scheme, faces in both.items()} == {
        "ferplus7": [0],
        "fer2013": [0, 1, 2],
        "ferplus8": [0, 1],
    }
    for scheme, faces in both.items():
        assert faces.fingerprint == load_dataset(tmp_path, "train", scheme).fingerprint
        assert faces.fingerprint != replace(faces, targets=faces.targets[:, ::-1].copy()).fingerprint


def test_the_csv_whose_header_has_blanks(tmp_path: Path) -> None:
    write_csv(tmp_path, ("3", "Training", GREY), header=("emotion", " Usage", " pixels"))
    assert load_dataset(tmp_path, "train").classes.tolist() == [3]


def test_a_csv_without_any_row_of_a_split_says_what_it_expects(tmp_path: Path) -> None:
    path = write_csv(tmp_path, ("3", GREY, "training"))
    with pytest.raises(DataError, match=r"fer2013.csv: no row has a Usage of Training, PublicTest, PrivateTest"):
        available_splits(path)


@pytest.mark.parametrize("layout", ["images/train", "train", "Images/Train", "TRAIN"])
def test_folders_of_any_size_and_colour(tmp_path: Path, layout: str) -> None:
    for label, level in (("happy", 200), ("Sad", 50)):
        folder = tmp_path / layout / label
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "a.png"), np.full((96, 96, 3), level, np.uint8))
    if "/" not in layout:
        (tmp_path / "images").mkdir()
    faces = load_dataset(tmp_path, "train")
    assert faces.source.name == tmp_path.name, "a report names the data set, not its split"
    assert sorted(faces.labels[label] for label in faces.classes) == ["happy", "sad"]
    assert {int(image.mean()) for image in faces.images} == {200, 50}


@pytest.mark.parametrize("name", ["validation", "val", "test", "VAL", "Validation", "images/Val"])
def test_the_split_that_is_validated_on_has_several_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "fear"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a.jpg"), np.full((30, 30), 90, np.uint8))
    assert load_dataset(tmp_path, "validation").place(0) == str(folder / "a.jpg")


def test_images_that_cannot_be_read_are_skipped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for label in ("happy", "sad"):
        (tmp_path / "train" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train" / label / "b.png"), np.full((48, 48), 9, np.uint8))
        (tmp_path / "train" / label / "a.png").write_bytes(b"")
    (tmp_path / "train" / "sad" / "c.jpg").write_bytes(b"no picture")
    (tmp_path / "train" / "sad" / "notes.txt").write_bytes(b"not meant as one")
    (tmp_path / "train" / ".cache").mkdir()
    faces = load_dataset(tmp_path, "train")
    assert [path.relative_to(tmp_path / "train").as_posix() for path in faces.skipped] == [
        "happy/a.png",
        "sad/a.png",
        "sad/c.jpg",
    ]
    assert [Path(faces.place(position)).parent.name for position in range(2)] == ["happy", "sad"]
    assert [faces.labels[index] for index in faces.classes] == ["happy", "sad"]
    ignored, line = caplog.messages
    assert "train: 1 files are ignored, the first is sad/notes.txt" in ignored
    assert "3 of 5 images of the train split cannot be read and are skipped, the first is train/happy/a.png" in line


def test_files_that_are_not_read_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "train" / "sad" / "below").mkdir(parents=True)
    for name in ("sad/a.png", "sad/below/b.png", "e.png"):
        cv2.imwrite(str(tmp_path / "picture.png"), np.full((48, 48), 9, np.uint8))
        shutil.move(tmp_path / "picture.png", tmp_path / "train" / name)
    for name in ("sad/c.txt", "sad/d.gif"):
        (tmp_path / "train" / name).write_bytes(b"GIF89a")
    assert len(load_dataset(tmp_path, "train")) == 1
    (line,) = caplog.messages
    assert "train: 4 files are ignored, the first is e.png. Expected images as <class>/<image>" in line


def test_folders_of_classes_alone_are_split_by_content(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("happy", "Sad"):
        (tmp_path / "one" / label).mkdir(parents=True)
        for index in range(10):
            cv2.imwrite(str(tmp_path / "one" / label / f"{index}.png"), rng.integers(0, 255, (48, 48), np.uint8))
    shutil.copytree(tmp_path / "one", tmp_path / "other" / "images")
    for path in (tmp_path / "other").glob("*/*/*.png"):
        path.rename(path.with_name(f"{9 - int(path.stem)}0.png"))
    assert available_splits(tmp_path / "one") == ("train", "validation")
    train, validation = (load_dataset(tmp_path / "one", split) for split in ("train", "validation"))
    assert np.bincount(train.classes)[3:5].tolist() == [8, 8]
    assert np.bincount(validation.classes)[3:5].tolist() == [2, 2]
    both = {face.tobytes() for faces in (train, validation) for face in faces.images}
    assert len(both) == 20
    again = load_dataset(tmp_path / "other", "validation")
    assert {face.tobytes() for face in again.images} == {face.tobytes() for face in validation.images}
    (tmp_path / "one" / "fear").mkdir()
    cv2.imwrite(str(tmp_path / "one" / "fear" / "alone.png"), np.full((48, 48), 9, np.uint8))
    assert load_dataset(tmp_path / "one", "train").support["fear"] == 1, "a class of one face is learnt"
    with pytest.raises(DataError, match="no folder for the test split"):
        load_dataset(tmp_path / "one", "test")


def test_blank_lines_do_not_shift_the_line_that_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path, ("0", GREY, "Training"), (), ("1", GREY, "Training"), (), ("1", "1 2 3", "PublicTest"))
    train = load_dataset(path, "train")
    assert train.place(1) == f"{path}: row 1 (line 4)"
    with pytest.raises(DataError, match=r"fer2013.csv: row 2 \(line 6\): pixels has 3 values"):
        load_dataset(path, "validation")


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda folder: write_csv(folder, ("0", "Training"), header=("emotion", "Usage")), "no column 'pixels'"),
        (
            lambda folder: write_csv(folder, ("0", GREY, "Training"), ("1", "1 2 3", "Training")),
            "row 1 (line 3): pixels has 3",
        ),
        (lambda folder: write_csv(folder, ("7", GREY, "Training")), "row 0 (line 2): emotion is '7'"),
        (lambda folder: write_csv(folder, ("sad", GREY, "Training")), "row 0 (line 2): emotion is 'sad'"),
        (lambda folder: write_csv(folder, ("-1", GREY, "Training")), "row 0 (line 2): emotion is '-1'"),
        (lambda folder: write_csv(folder, ("0", GREY[:-1] + "x", "Training")), "row 0 (line 2): pixels holds"),
        (
            lambda folder: write_csv(folder, ("0", GREY[:-1] + "999", "Training")),
            "row 0 (line 2): pixels has a value outside",
        ),
        (
            lambda folder: write_csv(folder, ("0", GREY[:-1] + "-7", "Training")),
            "row 0 (line 2): pixels has a value outside",
        ),
        (
            lambda folder: write_csv(folder, ("0", GREY[:-1] + "256", "Training")),
            "row 0 (line 2): pixels has a value outside",
        ),
        (lambda folder: write_csv(folder, ("0", GREY, "Training"), ("1", GREY)), "row 1 (line 3): no field 'Usage'"),
        (lambda folder: write_csv(folder, ("0", GREY, "PublicTest")), "no images in the train split"),
        (
            lambda folder: write_csv(folder, ("0", GREY, "Training"), ("0", GREY, "Trainig")),
            "row 1 (line 3): Usage is 'Trainig', expected Training, PublicTest, PrivateTest",
        ),
        (lambda folder: (folder / "fer2013.csv").write_bytes(b""), "no column 'emotion'"),
        (lambda folder: (folder / "fer2013.csv").write_bytes(b"\xff\xfe\x00"), "cannot be read as CSV"),
    ],
)
def test_a_bad_csv_is_refused_by_file_row_and_field(tmp_path: Path, change: Change, telling: str) -> None:
    change(tmp_path)
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path / "fer2013.csv", "train")
    assert "fer2013.csv" in str(caught.value)
    assert telling in str(caught.value)
    assert "\n" not in str(caught.value)


def test_votes_that_do_not_belong_to_the_csv(tmp_path: Path) -> None:
    write_csv(tmp_path, *[("0", GREY, "Training")] * 3)
    with pytest.raises(DataError, match=r"fer2013new.csv: missing"):
        load_dataset(tmp_path, "train", "ferplus7")
    for count in (2, 4):
        write_votes(tmp_path, *[{"anger": 9}] * count)
        with pytest.raises(DataError, match=rf"fer2013new.csv: {count} rows, (fewer than|but) fer2013.csv has"):
            load_dataset(tmp_path, "train", "ferplus7")
    write_votes(tmp_path, *[{"anger": 9}] * 3, usage="PublicTest")
    with pytest.raises(DataError, match=r"fer2013new.csv: row 0 \(line 2\): Usage is 'PublicTest', but 'Training'"):
        load_dataset(tmp_path, "train", "ferplus7")
    write_votes(tmp_path, {}, {"anger": 11}, {})
    with pytest.raises(DataError, match=r"fer2013new.csv: row 1 \(line 3\): anger is '11'"):
        load_dataset(tmp_path, "train", "ferplus7")


@pytest.mark.parametrize(("stay", "belong"), [(0, False), (0.1, False), (0.4, True)])
def test_votes_whose_rows_were_shuffled(tiny_data: Path, tmp_path: Path, stay: float, belong: bool) -> None:
    """Cohen's kappa, which is about the fraction of the rows that stay where they are, must be 0.2 at least."""
    shutil.copy(tiny_data / "fer2013.csv", tmp_path)
    head, *rows = (tiny_data / "fer2013new.csv").read_text().splitlines()
    training = [index for index, row in enumerate(rows) if row.startswith("Training")]
    moved = training[round(stay * len(training)) :]
    shuffled = iter(np.random.default_rng(0).permutation([rows[index] for index in moved]))
    for index in moved:
        rows[index] = next(shuffled)
    (tmp_path / "fer2013new.csv").write_text("\n".join([head, *rows]) + "\n")
    if belong:
        assert len(load_dataset(tmp_path, "train", "ferplus7")) == len(training)
        return
    with pytest.raises(
        DataError, match=r"fer2013new.csv: the plurality label equals the label in fer2013.csv on only \d+%"
    ):
        load_dataset(tmp_path, "train", "ferplus7")


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        load_dataset(tmp_path / "no", "train")
    with pytest.raises(DataError, match="no folder for the train split"):
        load_dataset(tmp_path, "train")
    (tmp_path / "train" / "bored").mkdir(parents=True)
    with pytest.raises(DataError, match=r"unknown class 'bored'"):
        load_dataset(tmp_path, "train")
    (tmp_path / "train" / "bored").rename(tmp_path / "train" / "sad")
    (tmp_path / "val" / "bored").mkdir(parents=True)
    with pytest.raises(DataError, match=r"unknown class 'bored'"):
        load_dataset(tmp_path, "train")
    shutil.rmtree(tmp_path / "val")
    (tmp_path / "train" / "sad" / "x.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"no images in the train split: none of the 1 can be read"):
        load_dataset(tmp_path, "train")


@pytest.mark.slow
def test_the_real_data_has_its_known_counts(fer_data: Path) -> None:
    validation = load_dataset(fer_data, "validation", "ferplus7")
    assert len(validation) == 3574
    assert len(load_dataset(fer_data, "validation")) == 3579
    assert len(load_dataset(fer_data, "validation", "ferplus8", "plurality")) == 3553
    assert len(load_dataset(fer_data, "validation", "ferplus8", "majority")) == 3199
    np.testing.assert_allclose(validation.targets.sum(axis=1), 1, atol=1e-6)


def test_both_splits_are_read_once_per_label_set(tmp_path: Path) -> None:
    write_csv(tmp_path, ("3", GREY, "Training"), ("6", GREY, "PublicTest"))
    write_votes(tmp_path, {"happiness": 4, "contempt": 6}, {"neutral": 10})
    votes = tmp_path / "fer2013new.csv"
    votes.write_text(votes.read_text().replace("Training,fer1", "PublicTest,fer1"))
    train, validation = load_both(tmp_path, ("ferplus8", "fer2013"))
    assert [(part.scheme, part.split, part.classes.tolist()) for part in (*train, *validation)] == [
        ("ferplus8", "train", [7]),
        ("fer2013", "train", [3]),
        ("ferplus8", "validation", [6]),
        ("fer2013", "validation", [6]),
    ]
    assert train[0].targets[0, [3, 7]] == pytest.approx([0.4, 0.6])
    assert load_both(tmp_path, ("ferplus8",), "plurality")[0][0].targets[0, [3, 7]].tolist() == [0, 1]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert [parse_scheme(name) for name in ("fer2013", "ferplus7", "ferplus8")] == ["fer2013", "ferplus7", "ferplus8"]
    assert [parse_votes(name) for name in ("soft", "plurality", "majority")] == ["soft", "plurality", "majority"]
    with pytest.raises(ConfigError) as raised:
        parse_scheme("ferplus9")
    assert str(raised.value).startswith("labels 'ferplus9' are unknown. ")
    assert "ferplus8" in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        parse_votes("majorty")
    assert str(raised.value).startswith("votes 'majorty' are unknown. ")
    assert "majority" in str(raised.value)


def test_a_table_that_cannot_be_read_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    def said(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            list(read_records(path, ("path", "label")))
        return str(raised.value)

    assert said(b"path,name\n") == f"{path}: no column 'label'. Expected path, label"
    assert said(b"path,label\na,b\nc\n") == f"{path}: row 1 (line 3): no field 'label'"
    assert said(b"path,label\n\xff,b\n").startswith(f"{path}: cannot be read as CSV (")
    path.write_bytes(b'\xef\xbb\xbf path , label \n"a\r\nb",c\n\nd,e\n')
    assert [(line, *record.values()) for line, record in read_records(path, ("path", "label"))] == [
        (3, "a\r\nb", "c"),
        (5, "d", "e"),
    ]
