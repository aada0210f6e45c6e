"""Bad input: one line, the documented exit code, nothing half-written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import Run

from fer_edge.assets.composites import load_composites
from fer_edge.config import load_config
from fer_edge.errors import ConfigError


def check(done: subprocess.CompletedProcess[str], code: int, *telling: str) -> None:
    assert done.returncode == code, done.stderr
    errors = done.stderr.splitlines()
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("error: ")
    for part in telling:
        assert part in errors[0]


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("sorce = 'demo'", "sorce: unknown key"),
        ("[tracker]\nscan_spread = inf", "tracker.scan_spread: Input should be a finite number"),
        ("[tracker]\ndetect_interval = inf", "tracker.detect_interval: Input should be a finite number"),
        ("[tracker]\nscan_interval = 'often'", "tracker.scan_interval"),
        ("[smoothing]\nuncertain_below = 0.9", "smoothing: uncertain_below and switch_margin make 1 or more"),
        ("[classifier]\nprior = 1.5", "classifier.prior"),
        ("threads = 0", "threads"),
        ("max_fps = 0.5", "max_fps"),
        ("tracker = 5", "tracker"),
        ("source = ", "is not TOML"),
        ("[detector]\nname = 'yolo'", "detector.name"),
        ("threads = '2'", "threads"),
        ("threads = true", "threads"),
        ("[detector]\nmin_neighbours = 99999999999", "detector.min_neighbours"),
        ("[detector]\ncascade = '/no/such.xml'", "/no/such.xml"),
    ],
)
def test_a_wrong_configuration(command: Run, tmp_path: Path, text: str, telling: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    check(command("fer-edge", "run", "--source", "demo", "--max-frames", 1, "--config", config), 2, telling)


def test_a_configuration_that_is_not_there(command: Run, tmp_path: Path) -> None:
    check(command("fer-edge", "run", "--config", tmp_path / "no.toml"), 2, "no.toml")


def test_a_wrong_cascade(command: Run, tmp_path: Path) -> None:
    (tmp_path / "cascade.xml").write_text("<no/>")
    config = tmp_path / "config.toml"
    config.write_text(f"source = 'demo'\n[detector]\ncascade = '{tmp_path / 'cascade.xml'}'")
    check(command("fer-edge", "run", "--config", config), 2, "is not a Haar cascade")


@pytest.mark.parametrize("option", ["--json", "--record"])
def test_an_output_that_cannot_be_written(command: Run, tmp_path: Path, option: str) -> None:
    target = tmp_path / "nosuch" / "out.mp4"
    check(command("fer-edge", "run", "--source", "demo", option, target), 2, str(target), "cannot be written")
    assert not list(tmp_path.iterdir())


def test_a_recording_of_an_unknown_kind(command: Run, tmp_path: Path) -> None:
    check(command("fer-edge", "run", "--source", "demo", "--record", tmp_path / "out.gif"), 2, ".mp4")


@pytest.mark.parametrize("source", ["97", "nosuch.mp4", "rtsp://127.0.0.1:9/none", "a" * 300])
def test_a_missing_camera_or_file(command: Run, source: str) -> None:
    check(command("fer-edge", "run", "--source", source), 3, source)


def test_a_name_that_no_file_can_have(command: Run) -> None:
    check(command("fer-edge", "run", "--source", "file:///a%00b", "--json", "-"), 3, "is no file")


@pytest.mark.parametrize(
    ("arguments", "telling"),
    [
        (("--max-frames", "abc"), "--max-frames"),
        (("--max-frames", "0"), "--max-frames: "),
        (("--threads", "0"), "--threads: "),
        (("--detector", "yolo"), "--detector: 'yolo' is unknown. Choose haar or mediapipe"),
        (("--max-fps", "x"), "--max-fps"),
        (("--source", ""), "--source: "),
        (("--colour", "red"), "--colour"),
        (("--record", ""), ".mp4"),
        (("--record", "/"), ".mp4"),
    ],
)
def test_wrong_options(command: Run, arguments: tuple[str, ...], telling: str) -> None:
    check(command("fer-edge", "run", "--source", "demo", *arguments), 2, telling)


def test_a_file_name_that_opencv_cannot_open(command: Run, tmp_path: Path, demo_video: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/v\xff.mp4"
    shutil.copy(os.fsencode(demo_video), odd)
    check(command("fer-edge", "run", "--source", os.fsdecode(odd)), 2, "not UTF-8")


def test_a_picture_too_large_for_opencv(command: Run, tmp_path: Path) -> None:
    (tmp_path / "claims.png").write_bytes(b"P5 100000 100000 255\n")
    cv2.imwrite(str(tmp_path / "holds.png"), np.zeros((12000, 12000), np.uint8))
    for name in ("claims.png", "holds.png"):
        check(command("fer-edge", "run", "--source", tmp_path / name), 3, f"{name}: is not a readable image")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_a_picture_that_was_cut_is_one_line(command: Run, suffix: str, tmp_path: Path) -> None:
    """OpenCV would add lines of its own."""
    content = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8))[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: len(content) // 2])
    done = command("fer-edge", "run", path)
    assert (done.returncode, done.stderr) == (3, f"error: {path}: is not a readable image\n")


def test_a_picture_with_a_part_that_claims_gigabytes(tmp_path: Path) -> None:
    content = bytearray(cv2.imencode(".png", load_composites()["happy"])[1].tobytes())
    data = content.index(b"IDAT")
    content[data - 4 : data] = (2**31).to_bytes(4, "big")
    (tmp_path / "face.png").write_bytes(content)
    program = Path(sys.executable).with_name("fer-edge")
    words = ["prlimit", "--as=1800000000", str(program), "run", "--source", str(tmp_path / "face.png")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    check(done, 3, "face.png: is not a readable image")


def test_standard_output_that_is_full() -> None:
    program = Path(sys.executable).with_name("fer-edge")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([program, "models"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    check(done, 2, "an output cannot be written (No space left on device)")


def test_closed_standard_streams_stop_nothing(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("fer-edge")
    script = f"{program} run --source demo --max-frames 2 --json - <&- >&-"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 frames" in done.stderr


@pytest.mark.usefixtures("uncounted")
def test_a_folder_that_an_ordinary_user_may_not_read(open_path: Path) -> None:
    if not shutil.which("setpriv") or os.geteuid() != 0:
        pytest.skip("no other user can be played: run the tests as root, and sudo apt install util-linux")
    folder = open_path / "closed"
    folder.mkdir(mode=0o700)
    cv2.imwrite(str(folder / "x.png"), load_composites()["happy"])
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    program = Path(sys.executable).with_name("fer-edge")
    for source, telling in ((folder, "cannot be listed (Permission denied)"), (folder / "x.png", "x.png")):
        words = [*user, str(program), "run", "--source", str(source)]
        check(subprocess.run(words, cwd="/", capture_output=True, text=True, check=False), 3, telling)


def test_a_name_that_looks_like_markup_is_measured(command: Run, tmp_path: Path, demo_video: Path) -> None:
    (tmp_path / "q[").mkdir()
    shutil.copy(demo_video, tmp_path / "q[" / "b].mp4")
    done = command("fer-edge", "bench", "--source", "q[/b].mp4", "--frames", 5, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "q[/b].mp4" in done.stdout


def test_a_source_that_fails_leaves_no_output(command: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    check(command("fer-edge", "run", "--source", "nosuch.mp4", "--json", out), 3)
    assert not out.exists()


def test_an_unusable_model(command: Run, tmp_path: Path, bundle_dir: Path) -> None:
    check(command("fer-edge", "run", "--source", "demo", "--model", "nosuch"), 4, "nosuch")
    bad = tmp_path / "bad"
    shutil.copytree(bundle_dir, bad)
    (bad / "model.tflite").write_bytes(b"")
    check(command("fer-edge", "run", "--source", "demo", "--model", bad), 4, "is empty")


def stand_in(folder: Path, module: str, code: str) -> dict[str, str]:
    """An environment in which importing `module` runs `code`: what cannot be uninstalled here."""
    path = folder / module
    path.mkdir()
    (path / "__init__.py").write_text(code)
    return {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("library", ["libGL.so.1", "libxcb.so.1", "libgthread-2.0.so.0"])
def test_opencv_without_its_system_libraries(command: Run, tmp_path: Path, library: str) -> None:
    message = f"{library}: cannot open shared object file: No such file or directory"
    env = stand_in(tmp_path, "cv2", f"raise ImportError('{message}')")
    telling = (f"OpenCV needs {library}", "sudo apt install libgl1 libglib2.0-0")
    check(command("fer-edge", "run", "--source", "demo", env=env), 2, *telling)


def test_no_tflite_runtime(command: Run, tmp_path: Path) -> None:
    env = stand_in(tmp_path, "ai_edge_litert", "raise ModuleNotFoundError('no', name='ai_edge_litert')")
    check(command("fer-edge", "run", "--source", "demo", env=env), 2, "no TFLite runtime", "pip install ai-edge-litert")


def test_an_opencv_without_cascades(tmp_path: Path) -> None:
    script = (
        "import sys, cv2; del cv2.CascadeClassifier; from fer_edge.cli.app import run; sys.argv = sys.argv[1:]; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "fer-edge", "run", "--source", "demo"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    check(done, 2, "has no Haar cascades", "pip install 'opencv-python>=4.11,<5'")


def test_debug_shows_the_traceback(command: Run) -> None:
    done = command("fer-edge", "--debug", "run", "--source", "nosuch.mp4")
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("KeyboardInterrupt", 130, ""),
        ("ValueError('of an odd\\nkind')", 5, "error: a fault of the program: ValueError: of an odd kind. "),
        ("MemoryError", 2, "error: not enough memory. "),
        ("OSError(24, 'Too many open files')", 2, "error: too many open files. "),
        ("OSError(28, 'No space left on device')", 2, "error: an output cannot be written (No space left on device)"),
        ("SourceError('no camera')", 3, "error: no camera"),
        ("ModelError('no model')", 4, "error: no model"),
        ("ConfigError('no key')", 2, "error: no key"),
        ("ModuleNotFoundError('x', name='paho')", 2, "pip install '.[mqtt]'"),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_one_line(fault: str, code: int, said: str) -> None:
    script = f"""
