"""What the operator sees of the devices, through a real broker; and a broker that lies."""

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from scipy.stats import binomtest
from tests.broker import Broker, Listener
from tests.conftest import wait_until
from tests.fleet_repository import Operator

from fer_edge.updates.fleet_messages import DeviceState
from fer_edge.updates.releases import Rollout, position
from fer_fleet.progress import STEPS, all_progress, is_what, lower_bound, next_step, progress_of

MODEL = "ferplus7-tiny"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


def state(name: str, **changes: object) -> DeviceState:
    given = {
        "id": name, "time": now(), "running": True, "board": "Raspberry Pi 4", "software": "0.1.0",
        "model": f"{MODEL}@0.1.0", "camera": True, "fps": 14.5, "drift": "ok", "channel": "stable", **changes,
    }  # fmt: skip
    return DeviceState.model_validate(given)


def tried(name: str, version: str, *, passed: bool, reason: str = "") -> DeviceState:
    runs = version if passed else "0.1.0"
    ended = {"model": f"{MODEL}@{version}", "passed": passed, "reason": reason}
    return state(name, model=f"{MODEL}@{runs}", trials=[ended])


def passed(version: str, *, so: bool = True) -> dict[str, object]:
    """A trial that ended."""
    return {"model": f"{MODEL}@{version}", "passed": so, "reason": ""}


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker.port)
    yield listener
    listener.close()


def publish(listener: Listener, *states: DeviceState) -> None:
    for each in states:
        listener.say(f"fer-edge/fleet/{each.id}/state", each.model_dump_json(), retain=True)
    wait_until(lambda: all(said(listener, each) for each in states))


def said(listener: Listener, each: DeviceState) -> bool:
    """Whether the broker has it."""
    return listener.on(f"fleet/{each.id}/state")[-1:] == [each.model_dump_json().encode()]


# One table


def test_the_table_shows_each_device_and_each_version(operator: Operator, broker: Broker, listener: Listener) -> None:
    publish(
        listener,
        state("kitchen", problem="MQTT broker: is lost"),
        state("hall", time=now() - timedelta(hours=3)),
        state("shed", running=False, camera=False),
        state("door", on_trial=f"{MODEL}@0.2.0", model=f"{MODEL}@0.2.0", expected_accuracy=81.4),
        tried("loft", "0.2.0", passed=False, reason="reads faces less surely"),
        tried("barn", "0.2.0", passed=True),
    )
    shown = operator.do("status", "--broker", f"127.0.0.1:{broker.port}")
    rows = {line.split("│")[1].strip(): line for line in shown.splitlines() if line.startswith("│")}
    for device, words in {
        "kitchen": ("problem", "MQTT broker: is lost", "14.5", "now"),
        "hall": ("silent", "3 h ago"),
        "shed": ("stopped",),
        "door": ("0.2.0 on trial", "81 %"),
        "loft": ("0.2.0 failed", "0.1.0"),
        "barn": ("0.2.0 passed",),
    }.items():
        assert all(word in rows[device] for word in words), rows[device]
    cells = [cell.strip() for cell in rows[f"{MODEL}@0.2.0"].split("│")]
    assert cells[2:8] == ["2", "1", "1", "1", "50.0", "reads faces less surely"]
    assert "6 of 6 devices" in shown


def test_filters_and_json(operator: Operator, broker: Broker, listener: Listener) -> None:
    publish(
        listener,
        state("a", drift="drifted"),
        state("b", camera=False),
        state("c", time=now() - timedelta(hours=3)),
        state("d", on_trial=f"{MODEL}@0.2.0", model=f"{MODEL}@0.2.0"),
        tried("e", "0.2.0", passed=False),
        state("f", model="mine@1"),
    )

    def shown(*words: str) -> str:
        content = json.loads(operator.do("status", "--broker", f"127.0.0.1:{broker.port}", *words, "--json"))
        return "".join(device["id"] for device in content["devices"])

    for word, devices in {"drifted": "a", "problem": "b", "silent": "c", "trial": "d", "failed": "e"}.items():
        assert shown("--only", word) == devices
    assert shown("--only", "drifted", "--only", "problem") == "", "both at once"
    assert shown("--model", MODEL) == "abcde"
    assert shown("--model", f"{MODEL}@0.2.0") == "d"
    assert shown() == "abcdef"
    few = operator.do("status", "--broker", f"127.0.0.1:{broker.port}", "--only", "drifted")
    assert "1 of 6 devices" in few
    assert f"{MODEL}@0.2.0" in few, "the trials of all devices are counted"


