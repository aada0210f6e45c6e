"""The reference in `model.json`: what validation faces look like through the detector, and when confidence is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from fer_edge.config import DetectorConfig
from fer_edge.detectors import Detector, open_detector
from fer_edge.errors import DataError
from fer_edge.model.bundle import Bundle, find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.prior import DEFAULT_POWER
from fer_edge.model.reference import AccuracyEstimate, Reference
from fer_edge.monitoring.crop_statistics import crop_statistics
from fer_edge.monitoring.expected_accuracy import INPUTS, chance_right, is_usual, outside_share, terms
from fer_edge.monitoring.histograms import FEATURES
from fer_edge.preprocess import crop_face
from fer_edge.types import FaceBox, Image
from fer_quantize.camera_faults import FITTED, TRIED
from fer_quantize.manifest_writer import write_manifest
from fer_train.data.corruptions import Corruption
from fer_train.data.datasets import LabelledFaces, load_dataset
from fer_train.runs.records import find_scheme

# Side in pixels of a face that is drawn for the detector; deviations of where it is expected, as fractions of that.
_SIDE, _JITTER = 100, 0.04
# Fewer faces than this say nothing.
_LEAST_FACES = 50
# Inverse strength of the regression's regularization.
_C = 0.1


@dataclass(frozen=True, slots=True)
class Trial:
    """How the estimate did on one kind of face; shares, 0..1.

    Attributes:
        corruption: its name; empty for faces as they are.
        level: in the corruption's unit.
        fitted: whether the estimate was fitted on that kind, on other faces.
        confidence: mean confidence.
        expected: mean chance to be right.
        accuracy: how often it was.
        trusted: whether a device would trust the estimate.
    """

    corruption: str
    level: float
    fitted: bool
    confidence: float
    expected: float
    accuracy: float
    trusted: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """Faces of one kind as the model read them: one row per face."""

    corruption: str
    level: float
    fitted: bool
    confidence: npt.NDArray[np.float64]
    entropy: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    statistics: list[dict[str, float]]

    def half(self, start: int) -> _Read:
        """Every other face, from `start` on."""
        part = slice(start, None, 2)
        kept = (self.confidence[part], self.entropy[part], self.right[part], self.statistics[part])
        return _Read(self.corruption, self.level, self.fitted, *kept)

    def counts(self, name: str) -> Counter[int]:
        """The faces in each bin of a feature."""
        values = {"confidence": self.confidence, "entropy": self.entropy}.get(name)
        if values is None:
            values = np.array([row[name] for row in self.statistics])
        return Counter(FEATURES[name].bin_of(float(value)) for value in values)


def make_reference(
    bundle: Bundle, faces: LabelledFaces, most: int | None = None, *, are_crops: bool = False
) -> tuple[Reference, list[Trial]] | None:
    """Find, corrupt and read validation faces; None where the detector finds too few, or the model is never wrong.

    The estimate that ships is fitted on all faces. The trials, and with them its error, are of one that is fitted on
    half of the faces and tried on the other half. Of more than `most` faces, the first are taken. With `are_crops`, a
    device's detector found the faces already, and they are taken as they are.
    """
    faces = faces.take(np.arange(min(len(faces), most or len(faces))))
    config = DetectorConfig()
    crops, found = faces.images, list(range(len(faces)))
    if not are_crops:
        crops, found = _detected(open_detector(config), list(faces.images))
    if len(crops) < _LEAST_FACES:
        return None
    classifier = Classifier(bundle, prior=DEFAULT_POWER if bundle.manifest.prior else 0.0)
    classes = faces.classes[found]
    kinds = [(Corruption("", "", (0.0,), _as_it_is), True)]
    kinds += [(one, True) for one in FITTED] + [(one, False) for one in TRIED]
    reads = [
        _read(classifier, one.apply(crops, level, 0) if one.name else crops, classes, one.name, level, fitted)
        for one, fitted in kinds
        for level in one.levels
    ]
    fitted = [read for read in reads if read.fitted]
    if len(set(np.concatenate([read.half(0).right for read in fitted]).tolist())) == 1:
        return None  # always right, or always wrong: there is nothing to estimate
    reference = Reference(
        detector=config.name,
        data=faces.source.name,
        split=faces.split,
        labels=faces.scheme,
        faces=len(crops),
        prior=DEFAULT_POWER if bundle.manifest.prior else 0.0,
        accuracy=round(float(reads[0].right.mean()), 4),
        histograms={name: _sorted(reads[0].counts(name)) for name in (*INPUTS, "confidence", "entropy")},
        estimate=_fit([read.half(0) for read in fitted]),
    )
    trials = [_try(read.half(1), reference) for read in reads]
    errors = [trial.expected - trial.accuracy for trial in trials if trial.trusted]
    estimate = _fit(fitted, float(np.sqrt(np.mean(np.square(errors)))))
    return reference.model_copy(update={"estimate": estimate}), trials


def add_reference(name: str, data: Path, most: int | None = None) -> tuple[Path, Reference, list[Trial]]:
    """Write the reference into the `model.json` of a bundle; its other files stay as they are. See `make_reference`.

    Raises:
        ModelError: the bundle cannot be used.
        DataError: the data cannot be read, or the detector finds too few faces.
        ConfigError: it is not known which labels it learnt, or `model.json` cannot be written.
    """
    folder = find_bundle(name)
    bundle = load_bundle(folder)
    faces = load_dataset(data, "validation", find_scheme(folder, None, bundle.manifest.training))
    made = make_reference(bundle, faces, most)
    if made is None:
        raise DataError(f"{faces.source}: the detector finds too few of its {len(faces)} validation faces")
    reference, trials = made
    write_manifest(folder, bundle.manifest.model_copy(update={"reference": reference}))
    return folder, reference, trials


def _detected(detector: Detector, images: Sequence[Image]) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Crops as the runtime would cut them, shape (N, 48, 48), and whose they are.

    A face is drawn with its border mirrored around it, and looked for where it almost is, as a tracker does.
    """
    rng, crops, found = np.random.default_rng(0), [], []
    edge = _SIDE // 2
    for index, image in enumerate(images):
        face = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        frame = np.asarray(cv2.copyMakeBorder(face, edge, edge, edge, edge, cv2.BORDER_REFLECT_101), np.uint8)
        x, y = edge + rng.normal(0, _JITTER * _SIDE, 2)
        width = _SIDE * rng.normal(1, _JITTER)
        boxes = detector.detect_near(frame, FaceBox(x, y, width, width), 1.5)
        if boxes:
            best = max(boxes, key=lambda box: box.score)
            crops.append(crop_face(frame, best, detector.crop_calibration))
            found.append(index)
    return np.array(crops, np.uint8), found


