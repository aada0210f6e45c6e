"""What is read from a broker that retains messages, without another program."""

import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from tests.retained import retaining

from fer_edge.config import MqttConfig, reveal
from fer_edge.errors import SourceError
from fer_edge.updates.fleet_messages import MOST_BYTES, DeviceState, DeviceUsage
from fer_fleet.broker import Heard, read_messages
from fer_fleet.cli.broker_options import broker_config

PREFIX = "fer-edge/fleet"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_fleet.broker._QUIET_S", 0.02)
    monkeypatch.setattr("fer_fleet.broker._LONGEST_S", 30.0)


def state(name: str) -> bytes:
    content = {
        "id": name, "time": datetime.now(UTC).isoformat(), "running": True, "board": "b", "software": "1",
        "model": "m@1", "camera": True, "fps": 1,
    }  # fmt: skip
    return json.dumps(content).encode()


def said(name: str) -> tuple[str, bytes]:
    return f"{PREFIX}/{name}/state", state(name)


def config(port: int, **more: object) -> MqttConfig:
    return MqttConfig.model_validate({"host": "127.0.0.1", "port": port, **more})


def read(port: int) -> tuple[list[str], Heard]:
    found, heard = read_messages(config(port), DeviceState)
    return list(found), heard


def test_the_states_of_all_devices_are_read_in_the_order_of_their_names() -> None:
    with retaining([said("kitchen"), said("attic"), ("fer-edge/kitchen/state", b"{}")]) as broker:
        found, heard = read_messages(config(broker.port), DeviceState)
    assert {name: each.id for name, each in found.items()} == {"attic": "attic", "kitchen": "kitchen"}
    assert list(found) == ["attic", "kitchen"]
    assert (heard.refused, heard.example) == (0, "")


def test_the_counts_are_another_message_than_the_state() -> None:
    usage = json.dumps({"id": "kitchen", "days": []}).encode()
    with retaining([said("kitchen"), (f"{PREFIX}/kitchen/usage", usage)]) as broker:
        found, heard = read_messages(config(broker.port), DeviceUsage)
    assert found == {"kitchen": DeviceUsage(id="kitchen", days=())}
    assert heard.refused == 0


def test_it_asks_once_takes_its_leave_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with retaining([said("kitchen")]) as broker:
        read(broker.port)
    assert broker.subscribed == [(f"{PREFIX}/+/state", 0), (f"{PREFIX}-end-of-retained-messages", 0)]
    assert broker.ended == 1
    assert threading.active_count() == before


def test_the_user_and_the_password_are_given_to_the_broker() -> None:
    with retaining([]) as broker:
        read_messages(config(broker.port, username="me", password=SecretStr("secret")), DeviceState)
        read_messages(config(broker.port), DeviceState)
    assert broker.connects[0].endswith(b"\0\x02me\0\x06secret")
    assert b"me" not in broker.connects[1]


def test_a_broker_that_refuses_the_login_says_why() -> None:
    with retaining([], refusal=5) as broker, pytest.raises(SourceError) as caught:
        read(broker.port)
    where = f"MQTT broker 127.0.0.1:{broker.port}"
    assert str(caught.value) == f"{where}: refuses the connection (Not authorized). Look at --user and password"


def test_a_device_that_was_removed_is_not_there_any_more() -> None:
    with retaining(
        [said("kitchen"), said("hall"), (f"{PREFIX}/hall/state", b""), (f"{PREFIX}/shed/state", b"")]
    ) as one:
        found, heard = read(one.port)
    assert (found, heard.refused) == (["kitchen"], 0)


