"""Rules that hold for any input: boxes, pairs, smoothed labels, crops, lines and logs."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fer_edge import FaceBox, Frame, FrameResult, Prediction, RunConfig, Track, TrackedFace
from fer_edge.config import JsonLinesConfig, SmoothingConfig, load_config
from fer_edge.config.template import template
from fer_edge.geometry import centred_between, clip, distinct, expand, iou, overlap, shift, square
from fer_edge.preprocess import CropCalibration, crop_face
from fer_edge.sinks.jsonl import JsonLines
from fer_edge.sinks.rotating_file import RotatingFile
from fer_edge.tracking.assignment import assign
from fer_edge.tracking.smoothing import Smoother

quick = settings(deadline=None, derandomize=True, database=None, max_examples=60)

places = st.floats(-500, 500)
sides = st.floats(1, 400)
boxes = st.builds(FaceBox, places, places, sides, sides, st.floats(0, 1), st.floats(-90, 90))


def centre(box: FaceBox) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2


# Boxes


@quick
@given(boxes, boxes)
def test_overlaps_are_the_same_either_way_and_between_0_and_1(a: FaceBox, b: FaceBox) -> None:
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert overlap(a, b) == pytest.approx(overlap(b, a))
    assert 0 <= iou(a, b) <= overlap(a, b) + 1e-9
    assert overlap(a, b) <= 1 + 1e-9
    assert iou(a, a) == pytest.approx(1)


@quick
@given(boxes, boxes, places, places, st.floats(0.1, 10))
def test_overlaps_depend_on_neither_place_nor_scale(a: FaceBox, b: FaceBox, dx: float, dy: float, by: float) -> None:
    def moved(box: FaceBox) -> FaceBox:
        return replace(box, x=by * (box.x + dx), y=by * (box.y + dy), width=by * box.width, height=by * box.height)

    assert iou(moved(a), moved(b)) == pytest.approx(iou(a, b), abs=1e-6)
    assert overlap(moved(a), moved(b)) == pytest.approx(overlap(a, b), abs=1e-6)


@quick
@given(boxes, st.integers(1, 640), st.integers(1, 480))
def test_a_clipped_box_is_what_the_frame_and_the_box_share(box: FaceBox, width: int, height: int) -> None:
    clipped, frame = clip(box, width, height), FaceBox(0, 0, width, height)
    if clipped.width and clipped.height:
        assert clipped.x >= 0
        assert clipped.y >= 0
        assert clipped.x + clipped.width <= width + 1e-6
        assert clipped.y + clipped.height <= height + 1e-6
    shared = overlap(box, frame) * min(box.width * box.height, width * height)
    assert clipped.width * clipped.height == pytest.approx(shared, rel=1e-6, abs=1e-6)
    assert clip(clipped, width, height) == pytest.approx(clipped)
    assert (clipped.score, clipped.roll) == (box.score, box.roll)


@quick
@given(boxes, st.floats(0.1, 5))
def test_a_box_keeps_its_centre_when_it_is_scaled_or_made_square(box: FaceBox, factor: float) -> None:
    for made in (square(box), expand(box, factor)):
        assert centre(made) == pytest.approx(centre(box), abs=1e-6)
        assert (made.score, made.roll) == (box.score, box.roll)
    assert square(box).width == square(box).height == max(box.width, box.height)
    assert expand(box, factor).width == pytest.approx(factor * box.width)
    assert expand(box, factor).height == pytest.approx(factor * box.height)
    assert expand(expand(box, factor), 1 / factor).width == pytest.approx(box.width)


@quick
@given(boxes, boxes, st.floats(-2, 2), st.floats(-2, 2))
def test_a_moved_box_keeps_its_size(a: FaceBox, b: FaceBox, dx: float, dy: float) -> None:
    moved = shift(a, dx, dy)
    assert (moved.x - a.x, moved.y - a.y) == pytest.approx((dx * a.width, dy * a.height), abs=1e-6)
    between = centred_between(a, b)
    halfway = tuple((one + other) / 2 for one, other in zip(centre(a), centre(b), strict=True))
    assert centre(between) == pytest.approx(halfway, abs=1e-6)
    for made, size in ((moved, a), (between, b)):
        assert (made.width, made.height) == (size.width, size.height)


@quick
@given(st.lists(boxes, max_size=8), st.floats(0.1, 0.9))
def test_distinct_boxes_overlap_little_and_none_is_lost_without_a_rival(
    found: list[FaceBox], most_shared: float
) -> None:
    kept = distinct(found, most_shared)
    assert all(box in found for box in kept)
    assert all(overlap(a, b) <= most_shared for i, a in enumerate(kept) for b in kept[i + 1 :])
    for box in found:
        assert box in kept or any(overlap(box, other) > most_shared for other in found if other is not box)


# Pairs

tables = st.integers(1, 7).flatmap(
    lambda width: st.lists(
        st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.30001, 0.5, 0.9, 1.0]), min_size=width, max_size=width),
        min_size=1,
        max_size=7,
    )
)


@quick
@given(tables)
def test_pairs_gain_as_much_as_those_of_scipy(gains: list[list[float]]) -> None:
    table, pairs = np.array(gains), assign(gains)
    best = table[linear_sum_assignment(table, maximize=True)].sum()
    assert sum(table[pair] for pair in pairs) == pytest.approx(best)
    assert all(table[pair] > 0 for pair in pairs)
    assert pairs == sorted(pairs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)


# Steadied labels

LABELS = ("happy", "sad", "neutral", "surprise")
readings = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda raw: np.array(raw, np.float32) / sum(raw))


def prediction(probabilities: np.ndarray) -> Prediction:
    best = int(probabilities.argmax())
    return Prediction(np.asarray(probabilities, np.float32), LABELS[best], float(probabilities[best]))


def shown(smoother: Smoother, reading: np.ndarray, at: float) -> Prediction:
    track = Track(1, FaceBox(0, 0, 9, 9), at, 0.0)
    return smoother.update([track], {1: prediction(reading)}, at)[0].smoothed


@quick
@given(readings, st.integers(0, 3), st.floats(0.05, 3), st.floats(0, 0.5), st.sampled_from([5, 12, 30]))
def test_a_step_always_passes(
    before: np.ndarray,
    label: int,
    time_constant: float,
    margin: float,
    fps: int,
) -> None:
    """Whatever was shown before: once a label is clear, it is shown after five time constants at the latest."""
    smoother = Smoother(SmoothingConfig(time_constant=time_constant, switch_margin=margin), LABELS)
    for frame in range(10):
        shown(smoother, before, frame / fps)
    clear = np.full(4, 0.04)
    clear[label] = 0.88
    begin, frames = 10 / fps, int(5 * time_constant * fps) + 2
    said = [shown(smoother, clear, begin + frame / fps) for frame in range(frames)]
    assert said[-1].label == LABELS[label]
    assert said[-1].confidence == pytest.approx(0.88, abs=0.02)
    changes = sum(one.label != other.label for one, other in pairwise(said))
    assert changes <= 3, "a step is no flicker: uncertain and one other label may lie between"


@quick
@given(st.lists(st.tuples(readings, st.floats(0.01, 0.5)), min_size=1, max_size=12), st.floats(0.1, 50))
def test_steadying_knows_no_unit_of_time(
    frames: list[tuple[np.ndarray, float]],
    by: float,
) -> None:
    """All times and the time constant scaled alike change nothing."""
    said = []
    for factor in (1.0, by):
        smoother = Smoother(SmoothingConfig(time_constant=0.4 * factor), LABELS)
        at, answers = 0.0, []
        for reading, pause in frames:
            at += factor * pause
            answers.append(shown(smoother, reading, at))
        said.append(answers)
    for one, other in zip(*said, strict=True):
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-4)


@quick
@given(st.lists(st.tuples(readings, st.floats(0, 0.5)), min_size=1, max_size=12))
def test_smoothed_probabilities_lie_between_the_raw_ones_and_sum_to_one(
    frames: list[tuple[np.ndarray, float]],
) -> None:
    smoother, at = Smoother(SmoothingConfig(), LABELS), 0.0
    seen = []
    for reading, pause in frames:
        at += pause
        seen.append(reading)
        said = shown(smoother, reading, at)
        assert said.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert (said.probabilities >= np.min(seen, axis=0) - 1e-6).all()
        assert (said.probabilities <= np.max(seen, axis=0) + 1e-6).all()
        if said.label in LABELS:
            assert said.confidence == pytest.approx(float(said.probabilities[LABELS.index(said.label)]))
        else:
            assert said.label == "uncertain"
            assert said.confidence == pytest.approx(float(said.probabilities.max()))


# Crops


@quick
@given(st.integers(20, 100), st.integers(20, 80), st.integers(10, 90), st.integers(0, 30), st.integers(0, 30))
def test_the_crop_of_a_shifted_frame_is_the_shifted_crop(x: int, y: int, side: int, dx: int, dy: int) -> None:
    room = np.random.default_rng(0).integers(0, 256, (330, 330), np.uint8)
    crop_calibration = CropCalibration(1.2, 0.05, -0.1)
    frame, shifted = room[30:, 30:], room[30 - dy :, 30 - dx :]
    box = FaceBox(x, y, side, side)
    there = crop_face(shifted, replace(box, x=x + dx, y=y + dy), crop_calibration)
    assert np.array_equal(crop_face(frame, box, crop_calibration), there)


@quick
@given(boxes, st.floats(-180, 180))
def test_a_crop_is_a_square_of_the_models_size_whatever_the_box(box: FaceBox, roll: float) -> None:
    frame = np.random.default_rng(0).integers(60, 90, (120, 160, 3), np.uint8)
    crop = crop_face(frame, replace(box, roll=roll), CropCalibration(1.3, 0.1, 0.1))
    assert crop.shape == (48, 48)
    assert crop.min() >= 59
    assert crop.max() <= 91, "beyond the frame the border is repeated: nothing is black"


# The configuration

configurations = st.fixed_dictionaries(
    {},
    optional={
        "source": st.sampled_from(["demo", "0", "clip.mp4", "rtsp://camera/é"]),
        "threads": st.integers(1, 64),
        "smoothing": st.fixed_dictionaries(
            {}, optional={"time_constant": st.floats(0, 10), "switch_margin": st.floats(0, 0.5)}
        ),
        "json_lines": st.fixed_dictionaries({}, optional={"append": st.booleans(), "max_mb": st.floats(0.1, 1e4)}),
        "classifier": st.fixed_dictionaries({}, optional={"prior": st.floats(0, 1)}),
    },
)


@quick
@given(configurations)
def test_a_configuration_that_is_written_is_read_back_the_same(values: dict[str, object]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_text(template(values))
        assert load_config(path, {}) == RunConfig.model_validate(values)


# JSON lines

faces = st.lists(
    st.builds(
        lambda identity, box, label, shares: TrackedFace(
            Track(identity, box, 1.0, 0.0),
            Prediction(shares, label, float(shares.max())),
            Prediction(shares, label, float(shares.max())),
        ),
        st.integers(1, 10**9),
        boxes,
        st.text(max_size=20),
        readings,
    ),
    max_size=3,
)


@settings(quick, max_examples=20)
@given(st.lists(st.tuples(faces, st.text(max_size=20)), min_size=1, max_size=4))
def test_every_line_parses_whatever_the_labels_and_names(frames: list[tuple[list[TrackedFace], str]]) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with TemporaryDirectory() as folder:
        out = Path(folder, "out.jsonl")
        with JsonLines(str(out), JsonLinesConfig()) as sink:
            for index, (seen, name) in enumerate(frames):
                sink.emit(FrameResult(Frame(image, index / 7, index, name=name), tuple(seen), {"track": 1.0}))
        lines = out.read_bytes().split(b"\n")
    assert lines.pop() == b""
    records = [json.loads(line) for line in lines]
    assert [record["frame"] for record in records] == list(range(len(frames)))
    assert [record.get("file", "") for record in records] == [name for _, name in frames]
    for record, (seen, _) in zip(records, frames, strict=True):
        assert [face["label"] for face in record["faces"]] == [face.label for face in seen]
        assert [face["id"] for face in record["faces"]] == [face.id for face in seen]
        for written, face in zip(record["faces"], seen, strict=True):
            assert written["box"] == pytest.approx(
                [face.box.x, face.box.y, face.box.width, face.box.height], abs=0.0501
            )
            assert written["smoothed"] == pytest.approx(face.smoothed.probabilities.tolist(), abs=1e-4)


# Rotation

steps = st.one_of(
    st.integers(0, 400),  # a line with so much in it
    st.just("restart"),
    st.integers(1, 40).map(lambda kept: ("kill", kept)),  # in the middle of a line
    st.just("remove"),  # somebody moves the file away
)


def in_order(log: Path) -> list[Path]:
    """The log's files, the oldest first."""
    rotated = sorted(log.parent.glob(f"{log.name}.*"), key=lambda file: -int(file.suffix[1:]))
    return [*rotated, *([log] if log.exists() else [])]


