"""A web server for a repository that can continue downloads, and that can be told to misbehave."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class UpdateServer:
    """Its faults concern the paths that contain a text.

    Attributes:
        folder: what it serves.
        redirect: is sent elsewhere.
        endless: never ends.
        cut: ends after so many bytes of the answer, once.
        other: is answered with other bytes of the same length.
        slow: sends a byte now and then.
        instead: what is sent for whole paths instead of their files.
        asked: the requests, with the range that was asked for.
        sent: so many endless bytes.
    """

    folder: Path
    port: int = 0
    redirect: str = "\0"
    endless: str = "\0"
    cut: dict[str, int] = field(default_factory=dict)
    other: str = "\0"
    slow: str = "\0"
    instead: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self, part: str) -> list[str]:
        """The ranges that were asked for of paths that contain a text."""
        return [given for path, given in self.asked if part in path]


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *args: object, serves: UpdateServer) -> None:
        self.serves = serves
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        serves, path = self.serves, self.path
        given = self.headers.get("Range", "")
        serves.asked.append((path, given))
        file, instead = serves.folder / path.lstrip("/"), serves.instead.get(path.lstrip("/"))
        if serves.redirect in path:
            self.send_response(302)
            self.send_header("Location", "http://elsewhere.invalid/")
            self.end_headers()
            return
        if serves.endless in path:
            self._send_without_end()
            return
        if instead is None and not file.is_file():
            self.send_error(404)
            return
        content = file.read_bytes() if instead is None else instead
        if serves.other in path:
            content = bytes(byte ^ 1 for byte in content)
        start = int(re.sub(r"\D", "", given) or 0)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        with suppress(OSError):
            self._send(path, content[start:])

    def _send_without_end(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # until the client has had enough
            while True:
                self.wfile.write(b"{" * 65536)
                self.serves.sent += 65536

    def _send(self, path: str, content: bytes) -> None:
        if self.serves.slow in path:
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(0.2)
        cut = next((part for part in self.serves.cut if part in path), None)
        self.wfile.write(content if cut is None else content[: self.serves.cut.pop(cut)])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve_updates(folder: Path) -> Iterator[UpdateServer]:
    """Serve a folder on loopback."""
    server = UpdateServer(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, serves=server)) as http:
        http.daemon_threads = True
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
