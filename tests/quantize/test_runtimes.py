"""The same bundle under every runtime, and on an emulated Arm processor."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.assets.composites import load_composites
from fer_train.data.augmentation import Augmentation

ROOT = Path(__file__).resolve().parents[2]

READ = """
import sys
import numpy as np
from pathlib import Path
from fer_edge.model.bundle import load_bundle
from fer_edge.model.classifier import Classifier
from fer_edge.model.interpreter import runtime_name
classifier = Classifier(load_bundle(Path(sys.argv[1])))
np.save(sys.argv[3], np.array([classifier.outputs(face) for face in np.load(sys.argv[2])]))
print(runtime_name())
"""

READ_WITH = """
import sys
import numpy as np
{interpreter}
interpreter.allocate_tensors()
entry, answer = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
rows = []
for face in np.load(sys.argv[2]):
    interpreter.set_tensor(entry, (face.astype(np.int16) - 128).astype(np.int8)[None, :, :, None])
    interpreter.invoke()
    rows.append(interpreter.get_tensor(answer)[0])
np.save(sys.argv[3], np.array(rows))
"""

TENSORFLOW = """
import tensorflow as tf
interpreter = tf.lite.Interpreter(model_path=sys.argv[1] + "/model.tflite")
"""

BUILT_IN_KERNELS = """
from ai_edge_litert.interpreter import Interpreter, OpResolverType
interpreter = Interpreter(
    model_path=sys.argv[1] + "/model.tflite",
    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
)
"""

Levels = npt.NDArray[np.int8]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 100 varied composite faces."""
    path = tmp_path_factory.mktemp("faces") / "faces.npy"
    composites = np.repeat(np.array(list(load_composites().values())), 300, axis=0)
    np.save(path, Augmentation().apply(composites, np.random.default_rng(0)))
    return path


def read(python: Path, script: str, bundle: Path, faces: Path) -> tuple[str, Levels]:
    out = faces.with_name("out.npy")
    command: list[str | Path] = [python, "-c", script, bundle, faces, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=faces.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), np.load(out)


@pytest.fixture(scope="module")
def reference(bundle_dir: Path, faces: Path) -> Levels:
    runtime, levels = read(Path(sys.executable), READ, bundle_dir, faces)
    assert runtime.startswith("ai-edge-litert")
    return levels


def compare(levels: Levels, reference: Levels) -> tuple[int, int, int]:
    """Faces with another label, outputs that differ, the largest difference in steps of 1/256."""
    difference = np.abs(levels.astype(int) - reference)
    labels = int((levels.argmax(axis=1) != reference.argmax(axis=1)).sum())
    return labels, int((difference > 0).sum()), int(difference.max())


@pytest.mark.slow
def test_tensorflows_own_interpreter_answers_the_same(bundle_dir: Path, faces: Path, reference: Levels) -> None:
    _, levels = read(Path(sys.executable), READ_WITH.format(interpreter=TENSORFLOW), bundle_dir, faces)
    assert compare(levels, reference) == (0, 0, 0)


@pytest.mark.slow
def test_tflite_runtime_gives_the_same_labels(bundle_dir: Path, faces: Path, reference: Levels, tmp_path: Path) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheel for Python 3.12 and later")
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    packages = ["tflite-runtime==2.14.0", "numpy<2", "opencv-python>=4.11,<5", "pydantic", "rich", "typer"]
    installed = [
        subprocess.run([environment / "bin" / "pip", "install", "--quiet", *what], capture_output=True, check=False)
        for what in (packages, ["--no-deps", str(ROOT)])
    ]
    if any(done.returncode for done in installed):
        pytest.skip("pip cannot install tflite-runtime here")
    runtime, levels = read(environment / "bin" / "python", READ, bundle_dir, faces)
    assert runtime == "tflite-runtime 2.14.0"
    _, built_in = read(Path(sys.executable), READ_WITH.format(interpreter=BUILT_IN_KERNELS), bundle_dir, faces)
    assert compare(levels, built_in) == (0, 0, 0)
    labels, _, _ = compare(levels, reference)
    assert labels <= 0.01 * len(reference), "the two families of kernels round differently, but not so much"
    done = subprocess.run([environment / "bin" / "fer-edge", "models", "verify", bundle_dir], check=False)
    assert done.returncode == 0


def test_aarch64_gives_the_same_labels(bundle_dir: Path, faces: Path, reference: Levels) -> None:
    folder = os.environ.get("FER_ARM64")
    if not folder:
        pytest.skip("FER_ARM64 is not set to a folder that benchmarks/aarch64.sh prepared")
    few = faces.with_name("few.npy")
    np.save(few, np.load(faces)[::10])
    _, levels = read(Path(folder) / "python", READ, bundle_dir, few)
    labels, differing, largest = compare(levels, reference[::10])
    assert labels == 0
    assert largest <= 1
    assert differing <= 0.005 * levels.size
