"""Every way in which a bundle can be wrong ends in one line that names it; and which of several is used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bundles import make_bundle, no_probe

from fer_edge.errors import ModelError
from fer_edge.model.bundle import (
    current_bundle,
    current_choices,
    find_bundle,
    load_bundle,
    model_before,
    revocation,
    sha256,
    verify_files,
)
from fer_edge.model.classifier import Classifier
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, Verdict
from fer_edge.updates.install import install_bundle


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


def test_a_bundle_is_printed_without_its_model(bundle_dir: Path) -> None:
    bundle = load_bundle(bundle_dir)
    assert len(repr(bundle)) < len(bundle.model)


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


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:
    """Two versions of a model, of which the second was chosen last."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "state" / "models"))
    slots = Slots()
    with slots.lock():
        for version in ("1", "2"):
            bundle = make_bundle(tmp_path / version, version)
            slots.use(install_bundle(bundle, slots, probe=no_probe).model, "install")
    return slots


FIRST, SECOND = ModelId("mine", "1"), ModelId("mine", "2")


def revoke(slots: Slots, *models: str) -> None:
    with slots.lock():
        slots.revoke(dict.fromkeys(models, "poisoned"))


def judged(slots: Slots, *, passed: bool, of_switch: int = 0) -> TrialRecord:
    switch = slots.in_effect()
    assert switch is not None
    return TrialRecord((Verdict(str(SECOND), switch.serial + of_switch, passed, "why", 0.0),))


def test_a_model_that_failed_or_was_revoked_is_no_choice(slots: Slots) -> None:
    assert list(current_choices(slots, TrialRecord())) == [SECOND, FIRST]
    assert list(current_choices(slots, judged(slots, passed=True))) == [SECOND, FIRST]
    assert list(current_choices(slots, judged(slots, passed=False))) == [FIRST]
    assert list(current_choices(slots, judged(slots, passed=False, of_switch=-1))) == [SECOND, FIRST], "another trial"
    revoke(slots, "mine@2")
    assert list(current_choices(slots, judged(slots, passed=True))) == [FIRST]
    assert current_bundle().manifest.version == "1"
    revoke(slots, "mine@1")
    assert list(current_choices(slots, TrialRecord())) == []
    assert current_bundle().manifest.name == "ferplus7"


def test_a_shipped_model_is_revoked_by_the_version_in_its_description(slots: Slots) -> None:
    assert revocation(ModelId("ferplus7"), slots) is None
    version = load_bundle(find_bundle("ferplus7")).manifest.version
    revoke(slots, f"ferplus7@{version}", "ferplus8@0")
    assert revocation(ModelId("ferplus7"), slots) == "poisoned"
    assert revocation(ModelId("ferplus8"), slots) is None
    assert revocation(ModelId("gone"), slots) is None


def test_the_model_to_go_back_to_can_be_read_and_may_run(slots: Slots) -> None:
    assert model_before(slots, TrialRecord()) == FIRST
    (slots.path(FIRST) / "model.tflite").write_bytes(b"")
    assert model_before(slots, TrialRecord()) == ModelId("ferplus7")
    revoke(slots, f"ferplus7@{load_bundle(find_bundle('ferplus7')).manifest.version}")
    assert model_before(slots, TrialRecord()) is None


def test_a_damaged_choice_is_said_and_the_one_before_is_read(slots: Slots, caplog: pytest.LogCaptureFixture) -> None:
    (slots.path(SECOND) / "model.tflite").write_bytes(b"")
    assert current_bundle().manifest.version == "1"
    (message,) = caplog.messages
    assert message.endswith("is empty. Copy the bundle again. Using the model before it")


def test_a_name_is_its_newest_version_that_may_run(slots: Slots) -> None:
    assert find_bundle("mine") == find_bundle("mine@2") == slots.path(SECOND)
    assert find_bundle("mine@1") == slots.path(FIRST)
    revoke(slots, "mine@2")
    assert find_bundle("mine") == slots.path(FIRST)
    assert find_bundle("mine@2") == slots.path(SECOND), "who names it gets it"
    revoke(slots, "mine@1")
    assert find_bundle("mine") == slots.path(SECOND)
    with pytest.raises(ModelError, match=r"model 'mine@3' is neither .* an installed one\. .*mine@2"):
        find_bundle("mine@3")
