"""What `fer-edge service` reads from systemd and its journal: programs that answer as systemd's do."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Run
from tests.screen import rows_of
from tests.typed import typed

from fer_edge.device.service import installed_units, last_warnings, service_state, show_journal
from fer_edge.device.unit import Sandbox, Unit, credential_path, sandbox_of
from fer_edge.errors import ConfigError, MissingDependency

RUNNING = """\
LoadState=loaded
ActiveState=active
SubState=running
StatusText=29.9 FPS, 1 face: happy=yes
ActiveEnterTimestamp=Fri 2026-11-27 08:00:00 UTC
NRestarts=2
Result=success
ExecMainStatus=0
MemoryCurrent=187654321
UnitFileState=enabled
DropInPaths=
"""
FAILED = """\
LoadState=loaded
ActiveState=failed
SubState=failed
NRestarts=5
Result=exit-code
ExecMainStatus=3
MemoryCurrent=[not set]
UnitFileState=enabled
"""
DOOR, HALL = Unit("door"), Unit("hall")

Answer = Callable[[str, str], None]


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Put a program on the path that writes its arguments to a file and runs these lines of a shell."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr("fer_edge.device.unit._CONFIGS", tmp_path)

    def put(name: str, lines: str) -> None:
        program = programs / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/{name}.arguments\n{lines}\n')
        program.chmod(0o755)

    return put


def shown(text: str) -> str:
    return f"cat <<'END'\n{text}END"


def arguments(folder: Path, program: str) -> list[str]:
    return (folder / f"{program}.arguments").read_text().splitlines()


def test_a_running_service_has_no_last_result(answer: Answer, tmp_path: Path) -> None:
    answer("systemctl", shown(RUNNING))
    state = service_state(Unit())
    assert (state.runs, state.state) == (True, "active (running)")
    assert state.facts == {
        "it says": "29.9 FPS, 1 face: happy=yes",
        "since": "Fri 2026-11-27 08:00:00 UTC",
        "restarts since boot": "2",
        "memory": "188 MB",
        "at boot": "enabled",
    }
    *asked, wanted = arguments(tmp_path, "systemctl")
    assert asked == ["show", "fer-edge.service"]
    given = {line.partition("=")[0] for line in RUNNING.splitlines()}
    assert given <= {*wanted.removeprefix("--property=").split(",")}


def test_a_service_that_failed_tells_its_result_and_one_that_starts_does_not(answer: Answer) -> None:
    answer("systemctl", shown(FAILED))
    state = service_state(Unit())
    assert (state.runs, state.state) == (False, "failed (failed)")
    assert state.facts == {
        "restarts since boot": "5",
        "last result": "exit-code",
        "last exit code": "3",
        "at boot": "enabled",
    }
    answer("systemctl", shown(FAILED.replace("=failed\nSubState=failed", "=activating\nSubState=start-pre")))
    state = service_state(Unit())
    assert (state.runs, state.state) == (False, "activating (start-pre)")
    assert "last exit code" not in state.facts


def test_a_unit_that_is_not_installed_is_named_with_its_command(answer: Answer, tmp_path: Path) -> None:
    answer("systemctl", shown("LoadState=not-found\nActiveState=inactive\nSubState=dead\n"))
    with pytest.raises(ConfigError, match=r"fer-edge.service is not installed \(not-found\)"):
        service_state(Unit())
    answer("systemctl", shown(RUNNING))  # as of each name, where the template is installed
    with pytest.raises(ConfigError, match=r"Install it with sudo systemd/install.sh --instance door$"):
        service_state(DOOR)
    (tmp_path / "door.toml").touch()
    assert service_state(DOOR).runs


def test_the_service_comes_before_its_instances(answer: Answer, tmp_path: Path) -> None:
    listed = [
        "fer-edge@hall.service loaded failed failed one",
        "fer-edge@door.service loaded active running two",
        "fer-edge@gone.service not-found inactive dead three",
        "fer-edge.service loaded active running four",
    ]
    answer("systemctl", shown("\n".join(listed) + "\n"))
    assert installed_units() == [Unit(), DOOR, HALL]
    options = ["list-units", "--all", "--plain", "--no-legend"]
    assert arguments(tmp_path, "systemctl") == [*options, "fer-edge.service", "fer-edge@*.service"]
    answer("systemctl", shown("\n".join(listed[:3]) + "\n"))
    assert installed_units() == [DOOR, HALL]
    answer("systemctl", "")
    with pytest.raises(ConfigError, match="is not installed"):
        installed_units()


def test_a_machine_without_systemd_says_so(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    answer("systemctl", "exit 1")
    with pytest.raises(MissingDependency, match=r"systemctl does not answer \(no reason\)"):
        service_state(Unit())
    answer("systemctl", "echo 'System has not been booted with systemd' >&2; echo more >&2; exit 1")
    with pytest.raises(
        MissingDependency, match=r"systemctl does not answer \(System has not been booted with systemd\)"
    ):
        service_state(Unit())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingDependency, match="this machine has no systemd"):
        service_state(Unit())


def test_the_last_warnings_have_their_age_and_unit(answer: Answer, tmp_path: Path) -> None:
    at = int(1e6 * (time.time() - 7200))
    entries = [
        {"__REALTIME_TIMESTAMP": str(at), "_SYSTEMD_UNIT": "fer-edge.service", "MESSAGE": "the camera is lost"},
        {"__REALTIME_TIMESTAMP": str(at), "UNIT": "fer-edge@door.service", "_SYSTEMD_UNIT": "init.scope"},
        {"__REALTIME_TIMESTAMP": str(at), "_SYSTEMD_UNIT": "fer-edge.service", "MESSAGE": [195, 164, 255]},
    ]
    answer("journalctl", shown("".join(json.dumps(entry) + "\n" for entry in entries)))
    lines = list(last_warnings([Unit(), DOOR]))
    assert [(line.unit, line.message) for line in lines] == [
        ("fer-edge.service", "the camera is lost"),
        ("fer-edge@door.service", ""),
        ("fer-edge.service", "ä\ufffd"),
    ]
    assert all(7200 <= line.age_s < 9000 for line in lines)
    asked = arguments(tmp_path, "journalctl")
    assert asked[:2] == ["--unit=fer-edge.service", "--unit=fer-edge@door.service"]
    assert {"--priority=warning", "--lines=8", "--quiet"} < {*asked}


@pytest.mark.parametrize("follow", [False, True])
def test_the_journal_is_shown_by_journalctl(answer: Answer, tmp_path: Path, follow: bool) -> None:
    answer("journalctl", "exit 3")
    assert show_journal([DOOR], 7, follow=follow) == 3
    asked = arguments(tmp_path, "journalctl")
    assert {"--unit=fer-edge@door.service", "--lines=7"} < {*asked}
    assert ("--follow" in asked) == follow


def test_the_status_of_a_service_that_does_not_run_is_a_failure(answer: Answer, command: Run, tmp_path: Path) -> None:
    line = {"__REALTIME_TIMESTAMP": str(int(1e6 * (time.time() - 5400))), "MESSAGE": "the camera is lost"}
    answer("journalctl", shown(json.dumps(line) + "\n"))
    state = tmp_path / "state"
    answer("systemctl", f'[ "$1" = list-units ] && echo fer-edge.service loaded || cat {state}')
    state.write_text(RUNNING)
    good = command("fer-edge", "service", "status")
    assert good.returncode == 0, good.stderr
    assert "active (running)" in good.stdout
    assert "1 h ago: the camera is lost" in good.stdout
    state.write_text(FAILED)
    bad = command("fer-edge", "service", "status", "--json")
    assert bad.returncode == 1
    (one,) = json.loads(bad.stdout)
    assert (one["service"], one["running"], one["facts"]["last exit code"]) == ("fer-edge.service", False, "3")


def test_drop_ins_override_by_name_and_an_empty_setting_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By systemd.unit(5): /etc over /run over /usr, in order of name; an instance has those of its template too."""
    folders = [tmp_path / name for name in ("usr", "run", "etc")]
    monkeypatch.setattr("fer_edge.device.unit._FOLDERS", [str(folder) for folder in folders])

    def write(folder: int, name: str, text: str) -> None:
        path = folders[folder] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[Unit]\nTTYPath=/no\n[Service]\n{text}\n")

    assert sandbox_of(DOOR) is None
    write(0, "fer-edge@.service", "PrivateTmp=no")
    write(2, "fer-edge@.service", "IPAddressDeny=any\nPrivateTmp=yes\nUMask=\\\n0027\n; UMask=0\n#UMask=1\nTTYPath=")
    write(1, "fer-edge@.service.d/10-net.conf", "IPAddressDeny=")
    write(0, "fer-edge@door.service.d/20-tmp.conf", "PrivateTmp=no")
    write(2, "fer-edge@door.service.d/05-tasks.conf", "TasksMax=8")
    write(2, "fer-edge@door.service.d/20-tmp.conf", "RuntimeDirectory=fer-edge/%i\nReadWritePaths=/run/%n 100%%")
    sandbox = sandbox_of(DOOR)
    assert sandbox is not None
    assert sandbox.settings == [
        ("IPAddressDeny", "any"),
        ("PrivateTmp", "yes"),
        ("UMask", "0027"),
        ("TTYPath", ""),
        ("TasksMax", "8"),
        ("IPAddressDeny", ""),
        ("RuntimeDirectory", "fer-edge/door"),
        ("ReadWritePaths", "/run/fer-edge@door.service 100%"),
    ]
    assert not sandbox.forbids("8.8.8.8"), "the drop-in takes it back"
    assert not sandbox.has_console
    hall = sandbox_of(HALL)
    assert hall is not None
    assert len(hall.settings) == 5, "without the drop-in of another instance"


