"""Creates the sinks that tell others over MQTT: home automation, Home Assistant, and the operator of a fleet."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from fer_edge import __version__
from fer_edge.config import MqttConfig, RunConfig, WebConfig
from fer_edge.data_folder import INSTANCE_VARIABLE
from fer_edge.device.identity import board_name, device_id, fleet_id
from fer_edge.device.thermal import read_heat
from fer_edge.errors import FerError
from fer_edge.model.manifest import Manifest
from fer_edge.monitoring.drift import State
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sinks import Sink
from fer_edge.sinks.home_assistant import HomeAssistant, withdraw
from fer_edge.sinks.home_assistant_discovery import INSTALL, INSTALL_TOPIC, Device
from fer_edge.sinks.mqtt import Mqtt
from fer_edge.sinks.mqtt_state import About, MqttState, Readings
from fer_edge.updates.fleet_state import Facts, FleetState
from fer_edge.updates.fleet_state import Readings as FleetReadings
from fer_edge.updates.latest import read_latest
from fer_edge.updates.request import is_requested, request_update
from fer_edge.web.auth import is_loopback

_log = logging.getLogger(__name__)

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def home_automation(config: RunConfig, model: Manifest, sinks: Sequence[Sink]) -> list[Sink]:
    """Return the further sinks that use the broker's connection.

    Args:
        config: the configuration of the run, with a broker.
        model: the description of the bundle.
        sinks: the other sinks of the run.
    """
    mqtt = next(sink for sink in sinks if isinstance(sink, Mqtt))
    recorder = next((sink for sink in sinks if isinstance(sink, UsageRecorder)), None)
    about = About(model.name, model.version, __version__, board_name())
    readings = Readings(_temperature)
    if recorder:
        readings = Readings(_temperature, lambda: recorder.drift.state, lambda: _trusted_accuracy(recorder))
    if config.updates.url:
        readings = replace(readings, update=lambda: _update(model))
    if config.updates.allow_start:
        _listen_for_starts(mqtt, config.mqtt.topic, model)
    found: list[Sink] = [MqttState(mqtt, config.mqtt, about, readings)]
    if config.fleet.enabled:
        facts = Facts(
            id=fleet_id(config),
            board=about.board,
            software=about.version,
            model=f"{model.name}@{model.version}",
            channel=config.updates.channel if config.updates.url else "",
            tags=config.updates.tags,
            usage=config.usage.path,
        )
        fleet_readings = FleetReadings(_temperature, readings.drift, readings.expected_accuracy, _decision)
        found.append(FleetState(mqtt, facts, fleet_readings))
    settings = config.home_assistant
    identity = device_id(_part(config.mqtt))
    if settings.enabled:
        device = Device(
            id=identity,
            name=settings.name or _default_name(),
            topic=config.mqtt.topic,
            about=about,
            labels=model.labels,
            has_temperature=_temperature() is not None,
            drift_states=get_args(State) if recorder else (),
            has_expressions=settings.expressions,
            has_snapshots=config.mqtt.snapshots,
            has_updates=config.updates.url is not None,
            starts_updates=config.updates.allow_start,
            url=_page_address(config.web),
        )
        found.append(HomeAssistant(mqtt, settings.prefix, device))
    elif settings.enabled is False:
        withdraw(mqtt, settings.prefix, identity)
    return found


def _part(config: MqttConfig) -> str:
    """Return a text that distinguishes the runs of one machine: the service's instance, and a topic the owner chose.

    The default topic is not used, because it contains the host name, which may change.
    """
    topic = config.topic if "topic" in config.model_fields_set else ""
    return "/".join(part for part in (os.environ.get(INSTANCE_VARIABLE), topic) if part)


def _default_name() -> str:
    instance = os.environ.get(INSTANCE_VARIABLE)
    return " ".join(filter(None, ("fer-edge", socket.gethostname().partition(".")[0], instance)))


def _page_address(config: WebConfig) -> str | None:
    """Return the live page's address for other machines, or None if they cannot reach it."""
    if config.listen is None or config.is_socket or is_loopback(config.address[0]):
        return None
    host, port = config.address
    name = config.hosts[0] if config.hosts else socket.gethostname() if host in _EVERYWHERE else host
    return f"{'https' if config.certificate else 'http'}://{f'[{name}]' if ':' in name else name}:{port}"


def _trusted_accuracy(recorder: UsageRecorder) -> float | None:
    """Return the expected accuracy in per cent, or None where it is unknown or not to be trusted."""
    expected = recorder.expected_accuracy
    return 100 * expected.accuracy if expected and expected.trusted else None


def _update(model: Manifest) -> dict[str, str | bool]:
    """Return what Home Assistant shows of the model's updates (its MQTT update integration)."""
    latest = read_latest()
    known = latest if latest and latest.name == model.name else None
    return {
        "installed_version": model.version,
        "latest_version": known.latest if known else model.version,
        "title": f"Model {model.name}",
        "release_summary": known.reason[:255] if known else "Not looked yet.",
        "in_progress": is_requested(),
    }


def _listen_for_starts(mqtt: Mqtt, topic: str, model: Manifest) -> None:
    """Ask the updater when Home Assistant says so, and show that it was asked."""

    def start(payload: bytes) -> None:
        if payload != INSTALL.encode():
            return
        try:
            request_update()
        except FerError as error:
            _log.warning("an update was asked for over MQTT: %s", error)
        mqtt.publish(f"{topic}/update", json.dumps(_update(model)))

    mqtt.subscribe(f"{topic}/{INSTALL_TOPIC}", start)


def _decision() -> str:
    """Return what the last look for a new model decided, in one sentence."""
    latest = read_latest()
    return latest.reason if latest else ""


def _temperature() -> float | None:
    return read_heat().celsius
