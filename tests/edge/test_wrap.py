"""What is said about a model made elsewhere is in its bundle; models of other kinds are in tests/quantize."""

from pathlib import Path

import pytest
from tests.conftest import Run
from tests.typed import typed

from fer_edge.cli.models_wrap import parse_labels, parse_numbers, tell_agreement
from fer_edge.errors import ConfigError, ModelError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.preprocessing import Colour, Outputs
from fer_edge.model.wrap import Wish, input_colour, wrap

SHIPPED = find_bundle("ferplus7-tiny")
LABELS = load_bundle(SHIPPED).manifest.labels


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file as somebody else may have it: int8, grey, levels 0 to 255."""
    path = tmp_path / "theirs.v3.tflite"
    path.write_bytes((SHIPPED / "model.tflite").read_bytes())
    return path


def test_a_bundle_says_what_was_said_and_what_was_found(model: Path, tmp_path: Path) -> None:
    found = wrap(model, tmp_path / "found", Wish(LABELS))
    manifest = load_bundle(tmp_path / "found").manifest
    assert (manifest.name, manifest.version, manifest.crop_margin) == ("found", "1", 0.0)
    seen = manifest.preprocessing
    assert (seen.colour, seen.mean, seen.scale) == ("grey", (0.0,), (1.0,))
    assert (found.dtype, found.known) == ("int8", 7)
    assert found.same >= 6
    other: Outputs = "probabilities" if seen.outputs == "logits" else "logits"
    wish = Wish(LABELS, scale=(2.0,), mean=(3.0,), outputs=other, crop_margin=0.25, licence="MIT", version="7")
    wrap(model, tmp_path / "said", wish)
    manifest = load_bundle(tmp_path / "said").manifest
    assert (manifest.version, manifest.crop_margin, manifest.licence) == ("7", 0.25, "MIT")
    assert (manifest.preprocessing.mean, manifest.preprocessing.scale) == ((3.0,), (2.0,))
    assert manifest.preprocessing.outputs == other
    assert manifest.accuracy == ()
    assert manifest.source_revision == "unknown"


@pytest.mark.parametrize(
    ("asked", "channels", "colour"),
    [(None, 1, "grey"), (None, 3, "rgb"), ("bgr", 3, "bgr"), ("grey", 3, "grey"), ("grey", 1, "grey")],
)
def test_a_model_sees_the_colour_that_was_asked_for_or_the_usual_one(
    asked: Colour | None, channels: int, colour: Colour
) -> None:
    assert input_colour(asked, channels) == colour


@pytest.mark.parametrize("asked", ["rgb", "bgr"])
def test_one_channel_has_no_colour(asked: Colour) -> None:
    with pytest.raises(ConfigError) as error:
        input_colour(asked, 1)
    told = f"--input {asked}: the model's input has one channel. Give --input grey, or leave it out"
    assert str(error.value) == told


@pytest.mark.parametrize(
    ("wish", "error", "told"),
    [
        (
            Wish(LABELS, mean=(3.0,)),
            ConfigError,
            "--mean: give --scale too. A model sees (level - mean) / scale",
        ),
        (Wish(LABELS[1:]), ModelError, "it has 7 classes, but --labels names 6: disgust, fear, happy, sad, surprise"),
    ],
)
def test_what_does_not_fit_the_model_is_told(
    model: Path, tmp_path: Path, wish: Wish, error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as failed:
        wrap(model, tmp_path / "out", wish)
    assert told in str(failed.value)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.tflite"
    for content, told in ((None, "cannot be read (No such file or directory)"), (b"x" * 99, "not a TFLite model")):
        if content:
            path.write_bytes(content)
        with pytest.raises(ModelError) as failed:
            wrap(path, tmp_path / "out", Wish(LABELS))
        assert str(failed.value).startswith(f"{path}: {told}")


def test_a_folder_that_is_no_bundle_is_kept(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("kept")
    with pytest.raises(ConfigError):
        wrap(model, tmp_path / "mine", Wish(LABELS))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(("length", "works"), [(40, True), (41, False)])
def test_a_label_has_forty_letters_at_most(model: Path, tmp_path: Path, length: int, works: bool) -> None:
    wish = Wish(("x" * length, *LABELS[1:]))
    if works:
        wrap(model, tmp_path / "out", wish)
        return
    with pytest.raises(ConfigError, match="a printable name of at most 40 letters"):
        wrap(model, tmp_path / "out", wish)
    assert not (tmp_path / "out").exists()


def test_the_command_writes_beside_the_model(command: Run, model: Path, tmp_path: Path) -> None:
    options = ("--labels", ",".join(LABELS), "--crop-margin", "0.5", "--model-version", "3", "--outputs", "logits")
    done = command("fer-edge", "models", "wrap", model, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = load_bundle(tmp_path / "theirs.v3").manifest
    assert (manifest.crop_margin, manifest.version, manifest.preprocessing.outputs) == (0.5, "3", "logits")
    assert f"Next: fer-edge run --model {tmp_path}/theirs.v3" in done.stdout


def test_a_file_of_labels_may_begin_with_a_mark_as_editors_write_it(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("angry\r\nhappy \r\n", encoding="utf-8-sig")
    assert parse_labels(str(tmp_path / "names.txt")) == ("angry", "happy")
    assert parse_labels("angry, happy,") == ("angry", "happy")


@pytest.mark.parametrize(("same", "is_few"), [(2, True), (3, True), (4, False)])
def test_less_than_half_of_the_faces_is_few(capsys: pytest.CaptureFixture[str], same: int, is_few: bool) -> None:
    tell_agreement(same, 7)
    assert ("That is few" in capsys.readouterr().out) == is_few
    tell_agreement(1, 2)
    assert "That is few" not in capsys.readouterr().out


def test_the_command_says_what_was_found_and_what_comes_next(model: Path, tmp_path: Path) -> None:
    seen = load_bundle(SHIPPED).manifest.preprocessing
    done = typed("models", "wrap", model, "--labels", ",".join(LABELS))
    folder = tmp_path / "theirs.v3"
    first, agreement, following = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert first == f"{folder}: 48x48 grey, 1 channel, int8; (level - 0) / 1; {seen.outputs} of 7 classes"
    assert agreement.endswith(" of 7 composite faces get their own label")
    assert following == f"Next: fer-edge run --model {folder}"
    manifest = load_bundle(folder).manifest
    assert (manifest.name, manifest.version, manifest.crop_margin) == ("theirs.v3", "1", 0.0)
    assert manifest.licence == "unknown: the model was made elsewhere"


def test_the_command_passes_on_what_was_said(model: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class{index}\n" for index in range(7)))
    options = ("--mean", "127.5", "--scale", "2", "--outputs", "logits", "--input", "grey", "--crop-margin", "0.25")
    more = ("--licence", "MIT", "--model-version", "7", "--out", tmp_path / "out")
    done = typed("models", "wrap", model, "--labels", names, *options, *more)
    first, following = done.out.splitlines()
    assert first == f"{tmp_path}/out: 48x48 grey, 1 channel, int8; (level - 127.5) / 2; logits of 7 classes"
    assert following == f"Next: fer-edge run --model {tmp_path}/out"
    manifest = load_bundle(tmp_path / "out").manifest
    assert (manifest.labels[6], manifest.licence, manifest.version) == ("class6", "MIT", "7")
    assert (manifest.crop_margin, manifest.preprocessing.outputs) == (0.25, "logits")
    assert (manifest.preprocessing.mean, manifest.preprocessing.scale) == ((127.5,), (2.0,))


def test_a_colour_that_the_model_does_not_have_is_refused(model: Path) -> None:
    done = typed("models", "wrap", model, "--labels", ",".join(LABELS), "--input", "rgb")
    assert (done.code, done.out) == (2, "")
    assert "--input rgb: the model's input has one channel" in done.err


def test_a_model_that_disagrees_with_most_faces_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell_agreement(2, 7)
    assert capsys.readouterr().out.splitlines() == [
        "2 of 7 composite faces get their own label",
        "That is few: check the order of --labels, and --mean and --scale",
    ]


def test_labels_are_a_list_or_a_file(tmp_path: Path) -> None:
    assert parse_labels(" angry ,happy,") == ("angry", "happy")
    for name, content in (("none", None), ("binary", b"\xff\xfe\xff")):
        path = tmp_path / name
        if content:
            path.write_bytes(content)
        with pytest.raises(ConfigError) as error:
            parse_labels(str(path))
        assert str(error.value) == f"--labels {path}: is neither a list such as angry,happy,sad nor a text file"


def test_numbers_have_commas_between_them() -> None:
    assert parse_numbers("--mean", "1.5") == (1.5,)
    assert parse_numbers("--mean", "123.7,116.8,103.9") == (123.7, 116.8, 103.9)
    with pytest.raises(ConfigError) as error:
        parse_numbers("--scale", "1;2")
    assert str(error.value) == "--scale 1;2: expected a number, or three as in 123.7,116.8,103.9"
