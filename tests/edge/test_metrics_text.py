"""The metrics as Prometheus reads them, and their text file, in one process."""

import re
from pathlib import Path

import numpy as np
import pytest
from tests.clock import Clock
from tests.edge.test_prometheus import samples

from fer_edge import __version__
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.drift import DriftReport
from fer_edge.monitoring.expected_accuracy import ExpectedAccuracy
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.monitoring.store import ModelIdentity, UsageStore
from fer_edge.monitoring.usage import UsageRecorder
from fer_edge.sinks import Sink
from fer_edge.types import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace

MANIFEST = load_bundle(find_bundle("ferplus7-tiny")).manifest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fer_edge.monitoring.prometheus.time", clock)
    return clock


def frame(index: int, at: float, *labels: str, live: bool = True, hidden: bool = False) -> FrameResult:
    faces = []
    for identity, label in enumerate(labels):
        read = Prediction(np.full(7, 1 / 7, np.float32), label, 0.5)
        track = Track(identity, FaceBox(0, 0, 20, 20), 1.0, 0.0, visible=not hidden)
        faces.append(TrackedFace(track, read, read))
    image = np.zeros((4, 4, 3), np.uint8)
    return FrameResult(Frame(image, at, index, live=live), tuple(faces), {"track": 4.0, "classify": 30.0})


def values(metrics: Metrics) -> dict[str, float]:
    return samples(metrics.text().decode())


def test_every_metric_has_its_name_its_kind_and_a_sentence() -> None:
    text = Metrics(MANIFEST).text().decode()
    kinds = dict(re.findall(r"^# TYPE (fer_edge_\w+) (\w+)$", text, re.MULTILINE))
    assert (
        kinds.items()
        >= {
            "fer_edge_build_info": "gauge",
            "fer_edge_frame_seconds": "histogram",
            "fer_edge_frames_total": "counter",
            "fer_edge_faces": "gauge",
            "fer_edge_face_seconds_total": "counter",
            "fer_edge_source_up": "gauge",
            "fer_edge_sink_up": "gauge",
            "fer_edge_process_resident_memory_bytes": "gauge",
        }.items()
    )
    helps = dict(re.findall(r"^# HELP (fer_edge_\w+) (.+)$", text, re.MULTILINE))
    assert helps.keys() == kinds.keys()
    versions = f'model="ferplus7-tiny",model_version="{MANIFEST.version}",version="{__version__}"'
    assert f"fer_edge_build_info{{{versions}}} 1.0" in text


def test_frames_dropped_ones_faces_and_the_seconds_of_each_label() -> None:
    metrics = Metrics(MANIFEST)
    assert values(metrics)["fer_edge_source_up"] == 0
    metrics.emit(frame(5, 10.0, "happy", "sad"))
    metrics.emit(frame(8, 10.5, "happy"))
    metrics.emit(frame(9, 30.0, "uncertain", hidden=True))
    metrics.emit(frame(10, 29.0, "sad", "sad"))
    found = values(metrics)
    assert found['fer_edge_frames_total{result="processed"}'] == 4
    assert found['fer_edge_frames_total{result="dropped"}'] == 2
    assert found["fer_edge_faces"] == 2
    assert found["fer_edge_source_up"] == 1
    seconds = {name: value for name, value in found.items() if "face_seconds" in name}
    assert len(seconds) == 8
    assert {name: value for name, value in seconds.items() if value} == {
        'fer_edge_face_seconds_total{label="happy"}': 0.5
    }
    metrics.emit(frame(11, 40.0, "sad"))
    assert values(metrics)['fer_edge_face_seconds_total{label="sad"}'] == 1.0, "a frame counts for a second at most"
    metrics.waiting("camera 0")
    assert [values(metrics)[name] for name in ("fer_edge_faces", "fer_edge_source_up")] == [0, 0]


def test_a_file_drops_no_frames() -> None:
    metrics = Metrics(MANIFEST)
    for index in (1, 9):
        metrics.emit(frame(index, float(index), live=False))
    assert values(metrics)['fer_edge_frames_total{result="dropped"}'] == 0


