"""What the commands hand to a training and say of its result. A stand-in trains; real trainings are in test_fit.py."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest
from typer.testing import CliRunner

from fer_edge.errors import ConfigError
from fer_train.cli.app import app
from fer_train.data.datasets import LabelledFaces
from fer_train.recipes import Recipe, load_recipe

GAIN: dict[str, Any] = {
    "before": 0.5, "after": 0.625, "interval": [0.55, 0.7], "images": 80, "kept_start": False,
    "macro_recall_before": 0.25, "macro_recall_after": 0.375,
}  # fmt: skip


class Training:
    """Takes what a training is given, and leaves its record.

    Attributes:
        record: what `training.json` shall hold.
        model: the result.
    """

    def __init__(self) -> None:
        self.record: dict[str, Any] = {}
        self.model: keras.Model | None = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

    def __call__(
        self, train: list[LabelledFaces], watched: list[LabelledFaces], recipe: Recipe, out: Path, **others: Any
    ) -> keras.Model | None:
        self.train, self.watched, self.recipe, self.out, self.others = train, watched, recipe, out, others
        out.mkdir()
        (out / "training.json").write_text(json.dumps(self.record))
        return self.model


@pytest.fixture(autouse=True)
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    made = Training()
    monkeypatch.setattr("fer_train.training.fit.fit", made)
    return made


@pytest.fixture
def fit(tiny_data: Path, tmp_path: Path) -> Any:
    """Run the command, and give what it says."""

    def run(*options: object, name: str = "fit") -> str:
        given = [name, "--data", tiny_data, "--out", tmp_path / "run", *options]
        done = CliRunner().invoke(app, [str(word) for word in given])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_a_training_without_options_is_that_of_the_default_recipe(
    fit: Any, training: Training, tiny_data: Path, tmp_path: Path
) -> None:
    said = fit()
    assert training.recipe == load_recipe("edge")
    assert ([len(part) for part in training.train], [len(part) for part in training.watched]) == ([280], [70])
    assert [part.split for part in (*training.train, *training.watched)] == ["train", "validation"]
    (progress,) = training.others.pop("callbacks")
    assert type(progress).__name__ == "EpochProgress"
    assert training.others == {
        "resume": False, "precision": "float32", "teachers": (), "init": None, "freeze": (), "coordinator": None,
        "steps_per_execution": 1,
    }  # fmt: skip
    model = tmp_path / "run" / "model.keras"
    assert said == f"{model}: trained. Next: fer-quantize {model} --data {tiny_data} --check\n"


def test_each_option_reaches_the_training(fit: Any, training: Training, tmp_path: Path) -> None:
    start, teacher = tmp_path / "start.keras", tmp_path / "teacher"
    start.touch()
    fit(
        "--recipe", "adam-50", "--labels", "ferplus8", "--architecture", "edge-tiny", "--epochs", 3, "--batch-size", 16,
        "--learning-rate", 0.125, "--seed", 5, "--set", "dropout=0.4", "--set", "also={ferplus7=0.5}",
        "--set", "votes=majority", "--precision", "mixed_float16", "--teacher", teacher, "--teacher", "other",
        "--init", start, "--freeze", "trunk", "--freeze", "stage1*", "--steps-per-execution", 4,
    )  # fmt: skip
    assert training.recipe == load_recipe(
        "adam-50",
        ("dropout=0.4", "also={ferplus7=0.5}", "votes=majority"),
        labels="ferplus8",
        architecture="edge-tiny",
        epochs=3,
        batch_size=16,
        learning_rate=0.125,
        seed=5,
    )
    assert (
        [part.scheme for part in training.train]
        == ["ferplus8", "ferplus7"]
        == [part.scheme for part in training.watched]
    )
    others = training.others
    assert (others["precision"], others["init"], others["steps_per_execution"]) == ("mixed_float16", start, 4)
    assert (others["teachers"], others["freeze"]) == ([teacher, Path("other")], ["trunk", "stage1*"])


def test_faces_are_held_out_where_the_recipe_says_so(fit: Any, training: Training) -> None:
    fit("--set", "hold_out=true")
    assert [(part.split, len(part)) for part in (*training.train, *training.watched)] == [
        ("train", 252), ("held-out", 28),
    ]  # fmt: skip


def test_the_progress_is_that_of_the_main_labels(
    training: Training, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_epoch(*given: Any, callbacks: list[Any], **others: Any) -> keras.Model | None:
        (progress,) = callbacks
        progress.set_params({"epochs": 3, "steps": 2})
        progress.on_epoch_begin(0)
        main, other = {"ferplus8_accuracy": 0.25, "val_ferplus8_accuracy": 0.5}, {"ferplus7_accuracy": 1.0}
        progress.on_epoch_end(0, {"loss": 1.0, **main, **other, "val_ferplus7_accuracy": 1.0})
        return training(*given, **others)

    monkeypatch.setattr("fer_train.training.fit.fit", one_epoch)
    options = ["--labels", "ferplus8", "--set", "also={ferplus7=0.5}", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["fit", "--data", str(tiny_data), *options])
    assert done.exit_code == 0, done.output
    assert "epoch 1/3: loss 1.000, accuracy 25.0 %, validation accuracy 50.0 %" in done.stderr


def test_an_interrupted_training_is_resumed_only_when_asked(fit: Any, training: Training, tmp_path: Path) -> None:
    unfinished = tmp_path / "run" / "unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "record.json").touch()
    with pytest.raises(AssertionError):
        fit()
    assert not hasattr(training, "recipe")
    with pytest.raises(AssertionError):  # the stand-in, which begins anew, makes its folder
        fit("--resume")
    assert training.others["resume"] is True


def test_what_was_gained_over_the_start_is_told_with_its_interval(fit: Any, training: Training) -> None:
    training.record = {"gain": GAIN}
    first, second, last = fit().splitlines()
    assert first == "accuracy on 80 validation faces: 50.0% before, 62.5% after (55.0% to 70.0%)"
    assert second == "macro recall: 25.0% before, 37.5% after"
    assert "trained. Next:" in last


def test_nothing_gained_is_told(fit: Any, training: Training) -> None:
    training.record = {"gain": GAIN | {"kept_start": True}}
    assert fit().splitlines()[2] == "kept the starting weights: nothing was gained"


@pytest.mark.parametrize(("count", "told"), [(19, True), (20, False)])
def test_few_faces_of_a_class_are_told_with_what_to_do(
    fit: Any, training: Training, monkeypatch: pytest.MonkeyPatch, count: int, told: bool
) -> None:
    training.record = {"gain": GAIN}
    monkeypatch.setattr(LabelledFaces, "support", {"happy": 50, "sad": count, "angry": 40})
    few = [line for line in fit().splitlines() if line.startswith("a class has only")]
    assert few == told * [
        "a class has only 19 faces to learn from: with fewer than 20 the result may be better or worse on other faces. "
        "Collect more, and check the model on photographs that it has not seen"
    ]


def test_the_older_formats_are_written_on_request(fit: Any, tmp_path: Path) -> None:
    fit("--export-h5")
    assert (tmp_path / "run" / "model.h5").is_file()


def test_without_that_they_are_not(fit: Any, tmp_path: Path) -> None:
    fit()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["training.json"]


def test_a_worker_that_saves_nothing_says_so(
    fit: Any, training: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It writes no curves either. The back end here cannot join workers, so what joins them is replaced."""
    asked: list[tuple[object, ...]] = []

    def join(*place: object) -> tuple[object, ...]:
        asked.append(place)
        return place

    monkeypatch.setattr("fer_train.training.distributed.parse_coordinator", join)
    training.model = None
    place = ("--workers", 3, "--worker", 2, "--coordinator", "host:9911")
    assert fit(*place, "--tensorboard", tmp_path / "curves") == "worker 2: done. Worker 0 saves the model\n"
    assert asked == [(3, 2, "host:9911")] == [training.others["coordinator"]]
    assert len(training.others["callbacks"]) == 1


def test_curves_are_written_for_tensorboard_by_the_first_worker(
    fit: Any, training: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setattr("fer_train.training.distributed.parse_coordinator", lambda *_: None)
    fit("--workers", 2, "--worker", 0, "--coordinator", "host:9911", "--tensorboard", tmp_path / "curves")
    _, curves = training.others["callbacks"]
    assert isinstance(curves, keras.callbacks.TensorBoard)
    assert (tmp_path / "curves").is_dir()


def test_distill_trains_with_teachers(fit: Any, training: Training) -> None:
    fit("--teacher", "models/ferplus7", name="distill")
    assert training.others["teachers"] == [Path("models/ferplus7")]


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (("distill",), "distill: there is no teacher. Give --teacher"),
        (("fit", "--freeze", "trunk"), "--freeze: random weights are not worth keeping. Give --init too"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_fix(
    tiny_data: Path, tmp_path: Path, words: tuple[str, ...], telling: str
) -> None:
    done = CliRunner().invoke(app, [*words, "--data", str(tiny_data), "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == telling
    assert not (tmp_path / "run").exists()
