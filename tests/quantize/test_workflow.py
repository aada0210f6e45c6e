"""What a conversion writes into a bundle, and what keeps it from writing one: on a network that compares pictures."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.conftest import Run

from fer_edge import __version__
from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import Bundle, find_bundle, load_bundle, sha256
from fer_edge.model.classifier import Classifier
from fer_train.backend import load_keras
from fer_train.data.datasets import LABELS, LabelledFaces, Split, load_dataset

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_quantize.check import compare  # noqa: E402
from fer_quantize.convert import to_int8  # noqa: E402
from fer_quantize.gate import Limits, Outcome, Rival  # noqa: E402
from fer_quantize.inputs import Origin  # noqa: E402
from fer_quantize.refresh import Material, read_material, recipe_for, refresh  # noqa: E402
from fer_quantize.report import plot, print_outcome  # noqa: E402
from fer_quantize.representative import representative_rows  # noqa: E402
from fer_quantize.statistics import PairedDrop  # noqa: E402
from fer_quantize.temperature_scaling import calibrate  # noqa: E402
from fer_quantize.workflow import check_bundle, convert_model  # noqa: E402
from fer_train.architectures import ARCHITECTURES, Architecture  # noqa: E402
from fer_train.keras_models import load_model, predict  # noqa: E402
from fer_train.recipes import Recipe, load_recipe  # noqa: E402

NAMES = LABELS["ferplus7"]
PRIOR = dict(zip(NAMES, (0.3, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1), strict=True))


pytestmark = pytest.mark.usefixtures("folder_of_tensorflow")


def network(turn: int = 0) -> keras.Model:
    """It finds the composite face that a picture is most like; `turn` moves its answers on by so many classes."""
    image = keras.Input((48, 48, 1))
    answers = keras.layers.Dense(7, activation="softmax", name="probabilities")(keras.layers.Flatten()(image))
    model = keras.Model(image, answers)
    levels = np.array([load_composites()[name].ravel() for name in NAMES], np.float32)
    levels -= levels.mean(axis=1, keepdims=True)
    levels /= np.linalg.norm(levels, axis=1, keepdims=True)
    model.layers[-1].set_weights([np.roll(levels.T / 150, turn, axis=1), np.zeros(7, np.float32)])
    return model


def noisy(count: int, split: Split, seed: int) -> LabelledFaces:
    """Composite faces with noise, of which every fifth has the label of the next."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 7
    faces = np.array([load_composites()[NAMES[label]] for label in classes], float)
    images = np.clip(np.rint(faces + rng.normal(0, 5, faces.shape)), 0, 255).astype(np.uint8)
    targets = np.eye(7, dtype=np.float32)[(classes + (np.arange(count) % 5 == 0)) % 7]
    return LabelledFaces(images, targets, np.arange(count) + 1000, "ferplus7", Path("data/made.csv"), split)


def origin(folder: Path, **changes: Any) -> Origin:
    path = folder / "run" / "model.keras"
    path.parent.mkdir(exist_ok=True)
    model = changes.pop("model", None) or network()
    model.save(path)
    checked = noisy(77, "validation", 2)
    other = replace(checked, targets=np.roll(checked.targets, 1, axis=1), scheme="fer2013")
    found = Origin(
        path=path,
        model=model,
        training={"scheme": "ferplus7"},
        representative=noisy(35, "train", 0),
        seed=5,
        prior=PRIOR,
        fresh=noisy(210, "held-out", 1),
        labellings=(checked, other),
    )
    return replace(found, **changes)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of that network."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        convert_model(origin(folder), folder / "good", (), None)
    return folder / "good"


def right(bundle: Bundle, faces: LabelledFaces) -> float:
    classifier = Classifier(bundle)
    return float(np.mean([classifier.probabilities(image).argmax() for image in faces.images] == faces.classes))


