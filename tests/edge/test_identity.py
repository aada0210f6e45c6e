"""What a device says of itself: its board, and an id that does not depend on its name."""

import hashlib
import hmac
import platform
import re
import socket
from pathlib import Path

import pytest

from fer_edge.config import load_config
from fer_edge.device import identity
from fer_edge.device.identity import board_name, device_id, fleet_id


def test_the_board_of_this_machine_is_named() -> None:
    tree = Path("/proc/device-tree/model")
    processor = re.search(r"^model name\s*: (.+?)\s*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if tree.is_file():
        assert board_name() == tree.read_bytes().decode(errors="replace").strip("\0\n ")
    else:
        assert board_name() == (processor[1] if processor else platform.machine())


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"device-tree/model": b"Raspberry Pi 4 Model B\0", "cpuinfo": b"model name : a\n"}, "Raspberry Pi 4 Model B"),
        ({"device-tree/model": b" Pi\xff \n\0"}, "Pi\ufffd"),
        ({"cpuinfo": b"vendor_id : b\nmodel : 142\nmodel name\t: A: 2 GHz \nmodel name\t: C\n"}, "A: 2 GHz"),
        ({"cpuinfo": b"Hardware : b\n"}, platform.machine()),
    ],
)
def test_a_board_is_named_by_its_device_tree_else_by_its_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], name: str
) -> None:
    monkeypatch.setattr(identity, "Path", lambda path: tmp_path / Path(path).relative_to("/proc"))
    for place, content in files.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(content)
    assert board_name() == name


def expected(key: str, part: str) -> str:
    return hmac.new(key.encode(), f"fer-edge/{part}".encode(), hashlib.sha256).hexdigest()[:12]


def test_the_id_is_a_hash_with_the_machine_id_as_its_key(tmp_path: Path) -> None:
    """A fleet knows its devices by it, so it is the same in every version."""
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    assert device_id("", machine) == expected("0123456789abcdef0123456789abcdef", "")
    assert device_id("door", machine) == expected("0123456789abcdef0123456789abcdef", "door")


def test_a_machine_without_an_id_uses_its_name(tmp_path: Path) -> None:
    assert device_id("door", tmp_path / "missing") == expected(socket.gethostname(), "door")
    (tmp_path / "empty").write_text("\n")
    assert device_id("door", tmp_path / "empty") == expected(socket.gethostname(), "door")


def test_a_device_of_a_fleet_has_the_name_given_else_that_of_its_login_else_its_id() -> None:
    login = {"mqtt.host": "a", "mqtt.username": "ann"}
    assert fleet_id(load_config(None, login | {"fleet.id": "lobby"})) == "lobby"
    assert fleet_id(load_config(None, login)) == "ann"
    assert fleet_id(load_config(None, {})) == device_id()
