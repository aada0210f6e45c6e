"""Evaluate any kind of model, as a user does; bad models and data give one line each."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests import warm
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.labels import FER2013
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_train.data.corruptions import CORRUPTIONS
from fer_train.data.datasets import load_dataset

FACES = np.array(list(load_composites().values()))


@pytest.fixture
def float_model(bundle_dir: Path) -> Path:
    """The shipped float model; a device does without it."""
    path = bundle_dir / "model.keras"
    if not path.is_file():
        pytest.skip("the bundle here has no model.keras: run the tests from a clone")
    return path


def test_bundle_tflite_and_keras_are_judged_alike(
    command: Run, tiny_data: Path, bundle_dir: Path, float_model: Path, tmp_path: Path
) -> None:
    scores = {}
    for kind, model in (("bundle", "ferplus7"), ("tflite", bundle_dir / "model.tflite"), ("keras", float_model)):
        done = command("fer-train", "evaluate", model, tiny_data, "--out", tmp_path / kind, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "on 70 faces of fer2013.csv, validation split, ferplus7 labels" in done.stdout
        assert (tmp_path / kind / "report.md").read_text().startswith(f"# {model}\n")
        scores[kind] = json.loads((tmp_path / kind / "scores.json").read_text())
    assert scores["bundle"] == scores["tflite"]
    assert scores["keras"]["accuracy"] == pytest.approx(scores["bundle"]["accuracy"], abs=0.05)
    faces, read = load_dataset(tiny_data, "validation", "ferplus7"), Classifier(load_bundle(bundle_dir))
    expected = np.zeros((7, 7), int)
    for image, true in zip(faces.images, faces.classes, strict=True):
        expected[true, int(read.probabilities(image).argmax())] += 1
    assert scores["bundle"]["confusion"] == expected.tolist()
    assert scores["bundle"]["accuracy"] == pytest.approx(np.trace(expected) / 70, abs=1e-4)
    keras = np.array(scores["keras"]["confusion"])
    assert keras.sum(axis=1).tolist() == [10] * 7
    assert scores["keras"]["accuracy"] == pytest.approx(np.trace(keras) / 70, abs=1e-4)


def test_the_table_shows_each_class_and_the_mirrored_reading_apart(
    command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "judged"
    options = ("--labels", "fer2013", "--split", "train", "--mirror", "--out", out)
    done = command("fer-train", "evaluate", "ferplus7", tiny_data, *options)
    assert done.returncode == 0, done.stderr
    for label in FER2013:
        assert done.stdout.count(f"│ {label}") == 2
    assert done.stdout.count("on 280 faces of fer2013.csv, train split, fer2013 labels") == 2
    plain, mirrored = (json.loads((out / f"scores{suffix}.json").read_text()) for suffix in ("", "-mirror"))
    assert plain["confusion"] != mirrored["confusion"]
    faces, read = load_dataset(tiny_data, "train", "fer2013"), Classifier(load_bundle(find_bundle("ferplus7")))
    views = (faces.images, np.ascontiguousarray(faces.images[:, :, ::-1]))
    shares = np.mean([[read.probabilities(image) for image in images] for images in views], axis=0)
    expected = np.zeros((7, 7), int)
    np.add.at(expected, (faces.classes, shares.argmax(axis=1)), 1)
    assert mirrored["confusion"] == expected.tolist()
    assert "(confusion-mirror.png)" in (out / "report-mirror.md").read_text()


def test_pictures_that_people_disagree_on_are_left_out_on_request(
    command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_data / "fer2013.csv", tmp_path)
    head, *rows = (tiny_data / "fer2013new.csv").read_text().splitlines()
    validation = [index for index, row in enumerate(rows) if row.startswith("PublicTest")]
    for index in validation[:3]:
        rows[index] = "PublicTest,odd.png,4,3,3,0,0,0,0,0,0,0"
    (tmp_path / "fer2013new.csv").write_text("\n".join([head, *rows]) + "\n")
    for votes, faces in (("soft", 70), ("plurality", 70), ("majority", 67)):
        done = command("fer-train", "evaluate", "ferplus7", tmp_path, "--votes", votes)
        assert f"on {faces} faces" in done.stdout, done.stderr


def test_a_folder_of_pictures_is_judged_without_a_report(command: Run, tmp_path: Path) -> None:
    for label, face in load_composites().items():
        (tmp_path / "validation" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "validation" / label / "a.png"), face)
    done = command("fer-train", "evaluate", "ferplus7", tmp_path, "--labels", "fer2013")
    assert done.returncode == 0, done.stderr
    assert "on 7 faces" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["validation"]


def test_a_model_without_a_record_wants_its_labels_named(
    command: Run, tiny_data: Path, bundle_dir: Path, tmp_path: Path
) -> None:
    alone = shutil.copy(bundle_dir / "model.tflite", tmp_path / "alone.tflite")
    done = command("fer-train", "evaluate", alone, tiny_data)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {alone}: no training record says which labels it was trained on. Give --labels\n",
    )
    assert command("fer-train", "evaluate", alone, tiny_data, "--labels", "ferplus7").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "telling"),
    [
        (("ferplus7", "DATA", "--labels", "ferplus8"), 4, "has 7 classes, but ferplus8 has 8"),
        (
            ("ferplus7", "DATA", "--split", "exam"),
            2,
            "split 'exam' is unknown. Choose train, validation, test or held-out",
        ),
        (("ferplus7", "DATA", "--labels", "mine"), 2, "labels 'mine' are unknown"),
        (("ferplus7", "TMP/none"), 2, "none: no such file or folder"),
        (("ferplus9", "DATA"), 4, "model 'ferplus9' is neither a folder nor a shipped model"),
        (("TMP", "DATA"), 4, "model.json: missing"),
        (("TMP/run", "DATA"), 2, "run: its training is not finished. Repeat its command with --resume"),
        (("ferplus7", "TMP/folders"), 2, "folders: no folder for the validation split"),
        (("ferplus7", "TMP/fer2013.csv"), 2, "fer2013new.csv: missing. The ferplus7 and ferplus8 labels are FER+'s"),
        (("ferplus7", "DATA", "--labels", "fer2013", "--votes", "majority"), 2, "fer2013 labels come from no votes"),
        (("TMP/none.tflite", "DATA"), 4, "none.tflite: cannot be read (No such file or directory)"),
        (("TMP/text.tflite", "DATA"), 4, "text.tflite: not a TFLite model"),
        (("TMP/none.keras", "DATA"), 4, "none.keras: no such file"),
        (("TMP/text.keras", "DATA"), 4, "text.keras: is not a usable Keras model (not the archive"),
        (("ferplus7", "DATA", "--out", "TMP/text.keras/below"), 2, "below: cannot be created (Not a directory)"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    command: Run, tiny_data: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, telling: str
) -> None:
    for name in ("text.tflite", "text.keras"):
        (tmp_path / name).write_text("this is no model")
    (tmp_path / "run" / "unfinished").mkdir(parents=True)
    (tmp_path / "folders" / "train" / "sad").mkdir(parents=True)
    shutil.copy(tiny_data / "fer2013.csv", tmp_path)
    words = (word.replace("DATA", str(tiny_data)).replace("TMP", str(tmp_path)) for word in arguments)
    done = command("fer-train", "evaluate", *words)
    assert done.returncode == code, done.stderr
    assert telling in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["ferplus7", "ferplus8"])
def test_folders_of_images_have_the_labels_of_any_model(command: Run, tmp_path: Path, name: str) -> None:
    for label, face in load_composites().items():
        (tmp_path / "validation" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "validation" / label / "face.png"), face)
    done = command("fer-train", "evaluate", name, tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Accuracy ")]
    assert "on 7 faces of" in line
    assert f"{name} labels" in line
    assert float(line.split()[1].rstrip("%")) > 80


def test_models_that_do_not_fit_are_refused(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    warm.run_script(f"""
import keras
def save(name, size, activation):
    inputs = keras.Input((size, size, 1))
    outputs = keras.layers.Dense(7, activation=activation)(keras.layers.GlobalAveragePooling2D()(inputs))
    keras.Model(inputs, outputs).save({str(tmp_path)!r} + name)
