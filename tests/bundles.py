"""Bundles for tests: the shipped ones under other names, changed as a test needs it."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.model.bundle import find_bundle, load_bundle, sha256
from fer_edge.model.classifier import Classifier
from fer_edge.model.interpreter import open_interpreter
from fer_edge.updates.probe import Probe

FILES = ("model.json", "model.tflite", "golden.npz")


def make_bundle(
    folder: Path, version: str = "2", name: str = "mine", base: str = "ferplus7-tiny", **changes: Any
) -> Path:
    """A bundle of the shipped model's files under another name and version."""
    folder.mkdir(parents=True)
    for file in FILES:
        shutil.copy(find_bundle(base) / file, folder / file)
    edit_manifest(folder, name=name, version=version, **changes)
    return folder


def edit_manifest(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    manifest.update(changes)
    (folder / "model.json").write_text(json.dumps(manifest))


def rehash(folder: Path) -> None:
    """Hashes that fit, as one who makes a harmful bundle would write them."""
    edit_manifest(folder, files={name: sha256((folder / name).read_bytes()) for name in FILES if name != "model.json"})


def pack(bundle: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w") as tar:
        for name in FILES:
            tar.add(bundle / name, name)
    return archive


def make_useless(bundle: Path) -> None:
    """Mix up the weights: right on its golden faces, which are recorded again, and the same answer to all faces."""
    rng = np.random.default_rng(0)
    _change_weights(bundle, lambda weights: rng.permutation(weights.ravel()) if weights.size > 1000 else weights)


def make_mislabelled(bundle: Path) -> None:
    """Give each class the output of another one: as sure as before, and wrong; its golden faces are recorded again."""
    classes = len(load_bundle(bundle).manifest.labels)
    _change_weights(bundle, lambda weights: np.roll(weights, 1, axis=0) if weights.shape[:1] == (classes,) else weights)


def _change_weights(bundle: Path, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
    content = bytearray((bundle / "model.tflite").read_bytes())
    interpreter = open_interpreter(bytes(content))
    for tensor in interpreter.get_tensor_details():
        try:
            weights = interpreter.get_tensor(tensor["index"])
        except ValueError:  # computed in a run, so it has no content yet
            continue
        place = content.find(weights.tobytes())
        if place >= 0:
            content[place : place + weights.nbytes] = np.ascontiguousarray(change(weights)).tobytes()
    (bundle / "model.tflite").write_bytes(content)
    rehash(bundle)
    with np.load(bundle / "golden.npz") as golden:
        inputs = golden["inputs"]
    classifier = Classifier(load_bundle(bundle))
    np.savez(bundle / "golden.npz", inputs=inputs, outputs=np.array([[classifier.outputs(face) for face in inputs]]))
    rehash(bundle)


def no_probe(_folder: Path, _detector: str, _threads: int) -> Probe:
    """In place of the process in which a model is run first, where a test is not about that."""
    return Probe(0, 100.0, 0.1)
