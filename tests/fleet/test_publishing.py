"""The way of a model from a workstation to a device: publish, roll out, promote, halt, revoke."""

import json
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fleet_repository import Device, Operator

from fer_edge.errors import ConfigError
from fer_edge.model.bundle import find_bundle, load_bundle, sha256
from fer_edge.model.golden import verify
from fer_edge.updates.releases import Releases, decide
from fer_fleet import edits
from fer_fleet.cli.options import now

MODEL = "ferplus7-tiny"


def taken(device: Device, channel: str = "stable", **more: object) -> str | None:
    given = {"name": MODEL, "channel": channel, "device_id": "d1", **more}
    return decide(device.update(), **given).version  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_published_bundle_arrives_whole_and_reads_its_golden_faces(operator: Operator, device: Device) -> None:
    bundle = operator.bundle("0.2.0")
    assert operator.do("publish", bundle) == f"{MODEL}@0.2.0: published, beta at 100 %\n"
    client = device.client()
    target = client.get_targetinfo(f"bundles/{MODEL}/0.2.0.tar")
    assert target is not None
    with tarfile.open(client.download_target(target)) as archive:
        assert archive.getnames() == ["model.tflite", "model.json", "golden.npz"]
        assert {member.mode for member in archive} == {0o644}, "any user of the device may read them"
        archive.extractall(device.folder / "bundle", filter="data")
    assert "golden faces" in verify(device.folder / "bundle")
    assert load_bundle(device.folder / "bundle").manifest.version == "0.2.0"


def test_beta_gets_it_at_once_and_stable_step_by_step(operator: Operator, device: Device) -> None:
    operator.do("publish", operator.bundle("0.2.0"))
    assert (taken(device), taken(device, "beta")) == (None, "0.2.0")
    operator.do("promote", "0.2.0")
    assert taken(device) is None
    operator.do("rollout", "0.2.0", "--percent", 10, "--cohort", "lab")
    operator.do("rollout", "0.2.0", "--percent", 100, "--cohort", "lab")
    assert (taken(device), taken(device, tags=["lab"])) == (None, "0.2.0")
    operator.do("rollout", f"{MODEL}@0.2.0", "--percent", 100)
    assert taken(device) == "0.2.0"


def test_stable_devices_get_nothing_before_a_share_is_given(operator: Operator, device: Device) -> None:
    said = operator.do("publish", operator.bundle("0.2.0"), "--channel", "stable")
    assert said == f"{MODEL}@0.2.0: published, stable at 0 %\n"
    assert taken(device) is None
    operator.do("rollout", "0.2.0", "--percent", 100, "--cohort", "lab")
    operator.do("publish", operator.bundle("0.3.0"))
    lines = operator.do("show").splitlines()
    assert [line.split("│")[2].strip() for line in lines if MODEL in line] == ["0.3.0", "0.2.0"], "the newest first"
    assert "0 %, 100 % of lab" in " ".join(" ".join(lines).replace("│", " ").split())


def test_halting_keeps_others_from_it_and_revoking_takes_it_back(operator: Operator, device: Device) -> None:
    for version in ("0.2.0", "0.3.0"):
        operator.do("publish", operator.bundle(version), "--channel", "stable", "--percent", 100)
    assert taken(device, installed_version="0.2.0") == "0.3.0"
    operator.do("halt", "0.3.0", "--reason", "reads everybody as sad")
    assert taken(device, installed_version="0.2.0") is None
    assert taken(device, installed_version="0.3.0") is None
    refused = operator.run("rollout", "0.3.0", "--percent", 100)
    assert (refused.code, refused.err) == (
        2,
        f"error: {MODEL} 0.3.0: is halted (reads everybody as sad). Give --resume to go on with it all the same\n",
    )
    operator.do("revoke", "0.3.0")
    assert taken(device, installed_version="0.3.0") == "0.2.0"
    assert "is revoked" in operator.run("rollout", "0.3.0", "--percent", 100, "--resume").err


def test_a_halted_version_goes_on_when_that_is_wanted(operator: Operator, device: Device) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--channel", "stable", "--percent", 100)
    operator.do("halt", "0.2.0")
    operator.do("rollout", "0.2.0", "--percent", 100, "--resume")
    assert taken(device) == "0.2.0"


