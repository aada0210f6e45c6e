"""BlazeFace (Bazarevsky et al., 2019), decoded as in MediaPipe: anchors, then weighted non-maximum suppression.

The constants are those of MediaPipe's graphs `face_detection_short_range` and `face_detection_full_range`. One thing
differs: images are averaged when they are scaled down, where MediaPipe takes single pixels. That finds more small
faces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import starmap

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_edge.model.interpreter import open_interpreter
from fer_edge.types import FaceBox, Image

Floats = npt.NDArray[np.float32]

# For each input side in pixels, the table has the sides of the cells in pixels and the anchors per cell.
_GRIDS = {128: ((8, 2), (16, 6)), 192: ((4, 1),)}
_VALUES = 16  # per anchor: centre, size, then x and y of six key points, the eyes first
_SAME_FACE = 0.3  # IoU from which boxes are averaged into one
_SAMPLES = 3  # pixels in a row that are averaged into one: from a picture far larger, only some are taken
_LEVELS = np.linspace(-1, 1, 256, dtype=np.float32)  # of the network's input, by those of the picture
_LARGEST_LOGIT = 80.0  # larger ones would overflow; their probability is 1


@dataclass(frozen=True, slots=True)
class ToPicture:
    """The transform from the network's input to the image: times `scale`, plus `offset`; x and y each, float32."""

    scale: Floats
    offset: Floats


