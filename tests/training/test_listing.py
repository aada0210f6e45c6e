"""Recipes and networks are listed, and models exported, by the commands in this process."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_edge.errors import MissingExtra
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train import architectures  # noqa: E402
from fer_train.architectures import ARCHITECTURES, count_macs  # noqa: E402
from fer_train.cli.app import app  # noqa: E402
from fer_train.cli.options import _recipes  # noqa: E402
from fer_train.export import export_h5, export_onnx  # noqa: E402
from fer_train.recipes import shipped_recipes  # noqa: E402


def said(*words: object) -> str:
    """What a command prints; it must succeed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def tiny(name: str = "tiny") -> keras.Model:
    """A network that sees only how bright a face is."""
    inputs = keras.Input((48, 48, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, keras.layers.Dense(7, activation="softmax")(pooled), name=name)


def test_each_recipe_is_listed_with_its_comment() -> None:
    lines = said("recipes").splitlines()
    assert [line.partition(": ")[0] for line in lines] == list(shipped_recipes())
    for line, path in zip(lines, shipped_recipes().values(), strict=True):
        comment = path.read_text(encoding="utf-8").splitlines()[0]
        assert comment == f"# {line.partition(': ')[2]}"


def test_the_shell_completes_the_name_of_a_recipe() -> None:
    assert _recipes("") == list(shipped_recipes())
    assert _recipes("adam-5") == [name for name in shipped_recipes() if name.startswith("adam-5")] != []
    assert not _recipes("no such recipe")


def test_each_network_is_listed_with_its_size_for_seven_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("edge-tiny", "cnn-small")
    some = {name: ARCHITECTURES[name] for name in names}
    monkeypatch.setattr(architectures, "ARCHITECTURES", some)
    lines = [line.replace("┃", "│").strip("│").split("│") for line in said("architectures").splitlines()]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) > 1]
    assert rows[0] == ["name", "parameters", "million MACs per face", "source"]
    models = {name: some[name].build(classes=7) for name in names}
    assert rows[1:] == [
        [name, f"{model.count_params():,}", f"{count_macs(model) / 1e6:.1f}", some[name].source]
        for name, model in models.items()
    ]


def test_a_model_is_exported_as_one_file_and_as_architecture_and_weights(tmp_path: Path) -> None:
    model, out = tiny("mine"), tmp_path / "new" / "out"
    export_h5(model, out)
    assert sorted(path.name for path in out.iterdir()) == ["architecture.json", "model.h5", "model.weights.h5"]
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1)).astype(np.float32)
    expected = np.asarray(model(faces))
    assert np.asarray(keras.saving.load_model(out / "model.h5", compile=False)(faces)) == pytest.approx(expected)
    text = (out / "architecture.json").read_text()
    assert text.startswith('{\n  "')
    assert text.endswith("\n}\n")
    assert json.loads(text)["config"]["name"] == "mine"
    other = keras.models.model_from_json(text)
    other.load_weights(out / "model.weights.h5")
    assert np.asarray(other(faces)) == pytest.approx(expected)


def test_an_export_says_where_it_wrote(tmp_path: Path) -> None:
    tiny().save(tmp_path / "model.keras")
    assert said("export", tmp_path / "model.keras", tmp_path / "out") == f"{tmp_path / 'out'}: written\n"
    assert (tmp_path / "out" / "model.h5").is_file()
    assert not (tmp_path / "out" / "model.onnx").exists()


def test_an_export_of_nothing_names_the_missing_model(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path / "no.keras"), str(tmp_path / "out")])
    assert done.exit_code
    assert "no.keras" in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("tf2onnx") is not None, reason="tf2onnx is installed")
def test_without_the_converter_for_onnx_its_extra_is_named_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(MissingExtra, match=r"tf2onnx.*\[onnx\]"):
        export_onnx(tiny(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
