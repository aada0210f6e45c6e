"""Probabilities a track over time, and a label that does not flicker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fer_edge.config import SmoothingConfig
from fer_edge.types import Prediction, Probabilities, Track, TrackedFace


@dataclass(slots=True)
class _State:
    probabilities: Probabilities
    shown: int
    updated_at: float


class Smoother:
    """Exponential smoothing in seconds, then hysteresis on the shown label."""

    def __init__(self, config: SmoothingConfig, labels: tuple[str, ...]) -> None:
        self._config = config
        self._labels = labels
        self._states: dict[int, _State] = {}

    def update(self, tracks: Sequence[Track], predictions: Sequence[Prediction], now: float) -> tuple[TrackedFace, ...]:
        """Take one prediction a track, at `now` seconds; a face that was not seen adds no evidence.

        Tracks that are gone are forgotten.
        """
        self._states = {track.id: self._states[track.id] for track in tracks if track.id in self._states}
        return tuple(
            TrackedFace(track, prediction, self._smooth(track, prediction, now))
            for track, prediction in zip(tracks, predictions, strict=True)
        )

    def _smooth(self, track: Track, prediction: Prediction, now: float) -> Prediction:
        state = self._states.get(track.id)
        if state is None:
            state = _State(prediction.probabilities, int(prediction.probabilities.argmax()), now)
            self._states[track.id] = state
        elif track.missed_s == 0:
            state.probabilities = state.probabilities + self._gain(now - state.updated_at) * (
                prediction.probabilities - state.probabilities
            )
            state.updated_at = now
            best = int(state.probabilities.argmax())
            if state.probabilities[best] > state.probabilities[state.shown] + self._config.switch_margin:
                state.shown = best
        return Prediction(state.probabilities, self._labels[state.shown], float(state.probabilities[state.shown]))

    def _gain(self, elapsed: float) -> float:
        if self._config.time_constant == 0:
            return 1.0
        return 1 - math.exp(-max(elapsed, 0.0) / self._config.time_constant)
