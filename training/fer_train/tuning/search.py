"""Hyperparameter search with Optuna: many trainings, of which poor ones are pruned early."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from fer_edge.errors import ConfigError, FerError
from fer_edge.terminal import console, tell
from fer_train.data.datasets import LabelledFaces
from fer_train.files import make_folder, require_new_folder
from fer_train.recipes import Recipe
from fer_train.training.precision import Precision
from fer_train.tuning.search_space import SearchSpace
from fer_train.tuning.trial import Job, train_apart

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

_STUDY_FILE = "study.db"
_SETTINGS = "settings"
# The search stops after this many failed trials in a row.
_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Task:
    """The inputs of every trial.

    Attributes:
        space: the recipe and its search space.
        train: the training faces, once per label set of the recipe.
        held_out: the faces to measure on, once per label set.
        precision: Keras' policy.
        out: the folder of the search.
    """

    space: SearchSpace
    train: list[LabelledFaces]
    held_out: list[LabelledFaces]
    precision: Precision
    out: Path


@contextmanager
def open_study(task: Task) -> Iterator[optuna.Study]:
    """Start a search in a new folder, or continue the search in an existing one. Other processes are locked out.

    Trials that a killed process left unfinished count as failed.

    Raises:
        ConfigError: the folder holds something else or a search with other settings, or another process uses it.
    """
    path = task.out / _STUDY_FILE
    if not path.is_file():
        require_new_folder(task.out)
    make_folder(task.out)
    with _alone(task.out):
        study = _load(path, task.space.recipe({}))
        _compare(study, task)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
            _remove_weights(_folder(task.out, trial.number))
        yield study


def run_trials(study: optuna.Study, task: Task, trials: int) -> None:
    """Run trials until `trials` are finished, including pruned ones. The recipe's own values are the first trial.

    Raises:
        FerError: several trials failed in a row.
    """
    start = task.space.start
    if start and not study.get_trials(states=(*FINISHED, TrialState.WAITING)):
        study.enqueue_trial(start)
    failures = 0
    while len(study.get_trials(states=FINISHED)) < trials:
        number = _run_trial(study, task)
        trial = study.trials[number]
        tell(_describe(trial))
        failures = failures + 1 if trial.state == TrialState.FAIL else 0
        if failures == _FAILURES:
            raise FerError(f"{task.out}: gave up after {failures} failures in a row. Fix the cause, then run it again")


def epochs_done(trial: FrozenTrial) -> int:
    """The number of epochs that a trial was trained for."""
    return len(trial.intermediate_values)


def _run_trial(study: optuna.Study, task: Task) -> int:
    """Train once and store the result in the study; return the number of the trial."""
    trial = study.ask(task.space.distributions)
    folder = _folder(task.out, trial.number)
    try:
        study.tell(trial, _train(trial, task, folder))
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except (FerError, KeyboardInterrupt) as error:
        trial.set_user_attr("error", str(error) or "interrupted")
        study.tell(trial, state=TrialState.FAIL)
        if isinstance(error, KeyboardInterrupt):
            tell(f"trial {trial.number}: interrupted. Repeat the command to continue the search")
            raise
    finally:
        _remove_weights(folder)
    return trial.number


def _train(trial: optuna.Trial, task: Task, folder: Path) -> float:
    """Return the accuracy on the held-out faces, 0..1. Raises TrialPruned if it is below the median of the others."""
    job = Job(task.space.recipe(trial.params), task.train, task.held_out, task.precision, folder)
    with closing(train_apart(job)) as reports, console().status(f"trial {trial.number}") as status:
        for epoch, report in enumerate(reports):
            if report.last:
                return report.accuracy
            status.update(
                f"trial {trial.number}: {100 * report.accuracy:.2f} % after epoch {epoch + 1}/{job.recipe.epochs}"
            )
            trial.report(report.accuracy, epoch)
            if trial.should_prune():
                break
    raise optuna.TrialPruned


def _load(path: Path, recipe: Recipe) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(
            storage=URL.create("sqlite", database=str(path)).render_as_string(),
            study_name="tune",
            direction="maximize",
            load_if_exists=True,
            # Averaged weights lag behind at first, so the first third of the epochs prunes nothing.
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=recipe.epochs // 3),
        )
        # With the same seed after a restart, a sampler would repeat the values of its first trials.
        study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(study.trials))
    except SQLAlchemyError as error:
        raise ConfigError(f"{path}: cannot be used ({str(error).splitlines()[0]}). Choose another folder") from error
    return study


def _compare(study: optuna.Study, task: Task) -> None:
    """Store the settings in a new study; raise ConfigError if an existing study has other settings."""
    settings = {
        "recipe": task.space.recipe({}).model_dump(mode="json"),
        "search space": {key: distribution_to_json(value) for key, value in task.space.distributions.items()},
        "precision": task.precision,
        "data": [part.fingerprint for part in (*task.train, *task.held_out)],
    }
    started = study.user_attrs.get(_SETTINGS)
    if started is None:
        study.set_user_attr(_SETTINGS, settings)
        return
    for part, value in settings.items():
        if started.get(part) != value:
            raise ConfigError(f"{task.out}: was started with another {part}. Use the same, or choose another folder")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder; the system releases it when the process ends in any way."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{folder}: another search is running in it. Wait for it, or choose another") from None
        yield
    finally:
        os.close(handle)


def _folder(out: Path, number: int) -> Path:
    return out / f"trial-{number:03d}"


def _remove_weights(folder: Path) -> None:
    """Remove the weights of a training; keep its history and its record."""
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix == ".keras":
            path.unlink()


def _describe(trial: FrozenTrial) -> str:
    values = ", ".join(f"{key} {shown(value)}" for key, value in trial.params.items())
    if trial.state == TrialState.FAIL:
        return f"trial {trial.number}: failed ({trial.user_attrs['error']}); {values}"
    pruned = "pruned at " if trial.state == TrialState.PRUNED else ""
    accuracy = f"{100 * (trial.value or 0):.2f} %"
    return f"trial {trial.number}: {pruned}{accuracy} after epoch {epochs_done(trial)}; {values}"


def shown(value: object) -> str:
    """Format a value of a recipe, with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
