"""Delete versions that nobody needs any more."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fer_edge.errors import FerError, reason
from fer_edge.model.bundle import current_choices
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, record_path

# Where the configurations of the service and its instances are.
SERVICE_CONFIGS = Path("/etc/fer-edge")


def prune(slots: Slots) -> list[ModelId]:
    """Delete all versions except the current one, the one to go back to, and those that a configuration names.

    Call it with the lock held.

    Returns:
        Those that were deleted.

    Raises:
        FerError: a configuration cannot be read, or a version cannot be deleted.
    """
    choices = [model for model in current_choices(slots, TrialRecord.read(record_path())) if model.version]
    kept = {slots.current(), *choices[:2]}
    pinned = _pinned()
    installed = slots.installed()
    newest = {model.name: model for model in installed}
    kept |= {
        model for model in installed if str(model) in pinned or (model.name in pinned and newest[model.name] == model)
    }
    removed = [model for model in installed if model not in kept]
    for model in removed:
        slots.remove(model)
    return removed


def _pinned() -> set[str]:
    """What the configurations of the service say as `model`."""
    found = set()
    for path in sorted(SERVICE_CONFIGS.glob("*.toml")):
        try:
            found.add(str(tomllib.loads(path.read_text()).get("model")))
        except OSError as error:
            raise FerError(
                f"{path}: cannot be read ({reason(error)}), and may name a model. Nothing was deleted"
            ) from error
        except ValueError as error:
            raise FerError(f"{path}: is no TOML ({error}), and may name a model. Nothing was deleted") from error
    return found
