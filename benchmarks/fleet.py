"""Simulate a fleet: what an update costs each device and the servers, and how far a poisoned release comes.

    python -m benchmarks.fleet --devices 10000 --plot docs/images/fleet.png --json results/fleet.json

With `--folder FOLDER --minutes 25` it stops after 25 minutes, and goes on when it is run again.

Each device reads the repository with the real updater (TUF's client and our fetcher), decides with the real rule, and
downloads the archive. It looks once in six hours, at a minute of its own, as `fer-edge-update.timer` lets it, and tells
its state once per hour. Trials are simulated: they last 30 minutes and pass, except those of the poisoned version. At
the beginning of each hour the operator's `fer-fleet rollout --auto` has its turn. One nginx and one mosquitto answer,
both on this machine, which does the work of all devices as well: hours are simulated, and times of it say nothing about
real servers; requests, bytes and the servers' processor time are measured. It needs nginx and mosquitto (apt install
nginx-light mosquitto).
"""

from __future__ import annotations

import json
import pickle
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmarks.fleet_devices import NAME, POISONED, Device, look_all, state_of, tell_all
from benchmarks.fleet_plot import draw
from benchmarks.fleet_servers import Server, memory_of_connections, mosquitto, nginx

from fer_edge.config import MqttConfig
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.updates.fleet_messages import DeviceState
from fer_edge.updates.releases import Releases
from fer_fleet import edits, operations
from fer_fleet.broker import read_messages
from fer_fleet.creation import DEFAULT_SIGNERS, create
from fer_fleet.gate import Gated
from fer_fleet.keys import Keys
from fer_fleet.progress import next_step
from fer_fleet.repository import DEFAULT_DAYS, Repository

# The parts of the simulation: the first version for all, hours without news, a good version, a poisoned one.
FIRST, NOTHING, GOOD = "0.2.0", "nothing new", "0.3.0"
PARTS = (FIRST, NOTHING, GOOD, POISONED)
# A device looks once in so many hours.
ROUND_H = 6
# Share of the trials, in per cent, that may fail.
LIMIT = 5


@dataclass
class Hour:
    """What one hour of the fleet was.

    Attributes:
        part: the version that is released, or that nothing is.
        percent: share of the devices that may take it.
        said: what the operator's command said at the beginning.
        looks: devices that looked.
        running: devices that ran the version at the end.
        tried: devices that had tried it.
        requests: to the web server.
        bytes: from the web server.
        archives: requests for an archive.
        nginx_cpu_s: processor time of nginx.
        states_cpu_s: processor time of mosquitto for the states of all devices.
        status_cpu_s: the same for the operator, who reads them all.
    """

    part: str
    percent: float
    said: str
    looks: int = 0
    running: int = 0
    tried: int = 0
    requests: int = 0
    bytes: int = 0
    archives: int = 0
    nginx_cpu_s: float = 0.0
    states_cpu_s: float = 0.0
    status_cpu_s: float = 0.0


@dataclass
class Simulation:
    """The devices and what has happened."""

    devices: list[Device]
    began: datetime
    part: str = FIRST
    hours: list[Hour] = field(default_factory=list)

    def of(self, part: str) -> list[Hour]:
        """The hours of one part."""
        return [hour for hour in self.hours if hour.part == part]


@dataclass(frozen=True)
class Place:
    """Where it runs."""

    folder: Path
    keys: Keys
    web: Server
    log: Path
    broker: Server
    pool: ProcessPoolExecutor
    processes: int

    def spread(self, work: Callable[[list[Device]], Any], devices: list[Device]) -> list[Any]:
        """Let the processes share the devices, in random order."""
        order = random.sample(devices, len(devices))
        return list(self.pool.map(work, [order[start :: self.processes] for start in range(self.processes)]))


