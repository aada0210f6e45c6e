"""What the commands of `fer-fleet` ask for, say, and pass on; in this process, with a broker of its own."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fleet_repository import PASSPHRASE, Operator
from tests.retained import RetainedBroker, retaining
from typer.testing import CliRunner

from fer_edge.errors import ConfigError
from fer_edge.updates.fleet_messages import DeviceState, DeviceUsage
from fer_edge.updates.releases import position
from fer_fleet.broker import Heard
from fer_fleet.cli import options
from fer_fleet.cli.app import app
from fer_fleet.cli.broker_options import broker_config, tell_refused
from fer_fleet.cli.options import one_line
from fer_fleet.fingerprint import fingerprint
from fer_fleet.repository import ROLES, Repository
from fer_fleet.verification import role_states

MODEL = "ferplus7-tiny"


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_fleet.broker._QUIET_S", 0.02)
    monkeypatch.delenv("FER_FLEET_BROKER", raising=False)
    monkeypatch.delenv("FER_FLEET_MQTT_PASSWORD", raising=False)


@pytest.fixture
def unknown_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be asked for."""
    monkeypatch.delenv("FER_FLEET_PASSPHRASE", raising=False)


def test_a_fingerprint_has_sixteen_groups_of_four_digits() -> None:
    assert fingerprint(b"abc") == ("ba78 16bf 8f01 cfea 4141 40de 5dae 2223 b003 61a3 9617 7a9c b410 ff61 f200 15ad")


# What is asked for


def typed(*words: object, answers: str) -> tuple[int, str, str]:
    """Run a command of which somebody answers the questions; returns its exit code and its two outputs."""
    done = CliRunner().invoke(app, [str(word) for word in words], input=answers)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.usefixtures("unknown_passphrase")
def test_a_new_passphrase_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    code, out, err = typed("init", tmp_path / "repo", answers="my secret\nmy secret\n")
    assert code == 0
    assert err == "new passphrase for the keys of root and targets:Repeat for confirmation:"
    assert "my secret" not in out
    key = next((tmp_path / "repo.keys").glob("targets-*.pem"))
    for answers, ends in (("wrong\n", 1), ("my secret\n", 0)):
        code, out, err = typed("refresh", "--all", "--repo", tmp_path / "repo", answers=answers * 3)
        assert code == ends
        assert "my secret" not in out
    assert err == f"passphrase of {key.name}:"


@pytest.mark.usefixtures("unknown_passphrase")
def test_two_new_passphrases_that_differ_are_asked_for_again(tmp_path: Path) -> None:
    code, _, err = typed("init", tmp_path / "repo", answers="one\ntwo\nthree\nthree\n")
    assert code == 0
    assert err.count("Repeat for confirmation:") == 2


def test_a_passphrase_of_the_environment_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FLEET_PASSPHRASE", PASSPHRASE)
    assert typed("init", tmp_path / "repo", answers="")[2] == ""
    assert typed("refresh", "--all", "--repo", tmp_path / "repo", answers="")[::2] == (0, "")


def test_a_password_of_the_broker_is_asked_for_and_not_shown() -> None:
    with retaining([]) as broker:
        words = ("status", "--broker", f"127.0.0.1:{broker.port}", "--user", "me")
        code, out, err = typed(*words, answers="my secret\n")
    assert (code, err) == (0, "password of me:")
    assert "my secret" not in out
    assert broker.connects[0].endswith(b"\0\x02me\0\x09my secret")


# The broker


def test_the_broker_is_taken_apart() -> None:
    config = broker_config("broker.local:1999", None, None)
    assert (config.host, config.port, config.tls, config.username, config.password) == (
        "broker.local", 1999, False, None, None,
    )  # fmt: skip
    safe = broker_config("mqtts://broker.local", None, Path("ca.pem"))
    assert (safe.host, safe.port, safe.tls, safe.cafile) == ("broker.local", 8883, True, Path("ca.pem"))


def test_the_password_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FLEET_MQTT_PASSWORD", "my secret")
    config = broker_config("broker.local", "me", None)
    assert config.username == "me"
    assert config.password is not None
    assert config.password.get_secret_value() == "my secret"


def test_a_broker_that_is_none_is_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        broker_config(None, None, None)
    assert str(caught.value) == "no broker. Give --broker (or FER_FLEET_BROKER) its name or address"
    with pytest.raises(ConfigError) as caught:
        broker_config("http://x", None, None)
    assert str(caught.value) == "--broker http://x: host: http:// is no broker. Give a name, or mqtt://NAME"


