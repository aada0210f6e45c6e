"""The service under a real systemd: installed by the script, and then a life of faults. The tests go in order."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from tests.broker import Broker
from tests.camera import LoopbackCamera
from tests.conftest import wait_until
from tests.fleet_repository import PASSPHRASE, Operator
from tests.pages import answers, free_port
from tests.systemd.machine import PROJECT, Machine, download_wheels, prepare_root
from tests.update_server import serve_updates

from fer_fleet.fingerprint import fingerprint

LINES = "var/lib/fer-edge/faces.jsonl"

pytestmark = pytest.mark.slow  # a machine is made and booted


@pytest.fixture(autouse=True)
def _nothing_left_running() -> None:
    """In place of the check after each test: machine and camera go on; what is left after the last one is found."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    root = prepare_root(folder)
    machine = Machine(root, download_wheels(root, folder / "wheels"))
    machine.boot()
    yield machine
    machine.power_off()


@pytest.fixture(scope="module")
def camera() -> Iterator[LoopbackCamera]:
    camera = LoopbackCamera()
    yield camera
    camera.unplug()


def written(machine: Machine) -> list[str]:
    lines = (machine.root / LINES).read_text().splitlines()
    for line in lines:
        json.loads(line)
    return lines


def test_a_dry_run_changes_nothing(machine: Machine) -> None:
    said = machine.run("/src/systemd/install.sh", "--dry-run")
    assert "+ systemctl enable" in said
    assert not (machine.root / "opt/fer-edge").exists()
    assert machine.show("LoadState") == "not-found"


def test_it_installs_with_the_configuration_that_is_there_and_waits_for_its_camera(
    machine: Machine, camera: LoopbackCamera
) -> None:
    camera.unplug()
    config = (machine.root / "src").parent / "etc/fer-edge/config.toml"
    config.parent.mkdir()
    text = f'source = "{camera.url()}"\njson = "/{LINES}"\n[camera]\nwait = true\n[json_lines]\nappend = true\n'
    config.write_text(text)
    machine.run("/src/systemd/install.sh")
    assert config.read_text() == text
    assert machine.show("ActiveState") == "active"
    machine.wait_for("StatusText", "waiting for http://127.0.0.1")
    camera.plug()
    machine.wait_for("StatusText", "FPS, 1 face")
    assert machine.show("NRestarts") == "0"


def test_a_configuration_that_wants_an_absent_package_is_refused(machine: Machine) -> None:
    (machine.root / "root/screen.toml").write_text('display = "hdmi"\n')
    said = machine.run("fer-edge", "service", "check", "--config", "/root/screen.toml", check=False)
    assert "pygame-ce is not installed" in said


def test_its_status_fits_a_screen(machine: Machine) -> None:
    said = machine.run("fer-edge", "service", "status")
    assert "active (running)" in said
    assert "FPS" in said
    assert len(said.splitlines()) < 24
    (one,) = json.loads(machine.run("fer-edge", "service", "status", "--json"))
    assert (one["service"], one["running"], one["state"]) == ("fer-edge.service", True, "active (running)")
    assert "FPS" in one["facts"]["it says"]
    assert one["missing_drop_ins"] == []


def test_its_status_names_the_drop_in_that_is_missing(machine: Machine) -> None:
    """The broker is on another machine, which the unit forbids until network.conf is there."""
    config = machine.root / "etc/fer-edge/config.toml"
    before = config.read_text()
    config.write_text(f'{before}[mqtt]\nhost = "192.0.2.1"\n')
    try:
        said = machine.run("fer-edge", "service", "status")
        assert (
            "fer-edge.service: mqtt.host 192.0.2.1: the service may not reach other machines. "
            "Fix: sudo systemd/install.sh --allow-network, which installs network.conf"
        ) in said
        drop_in = machine.root / "etc/systemd/system/fer-edge.service.d/network.conf"
        drop_in.parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / "systemd/examples/network.conf", drop_in)
        assert "may not reach" not in machine.run("fer-edge", "service", "status")
        drop_in.unlink()
    finally:
        config.write_text(before)


def test_a_camera_that_freezes_and_dies_and_returns_needs_no_restart(machine: Machine, camera: LoopbackCamera) -> None:
    camera.freeze()
    machine.wait_for("StatusText", "waiting for")
    camera.thaw()
    machine.wait_for("StatusText", "FPS, 1 face")
    camera.unplug()
    machine.wait_for("StatusText", "waiting for")
    camera.plug()
    machine.wait_for("StatusText", "FPS, 1 face")
    assert machine.show("NRestarts") == "0"
    warnings = machine.journal("--priority=warning").splitlines()
    gone = sum("is lost" in line for line in warnings)
    assert gone in {1, 2}, "what comes and goes within seconds is not said each time"
    assert sum("is back" in line for line in warnings) == gone + 1, "it was not there at the start"


