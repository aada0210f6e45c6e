"""Ask a web server about a file, and download it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Literal
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

_TIMEOUT_S = 2.0
# A container's header is within this many bytes.
_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer about a file.

    Attributes:
        size: in bytes; None if unknown.
        content_type: media type, in lower case.
        head: beginning of the file.
        has_ranges: whether the server sends a part of a file where it is asked for one.
    """

    size: int | None
    content_type: str
    head: bytes
    has_ranges: bool


def ask(url: str, method: Literal["HEAD", "GET"]) -> Answer | None:
    """Ask a server about a file, and with GET for its beginning; None if it does not answer like a file server."""
    try:
        with urlopen(_request(url, method), timeout=_TIMEOUT_S) as response:  # noqa: S310 - http or https alone
            return Answer(
                _size(response),
                response.headers.get("Content-Type", "").lower(),
                response.read(_HEAD),
                response.status == HTTPStatus.PARTIAL_CONTENT,
            )
    except (OSError, HTTPException, ValueError):
        return None


def download(url: str, largest: int) -> bytes | None:
    """Return a file; None if it is larger than so many bytes, or does not arrive whole."""
    try:
        with urlopen(_request(url, "GET", whole=True), timeout=_TIMEOUT_S) as response:  # noqa: S310 - http alone
            content = bytes(response.read(largest + 1))
            is_whole = (_size(response) or 0) <= len(content) <= largest
    except (OSError, HTTPException, ValueError):
        return None
    return content if is_whole else None


def _request(url: str, method: str, *, whole: bool = False) -> Request:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"Range": f"bytes=0-{_HEAD - 1}"} if method == "GET" and not whole else {}
    if at:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(user).encode()).decode()
    return Request(parts._replace(netloc=host).geturl(), headers=headers, method=method)  # noqa: S310


def _size(response: HTTPResponse) -> int | None:
    """Size of the whole file in bytes (RFC 9110, 8.6 and 14.4)."""
    of_range = response.headers.get("Content-Range", "").rpartition("/")[2]
    size = of_range or response.headers.get("Content-Length", "")
    return int(size) if size.isdecimal() else None
