"""How far each augmentation goes, measured on pictures whose angle, size and place can be read off."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_train.data.augmentation import Augmentation
from fer_train.data.corruptions import jpeg

Images = npt.NDArray[np.uint8]
COUNT = 300
NOTHING: dict[str, float | bool] = dict.fromkeys(
    ("rotate_degrees", "scale", "shift", "contrast", "brightness", "soften", "erase", "noise", "compress"), 0.0
) | {"mirror": False}


def augmented(picture: Images, **amounts: float) -> Images:
    augmentation = Augmentation.model_validate(NOTHING | amounts)
    return augmentation.apply(np.repeat(picture[None], COUNT, axis=0), np.random.default_rng(3))


def bar() -> Images:
    """A white bar that lies in the middle."""
    picture = np.zeros((48, 48), np.uint8)
    picture[21:27, 12:36] = 255
    return picture


def angles(pictures: Images) -> npt.NDArray[np.float64]:
    """Degrees by which each bar is turned clockwise."""
    moments = [cv2.moments(picture) for picture in pictures]
    return np.array([np.degrees(np.arctan2(2 * m["mu11"], m["mu20"] - m["mu02"]) / 2) for m in moments])


def test_faces_are_turned_by_degrees_either_way_within_the_bound() -> None:
    turned = angles(augmented(bar(), rotate_degrees=15))
    assert np.abs(turned).max() < 16
    assert turned.min() < -13
    assert turned.max() > 13
    assert turned.std() == pytest.approx(15 / np.sqrt(3), rel=0.15)
    for mirror in (False, True):
        sums = augmented(bar(), rotate_degrees=15, mirror=mirror).sum(axis=(1, 2), dtype=np.int64)
        assert sums == pytest.approx(np.full(COUNT, bar().sum(dtype=np.int64)), rel=0.03), "and keep their size"


def test_faces_grow_and_shrink_within_the_bound_about_their_middle() -> None:
    scaled = augmented(bar(), scale=0.2)
    sizes = np.sqrt(scaled.sum(axis=(1, 2), dtype=np.int64) / bar().sum(dtype=np.int64))
    assert sizes.min() == pytest.approx(0.8, abs=0.04)
    assert sizes.max() == pytest.approx(1.2, abs=0.04)
    assert sizes.mean() == pytest.approx(1, abs=0.03)
    assert centres(scaled) == pytest.approx(np.full((COUNT, 2), 23.5), abs=0.3)


def centres(pictures: Images) -> npt.NDArray[np.float64]:
    """Column and row of each picture's centre of light."""
    moments = [cv2.moments(picture) for picture in pictures]
    return np.array([(m["m10"] / m["m00"], m["m01"] / m["m00"]) for m in moments])


def test_faces_move_by_a_part_of_their_side_both_ways() -> None:
    moved = centres(augmented(bar(), shift=0.1)) - 23.5
    assert np.abs(moved).max() < 4.9
    for axis in (0, 1):
        assert moved[:, axis].min() < -4.3
        assert moved[:, axis].max() > 4.3
    assert abs(np.mean(moved[:, 0] * moved[:, 1]) / 8) < 0.2, "each way for itself"


def test_a_face_moves_by_a_part_of_its_width_sideways_and_of_its_height_up_and_down() -> None:
    wide = np.zeros((48, 192), np.uint8)
    wide[21:27, 90:102] = 255
    moved = centres(augmented(wide, shift=0.1)) - [95.5, 23.5]
    assert np.abs(moved).max(axis=0) == pytest.approx([19.2, 4.8], rel=0.05)


def test_contrast_is_about_mid_grey() -> None:
    levels = np.repeat(np.array([28, 78, 128, 178], np.uint8), 12 * 48).reshape(48, 48)
    shown = augmented(levels, contrast=0.4)[:, 6::12, 24].astype(int)
    assert (np.abs(shown[:, 2] - 128) <= 1).all(), "mid-grey stays"
    spread = (shown[:, 3] - shown[:, 1]) / 100
    assert spread.min() == pytest.approx(0.6, abs=0.03)
    assert spread.max() == pytest.approx(1.4, abs=0.03)


def test_brightness_moves_all_levels_alike() -> None:
    levels = np.repeat(np.array([100, 150], np.uint8), 24 * 48).reshape(48, 48)
    shown = augmented(levels, brightness=0.2)[:, [10, 40], 24].astype(int)
    assert (shown[:, 1] - shown[:, 0] == 50).all()
    assert shown[:, 0].min() == pytest.approx(100 - 51, abs=3)
    assert shown[:, 0].max() == pytest.approx(100 + 51, abs=3)


