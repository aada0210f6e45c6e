"""Installing a bundle: what is compared with the models that are there, and what is said of the one that is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.bundles import edit_manifest, make_bundle, no_probe, pack

from fer_edge.errors import FerError, ModelError
from fer_edge.labels import FER2013
from fer_edge.model.slots import ModelId, Slots
from fer_edge.updates.install import Requirements, install_bundle, manifest_of
from fer_edge.updates.probe import Probe

SAME_USE = Requirements(same_use=True)


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:
    """Nothing is installed yet, so that ferplus7 is in use."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    return Slots()


def install(source: Path, requirements: Requirements | None = None) -> tuple[str, ...]:
    """Install it without running it; returns the notes."""
    with Slots().lock():
        return install_bundle(source, Slots(), requirements, no_probe).notes


def refusal(source: Path, requirements: Requirements | None = None) -> str:
    """Why it is refused, after the name of what was to be installed; nothing of it is left."""
    before = Slots().installed()
    with pytest.raises(ModelError) as caught:
        install(source, requirements)
    assert Slots().installed() == before
    assert not list(Slots().folder.glob(".new-*"))
    assert str(caught.value).startswith(f"{source}"), "the user does not know the folder in which it was staged"
    return str(caught.value).removeprefix(f"{source}: ")


def use(model: str) -> None:
    with Slots().lock():
        Slots().use(ModelId.parse(model), "use")


def with_labels(folder: Path, version: str, *labels: str) -> Path:
    unknown: dict[str, Any] = {"quantization": None, "reference": None, "prior": None}
    return make_bundle(folder, version, labels=labels, **unknown)


@pytest.mark.parametrize("is_archive", [False, True])
def test_what_was_installed_is_told(slots: Slots, tmp_path: Path, is_archive: bool) -> None:
    bundle = make_bundle(tmp_path / "a")
    asked: list[tuple[str, int]] = []

    def probe(folder: Path, detector: str, threads: int) -> Probe:
        assert (folder / "model.tflite").read_bytes() == (bundle / "model.tflite").read_bytes()
        asked.append((detector, threads))
        return Probe(3, 9.0, 0.5)

    source = pack(bundle, tmp_path / "a.tar") if is_archive else bundle
    with slots.lock():
        done = install_bundle(source, slots, probe=probe)
    assert (done.model, done.probe, done.notes) == (ModelId("mine", "2"), Probe(3, 9.0, 0.5), ())
    assert asked == [("haar", 1)]
    assert slots.installed() == [ModelId("mine", "2")]
    assert slots.current() is None, "the model in use stays the same"
    assert [path.name for path in slots.folder.iterdir() if path.is_dir()] == ["mine"], "nothing staged is left"


def test_what_is_there_is_neither_run_nor_written_again(slots: Slots, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "a")
    install(bundle)
    before = slots.path(ModelId("mine", "2")).stat().st_ctime_ns

    def probe(*_: object) -> Probe:
        raise AssertionError("it was tried")

    with slots.lock():
        done = install_bundle(bundle, slots, Requirements(1000.0), probe)
    assert (done.model, done.probe, done.notes) == (ModelId("mine", "2"), None, ("mine@2 is already installed",))
    assert slots.path(ModelId("mine", "2")).stat().st_ctime_ns == before


@pytest.mark.parametrize("name", ["model.json", "model.tflite", "golden.npz"])
@pytest.mark.parametrize("is_gone", [False, True])
def test_another_model_of_the_same_version_is_refused(slots: Slots, tmp_path: Path, name: str, is_gone: bool) -> None:
    install(make_bundle(tmp_path / "a"))
    path = slots.path(ModelId("mine", "2")) / name
    if is_gone:
        path.unlink()
    else:
        path.write_bytes(b"another")
    said = refusal(make_bundle(tmp_path / "b"))
    assert said == "is another mine@2 than the installed one. Give each change a version of its own in model.json"


def test_only_the_expected_version_is_installed(slots: Slots, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "a")
    for expected in (ModelId("mine", "3"), ModelId("other", "2"), ModelId("mine")):
        said = refusal(bundle, Requirements(expected=expected))
        assert said == f"is mine@2, not {expected}. Nothing was installed"
    install(bundle, Requirements(expected=ModelId("mine", "2")))
    assert slots.installed() == [ModelId("mine", "2")]


def test_a_name_that_cannot_be_a_folder_is_named(slots: Slots, tmp_path: Path) -> None:
    said = refusal(make_bundle(tmp_path / "a", "1 2", "a/b"))
    assert said == ("model.json: name 'a/b' and version '1 2' are to become folders: use letters, digits and _ . + -")
    del slots


