"""A hyperparameter search as a user runs it: finished, killed, continued, and with trainings that fail."""

import csv
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import optuna
import pytest
from tests.conftest import Run, wait_until

FER_TRAIN = str(Path(sys.executable).with_name("fer-train"))

SEARCHED = ("--vary", "learning_rate=1e-4..1e-2:log", "--vary", "dropout=0.1,0.3", "--vary", "batch_size=32..64")
TWO_HEADS = ("--set", "also={ferplus8=0.5}")


def options(data: Path, out: Path, *more: object) -> list[str]:
    quick = ("--recipe", "adam-50", "--set", "architecture=cnn-small", "--set", "epochs=1", "--set", "dropout=0.3")
    return ["tune", "--data", str(data), "--out", str(out), *quick, *map(str, more)]


def trials(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def begin(arguments: list[str], trial: Path) -> subprocess.Popen[str]:
    """Start a search and wait until it is in the middle of that trial."""
    process = subprocess.Popen(
        [FER_TRAIN, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(trial.parent.parent)},  # TensorFlow leaves files there when it is killed
    )
    wait_until(lambda: (trial / "unfinished").is_dir() or process.poll() is not None, seconds=300)
    assert process.poll() is None
    return process


def training_of(search: int) -> int:
    """The process in which a search trains."""
    found = subprocess.run(["pgrep", "-P", str(search), "-f", "spawn_main"], capture_output=True, text=True, check=True)
    return int(found.stdout)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def search(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a search of three trials, killed in the second and gone on with, and what it said."""
    out = tmp_path_factory.mktemp("tune") / "search"
    arguments = options(tiny_data, out, *SEARCHED, *TWO_HEADS, "--trials", 3)
    process = begin(arguments, out / "trial-001")
    training = training_of(process.pid)
    process.kill()
    process.communicate()
    wait_until(lambda: gone(training))
    done = subprocess.run([FER_TRAIN, *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return out, done.stderr


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_until_all_trials_are_finished(search: tuple[Path, str]) -> None:
    out, said = search
    rows = trials(out)
    assert [row["state"] for row in rows] == ["complete"] * 3 + ["failed"]
    assert rows[-1]["trial"] == "1"
    assert rows[-1]["error"] == "killed"
    assert {row["trial"] for row in rows[:3]} == {"0", "2", "3"}
    accuracies = [float(row["accuracy"]) for row in rows[:3]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [line.split(":")[0] for line in said.splitlines()] == ["trial 2", "trial 3"]
    for row in rows[:3]:
        assert 1e-4 <= float(row["learning_rate"]) <= 1e-2
        assert row["dropout"] in {"0.1", "0.3"}
        assert 32 <= int(row["batch_size"]) <= 64
    first = next(row for row in rows if row["trial"] == "0")
    assert (first["learning_rate"], first["dropout"], first["batch_size"]) == ("0.001", "0.3", "64")
    assert len({row["learning_rate"] for row in rows}) == 4


@pytest.mark.slow
def test_trials_are_measured_on_training_faces_and_leave_no_weights(search: tuple[Path, str]) -> None:
    out, _ = search
    for number in (0, 2, 3):
        folder = out / f"trial-{number:03d}"
        assert (folder / "history.csv").read_text().count("\n") == 2
        assert not [path for path in folder.iterdir() if path.is_dir() or path.suffix in {".keras", ".h5"}]
        record = json.loads((folder / "training.json").read_text())
        assert {split: part["images"] for split, part in record["data"].items()} == {"train": 252, "held-out": 28}
    assert list((out / "trial-001").iterdir()) == []


@pytest.mark.slow
def test_it_ends_with_a_picture_and_with_a_recipe_that_fit_takes(
    search: tuple[Path, str], command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    out, _ = search
    assert cv2.imread(str(out / "importance.png")) is not None
    recipe = tomllib.loads((out / "best.toml").read_text())
    best = trials(out)[0]
    assert recipe["learning_rate"] == float(best["learning_rate"])
    assert recipe["batch_size"] == int(best["batch_size"])
    run = tmp_path / "run"
    done = command("fer-train", "fit", "--data", tiny_data, "--recipe", out / "best.toml", "--out", run, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "training.json").read_text())["recipe"]["dropout"] == float(best["dropout"])


@pytest.mark.slow
def test_hopeless_trainings_are_given_up_and_more_may_follow(
    search: tuple[Path, str], command: Run, tiny_data: Path
) -> None:
    """Five earlier trials that were always right are more than one epoch can reach."""
    out, _ = search
    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{out / 'study.db'}")
    (known, *_) = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    for _ in range(5):
        study.add_trial(
            optuna.create_trial(
                value=1.0, params=known.params, distributions=known.distributions, intermediate_values={0: 1.0}
            )
        )
    done = command("fer-train", *options(tiny_data, out, *SEARCHED, *TWO_HEADS, "--trials", 9), timeout=300)
    assert done.returncode == 0, done.stderr
    assert "trial 9: pruned at" in done.stderr
    assert [row["state"] for row in trials(out)] == ["complete"] * 8 + ["pruned", "failed"]
    assert done.stdout.index("complete") < done.stdout.index("pruned") < done.stdout.index("failed")
    for other, telling in ((("--set", "seed=1"), "another recipe"), (("--vary", "ema=0..0.9"), "another search space")):
        refused = command("fer-train", *options(tiny_data, out, *SEARCHED, *TWO_HEADS, *other), timeout=300)
        assert refused.returncode == 2
        assert telling in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


@pytest.mark.slow
def test_one_crash_is_no_end_but_three_failures_in_a_row_are(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "search"
    process = begin(options(tiny_data, out, "--set", "epochs=500"), out / "trial-000")
    os.kill(training_of(process.pid), signal.SIGKILL)
    assert process.stderr is not None
    assert "trial 0: failed (its process ended with exit code -9" in process.stderr.readline()
    process.kill()
    process.communicate()
    done = command(
        "fer-train", *options(tiny_data, tmp_path / "failing", "--vary", "architecture=no-such,neither"), timeout=600
    )
    assert done.returncode == 1
    assert "architecture 'no-such' is unknown" in done.stderr or "architecture 'neither' is unknown" in done.stderr
    assert "gave up after 3 failures in a row" in done.stderr.splitlines()[-1]
    assert [row["state"] for row in trials(tmp_path / "failing")] == ["failed"] * 3
    assert not (tmp_path / "failing" / "best.toml").exists()


@pytest.mark.slow
def test_ctrl_c_ends_it_with_what_there_is(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "search"
    arguments = options(tiny_data, out, "--set", "epochs=500")
    process = begin(arguments, out / "trial-000")
    training = training_of(process.pid)
    history = out / "trial-000" / "history.csv"
    wait_until(lambda: history.is_file() and history.read_text().count("\n") >= 3, seconds=300)
    again = command("fer-train", *arguments, timeout=300)
    assert again.returncode == 2
    assert "another search is running in it" in again.stderr
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 130
    assert said == "trial 0: interrupted. Repeat the command to continue the search\n"
    assert gone(training)
    (row,) = trials(out)
    assert (row["state"], row["error"]) == ("failed", "interrupted")
    assert int(row["epochs"]) >= 1
    assert set(row) >= {"learning_rate", "weight_decay", "dropout", "label_smoothing", "mixup"}


@pytest.mark.parametrize(
    ("option", "value", "telling"),
    [
        ("--vary", "dropout", "expected key=low..high"),
        ("--vary", "optimizer=sgd", "expected key=low..high"),
        ("--vary", "learning_rate=1..0.1", "the first bound must be the smaller"),
        ("--vary", "weight_decay=0..0.1:log", "the bounds must be greater than 0"),
        ("--vary", "weight_decay=0..0.1:cubic", "'cubic' is unknown"),
        ("--vary", "dropout=low..high", "the bounds must be numbers"),
        ("--vary", "dropout=0..1.5", "--vary dropout=0..1.5: dropout=1.5: Input should be less than 1, not 1.5"),
        ("--vary", "batch_size=16..64.5", "the bounds must be whole numbers"),
        ("--vary", "optimizer=sgd,lion", ": 'lion' is unknown. Choose sgd or adam"),
        ("--vary", "droput=0..0.5", "droput=0.0: unknown key"),
        ("--vary", "labels=fer2013,ferplus7", "results on other labels cannot be compared"),
        ("--set", "epochs=none", "--set epochs=none: Input should be a valid integer"),
        ("--data", "/no/such", "/no/such: no such file"),
        ("--out", "/dev/null", "/dev/null: is not an empty folder"),
        ("--trials", "0", "Invalid value for '--trials'"),
    ],
)
def test_wrong_options_are_one_line(
    command: Run, tiny_data: Path, tmp_path: Path, option: str, value: str, telling: str
) -> None:
    done = command("fer-train", *options(tiny_data, tmp_path / "search", option, value))
    assert done.returncode == 2
    assert telling in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "search").exists()


def test_a_folder_with_a_damaged_study_is_said(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    done = command("fer-train", *options(tiny_data, tmp_path))
    assert done.returncode == 2
    assert "study.db: cannot be used" in done.stderr
    assert len(done.stderr.splitlines()) == 1
