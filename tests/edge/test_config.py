"""`fer-edge config`: a file with every key, a check, and what is in force."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Run
from tests.typed import typed

from fer_edge.config import RunConfig, load_config

SERVICE = Path(__file__).resolve().parents[2] / "systemd" / "config.toml"
KEY = re.compile(r"^#([a-z_]+ = )", flags=re.MULTILINE)


def every_key() -> set[str]:
    """As the models have them."""
    keys: set[str] = set()
    for section, value in RunConfig().model_dump(by_alias=True).items():
        keys |= {f"{section}.{key}" for key in value} if isinstance(value, dict) else {section}
    return keys


def flat(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return found


@pytest.fixture(scope="module")
def default_file() -> str:
    command = [str(Path(sys.executable).with_name("fer-edge")), "config", "--default"]
    return subprocess.check_output(command, text=True)


def test_the_default_file_changes_nothing_and_without_its_marks_holds_every_key(
    default_file: str, tmp_path: Path
) -> None:
    file = tmp_path / "all.toml"
    file.write_text(default_file)
    assert load_config(file, {}) == RunConfig()
    without_marks = KEY.sub(r"\1", default_file)
    assert set(flat(tomllib.loads(without_marks))) == every_key()
    for key, other in (("password_file = ", "#password_file = "), ("tls = false", "tls = true")):  # they go together
        without_marks = without_marks.replace(key, other)
    file.write_text(without_marks)
    load_config(file, {})  # the examples are good values


def test_the_values_in_the_default_file_are_the_defaults(default_file: str) -> None:
    with_default = "\n".join(line for line in default_file.splitlines() if not line.endswith("an example: not set"))
    defaults = flat(RunConfig().model_dump(by_alias=True, mode="json"))
    for key, value in flat(tomllib.loads(KEY.sub(r"\1", with_default))).items():
        assert defaults.pop(key) == value, key
    assert {value for key, value in defaults.items() if not key.endswith(("topic", "hosts", "tags"))} == {None}


def test_figures_in_the_documentation_were_measured_with_these_defaults() -> None:
    """Who changes one measures again: docs/performance.md, docs/detectors.md, results/."""
    values = RunConfig().model_dump()
    known = {
        "camera": (640, 480, 30, None, False, 0, False, False),
        "detector": ("haar", 320, 20, 0, None, None, None),
        "tracker": (1.0, 0.25, 2.0, 0.1, 0.3, 0.05, 0.2, 3, 1.0, 0.3, 0.3),
        "classifier": (0.15,),
        "smoothing": (0.4, 0.1, 0.35),
        "json_lines": (False, False, None, 50, 24, 30),
    }
    assert {section: tuple(values[section].values()) for section in known} == known
    assert (values["threads"], values["samples"]["count"], values["samples"]["days"]) == (1, 400, 30)
    assert (values["updates"]["min_fps"], values["updates"]["trial_minutes"]) == (5, 30)


def test_every_key_is_explained_by_the_lines_above_it(default_file: str) -> None:
    lines = default_file.splitlines()
    for above, line in pairwise(lines):
        assert not KEY.match(line) or above.startswith("# "), line


def test_the_services_configuration_is_the_same_with_every_key(command: Run, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(command("fer-edge", "config", "--default", "--config", SERVICE).stdout)
    assert load_config(file, {}) == load_config(SERVICE, {})
    assert flat(tomllib.loads(file.read_text())) == flat(tomllib.loads(SERVICE.read_text()))
    assert set(flat(tomllib.loads(KEY.sub(r"\1", file.read_text())))) == every_key()


def test_a_check_names_file_and_key_and_no_secret(command: Run, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[camera]\nwidht = 640\n")
    wrong = command("fer-edge", "config", "--check", file)
    assert wrong.returncode == 2
    assert f"{file}: camera.widht: unknown key. Did you mean width?" in wrong.stderr
    file.write_text('[web]\ntoken = "hunter2"\n')
    wrong = command("fer-edge", "config", "--check", file)
    assert wrong.returncode == 2
    assert "web.token" in wrong.stderr
    assert "hunter2" not in wrong.stderr
    file.write_text("[mqtt]\nport = 1884\n")
    assert "host is missing" in command("fer-edge", "config", "--check", file).stderr
    file.write_text("")
    assert command("fer-edge", "config", "--check", file).returncode == 0


def test_what_is_in_force_tells_where_it_comes_from_and_no_secret(command: Run, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'max_fps = 9\nsource = "rtsp://me:hunter2@cam/1"\n[camera]\nfps = 15\n'
        '[mqtt]\nhost = "a:1884"\nusername = "fer"\npassword = "hunter2"\n'
    )
    arguments = ("config", "--show", "--config", file, "--max-fps", "5", "--json", "-")
    shown = command("fer-edge", *arguments, env=os.environ | {"FER_EDGE_INSTANCE": "door"})
    assert shown.returncode == 0, shown.stderr
    assert "hunter2" not in shown.stdout
    lines = dict(re.split(r" +# (?=\S+$)", line) for line in shown.stdout.splitlines())
    assert lines["max_fps = 5.0"] == "--max-fps"
    assert lines['json = "-"'] == "--json"
    assert lines['source = "rtsp://cam/1"'] == str(file)
    assert lines["camera.fps = 15.0"] == str(file)
    assert lines["camera.width = 640"] == "default"
    assert lines["mqtt.port = 1884"] == str(file), "it came with the host"
    topic = next(line for line in lines if line.startswith("mqtt.topic"))
    assert topic.endswith('/door"')
    assert lines[topic] == "$FER_EDGE_INSTANCE"
    assert set(flat(tomllib.loads(shown.stdout))["mqtt.password"]) == {"…"}
    assert len(lines) == len(every_key())


@pytest.mark.parametrize(
    "arguments", [(), ("--default", "--show"), ("--default", "--max-fps", "5"), ("--show", "--max-fsp", "5")]
)
def test_what_cannot_be_meant_is_refused_in_one_line(command: Run, arguments: tuple[str, ...]) -> None:
    done = command("fer-edge", "config", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_the_home_folder_is_written_as_a_tilde(command: Run, tmp_path: Path) -> None:
    shutil.copy(SERVICE.parents[1] / "docs" / "demo.jpg", tmp_path / "face.jpg")
    config = tmp_path / "config.toml"
    config.write_text('source = "~/face.jpg"\njson = "~/faces.jsonl"\n')
    done = command("fer-edge", "run", "--config", config, env=os.environ | {"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "faces.jsonl").is_file()
    config.write_text('[mqtt]\nhost = "localhost"\nusername = "me"\npassword = "~/x"\n')
    password = load_config(config, {}).mqtt.password
    assert password
    assert password.get_secret_value() == "~/x"


def test_a_name_that_is_not_utf8_shows_no_other_setting(command: Run) -> None:
    done = command("fer-edge", "run", "rtsp://user:secret@127.0.0.1:9/\udcff")
    assert done.returncode == 2
    assert "the name is not UTF-8" in done.stderr
    assert "secret" not in done.stderr


def test_a_reader_of_help_may_stop_reading() -> None:
    with subprocess.Popen(
        [Path(sys.executable).with_name("fer-edge"), "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_default_is_printed_whole_and_keeps_the_values_of_a_file(default_file: str, tmp_path: Path) -> None:
    done = typed("config", "--default")
    assert (done.code, done.out, done.err) == (0, default_file, "")
    (tmp_path / "old.toml").write_text("threads = 3\n")
    kept = typed("config", "--default", "--config", tmp_path / "old.toml").out
    assert [line for line in kept.splitlines() if line not in default_file.splitlines()] == ["threads = 3"]
    (tmp_path / "wrong.toml").write_text("thread = 3\n")
    done = typed("config", "--default", "--config", tmp_path / "wrong.toml")
    assert (done.code, done.out) == (2, "")


def test_a_good_file_is_said_to_be_good(tmp_path: Path) -> None:
    good, wrong = tmp_path / "good\x1b.toml", tmp_path / "wrong.toml"
    good.write_text("threads = 3\n")
    wrong.write_text("thread = 3\n")
    done = typed("config", "--check", good)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{tmp_path}/good\\x1b.toml: every key and value is known. Whether it can run: fer-edge service check\n"
    )
    done = typed("config", "--check", wrong)
    assert (done.code, done.out) == (2, "")
    assert str(wrong) in done.err


@pytest.mark.parametrize(
    "words", [(), ("--default", "--show"), ("--check", "x", "--show"), ("--default", "--check", "x")]
)
def test_one_thing_is_asked_for(words: tuple[str, ...]) -> None:
    done = typed("config", *words)
    assert (done.code, done.err) == (2, "error: give one of --default, --check FILE and --show\n")


def test_options_of_run_are_for_show_alone(tmp_path: Path) -> None:
    done = typed("config", "--default", "--threads", "2")
    assert (done.code, done.err) == (2, "error: --threads: only --show takes the options of fer-edge run\n")
    (tmp_path / "file.toml").write_text('model = "ferplus7-tiny"\n')
    words = ("--threads", "2", "--source", "clip.mp4", "--on-change", "--json", "-", "--web", "8080")
    done = typed("config", "--show", "--config", tmp_path / "file.toml", *words)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert f"{'threads = 2':44}  # --threads" in lines
    assert f"""{'source = "clip.mp4"':44}  # --source""" in lines
    assert f"{'json_lines.on_change = true':44}  # --on-change" in lines
    assert f"""{'model = "ferplus7-tiny"':44}  # {tmp_path}/file.toml""" in lines
    assert f"{'#max_frames is not set':44}  # default" in lines
    assert any(line.startswith("web.listen = ") and line.endswith("# --web") for line in lines)


def test_the_source_of_show_is_an_argument_too() -> None:
    assert f"""{'source = "demo"':44}  # --source""" in typed("config", "--show", "demo").out.splitlines()
    done = typed("config", "--show", "demo", "--source", "0")
    assert (done.code, done.err) == (2, "error: two sources: demo and --source 0. Give one\n")
