"""The connection to a broker by itself: what is retained and repeated, and what it says of each failure."""

import json
import logging
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.broker import Broker, Listener
from tests.conftest import wait_until
from tests.edge.test_mqtt import certificates

from fer_edge.config import MqttConfig
from fer_edge.errors import ConfigError, MissingExtra
from fer_edge.sinks.mqtt_connection import MqttConnection
from fer_edge.types import FrameResult

__all__ = ["certificates"]  # a fixture


class Connection(MqttConnection):
    """Publishes nothing of its own."""

    def emit(self, result: FrameResult) -> None:
        """Nothing."""


def configuration(broker: Broker, **settings: object) -> MqttConfig:
    return MqttConfig.model_validate({"host": f"127.0.0.1:{broker.port}", "topic": "test", **settings})


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker.port)
    yield listener
    listener.close()


def retained(broker: Broker, *topics: str) -> dict[str, bytes]:
    """What somebody gets who asks now."""
    late = Listener(broker.port)
    late.say("asked", "")
    wait_until(lambda: bool(late.on("asked")))
    late.close()
    return {topic: payload for topic, payload in late.heard if topic in topics}


def test_a_run_is_online_until_it_ends(broker: Broker, listener: Listener) -> None:
    with Connection(configuration(broker)) as connection:
        assert connection.description == "MQTT broker 127.0.0.1"
        wait_until(lambda: listener.on("test/availability") == [b"online"])
        wait_until(lambda: bool(listener.on("test/publisher")))
        assert retained(broker, "test/availability", "test/publisher") == {"test/availability": b"online"}
        identity = listener.latest("test/publisher")
        assert (identity["host"], identity["process"]) == (socket.gethostname(), os.getpid())
        assert len(identity["id"]) == 16
        assert connection.connections == 1
        assert not connection.trouble
    wait_until(lambda: listener.on("test/availability") == [b"online", b"offline"])
    assert retained(broker, "test/availability") == {"test/availability": b"offline"}


def test_a_retained_message_is_sent_once_and_again_when_asked_for_or_when_the_broker_forgot(
    broker: Broker, listener: Listener
) -> None:
    connection = Connection(configuration(broker))
    connection.publish("test/early", "1")
    assert connection.deliver("test/sure", "1") is None
    assert not connection.send("test/once", b"1")
    with connection:
        wait_until(lambda: listener.on("test/early") == [b"1"])
        for text, repeat in (("2", False), ("2", False), ("2", True), ("3", False)):
            connection.publish("test/value", text, repeat=repeat)
        assert connection.send("test/once", b"\0raw")
        arrived = connection.deliver("test/sure", "yes")
        assert arrived is not None
        wait_until(arrived)
        wait_until(lambda: listener.on("test/once") == [b"\0raw"])
        assert listener.on("test/value") == [b"2", b"2", b"3"]
        wait_until(lambda: listener.on("test/sure") == [b"yes"])
        topics = ("test/early", "test/value", "test/once", "test/sure")
        assert retained(broker, *topics) == {"test/early": b"1", "test/value": b"3", "test/sure": b"yes"}
        connection.publish("test/early", "")
        wait_until(lambda: listener.on("test/early") == [b"1", b""])
        assert "test/early" not in retained(broker, *topics)
        broker.stop()
        connection.publish("test/value", "4")
        broker.start()
        wait_until(lambda: connection.connections == 2)
        wait_until(lambda: retained(broker, *topics) == {"test/value": b"4"})
        assert retained(broker, "test/availability") == {"test/availability": b"online"}


def test_it_hears_what_it_asked_for_before_and_after_it_was_connected(broker: Broker, listener: Listener) -> None:
    heard: list[bytes] = []
    connection = Connection(configuration(broker))
    connection.subscribe("asked/before", heard.append)
    with connection:
        wait_until(lambda: connection.connections == 1)
        connection.subscribe("asked/after", heard.append)

        def is_heard() -> bool:
            listener.say("asked/before", "a")
            listener.say("asked/after", "b")
            listener.say("asked/never", "c")
            return {*heard} >= {b"a", b"b"}

        wait_until(is_heard)
    assert {*heard} == {b"a", b"b"}


def test_who_said_offline_in_its_name_is_corrected(broker: Broker, listener: Listener) -> None:
    with Connection(configuration(broker)) as connection:
        connection.publish("test/value", "1")
        wait_until(lambda: listener.on("test/availability") == [b"online"])
        connection.trouble = "another publishes under test, too"
        listener.say("test/availability", "offline", retain=True)
        wait_until(lambda: listener.on("test/availability") == [b"online", b"offline", b"online"])
        wait_until(lambda: listener.on("test/value") == [b"1", b"1"])
        assert not connection.trouble
        assert retained(broker, "test/availability") == {"test/availability": b"online"}


def test_the_broker_says_offline_for_a_connection_that_broke(broker: Broker, listener: Listener) -> None:
    with Connection(configuration(broker)) as connection:
        wait_until(lambda: listener.on("test/availability") == [b"online"])
        link = connection._client.socket()
        assert isinstance(link, socket.socket)
        link.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: connection.connections == 2)
        wait_until(lambda: listener.on("test/availability")[1:2] == [b"offline"])
        wait_until(lambda: listener.on("test/availability")[-1] == b"online")


