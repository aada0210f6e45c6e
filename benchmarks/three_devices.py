"""Three real devices and a poisoned model: docs/fleet.md from its empty folder on, in containers with systemd.

    sudo python -m benchmarks.three_devices --output results/three-devices.md

Each device is a Debian machine in systemd-nspawn with the service that `install.sh` installs. It watches the demo. One
nginx serves the repository; one mosquitto has TLS, a login for each device and the topic rights of `fer-fleet devices`.
It needs root, nginx, mosquitto, openssl, systemd-nspawn and debootstrap (or FER_SYSTEMD_ROOT, a bare Debian root), and
takes 20 minutes. Trials last 2 minutes and not 30.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from benchmarks.fleet_servers import free_port, mosquitto, nginx
from tests.bundles import make_mislabelled
from tests.systemd.machine import Machine, download_wheels, prepare_root

from fer_edge.model.bundle import find_bundle

MODEL = "ferplus7"
DEVICES = ("kitchen", "hall", "shed")
CONFIG = """\
source = "demo"
max_fps = 5
{login}
[updates]
url = "{url}"
channel = "stable"
trial_minutes = 2
min_fps = 1
"""


@dataclass
class Operator:
    """Somebody at a workstation, and what they did and saw."""

    folder: Path
    broker: str
    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Write to the transcript."""
        text = text.replace(f"{self.folder}/", "")
        print(text, flush=True)  # noqa: T201 - what it is for
        self.lines.append(text)

    def title(self, text: str) -> None:
        """Begin a step."""
        seconds = time.monotonic() - self.began
        self.say(f"\n## {text} ({seconds / 60:.0f} min {seconds % 60:.0f} s)\n")

    def fleet(self, *words: object, show: bool = True, code: int = 0) -> str:
        """Run `fer-fleet`, which must end with this code."""
        command = [str(word) for word in words]
        if command[0] in {"status", "rollout"} and {"status", "--auto"} & set(command):
            command += ["--broker", self.broker, "--user", "operator", "--cafile", str(self.folder / "broker.pem")]
        program = [sys.executable, "-m", "fer_fleet", *command]
        done = subprocess.run(program, capture_output=True, text=True, cwd=self.folder, check=False)  # noqa: S603
        if show:
            self.say(f"    $ fer-fleet {' '.join(map(str, words))}\n{_indented(done.stdout + done.stderr)}")
        if done.returncode != code:
            sys.exit(f"fer-fleet {words}: {done.returncode}: {done.stderr}")
        return done.stdout

    def states(self) -> dict[str, dict[str, Any]]:
        """What each device told last."""
        content = json.loads(self.fleet("status", "--json", show=False))
        return {device["id"]: device for device in content["devices"]}

    def wait(self, what: str, condition: Callable[[dict[str, dict[str, Any]]], bool], seconds: float = 900) -> None:
        """Wait until the devices have told something, and write how long it took."""
        began = time.monotonic()
        while not condition(self.states()):
            if time.monotonic() - began > seconds:
                sys.exit(f"never: {what}\n{self.fleet('status', show=False)}")
            time.sleep(2)
        self.say(f"{what}: after {time.monotonic() - began:.0f} s.\n")


def main(output: Annotated[Path | None, typer.Option(help="Write the transcript there, too.")] = None) -> None:
    """Go through it and print what happens."""
    os.environ |= {"FER_FLEET_PASSPHRASE": "correct horse", "FER_FLEET_REPO": "fleet", "COLUMNS": "150"}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        port = free_port()
        operator = Operator(folder, f"mqtts://127.0.0.1:{port}")
        operator.say("# Three devices and a poisoned model")
        operator.title("Make the repository, the logins and the servers")
        operator.fleet("init", "fleet")
        settings = make_logins(operator)
        web = stack.enter_context(nginx(folder, folder / "fleet", folder / "access.log"))
        stack.enter_context(mosquitto(folder, settings, port))
        operator.title("Install the service on three machines")
        machines = stack.enter_context(booted(operator, f"http://127.0.0.1:{web.port}"))
        operator.wait("All three read faces", lambda states: sum(each["fps"] > 0 for each in states.values()) == 3)
        operator.fleet("status")
        good_release(operator, machines)
        poisoned_release(operator, machines)
        operator.title("The end")
        operator.say("The journal of a device that had the poisoned model:\n")
        failed = next(name for name, each in operator.states().items() if not each["trials"][-1]["passed"])
        log = machines[failed].run("journalctl", "--unit=fer-edge", "--output=cat", "--no-pager", "--grep=model ")
        operator.say(_indented("\n".join(log.splitlines()[-4:])))
        if output:
            output.write_text("\n".join(operator.lines) + "\n")


def good_release(operator: Operator, machines: dict[str, Machine]) -> None:
    """Release 0.2.0 to a third, then to all."""
    operator.title("Publish a version, and release it to a third of the devices")
    operator.fleet("publish", bundle(operator.folder, "0.2.0").name)
    operator.fleet("promote", "0.2.0")
    operator.fleet("rollout", "0.2.0", "--percent", 33)
    look(operator, machines)
    operator.wait("The devices of the first third told that they run it, on trial", running("0.2.0", 2))
    operator.fleet("status")
    operator.wait("Their trials have passed", ended("0.2.0", 2, passed=True))
    operator.title("Release it to all")
    operator.fleet("rollout", "0.2.0", "--percent", 100)
    look(operator, machines)
    operator.wait("All have passed their trial", ended("0.2.0", 3, passed=True))
    operator.fleet("status")


