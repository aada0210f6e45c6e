"""A live page to test: a run of the demo that serves it, and a client."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from tests.conftest import wait_until

PASSWORD = "correct horse battery"  # noqa: S105 - of a test
TOKEN = "0123456789abcdef0123"  # noqa: S105
CHROMIUM = shutil.which("chromium")


def ask_app(
    app: ASGIApp,
    path: str,
    method: str = "GET",
    *,
    base_url: str = "http://localhost",
    address: str = "127.0.0.1",
    names_host: bool = True,
    **options: Any,
) -> httpx.Response:
    """One request to a web application, without a server.

    Args:
        app: the application.
        path: of the request.
        method: of the request.
        base_url: what comes before the path.
        address: of the client.
        names_host: whether the request has a Host header.
        options: as for `httpx.Client.build_request`.
    """

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            request = client.build_request(method, path, **options)
            if not names_host:
                del request.headers["host"]
            return await client.send(request)

    return asyncio.run(answer())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(
    tmp_path: Path,
    web: str,
    *options: object,
    port: int | None = None,
    certificate: Path | None = None,
    open_files: int | None = None,
) -> Iterator[httpx.Client]:
    """A run of the demo with the page, and a client for it.

    Args:
        tmp_path: gets config.toml, and stderr.txt with the log.
        web: further lines of the section [web].
        options: of `fer-edge run`.
        port: a free one if left out.
        certificate: what the client trusts; it speaks TLS then.
        open_files: as many may be open in the run at a time.
    """
    port = port or free_port()
    config = tmp_path / "config.toml"
    config.write_text(f'[web]\nlisten = "{port}"\n{web}')
    command = [sys.executable, "-m", "fer_edge", "run", "demo", "--config", config, *options]
    limit = ["prlimit", f"--nofile={open_files}"] if open_files else []
    with (tmp_path / "stderr.txt").open("ab") as log:
        process = subprocess.Popen([*limit, *map(str, command)], stderr=log, stdout=subprocess.DEVNULL, cwd=tmp_path)
    context = ssl.create_default_context(cafile=certificate) if certificate else False
    address = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=address, verify=context, timeout=20) as client:
            wait_until(lambda: answers(client))
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (tmp_path / "stderr.txt").read_text()


def answers(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/healthz").status_code == 200
    return False


@contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium; the test is skipped without it."""
    if CHROMIUM is None:
        pytest.skip("no browser: sudo apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@contextmanager
def new_tab(browser: Any, **options: object) -> Iterator[Any]:
    """A tab in which nothing may go wrong."""
    errors: list[str] = []
    tab = browser.new_page(**options)
    tab.on("console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert not errors


def faults(tab: Any) -> list[str]:
    """What axe-core finds wrong with the accessibility of the page that is shown."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab).response["violations"]
    return [f"{fault['impact']}: {fault['help']} ({node['html']})" for fault in found for node in fault["nodes"]]


def until(tab: Any, expression: str) -> None:
    """Wait until this JavaScript is true."""
    wait_until(lambda: bool(tab.evaluate(expression)))


def screenshot(tab: Any, name: str, tmp_path: Path, **options: object) -> None:
    """Keep a picture of the page: in docs/ where FER_SCREENSHOTS names that folder."""
    path = Path(os.environ.get("FER_SCREENSHOTS", tmp_path)) / name
    tab.screenshot(path=str(path), **({"quality": 70, "type": "jpeg"} if name.endswith(".jpg") else {}), **options)
