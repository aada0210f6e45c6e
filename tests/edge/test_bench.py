"""What `fer-edge bench` measures: the demo for a few frames, and each option's effect."""

import json
import os
import platform
from dataclasses import fields, replace
from pathlib import Path

import pytest
from tests.screen import rows_of
from tests.typed import typed

import fer_edge.cli.bench
from fer_edge import __version__
from fer_edge.cli.bench import BenchResult, machine, read_result, run_bench
from fer_edge.config import RunConfig, load_config
from fer_edge.errors import ConfigError, SourceError
from fer_edge.pipeline import Pipeline
from fer_edge.types import Frame, FrameResult

DEMO = RunConfig(source="demo")


@pytest.fixture(scope="module")
def result() -> BenchResult:
    """Twelve frames of the demo, which shows a happy face at its beginning."""
    return run_bench(load_config(None, {"source": "demo", "threads": 2}), 12, warm_up=3)


def test_a_measurement_says_what_was_measured(result: BenchResult) -> None:
    assert (result.source, result.model, result.threads) == ("the built-in demo", "ferplus7", 2)
    assert (result.frames, result.frames_with_faces, result.faces_per_frame) == (12, 12, 1.0)
    assert set(result.stages) == {"source", "detect", "track", "classify", "smooth", "frame"}
    assert result.machine == machine()


def test_rates_fit_the_times_of_the_stages(result: BenchResult) -> None:
    stages = result.stages
    each = stages["source"].mean + stages["frame"].mean
    assert 0 < result.fps <= 1.01 * 1000 / each, "no more than the stages allow"
    assert result.fps_sustained > 0
    parts = sum(stages[name].mean for name in ("detect", "track", "classify", "smooth"))
    assert 0 < parts <= stages["frame"].mean * 1.01
    other = stages["frame"].mean - stages["detect"].mean - stages["classify"].mean
    assert result.overhead_percent == pytest.approx(100 * other / each, abs=0.2)
    assert 0 < result.cpu_percent < 100 * (os.cpu_count() or 1) + 50
    assert 20 < result.peak_memory_mb < 20_000
    for stage in stages.values():
        assert 0 < stage.p50 <= stage.p95 <= stage.p99
        assert stage.mean <= stage.p99
        assert round(stage.mean, 3) == stage.mean
    for rate in (result.fps, result.fps_sustained, result.overhead_percent, result.cpu_percent, result.peak_memory_mb):
        assert round(rate, 1) == rate


def test_the_machine_is_described() -> None:
    found = machine()
    assert list(found) == ["board", "cores", "system", "python", "fer-edge", "runtime", "opencv", "numpy"]
    assert found["cores"] == str(os.cpu_count())
    assert found["system"] == f"{platform.system()} {platform.release()}"
    assert (found["python"], found["fer-edge"]) == (platform.python_version(), __version__)
    assert all(found.values())


