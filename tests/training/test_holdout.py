"""A tenth of the training faces is held out: always the same one, with near duplicates together."""

import csv
import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests import warm
from tests.conftest import Run

from fer_edge.errors import DataError
from fer_train.data.datasets import Split, load_dataset
from fer_train.data.holdout import load_fold, load_split


def write_twins(data: Path, out: Path, light: float) -> Path:
    """Copy a data set with each face once more, darker: alike, but not the same bytes, unless the light is 1."""
    csv.field_size_limit(10**7)
    out.mkdir()
    with (data / "fer2013.csv").open() as old, (out / "fer2013.csv").open("w", newline="") as new:
        rows, writer = list(csv.DictReader(old)), csv.DictWriter(new, ["emotion", "pixels", "Usage"])
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            pixels = " ".join(str(int(int(level) * light)) for level in row["pixels"].split())
            writer.writerow(row | {"pixels": pixels})
    head, *votes = (data / "fer2013new.csv").read_text().splitlines()
    (out / "fer2013new.csv").write_text("\n".join([head, *(vote for vote in votes for _ in range(2))]) + "\n")
    return out


def test_the_fold_is_a_tenth_and_the_rest_is_all_others(tiny_data: Path) -> None:
    (rest, _), (held, _) = load_fold(tiny_data, ["ferplus7", "fer2013"])
    every = load_dataset(tiny_data, "train", "ferplus7")
    assert len(held) == pytest.approx(len(every) / 10, abs=3)
    assert sorted([*rest.rows, *held.rows]) == every.rows.tolist()
    assert (rest.split, held.split) == ("train", "held-out")
    assert not np.array_equal(held.rows, every.rows[: len(held)]), "it is drawn, not the first tenth"


@pytest.mark.parametrize("light", [0.8, 1.0])
def test_near_duplicates_and_exact_copies_are_on_one_side(tiny_data: Path, tmp_path: Path, light: float) -> None:
    (rest,), (held,) = load_fold(write_twins(tiny_data, tmp_path / "twins", light), ["ferplus7"])
    assert 10 < len(held) <= (len(rest) + len(held)) / 10
    assert not {row // 2 for row in rest.rows} & {row // 2 for row in held.rows}


def test_the_fold_is_the_same_whatever_the_labels(tiny_data: Path, tmp_path: Path) -> None:
    """A scheme that leaves faces out must not move others from one side to the other."""
    for name in ("fer2013.csv", "fer2013new.csv"):
        (tmp_path / name).write_text((tiny_data / name).read_text())
    lines = (tmp_path / "fer2013new.csv").read_text().splitlines()
    for index in range(1, len(lines), 5):
        usage, name, *_ = lines[index].split(",")
        lines[index] = f"{usage},{name},0,0,0,0,0,0,0,0,0,10"
    (tmp_path / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    folds = {scheme: set(load_split(tmp_path, "held-out", scheme).rows.tolist()) for scheme in ("fer2013", "ferplus7")}
    rest = set(load_fold(tmp_path, ["ferplus7"])[0][0].rows.tolist())
    assert folds["ferplus7"] < folds["fer2013"]
    assert not rest & folds["fer2013"]


def test_held_out_faces_have_the_votes_that_are_asked_for(tiny_data: Path, tmp_path: Path) -> None:
    """People disagree on every second face."""
    shutil.copy(tiny_data / "fer2013.csv", tmp_path)
    head, *rows = (tiny_data / "fer2013new.csv").read_text().splitlines()
    rows[::2] = [f"{row.partition(',')[0]},odd.png,4,3,3,0,0,0,0,0,0,0" for row in rows[::2]]
    (tmp_path / "fer2013new.csv").write_text("\n".join([head, *rows]) + "\n")
    for split in get_args(Split):
        soft, majority = (load_split(tmp_path, split, "ferplus7", votes) for votes in ("soft", "majority"))
        assert majority.rows.tolist() == [row for row in soft.rows if row % 2]
        assert 0 < len(majority) < len(soft)


def test_too_few_faces_are_one_line(tmp_path: Path) -> None:
    grey = " ".join(["7"] * 48**2)
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n3,{grey},Training\n3,{grey},Training\n")
    with pytest.raises(DataError, match="too few, or too similar"):
        load_fold(tmp_path, ["fer2013"])


@pytest.mark.slow
def test_a_training_and_its_bundle_use_the_fold(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--set", "hold_out=true", "--architecture", "cnn-small", "--epochs", 1, "--labels", "ferplus7")
    done = command("fer-train", "fit", "--data", tiny_data, *options, "--out", out, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "training.json").read_text())
    (rest,), (held,) = load_fold(tiny_data, ["ferplus7"])
    assert {split: facts["fingerprint"] for split, facts in record["data"].items()} == {
        "train": rest.fingerprint,
        "held-out": held.fingerprint,
    }
    done = command("fer-train", "evaluate", out, tiny_data, "--split", "held-out")
    assert f"on {len(held)} faces of fer2013.csv, held-out split" in done.stdout, done.stderr
    assert f"{record['results']['held-out']['accuracy']:.2%}" in done.stdout
    script = f"""
from pathlib import Path
from fer_quantize.inputs import open_origin
origin = open_origin(Path({str(out / "model.keras")!r}), Path({str(tiny_data)!r}), None, 50, 0)
print(origin.fresh.fingerprint, *origin.representative.rows)
"""
    printed = warm.run_script(script).decode().split()
    assert printed[0] == held.fingerprint
    assert {int(row) for row in printed[1:]} <= set(rest.rows.tolist())


def test_any_other_split_is_read_as_it_is(tiny_data: Path) -> None:
    for split, scheme, votes in (("train", "fer2013", "soft"), ("validation", "ferplus8", "majority")):
        read = load_split(tiny_data, split, scheme, votes)  # type: ignore[arg-type]
        known = load_dataset(tiny_data, split, scheme, votes)  # type: ignore[arg-type]
        assert (read.split, read.scheme) == (split, scheme)
        assert np.array_equal(read.rows, known.rows)
        assert np.array_equal(read.targets, known.targets)
