"""`fer-edge run` in this process: what its options set, and what it says at its end."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.typed import typed

from fer_edge.assets.composites import load_composites
from fer_edge.cli import run as command
from fer_edge.cli.options import (
    BenchSourceArgument,
    SourceArgument,
    SourceOption,
    complete_models,
    keyed,
    load,
    one_source,
)
from fer_edge.cli.run import overrides
from fer_edge.config import NAMED_SOURCES, RunConfig
from fer_edge.errors import ConfigError
from fer_edge.model.bundle import shipped_bundles

SUMMARY = re.compile(
    r"(.*): (\d+ frames?)(, \d+ skipped)? in \d+\.\d s, \d+\.\d FPS, (\d+ faces?), "
    r"latency p50 (\d+\.\d) ms, p95 (\d+\.\d) ms\n"
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of a happy face."""
    path = tmp_path / "happy.png"
    cv2.imwrite(str(path), np.pad(load_composites()["happy"], 60, mode="edge"))
    return path


def test_a_run_ends_with_a_line_about_what_was_seen(picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("one.png", "two.png"):
        (folder / name).write_bytes(picture.read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    for source, counts in ((picture, ("1 frame", None, "1 face")), (folder, ("2 frames", ", 1 skipped", "2 faces"))):
        done = typed("run", source)
        summary = SUMMARY.search(done.err)
        assert done.code == 0
        assert summary is not None, done.err
        assert summary.group(1, 2, 3, 4) == (str(source), *counts)
        assert float(summary[5]) <= float(summary[6])


def test_lines_and_rows_go_to_files(picture: Path, tmp_path: Path) -> None:
    target, table = tmp_path / "out.jsonl", tmp_path / "out.csv"
    assert typed("run", "--source", picture, "--json", target, "--csv", table).code == 0
    assert json.loads(target.read_text())["faces"][0]["label"] == "happy"
    assert "happy" in table.read_text()
    assert typed("run", picture, "--json", picture).code == 2
    assert picture.read_bytes()[:4] == b"\x89PNG"
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"\x00")
    done = typed("run", picture, "--json", clip)
    assert done.err == f"error: --json {clip}: exists and holds something else than JSON. Choose another file\n"


def test_a_source_that_cannot_be_opened_has_no_summary(tmp_path: Path) -> None:
    done = typed("run", tmp_path / "none.mp4")
    assert done.code == 3
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("error: ")


GIVEN: Mapping[str, tuple[tuple[object, ...], str, object]] = {
    "source": (("clip.mp4",), "source", "clip.mp4"),
    "recursive": (("--recursive",), "recursive", True),
    "source_fps": (("--source-fps", 12.5), "source_fps", 12.5),
    "model": (("--model", "ferplus7-tiny"), "model", "ferplus7-tiny"),
    "detector": (("--detector", "mediapipe"), "detector.name", "mediapipe"),
    "display": (("--display", "window"), "display", "window"),
    "json": (("--json", "x.jsonl"), "json_path", Path("x.jsonl")),
    "csv": (("--csv", "-"), "csv_path", "-"),
    "on_change": (("--json", "-", "--on-change"), "json_lines.on_change", True),
    "record": (("--record", "x.mp4"), "record", Path("x.mp4")),
    "plot": (("--plot", "x.png"), "plot", Path("x.png")),
    "mqtt": (("--mqtt", "broker"), "mqtt.host", "broker"),
    "web": (("--web", "8080"), "web.listen", "8080"),
    "max_frames": (("--max-frames", 7), "max_frames", 7),
    "max_fps": (("--max-fps", 2.5), "max_fps", 2.5),
    "power_save": (("--power-save",), "power_save", True),
    "threads": (("--threads", 3), "threads", 3),
}


@pytest.mark.parametrize("name", GIVEN)
def test_each_option_sets_its_value(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words, key, expected = GIVEN[name]
    seen: list[tuple[RunConfig, Path | None, str | None]] = []

    def keep(settings: RunConfig, _stop: object, config: Path | None, json_lines: str | None) -> None:
        seen.append((settings, config, json_lines))

    monkeypatch.setattr(command, "_run", keep)
    file = tmp_path / "config.toml"
    file.write_text("")
    done = typed("run", *words, "--config", file)
    assert done.code == 0, done.err
    ((settings, config, json_lines),) = seen
    value: object = settings
    for part in key.split("."):
        value = getattr(value, part)
    assert str(value) == str(expected)
    assert (config, json_lines) == (file, words[1] if words[0] == "--json" else None)


def test_a_wrong_value_names_its_option() -> None:
    for words, option in (
        (("--max-frames", "-1"), "--max-frames"),
        (("--detector", "magic"), "--detector"),
    ):
        done = typed("run", "demo", *words)
        assert done.code == 2
        assert option in done.err, done.err


def test_a_better_detector_is_recommended_on_a_terminal_if_none_was_chosen(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "faces are found by haar; --detector mediapipe finds more"
    monkeypatch.setattr("fer_edge.detectors.mediapipe_files.has_models", lambda: True)
    assert told not in typed("run", picture).err, "no terminal"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("fer_edge.cli.run.tell", sys.stdout.write)
    command._recommend_mediapipe(load(None))
    assert capsys.readouterr().out == told
    command._recommend_mediapipe(load(None, detector="haar"))
    monkeypatch.setattr("fer_edge.detectors.mediapipe_files.has_models", lambda: False)
    command._recommend_mediapipe(load(None))
    assert capsys.readouterr().out == ""


def test_the_source_may_be_given_once() -> None:
    assert one_source(None, None) is None
    assert one_source("a", None) == one_source(None, "a") == "a"
    with pytest.raises(ConfigError) as error:
        one_source("a", "b")
    assert str(error.value) == "two sources: a and --source b. Give one"


def test_options_have_the_keys_of_the_configuration() -> None:
    values, options = keyed({"detector": "haar", "on_change": None, "mqtt": "b", "web": "1", "max_frames": 2})
    assert values == {
        "detector.name": "haar",
        "json_lines.on_change": None,
        "mqtt.host": "b",
        "web.listen": "1",
        "max_frames": 2,
    }
    assert options == {
        "detector.name": "--detector",
        "json_lines.on_change": "--on-change",
        "mqtt.host": "--mqtt",
        "web.listen": "--web",
        "max_frames": "--max-frames",
    }


def test_the_source_and_the_file_are_no_keys() -> None:
    given = {"source": None, "source_option": "0", "config": Path("x"), "threads": 2}
    assert overrides(given) == {"source": "0", "source_option": None, "config": None, "threads": 2}


def completed(annotation: object, begin: str) -> list[str]:
    """What a shell offers for an option that begins like this."""
    (option,) = annotation.__metadata__  # type: ignore[attr-defined]
    return list(option.autocompletion(begin))


def test_a_shell_completes_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_edge.cli.options import DetectorOption, DisplayOption, ModelOption

    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path))
    (tmp_path / "mine" / "2").mkdir(parents=True)
    assert completed(DetectorOption, "") == ["haar", "mediapipe"]
    assert completed(DetectorOption, "m") == ["mediapipe"]
    assert completed(DisplayOption, "") == ["none", "window", "hdmi"]
    assert completed(DisplayOption, "h") == ["hdmi"]
    for option in (SourceArgument, BenchSourceArgument, SourceOption):
        assert completed(option, "") == list(NAMED_SOURCES)
        assert completed(option, "d") == ["demo"]
    assert completed(ModelOption, "") == complete_models("") == [*shipped_bundles(), "mine@2"]
    assert complete_models("mi") == ["mine@2"]


def test_the_help_tells_what_a_source_may_be() -> None:
    out = " ".join(typed("run", "--help").out.replace("│", "").split())
    assert (
        "SOURCE <str> A video, an image, a folder of images, a camera's number or /dev path, "
        "an rtsp:// or http:// URL, demo, picamera2, or auto: the first camera that works, else the demo. "
        "[default: auto]"
    ) in out
    assert "[default: demo]" in " ".join(typed("bench", "--help").out.replace("│", "").split())
