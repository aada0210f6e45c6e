"""Films of noise, written by OpenCV: every picture of them can be damaged alone."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.gif import write_gif

from fer_edge.errors import ConfigError, SourceError
from fer_edge.sources import video
from fer_edge.sources.damage import is_damaged
from fer_edge.sources.video import VideoSource
from fer_edge.types import Frame

FPS = 10
# A JPEG picture begins and ends with these.
START, END = b"\xff\xd8\xff", b"\xff\xd9"


def write_film(path: Path, frames: int = 20, codec: str = "MJPG", same: Iterable[int] = ()) -> Path:
    """Pictures of noise; those at `same` look like the first one."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), FPS, (64, 48))
    assert writer.isOpened()
    pictures = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(frames)]
    for number in range(frames):
        writer.write(pictures[0 if number in same else number])
    writer.release()
    return path


def damage(path: Path, pictures: Iterable[int]) -> Path:
    """Overwrite JPEG pictures of a film with zeros; all else stays."""
    content = bytearray(path.read_bytes())
    starts = [place for place in range(len(content)) if content.startswith(START, place)]
    for start in [starts[number] for number in pictures]:
        end = content.index(END, start)
        content[start:end] = bytes(end - start)
    path.write_bytes(content)
    return path


def write_raw(path: Path, density: tuple[int, int] = (1, 1), frames: int = 5) -> Path:
    """JPEG pictures one after the other, whose pixels have a proportion (JFIF 1.02, Xdensity and Ydensity)."""
    ramp = np.linspace(0, 255, 64 * 48, dtype=np.uint8).reshape(48, 64)
    proportion = b"\0" + b"".join(part.to_bytes(2, "big") for part in density)
    content = b""
    for number in range(frames):
        image = np.roll(cv2.merge([ramp, ramp[::-1], ramp[:, ::-1]]), number, axis=0)
        picture = cv2.imencode(".jpg", image)[1].tobytes()
        place = picture.index(b"JFIF\0") + 7
        content += picture[:place] + proportion + picture[place + 5 :]
    path.write_bytes(content)
    return path


def read(path: Path, fps: float | None = None) -> tuple[list[Frame], VideoSource]:
    with VideoSource(path, fps) as source:
        return list(source), source


def refusal(path: Path) -> tuple[int, str]:
    """The number of frames before the error, and its message."""
    count = 0
    with VideoSource(path) as source, pytest.raises(SourceError) as caught:
        for _ in source:
            count += 1
    return count, str(caught.value)


def test_a_film_tells_its_rate_its_length_and_its_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_film(tmp_path / "a.avi")
    frames, source = read(path)
    assert (source.fps, source.frames, source.skipped, source.description) == (10, 20, 0, str(path))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.captured_at for frame in frames] == pytest.approx([number / 10 for number in range(20)])
    assert not any(frame.still or frame.live for frame in frames)
    assert frames[0].image.shape == (48, 64, 3)
    assert not caplog.text


def test_a_film_that_is_stopped_hands_over_no_more_and_is_no_error(tmp_path: Path) -> None:
    with VideoSource(write_film(tmp_path / "a.avi")) as source:
        frames = iter(source)
        assert next(frames).index == 0
        source.stop()
        assert list(frames) == []


def test_why_a_film_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for content, why in (
        (b"", "it is empty"),
        (b"no film", "truncated, or of an unknown format"),
        (
            b"\0\0\0\x10ftypmp42\0\0\0\0",
            "it has no index (moov): its recording was not finished, or its end is missing",
        ),
    ):
        path.write_bytes(content)
        with pytest.raises(SourceError) as caught, VideoSource(path):
            pass
        assert str(caught.value) == f"{path}: is not a readable video ({why})"


def test_a_file_that_the_system_does_not_read_is_named_with_its_reason() -> None:
    memory = Path("/proc/self/mem")
    if not memory.is_file():
        pytest.skip("no /proc")
    with pytest.raises(SourceError) as caught, VideoSource(memory):
        pass
    assert str(caught.value) == f"{memory}: cannot be read (Invalid argument)"


def test_a_film_comes_through_a_pipe(tmp_path: Path) -> None:
    content = write_film(tmp_path / "a.avi").read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    frames, source = read(pipe)
    writer.join()
    assert (len(frames), source.fps) == (20, 10)