def test_brightness_is_not_multiplied_by_the_contrast() -> None:
    shown = augmented(np.full((48, 48), 128, np.uint8), brightness=0.2, contrast=0.5)[:, 0, 0].astype(int) - 128
    assert shown.min() == pytest.approx(-51, abs=2)
    assert shown.max() == pytest.approx(51, abs=2)


def test_half_of_the_faces_are_mirrored_by_default() -> None:
    ramp = np.tile(np.linspace(80, 180, 48), (48, 1)).astype(np.uint8)
    shown = Augmentation(rotate_degrees=0, erase=0).apply(
        np.repeat(ramp[None], COUNT, axis=0), np.random.default_rng(3)
    )
    mirrored = shown[:, :, :16].mean(axis=(1, 2)) > shown[:, :, 32:].mean(axis=(1, 2))
    assert mirrored.mean() == pytest.approx(0.5, abs=0.1)


def test_soft_faces_are_as_coarse_as_one_of_20_pixels_at_most() -> None:
    face = load_composites()["fear"]
    small = cv2.resize(face, (20, 20), interpolation=cv2.INTER_AREA)
    coarsest = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
    softened = augmented(face, soften=1)
    lost = np.abs(softened.astype(int) - face).mean(axis=(1, 2))
    assert lost.max() == np.abs(coarsest.astype(int) - face).mean()
    assert lost.min() < lost.max() / 4


def test_compressed_faces_have_a_quality_of_10_to_60() -> None:
    face, rng = load_composites()["fear"], np.random.default_rng(0)
    qualities = {jpeg(face, quality, rng).tobytes(): quality for quality in range(10, 61)}
    drawn = [qualities[compressed.tobytes()] for compressed in augmented(face, compress=1)]
    assert min(drawn) == 10
    assert max(drawn) >= 59


def test_noise_has_a_deviation_of_up_to_25_grey_levels() -> None:
    deviations = augmented(np.full((192, 192), 128, np.uint8), noise=1).std(axis=(1, 2))
    assert 24.7 < deviations.max() < 25.3
    assert deviations.min() < 0.5
    assert deviations.mean() == pytest.approx(12.5, abs=1)


@pytest.mark.parametrize("damage", ["soften", "erase", "noise", "compress"])
def test_each_damage_comes_as_often_as_it_is_asked_for(damage: str) -> None:
    picture = np.random.default_rng(0).integers(60, 200, (48, 48), np.uint8)
    spared = sum(np.array_equal(face, picture) for face in augmented(picture, **{damage: 0.25}))
    assert spared == pytest.approx(0.75 * COUNT, abs=0.1 * COUNT)


def test_a_patch_is_a_part_of_the_face_of_any_grey_anywhere() -> None:
    picture = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (24, 24))
    sizes, greys, corners = [], [], []
    for face in augmented(picture, erase=1):
        rows, columns = np.nonzero(face != picture)
        sizes.append((np.ptp(rows) + 1, np.ptp(columns) + 1))
        greys.append(int(face[rows[0], columns[0]]))
        corners.append((rows.min(), columns.min()))
    assert np.min(sizes) >= 5
    assert np.max(sizes) <= 15
    assert np.max(sizes) >= 14
    heights, widths = np.transpose(sizes)
    assert abs(np.corrcoef(heights, widths)[0, 1]) < 0.2, "each side for itself"
    assert min(greys) < 40
    assert max(greys) > 215
    assert np.min(corners) <= 1
    assert np.max(corners) >= 36


def test_a_soft_end_keeps_what_moves_a_face_and_leaves_the_rest() -> None:
    augmentation = Augmentation()
    kept = augmentation.without_corruptions()
    assert (kept.soften, kept.erase, kept.noise, kept.compress) == (0, 0, 0, 0)
    assert (
        kept.model_copy(update={name: getattr(augmentation, name) for name in ("soften", "erase", "noise", "compress")})
        == augmentation
    )


def test_white_stays_white_and_what_a_turn_brings_in_is_no_black_corner() -> None:
    """Grey levels beyond the range are cut off, and beyond the picture it is mirrored."""
    white = np.full((48, 48), 255, np.uint8)
    brighter = augmented(white, brightness=0.2, contrast=0.3)
    assert (brighter == 255).any()
    assert brighter.min() >= 255 - 51 - 39
    assert (augmented(white, rotate_degrees=45, scale=0.3, shift=0.2) == 255).all()
