"""Check a bundle on this machine and install it as a version beside the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import FerError, ModelError, reason
from fer_edge.model.bundle import CURRENT_MODEL, find_bundle, load_bundle, verify_files
from fer_edge.model.manifest import Manifest
from fer_edge.model.slots import ModelId, Slots
from fer_edge.updates.archive import copy_bundle, unpack_bundle
from fer_edge.updates.probe import Probe, probe_bundle


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a new model must fulfil.

    Attributes:
        min_fps: frames per second on the built-in demo.
        detector: with which that is measured.
        threads: the same.
        expected: the model that it must be; None for any.
        same_use: whether other labels, another crop or other colours than those of the current model are refused.
    """

    min_fps: float = 0.0
    detector: str = "haar"
    threads: int = 1
    expected: ModelId | None = None
    same_use: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """A bundle that was installed, or was there already.

    Attributes:
        model: its name and version.
        probe: what was measured; None if it was there already.
        notes: lines for people.
    """

    model: ModelId
    probe: Probe | None
    notes: tuple[str, ...]


def install_bundle(
    source: Path,
    slots: Slots,
    requirements: Requirements | None = None,
    probe: Callable[[Path, str, int], Probe] = probe_bundle,
) -> Installed:
    """Install a bundle; the model in use stays the same. Call it with the lock of the slots held.

    Args:
        source: a bundle's folder, or a .tar or .tar.gz archive.
        slots: where to install it.
        requirements: what it must fulfil.
        probe: runs the model in a process of its own.

    Raises:
        ModelError: the bundle cannot be used here. The message names what is wrong.
        FerError: it cannot be written.
    """
    requirements = requirements or Requirements()
    with slots.staging() as staged:
        try:
            (copy_bundle if source.is_dir() else unpack_bundle)(source, staged)
        except OSError as error:
            raise FerError(
                f"{source}: cannot be installed in {slots.folder} ({reason(error)}). More space: fer-edge models prune"
            ) from error
        try:
            return _check_and_add(staged, slots, requirements, probe)
        except ModelError as error:  # the user knows the source, not the folder in which it was staged
            raise ModelError(str(error).replace(str(staged), str(source))) from error


def _check_and_add(
    staged: Path, slots: Slots, requirements: Requirements, probe: Callable[[Path, str, int], Probe]
) -> Installed:
    manifest = verify_files(staged).manifest
    model = _identity(manifest, staged)
    if requirements.expected and model != requirements.expected:
        raise ModelError(f"{staged}: is {model}, not {requirements.expected}. Nothing was installed")
    if slots.has(model):
        if _same(slots.path(model), staged):
            return Installed(model, None, (f"{model} is already installed",))
        raise ModelError(
            f"{staged}: is another {model} than the installed one. Give each change a version of its own in model.json"
        )
    now = manifest_of(CURRENT_MODEL)
    notes = _label_change(staged, manifest, now, requirements) if now else ()
    if now and requirements.same_use:
        _refuse_other_crop(staged, manifest, now)
    _refuse_other_input(staged, manifest, slots)
    found = probe(staged, requirements.detector, requirements.threads)
    if found.fps < requirements.min_fps:
        raise ModelError(
            f"{staged}: reaches {found.fps:g} frames per second here, and updates.min_fps is {requirements.min_fps:g}. "
            "Take a smaller model such as ferplus7-tiny"
        )
    slots.add(staged, model)
    return Installed(model, found, notes)


def _identity(manifest: Manifest, folder: Path) -> ModelId:
    try:
        return ModelId.parse(f"{manifest.name}@{manifest.version}")
    except ModelError:
        raise ModelError(
            f"{folder}: model.json: name {manifest.name!r} and version {manifest.version!r} are to become folders: "
            "use letters, digits and _ . + -"
        ) from None


def _same(installed: Path, staged: Path) -> bool:
    with suppress(OSError):
        return all((installed / path.name).read_bytes() == path.read_bytes() for path in staged.iterdir())
    return False


def _label_change(staged: Path, manifest: Manifest, now: Manifest, requirements: Requirements) -> tuple[str, ...]:
    """A line where outputs will show other labels than now."""
    added = [label for label in manifest.labels if label not in now.labels]
    removed = [label for label in now.labels if label not in manifest.labels]
    if not added and not removed:
        return ()
    parts = [f"{verb}: {', '.join(labels)}" for labels, verb in ((added, "new"), (removed, "gone")) if labels]
    change = f"its labels differ from those of the current model ({'; '.join(parts)})"
    if requirements.same_use:
        raise ModelError(f"{staged}: {change}. An update does not change them: use fer-edge models install")
    return (f"{change}: what reads the outputs must know them",)


def _refuse_other_crop(staged: Path, manifest: Manifest, now: Manifest) -> None:
    """The trial compares two models on one crop, so an update keeps it."""
    for field, old, new in (
        ("crop_margin", now.crop_margin, manifest.crop_margin),
        ("colour", now.preprocessing.colour, manifest.preprocessing.colour),
    ):
        if old != new:
            raise ModelError(
                f"{staged}: its {field} is {new}, and that of the current model {old}, so the two cannot be compared. "
                "An update does not change it: use fer-edge models install"
            )


def _refuse_other_input(staged: Path, manifest: Manifest, slots: Slots) -> None:
    """The versions of one name have one input size, and so has a shipped model of that name."""
    others = [str(model) for model in slots.installed() if model.name == manifest.name]
    for other in (manifest.name, *others):
        known = manifest_of(other)
        if known and known.input_shape != manifest.input_shape:
            raise ModelError(
                f"{staged}: its input is {_size(manifest)}, that of {other} is {_size(known)}. "
                "Give it another name in model.json"
            )


def _size(manifest: Manifest) -> str:
    return " x ".join(map(str, manifest.input_shape))


def manifest_of(name: str) -> Manifest | None:
    """The description of a model; None if there is none, or it is damaged."""
    with suppress(ModelError):
        return load_bundle(find_bundle(name)).manifest
    return None