def test_show_names_each_release_and_key(operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"), "--channel", "stable", "--percent", 33)
    operator.do("halt", "0.2.0", "--reason", "too slow")
    shown = operator.do("show")
    for part in (MODEL, "0.2.0", "halted at 33 %", "halted: too slow", "root", "timestamp"):
        assert part in shown
    content = json.loads(operator.do("show", "--json"))
    assert content["releases"]["models"][MODEL]["stable"][0]["percent"] == 33
    assert [role["version"] for role in content["roles"]] == [1, 3, 3, 3]
    assert content["current"]


# What is refused, in one line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("promote", "0.9.0"), "0.9.0: was not published. Choose ferplus7-tiny@0.1.0"),
        (("promote", "0.1.0"), "ferplus7-tiny 0.1.0: is in the stable channel"),
        (("rollout", "0.1.0", "--percent", 20), "50 % have it already, and a lower share takes it from nobody"),
        (("rollout", "0.1.0", "--percent", 60, "--cohort", "a b"), "cohorts.a b"),
        (("rollout", "0.1.0", "--percent", 60, "--channel", "beta"), "is not in the beta channel"),
        (("rollout", "0.1.0", "--percent", 101), "should be less than or equal to 100"),
        (("halt", "0.1.0", "--reason", "two\nlines"), "give a reason in one line"),
        (("publish", "nowhere"), "'nowhere' is neither a folder nor a shipped model"),
    ],
)
def test_what_makes_no_sense_is_refused(operator: Operator, words: tuple[object, ...], message: str) -> None:
    operator.do("publish", operator.bundle("0.1.0"), "--channel", "stable", "--percent", 50)
    before = files(operator.repo)
    done = operator.run(*words)
    assert done.code in {2, 4}
    assert message in done.err
    assert done.err.count("\n") == 1
    assert files(operator.repo) == before


def test_a_version_stays_as_it_is(operator: Operator) -> None:
    bundle = operator.bundle("0.2.0")
    operator.do("publish", bundle)
    operator.do("publish", bundle)  # once more, as after a crash
    manifest = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps({**manifest, "licence": "another"}))
    assert "was published before, and a version stays as it is" in operator.run("publish", bundle).err


def test_a_name_that_cannot_be_part_of_a_path_is_refused(operator: Operator) -> None:
    bundle = operator.bundle("0.2.0")
    manifest = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps({**manifest, "name": "../../etc"}))
    done = operator.run("publish", bundle)
    assert done.code == 2
    assert not list(operator.folder.glob("**/etc"))


# The gate


def test_a_bundle_that_loses_too_much_by_int8_needs_a_reason(operator: Operator, device: Device) -> None:
    report = operator.report()
    first = report["measurements"][0]
    first["drop"]["lost"] = first["drop"]["gained"] + 1 + first["accuracy"]["images"] // 200  # type: ignore[operator]
    bundle = operator.bundle("0.2.0", report=report)
    refused = operator.run("publish", bundle)
    assert refused.code == 2
    assert "percentage points by int8, more than 0.5. To publish it all the same, give --force a reason" in refused.err
    operator.do("publish", bundle, "--force", "the museum opens tomorrow")
    assert device.update().models[MODEL].releases[0].forced == "the museum opens tomorrow"
    assert "forced: the museum opens tomorrow" in operator.do("show")


def test_a_bundle_at_the_limit_passes(operator: Operator) -> None:
    report = operator.report()
    first = report["measurements"][0]
    first["drop"]["lost"] = first["drop"]["gained"] + first["accuracy"]["images"] // 200  # type: ignore[operator]
    operator.do("publish", operator.bundle("0.2.0", report=report))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net_losses": {"fear": 3}, "class_images": {"fear": 100}}, "loses 3 of 100 faces of 'fear' by int8"),
        ({"net_losses": {"fear": 2}, "class_images": {"fear": 100}}, None),
        ({"net_losses": {"fear": 1}, "class_images": {"fear": 3}}, None),
        (
            {"accuracy": {"images": 100, "accuracy_int8": 0.4}, "class_images": {"sad": 40}, "net_losses": {}},
            "has an accuracy of 40.0%: always the same answer would have 40.0%",
        ),
        ({"accuracy": {"images": "many"}}, "measurements.0.accuracy.images"),
    ],
)
def test_the_gate_reads_what_fer_quantize_measured(
    operator: Operator, change: dict[str, object], message: str | None
) -> None:
    report = operator.report()
    first = {**report["measurements"][0], **change}
    if "accuracy" in change:
        first["drop"] = {"lost": 0, "gained": 0}
    done = operator.run("publish", operator.bundle("0.2.0", report={"measurements": [first]}))
    assert (done.code == 0) == (message is None), done.err
    assert (message or "") in done.err


def test_a_bundle_without_a_report_needs_a_reason(operator: Operator) -> None:
    bundle = operator.bundle("0.2.0")
    (bundle / "quantization.json").unlink()
    assert "has no quantization.json: convert it with fer-quantize" in operator.run("publish", bundle).err
    operator.do("publish", bundle, "--force", "made elsewhere")


def test_a_changed_model_is_not_published_for_any_reason(operator: Operator) -> None:
    bundle = operator.bundle("0.2.0")
    content = bytearray((bundle / "model.tflite").read_bytes())
    content[5000] ^= 1
    (bundle / "model.tflite").write_bytes(content)
    done = operator.run("publish", bundle, "--force", "please")
    assert done.code == 4
    assert "its sha256 is not the one in model.json" in done.err


