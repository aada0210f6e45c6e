"""Golden faces: by how much a device may compute something else than the workstation."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import ModelError
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.golden import self_test, verify


@pytest.fixture
def copy(bundle_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_dir, tmp_path / "copy"))


@pytest.mark.parametrize("steps", [0, 2, 3, 40])
def test_a_single_output_may_differ_by_two_steps_from_one_family_of_kernels(copy: Path, steps: int) -> None:
    """Another family, which is far from what is computed here, changes nothing."""
    bundle = load_bundle(copy)
    with np.load(copy / "golden.npz") as golden:
        inputs = golden["inputs"]
    here = np.array([Classifier(bundle).outputs(face) for face in inputs]).astype(np.int16)
    other = here.copy()
    other[3, 2] += steps
    np.savez(copy / "golden.npz", inputs=inputs, outputs=np.stack([here + 100, other]))
    if steps <= 2:
        assert self_test(bundle) == steps
    else:
        with pytest.raises(ModelError, match=f"differ from the golden ones by {steps} of 256 steps, more than 2"):
            self_test(bundle)


def test_golden_faces_that_were_written_again_are_not_those_of_the_bundle(copy: Path) -> None:
    assert "hashes agree" in verify(copy)
    with np.load(copy / "golden.npz") as golden:
        arrays = dict(golden)
    np.savez_compressed(copy / "golden.npz", **arrays)
    assert self_test(load_bundle(copy)) <= 2
    with pytest.raises(ModelError, match=r"golden\.npz: its sha256 is not the one in model\.json"):
        verify(copy)
