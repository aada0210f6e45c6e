"""Recipes: all settings of a training, as small TOML files with overrides."""

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

# The first is the place in an installed package, the second that in a checkout.
_FOLDERS = (Path(__file__).parent / "recipes", Path(__file__).parents[1] / "recipes")


class Recipe(BaseModel):
    """All settings of a training."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    architecture: str = "edge"
    labels: Scheme = "fer2013"
    also: dict[Scheme, float] = Field(default_factory=dict)
    """Auxiliary label sets and their weights in the loss. Each has its own head on the same trunk. `labels` has weight
    1."""

    votes: Votes = "soft"
    """How FER+'s votes become targets: `soft` probabilities, or one label per face and fewer faces. See
    `datasets.ferplus.targets`."""

    hold_out: bool = False
    """Train on nine tenths of the training faces, and validate on the last tenth instead of the validation split. Near
    duplicates stay in one part. Use it to choose between recipes. The bundle's temperature is chosen on the same
    tenth."""

    epochs: int = Field(60, ge=1)
    batch_size: int = Field(128, ge=1)

    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """Nesterov momentum of SGD."""
    weight_decay: float = Field(5e-3, ge=0)
    """Decoupled weight decay, multiplied by the learning rate. Batch norms and biases have none."""

    clip_norm: float = Field(0.0, ge=0)
    """Largest norm of the gradient over all weights; larger gradients are scaled down to it. 0 turns clipping off."""

    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """`cosine` is half a cosine down to zero (Loshchilov & Hutter, arXiv:1608.03983); `plateau` multiplies the rate by
    `plateau_factor` whenever the validation loss has not fallen for `plateau_patience` epochs."""
    warmup_epochs: float = Field(2.0, ge=0)
    """Epochs of linear warm-up before the cosine."""
    plateau_factor: float = Field(0.2, gt=0, lt=1)
    plateau_patience: int = Field(3, ge=0)
    stop_patience: int | None = Field(None, ge=1)
    """Stop after this many epochs without a lower validation loss; None never stops early."""
    keep: Literal["last", "best"] = "last"
    """Which epoch's weights become the model: the last, or the best by validation accuracy."""

    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the exponential moving average (EMA) of the weights, which becomes the model; 0 turns it off. It is
    lowered so that the average covers at most a fifth of the training."""
    stay_close: float = Field(0.0, ge=0)
    """With --init: how strongly each weight is pulled back to where it started, as weight decay pulls to zero (L2-SP,
    Li et al., arXiv:1802.01483); 0 turns it off."""
    start_share: float = Field(0.0, ge=0, lt=1)
    """With --init: share of the starting weights in the mean that is saved (Wortsman et al., arXiv:2109.01903)."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Dropout rate before the last layers; None uses the architecture's own."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Fraction of a one-hot label that is spread over all classes (Szegedy et al., arXiv:1512.00567). FER+ targets are
    not smoothed."""
    mixup: float = Field(0.0, ge=0)
    """Parameter of the Beta distribution for mixup (Zhang et al., arXiv:1710.09412); 0 turns mixup off."""
    mixup_share: float = Field(0.5, ge=0, le=1)
    """Fraction of the batches with mixup."""
    soft_end: float = Field(0.0, ge=0, lt=1)
    """Fraction of the epochs, at the end, without mixup, erased patches, coarse images, noise and JPEG, so that the
    training ends on faces like those that the model will see."""
    imbalance: Literal["none", "class_weights", "balanced_sampling", "logit_adjustment"] = "none"
    """How to handle rare classes: `class_weights` in the loss; `balanced_sampling`, equally many faces of each class;
    or `logit_adjustment`, the logarithm of the class frequency added to the logits while training (Menon et al.,
    arXiv:2007.07314)."""
    needs_teachers: bool = False
    """Refuse to train without --teacher: the other values are chosen for a training with teachers."""
    soft_share: float = Field(0.7, ge=0, le=1)
    """When distilling: weight of the loss against the teachers; the loss against the labels has the rest."""
    temperature: float = Field(2.0, gt=0)
    """When distilling: temperature of teachers and student in the loss (Hinton et al., arXiv:1503.02531)."""
    teaching: Literal["fixed", "consistent"] = "fixed"
    """When distilling: `fixed` runs the teachers once on each face and its mirror image. `consistent` runs them on
    every batch, augmented and mixed as for the student (Beyer et al., arXiv:2106.05237)."""
    views: int = Field(0, ge=0)
    """Number of epochs after which augmentation and mixing repeat. With `consistent` teaching the teachers' outputs are
    then cached. 0 never repeats."""
    augmentation: Augmentation = Augmentation()
    seed: int = Field(0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.labels in self.also:
            raise ValueError(f"also: {self.labels} is the value of labels already. Remove it, as in --set also={{}}")
        if any(weight <= 0 for weight in self.also.values()):
            raise ValueError("also: weights must be greater than 0")
        return self

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """The label schemes, the main one first."""
        return (self.labels, *self.also)


def shipped_recipes() -> dict[str, Path]:
    """The recipes of the package, by name."""
    return {path.stem: path for folder in _FOLDERS for path in sorted(folder.glob("*.toml"))}


def load_recipe(name_or_file: str, overrides: Sequence[str] = (), **options: object) -> Recipe:
    """Read a recipe.

    Args:
        name_or_file: name of a shipped recipe, or path of a TOML file.
        overrides: `key=value`, the value as in TOML (a bare word is a string). `augmentation.erase=0.5` changes a key
            of a table.
        options: values by key; None is ignored. They come before overrides and the file.

    Raises:
        ConfigError: the recipe is not valid. The message names the file, the key and the fault.
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
    """Set one value of a recipe; return its dotted key."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: expected key=value, as in --set epochs=30")
    *tables, last = key.strip().split(".")
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {table} is not a table")
        values = inner
    try:
        values[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = text.strip()
    return key.strip()
