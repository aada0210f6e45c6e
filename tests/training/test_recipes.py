"""Where the values of a recipe come from."""

from pathlib import Path

import pytest

from fer_edge.errors import ConfigError
from fer_train.recipes import load_recipe, shipped_recipes


def test_an_option_comes_before_an_override_and_that_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 7\nseed = 7\nbatch_size = 7\n[augmentation]\nshift = 0.07\nerase = 0.07\n")
    overrides = ("epochs=8", "seed=8", "augmentation.erase=0.08")
    recipe = load_recipe(str(path), overrides, epochs=9, batch_size=None)
    assert (recipe.epochs, recipe.seed, recipe.batch_size) == (9, 8, 7)
    assert (recipe.augmentation.erase, recipe.augmentation.shift) == (0.08, 0.07)


def test_an_option_of_zero_is_one_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 7\nema = 0.9\nhold_out = true\n")
    recipe = load_recipe(str(path), seed=0, ema=0.0, hold_out=False)
    assert (recipe.seed, recipe.ema, recipe.hold_out) == (0, 0, False)


def test_a_shipped_recipe_is_meant_whatever_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photographs").write_text("epochs = 1234\n")
    assert "photographs" in shipped_recipes()
    assert load_recipe("photographs").epochs != 1234
    assert load_recipe("./photographs").epochs == 1234


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("epoch = 3", "epoch"),
        ('labels = "ferplus7"\nalso = { ferplus7 = 0.5 }', "ferplus7 is the value of labels already"),
        ('labels = "ferplus7"\nalso = { fer2013 = 0.0 }', "weights must be greater than 0"),
        ("learning_rate = nan", "learning_rate"),
    ],
)
def test_what_no_recipe_says_is_refused_by_its_key(tmp_path: Path, text: str, telling: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=telling) as caught:
        load_recipe(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
