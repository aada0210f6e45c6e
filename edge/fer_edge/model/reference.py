"""What a model's validation faces looked like: the part of `model.json` that drift is measured against."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AccuracyEstimate(_Strict):
    """The chance that a label is right: a logistic regression on its confidence and on the crop."""

    weights: dict[str, float]
    """By term: see `fer_edge.monitoring.expected_accuracy`."""
    bias: float
    error: float = Field(ge=0, le=1)
    """Root mean square error of the mean chance, over corruptions of other faces than those of the fit."""


class Reference(_Strict):
    """Validation faces, cut out as the detector finds them; histograms have the bins of the usage record."""

    detector: str
    data: str
    split: str
    labels: str
    """Name of the label set."""
    faces: int = Field(ge=1)
    """That the detector found."""
    prior: float = Field(ge=0, le=1)
    """Power of the training prior with which they were read."""
    accuracy: float = Field(ge=0, le=1)
    """On these faces, int8."""
    histograms: dict[str, dict[int, int]]
    """By feature: faces per bin."""
    estimate: AccuracyEstimate