def test_the_bundle_tells_what_it_was_made_of_and_how_it_was_measured(tmp_path: Path) -> None:
    made, out = origin(tmp_path), tmp_path / "mine"
    expected = calibrate(network(), made.fresh, PRIOR)
    before = predict(made.model, made.faces)
    made.path.with_name("history.csv").write_text("epoch\n0\n")
    outcome = convert_model(made, out, (), None)
    bundle = load_bundle(out)
    manifest, checked = bundle.manifest, made.labellings[0]
    assert (outcome.written, outcome.gated, outcome.refusal, outcome.rival) == (True, False, None, None)
    assert (manifest.name, manifest.version, manifest.parent) == ("mine", __version__, None)
    assert (manifest.labels, manifest.input_shape, manifest.crop_margin) == (NAMES, (48, 48, 1), 0)
    assert (manifest.macs, manifest.parameters) == (48 * 48 * 7, 48 * 48 * 7 + 7)
    assert manifest.quantization is not None
    assert manifest.quantization.model_dump() == {
        "scheme": "int8",
        "representative_rows": tuple(range(1000, 1035)),
        "representative_fingerprint": made.representative.fingerprint,
        "seed": 5,
        "int16_layers": (),
    }
    assert manifest.calibration == outcome.calibration == expected
    assert expected is not None
    assert abs(expected.temperature - 1) > 0.05
    assert manifest.prior == PRIOR
    assert manifest.training == {"scheme": "ferplus7"}
    assert manifest.licence.startswith("MIT for the model file; FER2013")
    assert [(each.labels, each.images) for each in manifest.accuracy] == [("ferplus7", 77), ("fer2013", 77)]
    accuracy = right(bundle, checked)
    assert 0.5 < accuracy < 1
    assert manifest.accuracy[0].accuracy_int8 == pytest.approx(accuracy, abs=1e-4)
    answers = np.array([Classifier(bundle).probabilities(image) for image in checked.images])
    assert manifest.reference_distribution == pytest.approx(
        dict(zip(NAMES, answers.mean(axis=0), strict=True)), abs=1e-4
    )
    assert manifest.reference is not None
    assert (manifest.reference.labels, manifest.reference.data) == ("ferplus7", "made.csv")
    # The float model in it is the calibrated one, which int8 was made from.
    kept = predict(load_model(out / "model.keras"), made.faces)
    assert np.abs(kept - before).max() > 0.01
    assert np.allclose(kept, predict(made.model, made.faces))
    ints = np.array([Classifier(bundle).probabilities(image) for image in made.faces])
    assert np.abs(ints - kept).mean() < np.abs(ints - before).mean() / 2
    assert (out / "history.csv").read_text() == "epoch\n0\n"


def test_what_another_gate_refuses_is_not_written(tmp_path: Path) -> None:
    made, out, asked = origin(tmp_path), tmp_path / "mine", []

    def refuse(bundle: Bundle) -> str:
        asked.append(right(bundle, made.labellings[0]))
        return "it is not better"

    outcome = convert_model(made, out, (), None, refuse=refuse)
    assert (outcome.refusal, outcome.written, out.exists()) == ("it is not better", False, False)
    assert asked == [pytest.approx(outcome.comparison.measurements[0].accuracy.accuracy_int8, abs=1e-4)]
    outcome = convert_model(origin(tmp_path), out, (), Limits(100, 100, 99.9), refuse=refuse)
    assert "less than the 99.9 % asked for" in str(outcome.refusal)
    assert (outcome.written, out.exists(), len(asked)) == (False, False, 1)


def test_a_model_that_another_bundle_beats_is_not_written(good: Path, tmp_path: Path) -> None:
    """A bundle of another network on the same classes, moved on by one, is worse on the same faces."""
    bad = tmp_path / "bad"
    beaten = convert_model(origin(tmp_path, model=network(1)), bad, (), Limits(100, 100), against=str(good))
    assert beaten.rival is not None
    assert (beaten.rival.name, beaten.gated, beaten.written, bad.exists()) == ("good", True, False, False)
    checked = origin(tmp_path).labellings[0]
    assert beaten.rival.accuracy == pytest.approx(right(load_bundle(good), checked))
    assert beaten.rival.loss.drop > 50
    only_told = convert_model(origin(tmp_path, model=network(1)), bad, (), None, against=str(good))
    assert only_told.rival == beaten.rival
    assert (only_told.refusal, only_told.written) == (None, True)


