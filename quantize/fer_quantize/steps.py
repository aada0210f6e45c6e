"""The two things the command line does: convert and measure a model, or measure a bundle again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.bundle import SCHEMA_VERSION, Manifest, Quantization, find_bundle, load_bundle
from fer_edge.errors import ConfigError, DataError, ModelError
from fer_train.architectures import count_macs
from fer_train.datasets import LABELS, LabelledFaces, Scheme, load_dataset, parse_scheme

from fer_quantize.bundling import in_memory, refuse_foreign, source_revision, write_bundle
from fer_quantize.calibration import representative_rows
from fer_quantize.check import Comparison, compare, why_not
from fer_quantize.convert import load_keras, refuse_float, to_int8

_LICENCE = "MIT for the model file; FER2013, which it was trained on, was published for research"
_INTENDED_USE = (
    "Reading the outward expression of a face that looks at the camera. Not for judging what a person feels, "
    "nor for decisions about people."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: the measurement, why the bundle must not ship (if so), and whether it was written."""

    folder: Path
    comparison: Comparison
    refusal: str | None
    written: bool


def convert_model(
    path: Path,
    data: Path,
    out: Path,
    labels: str | None,
    *,
    representative: int,
    seed: int,
    max_drop: float | None,
) -> Outcome:
    """Convert, measure, and write the bundle unless int8 loses more than `max_drop` percentage points.

    Raises:
        ModelError: the model cannot be read or converted, or its classes are not those of the labels.
        DataError: the data cannot be read.
        ConfigError: `out` cannot be written.
    """
    refuse_foreign(out)
    model = load_keras(path)
    training = _training_record(path)
    scheme = _scheme(labels, training, path)
    if model.output_shape[-1] != len(LABELS[scheme]):
        raise ModelError(f"{path}: has {model.output_shape[-1]} classes, but {scheme} has {len(LABELS[scheme])}")
    train = load_dataset(data, "train", scheme)
    chosen = representative_rows(train, representative, seed)
    try:
        content = to_int8(model, train.images[chosen])
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=out.name,
        version=__version__,
        labels=LABELS[scheme],
        input_shape=model.input_shape[1:],
        crop_margin=0.0,
        files={},
        macs=count_macs(model),
        parameters=model.count_params(),
        quantization=Quantization(
            scheme="int8",
            representative_rows=tuple(int(row) for row in train.rows[chosen]),
            representative_fingerprint=train.take(chosen).fingerprint,
            seed=seed,
        ),
        accuracy=(),
        reference_distribution={},
        training=training,
        source_revision=source_revision(),
        licence=_LICENCE,
        intended_use=_INTENDED_USE,
    )
    comparison = compare(model, in_memory(out, manifest, content), _labellings(data, scheme))
    refusal = None if max_drop is None else why_not(comparison, max_drop, _trained_accuracy(training))
    if refusal is None:
        measured = manifest.model_copy(
            update={"accuracy": comparison.accuracies, "reference_distribution": comparison.distribution}
        )
        history = path.with_name("history.csv")
        write_bundle(out, measured, content, [path, *([history] if history.is_file() else [])])
    return Outcome(out, comparison, refusal, written=refusal is None)


def check_bundle(name: str, data: Path, labels: str | None, max_drop: float) -> Outcome:
    """Measure a bundle that holds its float model.

    Raises:
        ModelError: the bundle cannot be used, or has no `model.keras`.
        DataError: the data cannot be read.
    """
    folder = find_bundle(name)
    bundle = load_bundle(folder)
    refuse_float(bundle.model)
    model = load_keras(folder / "model.keras")
    scheme = _scheme(labels, bundle.manifest.training, folder)
    if LABELS[scheme] != bundle.manifest.labels:
        raise ModelError(f"{folder}: its labels are not those of {scheme}")
    comparison = compare(model, bundle, _labellings(data, scheme))
    recorded = next((entry.accuracy_float for entry in bundle.manifest.accuracy if entry.labels == scheme), None)
    return Outcome(folder, comparison, why_not(comparison, max_drop, recorded), written=False)


def _training_record(path: Path) -> dict[str, Any]:
    record = path.with_name("training.json")
    if not record.is_file():
        return {}
    try:
        found = json.loads(record.read_text())
    except ValueError as error:
        raise DataError(f"{record}: is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{record}: is not a training record")
    return found


def _scheme(labels: str | None, training: dict[str, Any], path: Path) -> Scheme:
    recorded = training.get("scheme")
    if labels is None and not isinstance(recorded, str):
        raise ConfigError(f"{path}: no training record says which labels it learnt. Give --labels")
    return parse_scheme(labels or str(recorded))


def _labellings(data: Path, scheme: Scheme) -> list[LabelledFaces]:
    """The model's own labels first, then FER2013's where the classes are the same: the literature's yardstick."""
    schemes: list[Scheme] = [scheme]
    if scheme != "fer2013" and LABELS[scheme] == LABELS["fer2013"]:
        schemes.append("fer2013")
    return [load_dataset(data, "validation", each) for each in schemes]


def _trained_accuracy(training: dict[str, Any]) -> float | None:
    try:
        return float(training["results"]["validation"]["accuracy"])
    except (KeyError, TypeError, ValueError):
        return None
