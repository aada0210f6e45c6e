"""Class folders by the names that people give them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.errors import DataError
from fer_edge.labels import FER2013
from fer_train.data.datasets import available_splits, load_dataset

RAF_DB = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")


def save(folder: Path, label: str, copies: int = 1) -> None:
    """One image whose grey level tells its class, so that a wrong label shows."""
    folder.mkdir(parents=True)
    for number in range(copies):
        image = np.full((48, 48), 30 * FER2013.index(label) + number, np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)


def read_classes(root: Path, split: str = "train") -> set[str]:
    """The labels that were read; each must fit its image."""
    faces = load_dataset(root, split)  # type: ignore[arg-type]
    labels = faces.targets.argmax(axis=1)
    assert [round(float(image.mean()) / 30) for image in faces.images] == list(labels)
    return {FER2013[label] for label in labels}


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (("Anger", "Disgusted", "Fearful", "happiness", "SADNESS", "surprised", "Neutral"), FER2013),
        (("0_angry", "1 - disgust", "2.fear", "03_happy", "4sad", "5-surprise", "6_neutral"), FER2013),
        (("AN", "DI", "FE", "HA", "SA", "SU", "NE"), FER2013),
    ],
)
@pytest.mark.parametrize("valid", ["valid", "Val", "VALIDATION", "dev"])
def test_names_of_other_data_sets_are_understood(
    names: tuple[str, ...], meant: tuple[str, ...], valid: str, tmp_path: Path
) -> None:
    for name, label in zip(names, meant, strict=True):
        save(tmp_path / "train" / name, label)
    save(tmp_path / valid / names[0], meant[0])
    assert read_classes(tmp_path) == set(FER2013)
    assert read_classes(tmp_path, "validation") == {meant[0]}, "numbers mean what all splits together show"


CK = ("neutral", "angry", "", "disgust", "fear", "happy", "sad", "surprise")
FERPLUS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "", "", "")


@pytest.mark.parametrize(
    ("numbers", "first", "meant"),
    [
        ("fer2013", 0, FER2013),
        ("expw", 0, FER2013),
        ("raf-db", 1, RAF_DB),
        ("affectnet", 0, (*AFFECTNET, "", "", "", "")),
        ("ck+", 0, CK),
        ("ferplus", 0, FERPLUS),
    ],
)
def test_numbers_mean_what_the_named_data_set_means(
    numbers: str, first: int, meant: tuple[str, ...], command: Run, tmp_path: Path
) -> None:
    for number, label in enumerate(meant, first):
        save(tmp_path / "train" / str(number), label or "angry")
    (tmp_path / "classes.toml").write_text(f'numbers = "{numbers}"\n')
    assert read_classes(tmp_path) == set(FER2013)
    done = command("fer-train", "explore", tmp_path, "--labels", "fer2013")
    said = [line for line in done.stderr.splitlines() if "classes are read as" in line]
    pairs = sorted(f"{number} = {label or 'left out'}" for number, label in enumerate(meant, first))
    assert len(said) == 1
    assert sorted(said[0].partition("read as ")[2].split(", ")) == pairs


@pytest.mark.parametrize("last", [6, 7])
def test_bare_numbers_are_refused_since_data_sets_contradict_one_another(last: int, tmp_path: Path) -> None:
    for number in range(last + 1):
        save(tmp_path / str(number), "happy")
    with pytest.raises(DataError, match=r"contradict one another.*classes.toml.*affectnet"):
        load_dataset(tmp_path, "train")


def test_a_number_that_the_named_data_set_does_not_have(tmp_path: Path) -> None:
    save(tmp_path / "0", "happy")
    (tmp_path / "classes.toml").write_text('numbers = "raf-db"\n')
    with pytest.raises(DataError, match=r"class 0 is none of the numbers .*classes.toml names: 1 to 7"):
        load_dataset(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "hint"), [("suprise", "Did you mean surprise?"), ("bored", "Choose angry"), ("a b", '"a b" = "happy"')]
)
def test_other_names_are_refused_with_what_was_expected(name: str, hint: str, tmp_path: Path) -> None:
    save(tmp_path / "happy", "happy")
    save(tmp_path / name, "happy")
    with pytest.raises(DataError, match=f"unknown class '{name}'") as caught:
        load_dataset(tmp_path, "train")
    assert hint in str(caught.value)
    assert "classes.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_says_what_names_mean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was not obvious is logged, once; what is left out on purpose is not said to be ignored."""
    caplog.set_level("INFO")
    for name, label in (("1", "sad"), ("fröhlich", "happy"), ("mixed", "fear"), ("Anger", "angry")):
        save(tmp_path / name, label, copies=5)
    (tmp_path / "classes.toml").write_text('1 = "sad"\n"Fröhlich" = "happy"\nmixed = ""\n', encoding="utf-8-sig")
    assert available_splits(tmp_path) == ("train", "validation")
    assert read_classes(tmp_path) | read_classes(tmp_path, "validation") == {"sad", "happy", "angry"}
    assert caplog.messages == [
        f"{tmp_path}: classes are read as 1 = sad, Anger = angry, fröhlich = happy, mixed = left out"
    ]


def test_our_own_names_in_any_case_need_no_word_and_a_fraction_is_no_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for name in ("Happy", "SAD"):
        save(tmp_path / "ours" / "train" / name, name.lower())
    assert read_classes(tmp_path / "ours") == {"happy", "sad"}
    assert not caplog.messages
    for name in ("angry", "3.5"):
        save(tmp_path / "theirs" / "train" / name, "angry")
    with pytest.raises(DataError, match=r"unknown class '3\.5'"):
        load_dataset(tmp_path / "theirs", "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('happy = "hapy"', "classes.toml: happy: 'hapy' is no class. Did you mean happy"),
        ("happy = 3", "3 is no class"),
        ("happy = {a = 1}", "is no class"),
        ("happy", "classes.toml: cannot be read"),
        (
            'numbers = "ferplusss"',
            "classes.toml: numbers: 'ferplusss' is unknown. Did you mean ferplus? Choose fer2013,",
        ),
    ],
)
def test_a_wrong_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    save(tmp_path / "happy", "happy")
    (tmp_path / "classes.toml").write_text(content)
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path, "train")
    assert message in str(caught.value)


def test_photographs_are_cropped_into_our_names(command: Run, tmp_path: Path) -> None:
    composites = load_composites()
    for name, label in (("Happiness", "happy"), ("anger", "angry")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        face = cv2.resize(composites[label], (200, 200))
        framed = cv2.copyMakeBorder(face, 80, 80, 80, 80, cv2.BORDER_REPLICATE)
        cv2.imwrite(str(tmp_path / "photos" / name / "a.jfif.jpg"), framed)
    done = command("fer-train", "crop", tmp_path / "photos", tmp_path / "faces")
    assert "classes are read as Happiness = happy, anger = angry" in done.stderr


def test_images_of_any_name_are_read(tmp_path: Path) -> None:
    save(tmp_path / "train" / "happy", "happy")
    (tmp_path / "train" / "happy" / "0.png").rename(tmp_path / "train" / "happy" / "photo")
    assert read_classes(tmp_path) == {"happy"}
