"""Turn results into the records of JSON lines and MQTT."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any, Literal

from fer_edge.types import FrameResult, Prediction, TrackedFace


def as_record(result: FrameResult, first_at: float) -> dict[str, Any]:
    """Return plain values; `first_at` is when the first frame was captured."""
    record: dict[str, Any] = {
        "time": utc_now(),
        "frame": result.frame.index,
        "elapsed_s": round(result.frame.captured_at - first_at, 4),
        "faces": [_face(face) for face in result.faces],
        "timings_ms": {stage: round(spent, 3) for stage, spent in result.timings_ms.items()},
    }
    if result.frame.name:
        record["file"] = as_utf8(result.frame.name)
    return record


def camera_record(state: Literal["online", "offline"]) -> dict[str, Any]:
    """The record for a camera that is lost or back; without faces."""
    return {"time": utc_now(), "camera": state, "faces": []}


def as_utf8(name: str) -> str:
    """A file name decoded as UTF-8 in any locale; other bytes become surrogates."""
    return os.fsencode(name).decode(errors="surrogateescape")


def run_record(event: Literal["start", "stop"]) -> dict[str, Any]:
    """The record for the start or stop of a run; without faces."""
    return {"time": utc_now(), "run": event, "faces": []}


def unfinished_record(line: bytes) -> dict[str, Any] | None:
    """The record for an earlier run that did not stop cleanly: its last time, and the ids of its last faces.

    Args:
        line: the last line of the log.

    Returns:
        The record; None if that run stopped, or there was none.
    """
    try:
        last = json.loads(line)
        if last.get("run") == "stop":
            return None
        seen = [face["id"] for face in last.get("faces", ()) if face.get("visible", True)]
        return {"time": utc_now(), "run": "unfinished", "last": last.get("time"), "seen": seen, "faces": []}
    except (ValueError, LookupError, TypeError, AttributeError):  # not a line of this program
        return None


def shown(result: FrameResult) -> list[tuple[int, str]]:
    """The ids and labels of the visible faces; another value is a change."""
    return [(face.track.id, face.smoothed.label) for face in result.visible_faces]


def utc_now() -> str:
    """The time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _face(face: TrackedFace) -> dict[str, Any]:
    box = face.track.box
    return {
        "id": face.track.id,
        "box": [round(side, 1) for side in (box.x, box.y, box.width, box.height)],
        "score": round(box.score, 3),
        "missed_s": round(face.track.missed_s, 3),
        "visible": face.track.visible,
        "label": face.smoothed.label,
        "confidence": round(face.smoothed.confidence, 4),
        "raw": _rounded(face.raw),
        "smoothed": _rounded(face.smoothed),
    }


def _rounded(prediction: Prediction) -> list[float]:
    return [round(float(share), 4) for share in prediction.probabilities]
