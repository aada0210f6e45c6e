"""BlazeFace's decoding and the tiles, on numbers; no model is needed."""

import cv2
import numpy as np
import pytest

from fer_edge.detectors.blazeface import BlazeFace, anchors, decode, letterbox, weighted_nms
from fer_edge.detectors.tiles import tiles, whole_in
from fer_edge.errors import ModelError
from fer_edge.model.bundle import DEFAULT_MODEL, find_bundle
from fer_edge.types import FaceBox, Image


def test_the_short_range_model_has_two_anchors_per_fine_cell_and_six_per_coarse_one() -> None:
    centres = anchors(128)
    assert centres.shape == (896, 2)
    assert centres[:3].tolist() == [[4, 4], [4, 4], [12, 4]]
    assert centres[32].tolist() == [4, 12]  # the second row
    assert centres[511].tolist() == [124, 124]
    assert centres[512:519].tolist() == [[8, 8]] * 6 + [[24, 8]]


def test_the_full_range_model_has_one_anchor_per_cell_of_four_pixels() -> None:
    centres = anchors(192)
    assert centres.shape == (2304, 2)
    assert centres[[0, 1, 48, -1]].tolist() == [[2, 2], [6, 2], [2, 6], [190, 190]]


def test_boxes_are_decoded_from_their_anchor() -> None:
    raw = np.zeros((1, 16), np.float32)
    raw[0, :6] = [3, -2, 20, 10, -5, -4]
    (values,) = decode(raw, np.array([[100, 60]], np.float32))
    assert values[:4].tolist() == [93, 53, 113, 63]
    assert values[4:8].tolist() == [95, 56, 100, 60]


@pytest.mark.parametrize(("width", "height"), [(640, 360), (90, 120), (128, 128), (3000, 1500)])
def test_a_region_is_letterboxed_and_its_pixels_lead_back_to_the_picture(width: int, height: int) -> None:
    image = np.full((height, width, 3), 255, np.uint8)
    left, top, right, bottom = (
        round(part * side) for part, side in zip((0.5, 0.3, 0.8, 0.6), (width, height) * 2, strict=True)
    )
    image[top:bottom, left:right] = (255, 0, 0)  # blue
    entry, to_picture = letterbox(image, FaceBox(0, 0, width, height), 128)
    assert entry.shape == (1, 128, 128, 3)
    assert entry.dtype == np.float32
    assert (entry.min(), entry.max()) == (-1, 1)
    assert to_picture.scale.dtype == to_picture.offset.dtype == np.float32
    blue = (entry[0, :, :, 2] > 0) & (entry[0, :, :, 0] < 0)
    rows, columns = np.flatnonzero(blue.any(axis=1)), np.flatnonzero(blue.any(axis=0))
    corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]])
    back = corners * to_picture.scale + to_picture.offset
    pixel = 1.1 * max(width, height) / 128
    assert back == pytest.approx(np.array([[left, top], [right, bottom]]), abs=pixel)
    if height < width:
        assert entry[0, 0].max() == -1, "above a wide picture it is black"


def test_a_part_of_a_picture_is_cut_out_where_it_is() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[50:60, 110:120] = 255
    entry, to_picture = letterbox(image, FaceBox(100, 40, 64, 64), 128)
    rows, columns = np.nonzero(entry[0, :, :, 0] > 0)
    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) * to_picture.scale + to_picture.offset
    assert middle == pytest.approx([115, 55], abs=0.5)


def test_boxes_of_one_face_are_averaged_by_their_scores() -> None:
    boxes = np.array([[0, 0, 10, 10], [100, 100, 120, 120], [2, 0, 12, 10]], np.float32)
    found, scores = weighted_nms(boxes, np.array([0.9, 0.6, 0.3], np.float32))
    assert found.tolist() == [pytest.approx([0.5, 0, 10.5, 10]), pytest.approx([100, 100, 120, 120])]
    assert scores == pytest.approx([0.9, 0.6])