def test_what_the_service_does_not_see_is_known_by_its_real_place(tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    unit.write_text("[Service]\nProtectHome=no\nProtectHome=tmpfs\n")
    (tmp_path / "link").symlink_to("/home/pi")
    sandbox = Sandbox(Unit(), unit)
    hidden = ("/home/pi/x", "/root/x", "/run/user/1000/x", str(tmp_path / "link" / "x"))
    assert [path for path in (*hidden, "/homes/x", "/srv/x") if sandbox.hides(Path(path))] == [*hidden]
    unit.write_text("[Service]\nPrivateTmp=true\n")
    places = [Path(place, "x") for place in ("/tmp", "/var/tmp", "/home")]  # noqa: S108 - nothing is written there
    assert [place for place in places if Sandbox(Unit(), unit).hides(place)] == places[:2]


def test_a_check_runs_with_the_permissions_of_the_unit_alone(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = tmp_path / "unit"
    unit.write_text(
        "[Service]\nType=notify\nExecStart=/x\nRestart=on-failure\nWatchdogSec=30\nUser=fer-edge\n"
        "RestrictRealtime=yes\nDeviceAllow=char-drm rw\nDeviceAllow=/dev/vcio rw\n"
    )
    answer("systemd-run", "exit 2")
    monkeypatch.chdir(tmp_path)
    assert Sandbox(Unit(), unit).run(["fer-edge", "--here"], Path("mine.toml")) == 2
    asked = arguments(tmp_path, "systemd-run")
    assert [one.removeprefix("--property=") for one in asked if one.startswith("--property=")] == [
        "User=fer-edge",
        "RestrictRealtime=yes",
        "DeviceAllow=char-drm rw",
        "DeviceAllow=/dev/vcio rw",
        f"LoadCredential=config.toml:{tmp_path}/mine.toml",
    ]
    assert {"--wait", "--unit=fer-edge-check.service"} < {*asked}
    assert asked[-3:] == ["--", "fer-edge", "--here"]
    assert credential_path() == "/run/credentials/fer-edge-check.service/config.toml"


HIDING = "[Service]\nProtectHome=yes\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the journal")


@needs_root
def test_the_status_of_a_running_service_is_a_table_with_its_last_warnings(answer: Answer, tmp_path: Path) -> None:
    entry = {"UNIT": "fer-edge.service", "__REALTIME_TIMESTAMP": str(int((time.time() - 125) * 1e6)), "MESSAGE": "lost"}
    answer("systemctl", shown(RUNNING))
    answer("journalctl", shown(json.dumps(entry) + "\n"))
    (tmp_path / "door.toml").write_text("")
    done = typed("service", "status", "door")
    assert (done.code, done.err) == (0, "")
    assert rows_of(done.out)[:2] == [["service", "active (running)"], ["it says", "29.9 FPS, 1 face: happy=yes"]]
    assert done.out.splitlines()[-1] == "2 min ago: lost"
    assert "--unit=fer-edge@door.service" in arguments(tmp_path, "journalctl")


@needs_root
def test_the_status_of_a_failed_service_ends_with_one(answer: Answer, tmp_path: Path) -> None:
    answer("systemctl", shown(FAILED))
    answer("journalctl", "")
    (tmp_path / "door.toml").write_text("")
    assert typed("service", "status", "door").code == 1
    done = typed("service", "status", "door", "--json")
    (found,) = json.loads(done.out)
    assert done.code == 1
    assert done.out.startswith('[\n  {\n    "service"'), "with an indent of two"
    assert found["facts"].pop("last exit code") == "3"
    assert (found["service"], found["running"], found["state"]) == ("fer-edge@door.service", False, "failed (failed)")
    assert found["missing_drop_ins"] == []


def test_what_the_installed_unit_forbids_is_told_with_its_status(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance is made of a template."""
    answer("systemctl", shown(RUNNING))
    answer("journalctl", "")
    (tmp_path / "fer-edge@.service").write_text(HIDING)
    monkeypatch.setattr("fer_edge.device.unit._FOLDERS", (str(tmp_path),))
    config = tmp_path / "door.toml"
    config.write_text('display = "hdmi"\n')
    line = "display hdmi: the service may not use the screen. Fix: systemd/examples/hdmi.conf"
    assert f"fer-edge@door.service: {line}\n" in typed("service", "status", "door").err
    assert json.loads(typed("service", "status", "door", "--json").out)[0]["missing_drop_ins"] == [line]
    config.write_text("no TOML")
    assert json.loads(typed("service", "status", "door", "--json").out)[0]["missing_drop_ins"] == []
    monkeypatch.setattr("fer_edge.device.unit._FOLDERS", ())
    config.write_text('display = "hdmi"\n')
    assert json.loads(typed("service", "status", "door", "--json").out)[0]["missing_drop_ins"] == []


@needs_root
def test_the_journal_is_shown_and_its_exit_code_passed_on(answer: Answer, tmp_path: Path) -> None:
    answer("journalctl", "exit 3")
    assert typed("service", "logs", "door", "--lines", "7", "--follow").code == 3
    asked = arguments(tmp_path, "journalctl")
    assert asked == ["--unit=fer-edge@door.service", "--lines=7", "--no-pager", "--follow"]
    answer("journalctl", "exit 0")
    assert typed("service", "logs", "door").code == 0
    assert arguments(tmp_path, "journalctl")[1:] == ["--lines=50", "--no-pager"]


def test_who_may_not_read_the_journal_is_told_how(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("systemctl", shown(RUNNING))
    (tmp_path / "door.toml").write_text("")
    monkeypatch.setattr("fer_edge.device.service.may_read_journal", lambda: False)
    assert typed("service", "status", "door").err.startswith(
        "the last warnings are in the journal, which you may not read: sudo fer-edge service status\n"
    )
    done = typed("service", "logs", "door")
    assert done.code == 2
    assert done.err == (
        "error: you may not read the journal. Use sudo fer-edge service logs, or for good: "
        "sudo usermod --append --groups systemd-journal $USER, then log in again\n"
    )


def test_a_check_without_the_unit_says_that_it_was_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_edge.device.unit._FOLDERS", ())
    monkeypatch.setattr("fer_edge.device.unit._CONFIGS", tmp_path)
    monkeypatch.setattr("fer_edge.device.unit.can_run_units", lambda: False)
    how = "(checked in this process, not as the service would run: that needs root and the installed unit)\n"
    done = typed("service", "check")
    assert (done.code, done.out) == (0, f"the default configuration and model current are valid {how}")
    unit = tmp_path / "unit"
    unit.write_text(HIDING)
    (tmp_path / "door.toml").write_text('model = "ferplus7-tiny"\n')
    done = typed("service", "check", "--instance", "door")
    assert done.out == f"{tmp_path / 'door.toml'} and model ferplus7-tiny are valid {how}"
    assert typed("service", "check", "--instance", "door", "--here").out == ""
    (tmp_path / "door.toml").write_text('display = "hdmi"\n')
    done = typed("service", "check", "--instance", "door", "--unit", unit)
    assert (done.code, done.out) == (1, "")
    assert done.err == ("error: display hdmi: the service may not use the screen. Fix: systemd/examples/hdmi.conf\n")
    (tmp_path / "door.toml").write_text('record = "/home/pi/x.mp4"\n')
    done = typed("service", "check", "--instance", "door", "--unit", unit)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: record /home/pi/x.mp4: the service does not see what is in /home.")


def test_a_check_runs_in_the_sandbox_with_the_configuration_as_a_credential(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_edge.device.unit.can_run_units", lambda: True)
    unit, ours = ("--unit", tmp_path / "unit"), tmp_path / "config.toml"
    (tmp_path / "unit").write_text(HIDING)
    command = [sys.executable, "-P", "-m", "fer_edge", "service", "check", "--here"]
    answer("systemd-run", "exit 0")
    done = typed("service", "check", *unit)
    asked = arguments(tmp_path, "systemd-run")
    assert asked[asked.index("--") + 1 :] == command
    assert done.out == (
        "the default configuration and model current are valid (checked as fer-edge.service would run)\n"
    )
    ours.write_text("")
    assert typed("service", "check", *unit).code == 0
    assert arguments(tmp_path, "systemd-run")[-2:] == ["--config", str(ours)]
    other = tmp_path / "other.toml"
    other.write_text("")
    assert typed("service", "check", "--config", other, *unit).code == 0
    asked = arguments(tmp_path, "systemd-run")
    assert asked[-2:] == ["--config", credential_path()]
    assert f"--property=LoadCredential=config.toml:{other}" in asked
    answer("systemd-run", "exit 4")
    done = typed("service", "check", *unit)
    assert (done.code, done.out) == (4, "")
    assert done.err == (
        "checked as the service would run: as the user fer-edge, who must be able to read what is named. "
        "Packages are added with sudo systemd/install.sh --extras NAME\n"
    )
