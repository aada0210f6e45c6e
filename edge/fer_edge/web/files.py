"""The static files of the page."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


def static_file(name: str) -> Response:
    """Answer with a file of this name under `web/static`."""
    content = files("fer_edge.web").joinpath("static", name).read_bytes()
    return Response(content, media_type=next(kind for suffix, kind in _TYPES.items() if name.endswith(suffix)))
