"""Puts every model bundle under models/ into the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What the runtime needs of a bundle; the float model stays in the source.
_FILES = ("golden.npz", "model.json", "model.tflite")


class BundlesHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the bundles to a wheel. An editable install reads them where they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each bundle's files as `fer_edge/models/NAME/FILE`."""
        if self.target_name != "wheel" or version == "editable":
            return
        for manifest in sorted(Path(self.root, "models").glob("*/model.json")):
            for name in _FILES:
                file = manifest.parent / name
                build_data["force_include"][str(file)] = f"fer_edge/models/{manifest.parent.name}/{name}"
