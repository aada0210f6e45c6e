"""A shipped model learns from the labelled faces of a device, and stays as it is where that makes it no better."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests import warm
from tests.conftest import Run
from tests.samples import make_folder

from fer_edge.assets.composites import load_composites
from fer_edge.labels import FER2013
from fer_edge.model.bundle import find_bundle, load_bundle, sha256, verify_files
from fer_edge.model.manifest import Manifest
from fer_edge.types import Image
from fer_quantize.gate import Rival
from fer_quantize.refresh import refusal
from fer_quantize.statistics import PairedDrop
from fer_train.data.augmentation import Augmentation

PROJECT = Path(__file__).resolve().parents[2]
TINY = "ferplus7-tiny"
VARIED = Augmentation(rotate_degrees=0, noise=0, erase=0, compress=0)
# A device that is this machine, with its configuration elsewhere.
SSH = """#!/bin/sh
shift
case $* in
    "sudo sh -eu") sed "s#/etc/fer-edge/#$DEVICE/#" | sh -eu ;;
    *) exec sh -c "$*" ;;
esac
"""
SUDO = """#!/bin/sh
exec "$@"
"""


def varied_faces(count: int, seed: int) -> dict[str, list[Image]]:
    """Faces by label, which the model knows."""
    rng = np.random.default_rng(seed)
    return {label: [*VARIED.apply(np.repeat(face[None], count, 0), rng)] for label, face in load_composites().items()}


def dark_faces(count: int, seed: int) -> dict[str, list[Image]]:
    """Faces by label, as a dark, noisy and tilted camera shows them."""
    rng = np.random.default_rng(seed)
    tilt = cv2.getRotationMatrix2D((23.5, 23.5), 30, 1)
    shown: dict[str, list[Image]] = {}
    for label, faces in varied_faces(count, seed).items():
        tilted = [cv2.warpAffine(one, tilt, (48, 48), borderMode=cv2.BORDER_REPLICATE) / 6 for one in faces]
        noisy = [np.clip(np.rint(one + rng.normal(0, 6, (48, 48))), 0, 255) for one in tilted]
        shown[label] = [one.astype(np.uint8) for one in noisy]
    return shown


def write_samples(folder: Path) -> Path:
    """A folder as `fer-edge samples export` writes it."""
    for split, count in (("train", 12), ("validation", 8)):
        for label, faces in varied_faces(count, seed=count).items():
            into = folder / split / label
            into.mkdir(parents=True)
            for index, face in enumerate(faces):
                cv2.imwrite(str(into / f"{index}.png"), face)
    return folder


def refresh(command: Run, samples: Path, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return command("fer-train", "refresh", samples, "--model", TINY, "--out", out, *options, timeout=3000)


@pytest.mark.slow
def test_from_labels_on_a_device_to_a_better_model_that_runs_there(tiny_data: Path, tmp_path: Path) -> None:
    device, bundle = tmp_path / "device", tmp_path / "models" / "kitchen"
    label_samples(device / "samples")
    (device / "config.toml").write_text(f'[samples]\npath = "{device}/samples"\n')
    environment = {"DEVICE": str(device), "FER_DATA": str(tiny_data), "FER_EDGE_MODELS": str(device / "models")}
    done = run_loop(tmp_path, environment, bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 0.1.1 written, refreshed from ferplus7-tiny 0.1.0" in done.stdout
    verify_files(bundle)
    assert_origin(load_bundle(bundle).manifest)
    listed = subprocess.run(
        [Path(sys.executable).with_name("fer-edge"), "models", "list", "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = [row for row in json.loads(listed.stdout) if row["model"].startswith("kitchen")]
    assert row["model"] == "kitchen@0.1.1"


@pytest.mark.slow
def test_a_model_that_would_not_be_better_is_not_written(command: Run, tmp_path: Path) -> None:
    """The samples to learn from have each the name of another expression."""
    samples, out = write_samples(tmp_path / "samples"), tmp_path / "mine"
    (samples / "train").rename(samples / "right")
    for label, other in zip(FER2013, (*FER2013[1:], FER2013[0]), strict=True):
        shutil.copytree(samples / "right" / label, samples / "train" / other)
    shutil.rmtree(samples / "right")
    shutil.copytree(find_bundle(TINY), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = refresh(command, samples, out)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not written: " in done.stdout
    assert "without --data nothing is compared on other faces" in done.stdout
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.slow
def test_what_loses_too_much_on_the_old_data_is_taken_back_by_halves(tiny_data: Path, tmp_path: Path) -> None:
    """The device's labels contradict the old ones."""
    samples = write_samples(tmp_path / "samples")
    for split in ("train", "validation"):
        (samples / split / "happy").rename(samples / split / "aside")
        (samples / split / "sad").rename(samples / split / "happy")
        (samples / split / "aside").rename(samples / split / "sad")
    script = f"""
from dataclasses import replace
from pathlib import Path
from fer_quantize.refresh import read_material, refresh
from fer_train.recipes import load_recipe
material = replace(read_material(Path({str(samples)!r}), {TINY!r}, Path({str(tiny_data)!r})), old=None)
options = ["architecture=edge-tiny", "labels=ferplus7", "learning_rate=0.05", "epochs=20", "start_share=0"]
result = refresh(material, Path({str(tmp_path / "mine")!r}), load_recipe("photographs", options))
print(result.start_share, result.on_validation.loss.drop, result.refusal is None)
"""
    share, loss, is_written = warm.run_script(script).decode().split()[-3:]
    assert share in {"0.5", "0.75"}
    assert is_written == str(float(loss) <= 0.5) == str((tmp_path / "mine").exists())
    if is_written == "True":
        assert load_bundle(tmp_path / "mine").manifest.training["start_share"] == float(share)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("ferplus9", "model 'ferplus9' is neither a folder nor a shipped"),
        ("{folder}/bare", "{folder}/bare: has no model.keras"),
    ],
)
def test_a_model_that_cannot_be_refreshed_is_one_line(command: Run, tmp_path: Path, model: str, said: str) -> None:
    shutil.copytree(find_bundle(TINY), tmp_path / "bare")
    (tmp_path / "bare" / "model.keras").unlink()
    samples = write_samples(tmp_path / "samples")
    name = model.format(folder=tmp_path)
    done = command("fer-train", "refresh", samples, "--model", name, "--out", tmp_path / "mine")
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith(f"error: {said.format(folder=tmp_path)}")


