"""Mutated inputs for everything that reads a file: whatever comes in, it is read or refused by an error of our own.

    python tests/fuzz.py --count 10000 --seed 1

A finding is another exception, a crash, a hang or a file left behind. Each is printed with the seed that makes it
again, and the exit code is 1. Readers run in a process of their own, which a crash of native code cannot outlive.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import typer

from fer_edge.assets.composites import load_composites
from fer_edge.config import RunConfig, load_config
from fer_edge.errors import FerError
from fer_edge.model.bundle import MANIFEST_FILE, MODEL_FILE, find_bundle, load_bundle
from fer_edge.model.interpreter import open_interpreter
from fer_edge.sources import open_source
from fer_train.data.datasets import load_dataset

# Seconds that one input may take.
LONGEST = 20
TOKENS = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"nan",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b'"',
    b"[",
    b"{}",
    b"\n",
    b",",
    b"\xf0\x9f",
]

CONFIG = b"""source = "demo"
model = "ferplus7"
threads = 1
json = "-"
[camera]
width = 640
pixel_format = "MJPG"
wait = true
[tracker]
scan_interval = 1.0
[json_lines]
append = true
max_mb = 0.5
[mqtt]
host = "broker.local"
port = 1883
"""


@dataclass(frozen=True)
class Kind:
    """One sort of input: files that are good, the one that is mutated, and what reads them."""

    prepare: Callable[[Path], Path]
    read: Callable[[Path], object]


def config_file(folder: Path) -> Path:
    path = folder / "config.toml"
    path.write_bytes(CONFIG)
    return path


def bundle_file(folder: Path, name: str) -> Path:
    for part in (MANIFEST_FILE, MODEL_FILE):
        shutil.copy(find_bundle("ferplus7") / part, folder / part)
    return folder / name


def csv_file(folder: Path) -> Path:
    path = folder / "fer2013.csv"
    rows = ["emotion,pixels,Usage"]
    for number, face in enumerate(load_composites().values()):
        rows.append(f"{number},{' '.join(map(str, face.ravel()))},{'Training' if number else 'PublicTest'}")
    path.write_text("\n".join(rows) + "\n")
    return path


def image_file(folder: Path) -> Path:
    suffix = random.choice([".png", ".jpg", ".bmp", ".webp", ".tif"])  # noqa: S311 - seeded by the caller
    path = folder / f"face{suffix}"
    cv2.imwrite(str(path), load_composites()["happy"])
    return path


def read_picture(path: Path) -> None:
    with open_source(RunConfig(source=str(path))) as source:
        list(source)


KINDS = {
    "configuration": Kind(config_file, lambda path: load_config(path, {})),
    "model.json": Kind(lambda folder: bundle_file(folder, MANIFEST_FILE), lambda path: load_bundle(path.parent)),
    "model.tflite": Kind(lambda folder: bundle_file(folder, MODEL_FILE), lambda path: load_bundle(path.parent)),
    "CSV": Kind(csv_file, lambda path: load_dataset(path.parent, "train", "fer2013")),
    "image": Kind(image_file, read_picture),
}
# What the hash keeps from the TFLite runtime, whose own faults are not ours: only on request.
UNHASHED = {"tflite unhashed": Kind(KINDS["model.tflite"].prepare, lambda path: open_interpreter(path.read_bytes()))}


def mutate(content: bytes, luck: random.Random) -> bytes:
    """Change a few places: mostly near the beginning, where headers are."""
    for _ in range(luck.choice([1, 1, 2, 5])):
        place = (
            min(int(luck.expovariate(1 / 64)), len(content)) if luck.random() < 0.5 else luck.randint(0, len(content))
        )
        length = luck.choice([1, 1, 4, 16, 200])
        after = content[place + length :]
        match luck.randrange(5):
            case 0:
                content = content[:place] + luck.randbytes(length) + after
            case 1:
                content = content[:place]
            case 2:
                content = content[:place] + after
            case 3:
                content = content[:place] + luck.choice(TOKENS) + content[place:]
            case _:
                content = content[:place] + content[place : place + length] * 2 + after
    return content


def try_one(kind: Kind, seed: str, folder: Path) -> str | None:
    """Return what went wrong with one mutated input; None if all is well."""
    random.seed(seed)
    path = kind.prepare(folder)
    path.write_bytes(mutate(path.read_bytes(), random.Random(seed)))  # noqa: S311
    there = set(folder.iterdir())
    signal.alarm(LONGEST)
    try:
        kind.read(path)
    except FerError as error:
        if "\n" in str(error):
            return f"an error of more than a line: {error}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        left = set(folder.iterdir())
        for file in left:
            file.unlink()
    return None if left == there else f"files came or went: {left ^ there}"


def work(kind: Kind, name: str, seed: int, numbers: range, folder: Path, notes: Path) -> None:
    """Try many, in a process of its own; note the number that is tried, and what is found."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders chatter
    with (notes / "findings").open("a") as findings:
        for number in numbers:
            (notes / "number").write_text(str(number))
            problem = try_one(kind, f"{seed}/{name}/{number}", folder)
            if problem:
                print(f"{name} {number}: {problem!r}", file=findings, flush=True)


def fuzz(name: str, kind: Kind, seed: int, count: int) -> list[str]:
    """Return what was found in one sort of input."""
    context = multiprocessing.get_context("fork")
    start = 0
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as beside:
        notes = Path(beside)
        while start < count:
            process = context.Process(target=work, args=(kind, name, seed, range(start, count), Path(folder), notes))
            process.start()
            process.join()
            start = int((notes / "number").read_text()) + 1
            if process.exitcode:
                end = "hangs" if process.exitcode == -signal.SIGALRM else f"ends with {process.exitcode}"
                with (notes / "findings").open("a") as findings:
                    print(f"{name} {start - 1}: {end}", file=findings)
        return (notes / "findings").read_text().splitlines()


def main(
    count: Annotated[int, typer.Option(help="Inputs of each kind.")] = 10_000,
    seed: int = 1,
    unhashed: Annotated[bool, typer.Option(help="Also give models past their hash to the TFLite runtime.")] = False,
) -> None:
    """Mutate and read."""
    found = []
    for name, kind in (KINDS | UNHASHED if unhashed else KINDS).items():
        problems = fuzz(name, kind, seed, count)
        print(f"{name}: {count} inputs, {len(problems)} findings", flush=True)  # noqa: T201
        for problem in problems[:10]:
            print(f"  {problem[:300]}")  # noqa: T201
        found += problems
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    typer.run(main)
