"""A package like that of the face recognition network, with random weights."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_train.pretrained.npm import NpmPackage

MANIFEST, WEIGHTS = "model/face_recognition_model-weights_manifest.json", "model/face_recognition_model.bin"
# The published network, block by block: those that halve the side, and their channels in multiples of the first's.
BLOCKS = {"32_1": 1, "32_2": 1, "32_3": 1, "64_down": 2, "64_1": 2, "64_2": 2, "64_3": 2}
BLOCKS |= {"128_down": 4, "128_1": 4, "128_2": 4, "256_down": 8, "256_1": 8, "256_2": 8, "256_down_out": 8}


def stored(width: int) -> dict[str, bytes]:
    """Random weights in the published format, as the two files of the package."""
    rng = np.random.default_rng(0)
    weights, content = [], b""

    def store(name: str, shape: tuple[int, ...], low: float, high: float) -> None:
        nonlocal content
        quantization = {"dtype": "uint8", "scale": (high - low) / 255, "min": low}
        weights.append({"name": name, "shape": shape, "dtype": "float32", "quantization": quantization})
        content += rng.integers(0, 256, shape).astype(np.uint8).tobytes()

    def store_convolution(name: str, size: int, channels: int, filters: int) -> None:
        bound = (8 / (size * size * channels)) ** 0.5
        store(f"{name}/conv/filters", (size, size, channels, filters), -bound, bound)
        store(f"{name}/conv/bias", (filters,), -0.2, 0.1)
        store(f"{name}/scale/weights", (filters,), 0.5, 1.4)
        store(f"{name}/scale/biases", (filters,), -0.3, 0.2)

    store_convolution("conv32_down", 7, 3, width)
    channels = width
    for block, factor in BLOCKS.items():
        store_convolution(f"conv{block}/conv1", 3, channels, factor * width)
        store_convolution(f"conv{block}/conv2", 3, factor * width, factor * width)
        channels = factor * width
    weights.append({"name": "fc", "shape": (3, 2), "dtype": "float32"})
    content += np.arange(6, dtype="<f4").tobytes()
    return {MANIFEST: json.dumps([{"weights": weights, "paths": ["x.bin"]}]).encode(), WEIGHTS: content}


def archive_of(files: dict[str, bytes], folder: Path, like: NpmPackage) -> tuple[Path, NpmPackage]:
    """An archive as npm makes them, and what is expected of it."""
    path = folder / "face-api-1.7.15.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return path, replace(like, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), files=hashes)