def main(
    devices: Annotated[int, typer.Option(min=10)] = 1000,
    processes: Annotated[int, typer.Option(min=1)] = 2,
    folder: Annotated[Path | None, typer.Option(help="Keep the simulation here, and continue it.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes; needs --folder.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json")] = None,
    plot: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Simulate and print."""
    end = time.monotonic() + 60 * minutes if minutes and folder else float("inf")
    with _kept(folder) as place:
        result = simulate(place, devices, processes, end)
    if result is None:
        typer.echo("stopped. Run it again to continue", err=True)
        return
    text = json.dumps(result, indent=1)
    typer.echo(text)
    if json_path:
        json_path.write_text(text + "\n")
    if plot:
        draw(result, plot)


def simulate(folder: Path, count: int, processes: int, end: float) -> dict[str, Any] | None:
    """Go on with a simulation; None if the time was over before it was done."""
    state = folder / "simulation.pickle"
    if state.exists():
        run: Simulation = pickle.loads(state.read_bytes())  # noqa: S301 - our own file
    else:
        create(folder / "repo", folder / "keys", "secret", DEFAULT_DAYS, DEFAULT_SIGNERS, datetime.now(UTC))
        fleet = [Device(f"{number:012x}", random.randrange(60 * ROUND_H)) for number in range(count)]  # noqa: S311
        run = Simulation(fleet, datetime.now(UTC))
    keys, log = Keys([folder / "keys"], lambda _: "secret"), folder / "access.log"
    with (
        nginx(folder, folder / "repo", log) as web,
        mosquitto(folder) as broker,
        ProcessPoolExecutor(processes) as pool,
    ):
        place = Place(folder, keys, web, log, broker, pool, processes)
        if run.hours:
            tell(run, place)  # this broker knows nothing yet
        while run.part:
            one_hour(run, place)
            typer.echo(f"hour {len(run.hours)}: {run.hours[-1]}", err=True)
            state.write_bytes(pickle.dumps(run))
            if time.monotonic() > end and run.part:
                return None
        return summary(run, place)


def one_hour(run: Simulation, place: Place) -> None:
    """Let the operator act, then a sixth of the devices look, then all tell their state."""
    number, part = len(run.hours), run.part
    before = run.of(part)
    cpu = place.broker.cpu_s()
    percent, said = (100.0, "") if part in {FIRST, NOTHING} else operate(run, place, first=not before)
    if part == FIRST and not before:
        publish(place, FIRST, 100)
    hour = Hour(part, percent, said, status_cpu_s=round(place.broker.cpu_s() - cpu, 2))

    looking = [device for device in run.devices if device.minute // 60 == number % ROUND_H]
    read_from, cpu = place.log.stat().st_size, place.web.cpu_s()
    work = partial(look_all, place.folder, f"http://127.0.0.1:{place.web.port}", number)
    changed = {device.id: device for part_of in place.spread(work, looking) for device in part_of}
    time.sleep(1.5)  # nginx writes its log once per second
    hour.nginx_cpu_s = round(place.web.cpu_s() - cpu, 2)
    run.devices = [changed.get(device.id, device) for device in run.devices]
    with place.log.open() as file:
        file.seek(read_from)
        answers = [line.split() for line in file]
    hour.looks, hour.requests = len(looking), len(answers)
    hour.bytes = sum(int(answer[2]) for answer in answers)
    hour.archives = sum(answer[0].endswith(".tar") for answer in answers)

    for device in run.devices:
        device.end_trial(60 * (number + 1))
    hour.running = sum(device.installed == part for device in run.devices)
    hour.tried = sum(device.has_tried(part) for device in run.devices)
    run.hours.append(hour)
    hour.states_cpu_s = tell(run, place)
    if is_over(run, hour):
        run.part = dict(zip(PARTS, [*PARTS[1:], ""], strict=True))[part]


def is_over(run: Simulation, hour: Hour) -> bool:
    """Whether a part is over: all have looked, all run the new version, or nobody runs what was halted."""
    if hour.part in {FIRST, NOTHING}:
        return len(run.of(hour.part)) == ROUND_H
    if hour.said.startswith("halted"):
        return hour.running == 0
    return hour.said.startswith("done") and hour.running == len(run.devices)


def operate(run: Simulation, place: Place, *, first: bool) -> tuple[float, str]:
    """What `fer-fleet rollout --auto` does; returns the share and what it says."""
    version = run.part
    if first:
        publish(place, version, 0)
    rollout = edits.rollout_in(Repository(place.folder / "repo").releases, NAME, version, "stable")
    if rollout.halted is not None:
        return rollout.percent, f"halted: {rollout.halted}"
    states, _ = read_messages(MqttConfig(host="127.0.0.1", port=place.broker.port), DeviceState)
    step = next_step(NAME, "stable", rollout, list(states.values()), LIMIT, virtual(run))
    edit: Callable[[Releases], Releases] | None = None
    if step.halt is not None:
        edit = partial(edits.halt, name=NAME, version=version, why=step.halt)
    elif step.percent is not None:
        edit = partial(edits.roll_out, name=NAME, version=version, channel="stable", percent=step.percent)
    if edit:
        operations.change(place.folder / "repo", place.keys, edit, datetime.now(UTC))
    return step.percent or rollout.percent, step.reason


def tell(run: Simulation, place: Place) -> float:
    """Let all devices tell their state; returns the broker's processor time in seconds."""
    cpu = place.broker.cpu_s()
    place.spread(partial(tell_all, place.broker.port, virtual(run)), run.devices)
    return round(place.broker.cpu_s() - cpu, 2)


def virtual(run: Simulation) -> datetime:
    """The present of the simulation."""
    return run.began + timedelta(hours=len(run.hours))


def publish(place: Place, version: str, percent: float) -> None:
    """Publish the shipped model under another version; its gate was passed before it shipped."""
    bundle = place.folder / f"bundle-{version}"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(find_bundle(NAME), bundle, ignore=shutil.ignore_patterns("*.keras", "*.png"))
    manifest = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps({**manifest, "version": version}, indent=1))
    gated = Gated(load_bundle(bundle), None)
    operations.publish(place.folder / "repo", place.keys, gated, "stable", percent, None, datetime.now(UTC))


