"""Find out whether both detectors together find more in photographs than MediaPipe alone.

A box of Haar counts where MediaPipe has none.

    FER_MEDIA=MEDIA python -m benchmarks.both_detectors

reads MEDIA/stills and their truth, as `benchmarks.finding` does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.finding import GROUPS, Score, true_face
from rich.console import Console
from rich.table import Table

from fer_edge.config import DetectorConfig
from fer_edge.detectors import open_detector
from fer_edge.geometry import overlap
from fer_edge.images import read_image

SAME = 0.5  # overlap from which two boxes are one face


def main(media: Annotated[Path, typer.Argument(envvar="FER_MEDIA")]) -> None:
    """Measure and print."""
    haar, mediapipe = (open_detector(DetectorConfig.model_validate({"name": name})) for name in ("haar", "mediapipe"))
    scores = {name: Score() for name in ("haar", "mediapipe", "both")}
    for file, known in json.loads((media / "stills" / "truth.json").read_text()).items():
        image = read_image(media / "stills" / file)
        if image is None:
            raise SystemExit(f"{file}: is not a readable image")
        faces = [true_face(face, known["height_width"][1]) for face in known["faces"]]
        first, second = haar.detect(image), mediapipe.detect(image)
        more = [box for box in first if all(overlap(box, other) <= SAME for other in second)]
        for name, boxes in (("haar", first), ("mediapipe", second), ("both", second + more)):
            scores[name].compare(boxes, faces)
    table = Table("", *GROUPS, "wrong, %", "found", "boxes")
    for name, score in scores.items():
        table.add_row(name, *score.cells(), f"{score.found['all']} of {score.total['all']}", str(score.boxes))
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
