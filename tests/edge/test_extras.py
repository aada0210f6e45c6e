"""What is said where the package of an optional part is missing."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_edge.errors import MissingExtra
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.monitoring.report_plots import new_figure
from fer_edge.monitoring.stats_plot import draw_stats

MANIFEST = load_bundle(find_bundle("ferplus7-tiny")).manifest
USES: list[tuple[str, Callable[[], object], str, str]] = [
    ("matplotlib.figure", lambda: draw_stats([], Path("plot.png")), "matplotlib, for --plot,", "plot"),
    ("matplotlib.figure", lambda: new_figure(2.0), "matplotlib, for pictures,", "plot"),
    ("prometheus_client", lambda: Metrics(MANIFEST), "prometheus-client, for metrics,", "web"),
]


@pytest.mark.parametrize(("package", "use", "part", "extra"), USES)
def test_the_part_and_its_installation_are_told(
    monkeypatch: pytest.MonkeyPatch, package: str, use: Callable[[], object], part: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra) as error:
        use()
    assert str(error.value) == f"{part} is not installed. Fix: pip install '.[{extra}]'"
