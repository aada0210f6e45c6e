"""Fine-tune a shipped model on the labelled faces of one device, and keep the result only if it is better there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from fer_edge.errors import ModelError
from fer_edge.model.bundle import Bundle, find_bundle, load_bundle
from fer_edge.model.bundle_writer import refuse_foreign
from fer_edge.model.manifest import Manifest
from fer_quantize.gate import Rival, compare_with
from fer_quantize.inputs import Origin
from fer_quantize.representative import representative_rows
from fer_quantize.training_prior import training_prior
from fer_quantize.workflow import convert_model
from fer_train.data.datasets import LABELS, LabelledFaces, load_dataset
from fer_train.data.duplicates import without_duplicates
from fer_train.keras_models import load_model
from fer_train.recipes import Recipe, load_recipe
from fer_train.runs.records import KERAS_FILE, find_keras_file, find_scheme, training_record
from fer_train.training.artifacts import describe_faces
from fer_train.training.fit import fit
from fer_train.training.replay import with_replay
from fer_train.training.start import blend, weights_of

# Accuracy in percentage points that may be lost on the validation split of the old data.
MAX_LOSS = 0.5
# Without that split, a gain counts as chance if its p-value is not below this.
_SIGNIFICANT = 0.05
# How often half of what the training changed is taken back.
_TAKEN_BACK = 2
# Faces that set the int8 ranges.
_REPRESENTATIVE = 500


@dataclass(frozen=True, slots=True)
class Material:
    """What a refresh works with.

    Attributes:
        parent: the bundle to refresh.
        start: its float model.
        samples: the device's labelled faces to learn.
        held_out: those to compare on, of other days.
        old: faces that the parent was trained on; None without its data set.
        validation: their validation split; None without its data set.
    """

    parent: Bundle
    start: Path
    samples: LabelledFaces
    held_out: LabelledFaces
    old: LabelledFaces | None
    validation: LabelledFaces | None


@dataclass(frozen=True, slots=True)
class Refresh:
    """The result.

    Attributes:
        parent: the manifest of the old model.
        folder: folder of the new bundle.
        version: version of the new model; None if it was not written.
        on_samples: the comparison of old and new int8 model on the held-out samples; None if the training gained
            nothing there.
        on_validation: the same on the validation split of the old data; None without it.
        images: number of faces of each of these comparisons.
        start_share: weight of the old weights in the mean that was compared, 0..1.
        refusal: why the new model was not written; None if it was.
    """

    parent: Manifest
    folder: Path
    version: str | None
    on_samples: Rival | None
    on_validation: Rival | None
    images: tuple[int, int]
    start_share: float
    refusal: str | None


def read_material(samples: Path, model: str, data: Path | None) -> Material:
    """Read what a refresh needs.

    Args:
        samples: a folder that `fer-edge samples export` wrote: `<split>/<class>/<image>`.
        model: the bundle to refresh, by name or folder.
        data: the data set that it was trained on, or None.

    Raises:
        ModelError: there is no such bundle, or it has no float model.
        DataError: faces cannot be read, or the splits of `samples` hold the same faces.
    """
    folder = find_bundle(model)
    parent, start = load_bundle(folder), find_keras_file(folder)
    scheme = find_scheme(folder, None, parent.manifest.training)
    if LABELS[scheme] != parent.manifest.labels:
        raise ModelError(f"{folder}: its labels are not those of {scheme}")
    learnt, held_out = (load_dataset(samples, split, scheme) for split in ("train", "validation"))
    return Material(
        parent=parent,
        start=start,
        samples=without_duplicates(learnt, of=held_out),
        held_out=held_out,
        old=load_dataset(data, "train", scheme) if data else None,
        validation=load_dataset(data, "validation", scheme) if data else None,
    )


def refresh(
    material: Material, out: Path, recipe: Recipe | None = None, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> Refresh:
    """Fine-tune, convert, compare with the parent, and write the bundle if it is better.

    Args:
        material: the parent and the faces.
        out: folder of the new bundle.
        recipe: how to train; None for `recipe_for` with seed 0.
        callbacks: Keras callbacks of the training.

    Raises:
        ConfigError: `out` cannot be written.
        ModelError: the model cannot be trained or converted.
    """
    refuse_foreign(out.absolute())
    parent = material.parent.manifest
    recipe = recipe or recipe_for(material)
    learnt = material.samples
    if material.old:
        learnt = with_replay(learnt, material.old, load_model(material.start), recipe.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        fit([learnt], [material.held_out], recipe, run, init=material.start, callbacks=callbacks)
        record = training_record(run / KERAS_FILE)
        if (gain := record["gain"])["kept_start"]:
            kept = (
                f"the training gained nothing on the held-out samples: {gain['before']:.1%} before, "
                f"{gain['after']:.1%} after"
            )
            return Refresh(parent, out, None, None, None, (len(material.held_out), 0), recipe.start_share, kept)
        return _convert_best(material, _Training(run / KERAS_FILE, learnt, record, recipe.start_share), out)


def recipe_for(material: Material, seed: int = 0) -> Recipe:
    """The recipe `refresh`, or without old faces `photographs`, for the network and labels of the parent."""
    recorded = material.parent.manifest.training.get("recipe")
    architecture = recorded.get("architecture", "edge") if isinstance(recorded, dict) else "edge"
    name = "refresh" if material.old else "photographs"
    return load_recipe(name, architecture=architecture, labels=material.samples.scheme, seed=seed)


@dataclass(frozen=True, slots=True)
class _Training:
    """A float model, the faces that it learnt, its record, and the weight of the start in its weights."""

    path: Path
    learnt: LabelledFaces
    record: dict[str, Any]
    start_share: float


def _convert_best(material: Material, training: _Training, out: Path) -> Refresh:
    """Convert it. While it loses too much on the old data, take half of what the training changed back."""
    result = _convert(material, training, out)
    for _ in range(_TAKEN_BACK):
        if result.on_validation is None or result.on_validation.loss.drop <= MAX_LOSS:
            break
        model = load_model(training.path)
        blend(model, weights_of(load_model(material.start)), 0.5)
        model.save(training.path)
        training = replace(training, start_share=(1 + training.start_share) / 2)
        result = _convert(material, training, out)
    return result


def _convert(material: Material, training: _Training, out: Path) -> Refresh:
    seed, learnt = training.record["recipe"]["seed"], training.learnt
    origin = Origin(
        path=training.path,
        model=load_model(training.path),
        training=training.record | {"start_share": training.start_share} | _described(material),
        representative=learnt.take(representative_rows(learnt, _REPRESENTATIVE, seed)),
        seed=seed,
        prior=training_prior(training.record, learnt),
        fresh=material.validation or material.held_out,  # some dozen samples are too few
        labellings=tuple(faces for faces in (material.held_out, material.validation) if faces),
        parent=material.parent,
    )
    rivals: list[Rival] = []

    def judge(bundle: Bundle) -> str | None:
        rivals.extend(compare_with(bundle, material.parent, faces) for faces in origin.labellings)
        return refusal(*rivals)

    outcome = convert_model(origin, out, (), None, licence=_licence(material), refuse=judge)
    images = (len(material.held_out), len(material.validation or ()))
    on_validation = rivals[1] if material.validation else None
    version = load_bundle(outcome.folder).manifest.version if outcome.written else None
    return Refresh(
        parent=material.parent.manifest,
        folder=outcome.folder,
        version=version,
        on_samples=rivals[0],
        on_validation=on_validation,
        images=images,
        start_share=training.start_share,
        refusal=outcome.refusal,
    )


def refusal(on_samples: Rival, on_validation: Rival | None = None) -> str | None:
    """Return why a new model must not replace the old one, or None.

    Args:
        on_samples: the old model and the loss of the new one on the held-out samples.
        on_validation: the same on the validation split of the old data; None without it.
    """
    if on_samples.loss.drop >= 0:
        return "it is not better on the held-out samples"
    if on_validation is None and on_samples.loss.p_value >= _SIGNIFICANT:
        return (
            f"its gain of {-on_samples.loss.drop:.1f} percentage points on the held-out samples may be chance (McNemar "
            f"p {on_samples.loss.p_value:.2g}), and without --data nothing else says that it is better"
        )
    if on_validation and on_validation.loss.drop > MAX_LOSS:
        return (
            f"it loses {on_validation.loss.drop:.2f} percentage points on the validation split, more than the "
            f"{MAX_LOSS:g} allowed"
        )
    return None


def _described(material: Material) -> dict[str, Any]:
    """The part of the training record that tells which faces were the device's, and which were old."""
    return {
        "samples": describe_faces(material.samples),
        "replayed_from": describe_faces(material.old) if material.old else None,
    }


def _licence(material: Material) -> str:
    parent = material.parent.manifest
    return f"not stated; it follows that of the samples, and of {parent.name}: {parent.licence}"
