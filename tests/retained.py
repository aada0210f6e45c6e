"""A broker in this process that says what it retains, and notes what its clients ask for."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from paho.mqtt.client import topic_matches_sub

# MQTT 3.1.1, sections 3.1 to 3.14: the first byte of a packet.
_CONNECT, _CONNACK, _PUBLISH_RETAINED, _SUBSCRIBE, _SUBACK, _DISCONNECT = 0x10, 0x20, 0x31, 0x82, 0x90, 0xE0


@dataclass
class RetainedBroker:
    """Answers clients one after another.

    Attributes:
        messages: topics and payloads, in the order in which they are said.
        refusal: the code with which a connection is refused; 0 to accept it.
        answers: how many subscriptions of a client are answered.
        port: where it listens.
        connects: what clients sent to connect.
        subscribed: the topics that were asked for, with their QoS.
        ended: how many clients took their leave.
    """

    messages: list[tuple[str, bytes]]
    refusal: int = 0
    answers: int = 2
    port: int = 0
    connects: list[bytes] = field(default_factory=list)
    subscribed: list[tuple[str, int]] = field(default_factory=list)
    ended: int = 0

    def serve(self, connection: socket.socket) -> None:
        """Talk to one client until it goes."""
        answered = 0
        with connection.makefile("rb") as stream:
            while first := stream.read(1):
                content = stream.read(_length(stream.read))
                if first[0] == _CONNECT:
                    self.connects.append(content)
                    connection.sendall(bytes([_CONNACK, 2, 0, self.refusal]))
                elif first[0] == _SUBSCRIBE:
                    asked, qos = content[4:-1].decode(), content[-1]
                    self.subscribed.append((asked, qos))
                    for topic, payload in self.messages:
                        if topic_matches_sub(asked, topic):
                            connection.sendall(_message(topic, payload))
                    answered += 1
                    if answered <= self.answers:
                        connection.sendall(bytes([_SUBACK, 3, *content[:2], 0]))
                elif first[0] == _DISCONNECT:
                    self.ended += 1


@contextmanager
def retaining(
    messages: Sequence[tuple[str, bytes]],
    *,
    refusal: int = 0,
    answers: int = 2,
    certificate: Callable[[], ssl.SSLContext] | None = None,
) -> Iterator[RetainedBroker]:
    """Serve these messages; with TLS, if there is a certificate."""
    broker = RetainedBroker(list(messages), refusal, answers)
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker.port = server.getsockname()[1]

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with suppress(OSError), connection:
                    connection.settimeout(30)
                    if certificate:
                        with certificate().wrap_socket(connection, server_side=True) as wrapped:
                            broker.serve(wrapped)
                    else:
                        broker.serve(connection)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield broker
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _length(read: Callable[[int], bytes]) -> int:
    """The length of a packet's rest (MQTT 3.1.1, section 2.2.3)."""
    length, shift = 0, 0
    while True:
        byte = read(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return length


def _message(topic: str, payload: bytes) -> bytes:
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + payload
    size, length = b"", len(body)
    while length > 127:
        size += bytes([length % 128 | 128])
        length //= 128
    return bytes([_PUBLISH_RETAINED]) + size + bytes([length]) + body
