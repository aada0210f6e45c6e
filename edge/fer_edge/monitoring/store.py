"""The usage record on disk: a SQLite file with one row per minute, and per hour once the minutes are a week old."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from fer_edge.errors import ConfigError, reason
from fer_edge.monitoring.period import Period

_log = logging.getLogger(__name__)

MINUTE, HOUR, DAY = 60, 3600, 86400
# Minutes are kept for a week, hours for 400 days, and the file stays below this size: the oldest rows go first.
MINUTES_KEPT = 7 * DAY
HOURS_KEPT = 400 * DAY
MAX_BYTES = 20_000_000

_VERSION = 1
# SQLite's largest whole number.
_FOREVER = 2**63 - 1
_SCHEMA = """
CREATE TABLE models (id INTEGER PRIMARY KEY, name TEXT, version TEXT, sha256 TEXT, UNIQUE (name, version, sha256));
CREATE TABLE periods (
    id INTEGER PRIMARY KEY,
    start INTEGER NOT NULL,    -- seconds since 1970, UTC
    seconds INTEGER NOT NULL,  -- 60 or 3600
    model INTEGER NOT NULL REFERENCES models (id),
    counts BLOB NOT NULL       -- JSON under zlib: fer_edge.monitoring.period
);
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE INDEX periods_by_start ON periods (start);
"""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model that read the faces."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded period.

    Attributes:
        start: seconds since 1970, UTC.
        seconds: 60 or 3600.
        model: that read the faces.
        period: the counts.
    """

    start: int
    seconds: int
    model: ModelIdentity
    period: Period


