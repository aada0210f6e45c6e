"""Sinks: outputs for results."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from fer_edge.config import RunConfig
from fer_edge.types import FrameResult


class Sink:
    """A context manager that takes results."""

    # For people: what it is, and which.
    description: str = "sink"
    # Whether a result takes it long enough for a thread of its own. A window must stay in the main thread.
    slow = False
    # Why it does not work at the moment; empty while it works.
    trouble = ""

    def __enter__(self) -> Self:
        """Open it. Raises ConfigError if it cannot be written, MissingExtra if a package is missing."""
        return self

    def __exit__(self, _kind: object, _error: BaseException | None, _traceback: object, /) -> None:
        """Finish and close it."""
        return

    @property
    def note(self) -> str:
        """A remark for the user; usually empty."""
        return ""

    def watch(self, _outputs: Sequence[Sink]) -> None:
        """Receive all outputs of the run, to show their state."""
        return

    def emit(self, result: FrameResult) -> None:
        """Take one result. Raises OSError for a temporary fault, StopRun when the user wants to end the run."""
        raise NotImplementedError

    def waiting(self, _what: str) -> None:
        """There is no frame because this camera is lost. Called repeatedly. Raises as `emit` does."""
        return

    def remark(self, _what: str) -> None:
        """Something is wrong with the frames; empty when they are good again. Called from the camera's thread."""
        return


class StopRun(Exception):  # noqa: N818 - no error: the window was closed or the reader went away
    """Raised by a sink to end the run."""


def open_sinks(config: RunConfig, stack: ExitStack, fps: float) -> list[Sink]:
    """Open the configured sinks; the stack closes them.

    All are created before any is opened, and the one that replaces a file is opened last, so that no file is lost if
    another sink fails.

    Args:
        config: configuration of the run.
        stack: closes the sinks.
        fps: the source's frames per second, for recordings.

    Raises:
        MissingExtra: a package that a sink needs is not installed.
        ConfigError: a sink cannot be opened.
    """
    return [stack.enter_context(sink) for sink in make_sinks(config, fps)]


def make_sinks(config: RunConfig, fps: float) -> list[Sink]:
    """Create the configured sinks without opening them. Raises MissingExtra."""
    sinks: list[Sink] = []
    if config.mqtt.host is not None:
        from fer_edge.sinks.mqtt import Mqtt  # noqa: PLC0415 - only what is asked for is loaded

        sinks.append(Mqtt(config.mqtt))
    if config.display != "none":
        from fer_edge.sinks.display import Display  # noqa: PLC0415

        sinks.append(Display(config.display, config.screen, score=config.overlay.score))
    if config.plot is not None:
        from fer_edge.sinks.timeline import Timeline  # noqa: PLC0415

        sinks.append(Timeline(config.plot))
    if config.record is not None and not config.record.suffix:
        from fer_edge.sinks.pictures import AnnotatedPictures  # noqa: PLC0415

        sinks.append(AnnotatedPictures(config.record, score=config.overlay.score))
    elif config.record is not None:
        from fer_edge.sinks.recording import Recording  # noqa: PLC0415

        codec, score = config.recording.codec, config.overlay.score
        sinks.append(Recording(config.record, fps, codec=codec, score=score))
    if config.json_path is not None:
        from fer_edge.sinks.jsonl import JsonLines  # noqa: PLC0415

        sinks.append(JsonLines(config.json_path, config.json_lines))
    return sinks
