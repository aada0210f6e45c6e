"""Smooth the probabilities of each track over time, so that the label does not flicker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_edge.config import SmoothingConfig
from fer_edge.labels import UNCERTAIN
from fer_edge.types import Prediction, Probabilities, Track, TrackedFace


@dataclass(slots=True)
class _State:
    raw: Prediction
    probabilities: Probabilities
    updated_at: float
    # The class shown, None while it is uncertain.
    shown: int | None


class Smoother:
    """Exponential smoothing in seconds, then hysteresis on the shown label."""

    def __init__(self, config: SmoothingConfig, labels: tuple[str, ...]) -> None:
        self._config = config
        self._labels = labels
        self._states: dict[int, _State] = {}

    def update(
        self, tracks: Sequence[Track], predictions: Mapping[int, Prediction], now: float
    ) -> tuple[TrackedFace, ...]:
        """Smooth the predictions of this frame, by track, at `now` seconds.

        A track without a prediction keeps its last one; a new track must have one. Tracks that are gone are dropped.
        """
        self._states = {track.id: self._states[track.id] for track in tracks if track.id in self._states}
        for identity, prediction in predictions.items():
            self._add_evidence(identity, prediction, now)
        return tuple(TrackedFace(track, self._states[track.id].raw, self._shown(track.id)) for track in tracks)

    def _add_evidence(self, identity: int, prediction: Prediction, now: float) -> None:
        state = self._states.get(identity)
        if state is None:
            first = int(prediction.probabilities.argmax())
            state = self._states[identity] = _State(prediction, prediction.probabilities, now, first)
        gain = self._gain(now - state.updated_at)
        state.raw = prediction
        state.probabilities = state.probabilities + gain * (prediction.probabilities - state.probabilities)
        state.updated_at = now
        state.shown = self._decide(state)

    def _decide(self, state: _State) -> int | None:
        """The class to show, or None for uncertain. A change needs a clear difference (hysteresis)."""
        best = int(state.probabilities.argmax())
        highest = state.probabilities[best]
        if state.shown is None:
            return best if highest >= self._config.uncertain_below + self._config.switch_margin else None
        if highest < self._config.uncertain_below:
            return None
        return best if highest > state.probabilities[state.shown] + self._config.switch_margin else state.shown

    def _shown(self, identity: int) -> Prediction:
        state = self._states[identity]
        shown = int(state.probabilities.argmax()) if state.shown is None else state.shown
        label = UNCERTAIN if state.shown is None else self._labels[shown]
        return Prediction(state.probabilities, label, float(state.probabilities[shown]))

    def _gain(self, elapsed: float) -> float:
        if self._config.time_constant == 0:
            return 1.0
        return 1 - math.exp(-max(elapsed, 0.0) / self._config.time_constant)
