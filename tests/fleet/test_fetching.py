"""Downloads that were cut go on where they ended, each from its own file; nothing is taken that was not signed."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tests.update_server import UpdateServer, serve_updates
from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError

from fer_edge.updates.fetcher import FetchError, open_fetcher, remove_partial

SIZE = 300_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UpdateServer]:
    for number, name in enumerate("ab"):
        path = tmp_path / "repo" / "bundles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.random.default_rng(number).bytes(SIZE))
    with serve_updates(tmp_path / "repo") as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def fetch(cache: Path, url: str, size: int = SIZE) -> bytes:
    with open_fetcher(cache).download_file(url, size) as file:
        return bytes(file.read())


def cut(server: UpdateServer, cache: Path, name: str, after: int) -> None:
    server.cut[f"bundles/{name}"] = after
    with pytest.raises(FetchError, match=f"was cut after {after} of {SIZE} bytes. The next update continues there"):
        fetch(cache, f"{server.url}/bundles/{name}")


def test_a_cut_download_goes_on_with_its_own_file(server: UpdateServer, cache: Path) -> None:
    for name, after in (("a", 100_000), ("b", 200_000)):
        cut(server, cache, name, after)
    for name, after in (("a", 100_000), ("b", 200_000)):
        assert fetch(cache, f"{server.url}/bundles/{name}") == (server.folder / "bundles" / name).read_bytes()
        assert server.requests(f"bundles/{name}") == ["", f"bytes={after}-"]
    assert list(cache.iterdir()) == [], "what tuf refuses is not continued"


def test_what_is_whole_or_too_long_already_is_fetched_again(server: UpdateServer, cache: Path) -> None:
    for kept in (SIZE, SIZE + 9):
        cut(server, cache, "a", 100_000)
        (part,) = cache.iterdir()
        part.write_bytes(b"x" * kept)
        assert fetch(cache, f"{server.url}/bundles/a") == (server.folder / "bundles" / "a").read_bytes()
    cut(server, cache, "a", 5)
    remove_partial(cache)
    assert list(cache.iterdir()) == []


def test_more_than_was_signed_is_not_taken_and_not_kept(server: UpdateServer, cache: Path) -> None:
    with pytest.raises(DownloadLengthMismatchError, match="is longer than the 299999 bytes that were signed"):
        fetch(cache, f"{server.url}/bundles/a", SIZE - 1)
    (part,) = cache.iterdir()
    assert part.stat().st_size == 0


def test_a_server_that_cannot_continue_is_read_from_the_beginning(server: UpdateServer, cache: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(server.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        thread = threading.Thread(target=plain.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{plain.server_address[1]}/bundles/a"
            whole = (server.folder / "bundles" / "a").read_bytes()
            with pytest.raises(FetchError, match="was cut after 300000 of 300001 bytes"):
                fetch(cache, url, SIZE + 1)
            assert fetch(cache, url) == whole
            with pytest.raises(FetchError, match="was cut after 300000 of 300001 bytes"):
                fetch(cache, url, SIZE + 1)
            (part,) = cache.iterdir()
            part.write_bytes(b"x" * 1000)
            assert fetch(cache, url) == whole
        finally:
            plain.shutdown()
            thread.join()


def test_a_stick_is_continued_too_and_what_it_lacks_is_absent(server: UpdateServer, cache: Path) -> None:
    url = f"file://{server.folder}/bundles/a"
    with pytest.raises(FetchError, match="was cut after 300000 of 300009 bytes"):
        fetch(cache, url, SIZE + 9)
    (part,) = cache.iterdir()
    whole = (server.folder / "bundles" / "a").read_bytes()
    part.write_bytes(whole[:1000])
    assert fetch(cache, url) == whole
    with pytest.raises(DownloadHTTPError) as caught:
        fetch(cache, f"file://{server.folder}/bundles/c")
    assert caught.value.status_code == 404
