"""Units of systemd and their drop-ins: what a sandbox forbids, read in one process."""

import socket
from pathlib import Path

import pytest

from fer_edge.device import unit as units
from fer_edge.device.unit import Sandbox, Unit, credential_path, sandbox_of, unit_of
from fer_edge.errors import ConfigError


def sandbox(folder: Path, *lines: str, unit: Unit = Unit()) -> Sandbox:  # noqa: B008 - it is frozen
    """The sandbox of a unit with these lines."""
    file = folder / "unit.service"
    file.write_text("\n".join(("[Service]", *lines)))
    return Sandbox(unit, file)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three folders of units, the last of which overrides the others; not those of this machine."""
    found = [tmp_path / name for name in ("usr", "run", "etc")]
    for folder in found:
        folder.mkdir()
    monkeypatch.setattr(units, "_FOLDERS", tuple(map(str, found)))
    return found


def drop_in(folder: Path, place: str, *lines: str) -> None:
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(("[Service]", *lines)))


def test_a_unit_has_a_name_a_configuration_and_a_command_that_installs_it() -> None:
    main, door = unit_of(None), unit_of("door")
    assert (main.name, main.config) == ("fer-edge.service", Path("/etc/fer-edge/config.toml"))
    assert main.install == "sudo systemd/install.sh"
    assert (door.name, door.config) == ("fer-edge@door.service", Path("/etc/fer-edge/door.toml"))
    assert door.install == "sudo systemd/install.sh --instance door"
    assert unit_of("") == main
    assert unit_of("0-a_b").instance == "0-a_b"


@pytest.mark.parametrize("name", ["Door", "-a", "_a", "a.b", "a/b", "a b", "config", "default", "mediapipe", "trials"])
def test_an_instance_has_no_reserved_name_and_no_odd_letters(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        unit_of(name)
    assert str(refused.value) == (
        f"{name!r} is no name of an instance: use a-z, 0-9, - and _, as in door, and none of "
        "config, default, mediapipe, models, trials, web"
    )


def test_only_the_lines_of_the_service_count_and_a_long_one_may_be_continued(tmp_path: Path) -> None:
    file = tmp_path / "unit"
    file.write_text(
        "[Unit]\nTTYPath=/dev/tty1\n  [Service]\n# A=1\n;B=2\n no value\n\nIPAddressDeny = \\\nany \n"
        "Environment=A=B=%i %n 100%% %h\n[Install]\nTTYPath=/dev/tty1\n"
    )
    read = Sandbox(Unit("door"), file)
    assert read.settings == [("IPAddressDeny", "any"), ("Environment", "A=B=door fer-edge@door.service 100% %h")]
    assert not read.has_console
    assert sandbox(tmp_path, "TTYPath=/dev/tty1").has_console
    assert not sandbox(tmp_path, "TTYPath=/dev/tty1", "TTYPath=").has_console


def test_a_unit_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        Sandbox(Unit(), tmp_path / "none")
    assert str(refused.value).startswith(f"{tmp_path / 'none'}: cannot be read ([Errno 2] ")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        Sandbox(Unit(), tmp_path / "bytes")


def test_drop_ins_come_in_the_order_of_their_names_and_etc_overrides(folders: list[Path]) -> None:
    usr, run, etc = folders
    (usr / "fer-edge.service").write_text("[Service]\nA=unit\n")
    drop_in(usr, "fer-edge.service.d/20.conf", "B=usr")
    drop_in(run, "fer-edge.service.d/20.conf", "B=run")
    drop_in(etc, "fer-edge.service.d/10.conf", "A=etc")
    drop_in(etc, "fer-edge.service.d/30.txt", "A=no")
    drop_in(etc, "fer-edge@.service.d/40.conf", "A=no")
    found = sandbox_of(Unit())
    assert found
    assert found.settings == [("A", "unit"), ("A", "etc"), ("B", "run")]


def test_an_instance_has_the_drop_ins_of_all_and_its_own(folders: list[Path]) -> None:
    usr, _, etc = folders
    (usr / "fer-edge@.service").write_text("[Service]\nA=unit\n")
    drop_in(etc, "fer-edge@.service.d/10.conf", "A=all")
    drop_in(etc, "fer-edge@.service.d/20.conf", "B=all")
    drop_in(usr, "fer-edge@door.service.d/20.conf", "B=%i")
    drop_in(etc, "fer-edge.service.d/10.conf", "A=no")
    found = sandbox_of(Unit("door"))
    assert found
    assert found.settings == [("A", "unit"), ("A", "all"), ("B", "door")]
    assert found.unit == Unit("door")


def test_the_unit_in_etc_is_read_or_the_file_that_is_given(folders: list[Path], tmp_path: Path) -> None:
    assert sandbox_of(Unit()) is None
    for folder in folders:
        (folder / "fer-edge.service").write_text(f"[Service]\nA={folder.name}\n")
        found = sandbox_of(Unit())
        assert found
        assert found.settings == [("A", folder.name)]
    (tmp_path / "mine").write_text("[Service]\nA=mine\n")
    found = sandbox_of(Unit(), tmp_path / "mine")
    assert found
    assert found.settings == [("A", "mine")]
    assert sandbox_of(Unit("door")) is None


@pytest.mark.parametrize(
    ("lines", "allowed", "forbidden"),
    [
        ((), ["8.8.8.8", "::1", "no-such-host.invalid"], []),
        (("IPAddressDeny=any",), [], ["8.8.8.8", "::1", "127.0.0.1", "fe80::1%eth0", "no-such-host.invalid"]),
        (
            ("IPAddressDeny=any", "IPAddressAllow=localhost"),
            ["127.0.0.1", "127.9.9.9", "::1", "localhost"],
            ["10.0.0.1", "128.0.0.1", "fe80::1", "no-such-host.invalid"],
        ),
        (
            ("IPAddressDeny=any", "IPAddressAllow=link-local multicast"),
            ["169.254.3.4", "fe80::1%eth0", "fe80::1", "224.0.0.251", "ff02::fb", "no-such-host.invalid"],
            ["127.0.0.1", "169.253.0.1", "fd00::1"],
        ),
        (("IPAddressDeny=any", "IPAddressAllow=10.0.0.5/8 nonsense"), ["10.200.0.1"], ["11.0.0.1", "::1"]),
        (("IPAddressDeny=192.168.0.0/16",), ["10.0.0.1"], ["192.168.3.4", "no-such-host.invalid"]),
        (("IPAddressDeny=any", "IPAddressDeny=", "IPAddressDeny=10.0.0.0/8"), ["8.8.8.8"], ["10.0.0.1"]),
        (("IPAddressDeny=10.0.0.0/8", "IPAddressDeny=11.0.0.0/8"), ["8.8.8.8"], ["10.0.0.1", "11.0.0.1"]),
        (("IPAddressDeny=any", "IPAddressAllow=any", "IPAddressAllow="), [], ["8.8.8.8", "::1"]),
    ],
)
def test_packets_pass_where_the_networks_allow_it(
    tmp_path: Path, lines: tuple[str, ...], allowed: list[str], forbidden: list[str]
) -> None:
    read = sandbox(tmp_path, *lines)
    assert [host for host in (*allowed, *forbidden) if read.forbids(host)] == forbidden


def test_a_name_is_forbidden_if_each_of_its_addresses_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: None) -> list[tuple[object, ...]]:
        assert (host, port) == ("camera.lan", None)
        return [(0, 0, 0, "", ("10.0.0.7", 0)), (0, 0, 0, "", ("fe80::7%eth0", 0, 0, 2))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert sandbox(tmp_path, "IPAddressDeny=any").forbids("camera.lan")
    assert not sandbox(tmp_path, "IPAddressDeny=any", "IPAddressAllow=link-local").forbids("camera.lan")
    assert not sandbox(tmp_path, "IPAddressDeny=any", "IPAddressAllow=10.0.0.7").forbids("camera.lan")


@pytest.mark.parametrize(
    ("lines", "allowed", "forbidden"),
    [
        ((), [1, 8080], []),
        (("SocketBindDeny=any",), [], [1, 8080]),
        (("SocketBindDeny=ANY", "SocketBindAllow=tcp:8000-8100"), [8000, 8050, 8100], [7999, 8101]),
        (("SocketBindDeny=any", "SocketBindAllow=ipv4:tcp:443"), [443], [442, 444]),
        (("SocketBindDeny=any", "SocketBindAllow=udp:443", "SocketBindAllow=udp"), [], [443]),
        (("SocketBindDeny=any", "SocketBindAllow=ipv6:udp:1-9"), [], [5]),
        (("SocketBindDeny=any", "SocketBindAllow=ipv6"), [443], []),
        (("SocketBindDeny=any", "SocketBindAllow=1", "SocketBindAllow=2 tcp:3"), [1, 2, 3], [4]),
        (("SocketBindDeny=any", "SocketBindAllow=1", "SocketBindAllow=", "SocketBindAllow=2"), [2], [1]),
        (("SocketBindDeny=any", "SocketBindDeny=", "SocketBindAllow=1"), [2], []),
    ],
)
def test_ports_are_bound_where_a_rule_allows_it(
    tmp_path: Path, lines: tuple[str, ...], allowed: list[int], forbidden: list[int]
) -> None:
    read = sandbox(tmp_path, *lines)
    assert [port for port in (*allowed, *forbidden) if read.forbids_port(port)] == forbidden


@pytest.mark.parametrize("value", ["yes", "true", "on", "1", "Yes"])
def test_homes_and_temporary_files_are_hidden_where_the_unit_says_so(tmp_path: Path, value: str) -> None:
    homes, temporary = ["/home/pi/x", "/root/x", "/run/user/1/x"], ["/tmp/x", "/var/tmp/x"]  # noqa: S108
    others = ["/var/lib/x", "/homes/x", "/run/x", "/etc/x"]
    for setting, hidden in (("ProtectHome", homes), ("PrivateTmp", temporary)):
        read = sandbox(tmp_path, f"{setting}={value}")
        assert [path for path in (*homes, *temporary, *others) if read.hides(Path(path))] == hidden
    both = sandbox(tmp_path, f"ProtectHome={value}", f"PrivateTmp={value}")
    assert all(both.hides(Path(path)) for path in (*homes, *temporary))


def test_only_the_last_setting_hides_and_tmpfs_hides_homes_alone(tmp_path: Path) -> None:
    home = Path("/home/pi/x")
    assert sandbox(tmp_path, "ProtectHome=tmpfs").hides(home)
    for lines in ((), ("ProtectHome=read-only",), ("ProtectHome=yes", "ProtectHome=no"), ("PrivateTmp=tmpfs",)):
        read = sandbox(tmp_path, *lines)
        assert not read.hides(home), lines
        assert not read.hides(Path("/tmp/x")), lines  # noqa: S108


def test_a_link_is_hidden_with_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/root/clip.mp4")
    assert sandbox(tmp_path, "ProtectHome=yes").hides(tmp_path / "link")


def test_a_command_gets_the_permissions_of_the_service_and_not_its_way_of_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in the place of systemd-run, which writes down its arguments."""
    tool = tmp_path / "bin" / "systemd-run"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\nexit 7\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    lines = ("Type=notify", "ExecStart=/bin/x", "RestartSec=1", "WatchdogSec=1", "User=fer", "ProtectHome=yes")
    read = sandbox(tmp_path, *lines, "StandardOutput=null", "TimeoutStopSec=3", "Environment=A=1")
    assert read.run(["fer-edge", "--version"]) == 7
    told = (tmp_path / "arguments").read_text().splitlines()
    usual = ["--quiet", "--wait", "--pipe", "--collect", "--unit=fer-edge-check.service"]
    permissions = [f"--property={setting}" for setting in ("User=fer", "ProtectHome=yes", "Environment=A=1")]
    assert told == [*usual, *permissions, "--", "fer-edge", "--version"]
    monkeypatch.chdir(tmp_path)
    assert read.run(["true"], Path("secret.toml")) == 7
    told = (tmp_path / "arguments").read_text().splitlines()
    credential = f"--property=LoadCredential=config.toml:{tmp_path}/secret.toml"
    assert told == [*usual, *permissions, credential, "--", "true"]
    assert credential_path() == "/run/credentials/fer-edge-check.service/config.toml"