def test_a_raw_stream_gets_a_rate_that_is_logged_or_the_given_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_raw(tmp_path / "raw.mjpeg")
    frames, source = read(path, 8)
    assert (source.fps, source.frames) == (8, None)
    assert [frame.captured_at for frame in frames] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5])
    assert not caplog.messages
    frames, source = read(path)
    assert source.fps == 25
    assert [frame.captured_at for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    said = f"{path}: a raw stream without times: 25 frames per second assumed. Another rate: --source-fps"
    assert caplog.messages == [said]


def test_a_rate_is_refused_for_a_film_with_times(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.avi")
    with pytest.raises(ConfigError) as caught, VideoSource(path, 5):
        pass
    assert str(caught.value) == f"--source-fps: {path} has times of its own. Leave the option out"


@pytest.mark.parametrize(
    ("density", "size"),
    [
        ((2, 1), (128, 48)),
        ((1, 2), (64, 96)),
        ((4, 3), (85, 48)),
        ((9, 1), (576, 48)),
        ((1, 9), (64, 432)),
        ((10, 1), (64, 48)),  # that is no display, but a fault of the file
        ((1, 10), (64, 48)),
    ],
)
def test_pixels_that_are_not_square_are_stretched(
    tmp_path: Path, density: tuple[int, int], size: tuple[int, int]
) -> None:
    plain, _ = read(write_raw(tmp_path / "plain.mjpeg"))
    seen, _ = read(write_raw(tmp_path / "wide.mjpeg", density))
    assert len(seen) == 5
    assert np.array_equal(seen[0].image, cv2.resize(plain[0].image, size))


@pytest.mark.parametrize(("damaged", "skipped"), [([0], 1), ([3, 4], 2), ([1, 2, 3, 9, 10], 5), ([19], 0)])
def test_damaged_pictures_are_skipped_and_counted_and_the_others_keep_their_times(
    tmp_path: Path, damaged: list[int], skipped: int, caplog: pytest.LogCaptureFixture
) -> None:
    frames, source = read(damage(write_film(tmp_path / "a.avi"), damaged))
    left = [number for number in range(20) if number not in damaged]
    times = [frame.captured_at for frame in frames]
    assert times[1:] == pytest.approx([number / 10 for number in left[1:]])
    assert times[0] == 0
    assert source.skipped == skipped
    assert not caplog.text, "the film has its whole length"


def test_a_film_that_is_stopped_among_damaged_pictures_ends_at_once(tmp_path: Path) -> None:
    with VideoSource(damage(write_film(tmp_path / "a.avi", 400), range(10, 390))) as source:
        for frame in source:
            if frame.index == 9:
                source.stop()
    assert frame.index == 9
    assert source.skipped == 0


@pytest.mark.parametrize(("lost", "comes_back"), [(300, True), (301, False)])
def test_three_hundred_damaged_pictures_in_a_row_are_skipped(tmp_path: Path, lost: int, comes_back: bool) -> None:
    path = damage(write_film(tmp_path / "a.avi", lost + 20), range(10, lost + 10))
    with VideoSource(path) as source:
        if comes_back:
            assert len(list(source)) == 20
            assert source.skipped == lost
            return
        with pytest.raises(SourceError, match=r"had 10 frames where its header says 321: the others cannot be read"):
            list(source)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize(("lost", "said"), [(1, ""), (2, "warning"), (8, "warning"), (9, "error")])
def test_a_few_pictures_that_are_lost_are_logged_and_more_are_an_error(
    tmp_path: Path, name: str, lost: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = damage(write_film(tmp_path / name, 100), range(50, 50 + lost))
    message = f"{path}: had {100 - lost} frames where its header says 100: the others cannot be read"
    if said == "error":
        assert refusal(path) == (91, message)
    else:
        assert len(read(path)[0]) == 100 - lost
    assert caplog.messages == ([message] if said == "warning" else [])


@pytest.mark.parametrize(("lost", "is_error"), [(3, False), (4, True)])
def test_of_a_short_film_a_tenth_is_too_much(
    tmp_path: Path, lost: int, is_error: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = damage(write_film(tmp_path / "a.mp4", 40), range(10, 10 + lost))
    if is_error:
        assert refusal(path)[0] == 36
    else:
        assert len(read(path)[0]) == 37
        assert len(caplog.messages) == 1


@pytest.mark.parametrize(("there", "is_whole"), [(19, True), (18, True), (17, False), (3, False)])
def test_an_avi_film_needs_nine_tenths_of_its_pictures_or_time(
    tmp_path: Path, there: int, is_whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = damage(write_film(tmp_path / "a.avi"), range(there, 20))
    if is_whole:
        assert len(read(path)[0]) == there
    else:
        said = f"{path}: had {there} frames where its header says 20: the others cannot be read"
        assert refusal(path) == (there, said)
    assert not caplog.text


def test_just_nine_tenths_are_enough(tmp_path: Path) -> None:
    assert len(read(damage(write_film(tmp_path / "a.avi", 60), range(54, 60)))[0]) == 54


def test_a_film_without_any_readable_picture_says_so(tmp_path: Path) -> None:
    path = damage(write_film(tmp_path / "a.avi"), range(20))
    assert refusal(path) == (0, f"{path}: no frame of it can be read")


def test_a_film_that_is_shown_in_part_alone_lacks_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An edit list hides pictures, which the index counts: the duration of the track is that of the others."""
    path = damage(write_film(tmp_path / "a.mp4"), range(10, 20))
    content = bytearray(path.read_bytes())
    scale = content.index(b"mvhd") + 4 + 12
    duration = content.index(b"tkhd") + 4 + 20
    content[duration : duration + 4] = content[scale : scale + 4]  # one second
    path.write_bytes(content)
    assert len(read(path)[0]) == 10
    assert not caplog.text
    assert refusal(damage(path, range(8)))[1].endswith(
        "had 2 frames where its header says 10: the others cannot be read"
    )


def test_a_part_behind_the_pictures_may_be_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_film(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes() + b"\0\0\x10\0free" + bytes(100))
    assert len(read(path)[0]) == 20
    assert not caplog.text
    assert refusal(damage(path, [18, 19]))[1] == f"{path}: ended after 18 frames: the file is truncated"


def test_a_cut_gif_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    write_gif(path, (20, 20, 20), end=b"\x2c\0\0")
    count, said = refusal(path)
    assert count
    assert said == f"{path}: ended after {count} frames: the file is truncated"


def test_a_gap_in_the_structure_of_a_film_is_damage(tmp_path: Path) -> None:
    for name, codec in (("a.ts", "MPG2"), ("a.flv", "FLV1"), ("a.wmv", "WMV2"), ("a.mkv", "MJPG")):
        path = write_film(tmp_path / name, codec=codec)
        content = bytearray(path.read_bytes())
        half, quarter = len(content) // 2, len(content) // 4
        content[half : half + quarter] = bytes(quarter)
        path.write_bytes(content)
        count, said = refusal(path)
        assert 5 < count < 19
        assert said == f"{path}: had {count} frames: the file is damaged, and others cannot be read"


@pytest.mark.parametrize(("damaged", "is_logged"), [(5, True), (2, False)])
def test_a_film_that_was_removed_is_measured_by_its_header_alone(
    tmp_path: Path, damaged: int, is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = damage(write_film(tmp_path / "a.mkv"), range(20 - damaged, 20))
    with VideoSource(path) as source:
        path.unlink()
        assert len(list(source)) == 20 - damaged
    assert caplog.messages == ([f"{path}: had 15 frames where its header says 20"] if is_logged else [])


def test_only_a_second_picture_like_the_first_makes_a_film_suspect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV shows the first picture for ever where it cannot convert a film: a new version of it may convert all."""
    monkeypatch.setattr(video, "cannot_be_converted", lambda _: True)
    assert len(read(write_film(tmp_path / "moves.avi", same=[2, 3]))[0]) == 20
    path = write_film(tmp_path / "stands.avi", same=[1])
    assert refusal(path) == (
        1,
        f"{path}: is interlaced, and OpenCV {cv2.__version__} cannot convert such frames. Convert "
        "it first: ffmpeg -i IN -vf yadif OUT.mp4",
    )
    monkeypatch.setattr(video, "cannot_be_converted", lambda _: False)
    assert len(read(path)[0]) == 20


def test_a_sound_file_with_a_cover_is_no_film(tmp_path: Path) -> None:
    """An MP3 file (ID3v2.3, 4.15) whose sound is silence."""
    cover = b"\0image/jpeg\0\x03\0" + cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    tag = b"APIC" + len(cover).to_bytes(4, "big") + b"\0\0" + cover
    size = bytes(len(tag) >> shift & 127 for shift in (21, 14, 7, 0))
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + tag + (b"\xff\xfb\x90\0" + bytes(413)) * 8)
    with pytest.raises(SourceError) as caught, VideoSource(path):
        pass
    assert str(caught.value) == f"{path}: is a sound file with a cover image, not a video"


def test_damage_behind_the_last_picture_is_no_loss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_film(tmp_path / "a.flv", codec="FLV1")
    path.write_bytes(path.read_bytes() + b"\x55" * 400)
    assert is_damaged(path)
    assert len(read(path)[0]) == 20
    assert not caplog.text
