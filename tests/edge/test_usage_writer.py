"""The thread that writes the usage record: what waits while the disk is full, and what is measured of a face."""

import logging
import math
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import wait_until

from fer_edge.device.thermal import Heat
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.store import ModelIdentity, UsageStore, read_rows
from fer_edge.monitoring.usage_writer import UsageWriter, face_features
from fer_edge.sinks import Sink
from fer_edge.types import FaceBox, Image, Prediction, Track, TrackedFace

REFERENCE = load_bundle(find_bundle("ferplus7-tiny")).manifest.reference
START = 1_780_300_800


def face(crop: Image | None) -> TrackedFace:
    raw = Prediction(np.array([0.75, 0.25, 0.0], np.float32), "happy", 0.75, crop)
    smoothed = Prediction(np.array([0.5, 0.5, 0.0], np.float32), "happy", 0.6)
    return TrackedFace(Track(1, FaceBox(0, 0, 40, 50, 0.65), 1.0, 0.0), raw, smoothed)


class Store(UsageStore):
    """Full until it is said not to be."""

    full, tries = True, 0

    def append(self, start: int, period: Period) -> None:
        self.tries += 1
        if self.full:
            raise OSError(28, "No space left on device")
        super().append(start, period)


def test_minutes_wait_for_a_full_disk_and_the_last_one_takes_what_is_too_much(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("fer_edge.monitoring.usage_writer.read_heat", lambda: Heat(51.5, 0))
    sink = Sink()
    sink.description = "the record"
    with Store(tmp_path / "usage.sqlite", ModelIdentity("m", "1", "")) as store:
        writer = UsageWriter(sink, store, None)
        assert writer.name == "usage record", "in the list of threads"
        assert writer.daemon, "a run that is killed does not wait for it"
        writer.start()
        for minute in range(62):
            writer.put(START + 60 * minute, Period(people=minute))
        wait_until(lambda: store.tries == 62)
        assert sink.trouble == "[Errno 28] No space left on device"
        store.full = False
        writer.put(START + 60 * 62, Period(people=62))
        writer.finish()
        assert not writer.is_alive()
        rows = read_rows(store.path)
    assert [row.start for row in rows] == [START + 60 * minute for minute in range(60)]
    assert [row.period.people for row in rows] == [*range(59), 59 + 60 + 61 + 62]
    assert rows[0].period.hottest == 51.5
    assert sink.trouble == ""
    assert [record.getMessage() for record in caplog.records if "record" in record.getMessage()] == [
        "the record: cannot be written ([Errno 28] No space left on device). Counts are kept in memory meanwhile",
        "the record is written again",
    ]


def test_faces_are_measured_with_what_is_to_be_expected_of_them(tmp_path: Path) -> None:
    assert REFERENCE is not None
    crop = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)
    with UsageStore(tmp_path / "usage.sqlite", ModelIdentity("m", "1", "")) as store:
        for reference, faces, counts in (
            (REFERENCE, [face(crop), face(crop), face(None)], (2, 3)),
            (None, [face(crop)], (0, 1)),
        ):
            period, writer = Period(), UsageWriter(Sink(), store, reference)
            writer.measure(period, faces)
            writer.start()
            writer.finish()
            found = tuple(sum(period.histograms[name].values()) for name in ("expected", "confidence"))
            assert found == counts


def test_a_writer_that_is_held_up_measures_sixty_batches(tmp_path: Path) -> None:
    with UsageStore(tmp_path / "usage.sqlite", ModelIdentity("m", "1", "")) as store:
        period, writer = Period(), UsageWriter(Sink(), store, None)
        for _ in range(70):
            writer.measure(period, [face(None)])
        writer.start()
        writer.finish()
    assert sum(period.histograms["score"].values()) == 60


def test_features_of_a_face_are_those_of_what_is_shown() -> None:
    features = face_features(face(None))
    assert features == {
        "confidence": pytest.approx(0.6),
        "entropy": pytest.approx(math.log(2) / math.log(3)),
        "size": 50,
        "score": 0.65,
    }
    further = set(face_features(face(np.zeros((48, 48), np.uint8)))) - set(features)
    assert further == {"brightness", "contrast", "sharpness"}


def test_the_sharpness_of_a_crop_counts_edges_to_both_sides() -> None:
    """A board of light and dark fields: its Laplacian is 160 above and below zero, everywhere but at the border."""
    board = (np.indices((48, 48)).sum(axis=0) % 2 * 40 + 100).astype(np.uint8)
    features = face_features(face(board))
    assert features["brightness"] == pytest.approx(120)
    assert features["contrast"] == pytest.approx(20)
    assert features["sharpness"] == pytest.approx(160**2, rel=0.1)
