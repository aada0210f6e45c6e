"""Training from files to a folder with a model, as a user runs it; killed and resumed too."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import pytest
from tests import warm
from tests.conftest import Run, wait_until

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError
from fer_edge.model.bundle import find_bundle, sha256
from fer_train.recipes import load_recipe
from fer_train.runs.resume import claim, compare


def history(out: Path) -> list[dict[str, str]]:
    with (out / "history.csv").open() as handle:
        return list(csv.DictReader(handle))


def begun(out: Path, epochs: int, *options: object) -> None:
    """Start a training and kill it in the middle of an epoch, when `epochs` are done."""
    process = warm.start("fer-train", ["fit", *map(str, (*options, "--out", out))], out.parent)
    checkpoint = out / "unfinished" / f"epoch-{epochs:04d}.weights.h5"
    wait_until(lambda: checkpoint.is_file() or process.exitcode is not None, seconds=300)
    killed = process.exitcode is None
    process.kill()
    process.join()
    assert killed
    assert not (out / "model.keras").exists()


def scalars(folder: Path, name: str) -> list[float]:
    """The values of a curve, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found = EventAccumulator(str(folder))
    found.Reload()
    assert name in found.Tags()["tensors"], found.Tags()
    return [float(make_ndarray(event.tensor_proto)) for event in found.Tensors(name)]