def test_the_broker_of_the_environment_is_asked(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    with retaining([]) as broker:
        monkeypatch.setenv("FER_FLEET_BROKER", f"127.0.0.1:{broker.port}")
        assert "0 of 0 devices" in operator.do("status")
        assert "0 new days of 0 devices" in operator.do("collect", operator.folder / "f.duckdb")
    assert [topic for topic, _ in broker.subscribed[::2]] == ["fer-edge/fleet/+/state", "fer-edge/fleet/+/usage"]


def test_refused_messages_are_one_warning_and_none_is_silence(capsys: pytest.CaptureFixture[str]) -> None:
    tell_refused(Heard())
    assert capsys.readouterr() == ("", "")
    tell_refused(Heard({}, 3, "hall: is too long"))
    assert capsys.readouterr() == ("", "warning: 3 messages refused, such as hall: is too long\n")


# Reasons


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "\x1b[2J", "x" * 201])
def test_a_reason_is_one_short_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one_line("--reason", text)
    assert str(caught.value) == "--reason: give a reason in one line, of at most 200 characters"


def test_a_reason_of_two_hundred_letters_is_taken_without_the_spaces_about_it() -> None:
    assert one_line("--reason", f"  {'x' * 200}\n") == "x" * 200


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("halt", "0.1.0", "--reason", "\n"), "--reason"),
        (("revoke", "0.1.0", "--reason", "\n"), "--reason"),
        (("publish", MODEL, "--force", ""), "--force"),
    ],
)
def test_the_option_of_a_wrong_reason_is_named(operator: Operator, words: tuple[str, ...], option: str) -> None:
    assert operator.run(*words).err.startswith(f"error: {option}: give a reason in one line")


def test_the_present_is_in_utc() -> None:
    assert options.now().tzinfo is UTC
    assert abs(options.now() - datetime.now(UTC)) < timedelta(minutes=1)


# What the commands on releases say


