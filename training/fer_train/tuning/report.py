"""Report a hyperparameter search: a table of trials, the importance of each value, the best recipe."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import optuna
import tomli_w
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from fer_edge.terminal import output_console
from fer_train.evaluation.plots import BLUE, as_png
from fer_train.files import write_whole
from fer_train.tuning.search import FINISHED, epochs_done, shown
from fer_train.tuning.search_space import SearchSpace

# The order is that of the table.
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def print_trials(study: optuna.Study) -> None:
    """Print all trials, the best first; pruned trials are ranked by their last accuracy."""
    keys = _keys(study)
    table = Table("trial", "state", "accuracy", "epochs", *keys)
    for trial in _ranked(study):
        values = (shown(trial.params.get(key, "")) for key in keys)
        table.add_row(str(trial.number), _STATES[trial.state], _percent(trial), str(epochs_done(trial)), *values)
    output_console().print(table)


def write_results(study: optuna.Study, space: SearchSpace, out: Path) -> list[Path]:
    """Write `trials.csv`. One complete trial also gives `best.toml`; two give `importance.png`.

    Returns:
        The paths of the written files.

    Raises:
        ConfigError: a file cannot be written.
    """
    contents = {"trials.csv": _csv(study)}
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if complete:
        contents["best.toml"] = _best(study, space)
    if len(complete) > 1:
        contents["importance.png"] = _importance(study)
    for name, content in contents.items():
        write_whole(out / name, content)
    return [out / name for name in contents]


def _ranked(study: optuna.Study) -> list[FrozenTrial]:
    order = list(_STATES)
    ended = study.get_trials(states=tuple(order))
    return sorted(ended, key=lambda trial: (order.index(trial.state), -(trial.value or 0)))


def _keys(study: optuna.Study) -> list[str]:
    return list(dict.fromkeys(key for trial in study.trials for key in trial.params))


def _percent(trial: FrozenTrial) -> str:
    return "" if trial.value is None else f"{100 * trial.value:.2f} %"


def _csv(study: optuna.Study) -> bytes:
    keys = _keys(study)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("trial", "state", "accuracy", "epochs", "seconds", *keys, "error"))
    for trial in _ranked(study):
        seconds = "" if trial.duration is None else f"{trial.duration.total_seconds():.0f}"
        values = (trial.params.get(key, "") for key in keys)
        error = trial.user_attrs.get("error", "killed" if trial.state not in FINISHED else "")
        value = "" if trial.value is None else trial.value
        writer.writerow((trial.number, _STATES[trial.state], value, epochs_done(trial), seconds, *values, error))
    return text.getvalue().encode()


def _best(study: optuna.Study, space: SearchSpace) -> bytes:
    best = study.best_trial
    recipe = space.recipe(best.params).model_dump(mode="json", exclude_none=True)
    comment = (
        f"# The best of {len(study.get_trials(states=FINISHED))} trials: accuracy {_percent(best)} on held-out faces."
    )
    return f"{comment}\n{tomli_w.dumps(recipe)}".encode()


def _importance(study: optuna.Study) -> bytes:
    """Bar plot of hyperparameter importance (PED-ANOVA, Watanabe et al., arXiv:2304.10255)."""
    shares = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    figure = Figure(figsize=(6.4, 1.2 + 0.4 * len(shares)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(shares), [100 * share for share in shares.values()], color=BLUE)
    axes.bar_label(bars, fmt="%.0f %%", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("importance, %")
    return as_png(figure)
