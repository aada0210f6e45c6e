"""The conventions of all command lines: help, version, suggestions, completion, and what the docs say of them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.conftest import Run

import fer_fleet.cli.app
import fer_quantize.cli
import fer_train.cli.app
from fer_edge import __version__
from fer_edge.cli import app as edge
from fer_edge.cli.general import build
from fer_edge.config import DetectorConfig, RunConfig
from fer_edge.model.bundle import shipped_bundles

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

ROOTS = {
    "fer-edge": build(edge.app),
    "fer-train": build(fer_train.cli.app.app),
    "fer-quantize": build(fer_quantize.cli.app),
    "fer-fleet": build(fer_fleet.cli.app.app),
}


def tree(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from tree(below, (*path, name))


COMMANDS = {path: command for name, root in ROOTS.items() for path, command in tree(root, (name,))}


def call(path: tuple[str, ...], *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints, run in this process."""
    ROOTS[path[0]].main([*path[1:], *arguments], prog_name=path[0], standalone_mode=False)
    return capsys.readouterr().out


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")} | {"--help", "-h"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_that_a_person_can_read(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FER_DATA", raising=False)
    shown = call(path, "-h", capsys=capsys)
    assert shown == call(path, "--help", capsys=capsys)
    assert "Usage: " in shown
    assert "<bool>" not in shown
    assert "\\[" not in shown
    for parameter in COMMANDS[path].params:
        assert parameter.help, f"{parameter.name} says nothing"
    for name in options_of(COMMANDS[path]):
        assert name in shown


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_tells_the_version(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(path, "--version", capsys=capsys) == f"{path[0]} {__version__}\n"


@pytest.mark.parametrize("name", ROOTS)
def test_the_programs_answer_help_and_version(command: Run, name: str, tmp_path: Path) -> None:
    elsewhere = {"cwd": tmp_path}
    assert command(name, "--version", **elsewhere).stdout == f"{name} {__version__}\n"
    shown = command(name, "-h", **elsewhere)
    assert shown.returncode == 0
    assert f"Usage: {name}" in shown.stdout


def test_the_defaults_in_the_help_are_those_of_the_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    shown = {
        words[1]: line
        for line in call(("fer-edge", "run"), "-h", capsys=capsys).splitlines()
        if len(words := line.split()) > 2
    }
    config = RunConfig()
    defaults = {
        "SOURCE": config.source,
        "--model": config.model,
        "--detector": config.detector.name,
        "--display": config.display,
        "--threads": config.threads,
    }
    for option, value in defaults.items():
        assert f"[default: {value}]" in shown[option]
    assert (config.max_frames, config.max_fps) == (None, None)
    assert "[default: no limit]" in shown["--max-frames"]
    assert "[default: no limit]" in shown["--max-fps"]
    for name in get_args(DetectorConfig.model_fields["name"].annotation):
        assert name in shown["--detector"]
    for name in get_args(RunConfig.model_fields["display"].annotation):
        assert name in shown["--display"]


def test_the_source_is_an_argument_or_an_option(command: Run, demo_video: Path) -> None:
    for arguments in ((demo_video,), ("--source", demo_video)):
        done = command("fer-edge", "run", *arguments, "--max-frames", 1)
        assert done.returncode == 0, done.stderr
        assert f"{demo_video}: 1 frame in" in done.stderr
    for name in ("run", "bench"):
        done = command("fer-edge", name, demo_video, "--source", "demo")
        assert done.returncode == 2
        assert done.stderr == f"error: two sources: {demo_video} and --source demo. Give one\n"


@pytest.mark.parametrize(
    ("arguments", "code", "meant"),
    [
        (("run", "picamera"), 3, "picamera2"),
        (("run", "Demo"), 3, "demo"),
        (("run", "demo", "--detector", "har"), 2, "haar"),
        (("run", "demo", "--display", "windows"), 2, "window"),
        (("run", "demo", "--model", "fer-plus7"), 4, "ferplus7"),
        (("run", "demo", "--detectr", "haar"), 2, "--detector"),
        (("rnu", "demo"), 2, "'run'"),
        (("models", "verfy"), 2, "'verify'"),
    ],
)
def test_a_close_miss_is_answered_with_what_was_probably_meant(
    command: Run, arguments: tuple[str, ...], code: int, meant: str
) -> None:
    done = command("fer-edge", *arguments)
    assert done.returncode == code
    assert f"Did you mean {meant}?" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_close_miss_in_a_configuration(command: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    for text, said in (
        ("sorce = 'demo'", "sorce: unknown key. Did you mean source?"),
        ("[mqtt]\nhots = 'x'", "mqtt.hots: unknown key. Did you mean host?"),
        ("jsno = 'x'", "jsno: unknown key. Did you mean json?"),
        ("[detector]\nname = 'mediapip'", "'mediapip' is unknown. Did you mean mediapipe? Choose haar or mediapipe"),
        ("[zzz]\nhost = 'x'", "zzz: unknown key\n"),
    ):
        config.write_text(text)
        done = command("fer-edge", "service", "check", "--config", config)
        assert done.returncode == 2
        assert said in done.stderr


def test_json_goes_to_standard_output_or_to_a_file_and_replaces_nothing_else(
    command: Run, demo_video: Path, tmp_path: Path
) -> None:
    for arguments in (("--json",), ("--json", "-"), ("--json", "--threads", 1)):
        printed = command("fer-edge", "bench", "--frames", 2, *arguments)
        assert printed.returncode == 0, printed.stderr
        assert json.loads(printed.stdout)["frames"] == 2
    out, clip = tmp_path / "out.json", Path(shutil.copy(demo_video, tmp_path / "clip.mp4"))
    for frames in (2, 3):
        written = command("fer-edge", "bench", "--json", out, "--frames", frames)
        assert "stage" in written.stdout
        assert json.loads(out.read_text())["frames"] == frames
    for name in ("bench", "run"):
        refused = command("fer-edge", name, "--json", clip)
        assert refused.returncode == 2
        assert "holds something else than JSON" in refused.stderr
    assert clip.read_bytes() == demo_video.read_bytes()
    lost = command("fer-edge", "bench", "--frames", 2, "--json", tmp_path / "none" / "x.json")
    assert lost.returncode == 2
    assert "x.json: cannot be written (No such file or directory)" in lost.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.json"]


def test_debug_may_stand_behind_the_command(command: Run) -> None:
    done = command("fer-edge", "run", "nosuch.mp4", "--debug")
    assert "Traceback" in done.stderr


def test_models_are_listed_with_and_without_the_word(command: Run) -> None:
    listed = command("fer-edge", "models", "list")
    assert listed.returncode == 0
    assert listed.stdout == command("fer-edge", "models").stdout
    for name in shipped_bundles():
        assert f" {name} " in listed.stdout


def test_completion_can_be_installed_and_completes(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}"}

    def bash(script: str) -> list[str]:
        words = ["bash", "--norc", "-c", f"{script}; true"]  # bash must stay: its kind is what is asked for
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    bash("fer-edge --install-completion")
    script = tmp_path / ".bash_completions" / "fer-edge.sh"
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()
    for line, wanted in (
        ("fer-edge mod", ["models"]),
        ("fer-edge run --det", ["--detector"]),
        ("fer-edge run --detector m", ["mediapipe"]),
        ("fer-edge run --display h", ["hdmi"]),
        ("fer-edge run --model fer2", ["fer2013"]),
        ("fer-edge run pic", ["picamera2"]),
    ):
        words = line.split()
        ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _fer_edge_completion fer-edge"
        assert bash(f'. {script}; {ask}; echo "${{COMPREPLY[@]}}"') == wanted


def documented() -> Iterator[tuple[Path, int, str]]:
    """Our commands in README and docs: file, line and what stands in code."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            spans = [line] if line.startswith("    ") else re.findall(r"`([^`]+)`", line)
            for span in spans:
                yield page, number, span.partition(" #")[0]


def test_every_documented_command_and_option_exists() -> None:
    seen = 0
    for page, number, code in documented():
        for match in re.finditer(r"(?:^|[ /(])(fer-edge|fer-train|fer-quantize|fer-fleet)((?: +[^|;&()]+)?)", code):
            try:
                words = shlex.split(match[2])
            except ValueError:  # a quotation that goes on in the next line
                words = match[2].split()
            path: tuple[str, ...] = (match[1],)
            while words and (*path, words[0]) in COMMANDS:
                path = (*path, words.pop(0))
            where = f"{page.relative_to(ROOT)}:{number}: {code}"
            if getattr(COMMANDS[path], "commands", None) and words and words[0].isalpha():
                pytest.fail(f"{where}: there is no command {words[0]}")
            known = options_of(COMMANDS[path])
            if "--show" in words:
                known |= options_of(COMMANDS["fer-edge", "run"])
            for before, word in pairwise(("", *words)):
                if re.fullmatch(r"-h|--[a-z][a-z0-9-]*", word.partition("=")[0]) and before != "--set":
                    assert word.partition("=")[0] in known, f"{where}: {' '.join(path)} has no {word}"
                    seen += 1
    assert seen > 20
