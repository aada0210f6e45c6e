"""What is read beside a model: which training, which labels, which recipe several trainings have in common."""

import json
from pathlib import Path
from typing import Any

import pytest

from fer_edge.errors import ConfigError, DataError, ModelError
from fer_edge.model.bundle import find_bundle
from fer_train.recipes import Recipe
from fer_train.runs.records import (
    common_recipe,
    find_keras_file,
    find_scheme,
    holds_out,
    model_in,
    trained_model,
    training_record,
)


def training(folder: Path, heads: tuple[str, ...] = (), **recipe: Any) -> Path:
    """The folder of a finished training, as far as these functions look at it."""
    for each in (folder, *(folder / head for head in heads)):
        each.mkdir(parents=True)
        (each / "model.keras").touch()
    written = Recipe.model_validate({"labels": "ferplus7", **recipe}).model_dump(mode="json")
    (folder / "training.json").write_text(json.dumps({"scheme": "ferplus7", "recipe": written}))
    return folder


def test_trainings_have_the_last_recipe_and_the_heads_of_all_in_common(tmp_path: Path) -> None:
    both = {"ferplus8": 0.5, "fer2013": 0.25}
    first = training(tmp_path / "first", ("ferplus8",), also={"ferplus8": 1.0}, seed=1)
    last = training(tmp_path / "last", ("ferplus8", "fer2013"), also=both, seed=2)
    found = common_recipe([first, last])
    assert (found.seed, found.also) == (2, {"ferplus8": 0.5})
    assert common_recipe([last]).also == both


@pytest.mark.parametrize(
    ("changes", "telling"),
    [
        ({"architecture": "mobile"}, "other: is a mobile on ferplus7, .*first a edge on ferplus7"),
        ({"labels": "fer2013"}, "other: is a edge on fer2013"),
        ({"hold_out": True}, "other: holds faces out, unlike .*first"),
    ],
)
def test_trainings_that_do_not_fit_together_are_named(tmp_path: Path, changes: dict[str, Any], telling: str) -> None:
    first, other = training(tmp_path / "first"), training(tmp_path / "other", **changes)
    with pytest.raises(ConfigError, match=telling):
        common_recipe([first, other])


def test_a_training_counts_once_and_when_it_is_finished(tmp_path: Path) -> None:
    first, other = training(tmp_path / "first"), training(tmp_path / "other")
    (tmp_path / "link").symlink_to(first)
    with pytest.raises(ConfigError, match="a training is named twice"):
        common_recipe([first, tmp_path / "link"])
    (other / "model.keras").unlink()
    (other / "unfinished").mkdir()
    with pytest.raises(ConfigError, match="other: its training is not finished"):
        common_recipe([first, other])
    for content, telling in (
        ('{"scheme": "ferplus7"}', "no training record holds its recipe"),
        ('{"recipe": {"epoch": 3}}', "its recipe does not fit this version"),
    ):
        (first / "training.json").write_text(content)
        with pytest.raises(ConfigError, match=telling):
            common_recipe([first])
    (first / "training.json").write_text("[]")
    with pytest.raises(DataError, match=r"training\.json: is not a JSON object"):
        common_recipe([first])


