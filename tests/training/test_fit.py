"""Training from files to a folder with a model, as a user runs it; killed and resumed too."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from tests.conftest import Run

from fer_edge.sources.demo import load_composites

FER_TRAIN = str(Path(sys.executable).with_name("fer-train"))


def history(out: Path) -> list[dict[str, str]]:
    with (out / "history.csv").open() as handle:
        return list(csv.DictReader(handle))


def test_fit_writes_a_model_its_history_and_its_record(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--data", tiny_data, "--labels", "ferplus7", "--epochs", 2, "--batch-size", 32, "--out", out)
    done = command("fer-train", "fit", *options, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "model.keras", "training.json"]
    record = json.loads((out / "training.json").read_text())
    assert record["scheme"] == "ferplus7"
    assert record["macs"] <= 60_000_000
    assert record["data"]["train"]["images"] == 280
    assert record["results"]["validation"]["images"] == 70
    assert [row["epoch"] for row in history(out)] == ["0", "1"]
    again = command("fer-train", "fit", *options)
    assert again.returncode == 2
    assert again.stderr == f"error: {out}: is not an empty folder. Choose another, or --resume an unfinished training\n"


def test_a_killed_training_resumes_after_its_last_epoch(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--data", tiny_data, "--epochs", 4, "--batch-size", 32, "--out", out]
    process = subprocess.Popen([FER_TRAIN, "fit", *map(str, options)], stdout=subprocess.DEVNULL)
    metadata = out / "unfinished" / "backup" / "training_metadata.json"
    while not metadata.is_file() or json.loads(metadata.read_text() or "{}").get("epoch", 0) < 2:
        time.sleep(0.02)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    other = command("fer-train", "fit", *options, "--seed", 1, "--resume")
    assert other.returncode == 2
    assert "another recipe" in other.stderr
    other = command("fer-train", "fit", *options, "--labels", "ferplus7", "--resume")
    assert other.returncode == 2
    assert "another scheme" in other.stderr
    done = command("fer-train", "fit", *options, "--resume", timeout=300)
    assert done.returncode == 0, done.stderr
    assert [row["epoch"] for row in history(out)] == ["0", "1", "2", "3"]
    assert (out / "model.keras").is_file()


def test_an_epoch_has_the_same_batches_whenever_it_begins(tiny_data: Path) -> None:
    script = f"""
from pathlib import Path
import numpy as np
from fer_train.datasets import load_dataset
from fer_train.fit import Batches, Recipe
faces = load_dataset(Path({str(tiny_data)!r}), "train")
through, resumed = (Batches(faces, Recipe(batch_size=50)) for _ in range(2))
for epoch in range(3):
    through.start_epoch(epoch)
    list(through[index] for index in range(len(through)))
resumed.start_epoch(2)
pairs = [(through[index], resumed[index]) for index in range(len(through))]
print(all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other)))
resumed.start_epoch(1)
print(np.array_equal(through[0][0], resumed[0][0]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_nothing_to_resume_is_said(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    done = command("fer-train", "fit", "--data", tiny_data, "--out", tmp_path / "no", "--resume")
    assert done.returncode == 2
    assert "no unfinished training" in done.stderr
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("option", "value", "telling"),
    [
        ("--labels", "ferminus", "labels 'ferminus' are unknown"),
        ("--data", "/no/such", "/no/such: no such file"),
        ("--precision", "float7", "precision 'float7' is unknown"),
        ("--learning-rate", "-1", "--learning-rate"),
    ],
)
def test_wrong_options_are_one_line(
    command: Run, tiny_data: Path, tmp_path: Path, option: str, value: str, telling: str
) -> None:
    done = command("fer-train", "fit", "--data", tiny_data, "--out", tmp_path / "run", option, value)
    assert done.returncode == 2
    assert telling in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_composites_come_out_as_the_atlas_the_demo_wants(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "atlas.png"
    done = command("fer-train", "composites", "--data", tiny_data, "--out", out)
    assert done.returncode == 0, done.stderr
    atlas = cv2.imread(str(out), cv2.IMREAD_GRAYSCALE)
    assert atlas is not None
    assert atlas.shape == (48, 48 * 7)
    for index, (label, face) in enumerate(load_composites().items()):
        made = atlas[6:-6, index * 48 + 6 : index * 48 + 42]
        likeness = cv2.matchTemplate(face, made, cv2.TM_CCOEFF_NORMED).max()
        assert likeness > 0.8, label
