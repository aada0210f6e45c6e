"""The trial of a new model in the service, and the return to the one before it.

A trial ends the run if it fails. systemd then starts the service again, which uses the model before, because
`fer_edge.model.bundle.current_choices` leaves out what failed. So the service needs no right to change the models.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from fer_edge.config import RunConfig
from fer_edge.errors import ModelError, reason
from fer_edge.model.bundle import (
    CURRENT_MODEL,
    DEFAULT_MODEL,
    Bundle,
    current_choices,
    find_bundle,
    load_bundle,
    revocation,
)
from fer_edge.model.classifier import Classifier
from fer_edge.model.golden import self_test
from fer_edge.model.slots import ModelId, Slots, Switch
from fer_edge.model.trial_record import Progress, TrialRecord, Verdict, record_path
from fer_edge.sinks import Sink, StopRun
from fer_edge.types import FrameResult
from fer_edge.updates.alone import Alone
from fer_edge.updates.comparison import LEAST_FACES, Comparison
from fer_edge.updates.restarts import ORDERLY

_log = logging.getLogger(__name__)

# The process may end so often without closing (by a crash, the watchdog or for lack of memory), and as often as it
# would have with the model before.
_MOST_DEATHS = 1
# A face is compared every so many seconds, since its images are similar. More than so many faces tell nothing new.
_COMPARE_INTERVAL, _MOST_FACES = 1.0, 600
# One frame counts for at most this many seconds.
_LONGEST_FRAME_S = 1.0
# The progress is written every so many seconds.
_SAVE_INTERVAL = 60.0
# No trial after these switches: the model was in use before.
_NO_TRIAL = "rollback"


class Trial(Sink):
    """Watches a new model until it passes or fails."""

    def __init__(
        self,
        config: RunConfig,
        model: ModelId,
        switch: Switch,
        old: ModelId,
        *,
        path: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Count this start as part of the trial.

        Args:
            config: the configuration of the run.
            model: the model on trial.
            switch: the switch to it.
            old: the model that was in use before it.
            path: the record of trials; None for this service's.
            clock: seconds.
        """
        self.description = f"the trial of the model {model}"
        self.failure = ""
        self._config = config
        self._model, self._switch, self.old = model, switch, old
        self._path = path or record_path()
        self._clock = clock
        self._record = TrialRecord.read(self._path).begun(model, switch.serial)
        self._comparison: Comparison | None = None
        self._alone: Alone | None = None
        self._limit = math.inf
        self._last_at = self._saved_at = clock()
        self._compared: dict[int, float] = {}
        self._frames = self._faces = 0
        self._frame_ms = 0.0
        self._over = False
        self._save()

    def __enter__(self) -> Self:
        deaths, usual = self._progress.deaths, self._record.usual_deaths(self.old, self._progress.lived)
        if deaths > _MOST_DEATHS + usual:
            compared = f", and would have {usual:.1f} times with the model before" if usual else ""
            self._fail(f"the process ended {deaths} times without closing{compared}")
        return self

    def __exit__(self, kind: object, _error: BaseException | None, _traceback: object, /) -> None:
        """Write that the run was closed, unless an error of the program ended it, which counts as a death."""
        if not self._over and (kind is None or (isinstance(kind, type) and issubclass(kind, ORDERLY))):
            self._record = replace(self._record, progress=self._progress.closed())
            self._save()

    @property
    def note(self) -> str:
        """How far it is."""
        if self._over:
            return ""
        minutes = self._progress.seconds / 60
        return f"model {self._model} on trial for {minutes:.0f} of {self._config.updates.trial_minutes:g} minutes"

    def begin(self, new: Bundle, fps: float) -> None:
        """Read the golden faces and open the old model.

        Args:
            new: the model on trial.
            fps: frames per second that the source delivers.
        """
        self._limit = min(fps or math.inf, self._config.max_fps or math.inf)
        if (new.manifest.name, new.manifest.version) != (self._model.name, self._model.version or new.manifest.version):
            self._fail("its files are damaged")
            return
        try:
            self_test(new)
        except ModelError as error:
            self._fail(str(error))
            return
        self._comparison = self._compare(new)
        if self._comparison is None:
            updates = self._config.updates
            self._alone = Alone(new.manifest, self._config.smoothing.uncertain_below, updates.min_fps)
        _log.info("model %s is on trial; before it: %s", self._model, self.old)

    def _compare(self, new: Bundle) -> Comparison | None:
        """The comparison with the model before; None, with the reason in the log, if there can be none."""
        try:
            old = load_bundle(find_bundle(str(self.old)))
            models = [
                (Classifier(bundle, threads=self._config.threads, prior=self._config.classifier.prior), bundle.manifest)
                for bundle in (new, old)
            ]
        except ModelError as error:
            why = str(error)
        else:
            comparison = Comparison(models[0], models[1], self._config.smoothing.uncertain_below)
            if comparison.is_possible and not revocation(self.old, Slots()):
                return comparison
            why = "it was revoked" if comparison.is_possible else "their crop_margin or colours differ"
        _log.warning("model %s is judged alone, not compared with %s: %s", self._model, self.old, why)
        return None

    def emit(self, result: FrameResult) -> None:
        """Count a frame, compare its faces, and end the run if the model fails."""
        if self._over:
            if self.failure:
                raise StopRun
            return
        self._count(result)
        problem = self._problem()
        if problem:
            self._fail(problem)
            raise StopRun
        if self._progress.seconds >= 60 * self._config.updates.trial_minutes and self._saw_enough():
            self._end(Verdict(str(self._model), self._switch.serial, True, self._passed_because(), time.time()))
            _log.info("model %s passed its trial", self._model)
        elif self._clock() - self._saved_at >= _SAVE_INTERVAL:
            self._save()

    def _count(self, result: FrameResult) -> None:
        now = self._clock()
        elapsed = min(max(now - self._last_at, 0.0), _LONGEST_FRAME_S)
        self._last_at = now
        self._frames += 1
        self._frame_ms += sum(result.timings_ms.values())
        seen = [face for face in result.faces if face.track.missed_s == 0 and face.raw.crop is not None]
        self._faces += len(seen)
        for face in seen:
            due = now - self._compared.get(face.id, -math.inf) >= _COMPARE_INTERVAL
            if due and self._judged < _MOST_FACES and face.raw.crop is not None:
                self._compared[face.id] = now
                if self._comparison:
                    self._comparison.add(face.raw.crop)
                elif self._alone:
                    self._alone.add(face.raw)
                self._last_at = self._clock()  # the comparison's own time is not the model's
        here = {face.id for face in result.faces}
        self._compared = {identity: at for identity, at in self._compared.items() if identity in here}
        progress = replace(self._progress, seconds=self._progress.seconds + elapsed, faces=self._judged)
        self._record = replace(self._record, progress=progress)

    def _problem(self) -> str | None:
        frame_ms, faces = self._frame_ms / self._frames, self._faces / self._frames
        if self._comparison:
            return self._comparison.problem() or self._comparison.speed_problem(frame_ms, faces, self._limit)
        return self._alone.problem() or self._alone.speed_problem(frame_ms, self._limit) if self._alone else None

    @property
    def _judged(self) -> int:
        """The faces that were looked at since the start."""
        judge = self._comparison or self._alone
        return judge.faces if judge else 0

    def _saw_enough(self) -> bool:
        return self._progress.faces >= LEAST_FACES

    def _passed_because(self) -> str:
        how = f"compared with {self.old}" if self._comparison else "seen, none compared"
        return f"{self._progress.seconds / 60:.0f} minutes, {self._progress.faces} faces {how}"

    @property
    def _progress(self) -> Progress:
        return self._record.progress or Progress(str(self._model), self._switch.serial)

    def _fail(self, why: str) -> None:
        self.failure = f"model {self._model} failed its trial: {why}"
        self._end(Verdict(str(self._model), self._switch.serial, False, why, time.time()))
        _log.error("%s. The model before it is used: %s", self.failure, self.old)

    def _end(self, verdict: Verdict) -> None:
        self._over = True
        self._record = self._record.ended(verdict)
        self._save()

    def _save(self) -> None:
        self._saved_at = self._clock()
        try:
            self._record.write(self._path)
        except OSError as error:
            if not self.trouble:
                _log.error("%s: cannot be written (%s). A restart begins the trial again", self._path, reason(error))
            self.trouble = f"{self._path} cannot be written ({reason(error)})"
        else:
            self.trouble = ""


def is_tried(config: RunConfig) -> bool:
    """Whether this process is a service that tries the models that are chosen."""
    return "NOTIFY_SOCKET" in os.environ and config.model == CURRENT_MODEL and config.updates.trial_minutes > 0


def open_trial(config: RunConfig) -> Trial | None:
    """Return the trial of the current model; None if it is on none, or this process is no service."""
    if not is_tried(config):
        return None
    slots, record = Slots(), TrialRecord.read(record_path())
    switch = slots.in_effect()
    choices = list(current_choices(slots, record))
    if switch is None or not choices or choices[0] != slots.current() or switch.why == _NO_TRIAL:
        return None
    model, old = choices[0], (choices[1] if len(choices) > 1 else ModelId(DEFAULT_MODEL))
    if model == old or record.verdict(model, switch.serial):
        return None
    return Trial(config, model, switch, old)