def test_a_killed_service_comes_back_and_keeps_its_lines(machine: Machine) -> None:
    before = written(machine)
    machine.run("systemctl", "kill", "--signal=KILL", "fer-edge")
    machine.wait_for("NRestarts", "1")
    machine.wait_for("SubState", "running")
    machine.wait_for("StatusText", "FPS, 1 face")
    assert written(machine)[: len(before)] == before


def test_a_hang_is_noticed_by_the_watchdog(machine: Machine) -> None:
    drop_in = machine.root / "etc/systemd/system/fer-edge.service.d/watchdog.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nWatchdogSec=4\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "fer-edge")
    machine.wait_for("StatusText", "FPS, 1 face")
    restarts = int(machine.show("NRestarts"))
    machine.run("systemctl", "kill", "--signal=STOP", "fer-edge")
    machine.wait_for("NRestarts", str(restarts + 1))
    machine.wait_for("SubState", "running")
    machine.wait_for("StatusText", "FPS, 1 face")
    assert "Watchdog timeout" in machine.journal()


def test_in_steady_state_the_journal_is_silent(machine: Machine) -> None:
    machine.wait_for("StatusText", "FPS, 1 face")
    before, lines = machine.journal().splitlines(), machine.root / LINES
    frames = lines.read_bytes().count(b"\n")
    wait_until(lambda: lines.read_bytes().count(b"\n") > frames + 150)  # ten seconds of the camera
    assert len(machine.journal().splitlines()) == len(before)


def test_a_broken_configuration_is_refused_and_the_service_starts_when_it_is_fixed(machine: Machine) -> None:
    config = machine.root / "etc/fer-edge/config.toml"
    good = config.read_text()
    config.write_text(good + "[trackr]\n")
    upgrade = machine.run("/src/systemd/install.sh", check=False)
    assert "trackr: unknown key" in upgrade
    assert "The version that runs goes on" in upgrade
    assert machine.show("ActiveState") == "active"
    machine.run("systemctl", "restart", "fer-edge", check=False)
    assert machine.show("ExecMainStatus") == "2"
    assert "trackr: unknown key" in machine.run("fer-edge", "service", "status", check=False)
    wait_until(lambda: len(pauses(machine)) == 2)
    assert pauses(machine) == ["5", "15"]
    said = machine.run("fer-edge", "service", "status", check=False)
    assert "activating" in said
    assert "starting it in 15 s" in said
    assert "last exit code" not in said, "systemd has forgotten it"
    machine.run("systemctl", "restart", "fer-edge", check=False)
    assert len(pauses(machine)) == 2, "by hand it starts at once"
    config.write_text(good)
    machine.wait_for("SubState", "running")
    machine.wait_for("StatusText", "FPS, 1 face")
    assert machine.show("NRestarts") == "1"


def pauses(machine: Machine) -> list[str]:
    """Seconds before each restart, in addition to the usual ones."""
    return re.findall(r"starting it in (\d+) s", machine.journal())


def test_an_upgrade_that_does_not_get_ready_is_taken_back(machine: Machine) -> None:
    """It reads the configuration and opens the model, and fails with the first frame."""
    parts = (
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
        "edge",
        "training",
        "quantize",
        "models",
        "systemd",
    )
    machine.run("mkdir", "/root/src")
    machine.run("cp", "-r", *(f"/src/{part}" for part in parts), "/root/src")
    machine.run(
        "sed", "-i", "s/result = self.process(frame)/raise RuntimeError/", "/root/src/edge/fer_edge/pipeline.py"
    )
    machine.run("sed", "-i", "s/^Description=.*/Description=new/", "/root/src/systemd/fer-edge.service")
    old = (machine.root / "opt/fer-edge/current").readlink()
    said = machine.run("/root/src/systemd/install.sh", check=False)
    assert "error: the new version does not start. The old version is back and runs." in said.splitlines()[-1]
    assert (machine.root / "opt/fer-edge/current").readlink() == old
    assert len(list((machine.root / "opt/fer-edge").iterdir())) == 2
    assert machine.show("Description") != "new"
    machine.wait_for("StatusText", "FPS, 1 face")


