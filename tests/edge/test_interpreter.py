"""Which TFLite runtime is found, with which kernels a model runs, and what is said where neither works."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from fer_edge.assets.composites import load_composites
from fer_edge.errors import MissingDependency, ModelError
from fer_edge.model.bundle import find_bundle
from fer_edge.model.interpreter import Interpreter, open_interpreter, runtime_name

MODEL = (find_bundle("ferplus7-tiny") / "model.tflite").read_bytes()
# Instead of these packages, those of a test.
PACKAGES = ("ai_edge_litert", "tflite_runtime")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Put a package with this content of its `interpreter` on the path; without a call there is no runtime at all."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def put(package: str, content: str) -> None:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "interpreter.py").write_text(content)

    return put


Install = Callable[[str, str], None]
FIX = "Fix: pip install ai-edge-litert (on 32-bit Raspberry Pi OS: pip install tflite-runtime 'numpy<2')"


def refusal() -> str:
    with pytest.raises(MissingDependency) as error:
        runtime_name()
    return str(error.value)


def test_litert_comes_first_and_has_a_version() -> None:
    pytest.importorskip("ai_edge_litert")
    assert runtime_name() == f"ai-edge-litert {version('ai-edge-litert')}"


def test_without_a_runtime_its_installation_is_told(install: Install) -> None:
    assert callable(install)
    assert refusal() == f"no TFLite runtime is installed. {FIX}"


def test_a_runtime_that_lacks_a_module_is_to_be_installed_again(install: Install) -> None:
    install("ai_edge_litert", "import flatbuffers_of_nobody")
    text = (
        "ai-edge-litert cannot be imported (No module named 'flatbuffers_of_nobody'). Fix: pip install ai-edge-litert"
    )
    assert refusal() == text


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            "ImportError('libc.so.6: version GLIBC_2.38 not found\\nsecond line')",
            "libc.so.6: version GLIBC_2.38 not found",
        ),
        ("OSError('  cannot open shared object file')", "cannot open shared object file"),
        ("ImportError()", "no reason given"),
    ],
)
def test_a_runtime_that_cannot_be_loaded_is_told_in_one_line(install: Install, fault: str, told: str) -> None:
    install("ai_edge_litert", f"raise {fault}")
    assert refusal() == f"ai-edge-litert cannot be imported ({told}). {FIX}"


def test_the_older_runtime_needs_the_older_numpy(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("tflite_runtime", "Interpreter = None")
    monkeypatch.setattr(np, "__version__", "2.1.0")
    assert refusal() == "tflite-runtime does not work with numpy 2.1.0. Fix: pip install 'numpy<2'"
    monkeypatch.setattr(np, "__version__", "1.26.4")
    assert runtime_name() == "tflite-runtime"
    install("ai_edge_litert", "Interpreter = None")
    assert runtime_name().startswith("ai-edge-litert"), "it comes first"


@pytest.mark.parametrize("content", [b"", MODEL[:7], b"x" * 5000, MODEL[:4] + b"TFL2" + MODEL[8:]])
def test_what_is_no_model_is_refused_before_the_runtime_sees_it(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^not a TFLite model \(no TFL3 mark\): it is empty, truncated or something"):
        open_interpreter(content)


def test_a_model_that_the_runtime_refuses_is_one_line() -> None:
    with pytest.raises(ModelError, match=r"^the TFLite runtime refuses the model ") as error:
        open_interpreter(MODEL[:8] + bytes(200))
    assert "\n" not in str(error.value)


def outputs(interpreter: Interpreter) -> list[int]:
    answers: list[int] = []
    for face in load_composites().values():
        entry = interpreter.get_input_details()[0]
        interpreter.set_tensor(entry["index"], (face.astype(np.int16) - 128).astype(np.int8)[None, :, :, None])
        interpreter.invoke()
        answers += interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().tolist()
    return answers


def test_plain_kernels_round_otherwise_and_threads_change_nothing() -> None:
    fast, plain = outputs(open_interpreter(MODEL)), outputs(open_interpreter(MODEL, plain_kernels=True))
    assert max(abs(one - other) for one, other in zip(fast, plain, strict=True)) in range(1, 40)
    assert outputs(open_interpreter(MODEL, 2)) == fast
