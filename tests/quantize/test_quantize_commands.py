"""What `fer-quantize` and `fer-train refresh` hand on and print. Stand-ins convert, as test_quantize.py really does."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from fer_edge.errors import ConfigError
from fer_train.backend import load_keras

load_keras()

import numpy as np  # noqa: E402
from tests.quantize.outcome import OUTCOME, RIVAL, shown  # noqa: E402

from fer_quantize.check import Cost  # noqa: E402
from fer_quantize.cli import app  # noqa: E402
from fer_quantize.cli import run as start  # noqa: E402
from fer_quantize.gate import Limits  # noqa: E402
from fer_quantize.layer_error import LayerError  # noqa: E402
from fer_quantize.modes import ModeResult  # noqa: E402
from fer_quantize.reference import Trial  # noqa: E402
from fer_quantize.refresh import Refresh  # noqa: E402
from fer_quantize.statistics import PairedDrop  # noqa: E402
from fer_train.cli.app import app as training_app  # noqa: E402
from fer_train.data.datasets import LABELS, LabelledFaces  # noqa: E402

FACES = LabelledFaces(
    np.zeros((70, 48, 48), np.uint8),
    np.eye(7, dtype=np.float32)[np.arange(70) % 7],
    np.arange(70),
    "ferplus7",
    Path("made.csv"),
    "validation",
)


class Calls:
    """Stand-ins that note what they are given.

    Attributes:
        given: the arguments by the name of the function.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.given: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def replace(self, place: str, result: object) -> None:
        """Let a function return this result."""

        def stand_in(*given: Any, **named: Any) -> object:
            self.given[place.rpartition(".")[2]] = given, named
            return result

        self._patch.setattr(place, stand_in)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The conversion, its parts and its check, with a known outcome."""
    made = Calls(monkeypatch)
    monkeypatch.setattr("fer_quantize.convert.separate_converter", nullcontext)
    made.replace("fer_quantize.workflow.check_bundle", OUTCOME)
    made.replace("fer_quantize.workflow.convert_model", replace(OUTCOME, written=True))
    made.replace("fer_quantize.inputs.open_origin", ORIGIN)
    errors = [LayerError(0, "CONV_2D", "first", 30.25, 1.5), LayerError(1, "CONV_2D", "the_other", 20.5, 9.75)]
    made.replace("fer_quantize.report.layer_errors", errors)
    results = [
        ModeResult("int8", 0.8125, (0.771, 0.848), Cost(1_312_400, 0.5)),
        ModeResult("float16", 0.82, (0.78, 0.85), Cost(2_500_000, 1.25)),
    ]
    made.replace("fer_quantize.report.compare_modes", results)
    return made


ORIGIN = SimpleNamespace(path=Path("my [own]/model.keras"), model="the model", faces="its faces", labellings=[FACES])


def run(*words: object) -> str:
    """What the command prints; it must succeed."""
    done = CliRunner().invoke(app, [str(word) for word in words], env={"FER_DATA": ""})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_without_a_model_the_default_bundle_is_measured_and_nothing_gated(calls: Calls) -> None:
    assert "float against int8" in run("--data", "faces")
    assert calls.given == {"check_bundle": (("ferplus7", Path("faces"), None, None), {"against": None})}


def test_a_bundle_is_checked_with_the_limits_that_are_given(calls: Calls) -> None:
    limits = ("--max-drop", 0.25, "--max-class-drop", 1.5, "--min-accuracy", 80)
    run("my-bundle", "--data", "faces", "--check", *limits, "--labels", "fer2013", "--against", "ferplus8")
    given = ("my-bundle", Path("faces"), "fer2013", Limits(0.25, 1.5, 80))
    assert calls.given == {"check_bundle": (given, {"against": "ferplus8"})}
    run("my-bundle", "--data", "faces", "--check")
    assert calls.given["check_bundle"][0][3] == Limits(0.5, 2.0, 0.0)


def test_a_keras_file_is_converted_beside_itself(calls: Calls) -> None:
    assert run("my/model.keras", "--data", "faces").endswith("out/mine: written\n")
    opened = (Path("my/model.keras"), Path("faces"), None, 500, 0)
    converted: Any = (ORIGIN, Path("my/bundle"), [], None), {"against": None, "licence": None}
    assert calls.given == {"open_origin": (opened, {}), "convert_model": converted}
    run("my/model.h5", "--data", "faces")
    assert calls.given["open_origin"][0][0] == Path("my/model.h5")


def test_each_option_reaches_the_conversion(calls: Calls, tmp_path: Path) -> None:
    """A training is named by its folder."""
    for name in ("training.json", "model.keras"):
        (tmp_path / name).write_text("{}")
    options = ("--data", "faces", "--labels", "ferplus8", "--representative", 90, "--seed", 7, "--out", "there")
    more = ("--int16", "first", "--int16", "other", "--against", "ferplus7", "--licence", "MIT", "--check")
    run(tmp_path, *options, *more)
    opened = (tmp_path / "model.keras", Path("faces"), "ferplus8", 90, 7)
    converted = (ORIGIN, Path("there"), ["first", "other"], Limits(0.5, 2.0)), {"against": "ferplus7", "licence": "MIT"}
    assert calls.given == {"open_origin": (opened, {}), "convert_model": converted}


def test_a_refusal_ends_with_1(calls: Calls) -> None:
    calls.replace("fer_quantize.workflow.check_bundle", replace(OUTCOME, refusal="int8 loses too much", gated=True))
    done = CliRunner().invoke(app, ["--data", "faces", "--check"])
    assert done.exit_code == 1
    assert done.stdout.endswith("FAILED: int8 loses too much\n")


def test_layers_and_modes_are_only_reported(calls: Calls) -> None:
    text = run("model.keras", "--data", "faces", "--layers", "--mode", "int8", "--mode", "float16")
    assert set(calls.given) == {"open_origin", "layer_errors", "compare_modes"}
    model, representative, measured = calls.given["layer_errors"][0]
    assert (model, representative, len(measured)) == ("the model", "its faces", 50)
    assert calls.given["compare_modes"][0] == ("the model", "its faces", FACES, ["int8", "float16"])
    lines, rows = shown(text)
    assert rows == [
        ["", "operation", "layer", "signal to noise, dB", "lost here, dB"],
        ["0", "CONV_2D", "first", "30.2", "+1.5"],
        ["1", "CONV_2D", "the_other", "20.5", "+9.8"],
        ["mode", "kB", "accuracy, %", "ms per face, one thread here"],
        ["int8", "1312", "81.25 (77.1 to 84.8)", "0.500"],
        ["float16", "2500", "82.00 (78.0 to 85.0)", "1.250"],
    ]
    assert " ".join(lines[:2]) == "my [own]/model.keras: int8 against float, operation by operation, on 50 faces"
    assert "my [own]/model.keras on 70 faces of validation, ferplus7" in lines
    assert (
        "the_other loses most. If the accuracy drop is too large, give --int16 this layer and the one before it."
        in lines
    )
    (first,) = (line.strip("│").split("│") for line in lines if "first" in line)
    assert first[0].endswith("0 ") and first[1].startswith(" CONV") and first[2].startswith(" first")
    assert first[3].endswith("30.2 ") and first[4].endswith("+1.5 ")
    (int8,) = (line.strip("│").split("│") for line in lines if "int8 " in line and "│" in line)
    assert int8[0].startswith(" int8") and all(cell.endswith(" ") and not cell.endswith("  ") for cell in int8[1:])


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (("a.keras", "--layers", "--check"), "--layers and --mode only report: leave out --check"),
        (("a.keras", "--mode", "int8", "--int16", "x"), "--layers and --mode only report"),
        (("a.keras", "--mode", "int8", "--out", "x"), "--layers and --mode only report"),
        (("a.keras", "--layers", "--against", "x"), "--layers and --mode only report"),
        (("bundle", "--layers"), "--layers, --mode, --int16, --out and --licence need a .keras file"),
        (("bundle", "--mode", "int8"), "need a .keras file, such as a bundle's own model.keras"),
        (("bundle", "--int16", "x"), "need a .keras file"),
        (("bundle", "--out", "x"), "need a .keras file"),
        (("bundle", "--licence", "MIT"), "need a .keras file"),
        (("bundle", "--mode", "int4"), "Choose int8, int16x8, float16, dynamic, float32 or all"),
        (("bundle", "--mode", "alll"), "--mode alll: is unknown. Did you mean all?"),
        *((("bundle", f"--add-{what}", *words), f"--add-{what} takes a bundle and --data only: a conversion writes the")
          for what in ("prior", "reference")
          for words in (("--check",), ("--labels", "fer2013"), ("--layers",), ("--mode", "int8"), ("--int16", "x"),
                        ("--out", "x"))),
        *(((name, f"--add-{what}"), f"--add-{what} takes a bundle and --data only: a conversion writes the {what} by")
          for what in ("prior", "reference") for name in ("a.keras", "a.h5")),
        (("bundle", "--add-prior", "--add-reference"), "--add-prior takes a bundle and --data only"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_told(calls: Calls, words: tuple[str, ...], telling: str) -> None:
    done = CliRunner().invoke(app, [*words, "--data", "faces"])
    assert isinstance(done.exception, ConfigError)
    assert telling in str(done.exception)
    assert not calls.given


def test_a_missing_package_is_told_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    extras: list[str] = []
    monkeypatch.setattr("fer_quantize.cli.run_app", lambda _app, extra: extras.append(extra))
    start()
    assert extras == ["train"]


def test_without_data_it_is_said_where_they_are(calls: Calls) -> None:
    done = CliRunner().invoke(app, ["ferplus7"], env={"FER_DATA": ""})
    assert str(done.exception) == (
        "no data set. Give --data (or FER_DATA) the folder with fer2013.csv, and fer2013new.csv for FER+ labels: "
        "the first is Kaggle's 'Challenges in Representation Learning' data, the second is in Microsoft's FERPlus"
    )
    assert not calls.given


def test_a_prior_is_added_to_a_bundle(calls: Calls) -> None:
    calls.replace("fer_quantize.training_prior.add_prior", Path("models/mine"))
    assert run("mine", "--data", "faces", "--add-prior") == "models/mine: prior written\n"
    run("--data", "faces", "--add-prior")
    assert calls.given == {"add_prior": (("ferplus7", Path("faces")), {})}


def test_a_reference_is_added_to_a_bundle_and_its_trials_shown(calls: Calls) -> None:
    result = (Path("models/mine"), SimpleNamespace(faces=3210), [Trial("fog", 0.5, False, 0.6, 0.51, 0.4, False)])
    calls.replace("fer_quantize.reference.add_reference", result)
    text = run("mine", "--data", "faces", "--add-reference")
    assert calls.given == {"add_reference": (("mine", Path("faces")), {})}
    assert text.endswith("\nmodels/mine: reference of 3210 faces written\n")
    assert ["fog", "0.5", "no", "60.0", "51.0", "40.0", "no"] in shown(text)[1]


# A refresh

PARENT: Any = SimpleNamespace(name="ferplus7", version="1.2")
ON_VALIDATION = replace(RIVAL, accuracy=0.9, loss=PairedDrop(-0.25, (-1.0, 0.5), 3, 1, 0.0123))
REFRESHED = Refresh(PARENT, Path("models/new"), "1.2+r1", RIVAL, ON_VALIDATION, (60, 3574), 0.5, None)


@pytest.fixture
def material(calls: Calls) -> SimpleNamespace:
    """Samples of all classes, enough of them, and other faces to compare on."""
    held_out = FACES.take(np.arange(50))
    made = SimpleNamespace(samples=FACES, held_out=held_out, validation=FACES)
    calls.replace("fer_quantize.refresh.read_material", made)
    calls.replace("fer_quantize.refresh.recipe_for", "the recipe")
    calls.replace("fer_quantize.refresh.refresh", REFRESHED)
    return made


def refreshed(*words: object, code: int = 0) -> str:
    given = ["refresh", "exported", "--out", "models/new", *words]
    done = CliRunner().invoke(training_app, [str(word) for word in given], env={"FER_DATA": ""})
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_a_refresh_tells_what_it_changed_on_both_sets_of_faces(calls: Calls, material: SimpleNamespace) -> None:
    text = refreshed("--data", "faces", "--model", "mine", "--seed", 3)
    assert calls.given["read_material"] == ((Path("exported"), "mine", Path("faces")), {})
    assert calls.given["recipe_for"] == ((material, 3), {})
    (given_material, out, recipe, (progress,)), _ = calls.given["refresh"]
    assert (given_material, out, recipe) == (material, Path("models/new"), "the recipe")
    assert type(progress).__name__ == "EpochProgress"
    lines, rows = shown(text)
    assert rows == [
        ["faces", "number", "old, %", "new, %", "change, points (95 %)", "McNemar p"],
        ["held-out samples", "60", "80.0", "79.0", "-1.0 (-2.5 to +0.5)", "0.45"],
        ["validation split", "3574", "90.0", "90.2", "+0.2 (-0.5 to +1.0)", "0.012"],
    ]
    assert lines[0] == "int8 models on the same faces: ferplus7 and the refreshed one"
    assert lines[-2:] == [
        "new weights: 50.0% of the old ones, the rest as trained",
        "models/new: version 1.2+r1 written, refreshed from ferplus7 1.2",
    ]
    (held,) = (line.strip("│").split("│") for line in lines if "held-out" in line)
    assert held[0].startswith(" held-out") and all(cell.endswith(" ") and not cell.endswith("  ") for cell in held[1:])


def test_a_refresh_learns_the_default_model_without_other_faces(calls: Calls, material: SimpleNamespace) -> None:
    material.validation = None
    calls.replace("fer_quantize.refresh.refresh", replace(REFRESHED, on_validation=None, images=(60, 0)))
    text = refreshed()
    assert calls.given["read_material"] == ((Path("exported"), "ferplus7", None), {})
    assert calls.given["recipe_for"] == ((material, 0), {})
    assert text.startswith(
        "Note: without --data nothing is compared on other faces: the model may have become worse on them\n"
    )
    assert [row[0] for row in shown(text)[1]] == ["faces", "held-out samples"]


@pytest.mark.usefixtures("material")
def test_a_refresh_that_gained_nothing_is_not_written_and_ends_with_1(calls: Calls) -> None:
    refused = replace(REFRESHED, on_samples=None, on_validation=None, version=None, refusal="nothing was gained")
    calls.replace("fer_quantize.refresh.refresh", refused)
    text = refreshed("--data", "faces", code=1)
    assert text == "not written: nothing was gained. ferplus7 1.2 stays the better model\n"


def test_few_samples_and_missing_classes_are_told(material: SimpleNamespace) -> None:
    material.held_out = FACES.take(np.arange(49))
    material.samples = FACES.take(np.flatnonzero(FACES.classes > 1))
    angry, disgust = LABELS["ferplus7"][:2]
    assert refreshed("--data", "faces").splitlines()[:2] == [
        "Note: only 49 samples are held out: a difference may be chance. Label 50 or more of the newest days",
        f"Note: no sample to learn from shows {angry}, {disgust}: the model may forget that",
    ]
