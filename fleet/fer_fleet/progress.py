"""How a fleet does: which devices are silent, how the trials of each version ended, and whether to go on with one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fer_edge.updates.fleet_messages import DeviceState
from fer_edge.updates.releases import Channel, Rollout, in_rollout

# A device speaks once per hour; after so long without a word it is called silent.
SILENT = timedelta(hours=2, minutes=15)
# Shares of all devices, in per cent, that an automatic rollout goes through.
STEPS = (1.0, 10.0, 50.0, 100.0)
# A step is over when this share of its devices has ended its trial: some are always switched off.
_ENOUGH = 0.8
# Quantile of the normal distribution for a one-sided confidence of 90 %.
_Z = 1.2816


@dataclass(frozen=True, slots=True)
class VersionProgress:
    """Where a version is in the fleet, in numbers of devices.

    Attributes:
        model: `NAME@VERSION`.
        running: devices that run it, on trial or not.
        on_trial: devices where its trial has not ended.
        passed: devices where it passed its trial.
        failed: devices where it failed.
        reasons: how often it failed for each reason, the most frequent first.
    """

    model: str
    running: int
    on_trial: int
    passed: int
    failed: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Step:
    """What an automatic rollout does next.

    Attributes:
        percent: the new share; None to keep it.
        halt: why to halt; None to go on.
        reason: one sentence for people.
    """

    percent: float | None
    halt: str | None
    reason: str


def is_silent(state: DeviceState, now: datetime) -> bool:
    """Whether a device that should run has not been heard for long."""
    return state.running and now - state.time > SILENT


def is_what(state: DeviceState, what: str, now: datetime) -> bool:
    """Whether a device is on `trial`, `failed` one, is `silent`, has a `problem`, or has `drifted`."""
    return {
        "trial": state.on_trial is not None,
        "failed": any(not trial.passed for trial in state.trials),
        "silent": is_silent(state, now),
        "problem": bool(state.problem) or (state.running and not state.camera),
        "drifted": state.drift == "drifted",
    }[what]


def progress_of(model: str, states: Iterable[DeviceState]) -> VersionProgress:
    """Where one version is."""
    running = on_trial = passed = failed = 0
    reasons: dict[str, int] = {}
    for state in states:
        running += state.model == model
        on_trial += state.on_trial == model
        for trial in state.trials:
            if trial.model == model:
                passed += trial.passed
                failed += not trial.passed
                if not trial.passed:
                    reasons[trial.reason] = reasons.get(trial.reason, 0) + 1
    ordered = dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    return VersionProgress(model, running, on_trial, passed, failed, ordered)


def all_progress(states: Sequence[DeviceState]) -> list[VersionProgress]:
    """Where each version is that any device knows."""
    models = {state.model for state in states}
    models |= {trial.model for state in states for trial in state.trials}
    models |= {state.on_trial for state in states if state.on_trial}
    return [progress_of(model, states) for model in sorted(models)]


def next_step(
    name: str,
    channel: Channel,
    rollout: Rollout,
    states: Sequence[DeviceState],
    limit_percent: float,
    now: datetime,
) -> Step:
    """Decide whether a rollout is widened, halted or left as it is.

    Only trials of its own devices count for it; of the trials of others, only failures that are too many. It is halted
    as soon as the failed trials are too many with a confidence of 90 % (Wilson, 1927,
    doi:10.1080/01621459.1927.10502953), or at the end of a step if they are more than the limit. It is never widened
    without a trial that ended: a broker that has lost its messages looks like a fleet without devices.

    Args:
        name: the model.
        channel: the channel of the rollout.
        rollout: how far the version is.
        states: the devices.
        limit_percent: share of the trials, in per cent, that may fail.
        now: the present.
    """
    model, limit = f"{name}@{rollout.version}", limit_percent / 100
    takers = [state for state in states if state.channel == channel and state.model.startswith(f"{name}@")]
    takers = [state for state in takers if _has_tried(state, model) or (state.running and not is_silent(state, now))]
    members = _members(rollout, name, takers)
    found, everywhere = progress_of(model, members), progress_of(model, states)
    ended = found.passed + found.failed
    complete = ended >= _ENOUGH * len(members)
    too_many = complete and ended and found.failed / ended > limit
    for counted in (found, everywhere):
        if too_many or lower_bound(counted.failed, counted.passed + counted.failed) > limit:
            text = _failures(counted)
            return Step(None, text, f"halted: {text}, more than {limit_percent:g} %")
    waiting = f"waiting at {rollout.percent:g} %"
    if not members and max(rollout.percent, *rollout.cohorts.values(), 0.0):
        return Step(None, None, f"{waiting}: none of its devices was heard. To go on all the same, give --percent")
    if not complete:
        return Step(None, None, f"{waiting}: {ended} of {len(members)} devices have tried it; {_failures(found)}")
    wider = [step for step in STEPS if step > rollout.percent]
    if not wider:
        return Step(None, None, f"done: {_failures(found)}")
    for step in wider:
        if _members(rollout.model_copy(update={"percent": step}), name, takers):
            return Step(step, None, f"raised to {step:g} %: {_failures(found)}")
    return Step(None, None, f"{waiting}: no device of the {channel} channel was heard")


def _has_tried(state: DeviceState, model: str) -> bool:
    return any(trial.model == model for trial in state.trials)


def _members(rollout: Rollout, name: str, states: Iterable[DeviceState]) -> list[DeviceState]:
    return [state for state in states if in_rollout(rollout, name=name, device_id=state.id, tags=state.tags)]


def _failures(found: VersionProgress) -> str:
    return f"{found.failed} of {found.passed + found.failed} trials failed"


def lower_bound(failed: int, ended: int) -> float:
    """The share of failures that is exceeded with a confidence of 90 %; 0 without any trial."""
    if not ended:
        return 0.0
    share, square = failed / ended, _Z**2 / ended
    spread = _Z * math.sqrt(share * (1 - share) / ended + square / (4 * ended))
    return max((share + square / 2 - spread) / (1 + square), 0.0)
