"""Reading single images: what a folder holds, what a file gives, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import SourceError
from fer_edge.images import decode_image, files_in, flipped, load_frame, pictures_in, read_image, turned
from fer_edge.picture_formats import heif_transformation, is_animated, orientation, why_unsuited

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


def png(image: np.ndarray = IMAGE) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one with another ending, and some in subfolders."""
    for name in ("b.png", "a.txt", "sub/c.png", "sub/deep/d.png", ".hidden/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png())
    (tmp_path / "sub" / "notes.txt").write_text("no picture")
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    return tmp_path


def names(folder: Path, paths: list[Path]) -> list[str]:
    return [str(path.relative_to(folder)) for path in paths]


def test_a_folder_is_listed_in_order_and_its_subfolders_on_request_without_hidden_ones_and_links(folder: Path) -> None:
    assert names(folder, pictures_in(folder)) == ["a.txt", "b.png"]
    assert names(folder, pictures_in(folder, recursive=True)) == ["a.txt", "b.png", "sub/c.png", "sub/deep/d.png"]
    assert names(folder, files_in(folder)) == [".hidden", "a.txt", "b.png", "link", "sub"]
    assert names(folder, files_in(folder, recursive=True))[-2:] == ["sub/deep/d.png", "sub/notes.txt"]
    for recursive in (False, True):
        with pytest.raises(FileNotFoundError):
            files_in(folder / "nowhere", recursive=recursive)


def test_an_image_is_read_in_colour_or_grey(folder: Path) -> None:
    seen = read_image(folder / "b.png")
    assert seen is not None
    assert np.array_equal(seen, IMAGE)
    grey = read_image(folder / "b.png", grey=True)
    assert grey is not None
    assert grey.shape == (2, 3)
    assert np.abs(grey.astype(int) - IMAGE[:, :, 1]).max() <= 10
    assert read_image(folder / "nowhere.png") is None
    assert decode_image(b"", "x") is None
    assert decode_image(b"no image", "x") is None


def test_a_file_becomes_a_still_frame_of_its_name(folder: Path) -> None:
    frame = load_frame(str(folder / "b.png"))
    assert (frame.still, frame.name, frame.index, frame.live) == (True, "b.png", 0, False)
    assert np.array_equal(frame.image, IMAGE)
    for name, why in (("nowhere.png", "no such file"), ("sub/notes.txt", "is not a readable image")):
        with pytest.raises(SourceError) as caught:
            load_frame(folder / name)
        assert str(caught.value) == f"{folder / name}: {why}"


def test_a_png_file_whose_chunks_claim_more_than_there_is_is_refused() -> None:
    whole = png()
    assert decode_image(whole, "x") is not None
    assert decode_image(whole + b"more behind its end", "x") is not None
    start = whole.index(b"IDAT") - 4
    claims = whole[:start] + b"\x7f\xff\xff\xff" + whole[start + 4 :]
    assert decode_image(claims, "x") is None
    assert decode_image(whole[: whole.index(b"IEND") - 4], "x") is None
    text = b"\0\0\0\x03tEXta\0b\0\0\0\0"
    assert decode_image(whole[:33] + text + whole[33:], "x") is not None


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(
    ("exif", "seen"),
    [
        (1, IMAGE),
        (2, IMAGE[:, ::-1]),
        (3, IMAGE[::-1, ::-1]),
        (4, IMAGE[::-1]),
        (5, IMAGE.transpose(1, 0, 2)),
        (6, np.rot90(IMAGE, -1)),
        (7, IMAGE[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(IMAGE)),
    ],
)
def test_each_orientation_is_turned_upright(exif: int, seen: np.ndarray, grey: bool) -> None:
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes((exif, 0, 0, 0, 0, 0, 0))
    chunk = len(tiff).to_bytes(4, "big") + b"eXIf" + tiff + bytes(4)
    whole = png()
    content = whole[:33] + chunk + whole[33:]
    assert orientation(content) == exif
    got = decode_image(content, "x", grey=grey)
    assert got is not None
    expected = decode_image(png(np.ascontiguousarray(seen)), "y", grey=grey)
    assert expected is not None
    assert np.array_equal(got, expected)


def test_images_are_turned_clockwise_and_flipped() -> None:
    for degrees in (0, 90, 180, 270):
        assert np.array_equal(turned(IMAGE, degrees), np.rot90(IMAGE, -degrees // 90))
    assert turned(IMAGE, 0) is IMAGE
    assert flipped(IMAGE, left_right=False, above_below=False) is IMAGE
    for left_right, above_below, seen in (
        (True, False, IMAGE[:, ::-1]),
        (False, True, IMAGE[::-1]),
        (True, True, IMAGE[::-1, ::-1]),
    ):
        assert np.array_equal(flipped(IMAGE, left_right=left_right, above_below=above_below), seen)


def heic(image: np.ndarray, mode: str, **options: object) -> bytes:
    heif = pytest.importorskip("pillow_heif")
    target = Path("image.heic")
    heif.from_bytes(mode=mode, size=(image.shape[1], image.shape[0]), data=image.tobytes()).save(
        target, quality=-1, **options
    )
    return target.read_bytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "RGB;16"])
def test_heic_images_of_any_depth_are_read_in_colour_and_grey(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    is_deep = "16" in mode
    picture: np.ndarray = np.zeros((32, 64, len(mode.partition(";")[0])), np.uint16 if is_deep else np.uint8)
    picture[:, :32, 0] = 200 << (8 if is_deep else 0)  # red, or light grey, on the left
    if mode.endswith("A"):
        picture[:, :, -1] = 255
    seen = decode_image(heic(picture, mode), "image.heic")
    assert seen is not None
    assert seen.shape == (32, 64, 3)
    assert seen.dtype == np.uint8
    left = (200, 200, 200) if mode.startswith("L") else (0, 0, 200)
    assert np.abs(seen[16, 8].astype(int) - left).max() < 12
    assert np.abs(seen[16, 56].astype(int)).max() < 12
    grey = decode_image(heic(picture, mode), "image.heic", grey=True)
    assert grey is not None
    assert grey.shape == (32, 64)
    assert abs(int(grey[16, 8]) - (200 if mode.startswith("L") else 60)) < 12


def box(kind: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return (len(content) + 8 if size is None else size).to_bytes(4, "big") + kind + content


def test_what_a_heic_file_says_of_its_orientation_is_looked_for_in_its_meta_box_alone() -> None:
    first, second, meta = box(b"ftyp", b"heic"), box(b"free", b"....irot\1"), box(b"meta", b"irot\1")
    assert heif_transformation(first + second + meta) == 8
    assert heif_transformation(first + second) is None
    assert heif_transformation(first + box(b"meta") + b"....irot\1") is None
    assert heif_transformation(first + box(b"meta", b"irot\1", size=0)) == 8, "it goes to the end of the file"
    long = box(b"mdat", (24).to_bytes(8, "big") + bytes(8), size=1)
    assert heif_transformation(first + long + meta) == 8, "a box with a long size"
    assert heif_transformation(first + box(b"free", size=3) + meta) == 8, "a size that cannot be"
    assert heif_transformation(box(b"meta", b"imir\0")) == 4
    assert heif_transformation(box(b"meta", b"imir\1")) == 2


def test_an_animated_image_is_read_in_part_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    whole = png()
    decode_image(whole, "still.png")
    assert not caplog.messages
    control = b"\0\0\0\x08acTL" + bytes((0, 0, 0, 2, 0, 0, 0, 0)) + bytes(4)
    decode_image(whole[:33] + control + whole[33:], "moving.png")
    assert caplog.messages == ["moving.png: is animated; only its first picture is read"]


@pytest.mark.parametrize(("flags", "animated"), [(0, False), (0x02, True), (0x01, False), (0x12, True), (0x10, False)])
def test_a_webp_image_tells_by_a_flag_whether_it_moves(flags: int, animated: bool) -> None:
    head = b"RIFF\0\0\0\0WEBP"
    assert is_animated(head + b"VP8X" + (10).to_bytes(4, "little") + bytes((flags,)) + bytes(9)) == animated
    assert not is_animated(head + b"VP8 " + (10).to_bytes(4, "little") + bytes((flags,)) + bytes(9))


def test_other_kinds_of_images_do_not_move() -> None:
    assert not is_animated(b"\xff\xd8\xff acTL IDAT" + bytes(40))
    assert not is_animated(png() + b"acTL")


def test_files_that_hold_pictures_but_are_none_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "file"
    icon = b"\0\0\1\0\1\0" + bytes(12) + (22).to_bytes(4, "little")
    for content, said in (
        (icon, "is an icon of several sizes. Save the largest one as PNG"),
        (b"%PDF-1.7", "is a PDF file. Save its pictures as PNG or JPEG"),
        (b"8BPS\0\1", "is a Photoshop file. Save its pictures as PNG or JPEG"),
        (b"PK\3\4", "is a ZIP or office file. Save its pictures as PNG or JPEG"),
        (b"other", ""),
    ):
        path.write_bytes(content)
        assert why_unsuited(path) == said
    assert why_unsuited(tmp_path / "nowhere") == ""
