"""Reads a signed repository with the client of The Update Framework (TUF), and says in one line what that refuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fer_edge.errors import FerError, MissingExtra, reason
from fer_edge.updates.fetcher import FetchError, open_fetcher, remove_partial
from fer_edge.updates.releases import RELEASES_TARGET, Releases, parse_releases

_LARGEST_RELEASES = 4_000_000


class RepositoryClient:
    """Downloads what a repository offers, verified."""

    def __init__(self, url: str, root: bytes, state: Path, rate: float | None = None) -> None:
        """Prepare. Call this and the methods within `explained`.

        Args:
            url: of the repository, with a slash at the end.
            root: the root file whose keys are trusted.
            state: folder for verified metadata and downloads.
            rate: bytes per second; None for no limit.

        Raises:
            OSError: the folder cannot be written.
        """
        from tuf.ngclient import Updater  # noqa: PLC0415 - an optional package

        for library in ("tuf", "securesystemslib"):  # they warn of single signatures, where others suffice
            logging.getLogger(library).setLevel(logging.ERROR)
        metadata, self._downloads = state / "metadata", state / "downloads"
        for folder in (metadata, self._downloads):
            folder.mkdir(parents=True, exist_ok=True)
        self._client = Updater(
            str(metadata),
            f"{url}metadata/",
            str(self._downloads),
            f"{url}targets/",
            open_fetcher(self._downloads, rate),
            bootstrap=root,
        )

    def releases(self) -> Releases:
        """What the repository offers now. Raises TUF's errors and ModelError."""
        self._client.refresh()
        return parse_releases(self.download(RELEASES_TARGET, _LARGEST_RELEASES).read_bytes())

    def download(self, name: str, largest: int) -> Path:
        """Download a file, or continue that. Raises FerError if it is absent or too large, and TUF's errors."""
        target = self._client.get_targetinfo(name)
        if target is None:
            raise FerError(f"the repository has no {name}. Tell whoever signs the models")
        if target.length > largest:
            megabytes = target.length / 1e6
            raise FerError(f"{name}: {megabytes:.0f} MB, and {largest // 1_000_000} are the most. Not fetched")
        return Path(self._client.find_cached_target(target) or self._client.download_target(target))

    def remove_partial(self) -> None:
        """Remove what is left of downloads that were cut."""
        remove_partial(self._downloads)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Say in one line what TUF found, as FerError. Raises MissingExtra if tuf is not installed."""
    try:
        from tuf.api import exceptions as tuf  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise MissingExtra("the updater", "updates") from error

    try:
        yield
    except tuf.ExpiredMetadataError as error:
        raise FerError(
            f"{url}: its signatures have expired ({error}); the clock here says {datetime.now(UTC):%Y-%m-%d}. Either "
            "it is wrong, or the repository was not refreshed, or somebody holds back newer files"
        ) from error
    except tuf.DownloadLengthMismatchError as error:
        raise FerError(f"{url}: sends more than was signed ({error}). Nothing was changed") from error
    except tuf.DownloadHTTPError as error:
        raise FerError(f"{error}. Check updates.url") from error
    except tuf.DownloadError as error:
        cause = error.__cause__
        raise FerError(str(cause if isinstance(cause, FetchError) else error)) from error
    except tuf.BadVersionNumberError as error:
        raise FerError(f"{url}: offers older files than it did before ({error}). Nothing was changed") from error
    except tuf.RepositoryError as error:
        raise FerError(f"{url}: is not to be trusted ({error or type(error).__name__}). Nothing was changed") from error
    except OSError as error:
        raise FerError(f"the update cannot be stored ({reason(error)}). Free some space") from error
