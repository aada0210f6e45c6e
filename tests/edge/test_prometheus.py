"""Metrics: as Prometheus' own tools and a real Prometheus read them."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from tests.conftest import wait_until
from tests.visitors import write_expected

from fer_edge import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.drift_watch import read_expected_accuracy
from fer_edge.monitoring.prometheus import Metrics
from fer_edge.sinks import Sink

FER_EDGE = Path(sys.executable).with_name("fer-edge")
INTEGRATION = Path(__file__).parents[2] / "integrations/prometheus"

NAMES = {
    "fer_edge_build_info": {"version", "model", "model_version"},
    "fer_edge_frame_seconds_bucket": {"stage", "le"},
    "fer_edge_frame_seconds_count": {"stage"},
    "fer_edge_frame_seconds_sum": {"stage"},
    "fer_edge_frames_total": {"result"},
    "fer_edge_faces": set(),
    "fer_edge_face_seconds_total": {"label"},
    "fer_edge_source_up": set(),
    "fer_edge_sink_up": {"sink"},
    "fer_edge_drift": {"state"},
    "fer_edge_process_start_time_seconds": set(),
    "fer_edge_process_cpu_seconds_total": set(),
    "fer_edge_process_resident_memory_bytes": set(),
}
# Where the machine tells.
OPTIONAL = {"fer_edge_temperature_celsius", "fer_edge_process_virtual_memory_bytes", "fer_edge_process_open_fds"}
OPTIONAL |= {"fer_edge_process_max_fds"}


def program(name: str) -> str:
    """Where one of Debian's programs is; the test is skipped without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: sudo apt install prometheus prometheus-node-exporter")
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(folder: Path, settings: str, end: int = 0) -> Iterator[httpx.Client]:
    """A run of the demo with /metrics, and a client for it."""
    port = free_port()
    config = folder / "config.toml"
    top, _, sections = settings.partition("[")
    config.write_text(f'{top}\n[web]\nlisten = "{port}"\n' + (f"[{sections}" if sections else ""))
    with (folder / "errors.txt").open("wb") as errors:
        process = subprocess.Popen([FER_EDGE, "run", "demo", "--config", config], stderr=errors, stdout=errors)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until(lambda: answers(client, "/healthz"))
            yield client
    finally:
        process.terminate()
        assert process.wait(20) == end, (folder / "errors.txt").read_text()


def answers(client: httpx.Client, path: str) -> bool:
    with suppress(httpx.TransportError):
        return client.get(path).status_code == 200
    return False


def samples(text: str) -> dict[str, float]:
    """Values by name and labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {series: float(value) for series, _, value in lines}


def labels(text: str) -> dict[str, set[str]]:
    """Names of the labels by the metric's name."""
    found: dict[str, set[str]] = {}
    for series in samples(text):
        name, _, inside = series.partition("{")
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    return found


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("metrics")
    with running(folder, f'json = "/dev/full"\n[usage]\npath = "{folder}/usage.sqlite"\n', end=2) as client:
        yield client


def test_names_and_labels_are_the_documented_ones(metrics: httpx.Client) -> None:
    wait_until(lambda: "stage=" in metrics.get("/metrics").text)
    found = labels(metrics.get("/metrics").text)
    assert {name: found[name] for name in NAMES} == NAMES
    assert set(found) - set(NAMES) <= OPTIONAL


def test_the_expected_accuracy_of_earlier_days_is_a_metric_at_once(tmp_path: Path) -> None:
    path, reference = tmp_path / "usage.sqlite", load_bundle(find_bundle("ferplus7")).manifest.reference
    write_expected(path)
    assert reference is not None
    expected = read_expected_accuracy(path, int(time.time()), reference)
    assert expected is not None
    with running(tmp_path, f'[usage]\npath = "{tmp_path}/usage.sqlite"\n') as client:
        wait_until(lambda: "fer_edge_expected_accuracy_ratio" in client.get("/metrics").text)
        found = samples(client.get("/metrics").text)
    assert found["fer_edge_expected_accuracy_ratio"] == pytest.approx(0.825, abs=0.001)
    assert found["fer_edge_expected_accuracy_trusted"] == expected.trusted