def test_a_broker_with_tls_is_believed_by_its_certificate(operator: Operator, broker: Broker) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl: sudo apt install openssl")
    pem, key = operator.folder / "broker.pem", operator.folder / "broker.key"
    making = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=fleet -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*making.split(), "-keyout", key, "-out", pem], capture_output=True, check=True)
    broker.stop()
    broker.configure("allow_anonymous true", f"certfile {pem}", f"keyfile {key}")
    broker.start()
    address = f"127.0.0.1:{broker.port}"
    assert "0 of 0 devices" in operator.do("status", "--broker", f"mqtts://{address}", "--cafile", pem)
    unknown = operator.run("status", "--broker", f"mqtts://{address}")
    assert (unknown.code, "certificate" in unknown.err, unknown.err.count("\n")) == (3, True, 1), unknown.err


def test_a_removed_device_is_not_shown(operator: Operator, broker: Broker, listener: Listener) -> None:
    publish(listener, state("kitchen"), state("hall"))
    listener.say("fer-edge/fleet/hall/state", "", retain=True)
    wait_until(lambda: b"" in listener.on("hall/state"))
    shown = operator.do("status", "--broker", f"127.0.0.1:{broker.port}")
    assert "kitchen" in shown
    assert "hall" not in shown


@pytest.mark.slow
def test_a_large_fleet_is_read_whole(operator: Operator, broker: Broker) -> None:
    """More devices than mosquitto queues for a client by default."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    sent = [
        client.publish(f"fer-edge/fleet/d{number}/state", state(f"d{number}").model_dump_json(), qos=1, retain=True)
        for number in range(12_000)
    ]
    wait_until(lambda: all(message.is_published() for message in sent))
    client.disconnect()
    client.loop_stop()
    content = json.loads(operator.do("status", "--broker", f"127.0.0.1:{broker.port}", "--json"))
    assert len(content["devices"]) == 12_000


# A broker that lies


def test_garbage_and_forged_devices_are_refused_in_one_line(
    operator: Operator, broker: Broker, listener: Listener
) -> None:
    publish(listener, state("kitchen"))
    listener.say("fer-edge/fleet/hall/state", state("kitchen", fps=1).model_dump_json(), retain=True)
    listener.say("fer-edge/fleet/shed/state", b"\x00\xff\x1b[2J", retain=True)
    listener.say("fer-edge/fleet/loft/state", b"[" * 20_000, retain=True)
    listener.say("fer-edge/fleet/barn/state", state("barn").model_dump_json().replace("14.5", "1e999"), retain=True)
    forged = state("liar").model_dump(mode="json")
    ten = [passed("0.2.0", so=False)] * 10
    listener.say("fer-edge/fleet/liar/state", json.dumps({**forged, "trials": ten}), retain=True)
    zoneless = {**forged, "id": "zone", "time": "2026-11-27T12:00:00"}
    listener.say("fer-edge/fleet/zone/state", json.dumps(zoneless), retain=True)
    listener.say("fer-edge/fleet/huge/state", b"x" * 1_000_000, retain=True)
    wait_until(lambda: bool(listener.on("huge/state")))
    done = operator.run("status", "--broker", f"127.0.0.1:{broker.port}")
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert done.err.startswith("warning: 7 messages refused, such as fer-edge/fleet/")
    assert done.err.strip().isprintable()
    assert "1 of 1 devices" in done.out
    assert "14.5" in done.out


@contextmanager
def liar(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Something that listens where a broker should, for one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(30)
                    answer(connection)

        thread = threading.Thread(target=work)
        thread.start()
        yield server.getsockname()[1]
    thread.join()


CONNACK = bytes([0x20, 2, 0, 0])  # MQTT 3.1.1, section 3.2: accepted


def message(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH at QoS 0 with retain (MQTT 3.1.1, section 3.3)."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    size, length = b"", len(body)
    while length > 127:
        size += bytes([length % 128 | 128])
        length //= 128
    return b"\x31" + size + bytes([length]) + body


def subscriptions(connection: socket.socket) -> tuple[bytes, bytes]:
    """Let a client connect; returns the packet numbers of its two subscriptions."""
    connection.recv(4096)
    connection.sendall(CONNACK)
    asked = b""
    while asked.count(b"fer-edge/fleet") < 2:
        asked += connection.recv(4096)
    second = asked.rindex(b"\x82")
    return asked[2:4], asked[second + 2 : second + 4]


def says_huge_things(connection: socket.socket) -> None:
    first, second = subscriptions(connection)
    connection.sendall(bytes([0x90, 3, *first, 0]))
    connection.sendall(message(b"fer-edge/fleet/kitchen/state", b"{" * 30_000_000))
    connection.sendall(message(b"x", b"{}") + message(b"fer-edge/fleet/a/b/state", b"{}"))
    connection.sendall(bytes([0x90, 3, *second, 0]))
    connection.recv(4096)


def says_no_text(connection: socket.socket) -> None:
    """Topics that are not UTF-8, or that would clear the screen."""
    _, second = subscriptions(connection)
    connection.sendall(message(b"fer-edge/fleet/\xff\xfe/state", b"{}"))
    connection.sendall(message(b"fer-edge/fleet/\x1b[2J/state", b"{}"))
    connection.sendall(message(b"fer-edge/fleet/kitchen/state", state("kitchen").model_dump_json().encode()))
    connection.sendall(bytes([0x90, 3, *second, 0]))
    connection.recv(4096)


def speaks_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def test_huge_messages_are_not_read(operator: Operator) -> None:
    with liar(says_huge_things) as port:
        done = operator.run("status", "--broker", f"127.0.0.1:{port}")
    assert done.code == 0
    assert done.err.startswith("warning: 3 messages refused, such as fer-edge/fleet/kitchen/state: has 30000000 bytes")
    assert done.err.count("\n") == 1


def test_a_topic_that_is_no_text_is_refused(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_fleet.broker._LONGEST_S", 10.0)
    with liar(says_no_text) as port:
        done = operator.run("status", "--broker", f"127.0.0.1:{port}")
    assert done.code == 0, done.err
    assert done.err == "warning: 2 messages refused, such as a topic that cannot be shown\n"
    assert "1 of 1 devices" in done.out


@pytest.mark.parametrize("answer", [speaks_http, says_nothing])
def test_what_is_no_broker_is_one_line(
    operator: Operator, answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_fleet.broker._CONNECT_S", 1.0)
    with liar(answer) as port:
        done = operator.run("status", "--broker", f"127.0.0.1:{port}")
    assert done.code == 3
    assert "does not answer as an MQTT broker does. Look at host and port" in done.err
    assert done.err.count("\n") == 1


def test_nobody_there_is_one_line(operator: Operator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = operator.run("status", "--broker", f"127.0.0.1:{port}")
    assert (done.code, done.err) == (
        3,
        f"error: MQTT broker 127.0.0.1:{port}: cannot be reached (Connection refused)\n",
    )
    assert "no broker. Give --broker" in operator.run("status").err
    assert "http:// is no broker" in operator.run("status", "--broker", "http://x").err


def test_a_wrong_password_is_one_line(operator: Operator, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.stop()
    broker.configure("allow_anonymous false")
    broker.start()
    monkeypatch.setenv("FER_FLEET_MQTT_PASSWORD", "wrong")
    done = operator.run("status", "--broker", f"127.0.0.1:{broker.port}", "--user", "me")
    assert done.code == 3
    assert "refuses the connection (Not authorized). Look at --user and password" in done.err


# An automatic rollout


def fleet(count: int, version: str, failing: Callable[[int], bool], percent: float) -> list[DeviceState]:
    """Devices of which those in the rollout have ended their trial."""
    found = []
    for number in range(count):
        name = f"device-{number}"
        if position(name, MODEL, version) < percent:
            found.append(tried(name, version, passed=not failing(number), reason="too slow"))
        else:
            found.append(state(name))
    return found


def test_a_good_version_goes_all_the_way() -> None:
    percent, seen = 0.0, []
    while True:
        rollout = Rollout(version="0.2.0", percent=percent)
        step = next_step(MODEL, "stable", rollout, fleet(400, "0.2.0", lambda _: False, percent), 5, now())
        assert step.halt is None
        if step.percent is None:
            break
        percent = step.percent
        seen.append(percent)
    assert seen == list(STEPS)
    assert step.reason == "done: 0 of 400 trials failed"


def test_a_poisoned_version_halts_at_the_first_step() -> None:
    rollout = Rollout(version="0.2.0", percent=1)
    states = fleet(1000, "0.2.0", lambda _: True, 1)
    step = next_step(MODEL, "stable", rollout, states, 5, now())
    assert step.halt is not None
    assert step.percent is None
    tries = sum(bool(each.trials) for each in states)
    assert 3 <= tries <= 25
    assert step.halt == f"{tries} of {tries} trials failed"


def test_it_waits_until_most_devices_of_a_step_have_tried_it() -> None:
    rollout, states = Rollout(version="0.2.0", percent=10), fleet(400, "0.2.0", lambda _: False, 10)
    members = [each for each in states if each.trials]
    others = [each for each in states if not each.trials]
    most = -(-len(members) * 8 // 10)
    for count, percent in ((most - 1, None), (most, 50.0)):
        waiting = [state(each.id) for each in members[count:]]
        step = next_step(MODEL, "stable", rollout, [*others, *members[:count], *waiting], 5, now())
        assert (step.percent, step.halt) == (percent, None), step.reason
    away = [state(each.id, time=now() - timedelta(hours=5)) for each in members[10:]]
    assert next_step(MODEL, "stable", rollout, [*others, *members[:10], *away], 5, now()).percent == 50
    off = [state(each.id, running=False) for each in members[10:]]
    assert next_step(MODEL, "stable", rollout, [*others, *members[:10], *off], 5, now()).percent == 50


@pytest.mark.parametrize("others", [{"channel": "beta"}, {"channel": ""}, {"model": "mine@1"}])
def test_devices_that_take_no_such_version_are_not_waited_for(others: dict[str, str]) -> None:
    rollout, states = Rollout(version="0.2.0", percent=10), fleet(400, "0.2.0", lambda _: False, 10)
    more = [f"other-{number}" for number in range(400)]
    assert next_step(MODEL, "stable", rollout, [*states, *(state(name, **others) for name in more)], 5, now()).percent
    step = next_step(MODEL, "stable", rollout, [*states, *map(state, more)], 5, now())
    assert step.percent is None
    assert step.reason.startswith("waiting at 10 %: ")


def test_trials_of_another_channel_widen_nothing() -> None:
    rollout = Rollout(version="0.2.0", percent=1)
    beta = [state(f"beta-{number}", channel="beta", trials=[passed("0.2.0")]) for number in range(100)]
    stable = [state(f"device-{number}") for number in range(1000)]
    step = next_step(MODEL, "stable", rollout, beta + stable, 5, now())
    assert step.percent is None
    assert step.reason.startswith("waiting at 1 %: 0 of ")


def test_passes_of_another_channel_hide_no_failure() -> None:
    rollout = Rollout(version="0.2.0", percent=10)
    beta = [state(f"beta-{number}", channel="beta", trials=[passed("0.2.0")]) for number in range(1000)]
    assert next_step(MODEL, "stable", rollout, beta + fleet(200, "0.2.0", lambda _: True, 10), 5, now()).halt


def test_failures_of_another_channel_halt() -> None:
    rollout = Rollout(version="0.2.0", percent=0)
    beta = [state(f"beta-{number}", channel="beta", trials=[passed("0.2.0", so=False)]) for number in range(10)]
    halt = next_step(MODEL, "stable", rollout, beta + fleet(200, "0.2.0", lambda _: True, 0), 5, now()).halt
    assert halt == "10 of 10 trials failed"


@pytest.mark.parametrize(
    "rollout",
    [
        Rollout(version="0.2.0", percent=0),
        Rollout(version="0.2.0", percent=1),
        Rollout(version="0.2.0", percent=50),
        Rollout(version="0.2.0", percent=100),
        Rollout(version="0.2.0", percent=0, cohorts={"lab": 5}),
    ],
)
def test_a_broker_that_has_forgotten_all_widens_nothing(rollout: Rollout) -> None:
    step = next_step(MODEL, "stable", rollout, [], 5, now())
    assert (step.percent, step.halt) == (None, None)
    assert "heard" in step.reason


def test_a_broker_that_has_forgotten_those_who_tried_it_widens_nothing() -> None:
    rollout = Rollout(version="0.2.0", percent=10)
    states = [each for each in fleet(400, "0.2.0", lambda _: False, 10) if not each.trials]
    step = next_step(MODEL, "stable", rollout, states, 5, now())
    assert step.percent is None
    assert step.reason == "waiting at 10 %: none of its devices was heard. To go on all the same, give --percent"


def test_a_small_fleet_begins_with_the_first_step_that_has_a_device() -> None:
    few = [state(f"device-{number}") for number in range(100)]
    few = [each for each in few if 10 < position(each.id, MODEL, "0.2.0") < 50][:3]
    assert next_step(MODEL, "stable", Rollout(version="0.2.0", percent=0), few, 5, now()).percent == 50


def test_who_failed_and_went_off_counts() -> None:
    rollout, states = Rollout(version="0.2.0", percent=10), fleet(400, "0.2.0", lambda _: True, 10)
    off = [each.model_copy(update={"running": False}) for each in states]
    assert next_step(MODEL, "stable", rollout, off, 5, now()).halt


def test_a_cohort_is_waited_for() -> None:
    rollout = Rollout(version="0.2.0", percent=0, cohorts={"lab": 100})
    states = [state(f"device-{number}", tags=["lab"] if number < 10 else []) for number in range(40)]
    assert next_step(MODEL, "stable", rollout, states, 5, now()).reason.startswith("waiting at 0 %: 0 of 10 devices")


def test_one_failure_of_twenty_is_within_five_percent() -> None:
    rollout = Rollout(version="0.2.0", percent=100)
    for failed, halted in ((0, False), (1, False), (2, True)):
        states = fleet(20, "0.2.0", lambda number, failed=failed: number < failed, 100)  # type: ignore[misc]
        assert (next_step(MODEL, "stable", rollout, states, 5, now()).halt is not None) == halted


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.integers(0, 60), st.integers(0, 60))
def test_the_lower_bound_is_below_the_share_and_grows_with_it(passed: int, failed: int) -> None:
    ended = passed + failed
    bound = lower_bound(failed, ended)
    assert 0 <= bound <= (failed / ended if ended else 0) + 1e-12
    assert lower_bound(failed + 1, ended + 1) >= bound
    assert lower_bound(failed, ended + 1) <= bound + 1e-12


@pytest.mark.parametrize(("failed", "ended"), [(1, 1), (2, 10), (0, 30), (37, 400)])
def test_the_lower_bound_is_wilsons(failed: int, ended: int) -> None:
    peer = binomtest(failed, ended).proportion_ci(0.8, method="wilson").low
    assert lower_bound(failed, ended) == pytest.approx(peer, abs=1e-4)


def test_progress_counts_devices_once() -> None:
    ended = {"model": "m@2", "passed": False, "reason": "slow"}
    states = [
        state("a", trials=[ended]),
        state("b", trials=[{**ended, "passed": True}], model="m@2"),
        state("c", model="m@2", on_trial="m@2"),
        state("d", model="m@1", on_trial="m@3"),
        *(state(name, trials=[{**ended, "reason": "crashed"}]) for name in "ef"),
    ]
    found = progress_of("m@2", states)
    assert (found.running, found.on_trial, found.passed, found.failed) == (2, 1, 1, 3)
    assert list(found.reasons.items()) == [("crashed", 2), ("slow", 1)]
    assert [each.model for each in all_progress(states)] == ["ferplus7-tiny@0.1.0", "m@1", "m@2", "m@3"]


def test_reasons_are_ordered_by_their_number_and_then_by_their_name() -> None:
    """Not as the devices were read."""
    reasons = ["slow", "slow", "crashed", "unsure", "broken", "crashed"]
    states = [
        state(f"d{number}", trials=[{"model": "m@2", "passed": False, "reason": reason}])
        for number, reason in enumerate(reasons)
    ]
    found = progress_of("m@2", [state("first", trials=[{"model": "m@2", "passed": True, "reason": "fine"}]), *states])
    assert list(found.reasons.items()) == [("crashed", 2), ("slow", 2), ("broken", 1), ("unsure", 1)]
    assert (found.model, found.passed, found.failed) == ("m@2", 1, 6)


@pytest.mark.parametrize(
    ("what", "changes", "is_so"),
    [
        ("silent", {"time": NOON - timedelta(hours=2, minutes=15)}, False),
        ("silent", {"time": NOON - timedelta(hours=2, minutes=16)}, True),
        ("silent", {"time": NOON - timedelta(days=9), "running": False}, False),
        ("failed", {"trials": [passed("1", so=False), passed("2")]}, True),
        ("failed", {"trials": [passed("1"), passed("2")]}, False),
        ("trial", {"on_trial": "m@2"}, True),
        ("trial", {}, False),
        ("problem", {}, False),
        ("problem", {"problem": "MQTT: refused"}, True),
        ("problem", {"camera": False}, True),
        ("problem", {"camera": False, "running": False}, False),
        ("drifted", {"drift": "drifted"}, True),
        ("drifted", {"drift": "watch"}, False),
    ],
)
def test_what_a_device_is(what: str, changes: dict[str, object], is_so: bool) -> None:
    assert is_what(state("a", **{"time": NOON, **changes}), what, NOON) == is_so


def test_four_of_five_devices_are_enough() -> None:
    rollout = Rollout(version="0.2.0", percent=10, cohorts={"lab": 100})
    done = [tried(f"d{number}", "0.2.0", passed=True).model_copy(update={"tags": ("lab",)}) for number in range(4)]
    others = [state(f"e{number}") for number in range(40)]
    others = [each for each in others if position(each.id, MODEL, "0.2.0") >= 10]
    step = next_step(MODEL, "stable", rollout, [*done, *others, state("waits", tags=["lab"])], 5, now())
    assert step.percent == 50


def test_an_automatic_rollout_through_a_broker(operator: Operator, broker: Broker, listener: Listener) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--channel", "stable")
    words = ("rollout", "0.2.0", "--auto", "--broker", f"127.0.0.1:{broker.port}")
    assert "no device of the stable channel was heard" in operator.do(*words)
    first = next(f"first-{number}" for number in range(10_000) if position(f"first-{number}", MODEL, "0.2.0") < 1)
    names = [first, *(f"device-{number}" for number in range(30))]
    publish(listener, *map(state, names))
    inside = {step: [name for name in names if position(name, MODEL, "0.2.0") < step] for step in STEPS}
    assert operator.do(*words) == f"{MODEL}@0.2.0: raised to 1 %: 0 of 0 trials failed\n"
    assert "waiting at 1 %" in operator.do(*words)
    publish(listener, *(tried(name, "0.2.0", passed=True) for name in inside[1.0]))
    assert "raised to 10 %" in operator.do(*words)
    publish(listener, *(tried(name, "0.2.0", passed=False, reason="too slow") for name in inside[10.0]))
    halted = operator.run(*words)
    assert halted.code == 1
    assert "halted: " in halted.out
    assert "more than 5 %" in halted.out
    assert "halted at 10 %" in operator.do("show")
    assert "is halted" in operator.run(*words).err


def test_an_automatic_rollout_asks_its_channel_and_allows_as_many_failures_as_are_given(
    operator: Operator, broker: Broker, listener: Listener
) -> None:
    """All devices of the beta channel take the version at once, and all failed it."""
    operator.do("publish", operator.bundle("0.2.0"), "--percent", 10)
    words = ["rollout", "0.2.0", "--auto", "--channel", "beta", "--broker", f"127.0.0.1:{broker.port}"]
    failed = [tried(f"b{number}", "0.2.0", passed=False, reason="slow") for number in range(40)]
    publish(listener, *(each.model_copy(update={"channel": "beta"}) for each in failed))
    allowed = operator.run(*words, "--limit", 100)
    assert allowed.code == 0
    assert "halted" not in allowed.out
    assert "no device" not in allowed.out
    halted = operator.run(*words, "--limit", 50)
    assert halted.code == 1
    assert "more than 50 %" in halted.out


def test_automatic_and_by_hand_exclude_each_other(operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--channel", "stable")
    assert "--auto decides by itself" in operator.run("rollout", "0.2.0", "--auto", "--percent", 5).err
    assert "no share. Give --percent, or --auto" in operator.run("rollout", "0.2.0").err
