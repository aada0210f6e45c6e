"""One run from its configuration: open source, pipeline and sinks, process, and close them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from fer_edge.config import RunConfig
from fer_edge.device.first_start import say_once
from fer_edge.device.sd_notify import open_notifier
from fer_edge.errors import ConfigError, MissingExtra, ModelError, SourceError
from fer_edge.images import pictures_in
from fer_edge.model.bundle import CURRENT_MODEL, MODEL_FILE, Bundle
from fer_edge.monitoring.expected_accuracy import usable
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.monitoring.sampler import Sampler
from fer_edge.monitoring.store import ModelIdentity, UsageStore
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.pipeline import Pipeline
from fer_edge.run_stats import RunStats
from fer_edge.sinks import Sink, open_sinks
from fer_edge.sinks.csv_file import CsvFile
from fer_edge.sinks.pictures import PictureTable
from fer_edge.sinks.terminal import ChangeLog, LiveLine
from fer_edge.sources import Source, open_source
from fer_edge.updates.restarts import count_restarts
from fer_edge.updates.trial import Trial, is_tried, open_trial
from fer_edge.updates.watch import ModelWatch, warn_if_revoked

_log = logging.getLogger(__name__)


class Interrupt(Protocol):
    """Tells when the user wants the run to end."""

    requested: bool

    def then(self, stop: Callable[[], None]) -> None:
        """Call `stop` when the user asks for the end, or at once if that already happened."""
        ...

    def is_over(self) -> None:
        """Tell that the run has ended and nothing needs to be interrupted."""
        ...


class Session:
    """One run: configuration -> source, pipeline, sinks."""

    def __init__(self, config: RunConfig, config_file: Path | None = None) -> None:
        """Prepare.

        Args:
            config: configuration of the run.
            config_file: the file it was read from, which no output may replace.

        Raises:
            ConfigError: an output would replace an input or another output.
        """
        _refuse_overwriting(config, config_file)
        self.stats = RunStats()
        self.source: Source | None = None
        self._config = config
        self._trial: Trial | None = None
        self._watch: ModelWatch | None = None

    @property
    def hangs(self) -> bool:
        """Whether a thread hangs in a camera's driver, so that the process must exit without cleaning up."""
        return self.source is not None and self.source.hangs

    def run(self, interrupt: Interrupt) -> None:
        """Process frames until the source ends, a sink raises `StopRun`, or the user interrupts.

        Raises:
            FerError: a part cannot be opened, the source failed, or a sink lost frames.
        """
        if self._config.blur and self._config.detector.name == "haar":
            _log.warning("blur hides the faces that are found, and haar misses one in five: use --detector mediapipe")
        with ExitStack() as stack:
            self._trial = _enter_trial(self._config, stack)
            pipeline = stack.enter_context(Pipeline(self._config))
            source = self.source = open_source(self._config, observer=pipeline)
            try:
                stack.enter_context(source)
            except SourceError:
                if interrupt.requested:  # the user ended it while it waited for the camera
                    return
                raise
            interrupt.then(source.stop)
            _refuse_unsuited(self._config, source)
            if self._trial:
                self._trial.begin(pipeline.model, source.fps)
            sinks = self._open_sinks(source, pipeline.model, stack)
            with suppress(KeyboardInterrupt):
                pipeline.run(source, sinks, self.stats, self._config.max_frames)
            interrupt.is_over()
        self._refuse_model()
        for sink, lost in self.stats.lost.items():
            raise ConfigError(f"{sink}: {lost} of {self.stats.frames} frames could not be written")

    def _refuse_model(self) -> None:
        """End a service with an error, so that systemd starts it again, where it shall use another model."""
        if self._trial and self._trial.failure:
            raise ModelError(f"{self._trial.failure}. Starting again with the model before it")
        if self._watch and self._watch.chosen:
            raise ModelError(f"model {self._watch.chosen} was chosen. Starting again with it")

    def _open_sinks(self, source: Source, model: Bundle, stack: ExitStack) -> list[Sink]:
        notifier = open_notifier()
        say_once()
        sinks = open_sinks(self._config, stack, source.fps)
        if self._config.csv_path:
            labels = model.manifest.labels
            sinks.append(stack.enter_context(CsvFile(self._config.csv_path, source.description, labels)))
        sinks += [stack.enter_context(sink) for sink in _monitors(self._config, model, source)]
        sinks += [stack.enter_context(sink) for sink in _home_automation(self._config, model, source, sinks)]
        warn_if_revoked(model.manifest)
        if notifier and self._config.model == CURRENT_MODEL:
            self._watch = ModelWatch()
        sinks += [sink for sink in (self._trial, self._watch) if sink]
        watchers = [notifier] if notifier else _watchers(self._config, source)
        sinks += [stack.enter_context(watcher) for watcher in watchers]
        for sink in sinks:
            sink.watch(sinks)
        if notifier:
            notifier.source, notifier.outputs = source.description, sinks
        return sinks


def _enter_trial(config: RunConfig, stack: ExitStack) -> Trial | None:
    """The trial of the model that the run is about to open; None if there is none, or it has just failed."""
    trial = open_trial(config)
    if trial and not stack.enter_context(trial).failure:
        return trial
    if is_tried(config):
        stack.enter_context(count_restarts())
    return None


