"""Labelled samples as a data set that `fer-train fit` reads: folders of `<split>/<class>/<image>`."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import cv2

from fer_edge.errors import ConfigError, reason
from fer_edge.labels import FER2013
from fer_edge.monitoring.sample import Sample
from fer_edge.monitoring.samples import SampleFolder

LIST_FILE = "samples.csv"
COLUMNS = ("file", "day", "label", "read_as", "confidence", "model")
# Fraction of the faces to validate on.
_VALIDATION = 0.25


def export_samples(folder: SampleFolder, out: Path) -> dict[str, int]:
    """Write the labelled faces and `samples.csv` to a new folder, whole or not at all.

    Whole days are held out for validation: somebody who stays for a while is sampled again on the same day, and must
    not be on both sides. Contempt is left out, since such folders hold FER2013's seven classes.

    Args:
        folder: of the samples.
        out: a folder that does not exist yet, or is empty.

    Returns:
        How many faces went into each split.

    Raises:
        ConfigError: there is nothing to export, all labels are of one day, `out` is in the way or cannot be written.
    """
    labels = folder.labels()
    answers = {sample: labels[sample.id].answer for sample in folder.samples() if sample.id in labels}
    chosen = {sample: answer for sample, answer in answers.items() if answer in FER2013}
    if not chosen:
        raise ConfigError(f"{folder.folder}: no sample has a label. Give some: fer-edge samples review")
    held_out = _validation_days(chosen)
    if not held_out:
        raise ConfigError(f"{folder.folder}: all labels are of one day. Label samples of two days or more")
    aside = out.absolute().with_name(f".{out.absolute().name}.part")
    splits: Counter[str] = Counter()
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out}: is there already. Choose a new folder")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, mode=0o700)
        with (aside / LIST_FILE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for sample, answer in chosen.items():
                split = "validation" if sample.day in held_out else "train"
                name = Path(split, answer, f"{sample.id}.png")
                (aside / name.parent).mkdir(parents=True, exist_ok=True)
                (aside / name).write_bytes(cv2.imencode(".png", folder.picture(sample.id))[1].tobytes())
                writer.writerow((name, sample.day, answer, sample.label, sample.confidence, sample.model))
                splits[split] += 1
        aside.replace(out)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{out}: cannot be written ({reason(error)})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return dict(splits)


def _validation_days(samples: Collection[Sample]) -> set[str]:
    """The newest days that hold a quarter of the samples, but never all days."""
    counts = Counter(sample.day for sample in samples)
    held_out: set[str] = set()
    for day in sorted(counts, reverse=True)[:-1]:
        if sum(counts[one] for one in held_out) >= _VALIDATION * len(samples):
            break
        held_out.add(day)
    return held_out
