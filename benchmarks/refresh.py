"""Whether `fer-train refresh` makes a model better on one device, and no worse elsewhere.

    python -m benchmarks.refresh --data DATA --seeds 5

A device whose camera is dark, noisy and tilted is made of half of PublicTest's faces. 400 of them get labels (their
FER+ plurality): 300 teach, 100 are held out, as `fer-edge samples export` splits them. The others of that half, and the
clean other half, are measured with the int8 model that runs before and after: where the refreshed one was not written,
that is the old one. Writes results/refresh/MODEL.md after each seed, and continues there.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer

from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces, load_dataset

_OUT = Path(__file__).resolve().parents[1] / "results" / "refresh"
# The camera: light, noise in grey levels, degrees of tilt.
_LIGHT, _NOISE, _TILT = 1 / 3, 6.0, 20.0
_LABELLED, _HELD_OUT = 400, 100


@dataclass(frozen=True, slots=True)
class Result:
    """Accuracies of the int8 model, 0..1, before and after."""

    seed: int
    device_before: float
    device_after: float
    elsewhere_before: float
    elsewhere_after: float
    refusal: str | None


def degrade(faces: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """What that camera shows of faces, shape (N, 48, 48)."""
    rng = np.random.default_rng(seed)
    centre = ((faces.shape[2] - 1) / 2, (faces.shape[1] - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, _TILT, 1)
    size = (faces.shape[2], faces.shape[1])
    tilted = np.array([cv2.warpAffine(face, turn, size, borderMode=cv2.BORDER_REPLICATE) for face in faces])
    return np.asarray(np.clip(np.rint(tilted * _LIGHT + rng.normal(0, _NOISE, tilted.shape)), 0, 255), np.uint8)


def main(
    data: Annotated[Path, typer.Option(envvar="FER_DATA")],
    model: Annotated[str, typer.Option(help="A bundle with its model.keras.")] = "ferplus7",
    seeds: Annotated[int, typer.Option(help="Choices of the 400 faces.")] = 5,
) -> None:
    """Measure and write."""
    load_keras("tensorflow")
    from fer_quantize.refresh import Material, recipe_for, refresh
    from fer_train.evaluation.predictors import predict_bundle
    from fer_train.runs.records import find_keras_file

    folder = find_bundle(model)
    parent = load_bundle(folder)
    public, old = (load_dataset(data, split, "ferplus7") for split in ("validation", "train"))
    device, elsewhere = (public.take(np.arange(start, len(public), 2)) for start in (0, 1))
    device = replace(device, images=degrade(device.images, 0))

    def accuracy(bundle: Path, faces: LabelledFaces) -> float:
        probabilities = predict_bundle(Classifier(load_bundle(bundle)))(faces.images)
        return float((probabilities.argmax(axis=1) == faces.classes).mean())

    for seed in range(len(_known(model)), seeds):
        shuffled = np.random.default_rng(seed).permutation(len(device))
        labelled = device.take(shuffled[:_LABELLED])
        labelled = replace(labelled, targets=np.eye(len(labelled.labels), dtype=np.float32)[labelled.classes])
        material = Material(
            parent=parent,
            start=find_keras_file(folder),
            samples=replace(labelled.take(np.arange(_HELD_OUT, _LABELLED)), split="train"),
            held_out=labelled.take(np.arange(_HELD_OUT)),
            old=old,
            validation=elsewhere,
        )
        rest = device.take(shuffled[_LABELLED:])
        with tempfile.TemporaryDirectory() as place:
            done = refresh(material, Path(place) / "mine", recipe_for(material, seed))
            runs = folder if done.refusal else done.folder
            before, after = ([accuracy(bundle, faces) for faces in (rest, elsewhere)] for bundle in (folder, runs))
        _write([*_known(model), Result(seed, before[0], after[0], before[1], after[1], done.refusal)], model)


def _known(model: str) -> list[Result]:
    """The results that are there already."""
    path = _OUT / f"{model}.json"
    return [Result(**plain) for plain in json.loads(path.read_text())] if path.is_file() else []


def _write(results: list[Result], model: str) -> None:
    _OUT.mkdir(exist_ok=True)
    gains = np.array([result.device_after - result.device_before for result in results])
    losses = np.array([result.elsewhere_after - result.elsewhere_before for result in results])
    lines = [
        f"# Refreshing {model} on a dark, noisy, tilted camera",
        "",
        f"`python -m benchmarks.refresh --data DATA --model {model} --seeds {len(results)}`: {_LABELLED} labelled "
        f"faces of a camera with {_LIGHT:.2f} of the light, noise of {_NOISE:g} grey levels and a tilt of {_TILT:g} "
        "degrees, made of half of PublicTest (FER+ plurality of seven classes). Accuracy in % of the int8 model on the "
        "other faces of that half, and on the clean other half.",
        "",
        "| seed | device, before | after | elsewhere, before | after | |",
        "|---|---|---|---|---|---|",
        *(
            f"| {one.seed} | {100 * one.device_before:.1f} | {100 * one.device_after:.1f} | "
            f"{100 * one.elsewhere_before:.1f} | {100 * one.elsewhere_after:.1f} | "
            f"{f'not written: {one.refusal}' if one.refusal else 'written'} |"
            for one in results
        ),
        "",
        f"On the device {100 * gains.mean():+.1f} points ({100 * gains.min():+.1f} to {100 * gains.max():+.1f}), "
        f"elsewhere {100 * losses.mean():+.1f} ({100 * losses.min():+.1f} to {100 * losses.max():+.1f}).",
    ]
    (_OUT / f"{model}.md").write_text("\n".join(lines) + "\n")
    (_OUT / f"{model}.json").write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    typer.echo("\n".join(lines[-1:]))


if __name__ == "__main__":
    typer.run(main)
