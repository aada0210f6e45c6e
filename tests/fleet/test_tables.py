"""What the tables of `fer-fleet` show, cell by cell, on a terminal with colours."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from tests.fleet_repository import Operator
from tests.screen import rows_of

from fer_edge.updates.fleet_messages import DeviceState
from fer_edge.updates.releases import ModelReleases, Release, Releases, Rollout
from fer_fleet.cli import fleet_tables, tables
from fer_fleet.cli.fleet_tables import devices_table, progress_table, status_json, usage_json, usage_table
from fer_fleet.cli.tables import releases_table, roles_table, show_json
from fer_fleet.progress import VersionProgress
from fer_fleet.repository import Repository
from fer_fleet.usage import Device
from fer_fleet.verification import RoleState, role_states

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The columns of the terminal, to be changed."""
    columns = [250]

    def console() -> Console:
        return Console(width=columns[0], force_terminal=True, color_system="standard", legacy_windows=False)

    for module in (tables, fleet_tables):
        monkeypatch.setattr(module, "output_console", console)
    return columns


class Shown:
    """What was printed since the last look."""

    def __init__(self, width: list[int], capture: pytest.CaptureFixture[str]) -> None:
        self.width = width
        self._capture = capture

    def lines(self) -> list[str]:
        """Lines with the names of their colours, such as `<red>silent`."""
        text = self._capture.readouterr().out
        for number, colour in ((31, "red"), (32, "green"), (33, "yellow")):
            text = text.replace(f"\x1b[{number}m", f"<{colour}>")
        return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()

    def rows(self) -> list[list[str]]:
        """The cells, the headings first."""
        return rows_of("\n".join(self.lines()))

    def columns(self) -> list[str]:
        """Each column's cells, put together without the spaces: what a cell of several lines says."""
        return ["".join(cells).replace(" ", "") for cells in zip(*self.rows(), strict=True)]


@pytest.fixture
def shown(width: list[int], capsys: pytest.CaptureFixture[str]) -> Shown:
    return Shown(width, capsys)


def state(name: str, **changes: object) -> DeviceState:
    given = {
        "id": name, "time": NOON, "running": True, "board": "Raspberry Pi 4", "software": "0.1.0", "model": "m@1",
        "camera": True, "fps": 14.5, "drift": "ok", "channel": "stable", **changes,
    }  # fmt: skip
    return DeviceState.model_validate(given)


def trial(model: str, *, passed: bool) -> dict[str, object]:
    return {"model": model, "passed": passed, "reason": ""}


# Devices


def test_a_device_is_one_row_with_all_that_it_said(shown: Shown) -> None:
    told = state("kitchen", problem="MQTT: lost", decision="m 2 is halted", expected_accuracy=81.4)
    devices_table([told, state("hall", fps=7.0, drift="watch")], 5, NOON)
    lines = shown.lines()
    assert lines[-1] == "2 of 5 devices"
    assert rows_of("\n".join(lines)) == [
        ["device", "state", "model", "trial", "FPS", "drift", "expected", "heard", "remarks"],
        ["kitchen", "<yellow>problem", "m@1", "", "14.5", "ok", "81 %", "now", "MQTT: lost; m 2 is halted"],
        ["hall", "<green>runs", "m@1", "", "7", "watch", "", "now", ""],
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "<green>runs"),
        ({"problem": "a sink"}, "<yellow>problem"),
        ({"camera": False}, "<red>no camera"),
        ({"camera": False, "problem": "a sink"}, "<red>no camera"),
        ({"running": False, "camera": False}, "stopped"),
        ({"running": False, "time": NOON - timedelta(days=3)}, "stopped"),
        ({"time": NOON - timedelta(days=3), "camera": False}, "<red>silent"),
    ],
)
def test_the_state_of_a_device_is_the_worst_of_it(shown: Shown, changes: dict[str, object], said: str) -> None:
    devices_table([state("d", **changes)], 1, NOON)
    assert shown.rows()[1][1] == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"trials": [trial("m@1", passed=False), trial("m@2", passed=True)]}, "2 passed"),
        ({"trials": [trial("m@1", passed=True), trial("m@2", passed=False)]}, "<red>2 failed"),
        ({"trials": [trial("m@2", passed=False)], "on_trial": "a@b@3"}, "3 on trial"),
        ({"trials": [trial("a@b@[b]", passed=True)]}, "[b] passed"),
        ({"on_trial": "m@[b]"}, "[b] on trial"),
    ],
)
def test_the_last_trial_is_shown_unless_one_goes_on(shown: Shown, changes: dict[str, object], said: str) -> None:
    devices_table([state("d", **changes)], 1, NOON)
    assert shown.rows()[1][3] == said


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        ({"seconds": -90}, "now"),
        ({"seconds": 59}, "now"),
        ({"seconds": 60}, "1 min ago"),
        ({"minutes": 59, "seconds": 59}, "59 min ago"),
        ({"minutes": 60}, "1 h ago"),
        ({"hours": 23, "minutes": 59}, "23 h ago"),
        ({"hours": 24}, "1 d ago"),
        ({"days": 400}, "400 d ago"),
    ],
)
def test_the_time_since_a_device_was_heard_has_one_unit(shown: Shown, ago: dict[str, float], said: str) -> None:
    devices_table([state("d", time=NOON - timedelta(**ago))], 1, NOON)
    assert shown.rows()[1][7] == said