def test_another_with_its_topic_is_warned_of_once_and_told(
    broker: Broker, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with Connection(configuration(broker)) as connection:
        wait_until(lambda: len(listener.on("test/publisher")) == 1)
        for other in ('{"id": 1}', "no JSON", "7", json.dumps({"id": "a", "host": "there", "process": "many"})):
            listener.say("test/publisher", other)
        for identity in ("a", "b", "b"):
            listener.say("test/publisher", json.dumps({"id": identity, "host": "h" * 70, "process": 12}))
        wait_until(lambda: bool(connection.trouble))
        wait_until(lambda: len([said for said in listener.on("test/publisher") if b"h" * 70 not in said]) == 6)
        assert connection.trouble == f"process 12 on '{'h' * 64}' publishes under test, too"
    assert caplog.messages == [
        f"MQTT broker 127.0.0.1: {connection.trouble}: set mqtt.topic in one of them",
    ]


def test_a_broker_that_is_lost_and_back_is_told_once(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    broker.stop()
    with Connection(configuration(broker)) as connection:
        refused = f"cannot be reached: refused, nothing listens on port {broker.port}"
        wait_until(lambda: connection.trouble == refused)
        broker.start()
        wait_until(lambda: connection.connections == 1)
        wait_until(lambda: not connection.trouble)
        broker.stop()
        wait_until(lambda: connection.trouble == "is lost")
        broker.start()
        wait_until(lambda: connection.connections == 2)
    said = [message.removeprefix("MQTT broker 127.0.0.1") for message in caplog.messages]
    assert said[0] == f": {refused}: retrying"
    assert said[1:3] == [" is there", ": is lost: retrying"]
    assert said[-1] == " is there"


def test_a_wrong_password_is_told_with_its_key(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    broker.stop()
    broker.configure("allow_anonymous false")
    broker.start()
    with Connection(configuration(broker, username="fer")) as connection:
        wait_until(lambda: bool(connection.trouble))
        trouble = "refuses the connection (not authorised, check mqtt.username and its password)"
        assert connection.trouble == trouble
        assert connection.connections == 0
    assert caplog.messages == [f"MQTT broker 127.0.0.1: {trouble}: retrying"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "ends the connection at once, it is no broker or wants TLS (mqtt.tls)"),
        ({"tls": True}, "cannot be reached: no TLS "),
    ],
)
def test_what_ends_every_connection_is_no_broker(settings: dict[str, object], said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        with Connection(MqttConfig.model_validate({"host": host, **settings})) as connection:
            server.accept()[0].close()
            wait_until(lambda: bool(connection.trouble))
            assert connection.trouble.startswith(said)


class OtherName(ssl.SSLCertVerificationError):
    verify_code, verify_message = 62, "other"


class Untrusted(ssl.SSLCertVerificationError):
    verify_code, verify_message = 18, "self-signed"


@pytest.mark.parametrize(
    ("error", "tls", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), False, "unknown host (Name or service not known)"),
        (ConnectionRefusedError(111, "refused"), True, "refused, nothing listens on port 4711"),
        (OtherName(), True, "its certificate is not trusted (other), ask for it by the name in its certificate"),
        (Untrusted(), True, "its certificate is not trusted (self-signed), set mqtt.cafile"),
        (ssl.SSLError(1, "wrong version"), False, "no TLS (wrong version), check mqtt.port and mqtt.tls"),
        (ConnectionResetError(104, "reset"), True, "no TLS (reset), check mqtt.port and mqtt.tls"),
        (ConnectionResetError(104, "reset"), False, "reset"),
        (TimeoutError(), False, "does not answer on port 4711"),
        (
            PermissionError(1, "not permitted"),
            False,
            "the service may not reach other machines, use sudo systemd/install.sh --allow-network",
        ),
        (OSError(101, "Network is unreachable"), False, "Network is unreachable"),
        (ValueError("odd"), False, "unknown reason"),
    ],
)  # fmt: skip
def test_each_failure_to_connect_is_told_with_what_to_do(error: Exception, tls: bool, said: str) -> None:
    """As paho-mqtt asks: while it handles the error."""
    connection = Connection(MqttConfig(host="there:4711", tls=tls))
    try:
        raise error
    except type(error):
        connection._on_connect_fail(None, None)
    assert connection.trouble == f"cannot be reached: {said}"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read (No such file or directory)"), (b"\n", "is empty"), (b"\xff", "utf-8")]
)
def test_a_password_file_that_holds_none_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        Connection(MqttConfig(host="there", username="fer", password_file=path))
    assert str(raised.value).startswith(f"mqtt.password_file {path}: ")
    assert said in str(raised.value)


def test_only_a_broker_of_the_given_authority_is_trusted(broker: Broker, certificates: Path) -> None:
    broker.stop()
    broker.configure(
        "allow_anonymous true", f"certfile {certificates / 'broker.pem'}", f"keyfile {certificates / 'broker.key'}"
    )
    broker.start()
    with Connection(configuration(broker, cafile=certificates / "ca.pem")) as friend:
        wait_until(lambda: friend.connections == 1)
    with Connection(configuration(broker, tls=True)) as stranger:
        wait_until(lambda: "its certificate is not trusted" in stranger.trouble)
        assert stranger.connections == 0


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^mqtt\.host: '': "), Connection(MqttConfig()):
        pass


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtra, match=r"^paho-mqtt is not installed.*\[mqtt\]"):
        Connection(MqttConfig(host="there"))


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    with pytest.raises(ConfigError) as raised:
        Connection(MqttConfig(host="there", cafile=key, certificate=key, key=key))
    assert str(raised.value) == (
        f"mqtt.cafile {key}, mqtt.certificate {key}, mqtt.key {key}: cannot be used (No such file or directory)"
    )