def test_an_upgrade_takes_the_place_of_the_old_one(machine: Machine) -> None:
    old = (machine.root / "opt/fer-edge/current").readlink()
    before = written(machine)
    machine.run("/src/systemd/install.sh")
    machine.wait_for("StatusText", "FPS, 1 face")
    assert (machine.root / "opt/fer-edge/current").readlink() != old
    assert (machine.root / "opt/fer-edge/previous").readlink() == old
    assert len(list((machine.root / "opt/fer-edge").iterdir())) == 4
    assert written(machine)[: len(before)] == before


def test_the_previous_version_is_put_back(machine: Machine) -> None:
    current, previous = ((machine.root / "opt/fer-edge" / name).readlink() for name in ("current", "previous"))
    config = machine.root / "etc/fer-edge/config.toml"
    good = config.read_text()
    config.write_text(good + "[trackr]\n")
    refused = machine.run("/src/systemd/install.sh", "--rollback", check=False)
    assert "trackr: unknown key" in refused
    assert (machine.root / "opt/fer-edge/current").readlink() == current
    config.write_text(good)
    for now, other in ((previous, current), (current, previous)):
        machine.run("/src/systemd/install.sh", "--rollback")
        machine.wait_for("StatusText", "FPS, 1 face")
        assert (machine.root / "opt/fer-edge/current").readlink() == now
        assert (machine.root / "opt/fer-edge/previous").readlink() == other


def test_a_check_runs_as_the_service_would(machine: Machine) -> None:
    """As root each of these could be used."""
    for folder in ("home/pi", "opt/closed"):
        (machine.root / folder).mkdir(parents=True)
        shutil.copytree(PROJECT / "models/ferplus7", machine.root / folder / "model")
    (machine.root / "opt/closed").chmod(0o700)
    for text, said in (
        ('model = "/home/pi/model"', "the service does not see what is in /home"),
        ('model = "/opt/closed/model"', "'/opt/closed/model' is neither a folder nor a shipped model"),
        ('json = "/opt/faces.jsonl"', "json /opt/faces.jsonl: cannot be written here"),
        ('source = "rtsp://10.1.2.3/live"', "source 10.1.2.3: the service may not reach other machines"),
    ):
        (machine.root / "root/try.toml").write_text(f"{text}\n")
        assert said in machine.run("fer-edge", "service", "check", "--config", "/root/try.toml", check=False)
    assert "checked as fer-edge.service would run" in machine.run("fer-edge", "service", "check")


def test_a_signed_model_reaches_the_service_and_is_taken_back(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_FLEET_PASSPHRASE", PASSPHRASE)
    operator = Operator(tmp_path, capsys, monkeypatch)
    operator.do("init", operator.repo)
    operator.do("publish", operator.bundle("0.2.0", name="ferplus7"))
    root = Path(shutil.copy(operator.repo / "metadata" / "1.root.json", machine.root / "root" / "root.json"))
    config = machine.root / "etc/fer-edge/config.toml"
    with serve_updates(operator.repo) as server:
        config.write_text(config.read_text() + f'[updates]\nurl = "{server.url}"\nchannel = "beta"\n')
        said = machine.run("/src/systemd/install.sh", "--root", "/root/root.json")
        assert fingerprint(root.read_bytes()) in said
        assert machine.show("ActiveState", "fer-edge-update.timer") == "active"
        size = machine.run("du", "-s", "--dereference-args", "--block-size=1M", "/opt/fer-edge/current").split()[0]
        assert 200 < int(size) < 430, "what docs/service.md promises"
        (machine.root / "var/lib/fer-edge/samples").mkdir(exist_ok=True)
        drop_in = machine.root / "etc/systemd/system/fer-edge-update.service.d/look.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(
            "[Service]\nExecStartPre=/bin/sh -c 'ls /var/lib/fer-edge > /var/lib/fer-edge-update/seen'\n"
        )
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "fer-edge-update")
        seen = (machine.root / "var/lib/fer-edge-update/seen").read_text().split()
        assert seen == ["models", "trials"], "of what recognition keeps"
        models = machine.root / "var/lib/fer-edge/models"
        assert os.readlink(models / "current") == "ferplus7/0.2.0"  # noqa: PTH115
        assert machine.run("stat", "--format=%U:%G", f"/{models.relative_to(machine.root)}/current") == (
            "fer-edge-update:fer-edge\n"
        )
        machine.wait_for("StatusText", "model ferplus7@0.2.0 on trial")
        assert "is kept" in machine.run("fer-edge", "models", "update"), "root goes on as the updater's user"
        machine.run("systemctl", "start", "fer-edge-update")
        operator.do("publish", operator.bundle("0.3.0", name="ferplus7"))
        ask_over_mqtt(machine, tmp_path)
        wait_until(lambda: os.readlink(models / "current") == "ferplus7/0.3.0")  # noqa: PTH115
        machine.wait_for("StatusText", "model ferplus7@0.3.0 on trial")
    as_service = ("setpriv", "--reuid=fer-edge", "--regid=fer-edge", "--init-groups")
    refused = machine.run(*as_service, "touch", "/var/lib/fer-edge/models/x", check=False)
    assert "Permission denied" in refused
    assert "ferplus7@0.2.0 is the current model" in machine.run("fer-edge", "models", "rollback")
    machine.wait_for("StatusText", "FPS")
    wait_until(lambda: "on trial" not in machine.show("StatusText") and "FPS" in machine.show("StatusText"))


