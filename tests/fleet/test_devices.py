"""Logins of devices, by a real broker that enforces them; and the counts of a fleet in one file."""

import fcntl
import json
import os
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from tests.broker import Broker, Listener
from tests.conftest import wait_until
from tests.fleet_repository import Operator

from fer_edge.config import load_config
from fer_edge.device.identity import fleet_id
from fer_edge.errors import ConfigError, DataError
from fer_edge.updates.fleet_messages import DeviceUsage, parse_message
from fer_fleet.usage import compare, keep

TODAY = datetime.now().astimezone().date()


# Logins


@pytest.fixture
def guarded(operator: Operator, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker with the files that `devices add` wrote."""
    folder = operator.folder / "devices"
    said = operator.do("devices", "add", "kitchen", "hall", "--broker", f"127.0.0.1:{broker.port}", "--folder", folder)
    monkeypatch.setenv("FER_FLEET_MQTT_PASSWORD", said.partition("; password ")[2].split()[0])
    broker.stop()
    broker.configure(*(folder / "mosquitto.conf").read_text().splitlines())
    broker.start()
    return broker


def connect(broker: Broker, user: str, password: str) -> Client:
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, password)
    codes: list[object] = []
    client.on_connect = lambda _client, _data, _flags, code, _properties: codes.append(code)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    wait_until(lambda: bool(codes))
    return client


def test_a_device_writes_its_own_state_and_no_others(operator: Operator, guarded: Broker) -> None:
    folder = operator.folder / "devices"
    client = connect(guarded, "kitchen", (folder / "kitchen.password").read_text().strip())
    for device in ("hall", "kitchen"):
        state = {
            "id": device, "time": datetime.now(UTC).isoformat(), "running": True, "board": "b", "software": "1",
            "model": "m@1", "camera": True, "fps": 1,
        }  # fmt: skip
        client.publish(f"fer-edge/fleet/{device}/state", json.dumps(state), qos=1, retain=True).wait_for_publish(90)
    client.disconnect()
    client.loop_stop()
    content = json.loads(operator.do("status", "--broker", f"127.0.0.1:{guarded.port}", "--user", "operator", "--json"))
    assert [device["id"] for device in content["devices"]] == ["kitchen"]


def test_a_device_reads_no_other_device(operator: Operator, guarded: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FLEET_MQTT_PASSWORD", (operator.folder / "devices" / "hall.password").read_text().strip())
    content = operator.do("status", "--broker", f"127.0.0.1:{guarded.port}", "--user", "hall", "--json")
    assert json.loads(content)["devices"] == []
    assert "Not authorized" in operator.run("status", "--broker", f"127.0.0.1:{guarded.port}").err, (
        "nobody in particular"
    )


def test_the_settings_are_a_configuration(operator: Operator, guarded: Broker) -> None:
    path = operator.folder / "devices" / "kitchen.toml"
    config = load_config(path, {})
    assert fleet_id(config) == "kitchen"
    assert config.fleet.enabled
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.username) == ("127.0.0.1", guarded.port, "kitchen")
    assert tomllib.loads(path.read_text())["mqtt"]["topic"] == "fer-edge/kitchen"
    assert path.with_suffix(".password").stat().st_mode & 0o077 == 0


def test_a_removed_device_is_kept_out(operator: Operator, guarded: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = operator.folder / "devices"
    monkeypatch.setenv("FER_FLEET_MQTT_PASSWORD", (folder / "hall.password").read_text().strip())
    operator.do("devices", "remove", "hall", "--folder", folder)
    guarded.stop()
    guarded.start()
    assert "Not authorized" in operator.run("status", "--broker", f"127.0.0.1:{guarded.port}", "--user", "hall").err
    assert not list(folder.glob("hall.*"))
    assert "hall" not in (folder / "passwords").read_text()


def test_names_and_what_is_there_already(operator: Operator) -> None:
    words = ("--broker", "broker.local", "--folder", operator.folder / "devices")
    operator.do("devices", "add", "kitchen", *words)
    before = (operator.folder / "devices" / "passwords").read_text()
    for name in ("fleet", "operator", "a/b", "#", "+", "a:b", "", "x" * 65):
        assert "cannot name a device" in operator.run("devices", "add", name, *words).err
    assert "has a login already" in operator.run("devices", "add", "kitchen", *words).err
    assert (operator.folder / "devices" / "passwords").read_text() == before
    operator.do("devices", "add", "kitchen", "hall", "--replace", *words)
    after = (operator.folder / "devices" / "passwords").read_text()
    assert [line.partition(":")[0] for line in after.splitlines()] == ["kitchen", "operator", "hall"]
    assert after.splitlines()[0] != before.splitlines()[0]
    assert after.splitlines()[1] == before.splitlines()[1]
    assert "has no login" in operator.run("devices", "remove", "shed", *words[2:]).err


def test_no_password_goes_into_the_repository(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is the repository's, as after `cd`; everybody reads what is in it."""
    monkeypatch.chdir(operator.repo)
    before = sorted(operator.repo.rglob("*"))
    for words in ((), ("--folder", operator.repo / "metadata" / "a" / "b")):
        done = operator.run("devices", "add", "kitchen", "--broker", "broker.local", *words)
        assert done.code == 2
        assert "is in a repository, which everybody can read. Give --folder another place" in done.err
    assert sorted(operator.repo.rglob("*")) == before
    operator.do("devices", "add", "kitchen", "--broker", "broker.local", "--folder", "../devices")
    assert (operator.folder / "devices" / "passwords").exists()


# Counts


def usage(name: str, days: int = 7, **changes: object) -> DeviceUsage:
    day = {
        "model": "ferplus7@0.1.0", "recorded_s": 86_400, "frames": 500_000, "people": 20,
        "face_s": {"happy": 600.0, "neutral": 3000.0}, "means": {"confidence": 0.7, "brightness": 120.0}, **changes,
    }  # fmt: skip
    last = [{**day, "day": TODAY - timedelta(days=back)} for back in range(days, 0, -1)]
    return DeviceUsage.model_validate({"id": name, "drift": changes.get("drift", "ok"), "days": last})


def test_the_counts_of_a_fleet_are_kept_and_compared(operator: Operator, broker: Broker, tmp_path: Path) -> None:
    listener = Listener(broker.port)
    dark = {"confidence": 0.69, "brightness": 40.0}
    unsure = {"confidence": 0.5, "brightness": 118.0}
    fleet = [usage(f"d{number}") for number in range(5)]
    fleet[1] = usage("d1", drift="too little data")
    fleet += [usage("dark", means=dark), usage("unsure", means=unsure), usage("moved", drift="drifted")]
    for each in fleet:
        listener.say(f"fer-edge/fleet/{each.id}/usage", each.model_dump_json(), retain=True)
    listener.say("fer-edge/fleet/liar/usage", "{}", retain=True)
    wait_until(lambda: bool(listener.on("liar/usage")))
    listener.close()
    file = tmp_path / "fleet.duckdb"
    done = operator.run("collect", file, "--broker", f"127.0.0.1:{broker.port}")
    assert done.code == 0, done.err
    assert "1 messages refused, such as fer-edge/fleet/liar/usage" in done.err
    assert f"{file}: 56 new days of 8 devices" in done.out
    row = next(line for line in done.out.splitlines() if "│ d0" in line)
    assert [cell.strip() for cell in row.split("│")[2:8]] == ["7", "140", "7.0", "0.70", "120", "ferplus7@0.1.0"]
    two = json.loads(operator.do("collect", file, "--broker", f"127.0.0.1:{broker.port}", "--days", 2, "--json"))
    assert {device["days"] for device in two} == {1}
    again = operator.run("collect", file, "--broker", f"127.0.0.1:{broker.port}")
    assert f"{file}: 0 new days" in again.out
    remarks = {device.name: device.remarks for device in compare(file, TODAY, 28) if device.remarks}
    assert remarks == {"dark": ("too dark",), "unsure": ("less sure",), "moved": ("drifts",)}
    shown = json.loads(operator.do("collect", file, "--broker", f"127.0.0.1:{broker.port}", "--json"))
    assert shown[0] == {
        "name": "d0", "days": 7, "people": 140, "face_s": 7 * 3600.0, "drift": "ok", "model": "ferplus7@0.1.0",
        "confidence": pytest.approx(0.7), "brightness": pytest.approx(120), "remarks": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"means": {"confidence": 1.01}}, "confidence is 1.01, and 0 to 1 is possible"),
        ({"means": {"confidence": -0.5}}, "confidence is -0.5"),
        ({"means": {"brightness": 1e308}}, "brightness is 1e+308"),
        ({"means": {"sharpness": 1e308}}, "sharpness is 1e+308"),
        ({"face_s": {"happy": 1e308}}, "less than or equal to"),
        ({"camera_lost_s": 1e308}, "less than or equal to"),
        ({"day": "9999-12-31"}, "is in the future"),
        ({"day": str(TODAY + timedelta(days=2))}, "is in the future"),
    ],
)
def test_counts_that_cannot_be_are_refused(changes: dict[str, object], problem: str) -> None:
    content = usage("liar", days=1).model_dump(mode="json")
    content["days"][0].update(changes)
    with pytest.raises(DataError, match=re.escape(problem)):
        parse_message(DeviceUsage, "fer-edge/fleet/liar/usage", json.dumps(content).encode())


