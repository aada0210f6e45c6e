"""The values of the configuration: where they come from, and what is refused with which words."""

import socket
from pathlib import Path

import pytest

from fer_edge.config import RunConfig, load_config
from fer_edge.config.keys import toml
from fer_edge.config.origin import settings_in_force
from fer_edge.config.template import template
from fer_edge.config.updates import UpdatesConfig, require_url
from fer_edge.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def refusal(file: Path, text: str) -> str:
    """What is said of a wrong file, without the file's name."""
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(file, {})
    where, _, said = str(refused.value).partition(": ")
    assert where == str(file)
    return said


def test_each_value_in_force_names_its_origin(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_INSTANCE", "door")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    file.write_text(
        'max_fps = 9\nsource = "rtsp://me:hunter2@cam/1?key=hunter2"\n[camera]\nfps = 15\n'
        '[mqtt]\nhost = "a:1884"\nusername = "fer"\npassword = "hunter2"\n'
    )
    overrides = {"max_fps": 5.0, "json": "-", "camera.width": 320, "threads": None, "screen.mirror": True}
    options = {"max_fps": "--max-fps", "json": "--json", "camera.width": "--width", "threads": "--threads"}
    found = {setting.key: setting for setting in settings_in_force(file, overrides, options)}
    told = {key: (setting.value, setting.origin) for key, setting in found.items()}
    assert told["max_fps"] == ("5.0", "--max-fps")
    assert told["json"] == ('"-"', "--json")
    assert told["camera.width"] == ("320", "--width")
    assert told["screen.mirror"] == ("true", "screen.mirror"), "it has no option"
    assert told["threads"] == ("1", "default"), "it was not given"
    assert told["source"] == ('"rtsp://cam/1?…"', str(file))
    assert told["camera.fps"] == ("15.0", str(file))
    assert told["mqtt.port"] == ("1884", str(file)), "it came with the host"
    assert told["mqtt.password"] == ('"…"  # hidden', str(file))
    host = socket.gethostname().partition(".")[0]
    assert told["mqtt.topic"] == (f'"fer-edge/{host}/door"', "$FER_EDGE_INSTANCE")
    assert told["mqtt.password_file"] == ("", "default")
    assert told["updates.tags"] == ("", "default")
    assert told["updates.root"] == ('"/etc/fer-edge/root.json"', "default")


def test_a_port_that_came_with_the_address_of_an_option_names_that_option() -> None:
    overrides = {"source": "demo", "mqtt.host": "mqtts://a:1884"}
    options = {"source": "SOURCE", "mqtt.host": "--mqtt"}
    told = {setting.key: (setting.value, setting.origin) for setting in settings_in_force(None, overrides, options)}
    assert told["mqtt.port"] == ("1884", "--mqtt")
    assert told["mqtt.tls"] == ("true", "--mqtt")
    assert told["mqtt.host"] == ('"a"', "--mqtt")
    told = {setting.key: (setting.value, setting.origin) for setting in settings_in_force(None, overrides, {})}
    assert told["mqtt.port"] == ("1884", "mqtt.host"), "without the name of an option the key is named"


@pytest.mark.parametrize(
    ("given", "source"),
    [
        (3, "3"),
        ("demo", "demo"),
        ("file:///a/b%20c.mp4", "/a/b c.mp4"),
        ("FILE://localhost/b.mp4", "/b.mp4"),
        ("/a/file://b%20c", "/a/file://b%20c"),
    ],
)
def test_a_source_may_be_a_number_or_the_url_of_a_file(given: object, source: str) -> None:
    assert load_config(None, {"source": given}).source == source


@pytest.mark.parametrize("text", ["source = true", "source = 1.5", "source = ['demo']", "source = ''"])
def test_a_source_is_no_other_value(file: Path, text: str) -> None:
    assert refusal(file, text).startswith("source: ")


