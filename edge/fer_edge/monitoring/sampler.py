"""Keeps a few faces for their owner to label: at most one per visit, balanced over days, labels and confidence."""

from __future__ import annotations

import fcntl
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Self

from fer_edge.config import SamplesConfig
from fer_edge.errors import ConfigError, reason
from fer_edge.monitoring.reservoir import BalancedReservoir
from fer_edge.monitoring.sample import Sample, new_id
from fer_edge.monitoring.samples import LOCK_FILE, SampleFolder
from fer_edge.sinks import Sink
from fer_edge.types import FrameResult, Image, TrackedFace

_log = logging.getLogger(__name__)

# Every so many seconds, an image of a face may become its sample.
_INTERVAL = 1.0
# The counts are kept for this many days.
_COUNTS_KEPT = 400
# The counts are written, and old samples deleted, every so many seconds.
_MINUTE = 60.0


@dataclass(slots=True)
class _Visit:
    """One face as long as it is tracked. One of its images is chosen at random, all with the same probability."""

    pictures: int = 0
    seen_at: float = float("-inf")
    crop: Image | None = None
    face: TrackedFace | None = None
    taken_at: float = 0.0


class Sampler(Sink):
    """A sink that writes samples to their folder, in a thread of its own."""

    def __init__(
        self, config: SamplesConfig, model: str, *, clock: Callable[[], float] = time.time, seed: int | None = None
    ) -> None:
        """Prepare.

        Args:
            config: with a path.
            model: name@version.
            clock: seconds since 1970, UTC.
            seed: of the choice, for tests.
        """
        if config.path is None:
            raise ConfigError("samples.path: is not set")
        self.description = str(config.path)
        self._folder = SampleFolder(config.path)
        self._days = config.days
        self._model = model
        self._clock = clock
        self._rng = random.Random(seed)  # noqa: S311 - a choice of pictures, no secret
        self._reservoir = BalancedReservoir(config.count, self._rng)
        self._visits: dict[int, _Visit] = {}
        self._worker = ThreadPoolExecutor(1, "samples")
        self._lock: IO[bytes] | None = None
        self._tidied_at = float("-inf")

    def __enter__(self) -> Self:
        """Open the folder, and delete old samples. Raises ConfigError."""
        self._folder.create()
        try:
            self._lock = (self._folder.folder / LOCK_FILE).open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for day, counts in self._folder.seen().items():
                self._reservoir.seen[day] += counts
            for sample in self._folder.samples():
                self._reservoir.restore(sample.id, sample.day, sample.stratum)
            for identity in self._reservoir.shrink(self._folder.labels()):
                self._folder.remove(identity)
            self._tidy()
        except BlockingIOError as error:
            raise ConfigError(f"{self.description}: another process writes samples there. Give each its own") from error
        except OSError as error:
            raise ConfigError(f"{self.description}: cannot be written ({reason(error)})") from error
        return self

    def __exit__(self, *_: object) -> None:
        for visit in self._visits.values():
            self._worker.submit(self._keep, visit)
        self._visits.clear()
        self._worker.submit(self._tidy).exception()  # errors were logged before
        self._worker.shutdown()
        if self._lock:
            self._lock.close()

    def emit(self, result: FrameResult) -> None:
        """Choose an image of each face; a face that has left is offered as a sample."""
        now = result.frame.captured_at
        for face in result.faces:
            visit = self._visits.get(face.track.id)
            if visit is None or now - visit.seen_at >= _INTERVAL:
                self._see(face, now)
        if len(self._visits) > len(result.faces):
            here = {face.id for face in result.faces}
            for identity in self._visits.keys() - here:
                self._worker.submit(self._keep, self._visits.pop(identity))

    def _see(self, face: TrackedFace, now: float) -> None:
        crop = face.raw.crop
        if crop is None or face.track.missed_s > 0 or not face.track.visible:
            return
        visit = self._visits.setdefault(face.id, _Visit())
        visit.pictures, visit.seen_at = visit.pictures + 1, now
        if self._rng.random() * visit.pictures < 1:
            visit.crop, visit.face, visit.taken_at = crop.copy(), face, self._clock()

    def _keep(self, visit: _Visit) -> None:
        """Runs in the worker: a failure to write is logged once."""
        if visit.face is None or visit.crop is None:
            return
        raw = visit.face.raw
        identity, taken_at = new_id(visit.taken_at), int(visit.taken_at)
        sample = Sample(identity, taken_at, raw.label, round(raw.confidence, 4), visit.face.label, self._model)
        try:
            is_kept, victim = self._reservoir.offer(identity, sample.day, sample.stratum, self._folder.labels())
            if victim is not None:
                self._folder.remove(victim)
            if is_kept:
                self._folder.add(sample, visit.crop)
            if self._clock() - self._tidied_at > _MINUTE:
                self._tidy()
        except OSError as error:
            if not self.trouble:
                _log.error("%s: samples cannot be written (%s)", self.description, reason(error))
            self.trouble = reason(error)
            return
        if self.trouble:
            _log.warning("%s: samples are written again", self.description)
        self.trouble = ""

    def _tidy(self) -> None:
        """Delete old samples, and write the numbers of seen faces."""
        self._tidied_at = self._clock()
        today = datetime.fromtimestamp(self._clock()).astimezone().date()
        self._reservoir.forget_before((today - timedelta(days=self._days)).isoformat())
        self._folder.remove_before((today - timedelta(days=self._days)).isoformat())
        oldest = (today - timedelta(days=_COUNTS_KEPT)).isoformat()
        self._folder.write_seen({day: counts for day, counts in self._reservoir.seen.items() if day >= oldest})
