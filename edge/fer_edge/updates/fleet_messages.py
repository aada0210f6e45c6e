"""What a device tells the operator of its fleet: two retained JSON messages, checked by whoever reads them.

- `fer-edge/fleet/<id>/state`: on change, and once per hour;
- `fer-edge/fleet/<id>/usage`: the counts of the last whole days, once per day.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from fer_edge.config.fleet import ID
from fer_edge.errors import DataError
from fer_edge.validation import first_problem

PREFIX = "fer-edge/fleet"
# Longer messages are not read. A state has about 1 kB, the counts of a week about 6 kB.
MOST_BYTES = 32_768
# So many days are in a message, so that an operator who looks once per week misses none.
DAYS = 7


def _require_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be shown")
    return text


Id = Annotated[str, Field(pattern=f"^{ID}$")]
Text = Annotated[str, Field(max_length=300), AfterValidator(_require_printable)]
Model = Annotated[str, Field(max_length=130), AfterValidator(_require_printable)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Trial(_Message):
    """How the trial of a model ended on this device."""

    model: Model
    """`NAME@VERSION`."""
    passed: bool
    reason: Text


def _require_one_per_model(trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
    # Else one device could count as ten.
    if len({trial.model for trial in trials}) < len(trials):
        raise ValueError("has several trials of one model")
    return trials


class DeviceState(_Message):
    """The state of one device."""

    schema_version: Literal[1] = 1
    id: Id
    time: AwareDatetime
    """By the clock of the device."""
    running: bool
    """False from an orderly end on."""
    board: Text
    software: Text
    model: Model
    """`NAME@VERSION` of the model that reads faces."""
    channel: Text = ""
    """The channel from which it takes models; empty if it takes none."""
    tags: Annotated[tuple[Text, ...], Field(max_length=20)] = ()
    """The cohorts to which it belongs."""
    on_trial: Model | None = None
    """The model, if it is on trial."""
    trials: Annotated[tuple[Trial, ...], Field(max_length=10), AfterValidator(_require_one_per_model)] = ()
    """The last trials that ended, the latest last; one per model."""
    camera: bool
    """Whether there are frames."""
    fps: Annotated[Number, Field(ge=0, le=10_000)]
    problem: Text = ""
    """What does not work; empty if all does."""
    celsius: Number | None = None
    drift: Text = ""
    """`ok`, `watch`, `drifted`, `too little data`; empty without a usage record."""
    expected_accuracy: Annotated[Number, Field(ge=0, le=100)] | None = None
    """In per cent; None where it is unknown or not to be trusted."""
    decision: Text = ""
    """What the last look for a new model decided, and why; empty before there was one."""

    def is_news(self, before: DeviceState | None) -> bool:
        """Whether more has changed than what always changes."""
        same = {"time", "fps", "celsius", "expected_accuracy"}
        return before is None or self.model_dump(exclude=same) != before.model_dump(exclude=same)


# The largest mean of features that have a known range; of the others, and of seconds, what no clock exceeds.
_RANGES = {"confidence": 1.0, "brightness": 256.0}
_MOST = 1e9
Seconds = Annotated[Number, Field(ge=0, le=_MOST)]


def _require_possible(means: dict[str, float | None]) -> dict[str, float | None]:
    for name, mean in means.items():
        most = _RANGES.get(name, _MOST)
        if mean is not None and not 0 <= mean <= most:
            raise ValueError(f"{name} is {mean:g}, and 0 to {most:g} is possible")
    return means


def _require_past(day: date) -> date:
    # Tomorrow has begun elsewhere. A later day would be the newest for ever.
    if day > datetime.now().astimezone().date() + timedelta(days=1):
        raise ValueError("is in the future")
    return day


class UsageDay(_Message):
    """The counts of one day of a device."""

    day: Annotated[date, AfterValidator(_require_past)]
    """In the local time of the device."""
    model: Model
    """The models that read faces that day."""
    recorded_s: Count
    frames: Count
    people: Count
    face_s: Annotated[dict[Annotated[str, Field(max_length=40)], Seconds], Field(max_length=40)]
    """Seconds for which each label was shown."""
    means: Annotated[
        dict[Annotated[str, Field(max_length=40)], Number | None],
        Field(max_length=20),
        AfterValidator(_require_possible),
    ]
    """Means of confidence, brightness and the other features of faces."""
    camera_lost_s: Seconds = 0.0


class DeviceUsage(_Message):
    """The counts of the last whole days of a device."""

    schema_version: Literal[1] = 1
    id: Id
    drift: Text = ""
    days: Annotated[tuple[UsageDay, ...], Field(max_length=DAYS)]


_Kind = TypeVar("_Kind", DeviceState, DeviceUsage)


def is_id(text: str) -> bool:
    """Whether a text can name a device in its fleet."""
    return re.fullmatch(ID, text) is not None


def parse_message(kind: type[_Kind], topic: str, content: bytes) -> _Kind:
    """Read a message from a broker, which nobody has to trust.

    Raises:
        DataError: it is too long, malformed, or of another device than its topic says.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"{topic}: has {len(content)} bytes, more than {MOST_BYTES}")
    try:
        message = kind.model_validate_json(content)
    except ValidationError as error:
        raise DataError("{}: {}: {}".format(topic, *first_problem(error, kind))) from error
    if not topic.startswith(f"{PREFIX}/{message.id}/"):
        raise DataError(f"{topic}: says that it is from {message.id}")
    return message
