"""What a search varies, where it begins, and what it reports."""

import csv
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from tests.screen import rows_of

from fer_edge.errors import ConfigError
from fer_train.recipes import load_recipe
from fer_train.tuning.report import print_trials, write_results
from fer_train.tuning.search_space import SearchSpace, parse_space

VARIED = ("learning_rate=1e-4..1e-2:log", "batch_size=32..64", "optimizer=sgd,adam", "augmentation.erase=0..0.5")


def space(*varied: str, overrides: tuple[str, ...] = ("epochs=3",)) -> SearchSpace:
    return parse_space("adam-50", overrides, varied)


def test_values_are_searched_within_their_bounds() -> None:
    assert space(*VARIED).distributions == {
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "batch_size": IntDistribution(32, 64),
        "optimizer": CategoricalDistribution(["sgd", "adam"]),
        "augmentation.erase": FloatDistribution(0, 0.5),
    }
    assert space("ema=0..1e-1").distributions == {"ema": FloatDistribution(0, 0.1)}
    assert space("warmup_epochs=1..3").distributions == {"warmup_epochs": FloatDistribution(1, 3)}, (
        "it is a real number"
    )


def test_without_a_choice_the_usual_values_are_searched_around_those_of_the_recipe() -> None:
    found = space(overrides=("learning_rate=0.02", "weight_decay=0.001")).distributions
    assert found["learning_rate"] == FloatDistribution(0.002, 0.06, log=True)
    assert found["weight_decay"] == FloatDistribution(0.0001, 0.01, log=True)
    assert list(found) == ["learning_rate", "weight_decay", "dropout", "label_smoothing", "mixup"]


def test_a_search_begins_with_the_values_of_the_recipe_that_it_may_choose() -> None:
    own = load_recipe("adam-50")
    found = space(*VARIED, overrides=("batch_size=128", "augmentation.erase=0.3"))
    assert found.start == {"learning_rate": own.learning_rate, "optimizer": own.optimizer, "augmentation.erase": 0.3}


