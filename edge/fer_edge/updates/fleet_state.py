"""A sink that tells the operator of a fleet how this device does."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

from fer_edge.errors import ConfigError
from fer_edge.model.slots import Slots
from fer_edge.model.trial_record import TrialRecord, record_path
from fer_edge.monitoring.stats import group_rows
from fer_edge.monitoring.store import DAY, read_rows
from fer_edge.sinks import Sink
from fer_edge.sinks.mqtt_connection import MqttConnection
from fer_edge.types import FrameResult
from fer_edge.updates.fleet_messages import DAYS, PREFIX, DeviceState, DeviceUsage, Trial, UsageDay

_log = logging.getLogger(__name__)

# The state is looked at every so many seconds, and published if it has changed.
_INTERVAL_S = 5.0
# Without a change it is published after so many seconds, by up to a tenth more or less: so that devices that were
# started together do not all speak at once.
_REFRESH_S = 3600.0
_JITTER = 0.1
# After a reconnection, which all devices may have at once, each waits for up to so many seconds.
_RECONNECTED_S = 30.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change during a run."""

    id: str
    board: str
    software: str
    # `NAME@VERSION`.
    model: str
    # From which it takes models; empty if it takes none.
    channel: str = ""
    tags: tuple[str, ...] = ()
    # The usage record, if there is one.
    usage: Path | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """What is read at intervals."""

    celsius: Callable[[], float | None] = lambda: None
    drift: Callable[[], str | None] = lambda: None
    # In per cent.
    expected_accuracy: Callable[[], float | None] = lambda: None
    decision: Callable[[], str] = lambda: ""


class Schedule:
    """Decides when an unchanged state is due."""

    def __init__(self, refresh_s: float, jitter: random.Random) -> None:
        self._refresh_s = refresh_s
        self._jitter = jitter
        self._due = float("-inf")
        self._connection = 0

    def is_due(self, now: float, connection: int) -> bool:
        """Whether it is time.

        Args:
            now: monotonic seconds.
            connection: number of the connection to the broker, which may have lost what it retained before.
        """
        if connection != self._connection:
            if self._connection:
                self._due = min(self._due, now + self._jitter.uniform(0, _RECONNECTED_S))
            self._connection = connection
        return now >= self._due

    def done(self, now: float) -> None:
        """It was published."""
        self._due = now + self._refresh_s * self._jitter.uniform(1 - _JITTER, 1 + _JITTER)