@quick
@given(st.lists(steps, max_size=30), st.sampled_from([150, 500, 1500]), st.sampled_from([0, 30]))
def test_a_log_loses_nothing_whatever_happens_to_it(steps: list[object], most_bytes: int, hours: int) -> None:
    """The lines of the rotated files and the present one, oldest first, are those that were written, each once."""
    begun = datetime.now(UTC) - timedelta(hours=hours)
    written: list[bytes] = []
    with TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        config = JsonLinesConfig(append=True, max_mb=most_bytes / 1e6, max_hours=24, keep=200)
        log = RotatingFile(path, config)
        log.open()
        moved: list[Path] = []
        for number, step in enumerate(steps):
            if isinstance(step, int):
                line = json.dumps({"time": begun.isoformat(), "n": number, "pad": "x" * step}, separators=(",", ":"))
                written.append(line.encode() + b"\n")
                log.write(written[-1])
            elif step == "remove":
                for file in in_order(path):
                    moved.append(file.replace(Path(folder, f"moved-{len(moved)}")))
            else:
                log.close()
                if step != "restart" and path.exists():
                    assert isinstance(step, tuple)
                    torn = b'{"time":"2026-01-01T00:00:00Z","frame":12}'[: step[1]]
                    with path.open("ab") as cut:
                        cut.write(torn)
                log = RotatingFile(path, config)
                log.open()
        log.close()
        kept = [*moved, *in_order(path)]
        assert b"".join(file.read_bytes() for file in kept) == b"".join(written)
        largest = max((len(line) for line in written), default=0)
        assert all(file.stat().st_size <= max(most_bytes, largest) for file in kept)
