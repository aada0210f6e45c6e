"""Smoothed labels: noise is not shown, a real change is."""

from contextlib import nullcontext

import numpy as np
import pytest

from fer_edge.config import SmoothingConfig
from fer_edge.tracking.smoothing import Smoother
from fer_edge.types import FaceBox, Prediction, Track

LABELS = ("happy", "sad", "neutral")


def track(identity: int = 1, missed_s: float = 0.0) -> Track:
    return Track(identity, FaceBox(0, 0, 10, 10), 1.0, missed_s)


def prediction(*shares: float) -> Prediction:
    probabilities = np.array(shares, np.float32)
    best = int(probabilities.argmax())
    return Prediction(probabilities, LABELS[best], float(probabilities[best]))


HAPPY, SAD = prediction(0.9, 0.1, 0.0), prediction(0.1, 0.9, 0.0)


def test_a_flickering_label_is_held() -> None:
    smoother = Smoother(SmoothingConfig(), LABELS)
    shown = []
    for index in range(90):
        face = smoother.update([track()], {1: SAD if index % 5 == 4 else HAPPY}, index / 30)[0]
        shown.append(face.smoothed.label)
        assert face.raw.label == ("sad" if index % 5 == 4 else "happy")
    assert set(shown) == {"happy"}


def test_a_frame_from_before_the_last_one_changes_nothing() -> None:
    """As of a camera whose own times go back."""
    smoother = Smoother(SmoothingConfig(), LABELS)
    before = smoother.update([track()], {1: HAPPY}, 10.0)[0].smoothed
    after = smoother.update([track()], {1: SAD}, 9.0)[0].smoothed
    assert np.array_equal(after.probabilities, before.probabilities)


@pytest.mark.parametrize(("margin", "works"), [(0.09, True), (0.1, False)])
def test_a_label_that_could_never_be_shown_again_is_refused(margin: float, works: bool) -> None:
    with nullcontext() if works else pytest.raises(ValueError, match="no label would ever be shown again"):
        SmoothingConfig(uncertain_below=0.9, switch_margin=margin)


@pytest.mark.parametrize("fps", [5, 30])
def test_a_real_change_comes_through_in_the_same_time_at_any_rate(fps: int) -> None:
    smoother = Smoother(SmoothingConfig(time_constant=0.4, switch_margin=0.1), LABELS)
    for index in range(2 * fps):
        smoother.update([track()], {1: HAPPY}, index / fps)
    for index in range(2 * fps, 4 * fps):
        if smoother.update([track()], {1: SAD}, index / fps)[0].smoothed.label == "sad":
            break
    assert 0.2 <= index / fps - 2 <= 0.6


def test_two_faces_are_smoothed_independently() -> None:
    smoother = Smoother(SmoothingConfig(), LABELS)
    for index in range(5):
        faces = smoother.update([track(1), track(2)], {1: HAPPY, 2: SAD}, index / 30)
    assert [face.smoothed.label for face in faces] == ["happy", "sad"]
    assert [face.track for face in faces] == [track(1), track(2)]


def test_a_face_that_is_not_seen_keeps_what_was_read() -> None:
    smoother = Smoother(SmoothingConfig(), LABELS)
    smoother.update([track()], {1: HAPPY}, 0.0)
    face = smoother.update([track(missed_s=0.4)], {}, 0.4)[0]
    assert face.raw is HAPPY
    assert face.smoothed.label == "happy"
    assert face.smoothed.confidence == pytest.approx(0.9)


def test_a_face_that_is_gone_is_forgotten() -> None:
    smoother = Smoother(SmoothingConfig(), LABELS)
    smoother.update([track()], {1: HAPPY}, 0.0)
    assert smoother.update([], {}, 0.1) == ()
    assert smoother.update([track()], {1: SAD}, 0.2)[0].smoothed.confidence == pytest.approx(0.9)


def test_without_smoothing_the_label_follows_each_frame() -> None:
    smoother = Smoother(SmoothingConfig(time_constant=0, switch_margin=0), LABELS)
    assert smoother.update([track()], {1: HAPPY}, 0.0)[0].smoothed.label == "happy"
    assert smoother.update([track()], {1: SAD}, 0.1)[0].smoothed.label == "sad"


def test_what_is_not_clear_is_uncertain_and_does_not_flicker() -> None:
    smoother = Smoother(SmoothingConfig(time_constant=0, uncertain_below=0.4, switch_margin=0.1), LABELS)
    shares = [(0.8, 0.1, 0.1), (0.45, 0.3, 0.25), (0.38, 0.32, 0.3), (0.45, 0.3, 0.25), (0.6, 0.2, 0.2)]
    faces = [smoother.update([track()], {1: prediction(*share)}, time)[0] for time, share in enumerate(shares)]
    assert [face.smoothed.label for face in faces] == ["happy", "happy", "uncertain", "uncertain", "happy"]
    assert faces[2].smoothed.confidence == pytest.approx(0.38)


def labels_of(config: SmoothingConfig, *shares: tuple[float, ...]) -> list[str]:
    """The labels shown for these probabilities, one after the other."""
    smoother = Smoother(config, LABELS)
    predictions = [{1: prediction(*share)} for share in shares]
    return [smoother.update([track()], read, float(at))[0].smoothed.label for at, read in enumerate(predictions)]


def test_a_label_changes_once_the_other_leads_by_more_than_the_margin() -> None:
    config = SmoothingConfig(time_constant=0, uncertain_below=0, switch_margin=0.25)
    less, just, more = (0.375, 0.5, 0.125), (0.25, 0.5, 0.25), (0.125, 0.5, 0.375)
    assert labels_of(config, (0.5, 0.25, 0.25), less, just, more) == ["happy", "happy", "happy", "sad"]


def test_who_was_uncertain_is_named_again_a_margin_above_the_limit() -> None:
    config = SmoothingConfig(time_constant=0, uncertain_below=0.5, switch_margin=0.25)
    shares = [(top, (1 - top) / 2, (1 - top) / 2) for top in (0.5, 0.375, 0.5, 0.625, 0.75, 0.5)]
    shown = ["happy", "uncertain", "uncertain", "uncertain", "happy", "happy"]
    assert labels_of(config, *shares) == shown, "at first, the limit itself suffices"
