"""Every way in which a bundle can be wrong ends in one line that names it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer_edge.errors import ModelError
from fer_edge.model.bundle import find_bundle, load_bundle, sha256, verify_files
from fer_edge.model.classifier import Classifier


@pytest.fixture
def copy(bundle_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_dir, tmp_path / "copy"))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    change(manifest)
    (folder / "model.json").write_text(json.dumps(manifest))


def replace_model(folder: Path, content: bytes) -> None:
    (folder / "model.tflite").write_bytes(content)
    edit(folder, lambda manifest: manifest["files"].update({"model.tflite": sha256(content)}))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Classifier(load_bundle(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_the_shipped_bundle_is_whole(bundle_dir: Path) -> None:
    verify_files(bundle_dir)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ModelError, match=r"Choose .*ferplus7"):
        find_bundle("nosuchmodel")


def test_a_missing_model_is_named(copy: Path) -> None:
    (copy / "model.tflite").unlink()
    assert "model.tflite: missing" in refusal(copy)


def test_an_empty_model_is_named(copy: Path) -> None:
    (copy / "model.tflite").write_bytes(b"")
    assert "model.tflite: is empty" in refusal(copy)


def test_a_truncated_model_has_another_hash(copy: Path) -> None:
    content = (copy / "model.tflite").read_bytes()
    (copy / "model.tflite").write_bytes(content[: len(content) // 2])
    assert "sha256" in refusal(copy)


def test_a_damaged_float_model_is_found(copy: Path) -> None:
    if not (copy / "model.keras").is_file():
        pytest.skip("the bundle here has no model.keras: run the tests from a clone")
    (copy / "model.keras").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"model\.keras"):
        verify_files(copy)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_model_with_a_matching_hash(copy: Path, share: float) -> None:
    content = (copy / "model.tflite").read_bytes()
    replace_model(copy, content[: int(len(content) * share)])
    refusal(copy)


def test_something_else_is_not_a_model(copy: Path) -> None:
    replace_model(copy, b"PK\x03\x04 this is a zip file, or so it says")
    assert "not a TFLite model" in refusal(copy)


def test_wrong_shape_is_named(copy: Path) -> None:
    edit(copy, lambda manifest: manifest.update(input_shape=[64, 64, 1]))
    assert "(1, 48, 48, 1)" in refusal(copy)
    edit(copy, lambda manifest: manifest.update(input_shape=[48, 24, 1]))
    assert "is not square" in refusal(copy)


def test_wrong_labels_are_named(copy: Path) -> None:
    edit(copy, lambda manifest: manifest.update(prior=None, reference=None))
    edit(copy, lambda manifest: manifest["labels"].append("contempt"))
    assert "output has shape (1, 7)" in refusal(copy)
    for wrong in (["happy"] * 7, ["sad", "angry", "disgust", "fear", "happy", "surprise", "neutral"], []):
        edit(copy, lambda manifest, labels=wrong: manifest.update(labels=labels))  # type: ignore[misc]
        assert "labels" in refusal(copy)


def test_another_schema_is_named(copy: Path) -> None:
    edit(copy, lambda manifest: manifest.update(schema_version=2))
    assert "schema_version" in refusal(copy)


def test_a_missing_field_is_named(copy: Path) -> None:
    edit(copy, lambda manifest: manifest.pop("labels"))
    assert "labels" in refusal(copy)


def test_a_manifest_that_is_not_json(copy: Path) -> None:
    (copy / "model.json").write_text("{")
    assert "model.json" in refusal(copy)
