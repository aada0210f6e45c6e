"""Headers of films, each written byte by byte; films of ffmpeg are in test_picture_formats.py."""

import io
import struct
from pathlib import Path

import pytest
from tests.gif import write_gif

from fer_edge.sources.containers import Header, read_header


def header_of(content: bytes, size: int | None = None) -> Header:
    return read_header(io.BytesIO(content), len(content) if size is None else size)


def box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def track(handler: bytes, duration: int, *, is_long: bool) -> bytes:
    """ISO/IEC 14496-12, 8.3.2 and 8.4.3; a long one has times of 64 bits."""
    times = struct.pack(">QQIIQ", 1, 2, 3, 0, duration) if is_long else struct.pack(">IIIII", 1, 2, 3, 0, duration)
    head = box(b"tkhd", bytes([is_long, 0, 0, 7]), times, bytes(60))
    return box(b"trak", head, box(b"mdia", box(b"hdlr", bytes(8), handler, bytes(13))))


def moov(duration: int, *, is_long: bool = False) -> bytes:
    """An index with a sound of twice the duration, in fiftieths of a second."""
    times = struct.pack(">QQIQ" if is_long else ">IIII", 1, 2, 50, 9)
    head = box(b"mvhd", bytes([is_long, 0, 0, 0]), times, bytes(80))
    tracks = (track(kind, time, is_long=is_long) for kind, time in ((b"soun", 2 * duration), (b"vide", duration)))
    return box(b"moov", head, *tracks)


FTYP = box(b"ftyp", b"isom", bytes(4))
PICTURES = bytes(5000)


@pytest.mark.parametrize("is_long", [False, True])
def test_the_duration_of_an_mp4_file_is_that_of_its_picture(is_long: bool) -> None:
    assert header_of(FTYP + box(b"mdat", PICTURES) + moov(125, is_long=is_long)) == Header(True, seconds=2.5)
    assert header_of(FTYP + moov(0, is_long=is_long) + box(b"mdat", PICTURES)).seconds is None


@pytest.mark.parametrize(
    "pictures", [box(b"mdat", PICTURES), struct.pack(">I4sQ", 1, b"mdat", 16 + len(PICTURES)) + PICTURES]
)
def test_an_mp4_file_is_cut_where_a_box_ends_beyond_it(pictures: bytes) -> None:
    whole = FTYP + moov(125) + pictures
    assert not header_of(whole).is_cut
    assert not header_of(whole + bytes(5)).is_cut, "too few bytes for a box"
    assert header_of(whole[:-1]).is_cut
    assert header_of(whole[:-4000], len(whole) - 1).is_cut, "its beginning is enough"
    assert not header_of(whole[:-4000], len(whole)).is_cut
    assert not header_of(whole).lacks_index
    assert header_of(FTYP + pictures).lacks_index


def test_the_last_box_of_an_mp4_file_may_end_with_the_file() -> None:
    found = header_of(FTYP + moov(125) + struct.pack(">I4s", 0, b"mdat") + PICTURES)
    assert found == Header(True, seconds=2.5)


def test_an_avi_file_has_the_size_of_its_header() -> None:
    whole = b"RIFF" + struct.pack("<I", 504) + b"AVI " + bytes(500)
    assert header_of(whole) == Header(True)
    assert header_of(whole[:-1]) == Header(True, is_cut=True)
    assert header_of(b"RIFF" + struct.pack("<I", 999) + b"WAVE" + bytes(500)) == Header()


def test_an_flv_file_may_hold_its_size() -> None:
    def flv(size: float) -> bytes:
        return b"FLV\x01\x05" + bytes(99) + b"\0\x08filesize\0" + struct.pack(">d", size) + bytes(86)

    assert not header_of(flv(209)).is_cut
    assert header_of(flv(210)).is_cut
    assert not header_of(flv(210)[:119]).is_cut, "the size itself is cut"
    assert not header_of(b"FLV\x01\x05" + bytes(99)).is_cut


def test_a_windows_film_holds_its_size_and_a_broadcast_does_not() -> None:
    def asf(size: int, flags: int) -> bytes:
        kind = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
        facts = kind + bytes(24) + struct.pack("<Q", size) + bytes(40) + struct.pack("<III", flags, 400, 400)
        return bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14) + facts

    size = len(asf(0, 0))
    assert not header_of(asf(size, 2)).is_cut
    assert header_of(asf(size + 1, 2)).is_cut
    assert not header_of(asf(size + 1, 3)).is_cut
    assert not header_of(asf(size + 1, 2)[:120]).is_cut


def ogg_page(flags: int, *lengths: int) -> bytes:
    return b"OggS\0" + bytes([flags]) + bytes(20) + bytes([len(lengths), *lengths]) + bytes(sum(lengths))


def test_an_ogg_file_ends_with_a_whole_last_page() -> None:
    begin, end = ogg_page(2, 30), ogg_page(4, 255, 255, 40)
    middle = ogg_page(0, *[255] * 255)
    assert header_of(begin + middle + middle + end) == Header()
    assert header_of(begin + middle).lacks_end
    for missing in (1, 549, 555, 570):
        assert header_of((begin + middle + end)[:-missing]).lacks_end
    assert header_of(b"OggS" + bytes(2)).lacks_end
    assert not header_of(begin + middle, 10**6).lacks_end, "only its beginning is there"


def test_a_gif_that_ends_within_a_picture_is_cut(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", (10, 10))
    whole = (tmp_path / "a.gif").read_bytes()
    assert [header_of(whole[: len(whole) - cut]).lacks_end for cut in (0, 1, 2, 3)] == [False, False, True, True]
    assert not header_of(whole[:-9], len(whole)).lacks_end, "only its beginning is there"


def test_an_mpeg_stream_has_times_only_in_packs() -> None:
    assert header_of(b"\0\0\1\xba" + bytes(50)) == Header()
    assert header_of(b"\0\0\1\xb3" + bytes(50)) == Header(is_raw=True)