def test_the_slowest_tenth_is_the_sustained_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame takes ten milliseconds by the clock, but for the last two of twenty, which take forty."""
    now, frames = 100.0, 0

    def clock() -> float:
        return now

    class Slow(Pipeline):
        def process(self, frame: Frame) -> FrameResult:
            nonlocal now, frames
            frames += 1
            now += 0.04 if frames > 20 else 0.01
            done = super().process(frame)
            return replace(done, timings_ms=dict(done.timings_ms, detect=2.0, classify=3.0))

    monkeypatch.setattr(fer_edge.cli.bench, "Pipeline", Slow)
    monkeypatch.setattr("fer_edge.cli.bench.time.perf_counter", clock)
    monkeypatch.setattr("fer_edge.cli.bench.time.process_time", lambda: 2 * now)
    measured = run_bench(DEMO, 20, warm_up=2)
    assert frames == 22
    assert measured.frames == 20
    assert measured.fps == round(20 / 0.26, 1)
    assert measured.fps_sustained == 25.0
    assert measured.cpu_percent == 200.0
    assert measured.overhead_percent == round(100 * (260 - 20 * 5) / 260, 1)
    spent = measured.stages["frame"]
    assert (spent.mean, spent.p50, spent.p95, spent.p99) == (13.0, 10.0, 40.0, 40.0)
    assert measured.stages["source"].mean == 0.0
    assert "latency" not in measured.stages


def test_a_named_model_is_told_as_it_was_named() -> None:
    assert run_bench(RunConfig(source="demo", model="ferplus7-tiny"), 1, warm_up=0).model == "ferplus7-tiny"


def test_a_source_that_ends_during_the_warm_up_gives_no_measurement(demo_video: Path) -> None:
    with pytest.raises(SourceError) as error:
        run_bench(RunConfig(source=str(demo_video)), 5, warm_up=90)
    assert str(error.value) == f"{demo_video}: has no frame after the 90 warm-up frames"
    assert run_bench(RunConfig(source=str(demo_video)), 5, warm_up=88).frames == 2


def test_a_result_is_read_as_it_was_written(result: BenchResult, tmp_path: Path) -> None:
    text = result.as_json()
    assert list(json.loads(text)) == [field.name for field in fields(BenchResult)]
    assert text.startswith('{\n  "machine": {\n    "board"')
    path = tmp_path / "result.json"
    path.write_text(text)
    assert read_result(path) == result


def test_what_is_no_result_is_refused(result: BenchResult, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(ConfigError) as error:
        read_result(path)
    assert str(error.value) == f"{path}: cannot be read (No such file or directory)"
    for text in ("{}", "no JSON", replace(result, machine={"cores": "4"}).as_json()):
        path.write_text(text)
        with pytest.raises(ConfigError) as error:
            read_result(path)
        assert str(error.value) == f"{path}: is not a result of fer-edge bench --json of this version"


def test_the_command_prints_a_table_or_markdown_or_json(tmp_path: Path) -> None:
    few, target = ("--frames", 2), tmp_path / "result.json"
    done = typed("bench", *few, "--json", target)
    assert (done.code, done.err) == (0, "")
    assert rows_of(done.out)[0] == ["stage", "mean, ms", "p50", "p95", "p99"]
    assert "the built-in demo, ferplus7, 1 thread(s)" in done.out, "it is the default"
    assert read_result(target).frames == 2
    done = typed("bench", "demo", *few, "--compare", target, "--threads", 2, "--model", "ferplus7-tiny")
    assert rows_of(done.out)[0][-2:] == ["before, mean", "change"]
    assert done.out.endswith("(not comparable: another model, threads)\n")
    done = typed("bench", "--source", "demo", *few, "--markdown", "--compare", target)
    assert "| stage | mean, ms | p50 | p95 | p99 | before, mean | change |\n" in done.out
    assert not rows_of(done.out.replace("|", ""))
    done = typed("bench", *few, "--json")
    assert json.loads(done.out)["frames"] == 2


def test_the_configured_source_is_measured_if_none_is_given(tmp_path: Path, demo_video: Path) -> None:
    config, few = tmp_path / "config.toml", ("--frames", 1)
    config.write_text(f'source = "{demo_video}"\n')
    for words, told in (((), str(demo_video)), (("demo",), "the built-in demo")):
        done = typed("bench", *words, *few, "--config", config, "--json")
        assert json.loads(done.out)["source"] == told


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"\x00")
    for words, told in (
        (("--json", "--markdown"), "--json prints only JSON: remove --markdown"),
        (("--json", "-", "--compare", "x.json"), "--json prints only JSON: remove --compare"),
        (("--json", clip), f"--json {clip}: exists and holds something else than JSON. Choose another file"),
        (("demo", "--source", "0"), "two sources: demo and --source 0. Give one"),
        (("demo", "--compare", "/nonexistent"), "/nonexistent: cannot be read (No such file or directory)"),
        (("demo", "--detector", "cat"), "--detector: 'cat' is unknown. Choose haar or mediapipe"),
    ):
        done = typed("bench", *words)
        assert (done.code, done.out) == (2, "")
        assert done.err == f"error: {told}\n"


def test_a_doctor_ends_with_one_for_a_broken_model(tmp_path: Path) -> None:
    done = typed("doctor", "--model", tmp_path)
    assert done.code == 1
    rows = {row[0]: row[1] for row in rows_of(done.out)}
    assert rows["fer-edge"] == "works"
    assert "broken" in rows.values()
    done = typed("doctor", "--model", "ferplus7-tiny")
    assert done.code == 0
    assert "ferplus7-tiny" in done.out
    assert "ferplus7-tiny" not in typed("doctor").out