def test_a_model_that_its_training_measured_better_is_not_written(tmp_path: Path) -> None:
    made = origin(tmp_path)
    data = {"validation": {"fingerprint": made.labellings[0].fingerprint}}
    training = {"scheme": "ferplus7", "data": data, "results": {"validation": {"accuracy": 0.95}}}
    outcome = convert_model(replace(made, training=training), tmp_path / "mine", (), Limits(100, 100))
    assert "its training recorded 95.00%: it is not the model that was trained" in str(outcome.refusal)
    assert not (tmp_path / "mine").exists()


def test_a_bundle_is_checked_with_the_labels_and_against_the_bundle_that_are_named(good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    convert_model(origin(tmp_path, model=network(1)), bad, ("probabilities",), None, licence="mine alone")
    manifest = load_bundle(bad).manifest
    assert manifest.quantization is not None
    assert (manifest.quantization.int16_layers, manifest.licence) == (("probabilities",), "mine alone")
    for faces in (noisy(35, "train", 5), noisy(70, "validation", 6)):
        write_faces(tmp_path / "data", faces)
    outcome = check_bundle(str(bad), tmp_path / "data", None, Limits(100, 100), against=str(good))
    assert outcome.rival is not None
    assert (outcome.rival.name, outcome.gated, outcome.written) == ("good", True, False)
    assert outcome.rival.loss.drop > 50
    assert [each.accuracy.labels for each in outcome.comparison.measurements] == ["ferplus7", "fer2013"]
    outcome = check_bundle(str(bad), tmp_path / "data", "fer2013", None)
    assert [each.accuracy.labels for each in outcome.comparison.measurements] == ["fer2013"]
    assert (outcome.rival, outcome.gated) == (None, False)


def test_the_options_of_the_command_reach_the_conversion_and_the_check(
    command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "model.keras", tmp_path / "out"
    network().save(model)
    options = ("--labels", "ferplus7", "--representative", 30, "--seed", 7, "--licence", "mine alone", "--out", out)
    done = command("fer-quantize", model, "--data", tiny_data, *options, timeout=300)
    assert done.returncode == 0, done.stderr
    manifest = load_bundle(out).manifest
    faces = load_dataset(tiny_data, "train", "ferplus7")
    chosen = faces.take(representative_rows(faces, 30, 7))
    assert manifest.quantization is not None
    assert manifest.quantization.representative_rows == tuple(chosen.rows)
    assert (manifest.quantization.seed, manifest.licence) == (7, "mine alone")
    wide = ("--max-drop", 100, "--max-class-drop", 100)
    for limits, said in (((), "passed"), (("--min-accuracy", 99.9), "less than the 99.9 % asked for")):
        done = command("fer-quantize", out, "--data", tiny_data, "--check", *wide, *limits)
        assert said in done.stdout, done.stdout + done.stderr
        assert done.returncode == (1 if limits else 0)


def test_each_limit_of_the_command_is_for_its_own_loss(
    good: Path, command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    """An int8 model of other answers than its float model."""
    broken = Path(shutil.copytree(good, tmp_path / "broken"))
    turned = to_int8(network(1), noisy(35, "train", 0).images)
    (broken / "model.tflite").write_bytes(turned)
    manifest = json.loads((broken / "model.json").read_text())
    manifest["files"]["model.tflite"] = sha256(turned)
    (broken / "model.json").write_text(json.dumps(manifest))
    for options, telling in (
        ((), "percentage points, more than the 0.5 allowed"),
        (("--max-drop", 100), "more than the 2 allowed"),
        (("--max-drop", 40, "--max-class-drop", 100), "percentage points, more than the 40 allowed"),
    ):
        done = command("fer-quantize", broken, "--data", tiny_data, "--check", *options)
        assert done.returncode == 1, done.stderr
        assert telling in done.stdout


def test_a_refreshed_model_counts_on_and_takes_samples_as_the_crops_they_are(tmp_path: Path) -> None:
    """Of the faces to check on, twenty are noise: a detector finds none there."""
    parent, out = load_bundle(find_bundle("ferplus7-tiny")), tmp_path / "mine"
    faces = noisy(77, "validation", 2)
    faces.images[:20] = np.random.default_rng(0).integers(0, 255, (20, 48, 48))
    made = origin(tmp_path, labellings=(faces,), parent=parent)
    for version in ("0.1.1", "0.1.2"):
        convert_model(made, out, (), None)
        manifest = load_bundle(out).manifest
        assert manifest.version == version
        assert manifest.reference is not None
        assert manifest.reference.faces == 77
    assert manifest.parent is not None
    assert manifest.parent.model_dump() == {
        "name": "ferplus7-tiny", "version": "0.1.0", "sha256": sha256(parent.model),
    }  # fmt: skip
    versioned = replace(parent, manifest=parent.manifest.model_copy(update={"version": "7"}))
    photographs = replace(made.representative, files=(Path("a.jpg"),), source=Path("home/family"))
    training = {"scheme": "ferplus7", "init": {"model": "a"}}
    convert_model(
        replace(made, parent=versioned, representative=photographs, training=training), tmp_path / "other", (), None
    )
    other = load_bundle(tmp_path / "other").manifest
    assert (other.version, other.licence) == (
        "7.1",
        "not stated; it follows that of the training data, family and of the model that it was initialised from",
    )
    convert_model(replace(made, parent=None, representative=photographs), tmp_path / "new", (), None, licence=None)
    new = load_bundle(tmp_path / "new").manifest
    assert (new.version, new.licence) == (
        __version__, "not stated; it follows that of the training data, family",
    )  # fmt: skip
    assert new.reference is not None
    assert 50 <= new.reference.faces <= 60, "what a detector finds"
    assert new.reference.labels == "ferplus7"


def test_the_tables_show_each_figure_in_its_place(
    good: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The float network is worse here than the int8 one, and the other bundle better, so that signs show."""
    monkeypatch.setenv("COLUMNS", "200")
    bundle = load_bundle(good)
    comparison = compare(network(1), bundle, [noisy(77, "validation", 2)])
    rival = Rival("other", 0.9, PairedDrop(10.0, (5.0, 20.0), 10, 0, 0.01))
    print_outcome(Outcome(good, comparison, bundle.manifest.calibration, False, None, ("few",), rival, True))
    shown = capsys.readouterr().out
    first = comparison.measurements[0]
    rows = {
        cells[1]: cells[2:-1]
        for cells in ([*map(str.strip, line.split("│"))] for line in shown.splitlines())
        if len(cells) > 3
    }
    accuracy = first.accuracy
    assert accuracy.accuracy_float < 0.3 < accuracy.accuracy_int8
    cells = rows["ferplus7, validation"]
    assert cells[0] == "77"
    assert cells[1].startswith(f"{100 * accuracy.accuracy_float:.2f} ({100 * first.interval_float[0]:.1f} to ")
    assert cells[2].startswith(f"{100 * accuracy.accuracy_int8:.2f} ({100 * first.interval_int8[0]:.1f} to ")
    assert cells[3].startswith(f"{first.drop.drop:+.2f} (-")
    read = [accuracy.recall_float["happy"], accuracy.recall_int8["happy"]]
    assert rows["happy"] == [
        *(f"{recall:.1%}" for recall in read), f"{first.class_drop('happy'):+.1f}", f"{first.net_losses['happy']:+d}",
    ]  # fmt: skip
    assert first.net_losses["happy"] < 0
    assert float(rows["float32"][0]) > 3 * float(rows["int8"][0])
    assert f"calibration error {first.ece_float:.3f} float, {first.ece_int8:.3f} int8" in shown
    assert "Against other (90.00%): -10.00 percentage points (-20.00 to -5.00), McNemar p 0.01." in shown
    assert "Note: few." in shown
    assert "passed" not in shown
    assert f"{good}: written" in shown


def test_the_plot_has_a_bar_for_each_recall(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr("fer_quantize.report.as_png", drawn.append)
    comparison = compare(network(1), load_bundle(good), [noisy(77, "validation", 2)])
    plot(comparison)
    accuracy = comparison.measurements[0].accuracy
    (axes,) = drawn[0].axes
    bars = {str(group.get_label()): [bar.get_height() for bar in group] for group in axes.containers}
    assert bars == {
        "float": [pytest.approx(100 * (recall or 0)) for recall in accuracy.recall_float.values()],
        "int8": [pytest.approx(100 * (recall or 0)) for recall in accuracy.recall_int8.values()],
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == list(NAMES)
    assert f"{accuracy.accuracy_float:.2%} float, {accuracy.accuracy_int8:.2%} int8" in axes.get_title()
    assert (axes.get_ylim(), axes.get_ylabel()) == ((0, 100), "recall, %")
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["float", "int8"]
    before, after = (group[0] for group in axes.containers)
    assert before.get_x() + before.get_width() == pytest.approx(after.get_x()), "side by side"


# The refresh of such a bundle


@pytest.fixture
def parent(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundle whose training names that network; nobody looks at the pictures of the training's report."""

    def build(classes: int, dropout: float = 0.0) -> keras.Model:  # noqa: ARG001 - a builder's signature
        return network()

    monkeypatch.setitem(ARCHITECTURES, "compares", Architecture(build, "made here"))
    monkeypatch.setattr("fer_train.training.artifacts.write_report", lambda *_, **__: None)
    copy = Path(shutil.copytree(good, tmp_path / "parent"))
    manifest = json.loads((copy / "model.json").read_text())
    manifest |= {"training": {"scheme": "ferplus7", "recipe": {"architecture": "compares"}}, "version": "1.9"}
    (copy / "model.json").write_text(json.dumps(manifest))
    return copy


def write_faces(folder: Path, faces: LabelledFaces) -> None:
    for place, image in enumerate(faces.images):
        path = folder / faces.split / faces.labels[faces.classes[place]] / f"{faces.rows[place]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)


def test_a_refresh_reads_samples_that_are_not_among_those_held_out(parent: Path, tmp_path: Path) -> None:
    samples, data = tmp_path / "samples", tmp_path / "data"
    learnt, held_out = noisy(35, "train", 3), noisy(21, "validation", 4)
    held_out.images[:5] = learnt.images[:5]
    for faces, folder in ((learnt, samples), (held_out, samples)):
        write_faces(folder, faces)
    for faces in (noisy(14, "train", 5), noisy(28, "validation", 6)):
        write_faces(data, faces)
    material = read_material(samples, str(parent), data)
    assert (len(material.samples), len(material.held_out)) == (30, 21)
    assert material.old is not None
    assert material.validation is not None
    assert (len(material.old), material.old.split) == (14, "train")
    assert (len(material.validation), material.validation.split) == (28, "validation")
    assert material.start == parent / "model.keras"
    assert material.parent.manifest.version == "1.9"
    assert recipe_for(material, 7) == load_recipe("refresh", architecture="compares", labels="ferplus7", seed=7)
    alone = read_material(samples, str(parent), None)
    assert (alone.old, alone.validation) == (None, None)
    assert recipe_for(alone) == load_recipe("photographs", architecture="compares", labels="ferplus7", seed=0)


QUICK: dict[str, Any] = {
    "labels": "ferplus7", "architecture": "compares", "epochs": 4, "batch_size": 16, "optimizer": "adam",
    "schedule": "constant", "learning_rate": 0.0005, "weight_decay": 0, "ema": 0, "seed": 3,
}  # fmt: skip


def upside_down(faces: LabelledFaces) -> LabelledFaces:
    return replace(faces, images=np.ascontiguousarray(faces.images[:, ::-1]))


def material(parent: Path, *, old: bool) -> Material:
    """The device sees each face upside down; the old faces, if they are there, are upright."""
    samples, held_out = (upside_down(faces) for faces in (noisy(140, "train", 7), noisy(210, "validation", 9)))
    validation = noisy(84, "validation", 8) if old else None
    return Material(load_bundle(parent), parent / "model.keras", samples, held_out, None, validation)


def test_a_refresh_that_is_better_on_the_held_out_samples_is_written(parent: Path, tmp_path: Path) -> None:
    out, given = tmp_path / "out", material(parent, old=False)
    result = refresh(given, out, Recipe.model_validate(QUICK))
    assert (result.refusal, result.on_validation) == (None, None)
    assert result.on_samples is not None
    assert (result.images, result.start_share, result.version) == ((210, 0), 0, "1.10")
    before, after = (right(load_bundle(folder), given.held_out) for folder in (parent, out))
    assert result.on_samples.accuracy == pytest.approx(before)
    assert result.on_samples.loss.drop == pytest.approx(100 * (before - after))
    assert after > before + 0.1
    manifest = load_bundle(out).manifest
    assert (manifest.version, manifest.parent is not None) == ("1.10", True)
    (measured,) = manifest.accuracy
    assert measured.images == 210
    assert measured.accuracy_int8 == pytest.approx(after, abs=1e-4)
    assert manifest.calibration is not None
    assert manifest.calibration.images == 210, "on faces that were not learnt"
    assert manifest.quantization is not None
    assert manifest.quantization.seed == 3
    told: dict[str, Any] = manifest.training
    assert (told["start_share"], told["replayed_from"]) == (0, None)
    assert told["samples"]["fingerprint"] == given.samples.fingerprint
    assert manifest.licence.startswith("not stated; it follows that of the samples, and of good: MIT for the model")


def test_what_a_refresh_learns_is_taken_back_by_halves_while_it_costs_too_much(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[list[Any]] = []

    def convert(origin: Origin, *others: Any, **named: Any) -> Outcome:
        converted.append(origin.model.get_weights())
        return convert_model(origin, *others, **named)

    monkeypatch.setattr("fer_quantize.refresh.convert_model", convert)
    given = material(parent, old=True)
    result = refresh(given, tmp_path / "out", Recipe.model_validate(QUICK))
    start = load_model(given.start).get_weights()
    for place, before in enumerate(start):
        learnt, half, quarter = (weights[place] - before for weights in converted)
        assert learnt.any()
        assert half == pytest.approx(learnt / 2, abs=1e-6)
        assert quarter == pytest.approx(learnt / 4, abs=1e-6)
    assert result.on_samples is not None
    assert result.on_validation is not None
    assert given.validation is not None
    assert result.on_samples.accuracy == pytest.approx(right(given.parent, given.held_out))
    assert result.on_validation.accuracy == pytest.approx(right(given.parent, given.validation))
    assert result.on_validation.loss.drop > 10
    assert (result.images, result.start_share, result.version) == ((210, 84), 0.75, None), "halved twice, then refused"
    assert f"it loses {result.on_validation.loss.drop:.2f} percentage points" in str(result.refusal)
    assert not (tmp_path / "out").exists()


def test_a_refresh_that_learns_nothing_writes_nothing(parent: Path, tmp_path: Path) -> None:
    idle = Recipe.model_validate(QUICK | {"learning_rate": 1e-30, "epochs": 1})
    result = refresh(material(parent, old=True), tmp_path / "out", idle)
    assert "the training gained nothing on the held-out samples" in str(result.refusal)
    assert (result.on_samples, result.version, result.images) == (None, None, (210, 0))
    assert (result.parent.version, result.folder, result.start_share) == ("1.9", tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()
