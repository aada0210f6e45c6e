"""One line at the first start of a service: what it does with people, and where it must not be used."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_MARK = ".responsible-use"
_LINE = (
    "this service reads facial expressions: tell the people in view. In the EU it must not be used to infer emotions "
    "at work or in education (AI Act, Article 5(1)(f)), but for medical or safety reasons. See docs/responsible-use.md"
)


def say_once() -> None:
    """Log the line, unless the state folder that systemd gives a service shows that it was said before."""
    folder = os.environ.get("STATE_DIRECTORY")
    if not folder:
        return
    mark = Path(folder.partition(":")[0]) / _MARK
    with suppress(OSError):
        mark.touch(exist_ok=False)
        _log.warning(_LINE)
