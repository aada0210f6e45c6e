"""Which outputs a configuration opens, and that each gets its settings."""

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.broker import Broker, Listener
from tests.conftest import wait_until
from tests.edge.test_overlay import likeness, result

from fer_edge.config import RunConfig, load_config
from fer_edge.sinks import open_sinks
from fer_edge.sinks.display import Display
from fer_edge.types import FaceBox, FrameResult


def shown(index: int) -> FrameResult:
    """A face that stays, on the frame of a tenth of a second each."""
    one = result(FaceBox(200, 150, 150, 150, 0.9))
    return replace(one, frame=replace(one.frame, captured_at=index / 10, index=index, name="a.png"))


def configured(**values: object) -> RunConfig:
    return load_config(None, {"source": "demo", **{key.replace("__", "."): value for key, value in values.items()}})


def emit(config: RunConfig, frames: int = 4) -> list[str]:
    """Give some frames to what is configured at ten frames per second; the names of these outputs."""
    with ExitStack() as stack:
        sinks = open_sinks(config, stack, 10.0)
        for index in range(frames):
            for sink in sinks:
                sink.emit(shown(index))
    return [sink.description for sink in sinks]


def test_nothing_is_written_unless_it_is_asked_for() -> None:
    assert emit(configured()) == []


def test_lines_follow_their_settings(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert emit(configured(json=str(out), json_lines__on_change=True)) == [str(out)]
    assert [json.loads(line)["frame"] for line in out.read_text().splitlines()] == [0]


@pytest.mark.parametrize("score", [False, True])
def test_a_recording_has_the_rate_of_the_source_the_codec_and_the_score(tmp_path: Path, score: bool) -> None:
    out = tmp_path / "out.mkv"
    assert emit(configured(record=str(out), recording__codec="mpeg4", overlay__score=score)) == [str(out)]
    video = cv2.VideoCapture(str(out))
    assert video.get(cv2.CAP_PROP_FPS) == 30, "an encoder of OpenCV's gets frames of a third"
    assert int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") == b"FMP4"
    image = np.asarray(video.read()[1], np.uint8)
    video.release()
    assert likeness(image, "happy 90%", 26) > 0.7
    assert (likeness(image, "face 0.90", 16) > 0.6) == score


@pytest.mark.parametrize("score", [False, True])
def test_a_folder_gets_copies_with_the_score(tmp_path: Path, score: bool) -> None:
    assert emit(configured(record=str(tmp_path / "out"), overlay__score=score), frames=1) == [str(tmp_path / "out")]
    image = np.asarray(cv2.imread(str(tmp_path / "out" / "a.annotated.png")), np.uint8)
    assert (likeness(image, "face 0.90", 16) > 0.7) == score


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    assert emit(configured(plot=str(tmp_path / "plot.svg"))) == [str(tmp_path / "plot.svg")]
    assert (tmp_path / "plot.svg").read_text().endswith("</svg>\n")


def test_a_broker_is_told(broker: Broker) -> None:
    listener = Listener(broker.port)
    with ExitStack() as stack:
        (sink,) = open_sinks(configured(mqtt__host=f"127.0.0.1:{broker.port}", mqtt__topic="test"), stack, 10.0)
        sink.emit(shown(0))
        wait_until(lambda: any(b'"happy"' in said for said in listener.on("test/faces")))
    listener.close()


def test_a_window_gets_its_kind_the_screen_and_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether these are drawn is tested on a screen, which starts a program."""
    given: list[object] = []

    def note(sink: Display, *settings: object, **others: object) -> None:
        sink.description = "the window"
        given.extend([*settings, others])

    monkeypatch.setattr(Display, "__init__", note)
    monkeypatch.setattr(Display, "__enter__", lambda sink: sink)
    monkeypatch.setattr(Display, "__exit__", lambda *_: None)
    config = configured(display="window", overlay__score=True, screen__mirror=True)
    with ExitStack() as stack:
        assert [sink.description for sink in open_sinks(config, stack, 10.0)] == ["the window"]
    assert given == ["window", config.screen, {"score": True}]
