"""Pydantic's errors in one line: the field, the problem, and no secret."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from fer_edge.validation import first_problem


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Lens(Strict):
    kind: Literal["wide", "narrow", "macro"] = "wide"
    zoom: int = Field(default=1, ge=1)
    pin: SecretStr | None = Field(default=None, min_length=4)


class Device(Strict):
    name: str = "x"
    lens: Lens | None = None
    path: Path | None = None
    numbers: tuple[int, ...] = ()
    far: Literal["no", "yes"] = Field(default="no", alias="is_far")
    size: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _has_a_lens(self) -> "Device":
        if self.name == "blind":
            raise ValueError("lens is missing")
        return self


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        ('{"nmae": "a"}', "nmae", "unknown key. Did you mean name?"),
        ('{"isfar": "no"}', "isfar", "unknown key. Did you mean is_far?"),
        ('{"qqq": "secret"}', "qqq", "unknown key"),
        ('{"lens": {"zoon": 1}}', "lens.zoon", "unknown key. Did you mean zoom?"),
        ('{"lens": {"nmae": 1}}', "lens.nmae", "unknown key"),
        ('{"name": 1, "size": 3, "pth": "a"}', "pth", "unknown key. Did you mean path?"),
        (
            '{"lens": {"kind": "wied"}}',
            "lens.kind",
            "'wied' is unknown. Did you mean wide? Choose wide, narrow or macro",
        ),
        ('{"lens": {"kind": "qq"}}', "lens.kind", "'qq' is unknown. Choose wide, narrow or macro"),
        ('{"lens": {"kind": 3}}', "lens.kind", "Input should be 'wide', 'narrow' or 'macro', not 3"),
        ('{"size": 3}', "size", "Input should be 1 or 2, not 3"),
        ('{"size": "3"}', "size", "Input should be 1 or 2, not '3'"),
        ('{"lens": {"zoom": 0}}', "lens.zoom", "Input should be greater than or equal to 1, not 0"),
        ('{"lens": {"zoom": true}}', "lens.zoom", "Input should be a valid integer, not True"),
        ('{"lens": {"zoom": 1.5}}', "lens.zoom", "Input should be a valid integer, not 1.5"),
        ('{"lens": {"zoom": [1]}}', "lens.zoom", "Input should be a valid integer"),
        ('{"numbers": [1, "a"]}', "numbers.1", "Input should be a valid integer, not 'a'"),
        ('{"lens": {"pin": "abc"}}', "lens.pin", "Value should have at least 4 items after validation, not 3"),
        ('{"lens": {"pin": 123}}', "lens.pin", "Input should be a valid string"),
        ('{"name": "blind"}', "(file)", "lens is missing"),
        ('{"path": 1, "name": 2}', "name", "Input should be a valid string, not 2"),
    ],
)
def test_the_first_error_is_told(text: str, field: str, problem: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Device.model_validate_json(text, strict=True)
    assert first_problem(raised.value, Device) == (field, problem)


def test_a_file_that_is_no_json_is_told_without_what_it_holds() -> None:
    with pytest.raises(ValidationError) as raised:
        Device.model_validate_json("secret")
    field, problem = first_problem(raised.value, Device)
    assert field == "(file)"
    assert problem.startswith("Invalid JSON: ")
    assert "secret" not in problem


@pytest.mark.parametrize("text", ['{"size": "%s"}', '{"lens": {"kind": "%s"}}'])
def test_a_long_value_is_cut(text: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Device.model_validate_json(text % ("x" * 300), strict=True)
    _, problem = first_problem(raised.value, Device)
    assert len(problem) == 200
    assert problem.endswith("xxx")
