import cv2
import numpy as np

from fer_edge.preprocess import CropCalibration, crop_face
from fer_edge.types import FaceBox


def test_a_face_of_the_models_size_passes_unchanged() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (100, 120), np.uint8)
    crop = crop_face(frame, FaceBox(30, 20, 48, 48), CropCalibration())
    assert np.array_equal(crop, frame[20:68, 30:78])


def test_colour_becomes_grey_with_the_usual_weights() -> None:
    frame = np.zeros((60, 60, 3), np.uint8)
    frame[:, :, 1] = 200
    assert set(np.unique(crop_face(frame, FaceBox(0, 0, 60, 60), CropCalibration()))) == {round(0.587 * 200)}


def test_beyond_the_frame_the_border_is_repeated() -> None:
    frame = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (100, 1))
    crop = crop_face(frame, FaceBox(-24, 30, 48, 48), CropCalibration())
    assert (crop[:, :24] == frame[0, 0]).all()
    assert np.array_equal(crop[:, 24:], frame[30:78, :24])


def test_a_box_wholly_outside_still_gives_a_crop() -> None:
    frame = np.full((80, 80, 3), 90, np.uint8)
    for box in (FaceBox(-500, -500, 60, 60), FaceBox(500, 500, 60, 60)):
        assert crop_face(frame, box, CropCalibration()).shape == (48, 48)


def test_crop_calibration_scales_and_shifts_the_square() -> None:
    crop = CropCalibration(scale=1.5, dx=0.1, dy=-0.1).apply(FaceBox(100, 100, 40, 40))
    assert (crop.width, crop.height) == (60, 60)
    assert (crop.x + 30, crop.y + 30) == (124, 116)


def test_a_tilted_head_is_roll_corrected_about_its_own_centre() -> None:
    upright = np.zeros((200, 200), np.uint8)
    upright[60:140, 60:100] = 200
    turn = cv2.getRotationMatrix2D((100, 100), -30, 1.0)
    tilted = np.asarray(cv2.warpAffine(upright, turn, (200, 200)), np.uint8)
    crop_calibration = CropCalibration(scale=1.2, dx=0.1, dy=-0.2)
    expected = crop_face(upright, FaceBox(60, 60, 80, 80), crop_calibration)
    level = crop_face(tilted, FaceBox(60, 60, 80, 80, roll=30), crop_calibration)
    assert np.abs(level.astype(int) - expected).mean() < 8
    crooked = crop_face(tilted, FaceBox(60, 60, 80, 80), crop_calibration)
    assert np.abs(crooked.astype(int) - expected).mean() > 20
