"""Which bundles may be published: those that fer-quantize measured, and that lost little by int8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_edge.errors import ModelError
from fer_edge.model.bundle import Bundle, verify_files
from fer_edge.model.golden import self_test
from fer_edge.validation import first_problem

REPORT_FILE = "quantization.json"
# The limits of fer-quantize --check, in percentage points.
MAX_DROP = 0.5
MAX_CLASS_DROP = 2.0


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Accuracy(_Part):
    images: int = Field(gt=0)
    accuracy_int8: float = Field(ge=0, le=1)


class _Drop(_Part):
    lost: int = Field(ge=0)
    """Faces that only the float model classified correctly."""
    gained: int = Field(ge=0)


class _Measurement(_Part):
    accuracy: _Accuracy
    drop: _Drop
    net_losses: dict[str, int]
    """Faces lost by int8 minus those gained, by class."""
    class_images: dict[str, int]


class _Report(_Part):
    """The part of fer-quantize's report that decides."""

    measurements: tuple[_Measurement, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Gated:
    """A bundle whose files and golden faces are right.

    Attributes:
        bundle: the bundle.
        refusal: why it should not be published; None if it passed the gate.
    """

    bundle: Bundle
    refusal: str | None


def check(folder: Path) -> Gated:
    """Verify a bundle's files, run its golden faces here, and read what fer-quantize measured.

    Raises:
        ModelError: the bundle itself is wrong: a hash, or its outputs. No reason is enough to publish it.
    """
    bundle = verify_files(folder)
    self_test(bundle)
    return Gated(bundle, _refusal(bundle))


def _refusal(bundle: Bundle) -> str | None:
    path = bundle.folder / REPORT_FILE
    if REPORT_FILE not in bundle.manifest.files or not path.is_file():
        return f"has no {REPORT_FILE}: convert it with fer-quantize, which measures it"
    try:
        first = _Report.model_validate_json(path.read_bytes()).measurements[0]
    except ValidationError as error:
        raise ModelError("{}: {}: {}".format(path, *first_problem(error, _Report))) from error
    images = first.accuracy.images
    lost = first.drop.lost - first.drop.gained
    if 100 * lost > MAX_DROP * images:
        return f"loses {100 * lost / images:.2f} percentage points by int8, more than {MAX_DROP:g}"
    for label, losses in first.net_losses.items():
        if losses > 1 and 100 * losses > MAX_CLASS_DROP * first.class_images.get(label, 0):
            return f"loses {losses} of {first.class_images.get(label, 0)} faces of '{label}' by int8, more than 2 %"
    constant = max(first.class_images.values(), default=0) / images
    if first.accuracy.accuracy_int8 <= constant:
        return (
            f"has an accuracy of {first.accuracy.accuracy_int8:.1%}: always the same answer would have {constant:.1%}"
        )
    return None
