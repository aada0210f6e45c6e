"""Root changes the models that another user owns: it follows no link of that user, and leaves files that are theirs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bundles import make_bundle, pack

from fer_edge.model.bundle import current_bundle
from fer_edge.model.owner import acting_as_owner
from fer_edge.model.slots import ModelId, Slots
from fer_edge.updates.latest import Latest, read_latest, write_latest

FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of another user are needed: run the tests as root")


@pytest.fixture
def models(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, which another user owns."""
    folder = open_path / "models"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    monkeypatch.setenv("FER_EDGE_MODELS", str(folder))
    return folder


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder of root, with a file."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    (folder / "victim").write_text("secret")
    return folder


def fer_edge(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FER_EDGE, "models", *map(str, words)], capture_output=True, text=True, check=False)


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Owner, mode and content of everything in a folder, and of the folder."""
    paths = [folder, *folder.rglob("*")]
    return {
        str(path): (path.stat().st_uid, path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in paths
    }


@pytest.mark.parametrize(
    "name", [".lock", "history.json", "latest.json", ".new-latest.json", "mine", ".new-history.json"]
)
def test_root_follows_no_link_of_the_owner(models: Path, private: Path, name: str) -> None:
    target = private if name == "mine" else private / "victim"
    (models / name).symlink_to(target)
    os.chown(models / name, NOBODY, NOBODY, follow_symlinks=False)
    before = snapshot(private)
    bundle = make_bundle(private.parent / "bundle")
    for words in (("install", bundle, "--use"), ("use", "ferplus7"), ("rollback",), ("prune",)):
        done = fer_edge(*words)
        assert done.stderr.count("\n") <= 1, done.stderr
    write_latest(Latest("mine", "1", "2", "", 0.0), models)
    assert snapshot(private) == before


def test_a_link_instead_of_the_folder_leads_root_nowhere(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    link.symlink_to(private)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    monkeypatch.setenv("FER_EDGE_MODELS", str(link))
    before = snapshot(private)
    done = fer_edge("use", "ferplus8")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "may not be written" in done.stderr
    assert snapshot(private) == before


def test_what_root_installs_belongs_to_the_owner(models: Path, private: Path) -> None:
    shutil.rmtree(private)
    private.mkdir(mode=0o700)
    archive = pack(make_bundle(private / "bundle"), private / "mine.tar")
    config = private.parent / "config.toml"
    config.write_text("[updates]\nmin_fps = 0\n")  # however busy this machine is
    done = fer_edge("install", archive, "--use", "--config", config)
    assert done.returncode == 0, done.stderr
    write_latest(Latest("mine", "2", "2", "", 0.0), models)
    assert read_latest(models)
    assert current_bundle().folder == Slots().path(ModelId("mine", "2"))
    assert {path.lstat().st_uid for path in models.rglob("*")} == {NOBODY}
    assert {path.stat().st_mode & 0o777 for path in models.glob("mine/2/*")} == {0o644}
    assert os.geteuid() == 0


def test_root_tries_a_model_where_its_owner_cannot_change_it(models: Path, tmp_path: Path) -> None:
    with Slots().lock(), Slots().staging() as staged:
        assert not staged.is_relative_to(models)
        assert (staged.stat().st_uid, staged.stat().st_mode & 0o777) == (0, 0o700)
    assert not staged.exists()
    del tmp_path


def test_root_has_no_groups_of_its_own_while_it_acts_as_the_owner(models: Path) -> None:
    """Whatever happens meanwhile, it is root again afterwards."""
    before = (os.geteuid(), os.getegid(), os.getgroups())
    os.setgroups([0, 4])
    try:
        with pytest.raises(OSError, match="full"), acting_as_owner(models):
            assert (os.geteuid(), os.getegid(), os.getgroups()) == (NOBODY, NOBODY, [])
            raise OSError("full")
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, before[1], [0, 4])
    finally:
        os.setgroups(before[2])