def ask_over_mqtt(machine: Machine, folder: Path) -> None:
    """Start an update as Home Assistant does: the service hears it, and asks the updater."""
    if not shutil.which("mosquitto") or not shutil.which("mosquitto_pub"):
        pytest.skip("no mosquitto: sudo apt install mosquitto mosquitto-clients")
    broker = Broker(folder)
    broker.start()
    try:
        config = machine.root / "etc/fer-edge/config.toml"
        text = config.read_text() + f'allow_start = true\n[mqtt]\nhost = "127.0.0.1:{broker.port}"\ntopic = "camera"\n'
        config.write_text(text)
        machine.run("systemctl", "restart", "fer-edge")
        machine.wait_for("StatusText", "FPS, 1 face")
        say = ["mosquitto_pub", "-p", str(broker.port), "-t", "camera/update/install", "-m", "install"]
        subprocess.run(say, check=True)
        wait_until((machine.root / "var/lib/fer-edge-update/requests/look").is_file)
    finally:
        broker.stop()


def test_an_ordinary_user_sees_the_table_and_how_to_see_the_rest(machine: Machine) -> None:
    said = machine.run_as_nobody("fer-edge", "service", "status")
    assert "active (running)" in said
    assert "sudo fer-edge service status" in said
    assert " ago: " not in said
    assert re.search(r"^\d+ (s|min) ago: ", machine.run("fer-edge", "service", "status"), flags=re.MULTILINE)
    assert "sudo fer-edge service logs" in machine.run_as_nobody("fer-edge", "service", "logs")
    assert len(machine.run("fer-edge", "service", "logs", "-n", "2").splitlines()) == 2


def test_an_instance_runs_beside_the_service_with_a_password_from_systemd(machine: Machine, tmp_path: Path) -> None:
    if not shutil.which("mosquitto") or not shutil.which("mosquitto_sub"):
        pytest.skip("no mosquitto: sudo apt install mosquitto mosquitto-clients")
    subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "users", "fer", "s3cret"], check=True)
    broker = Broker(tmp_path)
    broker.configure("allow_anonymous false", f"password_file {tmp_path / 'users'}")
    broker.start()
    try:
        password = machine.root / "etc/credstore/fer-edge.door.mqtt-password"
        password.parent.mkdir(exist_ok=True)
        password.write_text("s3cret\n")
        password.chmod(0o600)
        machine.run("/src/systemd/install.sh", "--instance", "door", "--allow-network")
        config = machine.root / "etc/fer-edge/door.toml"
        assert 'json = "/var/lib/fer-edge/door/faces.jsonl"' in config.read_text()
        text = config.read_text().replace('source = "auto"', 'source = "demo"')
        text = text.replace('#host = "broker.local"', f'host = "127.0.0.1:{broker.port}"')
        config.write_text(text.replace('#username = "fer"', 'username = "fer"'))
        machine.run("systemctl", "restart", "fer-edge@door")
        machine.wait_for("StatusText", "FPS, 1 face", unit="fer-edge@door")
        said = machine.run("fer-edge", "service", "status")
        assert re.search(r"fer-edge +│ active.*fer-edge@door +│ active", said, flags=re.DOTALL)
        command = ["mosquitto_sub", "-p", str(broker.port), "-u", "fer", "-P", "s3cret", "-t", "fer-edge/+/door/faces"]
        heard = subprocess.run([*command, "-C", "1", "-W", "60"], capture_output=True, text=True, check=True)
        assert json.loads(heard.stdout)["faces"]
        assert (machine.root / "var/lib/fer-edge/door/faces.jsonl").is_file()
        assert (machine.root / "etc/systemd/system/fer-edge@door.service.d/network.conf").is_file()
        machine.run("/src/systemd/install.sh", "--uninstall", "--instance", "door")
    finally:
        broker.stop()
    assert machine.show("ActiveState", "fer-edge@door") == "inactive"
    assert machine.show("ActiveState") == "active"
    assert "fer-edge@door" not in machine.run("fer-edge", "service", "status")