def test_a_wrong_value_is_told_with_its_file_or_its_option(file: Path) -> None:
    assert refusal(file, "[camera]\nwidht = 3\n") == "camera.widht: unknown key. Did you mean width?"
    assert refusal(file, "threads = 0\n") == "threads: Input should be greater than or equal to 1, not 0"
    file.write_text("threads = 2\n")
    with pytest.raises(ConfigError) as refused:
        load_config(file, {"threads": 0}, {"threads": "--threads"})
    assert str(refused.value) == "--threads: Input should be greater than or equal to 1, not 0"
    with pytest.raises(ConfigError) as refused:
        load_config(None, {"threads": 0})
    assert str(refused.value).startswith("threads: ")
    assert load_config(file, {"threads": 3, "max_fps": None}).threads == 3
    assert load_config(file, {"threads": None}).threads == 2


def test_a_name_that_is_not_utf8_is_told_by_its_key_or_its_option() -> None:
    for key, said in (("source", "SOURCE"), ("usage.path", "usage.path")):
        with pytest.raises(ConfigError) as refused:
            load_config(None, {"threads": 1, "camera.width": 320, key: "secret\udcff"}, {"source": "SOURCE"})
        assert str(refused.value) == f"{said}: the name is not UTF-8. Rename it"


def test_a_wrong_value_cannot_move_the_cursor(file: Path) -> None:
    assert "\\x1b[2J" in refusal(file, 'display = "\\u001b[2J"')


