"""Find out why a stream cannot be opened, which OpenCV does not report, by asking its server."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import takewhile
from urllib.parse import SplitResult, unquote, urlsplit

from fer_edge.errors import reason
from fer_edge.terminal import without_password

_TIMEOUT_S = 3.0
# Servers of these protocols are asked why they deliver nothing.
_ASKED = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
# To these only a connection is tried. None: the URL must name the port.
_CONNECTED = {
    "rtmp": 1935,
    "rtmpe": 1935,
    "rtmps": 443,
    "rtmpt": 80,
    "mmsh": 80,
    "mmst": 1755,
    "tcp": None,
    "tls": None,
}
# What these receive is sent without being asked for.
_RECEIVED = {"udp", "rtp", "srtp"}
_KINDS = "rtsp, http, https, rtmp, tcp, udp, rtp"


def why_url_fails(url: str) -> str:
    """What is wrong with a URL, and how to fix it; empty if the reason is unknown."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"it is no URL ({error})"
    scheme = parts.scheme.lower()
    if scheme in _RECEIVED:
        return _why_nothing_arrives(port)
    if scheme not in _ASKED and scheme not in _CONNECTED:
        return f"{scheme}:// is no kind of stream that is known. Kinds: {_KINDS}"
    port = port or _ASKED.get(scheme) or _CONNECTED.get(scheme)
    return _ask_server(parts, host, port) if host and port else f"the URL names no {'port' if host else 'host'}"


def _ask_server(parts: SplitResult, host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            if parts.scheme.lower() in _CONNECTED:
                return (
                    f"{host} answers on port {port}, but not with a video. Is the URL right, and does the camera send?"
                )
            return _why_not_served(parts, connection)
    except OSError as error:
        return _why_not_connected(error, host, port)


def _why_nothing_arrives(port: int | None) -> str:
    if not port:
        return "the URL names no port"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            return f"port {port} cannot be used ({reason(error)})"
    return (
        f"no video arrives on port {port}. Does the camera send to this machine and this port, and does the firewall "
        "let it in?"
    )


def _why_not_connected(error: OSError, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror):
        is_offline = error.errno == socket.EAI_AGAIN
        why = "no name server answers. Is there a network?" if is_offline else "Is the name right?"
        return f"the host {host} cannot be looked up: {why}" if is_offline else f"unknown host {host}. {why}"
    if isinstance(error, ConnectionRefusedError):
        return f"{host} refuses port {port}: nothing listens there. Is the port right?"
    if isinstance(error, TimeoutError):
        return f"{host} does not answer on port {port}. Is it switched on?"
    return f"{host} cannot be reached on port {port} ({reason(error)})"


def _why_not_served(parts: SplitResult, connection: socket.socket) -> str:
    """Request the page or the stream, and interpret the status of the response."""
    if parts.scheme.lower() in {"https", "rtsps"}:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as FFmpeg does
        try:
            connection = context.wrap_socket(connection, server_hostname=parts.hostname)
        except ssl.SSLError as error:
            return f"{parts.hostname} does not speak TLS ({error.reason}). Without: {parts.scheme[:-1]}://"
    connection.settimeout(_TIMEOUT_S)
    connection.sendall(_question(parts))
    with connection.makefile("rb") as file:
        status_line = file.readline(1000).decode("latin-1").split(None, 2)
        headers = _headers(file.readline(1000) for _ in range(100))
    if len(status_line) < 2 or not status_line[1].isdecimal():
        return f"{parts.hostname} does not speak {parts.scheme.upper()}"
    return _meaning(int(status_line[1]), headers, parts)


def _question(parts: SplitResult) -> bytes:
    """A request without a password in its first line (RFC 9112, RFC 7826)."""
    host = parts.netloc.rpartition("@")[2]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme.lower().startswith("rtsp"):
        lines = [f"DESCRIBE {parts.scheme}://{host}{path} RTSP/1.0", "CSeq: 1", "Accept: application/sdp"]
    else:
        lines = [f"GET {path} HTTP/1.0", f"Host: {host}"]
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append("Authorization: Basic " + base64.b64encode(user.encode()).decode())
    return "\r\n".join([*lines, "", ""]).encode(errors="replace")


def _headers(lines: Iterator[bytes]) -> dict[str, str]:
    pairs = (line.decode("latin-1").partition(":") for line in takewhile(bytes.strip, lines))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _meaning(code: int, headers: Mapping[str, str], parts: SplitResult) -> str:
    """Explain the status of a response to somebody who wanted a video (RFC 9110, 15)."""
    login = f"it asks for user and password (401): {parts.scheme}://USER:PASSWORD@{parts.hostname}/…"
    meanings = {
        HTTPStatus.UNAUTHORIZED: "it does not accept this user and password (401)" if parts.username else login,
        HTTPStatus.FORBIDDEN: "it refuses access (403)",
        HTTPStatus.NOT_FOUND: f"there is nothing at {parts.path or '/'} (404). Is the path right?",
    }
    if code in meanings:
        return meanings[HTTPStatus(code)]
    if code >= HTTPStatus.BAD_REQUEST:
        phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else ""
        return f"it answers {code} {phrase}".strip()
    if code >= HTTPStatus.MULTIPLE_CHOICES:
        return f"it leads to {without_password(headers.get('location', ''))}, where there is no video"
    kind = headers.get("content-type", "").partition(";")[0]
    return f"it answers, but not with a video ({kind or 'it does not say with what'})"