class UsageStore:
    """A context manager that writes a usage record and locks the file for other processes."""

    def __init__(self, path: Path, model: ModelIdentity) -> None:
        self.path = path
        self._model = model
        self._lock: IO[bytes] | None = None
        self._tidied_at: float | None = None

    def __enter__(self) -> Self:
        """Open the record. A damaged or newer one is renamed, and a new one is started.

        Raises:
            ConfigError: it cannot be written, or another process writes it.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self.path.with_name(self.path.name + ".lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._close_lock()
            raise ConfigError(
                f"{self.path}: another process writes this record. Give each its own usage.path"
            ) from error
        except (OSError, ValueError) as error:
            self._close_lock()
            raise ConfigError(f"{self.path}: cannot be written ({reason(error)})") from error
        with suppress(sqlite3.OperationalError):  # locked or no space left: tried again with the first minute
            self._prepare()
        return self

    def __exit__(self, *_: object) -> None:
        self._close_lock()

    def append(self, start: int, period: Period) -> None:
        """Add one minute, atomically.

        Raises:
            OSError: the disk is full, or another program has locked the file. Try again later.
        """
        try:
            self._prepare()
            with self._connection() as database:
                model = self._model_id(database)
                values = (start, MINUTE, model, _pack(period))
                database.execute("INSERT INTO periods (start, seconds, model, counts) VALUES (?, ?, ?, ?)", values)
            self._tidy(start)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def _prepare(self) -> None:
        """Create the tables if they do not exist."""
        try:
            version = self._version()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            version = self._rename_away("damaged")
        if version > _VERSION:
            version = self._rename_away("newer")
        if version == 0:
            with self._connection() as database:
                database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    def _version(self) -> int:
        with self._connection() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version:
                database.execute("SELECT start, seconds, model, counts FROM periods LIMIT 1").fetchone()
        return int(version)

    def _rename_away(self, why: str) -> int:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{why}-{number}")).exists():
            number += 1
        self.path.replace(aside)
        self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)
        _log.warning("%s: is %s. It is kept as %s, and a new record begins", self.path, _WHY[why], aside.name)
        return 0

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=2)) as database:
            database.execute("PRAGMA auto_vacuum = FULL")
            database.execute("PRAGMA synchronous = FULL")  # survives a power cut
            with database:
                yield database

    def _model_id(self, database: sqlite3.Connection) -> int:
        values = (self._model.name, self._model.version, self._model.sha256)
        database.execute("INSERT OR IGNORE INTO models (name, version, sha256) VALUES (?, ?, ?)", values)
        query = "SELECT id FROM models WHERE name = ? AND version = ? AND sha256 = ?"
        return int(database.execute(query, values).fetchone()[0])

    def _tidy(self, now: int) -> None:
        """Once per hour: add old minutes up to hours, forget old hours, stay below the size."""
        tidied_at = time.monotonic()
        if self._tidied_at is not None and tidied_at - self._tidied_at < HOUR:
            return
        self._tidied_at = tidied_at
        self.tidy(now)

    def tidy(self, now: int) -> None:
        """Add minutes older than a week up to hours, forget hours older than 400 days, stay below the size."""
        with self._connection() as database:
            _merge_old_minutes(database, now - MINUTES_KEPT)
            database.execute("DELETE FROM periods WHERE start < ?", (now - HOURS_KEPT,))
        while self.path.stat().st_size > MAX_BYTES:
            with self._connection() as database:
                database.execute("DELETE FROM periods WHERE id IN (SELECT id FROM periods ORDER BY start LIMIT 500)")

    def _close_lock(self) -> None:
        if self._lock:
            self._lock.close()


_WHY = {"damaged": "damaged", "newer": "of a newer version of fer-edge"}


def _merge_old_minutes(database: sqlite3.Connection, before: int) -> None:
    query = "SELECT id, start, model, counts FROM periods WHERE seconds = ? AND start < ?"
    hours: dict[tuple[int, int], Period] = {}
    done = []
    for row, start, model, counts in database.execute(query, (MINUTE, before - before % HOUR)):
        done.append((row,))
        with suppress(ValueError):  # what cannot be read is forgotten
            hours.setdefault((start - start % HOUR, model), Period()).add(_unpack(counts))
    database.executemany("DELETE FROM periods WHERE id = ?", done)
    values = [(start, HOUR, model, _pack(period)) for (start, model), period in hours.items()]
    database.executemany("INSERT INTO periods (start, seconds, model, counts) VALUES (?, ?, ?, ?)", values)


def _pack(period: Period) -> bytes:
    return zlib.compress(period.as_json().encode(), level=9)


def _unpack(content: bytes) -> Period:
    """Unpack a period. Raises ValueError if it is none."""
    try:
        return Period.from_json(zlib.decompress(content).decode())
    except (zlib.error, TypeError) as error:
        raise ValueError(f"is no period of a usage record: {error}") from error


@contextmanager
def open_record(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a record to read it, also while it is written.

    Raises:
        ConfigError: there is no such record, or it cannot be read.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - a name too long is no file
        raise ConfigError(f"{path}: there is no usage record. Set usage.path in the configuration of fer-edge run")
    try:
        # "rw" neither creates nor changes a record, but takes back a write that a power cut left unfinished.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=5)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise ConfigError(f"{path}: was written by a newer version of fer-edge. Read it with that version")
            yield database
    except (sqlite3.Error, ValueError) as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_READONLY_ROLLBACK:
            raise ConfigError(
                f"{path}: a write was cut, and only who may write the file can take it back. Fix: use sudo once"
            ) from error
        if code == sqlite3.SQLITE_BUSY:
            raise ConfigError(f"{path}: is locked by another program. Close that, or try again later") from error
        raise ConfigError(f"{path}: is no usage record, or is damaged ({error})") from error


def read_rows(path: Path, since: int = 0) -> list[Row]:
    """Read the rows of a record at once; see `iterate_rows`."""
    return list(iterate_rows(path, since))


def iterate_rows(path: Path, since: int = 0, until: int | None = None) -> Iterator[Row]:
    """Read the rows of a record one by one, in order of time: those of a week take 50 MB of memory at once.

    Args:
        path: the SQLite file.
        since: seconds since 1970, UTC; older periods are left out.
        until: periods from then on are left out.

    Raises:
        ConfigError: there is no such record, or it cannot be read.
    """
    query = (
        "SELECT start, seconds, name, version, sha256, counts FROM periods JOIN models ON models.id = model "
        "WHERE start >= ? AND start < ? ORDER BY start, periods.id"
    )
    with open_record(path) as database:
        for start, seconds, *model, counts in database.execute(query, (since, until or _FOREVER)):
            yield Row(start, seconds, ModelIdentity(*model), _unpack(counts))


def newest_model(path: Path, since: int = 0) -> tuple[ModelIdentity, int] | None:
    """Return the model of the newest row and the start of its first row; None without rows since then.

    Raises:
        ConfigError: there is no such record, or it cannot be read.
    """
    with open_record(path) as database:
        newest = database.execute(
            "SELECT models.id, name, version, sha256 FROM periods JOIN models ON models.id = model "
            "WHERE start >= ? ORDER BY start DESC, periods.id DESC LIMIT 1",
            (since,),
        ).fetchone()
        if newest is None:
            return None
        query = "SELECT start FROM periods WHERE start >= ? AND model = ? ORDER BY start LIMIT 1"
        (first,) = database.execute(query, (since, newest[0])).fetchone()
        return ModelIdentity(*newest[1:]), int(first)
