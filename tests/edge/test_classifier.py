"""The shipped model in a real interpreter."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge import FaceBox, Frame, Track
from fer_edge.assets.composites import load_composites
from fer_edge.errors import ModelError
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier, _model_input, only_tensor
from fer_edge.model.preprocessing import Preprocessing, input_table
from fer_edge.preprocess import CropCalibration, crop_face


def test_probabilities_sum_to_one(bundle_dir: Path) -> None:
    classifier = Classifier(load_bundle(bundle_dir))
    rng = np.random.default_rng(0)
    for _ in range(20):
        probabilities = classifier.probabilities(rng.integers(0, 256, (48, 48), np.uint8))
        assert probabilities.shape == (7,)
        assert probabilities.dtype == np.float32
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-5)


def test_it_reads_most_composite_faces_right(bundle_dir: Path) -> None:
    classifier = Classifier(load_bundle(bundle_dir))
    read = {label: classifier.predict(face).label for label, face in load_composites().items()}
    assert sum(label == answer for label, answer in read.items()) >= 5, read


def test_black_and_white_pictures_are_answered_too(bundle_dir: Path) -> None:
    classifier = Classifier(load_bundle(bundle_dir))
    for level in (0, 255):
        answer = classifier.predict(np.full((48, 48), level, np.uint8))
        assert answer.label == classifier.labels[int(answer.probabilities.argmax())]
        assert answer.confidence == float(answer.probabilities.max())
        assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_model_that_was_trained_with_a_margin_reads_one(bundle_dir: Path, tmp_path: Path) -> None:
    """A margin of a quarter on each side of the face makes the crop half as large again."""
    wide = Path(shutil.copytree(bundle_dir, tmp_path / "wide"))
    manifest = json.loads((wide / "model.json").read_text())
    (wide / "model.json").write_text(json.dumps(manifest | {"crop_margin": 0.25}))
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    frame, box = Frame(image), FaceBox(100, 90, 80, 80)
    calibration = CropCalibration(scale=1.1, dx=0.05, dy=-0.05)
    for folder, scale in ((bundle_dir, 1.1), (wide, 1.1 * 1.5)):
        classifier = Classifier(load_bundle(folder), calibration)
        read = classifier.classify(frame, (Track(1, box, 0.0, 0.0),))[1]
        assert read.crop is not None
        assert np.array_equal(read.crop, crop_face(image, box, CropCalibration(scale, 0.05, -0.05)))


def test_a_face_that_was_not_seen_in_this_frame_is_not_read(bundle_dir: Path) -> None:
    frame, box = Frame(np.zeros((90, 90, 3), np.uint8)), FaceBox(10, 10, 60, 60)
    tracks = (Track(1, box, 2.0, 0.0), Track(2, box, 2.0, 0.1), Track(3, box, 0.0, 0.0))
    assert set(Classifier(load_bundle(bundle_dir)).classify(frame, tracks)) == {1, 3}


def test_a_face_of_any_size_is_fitted(bundle_dir: Path) -> None:
    face = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    fitted = Classifier(load_bundle(bundle_dir)).fit(face)
    assert np.array_equal(fitted, cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA))


def test_a_tensor_that_cannot_be_used_is_named() -> None:
    good = {"shape": np.array([1, 48, 48, 1]), "dtype": np.int8}
    assert only_tensor([good], (1, 48, 48, 1), "input") is good
    for details, said in (
        ([], "the model has 0 inputs, expected one"),
        ([good, good], "the model has 2 inputs, expected one"),
        (
            [good | {"shape": [1, 9, 9, 1]}],
            "the model's input has shape (1, 9, 9, 1), but model.json says (1, 48, 48, 1)",
        ),
        ([good | {"dtype": np.float16}], "the model's input is float16, expected int8, uint8 or float32"),
    ):
        with pytest.raises(ModelError) as caught:
            only_tensor(details, (1, 48, 48, 1), "input")
        assert str(caught.value) == said


def test_a_prior_that_the_bundle_does_not_have_is_said(
    bundle_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Path(shutil.copytree(bundle_dir, tmp_path / "copy"))
    manifest = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps(manifest | {"prior": None, "reference": None}))
    face = next(iter(load_composites().values()))
    plain, divided = (Classifier(load_bundle(copy), prior=power).probabilities(face) for power in (0.0, 1.0))
    assert np.array_equal(plain, divided)
    assert plain.dtype == np.float32
    assert caplog.messages == [
        f"{copy}: model.json has no prior, so [classifier] prior does nothing. Add it with fer-quantize --add-prior"
    ]


def test_a_model_of_colours_gets_them_in_its_own_order_and_a_grey_crop_in_all_three() -> None:
    crop = np.zeros((2, 3, 3), np.uint8)
    crop[0, 1] = (10, 20, 30)
    grey = crop[:, :, 0]
    for colour, expected in (("bgr", [1, 2, 3]), ("rgb", [3, 2, 1])):
        wanted = Preprocessing(colour=colour, scale=(10,))
        table = input_table(wanted, 3, np.float32, (0.0, 0))
        seen = _model_input(crop, wanted, table)
        assert seen.shape == (1, 2, 3, 3)
        assert seen[0, 0, 1].tolist() == expected
        assert _model_input(grey, wanted, table)[0, 0, 1].tolist() == [1, 1, 1]
    alone = Preprocessing(scale=(10,))
    assert _model_input(grey, alone, input_table(alone, 1, np.float32, (0.0, 0))).tolist() == [
        [[[0], [1], [0]], [[0], [0], [0]]]
    ]