class BlazeFace:
    """One of MediaPipe's face detection networks: short range (128 pixels) or full range (192 pixels)."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        """Open the network.

        Args:
            model: content of the `.tflite` file.
            threads: number of threads of the kernels.

        Raises:
            MissingDependency: no TFLite runtime is installed.
            ModelError: the model is not BlazeFace.
        """
        self._interpreter = open_interpreter(model, threads)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.side = int(inputs[0]["shape"][1]) if len(inputs) == 1 and len(inputs[0]["shape"]) == 4 else 0
        by_values = {int(output["shape"][-1]): output for output in outputs}
        if self.side not in _GRIDS or by_values.keys() != {_VALUES, 1}:
            raise ModelError("is not one of MediaPipe's face detection models")
        self._input = inputs[0]["index"]
        self._boxes, self._scores = by_values[_VALUES]["index"], by_values[1]["index"]
        self._anchors = anchors(self.side)
        if tuple(by_values[1]["shape"]) != (1, len(self._anchors), 1):
            raise ModelError("is not one of MediaPipe's face detection models: the number of anchors differs")

    def find(self, image: Image, region: FaceBox, min_score: float) -> list[FaceBox]:
        """Search a rectangle of an image.

        Args:
            image: shape (H, W, 3), BGR, uint8.
            region: the rectangle inside `image`, in pixels.
            min_score: smallest probability of a returned box.

        Returns:
            Boxes in pixels of `image` with score and roll, the highest score first.
        """
        entry, to_picture = letterbox(image, region, self.side)
        self._interpreter.set_tensor(self._input, entry)
        self._interpreter.invoke()
        logits = np.asarray(self._interpreter.get_tensor(self._scores), np.float32)[0, :, 0]
        sure = np.flatnonzero(logits > _logit(min_score))
        if not sure.size:
            return []
        raw = np.asarray(self._interpreter.get_tensor(self._boxes), np.float32)[0, sure]
        found, scores = weighted_nms(decode(raw, self._anchors[sure]), _sigmoid(logits[sure]))
        points = found.reshape(len(found), -1, 2) * to_picture.scale + to_picture.offset
        return list(starmap(_face_box, zip(points, scores, strict=True)))


def anchors(side: int) -> Floats:
    """Centres of the cells, in pixels of the network's input: shape (N, 2), x and y, float32."""
    return np.array(
        [
            ((column + 0.5) * cell, (row + 0.5) * cell)
            for cell, per_cell in _GRIDS[side]
            for row in range(side // cell)
            for column in range(side // cell)
            for _ in range(per_cell)
        ],
        np.float32,
    )


def letterbox(image: Image, region: FaceBox, side: int) -> tuple[Floats, ToPicture]:
    """Scale a region into the middle of the network's square input.

    Returns:
        The input, shape (1, side, side, 3), RGB, -1 to 1, black around the region; and the transform to the image.
    """
    left, top = int(region.x), int(region.y)
    part = image[top : round(region.y + region.height), left : round(region.x + region.width)]
    height, width = part.shape[:2]
    scale = max(width, height) / side
    size = (max(round(width / scale), 1), max(round(height / scale), 1))
    step = int(scale / _SAMPLES)
    if step > 1:
        part = part[step // 2 :, step // 2 :]
        part = np.asarray(cv2.resize(part, (width // step, height // step), interpolation=cv2.INTER_NEAREST), np.uint8)
    small = cv2.resize(_averaged(part, int(part.shape[1] / size[0])), size, interpolation=cv2.INTER_LINEAR)
    right, below = (side - size[0]) // 2, (side - size[1]) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[below : below + size[1], right : right + size[0]] = small
    entry = np.asarray(cv2.LUT(cv2.cvtColor(square, cv2.COLOR_BGR2RGB), _LEVELS), np.float32)[None]
    scales = np.array([width / size[0], height / size[1]], np.float32)
    offset = np.array([left, top], np.float32) - scales * np.array([right, below], np.float32)
    return entry, ToPicture(scales, offset)


def _averaged(image: Image, cell: int) -> Image:
    """Average squares of `cell` pixels, which is four times faster than scaling to the final size at once."""
    if cell < 2:
        return image
    height, width = (length // cell for length in image.shape[:2])
    whole = image[: height * cell, : width * cell]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def decode(raw: Floats, centres: Floats) -> Floats:
    """Decode the network's outputs per anchor into corners and key points.

    Args:
        raw: shape (N, 16): centre, size and six key points, in pixels from the anchor.
        centres: the anchors, shape (N, 2).

    Returns:
        Shape (N, 16), in pixels of the network's input: upper left corner, lower right corner, key points.
    """
    decoded = raw + np.tile(centres, _VALUES // 2)
    half = raw[:, 2:4] / 2
    centre = decoded[:, :2].copy()
    decoded[:, :2], decoded[:, 2:4] = centre - half, centre + half
    return decoded


def weighted_nms(boxes: Floats, scores: Floats, same_face: float = _SAME_FACE) -> tuple[Floats, Floats]:
    """Average boxes of one face, weighted by their scores.

    Args:
        boxes: shape (N, 4 or more): two corners, and other values to average.
        scores: shape (N,).
        same_face: IoU with the best box of a face above which a box is of the same face.

    Returns:
        Boxes, and the best score of each face, the highest first: shapes (M, as given) and (M,).
    """
    left = np.argsort(-scores, kind="stable")
    found, best = [], []
    while left.size:
        same = _iou(boxes[left[0]], boxes[left]) > same_face
        same[0] = True  # a box without area overlaps nothing, not even itself
        group = left[same]
        found.append(np.average(boxes[group], axis=0, weights=scores[group]))
        best.append(scores[left[0]])
        left = left[~same]
    return np.array(found, np.float32).reshape(-1, boxes.shape[1]), np.array(best, np.float32)


def _iou(box: Floats, others: Floats) -> Floats:
    shared = np.minimum(box[2:4], others[:, 2:4]) - np.maximum(box[:2], others[:, :2])
    intersection = shared.clip(0).prod(axis=1)
    areas = (others[:, 2:4] - others[:, :2]).prod(axis=1) + (box[2:4] - box[:2]).prod()
    return np.asarray(intersection / np.maximum(areas - intersection, 1e-9), np.float32)


def _face_box(points: Floats, score: np.float32) -> FaceBox:
    (left, top), (right, bottom), (eye_x, eye_y), (other_x, other_y) = points[:4].tolist()
    roll = math.degrees(math.atan2(other_y - eye_y, other_x - eye_x))
    return FaceBox(left, top, right - left, bottom - top, float(score), roll)


def _logit(probability: float) -> float:
    if probability <= 0:
        return -math.inf
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits.clip(-_LARGEST_LOGIT, _LARGEST_LOGIT))), np.float32)
