"""A Debian machine with systemd as its first process, in a container without virtualisation."""

import os
import secrets
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,procps,udev,kmod,ca-certificates,python3"


def prepare_root(folder: Path) -> Path:
    """Copy the bare Debian root that FER_SYSTEMD_ROOT names, or make one; skip where neither can be had."""
    if os.geteuid() != 0:
        pytest.skip("systemd cannot be booted in a container: run the tests as root")
    if not shutil.which("systemd-nspawn"):
        pytest.skip("no systemd-nspawn: sudo apt install systemd-container")
    root = folder / "root"
    given = os.environ.get("FER_SYSTEMD_ROOT")
    if given:
        subprocess.run(["cp", "-a", given, root], check=True)
        return root
    if not shutil.which("debootstrap"):
        pytest.skip("no debootstrap: sudo apt install debootstrap, or let FER_SYSTEMD_ROOT name a bare Debian root")
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"debootstrap: {(made.stdout.strip().splitlines() or ['failed'])[-1]}")
    return root


def download_wheels(root: Path, folder: Path) -> Path:
    """Fetch what the root's Python will install, with the pip settings of this machine."""
    python = next(path.name.removeprefix("python") for path in (root / "usr/bin").glob("python3.[0-9]*"))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["mqtt"], *extras["updates"], *extras["web"]]
    wanted += project["build-system"]["requires"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    command += ["--only-binary=:all:", "--python-version", python, *wanted]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"pip download: {(fetched.stderr.strip().splitlines() or ['failed'])[-1]}")
    return folder


def make_control_groups() -> list[Path]:
    """A control group of its own in each hierarchy that systemd uses: else two machines would share `payload`.

    With --keep-unit systemd-nspawn makes its groups in that of this process. What one machine kills or freezes would be
    the other's as well.
    """
    roots = map(Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"))
    name = f"fer-edge-test-{secrets.token_hex(4)}"
    groups = [root / name for root in roots if (root / "cgroup.procs").is_file()]
    for group in groups:
        group.mkdir()
    return groups


class Machine:
    """Boot it, run commands in it, switch it off."""

    def __init__(self, root: Path, wheels: Path) -> None:
        self.root = root
        self._wheels = wheels

    def boot(self, *options: str) -> None:
        """Boot it, with further options of systemd-nspawn."""
        command = ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot", "--console=pipe"]
        command += ["--register=no", "--keep-unit", "--kill-signal=SIGRTMIN+3"]
        command += [f"--bind-ro={PROJECT}:/src", f"--bind-ro={self._wheels}:/wheels", *options]
        self._console = (self.root.parent / "console").open("ab")
        self._groups = make_control_groups()
        enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in self._groups)
        self._process = subprocess.Popen(
            ["sh", "-c", f'{enter}exec "$@"', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
        )
        for _ in range(1200):
            if self._process.poll() is not None:
                pytest.skip(f"systemd-nspawn cannot boot here: {(self.root.parent / 'console').read_text()[-300:]}")
            if self._leader() and self.run("systemctl", "is-system-running", check=False).strip() in {
                "running",
                "degraded",
            }:
                return
            time.sleep(0.1)
        raise AssertionError("systemd did not come up")

    def power_off(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)
        self._console.close()
        for group in self._groups:
            for path in (*sorted(group.rglob("*/"), reverse=True), group):
                with suppress(OSError):  # files in there go with their folder
                    path.rmdir()

    def run(self, *command: str, check: bool = True) -> str:
        """Return what a command in the machine wrote."""
        entered = ["nsenter", "-t", self._leader(), "-m", "-u", "-i", "-n", "-p", "--"]
        settings = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "/wheels",
            "COLUMNS": "150",
        }
        done = subprocess.run([*entered, *command], env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def run_as_nobody(self, *command: str) -> str:
        """What an ordinary user is told."""
        return self.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command, check=False)

    def show(self, name: str, unit: str = "fer-edge") -> str:
        """One property of the unit."""
        return self.run("systemctl", "show", unit, f"--property={name}", "--value").strip()

    def wait_for(self, name: str, text: str, seconds: float = 120, unit: str = "fer-edge") -> str:
        """Wait until a property of the unit contains a text, and return it."""
        end = time.monotonic() + seconds
        while text not in (value := self.show(name, unit)):
            assert time.monotonic() < end, f"{name} is {value!r}, never {text!r}\n{self.journal()}"
            time.sleep(0.2)
        return value

    def journal(self, *options: str) -> str:
        return self.run("journalctl", "--unit=fer-edge", "--no-pager", "--output=cat", *options)

    def _leader(self) -> str:
        """The number of the machine's first process."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return children.read_text().strip()
