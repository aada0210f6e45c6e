"""A short run of the fuzzer; tests/fuzz.py --count 10000 is the long one."""

import subprocess
import sys
from pathlib import Path


def test_mutated_inputs_are_read_or_refused() -> None:
    fuzzer = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, str(fuzzer), "--count", "100", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("100 inputs, 0 findings") == 11
