"""The report: one page that holds everything, with what the record, the samples and the drift say."""

import re
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Run
from tests.edge.test_expected_accuracy import IDENTITY
from tests.edge.test_review import tab
from tests.pages import screenshot
from tests.samples import make_folder
from tests.visitors import Scene, month, write_hours

from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import HOUR, UsageStore

__all__ = ["tab"]  # a fixture


def write_record(path: Path, days: int = 14) -> None:
    """A simulated device until now, whose light falls three days before the end."""
    hours = month(seed=3, days=days, changes={days - 3: Scene(light=0.5)})
    start = int(time.time()) // HOUR * HOUR - len(hours) * HOUR
    for index, hour in enumerate(hours):
        samples = hour.histograms["confidence"].total()
        hour.frames, hour.hottest = 1700, 50 + index % 24
        for label, share in (("neutral", 0.55), ("happy", 0.3), ("sad", 0.1), ("uncertain", 0.05)):
            if samples:
                hour.face_s[label] = samples * share
        hour.histograms["expected"] = Counter({17: round(0.8 * samples), 9: round(0.2 * samples)})
        hour.camera_losses, hour.camera_lost_s = (1, 600.0) if index % 100 == 50 else (0, 0.0)
    write_hours(path, hours, IDENTITY, start)


def test_the_page_holds_everything_and_shows_it(command: Run, tab: Any, tmp_path: Path) -> None:
    write_record(tmp_path / "usage.sqlite")
    folder, samples = make_folder(tmp_path / "samples", [("happy", 0.9)] * 20)
    for index, sample in enumerate(samples):
        folder.set_label(sample, "happy" if index % 5 else "sad")
    config, page = tmp_path / "config.toml", tmp_path / "report.html"
    config.write_text(f'[usage]\npath = "{tmp_path}/usage.sqlite"\n[samples]\npath = "{tmp_path}/samples"\n')
    done = command("fer-edge", "report", "--since", "14d", "--html", page, "--config", config, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert not re.search(r'<script|<img|<link|(src|href)="(?!#|data:)|url\((?!#)|@import', text), (
        "nothing from elsewhere"
    )
    assert text.count("<svg") == 5
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    cards = tab.inner_text(".cards")
    assert "drifted" in cards
    assert "faces are darker" in tab.inner_text("body")
    assert "neutral\n55% of the time" in cards
    assert "80%" in cards, "measured: 16 of 20"
    assert requests == [page.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 800
    tab.set_viewport_size({"width": 800, "height": 2400})
    screenshot(tab, "report.png", tmp_path)


@pytest.mark.parametrize("hours", [0, 24 * 31])
def test_a_month_without_a_face_is_a_page_too(command: Run, tmp_path: Path, hours: int) -> None:
    record, page = tmp_path / "usage.sqlite", tmp_path / "report.html"
    with UsageStore(record, IDENTITY) as store:
        store.append(int(time.time()) - 90 * 24 * HOUR, Period(frames=1))
    if hours:
        write_hours(record, [Period(frames=100)] * hours, IDENTITY, int(time.time()) - hours * HOUR)
    done = command("fer-edge", "report", record, "--since", "31d", "--html", page, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nobody" in page.read_text()
    shown = command("fer-edge", "stats", record, "--since", "31d", "--drift", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "expected accuracy: too few faces" in shown.stdout


def test_a_page_that_cannot_be_written_is_one_line(command: Run, tmp_path: Path) -> None:
    record = tmp_path / "usage.sqlite"
    write_record(record, days=1)
    done = command("fer-edge", "report", record, "--html", tmp_path / "none" / "report.html", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    shutil.rmtree(tmp_path / "none", ignore_errors=True)
    assert {path.name for path in tmp_path.iterdir()} <= {"usage.sqlite", "usage.sqlite.lock"}