from fer_edge.cli.console import run_app
from fer_edge.errors import ConfigError, ModelError, SourceError
def command(standalone_mode):
    raise {fault}
run_app(command, "mqtt")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == bool(said), done.stderr
    assert said in done.stderr


def test_a_configuration_as_editors_on_other_systems_save_it(tmp_path: Path) -> None:
    text = 'source = "demo"\r\n[mqtt]\r\nhost = "broker"\r\n'
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_config(path, {}).source == "demo"
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(ConfigError, match="is not UTF-8"):
            load_config(path, {})


def test_a_configuration_that_is_nested_without_end_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("a = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(path, {})


@pytest.mark.parametrize(
    ("given", "host", "port", "tls"),
    [
        ("broker", "broker", 1883, False),
        ("broker:1884", "broker", 1884, False),
        ("mqtt://broker", "broker", 1883, False),
        ("MQTTS://broker/", "broker", 8883, True),
        ("mqtts://broker:9000", "broker", 9000, True),
        ("::1", "::1", 1883, False),
        ("[2001:db8::1]:1884", "2001:db8::1", 1884, False),
        ("[::1]", "::1", 1883, False),
        ("mqtts://[2001:db8::7]", "2001:db8::7", 8883, True),
        ("fe80::1%eth0", "fe80::1%eth0", 1883, False),
        ("mqtt://[fe80::1%25eth0]:1884", "fe80::1%eth0", 1884, False),
        ("küche.local:1884", "küche.local", 1884, False),
        ("my_pi.", "my_pi.", 1883, False),
        ("Broker-2.Local", "Broker-2.Local", 1883, False),
    ],
)
def test_a_broker_by_name_address_or_url(given: str, host: str, port: int, tls: bool) -> None:
    mqtt = load_config(None, {"mqtt.host": given}).mqtt
    assert (mqtt.host, mqtt.port, mqtt.tls) == (host, port, tls)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "http://broker",
        "broker:port",
        "broker:",
        "broker:0",
        "broker:65536",
        "broker:\uff11",
        "mqtt://me:secret@broker",
        "mqtt://broker/topic",
        "mqtt://",
        "[::1",
        "[::1]1883",
        "my broker",
        "broker?x",
        "a..b",
        "a" * 64,
        "192.168.1.300",
        "[::1]:",
        "bro\nker",
    ],
)
def test_what_is_no_broker_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="mqtt") as refused:
        load_config(None, {"mqtt.host": given})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("mqtts://me:secret@broker", "mqtt.username and mqtt.password_file"),
        ("mqtts://me:sec/ret@broker:8883/topic", "mqtt.username and mqtt.password_file"),
        ("mqtts://me:secret://x@[::1]", "mqtt.username and mqtt.password_file"),
        ("me:secret@broker:1883", "mqtt.username and mqtt.password_file"),
        ("mqtts://me:secret:8883", "more than one colon"),
        ("mqtt://broker:1883?password=secret", "nothing may follow"),
        ("mqtt://broker/topic", "A topic belongs in mqtt.topic"),
        ("mqtt:broker", "mqtt://NAME"),
        ("mqtts//broker:8883", "mqtts://NAME"),
        ("tcp://broker:1883", "tcp:// is no broker. Give mqtt://NAME"),
        ("ssl://broker:8883", "Give mqtts://NAME"),
        ("wss://broker/mqtt", "WebSockets are not spoken"),
        ("mqtt://:1883", "the name is missing"),
        ("::1:1883", "as in [::1]:1883"),
        ("[fe80::1]:1883", "needs the interface that leads to it, as in fe80::1%eth0"),
    ],
)
def test_the_mistake_in_a_brokers_url_is_named_with_its_fix_and_no_password(given: str, fix: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fix)) as refused:
        load_config(None, {"mqtt.host": given})
    assert "sec" not in str(refused.value)
    assert str(refused.value).startswith("mqtt: host: ")


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ("tls = true", 8883),
        ('cafile = "ca.pem"', 8883),
        ('cafile = "ca.pem"\nport = 1883', 1883),
        ("tls = false", 1883),
    ],
)
def test_tls_is_meant_where_a_certificate_is_named_and_has_a_port_of_its_own(
    tmp_path: Path, settings: str, port: int
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[mqtt]\nhost = "broker"\n{settings}\n')
    mqtt = load_config(file, {}).mqtt
    assert (mqtt.tls, mqtt.port) == (settings != "tls = false", port)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ('host = "mqtts://broker"\ntls = false', "mqtts://"),
        ('host = "broker"\ncertificate = "c.pem"', "key"),
        ('host = "broker"\npassword = "hidden"', "username"),
        ('host = "broker"\nusername = "fer"\npassword = "hidden"\npassword_file = "f"', "password_file"),
        ('host = "broker"\ntls = false\ncafile = "ca.pem"', "cafile"),
        ("port = 1884", "host"),
    ],
)
def test_settings_of_a_broker_that_contradict_each_other_are_refused(tmp_path: Path, settings: str, named: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[mqtt]\n{settings}\n")
    with pytest.raises(ConfigError, match=named) as refused:
        load_config(file, {})
    assert "hidden" not in str(refused.value)


def test_a_deleted_working_folder_does_not_matter_where_none_is_needed(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    script = f"cd {folder} && rmdir {folder} && exec {sys.executable} -m fer_edge run demo --max-frames 3"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 frames" in done.stderr
