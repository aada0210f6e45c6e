"""One run from its configuration: what it refuses to overwrite, and which outputs it opens."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import cv2
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.config import RunConfig, load_config
from fer_edge.errors import ConfigError, SourceError
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.monitoring.period import Period
from fer_edge.monitoring.samples import SampleFolder
from fer_edge.monitoring.store import ModelIdentity, newest_model, read_rows
from fer_edge.session import Session


class Interrupt:
    """A user who may have pressed Ctrl-C already."""

    def __init__(self, *, requested: bool = False) -> None:
        self.requested = requested
        self.stop: Callable[[], None] | None = None
        self.was_told_of_the_end = False

    def then(self, stop: Callable[[], None]) -> None:
        self.stop = stop

    def is_over(self) -> None:
        self.was_told_of_the_end = True


@pytest.fixture
def files(tmp_path: Path) -> None:
    """A file of each kind, and a folder of pictures with a subfolder."""
    for name in ("clip.mp4", "cascade.xml", "mine.toml", "pictures/a.png", "pictures/sub/b.png", "model/model.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"json": "mine.toml"}, "--json mine.toml: is also the --config file"),
        ({"csv": "link.toml"}, "--csv link.toml: is also the --config file"),
        ({"usage.path": "model/model.json"}, "usage.path model/model.json: is also the model file"),
        ({"json": "model/new.jsonl"}, "is also the model file"),
        ({"plot": "cascade.xml"}, "is also the cascade file"),
        ({"source": "pictures", "json": "pictures/a.png"}, "is also the source file"),
        ({"source": "pictures", "recursive": True, "json": "pictures/sub/b.png"}, "is also the source file"),
        ({"json": "x.jsonl", "csv": "x.jsonl"}, "--csv x.jsonl: is also the --json file"),
        ({"record": "x.mp4", "samples.path": "x.mp4"}, "samples.path x.mp4: is also the --record file"),
        ({"samples.path": "."}, "samples.path .: holds the source, which would be replaced"),
        ({"source": "pictures", "recursive": True, "record": "pictures/new"}, "is in the source, and would be read by"),
        ({"json": "-", "csv": "-"}, "--json and --csv both go to standard output"),
    ],
)
@pytest.mark.usefixtures("files")
def test_no_output_takes_the_place_of_an_input_or_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, object], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.toml").symlink_to("mine.toml")
    usual = {"source": "clip.mp4", "model": str(tmp_path / "model"), "detector.cascade": "cascade.xml"}
    with pytest.raises(ConfigError) as raised:
        Session(load_config(None, usual | values), Path("mine.toml"))
    assert said in str(raised.value)
    apart = {key: f"other-{number}" for number, key in enumerate(values) if key not in {"source", "recursive"}}
    Session(load_config(None, usual | apart), Path("mine.toml"))


def test_a_name_that_no_file_can_have_takes_no_place() -> None:
    session = Session(RunConfig(source="a\0b"))
    with pytest.raises(SourceError):
        session.run(Interrupt())


def test_of_pictures_nothing_is_recorded_over_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither counts nor samples nor metrics: they are about time, and about a camera's own people."""
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), load_composites()["happy"])
    outputs = {"usage.path": "usage.sqlite", "samples.path": "samples", "prometheus.textfile": "x.prom"}
    values = {key: str(tmp_path / name) for key, name in outputs.items()}
    interrupt = Interrupt()
    session = Session(load_config(None, {"source": str(tmp_path / "pictures"), **values}))
    session.run(interrupt)
    assert session.stats.frames == 1
    assert interrupt.was_told_of_the_end
    assert "a.png" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_record_tells_the_model_and_what_to_expect_of_it(tmp_path: Path) -> None:
    values = {"usage.path": str(tmp_path / "usage.sqlite"), "samples.path": str(tmp_path / "samples")}
    session = Session(load_config(None, {"source": "demo", "model": "ferplus8", "max_frames": 20, **values}))
    session.run(Interrupt())
    manifest = load_bundle(find_bundle("ferplus8")).manifest
    newest = newest_model(tmp_path / "usage.sqlite")
    assert newest is not None
    assert newest[0] == ModelIdentity("ferplus8", manifest.version, manifest.files["model.tflite"])
    whole = Period()
    for row in read_rows(tmp_path / "usage.sqlite"):
        whole.add(row.period)
    assert whole.frames == 20
    assert whole.histograms["expected"].total() == whole.histograms["confidence"].total() > 0
    (sample,) = SampleFolder(tmp_path / "samples").samples()
    assert sample.model == f"ferplus8@{manifest.version}"


@pytest.mark.parametrize("requested", [False, True])
def test_who_ends_a_run_while_its_source_is_not_there_gets_no_error(requested: bool) -> None:
    session = Session(RunConfig(source="/dev/null"))
    with nullcontext() if requested else pytest.raises(SourceError, match="is no video device"):
        session.run(Interrupt(requested=requested))
    assert session.stats.frames == 0


def test_what_a_source_has_no_use_for_is_refused(tmp_path: Path) -> None:
    session = Session(RunConfig(source="demo", plot=tmp_path / "a.png", max_frames=2))
    with pytest.raises(ConfigError, match="--plot is for a video; the built-in demo is none"):
        session.run(Interrupt())
    assert list(tmp_path.iterdir()) == []


def test_metrics_and_a_table_are_written_of_each_run(tmp_path: Path) -> None:
    values = {"prometheus.textfile": str(tmp_path / "x.prom"), "csv": str(tmp_path / "faces.csv")}
    session = Session(load_config(None, {"source": "demo", "max_frames": 20, **values}))
    session.run(Interrupt())
    assert "\nfer_edge_build_info{" in (tmp_path / "x.prom").read_text()
    _, *rows = (tmp_path / "faces.csv").read_text().splitlines()
    assert rows
    assert all("the built-in demo" in row for row in rows)