def test_square_brackets_of_a_device_are_no_colours(shown: Shown) -> None:
    """Whatever it says is shown as it is."""
    devices_table([state("d", model="[red]m[/]@1", drift="[b]", problem="[red]p", decision="[/]")], 1, NOON)
    row = shown.rows()[1]
    assert (row[2], row[5], row[8]) == ("[red]m[/]@1", "[b]", "[red]p; [/]")


# Versions


def test_a_version_is_one_row_with_its_trials(shown: Shown) -> None:
    progress = [
        VersionProgress("m@2", 7, 3, 5, 1, {"[b] slow": 1, "crashed": 1}),
        VersionProgress("[b]@1", 9, 0, 4, 0, {}),
        VersionProgress("m@3", 0, 2, 0, 0, {}),
        VersionProgress("m@4", 0, 0, 0, 2, {"slow": 2}),
    ]
    progress_table(progress)
    assert shown.rows() == [
        ["model", "runs on", "on trial", "passed", "failed", "failed, %", "most frequent reason"],
        ["m@2", "7", "3", "5", "<red>1", "16.7", "[b] slow"],
        ["[b]@1", "9", "0", "4", "0", "0.0", ""],
        ["m@3", "0", "2", "0", "0", "", ""],
        ["m@4", "0", "0", "0", "<red>2", "100.0", "slow"],
    ]


# Counts


def device(name: str = "d", **changes: object) -> Device:
    given = {
        "name": name, "days": 7, "people": 140, "face_s": 5400.0, "drift": "ok", "model": "m@1", "confidence": 0.704,
        "brightness": 119.6, **changes,
    }  # fmt: skip
    return Device(**given)  # type: ignore[arg-type]


def test_the_counts_of_a_device_are_one_row(shown: Shown) -> None:
    usage_table([
        device("kitchen"),
        device("hall", confidence=None, brightness=None, model="[b]@1", remarks=("drifts", "too dark")),
    ])  # fmt: skip
    assert shown.rows() == [
        ["device", "days", "people", "faces, h", "confidence", "brightness", "model", "remarks"],
        ["kitchen", "7", "140", "1.5", "0.70", "120", "m@1", ""],
        ["hall", "7", "140", "1.5", "", "", "[b]@1", "<red>drifts, too dark"],
    ]


def test_counts_as_json_have_a_line_per_value() -> None:
    text = usage_json([device(remarks=("drifts",))])
    assert json.loads(text) == [
        {
            "name": "d", "days": 7, "people": 140, "face_s": 5400.0, "drift": "ok", "model": "m@1",
            "confidence": 0.704, "brightness": 119.6, "remarks": ["drifts"],
        }
    ]  # fmt: skip
    assert text.startswith('[\n  {\n    "name": "d",\n')


def test_the_state_as_json_says_who_is_silent_and_how_trials_went() -> None:
    states = [state("a"), state("b", time=NOON - timedelta(hours=3))]
    text = status_json(states, [VersionProgress("m@2", 7, 3, 5, 1, {"slow": 1})], NOON)
    content = json.loads(text)
    assert [(each["id"], each["silent"]) for each in content["devices"]] == [("a", False), ("b", True)]
    assert content["devices"][0]["time"] == "2026-06-01T12:00:00Z"
    assert content["versions"] == [
        {"model": "m@2", "running": 7, "on_trial": 3, "passed": 5, "failed": 1, "reasons": {"slow": 1}}
    ]
    assert text.startswith('{\n  "devices": [\n    {\n')


# Releases and roles


def release(version: str, day: int = 1, **changes: str) -> Release:
    return Release(version=version, published=NOON.replace(day=day, minute=5), **changes)


