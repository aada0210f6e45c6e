"""The changes of `releases.json`, one by one."""

from collections.abc import Callable

import pytest

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


def test_one_version_of_three_is_revoked() -> None:
    revoked = edits.revoke(published("1", "2", "3"), MODEL, "2", "poisoned").models[MODEL]
    assert [release.revoked for release in revoked.releases] == [None, "poisoned", None]