class FleetState(Sink):
    """Publishes `fer-edge/fleet/<id>/state` and `/usage`, both retained at QoS 1, from a thread of its own."""

    description = "the state for the fleet"

    def __init__(self, mqtt: MqttConnection, facts: Facts, readings: Readings) -> None:
        self._mqtt = mqtt
        self._facts = facts
        self._readings = readings
        jitter = random.SystemRandom()
        self._state = _Topic(mqtt, f"{PREFIX}/{facts.id}/state", Schedule(_REFRESH_S, jitter))
        self._usage = _Topic(mqtt, f"{PREFIX}/{facts.id}/usage", Schedule(DAY, jitter))
        self._outputs: Sequence[Sink] = ()
        self._remark = ""
        self._frames = 0
        self._counted_at = time.monotonic()
        self._camera = False
        self._told: DeviceState | None = None
        self._usage_day: date | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet state", daemon=True)

    def __enter__(self) -> Self:
        _log.info("this device is %s in its fleet", self._facts.id)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Publish that the run has ended."""
        self._stop.set()
        self._thread.join(timeout=10)
        self._state.publish(self._look(running=False).model_dump_json(), time.monotonic())

    def watch(self, outputs: Sequence[Sink]) -> None:
        """Report the problems of these outputs."""
        self._outputs = outputs

    def emit(self, _result: FrameResult) -> None:
        """Count a frame."""
        self._frames += 1
        self._camera = True

    def waiting(self, _what: str) -> None:
        """Note that the camera is lost."""
        self._camera = False

    def remark(self, what: str) -> None:
        """Report unusual images as a problem."""
        self._remark = what

    def _run(self) -> None:
        while not self._stop.is_set():
            now = time.monotonic()
            state = self._look(running=True)
            if self._state.can_publish(now, changed=state.is_news(self._told)) and self._state.publish(
                state.model_dump_json(), now
            ):
                self._told = state
            self._tell_usage(now)
            self._stop.wait(_INTERVAL_S if self._told else 0.2)

    def _look(self, *, running: bool) -> DeviceState:
        elapsed, self._counted_at = time.monotonic() - self._counted_at, time.monotonic()
        frames, self._frames = self._frames, 0
        on_trial, trials = read_trials()
        accuracy = self._readings.expected_accuracy()
        return DeviceState(
            id=self._facts.id,
            time=datetime.now(UTC).replace(microsecond=0),
            running=running,
            board=_shown(self._facts.board),
            software=self._facts.software,
            model=self._facts.model,
            channel=self._facts.channel,
            tags=tuple(_shown(tag) for tag in self._facts.tags[:20]),
            on_trial=on_trial,
            trials=trials,
            camera=self._camera and running,
            fps=round(frames / elapsed, 1) if elapsed > 0.1 else 0.0,
            problem=_shown(self._problem()),
            celsius=self._readings.celsius(),
            drift=_shown(self._readings.drift() or ""),
            expected_accuracy=None if accuracy is None else round(accuracy, 1),
            decision=_shown(self._readings.decision()),
        )

    def _problem(self) -> str:
        troubles = [f"{sink.description}: {sink.trouble}" for sink in self._outputs if sink.trouble]
        return "; ".join([*troubles, *([self._remark] if self._remark else [])])

    def _tell_usage(self, now: float) -> None:
        """Publish the counts after midnight, and whenever the broker may have lost them."""
        today = datetime.now().astimezone().date()
        if self._facts.usage is None or not self._usage.can_publish(now, changed=today != self._usage_day):
            return
        usage = DeviceUsage(
            id=self._facts.id, drift=_shown(self._readings.drift() or ""), days=usage_days(self._facts.usage, today)
        )
        if self._usage.publish(usage.model_dump_json(), now):
            self._usage_day = today


class _Topic:
    """Publishes one topic: one message at a time, so that a repeated one never replaces a newer one."""

    def __init__(self, mqtt: MqttConnection, topic: str, schedule: Schedule) -> None:
        self._mqtt = mqtt
        self._topic = topic
        self._schedule = schedule
        self._arrived: Callable[[], bool] = lambda: True

    def can_publish(self, now: float, *, changed: bool) -> bool:
        """Whether a message is due, and the last one has arrived."""
        due = self._schedule.is_due(now, self._mqtt.connections)
        return (changed or due) and self._arrived()

    def publish(self, text: str, now: float) -> bool:
        """Publish; return False without a connection."""
        arrived = self._mqtt.deliver(self._topic, text)
        if arrived is None:
            return False
        self._arrived = arrived
        self._schedule.done(now)
        return True


def read_trials() -> tuple[str | None, tuple[Trial, ...]]:
    """The model that is on trial on this device, if any, and how the last trials ended."""
    record = TrialRecord.read(record_path())
    current = str(Slots().current())
    on_trial = record.progress.model if record.progress and record.progress.model == current else None
    last = {verdict.model: verdict for verdict in record.verdicts}
    newest = sorted(last.values(), key=lambda verdict: verdict.at)[-10:]
    return on_trial, tuple(
        Trial(model=verdict.model, passed=verdict.passed, reason=_shown(verdict.reason)) for verdict in newest
    )


def usage_days(path: Path, today: date) -> tuple[UsageDay, ...]:
    """The counts of the last whole days of a usage record; none if it cannot be read."""
    with suppress(ConfigError):
        since = int(time.mktime(today.timetuple())) - DAYS * DAY
        groups = [group for group in group_rows(read_rows(path, since), "day") if group.start.date() < today]
        return tuple(UsageDay(day=group.start.date(), **group.as_dict()) for group in groups[-DAYS:])
    return ()


def _shown(text: str) -> str:
    """Text as it may stand in a message: of one line, and not too long."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300]
