"""The archive of a bundle, as devices download it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from fer_edge.errors import ModelError, reason
from fer_edge.model.bundle import MODEL_FILE
from fer_edge.model.golden import GOLDEN_FILE
from fer_edge.model.manifest import MANIFEST_FILE

# What a device needs; the float model and the reports stay on the workstation.
_FILES = (MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE)


def pack(folder: Path) -> bytes:
    """Pack a bundle into an uncompressed tar file. The same files give the same bytes.

    Raises:
        ModelError: a file cannot be read.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in _FILES:
            try:
                content = (folder / name).read_bytes()
            except OSError as error:
                raise ModelError(f"{folder / name}: cannot be read ({reason(error)})") from error
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