def test_the_largest_counts_that_can_be_are_taken(tmp_path: Path) -> None:
    """A device east of here has begun the next day. A clock that starts in 1970 makes a loss of 56 years."""
    east = usage("east", means={"confidence": 1.0, "brightness": 255.9, "expected": None}, camera_lost_s=9e8)
    content = east.model_dump(mode="json")
    content["days"][0]["day"] = str(TODAY + timedelta(days=1))
    taken = parse_message(DeviceUsage, "fer-edge/fleet/east/usage", json.dumps(content).encode())
    assert keep(tmp_path / "f", [taken]) == 7


def test_means_are_weighted_by_the_time_of_faces(tmp_path: Path) -> None:
    busy = usage("d", days=1, face_s={"happy": 900.0}, means={"confidence": 0.8})
    quiet = usage("d", days=2, face_s={"happy": 100.0}, means={"confidence": 0.4}).model_dump()
    quiet["days"] = quiet["days"][:1]
    keep(tmp_path / "f", [DeviceUsage.model_validate(quiet), busy])
    device = compare(tmp_path / "f", TODAY, 28)[0]
    assert device.confidence == pytest.approx(0.76)
    assert device.brightness is None
    assert compare(tmp_path / "f", TODAY, 2)[0].confidence == pytest.approx(0.8)


