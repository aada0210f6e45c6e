"""The changes of `releases.json`, one by one."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.fleet_repository import said

from fer_edge.errors import ConfigError
from fer_edge.updates.releases import Releases
from fer_fleet import edits
from fer_fleet.cli.options import now

MODEL = "ferplus7"


def published(*versions: str, channel: str = "beta", percent: float = 100) -> Releases:
    """Releases of these versions, in this order."""
    releases = Releases()
    for version in versions:
        releases = edits.publish(releases, MODEL, version, channel, percent, None, now())  # type: ignore[arg-type]
    return releases


def test_a_promoted_version_is_as_new_as_it_was_when_it_was_published() -> None:
    """Not by its name: 0.10 is newer than 0.9."""
    releases = published("0.9", "0.10")
    for version in ("0.10", "0.9"):
        releases = edits.promote(releases, MODEL, version, 100)
    assert [rollout.version for rollout in releases.models[MODEL].stable] == ["0.9", "0.10"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda releases: edits.halt(releases, MODEL, "1", "too slow"), r"is halted in the beta channel \(too slow\)"),
        (lambda releases: edits.revoke(releases, MODEL, "1", "poisoned"), r"is revoked \(poisoned\)"),
    ],
)
def test_what_was_halted_or_revoked_is_not_promoted(spoil: Callable[[Releases], Releases], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        edits.promote(spoil(published("1")), MODEL, "1", 100)


def test_a_share_of_one_tag_leaves_the_other_shares_and_does_not_fall() -> None:
    releases = published("1", channel="stable", percent=0)
    for tag, percent in (("lab", 60), ("hall", 10)):
        releases = edits.roll_out(releases, MODEL, "1", "stable", percent, (tag,))
    (rollout,) = releases.models[MODEL].stable
    assert (rollout.percent, rollout.cohorts) == (0, {"lab": 60, "hall": 10})
    with pytest.raises(ConfigError, match="60 % have it already, and a lower share takes it from nobody"):
        edits.roll_out(releases, MODEL, "1", "stable", 40, ("hall", "lab"))
    with pytest.raises(ConfigError, match="is not in the beta channel"):
        edits.roll_out(releases, MODEL, "1", "beta", 40)
    releases = edits.roll_out(releases, MODEL, "1", "stable", 20)
    assert releases.models[MODEL].stable[0].cohorts == {"lab": 60, "hall": 10}


def test_a_version_is_halted_in_all_channels() -> None:
    releases = edits.promote(published("1", "2"), MODEL, "1", 50)
    halted = edits.halt(releases, MODEL, "1", "too slow").models[MODEL]
    assert [(rollout.version, rollout.halted) for rollout in halted.stable] == [("1", "too slow")]
    assert [(rollout.version, rollout.halted) for rollout in halted.beta] == [("1", "too slow"), ("2", None)]
    goes_on = edits.roll_out(Releases(models={MODEL: halted}), MODEL, "1", "stable", 60, resume=True).models[MODEL]
    assert [rollout.halted for rollout in (*goes_on.stable, *goes_on.beta)] == [None, "too slow", None]


def test_a_halted_version_is_raised_only_where_that_is_asked_for() -> None:
    """An automatic rollout does not ask for it: somebody may halt the version while the devices are asked."""
    halted = edits.halt(published("1"), MODEL, "1", "too slow")
    with pytest.raises(ConfigError, match="is halted"):
        edits.roll_out(halted, MODEL, "1", "beta", 100)


def test_one_version_of_three_is_revoked() -> None:
    revoked = edits.revoke(published("1", "2", "3"), MODEL, "2", "poisoned").models[MODEL]
    assert [release.revoked for release in revoked.releases] == [None, "poisoned", None]


# What is said


def two_models() -> Releases:
    """Version 1 of two models, and version 2 of one."""
    releases = published("1", "2")
    return edits.publish(releases, "mine", "1", "stable", 0, None, now())


def test_a_version_is_found_by_itself_or_with_its_model() -> None:
    releases = two_models()
    assert edits.find(releases, "2") == (MODEL, "2")
    assert edits.find(releases, "mine@1") == ("mine", "1")
    assert edits.find(releases, f"{MODEL}@1") == (MODEL, "1")
    assert said(lambda: edits.find(releases, "1")) == (f"1: is a version of several models. Give {MODEL}@1 or mine@1")
    known = f"Choose {MODEL}@1, {MODEL}@2 or mine@1"
    assert said(lambda: edits.find(releases, "3")) == f"3: was not published. {known}"
    assert said(lambda: edits.find(releases, "mine@2")) == f"mine@2: was not published. Did you mean mine@1? {known}"
    assert said(lambda: edits.find(Releases(), "3")) == "3: was not published. Nothing was"


def test_a_published_version_has_its_second_its_share_and_its_reason() -> None:
    at = datetime(2026, 6, 1, 12, 30, 15, 999_999, tzinfo=UTC)
    model = edits.publish(published("1"), MODEL, "2", "stable", 12.5, "in a hurry", at).models[MODEL]
    assert [release.version for release in model.releases] == ["1", "2"]
    assert (model.releases[1].published, model.releases[1].forced) == (at.replace(microsecond=0), "in a hurry")
    assert [(rollout.version, rollout.percent) for rollout in model.stable] == [("2", 12.5)]
    assert [(rollout.version, rollout.percent) for rollout in model.beta] == [("1", 100)]


def test_what_cannot_be_published_is_said_with_its_reason() -> None:
    releases = published("1")
    assert said(lambda: edits.publish(releases, MODEL, "1", "beta", 1, None, now())) == (
        f"{MODEL} 1: was published before, and a version stays as it is. Give it a new version"
    )
    for name, version, percent, field in (
        (MODEL, "../2", 1, "version: String should match pattern"),
        (MODEL, "2", 101, "percent: Input should be less than or equal to 100"),
        ("../mine", "2", 1, "String should match pattern"),
    ):
        text = said(lambda name=name, version=version, percent=percent: edits.publish(  # type: ignore[misc]
            releases, name, version, "beta", percent, None, now()
        ))  # fmt: skip
        assert field in text
        assert "\n" not in text


def test_only_what_is_in_beta_and_not_in_stable_is_promoted() -> None:
    releases = published("1", "2")
    promoted = edits.promote(releases, MODEL, "2", 12.5).models[MODEL]
    assert [(rollout.version, rollout.percent) for rollout in promoted.stable] == [("2", 12.5)]
    assert [rollout.version for rollout in promoted.beta] == ["1", "2"]
    again = Releases(models={MODEL: promoted})
    assert said(lambda: edits.promote(again, MODEL, "2", 20)) == (
        f"{MODEL} 2: is in the stable channel. Change its share with fer-fleet rollout"
    )
    only = edits.publish(releases, MODEL, "3", "stable", 0, None, now()).models[MODEL].model_copy(update={"stable": ()})
    assert said(lambda: edits.promote(Releases(models={MODEL: only}), MODEL, "3", 1)) == (
        f"{MODEL} 3: is not in the beta channel. Publish it there first"
    )
    halted = edits.halt(releases, MODEL, "1", "")
    assert said(lambda: edits.promote(halted, MODEL, "1", 1)) == (
        f"{MODEL} 1: is halted in the beta channel (). Publish a better one"
    )
    revoked = edits.revoke(releases, MODEL, "1", "poisoned")
    assert said(lambda: edits.promote(revoked, MODEL, "1", 1)) == (
        f"{MODEL} 1: is revoked (poisoned). Publish a new version"
    )


def test_a_share_may_stay_and_does_not_fall() -> None:
    releases = published("1", channel="stable", percent=12.5)
    assert edits.roll_out(releases, MODEL, "1", "stable", 12.5) == releases
    assert said(lambda: edits.roll_out(releases, MODEL, "1", "stable", 12.4)) == (
        f"{MODEL} 1: 12.5 % have it already, and a lower share takes it from nobody. "
        "Use fer-fleet halt to stop it, revoke to take it back"
    )
    tagged = edits.roll_out(releases, MODEL, "1", "stable", 0, ("lab",))
    assert tagged.models[MODEL].stable[0].cohorts == {"lab": 0}, "a tag that has no share begins at none"
    assert said(lambda: edits.roll_out(releases, MODEL, "1", "stable", 50, ("a b",))).startswith("cohorts.a b")


def test_one_of_several_versions_and_models_is_rolled_out() -> None:
    releases = edits.publish(two_models(), "mine", "2", "stable", 0, None, now())
    after = edits.roll_out(releases, "mine", "2", "stable", 30)
    assert [(each.version, each.percent) for each in after.models["mine"].stable] == [("1", 0), ("2", 30)]
    assert after.models[MODEL] == releases.models[MODEL]
    assert after.models["mine"].releases == releases.models["mine"].releases


def test_what_is_halted_revoked_or_elsewhere_is_not_rolled_out() -> None:
    releases = published("1", "2")
    halted = edits.halt(releases, MODEL, "1", "too slow")
    assert said(lambda: edits.rollout_in(halted, MODEL, "1", "beta")) == (
        f"{MODEL} 1: is halted (too slow). Give --resume to go on with it all the same"
    )
    assert edits.rollout_in(halted, MODEL, "1", "beta", resume=True).halted == "too slow"
    assert edits.rollout_in(halted, MODEL, "2", "beta").version == "2"
    assert said(lambda: edits.rollout_in(releases, MODEL, "1", "stable")) == (
        f"{MODEL} 1: is not in the stable channel. Use fer-fleet promote, or --channel"
    )
    revoked = edits.revoke(releases, MODEL, "1", "")
    assert said(lambda: edits.roll_out(revoked, MODEL, "1", "beta", 100, resume=True)) == (
        f"{MODEL} 1: is revoked (). Publish a new version"
    )


def test_what_is_in_no_channel_is_not_halted() -> None:
    releases = published("1")
    model = releases.models[MODEL].model_copy(update={"beta": ()})
    nowhere = Releases(models={MODEL: model})
    assert said(lambda: edits.halt(nowhere, MODEL, "1", "too slow")) == f"{MODEL} 1: is in no channel"
