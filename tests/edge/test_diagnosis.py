"""Each fault of a source has its own message."""

import base64
import errno
import grp
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.conftest import Run, as_nobody, wait_until

from fer_edge.errors import SourceError
from fer_edge.sources.device_diagnosis import why_device_fails
from fer_edge.sources.url_diagnosis import why_url_fails
from fer_edge.sources.video import VideoSource


class Camera(BaseHTTPRequestHandler):
    """Answers as cameras do that do not like the question."""

    def do_GET(self) -> None:
        match self.path:
            case "/private" if "Authorization" not in self.headers:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            case "/private":
                self.send_response(401)
            case "/page":
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
            case "/busy":
                self.send_response(503)
            case "/forbidden":
                self.send_response(403)
            case "/broken":
                self.send_response(500)
            case "/moved":
                self.send_response(302)
                self.send_header("Location", "http://me:secret@camera/login?token=secret")
            case _:
                self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("nothing?token=secret", "there is nothing at /nothing (404). Is the path right?"),
        ("private", "it asks for user and password (401): http://USER:PASSWORD@127.0.0.1/…"),
        ("page", "it answers, but not with a video (text/html)"),
        ("busy", "it answers 503 Service Unavailable"),
        ("forbidden", "it refuses access (403)"),
        ("broken", "it answers 500 Internal Server Error"),
        ("moved", "it leads to http://camera/login?…, where there is no video"),
    ],
)
def test_the_answer_of_a_server_is_reported(command: Run, port: int, place: str, reason: str) -> None:
    done = command("fer-edge", "run", f"http://127.0.0.1:{port}/{place}")
    assert done.returncode == 3
    shown = place.replace("token=secret", "…")
    assert done.stderr == f"error: http://127.0.0.1:{port}/{shown} cannot be opened: {reason}\n"


def test_a_wrong_password_is_reported_and_not_shown(command: Run, port: int) -> None:
    done = command("fer-edge", "run", f"http://user:secret@127.0.0.1:{port}/private")
    assert done.stderr.endswith("it does not accept this user and password (401)\n")
    assert "secret" not in done.stderr


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_an_unknown_host_and_a_refused_port_have_different_messages(command: Run, scheme: str) -> None:
    unknown = command("fer-edge", "run", f"{scheme}://camera.invalid/stream")
    assert unknown.returncode == 3
    assert "camera.invalid" in unknown.stderr.partition("cannot be opened: ")[2]
    port = unused_port()
    refused = command("fer-edge", "run", f"{scheme}://127.0.0.1:{port}/stream")
    assert refused.returncode == 3
    assert f"127.0.0.1 refuses port {port}: nothing listens there" in refused.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://[::1/x", "it is no URL"),
        ("http://camera:99999/x", "it is no URL"),
        ("http:///x", "names no host"),
        ("foo://camera/x", "foo:// is no kind of stream"),
        ("tcp://camera", "names no port"),
        ("udp://239.0.0.1", "names no port"),
        ("udp://239.0.0.1:1234", "no video arrives on port 1234. Does the camera send to this machine"),
    ],
)
def test_a_malformed_url_is_reported_without_a_connection(url: str, reason: str) -> None:
    assert reason in why_url_fails(url)


@pytest.mark.parametrize(
    ("scheme", "reason"), [("rtsp", "does not speak RTSP"), ("https", "does not speak TLS"), ("rtsps", "TLS")]
)
def test_a_server_of_another_kind_is_reported(port: int, scheme: str, reason: str) -> None:
    assert reason in why_url_fails(f"{scheme}://127.0.0.1:{port}/x")


