"""Read what devices have told a broker. Nothing that it says is trusted: what is wrong is counted, and one is named."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from fer_edge.config import MqttConfig, reveal
from fer_edge.errors import DataError, SourceError, reason
from fer_edge.updates.fleet_messages import MOST_BYTES, PREFIX, DeviceState, DeviceUsage, parse_message

if TYPE_CHECKING:
    from paho.mqtt.client import ConnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

# A second subscription is answered after the retained messages of the first (mosquitto answers in order). Brokers that
# send them later are given so many seconds without a message.
_QUIET_S = 1.0
# Nobody publishes here.
_MARKER = f"{PREFIX}-end-of-retained-messages"
_CONNECT_S = 10.0
# A broker that never stops talking is left after so many seconds, or so many bytes.
_LONGEST_S = 120.0
_MOST_BYTES = 1_000_000_000

_Kind = TypeVar("_Kind", DeviceState, DeviceUsage)


@dataclass
class Heard:
    """What a broker said: messages by device, and what was refused."""

    messages: dict[str, bytes] = field(default_factory=dict)
    refused: int = 0
    example: str = ""

    def refuse(self, why: str) -> None:
        """Count a refused message, and remember the first."""
        self.refused += 1
        self.example = self.example or why


def read_messages(config: MqttConfig, kind: type[_Kind]) -> tuple[dict[str, _Kind], Heard]:
    """Read the retained messages of all devices.

    Args:
        config: the broker.
        kind: which message.

    Returns:
        The messages by the id of the device, and what was refused.

    Raises:
        SourceError: the broker cannot be reached, refuses the connection, or is none.
    """
    name = "state" if kind is DeviceState else "usage"
    heard = _Reader(config, f"{PREFIX}/+/{name}").read()
    found: dict[str, _Kind] = {}
    for topic, content in heard.messages.items():
        try:
            message = parse_message(kind, topic, content)
        except DataError as error:
            heard.refuse(str(error))
        else:
            found[message.id] = message
    return dict(sorted(found.items())), heard


class _Reader:
    """Hears the retained messages of a topic."""

    def __init__(self, config: MqttConfig, topic: str) -> None:
        self._config = config
        self._where = f"MQTT broker {config.host}:{config.port}"
        self._topic = topic
        self._heard = Heard()
        self._bytes = 0
        self._last_at = 0.0
        self._answered = threading.Event()
        self._complete = threading.Event()
        self._marker: int | None = None
        self._refusal = ""
        # MQTT 3.1.1: with version 5, mosquitto 2.0.11 stops before the end of ten thousand retained messages.
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.connect_timeout = _CONNECT_S
        if config.username:
            self._client.username_pw_set(config.username, reveal(config.password))
        if config.tls:
            self._client.tls_set(str(config.cafile) if config.cafile else None)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def read(self) -> Heard:
        try:
            self._client.connect(self._config.host or "", self._config.port)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise SourceError(f"{self._where}: cannot be reached ({reason(error)})") from error
        self._client.loop_start()
        try:
            self._wait()
        finally:
            self._client.on_message = None
            self._client.disconnect()
            self._client.loop_stop()
        return self._heard

    def _wait(self) -> None:
        if not self._answered.wait(_CONNECT_S):
            raise SourceError(f"{self._where}: does not answer as an MQTT broker does. Look at host and port")
        if self._refusal:
            raise SourceError(f"{self._where}: refuses the connection ({self._refusal}). Look at --user and password")
        begun = self._last_at = time.monotonic()
        while not self._complete.is_set() or time.monotonic() - self._last_at < _QUIET_S:
            if self._bytes > _MOST_BYTES or time.monotonic() - begun > _LONGEST_S:
                raise SourceError(f"{self._where}: does not stop talking, or does not answer. Nothing of it was used")
            time.sleep(0.05)

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._refusal = str(code)[:100]
        else:
            # At QoS 0, since mosquitto drops what exceeds max_queued_messages (1000) at QoS 1.
            client.subscribe(self._topic, qos=0)
            self._marker = client.subscribe(_MARKER, qos=0)[1]
        self._answered.set()

    def _on_subscribe(self, _client: Client, _data: object, message_id: int, *_: object) -> None:
        if message_id == self._marker:
            self._last_at = time.monotonic()
            self._complete.set()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._last_at = time.monotonic()
        self._bytes += len(message.payload)
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "\0"  # cannot be shown
        self._bytes += len(topic)
        if not topic.isprintable():
            self._heard.refuse("a topic that cannot be shown")
        elif not message.payload:  # a removed device
            self._heard.messages.pop(topic, None)
        elif len(message.payload) > MOST_BYTES:
            self._heard.refuse(f"{topic[:100]}: has {len(message.payload)} bytes, more than {MOST_BYTES}")
        else:
            self._heard.messages[topic] = bytes(message.payload)
