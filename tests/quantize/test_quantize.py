"""From a Keras model to a measured bundle, and the gate that keeps bad ones back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import load_bundle, sha256, verify_files
from fer_edge.model.classifier import Classifier
from fer_edge.model.interpreter import open_interpreter
from fer_train.data.datasets import load_dataset


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


def run_python(script: str) -> bytes:
    """Run a script in a process of its own, since TensorFlow is slow to load and never lets go."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=environment).stdout


def damage(bundle: Path, copy: Path, data: Path, bits: int) -> Path:
    """Copy a bundle, with its int8 model made from the trained weights rounded to few bits."""
    content = run_python(f"""
import sys
import numpy as np
from pathlib import Path
from fer_quantize.convert import to_int8
from fer_train.keras_models import load_model
from fer_train.data.datasets import load_dataset
model = load_model(Path({str(bundle / "model.keras")!r}))
for weight in model.trainable_variables:
    value = np.asarray(weight)
    if value.ndim > 1:
        step = np.abs(value).max() / (2 ** ({bits} - 1) - 1)
        weight.assign(np.round(value / step) * step)
faces = load_dataset(Path({str(data)!r}), "train", "ferplus7")
sys.stdout.buffer.write(to_int8(model, faces.images[:200]))
""")
    shutil.copytree(bundle, copy)
    (copy / "model.tflite").write_bytes(content)
    manifest = json.loads((copy / "model.json").read_text())
    manifest["files"]["model.tflite"] = sha256(content)
    (copy / "model.json").write_text(json.dumps(manifest))
    return copy


def test_the_bundle_is_whole_and_reads_faces(bundle: Path) -> None:
    verify_files(bundle)
    names = {"golden.npz", "history.csv", "model.json", "model.keras", "model.tflite"}
    assert {path.name for path in bundle.iterdir()} == names | {"quantization.json", "quantization.png"}
    figures = json.loads((bundle / "quantization.json").read_text())["measurements"][0]
    assert figures["interval_int8"][0] <= figures["accuracy"]["accuracy_int8"] <= figures["interval_int8"][1]
    assert figures["drop"]["lost"] - figures["drop"]["gained"] == sum(figures["net_losses"].values())
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


