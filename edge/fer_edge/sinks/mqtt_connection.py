"""The connection to an MQTT broker. It is made and restored in the background, and failures are explained."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from fer_edge.config import MqttConfig, reveal
from fer_edge.errors import ConfigError, MissingExtra, reason
from fer_edge.sinks import Sink

_log = logging.getLogger(__name__)

# These CONNACK return codes (MQTT 3.1.1, section 3.2.2.3, in paho-mqtt's words) mean a wrong user or password.
_UNAUTHORISED = {"Bad user name or password", "Not authorized"}
# A broker that says nothing for so long is lost. It is asked for a sign of life as often.
_KEEPALIVE_S = 20
# This is paho-mqtt's name for that.
_SILENT = "Keep alive timeout"
# These are OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_OTHER_NAME = {62, 64}


class MqttConnection(Sink):
    """Connects to the broker. Messages of `publish` are retained, and are sent again after a reconnection.

    `<topic>/availability` is `online` during the run and `offline` afterwards; the broker publishes `offline` when
    the program dies. Each program announces itself once under `<topic>/publisher`, so that two programs with the
    same topic notice each other.
    """

    def __init__(self, config: MqttConfig) -> None:
        """Prepare the client.

        Raises:
            MissingExtra: paho-mqtt is not installed.
            ConfigError: the password file or a certificate cannot be used.
        """
        try:
            from paho.mqtt.client import Client  # noqa: PLC0415 - an optional part
            from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtra("paho-mqtt", "mqtt") from error
        self._config = config
        self._host = config.host or ""
        self.description = f"MQTT broker {self._host}"
        self._availability = f"{config.topic}/availability"
        self._publisher = f"{config.topic}/publisher"
        self._identity = {"host": socket.gethostname(), "process": os.getpid(), "id": secrets.token_hex(8)}
        self._others: set[str] = set()
        # By topic.
        self._latest: dict[str, str] = {}
        self._subscriptions: dict[str, Callable[[bytes], None]] = {}
        self._client = Client(CallbackAPIVersion.VERSION2)
        if config.username:
            self._client.username_pw_set(config.username, _password(config))
        if config.tls:
            self._set_tls()
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._answered = False
        # How often the broker has accepted the connection. It may have forgotten everything in between.
        self.connections = 0
        self.subscribe(self._availability, self._on_availability)
        self.subscribe(self._publisher, self._on_publisher)

    def __enter__(self) -> Self:
        try:
            self._client.connect_async(self._host, self._config.port, keepalive=_KEEPALIVE_S)
        except ValueError as error:
            raise ConfigError(f"mqtt.host: {self._host!r}: {error}") from error
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.on_message = None
        if self._client.is_connected():
            with suppress(RuntimeError):  # the connection broke just now
                self._client.publish(self._availability, "offline", qos=1, retain=True).wait_for_publish(timeout=2)
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, text: str, *, repeat: bool = False) -> None:
        """Publish a retained message now and after each reconnection.

        The QoS is 0, because a message that is repeated later would replace a newer one.

        Args:
            topic: the whole topic.
            text: the message; an empty text removes the retained message.
            repeat: send the message even if it equals the last one.
        """
        if self._latest.get(topic) == text and not repeat:
            return
        self._latest[topic] = text
        if self._client.is_connected():
            self._client.publish(topic, text, qos=0, retain=True)

    def deliver(self, topic: str, text: str) -> Callable[[], bool] | None:
        """Publish a retained message at QoS 1, which paho-mqtt repeats until the broker has it.

        Send the next one to this topic only when this one has arrived: a repeated message would replace a newer one.

        Returns:
            Tells whether the message has arrived; None without a connection.
        """
        if not self._client.is_connected():
            return None
        return self._client.publish(topic, text, qos=1, retain=True).is_published

    def send(self, topic: str, payload: bytes) -> bool:
        """Publish a message that is neither retained nor sent again. Returns whether there is a connection."""
        if not self._client.is_connected():
            return False
        self._client.publish(topic, payload, qos=0)
        return True

    def subscribe(self, topic: str, callback: Callable[[bytes], None]) -> None:
        """Call back with each message of a topic, in the connection's thread. It stays valid after reconnections."""
        self._subscriptions[topic] = callback
        if self._client.is_connected():
            self._client.subscribe(topic, qos=1)

    def _set_tls(self) -> None:
        config = self._config
        names = {"cafile": config.cafile, "certificate": config.certificate, "key": config.key}
        try:
            cafile, certificate, key = (str(path) if path else None for path in names.values())
            self._client.tls_set(cafile, certificate, key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            given = ", ".join(f"mqtt.{key} {path}" for key, path in names.items() if path)
            raise ConfigError(f"{given}: cannot be used ({reason(error)})") from error

    def _set_trouble(self, trouble: str) -> None:
        """Log each problem once."""
        if trouble and trouble != self.trouble:
            _log.warning("MQTT broker %s: %s: retrying", self._host, trouble)
        self.trouble = trouble

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:  # noqa: ANN401
        self._answered = True
        if code.is_failure:
            hint = "not authorised, check mqtt.username and its password" if str(code) in _UNAUTHORISED else str(code)
            self._set_trouble(f"refuses the connection ({hint})")
            return
        if self.trouble:
            _log.warning("MQTT broker %s is there", self._host)
        self._set_trouble("")
        self.connections += 1
        for topic in tuple(self._subscriptions):
            self._client.subscribe(topic, qos=1)
        self._client.publish(self._publisher, json.dumps(self._identity), qos=1)
        self._publish_all()

    def _publish_all(self) -> None:
        self._client.publish(self._availability, "online", qos=1, retain=True)
        for topic, message in tuple(self._latest.items()):
            self._client.publish(topic, message, qos=0, retain=True)

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:  # noqa: ANN401
        """Note why the connection failed. paho-mqtt calls it while it handles the error, which it does not pass."""
        self._answered = False
        self._set_trouble(_why(sys.exception(), self._config))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:  # noqa: ANN401
        if not code.is_failure or self.trouble.startswith("refuses"):
            return
        if self._answered:
            self._set_trouble("is lost")
        elif str(code) == _SILENT:
            self._set_trouble(f"does not answer on port {self._config.port}, is it a broker?")
        else:
            wants = "a client certificate (mqtt.certificate)" if self._config.tls else "TLS (mqtt.tls)"
            self._set_trouble(f"ends the connection at once, it is no broker or wants {wants}")
        self._answered = False

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:  # noqa: ANN401
        callback = self._subscriptions.get(message.topic)
        if callback:
            callback(message.payload)

    def _on_availability(self, payload: bytes) -> None:
        """Publish `online` after an `offline`, which came from an earlier connection or another program's end."""
        if payload == b"offline":
            self.trouble = ""  # the other one has ended
            self._publish_all()

    def _on_publisher(self, payload: bytes) -> None:
        """Warn once about each other program, and announce this one to it."""
        with suppress(ValueError, LookupError, TypeError):
            other = json.loads(payload)
            if other["id"] == self._identity["id"] or other["id"] in self._others:
                return
            self._others.add(str(other["id"]))
            who = f"process {int(other['process'])} on {str(other['host'])[:64]!r}"
            self.trouble = f"{who} publishes under {self._config.topic}, too"
            _log.warning("MQTT broker %s: %s: set mqtt.topic in one of them", self._host, self.trouble)
            self._client.publish(self._publisher, json.dumps(self._identity), qos=1)


def _password(config: MqttConfig) -> str | None:
    if config.password:
        return reveal(config.password)
    if config.password_file is None:
        return None
    try:
        password = config.password_file.read_text(encoding="utf-8-sig").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"mqtt.password_file {config.password_file}: cannot be read ({reason(error)})") from error
    if not password:
        raise ConfigError(f"mqtt.password_file {config.password_file}: is empty")
    return password


def _why(error: BaseException | None, config: MqttConfig) -> str:
    """Explain why no connection could be made, and what to do."""
    if isinstance(error, socket.gaierror):
        why = f"unknown host ({reason(error)})"
    elif isinstance(error, ConnectionRefusedError):
        why = f"refused, nothing listens on port {config.port}"
    elif isinstance(error, ssl.SSLCertVerificationError):
        other_name = error.verify_code in _OTHER_NAME
        fix = "ask for it by the name in its certificate" if other_name else "set mqtt.cafile"
        why = f"its certificate is not trusted ({error.verify_message}), {fix}"
    elif isinstance(error, ssl.SSLError) or (config.tls and isinstance(error, ConnectionResetError)):
        why = f"no TLS ({reason(error)}), check mqtt.port and mqtt.tls"
    elif isinstance(error, TimeoutError):
        why = f"does not answer on port {config.port}"
    elif isinstance(error, PermissionError):
        why = "the service may not reach other machines, use sudo systemd/install.sh --allow-network"
    else:
        why = reason(error) if isinstance(error, OSError) else "unknown reason"
    return f"cannot be reached: {why}"
