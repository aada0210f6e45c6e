"""From a Keras model to a measured bundle, and the gate that keeps bad ones back."""

import json
import os
import shutil
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from tests import warm
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import find_bundle, load_bundle, sha256, verify_files
from fer_edge.model.classifier import Classifier
from fer_edge.model.interpreter import open_interpreter
from fer_edge.model.manifest import Accuracy, Calibration
from fer_quantize.check import Comparison, Cost, Measurement
from fer_quantize.gate import cautions
from fer_quantize.statistics import paired_drop
from fer_train.data.datasets import Split, load_dataset


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that knows the composite faces: the small one that ships, trained on them."""
    out = tmp_path_factory.mktemp("trained") / "run"
    start = ("--init", find_bundle("ferplus7-tiny") / "model.keras", "--architecture", "edge-tiny")
    options = ("--labels", "ferplus7", "--epochs", 2, "--learning-rate", 0.01, "--batch-size", 32)
    return finished("fer-train", "fit", *start, *options, "--data", tiny_data, "--out", out)


@pytest.fixture(scope="module")
def bundle(trained: Path, tiny_data: Path) -> Path:
    return finished("fer-quantize", trained / "model.keras", "--data", tiny_data, "--out", trained.parent / "tiny")


def finished(name: str, *arguments: object) -> Path:
    """Run a command that must succeed, and return the folder that it has made: its last argument."""
    done = warm.run(name, [*map(str, arguments)], timeout=600)
    assert done.returncode == 0, done.stderr
    return Path(str(arguments[-1]))


@pytest.fixture(scope="module")
def broken(bundle: Path, tiny_data: Path) -> Path:
    """The bundle with an int8 model of weights rounded to two bits."""
    return damage(bundle, bundle.with_name("broken"), tiny_data, bits=2)


def damage(bundle: Path, copy: Path, data: Path, bits: int) -> Path:
    """Copy a bundle, with its int8 model made from the trained weights rounded to few bits."""
    content = warm.run_script(f"""
import sys
import numpy as np
from pathlib import Path
from fer_quantize.convert import to_int8
from fer_train.keras_models import load_model
from fer_train.data.datasets import Split, load_dataset
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
    assert manifest.quantization
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


