"""The page on which samples are labelled, without a server: who may see it, what it saves, and what it answers."""

import json
import logging
import os
import re
import signal
import socket
import threading
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import as_nobody
from tests.pages import ask_app, free_port
from tests.samples import make_folder

from fer_edge.errors import ConfigError
from fer_edge.monitoring.samples import SampleFolder
from fer_edge.web.review import make_review_app, serve_review

TOKEN = "a token of this test"  # noqa: S105
ADDRESS = "http://127.0.0.1:8000"
READ_AS = [("happy", 0.9), ("sad", 0.6), ("neutral", 0.4)]


class Owner:
    """Somebody at the device; with the cookie, unless told otherwise."""

    def __init__(self, folder: SampleFolder) -> None:
        self._app = make_review_app(folder, TOKEN)

    def ask(self, path: str, *, cookie: str = TOKEN, **options: Any) -> httpx.Response:
        method = "POST" if "content" in options or "json" in options else "GET"
        cookies = {"fer_edge_review": cookie} if cookie else None
        return ask_app(self._app, path, method, base_url=ADDRESS, cookies=cookies, **options)


@pytest.fixture
def folder(tmp_path: Path) -> SampleFolder:
    return make_folder(tmp_path / "samples", READ_AS)[0]


@pytest.fixture
def owner(folder: SampleFolder) -> Owner:
    return Owner(folder)


def test_the_address_gives_a_cookie_for_this_page_alone(owner: Owner) -> None:
    answer = owner.ask(f"/?token={TOKEN}", cookie="")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = SimpleCookie(answer.headers["set-cookie"])["fer_edge_review"]
    assert (cookie.value, cookie["samesite"], bool(cookie["httponly"])) == (TOKEN, "strict", True)
    for wrong in (f"/?token={TOKEN[:-1]}", "/?token=", "/", "/?other=x"):
        refused = owner.ask(wrong, cookie="")
        assert (refused.status_code, refused.text) == (401, "open the address that fer-edge samples review printed")
    assert owner.ask("/", cookie=TOKEN + "s").status_code == 401


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8000", None, 200),
        ("localhost", "http://localhost", 200),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
        ("127.0.0.1:8000", "null", 403),
        ("attacker.example", None, 421),
        ("192.168.1.2:8000", None, 421),
    ],
)
def test_it_answers_to_names_of_this_machine_and_its_own_pages(
    owner: Owner, host: str, origin: str | None, status: int
) -> None:
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    answer = owner.ask("/api/queue", headers=headers)
    assert answer.status_code == status
    messages = {421: "the page answers only on 127.0.0.1 and localhost", 403: "requests from other sites are refused"}
    assert messages.get(status, answer.text) == answer.text


