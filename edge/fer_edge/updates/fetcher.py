"""Fetch the files of a repository over http, https or from a folder, with limits, and continue cut downloads.

`tuf` verifies what was fetched; here it only matters that nobody can make the updater wait for ever, fill the disk or
go elsewhere. Proxies come from the environment (http_proxy, https_proxy, no_proxy).
"""

from __future__ import annotations

import http.client
import math
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from fer_edge import __version__
from fer_edge.errors import FerError, reason

if TYPE_CHECKING:
    from tuf.ngclient import FetcherInterface

# Seconds until a server must have answered, and between two pieces of its answer.
_TIMEOUT_S = 20.0
# After so many seconds an answer must have come at so many bytes per second at least; and all headers, and each piece.
_PATIENCE_S, _SLOWEST = 30.0, 500.0
# All files but the models must have come after so many seconds together: there may be 256 roots.
_METADATA_S = 600.0
_CHUNK = 65536
# Downloads of at least so many bytes are continued when they were cut.
_RESUMABLE = 100_000
_PARTIAL = ".part"
_Read = TypeVar("_Read")


class FetchError(FerError):
    """A file cannot be fetched."""


class _Watchdog:
    """Shuts a connection down if something takes too long.

    A socket's own timeout is no limit: it begins again with each byte.
    """

    def __init__(self) -> None:
        self.is_late = False
        self._socket: socket.socket | None = None

    def watch(self, connected: socket.socket) -> None:
        """Watch this connection; by a duplicate, since TLS takes the original over."""
        self._socket = connected.dup()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Shut the connection down after so many seconds in this block."""
        timer = threading.Timer(seconds, self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Forget the connection."""
        if self._socket:
            self._socket.close()

    def _shut(self) -> None:
        self.is_late = True
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _opener(watchdog: _Watchdog) -> urllib.request.OpenerDirector:
    """Open URLs without following redirects, and let the watchdog know each connection before TLS begins."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watchdog.watch(self.sock)

    class Tls(http.client.HTTPSConnection, Plain):
        pass

    class Http(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, request)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Tls, request)

    return urllib.request.build_opener(_NoRedirect, Http, Https)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        _request: urllib.request.Request,
        _answer: IO[bytes],
        _code: int,
        _message: str,
        _headers: http.client.HTTPMessage,
        url: str,
    ) -> None:
        """Refuse it."""
        raise FetchError(f"the server sends us to {url}, and redirects are not followed. Is updates.url right?")


def open_fetcher(cache: Path, rate_limit: float | None = None) -> FetcherInterface:
    """Make a fetcher for `tuf`.

    Args:
        cache: the folder in which cut downloads are kept.
        rate_limit: largest number of bytes per second; None for no limit.

    Raises:
        ModuleNotFoundError: tuf is not installed.
    """
    from tuf.api.exceptions import DownloadLengthMismatchError  # noqa: PLC0415 - an optional package
    from tuf.ngclient import FetcherInterface  # noqa: PLC0415

    until = time.monotonic() + _METADATA_S

    class Fetcher(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            return _pieces(url, 0, rate_limit, until)[1]

        @contextmanager
        def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
            if max_length < _RESUMABLE or "/bundles/" not in url:
                with super().download_file(url, max_length) as file:
                    yield file
                return
            part = cache / f"{sha256(url.encode()).hexdigest()[:16]}{_PARTIAL}"
            with part.open("a+b") as file:
                self._continue(url, file, max_length)
                file.seek(0)
                try:
                    yield file  # tuf verifies it
                finally:
                    part.unlink()

        def _continue(self, url: str, file: IO[bytes], max_length: int) -> None:
            have = file.seek(0, 2)
            if have >= max_length:
                have = file.truncate(0)
            begins, pieces = _pieces(url, have, rate_limit, math.inf)
            if begins != have:  # the server sends it from the beginning
                have = file.truncate(0)
            for piece in pieces:
                have += len(piece)
                if have > max_length:
                    file.truncate(0)
                    raise DownloadLengthMismatchError(f"{url}: is longer than the {max_length} bytes that were signed")
                file.write(piece)
            if have < max_length:
                raise FetchError(f"{url}: was cut after {have} of {max_length} bytes. The next update continues there")

    return Fetcher()


def remove_partial(cache: Path) -> None:
    """Remove cut downloads."""
    for path in cache.glob(f"*{_PARTIAL}"):
        path.unlink(missing_ok=True)


def _pieces(url: str, start: int, rate_limit: float | None, until: float) -> tuple[int, Iterator[bytes]]:
    """The byte with which the answer begins, and its pieces, until then. Raises FetchError, also while it is read."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return start, _read_file(Path(unquote(parts.path)), start)
    headers = {"User-Agent": f"fer-edge/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the configuration allows http and https
    if start:
        request.add_header("Range", f"bytes={start}-")
    watchdog = _Watchdog()
    try:
        response = _within(url, watchdog, until, lambda: _opener(watchdog).open(request, timeout=_TIMEOUT_S))
    except Exception:
        watchdog.close()
        raise
    begins = start if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
    return begins, _read(url, response, watchdog, rate_limit, until)


def _http_error(url: str, code: int) -> Exception:
    from tuf.api.exceptions import DownloadHTTPError  # noqa: PLC0415 - an optional package

    return DownloadHTTPError(f"{url}: the server answers {code} {http.client.responses.get(code, '')}", code)


def _read(
    url: str, response: http.client.HTTPResponse, watchdog: _Watchdog, rate_limit: float | None, until: float
) -> Iterator[bytes]:
    began, received = time.monotonic(), 0
    with closing(watchdog), response:
        while piece := _within(url, watchdog, until, lambda: response.read1(_CHUNK)):
            received += len(piece)
            yield piece
            elapsed = time.monotonic() - began
            if rate_limit and received / rate_limit > elapsed:
                time.sleep(received / rate_limit - elapsed)
            elif elapsed > _PATIENCE_S and received / elapsed < min(_SLOWEST, rate_limit or _SLOWEST):
                raise FetchError(f"{url}: the server sends {received / elapsed:.0f} bytes per second. Try again later")


def _within(url: str, watchdog: _Watchdog, until: float, read: Callable[[], _Read]) -> _Read:
    """Read something before the watchdog loses its patience."""
    slow = FetchError(f"{url}: the server is too slow. Try again later")
    if (left := until - time.monotonic()) <= 0:
        raise slow
    try:
        with watchdog.limit(min(_PATIENCE_S, left)):
            found = read()
    except urllib.error.HTTPError as error:
        error.close()
        raise _http_error(url, error.code) from None
    except (OSError, http.client.HTTPException) as error:
        if not watchdog.is_late:
            raise _unreachable(url, error) from error
    if watchdog.is_late:  # what was read may end anywhere
        raise slow
    return found


def _unreachable(url: str, error: Exception) -> FetchError:
    inner = getattr(error, "reason", error)  # of urllib's URLError
    why = "no answer" if isinstance(inner, TimeoutError) else reason(inner).strip()
    return FetchError(f"{url}: cannot be fetched ({why or type(inner).__name__}). Check the network and updates.url")


def _read_file(path: Path, start: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            while piece := file.read(_CHUNK):
                yield piece
    except FileNotFoundError:
        raise _http_error(str(path), http.HTTPStatus.NOT_FOUND) from None
    except OSError as error:
        raise FetchError(f"{path}: cannot be read ({reason(error)})") from error
