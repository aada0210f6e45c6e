"""The live page in a real browser, where one is installed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import wait_until
from tests.pages import CHROMIUM, PASSWORD, TOKEN, free_port, running, screenshot, until

from fer_edge.web.auth import hash_password


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An open page, shared by the tests that only read."""
    with running(tmp_path_factory.mktemp("page"), "") as client:
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
    if CHROMIUM is None:
        pytest.skip("no browser: sudo apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield chromium
        chromium.close()


def test_the_page_in_a_browser(browser: Any, page: httpx.Client, tmp_path: Path) -> None:
    errors: list[str] = []
    tab = browser.new_page(viewport={"width": 1100, "height": 800})
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(str(page.base_url))
    until(tab, "document.querySelector('#link').textContent === 'connected'")
    until(tab, "document.querySelector('#summary').textContent !== 'nobody'")
    first = tab.inner_text("#summary")
    wait_until(lambda: tab.inner_text("#summary") not in {"nobody", first})
    until(tab, "document.querySelector('#picture').naturalWidth === 640")
    until(tab, "document.querySelectorAll('#timeline rect').length > 1")
    assert "ferplus7" in tab.inner_text("#device")
    assert tab.locator("meter").count() == 7
    screenshot(tab, "web.png", tmp_path)
    tab.set_viewport_size({"width": 375, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375
    tab.emulate_media(color_scheme="dark")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(23, 23, 22)"
    screenshot(tab, "web-phone.png", tmp_path)
    tab.close()
    assert not errors


def test_login_in_a_browser(browser: Any, locked: httpx.Client) -> None:
    tab = browser.new_page()
    tab.goto(str(locked.base_url))
    tab.fill("#password", PASSWORD)
    tab.keyboard.press("Enter")
    tab.get_by_text("connected", exact=True).wait_for()
    tab.click("text=Log out")
    tab.wait_for_selector("#password")
    tab.close()


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
