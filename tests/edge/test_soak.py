"""The long run, in short."""

import csv
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"


def test_a_soak_samples_and_draws(tmp_path: Path) -> None:
    table, plot = tmp_path / "soak.csv", tmp_path / "soak.png"
    command = [sys.executable, str(SCRIPT), "--frames", "60", "--every", "20", "--out", str(table), "--plot", str(plot)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "60 frames in" in done.stdout
    rows = list(csv.DictReader(table.open()))
    assert [row["frames"] for row in rows] == ["20", "40", "60"]
    assert all(float(row["memory_mb"]) > 20 and int(row["descriptors"]) > 2 for row in rows)
    assert plot.stat().st_size > 1000
