"""Show an exploration as tables in the terminal, and write a contact sheet, a histogram and a list of findings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from rich.table import Table

from fer_edge.terminal import output_console
from fer_train.evaluation.plots import as_png
from fer_train.explore.exploration import DARK, FLAT, Duplicates, Exploration
from fer_train.files import make_folder, write_whole

_SHEET_COLUMNS = 16
_COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}


def print_exploration(found: Exploration) -> None:
    """Print the images per class and split, the duplicates, and the number of unusual images."""
    console = output_console()
    console.print(_class_table(found))
    console.print(_duplicate_table(found))
    console.print(
        f"dark (mean grey level under {DARK}): {len(found.dark)}; "
        f"flat (standard deviation under {FLAT}): {len(found.flat)}; "
        f"not a face (by FER+'s votes): {len(found.voted_out)}",
        soft_wrap=True,
    )
    if len(found.strangest):
        console.print("least like a face:")
        for position in found.strangest[:5]:
            console.print(f"  {_place(found, position)}", highlight=False, soft_wrap=True)
    else:
        console.print("least like a face: too few pictures to tell")
    for faces in found.splits:
        for path in faces.skipped:
            console.print(f"cannot be read: {path}", highlight=False, soft_wrap=True)


def write_exploration(found: Exploration, out: Path) -> tuple[Path, ...]:
    """Write `contact_sheet.png`, `histogram.png` and `findings.csv` into a folder.

    Raises:
        ConfigError: the folder cannot be written.
    """
    make_folder(out)
    contents = {
        out / "contact_sheet.png": as_png(_contact_sheet(found)),
        out / "histogram.png": as_png(_histogram(found)),
        out / "findings.csv": _findings_csv(found),
    }
    for path, content in contents.items():
        write_whole(path, content)
    return tuple(contents)


def _class_table(found: Exploration) -> Table:
    table = Table(title="images per class")
    table.add_column("class")
    for faces in found.splits:
        table.add_column(str(faces.split), justify="right")
        table.add_column("%", justify="right")
    counts = [np.bincount(faces.classes, minlength=len(faces.labels)) for faces in found.splits]
    for index, label in enumerate(found.splits[0].labels):
        cells = [(str(count[index]), f"{100 * count[index] / count.sum():.1f}") for count in counts]
        table.add_row(label, *(text for pair in cells for text in pair))
    table.add_section()
    table.add_row("all", *(text for count in counts for text in (str(count.sum()), "")))
    table.add_row("cannot be read", *(text for faces in found.splits for text in (str(len(faces.skipped)), "")))
    return table


def _duplicate_table(found: Exploration) -> Table:
    table = Table(title="duplicates")
    for heading in ("images", "same pixels", "with near duplicates"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for split in found.exact.repeated:
        table.add_row(
            f"{split}, copies after the first", str(found.exact.repeated[split]), str(found.near.repeated[split])
        )
    for split, other in found.exact.shared:
        table.add_row(
            f"{split}, also in {other}",
            str(found.exact.shared[split, other]),
            str(found.near.shared[split, other]),
        )
    table.add_row("duplicate with another class", str(found.exact.disagreeing), str(found.near.disagreeing))
    return table


def _findings(found: Exploration) -> Iterator[tuple[str, int, str]]:
    """Yield (finding, position, detail). For duplicates, detail is the number of their group."""
    for name, positions in _odd(found).items():
        yield from ((name, int(position), "") for position in positions)
    for name, duplicates in (("same pixels", found.exact), ("near duplicate", found.near)):
        yield from ((name, position, f"group {group}") for position, group in _repeated(duplicates))


def _odd(found: Exploration) -> dict[str, npt.NDArray[np.int64]]:
    return {
        "dark": found.dark,
        "flat": found.flat,
        "not a face": found.voted_out,
        "least like a face": found.strangest,
    }


def _repeated(duplicates: Duplicates) -> Iterator[tuple[int, int]]:
    """Yield (position, group) of all duplicates, group by group."""
    counts = np.bincount(duplicates.groups)
    several = np.flatnonzero(counts[duplicates.groups] > 1)
    for position in several[np.argsort(duplicates.groups[several], kind="stable")]:
        yield int(position), int(duplicates.groups[position])


def _findings_csv(found: Exploration) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("finding", "split", "class", "place", "detail"))
    for faces in found.splits:
        writer.writerows(("cannot be read", faces.split, path.parent.name, path, "") for path in faces.skipped)
    for finding, position, detail in _findings(found):
        faces, within = found.locate(position)
        writer.writerow((finding, faces.split, faces.labels[faces.classes[within]], faces.place(within), detail))
    return text.getvalue().encode()


def _place(found: Exploration, position: int) -> str:
    faces, within = found.locate(position)
    return f"{faces.place(within)}, {faces.labels[faces.classes[within]]}"


def _contact_sheet(found: Exploration) -> Figure:
    """One row of random faces of the first split per class; then the unusual images of all splits."""
    first = found.splits[0]
    chosen = np.random.default_rng(0).permutation(len(first))
    rows = [
        (label, first.images[chosen[first.classes[chosen] == index][:_SHEET_COLUMNS]])
        for index, label in enumerate(first.labels)
    ]
    images = np.concatenate([faces.images for faces in found.splits])
    rows += [
        (name.replace("like ", "like\n"), images[positions[:_SHEET_COLUMNS]])
        for name, positions in _odd(found).items()
        if len(positions)
    ]
    figure = Figure(figsize=(_SHEET_COLUMNS * 0.55 + 1, len(rows) * 0.58), layout="constrained")
    for axes, (name, faces) in zip(np.atleast_1d(figure.subplots(len(rows), 1)), rows, strict=True):
        axes.imshow(_strip(faces), cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[], frame_on=False)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def _strip(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Faces side by side with white between and after them: shape (48, 50 * columns)."""
    height = faces.shape[1]
    strip = np.full((height, (height + 2) * _SHEET_COLUMNS), 255, np.uint8)
    for index, face in enumerate(faces):
        strip[:, index * (height + 2) : index * (height + 2) + height] = face
    return strip


def _histogram(found: Exploration) -> Figure:
    """Images per class, with the splits side by side."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    labels = found.splits[0].labels
    width = 0.8 / len(found.splits)
    for index, faces in enumerate(found.splits):
        counts = np.bincount(faces.classes, minlength=len(labels))
        places = np.arange(len(labels)) + (index - (len(found.splits) - 1) / 2) * width
        bars = axes.bar(places, counts, width, label=str(faces.split), color=_COLOURS[faces.split])
        axes.bar_label(bars, fontsize=7)
    axes.set(xticks=range(len(labels)), xticklabels=labels, ylabel="images")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(found.splits))
    return figure
