"""A model is run in a process of its own: what the process measures, and what is made of its end, whatever that is."""

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.bundles import make_bundle, rehash
from tests.clock import Clock

from fer_edge import Frame
from fer_edge.config import RunConfig
from fer_edge.errors import ModelError
from fer_edge.model.bundle import find_bundle
from fer_edge.pipeline import Pipeline
from fer_edge.sources.demo import DemoSource
from fer_edge.types import FrameResult
from fer_edge.updates import probe
from fer_edge.updates.probe import Probe, main, probe_bundle

TINY = find_bundle("ferplus7-tiny")

# The parent. A script stands for the interpreter that would run the model.


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "python"
    path.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    return path


def write(script: Path, *lines: str) -> None:
    script.write_text("\n".join(["#!/bin/sh", *lines]))


@pytest.mark.parametrize("noise", ["", "echo the runtime says this", "echo one; echo two"])
def test_what_the_process_says_last_is_read(script: Path, noise: str) -> None:
    write(script, noise, "echo warning >&2", """echo '{"golden": 3, "fps": 9.5, "ms_per_face": 0.25}'""", "echo")
    assert probe_bundle(Path("/models/mine")) == Probe(3, 9.5, 0.25)


def test_the_process_is_told_what_to_run(script: Path, tmp_path: Path) -> None:
    write(script, f'echo "$@" >> {tmp_path}/asked', """echo '{"golden": 0, "fps": 1, "ms_per_face": 1}'""")
    probe_bundle(Path("/models/mine"))
    probe_bundle(Path("/models/mine"), "mediapipe", 3)
    command = "-m fer_edge.updates.probe /models/mine"
    assert (tmp_path / "asked").read_text() == f"{command} haar 1\n{command} mediapipe 3\n"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("echo a traceback >&2; echo 'ImportError: no cv2' >&2; exit 1", "fails (ImportError: no cv2)"),
        ("echo 'one line' >&2; exit 3", "fails (one line)"),
        ("echo to stdout; exit 1", "fails ()"),
        ("printf 'caf\\351' >&2; exit 1", "fails (caf\N{REPLACEMENT CHARACTER})"),
        ("echo oh >&2; kill -SEGV $$", "crashes it (SIGSEGV)"),
        ("kill -KILL $$", "crashes it (SIGKILL)"),
    ],
)
def test_a_process_that_ends_otherwise_is_the_models_fault(script: Path, end: str, said: str) -> None:
    write(script, end)
    with pytest.raises(ModelError) as caught:
        probe_bundle(Path("/models/mine"))
    assert str(caught.value) == (
        f"/models/mine: the model was run in a process of its own, and {said}. Nothing was installed"
    )


def test_why_the_process_refuses_a_model_is_said_in_its_words(script: Path) -> None:
    write(script, "echo a warning >&2", "echo 'refused: /models/mine: its input is refused: ' >&2; exit 1")
    with pytest.raises(ModelError) as caught:
        probe_bundle(Path("/models/mine"))
    assert str(caught.value) == "/models/mine: its input is refused:"


def test_a_process_that_hangs_is_ended(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(script, "exec sleep 60")
    monkeypatch.setattr(probe, "_TIMEOUT_S", 0.1)
    with pytest.raises(ModelError) as caught:
        probe_bundle(Path("/models/mine"))
    assert str(caught.value) == "/models/mine: the model was not done after 0.1 s. Nothing was installed"


# The process itself, here in this one.


class Measured:
    """What was run: a frame takes the seconds that a test says, and the classifier a millisecond of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock = Clock()
        self.seconds = 0.3
        # Of each face that is found.
        self.copies = 3
        self.limits: dict[int, tuple[int, int]] = {}
        self.configs: list[RunConfig] = []
        self.paced: list[bool] = []
        self.frames = 0
        measured = self

        class Timed(Pipeline):
            def __init__(self, config: RunConfig) -> None:
                measured.configs.append(config)
                super().__init__(config)

            def process(self, frame: Frame) -> FrameResult:
                result = super().process(frame)
                clock.now += measured.seconds
                measured.frames += 1
                timings = {**result.timings_ms, "classify": 1.0}
                return replace(result, faces=result.faces[:1] * measured.copies, timings_ms=timings)

        class Demo(DemoSource):
            def __init__(self, *, paced: bool = True) -> None:
                measured.paced.append(paced)
                super().__init__(paced=paced)

        monkeypatch.setattr("fer_edge.pipeline.Pipeline", Timed)
        monkeypatch.setattr("fer_edge.sources.demo.DemoSource", Demo)
        monkeypatch.setattr(resource, "setrlimit", self.limits.__setitem__)  # a process cannot undo it
        monkeypatch.setattr(probe, "time", clock)
        monkeypatch.setattr(probe, "_FRAMES", 6)
        monkeypatch.setattr(probe, "_WARM_UP", 2)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    return Measured(monkeypatch)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, detector: str = "haar", threads: int = 1) -> None:
    monkeypatch.setattr(sys, "argv", ["probe.py", str(folder), detector, str(threads)])
    main()


def test_a_model_is_run_as_the_device_would_within_limits(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(TINY, monkeypatch, "mediapipe", 2)
    (config,) = measured.configs
    assert (config.model, config.detector.name, config.threads) == (str(TINY), "mediapipe", 2)
    assert measured.paced == [False], "as fast as it can"
    assert measured.limits == {resource.RLIMIT_CORE: (0, 0), resource.RLIMIT_DATA: (1 << 30, 1 << 30)}
    assert set(json.loads(capsys.readouterr().out)) == {"golden", "fps", "ms_per_face"}


def test_the_speed_is_measured_after_the_warm_up(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(TINY, monkeypatch)
    assert measured.frames == 2 + 6
    assert json.loads(capsys.readouterr().out) == {"golden": 0, "fps": 3.3, "ms_per_face": 0.333}


def test_a_slow_device_measures_ten_seconds(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured.seconds = 4.0
    run(TINY, monkeypatch)
    assert measured.frames == 2 + 3
    assert json.loads(capsys.readouterr().out)["fps"] == 0.2


def test_without_faces_there_is_nothing_to_divide_by(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured.copies = 0
    run(TINY, monkeypatch)
    assert json.loads(capsys.readouterr().out)["ms_per_face"] == 6.0


def test_a_model_that_computes_something_else_is_refused_before_it_is_timed(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "a")
    with np.load(bundle / "golden.npz") as golden:
        np.savez(bundle / "golden.npz", inputs=golden["inputs"], outputs=np.roll(golden["outputs"], 1, axis=2))
    rehash(bundle)
    with pytest.raises(SystemExit) as ended:
        run(bundle, monkeypatch)
    assert str(ended.value.code).startswith(f"refused: {bundle}")
    assert "outputs differ from the golden ones" in str(ended.value.code)
    assert measured.frames == 0


def test_how_much_memory_a_model_may_take_is_said(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> int:
        raise MemoryError

    monkeypatch.setattr("fer_edge.model.golden.self_test", fill)
    with pytest.raises(SystemExit) as ended:
        run(TINY, monkeypatch)
    assert ended.value.code == f"refused: {TINY}: takes more than 1024 MB of memory. Nothing was installed"
    assert measured.frames == 0
