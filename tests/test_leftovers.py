"""The check that no test leaves anything behind, on tests that do; and a run in which Ctrl-C is ignored."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Seconds but for the last digit: other runs on this machine have others.
TIME = str(1000 + os.getpid())

LEAVES = """
import subprocess, tempfile, time
from pathlib import Path
import pytest

@pytest.fixture(scope="module")
def server():
    # A browser, say, which starts more processes when a test asks it something.
    with subprocess.Popen("read line; sleep 1000 & sleep 1001", shell=True, stdin=subprocess.PIPE, text=True) as server:
        yield server
        subprocess.run("setsid sleep 1005 &", shell=True)
        server.kill()

def test_that_leaves_nothing(server):
    server.stdin.write("\\n")
    server.stdin.flush()
    for _ in range(200):
        if subprocess.run(["pgrep", "-f", "^sleep 1001"], stdout=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.05)

def test_that_leaves_a_process():
    subprocess.Popen(["sleep", "1002"])

def test_that_leaves_one_whose_parent_has_ended():
    subprocess.run("setsid sleep 1003 &", shell=True)

def test_that_fails():
    subprocess.Popen(["sleep", "1004"])
    assert False

def test_that_leaves_files():
    Path("left here").touch()
    tempfile.mkstemp(prefix="left-there")
"""

INTERRUPTED = """
import subprocess
import sys

def test_ctrl_c():
    script = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    assert subprocess.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL).returncode == -2
"""


def pytest_run(folder: Path, content: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_inner.py").write_text(content)
    command = [*prefix, sys.executable, "-m", "pytest", "-q", "-p", "tests.leftovers", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "FER_EDGE_TESTS_GRACE": "1"}
    return subprocess.run(
        [*command, "--rootdir", folder, folder], env=environment, capture_output=True, text=True, check=False
    )


def test_what_tests_leave_is_ended_and_said(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, LEAVES.replace("100", TIME))
    assert done.returncode == 1, done.stderr
    assert "1 failed, 4 passed, 3 errors" in done.stdout
    for name in ("leaves_a_process", "leaves_one_whose_parent_has_ended", "leaves_files"):
        assert f"ERROR at teardown of test_that_{name}" in done.stdout
    assert "a fixture left processes running" in done.stdout
    assert f"sleep {TIME}5" in done.stdout
    left = subprocess.run(["pgrep", "-f", f"^sleep {TIME}[0-5]"], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_a_run_that_ignores_ctrl_c_can_test_it(tmp_path: Path) -> None:
    """As under nohup, in the background of a script, and in some CI runners."""
    done = pytest_run(tmp_path, INTERRUPTED, "sh", "-c", 'trap "" INT; exec "$@"', "sh")
    assert done.returncode == 0, done.stdout
