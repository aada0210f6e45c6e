"""Downloads that were cut go on where they ended, each from its own file; nothing is taken that was not signed."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.clock import Clock
from tests.conftest import wait_until
from tests.update_server import UpdateServer, serve_updates
from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError

from fer_edge import __version__
from fer_edge.updates import fetcher
from fer_edge.updates.fetcher import FetchError, open_fetcher, remove_partial

SIZE = 300_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UpdateServer]:
    for number, name in enumerate("ab"):
        path = tmp_path / "repo" / "bundles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.random.default_rng(number).bytes(SIZE))
    with serve_updates(tmp_path / "repo") as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def fetch(cache: Path, url: str, size: int = SIZE) -> bytes:
    with open_fetcher(cache).download_file(url, size) as file:
        return bytes(file.read())


def cut(server: UpdateServer, cache: Path, name: str, after: int) -> None:
    server.cut[f"bundles/{name}"] = after
    with pytest.raises(FetchError, match=f"was cut after {after} of {SIZE} bytes. The next update continues there"):
        fetch(cache, f"{server.url}/bundles/{name}")


def test_a_cut_download_goes_on_with_its_own_file(server: UpdateServer, cache: Path) -> None:
    for name, after in (("a", 100_000), ("b", 200_000)):
        cut(server, cache, name, after)
    for name, after in (("a", 100_000), ("b", 200_000)):
        assert fetch(cache, f"{server.url}/bundles/{name}") == (server.folder / "bundles" / name).read_bytes()
        assert server.requests(f"bundles/{name}") == ["", f"bytes={after}-"]
    assert list(cache.iterdir()) == [], "what tuf refuses is not continued"


def test_what_is_whole_or_too_long_already_is_fetched_again(server: UpdateServer, cache: Path) -> None:
    for kept in (SIZE, SIZE + 9):
        cut(server, cache, "a", 100_000)
        (part,) = cache.iterdir()
        part.write_bytes(b"x" * kept)
        assert fetch(cache, f"{server.url}/bundles/a") == (server.folder / "bundles" / "a").read_bytes()
    cut(server, cache, "a", 5)
    remove_partial(cache)
    assert list(cache.iterdir()) == []


def test_more_than_was_signed_is_not_taken_and_not_kept(server: UpdateServer, cache: Path) -> None:
    with pytest.raises(DownloadLengthMismatchError, match="is longer than the 299999 bytes that were signed"):
        fetch(cache, f"{server.url}/bundles/a", SIZE - 1)
    (part,) = cache.iterdir()
    assert part.stat().st_size == 0


def test_a_server_that_cannot_continue_is_read_from_the_beginning(server: UpdateServer, cache: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(server.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        thread = threading.Thread(target=plain.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{plain.server_address[1]}/bundles/a"
            whole = (server.folder / "bundles" / "a").read_bytes()
            with pytest.raises(FetchError, match="was cut after 300000 of 300001 bytes"):
                fetch(cache, url, SIZE + 1)
            assert fetch(cache, url) == whole
            with pytest.raises(FetchError, match="was cut after 300000 of 300001 bytes"):
                fetch(cache, url, SIZE + 1)
            (part,) = cache.iterdir()
            part.write_bytes(b"x" * 1000)
            assert fetch(cache, url) == whole
        finally:
            plain.shutdown()
            thread.join()


def test_a_stick_is_continued_too_and_what_it_lacks_is_absent(server: UpdateServer, cache: Path) -> None:
    url = f"file://{server.folder}/bundles/a"
    with pytest.raises(FetchError, match="was cut after 300000 of 300009 bytes"):
        fetch(cache, url, SIZE + 9)
    (part,) = cache.iterdir()
    whole = (server.folder / "bundles" / "a").read_bytes()
    part.write_bytes(whole[:1000])
    assert fetch(cache, url) == whole
    with pytest.raises(DownloadHTTPError) as caught:
        fetch(cache, f"file://{server.folder}/bundles/c")
    assert caught.value.status_code == 404


# One answer


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A web server on loopback; yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        if context:
            http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"{'https' if context else 'http'}://127.0.0.1:{http.server_address[1]}"
        finally:
            http.shutdown()
            thread.join()


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Somebody who answers one connection with these bytes."""

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def failure(cache: Path, url: str) -> Exception:
    """Why a file cannot be fetched."""
    with pytest.raises((FetchError, DownloadError)) as caught:
        b"".join(open_fetcher(cache).fetch(url))
    cause = caught.value.__cause__
    return cause if isinstance(cause, FetchError) else caught.value


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of downloads, which stands still."""
    clock = Clock()
    monkeypatch.setattr(fetcher, "time", clock)
    return clock


def test_a_server_hears_who_asks_and_that_nothing_may_be_compressed(cache: Path) -> None:
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content")

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        assert b"".join(open_fetcher(cache).fetch(f"{url}/a")) == b"content"
        with open_fetcher(cache).download_file(f"{url}/bundles/a", 100) as file:
            assert file.read() == b"content"
    for headers in heard:
        assert headers["User-Agent"] == f"fer-edge/{__version__}"
        assert headers["Accept-Encoding"] == "identity"
        assert "Range" not in headers
    assert len(heard) == 2


@pytest.mark.parametrize(
    ("code", "said"), [(404, "the server answers 404 Not Found"), (799, "the server answers 799 ")]
)
def test_the_answer_of_a_server_that_has_no_file_is_said(cache: Path, code: int, said: str) -> None:
    with answering(f"HTTP/1.1 {code} Whatever\r\nContent-Length: 0\r\n\r\n".encode()) as url:
        error = failure(cache, f"{url}/a")
    assert isinstance(error, DownloadHTTPError)
    assert error.status_code == code
    assert str(error) == f"{url}/a: {said}"


def test_a_file_that_is_no_file_is_named(tmp_path: Path, cache: Path) -> None:
    error = failure(cache, f"file://{tmp_path}/no%20such")
    assert isinstance(error, DownloadHTTPError)
    assert (error.status_code, str(error)) == (404, f"{tmp_path}/no such: the server answers 404 Not Found")
    assert str(failure(cache, f"file://{tmp_path}")) == f"{tmp_path}: cannot be read (Is a directory)"


def test_where_a_server_sends_us_is_said(server: UpdateServer, cache: Path) -> None:
    server.redirect = "/a"
    said = str(failure(cache, f"{server.url}/bundles/a"))
    assert said == (
        "the server sends us to http://elsewhere.invalid/, and redirects are not followed. Is updates.url right?"
    )


FIX = "Check the network and updates.url"


def test_why_there_is_no_answer_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a"
        with monkeypatch.context() as patch:
            patch.setattr(fetcher, "_TIMEOUT_S", 0.1)
            assert str(failure(cache, url)) == f"{url}: cannot be fetched (no answer). {FIX}"
    assert str(failure(cache, url)) == f"{url}: cannot be fetched (Connection refused). {FIX}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "Remote end closed connection without response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
    ],
)
def test_an_answer_that_is_no_http_is_one_line(cache: Path, answer: bytes, why: str) -> None:
    with answering(answer) as url:
        said = str(failure(cache, f"{url}/a"))
    assert said == f"{url}/a: cannot be fetched ({why}). {FIX}"


# Its speed


def read_all(pieces: Iterator[bytes], size: int) -> None:
    """Read so many bytes, and not what may come after them."""
    while size:
        size -= len(next(pieces))


@pytest.mark.parametrize(
    ("size", "seconds", "is_left"),
    [(14_999, 30.0, False), (14_999, 31.0, True), (15_500, 31.0, False), (15_499, 31.0, True)],
)
def test_a_server_of_less_than_500_bytes_per_second_is_left_after_half_a_minute(
    server: UpdateServer, cache: Path, clock: Clock, size: int, seconds: float, is_left: bool
) -> None:
    (server.folder / "metadata").write_bytes(b"x" * size)
    url = f"{server.url}/metadata"
    for rate_limit in (None, 10_000.0):
        pieces = open_fetcher(cache, rate_limit).fetch(url)
        began = clock.now
        read_all(pieces, size)
        clock.now = began + seconds
        if is_left:
            with pytest.raises(FetchError) as caught:
                next(pieces)
            speed = f"{size / seconds:.0f}"
            assert str(caught.value) == f"{url}: the server sends {speed} bytes per second. Try again later"
        else:
            assert next(pieces, None) is None


def test_who_limits_downloads_to_less_leaves_a_server_that_is_slower_than_that(
    server: UpdateServer, cache: Path, clock: Clock
) -> None:
    (server.folder / "metadata").write_bytes(b"x" * 10_000)
    for seconds, is_left in ((50.0, False), (50.1, True)):
        pieces = open_fetcher(cache, 200.0).fetch(f"{server.url}/metadata")
        began = clock.now
        read_all(pieces, 10_000)
        clock.now = began + seconds
        if is_left:
            with pytest.raises(FetchError, match="the server sends 200 bytes per second"):
                next(pieces)
        else:
            assert next(pieces, None) is None


@pytest.mark.parametrize("name", ["metadata", "bundles/a"])
def test_metadata_and_models_keep_to_the_limit(server: UpdateServer, cache: Path, clock: Clock, name: str) -> None:
    (server.folder / "metadata").write_bytes(b"x" * SIZE)
    with open_fetcher(cache, 2000.0).download_file(f"{server.url}/{name}", SIZE) as file:
        assert len(file.read()) == SIZE
    assert clock.now == pytest.approx(100 + SIZE / 2000)


def test_metadata_have_ten_minutes_together_and_models_have_no_such_limit(
    server: UpdateServer, cache: Path, clock: Clock
) -> None:
    (server.folder / "metadata").write_bytes(b"signed")
    url = f"{server.url}/metadata"
    patient = open_fetcher(cache)
    clock.now += 590
    assert b"".join(patient.fetch(url)) == b"signed"
    clock.now += 11
    with pytest.raises(DownloadError) as caught:
        patient.fetch(url)
    assert str(caught.value.__cause__) == f"{url}: the server is too slow. Try again later"
    with patient.download_file(f"{server.url}/bundles/a", SIZE) as file:
        assert len(file.read()) == SIZE


# TLS


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """What a server for 127.0.0.1 needs; who trusts cert.pem in the test's folder trusts it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=repository")
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "key.pem").write_bytes(key.private_bytes(encoding, plain, serialization.NoEncryption()))
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def silent_handler(folder: Path) -> Callable[..., SimpleHTTPRequestHandler]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    return partial(Handler, directory=str(folder))


def test_a_repository_over_tls_needs_a_trusted_certificate(
    server: UpdateServer, cache: Path, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(silent_handler(server.folder), tls) as url:  # type: ignore[arg-type]
        said = str(failure(cache, f"{url}/bundles/a"))
        assert "certificate verify failed" in said
        assert said.endswith(FIX)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert fetch(cache, f"{url}/bundles/a") == (server.folder / "bundles" / "a").read_bytes()


def test_a_server_that_stops_within_tls_is_left(
    cache: Path, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    monkeypatch.setattr(fetcher, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(fetcher, "_TIMEOUT_S", 120.0)
    was_left: list[bool] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.connection.settimeout(15)
            try:
                was_left.append(self.rfile.read(1) == b"")
            except TimeoutError:
                was_left.append(False)
            except OSError:
                was_left.append(True)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler, tls) as url:
        assert str(failure(cache, f"{url}/a")) == f"{url}/a: the server is too slow. Try again later"
        wait_until(lambda: bool(was_left))
    assert was_left == [True]
