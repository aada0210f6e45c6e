"""Mutated inputs for everything that reads a file: whatever comes in, it is read or refused by an error of our own.

    python tests/fuzz.py --count 10000 --seed 1

A finding is another exception, a crash, a hang or a file left behind. Each is printed with the seed that makes it
again, and the exit code is 1. Readers run in a process of their own, which a crash of native code cannot outlive.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from fer_edge.assets.composites import load_composites
from fer_edge.config import JsonLinesConfig, RunConfig, load_config
from fer_edge.errors import FerError
from fer_edge.labels import FER2013
from fer_edge.model.bundle import MODEL_FILE, find_bundle, load_bundle
from fer_edge.model.interpreter import open_interpreter
from fer_edge.model.manifest import MANIFEST_FILE
from fer_edge.sinks.csv_file import CsvFile
from fer_edge.sinks.jsonl import JsonLines
from fer_edge.sinks.pictures import AnnotatedPictures
from fer_edge.sources import open_source
from fer_edge.types import FaceBox, FrameResult, Prediction, Track, TrackedFace
from fer_train.data.datasets import load_dataset
from fer_train.data.datasets.class_names import find_classes

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


def read_source(path: Path) -> None:
    with open_source(RunConfig(source=str(path))) as source:
        list(source)


def exif_file(folder: Path) -> Path:
    """An image that says how the camera was held: EXIF 2.32 behind the first marker of a JPEG file, or in WebP."""
    order = random.choice("<>")  # noqa: S311
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, random.randint(1, 8), 0)  # noqa: S311
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)
    suffix = random.choice([".jpg", ".webp"])  # noqa: S311
    content = cv2.imencode(suffix, load_composites()["happy"])[1].tobytes()
    if suffix == ".jpg":
        content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + content[2:]
    else:
        content += b"EXIF" + struct.pack("<I", len(tiff)) + tiff
    path = folder / "photo"
    path.write_bytes(content)
    return path


@cache
def film(suffix: str, codec: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"film{suffix}")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
        for level in range(10):
            writer.write(np.full((48, 64, 3), 20 * level, np.uint8))
        writer.release()
        return path.read_bytes()


def container_file(folder: Path) -> Path:
    films = [
        (".mp4", "mp4v"),
        (".mkv", "mp4v"),
        (".webm", "VP80"),
        (".avi", "MJPG"),
        (".flv", "FLV1"),
        (".wmv", "WMV2"),
        (".ts", "mp4v"),
        (".m2ts", "mp4v"),
        (".vob", "mpg2"),
        (".ogg", "VP80"),
    ]
    suffix, codec = random.choice(films)  # noqa: S311
    path = folder / f"film{random.choice([suffix, '', '.jpg'])}"  # noqa: S311
    path.write_bytes(film(suffix, codec))
    return path


def name_file(folder: Path) -> Path:
    """A file's name, as the content of a file."""
    path = folder / "name"
    names = ["IMG_2024.jpg", "写真.png", "a\nerror: forged\x1b[31m.jpg", "x" * 250, "-", "'\"$(reboot).jpg", "é\udcff"]
    path.write_bytes(os.fsencode(random.choice(names)))  # noqa: S311
    return path


def show_name(path: Path) -> None:
    """Read a folder that holds an image of that name, and show it in each way: a line must stay a line."""
    name = path.read_bytes().replace(b"/", b"").replace(b"\0", b"")[:255]
    if name in {b"", b".", b".."}:
        return
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as out:
        Path(folder, os.fsdecode(name)).write_bytes(cv2.imencode(".png", load_composites()["happy"])[1].tobytes())
        with (
            open_source(RunConfig(source=folder)) as source,
            AnnotatedPictures(Path(out, "copies")) as copies,
            CsvFile(str(Path(out, "faces.csv")), folder, FER2013) as table,
            JsonLines(str(Path(out, "faces.jsonl")), JsonLinesConfig()) as lines,
        ):
            for frame in source:
                result = FrameResult(frame, (SHOWN,), {})
                for sink in (copies, table, lines):
                    sink.emit(result)
        written = Path(out, "faces.csv").read_text(encoding="utf-8")
        if written.count("\n") != 2 or not written.replace("\n", "").isprintable():
            raise AssertionError(f"not a line per face: {written!r}")
        json.loads(Path(out, "faces.jsonl").read_text())
        if len(list(Path(out, "copies").iterdir())) != 1:
            raise AssertionError("no copy, or several")


def broker_file(folder: Path) -> Path:
    """An MQTT broker, as the content of a file."""
    brokers = ["broker.local", "mqtt://broker:1883", "mqtts://[::1]:8883", "fe80::1", "user@host", "10.0.0.1:1883"]
    path = folder / "broker"
    path.write_text(random.choice(brokers))  # noqa: S311
    return path


def read_broker(path: Path) -> None:
    mqtt = load_config(None, {"mqtt.host": path.read_text(errors="replace")}).mqtt
    if not mqtt.host or "/" in mqtt.host or not 1 <= mqtt.port <= 65535:
        raise AssertionError(f"no broker: {mqtt.host!r}:{mqtt.port}")


def edited_file(folder: Path) -> Path:
    """A configuration as editors on other systems save it."""
    text = CONFIG.decode().replace("broker.local", "Küche").replace("\n", random.choice(["\n", "\r\n", "\r"]))  # noqa: S311
    path = folder / "config.toml"
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]
    path.write_bytes(text.encode(random.choice(encodings)))  # noqa: S311
    return path


def classes_file(folder: Path) -> Path:
    path = folder / "classes.toml"
    path.write_text('joy = "happy"\n1 = "sad"\n"a b" = ""\n')
    return path


SHOWN = TrackedFace(
    Track(1, FaceBox(1, 2, 30, 30), 0.0, 0.0),
    *2 * [Prediction(np.full(7, 1 / 7, np.float32), "happy", 1 / 7)],
)
KINDS = {
    "configuration": Kind(config_file, lambda path: load_config(path, {})),
    "model.json": Kind(lambda folder: bundle_file(folder, MANIFEST_FILE), lambda path: load_bundle(path.parent)),
    "model.tflite": Kind(lambda folder: bundle_file(folder, MODEL_FILE), lambda path: load_bundle(path.parent)),
    "CSV": Kind(csv_file, lambda path: load_dataset(path.parent, "train", "fer2013")),
    "image": Kind(image_file, read_source),
    "EXIF": Kind(exif_file, read_source),
    "container": Kind(container_file, read_source),
    "name": Kind(name_file, show_name),
    "broker": Kind(broker_file, read_broker),
    "configuration of other editors": Kind(edited_file, lambda path: load_config(path, {})),
    "classes.toml": Kind(classes_file, lambda path: find_classes(["joy", "1", "a b"], path.parent)),
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
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind; may be repeated.")] = None,
    unhashed: Annotated[bool, typer.Option(help="Also give models past their hash to the TFLite runtime.")] = False,
) -> None:
    """Mutate and read."""
    found = []
    for name, tried in (KINDS | UNHASHED if unhashed else KINDS).items():
        if kind and name not in kind:
            continue
        problems = fuzz(name, tried, seed, count)
        print(f"{name}: {count} inputs, {len(problems)} findings", flush=True)  # noqa: T201
        for problem in problems[:10]:
            print(f"  {problem[:300]}")  # noqa: T201
        found += problems
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    typer.run(main)
