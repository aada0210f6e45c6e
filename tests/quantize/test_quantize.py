"""From a Keras model to a measured bundle, and the gate that keeps bad ones back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fer_edge.bundle import load_bundle, sha256, verify_files
from fer_edge.classifier import Classifier
from fer_edge.interpreter import open_interpreter
from fer_edge.sources.demo import load_composites

from tests.conftest import Run


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that knows the composite faces."""
    out = tmp_path_factory.mktemp("trained") / "run"
    subprocess.run(
        [
            *(Path(sys.executable).with_name("fer-train"), "fit", "--labels", "ferplus7", "--epochs", "8"),
            *("--learning-rate", "0.02", "--batch-size", "32", "--data", tiny_data, "--out", out),
        ],
        check=True,
        capture_output=True,
        timeout=600,
    )
    return out


@pytest.fixture(scope="module")
def bundle(trained: Path, tiny_data: Path) -> Path:
    out = trained.parent / "tiny"
    subprocess.run(
        [Path(sys.executable).with_name("fer-quantize"), trained / "model.keras", "--data", tiny_data, "--out", out],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return out


def damaged(trained: Path, data: Path, bits: int) -> bytes:
    """The int8 model of the same network with its trained weights rounded to few bits."""
    script = f"""
import sys, keras, numpy as np
from pathlib import Path
from fer_quantize.convert import load_keras, to_int8
from fer_train.datasets import load_dataset
model = load_keras(Path({str(trained / "model.keras")!r}))
for weight in model.trainable_variables:
    value = np.asarray(weight)
    if value.ndim > 1:
        step = np.abs(value).max() / (2 ** ({bits} - 1) - 0.5)
        weight.assign(np.round(value / step) * step)
faces = load_dataset(Path({str(data)!r}), "train", "ferplus7")
sys.stdout.buffer.write(to_int8(model, faces.images[:100]))
"""
    return subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
    ).stdout


def test_the_bundle_is_whole_and_reads_faces(bundle: Path) -> None:
    verify_files(bundle)
    assert {path.name for path in bundle.iterdir()} == {"history.csv", "model.json", "model.keras", "model.tflite"}
    loaded = load_bundle(bundle)
    classifier = Classifier(loaded)
    right = sum(classifier.predict(face).label == label for label, face in load_composites().items())
    assert right >= 5
    manifest = loaded.manifest
    assert len(manifest.quantization.representative_rows) == 280
    assert [entry.labels for entry in manifest.accuracy] == ["ferplus7", "fer2013"]
    assert manifest.accuracy[0].images == 70
    assert sum(manifest.reference_distribution.values()) == pytest.approx(1, abs=0.01)


def test_the_model_is_int8_throughout_and_eats_the_grey_crop(bundle: Path) -> None:
    interpreter = open_interpreter((bundle / "model.tflite").read_bytes())
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, -128)
    dtypes = {tensor["dtype"].__name__ for tensor in interpreter.get_tensor_details()}
    assert dtypes == {"int8", "int32"}
    kernels = [
        tensor["quantization_parameters"]["scales"]
        for tensor in interpreter.get_tensor_details()
        if len(tensor["shape"]) == 4 and tensor["shape"][0] > 1 and tensor["shape"][1] == 3
    ]
    assert kernels
    assert all(len(scales) > 1 for scales in kernels), "weights are not quantized a channel"


def test_check_passes_a_good_bundle(command: Run, bundle: Path, tiny_data: Path) -> None:
    done = command("fer-quantize", bundle, "--data", tiny_data, "--check", "--max-drop", 3, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_check_fails_a_damaged_int8_model(
    command: Run,
    trained: Path,
    bundle: Path,
    tiny_data: Path,
    tmp_path: Path,
) -> None:
    broken = Path(shutil.copytree(bundle, tmp_path / "broken"))
    content = damaged(trained, tiny_data, bits=2)
    (broken / "model.tflite").write_bytes(content)
    manifest = json.loads((broken / "model.json").read_text())
    manifest["files"]["model.tflite"] = sha256(content)
    (broken / "model.json").write_text(json.dumps(manifest))
    done = command("fer-quantize", broken, "--data", tiny_data, "--check", "--max-drop", 3, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "int8 loses" in done.stdout


def test_check_keeps_back_a_model_that_is_not_the_trained_one(
    command: Run, trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    record = json.loads((other / "training.json").read_text())
    record["results"]["validation"]["accuracy"] = 1.5
    (other / "training.json").write_text(json.dumps(record))
    done = command("fer-quantize", other / "model.keras", "--data", tiny_data, "--check", timeout=300)
    assert done.returncode == 1
    assert "not the model that was trained" in done.stdout
    assert not (other / "bundle").exists()


def test_an_operation_without_an_int8_kernel_fails_by_name(command: Run, trained: Path, tiny_data: Path) -> None:
    path = trained / "odd.keras"
    script = f"""
import keras
inputs = keras.Input((48, 48, 1))
x = keras.layers.Conv2D(4, 3, strides=4)(inputs)
outputs = keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(keras.ops.sin(x)))
keras.Model(inputs, outputs).save({str(path)!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    done = command(
        "fer-quantize", path, "--data", tiny_data, "--labels", "ferplus7", "--out", trained / "odd", timeout=300
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Sin stayed float: no int8 kernel" in done.stderr
    assert not (trained / "odd").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "telling"),
    [
        (("no.keras",), 4, "no.keras: no such file"),
        (("bad.keras",), 4, "bad.keras: is not a usable Keras model"),
        (("nosuch",), 4, "nosuch"),
    ],
)
def test_a_wrong_model_is_one_line(
    command: Run, tiny_data: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, telling: str
) -> None:
    (tmp_path / "bad.keras").write_bytes(b"not a model")
    done = command("fer-quantize", *arguments, "--data", tiny_data, "--check", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert telling in done.stderr
    assert "Traceback" not in done.stderr


def test_somebody_elses_folder_is_not_overwritten(command: Run, trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    done = command("fer-quantize", trained / "model.keras", "--data", tiny_data, "--out", tmp_path)
    assert done.returncode == 2
    assert "is no model bundle" in done.stderr
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_without_data_it_says_how_to_get_it(command: Run) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "FER_DATA"}
    done = command("fer-quantize", "--check", env=environment)
    assert done.returncode == 2
    assert "FER_DATA" in done.stderr


def test_the_shipped_bundle_loses_less_than_half_a_point(command: Run, fer_data: Path) -> None:
    done = command("fer-quantize", "--check", "--data", fer_data, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
