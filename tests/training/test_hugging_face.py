"""Data sets of Hugging Face: parquet files, and what `datasets` writes with `save_to_disk`."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_edge.labels import FER2013
from fer_train.data.datasets import available_splits, load_dataset

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NAMES = ["anger", "happiness", "contempt"]
OURS = ["angry", "happy", ""]


def table(labels: list[int] | list[str], *, named: bool = True, seed: int = 0):  # type: ignore[no-untyped-def]
    """A table as `datasets` makes it: PNG images whose grey level tells the class, and numbers with names."""
    images = []
    for number, label in enumerate(labels):
        name = OURS[label] if isinstance(label, int) else label
        level = 30 * FER2013.index(name) + 10 if name else 250
        content = cv2.imencode(".png", np.full((30 + seed + number, 40, 3), level, np.uint8))[1].tobytes()
        images.append({"bytes": content, "path": f"{number}.png"})
    made = pa.table({"image": images, "label": labels})
    features = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    meta = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return made.replace_schema_metadata(meta) if named else made


def labels_of(data: Path, split: str) -> list[str]:
    faces = load_dataset(data, split)  # type: ignore[arg-type]
    found = [FER2013[label] for label in faces.classes]
    assert [round((float(image.mean()) - 10) / 30) for image in faces.images] == list(faces.classes)
    return found


def write_arrow(folder: Path, content) -> None:  # type: ignore[no-untyped-def]
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, content.schema) as to,
    ):
        to.write_table(content)


@pytest.mark.parametrize("inside", ["", "data"])
def test_a_folder_of_parquet_files(inside: str, tmp_path: Path) -> None:
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    pq.write_table(table([0, 1]), folder / "train-00000-of-00002.parquet")
    pq.write_table(table([2, 1], seed=9), folder / "train-00001-of-00002.parquet")
    pq.write_table(table([1]), folder / "test-00000-of-00001.parquet")
    assert labels_of(tmp_path, "train") == ["angry", "happy", "happy"]
    assert labels_of(tmp_path, "validation") == ["happy"]
    assert available_splits(tmp_path) == ("train", "validation")
    place = load_dataset(tmp_path, "train").place(2)
    assert place == str(folder / "train-00001-of-00002.parquet" / "row 1")


def test_a_folder_with_fer2013s_csv_is_fer2013(tmp_path: Path) -> None:
    pq.write_table(table([0, 1]), tmp_path / "train.parquet")
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n6,{' '.join(['190'] * 2304)},Training\n")
    assert labels_of(tmp_path, "train") == ["neutral"]


def test_what_datasets_writes_to_disk(tmp_path: Path) -> None:
    write_arrow(tmp_path / "all" / "train", table([0, 1, 1]))
    write_arrow(tmp_path / "all" / "validation", table([0]))
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    assert labels_of(tmp_path / "all", "train") == ["angry", "happy", "happy"]
    assert labels_of(tmp_path / "all", "validation") == ["angry"]
    write_arrow(tmp_path / "one", table([0, 1] * 10))
    assert sorted(labels_of(tmp_path / "one", "validation")) == ["angry"] * 2 + ["happy"] * 2
    assert len(load_dataset(tmp_path / "one", "train")) == 16


def test_one_file_with_names_and_one_with_numbers_that_nobody_names(tmp_path: Path) -> None:
    pq.write_table(table(["happy", "sad"] * 5, named=False), tmp_path / "named.parquet")
    assert sorted(set(labels_of(tmp_path / "named.parquet", "train"))) == ["happy", "sad"]
    pq.write_table(table([0, 1] * 5, named=False), tmp_path / "numbers.parquet")
    with pytest.raises(DataError, match="class 0: the numbers of data sets contradict one another"):
        load_dataset(tmp_path / "numbers.parquet", "train")
    (tmp_path / "classes.toml").write_text('0 = "angry"\n1 = "happy"\n')
    assert sorted(set(labels_of(tmp_path / "numbers.parquet", "train"))) == ["angry", "happy"]


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"pixels": [b""], "label": [0]}), path)
    with pytest.raises(DataError, match="no column image or img or picture among pixels, label"):
        load_dataset(path, "train")
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"train.parquet: cannot be read as parquet"):
        load_dataset(path, "train")
    with pytest.raises(DataError, match="no test split"):
        load_dataset(path, "test")
