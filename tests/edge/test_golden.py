"""Golden faces: by how much a device may compute something else than the workstation."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ModelError
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.golden import make_golden, self_test, verify


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
        with pytest.raises(ModelError) as error:
            self_test(bundle)
        differ = f"{copy}: outputs differ from the golden ones by {steps} of 256 steps, more than 2. "
        assert str(error.value) == f"{differ}Install another version of the TFLite runtime"


def test_the_largest_difference_of_whole_numbers_is_not_taken_for_a_small_one(copy: Path) -> None:
    """127 and -128 are one step apart where eight bits wrap."""
    bundle = load_bundle(copy)
    with np.load(copy / "golden.npz") as golden:
        inputs = golden["inputs"]
    here = np.array([Classifier(bundle).outputs(face) for face in inputs])
    assert here.dtype == np.int8
    face, label = np.unravel_index(here.argmax(), here.shape)
    here[face, label] = -128
    np.savez(copy / "golden.npz", inputs=inputs, outputs=here[None])
    with pytest.raises(ModelError, match=r"by 2[0-9]{2} of 256 steps"):
        self_test(bundle)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "missing. Copy the whole bundle"),
        (b"", "is not a file of golden faces (No data left in file)"),
        (b"PK\x03\x04 cut off", "is not a file of golden faces (File is not a zip file)"),
        ({"inputs": 2}, "is not a file of golden faces ('outputs is not a file in the archive')"),
        ({"inputs": (7, 40, 40), "outputs": (2, 7, 7)}, "its faces and outputs do not fit this model"),
        ({"inputs": (7, 48, 48, 3), "outputs": (2, 7, 7)}, "its faces and outputs do not fit this model"),
        ({"inputs": (7, 48, 48), "outputs": (2, 6, 7)}, "its faces and outputs do not fit this model"),
        ({"inputs": (7, 48, 48), "outputs": (2, 7, 8)}, "its faces and outputs do not fit this model"),
        ({"inputs": (7, 48, 48), "outputs": (0, 7, 7)}, "its faces and outputs do not fit this model"),
    ],
)
def test_a_file_that_holds_no_golden_faces_is_named(
    copy: Path, content: bytes | dict[str, int | tuple[int, ...]] | None, told: str
) -> None:
    path = copy / "golden.npz"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        arrays: dict[str, Any] = {name: np.zeros(shape, np.uint8) for name, shape in content.items()}
        np.savez(path, **arrays)
    with pytest.raises(ModelError) as error:
        self_test(load_bundle(copy))
    assert str(error.value) == f"{path}: {told}"


def test_golden_faces_are_the_composite_ones_read_by_both_families_of_kernels(copy: Path) -> None:
    bundle = load_bundle(copy)
    with np.load(io.BytesIO(make_golden(bundle))) as golden:
        inputs, outputs = golden["inputs"], golden["outputs"]
    assert np.array_equal(inputs, np.array(list(load_composites().values())))
    assert (outputs.shape, outputs.dtype) == ((2, 7, 7), np.int8)
    assert np.array_equal(outputs[0], [Classifier(bundle).outputs(face) for face in inputs])
    assert not np.array_equal(outputs[0], outputs[1])
    assert verify(copy) == f"{copy}: hashes agree; golden faces: off by {self_test(bundle)} of 256 steps at most"


def test_golden_faces_that_were_written_again_are_not_those_of_the_bundle(copy: Path) -> None:
    assert "hashes agree" in verify(copy)
    with np.load(copy / "golden.npz") as golden:
        arrays = dict(golden)
    np.savez_compressed(copy / "golden.npz", **arrays)
    assert self_test(load_bundle(copy)) <= 2
    with pytest.raises(ModelError, match=r"golden\.npz: its sha256 is not the one in model\.json"):
        verify(copy)
