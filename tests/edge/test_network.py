"""What is at an http URL: a picture, a film or a camera. A server of this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.gif import write_gif

from fer_edge import images
from fer_edge.config import CameraConfig, RunConfig
from fer_edge.errors import SourceError
from fer_edge.sources import open_source
from fer_edge.sources.camera import CameraSource

IMAGE = np.full((48, 64, 3), (10, 120, 240), np.uint8)
INDEX_OUT_OF_REACH = (
    "its index (moov) is at its end, and this server sends no parts of files. Download it first, or move the index: "
    "ffmpeg -i IN.mp4 -c copy -movflags +faststart OUT.mp4"
)


class Files(SimpleHTTPRequestHandler):
    """A server of files, which knows no ranges."""

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a folder, without its scheme."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as address:
        yield address


def test_a_picture_at_a_url_is_a_still_of_its_name(tmp_path: Path, site: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE)
    with open_source(f"http://ada:secret@{site}/a.png") as source:
        assert (source.stills, source.live, source.frames) == (True, False, 1)
        assert source.description == f"http://{site}/a.png"
        (frame,) = source
    assert (frame.name, frame.still, frame.index) == ("a.png", True, 0)
    assert np.array_equal(frame.image, IMAGE)


def test_a_damaged_picture_at_a_url_is_refused(tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", IMAGE)[1].tobytes()[:60])
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(60))
    monkeypatch.setattr(images, "has_heif", lambda: False)
    missing = "HEIC and AVIF need the package pillow-heif. Fix: pip install '.[heif]'"
    for name, why in (("a.png", "is not a readable image"), ("a.heic", missing)):
        with pytest.raises(SourceError) as caught:
            open_source(f"http://ada:secret@{site}/{name}")
        assert str(caught.value) == f"http://{site}/{name}: {why}"


def write_film(path: Path, codec: str) -> None:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for level in range(0, 200, 10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def test_a_film_at_a_url_hands_over_every_frame_in_its_time(tmp_path: Path, site: str) -> None:
    write_film(tmp_path / "a.avi", "MJPG")
    with open_source(f"http://ada:secret@{site}/a.avi") as source:
        assert (source.live, source.stills, source.fps, source.frames) == (False, False, 10, 20)
        assert source.description == f"http://{site}/a.avi"
        times = [frame.captured_at for frame in source]
    assert times == pytest.approx([number / 10 for number in range(20)])


def test_a_film_whose_index_is_out_of_reach_says_how_to_move_it(tmp_path: Path, site: str) -> None:
    write_film(tmp_path / "a.mp4", "mp4v")
    with (tmp_path / "a.mp4").open("r+b") as file:
        content = file.read()
        place = content.index(b"mdat") - 4
        filler = 1 << 20  # more than FFmpeg reads in search of the index
        file.seek(place)
        file.write(filler.to_bytes(4, "big") + b"free" + bytes(filler - 8) + content[place:])
    with pytest.raises(SourceError) as caught, open_source(f"http://ada:secret@{site}/a.mp4") as source:
        list(source)
    assert INDEX_OUT_OF_REACH in str(caught.value)
    assert str(caught.value).startswith(f"http://{site}/a.mp4")


def test_every_picture_of_a_gif_is_a_frame(tmp_path: Path, site: str) -> None:
    write_gif(tmp_path / "a.gif", (20, None, 20))
    with open_source(f"http://ada:secret@{site}/a.gif") as source:
        assert source.description == f"http://{site}/a.gif"
        assert len(list(source)) == 3
    write_gif(tmp_path / "cut.gif", (20, 20, 20), end=b"\x2c\0\0")
    with open_source(f"http://{site}/cut.gif") as source, pytest.raises(SourceError, match=r"the file is truncated"):
        list(source)


def test_what_cannot_be_opened_is_a_camera_for_which_one_can_wait(tmp_path: Path, site: str) -> None:
    (tmp_path / "page.html").write_text("a page")
    for name in ("page.html", "nowhere"):
        source = open_source(RunConfig(source=f"http://ada:secret@{site}/{name}", camera=CameraConfig(fps=7)))
        assert isinstance(source, CameraSource)
        assert (source.description, source.live, source.fps) == (f"http://{site}/{name}", True, 7)


def test_a_film_without_an_index_in_its_beginning_is_refused_if_the_server_sends_no_parts(
    tmp_path: Path, site: str
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x10ftypmp42\0\0\0\0" + b"\0\1\0\0mdat" + bytes(65528))
    with pytest.raises(SourceError) as caught:
        open_source(f"http://ada:secret@{site}/a.mp4")
    assert str(caught.value) == f"http://{site}/a.mp4 cannot be opened: {INDEX_OUT_OF_REACH}"


@pytest.mark.parametrize(("name", "kind"), [("a.png", "image"), ("a.gif", "GIF file")])
def test_a_picture_that_does_not_arrive_whole_is_refused(
    tmp_path: Path, site: str, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says that more will come than it sends."""
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE)
    write_gif(tmp_path / "a.gif", (20, 20, 20))
    send = Files.send_header

    def claim_more(self: Files, header: str, value: str) -> None:
        send(self, header, str(int(value) + 100) if header == "Content-Length" else value)

    monkeypatch.setattr(Files, "send_header", claim_more)
    with pytest.raises(SourceError) as caught:
        open_source(f"http://ada:secret@{site}/{name}")
    assert str(caught.value).startswith(f"http://{site}/{name}: this {kind} could not be downloaded whole")


def test_only_the_beginning_of_a_film_is_asked_for_to_know_what_it_is(
    tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_film(tmp_path / "a.avi", "MJPG")
    asked = []
    get = Files.do_GET

    def remember(self: Files) -> None:
        if self.headers["User-Agent"].startswith("Python"):
            asked.append(self.headers["Range"])
        get(self)

    monkeypatch.setattr(Files, "do_GET", remember)
    assert not open_source(f"http://{site}/a.avi").live
    assert asked == ["bytes=0-65535"]
