"""Which code made a bundle."""

import re
import shutil
from pathlib import Path

import pytest

from fer_edge.errors import ConfigError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_quantize.manifest_writer import source_revision, write_manifest

IN_CHECKOUT = shutil.which("git") and any((folder / ".git").exists() for folder in Path(__file__).parents)


@pytest.mark.skipif(not IN_CHECKOUT, reason="needs git, and a checkout")
def test_the_revision_is_a_whole_commit_and_says_when_files_were_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The checkout may belong to another user.
    for name, value in {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", source_revision())


def test_without_git_the_revision_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_revision() == "unknown"


def test_outside_a_checkout_the_revision_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert source_revision() == "unknown"


def test_a_manifest_is_written_as_it_is_read(tmp_path: Path) -> None:
    manifest = load_bundle(find_bundle("ferplus7-tiny")).manifest
    write_manifest(tmp_path, manifest)
    assert type(manifest).model_validate_json((tmp_path / "model.json").read_text()) == manifest
    with pytest.raises(ConfigError, match=r"missing/model\.json: cannot be written"):
        write_manifest(tmp_path / "missing", manifest)
