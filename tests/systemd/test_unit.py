"""The files in systemd/, as systemd reads them; nothing is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fer_edge.config import load_config

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNIT = FOLDER / "fer-edge.service"
TEMPLATE = FOLDER / "fer-edge@.service"
UPDATE = FOLDER / "fer-edge-update.service"


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze: sudo apt install systemd")
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_service_is_hardened() -> None:
    done = analyze("security", "--offline=true", "--threshold=14", UNIT)
    assert done.returncode == 0, done.stdout


def test_the_updater_is_hardened_too() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", UPDATE)
    assert done.returncode == 0, done.stdout


def test_systemd_knows_every_key_of_the_updater(tmp_path: Path) -> None:
    paths = [UPDATE, *(UPDATE.with_suffix(kind) for kind in (".timer", ".path"))]
    for path in paths:
        text = re.sub("^ExecStart=.*$", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE)
        (tmp_path / path.name).write_text(text)
    done = analyze("verify", *(tmp_path / path.name for path in paths))
    assert "fer-edge-update" not in done.stderr, done.stderr


def test_only_the_updater_may_write_the_models() -> None:
    for unit in (UNIT, TEMPLATE):
        assert "ReadOnlyPaths=-/var/lib/fer-edge/models" in unit.read_text().splitlines()
    text = UPDATE.read_text()
    assert "ReadWritePaths=/var/lib/fer-edge-update /var/lib/fer-edge/models" in text
    assert "User=fer-edge-update" in text


def test_a_root_file_is_installed_with_the_updater_and_its_timer(tmp_path: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get: the script is for Debian and Raspberry Pi OS")
    root = tmp_path / "root.json"
    root.write_text('{"signed": {"_type": "root"}}')
    done = subprocess.run(
        [FOLDER / "install.sh", "--dry-run", "--root", root], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"+ install -m 644 -D {root} /etc/fer-edge/root.json" in done.stdout
    assert "+ systemctl enable --quiet fer-edge-update.timer fer-edge-update.path" in done.stdout
    assert ",updates]" in done.stdout
    assert "+ mkdir -m 770 /var/lib/fer-edge-update/requests" in done.stdout
    for wrong in ("", "/nonexistent", str(FOLDER / "config.toml")):
        refused = subprocess.run(
            [FOLDER / "install.sh", "--dry-run", "--root", wrong], capture_output=True, text=True, check=False
        )
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
        assert "--root needs a repository's root.json" in refused.stderr


def test_root_follows_no_link_that_a_service_put_into_its_folder(tmp_path: Path) -> None:
    """As root: the script makes folders in those of the services' users."""
    if os.geteuid() != 0:
        pytest.skip("folders of another user are needed: run the tests as root")
    victim, state = tmp_path / "victim", tmp_path / "state"
    victim.mkdir(mode=0o700)
    state.mkdir()
    (state / "link").symlink_to(victim)
    (state / "dangling").symlink_to(tmp_path / "nothing")
    functions = re.search(r"^make_folder\(\) \{.*?^\}", (FOLDER / "install.sh").read_text(), re.DOTALL | re.MULTILINE)
    assert functions is not None
    script = tmp_path / "script"
    calls = "\n".join(f'make_folder nobody 770 "{state}/{name}"' for name in ("link", "dangling", "new", "new"))
    text = functions[0].replace("$1:fer-edge", "$1:nogroup")
    script.write_text(f'set -euo pipefail\nrun() {{ "$@"; }}\n{text}\n{calls}\n')
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (victim.stat().st_uid, victim.stat().st_mode & 0o777) == (0, 0o700)
    assert not (tmp_path / "nothing").exists()
    assert (state / "new").owner() == "nobody"
    assert (state / "new").stat().st_mode & 0o777 == 0o770


def test_the_page_opens_one_port_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / f"{UNIT.name}.d"
    folder.mkdir()
    shutil.copy(UNIT, tmp_path)
    shutil.copy(FOLDER / "examples" / "web.conf", folder)
    done = analyze("security", "--offline=true", "--threshold=16", tmp_path / UNIT.name)
    assert done.returncode == 0, done.stdout
    assert "allow list with non-localhost entries" in done.stdout, "the drop-in was not read"