def seen(index: int, at: float, *labels: str, live: bool = True, hidden: str = "") -> FrameResult:
    """A frame with faces of these labels, and perhaps one that is hidden at the moment."""
    faces = []
    for number, label in enumerate((*labels, *([hidden] if hidden else []))):
        read = Prediction(np.ones(1, np.float32), label, 1.0)
        track = Track(number, FaceBox(0, 0, 9, 9), 1.0, 0.0, visible=number < len(labels))
        faces.append(TrackedFace(track, read, read))
    frame = Frame(np.zeros((4, 4, 3), np.uint8), at, index, live=live)
    return FrameResult(frame, tuple(faces), {"detect": 20.0, "classify": 0.7})


def test_the_numbers_of_a_few_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.monitoring.prometheus.time", SimpleNamespace(monotonic=lambda: 100.0))
    text = tmp_path / "fer.prom"
    with Metrics(load_bundle(find_bundle("ferplus7")).manifest, text) as metrics:
        outputs = [Sink(), Sink()]
        outputs[1].description, outputs[1].trouble = "the disk", "is full"
        metrics.watch(outputs)
        for frame in (seen(5, 10.0), seen(6, 10.25, "happy", hidden="fear"), seen(9, 50.0, "happy", "sad")):
            metrics.emit(frame)
        found = samples(metrics.text().decode())
        assert found['fer_edge_frames_total{result="processed"}'] == 3
        assert found['fer_edge_frames_total{result="dropped"}'] == 2, "between 6 and 9"
        assert (found["fer_edge_faces"], found["fer_edge_source_up"]) == (2, 1)
        shown = {label: found[f'fer_edge_face_seconds_total{{label="{label}"}}'] for label in ("happy", "sad", "fear")}
        assert shown == {"happy": 1.25, "sad": 1.0, "fear": 0}, "a gap counts for one second"
        buckets = {
            (stage, le): found[f'fer_edge_frame_seconds_bucket{{le="{le}",stage="{stage}"}}']
            for stage, le in (("detect", "0.01"), ("detect", "0.02"), ("classify", "0.0005"), ("classify", "0.001"))
        }
        assert list(buckets.values()) == [0, 3, 0, 3]
        assert found['fer_edge_frame_seconds_bucket{le="+Inf",stage="classify"}'] == 3
        assert found['fer_edge_frame_seconds_count{stage="detect"}'] == 3
        assert found['fer_edge_frame_seconds_sum{stage="detect"}'] == pytest.approx(0.06)
        assert found['fer_edge_sink_up{sink="sink"}'] == 1
        assert found['fer_edge_sink_up{sink="the disk"}'] == 0
        assert samples(text.read_text())["fer_edge_faces"] == 0, "written with the first frame, then after ten seconds"
        metrics.waiting("the camera")
        found = samples(metrics.text().decode())
        assert (found["fer_edge_faces"], found["fer_edge_source_up"]) == (0, 0)
        metrics.emit(seen(90, 51.0, "happy", live=False))
        metrics.emit(seen(95, 51.0, "happy", live=False))
        assert samples(metrics.text().decode())['fer_edge_frames_total{result="dropped"}'] == 2, "a file drops none"
    found = samples(text.read_text())
    assert found['fer_edge_frames_total{result="processed"}'] == 5
    assert (found["fer_edge_faces"], found["fer_edge_source_up"]) == (0, 0), "the run is over"


def test_promtool_finds_nothing_to_complain_about(metrics: httpx.Client) -> None:
    text = metrics.get("/metrics").text
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_is_counted_is_what_happens(metrics: httpx.Client) -> None:
    def count(series: str) -> float:
        return samples(metrics.get("/metrics").text)[series]

    frames, since = count('fer_edge_frames_total{result="processed"}'), time.monotonic()
    sums = {name: sum_of(metrics, name) for name in ("fer_edge_face_seconds_total", "fer_edge_frame_seconds_sum")}
    wait_until(lambda: count('fer_edge_frames_total{result="processed"}') > frames + 60)
    shown, spent = (sum_of(metrics, name) - before for name, before in sums.items())
    seconds = time.monotonic() - since
    found = samples(metrics.get("/metrics").text)
    assert found["fer_edge_source_up"] == found["fer_edge_faces"] == 1
    assert 1 < shown < seconds + 1, "the demo shows one face"
    processed = count('fer_edge_frames_total{result="processed"}')
    assert found['fer_edge_frame_seconds_count{stage="classify"}'] == pytest.approx(processed, abs=60)
    assert 0 < spent < seconds + 1, "its frames took no longer"
    assert found['fer_edge_sink_up{sink="/dev/full"}'] == 0
    assert min(value for series, value in found.items() if "sink_up" in series and "/dev/full" not in series) == 1
    assert found['fer_edge_drift{state="too little data"}'] == 1
    assert found['fer_edge_drift{state="drifted"}'] == 0
    assert time.time() - 600 < found["fer_edge_process_start_time_seconds"] < time.time()