def test_fit_writes_a_model_its_history_and_its_record(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = (
        "--data",
        tiny_data,
        "--recipe",
        "multi-head",
        "--architecture",
        "edge-tiny",
        "--epochs",
        2,
        "--batch-size",
        32,
        "--export-h5",
        "--out",
        out,
    )
    done = command("fer-train", "fit", *options, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "training.json").read_text())
    assert record["scheme"] == "ferplus7"
    assert record["macs"] <= 8_000_000
    parameters = record["parameters"]
    assert record["data"]["train"]["images"] == 280
    assert record["results"]["validation"]["images"] == 70
    assert {path.name for path in out.iterdir()} == {
        *("model.keras", "training.json", "history.csv", "report.md", "scores.json", "ferplus8", "fer2013"),
        *("classes.png", "confusion.png", "curves.png", "reliability.png", "samples.png"),
        *("model.h5", "architecture.json", "model.weights.h5"),
    }
    rows = history(out)
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert {"accuracy", "val_accuracy", "val_ferplus8_accuracy", "val_fer2013_accuracy", "learning_rate"} <= set(
        rows[0]
    )
    again = command("fer-train", "fit", *options)
    assert again.returncode == 2
    assert again.stderr == f"error: {out}: is not an empty folder. Choose another, or --resume an unfinished training\n"
    for scheme in ("ferplus8", "fer2013"):
        record = json.loads((out / scheme / "training.json").read_text())
        assert record["scheme"] == scheme
        assert record["parameters"] == pytest.approx(parameters, rel=0.01), "a model of its own, with the whole trunk"
        assert (out / scheme / "model.keras").is_file()


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_same_schedule(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    options = ["--data", tiny_data, "--recipe", "adam-50", "--architecture", "edge-tiny"]
    options += ["--epochs", 5, "--batch-size", 28]
    cosine = ("--set", "schedule=cosine", "--set", "ema=0.9", "--set", "dropout=0", "--precision", "float32")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert command("fer-train", "fit", *options, *cosine, "--out", whole, timeout=300).returncode == 0
    begun(killed, 2, *options, *cosine)
    for other, telling in ((("--seed", 1), "another recipe"), (("--precision", "mixed_bfloat16"), "another precision")):
        refused = command("fer-train", "fit", *options, *cosine, *other, "--out", killed, "--resume")
        assert refused.returncode == 2
        assert telling in refused.stderr
    done = command("fer-train", "fit", *options, *cosine, "--out", killed, "--resume", timeout=300)
    assert done.returncode == 0, done.stderr
    assert [row["epoch"] for row in history(killed)] == ["0", "1", "2", "3", "4"]
    for row, expected in zip(history(killed), history(whole), strict=True):
        assert float(row["learning_rate"]) == pytest.approx(float(expected["learning_rate"]))
        assert float(row["val_loss"]) == pytest.approx(float(expected["val_loss"]), rel=0.02)


@pytest.mark.slow
def test_plateaus_and_the_best_epoch_outlive_a_kill(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    """At a rate of next to nothing the loss never falls: the rate drops each epoch, and then the training stops."""
    out = tmp_path / "run"
    options = ["--data", tiny_data, "--recipe", "best-checkpoint", "--epochs", 9]
    options += ["--architecture", "cnn-small", "--learning-rate", 1e-30]
    plateau = ("plateau_patience=1", "plateau_factor=0.5", "stop_patience=4", "schedule=plateau")
    options += [word for value in plateau for word in ("--set", value)]
    begun(out, 3, *options)
    done = command("fer-train", "fit", *options, "--out", out, "--resume", timeout=300)
    assert done.returncode == 0, done.stderr
    rates = [float(row["learning_rate"]) for row in history(out)]
    assert rates == pytest.approx([1e-30, 1e-30, 0.5e-30, 0.25e-30, 0.125e-30], rel=1e-6, abs=0)
    best = max(float(row["val_accuracy"]) for row in history(out))
    scored = json.loads((out / "training.json").read_text())["results"]["validation"]["accuracy"]
    assert scored == pytest.approx(best, abs=1e-4)


STUDENT = ("--recipe", "adam-50", "--architecture", "cnn-small", "--labels", "ferplus7")


@pytest.mark.slow
def test_a_student_learns_from_a_teacher_that_is_asked_once(
    command: Run, tiny_data: Path, teacher: Path, tmp_path: Path
) -> None:
    shared = ("--data", tiny_data, *STUDENT, "--epochs", 1)
    student, second = tmp_path / "student", tmp_path / "second"
    options = ("--teacher", teacher, "--tensorboard", tmp_path / "curves", "--steps-per-execution", 2)
    done = command("fer-train", "distill", *shared, *options, "--out", student, timeout=300)
    assert done.returncode == 0, done.stderr
    (row,) = history(student)
    # Of the whole loss, 0.7 is the teachers' at temperature 2, times 4, and the weights are scaled to a sum of one.
    labels_loss, teachers_loss = (float(row[name]) for name in ("val_ferplus7_loss", "val_soft_loss"))
    assert float(row["val_loss"]) == pytest.approx((0.3 * labels_loss + 2.8 * teachers_loss) / 3.1, rel=0.02)
    assert teachers_loss > 0.1
    drawn = {
        name: scalars(tmp_path / "curves" / "validation", name) for name in ("epoch_loss", "epoch_ferplus7_accuracy")
    }
    assert drawn["epoch_ferplus7_accuracy"] == [pytest.approx(float(row["val_accuracy"]))]
    assert drawn["epoch_loss"] == [pytest.approx(float(row["val_loss"]))]
    assert scalars(tmp_path / "curves" / "train", "epoch_learning_rate") == [pytest.approx(float(row["learning_rate"]))]
    (recorded,) = json.loads((student / "training.json").read_text())["teachers"]
    assert recorded == {"model": "teacher/model.keras", "sha256": sha256((teacher / "model.keras").read_bytes())}
    written = {path: path.stat().st_mtime_ns for path in teacher.glob("model.*.npy")}
    assert len(written) >= 2, "for the faces to train on, and for those to validate on"
    done = command("fer-train", "distill", *shared, "--teacher", teacher / "model.keras", "--out", second, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in teacher.glob("model.*.npy")} == written
    alone = command("fer-train", "distill", *shared, "--out", tmp_path / "alone")
    assert alone.returncode == 2
    assert "Give --teacher" in alone.stderr
    (bare := tmp_path / "bare").mkdir()
    shutil.copy(teacher / "model.keras", bare)
    alone = command("fer-train", "distill", *shared, "--teacher", bare, "--out", tmp_path / "alone")
    assert alone.returncode == 2
    assert "says which labels it was trained on. Keep training.json of its training beside it" in alone.stderr
    stranger = command(
        "fer-train", "distill", *shared, "--labels", "ferplus8", "--teacher", teacher, "--out", tmp_path / "no"
    )
    assert stranger.returncode == 2
    assert "no teacher was trained on the labels ferplus8" in stranger.stderr


@pytest.mark.slow
def test_another_teacher_of_the_same_name_is_noticed(
    command: Run, tiny_data: Path, teacher: Path, tmp_path: Path
) -> None:
    shared, student = ("--data", tiny_data, *STUDENT, "--epochs", 9, "--teacher", teacher), tmp_path / "student"
    begun(student, 1, *shared)
    shutil.copy(find_bundle("ferplus7-tiny") / "model.keras", teacher)
    done = command("fer-train", "distill", *shared, "--out", student, "--resume")
    assert done.returncode == 2
    assert "was started with another teacher. Resume" in done.stderr


@pytest.mark.slow
def test_clipped_gradients_move_the_weights_no_further(
    command: Run, tiny_data: Path, teacher: Path, tmp_path: Path
) -> None:
    start, runs = teacher, []
    shared = ["--data", tiny_data, "--architecture", "cnn-small", "--labels", "ferplus7", "--epochs", 1]
    shared += ["--set", "weight_decay=0", "--set", "warmup_epochs=0"]
    for clip in ("0", "1e-6"):
        options = ("--init", start, "--set", f"clip_norm={clip}", "--out", tmp_path / clip)
        assert command("fer-train", "fit", *shared, *options, timeout=300).returncode == 0
        runs.append(str(tmp_path / clip / "model.keras"))
    script = f"""
import keras, numpy as np
start, *runs = (keras.saving.load_model(path).trainable_weights for path in {[str(start / "model.keras"), *runs]})
for run in runs:
    print(max(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in zip(start, run, strict=True)))
"""
    checked = warm.run_script(script).decode()
    free, clipped = map(float, checked.split())
    assert clipped < 1e-5
    assert free > 1e-3


@pytest.mark.slow
def test_a_frozen_trunk_keeps_the_weights_it_started_with(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    """The shipped small one's, in a training on more classes."""
    shared = ("--data", tiny_data, "--recipe", "adam-50", "--architecture", "edge-tiny", "--epochs", 1)
    first, second = find_bundle("ferplus7-tiny"), tmp_path / "second"
    start = ["--init", first, "--freeze", "trunk", "--labels", "ferplus8", "--out", second]
    start += ["--set", "ema=0.9"]
    done = command("fer-train", "fit", *shared, *start, timeout=300)
    assert done.returncode == 0, done.stderr
    files = [str(folder / "model.keras") for folder in (first, second)]
    script = f"""
import keras, numpy as np
one, other = (keras.saving.load_model(path) for path in {files})
pairs = zip(one.layers[:-1], other.layers[:-1], strict=True)
print(all(np.array_equal(a, b) for x, y in pairs for a, b in zip(x.get_weights(), y.get_weights(), strict=True)))
print(other.output_shape[-1])
"""
    checked = warm.run_script(script).decode()
    assert checked.split() == ["True", "8"]
    for options, code, telling in (
        (("--freeze", "stage9*"), 2, "no such layer"),
        (
            ("--architecture", "mobile"),
            4,
            "is edge_net with 130,791 parameters, not mobile with 281,183 parameters. "
            "Give its --architecture edge-tiny",
        ),
    ):
        again = command("fer-train", "fit", *shared, *start[:2], "--out", tmp_path / "no", *options)
        assert again.returncode == code
        assert telling in again.stderr
        assert not (tmp_path / "no").exists()


def test_a_training_that_diverges_leaves_no_model(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    options = ["--data", tiny_data, "--recipe", "adam-50", "--architecture", "cnn-small"]
    options += ["--set", "optimizer=sgd", "--learning-rate", 1e30]
    done = command("fer-train", "fit", *options, "--epochs", 3, "--out", tmp_path / "run", timeout=300)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("after epoch 1. Train again with a lower --learning-rate")
    assert not (tmp_path / "run" / "model.keras").exists()


def test_a_full_disk_is_reported_before_anything_is_written(command: Run, tiny_data: Path, small_disk: Path) -> None:
    options = ("--data", tiny_data, "--recipe", "adam-50", "--epochs", 1, "--out", small_disk / "run")
    done = command("fer-train", "fit", *options, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "MB are needed, but only" in done.stderr
    assert not list(small_disk.rglob("*.h5"))


def test_people_who_disagree_teach_nothing_on_request(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    """Of the training faces the first 30 have no majority; and then the checkpoint is damaged."""
    shutil.copy(tiny_data / "fer2013.csv", tmp_path)
    head, *rows = (tiny_data / "fer2013new.csv").read_text().splitlines()
    for index in [index for index, row in enumerate(rows) if row.startswith("Training")][:30]:
        rows[index] = "Training,odd.png,4,3,3,0,0,0,0,0,0,0"
    (tmp_path / "fer2013new.csv").write_text("\n".join([head, *rows]) + "\n")
    options = ["--data", tmp_path, "--recipe", "adam-50", "--architecture", "cnn-small"]
    options += ["--labels", "ferplus7", "--set", "votes=majority"]
    out = tmp_path / "run"
    begun(out, 1, *options)
    record = json.loads((out / "unfinished" / "record.json").read_text())
    assert record["data"]["ferplus7"]["train"]["images"] == 250
    for checkpoint in (out / "unfinished").glob("epoch-*.h5"):
        checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    done = command("fer-train", "fit", *options, "--out", out, "--resume", timeout=300)
    assert done.returncode == 2
    assert f"is missing or damaged. Remove {out} and train again" in done.stderr


def test_a_recipe_as_some_editors_save_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('\ufeffarchitecture = "mobile"\n', encoding="utf-8")
    assert load_recipe(str(tmp_path / "mine.toml")).architecture == "mobile"


@pytest.mark.parametrize("part", ["recipe", "precision", "teachers", "init", "data"])
def test_a_training_is_resumed_with_all_that_it_was_started_with(tmp_path: Path, part: str) -> None:
    parts: dict[str, object] = {
        "recipe": {"epochs": 3},
        "precision": "float32",
        "teachers": [],
        "init": None,
        "data": {},
    }
    record = parts | {"versions": 1}
    claim(tmp_path, record)
    compare(tmp_path, record | {"versions": 2})
    with pytest.raises(ConfigError, match=f"was started with another {part.removesuffix('s')}. Resume with the same"):
        compare(tmp_path, record | {part: "another"})


def test_nothing_to_resume_is_said(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    done = command("fer-train", "fit", "--data", tiny_data, "--out", tmp_path / "no", "--resume")
    assert done.returncode == 2
    assert "no unfinished training" in done.stderr
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("option", "value", "telling"),
    [
        (
            "--labels",
            "ferminus",
            "error: --labels: 'ferminus' is unknown. Choose fer2013, ferplus7 or ferplus8",
        ),
        ("--architecture", "edge-tny", "architecture 'edge-tny' is unknown. Did you mean edge-tiny?"),
        ("--recipe", "no-such", "neither a file nor a shipped recipe"),
        ("--set", "epochs", "expected key=value"),
        ("--set", "epoch=3", "--set epoch=3: unknown key. Did you mean epochs?"),
        ("--set", "augmentation.erase=2", "augmentation.erase=2: Input should be less than or equal to 1, not 2"),
        ("--set", "also={fer2013=1}", "fer2013 is the value of labels already. Remove it, as in --set also={}"),
        ("--init", "/no/such.keras", "/no/such.keras: no such file"),
        ("--freeze", "trunk", "Give --init too"),
        ("--data", "/no/such", "/no/such: no such file"),
        ("--precision", "float7", "precision 'float7' is unknown"),
        ("--learning-rate", "-1", "error: --learning-rate: Input should be greater than 0"),
        ("--set", "learning_rate=inf", "error: --set learning_rate=inf: Input should be a finite number"),
        ("--seed", "99999999999999999999", "--seed: Input should be less than 4294967296"),
        ("--recipe", "student", "error: the recipe needs teachers. Give --teacher, or --set needs_teachers=false"),
        ("--set", "votes=most", "votes=most: 'most' is unknown. Choose soft, plurality or majority"),
    ],
)
def test_wrong_options_are_one_line(
    command: Run, tiny_data: Path, tmp_path: Path, option: str, value: str, telling: str
) -> None:
    done = command(
        "fer-train",
        "fit",
        "--data",
        tiny_data,
        "--labels",
        "fer2013",
        "--recipe",
        "adam-50",
        "--out",
        tmp_path / "run",
        option,
        value,
    )
    assert done.returncode == (4 if option == "--init" else 2)  # 4: a model
    assert telling in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_composites_come_out_as_the_atlas_the_demo_wants(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "atlas.png"
    done = command("fer-train", "composites", "--data", tiny_data, "--out", out)
    assert done.returncode == 0, done.stderr
    atlas = cv2.imread(str(out), cv2.IMREAD_GRAYSCALE)
    assert atlas is not None
    assert atlas.shape == (48, 48 * 7)
    for index, (label, face) in enumerate(load_composites().items()):
        made = atlas[6:-6, index * 48 + 6 : index * 48 + 42]
        likeness = cv2.matchTemplate(face, made, cv2.TM_CCOEFF_NORMED).max()
        assert likeness > 0.8, label
