"""Recipes: all that decides how a model is trained, as small TOML files with overrides."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_edge.errors import ConfigError, choose, reason
from fer_edge.validation import first_problem
from fer_train.data.augmentation import Augmentation
from fer_train.data.datasets import Scheme, Votes

DEFAULT_RECIPE = "edge"

# In an installed package; in a checkout.
_FOLDERS = (Path(__file__).parent / "recipes", Path(__file__).parents[1] / "recipes")


class Recipe(BaseModel):
    """All that decides how a model is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    architecture: str = "edge"
    labels: Scheme = "fer2013"
    also: dict[Scheme, float] = Field(default_factory=dict)
    """Further labels of the same faces that the trunk learns at once, each by a head of its own, and their weights in
    the loss; that of `labels` weighs 1."""

    votes: Votes = "soft"
    """What FER+'s votes become: shares, or one label and fewer faces; `datasets.ferplus.targets` says how."""

    hold_out: bool = False
    """Learn from nine tenths of the training faces, and watch the last tenth instead of the validation split, near
    duplicates together: for every choice between recipes. The temperature of its bundle comes from there, too."""

    epochs: int = Field(60, ge=1)
    batch_size: int = Field(128, ge=1)

    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """Nesterov's, of SGD."""
    weight_decay: float = Field(5e-3, ge=0)
    """Decoupled from the gradient, times the learning rate; not on batch norms and biases."""

    clip_norm: float = Field(0.0, ge=0)
    """Gradients whose norm, over all weights, is larger are scaled down to it; 0 turns that off."""

    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """`cosine` is half a cosine down to zero (Loshchilov & Hutter, arXiv:1608.03983); `plateau` multiplies the rate by
    `plateau_factor` whenever the validation loss has not fallen for `plateau_patience` epochs."""
    warmup_epochs: float = Field(2.0, ge=0)
    """Epochs of linear warm-up before the cosine."""
    plateau_factor: float = Field(0.2, gt=0, lt=1)
    plateau_patience: int = Field(3, ge=0)
    stop_patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a lower validation loss; None goes on to the last epoch."""
    keep: Literal["last", "best"] = "last"
    """Which epoch's weights become the model; the best is that of the highest validation accuracy."""

    ema: float = Field(0.999, ge=0, lt=1)
    """Each step keeps this much of the running mean of the weights, which is what is saved; 0 turns it off. The mean
    never reaches back over more than a fifth of the training."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Share of features left out before the last layers; None takes the architecture's own."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of a one-hot label that goes to all classes (Szegedy et al., arXiv:1512.00567). Votes stay as they are."""
    mixup: float = Field(0.0, ge=0)
    """Parameter of the Beta distribution by which pairs of faces are mixed (Zhang et al., arXiv:1710.09412); 0: not."""
    mixup_share: float = Field(0.5, ge=0, le=1)
    """Share of the batches that are mixed."""
    soft_end: float = Field(0.0, ge=0, lt=1)
    """Share of the epochs, the last ones, without mixup, erased patches, coarse pictures, noise and JPEG: what is left
    is what the model will see."""
    imbalance: Literal["none", "class_weights", "balanced_sampling", "logit_adjustment"] = "none"
    """Against rare classes: weights in the loss, as many faces of each class, or the logarithm of the class' share
    added to the logits while training (Menon et al., arXiv:2007.07314)."""
    soft_share: float = Field(0.7, ge=0, le=1)
    """When distilling: how much of the loss is the distance to the teachers, the rest that to the labels."""
    temperature: float = Field(2.0, gt=0)
    """When distilling: softens both sides before they are compared (Hinton et al., arXiv:1503.02531)."""
    teaching: Literal["fixed", "consistent"] = "fixed"
    """When distilling: `fixed` asks the teachers once about each face and its mirror image, `consistent` about every
    batch, augmented and mixed as the student sees it (Beyer et al., arXiv:2106.05237)."""
    augmentation: Augmentation = Augmentation()
    seed: int = Field(0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.labels in self.also:
            raise ValueError(f"also: {self.labels} stands under labels already. Leave it out, as in --set also={{}}")
        if any(weight <= 0 for weight in self.also.values()):
            raise ValueError("also: weights must be greater than 0")
        return self

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """The label schemes, the main one first."""
        return (self.labels, *self.also)


def shipped_recipes() -> dict[str, Path]:
    """The recipes that came with the package, by name."""
    return {path.stem: path for folder in _FOLDERS for path in sorted(folder.glob("*.toml"))}


def load_recipe(name_or_file: str, overrides: Sequence[str] = (), **options: object) -> Recipe:
    """Read a recipe.

    Args:
        name_or_file: one of the shipped ones, or a TOML file.
        overrides: `key=value`, the value as in TOML (a bare word is a string); `augmentation.erase=0.5` reaches into
            a table.
        options: values by key, those that are None left out; they win.

    Raises:
        ConfigError: names the file, the key and what is wrong with it.
    """
    path = shipped_recipes().get(name_or_file, Path(name_or_file))
    values = _read(path)
    given = {key: value for key, value in options.items() if value is not None}
    origins = {key: f"--{key.replace('_', '-')}" for key in given}
    for override in overrides:
        origins[_override(values, override)] = f"--set {override}"
    try:
        return Recipe.model_validate(values | given)
    except ValidationError as error:
        field, problem = first_problem(error, Recipe)
        where = origins.get(field, str(path) if field == "(file)" else f"{path}: {field}")
        raise ConfigError(f"{where}: {problem}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        fix = choose(str(path), shipped_recipes())
        raise ConfigError(f"recipe '{path}' is neither a file nor a shipped recipe. {fix}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({reason(error)})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML ({error})") from error


def _override(values: dict[str, Any], override: str) -> str:
    """Put a value into its place; return its dotted key."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: expected key=value, as in --set epochs=30")
    *tables, last = key.strip().split(".")
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {table} is no table")
        values = inner
    try:
        values[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = text.strip()
    return key.strip()
