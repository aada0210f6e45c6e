"""A clock for code that waits or counts seconds, in the place of its `time`."""


class Clock:
    """Goes on when somebody sleeps by it, or by hand."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_780_000_000 + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
