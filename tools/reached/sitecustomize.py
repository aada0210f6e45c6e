"""Note which functions each test reaches, in pytest and in the programs that it starts.

Python imports a module of this name at its start if its folder is in PYTHONPATH. mutmut's own record is kept within
pytest, and lost with a program.
"""

from __future__ import annotations

import os
from contextlib import suppress

_noted: set[str] = set()


def _note(name: str, caller: str | None = None) -> None:  # noqa: ARG001 - mutmut's signature
    """Add a line to the file REACHED: the running test, a tab, and the function."""
    line = f"{os.environ.get('PYTEST_CURRENT_TEST', '').rpartition(' ')[0]}\t{name}\n"
    if line in _noted:
        return
    _noted.add(line)
    with suppress(OSError):  # it may run as another user, or without a file descriptor to spare
        number = os.open(os.environ["REACHED"], os.O_WRONLY | os.O_APPEND)
        os.write(number, line.encode())
        os.close(number)


with suppress(ImportError):  # another Python, without mutmut
    import mutmut.stats

    mutmut.stats.record_trampoline_hit = _note
