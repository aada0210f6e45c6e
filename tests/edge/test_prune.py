"""Which versions are deleted: none that is in use, that one would go back to, or that a configuration names."""

from pathlib import Path

import pytest
from tests.bundles import make_bundle, no_probe

from fer_edge.errors import FerError
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, Verdict, record_path
from fer_edge.updates import prune as module
from fer_edge.updates.install import install_bundle
from fer_edge.updates.prune import prune


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the service's configurations, which is not there yet."""
    monkeypatch.setattr(module, "SERVICE_CONFIGS", tmp_path / "etc")
    return tmp_path / "etc"


@pytest.fixture
def slots(tmp_path: Path, configs: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:  # noqa: ARG001
    """Four versions of a model, each of which was in use once, and two of another one, which never were."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    slots = Slots()
    with slots.lock():
        for name, version in (*(("mine", each) for each in "1234"), ("other", "1"), ("other", "2")):
            model = install_bundle(make_bundle(tmp_path / name / version, version, name), slots, probe=no_probe).model
            if name == "mine":
                slots.use(model, "use")
    return slots


def installed(slots: Slots) -> list[str]:
    return [str(model) for model in slots.installed()]


def test_the_model_in_use_and_the_one_before_are_kept(slots: Slots) -> None:
    with slots.lock():
        assert [str(model) for model in prune(slots)] == ["mine@1", "mine@2", "other@1", "other@2"]
        assert installed(slots) == ["mine@3", "mine@4"]
        assert prune(slots) == []
        assert not (slots.folder / "other").exists()


def test_the_model_to_go_back_to_is_kept_though_a_shipped_one_was_in_use_between(slots: Slots) -> None:
    with slots.lock():
        slots.use(ModelId("ferplus8"), "use")
        slots.use(ModelId("other", "1"), "use")
        prune(slots)
    assert installed(slots) == ["mine@4", "other@1"]


def test_what_failed_its_trial_is_kept_while_it_is_the_chosen_one(slots: Slots) -> None:
    switch = slots.in_effect()
    assert switch is not None
    TrialRecord().ended(Verdict("mine@4", switch.serial, False, "too slow", 0.0)).write(record_path())
    with slots.lock():
        prune(slots)
        assert installed(slots) == ["mine@2", "mine@3", "mine@4"]
        slots.use(ModelId("mine", "3"), "use")
        prune(slots)
    assert installed(slots) == ["mine@2", "mine@3"]


def test_a_name_in_a_configuration_keeps_its_newest_version_alone(slots: Slots, configs: Path) -> None:
    configs.mkdir()
    (configs / "a.toml").write_text('model = "other"\n')
    (configs / "b.toml").write_text('model = "mine@1"\n')
    (configs / "c.toml").write_text("threads = 2\n")
    (configs / "d.toml.old").write_text('model = "mine@2"\n')
    with slots.lock():
        prune(slots)
    assert installed(slots) == ["mine@1", "mine@3", "mine@4", "other@2"]


def test_what_cannot_be_read_may_name_a_model_so_nothing_is_deleted(slots: Slots, configs: Path) -> None:
    (configs / "door.toml").mkdir(parents=True)
    before = installed(slots)
    with slots.lock():
        with pytest.raises(FerError) as caught:
            prune(slots)
        said = "cannot be read (Is a directory), and may name a model. Nothing was deleted"
        assert str(caught.value) == f"{configs}/door.toml: {said}"
        (configs / "door.toml").rmdir()
        (configs / "door.toml").write_text("model = ")
        with pytest.raises(FerError) as caught:
            prune(slots)
    assert str(caught.value).startswith(f"{configs}/door.toml: is no TOML (")
    assert str(caught.value).endswith("), and may name a model. Nothing was deleted")
    assert installed(slots) == before
