"""The page on which samples are labelled: over real HTTP, and in a real browser where one is installed."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import wait_until
from tests.pages import screenshot
from tests.samples import make_folder

from fer_edge.monitoring.samples import LABELS_FILE, SampleFolder

CHROMIUM = shutil.which("chromium")
READ_AS = [("happy", 0.9), ("sad", 0.6), ("neutral", 0.4)]
# Whether the page has loaded so many different faces: the one that it shows, and the next, which it asks for early.
PICTURES_LOADED = """count => new Set(
    performance.getEntriesByType("resource").map(entry => entry.name).filter(name => name.includes("/picture/"))
).size === count"""


@contextmanager
def reviewing(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The command, and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_edge", "samples", "review", "--port", "0", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", process.stdout.readline())
        assert found
        yield found[0], process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SampleFolder:
    return make_folder(tmp_path_factory.mktemp("review") / "samples", READ_AS)[0]


@pytest.fixture(scope="module")
def address(folder: SampleFolder) -> Iterator[str]:
    """A page that the tests share which leave no label behind."""
    with reviewing(folder.folder) as (found, _):
        yield found


@pytest.fixture
def owner(address: str) -> Iterator[httpx.Client]:
    base, _, query = address.partition("/?")
    with httpx.Client(base_url=base) as client:
        assert client.get(f"/?{query}", follow_redirects=True).status_code == 200
        yield client


def test_nobody_without_the_token_sees_a_face(address: str, folder: SampleFolder) -> None:
    base = address.partition("/?")[0]
    picture = f"/picture/{folder.samples()[0].id}.png"
    for path in ("/", "/api/queue", "/api/result", "/review.js", picture):
        assert httpx.get(base + path).status_code == 401, path
    assert httpx.post(f"{base}/api/label", content="{}").status_code == 401
    assert httpx.get(f"{base}/?token=guess").status_code == 401


def test_no_other_site_and_no_other_name(owner: httpx.Client) -> None:
    assert owner.get("/api/queue", headers={"Host": "attacker.example"}).status_code == 421
    assert owner.post("/api/label", headers={"Origin": "http://attacker.example"}, content="{}").status_code == 403
    assert owner.get("/").headers["cache-control"] == "no-store"
    assert "default-src 'none'" in owner.get("/").headers["content-security-policy"]


def test_labels_are_saved_before_the_answer(owner: httpx.Client, folder: SampleFolder) -> None:
    sample = folder.samples()[1]
    assert owner.post("/api/label", json={"sample": sample.id, "label": "fear"}).status_code == 200
    assert folder.labels()[sample.id].answer == "fear"
    assert owner.get("/api/queue").json()["labelled"] == 1
    assert owner.get("/api/result").json()["confusion"] == {"fear": {"sad": 1}}
    assert owner.post("/api/label", json={"sample": sample.id, "label": None}).status_code == 200
    assert not folder.labels()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"sample": "x"}', 404),
        (b'{"sample": "../../etc/passwd", "label": "sad"}', 404),
        (b'{"sample": "20200101T000000Z-000000", "label": "sad"}', 404),
        (b"x" * 5000, 413),
    ],
)
def test_wrong_answers_are_refused(owner: httpx.Client, folder: SampleFolder, content: bytes, status: int) -> None:
    assert owner.post("/api/label", content=content).status_code in {status, 400}
    unknown = {"sample": folder.samples()[0].id, "label": "joy"}
    assert owner.post("/api/label", json=unknown).status_code == 400
    assert owner.get("/picture/..%2f..%2fseen.png").status_code == 404
    assert not folder.labels()


def test_the_end_shows_the_accuracy(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "samples", READ_AS)
    for sample in samples:
        folder.set_label(sample, "happy")
    with reviewing(folder.folder) as (_, process):
        process.send_signal(signal.SIGINT)
        shown, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "33.3" in shown
    assert not errors


def test_an_empty_folder_has_nothing_to_label(tmp_path: Path) -> None:
    folder = SampleFolder(tmp_path / "samples")
    folder.create()
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", "samples", "review", "--folder", folder.folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no samples yet" in done.stderr


@pytest.fixture
def tab() -> Iterator[Any]:
    """A tab of Debian's Chromium; the test fails on any error in its console."""
    if CHROMIUM is None:
        pytest.skip("no browser: sudo apt install chromium")
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = chromium.new_page(viewport={"width": 800, "height": 800})
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        chromium.close()
    assert not [error for error in errors if "ERR_CONNECTION_REFUSED" not in error]


def test_labelling_by_keys_in_a_browser(tab: Any, tmp_path: Path) -> None:
    folder, _ = make_folder(tmp_path / "samples", [*READ_AS, ("happy", 0.95), ("sad", 0.7)])

    def press(key: str, progress: str) -> None:
        tab.keyboard.press(key)
        tab.get_by_text(progress, exact=True).wait_for()

    def answers() -> list[str]:
        return [one.answer for one in folder.labels().values()]

    with reviewing(folder.folder) as (address, _):
        tab.goto(address)
        tab.get_by_text("0 labelled, 5 left", exact=True).wait_for()
        assert "token" not in tab.url
        wait_until(lambda: tab.evaluate("document.querySelector('#face').naturalWidth") == 48)
        screenshot(tab, "review.png", tmp_path)
        first = tab.get_attribute("#face", "src")
        press("4", "1 labelled, 4 left")
        assert answers() == ["happy"]
        assert tab.get_attribute("#face", "src") != first
        press("u", "0 labelled, 5 left")
        assert answers() == []
        assert tab.get_attribute("#face", "src") == first
        press("8", "1 labelled, 4 left")
        press("s", "2 labelled, 3 left")
        press("n", "3 labelled, 2 left")
        assert answers() == ["contempt", "skipped", "not a face"]
        tab.click("text=sad")
        tab.get_by_text("4 labelled, 1 left", exact=True).wait_for()
        assert not tab.is_visible("#result")
        press("1", "5 labelled, 0 left")
        tab.get_by_text("3 labels:").wait_for()
        assert not tab.is_visible("#question")
        rows = tab.eval_on_selector_all("#confusion tr", "rows => rows.map(row => row.innerText.split('\\t')[0])")
        assert rows[1:] == ["angry", "sad", "contempt"]


def test_labels_survive_the_end_of_the_command_and_a_reload(tab: Any, tmp_path: Path) -> None:
    folder, _ = make_folder(tmp_path / "samples", READ_AS)
    with reviewing(folder.folder) as (address, process):
        tab.goto(address)
        tab.get_by_text("0 labelled, 3 left", exact=True).wait_for()
        tab.keyboard.press("5")
        tab.get_by_text("1 labelled, 2 left", exact=True).wait_for()
        tab.wait_for_function(PICTURES_LOADED, arg=len(READ_AS))  # what is half loaded would be an error, too
        process.kill()
        process.wait()
        tab.keyboard.press("6")
        tab.get_by_text("not saved: fer-edge samples review has ended").wait_for()
        assert tab.inner_text("#progress") == "1 labelled, 2 left"
    (line,) = (folder.folder / LABELS_FILE).read_text().splitlines()
    assert json.loads(line)["answer"] == "sad"
    with reviewing(folder.folder) as (address, _):
        tab.goto(address)
        tab.get_by_text("1 labelled, 2 left", exact=True).wait_for()
        tab.wait_for_function(PICTURES_LOADED, arg=len(READ_AS) - 1)