def test_a_record_is_that_of_the_training_before_that_of_the_bundle(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    assert training_record(model) == {}
    (tmp_path / "model.json").write_text('{"training": {"scheme": "ferplus8"}}')
    assert training_record(model) == {"scheme": "ferplus8"}
    (tmp_path / "training.json").write_text('{"scheme": "fer2013"}')
    assert training_record(model) == {"scheme": "fer2013"}
    (tmp_path / "model.json").write_text('{"training": 3}')
    (tmp_path / "training.json").unlink()
    assert training_record(model) == {}


def test_labels_that_are_given_come_before_those_of_the_record() -> None:
    record = {"scheme": "ferplus8", "recipe": {"hold_out": True}}
    assert find_scheme(Path("a"), "fer2013", record) == "fer2013"
    assert find_scheme(Path("a"), None, record) == "ferplus8"
    with pytest.raises(ConfigError, match=r"a: no training record says .* it was trained on\. Say it"):
        find_scheme(Path("a"), None, {}, "Say it")
    assert holds_out(record)
    assert not holds_out({"recipe": {"hold_out": False}})
    assert not holds_out({"recipe": 3})


def test_a_model_is_named_by_its_file_its_training_or_its_bundle(tmp_path: Path) -> None:
    run = training(tmp_path / "run")
    assert find_keras_file(run) == trained_model(run) == model_in(run) == run / "model.keras"
    assert find_keras_file(Path("any.h5")) == Path("any.h5")
    assert find_keras_file(Path("ferplus7")) == find_bundle("ferplus7") / "model.keras"
    assert trained_model(find_bundle("ferplus7")) is None
    (run / "model.json").write_text("{}")
    assert trained_model(run) is None, "a bundle may hold the record of its training"
    with pytest.raises(ModelError):
        find_keras_file(tmp_path)


def test_trainings_differ_in_faces_held_out_whichever_is_the_first(tmp_path: Path) -> None:
    first, other = training(tmp_path / "first", hold_out=True), training(tmp_path / "other")
    with pytest.raises(ConfigError) as refused:
        common_recipe([first, other])
    assert str(refused.value) == f"{other}: does not hold faces out, unlike {first}"


def test_trainings_of_other_networks_are_told_with_both(tmp_path: Path) -> None:
    first, other = training(tmp_path / "first"), training(tmp_path / "other", architecture="mobile", labels="fer2013")
    with pytest.raises(ConfigError) as refused:
        common_recipe([first, other])
    assert str(refused.value) == (
        f"{other}: is a mobile on fer2013, {first} a edge on ferplus7. Name trainings of one network on the same labels"
    )


def test_what_a_training_lacks_is_told_with_what_to_do(tmp_path: Path) -> None:
    run = training(tmp_path / "run")
    for content, telling in (
        ("{}", "no training record holds its recipe. Name the folder of a finished training"),
        ('{"recipe": {"epoch": 3}}', "its recipe does not fit this version (epoch: unknown key. Did you mean epochs?)"),
    ):
        (run / "training.json").write_text(content)
        with pytest.raises(ConfigError) as refused:
            common_recipe([run])
        assert str(refused.value) == f"{run}: {telling}"
    with pytest.raises(ConfigError) as refused:
        common_recipe([run, run])
    assert str(refused.value) == "a training is named twice. Name each once"


def test_an_unfinished_training_has_no_model_yet(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert model_in(run) == run / "model.keras", "nothing says that it was begun"
    (run / "unfinished").mkdir(parents=True)
    for asked in (model_in, trained_model, find_keras_file):
        with pytest.raises(ConfigError) as refused:
            asked(run)
        assert str(refused.value) == f"{run}: its training is not finished. Repeat its command with --resume"
    (run / "model.keras").touch()
    assert model_in(run) == trained_model(run) == run / "model.keras", "an earlier training made it"


def test_a_bundle_without_its_float_model_is_told_with_where_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ModelError) as refused:
        find_keras_file(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: has no model.keras: installed packages leave it out. "
        "Clone fer-edge's repository and name the bundle in its folder models/"
    )
    (tmp_path / "model.keras").touch()
    assert find_keras_file(tmp_path) == tmp_path / "model.keras"


def test_a_record_that_cannot_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    for name, content, telling in (
        ("model.json", "text", "is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("model.json", "3", "is not a JSON object"),
        ("training.json", "\ufeff{}", "is not JSON ("),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(DataError) as refused:
            training_record(tmp_path / "model.keras")
        assert str(refused.value).startswith(f"{tmp_path / name}: {telling}")
    (tmp_path / "training.json").write_text('{"by": "Zoë"}', encoding="utf-8")
    assert training_record(tmp_path / "model.keras") == {"by": "Zoë"}


def test_labels_that_nobody_names_are_asked_for() -> None:
    for record in ({}, {"scheme": 3}, {"scheme": None}):
        with pytest.raises(ConfigError) as refused:
            find_scheme(Path("a.keras"), None, record)
        assert str(refused.value) == ("a.keras: no training record says which labels it was trained on. Give --labels")
    assert find_scheme(Path("a.keras"), "ferplus7", {}) == "ferplus7"
    assert not holds_out({})
    assert not holds_out({"recipe": {}})
