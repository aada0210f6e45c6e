"""The training prior of a bundle: counted on the training faces, and added to bundles that were made without."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.model.bundle import find_bundle, load_bundle, shipped_bundles, verify_files
from fer_quantize.training_prior import add_prior, training_prior
from fer_train.data.datasets import load_dataset
from fer_train.data.holdout import load_fold

MANIFEST = "model.json"


def without_prior(bundle: Path, copy: Path, fingerprint: str | None = None) -> Path:
    """A copy of a bundle as older versions wrote it, trained on other faces if a fingerprint is given."""
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("*.keras"))
    manifest = json.loads((copy / MANIFEST).read_text())
    del manifest["prior"]
    if fingerprint:
        manifest["training"]["data"]["train"]["fingerprint"] = fingerprint
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return copy


def test_the_prior_is_the_mean_of_the_targets(tiny_data: Path) -> None:
    train = load_dataset(tiny_data, "train", "ferplus7")
    few = train.take(np.concatenate([np.flatnonzero(train.classes == 3)[:30], np.flatnonzero(train.classes == 1)[:10]]))
    prior = training_prior({"recipe": {"imbalance": "none"}}, few)
    assert prior == {label: {"happy": 0.75, "disgust": 0.25}.get(label, 0.0) for label in train.labels}
    assert tuple(prior) == train.labels


def test_a_training_that_balanced_the_classes_has_no_rare_ones(tiny_data: Path) -> None:
    train = load_dataset(tiny_data, "train", "ferplus7")
    few = train.take(np.arange(50))
    for imbalance in ("class_weights", "balanced_sampling", "logit_adjustment"):
        assert set(training_prior({"recipe": {"imbalance": imbalance}}, few).values()) == {1 / 7}


def test_it_is_added_to_an_older_bundle(command: Run, tiny_data: Path, bundle_dir: Path, tmp_path: Path) -> None:
    train = load_dataset(tiny_data, "train", "ferplus7")
    old = without_prior(bundle_dir, tmp_path / "old", train.fingerprint)
    before = load_bundle(old).manifest
    done = command("fer-quantize", old, "--data", tiny_data, "--add-prior")
    assert (done.returncode, done.stdout) == (0, f"{old}: prior written\n"), done.stderr
    after = verify_files(old).manifest
    assert after.prior == dict.fromkeys(train.labels, 0.1429)
    assert after.model_copy(update={"prior": None}) == before


def test_of_a_training_that_held_faces_out_it_is_that_of_the_others(
    tiny_data: Path, bundle_dir: Path, tmp_path: Path
) -> None:
    (learnt,), _ = load_fold(tiny_data, ["ferplus7"])
    old = without_prior(bundle_dir, tmp_path / "old", learnt.fingerprint)
    manifest = json.loads((old / MANIFEST).read_text())
    manifest["training"]["recipe"]["hold_out"] = True
    (old / MANIFEST).write_text(json.dumps(manifest))
    add_prior(str(old), tiny_data)
    frequencies = dict(zip(learnt.labels, learnt.targets.mean(axis=0), strict=True))
    assert load_bundle(old).manifest.prior == pytest.approx(frequencies, abs=1e-4)
    assert len(learnt) < 280


def test_other_faces_than_those_it_learnt_from_are_refused(
    command: Run, tiny_data: Path, bundle_dir: Path, tmp_path: Path
) -> None:
    old = without_prior(bundle_dir, tmp_path / "old")
    before = (old / MANIFEST).read_bytes()
    done = command("fer-quantize", old, "--data", tiny_data, "--add-prior")
    assert done.returncode == 2
    assert "was not trained on these faces" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (old / MANIFEST).read_bytes() == before


def test_a_conversion_needs_no_such_option(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    done = command("fer-quantize", tmp_path / "model.keras", "--data", tiny_data, "--add-prior")
    assert (done.returncode, "takes a bundle" in done.stderr) == (2, True)


@pytest.mark.slow
def test_the_shipped_priors_come_from_the_command(command: Run, fer_data: Path, tmp_path: Path) -> None:
    for name in shipped_bundles():
        old = without_prior(find_bundle(name), tmp_path / name)
        assert command("fer-quantize", old, "--data", fer_data, "--add-prior").returncode == 0
        assert (old / MANIFEST).read_bytes() == (find_bundle(name) / MANIFEST).read_bytes()
