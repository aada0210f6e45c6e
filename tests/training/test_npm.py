"""A package of the npm registry: where it is asked for, what is said of a failure, and that its hashes decide."""

import io
import tarfile
from pathlib import Path

import pytest
from tests.face_api import archive_of
from tests.update_server import serve_updates

from fer_edge.errors import ConfigError, FerError
from fer_edge.model.bundle import sha256
from fer_train.pretrained import npm
from fer_train.pretrained.npm import NpmPackage, download, read_archive, unpack

PACKAGE = NpmPackage("@them/faces", "1.2.3", "0" * 64, {})


def test_the_archive_of_a_scoped_package_has_the_name_without_its_scope() -> None:
    assert PACKAGE.address == "@them/faces/-/faces-1.2.3.tgz"


@pytest.mark.parametrize("end", ["", "/"])
def test_an_archive_is_downloaded_from_its_address_in_the_registry(tmp_path: Path, end: str) -> None:
    path = tmp_path / PACKAGE.address
    path.parent.mkdir(parents=True)
    path.write_bytes(b"archive" * 1000)
    with serve_updates(tmp_path) as server:
        assert download(PACKAGE, server.url + end) == b"archive" * 1000


def test_what_is_no_address_is_refused_with_an_example() -> None:
    with pytest.raises(ConfigError) as caught:
        download(PACKAGE, "ftp://example.org/")
    assert str(caught.value) == "--registry ftp://example.org/: is no address such as https://registry.npmjs.org/"


def test_a_missing_archive_is_told_with_the_way_around(tmp_path: Path) -> None:
    with serve_updates(tmp_path) as server, pytest.raises(FerError) as caught:
        download(PACKAGE, f"{server.url}/")
    told = str(caught.value)
    assert told.startswith(f"{server.url}/@them/faces/-/faces-1.2.3.tgz: cannot be downloaded (")
    assert "404" in told
    assert told.endswith(
        "). Connect to the network, or run npm pack @them/faces@1.2.3 elsewhere and give its file with --archive"
    )


def test_the_reason_of_a_failed_connection_is_the_one_inside() -> None:
    with pytest.raises(FerError, match=r"cannot be downloaded \(Connection refused\)\. Connect"):
        download(PACKAGE, "http://127.0.0.1:9")


def test_an_address_that_cannot_be_read_is_told() -> None:
    with pytest.raises(FerError, match="cannot be downloaded"):
        download(PACKAGE, "http://127.0.0.1:port")


def test_an_archive_from_the_disk_is_read_or_the_file_named(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"abc")
    assert read_archive(tmp_path / "a.tgz") == b"abc"
    with pytest.raises(ConfigError) as caught:
        read_archive(tmp_path / "none.tgz")
    assert str(caught.value) == f"{tmp_path / 'none.tgz'}: cannot be read (No such file or directory)"


def test_only_the_expected_files_are_unpacked(tmp_path: Path) -> None:
    path, package = archive_of({"LICENSE": b"MIT", "model.bin": b"\1\2"}, tmp_path, PACKAGE)
    assert unpack(package, path.read_bytes(), "a.tgz") == {"LICENSE": b"MIT", "model.bin": b"\1\2"}


def test_another_archive_is_refused_by_its_hash() -> None:
    with pytest.raises(FerError) as caught:
        unpack(PACKAGE, b"other", "a.tgz")
    assert str(caught.value) == f"a.tgz: its SHA-256 is {sha256(b'other')}, not {'0' * 64}: nothing was written"


def test_another_file_is_refused_by_its_name(tmp_path: Path) -> None:
    path, package = archive_of({"LICENSE": b"MIT"}, tmp_path, PACKAGE)
    other = NpmPackage(package.name, package.version, package.sha256, {"LICENSE": "1" * 64})
    with pytest.raises(FerError) as caught:
        unpack(other, path.read_bytes(), "a.tgz")
    assert str(caught.value).startswith(f"a.tgz: LICENSE: its SHA-256 is {sha256(b'MIT')}, not 1111")


def test_a_folder_in_the_place_of_a_file_has_no_content() -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/LICENSE")
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    package = NpmPackage("x", "1", sha256(content.getvalue()), {"LICENSE": sha256(b"MIT")})
    with pytest.raises(FerError) as caught:
        unpack(package, content.getvalue(), "a.tgz")
    assert f"a.tgz: LICENSE: its SHA-256 is {sha256(b'')}, not" in str(caught.value)


def test_no_more_is_downloaded_than_any_package_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "_LARGEST", 1000)
    path = tmp_path / PACKAGE.address
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(5000))
    with serve_updates(tmp_path) as server:
        assert len(download(PACKAGE, server.url)) == 1000
