"""Each file under examples/ runs, on the demo and its composite faces."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.model.bundle import find_bundle, load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.sources.demo import DemoSource, scene_at
from fer_train.data.datasets import load_dataset

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run_example(name: str, *arguments: object) -> list[str]:
    """The lines that an example prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A picture with one happy face, near the middle of 640 x 480 pixels."""
    with DemoSource(paced=False) as demo:
        cv2.imwrite(str(tmp_path / "portrait.png"), demo.render(scene_at(1.0)))
    return tmp_path / "portrait.png"


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py") if path.stem != "follow_camera"))
def test_an_example_without_arguments_says_how_it_is_used(name: str) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"python examples/{name} " in done.stderr
    assert "Traceback" not in done.stderr


def test_classify_image(portrait: Path) -> None:
    (line,) = run_example("classify_image.py", portrait)
    label, confidence, _, x, y, width = line.split()
    truth = scene_at(1.0).box
    assert label == "happy"
    assert int(confidence.rstrip("%")) > 50
    found = [int(part.partition("=")[2]) for part in (x, y, width)]
    assert found == pytest.approx([truth.x, truth.y, truth.width], abs=25)


def test_classify_image_names_a_file_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "classify_image.py", tmp_path / "text.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "SourceError" in done.stderr
    assert "text.png: is not a readable image" in done.stderr


def test_follow_camera(demo_video: Path) -> None:
    lines = run_example("follow_camera.py", demo_video)
    assert lines[0] == "face 1: happy"
    assert all(line.startswith("face 1: ") for line in lines)
    assert len(lines) < 6, "only changes are printed"


def test_custom_sink(demo_video: Path) -> None:
    seconds = {label: float(value) for label, value, _ in map(str.split, run_example("custom_sink.py", demo_video))}
    assert max(seconds, key=lambda label: seconds[label]) == "happy"
    assert 2.5 < sum(seconds.values()) <= 3, "the video is 3 seconds long"


def test_custom_detector(tmp_path: Path) -> None:
    for label, face in load_composites().items():
        cv2.imwrite(str(tmp_path / f"{label}.png"), face)
    pictures = [tmp_path / f"{label}.png" for label in ("happy", "neutral", "surprise")]
    lines = run_example("custom_detector.py", *pictures)
    said = {Path(path).stem: answer.split()[0] for path, answer in (line.split(": ") for line in lines)}
    assert said == {"happy": "happy", "neutral": "neutral", "surprise": "surprise"}


def test_evaluate_model(tiny_data: Path) -> None:
    """Its figures are those of reading the faces one by one."""
    accuracy, calibration, *recalls = run_example("evaluate_model.py", "ferplus7-tiny", tiny_data)
    faces = load_dataset(tiny_data, "validation", "ferplus7")
    classifier = Classifier(load_bundle(find_bundle("ferplus7-tiny")))
    read = np.array([classifier.probabilities(face) for face in faces.images])
    right = read.argmax(axis=1) == faces.classes
    assert accuracy.startswith(f"accuracy {right.mean():.1%} (95 % interval ")
    assert accuracy.endswith("on 70 faces")
    error = sum(
        abs(right[inside].sum() - read.max(axis=1)[inside].sum())
        for number in range(15)
        if (inside := (read.max(axis=1) * 15).astype(int).clip(max=14) == number).any()
    )
    assert float(calibration.split()[-1]) == pytest.approx(error / 70, abs=0.002)
    assert [line.removeprefix("recall of ").split() for line in recalls] == [
        [label, f"{right[faces.classes == index].mean():.1%}"] for index, label in enumerate(faces.labels)
    ]


def test_every_example_is_tested() -> None:
    here = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in here] == []
