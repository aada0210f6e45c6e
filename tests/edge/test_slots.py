"""The folder of installed models: the history of switches, and what a process that was killed left."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.conftest import as_nobody

from fer_edge.errors import FerError
from fer_edge.files import TEMPORARY
from fer_edge.model.slots import ModelId, Slots, Switch, version_numbers

A, B, C = ModelId("ferplus7"), ModelId("ferplus8"), ModelId("ferplus7-tiny")


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "models")


def use(slots: Slots, *models: ModelId) -> None:
    for model in models:
        with slots.lock():
            slots.use(model, "use")


def test_earlier_models_come_latest_first_and_each_once(slots: Slots) -> None:
    use(slots, A, B, ModelId("mine", "1"), A, C)
    assert slots.current() == C
    assert slots.earlier() == [A, B], "mine@1 is not installed"
    use(slots, A)
    assert slots.earlier() == [C, B]
    switch = slots.in_effect()
    assert switch is not None
    assert (switch.serial, switch.model, switch.why) == (6, "ferplus7", "use")
    assert [each.serial for each in slots.history()] == [1, 2, 3, 4, 5, 6]


def test_a_switch_that_a_power_cut_left_half_done_is_forgotten(slots: Slots) -> None:
    """The history has it, and the link does not; its number is not used again, since a trial may have that."""
    use(slots, A, B)
    (slots.folder / "current").unlink()
    (slots.folder / "current").symlink_to("ferplus7")
    assert (slots.current(), slots.earlier()) == (A, [])
    use(slots, C)
    assert [(switch.serial, switch.model) for switch in slots.history()] == [(1, "ferplus7"), (3, "ferplus7-tiny")]
    assert slots.earlier() == [A]


def test_the_last_two_hundred_switches_are_remembered(slots: Slots) -> None:
    use(slots, B, A)
    history = [asdict(Switch(serial, str((A, B)[serial % 2]), 0.0, "use")) for serial in range(1, 205)]
    (slots.folder / "history.json").write_text(json.dumps(history))
    use(slots, B)
    assert [switch.serial for switch in slots.history()] == list(range(6, 206))
    assert slots.earlier() == [A]


def test_revoked_versions_are_added_up(slots: Slots) -> None:
    with slots.lock():
        slots.revoke({"mine@1": "poisoned", "mine@2": "too slow"})
        slots.revoke({"mine@2": "leaks"})
    assert slots.revoked() == {"mine@1": "poisoned", "mine@2": "leaks"}


def test_one_process_at_a_time_changes_the_models_and_removes_what_another_left(slots: Slots) -> None:
    slots.folder.mkdir()
    (slots.folder / f"{TEMPORARY}half" / "below").mkdir(parents=True)
    (slots.folder / f"{TEMPORARY}current").symlink_to("nowhere")
    with slots.lock():
        assert [path.name for path in slots.folder.iterdir()] == [".lock"]
        with pytest.raises(FerError, match="another process changes the models"), Slots(slots.folder).lock():
            pass
    with slots.lock():
        pass


def test_any_folder_with_the_name_of_a_version_is_one(slots: Slots) -> None:
    for name in ("mine/local", "mine/v2", "mine/.new-3", "no name/1", "other/1"):
        (slots.folder / name).mkdir(parents=True)
    (slots.folder / "mine" / "file").touch()
    assert [str(model) for model in slots.installed()] == ["mine@local", "mine@v2", "other@1"]


def test_a_link_that_was_left_is_replaced(slots: Slots) -> None:
    """Also within one lock, whose beginning alone removes what was left."""
    with slots.lock():
        (slots.folder / f"{TEMPORARY}current").symlink_to("nowhere")
        slots.use(A, "use")
    assert slots.current() == A


def test_the_services_models_are_meant_where_they_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_EDGE_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "mine"))
    monkeypatch.setattr("fer_edge.model.slots.SERVICE_DATA", tmp_path / "service")
    assert Slots().folder == tmp_path / "mine" / "fer-edge" / "models"
    (tmp_path / "service").mkdir()
    assert Slots().folder == tmp_path / "service" / "models"
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "named"))
    assert Slots().folder == tmp_path / "named"


def test_an_added_version_can_be_read_by_the_service_and_is_newest_by_its_numbers(slots: Slots) -> None:
    for version in ("0.10.0", "0.9.0"):
        with slots.lock(), slots.staging() as staged:
            (staged / "model.json").write_text("{}")
            (staged / "model.json").chmod(0o600)
            slots.add(staged, ModelId("mine", version))
    assert slots.installed() == [ModelId("mine", "0.9.0"), ModelId("mine", "0.10.0")]
    path = slots.path(ModelId("mine", "0.9.0"))
    assert path.stat().st_mode & 0o777 == 0o755
    assert (path / "model.json").stat().st_mode & 0o777 == 0o644
    with slots.lock():
        slots.remove(ModelId("mine", "0.9.0"))
    assert slots.installed() == [ModelId("mine", "0.10.0")]


def test_what_is_deleted_is_gone_at_once(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut in the middle leaves no half of a version: its files go when it has no name any more."""
    slots.path(ModelId("mine", "1")).mkdir(parents=True)
    (slots.path(ModelId("mine", "1")) / "model.json").touch()

    def fail(_path: Path, *, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError("the power is cut")

    with slots.lock():
        monkeypatch.setattr("shutil.rmtree", fail)
        with pytest.raises(FerError, match="the power is cut"):
            slots.remove(ModelId("mine", "1"))
    monkeypatch.undo()
    assert slots.installed() == []
    with slots.lock():
        assert not list(slots.folder.glob(f"{TEMPORARY}*"))


def test_a_version_and_its_name_are_on_the_disk_before_they_are_used(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file, then the names in each folder (fsync(2))."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    model = ModelId("mine", "1")
    with slots.lock(), slots.staging() as staged:
        for name in ("model.json", "model.tflite"):
            (staged / name).write_text("x")
        slots.add(staged, model)
        added, synced[:] = [*synced], []
        slots.use(model, "use")
    folder = str(slots.folder.resolve())
    assert added == [
        *(f"{folder}/{staged.name}/{name}" for name in ("model.json", "model.tflite")),
        f"{folder}/{staged.name}",
        f"{folder}/mine",
        folder,
    ]
    assert synced == [f"{folder}/{TEMPORARY}history.json", folder, folder]


def test_who_may_not_write_the_models_is_told_to_be_root(open_path: Path) -> None:
    (open_path / "models").mkdir(mode=0o555)
    refused = pytest.raises(FerError, match=r"may not be written. Run it with sudo$")
    with as_nobody(), refused, Slots(open_path / "models").lock():
        pass


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("v1.2.0-rc1", (1, 2)), ("0.10", (0, 10)), ("10.0.0", (10,)), ("local", ()), ("0.0", ()), ("3beta2", (3,))],
)
def test_the_numbers_of_a_version(version: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(version) == numbers


def test_the_link_names_a_shipped_model_or_a_folder_of_a_version(slots: Slots) -> None:
    for model, link in ((A, "ferplus7"), (ModelId("mine", "1.2"), "mine/1.2")):
        use(slots, model)
        assert os.readlink(slots.folder / "current") == link  # noqa: PTH115 - pathlib takes a slash at the end away
        assert slots.current() == model
