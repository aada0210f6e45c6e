"""Find the runs of this machine whose pages listen on Unix sockets, and send them requests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h11

from fer_edge.config.web import SOCKET_NAME

# An instance must answer within this many seconds; this many bytes are read at a time.
_ANSWER_S, _CHUNK = 3.0, 1 << 16
_NAME = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9_.@-]*")


def find_instances(folder: Path) -> dict[str, Path]:
    """The sockets of the runs with a runtime folder in this folder, by the names of their folders, sorted."""
    with suppress(OSError):
        found = {path.parent.name: path for path in folder.glob(f"*/{SOCKET_NAME}")}
        return {name: found[name] for name in sorted(found) if _NAME.fullmatch(name)}
    return {}


@dataclass(slots=True)
class Answer:
    """An instance's response to a GET request: its head, and a body that is streamed. It must be closed."""

    status: int
    content_type: str
    _protocol: h11.Connection
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body; the end closes the connection. Raises OSError if the connection fails."""
        try:
            while isinstance(event := await _next_event(self._protocol, self._reader), h11.Data):
                yield bytes(event.data)
        finally:
            self._writer.close()


async def ask(path: Path, target: str) -> Answer:
    """Send a GET request to the run behind a Unix socket.

    Args:
        path: the socket.
        target: path of the request, as in /api/state.

    Raises:
        OSError: the run does not answer.
    """
    async with asyncio.timeout(_ANSWER_S):
        reader, writer = await asyncio.open_unix_connection(path)
        protocol = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target=target, headers=[("Host", "localhost"), ("Connection", "close")])
        writer.write((protocol.send(request) or b"") + (protocol.send(h11.EndOfMessage()) or b""))
        head = await _next_event(protocol, reader)
    if not isinstance(head, h11.Response):
        writer.close()
        raise ConnectionError("no HTTP answer")
    kinds = [value.decode("latin-1") for name, value in head.headers if name == b"content-type"]
    return Answer(head.status_code, kinds[0] if kinds else "text/plain", protocol, reader, writer)


async def read_state(path: Path) -> bytes | None:
    """The state of the run behind a Unix socket as JSON; None if it does not answer."""
    with suppress(OSError):
        answer = await ask(path, "/api/state")
        async with asyncio.timeout(_ANSWER_S):
            content = b"".join([part async for part in answer.body()])
        return content if answer.status == 200 else None
    return None


async def _next_event(protocol: h11.Connection, reader: asyncio.StreamReader) -> h11.Event | type[h11.PAUSED]:
    try:
        while (event := protocol.next_event()) is h11.NEED_DATA:
            protocol.receive_data(await reader.read(_CHUNK))
    except h11.RemoteProtocolError as error:
        raise ConnectionError(str(error)) from error
    return event  # type: ignore[return-value]
