"""The base class of all tables of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the configuration. `keys` reads the strings below its keys, for `fer-edge config --default`.

    Pydantic can read them, too, but at each start of the program: an eighth of the time that it takes to import all
    tables.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