def test_a_day_that_comes_again_replaces_itself(tmp_path: Path) -> None:
    keep(tmp_path / "f", [usage("d", days=2)])
    assert keep(tmp_path / "f", [usage("d", days=3, people=7)]) == 1
    assert compare(tmp_path / "f", TODAY, 28)[0].people == 21


def test_drift_and_model_are_those_of_the_last_day(tmp_path: Path) -> None:
    keep(tmp_path / "f", [usage("d", days=3, drift="drifted")])
    keep(tmp_path / "f", [usage("d", days=1, drift="ok", model="ferplus7@0.2.0")])
    (device,) = compare(tmp_path / "f", TODAY, 28)
    assert (device.days, device.drift, device.model, device.remarks) == (3, "ok", "ferplus7@0.2.0", ())


def test_a_device_is_less_sure_if_it_is_so_by_much_and_by_more_than_the_others_differ(tmp_path: Path) -> None:
    """Three robust standard deviations are 0.089 where the others lie 0.02 about 0.7."""
    for unsure, remarks in ((0.62, ()), (0.6, ("less sure",))):
        file = tmp_path / str(unsure)
        others = [usage(f"d{number}", means={"confidence": 0.68 + 0.04 * (number % 2)}) for number in range(8)]
        keep(file, [*others, usage("even", means={"confidence": 0.7}), usage("unsure", means={"confidence": unsure})])
        assert {device.name: device.remarks for device in compare(file, TODAY, 28) if device.remarks} == (
            {"unsure": remarks} if remarks else {}
        )


def test_a_file_of_another_kind_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("something else" * 1000)
    with pytest.raises(ConfigError, match="is no DuckDB file that can be written"):
        keep(tmp_path / "f", [])
    assert (tmp_path / "f").read_text().startswith("something else")