def _read(
    classifier: Classifier,
    crops: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.int64],
    corruption: str,
    level: float,
    fitted: bool,
) -> _Read:
    shares = np.array([classifier.probabilities(classifier.fit(crop)) for crop in crops], np.float64)
    entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(1) / np.log(shares.shape[1])
    statistics = [crop_statistics(crop) for crop in crops]
    return _Read(corruption, level, fitted, shares.max(1), entropy, shares.argmax(1) == classes, statistics)


def _fit(reads: Sequence[_Read], error: float = 0.0) -> AccuracyEstimate:
    rows = [
        terms(float(confidence), statistics["contrast"], statistics["sharpness"])
        for read in reads
        for confidence, statistics in zip(read.confidence, read.statistics, strict=True)
    ]
    values = np.array([list(row.values()) for row in rows])
    mean, scale = values.mean(0), values.std(0) + 1e-6
    model = LogisticRegression(C=_C, max_iter=2000)
    model.fit((values - mean) / scale, np.concatenate([read.right for read in reads]))
    weights = model.coef_[0] / scale
    named = {name: round(float(weight), 5) for name, weight in zip(rows[0], weights, strict=True)}
    return AccuracyEstimate(
        weights=named, bias=round(float(model.intercept_[0] - weights @ mean), 5), error=round(error, 4)
    )


def _try(read: _Read, reference: Reference) -> Trial:
    chances = [
        chance_right(reference.estimate, float(confidence), statistics)
        for confidence, statistics in zip(read.confidence, read.statistics, strict=True)
    ]
    trusted = is_usual(outside_share(name, read.counts(name), reference) for name in INPUTS)
    means = (float(read.confidence.mean()), float(np.mean(chances)), float(read.right.mean()))
    return Trial(read.corruption, read.level, read.fitted, *means, trusted)


def _sorted(counts: Counter[int]) -> dict[int, int]:
    return dict(sorted(counts.items()))


def _as_it_is(face: Image, _level: float, _rng: np.random.Generator) -> Image:
    return face
