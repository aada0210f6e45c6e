"""The live page over real HTTP: what it answers, and to whom."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import httpx
import jsonschema
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from starlette.responses import PlainTextResponse
from tests.clock import Clock
from tests.conftest import Run, wait_until
from tests.edge.test_overlay import likeness
from tests.pages import PASSWORD, TOKEN, ask_app, running
from tests.visitors import write_expected

from fer_edge import FaceBox, Frame, FrameResult, Prediction, Track, TrackedFace
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import ModelIdentity, UsageStore
from fer_edge.updates.latest import Latest, write_latest
from fer_edge.web.auth import Gate, hash_password
from fer_edge.web.guard import Guard
from fer_edge.web.state import LiveState


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An open page, shared by the tests that only read."""
    with running(tmp_path_factory.mktemp("page"), "[overlay]\nscore = true\n") as client:
        yield client


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A page with a password and a token."""
    web = f'password = "{hash_password(PASSWORD)}"\ntoken = "{TOKEN}"\n'
    with running(tmp_path_factory.mktemp("locked"), web) as client:
        yield client


def test_the_state_tells_who_is_in_view(page: httpx.Client) -> None:
    wait_until(lambda: bool(page.get("/api/state").json()["faces"]))
    state = page.get("/api/state").json()
    (face,) = state["faces"]
    assert face["probabilities"][face["label"]] == max(face["probabilities"].values()) == face["confidence"]
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert list(face["probabilities"]) == state["model"]["labels"]
    assert state["camera"] == "online"
    wait_until(lambda: 5 < page.get("/api/state").json()["fps"] < 40)
    wait_until(lambda: any(step.values() for step in page.get("/api/state").json()["timeline"]["steps"]))
    frames = state["frames"]
    wait_until(lambda: page.get("/api/state").json()["frames"] > frames)


def test_the_state_of_a_few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1000.0)
    monkeypatch.setattr("fer_edge.web.state.time", clock)
    manifest = load_bundle(find_bundle("ferplus7")).manifest
    state = LiveState(manifest, "the camera")

    def show(*faces: tuple[int, str], visible: bool = True) -> None:
        probabilities = np.full(len(manifest.labels), 1 / len(manifest.labels), np.float32)
        tracked = []
        for number, label in faces:
            read = Prediction(probabilities, label, 0.5)
            tracked.append(TrackedFace(Track(number, FaceBox(0, 0, 9, 9), 1, 0, visible=visible), read, read))
        frame = Frame(np.zeros((4, 4, 3), np.uint8), clock.now - 0.125, live=True)
        state.update(FrameResult(frame, tuple(tracked), {}))

    def told(*keys: str) -> list[Any]:
        found = json.loads(state.as_json())
        return [found[key] for key in keys]

    show((1, "happy"))
    for _ in range(8):
        clock.now += 0.5
        show((1, "happy"), (2, "sad"))
    assert told("camera", "frames", "fps", "latency_ms") == ["online", 9, 2.0, 125.0]
    assert [(face["id"], face["label"], face["in_view_s"]) for face in told("faces")[0]] == [
        (1, "happy", 4.0),
        (2, "sad", 3.5),
    ]
    assert told("timeline")[0]["steps"][-1] == {"happy": 4.0, "sad": 4.0}
    clock.now += 1.5
    assert told("frames", "fps") == [9, 0.0], "no frame for more than a second"
    clock.now += 60
    assert not state.is_well()
    show((1, "happy"))
    seconds = [step.get("happy", 0) for step in told("timeline")[0]["steps"]]
    assert (sum(seconds), seconds[-1]) == (5.0, 1.0), "a gap counts for one second"
    version = state.version
    show((1, "happy"))
    assert state.version == version
    show((1, "sad"))
    show((1, "sad"), visible=False)
    state.remark("too dark")
    assert state.version == version + 3
    assert told("faces", "camera_remark") == [[], "too dark"]
    show((1, "sad"))
    clock.now += 14
    assert state.is_well()
    state.wait("the camera")
    clock.now += 14
    assert state.is_well(), "a camera is waited for"
    assert told("camera", "faces") == ["offline", []]


def test_the_state_tells_that_a_newer_model_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    write_latest(Latest("ferplus7", "0.1.0", "0.2.0", "It is meant for this device.", 0.0), tmp_path / "models")
    with running(tmp_path, "") as client:
        model = client.get("/api/state").json()["model"]
    assert (model["version"], model["latest"]) == ("0.1.0", "0.2.0")


def test_the_page_starts_an_update_where_that_is_allowed(
    page: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert page.post("/api/update").status_code == 403
    assert not page.get("/api/state").json()["model"]["can_update"]
    asked = tmp_path / "requests" / "look"
    monkeypatch.setenv("FER_EDGE_UPDATE_REQUEST", str(asked))
    monkeypatch.setenv("FER_EDGE_MODELS", str(tmp_path / "models"))
    web = f'token = "{TOKEN}"\npassword = "{hash_password(PASSWORD)}"\n'
    updates = '[updates]\nurl = "https://models.invalid"\nallow_start = true\n'
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with running(tmp_path, web + updates) as client:
        assert client.post("/api/update").status_code == 401
        elsewhere = {**headers, "Origin": "https://elsewhere.example"}
        assert client.post("/api/update", headers=elsewhere).status_code == 403
        absent = client.post("/api/update", headers=headers)
        assert (absent.status_code, "the updater cannot be asked" in absent.text) == (503, True)
        asked.parent.mkdir()
        assert client.get("/api/update", headers=headers).status_code == 405
        assert not asked.exists()
        assert client.post("/api/update", headers=headers).status_code == 202
        assert asked.is_file()
        wait_until(lambda: client.get("/api/state", headers=headers).json()["model"]["updating"])
        write_latest(Latest("ferplus7", "0.1.0", "0.1.0", "Nothing newer.", time.time() + 1), tmp_path / "models")
        wait_until(lambda: not client.get("/api/state", headers=headers).json()["model"]["updating"])


def test_answers_are_as_the_openapi_file_says(page: httpx.Client) -> None:
    schema = page.get("/openapi.json").json()
    jsonschema.validate(page.get("/api/state").json(), schema["components"]["schemas"]["State"])
    for path, answers_of in schema["paths"].items():
        if "get" not in answers_of:
            continue
        with page.stream("GET", path) as answer:
            documented = answers_of["get"]["responses"][str(answer.status_code)]["content"]
            assert answer.headers["content-type"].partition(";")[0] in documented, path
    refused = page.get("/api/state", headers={"Host": "attacker.example"})
    assert str(refused.status_code) in schema["paths"]["/api/state"]["get"]["responses"]


def test_whatever_is_asked_is_answered_as_described(locked: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    schema: Any = schemathesis.openapi.from_url(f"{locked.base_url}/openapi.json", headers=headers)
    endless = {"/stream.mjpg", "/api/events"}
    operations = [found.ok() for found in schema.get_all_operations() if found.ok().path not in endless]
    assert len(operations) >= 5

    for operation in operations:

        @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            case.call_and_validate(headers=headers)

        check()


def test_the_snapshot_is_the_annotated_picture(page: httpx.Client) -> None:
    def is_coloured() -> bool:
        """The demo is grey: colour is that of a face's annotation, and not every frame has a face."""
        answer = page.get("/snapshot.jpg")
        if answer.status_code != 200:  # before the first frame
            return False
        assert answer.headers["content-type"] == "image/jpeg"
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (480, 640, 3)
        return bool(image.std(axis=2).max() > 20) and shows_score(image)

    wait_until(is_coloured)


