"""The service under a real systemd: installed by the script, and then a life of faults. The tests go in order."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from tests.camera import LoopbackCamera
from tests.conftest import wait_until
from tests.systemd.machine import Machine, download_wheels, prepare_root

LINES = "var/lib/fer-edge/faces.jsonl"

pytestmark = pytest.mark.slow  # a machine is made and booted


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
    before = machine.journal().splitlines()
    time.sleep(10)
    assert len(machine.journal().splitlines()) == len(before)


def test_a_broken_configuration_is_refused_and_the_service_starts_when_it_is_fixed(machine: Machine) -> None:
    config = machine.root / "etc/fer-edge/config.toml"
    good = config.read_text()
    config.write_text(good + "[trackr]\n")
    upgrade = machine.run("/src/systemd/install.sh", check=False)
    assert "trackr: unknown key" in upgrade
    assert "The old version goes on" in upgrade
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
    assert len(list((machine.root / "opt/fer-edge").iterdir())) == 2
    assert written(machine)[: len(before)] == before


def test_it_stops_cleanly_and_stays_stopped(machine: Machine) -> None:
    machine.run("systemctl", "stop", "fer-edge")
    assert machine.show("ActiveState") == "inactive"
    assert machine.show("Result") == "success"
    time.sleep(8)
    assert machine.show("ActiveState") == "inactive"


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