def test_every_answer_forbids_frames_scripts_of_others_and_caches(owner: Owner, folder: SampleFolder) -> None:
    paths = ("/", "/review.js", "/review.css", "/api/queue", f"/picture/{folder.samples()[0].id}.png")
    for answer in (*map(owner.ask, paths), owner.ask("/", cookie="")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; ")
        assert policy.endswith("connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_its_files_have_their_types(owner: Owner) -> None:
    kinds = {path: owner.ask(path).headers["content-type"] for path in ("/", "/review.js", "/review.css")}
    assert list(kinds.values()) == [f"text/{kind}; charset=utf-8" for kind in ("html", "javascript", "css")]
    assert owner.ask("/").text.lstrip().lower().startswith("<!doctype html>")


def test_faces_wait_in_an_order_that_is_neither_that_of_time_nor_changes(tmp_path: Path) -> None:
    folder, samples = make_folder(tmp_path / "many", [("happy", 0.9)] * 12)
    owner, taken = Owner(folder), [sample.id for sample in samples]
    queue = owner.ask("/api/queue").json()
    assert sorted(queue["waiting"]) == taken != queue["waiting"]
    assert (queue["labelled"], queue["others"]) == (0, ["skipped", "not a face"])
    assert queue["labels"] == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt"]
    assert owner.ask("/api/queue").json() == queue
    second = queue["waiting"][1]
    assert owner.ask("/api/label", json={"sample": second, "label": "sad"}).json() == {"saved": second}
    after = owner.ask("/api/queue").json()
    assert after["waiting"] == [one for one in queue["waiting"] if one != second]
    assert after["labelled"] == 1


def test_the_picture_is_the_files(owner: Owner, folder: SampleFolder) -> None:
    sample = folder.samples()[1]
    answer = owner.ask(f"/picture/{sample.id}.png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content == folder.picture_path(sample.id).read_bytes()
    folder.remove(sample.id)
    for name in (sample.id, "seen", "20200101T000000Z-000000"):
        gone = owner.ask(f"/picture/{name}.png")
        assert (gone.status_code, gone.text) == (404, "there is no such sample")


def test_the_accuracy_is_that_of_the_labels_so_far(owner: Owner, folder: SampleFolder) -> None:
    assert owner.ask("/api/result").json() is None
    happy, sad, _ = folder.samples()
    for sample in (happy, sad):
        owner.ask("/api/label", json={"sample": sample.id, "label": "happy"})
    assert owner.ask("/api/result").json()["confusion"] == {"happy": {"happy": 1, "sad": 1}}


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ("", 400, "expected a sample and a label: "),
        ("[]", 400, "expected a sample and a label: "),
        ('{"label": "sad"}', 400, "expected a sample and a label: 'sample'"),
        (
            '{"sample": "../../etc/passwd", "label": "sad"}',
            404,
            "'../../etc/passwd' is no sample. See fer-edge samples",
        ),
        ('{"sample": "20200101T000000Z-000000", "label": "sad"}', 404, "20200101T000000Z-000000: has been deleted"),
        (json.dumps({"sample": "x" * 1024, "label": "sad"}), 413, "too large"),
    ],
)
def test_a_wrong_answer_is_told_in_words(owner: Owner, content: str, status: int, message: str) -> None:
    answer = owner.ask("/api/label", content=content)
    assert answer.status_code == status
    assert answer.text.startswith(message)


def test_1024_bytes_are_read(owner: Owner, folder: SampleFolder) -> None:
    plain = json.dumps({"sample": folder.samples()[0].id, "label": "sad"})
    assert owner.ask("/api/label", content=plain.ljust(1024)).status_code == 200
    assert owner.ask("/api/label", content=plain.ljust(1025)).status_code == 413


def test_a_label_that_is_none_and_one_that_cannot_be_saved(open_path: Path) -> None:
    folder, (sample, *_) = make_folder(open_path / "samples", READ_AS)
    owner = Owner(folder)
    assert owner.ask("/api/label", json={"sample": sample.id, "label": "joy"}).status_code == 400
    folder.folder.chmod(0o755)
    for path in folder.folder.iterdir():
        path.chmod(0o644)
    with as_nobody():
        answer = owner.ask("/api/label", json={"sample": sample.id, "label": "sad"})
    assert (answer.status_code, answer.text) == (507, "not saved: Permission denied")
    assert not folder.labels()


def test_a_port_that_is_in_use_and_an_empty_folder_are_one_line(folder: SampleFolder, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told: list[object] = []
        with pytest.raises(
            ConfigError, match=f"--port {port}: cannot be used .Address already in use.. Choose another"
        ):
            serve_review(folder, port, told.append)
    empty = SampleFolder(tmp_path / "empty")
    empty.create()
    with pytest.raises(ConfigError, match=f"{empty.folder}: there are no samples yet"):
        serve_review(empty, 0, told.append)
    assert told == []


def use_until_ctrl_c(folder: SampleFolder, port: int = 0) -> tuple[str, list[int]]:
    """Serve the page until Ctrl-C, which comes after one request; what was told, and the status of the answer."""
    told: list[str] = []
    statuses: list[int] = []

    def use() -> None:
        try:
            with httpx.Client(timeout=20) as client:
                statuses.append(client.get(told[0].split()[1], follow_redirects=True).status_code)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def tell(what: str) -> None:
        told.append(what)
        threading.Thread(target=use, daemon=True).start()

    serve_review(folder, port, tell)
    return told[0], statuses


def test_it_is_served_until_ctrl_c_without_a_word_in_the_log(
    folder: SampleFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told, statuses = use_until_ctrl_c(folder)
    assert statuses == [200]
    assert re.fullmatch(r"Open http://127\.0\.0\.1:[1-9]\d*/\?token=[\w-]{20,} and end with Ctrl-C", told)
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_it_is_on_the_port_that_was_asked_for_each_time_with_another_token(folder: SampleFolder) -> None:
    port = free_port()
    first, second = (use_until_ctrl_c(folder, port)[0] for _ in range(2))
    assert first.startswith(f"Open http://127.0.0.1:{port}/?token=")
    assert second.startswith(f"Open http://127.0.0.1:{port}/?token=")
    assert first != second


def test_labels_are_sent_with_post_and_all_else_is_read(owner: Owner) -> None:
    assert owner.ask("/api/label").status_code == 405
    assert owner.ask("/api/queue", content="").status_code == 405


def test_a_request_that_names_no_host_is_refused(owner: Owner) -> None:
    assert owner.ask("/", names_host=False).status_code == 421
