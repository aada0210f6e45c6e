"""Attacks on the live page: other sites, floods, slow readers, leaked secrets."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.conftest import Run, listener, wait_until
from tests.pages import PASSWORD, TOKEN, answers, free_port, running

from fer_edge.web.auth import hash_password


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An open page, shared by the tests that only read."""
    with running(tmp_path_factory.mktemp("page"), "") as client:
        yield client


def test_every_answer_keeps_other_sites_out(page: httpx.Client) -> None:
    for path in ("/", "/api/state", "/healthz", "/nothing"):
        headers = page.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert page.get("/api/state", headers={"Host": "attacker.example"}).status_code == 421
    assert page.get("/api/state", headers={"Origin": "http://attacker.example"}).status_code == 403
    assert page.get("/api/state", headers={"Host": f"localhost:{page.base_url.port}"}).status_code == 200
    assert not any(re.search(r"<script>|\son\w+=|\sstyle=", page.get(path).text) for path in ("/", "/login"))


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/%2e%2e/app.py", "/static/index.html", "//etc/passwd"])
def test_no_other_file_is_served(page: httpx.Client, path: str) -> None:
    assert page.get(path).status_code == 404


def test_a_flood_of_logins_has_to_wait(tmp_path: Path) -> None:
    with running(tmp_path, f'password = "{hash_password(PASSWORD)}"\n') as client:
        codes = [client.post("/login", data={"password": "guess"}).status_code for _ in range(7)]
        assert codes == [303] * 5 + [429] * 2
        assert client.post("/login", data={"password": PASSWORD}).status_code == 429
        large = client.post("/login", content=b"x" * 100_000)
        assert large.status_code in {413, 429}


@pytest.mark.slow
def test_idle_and_slow_connections_are_closed(page: httpx.Client) -> None:
    address = ("127.0.0.1", page.base_url.port or 0)
    held = [socket.create_connection(address) for _ in range(500)]
    held[0].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    assert page.get("/healthz").status_code == 200, "the newest connection is served"
    for connection in (held[0], held[-1]):
        connection.settimeout(30)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""  # closed by the server
    for connection in held:
        connection.close()
    wait_until(lambda: answers(page))


