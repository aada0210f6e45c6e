"""Damage in the structure of films, each written byte by byte; films of ffmpeg are in test_picture_formats.py."""

import struct
from pathlib import Path

import pytest

from fer_edge.sources.damage import is_damaged


def packet(
    counter: int, *, pid: int = 0x1234, begins: bool = False, has_payload: bool = True, before: int = 0
) -> bytes:
    """A packet of a transport stream: ISO/IEC 13818-1, 2.4.3.2; with so many bytes of time before it."""
    head = struct.pack(">BHB", 0x47, begins << 14 | pid, 0x10 * has_payload | 0x20 | counter & 0x0F)
    return bytes([0x47] * before) + head + b"\xff" * 184


def is_broken(folder: Path, content: bytes) -> bool:
    path = folder / "film"
    path.write_bytes(content)
    return is_damaged(path)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (4, 0), (0, 16)])
def test_a_transport_stream_counts_its_packets(before: int, after: int, tmp_path: Path) -> None:
    def stream(*numbers: int) -> bytes:
        return b"".join(packet(number, before=before) + bytes(after) for number in numbers)

    assert not is_broken(tmp_path, stream(*range(13, 40)))
    assert not is_broken(tmp_path, stream(*range(40))[:-100]), "it is only cut"
    assert not is_broken(tmp_path, stream(0, 1, 2, 2, 3)), "a packet may be sent twice"
    assert is_broken(tmp_path, stream(0, 1, 2, 4, 5))
    assert is_broken(tmp_path, stream(0, 1, 2, 1, 2))
    whole = bytearray(stream(*range(40)))
    whole[20 * (188 + before + after) + before] = 0x46
    assert is_broken(tmp_path, bytes(whole)), "a packet without its mark"


