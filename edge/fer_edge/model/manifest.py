"""The description of a model bundle: the content of its `model.json`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fer_edge.labels import FER2013, FERPLUS8, UNCERTAIN
from fer_edge.model.preprocessing import Preprocessing
from fer_edge.model.reference import Reference

SCHEMA_VERSION = 1
MANIFEST_FILE = "model.json"

# The fractions are rounded to four decimal places, so their sum may differ from 1 by this much.
_PRIOR_TOLERANCE = 0.005
_LONGEST_LABEL = 40


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
