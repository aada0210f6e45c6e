"""The work of `fer-quantize`: convert and measure a model, or measure a bundle again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge import __version__
from fer_edge.errors import DataError, ModelError
from fer_edge.model.bundle import MODEL_FILE, Bundle, find_bundle, load_bundle, sha256
from fer_edge.model.bundle_writer import refuse_foreign, write_bundle
from fer_edge.model.golden import GOLDEN_FILE, make_golden
from fer_edge.model.manifest import SCHEMA_VERSION, Calibration, Manifest, Parent, Quantization
from fer_edge.model.preprocessing import Preprocessing
from fer_quantize.check import Comparison, compare
from fer_quantize.convert import refuse_float, to_int8
from fer_quantize.gate import Limits, Outcome, cautions, compare_with, gate_failure
from fer_quantize.inputs import Origin, read_labellings, trained_accuracy
from fer_quantize.manifest_writer import source_revision
from fer_quantize.reference import make_reference
from fer_quantize.report import as_json, plot
from fer_quantize.selective_int16 import to_mixed
from fer_quantize.temperature_scaling import calibrate
from fer_train.architectures import count_macs
from fer_train.data.datasets import LABELS, LabelledFaces, load_dataset
from fer_train.data.duplicates import without_duplicates
from fer_train.foreign import foreign_colour
from fer_train.keras_models import load_model
from fer_train.runs.records import KERAS_FILE, find_keras_file, find_scheme

# Validation faces for the reference, at most: more take minutes. `--add-reference` takes all.
_REFERENCE_FACES = 1000
_FER2013_LICENCE = "MIT for the model file; FER2013, which it was trained on, was published for research"
_INTENDED_USE = (
    "Reading the outward expression of a face that looks at the camera. Not for judging what a person feels, "
    "nor for decisions about people."
)


def convert_model(
    origin: Origin,
    out: Path,
    int16_layers: Sequence[str],
    limits: Limits | None,
    *,
    against: str | None = None,
    licence: str | None = None,
    refuse: Callable[[Bundle], str | None] | None = None,
) -> Outcome:
    """Convert, measure, and write the bundle unless the gate refuses it.

    Args:
        origin: the float model and its data.
        out: the folder to write.
        int16_layers: layers with 16-bit activations.
        limits: the limits; None only measures.
        against: a bundle that must not be better, by name or folder.
        licence: licence for the model card; None for that of the training data, as far as it is known.
        refuse: a further gate: returns why the converted model must not be written, or None.

    Raises:
        ModelError: the model cannot be converted, or `against` cannot be compared with.
        ConfigError: `out` cannot be written.
    """
    out = out.absolute()
    refuse_foreign(out)
    other = load_bundle(find_bundle(against)) if against else None
    calibration = calibrate(origin.model, origin.fresh, origin.prior)
    manifest = _manifest(origin, out, int16_layers, calibration, licence or _licence(origin))
    bundle = Bundle(out, manifest, _convert(origin, int16_layers))
    outcome = _judge(bundle, origin.model, origin.labellings, limits, other)
    comparison = outcome.comparison
    if outcome.refusal is None and refuse:
        outcome = replace(outcome, refusal=refuse(bundle))
    if outcome.refusal is None:
        are_crops = origin.parent is not None  # samples of a device were found by its detector already
        made = make_reference(bundle, origin.labellings[0], most=_REFERENCE_FACES, are_crops=are_crops)
        measured = bundle.manifest.model_copy(
            update={
                "accuracy": tuple(measurement.accuracy for measurement in comparison.measurements),
                "reference_distribution": comparison.distribution,
                "reference": made[0] if made else None,
            }
        )
        write_bundle(out, measured, _files(origin, bundle, comparison))
    return replace(outcome, written=outcome.refusal is None)


def check_bundle(
    name: str, data: Path, labels: str | None, limits: Limits | None, *, against: str | None = None
) -> Outcome:
    """Measure a bundle against the float model in it. The arguments are those of `convert_model`.

    Raises:
        ModelError: the bundle cannot be used, or has no `model.keras`.
        DataError: the data cannot be read, or some representative faces are in the split to check on.
    """
    folder = find_bundle(name)
    bundle = load_bundle(folder)
    refuse_float(bundle.model)
    model = load_model(find_keras_file(folder))
    scheme = find_scheme(folder, labels, bundle.manifest.training)
    if LABELS[scheme] != bundle.manifest.labels:
        raise ModelError(f"{folder}: its labels are not those of {scheme}")
    labellings = read_labellings(data, scheme)
    _refuse_overlap(bundle, load_dataset(data, "train", scheme), labellings[0])
    other = load_bundle(find_bundle(against)) if against else None
    return _judge(bundle, model, labellings, limits, other)


def _version(origin: Origin, out: Path) -> str:
    """The version of this program; of a refreshed model the one after that of its parent, or of the bundle there."""
    if origin.parent is None:
        return __version__
    before = load_bundle(out) if (out / MODEL_FILE).is_file() else origin.parent
    base, _, last = before.manifest.version.rpartition(".")
    return f"{base}.{int(last) + 1}" if base and last.isdecimal() else f"{before.manifest.version}.1"


def _judge(
    bundle: Bundle,
    model: keras.Model,
    labellings: Sequence[LabelledFaces],
    limits: Limits | None,
    other: Bundle | None,
) -> Outcome:
    """Compare float and int8 and hold the result against the limits."""
    manifest = bundle.manifest
    comparison = compare(model, bundle, labellings)
    rival = compare_with(bundle, other, labellings[0]) if other else None
    recorded = trained_accuracy(manifest.training, labellings[0])
    return Outcome(
        folder=bundle.folder,
        comparison=comparison,
        calibration=manifest.calibration,
        gated=limits is not None,
        refusal=gate_failure(comparison, limits, recorded, rival) if limits else None,
        cautions=tuple(cautions(comparison, manifest.calibration, manifest.prior)),
        rival=rival,
        written=False,
    )


def _licence(origin: Origin) -> str:
    """The licence of the training data. Only FER2013's is known here."""
    data = origin.representative
    if foreign_colour(origin.training):
        return "unknown: the model was made elsewhere"
    if not data.files:
        return _FER2013_LICENCE
    started = " and of the model that it was initialised from" if origin.training.get("init") else ""
    return f"not stated; it follows that of the training data, {data.source.name}{started}"


