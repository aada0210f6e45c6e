"""The live page over TLS: by a certificate of its own, and behind nginx and Caddy."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.conftest import Run, wait_until
from tests.pages import PASSWORD, answers, free_port, running

from fer_edge.web.auth import hash_password


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate, cert.pem, and its key beside it, key.pem."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl: sudo apt install openssl")
    folder = tmp_path_factory.mktemp("tls")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    files = ("-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    subprocess.run(["openssl", "req", "-x509", *made, *files, *names], check=True, capture_output=True)
    return folder / "cert.pem"


def test_a_certificate_of_ones_own(tmp_path: Path, certificate: Path) -> None:
    web = (
        f'password = "{hash_password(PASSWORD)}"\ncertificate = "{certificate}"\nkey = "{certificate.parent}/key.pem"\n'
    )
    with running(tmp_path, web, certificate=certificate) as client:
        login = client.post("/login", data={"password": PASSWORD})
        assert "secure" in login.headers["set-cookie"].lower()
        wait_until(lambda: bool(client.get("/api/state").json()["faces"]))
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{client.base_url.port}/")
    assert "not encrypted" not in (tmp_path / "stderr.txt").read_text()


def test_one_line_says_that_tls_is_missing(tmp_path: Path) -> None:
    port = free_port()
    web = f'password = "{hash_password(PASSWORD)}"\n'
    with running(tmp_path, web, "--web", f"0.0.0.0:{port}", port=port) as client:
        assert "secure" not in client.post("/login", data={"password": PASSWORD}).headers["set-cookie"].lower()
    assert (tmp_path / "stderr.txt").read_text().count("not encrypted: set web.certificate and web.key") == 1


def test_an_invalid_certificate_is_one_line(command: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
    config.write_text(f'[web]\nlisten = "{free_port()}"\ncertificate = "cert.pem"\nkey = "key.pem"\n')
    done = command("fer-edge", "run", "demo", "--config", config, "--max-frames", 1, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "web.certificate" in line


@contextmanager
def nginx(folder: Path, certificate: Path, page_port: int) -> Iterator[int]:
    """nginx with the recipe of docs/web.md, on a port of its own."""
    port = free_port()
    text = Path(__file__).resolve().parents[2].joinpath("docs", "web.md").read_text()
    recipe = text.partition("    server {\n")[2].partition("\n    }\n")[0]
    assert recipe
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/kitchen.pem", str(certificate)),
        ("/etc/ssl/kitchen.key", str(certificate.with_name("key.pem"))),
        ("127.0.0.1:8080", f"127.0.0.1:{page_port}"),
    ):
        assert old in recipe, old
        recipe = recipe.replace(old, new)
    own = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(f"{own}http {{ access_log off; {paths}\nserver {{\n{recipe}\n}}\n}}\n")
    process = subprocess.Popen([str(shutil.which("nginx")), "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    try:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def caddy(folder: Path, _certificate: Path, page_port: int) -> Iterator[int]:
    """Caddy with the recipe of docs/web.md, on a port of its own, with a certificate that it makes itself."""
    port = free_port()
    text = Path(__file__).resolve().parents[2].joinpath("docs", "web.md").read_text()
    recipe = text.partition("    kitchen.example.org {\n")[2].partition("\n    }\n")[0]
    assert "127.0.0.1:8080" in recipe
    recipe = recipe.replace("127.0.0.1:8080", f"127.0.0.1:{page_port}")
    own = ("admin off", "auto_https disable_redirects", "skip_install_trust", "default_sni kitchen.example.org")
    lines = "\n".join((*own, f"storage file_system {folder}"))
    (folder / "Caddyfile").write_text(
        f"{{\n{lines}\n}}\nhttps://kitchen.example.org:{port} {{\ntls internal\n{recipe}\n}}\n"
    )
    command = [str(shutil.which("caddy")), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env={**os.environ, "HOME": str(folder)})
    try:
        wait_until(lambda: b"certificate obtained" in (folder / "caddy.log").read_bytes())
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "caddy"])
def test_the_recipe_for_a_proxy(
    tmp_path: Path, certificate: Path, proxy: Callable[[Path, Path, int], AbstractContextManager[int]]
) -> None:
    if not shutil.which(proxy.__name__):
        pytest.skip(f"no {proxy.__name__}: sudo apt install {proxy.__name__}")
    web = f'password = "{hash_password(PASSWORD)}"\nhosts = ["kitchen.example.org"]\n'
    with running(tmp_path, web) as page, proxy(tmp_path, certificate, page.base_url.port or 0) as port:
        headers = {"Host": "kitchen.example.org"}
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False, headers=headers) as client:  # noqa: S501
            assert client.get("/api/state").status_code == 401
            other = client.get("/api/state", headers={"Host": "other.example.org"})
            assert other.status_code == 421 or not other.content, "Caddy itself answers with nothing"
            origin = {"Origin": "https://kitchen.example.org"}
            login = client.post("/login", data={"password": PASSWORD}, headers=origin)
            assert login.status_code == 303
            assert "secure" in login.headers["set-cookie"].lower()
            session = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
            with client.stream("GET", "/api/events", headers=session) as events:
                # The answer has no end: a proxy that kept it back would let httpx run out of time.
                assert next(events.iter_lines()).startswith("data: ")
            with client.stream("GET", "/stream.mjpg", headers=session) as stream:
                assert next(stream.iter_bytes()).startswith(b"--frame")
        assert answers(page)