@pytest.mark.parametrize("drop_in", [None, "network.conf", "hdmi.conf", "web.conf", "prometheus.conf"])
@pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=["service", "template"])
def test_systemd_knows_every_key(tmp_path: Path, drop_in: str | None, unit: Path) -> None:
    name = unit.name.replace("@", "@door")
    text = re.sub("^ExecStart(Pre)?=.*$", r"ExecStart\1=/bin/true", unit.read_text(), flags=re.MULTILINE)
    (tmp_path / name).write_text(text)
    if drop_in:
        folder = tmp_path / f"{name}.d"
        folder.mkdir()
        shutil.copy(FOLDER / "examples" / drop_in, folder)
    done = analyze("verify", tmp_path / name)
    assert name not in done.stderr, done.stderr
    assert ".conf" not in done.stderr, done.stderr


def test_the_page_of_all_cameras_is_hardened(tmp_path: Path) -> None:
    unit = FOLDER / "examples" / "fer-edge-web.service"
    done = analyze("security", "--offline=true", "--threshold=14", unit)
    assert done.returncode == 0, done.stdout
    text = re.sub("^ExecStart=.*$", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    (tmp_path / unit.name).write_text(text)
    assert "fer-edge-web" not in analyze("verify", tmp_path / unit.name).stderr


def test_systemd_knows_every_key_of_the_refresh(tmp_path: Path) -> None:
    service, timer = (FOLDER / "examples" / f"fer-edge-refresh.{kind}" for kind in ("service", "timer"))
    text = re.sub("^ExecStart=.*$", "ExecStart=/bin/true", service.read_text(), flags=re.MULTILINE)
    (tmp_path / service.name).write_text(text)
    shutil.copy(timer, tmp_path)
    for name in (service.name, timer.name):
        done = analyze("verify", tmp_path / name)
        assert "fer-edge-refresh" not in done.stderr, done.stderr
    script = re.search("^ExecStart=%h/fer-edge/([^ ]+) ", service.read_text(), flags=re.MULTILINE)
    assert script is not None
    assert os.access(FOLDER.parent / script[1], os.X_OK)


def test_an_instance_is_the_service_with_files_and_folders_of_its_own() -> None:
    service, template = UNIT.read_text().splitlines(), TEMPLATE.read_text().splitlines()
    assert len(service) == len(template)
    own = [(old, new) for old, new in zip(service, template, strict=True) if old != new and not new.startswith("#")]
    assert [new.partition("=")[0] for _, new in own] == [
        *("Description", "ExecStart", "WorkingDirectory", "Environment", "LoadCredential"),
        *("StateDirectory", "RuntimeDirectory"),
    ]
    assert all("%i" in new and "%i" not in old for old, new in own)


def test_the_configuration_that_is_installed_is_a_good_one() -> None:
    config = load_config(FOLDER / "config.toml", {})
    assert config.camera.wait
    assert config.json_lines.append


def test_an_ordinary_user_is_refused_and_may_look(open_path: Path) -> None:
    if not shutil.which("setpriv") or not shutil.which("apt-get"):
        pytest.skip("no setpriv or no apt-get: sudo apt install util-linux, on Debian")
    script = Path(shutil.copytree(FOLDER, open_path / "systemd")) / "install.sh"
    user = (
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if Path("/proc/self").owner() == "root" else []
    )
    refused = subprocess.run([*user, script], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "must run as root" in refused.stderr
    shown = subprocess.run([*user, script, "--dry-run"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "+ systemctl enable --quiet fer-edge" in shown.stdout
    instances = (["--instance"], ["--instance", "Door"], ["--instance", "config"], ["--instance", "../x"])
    wheelhouses = (["--wheelhouse"], ["--wheelhouse", "/nonexistent"], ["--wheelhouse", str(open_path)])
    for wrong in (
        ["--frce"],
        ["--extras", "--dry-run"],
        ["--extras"],
        ["--extras", "mqtt;id"],
        *instances,
        *wheelhouses,
    ):
        refused = subprocess.run([*user, script, *wrong], capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert wrong[0] in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_extras_are_added_to_the_earlier_ones(tmp_path: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get: the script is for Debian and Raspberry Pi OS")
    script, prefix = tmp_path / "systemd" / "install.sh", tmp_path / "opt"
    shutil.copytree(FOLDER, tmp_path / "systemd")
    script.write_text(script.read_text().replace("PREFIX=/opt/fer-edge", f"PREFIX={prefix}"))
    for extras, installed in ((" display, mqtt", "mqtt,display"), ("plot", "mqtt,plot")):
        done = subprocess.run([script, "--dry-run", "--extras", extras], capture_output=True, text=True, check=False)
        assert f"[{installed}]" in done.stdout, done.stderr
    (prefix / "current").mkdir(parents=True)
    (prefix / "current" / "extras").write_text("display\n")
    done = subprocess.run([script, "--dry-run", "--extras", "plot"], capture_output=True, text=True, check=False)
    assert "[display,plot]" in done.stdout, done.stderr


def test_the_unit_of_a_version_that_did_not_keep_it_is_kept_to_go_back_to(tmp_path: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get: the script is for Debian and Raspberry Pi OS")
    script, prefix, unit = tmp_path / "systemd" / "install.sh", tmp_path / "opt", tmp_path / UNIT.name
    shutil.copytree(FOLDER, tmp_path / "systemd")
    text = script.read_text().replace("PREFIX=/opt/fer-edge", f"PREFIX={prefix}")
    script.write_text(text.replace("UNITS=/etc/systemd/system", f"UNITS={tmp_path}"))
    shutil.copy(UNIT, unit)
    (prefix / "a").mkdir(parents=True)
    (prefix / "current").symlink_to(prefix / "a")
    upgrade = subprocess.run([script, "--dry-run"], capture_output=True, text=True, check=False).stdout.splitlines()
    kept = upgrade.index(f"+ install -m 644 -D -t {prefix}/a/systemd {unit}")
    assert kept < upgrade.index(f"+ install -m 644 {prefix}/b/systemd/{UNIT.name} {unit}")
    remove = f"+ rm -f {unit}.d/backoff.conf"
    assert remove in upgrade, "its longer pauses would be added to those of pause.sh"


def test_an_instance_gets_its_files_and_the_network_where_that_is_asked_for() -> None:
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get: the script is for Debian and Raspberry Pi OS")
    command = [str(FOLDER / "install.sh"), "--dry-run", "--instance", "door", "--allow-network"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    drop_in = f"{FOLDER}/examples/network.conf"
    assert f"+ install -m 644 -D -t /etc/systemd/system/fer-edge@door.service.d {drop_in}" in lines
    made = lines.index("+ mkdir -m 750 /var/lib/fer-edge/door")
    assert lines[made + 1] == "+ chown --no-dereference fer-edge:fer-edge /var/lib/fer-edge/door"
    assert any("service check --unit" in line and "--instance door" in line for line in lines)
    assert "+ systemctl enable --quiet fer-edge@door" in lines
    assert "+ systemctl enable --quiet fer-edge" not in lines


def test_the_third_place_is_taken_while_two_versions_are_kept(tmp_path: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get: the script is for Debian and Raspberry Pi OS")
    script, prefix = tmp_path / "systemd" / "install.sh", tmp_path / "opt"
    shutil.copytree(FOLDER, tmp_path / "systemd")
    script.write_text(script.read_text().replace("PREFIX=/opt/fer-edge", f"PREFIX={prefix}"))
    for place in ("a", "b"):
        (prefix / place).mkdir(parents=True)
    (prefix / "current").symlink_to(prefix / "b")
    (prefix / "previous").symlink_to(prefix / "a")
    upgrade = subprocess.run([script, "--dry-run"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"+ python3 -m venv {prefix}/c" in upgrade
    assert upgrade.index(f"+ ln -sfn {prefix}/b {prefix}/previous") < upgrade.index(f"+ rm -rf {prefix}/a")
    back = subprocess.run([script, "--rollback", "--dry-run"], capture_output=True, text=True, check=True).stdout
    assert f"+ ln -sfn {prefix}/a {prefix}/next" in back
    assert "rm -rf" not in back
    (prefix / "previous").unlink()
    refused = subprocess.run([script, "--rollback", "--dry-run"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (2, "error: there is no previous version\n")


@pytest.mark.parametrize("script", ["install.sh", "wheelhouse.sh", "pause.sh"])
def test_shellcheck_finds_nothing(script: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("no shellcheck: sudo apt install shellcheck")
    done = subprocess.run(["shellcheck", FOLDER / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