def test_each_stream_of_a_transport_stream_has_its_own_counter(tmp_path: Path) -> None:
    pairs = [packet(number) + packet(3 * number, pid=0x1FFF) + packet(number + 7, pid=0x34) for number in range(9)]
    assert not is_broken(tmp_path, b"".join(pairs)), "filler is not counted"
    assert is_broken(tmp_path, b"".join(pairs) + packet(9) + packet(9, pid=0x34))
    without = [packet(number // 2, has_payload=number % 2 == 0) for number in range(9)]
    assert not is_broken(tmp_path, b"".join(without)), "nor is a packet without content"


def test_of_joined_transport_streams_the_second_counts_anew(tmp_path: Path) -> None:
    first = b"".join(map(packet, range(9)))
    assert not is_broken(tmp_path, first + packet(3, begins=True) + packet(4))
    assert is_broken(tmp_path, first + packet(3) + packet(4, begins=True))


# A pack of MPEG-2 with two bytes of stuffing, and one of MPEG-1; a packet of each; and the end.
PACK_2 = b"\0\0\1\xba\x44" + bytes(8) + b"\xfa\xff\xff"
PACK_1 = b"\0\0\1\xba\x21" + bytes(7)
PACKET = b"\0\0\1\xe0" + struct.pack(">H", 300) + b"\x07" * 300
SYSTEM_HEADER = b"\0\0\1\xbb" + struct.pack(">H", 12) + b"\x80" * 12
END = b"\0\0\1\xb9"


@pytest.mark.parametrize("pack", [PACK_2, PACK_1])
def test_in_a_program_stream_each_part_begins_where_the_last_one_ends(pack: bytes, tmp_path: Path) -> None:
    whole = (pack + SYSTEM_HEADER + PACKET + PACKET) * 3 + END
    assert not is_broken(tmp_path, whole)
    assert not is_broken(tmp_path, whole[:-200]), "it is only cut"
    assert not is_broken(tmp_path, whole + whole), "it was joined"
    for lost in (len(pack) + 30, len(whole) // 2):
        assert is_broken(tmp_path, whole[:lost] + whole[lost + 7 :])
    assert is_broken(tmp_path, whole.replace(b"\0\0\1\xe0", b"\0\0\1\x07", 1)), "no such part exists"


def page(number: int, content: bytes = b"frame" * 90, *, kind: int = 0, stream: int = 7) -> bytes:
    """A page of an Ogg file with its checksum, bit by bit: RFC 3533, 6."""
    lengths = [255] * (len(content) // 255) + [len(content) % 255]
    head = struct.pack("<4sBBqIII", b"OggS", 0, kind, 0, stream, number, 0)
    whole = head + bytes((len(lengths), *lengths)) + content
    checksum = 0
    for byte in whole:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 1 << 31 else 0)) & 0xFFFFFFFF
    return whole[:22] + struct.pack("<I", checksum) + whole[26:]


def test_the_pages_of_an_ogg_file_have_numbers_and_checksums(tmp_path: Path) -> None:
    pages = [page(number, kind=2 if number == 0 else 0) for number in range(5)]
    whole = b"".join(pages)
    assert not is_broken(tmp_path, whole)
    assert not is_broken(tmp_path, whole[:-20]), "it is only cut"
    assert not is_broken(tmp_path, whole + whole), "it was joined"
    assert not is_broken(tmp_path, b"".join(page(n // 2, stream=n % 2) for n in range(8))), "picture and sound in turn"
    assert is_broken(tmp_path, b"".join(pages[:2] + pages[3:]))
    assert is_broken(tmp_path, b"".join([*pages[:2], pages[1], *pages[2:]]))
    for place in (20, len(pages[0]) + 300):
        assert is_broken(tmp_path, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])


def tag(kind: int, length: int) -> bytes:
    """A tag of an FLV file, and its length after it."""
    return bytes([kind]) + length.to_bytes(3, "big") + bytes(7 + length) + (11 + length).to_bytes(4, "big")


def test_a_tag_of_an_flv_file_is_of_a_known_kind_and_repeats_its_length(tmp_path: Path) -> None:
    header = b"FLV\x01\x05" + struct.pack(">I", 9) + bytes(4)
    tags = [tag(18, 300), tag(9, 70_000), tag(8, 100), tag(9, 200)]
    whole = header + b"".join(tags)
    assert not is_broken(tmp_path, whole)
    for missing in (2, 8, 150):
        assert not is_broken(tmp_path, whole[:-missing]), "it is only cut"
    assert is_broken(tmp_path, header + b"".join(tags[:2]) + tag(7, 100))
    assert is_broken(tmp_path, whole[:-1] + b"\xff"), "another length"
    assert is_broken(tmp_path, whole[:400] + whole[407:])


def test_the_packets_of_a_windows_film_begin_alike(tmp_path: Path) -> None:
    kind = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
    facts = kind + struct.pack("<Q", 104) + bytes(68) + struct.pack("<III", 400, 400, 1000)
    start = 30 + len(facts)
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<QIBB", start, 1, 1, 2) + facts
    packets = [b"\x82" + bytes([number] * 399) for number in range(6)]
    data = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 50 + 2400) + bytes(26)
    index = b"\x90" + bytes(900)
    whole = header + data + b"".join(packets)
    assert not is_broken(tmp_path, whole + index), "its index is no packet"
    assert not is_broken(tmp_path, whole[:-500]), "it is only cut"
    assert is_broken(tmp_path, header + data + b"".join(packets[:2]) + bytes(400) + b"".join(packets[3:]))
    assert is_broken(tmp_path, header + data + b"".join(packets[:-1]) + bytes(400))


def test_of_other_files_and_of_empty_ones_no_damage_is_told(tmp_path: Path) -> None:
    assert not is_broken(tmp_path, b"\x1aE\xdf\xa3" + bytes(1000))
    assert not is_broken(tmp_path, (b"\x47" + bytes(99)) * 9), "no size of packets"
    with pytest.raises(OSError, match="emptied"):
        is_broken(tmp_path, b"")
