"""Images are recognised by their content and turned upright."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run
from tests.gif import write_gif

from fer_edge import RunConfig, open_source
from fer_edge.errors import SourceError
from fer_edge.images import pictures_in, read_image
from fer_edge.picture_formats import orientation, picture_kind
from fer_edge.sources.interlaced import cannot_be_converted
from fer_edge.types import Image

DAMAGED = "had {} frames: the file is damaged, and others cannot be read"


def sample() -> Image:
    """A picture without any symmetry: 30 wide, 20 high."""
    image = np.full((20, 30, 3), 40, np.uint8)
    image[:10, :15] = 250
    image[:5, :5] = 120
    return image


def exif(value: int, order: str = ">") -> bytes:
    mark = b"MM" if order == ">" else b"II"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, value, 0)
    return mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + struct.pack(f"{order}I", 0)


def encoded(suffix: str, image: Image) -> bytes:
    quality = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 100], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}.get(suffix, [])
    return cv2.imencode(suffix, image, quality)[1].tobytes()


def with_exif(suffix: str, content: bytes, blob: bytes) -> bytes:
    if suffix == ".jpg":
        return content[:2] + b"\xff\xe1" + struct.pack(">H", len(blob) + 8) + b"Exif\0\0" + blob + content[2:]
    if suffix == ".png":
        import zlib

        chunk = b"eXIf" + blob
        return content[:33] + struct.pack(">I", len(blob)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    body = content[12:] + b"EXIF" + struct.pack("<I", len(blob)) + blob + b"\0" * (len(blob) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def stored(upright: Image, value: int) -> Image:
    """What a camera that is held so writes: by the table of EXIF 2.32, row and column 0 are which sides."""
    table = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }
    return np.ascontiguousarray(table[value])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_every_way_to_hold_a_camera_gives_an_upright_picture(
    suffix: str, value: int, order: str, tmp_path: Path
) -> None:
    upright = sample()
    # Undo of 6 is a quarter turn clockwise: stored is the upright picture turned back.
    path = tmp_path / "photo"
    path.write_bytes(with_exif(suffix, encoded(suffix, stored(upright, value)), exif(value, order)))
    assert orientation(path.read_bytes()) == value
    read = read_image(path)
    assert read is not None
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 8, "JPEG blurs colour edges a little"
    grey = read_image(path, grey=True)
    assert grey is not None
    assert grey.shape == upright.shape[:2]


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_heic_and_avif_are_turned_upright_as_their_boxes_or_exif_data_say(
    suffix: str, value: int, tmp_path: Path
) -> None:
    """Pillow writes boxes about rotation and mirroring into AVIF, and pillow-heif EXIF data alone into HEIC."""
    pillow = pytest.importorskip("PIL.Image")
    pytest.importorskip("pillow_heif").register_heif_opener()
    upright = np.kron(sample(), np.ones((8, 8, 1), np.uint8))
    exif = pillow.Exif()
    exif[0x0112] = value
    path = tmp_path / f"photo{suffix}"
    pillow.fromarray(stored(upright, value)).save(path, quality=90, exif=exif)
    read, grey = read_image(path), read_image(path, grey=True)
    assert read is not None
    assert grey is not None
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 8
    assert np.abs(grey.astype(int) - upright[:, :, 0]).mean() < 8


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_heic_may_be_grey_or_transparent(mode: str, tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pytest.importorskip("pillow_heif").register_heif_opener()
    upright = np.kron(sample(), np.ones((8, 8, 1), np.uint8))
    path = tmp_path / "photo"
    pillow.fromarray(upright).convert(mode).save(path, format="HEIF", quality=90)
    read, grey = read_image(path), read_image(path, grey=True)
    assert read is not None
    assert grey is not None
    assert np.abs(read.astype(int) - upright).mean() < 8
    assert np.abs(grey.astype(int) - upright[:, :, 0]).mean() < 8


def tiff(grey: Image, value: int) -> bytes:
    """The smallest TIFF 6.0 file there is, with an orientation."""
    height, width = grey.shape
    entries = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (274, value),
        (277, 1),
        (278, height),
    ]
    entries += [(278, height), (279, width * height)]
    directory = b"".join(struct.pack("<HHII", tag, 4 if tag in {273, 279} else 3, 1, number) for tag, number in entries)
    content = grey.tobytes()
    head = struct.pack("<2sHI", b"II", 42, 8 + len(content))
    return head + content + struct.pack("<H", len(entries)) + directory + bytes(4)


@pytest.mark.parametrize("value", range(1, 9))
def test_tiff_is_turned_once(value: int, tmp_path: Path) -> None:
    upright = sample()
    (tmp_path / "photo").write_bytes(tiff(np.ascontiguousarray(stored(upright, value)[:, :, 0]), value))
    read = read_image(tmp_path / "photo")
    assert read is not None
    assert (read == upright).all()


@pytest.mark.parametrize("name", ["photo.jfif", "photo", "photo.mp4", "photo.JPG.bak", "2024"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm", ".pam", ".jp2"])
def test_a_picture_is_known_by_its_content(suffix: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    image = np.kron(sample(), np.ones((4, 4, 1), np.uint8))  # smaller ones cannot be written as JPEG 2000
    path.write_bytes(encoded(suffix, image))
    assert picture_kind(path) == {".jpg": "jpeg", ".ppm": "pnm", ".pam": "pnm"}.get(suffix, suffix[1:])
    assert pictures_in(tmp_path) == [path]
    read = read_image(path)
    assert read is not None
    assert np.abs(read.astype(int) - image).mean() < 8


@pytest.mark.parametrize(
    "content",
    [b"", b"BM", b"BMW is a car", b"P6, a plan", b"P8\n", b"GIF89a", b"RIFF\0\0\0\0AVI ", b"\0\0\0\x20ftypisom"],
)
def test_other_files_are_no_pictures(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_bytes(content)
    assert picture_kind(tmp_path / "file.jpg") is None


@pytest.mark.parametrize(
    "blob", [b"", b"MM", b"II*\0\xff\xff\xff\xff", exif(9), exif(0), exif(6)[:12], b"XX" + exif(6)[2:]]
)
def test_damaged_exif_data_leave_the_picture_as_it_is(blob: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(with_exif(".jpg", encoded(".jpg", sample()), blob))
    assert orientation(path.read_bytes()) == 1
    read = read_image(path)
    assert read is not None
    assert read.shape == (20, 30, 3)


def test_a_pipe_in_a_folder_does_not_block_and_what_is_left_out_is_named(command: Run, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "notes.txt").write_text("no picture")
    (folder / "a").write_bytes(encoded(".jpg", sample()))
    (folder / "IMG.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    done = command("fer-edge", "run", folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "skipped, since they are no images: 'notes.txt', 'pipe.jpg', 'sub'" in done.stderr
    assert "IMG.HEIC: " in done.stderr


@pytest.mark.skipif(
    subprocess.run(["which", "ffmpeg"], capture_output=True, check=False).returncode != 0,
    reason="no ffmpeg: sudo apt install ffmpeg",
)
class TestFilms:
    """What a video is, and when it has ended."""

    def ffmpeg(self, *arguments: object) -> None:
        subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)

    def frames(self, path: Path) -> tuple[int, int, str]:
        """Frames read, exit code, and what was said."""
        program = [sys.executable, "-m", "fer_edge", "run", str(path), "--json", "-"]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        return len(done.stdout.splitlines()), done.returncode, done.stderr

    def test_a_pause_in_the_picture_with_sound_does_not_end_it(self, tmp_path: Path) -> None:
        """150 seconds of sound between two frames: some 6500 packets."""
        path = tmp_path / "pause.mkv"
        video = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2")
        sound = ("-f", "lavfi", "-i", "sine=frequency=300:duration=160")
        self.ffmpeg(*video, *sound, "-vf", "setpts='if(lt(N,10),N/10,150+N/10)/TB'", "-fps_mode", "vfr", path)
        count, code, said = self.frames(path)
        assert (count, code) == (20, 0), said

    @pytest.mark.parametrize(
        "name", ["a.mp4", "a.mkv", "a.avi", "a.webm", "a.mov", "a.ts", "a.mpg", "a.wmv", "a.flv", "a.ogv"]
    )
    def test_ordinary_files_raise_no_alarm(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        video = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=2")
        sound = ("-f", "lavfi", "-i", "sine=duration=3")
        self.ffmpeg(*video, *sound, path)
        count, code, _ = self.frames(path)
        assert (count, code) == (50, 0)

    def test_frames_that_are_missing_at_the_end_are_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "lost.avi"
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=4", "-c:v", "mjpeg", path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        count, code, said = self.frames(path)
        assert 20 < count < 80
        assert code == 3
        assert "ended after" in said

    def test_a_part_that_was_cut_out_without_new_encoding_is_whole(self, tmp_path: Path) -> None:
        """Its edit list hides the frames before the cut, which the file counts."""
        source, path = tmp_path / "whole.mp4", tmp_path / "part.mp4"
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=30:duration=8", "-g", 120, source)
        self.ffmpeg("-ss", 2.5, "-t", 3, "-i", source, "-c", "copy", path)
        count, code, said = self.frames(path)
        assert count >= 75
        assert code == 0, said

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("a.mp4", "had {} frames where its header says 200: the others cannot be read"),
            ("a.mkv", DAMAGED),
            ("a.ts", DAMAGED),
            *(
                pytest.param(f"a.{kind}", DAMAGED, marks=pytest.mark.slow)
                for kind in ("webm", "m2ts", "mpg", "vob", "ogv", "wmv", "flv")
            ),
        ],
    )
    def test_a_damaged_middle_is_passed_over_and_said(self, name: str, said: str, tmp_path: Path) -> None:
        path = tmp_path / name
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=8", "-g", 25, path)
        content = bytearray(path.read_bytes())
        start = len(content) // 5
        content[start : start + 6000] = np.random.default_rng(1).bytes(6000)
        path.write_bytes(bytes(content))
        count, code, log = self.frames(path)
        assert 120 < count < 200
        assert code == 3
        assert said.format(count) in log

    def test_a_file_that_is_emptied_while_it_is_read_is_an_error(self, tmp_path: Path) -> None:
        """As by a recorder that begins anew. A pause in it makes the program search for damage at the end."""
        path = tmp_path / "a.ts"
        video = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2")
        self.ffmpeg(*video, "-vf", "setpts='(N+20*gt(N,9))/10/TB'", "-fps_mode", "vfr", path)
        with (
            open_source(RunConfig(source=str(path))) as source,
            pytest.raises(SourceError, match=r"a\.ts: cannot be read \(it was emptied meanwhile\)"),
        ):
            for frame in source:
                if frame.index == 19:
                    path.write_bytes(b"")

    @pytest.mark.parametrize(("bad", "code"), [(20, 3), (4, 0)])
    def test_frames_that_cannot_be_decoded_are_counted(self, bad: int, code: int, tmp_path: Path) -> None:
        """The file's structure is whole; a few such frames are only logged."""
        path = tmp_path / "a.mkv"
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=4", "-c:v", "mjpeg", path)
        content = path.read_bytes()
        pictures = list(re.finditer(b"\xff\xd8\xff.*?\xff\xd9", content, flags=re.DOTALL))
        for picture in pictures[40 : 40 + bad]:
            content = content[: picture.start()] + bytes(len(picture[0])) + content[picture.end() :]
        path.write_bytes(content)
        assert self.frames(path)[:2] == (100 - bad, code)
        assert f"had {100 - bad} frames where its header says 100: the others cannot be read" in self.frames(path)[2]

    def test_times_that_vary_are_no_damage(self, tmp_path: Path) -> None:
        """VP8 with pictures that are never shown; then a time lapse with pauses."""
        path = tmp_path / "vp8.webm"
        video = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=3", "-c:v", "libvpx", "-b:v", "200k")
        varied = ("-vf", "setpts='(N+5*floor(N/7))/10/TB'", "-fps_mode", "vfr", "-auto-alt-ref", 1)
        log = tmp_path / "pass"
        self.ffmpeg(*video, *varied, "-lag-in-frames", 25, "-pass", 1, "-passlogfile", log, "-f", "null", "-")
        self.ffmpeg(*video, *varied, "-lag-in-frames", 25, "-pass", 2, "-passlogfile", log, path)
        assert self.frames(path)[:2] == (30, 0)

    @pytest.mark.parametrize("name", ["a.wmv", "a.ogv"])
    def test_a_film_of_windows_or_ogg_that_was_cut_is_an_error(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=4", path)
        assert self.frames(path)[:2] == (100, 0)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 6 // 10])
        count, code, said = self.frames(path)
        assert 30 < count < 90
        assert code == 3
        assert f"ended after {count} frames: the file is truncated" in said

    def test_an_mpeg_film_has_times_of_its_own(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mpg"
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=30:duration=1", path)
        count, code, said = self.frames(path)
        assert (count, code) == (30, 0)
        assert "raw stream" not in said

    @pytest.mark.parametrize(("times", "rate", "seconds"), [("N/10+gt(N\\,9)*3", 10, 5), ("N*4", 0.25, 20)])
    def test_a_recording_keeps_every_frame_at_its_time(
        self, times: str, rate: float, seconds: float, tmp_path: Path
    ) -> None:
        """A pause of three seconds, and a time lapse of one frame every four seconds."""
        count = 20 if rate == 10 else 5
        source, out = tmp_path / "in.mkv", tmp_path / "out.mp4"
        video = ("-f", "lavfi", "-i", f"testsrc=size=161x121:rate=10:duration={count / 10}")
        self.ffmpeg(*video, "-vf", f"setpts='({times})/TB'", "-fps_mode", "vfr", "-r", rate, source)
        program = [sys.executable, "-m", "fer_edge", "run", str(source), "--record", str(out)]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        capture = cv2.VideoCapture(str(out))
        pictures = []
        while (read := capture.read())[0]:
            pictures.append(read[1])
        assert pictures[0].shape == (122, 162, 3), "nothing of an odd side is lost"
        assert len(pictures) / capture.get(cv2.CAP_PROP_FPS) == pytest.approx(seconds, abs=0.3)

    def test_pixels_that_are_not_square_are_shown_in_proportion(self, tmp_path: Path) -> None:
        path = tmp_path / "wide.mp4"
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=1", "-vf", "setsar=4/3", path)
        with open_source(RunConfig(source=str(path))) as source:
            shapes = {frame.image.shape for frame in source}
        assert shapes == {(120, 213, 3)}

    @pytest.mark.parametrize(("name", "encoder"), [("a.mp4", "libx264"), ("a.ts", "mpeg2video")])
    def test_an_interlaced_film_is_read_or_refused_but_never_black(
        self, name: str, encoder: str, tmp_path: Path
    ) -> None:
        """OpenCV with FFmpeg 8 gives memory's content in place of its frames, earlier versions convert them."""
        path = tmp_path / name
        film = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1", "-vf", "setfield=tff")
        options = ("-x264opts", "tff=1") if encoder == "libx264" else ("-flags", "+ilme+ildct")
        self.ffmpeg(*film, "-c:v", encoder, *options, path)
        count, code, said = self.frames(path)
        if code == 0:
            with open_source(RunConfig(source=str(path))) as source:
                assert all(frame.image.std() > 60 for frame in source)
            assert count == 25
        else:
            assert code == 3
            assert f"{path}: is interlaced" in said
            assert "ffmpeg -i IN -vf yadif OUT.mp4" in said

    def test_raw_dv_is_not_called_sound(self, tmp_path: Path) -> None:
        path = tmp_path / "tape.dv"
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=720x576:rate=25:duration=1", "-pix_fmt", "yuv420p", path)
        _, code, said = self.frames(path)
        assert code == 3
        assert f"{path}: is interlaced" in said

    def test_frames_that_cannot_be_converted_are_noticed_whatever_the_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And whatever the environment says; in doubt, as on a machine that is too slow, the film is read."""
        tape, usual = tmp_path / "tape.dv", tmp_path / "usual.mp4"
        for path in (tape, usual):
            self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=720x576:rate=25:duration=1", "-pix_fmt", "yuv420p", path)
        shown, true = (np.asarray(cv2.VideoCapture(str(path)).read()[1], float) for path in (tape, usual))
        is_wrong = abs(shown - true).mean() > 30
        monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")
        latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/t\xe4pe.dv"))
        latin.write_bytes(tape.read_bytes())
        found = [cannot_be_converted(path) for path in (tape, latin, usual, tmp_path / "absent")]
        assert found == [is_wrong, is_wrong, False, False]
        monkeypatch.setattr("fer_edge.sources.interlaced._TIMEOUT_S", 0.001)
        assert not cannot_be_converted(tape)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
        assert not cannot_be_converted(tape)

    def test_raw_motion_jpeg_is_a_film(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.mjpeg"
        self.ffmpeg("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1", "-f", "mjpeg", path)
        assert picture_kind(path) is None
        assert self.frames(path)[:2] == (25, 0)

    def test_sound_with_a_picture_is_no_video(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "cover.png"), sample())
        sound = ("-f", "lavfi", "-i", "sine=duration=2", "-i", tmp_path / "cover.png")
        self.ffmpeg(
            *sound, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic", tmp_path / "a.mp3"
        )
        count, code, said = self.frames(tmp_path / "a.mp3")
        assert (count, code) == (0, 3)
        assert "is a sound file with a cover image" in said


def test_names_cannot_forge_lines(command: Run, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a\nerror: forged\x1b[31m.jpg").write_bytes(encoded(".jpg", sample()))
    done = command("fer-edge", "run", folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert not any(line.startswith("error: forged") for line in (done.stdout + done.stderr).splitlines())
    missing = command("fer-edge", "run", "no\nerror: forged", cwd=tmp_path)
    assert len(missing.stderr.splitlines()) == 1


def test_a_folder_may_be_called_2024(command: Run, tmp_path: Path) -> None:
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "a.png").write_bytes(encoded(".png", sample()))
    done = command("fer-edge", "run", "2024", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a.png" in done.stdout


def test_a_folder_may_be_called_demo(command: Run, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "a.png").write_bytes(encoded(".png", sample()))
    named = command("fer-edge", "run", "demo", "--max-frames", 1, cwd=tmp_path)
    assert "demo is the source of that name; the file or folder is ./demo" in named.stderr
    assert "the built-in demo: 1 frame" in named.stderr
    done = command("fer-edge", "run", "./demo", cwd=tmp_path)
    assert "a.png" in done.stdout
    assert "the source of that name" not in done.stderr


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_of_an_animated_picture_the_first_one_is_read_and_that_is_said(command: Run, kind: str, tmp_path: Path) -> None:
    animation = cv2.Animation()
    animation.frames = [sample(), 255 - sample()]
    animation.durations = [100, 100]
    cv2.imwriteanimation(str(tmp_path / f"a.{kind}"), animation)
    done = command("fer-edge", "run", tmp_path / f"a.{kind}")
    assert done.returncode == 0, done.stderr
    assert f"a.{kind}: is animated; only its first picture is read" in done.stderr
    (tmp_path / f"b.{kind}").write_bytes(encoded(f".{kind}", sample()))
    assert "is animated" not in command("fer-edge", "run", tmp_path / f"b.{kind}").stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.4\n" + encoded(".jpg", sample()), "is a PDF file. Save its pictures as PNG or JPEG"),
        (b"PK\3\4" + encoded(".jpg", sample()), "is a ZIP or office file"),
        (b"8BPS\0\1" + bytes(20) + encoded(".jpg", sample()), "is a Photoshop file"),
        (
            struct.pack("<HHHBBBBHHII", 0, 1, 1, 30, 20, 0, 0, 1, 24, 100, 22) + encoded(".png", sample()),
            "is an icon of several sizes. Save the largest one as PNG",
        ),
    ],
)
def test_what_only_contains_pictures_is_refused(command: Run, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    done = command("fer-edge", "run", tmp_path / "file")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {tmp_path / 'file'}: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_video_without_a_frame_is_an_error(command: Run, tmp_path: Path) -> None:
    """As of a recording that ended at once."""
    path = tmp_path / "a.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48)).release()
    done = command("fer-edge", "run", path)
    assert done.returncode == 3
    assert f"{path}: no frame of it can be read" in done.stderr


@pytest.mark.parametrize(
    ("delays", "times"),
    [
        ((None,), [0]),
        ((None, None), [0, 0.1]),
        ((None, None, None), [0, 0.1, 0.2]),
        ((50, None, 50), [0, 0.5, 0.6]),
        ((20, 20), [0, 0.2]),
    ],
)
@pytest.mark.parametrize("end", [b";", b""])
def test_every_picture_of_a_gif_is_a_frame(
    delays: tuple[int | None, ...], times: list[float], end: bytes, tmp_path: Path
) -> None:
    write_gif(tmp_path / "a.gif", delays, end=end)
    with open_source(str(tmp_path / "a.gif")) as source:
        assert [round(frame.captured_at, 2) for frame in source] == times


def test_a_gif_that_was_cut_is_an_error(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    write_gif(path, (10, 10, 10), end=b"")
    path.write_bytes(path.read_bytes()[:-3])
    done = command("fer-edge", "run", path)
    assert done.returncode == 3
    assert "the file is truncated" in done.stderr


def test_a_name_that_the_terminal_cannot_show_is_no_fault(command: Run, tmp_path: Path) -> None:
    (tmp_path / "\u5199\u771f.png").write_bytes(encoded(".png", sample()))
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = command("fer-edge", "run", tmp_path, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