def summary(run: Simulation, place: Place) -> dict[str, Any]:
    """What is shown and drawn."""
    count = len(run.devices)
    good, poisoned = run.of(GOOD), run.of(POISONED)
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = min(count, open_files - 500)
    return {
        "devices": count,
        "archive_bytes": next((place.folder / "repo" / "targets" / "bundles").rglob(f"*.{GOOD}.tar")).stat().st_size,
        "state_bytes": len(state_of(run.devices[0], run.began).model_dump_json()),
        "per_look": {name: per_look(run.of(name)) for name in PARTS},
        "broker_ms_per_state": round(1000 * sum(hour.states_cpu_s for hour in run.hours) / (len(run.hours) * count), 4),
        "hours_to_99_percent": next(
            (index for index, hour in enumerate(good, 1) if hour.running >= 0.99 * count), None
        ),
        "poisoned_reached": max(hour.tried for hour in poisoned),
        "poisoned_hours_to_halt": sum(not hour.said.startswith("halted") for hour in poisoned),
        "poisoned_hours_until_all_are_back": len(poisoned),
        "memory_mb": {"nginx": place.web.memory_mb(), "mosquitto": place.broker.memory_mb()},
        "idle_connections": connections,
        "kilobytes_per_idle_connection": memory_of_connections(place.broker, connections),
        "hours": [asdict(hour) for hour in run.hours],
    }


def per_look(hours: list[Hour]) -> dict[str, float]:
    """Means of one look."""
    looks = sum(hour.looks for hour in hours)
    return {
        "looks": looks,
        "requests": round(sum(hour.requests for hour in hours) / looks, 2),
        "bytes": round(sum(hour.bytes for hour in hours) / looks),
        "archives": round(sum(hour.archives for hour in hours) / looks, 3),
        "nginx_cpu_ms": round(1000 * sum(hour.nginx_cpu_s for hour in hours) / looks, 3),
    }


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    """The given folder, or one that is removed afterwards."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.absolute()
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


if __name__ == "__main__":
    typer.run(main)
