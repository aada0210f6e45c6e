"""What a search does with the results of its trainings. A stand-in tells them, since real ones take minutes: those are
in test_tune.py.
"""

import csv
import json
import multiprocessing
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from tests.screen import rows_of
from typer.testing import CliRunner

from fer_edge.errors import ConfigError, FerError
from fer_train.cli.app import app
from fer_train.data.datasets import LabelledFaces, Split
from fer_train.data.holdout import load_fold
from fer_train.recipes import load_recipe
from fer_train.training.precision import Precision
from fer_train.tuning.report import print_trials, write_results
from fer_train.tuning.search import Task, open_study, run_trials
from fer_train.tuning.search_space import parse_space
from fer_train.tuning.trial import Job, Report, train_apart

VARIED = ("dropout=0.1..0.4", "batch_size=32..64")
SETTLED = ("epochs=6", "dropout=0.3", "seed=7")
MIXED: Precision = "mixed_bfloat16"


def faces(split: Split, level: int = 0) -> LabelledFaces:
    images = np.full((7, 48, 48), level, np.uint8)
    return LabelledFaces(images, np.eye(7, dtype=np.float32), np.arange(7), "ferplus7", Path("made.csv"), split)


TRAIN, HELD_OUT = faces("train"), faces("held-out")


def task(out: Path, *varied: str, settled: tuple[str, ...] = SETTLED) -> Task:
    return Task(parse_space("adam-50", settled, varied or VARIED), [TRAIN], [HELD_OUT], MIXED, out)


class Trainings:
    """Trainings that reach the accuracies that they are told to, one after the other.

    Attributes:
        results: for each training the accuracies after its epochs and at its end, or the error that ends it.
        jobs: what was to be trained.
        ended_early: how many were closed before their end.
    """

    def __init__(self) -> None:
        self.results: list[list[float] | BaseException] = []
        self.jobs: list[Job] = []
        self.ended_early = 0

    def __call__(self, job: Job) -> Generator[Report]:
        """Train as `train_apart` does, and leave what a training leaves."""
        self.jobs.append(job)
        result = self.results.pop(0)
        (job.folder / "unfinished").mkdir(parents=True)
        (job.folder / "model.keras").write_text("weights")
        (job.folder / "history.csv").write_text("epoch")
        if isinstance(result, BaseException):
            yield Report(0.5)
            raise result
        for accuracy in result[:-1]:
            try:
                yield Report(accuracy)
            except GeneratorExit:
                self.ended_early += 1
                raise
        yield Report(result[-1], last=True)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr("fer_train.tuning.search.train_apart", made)
    return made


