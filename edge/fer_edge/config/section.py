"""The base class of all tables of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the configuration. `keys` reads the strings below its keys, for `fer-edge config --default`.

    Pydantic can read them, too, but at each start of the program: a fifth of the time that a short command takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
