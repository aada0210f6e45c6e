"""Several processes, on one machine or many, that train one model together: Keras' data parallelism on JAX."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from fer_edge.errors import ConfigError, reason

_MEETING_SECONDS = 300
# How long a worker that is done or gives up waits for the others; the first may be writing a checkpoint still.
_SHUTDOWN_SECONDS = 60

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker takes of each batch.

    Attributes:
        worker: from 0; the first writes all files.
        workers: how many there are.
        devices: processors that a batch is spread over, those of all workers together.
    """

    worker: int = 0
    workers: int = 1
    devices: int = 1

    @property
    def writes(self) -> bool:
        """Whether this worker writes the files."""
        return self.worker == 0

    @property
    def rows(self) -> slice:
        """Which rows of a batch are this worker's."""
        return slice(self.worker, None, self.workers)

    def divisible(self, count: int) -> int:
        """The most of so many faces that all devices can have equally many of."""
        return count - count % self.devices


SINGLE_PROCESS = Share()


@dataclass(frozen=True, slots=True)
class Coordinator:
    """Where the workers find one another.

    Attributes:
        worker: this one's number, from 0.
        workers: how many there are.
        coordinator: HOST:PORT at which worker 0 can be reached.
    """

    worker: int
    workers: int
    coordinator: str

    def join(self, batch_size: int) -> Share:
        """Wait until all workers are there, at most five minutes. Must come before any other computation.

        Raises:
            ConfigError: worker 0 cannot listen or be reached, or a batch cannot be shared evenly.
        """
        import jax  # noqa: PLC0415 - only where it is the back end

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.config.update("jax_enable_preemption_service", False)  # it would keep SIGTERM from ending the process
        _log.info("waiting for %d workers to meet at %s", self.workers, self.coordinator)
        if self.worker:
            self._reach()
        try:
            jax.distributed.initialize(
                self.coordinator,
                self.workers,
                self.worker,
                initialization_timeout=_MEETING_SECONDS,
                shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
            )
        except RuntimeError as error:
            raise ConfigError(f"--coordinator {self.coordinator}: cannot listen there. Choose another port") from error
        share = Share(self.worker, self.workers, jax.device_count())
        if batch_size % share.devices:
            raise ConfigError(f"batch_size {batch_size}: {share.devices} devices cannot share it evenly")
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        return share

    def _reach(self) -> None:
        """Wait for worker 0 to listen: JAX itself would end the process if it does not."""
        host, _, port = self.coordinator.rpartition(":")
        deadline = time.monotonic() + _MEETING_SECONDS
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        f"--coordinator {self.coordinator}: worker 0 does not answer there ({reason(error)})"
                    ) from error
                time.sleep(1)
            else:
                return


def parse_coordinator(workers: int | None, worker: int | None, coordinator: str | None) -> Coordinator | None:
    """Return what the three options say together; None if there are none.

    Raises:
        ConfigError: they do not fit together, or Keras runs on another back end than JAX.
    """
    if workers is None and worker is None and coordinator is None:
        return None
    if workers is None or worker is None or coordinator is None:
        raise ConfigError("--workers, --worker and --coordinator belong together. Give all three, or none")
    if not 0 <= worker < workers:
        raise ConfigError(f"--worker {worker}: of {workers} workers the first is 0 and the last {workers - 1}")
    if not coordinator.rpartition(":")[0] or not coordinator.rpartition(":")[2].isdecimal():
        raise ConfigError(f"--coordinator {coordinator}: expected HOST:PORT of worker 0, as in 192.168.1.10:9911")
    if keras.backend.backend() != "jax":
        raise ConfigError(f"--workers: cannot run on {keras.backend.backend()}. Set KERAS_BACKEND=jax")
    return Coordinator(worker, workers, coordinator)


def assert_same_config(*facts: object) -> None:
    """Compare among the workers what must be the same for all.

    Args:
        facts: anything that JSON can hold.

    Raises:
        ConfigError: it is not; all workers raise it.
    """
    from jax.experimental import multihost_utils  # noqa: PLC0415 - only where it is the back end

    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
    everyones = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    if (everyones != everyones[0]).any():
        raise ConfigError("the workers differ. Start all with the same options, data and state of --out")


@contextmanager
def undistributed() -> Iterator[None]:
    """Let one worker do something without the others, such as saving: Keras makes variables for it."""
    together = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(together)


def shutdown() -> None:
    """Part, all workers at once: each goes on alone, and none waits for another any more."""
    import jax  # noqa: PLC0415 - only where it is the back end

    keras.distribution.set_distribution(None)
    jax.distributed.shutdown()
