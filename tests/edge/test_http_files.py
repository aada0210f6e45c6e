"""What is asked of a web server about a file, and what its answer means."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fer_edge.sources.http_files import Answer, ask, download

CONTENT = bytes(range(256)) * 400  # 102 400 bytes, more than a container's header
HEAD = 65_536


class Server(ThreadingHTTPServer):
    """Serves one file, and remembers what it was asked."""

    knows_ranges = True
    says_length = True
    cut_at: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/film.mp4"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(
            (self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        )
        part = self.headers["Range"] if self.server.knows_ranges else None
        content = CONTENT[:HEAD] if part == f"bytes=0-{HEAD - 1}" else CONTENT
        self.send_response(206 if part else 200)
        self.send_header("Content-Type", "Video/MP4")
        if part:
            self.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{len(CONTENT)}")
        if self.server.says_length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: self.server.cut_at])

    do_HEAD = do_GET  # noqa: N815 - as the server wants it

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_server_is_asked_for_the_beginning_alone(server: Server) -> None:
    assert ask(server.url, "GET") == Answer(len(CONTENT), "video/mp4", CONTENT[:HEAD], has_ranges=True)
    server.knows_ranges = False
    assert ask(server.url, "GET") == Answer(len(CONTENT), "video/mp4", CONTENT[:HEAD], has_ranges=False)
    assert ask(server.url, "HEAD") == Answer(len(CONTENT), "video/mp4", b"", has_ranges=False)
    assert [(method, headers.get("range")) for method, _, headers in server.asked] == [
        ("GET", "bytes=0-65535"),
        ("GET", "bytes=0-65535"),
        ("HEAD", None),
    ]


def test_user_and_password_are_sent_and_are_no_part_of_the_address(server: Server) -> None:
    ask(server.url.replace("//", "//me:s%3Acret@") + "?a=b", "HEAD")
    ((_, path, headers),) = server.asked
    assert path == "/film.mp4?a=b"
    assert headers["authorization"] == "Basic " + base64.b64encode(b"me:s:cret").decode()
    assert headers["host"] == f"127.0.0.1:{server.server_port}"
    ask(server.url, "HEAD")
    assert "authorization" not in server.asked[-1][2]


def test_a_file_without_a_length_has_no_size(server: Server) -> None:
    server.knows_ranges = server.says_length = False
    answer = ask(server.url, "GET")
    assert answer is not None
    assert (answer.size, len(answer.head)) == (None, HEAD)


def test_a_download_is_whole_or_nothing(server: Server) -> None:
    assert download(server.url, len(CONTENT)) == CONTENT
    assert download(server.url, len(CONTENT) - 1) is None, "too large"
    assert all("range" not in headers for _, _, headers in server.asked)
    server.cut_at = 1000
    assert download(server.url, len(CONTENT)) is None
    server.cut_at, server.says_length = None, False
    assert download(server.url, len(CONTENT)) == CONTENT, "its length is unknown"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://[", "http://127.0.0.1:99999/x"])
def test_what_does_not_answer_gives_nothing(url: str) -> None:
    assert ask(url, "GET") is None
    assert download(url, 10) is None
