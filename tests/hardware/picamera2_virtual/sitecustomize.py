"""Lets picamera2 open libcamera's virtual camera, which has no Pi's display library and buffers, and no raw stream.

All else is the real picamera2. Python imports this at its start where the folder is on PYTHONPATH.
"""

import sys
from typing import Any
from unittest.mock import MagicMock

for name in ("kms", "pykms"):
    sys.modules[name] = MagicMock()

import picamera2  # noqa: E402
from picamera2.allocators import LibcameraAllocator  # noqa: E402


class VirtualCamera(picamera2.Picamera2):  # type: ignore[misc]
    def __init__(self, number: int) -> None:
        super().__init__(number, allocator=LibcameraAllocator(None))
        self.allocator.camera = self.camera

    def _get_raw_modes(self) -> list[dict[str, Any]]:
        return [{"format": "NV12", "size": (640, 480)}]


picamera2.Picamera2 = VirtualCamera