def test_a_release_is_one_row_with_its_channels_and_what_happened_to_it(shown: Shown) -> None:
    mine = ModelReleases(
        releases=(
            release("1", 1, revoked="poisoned"),
            release("2", 2, forced="[b] museum"),
            release("3", 3, revoked="r", forced="f"),
            release("4", 4),
        ),
        stable=(
            Rollout(version="1", percent=100),
            Rollout(version="2", percent=12.5, cohorts={"lab": 100, "hall": 50}, halted="too slow"),
            Rollout(version="3", percent=1, halted="x"),
        ),
        beta=(
            Rollout(version="1", percent=100),
            Rollout(version="2", percent=0, halted="a look"),
            Rollout(version="3", percent=1, halted="x"),
            Rollout(version="4", percent=33),
        ),
    )
    releases_table(Releases(models={"mine": mine, "other": ModelReleases(releases=(release("9"),))}))
    assert shown.rows() == [
        ["model", "version", "published", "stable", "beta", "remarks"],
        ["mine", "4", "2026-06-04 12:05", "", "33 %", ""],
        [
            "mine", "3", "2026-06-03 12:05", "<red>halted at 1 %", "<red>halted at 1 %",
            "revoked: r; halted: x; forced: f",
        ],
        [
            "mine", "2", "2026-06-02 12:05", "<red>halted at 12.5 %, 100 % of lab, 50 % of hall", "<red>halted at 0 %",
            "halted: a look; halted: too slow; forced: [b] museum",
        ],
        ["mine", "1", "2026-06-01 12:05", "100 %", "100 %", "revoked: poisoned"],
        ["other", "9", "2026-06-01 12:05", "", "", ""],
    ]  # fmt: skip


def test_a_reason_cannot_move_the_cursor(shown: Shown) -> None:
    releases_table(Releases(models={"m": ModelReleases(releases=(release("1", forced="a\x1b[2Jb"),))}))
    assert shown.rows()[1][5] == r"forced: a\x1b[2Jb"


def role(name: str, left: float, **changes: object) -> RoleState:
    given = {
        "name": name, "version": 12, "expires": NOON, "days_left": left, "due": False, "threshold": 2,
        "keys": ("0123456789ab", "ba9876543210"), **changes,
    }  # fmt: skip
    return RoleState(**given)  # type: ignore[arg-type]


def test_a_role_is_one_row_and_red_when_it_is_due(shown: Shown) -> None:
    roles_table([role("root", 299.96), role("timestamp", -1.04, due=True, threshold=1, keys=("0123456789ab",))])
    assert shown.rows() == [
        ["role", "file", "expires", "days left", "keys"],
        ["root", "12", "2026-06-01 12:00", "300.0", "2 of 0123456789ab, ba9876543210"],
        ["timestamp", "12", "2026-06-01 12:00", "<red>-1.0", "1 of 0123456789ab"],
    ]


def test_a_repository_as_json(operator: Operator) -> None:
    repository = Repository(operator.repo)
    states = role_states(repository, NOON)
    text = show_json(repository, states)
    content = json.loads(text)
    assert (content["current"], content["releases"]) == (True, {"schema_version": 1, "models": {}})
    assert [each["name"] for each in content["roles"]] == ["root", "targets", "snapshot", "timestamp"]
    root = content["roles"][0]
    assert datetime.fromisoformat(root["expires"]) == repository.root.signed.expires.replace(tzinfo=UTC)
    assert (root["version"], root["threshold"], len(root["keys"]), root["due"]) == (1, 2, 3, False)
    assert root["days_left"] == pytest.approx(states[0].days_left)
    assert text.startswith('{\n  "current": true,\n')


# A narrow terminal


LONG = "x" * 90


@pytest.mark.parametrize(
    "table",
    [
        lambda: devices_table([state("d", model=LONG)], 1, NOON),
        lambda: progress_table([VersionProgress(LONG, 1, 1, 1, 1, {})]),
        lambda: usage_table([device(model=LONG)]),
        lambda: roles_table([role("root", 1, keys=(LONG,))]),
        lambda: releases_table(Releases(models={"m": ModelReleases(releases=(release("1", forced=LONG),))})),
    ],
)
def test_on_a_narrow_terminal_a_long_word_is_folded_and_not_cut(shown: Shown, table: Callable[[], None]) -> None:
    shown.width[0] = 100
    table()
    columns = shown.columns()
    assert any(LONG in column for column in columns)
    assert not any("…" in column for column in columns)