def test_samples_that_cannot_be_read_are_one_line(command: Run, tmp_path: Path) -> None:
    done = refresh(command, tmp_path / "nothing", tmp_path / "mine")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "notes.txt").write_text("mine")
    done = refresh(command, write_samples(tmp_path / "samples"), tmp_path / "file")
    assert done.returncode == 2, done.stderr
    assert "exists and holds other things than a model bundle" in done.stderr


@pytest.mark.parametrize(
    ("samples", "p_value", "validation", "refused"),
    [
        (-2.0, 0.6, 0.4, None),
        (-2.0, 0.04, None, None),
        (-2.0, 0.06, None, "its gain of 2.0 percentage points on the held-out samples may be chance (McNemar p 0.06)"),
        (0.0, 1.0, -1.0, "not better on the held-out samples"),
        (3.0, 0.01, None, "not better on the held-out samples"),
        (-2.0, 0.01, 0.6, "loses 0.60 percentage points on the validation split, more than the 0.5 allowed"),
    ],
)
def test_the_gate(samples: float, p_value: float, validation: float | None, refused: str | None) -> None:
    """Losses in percentage points, of the new model against the old one."""
    rivals = [
        Rival("old", 0.8, PairedDrop(loss, (loss, loss), 0, 0, p_value))
        for loss in (samples, validation)
        if loss is not None
    ]
    said = refusal(*rivals)
    assert said is None if refused is None else said is not None and refused in said


def label_samples(path: Path) -> None:
    """Samples of two days, with their labels."""
    shown = {label: [*faces] for label, faces in dark_faces(20, seed=1).items()}
    order = [label for index in range(20) for label in shown]
    folder, samples = make_folder(path, [(label, 0.6) for label in order], per_day=len(order) * 3 // 5)
    for sample in samples:
        cv2.imwrite(str(folder.picture_path(sample.id)), shown[sample.label].pop())
        folder.set_label(sample, sample.label)


def run_loop(folder: Path, environment: Mapping[str, str], bundle: Path) -> subprocess.CompletedProcess[str]:
    """Run the script of the documentation."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name, text in {"ssh": SSH, "sudo": SUDO}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [PROJECT / "examples" / "refresh.sh", "device", bundle, TINY],
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )


def assert_origin(manifest: Manifest) -> None:
    """Parent, data and measurements are told."""
    parent = load_bundle(find_bundle(TINY))
    assert manifest.parent is not None
    assert (manifest.parent.name, manifest.parent.version) == (TINY, parent.manifest.version)
    assert manifest.parent.sha256 == sha256(parent.model)
    told = manifest.model_dump()["training"]
    assert told["samples"]["images"] == 7 * 12
    assert len(told["samples"]["fingerprint"]) == len(told["replayed_from"]["fingerprint"]) == 64
    on_samples, on_validation = manifest.accuracy
    assert (on_samples.images, on_validation.images) == (7 * 8, 7 * 10)
    assert manifest.reference is not None
    assert manifest.reference.faces == 7 * 8, "the samples are what its faces look like"
