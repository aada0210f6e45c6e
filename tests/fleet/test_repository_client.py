"""What is downloaded from a signed repository, what is kept of it, and what is said of what it lacks."""

import logging
from pathlib import Path

import pytest
from tests.fleet_repository import Operator
from tests.update_server import UpdateServer

from fer_edge.errors import FerError
from fer_edge.updates import repository
from fer_edge.updates.repository import RepositoryClient, explained

ARCHIVE = "bundles/ferplus7-tiny/0.2.0.tar"


@pytest.fixture
def published(operator: Operator) -> Operator:
    operator.do("publish", operator.bundle("0.2.0"))
    return operator


@pytest.fixture
def client(published: Operator, server: UpdateServer, tmp_path: Path) -> RepositoryClient:
    return connect(published, server.url, tmp_path / "device" / "state")


def connect(operator: Operator, url: str, state: Path) -> RepositoryClient:
    root = (operator.repo / "metadata" / "1.root.json").read_bytes()
    return RepositoryClient(f"{url}/", root, state)


def test_what_was_verified_and_loaded_is_kept_where_the_next_version_finds_it(
    client: RepositoryClient, server: UpdateServer, tmp_path: Path, published: Operator
) -> None:
    state = tmp_path / "device" / "state"
    assert set(client.releases().models) == {"ferplus7-tiny"}
    assert (state / "metadata" / "timestamp.json").is_file()
    archive = client.download(ARCHIVE, 64_000_000)
    assert archive.parent == state / "downloads"
    (signed,) = (published.repo / "targets" / "bundles").rglob("*.tar")
    assert archive.read_bytes() == signed.read_bytes()
    assert sorted(path.name for path in state.iterdir()) == ["downloads", "metadata"]

    again = connect(published, server.url, state)
    again.releases()
    assert again.download(ARCHIVE, 64_000_000) == archive
    assert len(server.requests("/bundles/")) == 1, "it is there already"


def test_a_file_may_have_its_largest_size_and_not_a_byte_more(client: RepositoryClient, server: UpdateServer) -> None:
    size = len(client.download(ARCHIVE, 64_000_000).read_bytes())
    assert client.download(ARCHIVE, size).stat().st_size == size
    server.asked.clear()
    with pytest.raises(FerError) as caught:
        client.download(ARCHIVE, size - 1)
    megabytes, most = f"{size / 1e6:.0f}", (size - 1) // 1_000_000
    assert str(caught.value) == f"{ARCHIVE}: {megabytes} MB, and {most} are the most. Not fetched"
    assert server.asked == []


def test_releases_have_a_largest_size_too(client: RepositoryClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_LARGEST_RELEASES", 10)
    with pytest.raises(FerError, match=r"^releases.json: 0 MB, and 0 are the most. Not fetched"):
        client.releases()


def test_what_the_repository_lacks_is_named(client: RepositoryClient) -> None:
    with pytest.raises(FerError) as caught:
        client.download("bundles/mine/9.tar", 64_000_000)
    assert str(caught.value) == "the repository has no bundles/mine/9.tar. Tell whoever signs the models"


def test_what_is_left_of_downloads_that_were_cut_is_removed(
    client: RepositoryClient, server: UpdateServer, tmp_path: Path
) -> None:
    server.cut["/bundles/"] = 100_000
    with pytest.raises(FerError, match="was cut after 100000 of "), explained(server.url):
        client.download(ARCHIVE, 64_000_000)
    downloads = tmp_path / "device" / "state" / "downloads"
    assert [path.suffix for path in downloads.iterdir()] == [".part"]
    client.remove_partial()
    assert list(downloads.iterdir()) == []


def test_only_the_errors_of_the_libraries_are_logged(
    published: Operator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They warn of single signatures, where others suffice."""
    caplog.set_level(logging.INFO)
    libraries = [logging.getLogger(f"{name}.part") for name in ("tuf", "securesystemslib")]
    for name in ("tuf", "securesystemslib"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    connect(published, f"file://{published.repo}", tmp_path / "state")
    for library in libraries:
        library.warning("a signature is invalid")
        library.error("it is broken")
    logging.getLogger("fer_edge.part").info("ours")
    assert caplog.messages == ["it is broken", "it is broken", "ours"]
