import numpy as np

from fer_edge.assets.composites import load_composites
from fer_train.data.augmentation import Augmentation

FACE = load_composites()["surprise"]
STILL = Augmentation(
    rotate_degrees=0,
    scale=0,
    shift=0,
    contrast=0,
    brightness=0,
    mirror=False,
    soften=0,
    erase=0,
    noise=0,
    compress=0,
)


def test_no_change_is_no_change() -> None:
    out = STILL.apply(FACE[None], np.random.default_rng(0))
    assert np.array_equal(out[0], FACE)


def test_the_mirror_is_exact_and_takes_half_of_the_faces() -> None:
    out = STILL.model_copy(update={"mirror": True}).apply(np.repeat(FACE[None], 400, axis=0), np.random.default_rng(0))
    mirrored = sum(np.array_equal(face, FACE[:, ::-1]) for face in out)
    assert mirrored + sum(np.array_equal(face, FACE) for face in out) == 400
    assert 150 < mirrored < 250


def test_the_same_seed_gives_the_same_faces_and_the_originals_stay() -> None:
    faces = np.repeat(FACE[None], 8, axis=0)
    before = faces.copy()
    first = Augmentation().apply(faces, np.random.default_rng(5))
    second = Augmentation().apply(faces, np.random.default_rng(5))
    assert np.array_equal(first, second)
    assert np.array_equal(faces, before)
    assert len({face.tobytes() for face in first}) == 8


def test_brightness_stays_within_its_bounds() -> None:
    grey = np.full((200, 48, 48), 128, np.uint8)
    means = STILL.model_copy(update={"brightness": 0.1}).apply(grey, np.random.default_rng(0)).mean(axis=(1, 2))
    assert 128 - 26.5 <= means.min() < 110
    assert 146 < means.max() <= 128 + 26.5


def test_soft_faces_lose_detail_and_keep_their_light() -> None:
    faces = np.repeat(FACE[None], 50, axis=0)
    soft = STILL.model_copy(update={"soften": 1.0}).apply(faces, np.random.default_rng(0))
    assert all(abs(face.mean() - FACE.mean()) < 3 for face in soft)
    detail = [np.abs(np.diff(face.astype(int), axis=1)).mean() for face in soft]
    assert np.median(detail) < np.abs(np.diff(FACE.astype(int), axis=1)).mean()


def test_erased_faces_have_one_flat_patch() -> None:
    faces = np.repeat(FACE[None], 50, axis=0)
    for face in STILL.model_copy(update={"erase": 1.0}).apply(faces, np.random.default_rng(0)):
        rows, columns = np.nonzero(face != FACE)
        patch = face[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert patch.shape[0] <= 16
        assert patch.shape[1] <= 16
        assert (patch == patch[0, 0]).all()


def test_noise_keeps_the_other_faces_and_its_strength_varies() -> None:
    faces = np.repeat(FACE[None], 200, axis=0)
    noisy = STILL.model_copy(update={"noise": 0.5}).apply(faces, np.random.default_rng(0)).astype(int) - FACE
    deviations = noisy[np.any(noisy, axis=(1, 2))].std(axis=(1, 2))
    assert 70 < len(deviations) < 130
    assert deviations.min() < 5
    assert 18 < deviations.max() < 26


def test_compressed_faces_show_blocks_and_stay_recognisable() -> None:
    faces = np.repeat(FACE[None], 50, axis=0)
    for face in STILL.model_copy(update={"compress": 1.0}).apply(faces, np.random.default_rng(0)):
        assert np.corrcoef(face.ravel(), FACE.ravel())[0, 1] > 0.95
        assert not np.array_equal(face, FACE)
