"""Installing and choosing models, through the command line: what is damaged or made to do harm is refused whole."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.bundles import FILES, edit_manifest, no_probe, rehash
from tests.bundles import make_bundle as make
from tests.conftest import Run

from fer_edge.cli.app import app
from fer_edge.cli.console import run_app
from fer_edge.cli.general import build
from fer_edge.errors import ModelError
from fer_edge.model.bundle import current_bundle, find_bundle, load_bundle
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, Verdict, record_path
from fer_edge.updates import prune
from fer_edge.updates.archive import unpack_bundle
from fer_edge.updates.install import Requirements, install_bundle
from fer_edge.updates.probe import Probe

Models = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of installed models of this test."""
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "state" / "models"))
    return tmp_path / "state" / "models"


@pytest.fixture
def any_speed(tmp_path: Path) -> Path:
    """A configuration that takes a model however busy this machine is."""
    path = tmp_path / "any-speed.toml"
    path.write_text("[updates]\nmin_fps = 0\n")
    return path


@pytest.fixture
def models(
    folder: Path, any_speed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Models:
    """Run `fer-edge models` in this process, with the folder from the environment."""
    assert os.environ["FER_EDGE_MODELS"] == str(folder)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["fer-edge", "models", *map(str, arguments)]
        if arguments[0] == "install" and "--config" not in arguments:
            words += ["--config", str(any_speed)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            run_app(build(app))
        return subprocess.CompletedProcess(words, int(end.value.code or 0), *capsys.readouterr())

    return run


def pack(bundle: Path, archive: Path, top: str = "", *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        for entry in extra:
            tar.addfile(entry, io.BytesIO(b"\0" * entry.size))
        for name in FILES:
            tar.add(bundle / name, f"{top}{name}")
    return archive


def test_a_model_is_installed_chosen_and_taken_back(models: Models, folder: Path, tmp_path: Path) -> None:
    done = models("install", make(tmp_path / "a"))
    assert done.returncode == 0, done.stderr
    assert "mine@2 is installed: golden faces off by 0 of 256 steps at most" in done.stdout
    assert "Use it: fer-edge models use mine@2" in done.stdout
    assert not (folder / "current").exists()
    assert sorted(path.name for path in (folder / "mine" / "2").iterdir()) == sorted(FILES)

    assert models("use", "mine").stdout == "mine@2 is the current model\n"
    assert os.readlink(folder / "current") == "mine/2"  # noqa: PTH115
    assert current_bundle().folder == folder / "mine" / "2"
    assert models("verify").stdout.startswith(f"{folder / 'mine' / '2'}: hashes agree")
    third = pack(make(tmp_path / "b", "3"), tmp_path / "b.tar.gz", "mine/")
    assert "mine@3 is the current model; before: mine@2" in models("install", third, "--use").stdout
    states = {row["model"]: row["state"] for row in json.loads(models("list", "--json").stdout)}
    assert states["mine@3"].startswith("in use since ")
    assert states["mine@2"] == states["ferplus7"] == ""

    assert "mine@2 is the current model; before: mine@3" in models("rollback").stdout
    assert current_bundle().manifest.version == "2"
    lines = models("history").stdout
    assert [lines.index(word) for word in ("rollback", "install", "use")] == sorted(
        lines.index(word) for word in ("rollback", "install", "use")
    )
    models("use", "ferplus7-tiny")
    assert current_bundle().folder == find_bundle("ferplus7-tiny")


def test_without_a_version_the_highest_is_used_whatever_the_clock_said(
    models: Models, folder: Path, tmp_path: Path
) -> None:
    """A board without a battery installed 0.10.0 in 1970."""
    for version in ("0.10.0", "0.9.0"):
        with Slots().lock():
            install_bundle(make(tmp_path / version, version), Slots(), probe=no_probe)
    os.utime(folder / "mine" / "0.10.0", (0, 0))
    assert models("use", "mine").stdout == "mine@0.10.0 is the current model\n"
    assert find_bundle("mine").name == "0.10.0"


def test_a_run_reads_with_the_chosen_model(models: Models, command: Run, tmp_path: Path) -> None:
    assert models("install", make(tmp_path / "a"), "--use").returncode == 0
    done = command("fer-edge", "bench", "--frames", "5", "--json")
    assert json.loads(done.stdout)["model"] == "mine"


def test_prune_keeps_the_current_model_and_the_one_before(models: Models, tmp_path: Path) -> None:
    for version in "1234":
        with Slots().lock():
            install_bundle(make(tmp_path / version, version), Slots(), probe=no_probe)
            Slots().use(ModelId("mine", version), "use")
    assert models("prune").stdout == "removed: mine@1, mine@2\n"
    assert [model.version for model in Slots().installed()] == ["3", "4"]
    assert models("prune").stdout == "nothing to remove\n"
    assert models("rollback").stdout.startswith("mine@3 is the current model")


def test_prune_keeps_the_chosen_model_though_it_failed_its_trial(models: Models, tmp_path: Path) -> None:
    for version in "1234":
        with Slots().lock():
            install_bundle(make(tmp_path / version, version), Slots(), probe=no_probe)
            Slots().use(ModelId("mine", version), "use")
    TrialRecord().ended(Verdict("mine@4", 4, False, "too slow", 0.0)).write(record_path())
    assert models("prune").stdout == "removed: mine@1\n"
    assert [model.version for model in Slots().installed()] == ["2", "3", "4"]


def test_prune_keeps_what_a_configuration_names(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "SERVICE_CONFIGS", tmp_path)
    for version in "12345":
        for name in ("mine", "other"):
            with Slots().lock():
                install_bundle(make(tmp_path / name / version, version, name), Slots(), probe=no_probe)
                Slots().use(ModelId("mine", version), "use")
    (tmp_path / "config.toml").write_text('model = "mine@2"\n')
    (tmp_path / "door.toml").write_text('model = "other"\n')
    (tmp_path / "broken.toml").write_text("model = ")
    done = models("prune")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "broken.toml: is no TOML" in done.stderr
    (tmp_path / "broken.toml").unlink()
    assert models("prune").returncode == 0
    assert list(map(str, Slots().installed())) == ["mine@2", "mine@4", "mine@5", "other@5"]


def test_a_revoked_model_is_not_used_again(models: Models, tmp_path: Path) -> None:
    for version in "123":
        with Slots().lock():
            install_bundle(make(tmp_path / version, version), Slots(), probe=no_probe)
            Slots().use(ModelId("mine", version), "use")
    with Slots().lock():
        Slots().revoke({"mine@2": "poisoned"})
    done = models("use", "mine@2")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "mine@2 was revoked by whoever signs the models (poisoned)" in done.stderr
    assert models("rollback").stdout.startswith("mine@1 is the current model")
    with Slots().lock():
        Slots().revoke({"mine@3": "poisoned", "mine@1": "slow"})
    assert current_bundle().manifest.name == "ferplus7"
    assert models("use", "mine").returncode == 4
    assert set(Slots().revoked()) == {"mine@1", "mine@2", "mine@3"}


def test_a_pinned_model_that_was_revoked_is_said(models: Models, command: Run, tmp_path: Path) -> None:
    models("install", make(tmp_path / "a"))
    with Slots().lock():
        Slots().revoke({"mine@2": "poisoned"})
    done = command("fer-edge", "run", "demo", "--model", "mine@2", "--max-frames", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("model mine@2 was revoked by whoever signs the models (poisoned)") == 1
    assert "revoked" not in command("fer-edge", "run", "demo", "--max-frames", "2").stderr


def test_rollback_without_an_earlier_model_uses_the_default_one(models: Models, tmp_path: Path) -> None:
    done = models("rollback")
    assert done.returncode == 4
    assert "there is no earlier model" in done.stderr
    models("install", make(tmp_path / "a"), "--use")
    assert models("rollback").stdout.startswith("ferplus7 is the current model")


def test_rollback_passes_over_what_cannot_be_used(models: Models, folder: Path, tmp_path: Path) -> None:
    for version in "1234":
        with Slots().lock():
            install_bundle(make(tmp_path / version, version), Slots(), probe=no_probe)
            Slots().use(ModelId("mine", version), "use")
    (folder / "mine" / "3" / "model.tflite").write_bytes(b"damaged")
    verdict = Verdict("mine@2", Slots().history()[1].serial, False, "useless", 0.0)
    TrialRecord().ended(verdict).write(record_path())
    assert models("rollback").stdout.startswith("mine@1 is the current model; before: mine@4")
    with Slots().lock():
        Slots().revoke({"mine@4": "poisoned", "ferplus7@0.1.0": "poisoned"})
    done = models("rollback")
    assert (done.returncode, "there is no earlier model" in done.stderr) == (4, True), done.stdout
    assert current_bundle().manifest.version == "1"


def test_a_version_never_changes(models: Models, tmp_path: Path) -> None:
    bundle = make(tmp_path / "a")
    models("install", bundle)
    assert "mine@2 is already installed" in models("install", bundle).stdout
    edit_manifest(bundle, licence="another")
    done = models("install", bundle)
    assert done.returncode == 4
    assert "is another mine@2 than the installed one" in done.stderr


def test_other_labels_are_told(models: Models, tmp_path: Path) -> None:
    done = models("install", make(tmp_path / "a", base="ferplus8", name="eight"))
    assert done.returncode == 0, done.stderr
    assert "its labels differ from those of the current model (new: contempt)" in done.stdout


def test_a_choice_that_the_configuration_overrides_is_told(models: Models, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('model = "ferplus8"')
    done = models("use", "ferplus7-tiny", "--config", tmp_path / "c.toml")
    assert "the configuration says model = ferplus8, so this has no effect there" in done.stderr


@pytest.mark.parametrize("name", ["mine@9", "nosuch", "../mine", "mine@../1", "mine@", "@1", ".", "a" * 300])
def test_an_unknown_or_impossible_name_is_one_line(models: Models, name: str) -> None:
    done = models("use", name)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1


def harm_link(bundle: Path, archive: Path) -> Path:
    link = tarfile.TarInfo("model.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return pack(bundle, archive, "", link)


def harm_hard_link(bundle: Path, archive: Path) -> Path:
    link = tarfile.TarInfo("golden.npz")
    link.type, link.linkname = tarfile.LNKTYPE, "../../../etc/shadow"
    return pack(bundle, archive, "", link)


def harm_device(bundle: Path, archive: Path) -> Path:
    device = tarfile.TarInfo("disk")
    device.type = tarfile.BLKTYPE
    return pack(bundle, archive, "", device)


def harm_parent(bundle: Path, archive: Path) -> Path:
    return pack(bundle, archive, "../../")


def harm_absolute(bundle: Path, archive: Path) -> Path:
    return pack(bundle, archive, "", tarfile.TarInfo("/tmp/model.json"))  # noqa: S108


def harm_twice(bundle: Path, archive: Path) -> Path:
    again = tarfile.TarInfo("model.json")
    again.size = 3
    return pack(bundle, archive, "", again)


def harm_two_bundles(bundle: Path, archive: Path) -> Path:
    return pack(bundle, archive, "", tarfile.TarInfo("other/model.json"))


def harm_many(bundle: Path, archive: Path) -> Path:
    return pack(bundle, archive, "", *(tarfile.TarInfo(f"file{number}") for number in range(100)))


def harm_large(bundle: Path, archive: Path) -> Path:
    large = tarfile.TarInfo("model.tflite")
    large.size = 33_000_000
    return pack(bundle, archive, "", large)


def harm_bomb(bundle: Path, archive: Path) -> Path:
    filler = tarfile.TarInfo("a")
    filler.size = 40_000_000
    other = tarfile.TarInfo("b")
    other.size = 40_000_000
    return pack(bundle, archive.with_suffix(".gz"), "", filler, other)


def harm_truncated(bundle: Path, archive: Path) -> Path:
    content = pack(bundle, archive).read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    return archive


def harm_no_golden(bundle: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w") as tar:
        for name in FILES[:2]:
            tar.add(bundle / name, name)
    return archive


def harm_long_names(_bundle: Path, archive: Path) -> Path:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    archive.write_bytes((header.tobuf(tarfile.USTAR_FORMAT) + b"abc\0".ljust(512, b"\0")) * 3000)
    return archive


def harm_no_archive(_bundle: Path, archive: Path) -> Path:
    archive.write_bytes(b"PK\x03\x04 this is no tar archive")
    return archive


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (harm_link, "'model.json' is a link"),
        (harm_hard_link, "'golden.npz' is a link"),
        (harm_device, "'disk' is a device"),
        (harm_parent, "'../../model.json' leads out of the bundle's folder"),
        (harm_absolute, "'/tmp/model.json' leads out of the bundle's folder"),
        (harm_twice, "holds model.json twice"),
        (harm_two_bundles, "holds more than one bundle"),
        (harm_many, "holds more than 64 files"),
        (harm_large, "'model.tflite' is larger than 32 MB"),
        (harm_bomb, "is larger than 64 MB"),
        (harm_truncated, "no whole .tar or .tar.gz archive"),
        (harm_no_golden, "has no golden.npz"),
        (harm_long_names, "holds long names without end"),
        (harm_no_archive, "no whole .tar or .tar.gz archive"),
    ],
)
def test_an_archive_made_to_do_harm_is_refused_whole(
    models: Models, folder: Path, tmp_path: Path, harm: Callable[[Path, Path], Path], said: str
) -> None:
    done = models("install", harm(make(tmp_path / "a"), tmp_path / "a.tar"))
    assert done.returncode == 4, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]
    assert not Path("/tmp/model.json").exists()  # noqa: S108


def test_what_lies_deeper_in_an_archive_is_no_part_of_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    older = tarfile.TarInfo("older/copies/model.json")
    older.size = 3
    unpack_bundle(pack(make(tmp_path / "a"), tmp_path / "a.tar", "mine/", older), tmp_path / "out")
    assert load_bundle(tmp_path / "out").manifest.version == "2"


def test_a_model_is_tried_with_the_detector_and_threads_that_are_asked_for(
    folder: Path,  # noqa: ARG001 - where it is installed
    tmp_path: Path,
) -> None:
    asked = []

    def probe(_: Path, detector: str, threads: int) -> Probe:
        asked.append((detector, threads))
        return Probe(0, 9.0, 0.1)

    with Slots().lock():
        install_bundle(make(tmp_path / "a"), Slots(), Requirements(8.0, "mediapipe", 3), probe)
        with pytest.raises(ModelError, match=r"reaches 9 frames per second here, and updates.min_fps is 9.5"):
            install_bundle(make(tmp_path / "b", "3"), Slots(), Requirements(9.5, "haar", 2), probe)
    assert asked == [("mediapipe", 3), ("haar", 2)]
    assert [model.version for model in Slots().installed()] == ["2"]


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz"])
def test_another_file_than_the_hash_says_is_refused(models: Models, folder: Path, tmp_path: Path, name: str) -> None:
    bundle = make(tmp_path / "a")
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    done = models("install", bundle)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert f"{bundle / name}: its sha256 is not the one in model.json" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def test_wrong_outputs_on_golden_faces_are_refused(models: Models, tmp_path: Path) -> None:
    bundle = make(tmp_path / "a")
    with np.load(bundle / "golden.npz") as golden:
        np.savez(bundle / "golden.npz", inputs=golden["inputs"], outputs=np.roll(golden["outputs"], 1, axis=2))
    rehash(bundle)
    done = models("install", bundle)
    assert done.returncode == 4
    assert "outputs differ from the golden ones" in done.stderr


def test_a_model_that_crashes_the_interpreter_is_refused(
    models: Models, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No model is known that crashes the installed runtime, so the child finds a runtime that reads address 0."""
    runtime = tmp_path / "runtime" / "ai_edge_litert"
    runtime.mkdir(parents=True)
    (runtime / "__init__.py").touch()
    (runtime / "interpreter.py").write_text("import ctypes\ndef Interpreter(**_): ctypes.string_at(0)\n")
    monkeypatch.setenv("PYTHONPATH", str(runtime.parent))
    done = models("install", make(tmp_path / "a"))
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "was run in a process of its own, and crashes it (SIGSEGV). Nothing was installed" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def test_a_malformed_model_is_refused(models: Models, folder: Path, tmp_path: Path) -> None:
    bundle = make(tmp_path / "a")
    content = bytearray((bundle / "model.tflite").read_bytes())
    content[:4] = (0xFFFFFF00).to_bytes(4, "little")  # the root table lies far outside of the file
    (bundle / "model.tflite").write_bytes(content)
    rehash(bundle)
    done = models("install", bundle)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert f"{bundle}: the TFLite runtime refuses the model" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def test_golden_faces_that_fill_the_memory_are_refused(models: Models, tmp_path: Path) -> None:
    bundle = make(tmp_path / "a")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 48, 48)})
    with zipfile.ZipFile(bundle / "golden.npz", "w") as archive:
        archive.writestr("inputs.npy", header.getvalue())
    rehash(bundle)
    done = models("install", bundle)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert f"{bundle}: takes more than 1024 MB of memory" in done.stderr


def test_a_model_that_is_too_slow_here_is_refused(models: Models, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[updates]\nmin_fps = 100000")
    done = models("install", make(tmp_path / "a"), "--config", tmp_path / "c.toml")
    assert done.returncode == 4
    assert "frames per second here, and updates.min_fps is 100000" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def test_another_input_size_is_refused(models: Models, tmp_path: Path) -> None:
    bundle = make(tmp_path / "a", input_shape=[64, 64, 1])
    with np.load(bundle / "golden.npz") as golden:
        faces = np.zeros((len(golden["inputs"]), 64, 64), np.uint8)
        np.savez(bundle / "golden.npz", inputs=faces, outputs=golden["outputs"])
    rehash(bundle)
    done = models("install", bundle)
    assert done.returncode == 4
    assert "the model's input has shape (1, 48, 48, 1), but model.json says (1, 64, 64, 1)" in done.stderr
    done = models("install", make(tmp_path / "b", name="ferplus7", input_shape=[64, 64, 1]))
    assert done.returncode == 4
    assert "its input is 64 x 64 x 1, that of ferplus7 is 48 x 48 x 1" in done.stderr


def test_a_name_that_leads_elsewhere_is_refused(models: Models, tmp_path: Path) -> None:
    for number, (name, version) in enumerate((("../../etc", "1"), ("a/b", "1"), ("mine", ".."), ("mine", "1 2"))):
        done = models("install", make(tmp_path / str(number), version, name))
        assert done.returncode == 4
        assert "are to become folders" in done.stderr


def test_a_damaged_current_model_is_replaced_by_the_one_before(
    models: Models, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for version in "12":
        with Slots().lock():
            install_bundle(make(tmp_path / version, version), Slots(), probe=no_probe)
            Slots().use(ModelId("mine", version), "use")
    (folder / "mine" / "2" / "model.tflite").write_bytes(b"TFL3 but damaged")
    assert current_bundle().folder == folder / "mine" / "1"
    assert "Using the model before it" in caplog.text
    shutil.rmtree(folder / "mine")
    assert current_bundle().manifest.name == "ferplus7"
    assert models("list").returncode == 0


def test_two_at_once_are_refused(models: Models, tmp_path: Path) -> None:
    with Slots().lock():
        done = models("install", make(tmp_path / "a"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "another process changes the models" in done.stderr


def test_a_full_disk_changes_nothing(small_disk: Path, any_speed: Path, command: Run, tmp_path: Path) -> None:
    environment = {**os.environ, "FER_EDGE_MODELS": str(small_disk / "models")}
    use = ("--use", "--config", any_speed)
    small = make(tmp_path / "a")
    assert command("fer-edge", "models", "install", small, *use, env=environment).returncode == 0
    large = make(tmp_path / "b", "3", base="ferplus7")
    (small_disk / "filler").write_bytes(b"\0" * (3_000_000 - 1_200_000))
    done = command("fer-edge", "models", "install", large, *use, env=environment)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "No space left on device" in done.stderr
    assert "fer-edge models prune" in done.stderr
    assert sorted(path.name for path in (small_disk / "models" / "mine").iterdir()) == ["2"]
    assert not list((small_disk / "models").glob(".new-*"))
    (small_disk / "filler").unlink()
    assert command("fer-edge", "models", "install", large, *use, env=environment).returncode == 0


def test_a_power_cut_at_any_step_leaves_the_old_or_the_new_model(folder: Path, tmp_path: Path) -> None:
    """A process that installs and chooses a model is killed before each of its file operations in turn."""
    old, new = make(tmp_path / "old", "1"), make(tmp_path / "new", "2")
    with Slots().lock():
        install_bundle(old, Slots(), probe=no_probe)
        Slots().use(ModelId("mine", "1"), "use")
    ended_by: list[int] = []
    versions: list[str] = []
    while not ended_by or ended_by[-1] == signal.SIGKILL:
        ended_by.append(_install_until(len(ended_by) + 1, new))
        bundle = current_bundle()
        versions.append(bundle.manifest.version)
        assert bundle.folder == folder / "mine" / bundle.manifest.version
        assert (bundle.folder / "model.tflite").read_bytes() == (new / "model.tflite").read_bytes()
        if bundle.manifest.version == "2" and ended_by[-1] == signal.SIGKILL:
            assert [str(model) for model in Slots().earlier()] == ["mine@1"]
            with Slots().lock():
                Slots().use(ModelId("mine", "1"), "rollback")
        with Slots().lock():
            if Slots().has(ModelId("mine", "2")) and ended_by[-1] == signal.SIGKILL:
                Slots().remove(ModelId("mine", "2"))
    assert ended_by[-1] == 0
    assert versions[0] == "1"
    assert versions[-1] == "2"
    assert len(ended_by) > 20
    assert not list(folder.glob(".new-*"))


def _install_until(step: int, bundle: Path) -> int:
    """Install and choose a bundle in a process that is killed before its n-th file operation; the signal, or 0."""
    child = os.fork()
    if child == 0:
        left = [step]

        def cut(event: str, _arguments: object) -> None:
            if event in {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.chmod"}:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(cut)
        try:
            with Slots().lock():
                install_bundle(bundle, Slots(), probe=no_probe)
                Slots().use(ModelId("mine", "2"), "use")
        except BaseException:  # noqa: BLE001 - it must not go on as a second pytest
            os._exit(99)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def test_what_a_killed_process_left_is_removed_by_the_next(models: Models, folder: Path, tmp_path: Path) -> None:
    (folder / ".new-x").mkdir(parents=True)
    (folder / ".new-x" / "model.tflite").write_bytes(b"half")
    (folder / ".new-current").symlink_to("mine/9")
    assert models("install", make(tmp_path / "a")).returncode == 0
    assert not list(folder.glob(".new-*"))


def test_a_folder_that_may_not_be_written_is_one_line(models: Models, folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file where the folder should be")
    done = models("install", make(tmp_path / "a"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(folder) in done.stderr
