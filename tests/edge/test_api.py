"""The public Python API."""

import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType

import pytest

import fer_edge
from fer_edge import BaseDetector, FaceBox, Frame, Image, Pipeline, RunConfig, StopRun, open_source
from fer_edge.sources.demo import DemoSource, scene_at

PLAIN = (int, float, str, bool, NoneType)


@pytest.fixture(scope="module")
def picture() -> Image:
    """A happy face of the demo."""
    with DemoSource(paced=False) as demo:
        return demo.render(scene_at(1.0))


def test_import_loads_nothing_heavy() -> None:
    script = (
        "import sys, fer_edge\n"
        "print(*sorted({'cv2', 'numpy', 'pydantic', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).split() == []


def test_every_public_name_resolves_and_others_do_not() -> None:
    assert sorted(set(fer_edge.__all__)) == fer_edge.__all__
    for name in fer_edge.__all__:
        value = getattr(fer_edge, name)
        assert value.__doc__ or name in {"Image", "Probabilities"}, name
    assert {"__version__", *fer_edge.__all__} <= set(dir(fer_edge))
    with pytest.raises(AttributeError, match="module 'fer_edge' has no attribute 'Pipelines'"):
        _ = fer_edge.Pipelines


def test_every_public_name_is_on_the_page_of_the_api() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text()
    documented = set(re.findall(r"`(\w+)[`(]", page))
    assert set(fer_edge.__all__) - documented == set()


def test_a_still_needs_no_file(picture: Image) -> None:
    with Pipeline() as pipeline:
        (face,) = pipeline.process(Frame(picture, still=True)).faces
        assert face.label == "happy"
        assert face.label in pipeline.labels
        assert pipeline.process(Frame(picture * 0, still=True)).faces == ()


@pytest.mark.parametrize("still", [True, False])
def test_results_hold_plain_python_numbers(picture: Image, *, still: bool) -> None:
    with Pipeline() as pipeline:
        for index in range(6):
            result = pipeline.process(Frame(picture, index / 30, index, still=still))
    assert result.faces
    _require_plain(result, "result")
    assert all(type(spent) is float for spent in result.timings_ms.values())


def test_a_detector_of_ones_own_is_searched_near_known_faces(picture: Image) -> None:
    truth = scene_at(1.0).box
    widths: list[int] = []

    class Brightest(BaseDetector):
        """Knows where the face is in the whole frame, and finds it in the middle of a cut-out."""

        def find_faces(self, image: Image) -> list[FaceBox]:
            height, width = image.shape[:2]
            widths.append(width)
            if width == picture.shape[1]:
                return [truth]
            side = truth.width
            return [FaceBox((width - side) / 2, (height - side) / 2, side, side)]

    with Pipeline(detector=Brightest()) as pipeline:
        for index in range(30):
            result = pipeline.process(Frame(picture, index / 30, index))
    (face,) = result.faces
    assert face.label == "happy"
    assert (face.box.x, face.box.y) == pytest.approx((truth.x, truth.y), abs=8)
    assert min(widths) < picture.shape[1], "region searches"
    assert widths.count(picture.shape[1]) < 10, "whole scans are rare"


def test_a_source_opens_by_name_alone() -> None:
    with open_source("demo", paced=False) as source:
        assert next(iter(source)).image.shape == (480, 640, 3)
    assert open_source(RunConfig(source="demo")).description == source.description


def test_a_sink_without_a_description_ends_a_run() -> None:
    class Once(fer_edge.Sink):
        def emit(self, _result: fer_edge.FrameResult) -> None:
            raise StopRun

    stats = fer_edge.RunStats()
    with Pipeline() as pipeline, open_source("demo", paced=False) as source:
        pipeline.run(source, [Once()], stats)
    assert stats.frames == 1


def _require_plain(value: object, where: str) -> None:
    if is_dataclass(value):
        for field in fields(value):
            if field.name not in {"image", "small", "crop", "probabilities", "timings_ms"}:
                _require_plain(getattr(value, field.name), f"{where}.{field.name}")
    elif isinstance(value, tuple):
        for item in value:
            _require_plain(item, f"{where}[]")
    else:
        assert type(value) in PLAIN, f"{where} is {type(value)}"
