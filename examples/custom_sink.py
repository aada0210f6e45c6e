"""Send results to a sink of your own: python examples/custom_sink.py clip.mp4.

This sink adds up for how many seconds each label was shown.
"""

import sys
from collections import defaultdict

from fer_edge import FrameResult, Pipeline, Sink, open_source

if len(sys.argv) != 2:
    sys.exit(__doc__)


class LabelSeconds(Sink):
    """Prints the seconds per label at the end."""

    description = "seconds per label"

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.last_at: float | None = None

    def emit(self, result: FrameResult) -> None:
        """Take one result. `captured_at` is in seconds."""
        now = result.frame.captured_at
        elapsed = 0.0 if self.last_at is None else now - self.last_at
        self.last_at = now
        for face in result.visible_faces:
            self.seconds[face.label] += elapsed

    def __exit__(self, *_: object) -> None:
        for label, seconds in self.seconds.items():
            print(f"{label:10} {seconds:6.1f} s")


with Pipeline() as pipeline, open_source(sys.argv[1]) as source, LabelSeconds() as sink:
    pipeline.run(source, [sink])