@pytest.mark.slow
def test_requests_in_drops_are_closed(page: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", page.base_url.port or 0), timeout=1) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 60:
                connection.sendall(b"X-Slow: 1\r\n")
                with suppress(TimeoutError):
                    assert connection.recv(1) == b""
                    break
        assert time.monotonic() - began < 60


def test_floods_of_bodies_are_not_kept(page: httpx.Client) -> None:
    before = memory_mb(page)
    for path in ("/login", "/logout", "/api/state", "/nothing"):
        with socket.create_connection(("127.0.0.1", page.base_url.port or 0), timeout=20) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000000\r\n\r\n".encode())
            with suppress(OSError):
                for _ in range(200):
                    connection.sendall(b"x" * 1_000_000)
    assert page.get("/healthz").status_code == 200
    assert memory_mb(page) < before + 50


def test_floods_of_headers_are_refused(page: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", page.base_url.port or 0), timeout=10) as connection:
        with suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n")
        with suppress(ConnectionError):
            assert b" 400 " in connection.recv(4096)
    assert page.get("/healthz").status_code == 200


def test_a_stalled_viewer_does_not_stop_the_others(page: httpx.Client) -> None:
    with stalled_viewer(page) as stalled:
        stalled.settimeout(90)
        assert stalled.recv(1, socket.MSG_PEEK), "the stream has begun"
        read_pictures(page, 20)
        wait_until(lambda: page.get("/snapshot.jpg").status_code == 200)


def test_a_port_in_use_is_one_line(command: Run, tmp_path: Path, page: httpx.Client) -> None:
    port = page.base_url.port
    refused = command("fer-edge", "run", "demo", "--web", port, "--max-frames", 2, cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "Address already in use" in refused.stderr


def test_recognition_goes_on_where_the_port_is_in_use_if_that_is_wanted(
    command: Run, tmp_path: Path, page: httpx.Client
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[web]\nlisten = "{page.base_url.port}"\nrequired = false\n')
    lines = tmp_path / "out.jsonl"
    arguments = ("run", "demo", "--config", config, "--max-frames", 5, "--json", lines)
    done = command("fer-edge", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Address already in use") == 1
    assert len(lines.read_text().splitlines()) == 5


def test_a_flood_of_connections_leaves_recognition_its_files(tmp_path: Path) -> None:
    """256 connections, twice the 64 that are taken before others are closed, and what it opens itself."""
    lines = tmp_path / "out.jsonl"
    with running(tmp_path, "", "--json", lines, open_files=460) as client:
        address = ("127.0.0.1", client.base_url.port or 0)
        held = []
        for _ in range(700):
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(address)
        before = lines.read_text().count("\n")
        wait_until(lambda: lines.read_text().count("\n") > before + 30)
        for connection in held:
            connection.close()
        wait_until(lambda: answers(client))
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()


def stalled_viewer(page: httpx.Client) -> socket.socket:
    """A viewer of the stream that reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", page.base_url.port or 0))
    connection.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection


def read_pictures(page: httpx.Client, count: int) -> None:
    """View the stream until so many further pictures were sent."""
    with page.stream("GET", "/stream.mjpg") as stream:
        heads = 0
        for part in stream.iter_raw():
            heads += part.count(b"Content-Type: image/jpeg")
            if heads >= count:
                return
    raise AssertionError("the stream ended")


def test_viewers_that_read_nothing_cost_little_memory(page: httpx.Client) -> None:
    wait_until(lambda: page.get("/snapshot.jpg").status_code == 200)
    before = memory_mb(page)
    stalled = [stalled_viewer(page) for _ in range(40)]
    read_pictures(page, 60)  # of some 50 kB
    assert memory_mb(page) - before < 40 * 0.35, "64 kB, a picture and what goes with a connection, each"
    for connection in stalled:
        connection.close()


@pytest.mark.slow
def test_a_viewer_that_reads_nothing_is_closed(page: httpx.Client) -> None:
    with stalled_viewer(page) as connection:
        established = 1  # the first byte of struct tcp_info, linux/tcp.h
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established
        wait_until(lambda: connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != established)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    hashed = hash_password(PASSWORD)
    with running(tmp_path, f'password = "{hashed}"\ntoken = "{TOKEN}"\n', "--debug") as client:
        client.post("/login", data={"password": PASSWORD})
        client.cookies.clear()
        client.post("/login", data={"password": "guess"})
        with_token = {"Authorization": f"Bearer {TOKEN}"}
        told = client.get("/api/state", headers=with_token).text + client.get("/metrics").text
    config = subprocess.run(
        [sys.executable, "-m", "fer_edge", "config", "--show", "--config", tmp_path / "config.toml"],
        capture_output=True,
        text=True,
        check=True,
    )
    for text in (told, (tmp_path / "stderr.txt").read_text(), config.stdout):
        assert text
        for secret in (PASSWORD, TOKEN, hashed, "scrypt"):
            assert secret not in text


def test_the_password_of_a_camera_is_not_shown(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "config.toml"
    config.write_text(
        f'source = "http://me:hunter2@127.0.0.1:{free_port()}/cam"\n[camera]\nwait = true\n[web]\nlisten = "{port}"'
    )
    with (tmp_path / "stderr.txt").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "fer_edge", "run", "--config", config], stderr=log)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until(lambda: answers(client))
        wait_until(lambda: client.get("/api/state").json()["camera"] == "offline")
        state = client.get("/api/state").json()
    process.terminate()
    process.wait(30)
    assert "127.0.0.1" in state["source"]
    assert "hunter2" not in json.dumps(state) + (tmp_path / "stderr.txt").read_text()


def memory_mb(client: httpx.Client) -> float:
    """Resident memory of the process that listens on the client's port."""
    inode = listener(client.base_url.port or 0)
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            if any(link.is_symlink() and str(link.readlink()) == f"socket:[{inode}]" for link in folder.iterdir()):
                return int((folder.parent / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    raise AssertionError("nobody listens")
