import cv2
import numpy as np
import pytest

from fer_edge.preprocess import CropCalibration, crop_face, resized, scaled
from fer_edge.types import FaceBox


def test_a_face_of_the_models_size_passes_unchanged() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (100, 120), np.uint8)
    crop = crop_face(frame, FaceBox(30, 20, 48, 48), CropCalibration())
    assert np.array_equal(crop, frame[20:68, 30:78])


def test_colour_becomes_grey_with_the_usual_weights() -> None:
    frame = np.zeros((60, 60, 3), np.uint8)
    frame[:, :, 1] = 200
    assert set(np.unique(crop_face(frame, FaceBox(0, 0, 60, 60), CropCalibration()))) == {round(0.587 * 200)}


def test_one_channel_and_transparency_are_read_too() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    box = FaceBox(0, 0, 48, 48)
    for frame in (grey[:, :, None], np.dstack([grey, grey, grey, np.zeros_like(grey)])):
        assert np.array_equal(crop_face(frame, box, CropCalibration()), grey)


@pytest.mark.parametrize(("x", "y"), [(-24, 30), (76, 30), (30, -24), (30, 76), (-10, 90)])
def test_beyond_the_frame_the_border_is_repeated(x: int, y: int) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    crop = crop_face(frame, FaceBox(x, y, 48, 48), CropCalibration())
    rows, columns = (np.clip(np.arange(start, start + 48), 0, 99) for start in (y, x))
    assert np.array_equal(crop, frame[np.ix_(rows, columns)])


@pytest.mark.parametrize("in_colour", [False, True])
def test_a_crop_has_the_size_that_the_model_wants(in_colour: bool) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    crop = crop_face(frame, FaceBox(10, 10, 64, 64), CropCalibration(), 64, in_colour=in_colour)
    expected = frame[10:74, 10:74]
    assert np.array_equal(crop, expected if in_colour else cv2.cvtColor(expected, cv2.COLOR_BGR2GRAY))


def test_a_large_face_is_averaged_and_a_small_one_interpolated() -> None:
    """Area averaging down, since single pixels of stripes would be black or white."""
    stripes = np.tile(np.array([0, 255, 0], np.uint8), (144, 48))
    assert np.abs(crop_face(stripes, FaceBox(0, 0, 144, 144), CropCalibration()).astype(int) - 85).max() <= 1
    edge = np.repeat(np.array([[0, 255]], np.uint8), 2, axis=0)
    assert len(np.unique(crop_face(edge, FaceBox(0, 0, 2, 2), CropCalibration()))) > 10


@pytest.mark.parametrize("size", [(20, 10), (30, 30), (45, 25), (1, 1)])
def test_a_picture_for_a_search_keeps_its_places_and_light(size: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).integers(0, 50, (60, 90), np.uint8)
    grey[:30, 45:] += 200
    small = resized(grey, size)
    assert small.shape == (size[1], size[0])
    assert small.mean() == pytest.approx(grey.mean(), abs=12)
    if min(size) > 1:
        assert small[: size[1] // 3, -(size[0] // 3) :].min() > 200
        assert small[-(size[1] // 3) :].max() < 60
    assert scaled(grey, size[0] / 90).shape[1] == size[0]


def test_a_box_wholly_outside_still_gives_a_crop() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (80, 80), np.uint8)
    for x, y, corner in ((-500, -500, frame[0, 0]), (500, 500, frame[79, 79]), (500, -500, frame[0, 79])):
        assert np.array_equal(crop_face(frame, FaceBox(x, y, 60, 60), CropCalibration()), np.full((48, 48), corner))


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


def test_a_crop_of_a_tilted_head_is_shifted_along_the_axes_of_the_head() -> None:
    calibration = CropCalibration(scale=2, dx=0.25, dy=0.5)
    for roll, centre in ((0, (130, 140)), (90, (100, 130)), (-90, (140, 110)), (180, (110, 100))):
        crop = calibration.apply(FaceBox(100, 100, 40, 40, roll=roll))
        assert (crop.x + 40, crop.y + 40) == pytest.approx(centre), roll
        assert (crop.width, crop.height, crop.roll) == (80, 80, roll)


def test_a_roll_of_more_than_ten_degrees_is_corrected() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    upright = crop_face(frame, FaceBox(60, 60, 48, 48), CropCalibration())
    for roll, is_corrected in ((10, False), (-10, False), (10.5, True), (-10.5, True)):
        crop = crop_face(frame, FaceBox(60, 60, 48, 48, roll=roll), CropCalibration())
        assert np.array_equal(crop, upright) != is_corrected, roll


def test_beyond_the_frame_a_tilted_crop_repeats_the_border_too() -> None:
    frame = np.full((80, 80), 200, np.uint8)
    for x, y in ((-30, -30), (50, 40)):
        assert crop_face(frame, FaceBox(x, y, 60, 60, roll=30), CropCalibration()).min() >= 199