def test_stages_are_histograms_of_seconds() -> None:
    metrics = Metrics(MANIFEST)
    for index in range(3):
        metrics.emit(frame(index, 0.0))
    found = values(metrics)
    assert found['fer_edge_frame_seconds_sum{stage="track"}'] == pytest.approx(0.012)
    assert found['fer_edge_frame_seconds_count{stage="classify"}'] == 3
    buckets = {
        float(bound): found[name]
        for name in found
        if (match := re.fullmatch(r'fer_edge_frame_seconds_bucket\{le="([^"]+)",stage="classify"\}', name))
        for bound in [match[1]]
    }
    assert {bound for bound, count in buckets.items() if count == 0} == {bound for bound in buckets if bound < 0.03}
    assert {count for bound, count in buckets.items() if bound >= 0.03} == {3}


class Output(Sink):
    def __init__(self, description: str, trouble: str) -> None:
        self.description, self.trouble = description, trouble


def test_outputs_drift_and_expected_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(MANIFEST)
    recorder = UsageRecorder(UsageStore(tmp_path / "usage.sqlite", ModelIdentity("m", "1", "")), "the record")
    metrics.watch([Output("MQTT", "no broker"), Output("CSV", ""), recorder])
    monkeypatch.setattr(UsageRecorder, "drift", DriftReport("watch", (), ""))
    monkeypatch.setattr(UsageRecorder, "expected_accuracy", None)
    found = values(metrics)
    assert {name: value for name, value in found.items() if "sink_up" in name} == {
        'fer_edge_sink_up{sink="MQTT"}': 0,
        'fer_edge_sink_up{sink="CSV"}': 1,
        'fer_edge_sink_up{sink="the record"}': 1,
    }
    assert {name: value for name, value in found.items() if "drift" in name} == {
        'fer_edge_drift{state="ok"}': 0,
        'fer_edge_drift{state="watch"}': 1,
        'fer_edge_drift{state="drifted"}': 0,
        'fer_edge_drift{state="too little data"}': 0,
    }
    assert not any("expected" in name for name in found)
    monkeypatch.setattr(UsageRecorder, "expected_accuracy", ExpectedAccuracy(0.81, 0.7, 0.9, False, ""))
    found = values(metrics)
    assert found["fer_edge_expected_accuracy_ratio"] == 0.81
    assert found["fer_edge_expected_accuracy_trusted"] == 0


def test_the_text_file_is_written_every_ten_seconds_and_at_the_end(clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "fer-edge.prom"

    def processed() -> str:
        found = re.search(r'fer_edge_frames_total\{result="processed"\} (\S+)', file.read_text())
        assert found
        return found[1]

    with Metrics(MANIFEST, file) as metrics:
        metrics.emit(frame(0, 0.0, "happy"))
        assert processed() == "1.0"
        clock.now += 9.9
        metrics.emit(frame(1, 0.1, "happy"))
        assert processed() == "1.0"
        clock.now += 0.1
        metrics.emit(frame(2, 0.2, "happy"))
        assert processed() == "3.0"
        assert "fer_edge_faces 1.0" in file.read_text()
    assert "fer_edge_faces 0.0" in file.read_text()
    assert "fer_edge_source_up 0.0" in file.read_text()


def test_a_text_file_that_cannot_be_written_is_an_error_until_it_is_tried_again(clock: Clock, tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    metrics = Metrics(MANIFEST, folder / "fer-edge.prom")
    for pause in (0.0, 5.0):
        clock.now += pause
        with pytest.raises(FileNotFoundError):
            metrics.emit(frame(0, 0.0))
    folder.mkdir()
    with pytest.raises(FileNotFoundError):
        metrics.waiting("camera 0")
    clock.now += 5.0
    metrics.waiting("camera 0")
    metrics.emit(frame(1, 0.0))
    assert (folder / "fer-edge.prom").exists()
