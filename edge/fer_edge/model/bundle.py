"""A model bundle: a folder with a model (`model.tflite`), its description (`model.json`) and other files.

On a workstation it also holds the float model (`model.keras`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fer_edge.errors import ModelError, choose
from fer_edge.labels import FER2013, FERPLUS8, UNCERTAIN
from fer_edge.model.preprocessing import Preprocessing
from fer_edge.model.reference import Reference
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, record_path
from fer_edge.validation import first_problem

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
MANIFEST_FILE = "model.json"
MODEL_FILE = "model.tflite"
DEFAULT_MODEL = "ferplus7"
# The model that was chosen with `fer-edge models use` or an update, else the default model.
CURRENT_MODEL = "current"

# The fractions are rounded to four decimal places, so their sum may differ from 1 by this much.
_PRIOR_TOLERANCE = 0.005
_LONGEST_LABEL = 40
_PACKAGE = Path(__file__).resolve().parents[1]
# The first is the place in an installed package, the second that in a checkout.
_SHIPPED = (_PACKAGE / "models", _PACKAGE.parents[1] / "models")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Accuracy(_Strict):
    """Accuracy and recall of the model on one labelled split; fractions, 0..1."""

    data: str
    split: str
    labels: str
    images: int
    accuracy_float: float
    accuracy_int8: float
    recall_float: dict[str, float | None]
    recall_int8: dict[str, float | None]


class Quantization(_Strict):
    """How the model was quantized."""

    scheme: Literal["int8"]
    representative_rows: tuple[int, ...]
    """Rows of the training data in the representative set."""
    representative_fingerprint: str
    """sha256 of those images and labels."""
    seed: int
    int16_layers: tuple[str, ...] = ()
    """Keras layers with 16-bit activations."""


class Calibration(_Strict):
    """Temperature scaling: the model's logits are divided by a temperature, inside the model."""

    temperature: float = Field(gt=0)
    split: str
    """The split on which it was chosen."""
    images: int
    ece_before: float
    """Expected calibration error, 0..1, of the float model on those images at temperature 1, with that prior."""
    ece: float
    """The same afterwards, with each half of the images at the temperature that fits the other half."""
    prior: float = Field(0.0, ge=0, le=1)
    """Power of the training prior at which the temperature was chosen, and `ece` was measured."""


class Parent(_Strict):
    """The model that a model was fine-tuned from."""

    name: str
    version: str
    sha256: str
    """Of its `model.tflite`."""


class Manifest(_Strict):
    """The content of `model.json`."""

    schema_version: Literal[1]
    name: str
    version: str
    parent: Parent | None = None
    """Only of a model that `fer-train refresh` made."""
    labels: tuple[str, ...]
    input_shape: tuple[int, int, Literal[1, 3]]
    """Height, width (the same) and channels of the model's input."""
    preprocessing: Preprocessing = Preprocessing()
    """How a crop becomes the input, and the output probabilities. Models of fer-quantize have it inside."""
    crop_margin: float = Field(ge=0, lt=2)
    """Margin on each side of FER2013's crop, as a fraction of its width."""
    files: dict[str, str]
    """sha256 of each file by name."""
    macs: int | None = None
    """Multiply-accumulates per face; None if unknown, as of a foreign model."""
    parameters: int | None = None
    quantization: Quantization | None = None
    """None for a model that fer-quantize did not convert."""
    calibration: Calibration | None = None
    accuracy: tuple[Accuracy, ...] = ()
    reference_distribution: dict[str, float] = Field(default_factory=dict)
    """Mean probability of each label on the validation split."""
    prior: dict[str, float] | None = None
    """Fraction of each label in the training data, in the order of `labels`; older bundles have none."""
    reference: Reference | None = None
    """What its validation faces looked like, for drift; older bundles have none."""
    training: dict[str, object] = Field(default_factory=dict)
    """The training run's own record: recipe, data, versions."""
    source_revision: str
    licence: str
    intended_use: str

    @field_validator("labels")
    @classmethod
    def _usable_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise ValueError("are fewer than two, or one is there twice")
        for label in labels:
            if not label.isprintable() or not label.strip() or len(label) > _LONGEST_LABEL or label == UNCERTAIN:
                raise ValueError(f"{label!r}: a label is a printable name of at most {_LONGEST_LABEL} letters")
        return labels

    @field_validator("input_shape")
    @classmethod
    def _square_input(cls, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if shape[0] != shape[1]:
            raise ValueError(f"is not square: {shape}")
        return shape

    @model_validator(mode="after")
    def _our_labels(self) -> Self:
        if self.quantization and self.labels not in {FER2013, FERPLUS8}:
            raise ValueError(f"labels: are neither those of FER2013 nor of FER+, in order: {', '.join(FERPLUS8)}")
        return self

    @model_validator(mode="after")
    def _fitting_numbers(self) -> Self:
        channels = self.input_shape[2]
        if {len(self.preprocessing.mean), len(self.preprocessing.scale)} - {1, channels}:
            raise ValueError(f"mean and scale: the model's input has {channels} channel, give one number each")
        if self.preprocessing.colour != "grey" and channels == 1:
            raise ValueError(f"preprocessing: {self.preprocessing.colour} needs three channels")
        return self

    @model_validator(mode="after")
    def _reference_of_these_labels(self) -> Self:
        if self.reference and self.labels != (FERPLUS8 if self.reference.labels == "ferplus8" else FER2013):
            raise ValueError(f"reference: its labels are those of {self.reference.labels}, not the model's")
        return self

    @model_validator(mode="after")
    def _prior_of_these_labels(self) -> Self:
        if self.prior is None:
            return self
        if tuple(self.prior) != self.labels:
            raise ValueError("prior: does not name the labels in their order")
        if min(self.prior.values()) < 0 or abs(sum(self.prior.values()) - 1) > _PRIOR_TOLERANCE:
            raise ValueError("prior: is not fractions that sum to one")
        return self


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose model was read and verified by its hash."""

    folder: Path
    manifest: Manifest
    # The content of `model.tflite`.
    model: bytes


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