def test_what_is_not_as_the_manifest_says_is_not_published_for_any_reason(operator: Operator) -> None:
    """A changed report, and another model whose hash is right: only running it shows that."""
    bundle, other = operator.bundle("0.2.0"), operator.bundle("0.3.0")
    (bundle / "quantization.json").write_text('{"measurements": []}')
    content = (find_bundle("ferplus7") / "model.tflite").read_bytes()
    (other / "model.tflite").write_bytes(content)
    manifest = json.loads((other / "model.json").read_text())
    manifest["files"]["model.tflite"] = sha256(content)
    (other / "model.json").write_text(json.dumps(manifest))
    for folder, said in ((bundle, "its sha256 is not the one in model.json"), (other, "differ from the golden ones")):
        done = operator.run("publish", folder, "--force", "please")
        assert (done.code, said in done.err) == (4, True), done.err


def test_a_report_that_the_manifest_does_not_name_is_none_and_a_reason_without_need_is_not_signed(
    operator: Operator, device: Device
) -> None:
    bundle = operator.bundle("0.2.0")
    manifest = json.loads((bundle / "model.json").read_text())
    del manifest["files"]["quantization.json"]
    (bundle / "model.json").write_text(json.dumps(manifest))
    assert "has no quantization.json: convert it with fer-quantize" in operator.run("publish", bundle).err
    operator.do("publish", operator.bundle("0.3.0"), "--force", "to be sure")
    assert device.update().models[MODEL].releases[0].forced is None


# Edits of the releases

steps = st.lists(st.tuples(st.sampled_from(["0", "1", "2"]), st.floats(0, 100), st.booleans()), max_size=12)


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(steps)
def test_no_sequence_of_rollouts_takes_a_version_from_a_device(steps: list[tuple[str, float, bool]]) -> None:
    releases = Releases()
    for version in "012":
        releases = edits.publish(releases, MODEL, version, "stable", 0, None, now())
    devices = [f"device-{number}" for number in range(40)]
    has: dict[str, str | None] = dict.fromkeys(devices)
    for version, percent, cohort in steps:
        try:
            releases = edits.roll_out(releases, MODEL, version, "stable", percent, ("lab",) if cohort else ())
        except ConfigError:
            continue
        for device in devices:
            wanted = decide(
                releases, name=MODEL, channel="stable", device_id=device, tags=["lab"], installed_version=has[device]
            )
            if wanted.version is not None:
                assert wanted.version > (has[device] or "")
                has[device] = wanted.version


def test_a_promoted_version_stands_where_it_was_published(operator: Operator, device: Device) -> None:
    operator.do("publish", operator.bundle("0.1.0"))
    operator.do("publish", operator.bundle("0.2.0"), "--channel", "stable", "--percent", 100)
    operator.do("promote", "0.1.0", "--percent", 100)
    assert [rollout.version for rollout in device.update().models[MODEL].stable] == ["0.1.0", "0.2.0"]
    assert taken(device) == "0.2.0"


def test_a_version_of_two_models_needs_the_models_name(operator: Operator) -> None:
    operator.do("publish", operator.bundle("0.2.0"))
    operator.do("publish", operator.bundle("0.2.0", name="mine"))
    assert f"Give {MODEL}@0.2.0 or mine@0.2.0" in operator.run("promote", "0.2.0").err
    operator.do("promote", "mine@0.2.0")


def test_a_folder_that_is_no_repository_is_one_line(operator: Operator, tmp_path: Path) -> None:
    operator.folder = tmp_path / "empty"
    done = operator.run("show")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "is no repository. Make one with fer-fleet init" in done.err


def test_a_clock_that_is_years_ahead_publishes_nothing(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every device would take its own clock for wrong, for years."""
    before = sorted(operator.repo.rglob("*"))
    ahead = now() + timedelta(days=3 * 365)
    monkeypatch.setattr("fer_fleet.cli.publishing.now", lambda: ahead)
    done = operator.run("publish", operator.bundle("0.2.0"))
    assert done.code == 2
    assert f"the clock here says {ahead:%Y-%m-%d}" in done.err
    assert f"the newest file was signed on {now():%Y-%m-%d}" in done.err
    assert done.err.count("\n") == 1
    assert sorted(operator.repo.rglob("*")) == before
    monkeypatch.setattr("fer_fleet.cli.publishing.now", lambda: now() + timedelta(days=300))
    operator.do("publish", operator.folder / "bundle-ferplus7-tiny-0.2.0")


@pytest.mark.parametrize("words", [("show",), ("refresh",), ("rotate", "targets")])
def test_without_a_repository_the_current_folder_is_named(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Also before a passphrase is asked for."""
    monkeypatch.delenv("FER_FLEET_PASSPHRASE", raising=False)
    (tmp_path / "nothing").mkdir()
    monkeypatch.chdir(tmp_path / "nothing")
    done = operator.run(words[0], "--repo", ".", *words[1:])
    assert done.code == 2
    nothing = tmp_path / "nothing"
    assert done.err == f"error: {nothing}: is no repository. Make one with fer-fleet init {nothing}\n"
    assert not any(Path().iterdir())
