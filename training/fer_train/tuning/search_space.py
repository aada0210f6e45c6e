"""The search space: values of a recipe, within bounds or from a list."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge.errors import ConfigError, MissingExtra
from fer_train.recipes import Recipe, load_recipe

try:
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
except ImportError as error:
    raise MissingExtra("optuna", "train") from error

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """A recipe and the values to search.

    Attributes:
        name_or_file: the recipe, as for `load_recipe`.
        overrides: fixed changes of the recipe, as for `load_recipe`.
        distributions: the values to search, by key.
    """

    name_or_file: str
    overrides: tuple[str, ...]
    distributions: dict[str, BaseDistribution]

    def recipe(self, values: Mapping[str, Value]) -> Recipe:
        """The recipe with these values. Raises ConfigError if they are not valid."""
        chosen = (f"{key}={json.dumps(value)}" for key, value in values.items())
        return load_recipe(self.name_or_file, (*self.overrides, *chosen))

    @property
    def start(self) -> dict[str, Value]:
        """The recipe's own values, as far as they are inside the search space."""
        recipe = self.recipe({})
        return {
            key: value
            for key, distribution in self.distributions.items()
            if (value := _own(recipe, key)) is not None and _holds(distribution, value)
        }


def parse_space(name_or_file: str, overrides: Sequence[str], varied: Sequence[str]) -> SearchSpace:
    """Parse a search space.

    Args:
        name_or_file: the recipe to start from, as for `load_recipe`.
        overrides: `key=value`, as for `load_recipe`.
        varied: `key=low..high`, `key=low..high:log` for a logarithmic scale, or `key=a,b,c`. If empty, the values that
            matter most often are searched, around those of the recipe.

    Raises:
        ConfigError: a text is malformed, or a value is not valid in the recipe.
    """
    recipe = load_recipe(name_or_file, overrides)
    distributions: dict[str, BaseDistribution] = {}
    for text in varied:
        key, distribution = _parse(text, recipe)
        if key in distributions:
            raise ConfigError(f"--vary {text}: {key} is varied twice")
        _check(SearchSpace(name_or_file, tuple(overrides), {key: distribution}), recipe, text)
        distributions[key] = distribution
    return SearchSpace(name_or_file, tuple(overrides), distributions or _usual(recipe))


def _usual(recipe: Recipe) -> dict[str, BaseDistribution]:
    rate, decay = recipe.learning_rate, recipe.weight_decay or 1e-4
    return {
        "learning_rate": FloatDistribution(rate / 10, rate * 3, log=True),
        "weight_decay": FloatDistribution(decay / 10, decay * 10, log=True),
        "dropout": FloatDistribution(0.0, 0.5),
        "label_smoothing": FloatDistribution(0.0, 0.2),
        "mixup": FloatDistribution(0.0, 0.4),
    }


def _parse(text: str, recipe: Recipe) -> tuple[str, BaseDistribution]:
    key, _, values = (part.strip() for part in text.partition("="))
    if key and ".." in values:
        return key, _range(text, values, _own(recipe, key))
    choices = [_scalar(text, choice) for choice in values.split(",")] if "," in values else []
    if not key or len(set(choices)) < 2:
        raise ConfigError(f"--vary {text}: expected key=low..high, key=low..high:log or key=a,b,c")
    return key, CategoricalDistribution(choices)


def _range(text: str, values: str, own: object) -> BaseDistribution:
    bounds, _, scale = values.partition(":")
    low, high = (_scalar(text, bound) for bound in bounds.split("..", 1))
    if scale not in {"", "log"}:
        raise ConfigError(f"--vary {text}: '{scale}' is unknown. Only :log may follow the bounds")
    if isinstance(low, bool | str) or isinstance(high, bool | str) or not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"--vary {text}: the bounds must be numbers")
    if low >= high:
        raise ConfigError(f"--vary {text}: the first bound must be the smaller")
    log = scale == "log"
    if log and low <= 0:
        raise ConfigError(f"--vary {text}: with :log the bounds must be greater than 0")
    whole = isinstance(low, int) and isinstance(high, int)
    if isinstance(own, int) and not whole:
        raise ConfigError(f"--vary {text}: the bounds must be whole numbers")
    if whole and not isinstance(own, float):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _scalar(text: str, value: str) -> Value:
    """A value as in TOML; a bare word is a string."""
    try:
        found = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        found = value.strip()
    if not isinstance(found, Value) or found == "":
        raise ConfigError(f"--vary {text}: '{value}' is neither a number nor a word")
    return found


def _check(space: SearchSpace, recipe: Recipe, text: str) -> None:
    """Raise ConfigError unless both bounds of the range, or all choices, are valid in the recipe."""
    ((key, distribution),) = space.distributions.items()
    values: list[Any]
    if isinstance(distribution, CategoricalDistribution):
        values = list(distribution.choices)
    else:
        values = [distribution.low, distribution.high]  # type: ignore[attr-defined]
    for value in values:
        try:
            schemes = space.recipe({key: value}).schemes
        except ConfigError as error:
            raise ConfigError(f"--vary {text}: {str(error).removeprefix('--set ')}") from error
        if schemes != recipe.schemes:
            raise ConfigError(f"--vary {text}: results on other labels cannot be compared. Choose them with --set")


def _own(recipe: Recipe, key: str) -> Value | None:
    """The recipe's value; None if it has no such key or the value is not a scalar."""
    found: Any = recipe.model_dump()
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, Value) else None


def _holds(distribution: BaseDistribution, value: Value) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return distribution.low <= value <= distribution.high  # type: ignore[attr-defined, no-any-return]
