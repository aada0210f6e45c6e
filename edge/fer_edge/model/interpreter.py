"""Open a TFLite interpreter of the installed runtime: LiteRT first, then tflite-runtime."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fer_edge.errors import MissingDependency, ModelError
from fer_edge.silence import quiet

_RUNTIMES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
_FIX = "pip install ai-edge-litert (on 32-bit Raspberry Pi OS: pip install tflite-runtime 'numpy<2')"


class Interpreter(Protocol):
    """The methods of both runtimes that are used here."""

    def allocate_tensors(self) -> None: ...  # noqa: D102
    def invoke(self) -> None: ...  # noqa: D102
    def get_input_details(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def get_output_details(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def get_tensor_details(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def set_tensor(self, tensor_index: int, value: npt.NDArray[np.generic]) -> None: ...  # noqa: D102
    def get_tensor(self, tensor_id: int) -> npt.NDArray[Any]: ...  # noqa: D102


def runtime_name() -> str:
    """Name and version of the runtime that will be used.

    Raises:
        MissingDependency: no runtime is installed, or it does not work with the installed NumPy.
    """
    name, _ = _find_runtime()
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def open_interpreter(model: bytes, threads: int = 1, *, plain_kernels: bool = False) -> Interpreter:
    """Open a TFLite model with its tensors allocated.

    Args:
        model: the content of a `.tflite` file.
        threads: number of threads of the kernels.
        plain_kernels: use the built-in kernels, as tflite-runtime does for int8, instead of the fast ones (XNNPACK).

    Raises:
        MissingDependency: see `runtime_name`.
        ModelError: the content is no usable model.
    """
    name, factory = _find_runtime()
    if model[4:8] != b"TFL3":
        raise ModelError("not a TFLite model (no TFL3 mark): it is empty, truncated or something else")
    try:
        with quiet():
            options = {"experimental_op_resolver_type": _plain(name)} if plain_kernels else {}
            interpreter: Interpreter = factory(model_content=model, num_threads=threads, **options)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"the TFLite runtime refuses the model ({_first_line(error)})") from error
    return interpreter


def _plain(name: str) -> Any:  # noqa: ANN401 - the runtimes ship no types
    return import_module(_RUNTIMES[name]).OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def _find_runtime() -> tuple[str, Any]:
    for name, module in _RUNTIMES.items():
        try:
            factory = import_module(module).Interpreter
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:
                raise MissingDependency(f"{name} cannot be imported ({error}). Fix: pip install {name}") from error
            continue
        except (ImportError, OSError) as error:
            raise MissingDependency(f"{name} cannot be imported ({_first_line(error)}). Fix: {_FIX}") from error
        if name == "tflite-runtime" and not np.__version__.startswith("1."):
            # It was built for NumPy 1. With NumPy 2 it can be imported, but fails when it is used.
            raise MissingDependency(f"{name} does not work with numpy {np.__version__}. Fix: pip install 'numpy<2'")
        return name, factory
    raise MissingDependency(f"no TFLite runtime is installed. Fix: {_FIX}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
