"""The small commands, and what a device must not need."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.camera import LoopbackCamera
from tests.conftest import Run

from fer_edge.model.bundle import load_bundle, sha256


def test_bench_reports_each_stage(command: Run, demo_video: Path) -> None:
    done = command("fer-edge", "bench", "--source", demo_video, "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["frames"] == 80
    assert result["frames_with_faces"] > 70
    assert set(result["stages"]) == {"source", "track", "detect", "classify", "smooth", "frame"}
    for spent in result["stages"].values():
        assert 0 <= spent["p50"] <= spent["p95"] <= spent["p99"]
    assert 0 < result["fps_sustained"] <= result["fps"] * 1.01
    assert 0 < result["overhead_percent"] < 100
    assert set(result["before"]) == set(result["after"]) == {"celsius", "throttled"}
    assert result["peak_memory_mb"] > 20
    mean = {stage: spent["mean"] for stage, spent in result["stages"].items()}
    total, other = mean["source"] + mean["frame"], mean["frame"] - mean["detect"] - mean["classify"]
    assert result["overhead_percent"] == pytest.approx(100 * other / total, abs=0.1)
    assert result["fps"] <= 1000 / total * 1.01 + 0.05
    assert result["fps_sustained"] <= 1000 / total * 1.01 + 0.05
    assert "FPS" in command("fer-edge", "bench", "--source", "demo", "--frames", 5).stdout


def test_bench_compares_with_an_older_result_and_gives_a_table_to_paste(command: Run, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(command("fer-edge", "bench", "--frames", 5, "--json", "-").stdout)
    compared = command("fer-edge", "bench", "--frames", 5, "--compare", old)
    assert compared.returncode == 0, compared.stderr
    assert "change" in compared.stdout
    assert "not comparable" not in compared.stdout
    pasted = command("fer-edge", "bench", "--frames", 5, "--markdown").stdout
    assert "| stage | mean, ms | p50 | p95 | p99 |" in pasted


def test_bench_pastes_a_comparison_and_says_what_else_differs(command: Run, demo_video: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(command("fer-edge", "bench", "--source", demo_video, "--frames", 5, "--json", "-").stdout)
    pasted = command("fer-edge", "bench", "--frames", 5, "--markdown", "--compare", old)
    assert "| stage | mean, ms | p50 | p95 | p99 | before, mean | change |" in pasted.stdout
    assert "(not comparable: another source)" in pasted.stdout
    refused = command("fer-edge", "bench", "--frames", 5, "--json", "-", "--compare", old)
    assert refused.returncode == 2
    assert "remove --compare" in refused.stderr


def test_bench_compares_with_the_reference_machines(command: Run) -> None:
    references = sorted((Path(__file__).resolve().parents[2] / "benchmarks" / "reference").glob("*.json"))
    assert references
    for reference in references:
        compared = command("fer-edge", "bench", "--frames", 5, "--compare", reference)
        assert compared.returncode == 0, compared.stderr
        assert json.loads(reference.read_text())["machine"]["board"] in " ".join(compared.stdout.split())


def test_bench_of_a_camera_reports_the_latency_from_capture_to_label(command: Run) -> None:
    camera = LoopbackCamera()
    try:
        done = command("fer-edge", "bench", "--source", camera.url(), "--frames", 20, "--json", "-")
    finally:
        camera.unplug()
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert stages["latency"]["p50"] >= stages["frame"]["p50"]


def test_bench_refuses_to_compare_with_something_else(command: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    nameless = tmp_path / "nameless.json"
    result = json.loads(command("fer-edge", "bench", "--frames", 5, "--json", "-").stdout)
    nameless.write_text(json.dumps({**result, "machine": {}}))
    unusable = ((other, "is not a result"), (nameless, "is not a result"), (tmp_path / "none.json", "cannot be read"))
    for path, said in unusable:
        done = command("fer-edge", "bench", "--frames", 5, "--compare", path)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_bench_of_a_source_that_is_too_short(command: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((100, 100, 3), np.uint8))
    done = command("fer-edge", "bench", "--source", tmp_path)
    assert done.returncode == 3
    assert "has no frame after the 10 warm-up frames" in done.stderr


def test_bench_takes_the_configured_source(command: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("source = 'nosuch.mp4'")
    done = command("fer-edge", "bench", "--config", config)
    assert done.returncode == 3
    assert "nosuch.mp4" in done.stderr


def test_doctor_finds_a_working_installation(command: Run) -> None:
    done = command("fer-edge", "doctor", env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout
    states = {
        cells[1].strip(): cells[2].strip() for line in done.stdout.splitlines() if len(cells := line.split("│")) > 3
    }
    assert {part: states[part] for part in ("OpenCV", "Haar cascade", "TFLite runtime", "model")} == {
        "OpenCV": "works",
        "Haar cascade": "works",
        "TFLite runtime": "works",
        "model": "works",
    }
    assert "hashes agree" in done.stdout
    assert "H.264" in done.stdout, "what recordings are is told, with PyAV and without"


@pytest.mark.parametrize(
    ("driver", "finding"),
    [
        ({}, "the desktop :9876 does not answer"),
        ({"SDL_VIDEODRIVER": "x11"}, "x11 not available. Is a screen connected?"),
    ],
)
def test_doctor_takes_a_display_that_cannot_be_opened_for_absent(
    command: Run, driver: dict[str, str], finding: str
) -> None:
    """SDL draws into memory where it finds no desktop, unless it was told its driver."""
    environment = {"DISPLAY": ":9876", "COLUMNS": "200", "PATH": "/usr/bin:/bin", **driver}
    done = command("fer-edge", "doctor", env=environment)
    assert done.returncode == 0, "nobody needs one"
    rows = [line.split("│") for line in done.stdout.splitlines() if "display" in line]
    assert [cells[1].strip() for cells in rows] == ["display window", "display hdmi"]
    for cells in rows:
        assert cells[2].strip() == "absent"
        assert finding in cells[3]


def test_doctor_fails_for_a_broken_model_and_says_what(command: Run, tmp_path: Path) -> None:
    done = command("fer-edge", "doctor", "--model", tmp_path, env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 1
    assert "broken" in done.stdout
    assert "model.json: missing" in done.stdout


def test_models_lists_each_that_ships_once_with_its_own_figures(command: Run, bundle_dir: Path) -> None:
    listed = [[cell.strip() for cell in line.split("│")] for line in command("fer-edge", "models").stdout.splitlines()]
    rows = {cells[1]: cells[2:] for cells in listed if len(cells) > 5}
    bundles = {folder.name: load_bundle(folder).manifest for folder in bundle_dir.parent.iterdir() if folder.is_dir()}
    assert "ferplus7" in rows
    assert set(rows) == set(bundles)
    for name, manifest in bundles.items():
        assert rows[name][0] == str(len(manifest.labels))
        assert manifest.macs
        assert rows[name][1] == f"{manifest.macs / 1e6:.1f}"
        assert rows[name][3] == f"{manifest.accuracy[0].accuracy_int8:.1%}"


def test_models_verify_compares_hashes_and_golden_faces(command: Run, bundle_dir: Path, tmp_path: Path) -> None:
    done = command("fer-edge", "models", "verify")
    assert done.returncode == 0, done.stderr
    assert "hashes agree; golden faces: off by" in done.stdout
    copy = Path(shutil.copytree(bundle_dir, tmp_path / "copy"))
    with np.load(copy / "golden.npz") as golden:
        changed = dict(golden)
    changed["outputs"] = changed["outputs"][:, ::-1]
    np.savez(copy / "golden.npz", **changed)
    manifest = json.loads((copy / "model.json").read_text())
    manifest["files"]["golden.npz"] = sha256((copy / "golden.npz").read_bytes())
    (copy / "model.json").write_text(json.dumps(manifest))
    done = command("fer-edge", "models", "verify", copy)
    assert done.returncode == 4
    assert "differ from the golden ones" in done.stderr
    (copy / "golden.npz").write_bytes(b"")
    assert command("fer-edge", "models", "verify", copy).returncode == 4


def test_the_runtime_imports_no_training_framework(demo_video: Path) -> None:
    script = (
        "import sys; from fer_edge.cli.app import app; "
        f"app(['run', '--source', {str(demo_video)!r}, '--max-frames', '3'], standalone_mode=False); "
        "print(sorted({'tensorflow', 'keras', 'torch', 'sklearn', 'matplotlib', 'pygame'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; import fer_edge.cli.app, fer_train.cli.app, fer_quantize.cli, fer_fleet.cli.app; "
        "print(sorted({'cv2', 'numpy', 'keras', 'tensorflow', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
