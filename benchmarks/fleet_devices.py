"""The simulated devices of `benchmarks.fleet`: the real updater and the real decision, and trials by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from fer_edge.updates.fleet_messages import PREFIX, DeviceState
from fer_edge.updates.releases import decide
from fer_edge.updates.repository import RepositoryClient

NAME = "ferplus7"
# Its trial fails on each device.
POISONED = "0.4.0"
_TRIAL_MINUTES = 30


@dataclass
class Device:
    """A device.

    Attributes:
        id: its name in the fleet.
        minute: of six hours, at which it looks for a new model: each device at its own.
        installed: the version that it runs.
        before: the version to which it goes back.
        trial_ends: the minute of the simulation at which a trial ends; None if there is none.
        trials: how the trials of versions ended.
    """

    id: str
    minute: int
    installed: str | None = None
    before: str | None = None
    trial_ends: int | None = None
    trials: dict[str, bool] = field(default_factory=dict)

    def end_trial(self, now: int) -> None:
        """End a trial whose time is over, and go back if it failed."""
        if self.trial_ends is None or self.installed is None or now < self.trial_ends:
            return
        passed = self.installed != POISONED
        self.trials[self.installed] = passed
        self.trial_ends = None
        if not passed:
            self.installed = self.before

    def has_tried(self, version: str) -> bool:
        """Whether it ran this version, if only on trial."""
        return version == self.installed or version in self.trials


def look_all(folder: Path, url: str, hour: int, devices: Sequence[Device]) -> list[Device]:
    """Let devices look for a new model, in a process of its own; returns them as they are then."""
    root = (folder / "repo" / "metadata" / "1.root.json").read_bytes()
    for device in devices:
        client = RepositoryClient(f"{url}/", root, folder / "devices" / device.id)
        _look(client, device, 60 * hour + device.minute % 60)
    return list(devices)


def _look(client: RepositoryClient, device: Device, now: int) -> None:
    """The real updater's steps, up to the verified archive."""
    device.end_trial(now)
    decision = decide(
        client.releases(),
        name=NAME,
        channel="stable",
        device_id=device.id,
        installed_version=device.installed,
        bad_versions=[version for version, passed in device.trials.items() if not passed],
    )
    if decision.version is None or decision.target is None:
        return
    client.download(decision.target, 64_000_000).unlink()
    device.before, device.installed = device.installed, decision.version
    device.trial_ends = now + _TRIAL_MINUTES


def tell_all(port: int, time: datetime, devices: Sequence[Device]) -> None:
    """Let devices tell the broker their state, in a process of its own."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", port)
    client.loop_start()
    told = [
        client.publish(f"{PREFIX}/{device.id}/state", state_of(device, time).model_dump_json(), qos=1, retain=True)
        for device in devices
    ]
    for message in told:
        message.wait_for_publish(120)
    client.disconnect()
    client.loop_stop()


def state_of(device: Device, time: datetime) -> DeviceState:
    """What a device tells."""
    model = f"{NAME}@{device.installed}"
    return DeviceState.model_validate(
        {
            "id": device.id,
            "time": time.replace(microsecond=0),
            "running": True,
            "board": "Raspberry Pi 4 Model B Rev 1.4",
            "software": "0.1.0",
            "model": model,
            "channel": "stable",
            "on_trial": None if device.trial_ends is None else model,
            "trials": [
                {"model": f"{NAME}@{version}", "passed": passed, "reason": "" if passed else "reads faces less surely"}
                for version, passed in list(device.trials.items())[-10:]
            ],
            "camera": True,
            "fps": 14.8,
            "drift": "ok",
            "expected_accuracy": 79.3,
            "decision": f"{NAME} {device.installed} is kept. Nothing newer is offered.",
        }
    )