def test_each_change_is_told_in_one_line(operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"))
    name = f"{MODEL}@0.2.0"
    for words, said in {
        ("promote", "0.2.0"): "promoted, stable at 0 %",
        ("rollout", "0.2.0", "--percent", 12.5): "stable at 12.5 % of all devices",
        ("rollout", "0.2.0", "--percent", 50, "--cohort", "lab", "--cohort", "hall"): (
            "stable at 50 % of devices tagged lab, hall"
        ),
        ("rollout", "0.2.0", "--percent", 100, "--channel", "beta"): "beta at 100 % of all devices",
        ("halt", "0.2.0"): "halted",
        ("rollout", "0.2.0", "--percent", 20, "--resume"): "stable at 20 % of all devices",
        ("revoke", "0.2.0"): "revoked",
    }.items():
        assert operator.do(*words) == f"{name}: {said}\n"
    model = Repository(operator.repo).releases.models[MODEL]
    assert [(each.percent, each.cohorts, each.halted) for each in model.stable] == [(20, {"lab": 50, "hall": 50}, None)]
    assert model.beta[0].halted == "halted by hand"
    assert model.releases[0].revoked == "revoked by hand"


def test_the_reasons_that_are_given_are_signed(operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--percent", 7)
    operator.do("halt", "0.2.0", "--reason", " too slow ")
    operator.do("revoke", "0.2.0", "--reason", " poisoned ")
    model = Repository(operator.repo).releases.models[MODEL]
    assert (model.beta[0].percent, model.beta[0].halted) == (7, "too slow")
    assert (model.releases[0].revoked, model.releases[0].forced) == ("poisoned", None)


def test_a_reason_to_force_is_not_signed_where_none_was_needed(operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--force", "in a hurry")
    assert Repository(operator.repo).releases.models[MODEL].releases[0].forced is None


def test_keys_in_another_place_are_used_by_each_command(operator: Operator) -> None:
    """And a share that is not the default is passed on."""
    stick = operator.folder / "stick"
    shutil.move(operator.keys, stick)
    given = ("--keys", stick)
    operator.do("publish", operator.bundle("0.2.0"), *given)
    operator.do("promote", "0.2.0", "--percent", 5, *given)
    operator.do("rollout", "0.2.0", "--percent", 6, *given)
    operator.do("halt", "0.2.0", *given)
    operator.do("revoke", "0.2.0", *given)
    operator.do("refresh", *given)
    said = operator.do("rotate", "timestamp", "targets", *given)
    assert Repository(operator.repo).releases.models[MODEL].stable[0].percent == 6
    lines = said.splitlines()
    assert lines[-1] == "Delete the files of the replaced keys. Devices follow at their next update"
    repository = Repository(operator.repo)
    assert lines[:-1] == [
        f"{name}: new key {name}-{repository.role(name).keyids[0][:12]}.pem in {stick}"
        for name in ("timestamp", "targets")
    ]
    assert not operator.keys.exists()
    refused = operator.run("halt", "0.2.0", "--reason", "again")
    assert f"targets: needs 1 of its keys, and 0 are in {operator.keys}. Bring one of targets-" in refused.err


def test_without_the_online_keys_it_is_said_that_devices_wait(operator: Operator) -> None:
    for name in ("snapshot", "timestamp"):
        (key,) = operator.keys.glob(f"{name}-*.pem")
        key.unlink()
    later = "; signed, and devices get it after fer-fleet refresh with the online keys\n"
    assert operator.do("publish", operator.bundle("0.2.0")) == f"{MODEL}@0.2.0: published, beta at 100 %{later}"
    assert operator.do("halt", "0.2.0") == f"{MODEL}@0.2.0: halted{later}"


def test_a_repository_is_made_in_the_folder_that_was_named(operator: Operator, tmp_path: Path) -> None:
    made, keys = tmp_path / "made", tmp_path / "own"
    said = operator.do("init", made, "--keys", keys).splitlines()
    root = made / "metadata" / "1.root.json"
    assert said == [
        f"{made}: made; its keys are in {keys}",
        f"{root}: install it on each device; its fingerprint is {fingerprint(root.read_bytes())}",
    ]
    refused = operator.run("init", tmp_path / "third", "--keys", keys, "--keys", tmp_path)
    assert refused.err == "error: --keys: give one folder, and move keys to other places afterwards\n"


def test_a_repository_has_three_root_keys_and_the_usual_days_unless_it_is_told_otherwise(operator: Operator) -> None:
    repository = Repository(operator.repo)
    signers = {name: (len(repository.role(name).keyids), repository.role(name).threshold) for name in ROLES}
    assert signers == {"root": (3, 2), "targets": (1, 1), "snapshot": (1, 1), "timestamp": (1, 1)}
    assert {name: repository.days(name) for name in ROLES} == {
        "root": 365, "targets": 180, "snapshot": 30, "timestamp": 7,
    }  # fmt: skip


def test_a_plain_refresh_leaves_root_and_targets_and_all_renews_them(operator: Operator) -> None:
    def versions() -> dict[str, int]:
        return {state.name: state.version for state in role_states(Repository(operator.repo), datetime.now(UTC))}

    before = versions()
    operator.do("refresh")
    assert versions() == {**before, "timestamp": before["timestamp"] + 1}
    operator.do("refresh", "--all")
    assert {name for name, version in versions().items() if version > before[name]} == set(ROLES)


def test_roles_are_rotated_once_and_lost_keys_alone(operator: Operator) -> None:
    before = Repository(operator.repo).role("root").keyids
    said = operator.do("rotate", "root", "root", "--lost", before[1][:12])
    after = Repository(operator.repo).role("root").keyids
    assert (len(said.splitlines()), set(before) - set(after)) == (2, {before[1]})


def test_shares_outside_of_a_hundred_and_two_ways_at_once_are_refused(operator: Operator) -> None:
    decided = "error: --auto decides by itself: leave out --percent, --cohort and --resume\n"
    for words in (("--percent", 5), ("--cohort", "lab"), ("--resume",), ("--percent", 0)):
        assert operator.run("rollout", "0.2.0", "--auto", *words).err == decided
    assert operator.run("rollout", "0.2.0").err == "error: no share. Give --percent, or --auto\n"


def test_a_package_that_is_absent_is_named_with_its_fix(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fer_fleet.usage", raising=False)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    done = operator.run("collect", operator.folder / "f", "--broker", "127.0.0.1:1")
    assert (done.code, done.err) == (2, "error: duckdb is not installed. Fix: pip install '.[fleet]'\n")


# Devices


def state(name: str, **changes: object) -> tuple[str, bytes]:
    given = {
        "id": name, "time": datetime.now(UTC), "running": True, "board": "Raspberry Pi 4", "software": "0.1.0",
        "model": f"{MODEL}@0.1.0", "camera": True, "fps": 14.5, "channel": "stable", **changes,
    }  # fmt: skip
    return f"fer-edge/fleet/{name}/state", DeviceState.model_validate(given).model_dump_json().encode()


def passed(version: str, *, so: bool = True) -> dict[str, object]:
    return {"model": f"{MODEL}@{version}", "passed": so, "reason": "slow"}


@pytest.fixture
def fleet() -> Iterator[RetainedBroker]:
    away = {"time": datetime.now(UTC) - timedelta(hours=3)}
    with retaining(
        [
            state("a", drift="drifted"),
            state("b", camera=False, drift="drifted"),
            state("c", **away),
            state("d", on_trial=f"{MODEL}@0.2.0", model=f"{MODEL}@0.2.0"),
            state("e", trials=[passed("0.2.0", so=False)]),
            state("f", model="mine@1"),
            ("fer-edge/fleet/liar/state", b"{}"),
        ]
    ) as broker:
        yield broker


def cells(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]


def test_devices_are_chosen_by_what_they_are_and_by_their_model(operator: Operator, fleet: RetainedBroker) -> None:
    def shown(*words: str) -> str:
        content = json.loads(operator.do("status", "--broker", f"127.0.0.1:{fleet.port}", *words, "--json"))
        return "".join(device["id"] for device in content["devices"])

    for words, devices in {
        (): "abcdef",
        ("--only", "drifted"): "ab",
        ("--only", "problem"): "b",
        ("--only", "silent"): "c",
        ("--only", "trial"): "d",
        ("--only", "failed"): "e",
        ("--only", "drifted", "--only", "problem"): "b",
        ("--model", MODEL): "abcde",
        ("--model", f"{MODEL}@0.2.0"): "d",
        ("--model", "mine", "--only", "drifted"): "",
    }.items():
        assert shown(*words) == devices, words


def test_the_state_of_the_fleet_is_two_tables_and_as_many_devices_as_are_meant(
    operator: Operator, fleet: RetainedBroker
) -> None:
    done = operator.run("status", "--broker", f"127.0.0.1:{fleet.port}", "--only", "drifted")
    assert (done.code, done.err.count("warning: 1 messages refused, such as fer-edge/fleet/liar/state: ")) == (0, 1)
    rows = cells(done.out)
    assert [row[0] for row in rows] == ["a", "b", f"{MODEL}@0.1.0", f"{MODEL}@0.2.0", "mine@1"]
    assert [row[1] for row in rows[:2]] == ["runs", "no camera"]
    assert rows[3][1:] == ["1", "1", "0", "1", "100.0", "slow"]
    assert "2 of 6 devices" in done.out


def test_json_in_a_file_leaves_the_tables_and_a_film_is_not_replaced(operator: Operator, fleet: RetainedBroker) -> None:
    words = ("status", "--broker", f"127.0.0.1:{fleet.port}", "--json")
    out = operator.do(*words, operator.folder / "state.json")
    content = json.loads((operator.folder / "state.json").read_text())
    assert [device["id"] for device in content["devices"] if device["silent"]] == ["c"]
    assert [version["model"] for version in content["versions"]] == [f"{MODEL}@0.1.0", f"{MODEL}@0.2.0", "mine@1"]
    assert "6 of 6 devices" in out
    assert operator.do(*words).startswith("{")
    film = operator.folder / "clip.mp4"
    film.write_bytes(b"\0\0\0 ftyp")
    before = len(fleet.connects)
    for command in (words, ("show", "--json"), ("collect", operator.folder / "f", *words[1:])):
        assert "exists and holds something else than JSON" in operator.run(*command, film).err
    assert len(fleet.connects) == before, "it is refused before a broker is asked"


def usage(name: str, days: Mapping[int, int]) -> tuple[str, bytes]:
    today = datetime.now().astimezone().date()
    day = {
        "model": "m@1", "recorded_s": 86_400, "frames": 500, "face_s": {"happy": 1800.0}, "means": {"confidence": 0.7},
    }  # fmt: skip
    content = {
        "id": name,
        "days": [{**day, "day": today - timedelta(days=back), "people": people} for back, people in days.items()],
    }
    return f"fer-edge/fleet/{name}/usage", DeviceUsage.model_validate(content).model_dump_json().encode()


def test_counts_are_kept_and_those_of_the_last_days_are_shown(operator: Operator) -> None:
    file = operator.folder / "fleet.duckdb"
    messages = [usage("hall", {3: 5, 2: 6, 1: 7}), usage("attic", {1: 1}), ("fer-edge/fleet/liar/usage", b"{}")]
    with retaining(messages) as broker:
        words = ("collect", file, "--broker", f"127.0.0.1:{broker.port}")
        first = operator.run(*words)
        assert first.err.startswith("warning: 1 messages refused, such as fer-edge/fleet/liar/usage: ")
        assert cells(first.out) == [
            ["attic", "1", "1", "0.5", "0.70", "", "m@1", ""],
            ["hall", "3", "18", "1.5", "0.70", "", "m@1", ""],
        ]
        assert first.out.endswith(f"{file}: 4 new days of 2 devices\n")
        target = operator.folder / "days.json"
        again = operator.do(*words, "--days", 3, "--json", target)
        assert again.endswith(f"{file}: 0 new days of 2 devices\n")
        assert [(each["name"], each["days"]) for each in json.loads(target.read_text())] == [("attic", 1), ("hall", 2)]
        assert json.loads(operator.do(*words, "--json"))[1]["people"] == 18


def test_devices_are_compared_over_four_weeks(operator: Operator) -> None:
    with retaining([usage("hall", {27: 5, 28: 6})]) as broker:
        said = operator.do("collect", operator.folder / "f.duckdb", "--broker", f"127.0.0.1:{broker.port}")
    assert [row[:3] for row in cells(said)] == [["hall", "1", "5"]]
    assert "2 new days of 1 devices" in said


# An automatic rollout


@pytest.fixture
def rolled_out(operator: Operator) -> Operator:
    operator.do("publish", operator.bundle("0.2.0"), "--channel", "stable", "--percent", 10)
    return operator


def named(inside: bool, count: int) -> list[str]:
    """Devices in the first ten per cent, or outside of it."""
    names = (f"device-{number}" for number in range(10_000))
    return [name for name in names if (position(name, MODEL, "0.2.0") < 10) == inside][:count]


def test_a_step_is_taken_and_signed(rolled_out: Operator) -> None:
    done = [state(name, trials=[passed("0.2.0")]) for name in named(True, 5)]
    with retaining([*done, *map(state, named(False, 20)), ("fer-edge/fleet/liar/state", b"{}")]) as broker:
        said = rolled_out.run("rollout", "0.2.0", "--auto", "--broker", f"127.0.0.1:{broker.port}")
    assert (said.code, said.out) == (0, f"{MODEL}@0.2.0: raised to 50 %: 0 of 5 trials failed\n")
    assert "1 messages refused" in said.err
    (rollout,) = Repository(rolled_out.repo).releases.models[MODEL].stable
    assert (rollout.percent, rollout.halted) == (50, None)


def test_a_wait_changes_nothing_and_is_told(rolled_out: Operator) -> None:
    before = sorted((rolled_out.repo / "metadata").iterdir())
    with retaining([state(name) for name in named(True, 4)]) as broker:
        said = rolled_out.do("rollout", "0.2.0", "--auto", "--broker", f"127.0.0.1:{broker.port}")
    assert said == f"{MODEL}@0.2.0: waiting at 10 %: 0 of 4 devices have tried it; 0 of 0 trials failed\n"
    assert sorted((rolled_out.repo / "metadata").iterdir()) == before


@pytest.mark.parametrize(("limit", "code"), [(None, 1), (39, 1), (40, 0)])
def test_too_many_failures_halt_it_and_end_with_one(rolled_out: Operator, limit: int | None, code: int) -> None:
    inside = named(True, 5)
    ended = [state(name, trials=[passed("0.2.0", so=number > 1)]) for number, name in enumerate(inside)]
    words = ("--limit", limit) if limit is not None else ()
    with retaining([*ended, *map(state, named(False, 9))]) as broker:
        done = rolled_out.run("rollout", "0.2.0", "--auto", "--broker", f"127.0.0.1:{broker.port}", *words)
    (rollout,) = Repository(rolled_out.repo).releases.models[MODEL].stable
    assert (done.code, rollout.halted) == (code, "2 of 5 trials failed" if code else None)
    if code:
        most = 5 if limit is None else limit
        assert done.out == f"{MODEL}@0.2.0: halted: 2 of 5 trials failed, more than {most} %\n"


def test_the_channel_the_login_and_the_keys_are_those_that_are_given(
    rolled_out: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled_out.do("publish", rolled_out.bundle("0.3.0"), "--percent", 0)
    stick = rolled_out.folder / "stick"
    shutil.move(rolled_out.keys, stick)
    monkeypatch.setenv("FER_FLEET_MQTT_PASSWORD", "my secret")
    beta = [state(f"b{number}", channel="beta") for number in range(300)]
    with retaining([*beta, *map(state, named(False, 9))]) as broker:
        words = ("--broker", f"127.0.0.1:{broker.port}", "--user", "me", "--channel", "beta", "--keys", stick)
        said = rolled_out.do("rollout", "0.3.0", "--auto", *words)
        assert said == f"{MODEL}@0.3.0: raised to 1 %: 0 of 0 trials failed\n"
        refused = rolled_out.run("rollout", "0.2.0", "--auto", *words)
    assert "is not in the beta channel" in refused.err
    assert broker.connects[0].endswith(b"\0\x02me\0\x09my secret")
    assert Repository(rolled_out.repo).releases.models[MODEL].beta[0].percent == 1
