"""A bundle is replaced whole or not at all."""

import shutil
from errno import EIO
from pathlib import Path

import pytest

from fer_edge.errors import ConfigError, ModelError
from fer_edge.model.bundle import find_bundle, load_bundle, verify_files
from fer_edge.model.bundle_writer import refuse_foreign, write_bundle


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The bundle that is to be replaced, alone in its folder."""
    return Path(shutil.copytree(find_bundle("ferplus7-tiny"), tmp_path / "models" / "mine"))


@pytest.fixture
def fresh() -> Path:
    return find_bundle("ferplus7")


def files_of(bundle: Path) -> dict[str, bytes]:
    return {name: (bundle / name).read_bytes() for name in load_bundle(bundle).manifest.files}


def test_a_bundle_takes_the_place_of_an_older_one(old: Path, fresh: Path) -> None:
    write_bundle(old, load_bundle(fresh).manifest, files_of(fresh))
    verify_files(old)
    assert load_bundle(old).manifest.name == "ferplus7"
    assert files_of(old) == files_of(fresh)
    assert [path.name for path in old.parent.iterdir()] == ["mine"]


def test_a_model_that_fails_its_golden_faces_replaces_nothing(old: Path, fresh: Path) -> None:
    """Its hash is right, since it is written with it; only running it shows that it is another model."""
    before = content(old)
    files = files_of(fresh) | {"model.tflite": (find_bundle("ferplus7-tiny") / "model.tflite").read_bytes()}
    with pytest.raises(ModelError, match="outputs differ from the golden ones"):
        write_bundle(old, load_bundle(fresh).manifest, files)
    assert content(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["mine"]


def test_a_model_that_cannot_be_loaded_replaces_nothing(old: Path, fresh: Path) -> None:
    before = content(old)
    files = files_of(fresh)
    with pytest.raises(ModelError):
        write_bundle(old, load_bundle(fresh).manifest, files | {"model.tflite": files["model.tflite"][:10_000]})
    assert content(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["mine"]


def test_the_old_bundle_returns_where_the_new_one_cannot_be_moved(
    old: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace = content(old), Path.replace

    def fail_in_the_end(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            raise OSError(EIO, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail_in_the_end)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_bundle(old, load_bundle(fresh).manifest, files_of(fresh))
    assert content(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["mine"]


def test_where_nothing_was_nothing_is_left_if_it_cannot_be_moved(
    tmp_path: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path, _target: Path) -> Path:
        raise OSError(EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError, match=r"deep/mine: cannot be written \(Input/output error\)"):
        write_bundle(tmp_path / "deep" / "mine", load_bundle(fresh).manifest, files_of(fresh))
    assert list((tmp_path / "deep").iterdir()) == []


def test_only_a_bundle_or_an_empty_folder_is_replaced(old: Path, fresh: Path, tmp_path: Path) -> None:
    refuse_foreign(old)
    (old / "notes.txt").touch()
    with pytest.raises(ConfigError, match="exists and holds other things than a model bundle"):
        write_bundle(old, load_bundle(fresh).manifest, files_of(fresh))
    assert load_bundle(old).manifest.name == "ferplus7-tiny"
    notes, empty = tmp_path / "notes", tmp_path / "empty"
    notes.write_text("my notes")
    empty.mkdir()
    for out, said in ((notes, "holds other things"), (notes / "mine", "lies below a file")):
        with pytest.raises(ConfigError, match=said):
            refuse_foreign(out)
    for out in (empty, tmp_path / "absent", tmp_path / "absent" / "mine"):
        refuse_foreign(out)


def test_the_leftovers_of_a_killed_run_do_not_matter(old: Path, fresh: Path) -> None:
    for suffix in ("part", "old"):
        (old.parent / f".mine.{suffix}").mkdir()
        (old.parent / f".mine.{suffix}" / "rest").touch()
    write_bundle(old, load_bundle(fresh).manifest, files_of(fresh))
    verify_files(old)
    assert [path.name for path in old.parent.iterdir()] == ["mine"]