def test_key_points_are_averaged_with_their_box() -> None:
    boxes = np.array([[0, 0, 10, 10, 2, 3], [0, 0, 10, 10, 6, 5]], np.float32)
    found, _ = weighted_nms(boxes, np.array([0.75, 0.25], np.float32))
    assert found[0].tolist() == [0, 0, 10, 10, 3, 3.5]


def test_faces_side_by_side_and_boxes_without_area_are_kept_apart() -> None:
    boxes = np.array([[0, 0, 10, 10], [6, 0, 16, 10], [50, 50, 50, 50]], np.float32)  # IoU of the first two: 0.25
    found, scores = weighted_nms(boxes, np.array([0.7, 0.8, 0.6], np.float32))
    assert found.tolist() == boxes[[1, 0, 2]].tolist()
    assert scores == pytest.approx([0.8, 0.7, 0.6])
    near = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)  # IoU: 0.43
    found, _ = weighted_nms(near, np.array([0.6, 0.6], np.float32))
    assert found.tolist() == [[2, 0, 12, 10]]


def test_whatever_the_boxes_each_result_lies_among_them_and_scores_fall() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        corners = rng.uniform(0, 100, (30, 2))
        boxes = np.hstack([corners, corners + rng.uniform(0, 60, (30, 2))]).astype(np.float32)
        scores = rng.uniform(0.5, 1, 30).astype(np.float32)
        found, best = weighted_nms(boxes, scores)
        assert best[0] == scores.max()
        assert (np.diff(best) <= 0).all()
        assert (found >= boxes.min(axis=0) - 1e-3).all()
        assert (found <= boxes.max(axis=0) + 1e-3).all()


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (640, 480), (1920, 1080), (500, 90), (300, 300)])
def test_tiles_cover_the_picture_and_a_small_face_lies_wholly_in_one(width: int, height: int) -> None:
    side, overlap = 0.4 * max(width, height), 0.1 * max(width, height)
    found = tiles(width, height, side, overlap)
    assert all(tile.width == min(side, width) and tile.height == min(side, height) for tile in found)
    rng = np.random.default_rng(0)
    for _ in range(200):
        face = min(overlap, width, height)
        x, y = rng.uniform(0, width - face), rng.uniform(0, height - face)
        assert any(
            tile.x <= x + 1e-6
            and tile.y <= y + 1e-6
            and x + face <= tile.x + tile.width + 1e-6
            and y + face <= tile.y + tile.height + 1e-6
            for tile in found
        )


def test_of_a_tile_what_an_inner_edge_cuts_and_what_is_large_is_left_to_others() -> None:
    tile = FaceBox(0, 100, 200, 200)  # at the left edge of a picture of 400x400
    inside, cut_above, cut_right, large = (
        FaceBox(50, 150, 40, 40),
        FaceBox(50, 95, 40, 40),
        FaceBox(170, 150, 40, 40),
        FaceBox(20, 120, 110, 110),
    )
    beyond_the_picture = FaceBox(-5, 150, 40, 40)
    found = whole_in(tile, [inside, cut_above, cut_right, large, beyond_the_picture], 400, 400)
    assert found == [inside, beyond_the_picture]


@pytest.mark.parametrize(("left", "top"), [(0, 0), (100, 0), (200, 0), (0, 100), (0, 200), (100, 100), (200, 200)])
def test_a_face_may_reach_beyond_the_picture_and_beyond_no_inner_edge(left: int, top: int) -> None:
    """Of tiles of 200x200 in a picture of 400x400."""
    tile = FaceBox(left, top, 200, 200)
    for x, y, is_outer in (
        (left - 5, top + 80, left == 0),
        (left + 165, top + 80, left == 200),
        (left + 80, top - 5, top == 0),
        (left + 80, top + 165, top == 200),
        (left, top, True),
        (left + 160, top + 160, True),
    ):
        face = FaceBox(x, y, 40, 40)
        assert whole_in(tile, [face], 400, 400) == ([face] if is_outer else []), (x, y)


def test_another_model_is_refused() -> None:
    with pytest.raises(ModelError, match="is not one of MediaPipe's face detection models"):
        BlazeFace((find_bundle(DEFAULT_MODEL) / "model.tflite").read_bytes())