def shows_score(image: cv2.typing.MatLike) -> bool:
    """As `overlay.score` asks for it, in small letters."""
    return likeness(np.asarray(image, np.uint8), "face 0.", 16) > 0.7


def test_the_stream_gives_new_pictures_one_after_the_other(page: httpx.Client) -> None:
    content = b""
    with page.stream("GET", "/stream.mjpg") as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        for part in answer.iter_bytes():
            content += part
            if content.count(b"--frame\r\n") > 5:
                break
    pictures = [piece.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for piece in content.split(b"--frame\r\n")[1:-1]]
    assert len(set(pictures)) == len(pictures)
    assert all(picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9") for picture in pictures)


def test_the_record_of_today_and_drift_are_shown(tmp_path: Path) -> None:
    record = tmp_path / "usage.sqlite"
    period = Period(people=3, face_s=defaultdict(float, happy=90.0, sad=30.0))
    with UsageStore(record, ModelIdentity("ferplus7", "1", "")) as store:
        midnight = int(datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
        store.append(midnight - 60, Period(people=100, face_s=defaultdict(float, happy=1000.0)))
        store.append(midnight, period)
    usage = f'[usage]\npath = "{record}"\n'
    with running(tmp_path, usage) as client:
        wait_until(lambda: client.get("/api/state").json()["usage"] is not None)
        state = client.get("/api/state").json()
        jsonschema.validate(state, client.get("/openapi.json").json()["components"]["schemas"]["State"])
    assert state["usage"]["people"] == 3
    assert state["usage"]["face_s"] == {"happy": 90.0, "sad": 30.0}
    assert state["drift"]["state"] == "too little data"
    assert state["expected_accuracy"] is None, "three people are too few"


def test_the_expected_accuracy_is_shown(tmp_path: Path) -> None:
    write_expected(tmp_path / "usage.sqlite")
    with running(tmp_path, f'[usage]\npath = "{tmp_path}/usage.sqlite"\n') as client:
        wait_until(lambda: client.get("/api/state").json()["expected_accuracy"] is not None)
        state = client.get("/api/state").json()
        jsonschema.validate(state, client.get("/openapi.json").json()["components"]["schemas"]["State"])
    expected = state["expected_accuracy"]
    assert expected["low"] < 0.82 < expected["accuracy"] < 0.83 < expected["high"]
    assert expected["reason"]


def test_events_come_with_each_change(page: httpx.Client) -> None:
    labels: list[str] = []
    with page.stream("GET", "/api/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                labels += [face["label"] for face in json.loads(line.removeprefix("data: "))["faces"]]
            if len(set(labels)) > 1:
                break
    assert len(labels) < 40, "once per change, not per frame"


def test_nothing_is_shown_before_the_login(locked: httpx.Client) -> None:
    for path in ("/api/state", "/api/events", "/snapshot.jpg", "/stream.mjpg", "/app.js", "/openapi.json"):
        assert locked.get(path).status_code == 401, path
    assert locked.get("/", follow_redirects=False).headers["location"] == "/login"
    assert locked.get("/metrics").status_code == locked.get("/healthz").status_code == 200


def test_login_and_logout(locked: httpx.Client) -> None:
    with httpx.Client(base_url=locked.base_url) as visitor:
        wrong = visitor.post("/login", data={"password": "no"})
        assert wrong.headers["location"] == "/login?wrong"
        right = visitor.post("/login", data={"password": PASSWORD})
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert visitor.get("/api/state").status_code == 200
        visitor.post("/logout")
        assert visitor.get("/api/state").status_code == 401


def test_programs_send_a_token(locked: httpx.Client) -> None:
    assert locked.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert locked.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401
    assert locked.get("/api/state", headers={"Authorization": "Bearer"}).status_code == 401
    assert locked.get("/api/state", headers={"Cookie": "fer_edge_session=9999999999.00.00"}).status_code == 401


def test_a_session_outlives_a_restart_and_ends_with_a_new_password() -> None:
    old, same, other = Gate(hashed := hash_password("one"), None), Gate(hashed, None), Gate(hash_password("one"), None)
    cookie = old.new_session()
    assert same.lets_in(cookie, None)
    assert not other.lets_in(cookie, None)
    assert not same.lets_in(cookie.replace(cookie[0], "9", 1), None)


def test_a_session_ends_after_a_month(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, now = Gate(hash_password("one"), None), time.time()
    cookie = gate.new_session()
    for days, is_let_in in ((29, True), (31, False)):
        monkeypatch.setattr("fer_edge.web.auth.time.time", lambda days=days: now + 86400 * days)
        assert gate.lets_in(cookie, None) == is_let_in


def test_only_wrong_passwords_of_the_last_minute_count(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, now = Gate(hash_password("one"), None), 1000.0
    monkeypatch.setattr("fer_edge.web.auth.time.monotonic", lambda: now)
    for password in (*["wrong"] * 4, *["one"] * 5):
        assert gate.check_password(password) == (password == "one")  # noqa: S105 - of a test
        assert not gate.must_wait()
        now += 10
    gate.check_password("wrong")
    assert not gate.must_wait(), "the first was 90 seconds ago"
    for _ in range(4):
        gate.check_password("wrong")
    assert gate.must_wait()
    now += 61
    assert not gate.must_wait()


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_only_this_machine_gets_the_metrics_without_a_token(path: str) -> None:
    guard = Guard(PlainTextResponse("there it is"), Gate(hash_password("one"), TOKEN), lambda _: True)
    token = {"Authorization": f"Bearer {TOKEN}"}
    codes = [
        ask_app(guard, path, address=address, headers=given).status_code
        for address in ("127.0.0.1", "192.0.2.7")
        for given in ({}, token)
    ]
    assert codes == [200, 200, 401, 200]


@pytest.mark.slow
@pytest.mark.parametrize("picture", ["none", "boxes", "blurred"])
def test_pictures_can_be_reduced_or_switched_off(tmp_path: Path, picture: str) -> None:
    with running(tmp_path, f'picture = "{picture}"\n') as client:
        wait_until(lambda: bool(client.get("/api/state").json()["faces"]))
        wait_until(lambda: client.get("/snapshot.jpg").status_code == (404 if picture == "none" else 200))
        answer = client.get("/snapshot.jpg")
        if picture == "none":
            assert answer.status_code == client.get("/stream.mjpg").status_code == 404
            return
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert not shows_score(image)
        if picture == "boxes":
            assert float(np.median(image)) < 10


def test_another_machine_needs_a_password(command: Run, tmp_path: Path) -> None:
    refused = command("fer-edge", "run", "demo", "--web", "0.0.0.0:8099", "--max-frames", 2, cwd=tmp_path)
    assert refused.returncode == 2
    assert "needs a password" in refused.stderr


@pytest.mark.parametrize("listen", ["eighty", "host:", ":99999", ""])
def test_a_wrong_address_names_the_key(command: Run, tmp_path: Path, listen: str) -> None:
    refused = command("fer-edge", "run", "demo", "--web", listen, "--max-frames", 2, cwd=tmp_path)
    assert refused.returncode == 2
    assert "HOST:]PORT" in refused.stderr


def test_the_password_command_prints_a_hash_alone(command: Run, tmp_path: Path) -> None:
    done = command("fer-edge", "web", "password", "--password", PASSWORD, cwd=tmp_path)
    assert PASSWORD not in done.stdout
    hashed = re.search(r'password = "(scrypt\$[^"]+)"', done.stdout)
    assert hashed
    gate = Gate(hashed[1], None)
    assert gate.check_password(PASSWORD)
    assert not gate.check_password(PASSWORD + " ")
    assert command("fer-edge", "web", "password", "--password", "short", cwd=tmp_path).returncode == 2
