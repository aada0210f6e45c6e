"""Images and folders of them as a source: which are read, what they are called, and what is said of the others."""

import errno
import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import SourceError
from fer_edge.sources.pictures import PictureSource


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, one of them in a subfolder, and six files that are none."""
    folder = tmp_path / "faces"
    (folder / "day").mkdir(parents=True)
    cv2.imwrite(str(folder / "b.png"), load_composites()["happy"])
    cv2.imwrite(str(folder / "day" / "a.png"), load_composites()["sad"])
    for number in range(6):
        (folder / f"note{number}.txt").touch()
    (folder / "day" / "more.txt").touch()
    (folder / ".hidden.txt").touch()
    return folder


def names(source: PictureSource) -> list[str]:
    with source:
        return [frame.name or "" for frame in source]


def test_a_folder_is_read_without_its_subfolders_unless_asked_for(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    source = PictureSource(folder)
    assert (source.description, source.stills, source.live) == (str(folder), True, False)
    assert names(source) == ["b.png"]
    assert source.frames == 1
    assert caplog.messages == [
        f"{folder}: skipped, since they are no images: 'day', 'note0.txt', 'note1.txt', 'note2.txt', 'note3.txt' "
        "and 2 more. Subfolders are read with --recursive"
    ]
    caplog.clear()
    assert names(PictureSource(folder, recursive=True)) == ["b.png", "day/a.png"]
    (said,) = caplog.messages
    assert said.startswith(f"{folder}: skipped, since they are no images: 'day/more.txt', 'note0.txt', ")
    assert said.endswith("'note3.txt' and 2 more")


def test_its_frames_are_stills_with_ten_seconds_between_them(folder: Path) -> None:
    with PictureSource(folder, recursive=True) as source:
        frames = list(source)
    assert [(frame.index, frame.captured_at, frame.still, frame.live) for frame in frames] == [
        (0, 0, True, False),
        (1, 10, True, False),
    ]
    assert np.array_equal(frames[1].image[..., 0], load_composites()["sad"])


def test_one_image_has_the_name_of_its_file(folder: Path) -> None:
    for recursive in (False, True):
        assert names(PictureSource(folder / "day" / "a.png", recursive=recursive)) == ["a.png"]


def test_it_can_be_stopped_between_images(folder: Path) -> None:
    with PictureSource(folder, recursive=True) as source:
        for frame in source:
            source.stop()
            assert frame.index == 0


def test_a_damaged_image_is_named_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    damaged = folder / "day" / "0.jpg"
    damaged.write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (folder / "day" / "more.txt").unlink()
    source = PictureSource(folder / "day")
    assert names(source) == ["a.png"]
    assert source.skipped == 1
    assert caplog.messages == [f"{damaged}: is not a readable image: skipped"]
    (folder / "day" / "a.png").write_bytes((folder / "day" / "a.png").read_bytes()[:40])
    with pytest.raises(SourceError) as refusal:
        names(PictureSource(folder / "day"))
    assert str(refusal.value) == f"{folder / 'day' / 'a.png'}: is not a readable image, nor is any other readable"
    with pytest.raises(SourceError) as refusal:
        names(PictureSource(damaged))
    assert str(refusal.value) == f"{damaged}: is not a readable image"


def test_an_image_of_a_missing_package_is_said_to_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    monkeypatch.setattr("fer_edge.images.has_heif", lambda: False)
    with pytest.raises(SourceError, match=r"phone.heic: HEIC and AVIF need the package pillow-heif"):
        names(PictureSource(path))


def test_images_that_vanish_or_cannot_be_listed_are_said_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PictureSource(folder / "b.png") as source:
        (folder / "b.png").unlink()
        with pytest.raises(SourceError, match=r"b.png: cannot be read \(No such file or directory\)"):
            list(source)
    with pytest.raises(SourceError, match=r"faces: holds no images \(.*\). Subfolders are read with --recursive"):
        names(PictureSource(folder))
    with pytest.raises(SourceError, match=r"deep: holds no images \([^)]*\)$"):
        (folder / "deep").mkdir()
        names(PictureSource(folder / "deep"))

    def fail(*_: object, **__: object) -> list[Path]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fer_edge.sources.pictures.pictures_in", fail)
    with pytest.raises(SourceError, match=r"faces: cannot be listed \(Input/output error\)"):
        names(PictureSource(folder))
