"""Models of other kinds than ours: floats, colour, other ranges. Real ones of Keras are in tests/quantize."""

from pathlib import Path

import numpy as np
import pytest
from tests.mean_model import mean_model
from tests.typed import typed

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError, ModelError
from fer_edge.model.bundle import Bundle, load_bundle
from fer_edge.model.golden import self_test
from fer_edge.model.wrap import Wish, wrap
from fer_edge.preprocess import resize

COLOURS = ("blue", "green", "red")
SEEN = Wish(COLOURS, colour="bgr", scale=(255.0,), outputs="probabilities")


def write(folder: Path, content: bytes) -> Path:
    path = folder / "theirs.tflite"
    path.write_bytes(content)
    return path


def in_colour(folder: Path) -> Bundle:
    """The bundle of a model that sees floats in colour."""
    return wrap(write(folder, mean_model()), folder / "out", SEEN).bundle


def test_golden_faces_of_a_model_in_colour_are_tinted(tmp_path: Path) -> None:
    bundle = in_colour(tmp_path)
    assert bundle.folder == tmp_path / "out"
    assert self_test(load_bundle(bundle.folder)) == 0
    with np.load(bundle.folder / "golden.npz") as golden:
        inputs, outputs = golden["inputs"], golden["outputs"]
    assert inputs.dtype == np.uint8
    for face, found in zip(load_composites().values(), inputs, strict=True):
        tinted = resize(face, 40)[:, :, None] * np.array([0.7, 0.8, 1.0])
        assert np.array_equal(found, np.floor(tinted)), "blue is the darkest, red as bright as the grey face"
    assert outputs[0] == pytest.approx(inputs.mean(axis=(1, 2)) / 255, abs=0.001)


@pytest.mark.parametrize(("difference", "steps"), [(0.9, 1), (-1.9, 2), (1.5, 2), (2.5, 3), (-29.5, 30)])
def test_probabilities_may_differ_by_two_steps_of_256(tmp_path: Path, difference: float, steps: int) -> None:
    bundle = in_colour(tmp_path)
    inputs = np.zeros((7, 40, 40, 3), np.uint8)
    inputs[:] = (51, 85, 119)
    outputs = np.tile(np.array([0.2, 1 / 3, 7 / 15], np.float32), (1, 7, 1))
    outputs[0, 3] += np.array([difference, -difference, 0], np.float32) / 256
    np.savez(bundle.folder / "golden.npz", inputs=inputs, outputs=outputs)
    if steps <= 2:
        assert self_test(bundle) == steps
        return
    with pytest.raises(ModelError) as error:
        self_test(bundle)
    assert str(error.value) == (
        f"{bundle.folder}: outputs differ from the golden ones by {steps} of 256 steps, more than 2. "
        "Install another version of the TFLite runtime"
    )


@pytest.mark.parametrize(
    ("dtype", "quantization", "mean", "scale"),
    [
        ("INT8", (1.0, -128), 0.0, 1.0),
        ("UINT8", (1.0, 0), 0.0, 1.0),
        ("INT8", (1 / 255, -128), 0.0, 255.0),
        ("UINT8", (1 / 255, 0), 0.0, 255.0),
        ("INT8", (2 / 255, 0), 127.5, 127.5),
        ("UINT8", (2 / 255, 128), 127.5, 127.5),
    ],
)
def test_the_usual_ranges_are_found_by_the_type_of_the_input(
    tmp_path: Path, dtype: str, quantization: tuple[float, int], mean: float, scale: float
) -> None:
    path = write(tmp_path, mean_model(dtype=dtype, quantization=quantization))
    found = wrap(path, tmp_path / "out", Wish(COLOURS, outputs="logits"))
    seen = found.bundle.manifest.preprocessing
    assert (seen.colour, seen.mean, seen.scale, found.dtype) == ("rgb", (mean,), (scale,), dtype.lower())
    assert self_test(load_bundle(tmp_path / "out")) == 0


@pytest.mark.parametrize(
    ("content", "wish", "told"),
    [
        ({"shape": (1, 3, 48, 48)}, SEEN, "(1, 3, 48, 48): channels come first. Convert it with channels last (NHWC)"),
        ({"shape": (1, 16, 16, 3)}, SEEN, "(1, 16, 16, 3). Expected a square of 32 to 224 pixels with 1 or 3 channels"),
        ({"shape": (1, 40, 48, 3)}, SEEN, "(1, 40, 48, 3). Expected a square of 32 to 224 pixels"),
        ({"outputs": 2}, SEEN, "its outputs have the shapes (1, 3), (1, 3). Expected one of (1, classes)"),
        ({}, Wish(COLOURS), "a float model does not tell which numbers it wants: give --scale 1 for grey levels"),
        (
            {},
            Wish(COLOURS, scale=(255.0,)),
            "give --outputs probabilities if they only need to be scaled, or --outputs",
        ),
        (
            {"dtype": "INT8", "quantization": (0.5 / 255, -128)},
            Wish(COLOURS),
            "the model's input goes from 0 to 0.5: give --mean and --scale",
        ),
    ],
)
def test_what_cannot_be_found_out_or_is_of_another_kind_is_told(
    tmp_path: Path, content: dict[str, object], wish: Wish, told: str
) -> None:
    path = write(tmp_path, mean_model(**content))  # type: ignore[arg-type]
    with pytest.raises((ConfigError, ModelError)) as error:
        wrap(path, tmp_path / "out", wish)
    assert told in str(error.value)
    assert not (tmp_path / "out").exists()


def test_the_command_tells_what_a_model_in_colour_sees(tmp_path: Path) -> None:
    path = write(tmp_path, mean_model())
    options = ("--labels", ",".join(COLOURS), "--outputs", "probabilities", "--out", tmp_path / "out")
    done = typed("models", "wrap", path, *options, "--mean", "103.9,116.8,123.7", "--scale", "1,1.5,2")
    told = "40x40 rgb, 3 channels, float32; (level - 103.9,116.8,123.7) / 1,1.5,2; probabilities of 3 classes"
    assert done.out.splitlines() == [f"{tmp_path}/out: {told}", f"Next: fer-edge run --model {tmp_path}/out"]
    for option in ("--mean", "--scale"):
        done = typed("models", "wrap", path, *options, option, "high")
        told = f"error: {option} high: expected a number, or three as in 123.7,116.8,103.9\n"
        assert (done.code, done.err) == (2, told)
