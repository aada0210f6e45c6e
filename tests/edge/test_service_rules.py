"""The rules of `fer-edge service check`, in this process: what a sandbox hides and forbids, and what a run needs."""

from pathlib import Path
from typing import Any

import pytest
from tests.typed import typed

from fer_edge.cli.service_check import check_here, missing_drop_ins, refuse_hidden
from fer_edge.config import RunConfig, load_config
from fer_edge.device.unit import Sandbox, Unit
from fer_edge.errors import ConfigError, FerError

# The permissions of the unit that ships, and of its drop-in for the live page.
UNIT = """\
[Service]
IPAddressDeny=any
IPAddressAllow=localhost
ProtectHome=yes
PrivateTmp=yes
"""
PAGE = "IPAddressAllow=192.168.0.0/16 10.0.0.0/8\nSocketBindDeny=any\nSocketBindAllow=tcp:8000-8100\n"


def sandboxed(folder: Path, text: str = UNIT) -> Sandbox:
    """The sandbox of a unit with this text."""
    (folder / "unit").write_text(text)
    return Sandbox(Unit(), folder / "unit")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """The unit without a drop-in."""
    return sandboxed(tmp_path)


def settings(**values: Any) -> RunConfig:
    """A configuration with these values, by key with __ for the dot."""
    return load_config(None, {key.replace("__", "."): value for key, value in values.items()})


@pytest.mark.parametrize(
    ("key", "also"),
    [
        ("source", {}),
        ("model", {}),
        ("detector.model", {"detector.name": "mediapipe"}),
        ("detector.cascade", {}),
        ("mqtt.cafile", {"mqtt.host": "localhost"}),
        ("mqtt.certificate", {"mqtt.host": "localhost", "mqtt.key": "/etc/k"}),
        ("mqtt.key", {"mqtt.host": "localhost", "mqtt.certificate": "/etc/c"}),
        ("mqtt.password_file", {"mqtt.host": "localhost", "mqtt.username": "me"}),
        ("web.certificate", {"web.listen": "8080", "web.key": "/etc/k"}),
        ("web.key", {"web.listen": "8080", "web.certificate": "/etc/c"}),
        ("json", {}),
        ("csv", {}),
        ("record", {}),
        ("plot", {}),
        ("usage.path", {}),
        ("samples.path", {}),
        ("prometheus.textfile", {}),
        ("screen.pictures", {}),
    ],
)
def test_each_file_in_a_hidden_folder_is_refused(sandbox: Sandbox, key: str, also: dict[str, object]) -> None:
    path = "/home/pi/x.prom" if key == "prometheus.textfile" else "/home/pi/x.mp4"
    with pytest.raises(ConfigError) as error:
        refuse_hidden(load_config(None, {key: path, **also}), sandbox)
    assert str(error.value) == (
        f"{key} {path}: the service does not see what is in /home. Move it to /var/lib/fer-edge, "
        "which the user fer-edge can read"
    )


def test_a_socket_in_a_hidden_folder_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ConfigError, match=r"^web\.listen /home/pi/x\.sock: the service does not see"):
        refuse_hidden(load_config(None, {"web.listen": "unix:/home/pi/x.sock"}), sandbox)


def test_files_elsewhere_names_and_streams_are_not_hidden(sandbox: Sandbox) -> None:
    refuse_hidden(RunConfig(), sandbox)
    refuse_hidden(settings(source="0", model="ferplus7", json="-"), sandbox)
    refuse_hidden(settings(source="/dev/video0", csv="-"), sandbox)
    refuse_hidden(settings(source="rtsp://home/pi", json="/var/lib/fer-edge/x.jsonl"), sandbox)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, None),
        ({"mqtt.host": "localhost"}, None),
        (
            {"mqtt.host": "192.168.1.2"},
            "mqtt.host 192.168.1.2: the service may not reach other machines. "
            "Fix: sudo systemd/install.sh --allow-network, which installs network.conf",
        ),
        (
            {"source": "rtsp://me:secret@10.0.0.3:554/live"},
            "source 10.0.0.3: the service may not reach other machines. "
            "Fix: sudo systemd/install.sh --allow-network, which installs network.conf",
        ),
        (
            {"source": "udp://:5000"},
            "source 0.0.0.0: the service may not reach other machines. "
            "Fix: sudo systemd/install.sh --allow-network, which installs network.conf",
        ),
        ({"source": "http://127.0.0.1:8090/cam"}, None),
        ({"display": "hdmi"}, "display hdmi: the service may not use the screen. Fix: systemd/examples/hdmi.conf"),
        ({"display": "window"}, None),
        (
            {"web.listen": "0.0.0.0:8080"},
            "web.listen 0.0.0.0:8080: other machines may not reach the service. Fix: systemd/examples/web.conf",
        ),
        ({"web.listen": "unix"}, None),
    ],
)
def test_what_the_unit_forbids_is_told_with_the_fix(
    sandbox: Sandbox, values: dict[str, object], line: str | None
) -> None:
    assert list(missing_drop_ins(load_config(None, values), sandbox)) == ([line] if line else [])


