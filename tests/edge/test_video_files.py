"""Videos as files: whole or cut, with or without times, on the disk or at a URL."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run
from tests.gif import write_gif

from fer_edge import RunConfig, open_source
from fer_edge.errors import SourceError
from fer_edge.sources.containers import read_header
from fer_edge.sources.demo import DemoSource, Scene
from fer_edge.types import FaceBox


class Files(SimpleHTTPRequestHandler):
    """A server of files, which knows no ranges."""

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The URL of the test's folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def served(
    content: bytes, *, kind: str = "", has_length: bool = True, breaks_after: int | None = None
) -> Iterator[str]:
    """The URL of a file of a media type; `breaks_after` so many bytes the connection is closed."""

    class Answer(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            if kind:
                self.send_header("Content-Type", kind)
            if has_length:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[:breaks_after])

        do_HEAD = do_GET  # noqa: N815 - as the server wants it

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a"
        server.shutdown()


def write_film(path: Path, codec: str, frames: int = 60, fps: float = 20) -> Path:
    """Noise, so that every frame takes its share of the file."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    return path


def cut(path: Path) -> Path:
    content = path.read_bytes()
    short = path.with_stem(f"{path.stem}-cut")
    short.write_bytes(content[: len(content) * 6 // 10])
    return short


def with_index_first(path: Path) -> Path:
    """Move an MP4 file's index to its beginning, so that a cut file still opens: moov before mdat, ISO/IEC 14496-12."""
    content, boxes, place = path.read_bytes(), {}, 0
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        boxes[content[place + 4 : place + 8]] = content[place : place + size]
        place += size
    moov = bytearray(boxes[b"moov"])
    offsets = moov.index(b"stco") + 8
    for entry in range(int.from_bytes(moov[offsets : offsets + 4], "big")):
        start = offsets + 4 + 4 * entry
        moved = int.from_bytes(moov[start : start + 4], "big") + len(moov)
        moov[start : start + 4] = moved.to_bytes(4, "big")
    rest = b"".join(box for kind, box in boxes.items() if kind not in {b"ftyp", b"moov"})
    path.write_bytes(boxes[b"ftyp"] + moov + rest)
    return path


FILMS = [("film.mp4", "mp4v"), ("film.webm", "VP90"), ("film.mkv", "mp4v"), ("film.avi", "MJPG"), ("film.flv", "FLV1")]


@pytest.mark.parametrize("at_url", [False, True])
@pytest.mark.parametrize(("name", "codec"), FILMS)
def test_a_whole_film_ends_and_a_cut_one_is_an_error(
    name: str, codec: str, at_url: bool, tmp_path: Path, site: str
) -> None:
    whole = write_film(tmp_path / name, codec)
    if name.endswith(".mp4"):
        with_index_first(whole)
    short = cut(whole)
    where = site if at_url else str(tmp_path)
    with open_source(RunConfig(source=f"{where}/{whole.name}")) as source:
        times = [frame.captured_at for frame in source]
    assert not source.live
    np.testing.assert_allclose(times, np.arange(60) / 20, atol=0.002)
    count = 0
    with (
        open_source(RunConfig(source=f"{where}/{short.name}")) as source,
        pytest.raises(SourceError, match=r"ended after .* truncated"),
    ):
        for _ in source:
            count += 1
    assert 5 < count < 60


def test_an_index_that_the_server_cannot_send_is_named(command: Run, tmp_path: Path, site: str) -> None:
    """The pictures come first, and a server without ranges must send them all before the index."""
    write_film(tmp_path / "film.mp4", "mp4v", frames=400)
    done = command("fer-edge", "run", f"{site}/film.mp4")
    assert done.returncode == 3
    assert "its index (moov) is at its end, and this server sends no parts of files" in done.stderr
    with_index_first(tmp_path / "film.mp4")
    done = command("fer-edge", "run", f"{site}/film.mp4", "--json", "-")
    assert (len(done.stdout.splitlines()), done.returncode) == (400, 0), done.stderr


def test_an_index_that_does_not_arrive_in_time_is_named(command: Run, tmp_path: Path) -> None:
    """As of a film so large that its index is minutes away."""
    content = write_film(tmp_path / "film.mp4", "mp4v", frames=400).read_bytes()

    class Slow(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(content[:100_000])
                self.connection.settimeout(30)
                self.rfile.read()  # until the client gives up

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = command("fer-edge", "run", f"http://127.0.0.1:{server.server_port}/film.mp4")
        server.shutdown()
    assert done.returncode == 3
    assert "its index (moov) is at its end, and this server sends no parts of files" in done.stderr


def test_sound_that_is_longer_than_the_picture_is_no_loss_at_a_url(command: Run, tmp_path: Path, site: str) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg: sudo apt install ffmpeg")
    inputs = ["-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2", "-f", "lavfi", "-i", "sine=duration=60"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, str(tmp_path / "a.webm")], check=True)
    done = command("fer-edge", "run", f"{site}/a.webm", "--json", "-")
    assert (len(done.stdout.splitlines()), done.returncode) == (20, 0), done.stderr


def test_the_scheme_of_a_url_may_be_in_capitals(command: Run, tmp_path: Path, site: str) -> None:
    write_film(tmp_path / "film.mkv", "mp4v", frames=20)
    done = command("fer-edge", "run", f"{site.replace('http', 'HTTP')}/film.mkv", "--json", "-")
    assert (len(done.stdout.splitlines()), done.returncode) == (20, 0), done.stderr


def test_a_connection_that_breaks_is_an_error(command: Run, tmp_path: Path) -> None:
    """The server promises more than it sends."""
    content = write_film(tmp_path / "film.mkv", "mp4v").read_bytes()

    class Breaks(Files):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])

    with ThreadingHTTPServer(("127.0.0.1", 0), Breaks) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = command("fer-edge", "run", f"http://127.0.0.1:{server.server_port}/film.mkv", "--json", "-")
        server.shutdown()
    assert done.returncode == 3
    assert 5 < len(done.stdout.splitlines()) < 60
    assert "film.mkv: had " in done.stderr


