"""The outcome of a conversion with known figures, and how to read what is printed of it."""

from pathlib import Path

from tests.screen import rows_of

from fer_edge.model.manifest import Accuracy, Calibration
from fer_quantize.check import Comparison, Cost, Measurement
from fer_quantize.gate import Outcome, Rival
from fer_quantize.statistics import PairedDrop

MEASURED = Measurement(
    accuracy=Accuracy(
        data="made.csv",
        split="validation",
        labels="ferplus7",
        images=400,
        accuracy_float=0.8125,
        accuracy_int8=0.79,
        recall_float={"happy": 0.9, "fear": 0.5, "sad": None},
        recall_int8={"happy": 0.87, "fear": 0.51, "sad": None},
    ),
    interval_float=(0.771, 0.848),
    interval_int8=(0.747, 0.827),
    drop=PairedDrop(2.25, (0.5, 4.125), 12, 3, 0.035),
    net_losses={"happy": 9, "fear": -1, "sad": 0},
    class_images={"happy": 300, "fear": 100, "sad": 0},
    agreement=0.9575,
    mean_difference=0.01234,
    max_difference=0.2345,
    ece_float=0.031,
    ece_int8=0.042,
)
COMPARISON = Comparison((MEASURED,), {"happy": 0.12345678}, Cost(5_056_000, 1.2345), Cost(1_312_000, 0.5), 56_640_000)
CALIBRATION = Calibration(temperature=1.25, split="held-out", images=210, ece_before=0.09, ece=0.02, prior=0.5)
RIVAL = Rival("other", 0.8, PairedDrop(1.0, (-0.5, 2.5), 10, 6, 0.454))
OUTCOME = Outcome(Path("out/mine"), COMPARISON, None, False, None, (), None, False)


def shown(text: str) -> tuple[list[str], list[list[str]]]:
    """The lines of a text, and the cells of its tables' rows."""
    return [line.strip() for line in text.splitlines()], rows_of(text)
