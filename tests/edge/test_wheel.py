"""The wheel, installed: what it holds, that it runs, and that its types reach its users."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CONSUMER = """
from fer_edge import (
    BaseDetector, CameraConfig, FaceBox, FerError, Frame, FrameResult, Image, Pipeline, RunConfig, Sink, load_frame,
    open_source,
)
from fer_quantize.representative import representative_rows
from fer_train.evaluation.metrics import Score


class Print(Sink):
    def emit(self, result: FrameResult) -> None:
        for face in result.faces:
            label: str = face.label
            confidence: float = face.confidence
            box: FaceBox = face.box
            print(label, confidence, box.x + box.width)


class Nobody(BaseDetector):
    def find_faces(self, image: Image) -> list[FaceBox]:
        return []


def accuracy(score: Score) -> float:
    return score.accuracy


config = RunConfig(source="demo", json="out.jsonl", camera=CameraConfig(width=1280))
try:
    with Pipeline(config, detector=Nobody()) as pipeline, open_source(config) as source, Print() as sink:
        pipeline.run(source, [sink], max_frames=3)
        pipeline.process(load_frame("face.jpg"))
except FerError as error:
    raise SystemExit(error.exit_code)
reveal_type(Pipeline().process(Frame(load_frame("face.jpg").image, still=True)).faces[0].confidence)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with the packages that are installed here, but not with this checkout."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))  # one level: the editable install is not followed
    return folder / "bin" / "python"


def test_the_wheel_holds_the_bundles_of_the_checkout(wheel: Path) -> None:
    needed = ("golden.npz", "model.json", "model.tflite")
    bundles = sorted(path.parent.name for path in (ROOT / "models").glob("*/model.json"))
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if name.startswith("fer_edge/models/")}
    assert bundles
    assert held == {
        f"fer_edge/models/{bundle}/{name}": (ROOT / "models" / bundle / name).read_bytes()
        for bundle in bundles
        for name in needed
    }


def test_the_wheel_holds_every_module_and_marks_it_as_typed(wheel: Path) -> None:
    packages = [file.parent for file in ROOT.glob("*/fer_*/__init__.py")]
    expected = {
        f"{package.name}/{file.relative_to(package)}"
        for package in packages
        for file in [*package.rglob("*.py"), package / "py.typed", *package.glob("assets/*.png")]
    }
    recipes = {f"fer_train/recipes/{file.name}" for file in (ROOT / "training" / "recipes").glob("*.toml")}
    with zipfile.ZipFile(wheel) as archive:
        assert expected | recipes <= set(archive.namelist())
    assert len(packages) >= 3
    assert recipes


def test_the_wheel_works_away_from_the_checkout(python: Path, demo_video: Path, tmp_path: Path) -> None:
    script = "import fer_edge; from fer_edge.cli.app import run; print(fer_edge.__file__, flush=True); run()"
    arguments = ["run", "--source", str(demo_video), "--json", "-"]
    done = subprocess.run([python, "-c", script, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    where, *output = done.stdout.splitlines()
    assert Path(where).is_relative_to(python.parents[1]), "the wheel's own code ran"
    lines = [json.loads(line) for line in output]
    assert len(lines) == 90
    assert sum(bool(line["faces"]) for line in lines) > 80


@pytest.mark.slow
def test_a_program_that_uses_the_wheel_passes_strict_type_checks(python: Path, tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(CONSUMER)
    wrong = CONSUMER.replace('source="demo"', "source=0.5").replace("label: str", "label: int")
    (tmp_path / "wrong.py").write_text(wrong)
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    mypy: list[str | Path] = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        "mypy.ini",
        "--python-executable",
        python,
    ]
    done = subprocess.run([*mypy, "consumer.py", "wrong.py"], capture_output=True, text=True, check=False, cwd=tmp_path)
    said = done.stdout.splitlines()
    assert [line for line in said if line.startswith("consumer.py") and " error: " in line] == []
    assert any(line.startswith("consumer.py") and line.endswith('Revealed type is "float"') for line in said)
    assert {line.partition("[")[2] for line in said if line.startswith("wrong.py")} >= {"arg-type]", "assignment]"}
