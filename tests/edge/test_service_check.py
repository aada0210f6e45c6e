"""`fer-edge service check` against the unit that ships: what its sandbox forbids is said, with the fix."""

from pathlib import Path

import pytest
from tests.conftest import Run

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
UNIT = SYSTEMD / "fer-edge.service"


def write(folder: Path, text: str) -> Path:
    config = folder / "config.toml"
    config.write_text(text)
    return config


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ('[mqtt]\nhost = "127.0.0.1"', ""),
        ('[mqtt]\nhost = "[::1]:1884"', ""),
        ('[mqtt]\nhost = "192.168.1.2"', "mqtt.host 192.168.1.2"),
        ('[mqtt]\nhost = "fe80::1%eth0"', "mqtt.host fe80::1%eth0"),
        ('[mqtt]\nhost = "no-such-host.invalid"', "mqtt.host no-such-host.invalid"),
        ('source = "rtsp://me:secret@10.0.0.3/live"', "source 10.0.0.3"),
        ('source = "http://localhost:8090/cam"', ""),
        ('[web]\nlisten = "unix"', ""),  # in a runtime folder that the checking process has not
        ('source = "udp://:5000"', "source 0.0.0.0"),  # whoever sends it
    ],
)
def test_a_connection_to_another_machine_needs_the_drop_in(
    command: Run, tmp_path: Path, text: str, forbidden: str
) -> None:
    done = command("fer-edge", "service", "check", "--unit", UNIT, "--config", write(tmp_path, text))
    assert done.returncode == (1 if forbidden else 0), done.stderr
    assert forbidden in done.stderr
    assert ("install.sh --allow-network" in done.stderr) == bool(forbidden)
    assert "secret" not in done.stderr


def test_the_drop_ins_allow_what_they_say(tmp_path: Path) -> None:
    from fer_edge.device.unit import Sandbox, Unit

    for drop_in, allowed, forbidden in (
        ("", ["127.0.0.1", "::1"], ["192.168.1.2", "8.8.8.8", "fd00::1"]),
        ("network.conf", ["192.168.1.2", "8.8.8.8", "fd00::1", "no-such-host.invalid"], []),
        ("web.conf", ["192.168.1.2", "fd00::1", "::1"], ["8.8.8.8"]),
    ):
        text = UNIT.read_text() + ((SYSTEMD / "examples" / drop_in).read_text() if drop_in else "")
        (tmp_path / "unit").write_text(text)
        sandbox = Sandbox(Unit(), tmp_path / "unit")
        assert [host for host in (*allowed, *forbidden) if sandbox.forbids(host)] == forbidden


@pytest.mark.parametrize(
    ("text", "drop_in", "said"),
    [
        ('[web]\nlisten = "8080"', "web.conf", ""),
        ('[web]\nlisten = "9000"', "", ""),
        ('[web]\nlisten = "9000"', "web.conf", "web.listen 9000: the unit does not allow this port"),
        ('display = "hdmi"', "", "display hdmi: the service may not use the screen. Fix: systemd/examples/hdmi.conf"),
        ('display = "hdmi"', "hdmi.conf", ""),
    ],
)
def test_a_port_and_a_screen_need_their_drop_ins(
    command: Run, tmp_path: Path, text: str, drop_in: str, said: str
) -> None:
    unit = tmp_path / "fer-edge.service"
    unit.write_text(UNIT.read_text() + ((SYSTEMD / "examples" / drop_in).read_text() if drop_in else ""))
    done = command("fer-edge", "service", "check", "--unit", unit, "--config", write(tmp_path, text))
    assert done.returncode == (1 if said else 0), done.stderr
    assert said in done.stderr


def test_ranges_and_families_of_ports_are_understood(tmp_path: Path) -> None:
    from fer_edge.device.unit import Sandbox, Unit

    for rules, allowed in (
        ("", []),
        ("tcp:8000-8100", [8000, 8100]),
        ("ipv4:tcp:443", [443]),
        ("udp:8000", []),
        ("tcp", [1, 65535]),
        ("9000 tcp:8000", [8000, 9000]),
        ("any", [1]),
    ):
        (tmp_path / "unit").write_text(f"[Service]\nSocketBindDeny=any\nSocketBindAllow={rules}\n")
        sandbox = Sandbox(Unit(), tmp_path / "unit")
        assert not any(sandbox.forbids_port(port) for port in allowed), rules
        refused = [] if rules in {"tcp", "any"} else [7999, 8101]
        assert all(sandbox.forbids_port(port) for port in refused), rules


@pytest.mark.parametrize("key", ["model", "json", "csv", "record", "mqtt.cafile", "detector.cascade"])
def test_a_file_in_a_folder_that_the_service_does_not_see_is_refused(command: Run, tmp_path: Path, key: str) -> None:
    section, _, name = key.rpartition(".")
    host = 'host = "localhost"\n' if section == "mqtt" else ""
    config = write(tmp_path, f'source = "demo"\n[{section}]\n{host}{name} = "/home/pi/x"\n'.replace("[]\n", ""))
    done = command("fer-edge", "service", "check", "--unit", UNIT, "--config", config)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {key} /home/pi/x: the service does not see what is in /home. "
        "Move it to /var/lib/fer-edge, which the user fer-edge can read\n"
    )


def test_outputs_must_be_writable_and_a_source_readable(command: Run, tmp_path: Path) -> None:
    for text, named in (
        ('source = "demo"\njson = "/nonexistent/faces.jsonl"', "json /nonexistent/faces.jsonl: cannot be written"),
        ('source = "/nonexistent/clip.mp4"', "source /nonexistent/clip.mp4: cannot be read"),
        (
            '[prometheus]\ntextfile = "/nonexistent/x.prom"',
            "cannot be written here. Fix: systemd/examples/prometheus.conf",
        ),
        ('[web]\nlisten = "0.0.0.0:8080"', "so it needs a password"),
        ('[web]\nlisten = "8080"\npassword = "plain"', "fer-edge web password"),
        (
            '[web]\nlisten = "8080"\ncertificate = "/nonexistent/c"\nkey = "/nonexistent/k"',
            "web.certificate: cannot be",
        ),
    ):
        done = command("fer-edge", "service", "check", "--here", "--config", write(tmp_path, text))
        assert done.returncode == 2
        assert named in done.stderr
    good = f'source = "demo"\njson = "{tmp_path}/new.jsonl"'
    done = command("fer-edge", "service", "check", "--here", "--config", write(tmp_path, good))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "new.jsonl").exists()


def test_an_instance_has_a_name_that_fits_files_and_topics(command: Run) -> None:
    for name in ("Door", "config", "web", "a/b", "-x", "a.b"):
        done = command("fer-edge", "service", "check", f"--instance={name}")
        assert done.returncode == 2
        assert "is no name of an instance" in done.stderr
