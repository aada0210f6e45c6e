"""A real Home Assistant, in a root that home_assistant/prepare.sh made: what it makes of fer-edge's announcement.

It is set up over its own API, as its owner does in a browser. With -s the test tells how long everything took.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.broker import Broker
from tests.conftest import wait_until

from fer_edge.updates.latest import Latest, write_latest

FER_EDGE = Path(sys.executable).with_name("fer-edge")
INTEGRATION = Path(__file__).parents[2] / "integrations/home_assistant"
FOLDER = "var/tmp/fer-edge-test"
CLIENT = "http://127.0.0.1/"
CHROMIUM = shutil.which("chromium")

# By entity id, without "kitchen_camera_".
ALWAYS = {
    "sensor": {"expression", "confidence", "faces_in_view", "frame_rate", "model", "model_version", "version", "board"},
    "binary_sensor": {"somebody_there", "camera", "problem"},
}
WANTED = {
    "binary_sensor": {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"},
    "image": {"snapshot"},
}
EVERYTHING = "enabled = true\nexpressions = true"
SNAPSHOTS = "snapshots = true"
UNAVAILABLE = "unavailable"
NOTHING = {None, UNAVAILABLE, "unknown"}


class HomeAssistant:
    """A server, started and set up."""

    def __init__(self, root: Path, broker: Broker) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._root = root
        self.log = root / FOLDER / "home-assistant.log"
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        shutil.copytree(INTEGRATION, root / FOLDER)
        (root / FOLDER / "configuration.yaml").write_text(
            f"""
http: {{server_host: 127.0.0.1, server_port: {self.port}}}
frontend:
config:
history:
logger: {{default: warning}}
automation: !include automation.yaml
lovelace:
  mode: storage
  dashboards:
    kitchen-camera: {{mode: yaml, title: Kitchen, filename: dashboard.yaml}}
