"""Simulate a fleet: what an update costs each device and the servers, and how far a poisoned release comes.

    python benchmarks/fleet.py --devices 10000 --plot docs/fleet.png --json results/fleet.json

Each device reads the repository with the real updater (TUF's client and our fetcher), decides with the real rule, and
downloads the archive. Trials are simulated: they pass, except those of the poisoned version. Devices look once per
round, in random order; after each round the operator's `fer-fleet rollout --auto` has its turn. One nginx and one
mosquitto answer, both on this machine, which does all the devices' work as well: times say nothing about real servers.
It needs nginx and mosquitto (apt install nginx-light mosquitto).
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from fer_edge.config import MqttConfig, RunConfig
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.updates.fleet_messages import DeviceState
from fer_edge.updates.releases import Releases, decide
from fer_edge.updates.updater import ModelUpdater, _download, _target
from fer_fleet import edits, operations
from fer_fleet.broker import read_messages
from fer_fleet.creation import DEFAULT_SIGNERS, create
from fer_fleet.gate import Gated
from fer_fleet.keys import Keys
from fer_fleet.progress import next_step
from fer_fleet.repository import DEFAULT_DAYS, Repository

NAME = "ferplus7"
POISONED = "0.4.0"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Device:
    """A simulated device."""

    id: str
    installed: str | None = None
    trials: dict[str, bool] = field(default_factory=dict)


@dataclass
class Round:
    """What one look of all devices cost."""

    what: str
    percent: float
    devices_on_new: int
    downloads: int
    requests: int
    bytes: int
    seconds: float
    nginx_cpu_s: float
    mosquitto_cpu_s: float


def main(
    devices: Annotated[int, typer.Option(min=10)] = 1000,
    processes: Annotated[int, typer.Option(min=1)] = 2,
    json_path: Annotated[Path | None, typer.Option("--json")] = None,
    plot: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Simulate and print."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        result = simulate(Path(folder), devices, processes)
    text = json.dumps(result, indent=1)
    typer.echo(text)
    if json_path:
        json_path.write_text(text + "\n")
    if plot:
        draw(result, plot)


def simulate(folder: Path, count: int, processes: int) -> dict[str, object]:
    """Run all rounds."""
    repo = folder / "repo"
    create(repo, folder / "keys", "secret", DEFAULT_DAYS, DEFAULT_SIGNERS, datetime.now(UTC))
    keys = Keys([folder / "keys"], lambda _: "secret")
    fleet = [Device(f"{number:012x}") for number in range(count)]
    rounds: list[Round] = []
    with nginx(folder, repo) as (web, log), mosquitto(folder) as (broker, port), ProcessPoolExecutor(processes) as pool:

        def look(what: str, percent: float, new: str) -> None:
            rounds.append(one_round(folder, fleet, pool, processes, log, web, broker, port, (what, percent, new)))
            typer.echo(f"{rounds[-1]}", err=True)

        publish(folder, keys, "0.2.0", 100)
        look("first contact", 100, "0.2.0")
        look("nothing new", 100, "0.2.0")
        good = release(folder, keys, port, "0.3.0", look, rounds)
        poisoned = release(folder, keys, port, POISONED, look, rounds)
        memory = {name: rss(pid) for name, pid in (("nginx", web[1]), ("mosquitto", broker))}
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        idle = idle_connections(broker, port, min(count, files - 500))
        state_bytes = len(state_of(fleet[0]).model_dump_json())
        return {
            "devices": count,
            "archive_bytes": next((repo / "targets" / "bundles").rglob("*.0.3.0.tar")).stat().st_size,
            "state_bytes": state_bytes,
            "rounds": [asdict(each) for each in rounds],
            "kinds": {kind: dict(zip(("requests", "bytes"), pair, strict=True)) for kind, pair in kinds(log).items()},
            "good": good,
            "poisoned": {**poisoned, "devices_reached": sum(POISONED in device.trials for device in fleet)},
            "memory_mb": memory,
            "broker_idle": idle,
        }


def release(
    folder: Path, keys: Keys, port: int, version: str, look: Callable[[str, float, str], None], rounds: list[Round]
) -> dict[str, object]:
    """Publish a version and let the automatic rollout go on until it is done or halts."""
    publish(folder, keys, version, 0)
    steps: list[str] = []
    began = len(rounds)
    while True:
        rollout = edits.rollout_in(Repository(folder / "repo").releases, NAME, version, "stable")
        states, _ = read_messages(MqttConfig(host="127.0.0.1", port=port), DeviceState)
        step = next_step(NAME, "stable", rollout, list(states.values()), 5, datetime.now(UTC))
        steps.append(step.reason)
        typer.echo(step.reason, err=True)
        edit: Callable[[Releases], Releases]
        if step.halt is not None:
            edit = partial(edits.halt, name=NAME, version=version, why=step.halt)
            operations.change(folder / "repo", keys, edit, datetime.now(UTC))
            break
        if step.reason.startswith("done"):
            break
        if step.percent is not None:
            edit = partial(edits.roll_out, name=NAME, version=version, channel="stable", percent=step.percent)
            operations.change(folder / "repo", keys, edit, datetime.now(UTC))
        look(version, step.percent or rollout.percent, version)
    return {"steps": steps, "rounds": len(rounds) - began}


def publish(folder: Path, keys: Keys, version: str, percent: float) -> None:
    """Publish the shipped model under another version; its gate was passed before it shipped."""
    bundle = folder / f"bundle-{version}"
    shutil.copytree(find_bundle(NAME), bundle, ignore=shutil.ignore_patterns("*.keras", "*.png"))
    manifest = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps({**manifest, "version": version}, indent=1))
    gated = Gated(load_bundle(bundle), None)
    operations.publish(folder / "repo", keys, gated, "stable", percent, None, datetime.now(UTC))


def one_round(
    folder: Path,
    fleet: list[Device],
    pool: ProcessPoolExecutor,
    processes: int,
    log: Path,
    web: tuple[int, int],
    broker: int,
    port: int,
    about: tuple[str, float, str],
) -> Round:
    """Let every device look once, in random order, and tell its state."""
    what, percent, new = about
    order = random.sample(fleet, len(fleet))
    chunks = [order[start::processes] for start in range(processes)]
    before, cpu = log.stat().st_size, (cpu_s(web[1]), cpu_s(broker))
    began = time.monotonic()
    work = partial(look_all, folder, web[0], port)
    changed = [device for part in pool.map(work, chunks) for device in part]
    seconds = time.monotonic() - began
    by_id = {device.id: device for device in changed}
    downloads = 0
    for index, device in enumerate(fleet):
        downloads += len(by_id[device.id].trials) - len(device.trials)
        fleet[index] = by_id[device.id]
    time.sleep(1.5)  # nginx writes its log once per second
    with log.open() as file:
        file.seek(before)
        sizes = [int(line.split()[2]) for line in file]
    return Round(
        what,
        percent,
        sum(device.installed == new for device in fleet),
        downloads,
        len(sizes),
        sum(sizes),
        round(seconds, 1),
        round(cpu_s(web[1]) - cpu[0], 2),
        round(cpu_s(broker) - cpu[1], 2),
    )


def look_all(folder: Path, web_port: int, broker_port: int, devices: list[Device]) -> list[Device]:
    """In a process of its own: each device looks, takes what is meant for it, tries it and tells its state."""
    settings = {"url": f"http://127.0.0.1:{web_port}", "root": folder / "repo" / "metadata" / "1.root.json"}
    updater = ModelUpdater(RunConfig.model_validate({"updates": settings}), state=folder)
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", broker_port)
    client.loop_start()
    last = None
    for device in devices:
        look_once(updater, folder / "devices" / device.id, device)
        topic = f"fer-edge/fleet/{device.id}/state"
        last = client.publish(topic, state_of(device).model_dump_json(), qos=1, retain=True)
    if last:
        last.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    return devices


def look_once(updater: ModelUpdater, state: Path, device: Device) -> None:
    """The real updater's steps, up to the verified archive."""
    updater._state = state
    client = updater._client()
    client.refresh()
    releases = updater._read_releases(client)
    decision = decide(
        releases,
        name=NAME,
        channel="stable",
        device_id=device.id,
        installed_version=device.installed,
        bad_versions=[version for version, passed in device.trials.items() if not passed],
    )
    if decision.version is None or decision.target is None:
        return
    _download(client, _target(client, decision.target, 64_000_000)).unlink()
    passed = decision.version != POISONED
    device.trials[decision.version] = passed
    if passed:
        device.installed = decision.version


