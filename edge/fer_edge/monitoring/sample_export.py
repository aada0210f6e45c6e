"""Export labelled samples to a folder for training on a workstation."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2

from fer_edge.errors import ConfigError, reason
from fer_edge.monitoring.sample import NO_FACE, SKIPPED
from fer_edge.monitoring.samples import SampleFolder

LIST_FILE = "samples.csv"
COLUMNS = ("file", "day", "label", "read_as", "confidence", "model")


def export_samples(folder: SampleFolder, out: Path, *, everything: bool) -> int:
    """Write faces and `samples.csv` to a new folder, atomically; return the number of faces.

    Args:
        folder: folder of the samples.
        out: a folder that does not exist yet, or is empty.
        everything: whether to export samples without a label too; their label is empty.

    Raises:
        ConfigError: there is nothing to export, or `out` is not empty or cannot be written.
    """
    labels = folder.labels()
    answers = {sample: labels[sample.id].answer if sample.id in labels else "" for sample in folder.samples()}
    chosen = {
        sample: answer
        for sample, answer in answers.items()
        if answer not in {SKIPPED, NO_FACE} and (answer or everything)
    }
    if not chosen:
        raise ConfigError(f"{folder.folder}: no sample has a label. Give some: fer-edge samples review")
    aside = out.absolute().with_name(f".{out.absolute().name}.part")
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out}: is there already. Choose a new folder")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, mode=0o700)
        with (aside / LIST_FILE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for sample, answer in chosen.items():
                name = f"{sample.id}.png"
                (aside / name).write_bytes(cv2.imencode(".png", folder.picture(sample.id))[1].tobytes())
                writer.writerow((name, sample.day, answer, sample.label, sample.confidence, sample.model))
        aside.replace(out)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{out}: cannot be written ({reason(error)})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return len(chosen)