def test_a_tilde_is_the_home_folder_only_where_a_path_may_be(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    file.write_text(
        'source = "~/a.mp4"\n[usage]\npath = "~/usage"\n[screen]\npictures = "a~"\n'
        '[mqtt]\nhost = "a"\ntopic = "~/x"\nusername = "me"\npassword = "~/y"\n[home_assistant]\nname = "~"\n'
    )
    config = load_config(file, {})
    assert config.source == "/home/ann/a.mp4"
    assert config.usage.path == Path("/home/ann/usage")
    assert config.screen.pictures == Path("a~")
    assert config.mqtt.topic == "~/x"
    assert config.home_assistant.name == "~"
    assert config.mqtt.password
    assert config.mqtt.password.get_secret_value() == "~/y"


def test_a_path_of_the_command_line_is_taken_and_beside_it_the_files_keys_hold(file: Path) -> None:
    file.write_text("[samples]\ncount = 20\n")
    config = load_config(file, {"samples.path": Path("/a/b"), "record": Path("c.mkv")})
    assert (config.samples.path, config.samples.count, config.record) == (Path("/a/b"), 20, Path("c.mkv"))


def test_a_file_that_cannot_be_read_is_told_with_the_reason(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        load_config(file, {})
    assert str(refused.value) == f"{file}: cannot be read (No such file or directory)"
    utf16 = [("threads = 2", "utf-16"), ("threads = 2", "utf-16-le")]
    for text, encoding in utf16:
        file.write_text(text, encoding=encoding)
        with pytest.raises(ConfigError) as refused:
            load_config(file, {})
        assert str(refused.value) == f"{file}: is not UTF-8. Save it as UTF-8 in your editor"
    assert refusal(file, "threads = ").startswith("is not TOML: Invalid value")


def test_a_file_may_begin_with_the_mark_of_utf8(file: Path) -> None:
    file.write_text("threads = 2", encoding="utf-8-sig")
    assert load_config(file, {}).threads == 2


def test_values_are_shown_as_toml() -> None:
    assert toml("a\x7fé") == '"a\\u007fé"'
    assert toml(Path("/a")) == '"/a"'
    assert toml(("a", "b")) == '["a", "b"]'
    assert toml(True) == "true"


def test_the_template_of_a_file_ends_with_one_line_end_and_has_no_double_gaps() -> None:
    text = template({})
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not text.startswith("\n")
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("hours", "quiet", "loud"),
    [
        ("08:00-22:30", [480, 1349], [0, 479, 1350, 1439]),
        ("22:30-8:00", [1350, 1439, 0, 479], [480, 1349]),
        ("08:00-08:00", [], [0, 479, 480, 481]),
        (None, [], [0, 600]),
    ],
)
def test_quiet_hours_begin_with_their_first_minute_and_end_before_their_last(
    hours: str | None, quiet: list[int], loud: list[int]
) -> None:
    config = UpdatesConfig(quiet_hours=hours)
    assert [minute for minute in (*quiet, *loud) if config.is_quiet(minute)] == quiet


@pytest.mark.parametrize("hours", ["8-22", "24:00-08:00", "08:60-09:00", "08:00-22:00 ", "a 08:00-22:00"])
def test_hours_are_two_times_of_a_day(file: Path, hours: str) -> None:
    said = refusal(file, f'[updates]\nquiet_hours = "{hours}"')
    assert said == f"updates.quiet_hours: expected HH:MM-HH:MM, as in 08:00-22:00, not {hours!r}"


def test_updates_come_from_a_url_without_a_login(file: Path) -> None:
    for url in ("http://a/b", "https://a", "file:///srv/models", "HTTPS://a"):
        require_url(url)
        assert load_config(None, {"updates.url": url}).updates.url == url
    for url in ("ftp://a/b", "http:///b", "https:", "/srv/models"):
        said = refusal(file, f'[updates]\nurl = "{url}"')
        assert said.startswith("updates.url: expected a URL: http://, https://, or file:// for a folder")
    for login in ("me", "me:hunter2", ":hunter2"):
        said = refusal(file, f'[updates]\nurl = "https://{login}@a"')
        assert said.startswith("updates.url: a URL here holds no password: what is signed need not be secret")
    assert "allow_start: url is not set" in refusal(file, "[updates]\nallow_start = true")


def test_settings_that_contradict_one_another_are_refused(file: Path) -> None:
    said = refusal(file, 'blur = true\n[samples]\npath = "/a"')
    assert "blur and samples.path contradict one another: samples are pictures of faces" in said
    assert "uncertain_below and switch_margin make 1 or more" in refusal(
        file, "[smoothing]\nuncertain_below = 0.9\nswitch_margin = 0.1"
    )
    assert refusal(file, "[fleet]\nenabled = true").startswith("fleet: needs a broker: set mqtt.host")
    assert refusal(file, "[home_assistant]\nenabled = true").startswith("home_assistant: needs a broker")
    said = refusal(file, '[mqtt]\nhost = "a"\nusername = "an/n"\n[fleet]\nenabled = true')
    assert said.startswith("fleet: mqtt.username an/n cannot name a device: set fleet.id")
    assert RunConfig().fleet.enabled is False


def test_two_devices_and_two_instances_have_topics_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    host = socket.gethostname().partition(".")[0]
    monkeypatch.delenv("FER_EDGE_INSTANCE", raising=False)
    assert load_config(None, {}).mqtt.topic == f"fer-edge/{host}"
    monkeypatch.setenv("FER_EDGE_INSTANCE", "door")
    assert load_config(None, {}).mqtt.topic == f"fer-edge/{host}/door"
    for name, topic in (("a#b+c/d.lan", "a-b-c-d"), (".lan", "localhost")):
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        assert load_config(None, {}).mqtt.topic == f"fer-edge/{topic}/door"


def test_a_service_finds_the_password_that_systemd_passes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_config(None, {}).mqtt.password_file is None
    (tmp_path / "mqtt-password").write_text("secret")
    assert load_config(None, {}).mqtt.password_file == tmp_path / "mqtt-password"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}).mqtt.password_file is None, "the working folder is none of systemd's"


def test_the_socket_of_the_page_is_in_the_runtime_folder_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="unix is for the service, whose runtime folder systemd names"):
        _ = load_config(None, {"web.listen": "unix"}).web.socket_path
    assert load_config(None, {"web.listen": "unix:/a/b"}).web.socket_path == Path("/a/b")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/fer-edge:/run/other")
    path = load_config(None, {"web.listen": "unix"}).web.socket_path
    assert path
    assert path.is_relative_to("/run/fer-edge")
