"""A model bundle: a folder with a model (`model.tflite`), its description (`model.json`) and other files.

On a workstation it also holds the float model (`model.keras`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from fer_edge.errors import ModelError, choose
from fer_edge.model.manifest import MANIFEST_FILE, SCHEMA_VERSION, Manifest
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, record_path
from fer_edge.validation import first_problem

_log = logging.getLogger(__name__)

MODEL_FILE = "model.tflite"
DEFAULT_MODEL = "ferplus7"
# The model that was chosen with `fer-edge models use` or an update, else the default model.
CURRENT_MODEL = "current"

_PACKAGE = Path(__file__).resolve().parents[1]
# The first is the place in an installed package, the second that in a checkout.
_SHIPPED = (_PACKAGE / "models", _PACKAGE.parents[1] / "models")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose model was read and verified by its hash."""

    folder: Path
    manifest: Manifest
    # The content of `model.tflite`; megabytes, so a bundle is printed without it.
    model: bytes = field(repr=False)


def find_bundle(name_or_folder: str) -> Path:
    """Return the folder of a bundle.

    Args:
        name_or_folder: `current`, the name of a shipped model, `NAME@VERSION` or the name of an installed one, or a
            folder.

    Raises:
        ModelError: there is no such model.
    """
    if name_or_folder == CURRENT_MODEL:
        return current_bundle().folder
    if os.sep not in name_or_folder:
        for base in _SHIPPED:
            if os.path.isfile(base / name_or_folder / MANIFEST_FILE):  # noqa: PTH113 - a name too long is no file
                return base / name_or_folder
        slots = Slots()
        versions = [model for model in slots.installed() if name_or_folder in {model.name, str(model)}]
        if versions:
            good = [model for model in versions if not revocation(model, slots)]
            return slots.path((good or versions)[-1])
    if os.path.isdir(name_or_folder):  # noqa: PTH112
        return Path(name_or_folder)
    known = [*shipped_bundles(), *map(str, Slots().installed())]
    fix = choose(name_or_folder, known) if known else "None is shipped"
    raise ModelError(f"model '{name_or_folder}' is neither a folder nor a shipped model, nor an installed one. {fix}")


def shipped_bundles() -> list[str]:
    """Names of the bundles in the package."""
    return sorted({path.parent.name for base in _SHIPPED for path in base.glob(f"*/{MANIFEST_FILE}")})


def current_bundle() -> Bundle:
    """Read the chosen model, or, if it failed its trial or is damaged, the one that was in use before it.

    Raises:
        ModelError: the default model, which is the last resort, is damaged too.
    """
    for model in current_choices(Slots(), TrialRecord.read(record_path())):
        try:
            return load_bundle(find_bundle(str(model)))
        except ModelError as error:
            _log.error("%s. Using the model before it", error)
    return load_bundle(find_bundle(DEFAULT_MODEL))


def current_choices(slots: Slots, record: TrialRecord) -> Iterator[ModelId]:
    """The chosen model and those that were in use before it, the latest first.

    Without those that failed a trial, and those that were revoked.
    """
    serials = {switch.model: switch.serial for switch in slots.history()}
    current = slots.current()
    for model in [current, *slots.earlier()] if current else []:
        verdict = record.verdict(model, serials.get(str(model), 0))
        if (verdict is None or verdict.passed) and not revocation(model, slots):
            yield model


def model_before(slots: Slots, record: TrialRecord) -> ModelId | None:
    """The model to go back to from the current one; None if there is none.

    It was in use before, the latest first, or is the default one. It did not fail a trial, was not revoked, and can be
    read.
    """
    current = slots.current()
    for model in [*current_choices(slots, record), ModelId(DEFAULT_MODEL)]:
        if model != current and not revocation(model, slots):
            with suppress(ModelError):
                load_bundle(find_bundle(str(model)))
                return model
    return None


def revocation(model: ModelId, slots: Slots) -> str | None:
    """Why a model must not run any more; None if it may. A shipped one has the version in its description."""
    revoked = slots.revoked()
    if revoked and not model.version:
        with suppress(ModelError):
            manifest = _read_manifest(find_bundle(model.name) / MANIFEST_FILE)
            model = ModelId(manifest.name, manifest.version)
    return revoked.get(str(model))


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and verify the hash of its model.

    Raises:
        ModelError: a file is missing, `model.json` is malformed or of another schema, or a hash differs.
    """
    manifest = _read_manifest(folder / MANIFEST_FILE)
    model = _read(folder / MODEL_FILE)
    if not model:
        raise ModelError(f"{folder / MODEL_FILE}: is empty. Copy the bundle again")
    _compare(folder / MODEL_FILE, model, manifest)
    return Bundle(folder, manifest, model)


def verify_files(folder: Path) -> Bundle:
    """Read a bundle and verify the hash of each file; a device does not have all of them.

    Raises:
        ModelError: a file differs. The message names it.
    """
    bundle = load_bundle(folder)
    for name in bundle.manifest.files:
        if name != MODEL_FILE and (folder / name).is_file():
            _compare(folder / name, _read(folder / name), bundle.manifest)
    return bundle


def sha256(content: bytes) -> str:
    """The SHA-256 as hexadecimal digits, as in the manifest."""
    return hashlib.sha256(content).hexdigest()


def _read_manifest(path: Path) -> Manifest:
    text = _read(path)
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        field, problem = first_problem(error, Manifest)
        if field == "schema_version":
            problem = f"this program reads schema {SCHEMA_VERSION}. Convert the model again with fer-quantize"
        raise ModelError(f"{path}: {field}: {problem}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: missing. A bundle holds {MODEL_FILE} and {MANIFEST_FILE}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def _compare(path: Path, content: bytes, manifest: Manifest) -> None:
    expected = manifest.files.get(path.name)
    if expected is None:
        raise ModelError(f"{path.parent / MANIFEST_FILE}: files: has no hash for {path.name}")
    if sha256(content) != expected:
        raise ModelError(f"{path}: its sha256 is not the one in {MANIFEST_FILE}: it was changed or copied in part")