@pytest.mark.slow
def test_a_model_is_calibrated_where_there_are_faces_enough(
    command: Run, trained: Path, bundle: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """The splits change places, so that there are 280 faces to calibrate on. Its owner states a licence, too."""
    data, out = tmp_path / "data", tmp_path / "bundle"
    data.mkdir()
    for name in ("fer2013.csv", "fer2013new.csv"):
        text = (tiny_data / name).read_text()
        for old, new in (("Training", "*"), ("PublicTest", "Training"), ("*", "PublicTest")):
            text = text.replace(old, new)
        (data / name).write_text(text)
    options = ("--representative", 50, "--licence", "all rights reserved", "--out", out)
    done = command("fer-quantize", trained / "model.keras", "--data", data, *options, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Calibrated at temperature" in done.stdout
    assert load_bundle(bundle).manifest.calibration is None
    assert load_bundle(out).manifest.licence == "all rights reserved"
    calibration = load_bundle(out).manifest.calibration
    assert calibration
    assert calibration.images == 280
    warm.run_script(f"""
import numpy as np
from pathlib import Path
from fer_train.data.datasets import Split, load_dataset
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


@pytest.mark.slow
def test_check_fails_a_damaged_int8_model(command: Run, broken: Path, tiny_data: Path) -> None:
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


def test_a_class_that_loses_too_much_fails_by_name(command: Run, broken: Path, tiny_data: Path) -> None:
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


@pytest.mark.slow
def test_the_layer_report_finds_the_layer_and_16_bits_there_fix_it(
    command: Run, bundle_dir: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Four channels a hundred times larger than the rest change nothing in float, and ruin int8."""
    model = tmp_path / "model.keras"
    names = warm.run_script(OUTLIER.format(source=str(bundle_dir / "model.keras"), target=str(model))).decode().split()
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
    made = load_bundle(tmp_path / "fixed").manifest.quantization
    assert made
    assert made.int16_layers == tuple(names)
    verify_files(tmp_path / "fixed")


@pytest.mark.slow
def test_modes_are_measured_side_by_side(command: Run, trained: Path, tiny_data: Path) -> None:
    done = command("fer-quantize", trained / "model.keras", "--data", tiny_data, "--mode", "all", timeout=300)
    assert done.returncode == 0, done.stderr
    for mode in ("int8", "int16x8", "float16", "dynamic", "float32"):
        assert mode in done.stdout
    wrong = command("fer-quantize", trained / "model.keras", "--data", tiny_data, "--mode", "int4", timeout=300)
    assert wrong.returncode == 2
    assert "int4" in wrong.stderr


@pytest.mark.slow
def test_an_h5_model_gives_a_bundle_that_can_be_checked(
    command: Run, trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    source, target = str(trained / "model.keras"), str(tmp_path / "model.h5")
    warm.run_script(f"import keras; keras.saving.load_model({source!r}, compile=False).save({target!r})")
    options = ("--data", tiny_data, "--labels", "ferplus7", "--check", "--max-drop", 3, "--max-class-drop", 100)
    done = command("fer-quantize", target, *options, "--out", tmp_path / "bundle", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    done = command("fer-quantize", tmp_path / "bundle", *options, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
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


def test_elu_becomes_int8(tiny_data: Path) -> None:
    """In each of the three ways in which Keras writes it, one with another slope. Answers hardly change."""
    answers = warm.run_script(f"""
import json
import sys
from pathlib import Path
import keras
import numpy as np
from fer_edge.model.interpreter import open_interpreter
from fer_quantize.convert import to_int8
from fer_train.data.datasets import Split, load_dataset
from fer_train.evaluation.tflite import feed
from fer_train.keras_models import predict
keras.utils.set_random_seed(0)
inputs = keras.Input((48, 48, 1))
x = keras.layers.Rescaling(1 / 64, -2)(inputs)
x = keras.layers.Conv2D(8, 3, strides=2, activation="elu")(x)
x = keras.layers.ELU(alpha=0.5)(keras.layers.Conv2D(8, 3, strides=2)(x))
x = keras.layers.Activation("elu")(keras.layers.Conv2D(8, 3, strides=2)(x))
model = keras.Model(inputs, keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(x)))
faces = load_dataset(Path({str(tiny_data)!r}), "train", "ferplus7").images
interpreter = open_interpreter(to_int8(model, faces))
output = interpreter.get_output_details()[0]
answers = []
for face in faces:
    feed(interpreter, face)
    interpreter.invoke()
    answers.append(interpreter.get_tensor(output["index"])[0].astype(float) / 256 + 0.5)
json.dump([predict(model, faces).tolist(), np.array(answers).tolist()], sys.stdout)
""")
    floats, ints = np.array(json.loads(answers))
    assert floats.std(axis=0).max() > 0.03, "the net does not tell faces apart"
    assert np.abs(floats - ints).max() < 0.03


def test_an_operation_without_an_int8_kernel_fails_by_name(command: Run, trained: Path, tiny_data: Path) -> None:
    path = trained / "odd.keras"
    warm.run_script(f"""
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


@pytest.mark.slow
def test_the_shipped_bundle_loses_less_than_a_third_of_a_point(command: Run, fer_data: Path) -> None:
    done = command("fer-quantize", "--check", "--data", fer_data, "--max-drop", 0.3, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


@pytest.mark.slow
def test_the_shipped_bundle_keeps_what_the_readme_says(fer_data: Path, bundle_dir: Path) -> None:
    manifest = load_bundle(bundle_dir).manifest
    faces = load_dataset(fer_data, "validation", "ferplus7")
    classifier = Classifier(load_bundle(bundle_dir))
    answers = np.array([classifier.probabilities(image).argmax() for image in faces.images])
    accuracy = (answers == faces.classes).mean()
    assert accuracy >= 0.80
    assert accuracy == pytest.approx(manifest.accuracy[0].accuracy_int8, abs=0.001)
    assert (bundle_dir / "model.tflite").stat().st_size <= 1_500_000
    assert manifest.macs
    assert manifest.macs <= 60_000_000


@pytest.mark.slow
def test_the_shipped_model_damaged_fails_the_gate(
    command: Run, fer_data: Path, bundle_dir: Path, tmp_path: Path
) -> None:
    broken = damage(bundle_dir, tmp_path / "broken", fer_data, bits=3)
    done = command("fer-quantize", broken, "--data", fer_data, "--check", timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED: int8 loses" in done.stdout


@pytest.mark.slow
def test_a_model_that_has_learnt_nothing_does_not_pass(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    """Int8 loses nothing of an untrained net: it is wrong either way."""
    path = tmp_path / "model.keras"
    warm.run_script(f"""
import keras
from fer_train.architectures import build
keras.utils.set_random_seed(0)
build("cnn-small", 7).save({str(path)!r})
""")
    options = ("--data", tiny_data, "--labels", "ferplus7", "--max-drop", 100, "--max-class-drop", 100)
    done = command("fer-quantize", path, *options, "--check", timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "always answering" in done.stdout
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_the_gate_asks_for_an_accuracy_and_for_no_worse_than_another_bundle(
    command: Run, bundle: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """A model with its classes moved on by one stands for one that is worse on the same faces."""
    worse = tmp_path / "worse.keras"
    warm.run_script(f"""
import numpy as np
from pathlib import Path
from fer_train.keras_models import load_model
model = load_model(Path({str(bundle / "model.keras")!r}))
last = model.layers[-1]
last.set_weights([np.roll(weight, 1, axis=-1) for weight in last.get_weights()])
model.save({str(worse)!r})
""")
    shared = ("--data", tiny_data, "--check", "--max-drop", 5, "--max-class-drop", 100)
    done = command("fer-quantize", bundle, *shared, "--min-accuracy", 99.9, timeout=300)
    assert done.returncode == 1
    assert "less than the 99.9 % asked for" in done.stdout
    done = command("fer-quantize", bundle, *shared, "--against", bundle, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+0.00 percentage points" in done.stdout
    assert "only 70 faces were checked" in done.stdout
    options = ("--labels", "ferplus7", "--against", bundle, "--out", tmp_path / "out")
    done = command("fer-quantize", worse, *shared, *options, timeout=300)
    assert done.returncode == 1
    assert not (tmp_path / "out").exists()
    odd = command("fer-quantize", bundle, *shared, "--against", "ferplus8", timeout=300)
    assert odd.returncode == 4
    assert "its labels are" in odd.stderr


@pytest.mark.slow
def test_the_card_of_a_model_of_own_photographs_does_not_state_our_licence(
    command: Run, trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "family"
    for split in get_args(Split)[:2]:
        faces = load_dataset(tiny_data, split, "ferplus7")
        for position in range(len(faces)):
            folder = data / split / faces.labels[faces.classes[position]]
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{position}.png"), faces.images[position])
    options = (trained / "model.keras", "--data", data, "--labels", "fer2013")
    done = command("fer-quantize", *options, "--out", tmp_path / "bundle", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    licence = load_bundle(tmp_path / "bundle").manifest.licence
    assert "family" in licence
    assert "MIT" not in licence


def test_check_set_problems_are_told() -> None:
    """Class shares unlike the training data's, and a temperature at its limit."""
    shares = {"angry": 0.5, "happy": 0.5}
    accuracy = Accuracy(
        data="x",
        split="validation",
        labels="fer2013",
        images=1000,
        accuracy_float=0.8,
        accuracy_int8=0.8,
        recall_float={},
        recall_int8={},
    )
    first = Measurement(
        accuracy=accuracy,
        interval_float=(0.7, 0.9),
        interval_int8=(0.7, 0.9),
        net_losses={"angry": 0, "happy": 0},
        class_images={"angry": 900, "happy": 100},
        agreement=1,
        mean_difference=0,
        max_difference=0,
        ece_float=0,
        ece_int8=0,
        drop=paired_drop(np.ones(1000, bool), np.ones(1000, bool)),
    )
    comparison = Comparison((first,), shares, Cost(1, 1), Cost(1, 1), 1)
    calibration = Calibration(temperature=1.999, split="validation", images=1000, ece_before=0.1, ece=0.1)
    limit, other = cautions(comparison, calibration, shares)
    assert "temperature 2.00 is at its limit" in limit
    assert "'angry' 90%, there 50%" in other
    ordinary = calibration.model_copy(update={"temperature": 1.2})
    assert cautions(comparison, ordinary, {"angry": 0.8, "happy": 0.2}) == []
