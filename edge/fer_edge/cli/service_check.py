"""The checks of `fer-edge service check`: what a run needs, and what the service's sandbox forbids."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from fer_edge.config import NAMED_SOURCES, RunConfig, WebConfig
from fer_edge.device.unit import Sandbox
from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.opencv import require_opencv


def check_here(config: RunConfig) -> None:
    """Open the model and the detector, and check that the outputs can be written. No camera is opened.

    Raises:
        FerError: something that a run needs is missing.
    """
    require_opencv()
    from fer_edge.monitoring.prometheus import Metrics
    from fer_edge.pipeline import Pipeline
    from fer_edge.sinks import make_sinks

    make_sinks(config, fps=30)
    if config.web.listen:
        _check_page(config.web)
    with Pipeline(config) as pipeline:
        if config.web.listen or config.prometheus.textfile:
            Metrics(pipeline.model.manifest)
    for key, path in _outputs(config):
        if not os.access(path if os.access(path, os.F_OK) else path.parent, os.W_OK):
            fix = "The service may write under /var/lib/fer-edge"
            if key == "prometheus.textfile":
                fix = "Fix: systemd/examples/prometheus.conf"
            raise ConfigError(f"{key} {path}: cannot be written here. {fix}")
    source = _source_file(config)
    if source and not os.access(source, os.R_OK):
        raise ConfigError(f"source {source}: cannot be read here")


def _check_page(config: WebConfig) -> None:
    try:
        from fer_edge.web.http_server import check_server
    except ImportError as error:
        raise MissingExtra("the web server", "web") from error
    check_server(config)


def refuse_hidden(config: RunConfig, sandbox: Sandbox) -> None:
    """Raise ConfigError for a file in a folder that the sandbox hides."""
    inputs = [("source", _source_file(config)), ("model", Path(config.model) if os.sep in config.model else None)]
    inputs += [("detector.model", config.detector.model), ("detector.cascade", config.detector.cascade)]
    inputs += [(f"mqtt.{key}", getattr(config.mqtt, key)) for key in ("cafile", "certificate", "key", "password_file")]
    inputs += [("web.certificate", config.web.certificate), ("web.key", config.web.key)]
    for key, path in (*inputs, *_outputs(config)):
        if path and sandbox.hides(path):
            top = "/".join(path.parts[:2]).removeprefix("/")
            raise ConfigError(
                f"{key} {path}: the service does not see what is in {top}. Move it to /var/lib/fer-edge, "
                "which the user fer-edge can read"
            )


def missing_drop_ins(config: RunConfig, sandbox: Sandbox) -> Iterator[str]:
    """Yield a line for each connection, port or screen that the unit forbids, with the drop-in that allows it."""
    hosts = [("mqtt.host", config.mqtt.host)]
    if "://" in config.source:
        hosts.append(("source", urlsplit(config.source).hostname or "0.0.0.0"))  # noqa: S104 - received from anywhere
    for key, host in hosts:
        if host and sandbox.forbids(host):
            yield (
                f"{key} {host}: the service may not reach other machines. "
                f"Fix: {sandbox.unit.install} --allow-network, which installs network.conf"
            )
    listen = config.web.listen
    if listen and not config.web.is_socket:
        if _is_for_others(config) and sandbox.forbids("192.168.0.1"):
            yield f"web.listen {listen}: other machines may not reach the service. Fix: systemd/examples/web.conf"
        elif sandbox.forbids_port(config.web.address[1]):
            yield f"web.listen {listen}: the unit does not allow this port. Fix: change SocketBindAllow= in web.conf"
    if config.display == "hdmi" and not sandbox.has_console:
        yield "display hdmi: the service may not use the screen. Fix: systemd/examples/hdmi.conf"


def _is_for_others(config: RunConfig) -> bool:
    host, _ = config.web.address
    return host != "localhost" and not host.startswith("127.") and host != "::1"


def _outputs(config: RunConfig) -> Iterator[tuple[str, Path]]:
    paths = {
        "json": None if config.json_path == "-" else config.json_path,
        "csv": None if config.csv_path == "-" else config.csv_path,
        "record": config.record,
        "plot": config.plot,
        "usage.path": config.usage.path,
        "screen.pictures": config.screen.pictures,
        "samples.path": config.samples.path,
        "prometheus.textfile": config.prometheus.textfile,
        "web.listen": (config.web.listen or "").partition(":")[2] if config.web.is_socket else None,
    }
    for key, path in paths.items():
        if path:
            yield key, Path(path)


def _source_file(config: RunConfig) -> Path | None:
    """Return the file or folder that is the source, or None for a camera or a URL."""
    name = config.source
    is_camera = name.partition(":")[0] in NAMED_SOURCES or name.isdecimal() or name.startswith("/dev/")
    return None if is_camera or "://" in name else Path(name)
