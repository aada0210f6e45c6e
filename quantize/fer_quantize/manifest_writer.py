"""Write the `model.json` of a bundle anew, and say which code made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fer_edge.model.bundle_writer import as_json
from fer_edge.model.manifest import MANIFEST_FILE, Manifest
from fer_train.files import write_whole


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the `model.json` of a bundle. Raises ConfigError if that cannot be done."""
    write_whole(folder / MANIFEST_FILE, as_json(manifest))


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
