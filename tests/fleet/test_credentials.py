"""The files that `devices add` writes for mosquitto and for a device."""

import base64
import hashlib
from pathlib import Path

import pytest

from fer_edge.config import load_config
from fer_edge.device.identity import fleet_id
from fer_edge.errors import ConfigError
from fer_fleet.credentials import Login, add_devices, remove_devices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "devices"


def add(folder: Path, *names: str, replace: bool = False) -> dict[str, Login]:
    return {login.name: login for login in add_devices(folder, names, "broker.local:1999", replace=replace)}


def hashes(folder: Path) -> dict[str, str]:
    lines = (folder / "passwords").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_each_device_and_the_operator_get_a_password_of_their_own(folder: Path) -> None:
    made = add(folder, "kitchen", "hall", "kitchen")
    assert list(made) == ["kitchen", "hall", "operator"]
    assert [login.settings for login in made.values()] == [folder / "kitchen.toml", folder / "hall.toml", None]
    assert len({login.password for login in made.values()}) == 3
    assert min(len(login.password) for login in made.values()) >= 32
    assert {path.name for path in folder.iterdir()} == {
        "passwords", "acl", "mosquitto.conf", "kitchen.toml", "kitchen.password", "hall.toml", "hall.password",
    }  # fmt: skip
    assert (folder / "hall.password").read_text() == f"{made['hall'].password}\n"


def test_passwords_are_hashed_as_mosquitto_reads_them(folder: Path) -> None:
    """`$7$ROUNDS$SALT$HASH`: PBKDF2 with SHA-512 (mosquitto_passwd(1))."""
    made = add(folder, "kitchen", "hall")
    salts = set()
    for name, text in hashes(folder).items():
        empty, kind, rounds, salt, digest = text.split("$")
        assert (empty, kind) == ("", "7")
        assert int(rounds) == 101
        found = hashlib.pbkdf2_hmac("sha512", made[name].password.encode(), base64.b64decode(salt), int(rounds))
        assert base64.b64decode(digest) == found
        salts.add(base64.b64decode(salt))
    assert [len(salt) for salt in salts] == [12, 12, 12]


def test_nobody_else_reads_a_password_and_only_a_group_their_hashes(folder: Path) -> None:
    add(folder, "kitchen")
    assert mode(folder / "kitchen.password") == 0o600
    assert mode(folder / "passwords") == 0o640
    assert {mode(folder / name) for name in ("acl", "mosquitto.conf", "kitchen.toml")} == {0o644}


def test_mosquitto_is_told_where_the_files_are_wherever_it_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    add(Path("devices"), "kitchen")
    assert (folder / "mosquitto.conf").read_text().splitlines() == [
        "allow_anonymous false",
        f"password_file {folder}/passwords",
        f"acl_file {folder}/acl",
    ]


def test_a_device_writes_what_is_its_own_and_the_operator_reads_all(folder: Path) -> None:
    add(folder, "kitchen")
    rules = [line for line in (folder / "acl").read_text().splitlines() if line and not line.startswith("#")]
    assert rules == [
        "user operator",
        "topic readwrite fer-edge/fleet/#",
        "topic read fer-edge/#",
        "pattern write fer-edge/fleet/%u/state",
        "pattern write fer-edge/fleet/%u/usage",
        "pattern readwrite fer-edge/%u/#",
    ]


def test_the_settings_are_those_of_this_device_and_broker(folder: Path) -> None:
    add(folder, "kitchen")
    text = (folder / "kitchen.toml").read_text()
    assert text.startswith("# For this device's /etc/fer-edge/config.toml. Put kitchen.password into")
    config = load_config(folder / "kitchen.toml", {})
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.username) == ("broker.local", 1999, "kitchen")
    assert (config.mqtt.topic, str(config.mqtt.password_file)) == ("fer-edge/kitchen", "/etc/fer-edge/mqtt-password")
    assert (config.fleet.enabled, fleet_id(config)) == (True, "kitchen")