def test_a_picture_at_a_url_is_a_picture(command: Run, tmp_path: Path, site: str) -> None:
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.full((200, 300, 3), 128, np.uint8))
    done = command("fer-edge", "run", f"{site}/photo.jpg")
    assert done.returncode == 0, done.stderr
    assert "│ photo.jpg " in done.stdout
    assert "1 frame in" in done.stderr


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".ppm"])
def test_a_picture_at_a_url_is_read_or_refused_as_one(suffix: str, has_length: bool, command: Run) -> None:
    """FFmpeg reads some of them in part, and others not at all."""
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    content = cv2.imencode(suffix, noise)[1].tobytes()
    with served(content, kind="image/x", has_length=has_length) as url, open_source(url) as source:
        assert [frame.image.shape for frame in source] == [(200, 300, 3)]
        assert source.stills
    with served(content[: len(content) // 2], kind="image/x", has_length=has_length) as url:
        done = command("fer-edge", "run", url)
    assert done.returncode == 3
    assert done.stderr == f"error: {url}: is not a readable image\n"


@pytest.mark.parametrize("at_url", [True, False])
def test_a_heic_picture_without_its_package_is_no_film(at_url: bool, tmp_path: Path) -> None:
    """FFmpeg would show one tile of it."""
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    (tmp_path / "photo").write_bytes(content)
    program = "import sys; sys.modules['pillow_heif'] = None; from fer_edge.__main__ import run; run()"
    with served(content) as url:
        words = [sys.executable, "-c", program, "run", url if at_url else str(tmp_path / "photo")]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "HEIC and AVIF need the package pillow-heif. Fix: pip install '.[heif]'" in done.stderr


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Forty JPEG pictures, one after the other."""
    rng = np.random.default_rng(0)
    pictures = (cv2.imencode(".jpg", rng.integers(0, 255, (48, 64, 3), np.uint8))[1] for _ in range(40))
    path = tmp_path / "raw.mjpeg"
    path.write_bytes(b"".join(picture.tobytes() for picture in pictures))
    return path


def test_the_rate_of_a_raw_stream_is_logged_and_can_be_given(command: Run, raw: Path) -> None:
    assumed = command("fer-edge", "run", raw, "--json", "-")
    assert "25 frames per second assumed. Another rate: --source-fps" in assumed.stderr
    assert json.loads(assumed.stdout.splitlines()[-1])["elapsed_s"] == pytest.approx(39 / 25)
    given = command("fer-edge", "run", raw, "--source-fps", 10, "--json", "-")
    assert "assumed" not in given.stderr
    assert json.loads(given.stdout.splitlines()[-1])["elapsed_s"] == pytest.approx(3.9)


def test_a_rate_for_what_has_its_own_is_refused(command: Run, demo_video: Path) -> None:
    for source, said in ((demo_video, "has times of its own"), ("demo", "the built-in demo is none")):
        done = command("fer-edge", "run", source, "--source-fps", 10)
        assert done.returncode == 2
        assert said in done.stderr


@pytest.mark.parametrize(
    ("start", "is_raw"),
    [(b"\0\0\0\1\x67", True), (b"\0\0\1\xb3", True), (b"\xff\xd8\xff\xe0", True), (b"GIF89a", False), (b"", False)],
)
def test_what_has_no_times_is_known_by_its_beginning(start: bytes, is_raw: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(start + bytes(20 if start else 0))
    with (tmp_path / "file").open("rb") as file:
        assert read_header(file, 30).is_raw == is_raw


def test_a_film_without_its_end_says_that_the_index_is_missing(command: Run, demo_video: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copy(demo_video, tmp_path / "clip.mp4"))
    done = command("fer-edge", "run", cut(clip))
    assert done.returncode == 3
    assert "it has no index (moov): its recording was not finished, or its end is missing" in done.stderr


def test_a_film_in_the_memory_folder_is_no_camera(demo_video: Path) -> None:
    """A file is a file wherever it lies."""
    copy = Path("/dev", "shm", f"fer-edge-{demo_video.parent.name}.mp4")
    if not copy.parent.is_dir():
        pytest.skip("no /dev/shm")
    shutil.copy(demo_video, copy)
    try:
        with open_source(str(copy)) as source:
            assert (source.live, len(list(source))) == (False, 90)
    finally:
        copy.unlink()


def test_a_photograph_at_a_url_is_turned_upright_whatever_it_is_called(command: Run, tmp_path: Path, site: str) -> None:
    """A face that a camera held on its side took; the server calls it a video."""
    with DemoSource(paced=False) as demo:
        upright = demo.render(Scene("happy", "happy", 0, FaceBox(200, 120, 200, 200)))
    content = cv2.imencode(".jpg", cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "photo.mp4").write_bytes(content[:2] + segment + content[2:])
    done = command("fer-edge", "run", f"{site}/photo.mp4")
    assert done.returncode == 0, done.stderr
    assert "│ happy " in done.stdout


def test_a_password_is_not_printed_with_a_url_of_two_lines(command: Run) -> None:
    done = command("fer-edge", "run", "rtsp://user:sec\nret@127.0.0.1:9/a")
    assert done.returncode == 3
    assert "127.0.0.1" in done.stderr
    assert "ret@" not in done.stderr


@pytest.mark.parametrize("name", ["film.avi", "photo.png", "a.gif"])
def test_neither_a_password_nor_a_token_is_shown_with_a_file_at_a_url(name: str, tmp_path: Path, site: str) -> None:
    write_film(tmp_path / "film.avi", "MJPG", frames=3)
    write_gif(tmp_path / "a.gif", (None, None))
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((60, 60, 3), 128, np.uint8))
    url = site.replace("//", "//user:secret@")
    with open_source(RunConfig(source=f"{url}/{name}?token=hidden")) as source:
        assert source.description == f"{site}/{name}?…"
        assert len(list(source)) >= 1


@pytest.mark.parametrize("has_length", [True, False])
def test_every_picture_of_a_gif_at_a_url_is_a_frame(command: Run, has_length: bool, tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", (None, None, None))
    with served((tmp_path / "a.gif").read_bytes(), has_length=has_length) as url:
        done = command("fer-edge", "run", url, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert [round(json.loads(line)["elapsed_s"], 2) for line in done.stdout.splitlines()] == [0, 0.1, 0.2]


def test_a_gif_that_was_cut_is_an_error_at_a_url_too(command: Run, tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", (None, None, None))
    content = (tmp_path / "a.gif").read_bytes()
    with served(content[:-4]) as url:
        done = command("fer-edge", "run", url)
    assert done.returncode == 3
    assert "the file is truncated" in done.stderr
    with served(content, breaks_after=len(content) - 20) as url:
        done = command("fer-edge", "run", url)
    assert done.returncode == 3
    assert "could not be downloaded whole" in done.stderr
