"""Recipes and networks are listed, and models exported, by the commands in this process."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.screen import rows_of
from typer.testing import CliRunner

from fer_edge.errors import MissingExtra, ModelError
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train import architectures, export  # noqa: E402
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
    names = ("cnn-small",)
    some = {name: ARCHITECTURES[name] for name in names}
    monkeypatch.setattr(architectures, "ARCHITECTURES", some)
    rows = rows_of(said("architectures"))
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


class Exporting(keras.Model):  # type: ignore[misc]
    """A model whose export to ONNX, which tf2onnx does, is replaced: it is not installed everywhere."""

    failure: Exception | None = None

    def export(
        self,
        filepath: Path,
        format: str,  # noqa: A002 - as Keras has it
        *,
        verbose: bool,
        input_signature: list[keras.InputSpec],
    ) -> None:
        """Write what was asked for, or fail."""
        sys.stdout.write("much that nobody wants to read\n")
        if self.failure:
            raise self.failure
        (levels,) = input_signature
        filepath.write_text(f"{format} {verbose} {levels.name} {levels.dtype} {levels.shape}")


@pytest.fixture
def exporting(monkeypatch: pytest.MonkeyPatch) -> Exporting:
    """A model of 48x48 grey levels, where tf2onnx seems to be installed."""
    monkeypatch.setattr(export, "find_spec", lambda name: name == "tf2onnx")
    inputs = keras.Input((48, 48, 1))
    return Exporting(inputs, keras.layers.GlobalAveragePooling2D()(inputs))


def test_an_onnx_model_takes_grey_levels_of_any_number_of_faces(exporting: Exporting, tmp_path: Path) -> None:
    path = export_onnx(exporting, tmp_path / "new" / "out")
    assert path == tmp_path / "new" / "out" / "model.onnx"
    assert path.read_text() == "onnx False grey float32 (None, 48, 48, 1)"
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, TypeError])
def test_a_model_that_cannot_be_converted_is_told_in_one_line(
    exporting: Exporting, tmp_path: Path, kind: type[Exception]
) -> None:
    exporting.failure = kind(f"{'x' * 159}yz\nand more")
    with pytest.raises(ModelError) as caught:
        export_onnx(exporting, tmp_path / "out")
    assert str(caught.value) == f"cannot be converted to ONNX ({'x' * 159}y)"
    assert not [*(tmp_path / "out").iterdir()]


def test_an_export_as_onnx_names_its_file_and_writes_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny("mine").save(tmp_path / "model.keras")
    monkeypatch.setattr(export, "export_onnx", lambda model, folder: folder / f"{model.name}.onnx")
    assert said("export", tmp_path / "model.keras", tmp_path / "out", "--onnx") == (
        f"{tmp_path / 'out' / 'mine.onnx'}: written\n"
    )
    assert not (tmp_path / "out").exists()