def state_of(device: Device) -> DeviceState:
    """What it tells."""
    return DeviceState.model_validate(
        {
            "id": device.id,
            "time": datetime.now(UTC).replace(microsecond=0),
            "running": True,
            "board": "Raspberry Pi 4 Model B Rev 1.4",
            "software": "0.1.0",
            "model": f"{NAME}@{device.installed}",
            "channel": "stable",
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


def kinds(log: Path) -> dict[str, tuple[int, int]]:
    """Requests and bytes by kind of file, over all rounds."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in log.read_text().splitlines():
        path, status, size = line.split()
        kind = re.sub(r"^.*?([a-z]+)\.(json|tar)$", r"\1.\2", path) if status == "200" else status
        kind = "archive" if path.endswith(".tar") else kind
        found[kind][0] += 1
        found[kind][1] += int(size)
    return {kind: (pair[0], pair[1]) for kind, pair in sorted(found.items())}


@contextmanager
def nginx(folder: Path, repo: Path) -> Iterator[tuple[tuple[int, int], Path]]:
    """A web server for the repository: its port and process, and its log."""
    port, log = free_port(), folder / "access.log"
    log.touch()
    config = f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;
events {{ worker_connections 1024; }}
http {{
    log_format sizes '$uri $status $bytes_sent';
    access_log {log} sizes buffer=64k flush=1s;
    sendfile on;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {repo}; }}
}}
"""
    (folder / "nginx.conf").write_text(config)
    with server(["nginx", "-c", str(folder / "nginx.conf")], port) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield (port, int(children[0])), log


@contextmanager
def mosquitto(folder: Path) -> Iterator[tuple[int, int]]:
    """A broker: its process and port."""
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    with server(["mosquitto", "-c", str(folder / "mosquitto.conf")], port) as process:
        yield process.pid, port


@contextmanager
def server(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end."""
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise typer.BadParameter(f"no {command[0]}: sudo apt install nginx-light mosquitto")
    process = subprocess.Popen([program, *command[1:]], stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid: int) -> float:
    """Resident memory in MB."""
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return round(int(match[1]) / 1000, 1) if match else 0.0


def idle_connections(pid: int, port: int, count: int) -> dict[str, float]:
    """What idle connections cost the broker: kilobytes of memory for each, and that all were accepted."""
    before, sockets = rss(pid), []
    try:
        for number in range(count):
            name = f"idle-{number:08d}".encode()
            # CONNECT with a clean session and a keep-alive of 0 (MQTT 3.1.1, section 3.1).
            body = b"\0\4MQTT\4\2\0\0" + len(name).to_bytes(2, "big") + name
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            sockets.append(connection)
            connection.sendall(bytes([0x10, len(body)]) + body)
            if connection.recv(4) != b"\x20\2\0\0":
                raise OSError("the broker refuses a connection")
        return {"connections": count, "kilobytes_each": round(1000 * (rss(pid) - before) / count, 2)}
    finally:
        for connection in sockets:
            connection.close()


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw the share of devices that run, or tried, each version after each round."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    rounds, total = result["rounds"], result["devices"]
    per_version: dict[str, list[float]] = defaultdict(list)
    for each in rounds:
        if each["what"] in {"0.3.0", POISONED}:
            got = each["downloads"] if each["what"] == POISONED else each["devices_on_new"]
            per_version[each["what"]].append(100 * got / total)
    for version, shares in per_version.items():
        label = "poisoned: devices that tried it" if version == POISONED else "good: devices that run it"
        axes.plot(range(1, len(shares) + 1), shares, marker="o", label=label)
    axes.set(xlabel="looks of each device after the release", ylabel="devices, %", ylim=(0, 105))
    axes.set_xticks(range(1, 1 + max(map(len, per_version.values()))))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    typer.run(main)