def test_the_page_of_all_cameras_runs_as_its_unit_says(machine: Machine) -> None:
    """By the steps in the unit's head, with two instances of the template and another port."""
    port = free_port()
    machine.run("/src/systemd/install.sh", "--instance", "front", "--extras", "web")
    config = machine.root / "etc/fer-edge/front.toml"
    text = config.read_text().replace('source = "auto"', 'source = "demo"')
    config.write_text(text.replace('#listen = "8080"', 'listen = "unix"'))
    back = Path(shutil.copy(config, config.with_name("back.toml")))
    shutil.copystat(config, back)
    os.chown(back, config.stat().st_uid, config.stat().st_gid)
    back.write_text(config.read_text().replace("/var/lib/fer-edge/front/", "/var/lib/fer-edge/back/"))
    machine.run("fer-edge", "service", "check", "--instance", "front")
    machine.run("systemctl", "restart", "fer-edge@front", "fer-edge@back")
    for name in ("front", "back"):
        machine.wait_for("StatusText", "FPS, 1 face", unit=f"fer-edge@{name}")
    (config.parent / "web.toml").write_text(f'[web]\nlisten = "{port}"\n')
    units = machine.root / "etc/systemd/system"
    unit = (PROJECT / "systemd/examples/fer-edge-web.service").read_text()
    (units / "fer-edge-web.service").write_text(unit.replace("tcp:8080", f"tcp:{port}"))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "fer-edge-web")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as page:
        wait_until(lambda: answers(page))
        found = {one["name"]: one["state"]["source"] for one in page.get("/api/instances").json()["instances"]}
        assert found == {"front": "the built-in demo", "back": "the built-in demo"}
        assert "fer-edge" in page.get("/").text
        for name in found:
            wait_until(partial(shows_picture, page, name))
    assert machine.show("NRestarts", "fer-edge-web") == "0"
    machine.run("systemctl", "disable", "--now", "fer-edge-web")
    assert machine.show("Result", "fer-edge-web") == "success"
    for name in ("front", "back"):
        machine.run("/src/systemd/install.sh", "--uninstall", "--instance", name)


def shows_picture(page: httpx.Client, instance: str) -> bool:
    return page.get(f"/instances/{instance}/snapshot.jpg").content[:2] == b"\xff\xd8"


def test_it_stops_cleanly_and_stays_stopped(machine: Machine) -> None:
    machine.run("systemctl", "stop", "fer-edge")
    assert machine.show("ActiveState") == "inactive"
    assert machine.show("Result") == "success"
    assert machine.show("SubState") == "dead", "a start that is planned would be `auto-restart`"
    assert "fer-edge.service" not in machine.run("systemctl", "list-jobs")


def test_it_comes_back_on_a_second_boot(machine: Machine) -> None:
    before = written(machine)
    machine.power_off()
    machine.boot()
    machine.wait_for("StatusText", "FPS, 1 face")
    assert written(machine)[: len(before)] == before


def test_uninstalling_keeps_only_the_data(machine: Machine) -> None:
    machine.run("/src/systemd/install.sh", "--uninstall")
    assert machine.show("LoadState") == "not-found"
    assert not (machine.root / "opt/fer-edge").exists()
    assert written(machine)
    assert (machine.root / "etc/fer-edge/config.toml").is_file()


def test_it_installs_without_a_network(machine: Machine, tmp_path: Path) -> None:
    """Debian's packages are there from before."""
    python = next((machine.root / "usr/bin").glob("python3.[0-9]*")).name.removeprefix("python")
    command = [str(PROJECT / "systemd/wheelhouse.sh"), str(tmp_path / "wheelhouse"), "--python", python]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"wheelhouse.sh: {(made.stderr.strip().splitlines() or ['failed'])[-1]}")
    shutil.copytree(tmp_path / "wheelhouse", machine.root / "root/wheelhouse")
    machine.power_off()
    machine.boot("--private-network")
    (machine.root / "etc/fer-edge/config.toml").unlink()
    said = machine.run("env", "-u", "PIP_FIND_LINKS", "/src/systemd/install.sh", "--wheelhouse", "/root/wheelhouse")
    assert "installed. How it does" in said
    assert "the models of mediapipe" in said
    assert "#max_fps = 15" in (machine.root / "etc/fer-edge/config.toml").read_text()
    machine.wait_for("StatusText", "waiting for the camera")