def test_a_model_must_be_as_fast_as_is_wanted(slots: Slots, tmp_path: Path) -> None:
    said = refusal(make_bundle(tmp_path / "a"), Requirements(100.5))
    assert said == (
        "reaches 100 frames per second here, and updates.min_fps is 100.5. Take a smaller model such as ferplus7-tiny"
    )
    install(make_bundle(tmp_path / "b"), Requirements(100.0))
    assert slots.installed() == [ModelId("mine", "2")]


# Compared with the model in use


def test_labels_that_change_are_told_and_refused_in_an_update(slots: Slots, tmp_path: Path) -> None:
    differ, known = "its labels differ from those of the current model", "what reads the outputs must know them"
    eight = make_bundle(tmp_path / "eight", name="eight", base="ferplus8")
    assert refusal(eight, SAME_USE) == (
        f"{differ} (new: contempt). An update does not change them: use fer-edge models install"
    )
    assert install(eight) == (f"{differ} (new: contempt): {known}",)
    use("ferplus8")
    assert install(make_bundle(tmp_path / "a")) == (f"{differ} (gone: contempt): {known}",)
    use("mine@2")
    (note,) = install(with_labels(tmp_path / "b", "3", "calm", "busy", *FER2013[2:]))
    assert note == f"{differ} (new: calm, busy; gone: angry, disgust): {known}"
    assert install(make_bundle(tmp_path / "c", "4"), SAME_USE) == ()
    del slots


def test_an_update_keeps_the_crop_and_the_colours(slots: Slots, tmp_path: Path) -> None:
    fix = "so the two cannot be compared. An update does not change it: use fer-edge models install"
    wide = make_bundle(tmp_path / "a", crop_margin=0.25)
    assert refusal(wide, SAME_USE) == f"its crop_margin is 0.25, and that of the current model 0.0, {fix}"
    rgb = {"colour": "rgb", "mean": [0.0], "scale": [1.0], "outputs": "probabilities"}
    colour = make_bundle(tmp_path / "b", "3", input_shape=[48, 48, 3], preprocessing=rgb, quantization=None)
    assert refusal(colour, SAME_USE) == f"its colour is rgb, and that of the current model grey, {fix}"
    assert install(wide) == install(make_bundle(tmp_path / "c", "4"), SAME_USE) == ()
    assert slots.installed() == [ModelId("mine", "2"), ModelId("mine", "4")]


def test_with_no_usable_model_nothing_is_compared(
    slots: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in an update: there is nothing to compare it with."""
    monkeypatch.setattr("fer_edge.updates.install.CURRENT_MODEL", str(tmp_path / "nothing"))
    assert install(make_bundle(tmp_path / "a", crop_margin=0.25), SAME_USE) == ()
    assert slots.installed() == [ModelId("mine", "2")]


def test_the_versions_of_a_name_have_one_input_size(slots: Slots, tmp_path: Path) -> None:
    fix = "Give it another name in model.json"
    shape: dict[str, Any] = {"input_shape": [64, 64, 1]}
    said = refusal(make_bundle(tmp_path / "a", "2", "ferplus8", **shape))
    assert said == f"its input is 64 x 64 x 1, that of ferplus8 is 48 x 48 x 1. {fix}"
    install(make_bundle(tmp_path / "b", "2", **shape))
    said = refusal(make_bundle(tmp_path / "c", "3"))
    assert said == f"its input is 48 x 48 x 1, that of mine is 64 x 64 x 1. {fix}"
    install(make_bundle(tmp_path / "d", "3", **shape))
    install(make_bundle(tmp_path / "e", "2", "other"))
    edit_manifest(slots.path(ModelId("mine", "3")), input_shape=[48, 48, 1])
    said = refusal(make_bundle(tmp_path / "f", "4"))
    assert said == f"its input is 48 x 48 x 1, that of mine@2 is 64 x 64 x 1. {fix}"


def test_a_damaged_version_is_no_reason_to_refuse_another(slots: Slots, tmp_path: Path) -> None:
    install(make_bundle(tmp_path / "a"))
    (slots.path(ModelId("mine", "2")) / "model.json").write_text("{")
    assert manifest_of("mine@2") is None
    install(make_bundle(tmp_path / "b", "3"))
    assert slots.has(ModelId("mine", "3"))


# What cannot be written


def test_a_model_that_does_not_fit_on_the_disk_is_one_line(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_MODELS", str(small_disk / "models"))
    bundle = make_bundle(tmp_path / "a")
    with Slots().lock():
        (small_disk / "filler").write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 40_000))
        with pytest.raises(FerError) as caught:
            install_bundle(bundle, Slots(), probe=no_probe)
    assert str(caught.value) == (
        f"{bundle}: cannot be installed in {Slots().folder} (No space left on device). "
        "More space: fer-edge models prune"
    )
