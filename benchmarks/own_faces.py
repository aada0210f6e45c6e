"""Compare ways to train the shipped model on a few faces of one's own.

    python -m benchmarks.own_faces_data --data DATA --out photos.npz
    python -m benchmarks.own_faces measure photos.npz results.jsonl --data DATA
    python -m benchmarks.own_faces table results.jsonl

The stand-in is split by groups of near duplicates: a half is "one's own", the other half tests. Of the own half, N
faces per class are drawn (all, if a class has fewer); a fifth of them is held out, as `fer-train crop` does, and
decides whether the training gained anything. Measured trainings are skipped, so a stopped measurement goes on.
KERAS_BACKEND=torch is the fastest on a CPU: about an hour of one core for five seeds.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import typer

from fer_train.backend import load_keras
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.recipes import load_recipe

SIZES = (5, 15, 50, 200)
SEEDS = (0, 1, 2, 3, 4)
START = Path("models/ferplus7/model.keras")
HELD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Method:
    """One way to train.

    Attributes:
        overrides: what differs from the recipe `photographs` with `start_share=0` and `keep=last`.
        freeze: as `fer-train fit --freeze`.
        after: the method from whose result it starts, instead of the shipped model.
        replay: whether as many faces of FER2013 are added.
    """

    overrides: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    after: str = ""
    replay: bool = False


METHODS = {
    "rate 0.002": Method(),
    "rate 0.02": Method(("learning_rate=0.02",)),
    "L2-SP, rate 0.005": Method(("learning_rate=0.005", "stay_close=0.1")),
    "best epoch": Method(("keep=best",)),
    "frozen trunk": Method(("learning_rate=0.02",), freeze=("trunk",)),
    "frozen trunk, then all": Method(after="frozen trunk"),
    "replay": Method(replay=True),
}

app = typer.Typer(add_completion=False)


class Lab:
    """The stand-in in two halves, the model to start from, and faces of FER2013 to replay."""

    def __init__(self, photos: Path, data: Path) -> None:
        from fer_train.keras_models import load_model, predict

        content = np.load(photos)
        self._images, self._classes = content["images"], content["classes"]
        groups = content["groups"]
        own = np.random.default_rng(0).random(groups.max() + 1) < 0.5
        self._own, self._test = np.flatnonzero(own[groups]), np.flatnonzero(~own[groups])
        self._old = load_dataset(data, "train", "ferplus7", "plurality")
        self._predict, self._load = predict, load_model
        self.model = load_model(START)

    def draw(self, size: int, seed: int) -> tuple[LabelledFaces, LabelledFaces]:
        """Faces to train on, and the held-out fifth."""
        rng = np.random.default_rng(seed)
        train, held_out = [], []
        for label in range(7):
            mine = rng.permutation(self._own[self._classes[self._own] == label])[:size]
            count = max(round(len(mine) * HELD_OUT), 1)
            held_out.append(mine[:count])
            train.append(mine[count:])
        return self._faces(np.concatenate(train), "train"), self._faces(np.concatenate(held_out), "validation")

    def with_old(self, faces: LabelledFaces, seed: int) -> LabelledFaces:
        """Add as many faces of FER2013."""
        chosen = np.random.default_rng(seed).choice(len(self._old), len(faces), replace=False)
        old = self._old.take(np.sort(chosen))
        return replace(
            faces,
            images=np.concatenate([faces.images, old.images]),
            targets=np.concatenate([faces.targets, old.targets]),
            rows=np.arange(2 * len(faces)),
        )

    def scores(self, model: Any) -> tuple[float, float]:  # noqa: ANN401 - Keras ships no types
        """Accuracy and macro recall on the test half, in per cent."""
        truth = self._classes[self._test]
        right = self._predict(model, self._images[self._test]).argmax(axis=1) == truth
        recalls = [right[truth == label].mean() for label in range(7)]
        return round(100 * float(right.mean()), 2), round(100 * float(np.mean(recalls)), 2)

    def _faces(self, rows: npt.NDArray[np.int64], split: Any) -> LabelledFaces:  # noqa: ANN401 - a literal
        return LabelledFaces(
            images=self._images[rows],
            targets=np.eye(7, dtype=np.float32)[self._classes[rows]],
            rows=np.arange(len(rows)),
            scheme="fer2013",
            source=Path("own"),
            split=split,
        )


@app.command()
def measure(
    photos: Path,
    results: Path,
    data: Annotated[Path, typer.Option(envvar="FER_DATA")],
    sizes: Annotated[list[int] | None, typer.Option("--size")] = None,
    seeds: Annotated[list[int] | None, typer.Option("--seed")] = None,
    methods: Annotated[list[str] | None, typer.Option("--method")] = None,
) -> None:
    """Train and test; add a line per training to the results."""
    load_keras()
    lab = Lab(photos, data)
    done = {(line["method"], line["size"], line["seed"]) for line in read(results)}
    if ("start", 0, 0) not in done:
        add(results, {"method": "start", "size": 0, "seed": 0, "test": lab.scores(lab.model)})
    for seed in seeds or SEEDS:
        for size in sizes or SIZES:
            wanted = [name for name in methods or METHODS if (name, size, seed) not in done]
            with tempfile.TemporaryDirectory() as folder:
                for name in wanted:
                    add(results, train(lab, name, size, seed, Path(folder)))


def train(lab: Lab, name: str, size: int, seed: int, folder: Path) -> dict[str, Any]:
    """Train by one method; return its line of the results."""
    import fer_train.training.fit as fitting
    from fer_train.training.precision import parse_precision
    from fer_train.training.start import keep_start_if_no_better

    method, trained = METHODS[name], {}
    learn, held_out = lab.draw(size, seed)
    if method.after and not (folder / method.after).exists():
        train(lab, method.after, size, seed, folder)

    def spy(model: Any, classifier: Any, *rest: Any) -> Any:  # noqa: ANN401 - Keras ships no types
        trained["weights"] = classifier.get_weights()  # of the training, even if the start is kept
        return keep_start_if_no_better(model, classifier, *rest)

    with patch.object(fitting, "keep_start_if_no_better", spy):
        saved = fitting.fit(
            [lab.with_old(learn, seed) if method.replay else learn],
            [held_out],
            load_recipe("photographs", ["start_share=0", "keep=last", *method.overrides, f"seed={seed}"]),
            folder / name,
            init=folder / method.after / "model.keras" if method.after else START,
            freeze=method.freeze,
            precision=parse_precision("auto"),
        )
    gain = json.loads((folder / name / "training.json").read_text())["gain"]
    line = {"method": name, "size": size, "seed": seed, "faces": len(learn), "kept_start": gain["kept_start"]}
    if saved is None:
        raise RuntimeError("only further workers get no model")
    line["kept"] = lab.scores(saved)
    saved.set_weights(trained["weights"])
    line["test"] = lab.scores(saved)
    saved.set_weights([(a + b) / 2 for a, b in zip(trained["weights"], lab.model.get_weights(), strict=True)])
    return line | {"mean": lab.scores(saved)}


@app.command()
def table(results: Path) -> None:
    """Print the results as Markdown: mean and range of the accuracy over the seeds, and mean macro recall.

    The mean of the best epoch with the start is what the recipe saves.
    """
    lines = read(results)
    start = next(line["test"] for line in lines if line["method"] == "start")
    sizes = sorted({line["size"] for line in lines} - {0})
    typer.echo(f"The shipped model: accuracy {start[0]:.1f} %, macro recall {start[1]:.1f} %\n")
    typer.echo("| method | " + " | ".join(f"{size} per class" for size in sizes) + " |")
    typer.echo("|---|" + "---|" * len(sizes))
    for name in METHODS:
        mine = [line for line in lines if line["method"] == name]
        for kind, suffix in (("test", ""), ("kept", ", start kept if no better"), ("mean", ", mean with the start")):
            cells = [_cell([line[kind] for line in mine if line["size"] == size]) for size in sizes]
            typer.echo(f"| {name}{suffix} | " + " | ".join(cells) + " |")


def _cell(scores: list[list[float]]) -> str:
    if not scores:
        return ""
    accuracies, recalls = zip(*scores, strict=True)
    spread = f"{min(accuracies):.1f} to {max(accuracies):.1f}, {len(scores)} seeds"
    return f"{np.mean(accuracies):.1f} ({spread}); {np.mean(recalls):.1f}"


def read(results: Path) -> list[dict[str, Any]]:
    """The lines so far."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []


def add(results: Path, line: dict[str, Any]) -> None:
    """Add one line, and show it."""
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    typer.echo(json.dumps(line))


if __name__ == "__main__":
    app()
