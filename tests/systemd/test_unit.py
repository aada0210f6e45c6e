"""The files in systemd/, as systemd reads them; nothing is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.conftest import let_others_in

from fer_edge.config import load_config

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNIT = FOLDER / "fer-edge.service"


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not there")
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_service_is_hardened() -> None:
    done = analyze("security", "--offline=true", "--threshold=16", UNIT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("drop_in", [None, "network.conf", "hdmi.conf", "web.conf"])
def test_systemd_knows_every_key(tmp_path: Path, drop_in: str | None) -> None:
    text = re.sub("^ExecStart(Pre)?=.*$", r"ExecStart\1=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    (tmp_path / UNIT.name).write_text(text)
    if drop_in:
        folder = tmp_path / f"{UNIT.name}.d"
        folder.mkdir()
        shutil.copy(FOLDER / "examples" / drop_in, folder)
    done = analyze("verify", tmp_path / UNIT.name)
    assert UNIT.name not in done.stderr, done.stderr
    assert ".conf" not in done.stderr, done.stderr


def test_the_configuration_that_is_installed_is_a_good_one() -> None:
    config = load_config(FOLDER / "config.toml", {})
    assert config.camera.wait
    assert config.json_lines.append


def test_an_ordinary_user_is_refused_and_may_look(tmp_path: Path) -> None:
    if not shutil.which("setpriv") or not shutil.which("apt-get"):
        pytest.skip("setpriv or apt-get is not there")
    script = Path(shutil.copytree(FOLDER, tmp_path / "systemd")) / "install.sh"
    let_others_in(tmp_path)
    user = (
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if Path("/proc/self").owner() == "root" else []
    )
    refused = subprocess.run([*user, script], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "must run as root" in refused.stderr
    shown = subprocess.run([*user, script, "--dry-run"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "+ systemctl enable --quiet fer-edge" in shown.stdout
    for wrong in (["--frce"], ["--extras", "--dry-run"], ["--extras"], ["--extras", "mqtt;id"]):
        refused = subprocess.run([*user, script, *wrong], capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert wrong[0] in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_extras_are_added_to_those_of_before(tmp_path: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("apt-get is not there")
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
        pytest.skip("apt-get is not there")
    script, prefix, unit = tmp_path / "systemd" / "install.sh", tmp_path / "opt", tmp_path / UNIT.name
    shutil.copytree(FOLDER, tmp_path / "systemd")
    text = script.read_text().replace("PREFIX=/opt/fer-edge", f"PREFIX={prefix}")
    script.write_text(text.replace("UNIT=/etc/systemd/system/fer-edge.service", f"UNIT={unit}"))
    shutil.copy(UNIT, unit)
    (prefix / "a").mkdir(parents=True)
    (prefix / "current").symlink_to(prefix / "a")
    upgrade = subprocess.run([script, "--dry-run"], capture_output=True, text=True, check=False).stdout.splitlines()
    kept = upgrade.index(f"+ install -m 644 -D -t {prefix}/a/systemd {unit}")
    assert kept < upgrade.index(f"+ install -m 644 {prefix}/b/systemd/{UNIT.name} {unit}")
    remove = f"+ rm -f {unit}.d/backoff.conf"
    assert remove in upgrade, "its longer pauses would be added to those of pause.sh"
