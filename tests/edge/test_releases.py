"""Which release a device takes: rollouts, channels, cohorts, revocations."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.errors import ModelError
from fer_edge.updates.releases import (
    Decision,
    ModelReleases,
    Release,
    Releases,
    Rollout,
    bundle_target,
    decide,
    in_rollout,
    parse_releases,
    position,
)

quick = settings(deadline=None, derandomize=True, database=None, max_examples=80)
DEVICES = [f"{number:012x}" for number in range(4000)]
VERSIONS = ("0.1.0", "0.2.0", "0.3.0")
DAY = datetime(2026, 11, 1, tzinfo=UTC)


def offer(
    *stable: Rollout, beta: tuple[Rollout, ...] = (), revoked: dict[str, str] | None = None, name: str = "ferplus7"
) -> Releases:
    gone = revoked or {}
    releases = tuple(Release(version=each, published=DAY, revoked=gone.get(each)) for each in VERSIONS)
    return Releases(models={name: ModelReleases(releases=releases, stable=stable, beta=beta)})


def full(version: str, **more: object) -> Rollout:
    return Rollout.model_validate({"version": version, "percent": 100, **more})


def ask(releases: Releases, installed: str | None = None, **more: object) -> Decision:
    given = {"name": "ferplus7", "channel": "stable", "device_id": DEVICES[0], "installed_version": installed, **more}
    return decide(releases, **given)  # type: ignore[arg-type]


# Who belongs to a rollout


@quick
@given(st.text(max_size=30), st.floats(0, 100), st.floats(0, 100), st.sets(st.sampled_from("abc")))
def test_a_higher_percentage_or_another_tag_only_adds_devices(
    device: str, one: float, two: float, tags: set[str]
) -> None:
    low, high = sorted((one, two))
    few = Rollout(version="2", percent=low, cohorts={"a": low, "b": 0})
    for more in (
        few.model_copy(update={"percent": high}),
        few.model_copy(update={"cohorts": {"a": high, "b": 0}}),
        few.model_copy(update={"cohorts": {"a": low, "b": high}}),
        few.model_copy(update={"cohorts": {**few.cohorts, "c": high}}),
    ):
        if in_rollout(few, name="m", device_id=device, tags=tags):
            assert in_rollout(more, name="m", device_id=device, tags=tags)
            assert in_rollout(few, name="m", device_id=device, tags={*tags, "a", "b", "c"})


@pytest.mark.parametrize("percent", [1, 10, 33, 50, 90])
def test_a_percentage_is_that_share_of_the_devices(percent: float) -> None:
    rollout = Rollout(version="0.2.0", percent=percent)
    members = sum(in_rollout(rollout, name="ferplus7", device_id=each, tags=()) for each in DEVICES)
    spread = 4 * (percent * (100 - percent) * len(DEVICES)) ** 0.5 / 100
    assert abs(members - len(DEVICES) * percent / 100) < spread


@quick
@given(st.text(max_size=30))
def test_nobody_belongs_at_0_percent_and_everybody_at_100(device: str) -> None:
    assert not in_rollout(Rollout(version="1", percent=0), name="m", device_id=device, tags=())
    assert in_rollout(Rollout(version="1", percent=100), name="m", device_id=device, tags=())


def test_each_version_and_each_model_has_other_devices_first() -> None:
    def first(name: str, version: str) -> set[str]:
        return {each for each in DEVICES if position(each, name, version) < 10}

    old = first("ferplus7", "0.1.0")
    for other in (first("ferplus7", "0.2.0"), first("ferplus8", "0.1.0")):
        assert len(old & other) < 0.25 * len(old)  # by chance it is a tenth


def test_the_place_of_a_device_is_the_same_in_every_version_of_this_program() -> None:
    assert position("0123456789ab", "ferplus7", "0.2.0") == pytest.approx(76.359083, abs=1e-6)


def test_a_cohort_may_have_a_version_before_the_others() -> None:
    releases = offer(full("0.1.0"), Rollout(version="0.2.0", percent=0, cohorts={"lab": 100}))
    assert ask(releases).version == "0.1.0"
    assert ask(releases, tags=["lab", "ground-floor"]).version == "0.2.0"
    assert ask(releases, tags=["laboratory"]).version == "0.1.0"


# What a device takes


def test_a_device_takes_the_newest_version_that_is_meant_for_it() -> None:
    decision = ask(offer(full("0.1.0"), full("0.2.0"), full("0.3.0")))
    assert (decision.version, decision.target) == ("0.3.0", "bundles/ferplus7/0.3.0.tar")
    assert decision.reason == "ferplus7 0.3.0 is meant for this device."
    assert bundle_target("ferplus7", "0.3.0") == decision.target


def test_a_device_outside_of_a_rollout_takes_the_version_before() -> None:
    partial = Rollout(version="0.2.0", percent=33)
    for device in DEVICES[:60]:
        member = position(device, "ferplus7", "0.2.0") < 33
        decision = ask(offer(full("0.1.0"), partial), device_id=device)
        assert decision.version == ("0.2.0" if member else "0.1.0")
        kept = ask(offer(full("0.1.0"), partial), "0.1.0", device_id=device)
        assert kept.version == ("0.2.0" if member else None)
        assert member or kept.reason == "ferplus7 0.1.0 is kept. ferplus7 0.2.0 is not yet meant for this device."


def test_the_installed_version_is_not_taken_again() -> None:
    decision = ask(offer(full("0.1.0"), full("0.2.0")), "0.2.0")
    assert decision == Decision(None, None, "ferplus7 0.2.0 is kept. Nothing newer is offered.")


def test_the_channels_are_apart() -> None:
    releases = offer(full("0.1.0"), beta=(full("0.2.0"),))
    assert ask(releases).version == "0.1.0"
    assert ask(releases, channel="beta").version == "0.2.0"
    assert ask(offer(beta=(full("0.2.0"),))).reason == "Channel stable has no release of ferplus7."


def test_another_channel_leads_to_no_older_version() -> None:
    releases = offer(full("0.1.0"), beta=(full("0.2.0"),))
    assert ask(releases, "0.2.0").version is None


@pytest.mark.parametrize(
    ("installed", "taken"),
    [
        ("0.1.9", "0.2.0"),
        ("0.2.0-local", "0.2.0"),
        ("local", "0.2.0"),
        ("0.2.1", None),
        ("0.10.0", None),
        ("1", None),
        ("v0.9.0-local", None),
    ],
)
def test_a_version_that_was_never_published_is_replaced_unless_it_is_newer(installed: str, taken: str | None) -> None:
    decision = ask(offer(full("0.2.0")), installed)
    assert decision.version == taken
    if taken is None:
        assert decision.reason == f"ferplus7 {installed} is kept. It was not published here, and is newer than 0.2.0."


def test_an_unknown_model_is_said() -> None:
    assert ask(offer(full("0.1.0"), name="fer2013")) == Decision(None, None, "The repository has no model ferplus7.")


def test_a_halted_rollout_adds_no_device_and_takes_none_back() -> None:
    releases = offer(full("0.1.0"), full("0.2.0", halted="4 of 10 trials failed"))
    assert ask(releases, "0.1.0") == Decision(
        None, None, "ferplus7 0.1.0 is kept. ferplus7 0.2.0 is halted (4 of 10 trials failed)."
    )
    assert ask(releases, "0.2.0").version is None
    assert ask(releases).version == "0.1.0"


def test_a_channel_without_releases_has_none_of_the_other() -> None:
    for channel, releases in (("beta", offer(full("0.2.0"))), ("stable", offer(beta=(full("0.2.0"),)))):
        none = Decision(None, None, f"Channel {channel} has no release of ferplus7.")
        assert ask(releases, channel=channel) == none


def test_a_version_is_halted_or_revoked_without_a_reason_too() -> None:
    assert ask(offer(full("0.1.0"), full("0.2.0", halted="")), "0.1.0").version is None
    decision = ask(offer(full("0.2.0"), revoked={"0.2.0": ""}), "0.2.0")
    assert (decision.version, decision.revoked) == (None, True)


def test_a_revoked_version_is_replaced_by_an_older_one() -> None:
    releases = offer(full("0.1.0"), full("0.2.0"), revoked={"0.2.0": "reads everybody as sad"})
    decision = ask(releases, "0.2.0")
    assert (decision.version, decision.revoked) == ("0.1.0", True)
    assert "since 0.2.0 is revoked (reads everybody as sad)" in decision.reason
    assert ask(releases, "0.1.0").version is None
    assert not ask(releases, "0.1.0").revoked


def test_a_revoked_version_with_nothing_instead_is_given_up() -> None:
    decision = ask(offer(full("0.2.0"), revoked={"0.2.0": "leaks"}), "0.2.0")
    assert (decision.version, decision.revoked) == (None, True)
    assert decision.reason == "ferplus7 0.2.0 is revoked (leaks)."


def test_a_version_that_failed_here_is_not_tried_again() -> None:
    releases = offer(full("0.1.0"), full("0.2.0"))
    assert ask(releases, "0.1.0", bad_versions=["0.2.0"]) == Decision(
        None, None, "ferplus7 0.1.0 is kept. ferplus7 0.2.0 failed its trial on this device."
    )
    assert ask(releases, bad_versions=["0.2.0"]).version == "0.1.0"


rollouts = st.lists(
    st.builds(
        Rollout,
        version=st.sampled_from(VERSIONS),
        percent=st.floats(0, 100),
        cohorts=st.dictionaries(st.sampled_from(["lab", "hall"]), st.floats(0, 100)),
        halted=st.none() | st.just("why"),
    ),
    unique_by=lambda rollout: rollout.version,
).map(lambda found: tuple(sorted(found, key=lambda rollout: rollout.version)))


@quick
@given(
    rollouts,
    rollouts,
    st.sampled_from(["stable", "beta"]),
    st.sampled_from(DEVICES),
    st.sets(st.sampled_from(["lab", "hall"])),
    st.none() | st.sampled_from([*VERSIONS, "local", "0.2.5"]),
    st.sets(st.sampled_from(VERSIONS)),
    st.sets(st.sampled_from(VERSIONS)),
)
def test_no_device_takes_what_it_must_not(
    stable: tuple[Rollout, ...],
    beta: tuple[Rollout, ...],
    channel: str,
    device: str,
    tags: set[str],
    installed: str | None,
    bad: set[str],
    revoked: set[str],
) -> None:
    releases = offer(*stable, beta=beta, revoked=dict.fromkeys(revoked, "why"))
    asked = {"channel": channel, "device_id": device, "tags": tags, "bad_versions": bad}
    decision = ask(releases, installed, **asked)
    assert decision.reason.endswith(".")
    assert decision.revoked == (installed in revoked)
    if decision.version is None:
        assert decision.target is None
        return
    taken = next(each for each in (stable if channel == "stable" else beta) if each.version == decision.version)
    assert decision.version not in bad | revoked | {installed}
    assert taken.halted is None
    assert in_rollout(taken, name="ferplus7", device_id=device, tags=tags)
    if installed in VERSIONS and installed not in revoked:
        assert decision.version > str(installed)
    assert installed != "0.2.5" or decision.version == "0.3.0"
    again = ask(releases, decision.version, **asked)
    assert again.version is None  # one step, then it is at rest


# The file


def test_the_file_is_read_as_it_was_written() -> None:
    releases = offer(full("0.1.0", cohorts={"lab": 50}), Rollout(version="0.2.0", percent=12.5, halted="why"))
    assert parse_releases(releases.model_dump_json().encode()) == releases


def test_a_newer_tools_keys_are_ignored() -> None:
    content = json.loads(offer(full("0.1.0")).model_dump_json())
    content["models"]["ferplus7"]["stable"][0]["weather"] = "fine"
    assert parse_releases(json.dumps(content).encode()) == offer(full("0.1.0"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "releases.json: (file): Invalid JSON"),
        (b"[]", "releases.json: (file): Input should be an object"),
        (b"\xff\xfe", "releases.json: (file): Invalid JSON"),
        (b'{"schema_version": 2}', "reads schema 1. Install a newer fer-edge"),
        (b'{"models": {"../up": {"releases": []}}}', "models.../up"),
        (b'{"models": {"m": {"releases": [{"version": "a/b", "published": "2026-11-01T00:00:00Z"}]}}}', "version"),
        (b'{"models": {"m": {"releases": [], "stable": [{"version": "1", "percent": 5}]}}}', "which was not published"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_one_line(content: bytes, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_releases(content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("percent", [-1, 100.1, float("nan"), float("inf")])
def test_a_percentage_is_from_0_to_100(percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        Rollout(version="1", percent=percent)


def test_a_version_is_rolled_out_once_per_channel() -> None:
    with pytest.raises(ValueError, match="names a version twice"):
        offer(full("0.1.0"), full("0.1.0"))