def test_each_refused_message_counts_and_the_first_is_named() -> None:
    topic, content = said("kitchen")
    longest = content + b" " * (MOST_BYTES - len(content))
    with retaining(
        [
            (f"{PREFIX}/{'x' * 200}/state", b"x" * (MOST_BYTES + 1)),
            (f"{PREFIX}/\x1b[2J/state", b"{}"),
            (f"{PREFIX}/hall/state", state("attic")),
            (f"{PREFIX}/shed/state", b"{"),
            (topic, longest),
        ]
    ) as broker:
        found, heard = read(broker.port)
    assert found == ["kitchen"], "one that is as long as is allowed is read"
    assert heard.refused == 4
    assert heard.example == f"{PREFIX}/{'x' * (99 - len(PREFIX))}: has {MOST_BYTES + 1} bytes, more than {MOST_BYTES}"


def test_what_cannot_be_parsed_is_named_with_its_topic() -> None:
    with retaining([(f"{PREFIX}/hall/state", state("attic")), ("fer-edge/fleet/\n/state", b"{}")]) as broker:
        _, heard = read(broker.port)
    assert (heard.refused, heard.example) == (2, "a topic that cannot be shown")
    with retaining([(f"{PREFIX}/hall/state", state("attic")), (f"{PREFIX}/b/state", b"{")]) as broker:
        _, heard = read(broker.port)
    assert (heard.refused, heard.example) == (2, f"{PREFIX}/hall/state: says that it is from attic")


# 30 kB of topics, and 30 kB of payloads.
MUCH = [(f"{PREFIX}/{str(number).zfill(3) * 95}/state", b"x" * 300) for number in range(100)]


@pytest.mark.parametrize("most", [55_000, 20_000])
def test_a_broker_that_says_too_much_is_left(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Topics and payloads count."""
    monkeypatch.setattr("fer_fleet.broker._MOST_BYTES", most)
    monkeypatch.setattr("fer_fleet.broker._QUIET_S", 4.0)  # that it is too much is found before this is over
    with retaining(MUCH) as broker, pytest.raises(SourceError, match="does not stop talking, or does not answer"):
        read(broker.port)


def test_a_broker_that_says_much_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_fleet.broker._MOST_BYTES", 100_000)
    monkeypatch.setattr("fer_fleet.broker._QUIET_S", 0.15)
    with retaining(MUCH) as broker:
        assert read(broker.port)[1].refused == 100


def test_a_broker_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_fleet.broker._LONGEST_S", 0.2)
    with retaining([said("kitchen")], answers=1) as broker, pytest.raises(SourceError) as caught:
        read(broker.port)
    where = f"MQTT broker 127.0.0.1:{broker.port}"
    assert str(caught.value) == f"{where}: does not stop talking, or does not answer. Nothing of it was used"
    assert broker.ended == 1


def test_a_broker_with_tls_is_believed_by_its_certificate_alone(tmp_path: Path) -> None:
    pem = make_certificate(tmp_path)

    def context() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(pem, tmp_path / "broker.key")
        return made

    with retaining([said("kitchen")], certificate=context) as broker:
        given = {"host": f"mqtts://127.0.0.1:{broker.port}"}
        found, _ = read_messages(MqttConfig.model_validate({**given, "cafile": pem}), DeviceState)
        assert list(found) == ["kitchen"]
        with pytest.raises(SourceError, match=r"cannot be reached \(.*certificate verify failed"):
            read_messages(MqttConfig.model_validate(given), DeviceState)


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate of this machine, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "broker.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "broker.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "broker.pem"


def test_a_password_is_asked_for_unseen_and_certificates_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, dict[str, bool]]] = []

    def prompt(text: str, **options: bool) -> str:
        asked.append((text, options))
        return "secret"

    monkeypatch.setattr("typer.prompt", prompt)
    monkeypatch.delenv("FER_FLEET_MQTT_PASSWORD", raising=False)
    (tmp_path / "ca.pem").touch()
    config = broker_config("mqtts://broker.example", "me", tmp_path / "ca.pem")
    assert asked == [("password of me", {"hide_input": True, "err": True})]
    assert (config.username, reveal(config.password), config.cafile) == ("me", "secret", tmp_path / "ca.pem")