"""
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=30)
        self.start()
        self._set_up(broker)

    def start(self) -> None:
        inside = f'mount -t proc proc "$0/proc" && exec chroot "$0" /opt/hass/bin/hass -c /{FOLDER} --skip-pip'
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", inside, self._root],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LANG": "C.UTF-8"},
        )
        wait_until(self._answers, 180)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with suppress(httpx.TransportError):
            return self.client.get(
                "/api/onboarding" if "Authorization" not in self.client.headers else "/api/"
            ).is_success
        return False

    def _set_up(self, broker: Broker) -> None:
        """What the owner does in a browser: an account, and the MQTT integration."""
        owner = {"name": "Owner", "username": "owner", "password": "a long password", "language": "en"}
        code = self.post("/api/onboarding/users", {"client_id": CLIENT, **owner})["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT}
        self.tokens = self.client.post("/auth/token", data=form).raise_for_status().json()
        self.client.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        self.post("/api/onboarding/core_config", {})
        self.post("/api/onboarding/analytics", {})
        self.post("/api/onboarding/integration", {"client_id": CLIENT, "redirect_uri": CLIENT})
        flow = self.post("/api/config/config_entries/flow", {"handler": "mqtt"})
        done = self.post(
            f"/api/config/config_entries/flow/{flow['flow_id']}", {"broker": "127.0.0.1", "port": broker.port}
        )
        assert done["type"] == "create_entry", done
        self._drop_what_nobody_asked_for()

    def _drop_what_nobody_asked_for(self) -> None:
        """A new owner gets weather, radio and speech, which want packages of their own."""
        entries = "/api/config/config_entries/entry"
        for entry in self.client.get(entries).raise_for_status().json():
            if entry["domain"] != "mqtt":
                self.client.delete(f"{entries}/{entry['entry_id']}").raise_for_status()
        self.stop()
        self.start()

    def post(self, path: str, content: dict[str, Any]) -> Any:
        return self.client.post(path, json=content).raise_for_status().json()

    def template(self, text: str) -> str:
        return self.client.post("/api/template", json={"template": text}).raise_for_status().text

    def states(self) -> dict[str, dict[str, Any]]:
        """All of the device's entities, by platform and name without the device's."""
        found = self.client.get("/api/states").raise_for_status().json()
        return {
            one["entity_id"].replace("kitchen_camera_", ""): one
            for one in found
            if ".kitchen_camera_" in one["entity_id"]
        }

    def values(self) -> set[str]:
        """Which states there are."""
        return {one["state"] for one in self.states().values()}

    def value(self, entity: str) -> Any:
        return self.states().get(entity, {}).get("state")


@pytest.fixture
def home(broker: Broker) -> Iterator[HomeAssistant]:
    root = Path(os.environ.get("FER_HOME_ASSISTANT", "/nonexistent"))
    if not (root / "opt/hass/requirements.txt").is_file():
        pytest.skip("FER_HOME_ASSISTANT is not set to a root that home_assistant/prepare.sh made")
    if os.getuid() != 0:
        pytest.skip("chroot wants root: run the tests as root")
    began = time.monotonic()
    home = HomeAssistant(root, broker)
    tell(f"Home Assistant {home.client.get('/api/config').json()['version']} is set up", began)
    yield home
    home.stop()


def tell(what: str, began: float) -> None:
    print(f"{time.monotonic() - began:6.1f} s  {what}")  # noqa: T201 - for the reader of the documentation


@contextmanager
def running(broker: Broker, settings: str = "enabled = true", mqtt: str = "") -> Iterator[subprocess.Popen[bytes]]:
    config = broker.folder / "config.toml"
    config.write_text(
        f'source = "demo"\n[mqtt]\nhost = "127.0.0.1:{broker.port}"\n{mqtt}\n'
        f'[home_assistant]\nname = "Kitchen camera"\n{settings}\n'
    )
    process = subprocess.Popen([FER_EDGE, "run", "--config", config], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def entities(wanted: dict[str, set[str]]) -> set[str]:
    return {f"{platform}.{name}" for platform, names in wanted.items() for name in names}


def test_a_real_home_assistant(home: HomeAssistant, broker: Broker, tmp_path: Path) -> None:
    """One after the other, since setting it up takes half a minute."""
    appears_and_follows_the_demo(home, broker)
    automation_sees_a_smile(home, broker)
    is_unavailable_after_a_kill_and_comes_back(home, broker)
    a_newer_model_is_shown(home, broker, tmp_path)
    if CHROMIUM:
        dashboard_shows_it(home, broker, tmp_path)
    what_is_switched_off_is_removed(home, broker)
    no_complaint_is_logged(home)


def appears_and_follows_the_demo(home: HomeAssistant, broker: Broker) -> None:
    began = time.monotonic()
    every = entities(ALWAYS) | entities(WANTED)
    with running(broker, EVERYTHING, SNAPSHOTS):
        wait_until(lambda: set(home.states()) >= every)
        assert set(home.states()) - every <= {"sensor.temperature"}
        assert home.template("{{ device_attr('sensor.kitchen_camera_expression', 'manufacturer') }}") == "fer-edge"
        wait_until(lambda: UNAVAILABLE not in home.values())
        tell(f"{len(home.states())} entities are there and available", began)
        labels: set[str] = set()

        def has_followed() -> bool:
            expression = home.states()["sensor.expression"]
            assert expression["state"] in {*expression["attributes"]["options"], "unknown"}
            labels.add(expression["state"])
            return len(labels - {"unknown"}) >= 3

        wait_until(has_followed)
        tell(f"the expression followed the demo: {', '.join(sorted(labels))}", began)
        assert home.value("binary_sensor.somebody_there") == "on"
        assert home.value("binary_sensor.camera") == "on"
        assert home.value("sensor.faces_in_view") == "1"
        assert float(home.value("sensor.frame_rate")) > 1
        assert home.value("sensor.model") == "ferplus7"
        wait_until(lambda: home.value("image.snapshot") not in {"unknown", UNAVAILABLE})
        picture = home.client.get(home.states()["image.snapshot"]["attributes"]["entity_picture"])
        assert picture.content.startswith(b"\xff\xd8"), "a JPEG file"


def automation_sees_a_smile(home: HomeAssistant, broker: Broker) -> None:
    automation = "/api/states/automation.somebody_smiles_in_the_kitchen"
    began = time.monotonic()
    before = home.client.get(automation).json()["attributes"]["last_triggered"]
    with running(broker, EVERYTHING, SNAPSHOTS):
        wait_until(lambda: home.client.get(automation).json()["attributes"]["last_triggered"] != before)
        tell("the automation was triggered by a smile", began)


def is_unavailable_after_a_kill_and_comes_back(home: HomeAssistant, broker: Broker) -> None:
    with running(broker, EVERYTHING, SNAPSHOTS) as process:
        wait_until(lambda: home.value("sensor.expression") not in NOTHING)
        process.kill()
        began = time.monotonic()
        wait_until(lambda: home.values() == {UNAVAILABLE})
        tell("all are unavailable after kill -9", began)
    began = time.monotonic()
    with running(broker, EVERYTHING, SNAPSHOTS):
        wait_until(lambda: home.value("sensor.expression") not in NOTHING and UNAVAILABLE not in home.values())
        tell("all are back after a restart", began)
        home.stop()
        began = time.monotonic()
        home.start()
        wait_until(lambda: home.value("sensor.expression") not in NOTHING)
        tell("Home Assistant has restarted and knows the expression again", began)
    wait_until(lambda: home.values() == {UNAVAILABLE})


def a_newer_model_is_shown(home: HomeAssistant, broker: Broker, tmp_path: Path) -> None:
    write_latest(Latest("ferplus7", "0.1.0", "0.2.0", "It is meant for this device.", time.time()), tmp_path)
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_EDGE_MODELS", str(tmp_path))
        with running(broker, f'{EVERYTHING}\n[updates]\nurl = "https://models.example.org"', SNAPSHOTS):
            wait_until(lambda: home.value("update.model_update") == "on")
            about = home.states()["update.model_update"]["attributes"]
            assert (about["installed_version"], about["latest_version"]) == ("0.1.0", "0.2.0")
            tell("a newer model is shown", began)


def dashboard_shows_it(home: HomeAssistant, broker: Broker, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    tokens = {**home.tokens, "hassUrl": home.url, "clientId": CLIENT, "expires": 1000 * (time.time() + 1800)}
    with running(broker, EVERYTHING, SNAPSHOTS), sync_playwright() as playwright:
        wait_until(lambda: home.value("image.snapshot") not in NOTHING)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1000, "height": 800})
        tab.add_init_script(f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))})")
        tab.goto(f"{home.url}/kitchen-camera/kitchen")
        tab.get_by_text("In the kitchen").wait_for(timeout=90_000)
        tab.get_by_text("Latest").wait_for(timeout=90_000)
        assert tab.locator("hui-error-card, hui-warning, ha-alert").count() == 0
        tab.wait_for_function("label => document.title.length > 0")
        tab.wait_for_timeout(3000)  # pictures and graphs fade in
        tab.screenshot(path=str(Path(os.environ.get("FER_SCREENSHOTS", tmp_path)) / "home-assistant.png"))
        browser.close()


def what_is_switched_off_is_removed(home: HomeAssistant, broker: Broker) -> None:
    with running(broker, EVERYTHING, SNAPSHOTS):
        wait_until(lambda: set(home.states()) >= entities(WANTED))
    began = time.monotonic()
    with running(broker, "enabled = true"):
        wait_until(lambda: not entities(WANTED) & set(home.states()))
        assert set(home.states()) >= entities(ALWAYS)
        tell("the expressions and the snapshot are removed", began)
    began = time.monotonic()
    with running(broker, "enabled = false"):
        wait_until(lambda: not home.states())
        tell("the device is removed", began)


def no_complaint_is_logged(home: HomeAssistant) -> None:
    said = "".join(path.read_text() for path in home.log.parent.glob("home-assistant.log*"))
    assert "WARNING" in said, "its log was found"
    complaints = [
        line for line in said.splitlines() if re.search(r"mqtt|fer_edge|kitchen|template|automation|lovelace", line)
    ]
    assert complaints == []
