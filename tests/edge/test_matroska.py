"""The structure of Matroska, WebM and GIF files, byte by byte: films of these kinds are in test_video_files.py."""

from io import BytesIO
from pathlib import Path

import pytest

from fer_edge.sources import gif
from fer_edge.sources.gif import is_cut, read_gif, with_delays
from fer_edge.sources.matroska import count_pictures, end_of_segment, picture_seconds, read_number

UNKNOWN = b"\x01" + b"\xff" * 7
HEAD = bytes.fromhex("1A45DFA3 82 4286")
SOUND, PICTURES, OTHERS = b"\x11" * 8, b"\x22" * 8, b"\x33" * 8


def element(kind: str, *content: bytes) -> bytes:
    """An element with its ID in hexadecimal digits and a length of eight bytes (RFC 8794)."""
    inside = b"".join(content)
    return bytes.fromhex(kind) + b"\x01" + len(inside).to_bytes(7, "big") + inside


def track(number: int, kind: int, uid: bytes, codec: bytes = b"V_VP9") -> bytes:
    return element(
        "AE", element("D7", bytes((number,))), element("83", bytes((kind,))), element("73C5", uid), element("86", codec)
    )


def block(number: int, flags: int = 0x80, data: bytes = b"\x10x", kind: str = "A3") -> bytes:
    return element(kind, bytes((0x80 | number, 0, 0, flags)), data)


def film(*parts: bytes, codec: bytes = b"V_VP9") -> BytesIO:
    """A sound track, the pictures, and other pictures, as a thumbnail's."""
    tracks = element("1654AE6B", track(1, 2, SOUND, b"A_OPUS"), track(2, 1, PICTURES, codec), track(3, 1, OTHERS))
    return BytesIO(HEAD + element("18538067", element("EC", bytes(9)), tracks, *parts))


def test_only_pictures_of_the_first_video_track_that_are_shown_count() -> None:
    first = element("1F43B675", element("E7", b"\0"), block(2), block(1), block(3), block(2, flags=0x08), block(2))
    second = element("1F43B675", element("A0", block(2, kind="A1"), element("9B", b"\x05")), element("EC", b"xx"))
    assert count_pictures(film(first, second)) == 3
    assert count_pictures(film()) == 0


@pytest.mark.parametrize(("codec", "count"), [(b"V_VP8", 1), (b"V_VP9", 2)])
def test_vp8_marks_pictures_that_are_not_shown(codec: bytes, count: int) -> None:
    cluster = element("1F43B675", block(2, data=b"\x10x"), block(2, data=b"\x01x"))
    assert count_pictures(film(cluster, codec=codec)) == count


def test_a_cut_recording_counts_what_is_there_and_a_damaged_one_is_unknown() -> None:
    whole = film(element("1F43B675", block(2), block(2), block(2))).getvalue()
    assert [count_pictures(BytesIO(whole[:-cut])) for cut in (1, 2, 9)] == [3, 2, 2]
    assert count_pictures(BytesIO(whole + b"\x99\x81x")) is None
    live = HEAD + bytes.fromhex("18538067") + UNKNOWN + film().getvalue()[len(HEAD) + 12 :]
    live += bytes.fromhex("1F43B675") + UNKNOWN + block(2)
    assert count_pictures(BytesIO(live)) == 1, "a live stream tells no lengths"
    assert count_pictures(BytesIO(live + bytes.fromhex("1254C367") + UNKNOWN)) is None
    assert end_of_segment(BytesIO(live)) == 0
    assert end_of_segment(BytesIO(whole + b"more")) == len(whole)
    assert end_of_segment(BytesIO(HEAD + element("EC", b"x"))) == 0


def tag(uid: bytes, name: bytes, value: bytes) -> bytes:
    return element(
        "7373", element("63C0", element("63C5", uid)), element("67C8", element("45A3", name), element("4487", value))
    )


def test_the_duration_is_that_of_the_pictures() -> None:
    ours = tag(PICTURES, b"DURATION", b"01:02:03.500000000")
    others = (tag(SOUND, b"DURATION", b"09:00:00.0"), tag(PICTURES, b"ENCODER", b"00:00:07.0"))
    cluster = element("1F43B675", block(2))
    assert picture_seconds(film(element("1254C367", *others, ours), cluster)) == 3723.5
    assert picture_seconds(film(element("1254C367", *others), cluster)) is None
    assert picture_seconds(film(cluster, element("1254C367", ours))) is None, "only the beginning is read"


@pytest.mark.parametrize(
    ("content", "number", "with_marker"),
    [
        (b"\x81", 1, 0x81),
        (b"\x40\x01", 1, 0x4001),
        (b"\x1a\x45\xdf\xa3", 0x0A45DFA3, 0x1A45DFA3),
        (b"\xff", None, 0xFF),
        (b"\x7f\xff", None, 0x7FFF),
        (b"\xfe", 126, 0xFE),
        (b"", 0, 0),
        (b"\0\x81", 0, 0),
    ],
)
def test_numbers_have_a_marker_of_their_length(content: bytes, number: int | None, with_marker: int) -> None:
    assert read_number(BytesIO(content)) == number
    assert read_number(BytesIO(content), keep_marker=True) == with_marker


# A screen with a table of four colours; a delay of 0.5 s; a picture of 1x1 pixel, with a table of its own or without;
# a comment (GIF89a, 18 to 24).
SCREEN = b"GIF89a" + bytes.fromhex("0100 0100 91 00 00") + b",;!" * 4
DELAY = bytes.fromhex("21 F9 04 00 3200 00 00")
PICTURE = bytes.fromhex("2C 0000 0000 0100 0100 00 02 02 4C01 00")
WITH_TABLE = bytes.fromhex("2C 0000 0000 0100 0100 82") + b",;!" * 8 + bytes.fromhex("02 02 4C01 00")
COMMENT = b"\x21\xfe\x03a;,\0"
TENTH = bytes.fromhex("21 F9 04 00 0A00 00 00")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((DELAY, PICTURE, DELAY, WITH_TABLE), (DELAY, PICTURE, DELAY, WITH_TABLE)),
        ((PICTURE, WITH_TABLE), (TENTH, PICTURE, TENTH, WITH_TABLE)),
        ((DELAY, WITH_TABLE, PICTURE), (DELAY, WITH_TABLE, TENTH, PICTURE)),
        ((DELAY, COMMENT, PICTURE, COMMENT, PICTURE), (DELAY, COMMENT, PICTURE, COMMENT, TENTH, PICTURE)),
        ((), ()),
    ],
)
def test_each_picture_of_a_gif_gets_a_delay_of_a_tenth_if_it_has_none(
    parts: tuple[bytes, ...], expected: tuple[bytes, ...]
) -> None:
    content = SCREEN + b"".join(parts) + b";"
    assert with_delays(content) == SCREEN + b"".join(expected) + b";"
    assert not is_cut(content)
    if parts:
        assert is_cut(content[:-3])
        assert not is_cut(content[:-1]), "the mark of the end is missing in many files"


def test_only_a_gif_of_a_bearable_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(SCREEN + PICTURE)
    monkeypatch.setattr(gif, "LARGEST", len(SCREEN + PICTURE))
    assert read_gif(file) == SCREEN + PICTURE
    file.write_bytes(SCREEN + PICTURE + b";")
    assert read_gif(file) is None
    file.write_bytes(b"GIF90a")
    assert read_gif(file) is None
    assert read_gif(tmp_path) is None