class Network:
    """Answers as the short range network would, whatever the picture."""

    def __init__(self, anchors: int = 896) -> None:
        self.boxes = np.zeros((1, anchors, 16), np.float32)
        self.logits = np.full((1, anchors, 1), -100, np.float32)
        self.threads = 0
        self.entry: np.ndarray | None = None

    def get_input_details(self) -> list[dict[str, object]]:
        return [{"index": 5, "shape": np.array([1, 128, 128, 3])}]

    def get_output_details(self) -> list[dict[str, object]]:
        return [{"index": 7, "shape": np.array(self.logits.shape)}, {"index": 6, "shape": np.array(self.boxes.shape)}]

    def set_tensor(self, index: int, entry: np.ndarray) -> None:
        assert index == 5
        self.entry = entry

    def invoke(self) -> None:
        assert self.entry is not None

    def get_tensor(self, index: int) -> np.ndarray:
        return {6: self.boxes, 7: self.logits}[index]


def test_what_the_network_says_becomes_a_box_in_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()

    def opened(_model: bytes, threads: int) -> Network:
        network.threads = threads
        return network

    monkeypatch.setattr("fer_edge.detectors.blazeface.open_interpreter", opened)
    blazeface, image = BlazeFace(b"", threads=3), np.zeros((480, 640, 3), np.uint8)
    image[40:168, 100:356] = (0, 0, 255)  # red
    assert (blazeface.side, network.threads) == (128, 3)
    region, anchor = FaceBox(100, 40, 256, 128), (7 * 16 + 7) * 2  # whose centre is at 60, 60
    network.boxes[0, anchor, :8] = (2, -3, 20, 30, -5, 0, 5, 4)
    network.logits[0, anchor] = 1  # a probability of 0.731
    (box,) = blazeface.find(image, region, 0.73)
    # The region is halved, and there are 32 black rows above it.
    assert (box.x, box.y, box.width, box.height) == pytest.approx((204, 60, 40, 60), abs=0.01)
    assert (box.score, box.roll) == pytest.approx((0.731, 21.8), abs=0.01)
    assert network.entry is not None
    assert network.entry[0, 64, 64].tolist() == [1, -1, -1], "RGB"
    assert blazeface.find(image, region, 0.74) == []
    assert blazeface.find(image, region, 1) == []
    network.logits[0, :2] = -1
    assert len(blazeface.find(image, region, 0.73)) == 1
    assert len(blazeface.find(image, region, 0)) > 1
    BlazeFace(b"")
    assert network.threads == 1
    network = Network(anchors=895)
    with pytest.raises(ModelError, match="the number of anchors differs"):
        BlazeFace(b"")


def test_averaging_keeps_what_single_pixels_would_miss() -> None:
    """Thin stripes become their mean, also where only some of the pixels are taken."""
    stripes: Image = np.zeros((1920, 1920, 3), np.uint8)
    stripes[:, ::2] = 200
    entry, _ = letterbox(np.asarray(cv2.blur(stripes, (2, 1)), np.uint8), FaceBox(0, 0, 1920, 1920), 192)
    assert entry.mean() == pytest.approx(100 / 127.5 - 1, abs=0.02)


def test_of_a_large_picture_the_pixels_in_the_middle_of_their_squares_are_taken() -> None:
    """So no face is moved, not by a fraction of the network's pixel either."""
    ramp = np.linspace(0, 250, 6144)
    image: Image = np.zeros((6144, 6144, 3), np.uint8)
    image[..., 0], image[..., 2] = ramp[:, None].round(), ramp.round()
    entry, _ = letterbox(image, FaceBox(0, 0, 6144, 6144), 128)
    levels = (entry[0, :32, :32] + 1) * 127.5
    expected = ramp.reshape(128, 48).mean(axis=1)[:32]
    for found in (levels[..., 0].mean(axis=0), levels[..., 2].mean(axis=1)):
        assert (found - expected).mean() == pytest.approx(0, abs=0.06)
