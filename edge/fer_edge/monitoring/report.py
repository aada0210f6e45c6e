"""A page about a device's last days: one HTML file that holds everything, to look at, mail or publish."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fer_edge import __version__
from fer_edge.errors import ConfigError, reason
from fer_edge.files import replace_file
from fer_edge.monitoring.drift import DriftReport
from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
from fer_edge.monitoring.measured_accuracy import MeasuredAccuracy, by_month, measure
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.report_plots import draw_accuracy, draw_faults, draw_features, draw_labels, draw_week
from fer_edge.monitoring.samples import SampleFolder
from fer_edge.monitoring.stats import Group, Span, group_rows
from fer_edge.monitoring.store import DAY, Row, read_rows

# Up to so many days are drawn by the hour.
_HOURLY_DAYS = 3

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 2rem auto; max-width: 52rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
       background: #f7f7f5; color: #1c1c1a; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem; margin: 1.5rem 0; }
.card { background: #fff; border: 1px solid #d8d8d2; border-radius: .5rem; padding: .75rem; }
.card b { display: block; font-size: 1.4rem; } .card span, .quiet { color: #595955; font-size: .9rem; }
.bad b { color: #b00020; } .good b { color: #00695c; }
svg { background: #fff; border-radius: .5rem; width: 100%; height: auto; }
"""


@dataclass(frozen=True, slots=True)
class ReportInput:
    """What a report is about.

    Attributes:
        path: the usage record.
        since: where it begins.
        now: where it ends.
        drift: since the reference week.
        expected: the accuracy to expect, if that is known.
        samples: the folder with labelled samples, if there is one.
    """

    path: Path
    since: datetime
    now: datetime
    drift: DriftReport
    expected: ExpectedAccuracy | None
    samples: SampleFolder | None


def write_report(about: ReportInput, out: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        MissingExtra: matplotlib is not installed.
        ConfigError: the record cannot be read, or the page cannot be written.
    """
    text = make_report(about)
    try:
        replace_file(out, text.encode())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--html {out}: cannot be written ({reason(error)})") from error


def make_report(about: ReportInput) -> str:
    """The page as HTML, without scripts and without anything from elsewhere."""
    rows = read_rows(about.path, int(about.since.timestamp()))
    labelled = about.samples.labels().values() if about.samples else ()
    seen = about.samples.seen() if about.samples else {}
    span: Span = "hour" if (about.now - about.since).total_seconds() <= _HOURLY_DAYS * DAY else "day"
    groups = group_rows(rows, span)
    parts = [_head(about, groups), _cards(about, rows, groups, measure(labelled, seen))]
    if groups:
        reference = {feature.name: feature.before for feature in about.drift.features}
        parts += [
            _section("Who was seen", draw_labels(groups)),
            _section("When", draw_week(group_rows(rows, "hour"))),
            _section("Is it still as it was?", draw_features(groups, reference), about.drift.reason),
            _section("Is it right?", draw_accuracy(groups, by_month(labelled, seen)), _trust(about.expected)),
            _section("Device", draw_faults(groups)),
        ]
    parts.append(f'<p class="quiet">fer-edge {__version__}. Counts only: this page holds no picture of anybody.</p>')
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>fer-edge report</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(about: ReportInput, groups: Sequence[Group]) -> str:
    models = ", ".join(dict.fromkeys(model for group in groups for model in group.models)) or "nothing was recorded"
    days = f"{about.since:%A, %d %B %Y} to {about.now:%A, %d %B %Y}"
    return f'<h1>What {html.escape(os.uname().nodename)} saw</h1>\n<p class="quiet">{days}; {html.escape(models)}</p>'


def _cards(about: ReportInput, rows: Sequence[Row], groups: Sequence[Group], measured: MeasuredAccuracy | None) -> str:
    whole = Period()
    for row in rows:
        whole.add(row.period)
    face_s = whole.face_s
    most = max(face_s, key=lambda label: face_s[label], default="nobody")
    share = f"{face_s[most] / max(sum(face_s.values()), 1e-9):.0%} of the time" if face_s else ""
    cards = [
        _card("people", f"{whole.people}", f"{sum(face_s.values()) / 3600:.1f} hours of faces"),
        _card("seen most", html.escape(most), share),
        _card("drift", about.drift.state, "since the reference week", bad=about.drift.state == "drifted"),
        _expected_card(about.expected),
        _measured_card(measured),
        _card(
            "camera lost",
            f"{whole.camera_losses}x",
            f"{whole.camera_lost_s / 60:.0f} minutes",
            bad=whole.camera_losses > 0,
        ),
        _card("recorded", f"{sum(group.seconds for group in groups) / 3600:.0f} h", f"{whole.frames} frames"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _expected_card(expected: ExpectedAccuracy | None) -> str:
    if expected is None:
        return _card("expected accuracy", "-", "too few faces in the last two days, or no reference")
    text = f"{expected.low:.0%} to {expected.high:.0%}" + ("" if expected.trusted else "; not to be trusted")
    return _card("expected accuracy", f"{expected.accuracy:.0%}", text, bad=not expected.trusted)


def _measured_card(measured: MeasuredAccuracy | None) -> str:
    if measured is None or measured.accuracy is None:
        return _card("measured accuracy", "-", "no sample has a label: fer-edge samples review")
    rate = measured.accuracy
    text = f"{rate.low:.0%} to {rate.high:.0%}, by {measured.labelled} labels"
    return _card("measured accuracy", f"{rate.value:.0%}", text)


def _card(name: str, value: str, text: str, *, bad: bool = False) -> str:
    return f'<div class="card{" bad" if bad else ""}"><span>{name}</span><b>{value}</b><span>{text}</span></div>'


def _section(title: str, picture: str, text: str = "") -> str:
    said = f'<p class="quiet">{html.escape(text)}</p>\n' if text else ""
    return f"<h2>{title}</h2>\n{said}{picture}"


def _trust(expected: ExpectedAccuracy | None) -> str:
    return f"Expected accuracy of the last two days: {expected.reason}." if expected else ""