def _monitors(config: RunConfig, model: Bundle, source: Source) -> list[Sink]:
    """What watches the run over time: the usage record, samples, metrics, the live page; of still pictures none."""
    monitors: list[Sink] = []
    if source.stills:
        return monitors
    if config.usage.path:
        monitors.append(_usage_recorder(config.usage.path, model))
    if config.samples.path:
        monitors.append(Sampler(config.samples, f"{model.manifest.name}@{model.manifest.version}"))
    if config.prometheus.textfile or config.web.listen:
        metrics = Metrics(model.manifest, config.prometheus.textfile)
        monitors.append(metrics)
        if config.web.listen:
            monitors.append(_web_sink(config, model, source, metrics))
    return monitors


def _home_automation(config: RunConfig, model: Bundle, source: Source, sinks: Sequence[Sink]) -> list[Sink]:
    """What tells home automation over MQTT, if there is a broker."""
    if config.mqtt.host is None or source.stills:
        return []
    from fer_edge.home_automation import home_automation  # noqa: PLC0415 - only what is asked for is loaded

    return home_automation(config, model.manifest, sinks)


def _web_sink(config: RunConfig, model: Bundle, source: Source, metrics: Metrics) -> Sink:
    try:
        from fer_edge.web.server import WebSink  # noqa: PLC0415 - only what is asked for is loaded
    except ImportError as error:
        raise MissingExtra("the web server", "web") from error
    return WebSink(
        config.web,
        model.manifest,
        source.description,
        metrics,
        score=config.overlay.score,
        starts_updates=config.updates.allow_start,
    )


def _usage_recorder(path: Path, model: Bundle) -> UsageRecorder:
    manifest = model.manifest
    identity = ModelIdentity(manifest.name, manifest.version, manifest.files[MODEL_FILE])
    return UsageRecorder(UsageStore(path, identity), str(path), usable(manifest.reference))


def _refuse_overwriting(config: RunConfig, config_file: Path | None) -> None:
    """Refuse outputs that would replace an input, or each other."""
    if config.json_path == config.csv_path == "-":
        raise ConfigError("--json and --csv both go to standard output. Give one of them a file")
    detector = config.detector
    inputs = {"source": config.source, "--config": config_file, "cascade": detector.cascade, "detector": detector.model}
    taken = {_real(name): what for what, name in inputs.items() if name is not None}
    taken |= {_real(picture): "source" for picture in _pictures_in(Path(config.source), config.recursive)}
    model = _real(config.model)
    folder = str(Path(_real(config.source)).parent)
    outputs = (
        ("--record", config.record),
        ("--plot", config.plot),
        ("--json", config.json_path),
        ("--csv", config.csv_path),
        ("usage.path", config.usage.path),
        ("samples.path", config.samples.path),
    )
    for option, name in outputs:
        if name is None or name == "-" or "\0" in str(name):
            continue
        path = _real(name)
        other = "model" if path.startswith(model + os.sep) else taken.get(path)
        if path == folder and os.path.isfile(config.source):  # noqa: PTH113 - a name too long is no file
            raise ConfigError(f"{option} {name}: holds the source, which would be replaced. Choose another folder")
        if option == "--record" and config.recursive and path.startswith(_real(config.source) + os.sep):
            raise ConfigError(f"{option} {name}: is in the source, and would be read by the next run. Choose another")
        if other:
            raise ConfigError(f"{option} {name}: is also the {other} file. Choose another")
        taken[path] = option


def _real(name: str | Path) -> str:
    """The path without links; unchanged if it holds a NUL or the working folder was deleted."""
    with suppress(ValueError, OSError):
        return os.path.realpath(name)
    return str(name)


def _pictures_in(folder: Path, recursive: bool) -> list[Path]:
    """The pictures that a source reads; none where it is no folder, or one that cannot be listed."""
    with suppress(OSError, ValueError):
        return pictures_in(folder, recursive=recursive)
    return []


def _refuse_unsuited(config: RunConfig, source: Source) -> None:
    """Refuse outputs that this kind of source has no use for."""
    if config.plot and (source.stills or source.frames is None):
        raise ConfigError(f"--plot is for a video; {source.description} is none")
    if config.record and not config.record.suffix and not source.stills:
        raise ConfigError(
            f"--record {config.record}: a folder is for pictures; a video is written as .mp4, .mkv or .webm"
        )


def _frames(config: RunConfig, source: Source) -> int | None:
    """How many frames will be processed; None if unknown."""
    return min((count for count in (source.frames, config.max_frames) if count is not None), default=None)


def _watchers(config: RunConfig, source: Source) -> list[Sink]:
    """The live line or progress bar on a terminal; without one, a log of changes; a table of pictures."""
    watchers: list[Sink] = []
    takes_output = "-" in {config.json_path, config.csv_path}
    if source.stills and not takes_output:
        watchers.append(PictureTable())
    if not sys.stderr.isatty():
        return watchers if config.json_path or config.csv_path or source.stills else [ChangeLog()]
    shares_terminal = takes_output and sys.stdout.isatty()
    wanted = source.frames is not None or (config.json_path is None and config.csv_path is None)
    return [*watchers, LiveLine(_frames(config, source))] if wanted and not shares_terminal else watchers