def test_who_is_there_stays_as_it_is(folder: Path) -> None:
    add(folder, "kitchen", "hall")
    before = hashes(folder)
    assert list(add(folder, "shed")) == ["shed"], "there is one operator"
    assert {name: hashes(folder)[name] for name in before} == before
    password = (folder / "hall.password").read_text()
    again = add(folder, "kitchen", replace=True)
    assert list(again) == ["kitchen"]
    assert {name for name, text in hashes(folder).items() if before.get(name, text) != text} == {"kitchen"}
    assert (folder / "kitchen.password").read_text() == f"{again['kitchen'].password}\n"
    assert (folder / "hall.password").read_text() == password


def test_a_login_is_replaced_only_where_that_is_asked_for(folder: Path) -> None:
    add_devices(folder, ["kitchen"], "broker.local")
    before, password = hashes(folder), (folder / "kitchen.password").read_text()
    with pytest.raises(ConfigError, match="has a login already"):
        add_devices(folder, ["kitchen"], "broker.local")
    assert (hashes(folder), (folder / "kitchen.password").read_text()) == (before, password)


def test_what_cannot_be_a_name_or_is_taken_is_refused_before_anything_is_written(folder: Path) -> None:
    for names in (["fleet"], ["operator"], ["good", "a/b"], [""]):
        with pytest.raises(ConfigError) as caught:
            add(folder, *names)
        assert str(caught.value) == (
            f"{names[-1]}: cannot name a device. Use up to 64 letters, digits and _ . -, beginning with one"
        )
    assert not folder.exists()
    add(folder, "kitchen")
    before = hashes(folder)
    with pytest.raises(ConfigError) as caught:
        add(folder, "hall", "kitchen")
    assert str(caught.value) == "kitchen: has a login already. Give it a new password with --replace"
    assert hashes(folder) == before


def test_who_is_removed_is_gone_and_the_others_stay(folder: Path) -> None:
    add(folder, "kitchen", "hall", "shed")
    before = hashes(folder)
    (folder / "shed.toml").unlink()
    remove_devices(folder, ["kitchen", "shed", "kitchen"])
    assert hashes(folder) == {name: before[name] for name in ("hall", "operator")}
    assert {path.stem for path in folder.glob("*.*")} == {"hall", "mosquitto"}
    assert mode(folder / "passwords") == 0o640
    for names in (["hall", "kitchen"], ["operator"]):
        with pytest.raises(ConfigError) as caught:
            remove_devices(folder, names)
        assert str(caught.value) == f"{names[-1]}: has no login in {folder}/passwords"
    assert (folder / "hall.toml").exists()


def test_a_folder_in_a_repository_is_refused(folder: Path) -> None:
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "3.root.json").touch()
    for place in (folder, folder / "a" / "b"):
        with pytest.raises(ConfigError) as caught:
            add(place, "kitchen")
        assert str(caught.value) == (
            f"{place}: is in a repository, which everybody can read. Give --folder another place"
        )
    assert [path.name for path in folder.iterdir()] == ["metadata"]


@pytest.mark.parametrize("what", ["is a folder", "is no text"])
def test_passwords_that_cannot_be_read_are_one_line(folder: Path, what: str) -> None:
    folder.mkdir()
    if what == "is a folder":
        (folder / "passwords").mkdir()
    else:
        (folder / "passwords").write_bytes(b"kitchen:\xff")
    with pytest.raises(ConfigError) as caught:
        add(folder, "kitchen")
    text = str(caught.value)
    assert text.startswith(f"{folder}/passwords: cannot be read (")
    assert ("Is a directory" in text) or ("'utf-8' codec can't decode byte 0xff" in text)


def test_lines_of_the_password_file_that_are_none_are_left_out(folder: Path) -> None:
    folder.mkdir()
    (folder / "passwords").write_text("# by hand\n\nold:$7$1$a:b\n")
    add(folder, "kitchen")
    assert hashes(folder)["old"] == "$7$1$a:b"
    assert list(hashes(folder)) == ["old", "kitchen", "operator"]