def asked_and_said(url: str, answer: bytes) -> tuple[list[str], str]:
    """The lines that a server is asked, at PORT, and what is said of its answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked: list[bytes] = []

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(2000))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port = str(server.getsockname()[1])
        found = why_url_fails(url.replace("PORT", port))
        thread.join()
    return asked[0].decode().replace(port, "PORT").split("\r\n"), found


def test_rtsp_answers_are_read() -> None:
    """As a camera without the stream answers DESCRIBE, by RFC 7826."""
    asked, said = asked_and_said(
        "rtsp://ada%40home:pass%3Aword@127.0.0.1:PORT/live/1?channel=2",
        b"RTSP/1.0 404 Stream Not Found\r\nCSeq: 1\r\n\r\n",
    )
    assert said == "there is nothing at /live/1 (404). Is the path right?"
    login = base64.b64encode(b"ada@home:pass:word").decode()
    assert asked == [
        "DESCRIBE rtsp://127.0.0.1:PORT/live/1?channel=2 RTSP/1.0",
        "CSeq: 1",
        "Accept: application/sdp",
        f"Authorization: Basic {login}",
        "",
        "",
    ]


def test_only_the_head_of_an_answer_is_read() -> None:
    body = b"content-type: text/plain\r\n"
    asked, said = asked_and_said(
        "http://ada:x@127.0.0.1:PORT/a?b", b"HTTP/1.0 200 OK\r\nContent-Type: image/x; q=1\r\n\r\n" + body
    )
    assert said == "it answers, but not with a video (image/x)"
    assert asked[:2] == ["GET /a?b HTTP/1.0", "Host: 127.0.0.1:PORT"]


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("rtsp://cam/1", socket.gaierror(socket.EAI_AGAIN, "x"), "cam cannot be looked up: no name server answers"),
        ("rtsp://cam/1", socket.gaierror(socket.EAI_NONAME, "x"), "unknown host cam. Is the name right?"),
        ("rtsps://cam/1", TimeoutError(), "cam does not answer on port 322. Is it switched on?"),
        ("https://cam/1", ConnectionRefusedError(), "cam refuses port 443: nothing listens there"),
        (
            "mmst://cam/1",
            OSError(errno.EHOSTUNREACH, "No route to host"),
            "cam cannot be reached on port 1755 (No route to host)",
        ),
    ],
)
def test_each_way_to_miss_a_server_has_its_message(
    monkeypatch: pytest.MonkeyPatch, url: str, error: OSError, said: str
) -> None:
    """As the system tells them, on the usual ports."""

    def connect(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    assert said in why_url_fails(url)


@pytest.mark.parametrize("scheme", ["rtmp", "tcp"])
def test_a_server_that_sends_no_video_is_told_from_one_that_is_not_there(port: int, scheme: str) -> None:
    assert f"127.0.0.1 answers on port {port}, but not with a video" in why_url_fails(f"{scheme}://127.0.0.1:{port}/x")
    closed = unused_port()
    assert f"127.0.0.1 refuses port {closed}" in why_url_fails(f"{scheme}://127.0.0.1:{closed}/x")


def test_a_port_on_which_another_program_receives_is_reported() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        assert "cannot be used (Address already in use)" in why_url_fails(f"udp://0.0.0.0:{other.getsockname()[1]}")


def test_a_film_on_an_ftp_server_must_be_downloaded(command: Run) -> None:
    done = command("fer-edge", "run", "ftp://user:secret@camera.invalid/film.mp4")
    assert done.returncode == 3
    assert "ftp:// is not read directly. Download the file first" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(("scheme", "kind"), [("udp", "mpegts"), ("rtp", "rtp_mpegts")])
def test_a_camera_that_sends_by_itself_is_received(command: Run, scheme: str, kind: str) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg: sudo apt install ffmpeg")
    url = f"{scheme}://127.0.0.1:{unused_port()}"
    film = ["-f", "lavfi", "-i", "testsrc=size=160x120:rate=15", "-c:v", "mpeg2video", "-g", "15", "-f", kind]
    with subprocess.Popen(["ffmpeg", "-v", "quiet", "-re", *film, url]) as sender:
        done = command("fer-edge", "run", url, "--max-frames", 20, "--json", "-")
        sender.terminate()
    assert (len(done.stdout.splitlines()), done.returncode) == (20, 0), done.stderr


def test_a_service_that_waits_says_why(port: int, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'source = "http://127.0.0.1:{port}/nothing"\ncamera.wait = true\n')
    program = [sys.executable, "-m", "fer_edge", "run", "--config", str(config)]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        line = process.stderr.readline()
        process.terminate()
    assert "is not there, waiting for it: there is nothing at /nothing (404)" in line


def test_each_fault_of_a_device_has_its_message(command: Run, tmp_path: Path) -> None:
    missing = command("fer-edge", "run", "/dev/video97")
    assert "there is no /dev/video97. Video devices: " in missing.stderr
    other = command("fer-edge", "run", "/dev/null")
    assert "/dev/null is no video device" in other.stderr
    assert "is no video device" in why_device_fails(Path("/dev/zero"))
    file = tmp_path / "video9"
    file.touch()
    assert "is no video device" in why_device_fails(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="no device can be made: run the tests as root")
def test_no_permission_names_the_group_and_the_command(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = open_path / "video0"
    try:
        os.mknod(device, stat.S_IFCHR | 0o660, os.makedev(81, 0))
    except PermissionError:
        pytest.skip("no device can be made here")
    device.chmod(0o660)
    os.chown(device, 0, grp.getgrnam("video").gr_gid)
    monkeypatch.setenv("LOGNAME", "ada")
    with as_nobody():
        found = why_device_fails(device)
    assert found == (
        f"no permission for {device}, which belongs to the group video. "
        "Fix: sudo usermod -aG video ada, then log in again"
    )


@pytest.mark.parametrize("mode", [0o660, 0o600])
def test_a_device_of_root_alone_needs_another_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    device = tmp_path / "video0"
    device.touch()
    device.chmod(mode)
    if device.group() != "root":
        pytest.skip("no file of root's group can be made: run the tests as root")

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        found = why_device_fails(device)
    assert found == f"no permission for {device}. Fix: sudo chgrp video {device} && sudo chmod g+rw {device}"


@pytest.fixture
def device(tmp_path: Path) -> Path:
    device = tmp_path / "video9"
    device.touch()
    return device


def answer_as_kernel(monkeypatch: pytest.MonkeyPatch, driver: int, node: int, fault: int = 0, busy: int = 0) -> None:
    """Answer VIDIOC_QUERYCAP with the abilities of a driver and of one of its devices, and VIDIOC_REQBUFS.

    A `v4l2_capability` has 80 bytes of names, its version, and then both (linux/videodev2.h).
    """

    def ioctl(_descriptor: int, request: int, content: bytearray | bytes) -> None:
        is_first = request == 0x80685600
        if error := fault if is_first else busy:
            raise OSError(error, os.strerror(error))
        if isinstance(content, bytearray):
            content[80:92] = struct.pack("<3I", 0x060600, driver, node)

    monkeypatch.setattr("fcntl.ioctl", ioctl)


def opened_files() -> Iterator[Path]:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            yield link.readlink()


@pytest.mark.parametrize(
    ("driver", "node", "delivers"),
    [
        (0x84A00001, 0x04200001, True),  # a webcam's pictures
        (0x84A00001, 0x04A00000, False),  # the same webcam's metadata
        (0x84201000, 0x04201000, True),  # several planes, as of a Raspberry Pi
        (0x04000001, 0, True),  # a driver from before there were devices' own abilities
        (0x84000002, 0x04000002, False),  # an output
    ],
)
def test_only_a_device_that_captures_is_a_camera(
    monkeypatch: pytest.MonkeyPatch, device: Path, driver: int, node: int, delivers: bool
) -> None:
    answer_as_kernel(monkeypatch, driver, node)
    said = why_device_fails(device)
    assert said.partition(":")[0] == ("" if delivers else f"{device} delivers no frames")
    assert device not in opened_files()


def test_a_camera_in_use_names_who_uses_it(monkeypatch: pytest.MonkeyPatch, device: Path) -> None:
    answer_as_kernel(monkeypatch, 0x84A00001, 0x04200001, busy=errno.EBUSY)
    with device.open() as file, subprocess.Popen(["sleep", "100"], stdin=file) as other:
        try:
            wait_until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
            assert why_device_fails(device) == f"{device} is in use by another program: sleep, process {other.pid}"
        finally:
            other.kill()
    assert why_device_fails(device) == f"{device} is in use by another program"
    answer_as_kernel(monkeypatch, 0x84A00001, 0x04200001, busy=errno.ENOTTY)
    assert why_device_fails(device) == "", "a device that gives no buffers"
    answer_as_kernel(monkeypatch, 0, 0, fault=errno.EIO)
    assert why_device_fails(device) == f"{device} does not answer (Input/output error)"


def test_a_video_without_permission_or_content_is_reported(command: Run, open_path: Path) -> None:
    clip = open_path / "clip.mkv"
    clip.touch()
    assert "is not a readable video (it is empty)" in command("fer-edge", "run", clip).stderr
    clip.chmod(0)
    with as_nobody(), pytest.raises(SourceError, match=r"cannot be read \(Permission denied\)"), VideoSource(clip):
        pass


def test_a_missing_device_names_those_that_are_there(tmp_path: Path) -> None:
    device = tmp_path / "video3"
    assert why_device_fails(device) == f"there is no {device}. Video devices: none"
    for name in ("video12", "video0", "audio0"):
        (tmp_path / name).touch()
    there = f"{tmp_path}/video0, {tmp_path}/video12"
    assert why_device_fails(device) == f"there is no {device}. Video devices: {there}"


def test_why_the_system_does_not_open_a_device_is_told(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.symlink_to(device)
    assert why_device_fails(device) == f"{device} cannot be opened (Too many levels of symbolic links)"


@pytest.mark.skipif(os.geteuid() != 0, reason="no file of another group can be made: run the tests as root")
@pytest.mark.parametrize(
    ("mode", "group", "names", "fix"),
    [
        (0o660, "video", ("ada",), "sudo usermod -aG video ada, then log in again"),
        (0o620, "video", (), "sudo usermod -aG video $USER, then log in again"),
        (0o640, "video", ("ada",), "sudo chgrp video DEVICE && sudo chmod g+rw DEVICE"),
        (0o660, "root", ("ada",), "sudo chgrp video DEVICE && sudo chmod g+rw DEVICE"),
        (0o660, "", ("ada",), "sudo chgrp video DEVICE && sudo chmod g+rw DEVICE"),
    ],
)
def test_permission_comes_with_the_group_of_a_device_if_that_may_use_it(
    device: Path, monkeypatch: pytest.MonkeyPatch, mode: int, group: str, names: tuple[str, ...], fix: str
) -> None:
    """Root may open all files, so that the refusal is made up; a group or user may have no name."""

    def refuse(*_: object) -> None:
        raise PermissionError

    def nameless(_: int) -> None:
        raise KeyError

    device.chmod(mode)
    os.chown(device, 0, grp.getgrnam(group).gr_gid if group else 54321)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    for name in names:
        monkeypatch.setenv("LOGNAME", name)
    monkeypatch.setattr("pwd.getpwuid", nameless)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        said = why_device_fails(device)
    whose = ", which belongs to the group video" if "usermod" in fix else ""
    assert said == f"no permission for {device}{whose}. Fix: {fix.replace('DEVICE', str(device))}"


def test_a_device_is_asked_for_its_abilities_and_to_give_back_no_buffers(
    monkeypatch: pytest.MonkeyPatch, device: Path
) -> None:
    """VIDIOC_QUERYCAP and VIDIOC_REQBUFS of linux/videodev2.h: count 0, capture, memory mapping."""
    asked = []

    def ioctl(_descriptor: int, request: int, content: bytearray | bytes) -> None:
        asked.append((request, len(content), bytes(content)))
        if isinstance(content, bytearray):
            content[84:92] = struct.pack("<2I", 0x84A00001, 0x04200001)

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    assert why_device_fails(device) == ""
    assert asked == [(0x80685600, 104, bytes(104)), (0xC0145608, 20, struct.pack("<5I", 0, 1, 1, 0, 0))]


@pytest.mark.parametrize("fault", [errno.ENOTTY, errno.EINVAL])
def test_what_knows_no_abilities_is_no_video_device(monkeypatch: pytest.MonkeyPatch, device: Path, fault: int) -> None:
    answer_as_kernel(monkeypatch, 0, 0, fault=fault)
    assert why_device_fails(device) == f"{device} is no video device"
    answer_as_kernel(monkeypatch, 0x84A00001, 0x04A00000)
    assert why_device_fails(device) == (
        f"{device} delivers no frames: a camera has several devices, try another. List: v4l2-ctl --list-devices"
    )


def test_an_answer_is_explained_by_its_phrase_if_it_has_one() -> None:
    for status, said in ((b"503 Busy", "it answers 503 Service Unavailable"), (b"599 x", "it answers 599")):
        _, why = asked_and_said("http://127.0.0.1:PORT/a", b"HTTP/1.0 " + status + b"\r\n\r\n")
        assert why == said
