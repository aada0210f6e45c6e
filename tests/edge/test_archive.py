"""What is read from an archive or a folder with a bundle, up to which size, and what is said of the rest."""

import gzip
import io
import os
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import ModelError
from fer_edge.updates.archive import copy_bundle, unpack_bundle

BUNDLE = {"model.json": b'{"name": "mine"}', "model.tflite": b"TFL3 weights", "golden.npz": b"golden faces"}
MB = 1_000_000
ALL = "A bundle holds model.json, model.tflite, golden.npz"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def pack(archive: Path, files: Mapping[str, bytes], *first: tarfile.TarInfo) -> Path:
    """An archive with these files, and before them entries without content."""
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        for entry in first:
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(archive: Path, folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        unpack_bundle(archive, folder)
    said = str(caught.value)
    assert said.startswith(f"{archive}: "), said
    return said.removeprefix(f"{archive}: ")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize("top", ["", "mine/"])
def test_the_three_files_of_a_device_are_unpacked_and_nothing_else(
    tmp_path: Path, out: Path, name: str, top: str
) -> None:
    others = {f"{top}README.md": b"read me", f"{top}deep/er/model.json": b"{}"}
    files = {**others, **{f"{top}{each}": content for each, content in BUNDLE.items()}, "z.png": b"a picture"}
    folders = [entry("mine", tarfile.DIRTYPE), entry("mine/model.json.d", tarfile.DIRTYPE)]
    unpack_bundle(pack(tmp_path / name, files, *folders), out)
    assert contents(out) == BUNDLE


def test_a_folder_with_the_name_of_a_file_is_no_file(tmp_path: Path, out: Path) -> None:
    unpack_bundle(pack(tmp_path / "a.tar", BUNDLE, entry("other/model.json", tarfile.DIRTYPE)), out)
    assert contents(out) == BUNDLE


def test_64_entries_are_read_and_not_one_more(tmp_path: Path, out: Path) -> None:
    empty = [entry(f"file{number}") for number in range(62)]
    said = refusal(pack(tmp_path / "a.tar", BUNDLE, *empty), out)
    assert said == "holds more than 64 files. Nothing was installed"
    unpack_bundle(pack(tmp_path / "b.tar", BUNDLE, *empty[1:]), out)
    assert contents(out) == BUNDLE


def test_a_file_may_have_its_limit_and_not_a_byte_more(tmp_path: Path, out: Path) -> None:
    largest = {**BUNDLE, "model.json": b" " * MB}
    unpack_bundle(pack(tmp_path / "a.tar", largest), out)
    assert contents(out) == largest
    said = refusal(pack(tmp_path / "b.tar", {**BUNDLE, "model.json": b" " * (MB + 1)}), out)
    assert said == "'model.json' is larger than 1 MB. Nothing was installed"


@pytest.mark.parametrize(
    ("harmful", "said"),
    [
        (entry("model.tflite", size=32 * MB + 1), "'model.tflite' is larger than 32 MB. Nothing was installed"),
        (entry("golden.npz", size=4 * MB + 1), "'golden.npz' is larger than 4 MB. Nothing was installed"),
        (entry("picture.png", size=64 * MB + 1), "'picture.png' is larger than 64 MB. Nothing was installed"),
        (entry("a", tarfile.FIFOTYPE), "'a' is a pipe, not a file. Nothing was installed"),
        (entry("a", tarfile.CHRTYPE), "'a' is a device, not a file. Nothing was installed"),
        (entry("model.json", tarfile.SYMTYPE), "'model.json' is a link, not a file. Nothing was installed"),
        (entry("a/../../b"), "'a/../../b' leads out of the bundle's folder. Nothing was installed"),
        (entry("/etc/passwd"), "'/etc/passwd' leads out of the bundle's folder. Nothing was installed"),
    ],
)
def test_a_harmful_entry_is_refused_by_its_name(tmp_path: Path, out: Path, harmful: tarfile.TarInfo, said: str) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(harmful.tobuf())
    assert refusal(archive, out) == said
    assert contents(out) == {}


def test_what_comes_after_a_harmful_entry_is_not_even_read(tmp_path: Path, out: Path) -> None:
    noise = {"noise": np.random.default_rng(0).bytes(200_000)}
    archive = pack(tmp_path / "a.tar.gz", noise, entry("model.json", tarfile.SYMTYPE))
    archive.write_bytes(archive.read_bytes()[:-50_000])
    assert "is a link" in refusal(archive, out)


def test_an_archive_may_have_64_mb_in_all(tmp_path: Path, out: Path) -> None:
    archive = pack(tmp_path / "a.tar", BUNDLE)
    begin = archive.read_bytes().rstrip(b"\0")
    begin += b"\0" * (-len(begin) % 512)
    for size, is_taken in ((64 * MB, True), (64 * MB + 512, False)):
        with archive.open("wb") as file:
            file.write(begin + entry("picture.png", size=size - len(begin) - 512).tobuf())
            file.truncate(size)
        if is_taken:
            unpack_bundle(archive, out)
            assert contents(out) == BUNDLE
        else:
            assert refusal(archive, out) == "is larger than 64 MB"


def test_what_an_archive_lacks_or_has_too_much_of_is_named(tmp_path: Path, out: Path) -> None:
    said = refusal(pack(tmp_path / "a.tar", {"model.tflite": b"TFL3"}), out)
    assert said == f"has no model.json. {ALL}"
    said = refusal(pack(tmp_path / "b.tar", dict.fromkeys(("model.json", "model.tflite"), b"")), out)
    assert said == f"has no golden.npz. {ALL}"
    said = refusal(pack(tmp_path / "c.tar", BUNDLE, entry("a/model.json"), entry("a/model.json")), out)
    assert said == "holds a/model.json twice. Make the archive again"
    said = refusal(pack(tmp_path / "d.tar", BUNDLE, entry("a/golden.npz")), out)
    assert said == "holds more than one bundle. Make an archive per bundle"
    assert refusal(tmp_path / "e.tar", out) == "there is no such file"


def test_an_archive_that_was_cut_is_refused(tmp_path: Path, out: Path) -> None:
    whole = pack(tmp_path / "a.tar", {**BUNDLE, "golden.npz": b"x" * 30_000}).read_bytes()
    for name, content in (("b.tar", whole), ("b.tar.gz", gzip.compress(whole))):
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        assert refusal(tmp_path / name, out).startswith("is no whole .tar or .tar.gz archive (")


# A folder


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_three_files_of_a_folder_are_copied_and_nothing_else(tmp_path: Path, out: Path) -> None:
    largest = {**BUNDLE, "model.json": b" " * MB}
    copy_bundle(write(tmp_path / "a", {**largest, "model.keras": b"a float model"}), out)
    assert contents(out) == largest


def test_a_file_that_cannot_be_copied_is_named(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "a", {**BUNDLE, "model.json": b" " * (MB + 1)})
    path = source / "model.json"

    def refusal_of_copy() -> str:
        with pytest.raises(ModelError) as caught:
            copy_bundle(source, out)
        assert contents(out) == {}
        return str(caught.value)

    assert refusal_of_copy() == f"{path}: is larger than 1 MB"
    path.unlink()
    assert refusal_of_copy() == f"{path}: missing. {ALL}"
    path.mkdir()
    assert refusal_of_copy() == f"{path}: cannot be read (Is a directory)"


def test_no_more_of_an_endless_file_is_read_than_it_may_have(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "a", {})
    os.mkfifo(source / "model.json")
    ended: list[bool] = []

    def send() -> None:
        try:
            with (source / "model.json").open("wb") as pipe:
                pipe.write(b" " * (5 * MB))
            ended.append(True)
        except BrokenPipeError:
            ended.append(False)

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(ModelError, match="is larger than 1 MB"):
        copy_bundle(source, out)
    sender.join()
    assert ended == [False], "the reader did not stop"