def sum_of(client: httpx.Client, name: str) -> float:
    found = samples(client.get("/metrics").text)
    return sum(value for series, value in found.items() if series.startswith(name))


def test_alert_rules_pass_their_unit_tests() -> None:
    for arguments in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        done = subprocess.run(
            [program("promtool"), *arguments], cwd=INTEGRATION, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_alert_rules_ask_for_metrics_that_there_are() -> None:
    rules = (INTEGRATION / "alerts.yml").read_text()
    asked = set(re.findall(r"fer_edge_\w+", rules))
    assert asked
    assert asked <= {*NAMES, *OPTIONAL}


def test_a_real_prometheus_scrapes_it_and_loads_the_rules(metrics: httpx.Client, tmp_path: Path) -> None:
    prometheus = program("prometheus")
    target = metrics.base_url.netloc.decode()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(INTEGRATION / "alerts.yml")],
        "scrape_configs": [{"job_name": "fer-edge", "static_configs": [{"targets": [target]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    command = [prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=tmp_path, stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/", timeout=10) as client:
            wait_until(lambda: answers(client, "/-/ready"))

            def query(text: str) -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = client.get("/api/v1/query", params={"query": text}).json()["data"][
                    "result"
                ]
                return found

            wait_until(lambda: bool(query('rate(fer_edge_frames_total{result="processed"}[30s]) > 0')))
            assert query("up")[0]["value"][1] == "1"
            wait_until(lambda: bool(query('ALERTS{alertname="FerEdgeOutputFailing"}')))
            assert query("ALERTS")[0]["metric"]["sink"] == "/dev/full"
            rules = client.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
            assert {rule["health"] for rule in rules} == {"ok"}
    finally:
        process.terminate()
        process.wait(20)


def test_node_exporter_reads_the_text_file(tmp_path: Path) -> None:
    exporter = program("prometheus-node-exporter")
    folder = tmp_path / "textfile"
    folder.mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'[prometheus]\ntextfile = "{folder}/fer-edge.prom"\n')
    subprocess.run([FER_EDGE, "run", "demo", "--config", config, "--max-frames", "5"], check=True, capture_output=True)
    port = free_port()
    command = [exporter, f"--web.listen-address=127.0.0.1:{port}", f"--collector.textfile.directory={folder}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until(lambda: answers(client, "/metrics"))
            found = samples(client.get("/metrics").text)
    finally:
        process.terminate()
        process.wait(20)
    assert found["node_textfile_scrape_error"] == 0
    assert found['fer_edge_frames_total{result="processed"}'] == 5
    assert found["fer_edge_source_up"] == 0, "the run is over"


@pytest.mark.slow
def test_page_and_text_file_give_the_same_metrics_of_one_output(tmp_path: Path) -> None:
    """Also while the file cannot be written, which both would tell if it could."""
    text = tmp_path / "folder" / "fer.prom"
    with running(tmp_path, f'[prometheus]\ntextfile = "{text}"\n', end=2) as client:
        wait_until(lambda: 'fer_edge_sink_up{sink="the metrics"} 0.0' in client.get("/metrics").text)
        frames = samples(client.get("/metrics").text)['fer_edge_frames_total{result="processed"}']
        wait_until(lambda: samples(client.get("/metrics").text)['fer_edge_frames_total{result="processed"}'] > frames)
        assert samples(client.get("/metrics").text)['fer_edge_sink_up{sink="the metrics"}'] == 0, "not written yet"
        text.parent.mkdir()
        wait_until(text.is_file)
        written = samples(text.read_text())['fer_edge_frames_total{result="processed"}']
        assert frames <= written <= samples(client.get("/metrics").text)['fer_edge_frames_total{result="processed"}']


def test_metrics_go_to_a_text_file_without_a_port_and_without_other_programs(tmp_path: Path) -> None:
    config, text = tmp_path / "config.toml", tmp_path / "fer.prom"
    config.write_text(f'[prometheus]\ntextfile = "{text}"\n')
    subprocess.run([FER_EDGE, "run", "demo", "--config", config, "--max-frames", "5"], check=True, capture_output=True)
    assert samples(text.read_text())['fer_edge_frames_total{result="processed"}'] == 5
