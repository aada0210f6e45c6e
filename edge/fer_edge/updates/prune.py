"""Delete versions that nobody needs any more."""

from __future__ import annotations

from fer_edge.model.bundle import current_choices
from fer_edge.model.slots import ModelId, Slots
from fer_edge.model.trial_record import TrialRecord, record_path


def prune(slots: Slots) -> list[ModelId]:
    """Delete all versions except the current one, and the one to go back to. Call it with the lock held.

    Returns:
        Those that were deleted.

    Raises:
        FerError: one cannot be deleted.
    """
    choices = [model for model in current_choices(slots, TrialRecord.read(record_path())) if model.version]
    kept = {slots.current(), *choices[:2]}
    removed = [model for model in slots.installed() if model not in kept]
    for model in removed:
        slots.remove(model)
    return removed