def test_a_model_is_calibrated_where_there_are_faces_enough(
    command: Run, trained: Path, bundle: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """The splits change places, so that there are 280 faces to calibrate on."""
    data, out = tmp_path / "data", tmp_path / "bundle"
    data.mkdir()
    for name in ("fer2013.csv", "fer2013new.csv"):
        text = (tiny_data / name).read_text()
        for old, new in (("Training", "*"), ("PublicTest", "Training"), ("*", "PublicTest")):
            text = text.replace(old, new)
        (data / name).write_text(text)
    options = ("--representative", 50, "--out", out)
    done = command("fer-quantize", trained / "model.keras", "--data", data, *options, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Calibrated at temperature" in done.stdout
    assert load_bundle(bundle).manifest.calibration is None
    calibration = load_bundle(out).manifest.calibration
    assert calibration
    assert calibration.images == 280
    run_python(f"""
import numpy as np
from pathlib import Path
from fer_train.data.datasets import load_dataset
from fer_train.keras_models import load_model, predict
from fer_train.training.losses import soften
faces = load_dataset(Path({str(data)!r}), "validation", "ferplus7").images
before = predict(load_model(Path({str(trained / "model.keras")!r})), faces)
after = predict(load_model(Path({str(out / "model.keras")!r})), faces)
assert np.allclose(soften(before, {calibration.temperature}), after, atol=1e-4)
""")


def test_check_passes_a_good_bundle(command: Run, bundle: Path, tiny_data: Path) -> None:
    done = command("fer-quantize", bundle, "--data", tiny_data, "--check", "--max-drop", 3, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_check_fails_a_damaged_int8_model(command: Run, bundle: Path, tiny_data: Path, tmp_path: Path) -> None:
    broken = damage(bundle, tmp_path / "broken", tiny_data, bits=2)
    done = command("fer-quantize", broken, "--data", tiny_data, "--check", "--max-drop", 3, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "int8 loses" in done.stdout


def test_ranges_set_on_checked_faces_are_refused(command: Run, bundle: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Half of the training pictures in the validation split too."""
    data = tmp_path / "data"
    data.mkdir()
    lines = (tiny_data / "fer2013.csv").read_text().splitlines(keepends=True)
    training = [line for line in lines if line.rstrip().endswith("Training")]
    copied = [line.replace("Training", "PublicTest") for line in training[::2]]
    (data / "fer2013.csv").write_text("".join([*lines, *copied]))
    votes = (tiny_data / "fer2013new.csv").read_text().splitlines(keepends=True)
    own = [
        vote.replace("Training", "PublicTest")
        for line, vote in zip(lines[1:], votes[1:], strict=True)
        if line in set(training[::2])
    ]
    (data / "fer2013new.csv").write_text("".join([*votes, *own]))
    done = command("fer-quantize", bundle, "--data", data, "--check", timeout=300)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "in the check split too" in done.stderr


def test_a_class_that_loses_too_much_fails_by_name(command: Run, bundle: Path, tiny_data: Path, tmp_path: Path) -> None:
    broken = damage(bundle, tmp_path / "broken", tiny_data, bits=2)
    options = ("--check", "--max-drop", 100, "--max-class-drop", 5)
    done = command("fer-quantize", broken, "--data", tiny_data, *options, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "percentage points of recall" in done.stdout


OUTLIER = """
from pathlib import Path
import keras
import numpy as np
from fer_train.keras_models import load_model
model = load_model(Path({source!r}))
convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
norm = next(layer for layer in norms if layer.input is convolutions[2].output)
for weight in (norm.gamma, norm.beta):
    value = np.array(weight)
    value[:4] *= 100
    weight.assign(value)
kernel = np.array(convolutions[3].kernel)
kernel[:, :, :4, :] /= 100
convolutions[3].kernel.assign(kernel)
model.save({target!r})
relu = next(layer.name for layer in model.layers if isinstance(layer, keras.layers.ReLU) and layer.input is norm.output)
after = next(layer.name for layer in norms if layer.input is convolutions[3].output)
print(relu, after)
"""


def test_the_layer_report_finds_the_layer_and_16_bits_there_fix_it(
    command: Run, bundle_dir: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Four channels a hundred times larger than the rest change nothing in float, and ruin int8."""
    model = tmp_path / "model.keras"
    names = run_python(OUTLIER.format(source=str(bundle_dir / "model.keras"), target=str(model))).decode().split()
    shutil.copy(bundle_dir / "model.json", tmp_path)
    options = (model, "--data", tiny_data)
    report = command("fer-quantize", *options, "--layers", timeout=300, env=os.environ | {"COLUMNS": "200"})
    assert report.returncode == 0, report.stderr
    assert f"{names[1]} loses most." in report.stdout
    plain = command("fer-quantize", *options, "--out", tmp_path / "plain", timeout=300)
    fixed = command(
        "fer-quantize", *options, "--out", tmp_path / "fixed", "--int16", names[0], "--int16", names[1], timeout=300
    )
    assert plain.returncode == fixed.returncode == 0, plain.stderr + fixed.stderr
    drops = [
        json.loads((tmp_path / name / "quantization.json").read_text())["measurements"][0]["mean_difference"]
        for name in ("plain", "fixed")
    ]
    assert drops[1] < drops[0] / 2
    assert load_bundle(tmp_path / "fixed").manifest.quantization.int16_layers == tuple(names)
    verify_files(tmp_path / "fixed")


def test_modes_are_measured_side_by_side(command: Run, trained: Path, tiny_data: Path) -> None:
    done = command("fer-quantize", trained / "model.keras", "--data", tiny_data, "--mode", "all", timeout=300)
    assert done.returncode == 0, done.stderr
    for mode in ("int8", "int16x8", "float16", "dynamic", "float32"):
        assert mode in done.stdout
    wrong = command("fer-quantize", trained / "model.keras", "--data", tiny_data, "--mode", "int4", timeout=300)
    assert wrong.returncode == 2
    assert "int4" in wrong.stderr


def test_an_h5_model_gives_a_bundle_that_can_be_checked(
    command: Run, trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    source, target = str(trained / "model.keras"), str(tmp_path / "model.h5")
    run_python(f"import keras; keras.saving.load_model({source!r}, compile=False).save({target!r})")
    options = ("--data", tiny_data, "--labels", "ferplus7", "--check", "--max-drop", 3, "--max-class-drop", 100)
    done = command("fer-quantize", target, *options, "--out", tmp_path / "bundle", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    done = command("fer-quantize", tmp_path / "bundle", *options, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_keeps_back_a_model_that_is_not_the_trained_one(
    command: Run, trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    record = json.loads((other / "training.json").read_text())
    record["results"]["validation"]["accuracy"] += 0.01
    (other / "training.json").write_text(json.dumps(record))
    done = command("fer-quantize", other / "model.keras", "--data", tiny_data, "--check", timeout=300)
    assert done.returncode == 1
    assert "not the model that was trained" in done.stdout
    assert not (other / "bundle").exists()


def test_an_operation_without_an_int8_kernel_fails_by_name(command: Run, trained: Path, tiny_data: Path) -> None:
    path = trained / "odd.keras"
    run_python(f"""
import keras
inputs = keras.Input((48, 48, 1))
x = keras.layers.Conv2D(4, 3, strides=4)(inputs)
outputs = keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(keras.ops.sin(x)))
keras.Model(inputs, outputs).save({str(path)!r})
""")
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
    (tmp_path / "model.json").write_text("{}")
    done = command("fer-quantize", trained / "model.keras", "--data", tiny_data, "--out", tmp_path)
    assert done.returncode == 2
    assert "holds other things than a model bundle" in done.stderr
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_without_data_it_says_how_to_get_it(command: Run) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "FER_DATA"}
    done = command("fer-quantize", "--check", env=environment)
    assert done.returncode == 2
    assert "FER_DATA" in done.stderr


def test_the_shipped_bundle_loses_less_than_a_third_of_a_point(command: Run, fer_data: Path) -> None:
    done = command("fer-quantize", "--check", "--data", fer_data, "--max-drop", 0.3, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_the_shipped_bundle_keeps_what_the_readme_says(fer_data: Path, bundle_dir: Path) -> None:
    manifest = load_bundle(bundle_dir).manifest
    faces = load_dataset(fer_data, "validation", "ferplus7")
    classifier = Classifier(load_bundle(bundle_dir))
    answers = np.array([classifier.probabilities(image).argmax() for image in faces.images])
    accuracy = (answers == faces.classes).mean()
    assert accuracy >= 0.80
    assert accuracy == pytest.approx(manifest.accuracy[0].accuracy_int8, abs=0.001)
    assert (bundle_dir / "model.tflite").stat().st_size <= 1_500_000
    assert manifest.macs <= 60_000_000


def test_the_shipped_model_damaged_fails_the_gate(
    command: Run, fer_data: Path, bundle_dir: Path, tmp_path: Path
) -> None:
    broken = damage(bundle_dir, tmp_path / "broken", fer_data, bits=3)
    done = command("fer-quantize", broken, "--data", fer_data, "--check", timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED: int8 loses" in done.stdout