save("/large.keras", 64, "softmax")
save("/logits.keras", 48, None)
model = keras.saving.load_model({str(tmp_path)!r} + "/logits.keras")
model.layers[-1].set_weights([weight * float("nan") for weight in model.layers[-1].get_weights()])
model.save({str(tmp_path)!r} + "/diverged.keras")
""")
    for name, telling in (
        ("large", "goes from (None, 64, 64, 1)"),
        ("logits", "its outputs do not sum to one"),
        ("diverged", "its outputs are not finite: the training diverged"),
    ):
        done = command("fer-train", "evaluate", tmp_path / f"{name}.keras", tiny_data, "--labels", "fer2013")
        assert done.returncode == 4
        assert telling in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_exported_files_predict_the_same(command: Run, float_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    done = command("fer-train", "export", float_model, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in out.iterdir()} == {"architecture.json", "model.h5", "model.weights.h5"}
    np.save(tmp_path / "faces.npy", FACES)
    differences = warm.run_script(f"""
import keras
import numpy as np
from pathlib import Path
out = Path({str(out)!r})
faces = np.load({str(tmp_path / "faces.npy")!r})[..., None]
rebuilt = keras.models.model_from_json((out / "architecture.json").read_text())
rebuilt.load_weights(out / "model.weights.h5")
models = [keras.saving.load_model(path, compile=False) for path in ({str(float_model)!r}, out / "model.h5")]
first, *others = (np.asarray(model.predict(faces, verbose=0)) for model in (*models, rebuilt))
print(len(others), *(np.abs(first - other).max() for other in others), first.std() > 0.1)
""")
    assert differences.decode().split() == ["2", "0.0", "0.0", "True"]
    done = command("fer-train", "export", tmp_path / "no.keras", out)
    assert done.returncode == 4
    assert "no.keras: no such file" in done.stderr


def test_robustness_is_the_same_each_time_and_begins_with_the_faces_as_they_are(
    command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / "once", tmp_path / "again"]
    for out in outs:
        done = command("fer-train", "robustness", "ferplus7", tiny_data, "--out", out)
        assert (done.returncode, done.stderr) == (0, "")
    for name in ("robustness.csv", "robustness.md"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    rows = list(csv.DictReader((outs[0] / "robustness.csv").open()))
    assert len(rows) == 1 + sum(len(corruption.levels) for corruption in CORRUPTIONS)
    assert rows[0]["corruption"] == "none"
    accuracy = {(row["corruption"], row["level"]): float(row["accuracy"]) for row in rows}
    assert accuracy["none", ""] > accuracy["noise", "30 levels"]
    by_kind = [
        np.mean([share for (name, _), share in accuracy.items() if name == corruption.name])
        for corruption in CORRUPTIONS
    ]
    assert f"| mean |  | {100 * np.mean(by_kind):.1f} |" in (outs[0] / "robustness.md").read_text()
    assert "neutral" in done.stdout
