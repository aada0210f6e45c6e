"""Watch which model the service is to use, and whether the one that it uses was revoked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fer_edge.model.manifest import Manifest
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, record_path
from fer_edge.sinks import Sink, StopRun
from fer_edge.types import FrameResult

_log = logging.getLogger(__name__)

# The choice of the model is read every so many seconds.
_WATCH_INTERVAL = 5.0


class ModelWatch(Sink):
    """Ends the run of the service when another model was chosen, so that it starts again with that one."""

    def __init__(self, slots: Slots | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots or Slots()
        self._clock = clock
        self._switch = self._slots.in_effect()
        self._read_at = clock()
        self.chosen = ""
        current = self._slots.current()
        record = TrialRecord.read(record_path())
        verdict = record.verdict(current, self._switch.serial) if current and self._switch else None
        self.description = f"the model {current}"
        if verdict and not verdict.passed:
            self.trouble = f"failed its trial, and the one before it is used: {verdict.reason}"

    def emit(self, _result: FrameResult) -> None:
        """Look at the choice now and then."""
        self._look()

    def waiting(self, _what: str) -> None:
        """The same while there is no camera."""
        self._look()

    def _look(self) -> None:
        now = self._clock()
        if now - self._read_at < _WATCH_INTERVAL:
            return
        self._read_at = now
        switch = self._slots.in_effect()
        if switch and switch != self._switch:
            self.chosen = switch.model
            raise StopRun


def warn_if_revoked(manifest: Manifest) -> None:
    """Log that the model of a run was revoked: it is pinned, or there is no other one."""
    model = ModelId(manifest.name, manifest.version)
    if why := Slots().revoked().get(str(model)):
        _log.warning("model %s was revoked by whoever signs the models (%s). Use another one", model, why)
