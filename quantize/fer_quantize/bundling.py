"""Write a model bundle: aside, verified, then moved into place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from fer_edge.bundle import MANIFEST_FILE, MODEL_FILE, Bundle, Manifest, load_bundle, sha256, verify_files
from fer_edge.classifier import Classifier
from fer_edge.errors import ConfigError


def refuse_foreign(out: Path) -> None:
    """Raise ConfigError if a folder is neither a bundle nor empty: it is somebody else's."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_FILE).is_file()):
        raise ConfigError(f"{out}: exists and is no model bundle. Choose another --out")


def in_memory(folder: Path, manifest: Manifest, model: bytes) -> Bundle:
    """A bundle that is not on disk yet, to be measured."""
    return Bundle(folder, manifest, model)


def write_bundle(out: Path, manifest: Manifest, model: bytes, companions: list[Path]) -> None:
    """Write `model.tflite`, `model.json` and copies of the companions as one folder, replacing an older bundle.

    Raises:
        ConfigError: the folder cannot be written, or is not a bundle.
        ModelError: what was written does not load.
    """
    refuse_foreign(out)
    aside = out.with_name(f".{out.name}.part")
    old = out.with_name(f".{out.name}.old")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        aside.mkdir(parents=True)
        files = {path.name: path.read_bytes() for path in companions} | {MODEL_FILE: model}
        for name, content in files.items():
            (aside / name).write_bytes(content)
        complete = manifest.model_copy(update={"files": {name: sha256(files[name]) for name in sorted(files)}})
        (aside / MANIFEST_FILE).write_text(complete.model_dump_json(indent=2) + "\n")
        verify_files(aside)
        Classifier(load_bundle(aside))
        if out.exists():
            out.replace(old)
        aside.replace(out)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def source_revision() -> str:
    """The commit of the checkout that this code runs from, or `unknown`."""
    try:
        found = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