def test_a_recipe_has_the_values_of_a_trial_and_the_fixed_ones() -> None:
    values: dict[str, Any] = {"learning_rate": 0.005, "batch_size": 48, "optimizer": "sgd", "augmentation.erase": 0.1}
    found = space(*VARIED).recipe(values)
    assert (found.epochs, found.learning_rate, found.batch_size) == (3, 0.005, 48)
    assert (found.optimizer, found.augmentation.erase) == ("sgd", 0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate", "expected key=low..high, key=low..high:log or key=a,b,c"),
        ("=1..2", "expected key=low..high, key=low..high:log or key=a,b,c"),
        ("optimizer=sgd", "expected key=low..high, key=low..high:log or key=a,b,c"),
        ("optimizer=sgd,sgd", "expected key=low..high, key=low..high:log or key=a,b,c"),
        ("learning_rate=0.1..0.2:lin", "'lin' is unknown. Only :log may follow the bounds"),
        ("learning_rate=a..0.2", "the bounds must be numbers"),
        ("learning_rate=0.1..true", "the bounds must be numbers"),
        ("learning_rate=0.1..inf", "the bounds must be numbers"),
        ("learning_rate=nan..1", "the bounds must be numbers"),
        ("learning_rate=0.2..0.1", "the first bound must be the smaller"),
        ("learning_rate=0.2..0.2", "the first bound must be the smaller"),
        ("learning_rate=0..0.2:log", "with :log the bounds must be greater than 0"),
        ("batch_size=32..64.5", "the bounds must be whole numbers"),
        ("batch_size=31.5..64", "the bounds must be whole numbers"),
        ("optimizer=sgd,", "'' is neither a number nor a word"),
        ("optimizer=sgd,[1]", "'[1]' is neither a number nor a word"),
        ("labels=ferplus7,ferplus8", "results on other labels cannot be compared. Choose them with --set"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space(text)
    assert str(caught.value) == f"--vary {text}: {message}"


def test_a_key_is_varied_once() -> None:
    with pytest.raises(ConfigError) as caught:
        space("batch_size=32..64", "batch_size=16..32")
    assert str(caught.value) == "--vary batch_size=16..32: batch_size is varied twice"


def test_both_bounds_and_every_choice_must_be_valid_in_the_recipe() -> None:
    for text in ("augmentation.erase=-1..0.5", "augmentation.erase=0..7", "optimizer=sgd,nonsense"):
        with pytest.raises(ConfigError) as caught:
            space(text)
        assert str(caught.value).startswith(f"--vary {text}: ")
        assert "--set" not in str(caught.value)


def test_spaces_around_the_parts_of_a_range_do_not_matter() -> None:
    assert space(" batch_size = 32 .. 64 ").distributions == {"batch_size": IntDistribution(32, 64)}
    assert space("batch_size=32..64:log").distributions == {"batch_size": IntDistribution(32, 64, log=True)}
    assert space("batch_size=32, 64").distributions == {"batch_size": CategoricalDistribution([32, 64])}


def test_the_usual_values_have_their_bounds_and_a_decay_of_zero_is_searched_too() -> None:
    found = space(overrides=("weight_decay=0",)).distributions
    assert found["weight_decay"] == FloatDistribution(1e-5, 1e-3, log=True)
    assert found["dropout"] == FloatDistribution(0, 0.5)
    assert found["label_smoothing"] == FloatDistribution(0, 0.2)
    assert found["mixup"] == FloatDistribution(0, 0.4)


def test_a_search_begins_with_a_value_at_the_very_bound() -> None:
    found = space("batch_size=32..64", overrides=("batch_size=64",))
    assert found.start == {"batch_size": 64}
    assert space("batch_size=64..128", overrides=("batch_size=64",)).start == {"batch_size": 64}


def ended(state: TrialState, value: float | None, batch_size: int, epochs: int, error: str = "") -> Any:
    trial = create_trial(
        state=state,
        value=value,
        params={"batch_size": batch_size},
        distributions={"batch_size": IntDistribution(32, 64)},
        intermediate_values=dict.fromkeys(range(epochs), 0.1),
        user_attrs={"error": error} if error else {},
    )
    trial.datetime_start = datetime(2026, 1, 1)
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=90)
    return trial


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    study.add_trials([
        ended(TrialState.COMPLETE, 0.6, 32, 3),
        ended(TrialState.FAIL, None, 40, 0, "no memory"),
        ended(TrialState.COMPLETE, 0.7, 48, 3),
        ended(TrialState.PRUNED, 0.9, 64, 1),
        ended(TrialState.FAIL, None, 56, 2),
    ])  # fmt: skip
    return study


def test_the_best_trial_comes_first_and_gives_the_recipe(
    study: optuna.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trial that was ended early is none, however good it was."""
    written = write_results(study, space("batch_size=32..64"), tmp_path)
    assert {path.name for path in written} == {"trials.csv", "best.toml", "importance.png"}
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [(row["trial"], row["state"], row["accuracy"], row["epochs"], row["batch_size"]) for row in rows] == [
        ("2", "complete", "0.7", "3", "48"),
        ("0", "complete", "0.6", "3", "32"),
        ("3", "pruned", "0.9", "1", "64"),
        ("1", "failed", "", "0", "40"),
        ("4", "failed", "", "2", "56"),
    ]
    assert [row["error"] for row in rows] == ["", "", "", "no memory", "killed"]
    assert {row["seconds"] for row in rows} == {"90"}
    text = (tmp_path / "best.toml").read_text()
    assert text.startswith("# The best of 3 trials: accuracy 70.00 % on held-out faces.\n")
    recipe = tomllib.loads(text)
    assert (recipe["batch_size"], recipe["epochs"]) == (48, 3)
    print_trials(study)
    shown = [line.split("│")[1:5] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [cell.strip() for cell in shown[0]] == ["2", "complete", "70.00 %", "3"]


def test_without_a_complete_trial_there_is_no_best_recipe(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trial(ended(TrialState.PRUNED, 0.9, 64, 1))
    assert [path.name for path in write_results(study, space("batch_size=32..64"), tmp_path)] == ["trials.csv"]


def test_a_trial_of_other_values_has_an_empty_cell(study: optuna.Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.add_trial(create_trial(value=0.9, params={"ema": 0.5}, distributions={"ema": FloatDistribution(0, 1)}))
    print_trials(study)
    _, *cells = rows_of(capsys.readouterr().out)
    assert cells[0] == ["5", "complete", "90.00 %", "0", "", "0.5"]
    assert cells[1] == ["2", "complete", "70.00 %", "3", "48", ""]