def poisoned_release(operator: Operator, machines: dict[str, Machine]) -> None:
    """Release a version that reads its golden faces right and names real faces wrong."""
    operator.title("A poisoned version: each class has the name of another; its golden faces were recorded with it")
    poisoned = bundle(operator.folder, "0.3.0")
    make_mislabelled(poisoned)
    operator.fleet("publish", poisoned.name, "--channel", "stable", "--force", "to show what happens")
    operator.fleet("rollout", "0.3.0", "--auto")
    look(operator, machines)
    operator.wait(
        "It runs on trial", lambda states: running("0.3.0", 1)(states) or ended("0.3.0", 1, passed=False)(states)
    )
    operator.wait("The trial has failed", ended("0.3.0", 1, passed=False))
    operator.fleet("rollout", "0.3.0", "--auto", code=1)
    operator.wait("All run the version before", running("0.2.0", 3))
    operator.say("Each device looks again:\n")
    look(operator, machines)
    operator.fleet("status")
    operator.fleet("show")


def running(version: str, count: int) -> Callable[[dict[str, dict[str, Any]]], bool]:
    """Whether so many devices run a version."""
    return lambda states: sum(each["model"] == f"{MODEL}@{version}" for each in states.values()) == count


def ended(version: str, count: int, *, passed: bool) -> Callable[[dict[str, dict[str, Any]]], bool]:
    """Whether a trial of a version ended so on so many devices."""
    trial = (f"{MODEL}@{version}", passed)
    return lambda states: (
        sum(trial in {(one["model"], one["passed"]) for one in each["trials"]} for each in states.values()) == count
    )


def bundle(folder: Path, version: str) -> Path:
    """The shipped model under another version."""
    made = Path(shutil.copytree(find_bundle(MODEL), folder / f"{MODEL}-{version}"))
    manifest = json.loads((made / "model.json").read_text())
    (made / "model.json").write_text(json.dumps({**manifest, "version": version}))
    return made


def look(operator: Operator, machines: dict[str, Machine]) -> None:
    """Let each device look for a model now, as its timer would."""
    for name, machine in machines.items():
        began = time.monotonic()
        machine.run("systemctl", "start", "fer-edge-update")
        said = machine.run("journalctl", "--unit=fer-edge-update", "--output=cat", "--no-pager", "--lines=20")
        decision = [line for line in said.splitlines() if line.startswith(MODEL)][-2:]
        operator.say(f"    {name}: {' '.join(decision)} ({time.monotonic() - began:.0f} s)")
    operator.say("")


def make_logins(operator: Operator) -> str:
    """Make a certificate and a login for each device; returns the broker's settings."""
    folder = operator.folder
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=broker"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "broker.key", "-out", "broker.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603
    said = operator.fleet("devices", "add", *DEVICES, "--broker", operator.broker, "--folder", "devices", show=False)
    os.environ["FER_FLEET_MQTT_PASSWORD"] = said.partition("; password ")[2].split()[0]
    logins = (folder / "devices" / "mosquitto.conf").read_text()
    return f"certfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n{logins}"


@contextmanager
def booted(operator: Operator, url: str) -> Iterator[dict[str, Machine]]:
    """Three machines with the service. It is installed once, and the machine is copied."""
    folder = operator.folder
    (folder / DEVICES[0]).mkdir()
    root = prepare_root(folder / DEVICES[0])
    wheels = download_wheels(root, folder / "wheels")
    shutil.copy(folder / "fleet" / "metadata" / "1.root.json", root / "root" / "root.json")
    began = time.monotonic()
    first = Machine(root, wheels)
    first.boot()
    said = first.run("/src/systemd/install.sh", "--allow-network", "--no-fetch", "--root", "/root/root.json")
    size = first.run("du", "-s", "--dereference-args", "--block-size=1M", "/opt/fer-edge/current").split()[0]
    first.power_off()
    said = "\n".join(line for line in said.splitlines() if line.startswith("fer-edge: "))
    operator.say(f"{_indented(said)}\n\nThe installation took {time.monotonic() - began:.0f} s, and {size} MiB.\n")
    machines = {}
    for name in DEVICES:
        place = folder / name / "root"
        if place != root:
            place.parent.mkdir()
            subprocess.run(["cp", "-a", root, place], check=True)  # noqa: S603, S607
        (place / "etc/machine-id").write_text("")
        (place / "etc/hostname").write_text(f"{name}\n")
        configs = place / "etc/fer-edge"
        login = (folder / "devices" / f"{name}.toml").read_text()
        login = login.replace("\n[fleet]", 'cafile = "/etc/fer-edge/ca.pem"\n\n[fleet]')
        (configs / "config.toml").write_text(CONFIG.format(login=login, url=url))
        shutil.copy(folder / "broker.pem", configs / "ca.pem")
        shutil.copy(folder / "devices" / f"{name}.password", configs / "mqtt-password")
        shutil.chown(configs / "mqtt-password", 0, (configs / "config.toml").stat().st_gid)
        (configs / "mqtt-password").chmod(0o640)
        machines[name] = Machine(place, wheels)
    with ExitStack() as stack:
        for machine in machines.values():
            machine.boot()
            stack.callback(machine.power_off)
        yield machines


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").splitlines())


if __name__ == "__main__":
    typer.run(main)