def _refuse_overlap(bundle: Bundle, train: LabelledFaces, check: LabelledFaces) -> None:
    """Raise DataError if some representative faces are in the check split. Other data sets cannot be compared."""
    quantization = bundle.manifest.quantization
    if quantization is None:
        return
    representative = train.take(np.flatnonzero(np.isin(train.rows, quantization.representative_rows)))
    if representative.fingerprint == quantization.representative_fingerprint:
        repeated = len(representative) - len(without_duplicates(representative, of=check))
        if repeated:
            raise DataError(f"{bundle.folder}: {repeated} of its representative faces are in the check split too")


def _convert(origin: Origin, int16_layers: Sequence[str]) -> bytes:
    try:
        if int16_layers:
            return to_mixed(origin.model, origin.faces, int16_layers)
        return to_int8(origin.model, origin.faces)
    except ModelError as error:
        raise ModelError(f"{origin.path}: {error}") from error


def _manifest(
    origin: Origin,
    out: Path,
    int16_layers: Sequence[str],
    calibration: Calibration | None,
    licence: str,
) -> Manifest:
    """The manifest before the model is measured: without accuracies and file hashes."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=out.name,
        version=_version(origin, out),
        parent=_as_parent(origin.parent) if origin.parent else None,
        labels=origin.representative.labels,
        input_shape=origin.model.input_shape[1:],
        preprocessing=Preprocessing(colour=foreign_colour(origin.training) or "grey"),
        crop_margin=0.0,
        files={},
        macs=count_macs(origin.model),
        parameters=origin.model.count_params(),
        quantization=Quantization(
            scheme="int8",
            representative_rows=tuple(int(row) for row in origin.representative.rows),
            representative_fingerprint=origin.representative.fingerprint,
            seed=origin.seed,
            int16_layers=tuple(int16_layers),
        ),
        calibration=calibration,
        accuracy=(),
        reference_distribution={},
        prior=origin.prior,
        training=_training(origin),
        source_revision=source_revision(),
        licence=licence,
        intended_use=_INTENDED_USE,
    )


def _training(origin: Origin) -> dict[str, Any]:
    """The record of the training. Nobody knows what a foreign model was trained on: its labels are those measured."""
    measured = {"scheme": origin.representative.scheme}
    return origin.training | measured if foreign_colour(origin.training) else measured | origin.training


def _as_parent(bundle: Bundle) -> Parent:
    return Parent(name=bundle.manifest.name, version=bundle.manifest.version, sha256=sha256(bundle.model))


def _files(origin: Origin, bundle: Bundle, comparison: Comparison) -> dict[str, bytes]:
    """The files of a bundle besides `model.json`, by name."""
    files = {
        MODEL_FILE: bundle.model,
        GOLDEN_FILE: make_golden(bundle),
        KERAS_FILE: _as_keras(origin),
        "quantization.json": as_json(comparison).encode(),
        "quantization.png": plot(comparison),
    }
    history = origin.path.with_name("history.csv")
    if history.is_file():
        files[history.name] = history.read_bytes()
    return files


def _as_keras(origin: Origin) -> bytes:
    """The content of the float model's file, after calibration."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / KERAS_FILE
        origin.model.save(path)
        return path.read_bytes()
