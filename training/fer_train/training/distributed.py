"""Train one model in several processes, on one machine or many: Keras' data parallelism on JAX."""

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

# Workers wait this long for one another at the start.
_MEETING_SECONDS = 300
# At the end a worker waits this long for the others: the first may still be writing a checkpoint.
_SHUTDOWN_SECONDS = 60

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of each batch that one worker processes.

    Attributes:
        worker: number of this worker, from 0. Worker 0 writes all files.
        workers: number of workers.
        devices: number of devices of all workers together; a batch is split over them.
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
        """The rows of a batch that this worker processes."""
        return slice(self.worker, None, self.workers)

    def divisible(self, count: int) -> int:
        """The largest number up to `count` that can be split evenly over all devices."""
        return count - count % self.devices


SINGLE_PROCESS = Shard()


@dataclass(frozen=True, slots=True)
class Coordinator:
    """How the workers find one another.

    Attributes:
        worker: number of this worker, from 0.
        workers: number of workers.
        coordinator: HOST:PORT at which worker 0 can be reached.
    """

    worker: int
    workers: int
    coordinator: str

    def join(self, batch_size: int) -> Shard:
        """Wait at most five minutes for all workers. Call it before any other computation.

        Raises:
            ConfigError: worker 0 cannot listen or be reached, or a batch cannot be split evenly.
        """
        import jax  # noqa: PLC0415 - only where it is the back end

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.config.update("jax_enable_preemption_service", False)  # with it, SIGTERM would not end the process
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
        shard = Shard(self.worker, self.workers, jax.device_count())
        if batch_size % shard.devices:
            raise ConfigError(f"batch_size {batch_size}: cannot be split evenly over {shard.devices} devices")
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        return shard

    def _reach(self) -> None:
        """Wait until worker 0 listens: JAX itself would end the process without a message."""
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
    """Combine the three options; None if none is given.

    Raises:
        ConfigError: the options do not fit together, or Keras does not run on JAX.
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
    """Check that all workers have the same configuration.

    Args:
        facts: anything that JSON can hold.

    Raises:
        ConfigError: they differ. All workers raise it.
    """
    from jax.experimental import multihost_utils  # noqa: PLC0415 - only where it is the back end

    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
    everyones = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    if (everyones != everyones[0]).any():
        raise ConfigError("the workers differ. Start all with the same options, data and contents of --out")


@contextmanager
def undistributed() -> Iterator[None]:
    """Let one worker do something without the others, such as saving, for which Keras creates variables."""
    together = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(together)


def shutdown() -> None:
    """End the connection of all workers at once. After that none waits for another."""
    import jax  # noqa: PLC0415 - only where it is the back end

    keras.distribution.set_distribution(None)
    jax.distributed.shutdown()
