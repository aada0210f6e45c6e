"""The commands of fer-train, in this process: each does as its options say, and says what it wrote and what is next."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import typer
from tests.screen import rows_of
from tests.update_server import serve_updates
from typer.testing import CliRunner, Result

from fer_edge.assets.composites import load_composites
from fer_edge.errors import FerError
from fer_edge.labels import FER2013
from fer_edge.sources.demo import DemoSource, Scene
from fer_edge.types import FaceBox
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - quiet only when it is loaded so

from fer_train.architectures import ARCHITECTURES, Architecture  # noqa: E402
from fer_train.architectures.parts import HEAD, grey_input  # noqa: E402
from fer_train.cli.app import app  # noqa: E402
from fer_train.data.composites import composite_atlas, write_atlas  # noqa: E402
from fer_train.data.datasets import load_dataset  # noqa: E402
from fer_train.keras_models import load_model  # noqa: E402
from fer_train.pretrained.face_recognition import FACE_API  # noqa: E402
from fer_train.recipes import load_recipe  # noqa: E402


def ran(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def said(*words: object) -> str:
    """What a command prints; it must succeed."""
    done = ran(*words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refused(*words: object) -> str:
    """The error of a command that refuses."""
    found = ran(*words).exception
    assert isinstance(found, FerError), found
    return str(found)


def brightness(classes: int, dropout: float = 0.0) -> keras.Model:  # noqa: ARG001 - as all builders
    """A network that sees how bright five places of a face are."""
    inputs, x = grey_input()
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(16)(x))
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax", name=HEAD)(x), name="brightness")


def save_run(folder: Path, seed: int, **record: Any) -> Path:
    """A folder as of a training, whose weights are random."""
    keras.utils.set_random_seed(seed)
    folder.mkdir()
    brightness(7).save(folder / "model.keras")
    (folder / "training.json").write_text(json.dumps({"scheme": "fer2013", **record}))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_run(tmp_path / "run", 1)


# Data


def test_explore_shows_and_writes_what_the_labels_and_votes_make_of_the_data(tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "looked"
    text = said("explore", tiny_data, "--labels", "ferplus7", "--out", out)
    assert "280" in text
    written = [line for line in text.splitlines() if line.endswith(": written")]
    assert written == [f"{out / name}: written" for name in ("contact_sheet.png", "histogram.png", "findings.csv")]
    assert all((out / name).is_file() for name in ("contact_sheet.png", "histogram.png", "findings.csv"))
    assert "contempt" in said("explore", tiny_data, "--labels", "ferplus8")
    assert "contempt" not in text
    assert "'few'" in refused("explore", tiny_data, "--votes", "few")
    assert "'ferplus9'" in refused("explore", tiny_data, "--labels", "ferplus9")


@pytest.mark.parametrize("shipped", [True, False])
def test_crop_writes_faces_and_says_how_to_train_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: bool
) -> None:
    photographs, faces = tmp_path / "mine", tmp_path / "my faces"
    (photographs / "happy").mkdir(parents=True)
    with DemoSource(paced=False) as demo:
        for index in range(2):
            scene = Scene("happy", "happy", 0, FaceBox(150.0 + 50 * index, 100.0, 200.0, 200.0))
            cv2.imwrite(str(photographs / "happy" / f"{index}.png"), demo.render(scene))
    if not shipped:
        monkeypatch.setattr("fer_edge.model.bundle.find_bundle", lambda _name: tmp_path)
    text = said("crop", photographs, faces, "--validation", 0.5)
    assert [len(load_dataset(faces, split)) for split in ("train", "validation")] == [1, 1]
    start = "ferplus7" if shipped else "models/ferplus7"
    command = f"fer-train fit --data '{faces}' --recipe photographs --init {start} --out runs/mine"
    assert "happy" in text
    lines = text.splitlines()
    assert f"{faces}: written. Next: {command}" in lines
    told = "models/ferplus7 is in a clone of fer-edge's repository: installed packages leave its model.keras out."
    assert (lines[-1] == told) is not shipped


def test_composites_average_so_many_similar_faces_of_the_labels(tiny_data: Path, tmp_path: Path) -> None:
    for labels, count in (("fer2013", 3), ("ferplus7", 5)):
        out, expected = tmp_path / f"{labels}.png", tmp_path / "expected.png"
        text = said("composites", "--data", tiny_data, "--labels", labels, "--most-similar", count, "--out", out)
        assert text == f"{out}: written\n"
        faces = load_dataset(tiny_data, "train", "ferplus7" if labels == "ferplus7" else "fer2013")
        write_atlas(composite_atlas(faces, count), expected)
        assert out.read_bytes() == expected.read_bytes()
    told = refused("composites", "--data", tiny_data, "--labels", "ferplus8", "--out", tmp_path / "a.png")
    assert told == "labels 'ferplus8': the demo needs seven classes. Choose fer2013 or ferplus7"
    lost = tmp_path / "none" / "a.png"
    assert refused("composites", "--data", tiny_data, "--out", lost) == f"{lost}: there is no folder {lost.parent}"


# Models


def test_evaluate_measures_the_split_with_the_mirror_and_writes_there(
    tiny_data: Path, tmp_path: Path, run: Path
) -> None:
    out = tmp_path / "report"
    text = said("evaluate", run, tiny_data, "--split", "test", "--out", out)
    assert text.endswith(f"{out / 'report.md'}: written\n")
    assert json.loads((out / "scores.json").read_text())["images"] == 14
    assert "with the mirror image" not in " ".join(text.split())
    text = said("evaluate", run, tiny_data, "--mirror")
    assert "with the mirror image" in " ".join(text.split()), "the title may take several lines"
    assert "written" not in text


def test_evaluate_refuses_what_it_does_not_know(tiny_data: Path, run: Path) -> None:
    assert "split 'best' is unknown" in refused("evaluate", run, tiny_data, "--split", "best")
    assert "'few'" in refused("evaluate", run, tiny_data, "--votes", "few")
    assert "'ferplus9'" in refused("evaluate", run, tiny_data, "--labels", "ferplus9")
    assert "only a bundle has a prior" in refused("evaluate", run, tiny_data, "--prior", 0.5)


def test_robustness_is_measured_on_the_split_with_the_seed_and_written(tiny_data: Path, tmp_path: Path) -> None:
    tables = []
    for seed in (0, 9):
        out = tmp_path / str(seed)
        text = said("robustness", "ferplus7-tiny", tiny_data, "--split", "test", "--seed", seed, "--out", out)
        assert text.endswith(f"{out / 'robustness.md'}: written\n")
        assert "14" in text
        tables.append((out / "robustness.csv").read_text())
    assert tables[0] != tables[1], "other noise and other directions"


def test_robustness_refuses_what_it_does_not_know(tiny_data: Path, run: Path) -> None:
    assert "split 'best' is unknown" in refused("robustness", run, tiny_data, "--split", "best")
    assert "'few'" in refused("robustness", run, tiny_data, "--votes", "few")
    assert "'ferplus9'" in refused("robustness", run, tiny_data, "--labels", "ferplus9")


def test_prior_prints_a_row_for_each_power_and_writes_the_same(tiny_data: Path, tmp_path: Path) -> None:
    text = said("prior", "ferplus7-tiny", tiny_data, "--split", "test", "--out", tmp_path)
    lines = text.splitlines()
    assert lines[-2:] == [f"{tmp_path / name}: written" for name in ("prior.md", "prior.png")]
    written = (tmp_path / "prior.md").read_text().splitlines()
    table = [line.strip("| ").replace("*", "").split(" | ") for line in written]
    rows = [cells for cells in table if len(cells) == 7 and cells[0][0].isdigit()]
    _, *printed = rows_of(text)
    assert len(rows) == 9
    assert printed == rows
    assert all(heading in text for heading in ("prior", "accuracy, %", "macro recall, %", "log loss"))
    assert "split 'best' is unknown" in refused("prior", "ferplus7-tiny", tiny_data, "--split", "best")
    assert "'ferplus9'" in refused("prior", "ferplus7-tiny", tiny_data, "--labels", "ferplus9")


# As image_dataset_from_directory orders the classes.
SORTED = ",".join(sorted(FER2013))


def save_theirs(path: Path) -> Path:
    """A model of three channels that looks at their means, and answers with logits."""
    image = keras.Input((32, 32, 3))
    dense = keras.layers.Dense(7)
    model = keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image)))
    dense.set_weights([np.random.default_rng(0).normal(0, 1.5, (3, 7)).astype(np.float32), np.zeros(7, np.float32)])
    model.save(path)
    return path


def test_wrap_adapts_as_the_options_say_and_says_what_is_next(tmp_path: Path) -> None:
    theirs, out = save_theirs(tmp_path / "theirs.keras"), tmp_path / "ours"
    text = said("wrap", theirs, "--labels", SORTED, "--mean", "100,110,120", "--scale", "20,30,40", "--out", out)
    first, agreed, *_, last = text.splitlines()
    assert first == f"{out / 'model.keras'}: rgb crops in, fer2013 out; its outputs were logits"
    assert " of 7 " in f" {agreed} "
    assert last == f"Next: fer-quantize {out} --data DATA --out BUNDLE"
    face = next(iter(load_composites().values()))
    level = cv2.resize(face, (32, 32), interpolation=cv2.INTER_AREA).mean()
    kernel = keras.saving.load_model(theirs).layers[-1].get_weights()[0]
    values = (level - np.array([100, 110, 120])) / (20, 30, 40) @ kernel
    powers = np.exp(values - values.max())[[SORTED.split(",").index(label) for label in FER2013]]
    grey = cv2.resize(face, (32, 32), interpolation=cv2.INTER_AREA)[None, ..., None]
    answer = np.asarray(load_model(out / "model.keras")(np.repeat(grey, 3, axis=3).astype(np.float32)))
    assert answer[0] == pytest.approx(powers / powers.sum(), abs=1e-3)


def test_wrap_takes_the_colour_and_the_outputs_that_are_named(tmp_path: Path) -> None:
    theirs, out = save_theirs(tmp_path / "theirs.keras"), tmp_path / "ours"
    options = ("--labels", SORTED, "--scale", 255, "--input", "grey", "--outputs", "probabilities", "--out", out)
    text = said("wrap", theirs, *options)
    assert f"{out / 'model.keras'}: grey crops in, fer2013 out; its outputs were probabilities\n" in text


def test_wrap_refuses_other_files_and_names_the_wrong_option(tmp_path: Path) -> None:
    other = tmp_path / "a.tflite"
    told = refused("wrap", other, "--labels", SORTED, "--scale", 1, "--out", tmp_path / "out")
    assert told == f"{other}: is no .keras or .h5 file. For .tflite: fer-edge models wrap"
    assert "is no .keras" not in refused("wrap", tmp_path / "a.h5", "--labels", SORTED, "--scale", 1, "--out", tmp_path)
    words = ("wrap", tmp_path / "a.keras", "--labels", SORTED, "--out", tmp_path / "out")
    assert refused(*words, "--scale", "much").startswith("--scale")
    assert refused(*words, "--scale", 1, "--mean", "little").startswith("--mean")


# Starts


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, str, npt.NDArray[np.uint8], Path]]:
    """What would be written as a start: the real package has 13 MB, and is not downloaded in tests."""
    found: list[tuple[bytes, str, npt.NDArray[np.uint8], Path]] = []
    monkeypatch.setattr("fer_train.pretrained.face_recognition.write_start", lambda *given: found.append(given))
    return found


@pytest.mark.parametrize("from_disk", [True, False])
def test_fetch_measures_the_package_on_the_training_faces_and_says_how_to_train(
    tiny_data: Path, tmp_path: Path, started: list[tuple[bytes, str, npt.NDArray[np.uint8], Path]], from_disk: bool
) -> None:
    out, archive = tmp_path / "my start", tmp_path / "web" / FACE_API.address
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"archive" * 100)
    with serve_updates(tmp_path / "web") as server:
        source = ("--archive", archive) if from_disk else ("--registry", server.url)
        done = ran("fetch", "resnet29-face", "--data", tiny_data, "--out", out, *source)
    assert done.exit_code == 0, done.exception
    ((content, name, faces, folder),) = started
    assert (content, name, folder) == (b"archive" * 100, str(archive if from_disk else FACE_API.address), out)
    assert np.array_equal(faces, load_dataset(tiny_data, "train").images)
    training = f"fer-train fit --recipe face-teacher --init '{out}' --data {tiny_data} --out FOLDER"
    assert done.stdout == f"{out}: resnet29-face to start from. Next: {training}\n"
    assert ("downloading @vladmandic/face-api 1.7.15" in done.stderr) is not from_disk


def test_fetch_refuses_another_package_and_a_folder_in_use(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"abc")
    words = ("fetch", "resnet29-face", "--data", tiny_data, "--archive", tmp_path / "a.tgz", "--out")
    assert refused(*words, tmp_path / "new").startswith(f"{tmp_path / 'a.tgz'}: its SHA-256 is ")
    assert refused(*words, tmp_path).startswith(f"{tmp_path}: is not an empty folder")


# Trainings


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network has a name; nobody looks at the pictures of the report."""
    monkeypatch.setitem(ARCHITECTURES, "brightness", Architecture(brightness, "made here"))
    monkeypatch.setattr("fer_train.training.artifacts.write_report", lambda *_, **__: None)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("hold_out", [True, False])
