"""The folder of sampled faces: pictures, what the model said of them, and the labels that their owner gave.

    20261127T153012Z-3fa2c1.png    a grey face of 48x48 pixels
    20261127T153012Z-3fa2c1.json   when it was taken, and the model's answer
    labels.jsonl                   one line per label that was given; the last one of a sample counts
    seen.json                      how many faces each day had, by label and confidence, sampled or not

Files of other names are left alone.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_edge.errors import ConfigError, reason
from fer_edge.files import replace_file
from fer_edge.monitoring.sample import ANSWERS, ID, LabelledSample, Sample
from fer_edge.types import Image

LABELS_FILE, SEEN_FILE, LOCK_FILE = "labels.jsonl", "seen.json", ".lock"


class SampleFolder:
    """Reads and changes a folder of samples, also while a run adds to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self) -> None:
        """Make the folder, for its owner alone.

        Raises:
            ConfigError: it cannot be made, or others can read it, or its file system keeps no permissions.
        """
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True)
                self.folder.chmod(0o700)
            mode = stat.S_IMODE(self.folder.stat().st_mode)
            if mode & 0o077:
                raise ConfigError(
                    f"{self.folder}: others may read it (mode {mode:o}), and it will hold pictures of people. Fix: "
                    f"chmod 700 {self.folder}; where that changes nothing, as on FAT, choose another file system"
                )
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.folder}: cannot be created ({reason(error)})") from error

    def require(self) -> Self:
        """Raise ConfigError unless the folder is there and can be read."""
        try:
            next(self.folder.iterdir(), None)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.folder}: there are no samples ({reason(error)}). Set samples.path") from error
        return self

    def samples(self) -> list[Sample]:
        """All samples whose two files can be read, in order of time."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            if ID.fullmatch(path.stem) and self.picture_path(path.stem).is_file():
                with suppress(OSError, ValueError):
                    found.append(Sample.parse(json.loads(path.read_bytes())))
        return found

    def foreign_files(self) -> list[str]:
        """Names in the folder that are not of samples; half-written ones count as foreign too."""
        ours = {name for sample in self.samples() for name in (f"{sample.id}.png", f"{sample.id}.json")}
        return sorted({path.name for path in self.folder.iterdir()} - ours - {LABELS_FILE, SEEN_FILE, LOCK_FILE})

    def picture_path(self, identity: str) -> Path:
        """Where the picture of a sample lies. Raises ConfigError where that is no sample's name."""
        if not ID.fullmatch(identity):
            raise ConfigError(f"{identity!r} is no sample. See fer-edge samples list")
        return self.folder / f"{identity}.png"

    def add(self, sample: Sample, crop: Image) -> None:
        """Write a sample: whole, or not at all. Raises OSError."""
        picture = cv2.imencode(".png", crop)[1].tobytes()
        try:
            self._write(f"{sample.id}.json", json.dumps(asdict(sample)).encode())
            self._write(f"{sample.id}.png", picture)
        except OSError:
            self.remove(sample.id)
            raise

    def picture(self, identity: str) -> Image:
        """The face, shape (48, 48), grey. Raises ConfigError where it is not there, or damaged."""
        path = self.picture_path(identity)
        try:
            content = np.frombuffer(path.read_bytes(), np.uint8)
            image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error
        if image is None:
            raise ConfigError(f"{path}: is no picture. Delete it with: fer-edge samples delete {identity}")
        return np.asarray(image, np.uint8)

    def remove(self, identity: str) -> None:
        """Delete a sample's files, if they are there. Raises OSError."""
        path = self.picture_path(identity)
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)

    def remove_before(self, day: str) -> None:
        """Delete the pictures of samples of earlier days than this local date; their labels stay. Raises OSError."""
        for sample in self.samples():
            if sample.day < day:
                self.remove(sample.id)

    def labels(self) -> dict[str, LabelledSample]:
        """What was said of each sample, also of those whose pictures are gone. Lines that were cut off are left out."""
        labelled: dict[str, LabelledSample] = {}
        for line in self._label_lines():
            with suppress(ValueError):
                plain = json.loads(line)
                sample = Sample.parse(plain)
                answer = plain.get("answer")
                labelled.pop(sample.id, None)
                if answer in ANSWERS:
                    labelled[sample.id] = LabelledSample(sample, answer)
        return labelled

    def set_label(self, sample: Sample, answer: str | None) -> None:
        """Save what was said of a sample, on the disk before this returns; None takes it back.

        Raises:
            ValueError: nobody may say that.
            OSError: it could not be saved.
        """
        if answer is not None and answer not in ANSWERS:
            raise ValueError(f"{answer!r} is none of {', '.join(ANSWERS)}")
        line = json.dumps({**asdict(sample), "answer": answer, "labelled_at": int(time.time())}) + "\n"
        cut = bool(self._label_text()) and not self._label_text().endswith(b"\n")  # by a power cut or a full disk
        descriptor = os.open(self.folder / LABELS_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            content = ("\n" if cut else "").encode() + line.encode()
            if os.write(descriptor, content) != len(content):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def delete(self, identities: Collection[str]) -> None:
        """Delete samples, their pictures and their labels. Raises ConfigError."""
        try:
            for identity in identities:
                self.remove(identity)
            kept = [line for line in self._label_lines() if not _names_one_of(line, identities)]
            if self._label_text():
                self._write(LABELS_FILE, b"".join(line + b"\n" for line in kept))
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot be changed ({reason(error)})") from error

    def delete_all(self) -> None:
        """Delete all samples, labels and counts; foreign files stay. Raises ConfigError."""
        names = {path.stem for path in self.folder.iterdir() if ID.fullmatch(path.stem)}
        try:
            for identity in names:
                self.remove(identity)
            for name in (LABELS_FILE, SEEN_FILE):
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot be changed ({reason(error)})") from error

    def seen(self) -> dict[str, Counter[str]]:
        """How many faces each day had, by stratum; empty where that was never written, or is damaged."""
        with suppress(OSError, ValueError, AttributeError, TypeError):
            plain = json.loads((self.folder / SEEN_FILE).read_bytes())
            return {day: Counter({str(name): int(count) for name, count in row.items()}) for day, row in plain.items()}
        return {}

    def write_seen(self, seen: dict[str, Counter[str]]) -> None:
        """Replace the counts. Raises OSError."""
        self._write(SEEN_FILE, json.dumps(seen).encode())

    def _label_text(self) -> bytes:
        with suppress(FileNotFoundError):
            return (self.folder / LABELS_FILE).read_bytes()
        return b""

    def _label_lines(self) -> Iterable[bytes]:
        return [line for line in self._label_text().splitlines() if line]

    def _write(self, name: str, content: bytes) -> None:
        replace_file(self.folder / name, content, 0o600)


def _names_one_of(line: bytes, identities: Collection[str]) -> bool:
    with suppress(ValueError, AttributeError):
        return json.loads(line).get("id") in identities
    return True  # a line that was cut off names nobody