@pytest.mark.parametrize("host", ["localhost:", "127.0.0.1:", "127.8.8.8:", "[::1]:", ""])
def test_a_page_for_this_machine_needs_its_port_alone(host: str, tmp_path: Path) -> None:
    sandbox = sandboxed(tmp_path, UNIT + "SocketBindDeny=any\nSocketBindAllow=tcp:8000-8100\n")
    assert list(missing_drop_ins(settings(web__listen=f"{host}8080"), sandbox)) == []
    assert list(missing_drop_ins(settings(web__listen=f"{host}9000"), sandbox)) == [
        f"web.listen {host}9000: the unit does not allow this port. Fix: change SocketBindAllow= in web.conf"
    ]


def test_a_page_for_others_may_be_reached_with_its_drop_in(tmp_path: Path) -> None:
    sandbox = sandboxed(tmp_path, UNIT + PAGE)
    assert list(missing_drop_ins(settings(web__listen="0.0.0.0:8080"), sandbox)) == []
    assert list(missing_drop_ins(settings(web__listen="0.0.0.0:9000"), sandbox)) == [
        "web.listen 0.0.0.0:9000: the unit does not allow this port. Fix: change SocketBindAllow= in web.conf"
    ]


def test_several_things_that_are_forbidden_have_a_line_each(sandbox: Sandbox) -> None:
    values = {"mqtt.host": "192.168.1.2", "source": "rtsp://10.0.0.3/live", "display": "hdmi"}
    lines = list(missing_drop_ins(load_config(None, values), sandbox))
    assert [line.partition(":")[0] for line in lines] == ["mqtt.host 192.168.1.2", "source 10.0.0.3", "display hdmi"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"json": "/nonexistent/x"}, "json /nonexistent/x: cannot be written here. The service may write under "),
        (
            {"prometheus.textfile": "/nonexistent/x.prom"},
            "prometheus.textfile /nonexistent/x.prom: cannot be written here. Fix: systemd/examples/prometheus.conf",
        ),
        ({"source": "/nonexistent/clip.mp4"}, "source /nonexistent/clip.mp4: cannot be read here"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"detector.cascade": "/nonexistent/c.xml"}, "/nonexistent/c.xml"),
    ],
)
def test_what_a_run_needs_must_be_there(values: dict[str, object], told: str) -> None:
    config = load_config(None, {"source": "demo", **values})
    with pytest.raises(FerError) as error:
        check_here(config)
    assert told in str(error.value)


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    values = {"source": str(clip), "json": str(tmp_path / "new.jsonl"), "prometheus.textfile": str(tmp_path / "x.prom")}
    check_here(load_config(None, values))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_page_without_a_password_is_for_this_machine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="so it needs a password"):
        check_here(load_config(None, {"source": "demo", "web.listen": "0.0.0.0:8080"}))
    check_here(load_config(None, {"source": "demo", "web.listen": "127.0.0.1:8080"}))
    assert not any(tmp_path.iterdir())


def test_the_command_says_what_is_valid_and_how_it_was_checked(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('source = "demo"\n')
    done = typed("service", "check", "--here", "--config", config)
    assert (done.code, done.out, done.err) == (0, "", "")
    config.write_text('source = "/nonexistent/x"\n')
    done = typed("service", "check", "--here", "--config", config)
    assert (done.code, done.err) == (2, "error: source /nonexistent/x: cannot be read here\n")


def test_an_instance_with_a_wrong_name_is_refused() -> None:
    for words in (("check", "--instance", "Door"), ("status", "Door"), ("logs", "Door")):
        done = typed("service", *words)
        assert done.code == 2
        assert done.err.startswith("error: 'Door' is no name of an instance: "), words
