"""Write a model bundle: into a temporary folder, verified there, then moved into place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from fer_edge.errors import ConfigError
from fer_edge.model.bundle import sha256
from fer_edge.model.golden import verify
from fer_edge.model.manifest import MANIFEST_FILE, Manifest


def refuse_foreign(out: Path) -> None:
    """Raise ConfigError if a folder holds anything but a bundle's own files, so that nothing else is overwritten."""
    if any(parent.is_file() for parent in out.parents):
        raise ConfigError(f"{out}: lies below a file. Choose another --out")
    if not out.exists():
        return
    if not out.is_dir() or {path.name for path in out.iterdir()} - _own_files(out / MANIFEST_FILE):
        raise ConfigError(f"{out}: exists and holds other things than a model bundle. Choose another --out")


def _own_files(manifest: Path) -> set[str]:
    try:
        return {MANIFEST_FILE, *json.loads(manifest.read_bytes())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def write_bundle(out: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write a bundle as one folder: files by name, the model among them, and `model.json` with their hashes.

    An older bundle in its place is replaced.

    Raises:
        ConfigError: the folder cannot be written, or is not a bundle.
        ModelError: the written bundle does not load, or fails its self-test.
    """
    refuse_foreign(out)
    aside = out.with_name(f".{out.name}.part")
    old = out.with_name(f".{out.name}.old")
    hashes = {name: sha256(files[name]) for name in sorted(files)}
    complete = as_json(manifest.model_copy(update={"files": hashes}))
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for name, content in {**files, MANIFEST_FILE: complete}.items():
            (aside / name).write_bytes(content)
        verify(aside)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.replace(old)
        aside.replace(out)
    except OSError as error:
        if old.exists() and not out.exists():
            old.replace(out)
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def as_json(manifest: Manifest) -> bytes:
    """The content of `model.json`."""
    return (manifest.model_dump_json(indent=2) + "\n").encode()