def search(what: Task, trials: int) -> optuna.Study:
    with open_study(what) as study:
        run_trials(study, what, trials)
    return study


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def test_a_search_begins_with_the_values_of_the_recipe(
    trainings: Trainings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings.results = [[0.1, 0.2, 0.61234], [0.3, 0.4]]
    study = search(task(tmp_path / "search"), 2)
    first, second = trainings.jobs
    assert first.recipe == load_recipe("adam-50", ("epochs=6", "dropout=0.3", "seed=7", "batch_size=64"))
    assert (first.train, first.held_out, first.precision) == ([TRAIN], [HELD_OUT], MIXED)
    assert [job.folder for job in trainings.jobs] == [tmp_path / "search" / f"trial-00{n}" for n in (0, 1)]
    assert (first.recipe.dropout, first.recipe.batch_size) != (second.recipe.dropout, second.recipe.batch_size)
    assert second.recipe.dropout is not None
    assert 0.1 <= second.recipe.dropout <= 0.4
    assert [trial.value for trial in study.trials] == [0.61234, 0.4]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "trial 0: 61.23 % after epoch 2; dropout 0.3, batch_size 64"
    values = f"dropout {second.recipe.dropout:.3g}, batch_size {second.recipe.batch_size}"
    assert lines[1] == f"trial 1: 40.00 % after epoch 1; {values}"


def test_a_search_that_goes_on_repeats_no_trial_and_makes_only_what_is_left(
    trainings: Trainings, tmp_path: Path
) -> None:
    trainings.results = [[0.1, 0.2]] * 4
    search(task(tmp_path), 1)
    assert states(search(task(tmp_path), 3)) == ["COMPLETE"] * 3
    assert states(search(task(tmp_path), 3)) == ["COMPLETE"] * 3, "there is nothing left"
    study = search(task(tmp_path), 4)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert len({job.recipe.dropout for job in trainings.jobs}) == 4


def test_the_seed_of_the_recipe_decides_which_values_are_tried(trainings: Trainings, tmp_path: Path) -> None:
    trainings.results = [[0.1, 0.2]] * 6
    for name, seed in {"one": 1, "same": 1, "other": 2}.items():
        search(task(tmp_path / name, settled=("epochs=6", "dropout=0.3", f"seed={seed}")), 2)
    tried = [job.recipe.dropout for job in trainings.jobs[1::2]]
    assert tried[0] == tried[1] != tried[2]


def test_a_training_below_the_median_is_ended_after_a_third_of_its_epochs(
    trainings: Trainings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is counted as a finished trial. The first five are never ended."""
    good, poor = [0.5] * 6 + [0.5], [0.1] * 6 + [0.1]
    trainings.results = [poor, good, good, good, good, poor, [0.6] * 7]
    study = search(task(tmp_path), 7)
    assert states(study) == ["COMPLETE"] * 5 + ["PRUNED", "COMPLETE"]
    assert len(study.trials[5].intermediate_values) == 3
    assert trainings.ended_early == 1
    assert "\ntrial 5: pruned at 10.00 % after epoch 3; dropout" in capsys.readouterr().err
    assert not (tmp_path / "trial-005" / "model.keras").exists()


def test_weights_are_removed_and_records_stay(trainings: Trainings, tmp_path: Path) -> None:
    trainings.results = [[0.1, 0.2], FerError("no memory"), [0.3]]
    search(task(tmp_path), 2)
    for number in range(3):
        assert [path.name for path in (tmp_path / f"trial-00{number}").iterdir()] == ["history.csv"]


def test_a_failed_training_is_said_and_only_three_in_a_row_end_the_search(
    trainings: Trainings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = FerError("no memory")
    trainings.results = [failed, failed, [0.1, 0.2], failed, failed, failed, [0.3]]
    with pytest.raises(FerError) as caught:
        search(task(tmp_path), 2)
    assert str(caught.value) == (f"{tmp_path}: gave up after 3 failures in a row. Fix the cause, then run it again")
    assert len(trainings.jobs) == 6
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "trial 0: failed (no memory); dropout 0.3, batch_size 64"
    assert lines[2].startswith("trial 2: 20.00 % after epoch 1; ")


def test_the_recipe_is_tried_again_if_its_training_failed(trainings: Trainings, tmp_path: Path) -> None:
    trainings.results = [KeyboardInterrupt(), [0.1, 0.2]]
    with pytest.raises(KeyboardInterrupt):
        search(task(tmp_path), 1)
    search(task(tmp_path), 1)
    first, again = trainings.jobs
    assert (again.recipe.dropout, again.recipe.batch_size) == (0.3, 64) == (first.recipe.dropout, 64)


def test_ctrl_c_ends_a_search_and_is_no_failure_of_the_search(
    trainings: Trainings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings.results = [KeyboardInterrupt()]
    what = task(tmp_path)
    with pytest.raises(KeyboardInterrupt), open_study(what) as study:
        run_trials(study, what, 1)
    assert capsys.readouterr().err == "trial 0: interrupted. Repeat the command to continue the search\n"
    (trial,) = study.trials
    assert (trial.state, trial.user_attrs["error"]) == (TrialState.FAIL, "interrupted")
    assert [path.name for path in (tmp_path / "trial-000").iterdir()] == ["history.csv"]


def test_what_a_killed_search_left_unfinished_has_failed(trainings: Trainings, tmp_path: Path) -> None:
    what = task(tmp_path)
    with open_study(what) as study:
        killed = study.ask(what.space.distributions)
    left = tmp_path / f"trial-00{killed.number}"
    (left / "unfinished").mkdir(parents=True)
    (left / "history.csv").touch()
    trainings.results = [[0.1, 0.2]]
    study = search(what, 1)
    assert states(study) == ["FAIL", "COMPLETE"]
    assert [path.name for path in left.iterdir()] == ["history.csv"]
    write_results(study, what.space, tmp_path)
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [(row["trial"], row["error"]) for row in rows] == [("1", ""), ("0", "killed")]


def test_two_searches_do_not_share_a_folder(tmp_path: Path) -> None:
    with open_study(task(tmp_path)), pytest.raises(ConfigError) as caught, open_study(task(tmp_path)):
        pass
    assert str(caught.value) == f"{tmp_path}: another search is running in it. Wait for it, or choose another"
    with open_study(task(tmp_path)) as study:
        assert not study.trials, "the first has ended"


def test_a_search_begins_in_a_new_or_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="is not an empty folder"), open_study(task(tmp_path)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with open_study(task(tmp_path / "deep" / "search")):
        assert (tmp_path / "deep" / "search" / "study.db").is_file()


def other_settings(what: Task) -> Iterator[tuple[str, Task]]:
    yield "recipe", replace(what, space=parse_space("adam-50", ("epochs=5", *SETTLED[1:]), VARIED))
    yield "search space", replace(what, space=parse_space("adam-50", SETTLED, ("dropout=0.1..0.5", VARIED[1])))
    yield "precision", replace(what, precision="float32")
    yield "data", replace(what, train=[faces("train", level=1)])
    yield "data", replace(what, held_out=[faces("held-out", level=1)])


def test_a_search_goes_on_with_the_settings_that_it_was_started_with(tmp_path: Path) -> None:
    what = task(tmp_path)
    with open_study(what):
        pass
    for part, other in other_settings(what):
        with pytest.raises(ConfigError) as caught, open_study(other):
            pass
        telling = f"{tmp_path}: was started with another {part}. Use the same, or choose another folder"
        assert str(caught.value) == telling
    with open_study(what):
        pass


def test_a_damaged_study_is_one_line_that_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigError) as caught, open_study(task(tmp_path)):
        pass
    assert str(caught.value).startswith(f"{tmp_path / 'study.db'}: cannot be used (")
    assert str(caught.value).endswith("file is not a database). Choose another folder")


# Trainings in a process of their own


def job(out: Path, *settled: str) -> Job:
    recipe = load_recipe("adam-50", ("labels=ferplus7", "architecture=cnn-small", "epochs=2", *settled))
    images = np.random.default_rng(0).integers(0, 256, (70, 48, 48)).astype(np.uint8)
    learnt = replace(TRAIN, images=images, targets=np.eye(7, dtype=np.float32)[np.arange(70) % 7], rows=np.arange(70))
    parts = [replace(learnt, scheme=scheme) for scheme in recipe.schemes]
    return Job(recipe, parts, [replace(part, split="held-out") for part in parts], "float32", out)


@pytest.mark.slow
@pytest.mark.parametrize("settled", [(), ("also={fer2013=0.5}",)])
def test_a_training_tells_how_often_its_main_head_is_right_after_each_epoch_and_at_its_end(
    tmp_path: Path, settled: tuple[str, ...]
) -> None:
    made = job(tmp_path / "run", *settled)
    reports = list(train_apart(made))
    assert [report.last for report in reports] == [False, False, True]
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    assert [report.accuracy for report in reports[:-1]] == pytest.approx(
        [float(row["val_accuracy"]) for row in rows], abs=1e-4
    )
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert reports[-1].accuracy == pytest.approx(record["results"]["held-out"]["accuracy"], abs=1e-4)


@pytest.mark.slow
def test_a_training_that_fails_says_why_in_one_line_and_one_that_is_not_wanted_ends(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(FerError) as caught:
        list(train_apart(job(tmp_path / "used")))
    assert str(caught.value).startswith(f"{tmp_path / 'used'}: is not an empty folder")
    with closing(train_apart(job(tmp_path / "run", "epochs=500"))) as reports:
        assert not next(reports).last
        (training,) = multiprocessing.active_children()
        assert training.daemon, "it ends with this process"
    assert training.exitcode == 0
    assert not multiprocessing.active_children()


# The report


def test_the_table_of_trials_has_a_column_for_each_value(
    trainings: Trainings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings.results = [[0.1, 0.2], FerError("no memory"), [0.3, 0.31, 0.4]]
    study = search(task(tmp_path), 2)
    print_trials(study)
    rows = rows_of(capsys.readouterr().out)
    assert rows[0] == ["trial", "state", "accuracy", "epochs", "dropout", "batch_size"]
    assert rows[1][:4] == ["2", "complete", "40.00 %", "2"]
    assert rows[2] == ["0", "complete", "20.00 %", "1", "0.3", "64"]
    assert rows[3][:4] == ["1", "failed", "", "1"]


def test_the_picture_has_a_bar_for_each_value_that_was_varied(trainings: Trainings, tmp_path: Path) -> None:
    heights = []
    for name, varied in {"two": VARIED, "three": (*VARIED, "mixup=0..0.4")}.items():
        what = task(tmp_path / name, *varied)
        trainings.results = [[0.1, 0.2], [0.3, 0.4], [0.4, 0.5]]
        write_results(search(what, 3), what.space, what.out)
        picture: Any = cv2.imread(str(what.out / "importance.png"), cv2.IMREAD_GRAYSCALE)
        heights.append(picture.shape[0] / picture.shape[1])
        longest = (picture < 200).mean(axis=1).max()
        assert 0.5 < longest < 0.95, "the longest bar takes most of the width, and its number has room"
    assert heights == pytest.approx([2.0 / 6.4, 2.4 / 6.4], abs=0.01)


# The command


def test_the_command_searches_and_writes_its_results(
    trainings: Trainings, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings.results = [[0.1, 0.2], [0.3, 0.4], [0.3, 0.4]]
    out = tmp_path / "search"
    options = ["--data", tiny_data, "--out", out, "--recipe", "adam-50", "--trials", 2, "--vary", "batch_size=32..64"]
    options += ["--set", "epochs=3", "--set", "labels=ferplus7", "--set", "also={ferplus8=0.5}"]
    options += ["--set", "votes=plurality", "--precision", "float32"]
    asked: list[object] = []

    def load(*given: object) -> object:
        asked.append(given[2])
        return load_fold(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("fer_train.data.holdout.load_fold", load)
    done = CliRunner().invoke(app, ["tune", *map(str, options)])
    assert done.exit_code == 0, done.output
    assert asked == ["plurality"]
    first, second = trainings.jobs
    assert (first.recipe.epochs, first.recipe.batch_size, first.precision) == (3, 64, "float32")
    assert first.recipe.batch_size != second.recipe.batch_size
    assert [part.scheme for part in first.train] == ["ferplus7", "ferplus8"]
    assert [(part.split, len(part)) for part in (*first.train, *first.held_out)] == [
        ("train", 252), ("train", 252), ("held-out", 28), ("held-out", 28),
    ]  # fmt: skip
    assert "complete" in done.stdout
    written = [out / name for name in ("trials.csv", "best.toml", "importance.png")]
    assert done.stdout.splitlines()[-3:] == [f"{path}: written" for path in written]


def test_the_command_shows_what_there_is_when_it_is_interrupted(
    trainings: Trainings, tiny_data: Path, tmp_path: Path
) -> None:
    """Without options it varies the default recipe, by more trials than two."""
    trainings.results = [[0.1, 0.2], KeyboardInterrupt()]
    out = tmp_path / "search"
    done = CliRunner().invoke(app, ["tune", "--data", str(tiny_data), "--out", str(out)])
    assert done.exit_code == 130
    assert trainings.jobs[0].recipe == load_recipe("edge")
    assert "20.00 %" in done.stdout
    assert [row["error"] for row in csv.DictReader((out / "trials.csv").open())] == ["", "interrupted"]
