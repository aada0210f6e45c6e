"""The script for a rented GPU: it trains teachers, then students on them, and goes on where it stopped."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.face_api import archive_of, stored

from fer_edge.assets.composites import load_composites
from fer_train.backend import load_keras

load_keras()

import numpy as np  # noqa: E402 - Keras is quiet only when it is loaded first

from fer_train.pretrained.face_recognition import FACE_API, write_start  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "gpu" / "run.sh"


def run(folder: Path, *arguments: object, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run it for one epoch each, without a GPU."""
    chosen = {"KERAS_BACKEND": "tensorflow", "PRECISION": "float32", "TEACHER_EPOCHS": "1", "STUDENT_EPOCHS": "1"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [SCRIPT, *map(str, arguments)],
        env=os.environ | {"PATH": path} | chosen | {name: str(value) for name, value in variables.items()},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_data_it_says_how_it_is_used(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "training/gpu/run.sh DATA [FOLDER]" in done.stderr


def test_an_unknown_teacher_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path, TEACHERS="vgg")
    assert done.returncode == 2
    assert "teacher 'vgg' is unknown. Choose face-0" in done.stderr


@pytest.mark.slow
def test_all_is_trained_once_and_packed(tiny_data: Path, tmp_path: Path) -> None:
    archive, package = archive_of(stored(32) | {"LICENSE": b"MIT"}, tmp_path, FACE_API)
    faces = np.array(list(load_composites().values()), np.uint8)
    write_start(archive.read_bytes(), "face-api", faces, tmp_path / "start", package)
    chosen = {"TEACHERS": "face-3", "STUDENTS": "tiny", "START": tmp_path / "start"}
    stopped = tmp_path / "results-gpu" / "tiny" / "unfinished"
    stopped.mkdir(parents=True)  # before its first epoch had ended
    first = run(tmp_path, tiny_data, **chosen)
    assert first.returncode == 0, first.stdout + first.stderr
    with tarfile.open(tmp_path / "results-gpu.tar.gz") as packed:
        names = packed.getnames()
    assert {f"results-gpu/{name}/model.keras" for name in ("face-3", "tiny")} <= set(names)
    assert {"results-gpu/face-3.log", "results-gpu/face-3/fer2013/report.md"} <= set(names)
    second = run(tmp_path, tiny_data, **chosen)
    assert second.stdout.splitlines()[:2] == ["face-3: is done", "tiny: is done"], "nothing is trained twice"
    kept = tmp_path / "results-gpu" / "face-3" / "training.json"
    assert '"seed": 3' in kept.read_text()
