"""The live page in a real browser, where one is installed."""

import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import wait_until
from tests.pages import PASSWORD, TOKEN, chromium, faults, free_port, new_tab, running, screenshot, until

from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import ModelIdentity, UsageStore, read_rows
from fer_edge.updates.latest import Latest, write_latest
from fer_edge.web.auth import hash_password

# Who came into view on this day before the page was opened.
PEOPLE = 57


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device's folder, with its record."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[httpx.Client]:
    """An open page, of a device that has a record of this day, and for which there is a newer model."""
    seconds = {"neutral": 4100.0, "happy": 2900.0, "surprise": 400.0, "sad": 350.0, "angry": 120.0, "uncertain": 310.0}
    with UsageStore(folder / "usage.sqlite", ModelIdentity("ferplus7", "0.1.0", "")) as store:
        store.append(int(time.time()) // 60 * 60, Period(people=PEOPLE, face_s=defaultdict(float, seconds)))
    write_latest(Latest("ferplus7", "0.1.0", "0.2.0", "", 0.0), folder / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_EDGE_MODELS", str(folder / "models"))
        with running(folder, '[usage]\npath = "usage.sqlite"\n') as client:
            yield client


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A page with a password and a token."""
    web = f'password = "{hash_password(PASSWORD)}"\ntoken = "{TOKEN}"\n'
    with running(tmp_path_factory.mktemp("locked"), web) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    with chromium() as browser:
        yield browser


def test_the_button_asks_for_a_model_update(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "look"
    monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", str(asked))
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    updates = '[updates]\nurl = "https://models.invalid"\nallow_start = true\n'
    with running(tmp_path, updates) as page, new_tab(browser) as tab:
        tab.goto(str(page.base_url))
        tab.click("#update button")
        until(tab, "document.querySelector('#update span').textContent === 'looking for a new model'")
        assert asked.is_file()
        until(tab, "document.querySelector('#update button').disabled")
        latest = Latest("ferplus7", "0.1.0", "0.1.0", "Nothing newer.", time.time() + 1)
        write_latest(latest, tmp_path / "models")
        until(tab, "!document.querySelector('#update button').disabled")
        until(tab, "document.querySelector('#update span').textContent === ''")


def test_the_page_in_a_browser(browser: Any, page: httpx.Client, folder: Path, tmp_path: Path) -> None:
    with new_tab(browser, viewport={"width": 1100, "height": 850}) as tab:
        look_at_the_page(tab, page, folder, tmp_path)


def look_at_the_page(tab: Any, page: httpx.Client, folder: Path, tmp_path: Path) -> None:
    tab.goto(str(page.base_url))
    until(tab, "document.querySelector('#link').textContent === 'connected'")
    until(tab, "document.querySelector('#summary').textContent !== 'nobody'")
    first = tab.inner_text("#summary")
    wait_until(lambda: tab.inner_text("#summary") not in {"nobody", first})
    until(tab, "document.querySelector('#picture').naturalWidth === 640")
    until(tab, "document.querySelectorAll('#timeline rect').length > 1")
    assert "ferplus7 0.1.0; 0.2.0 is available" in tab.inner_text("#device")
    assert tab.locator("#faces meter").count() == 7
    until(tab, "!document.querySelector('#today').hidden")
    until(tab, "document.querySelector('#people').textContent.endsWith(' in all')")
    people = int(tab.inner_text("#people").split()[0])
    own = [row.period.people for row in read_rows(folder / "usage.sqlite") if row.period.people != PEOPLE]
    assert people - PEOPLE in {0, *accumulate(own)}, "those of the record, with the demo's own of minutes that are over"
    shares = tab.inner_text("#shares").split("%")
    happy = next(int(share.split()[1]) for share in shares if share.split()[:1] == ["happy"])
    assert happy in {34, 35, 36}, "2900 of 8180 seconds, and the demo's own"
    assert "too little data" in tab.inner_text("#drift")
    assert faults(tab) == []
    assert tab.locator("#logout").is_hidden(), "there was no login"
    screenshot(tab, "web.jpg", tmp_path, full_page=True)
    tab.set_viewport_size({"width": 375, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375
    tab.emulate_media(color_scheme="dark")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(23, 23, 22)"
    assert faults(tab) == []
    screenshot(tab, "web-phone.jpg", tmp_path)


def test_login_and_logout_by_keys_alone(browser: Any, locked: httpx.Client) -> None:
    with new_tab(browser) as tab:
        tab.goto(str(locked.base_url))
        assert faults(tab) == []
        focused = "document.activeElement.id === 'password'"  # a browser gives the focus some time after the load
        until(tab, focused)
        tab.keyboard.type("wrong password")
        tab.keyboard.press("Enter")
        tab.wait_for_url("**/login?wrong")
        until(tab, focused)
        tab.keyboard.type(PASSWORD)
        tab.keyboard.press("Enter")
        tab.get_by_text("connected", exact=True).wait_for()
        tab.locator("#logout").wait_for()
        for _ in range(10):
            tab.keyboard.press("Tab")
            if tab.evaluate("document.activeElement.textContent") == "Log out":
                break
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "one sees where one is"
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#password")


def test_a_tab_that_is_not_seen_holds_no_connection(browser: Any, page: httpx.Client) -> None:
    with new_tab(browser) as tab:
        tab.goto(str(page.base_url))
        until(tab, "document.querySelector('#link').textContent === 'connected'")
        hide = "Object.defineProperty(document, 'hidden', { value: %s, configurable: true });"
        tell = "document.dispatchEvent(new Event('visibilitychange'))"
        tab.evaluate(f"() => {{ {hide % 'true'} {tell} }}")
        assert tab.evaluate("events.readyState") == 2
        assert not tab.evaluate("document.querySelector('#picture').hasAttribute('src')")
        tab.evaluate(f"() => {{ {hide % 'false'} {tell} }}")
        until(tab, "events.readyState === 1")


def test_the_page_comes_back_after_a_restart(browser: Any, tmp_path: Path) -> None:
    port, tab = free_port(), browser.new_page()
    with running(tmp_path, "", port=port) as client:
        tab.goto(str(client.base_url))
        wait_until(lambda: tab.inner_text("#link") == "connected")
    wait_until(lambda: tab.inner_text("#link").startswith("connection lost"))
    with running(tmp_path, "", port=port):
        wait_until(lambda: tab.inner_text("#link") == "connected")
        until(tab, "document.querySelector('#picture').naturalWidth === 640")
    tab.close()