def test_a_file_that_another_program_uses_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "f"
    keep(path, [usage("d")])
    held, holds = os.pipe()
    done, ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends)
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(holds, b"x")
            os.read(done, 1)
        os._exit(0)
    os.read(held, 1)
    try:
        with pytest.raises(ConfigError) as caught:
            compare(path, TODAY, 28)
    finally:
        os.close(ends)
        os.waitpid(child, 0)
        for descriptor in (held, holds, done):
            os.close(descriptor)
    assert str(caught.value) == f"{path}: is used by another program"
    assert len(compare(path, TODAY, 28)) == 1


def test_counts_that_were_never_kept_compare_to_nothing(tmp_path: Path) -> None:
    assert compare(tmp_path / "f", TODAY, 28) == []
    assert keep(tmp_path / "f", []) == 0


def test_the_days_that_are_compared_end_with_today(tmp_path: Path) -> None:
    keep(tmp_path / "f", [usage("d")])
    assert [compare(tmp_path / "f", TODAY, days)[0].days for days in (2, 7, 8, 28)] == [1, 6, 7, 7]
    assert compare(tmp_path / "f", TODAY, 1) == [], "its last whole day was yesterday"


def test_a_day_that_comes_again_without_a_label_has_it_no_more(tmp_path: Path) -> None:
    """Nor a mean that is unknown now. The same day of another device stays."""
    keep(tmp_path / "f", [usage("d", days=1), usage("e", days=1)])
    keep(tmp_path / "f", [usage("d", days=1, face_s={"sad": 60.0}, means={"confidence": 0.5, "brightness": None})])
    found = {device.name: device for device in compare(tmp_path / "f", TODAY, 28)}
    assert (found["d"].face_s, found["d"].brightness) == (60, None)
    assert found["d"].confidence == pytest.approx(0.5)
    assert found["e"].face_s == 3600
    assert found["e"].brightness == pytest.approx(120)


def test_a_device_that_saw_no_face_has_no_means_and_no_remark(tmp_path: Path) -> None:
    empty = usage("d", days=1, face_s={}, means={"confidence": None, "brightness": None}, people=0)
    keep(tmp_path / "f", [empty, *(usage(f"e{number}") for number in range(3))])
    device = compare(tmp_path / "f", TODAY, 28)[0]
    assert (device.name, device.days, device.people, device.face_s) == ("d", 1, 0, 0)
    assert (device.confidence, device.brightness, device.remarks) == (None, None, ())


def test_all_that_differs_is_remarked_in_one_order(tmp_path: Path) -> None:
    worst = usage("d", drift="drifted", means={"confidence": 0.3, "brightness": 63.9})
    edge = usage("edge", means={"confidence": 0.671, "brightness": 64.0})
    keep(tmp_path / "f", [worst, edge, *(usage(f"e{number}") for number in range(4))])
    found = {device.name: device.remarks for device in compare(tmp_path / "f", TODAY, 28)}
    assert found["d"] == ("drifts", "less sure", "too dark")
    assert found["edge"] == (), "by less than 0.03, and not darker than dark"
    assert found["e0"] == ()


def test_all_counts_of_a_day_are_kept(tmp_path: Path) -> None:
    keep(tmp_path / "f", [usage("d", days=1, camera_lost_s=12.5)])
    with duckdb.connect(str(tmp_path / "f")) as database:
        days = database.execute("SELECT * FROM days").fetchall()
        labels = database.execute("SELECT device, label, seconds FROM labels ORDER BY label").fetchall()
        means = database.execute("SELECT device, feature, mean FROM means ORDER BY feature").fetchall()
    day = TODAY - timedelta(days=1)
    assert days == [("d", day, "ferplus7@0.1.0", 86_400, 500_000, 20, 12.5, "ok")]
    assert labels == [("d", "happy", 600.0), ("d", "neutral", 3000.0)]
    assert means == [("d", "brightness", 120.0), ("d", "confidence", 0.7)]


def test_old_days_are_kept_and_not_compared(tmp_path: Path) -> None:
    old = usage("d", days=1).model_dump()
    old["days"][0]["day"] = date(2020, 1, 1)
    keep(tmp_path / "f", [DeviceUsage.model_validate(old)])
    assert compare(tmp_path / "f", TODAY, 28) == []
    with duckdb.connect(str(tmp_path / "f")) as database:
        assert database.execute("SELECT count(*) FROM days").fetchone() == (1,)