def test_average_writes_the_mean_and_says_how_to_quantize(tiny_data: Path, tmp_path: Path, hold_out: bool) -> None:
    values = ["architecture=brightness", "ema=0", f"hold_out={str(hold_out).lower()}"]
    recipe = load_recipe("adam-50", values, labels="fer2013").model_dump(mode="json")
    runs = [save_run(tmp_path / f"run{seed}", seed, recipe=recipe) for seed in (1, 2)]
    second = json.loads((runs[1] / "training.json").read_text())
    (runs[1] / "training.json").write_text(json.dumps(second | {"init": None}))
    out = tmp_path / "the mean"
    text = said("average", *runs, "--data", tiny_data, "--out", out)
    model = out / "model.keras"
    assert text == f"{model}: averaged. Next: fer-quantize '{model}' --data {tiny_data} --check\n"
    one, other, mean = (load_model(run / "model.keras").get_weights() for run in (*runs, out))
    for a, b, c in zip(one, other, mean, strict=True):
        assert c == pytest.approx((a + b) / 2, abs=1e-6)
    parts = json.loads((out / "training.json").read_text())["data"]
    expected = {"train": 252, "held-out": 28} if hold_out else {"train": 280, "validation": 70}
    assert {name: part["images"] for name, part in parts.items()} == expected
    assert refused("average", *runs, "--data", tiny_data, "--out", out).startswith(f"{out}: is not an empty folder")
    assert refused("average", runs[0], "--data", tiny_data, "--out", tmp_path / "new") == (
        "average: there is only one training. Name two or more"
    )


DEFAULTS: dict[str, dict[str, Any]] = {
    "fit": {"recipe": "edge", "precision": "auto", "steps_per_execution": 1},
    "tune": {"recipe": "edge", "precision": "auto", "trials": 20},
    "explore": {"labels": "fer2013", "votes": "soft"},
    "crop": {"validation": 0.2},
    "composites": {"labels": "fer2013", "most_similar": 200},
    "evaluate": {"split": "validation", "votes": "soft", "prior": 0.0},
    "robustness": {"split": "validation", "votes": "soft", "seed": 0},
    "prior": {"split": "validation"},
    "wrap": {"mean": "0"},
    "refresh": {"model": "ferplus7", "seed": 0},
}


def test_an_option_that_is_left_out_has_its_documented_default() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = {
        name: {option.name: option.default for option in commands[name].params if option.name in expected}
        for name, expected in DEFAULTS.items()
    }
    assert found == DEFAULTS


def test_a_command_that_lacks_a_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point itself, as the script calls it."""
    from fer_train.cli import app as module

    given: dict[str, str] = {}
    monkeypatch.setattr(module, "run_app", lambda _app, extra: given.update(extra=extra))
    module.run()
    assert given == {"extra": "train"}
