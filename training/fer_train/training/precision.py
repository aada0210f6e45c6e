"""The number format of a training step."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from fer_edge.errors import ConfigError, choose

# These are names of Keras' policies.
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

# From this compute capability on, NVIDIA's tensor cores multiply in bfloat16.
_AMPERE = 8.0


def parse_precision(name: str) -> Precision:
    """Return a precision by name; `auto` is `mixed_bfloat16` if the device multiplies in it, else `float32`.

    Raises:
        ConfigError: it is unknown.
    """
    if name == "auto":
        return "mixed_bfloat16" if _has_bfloat16() else "float32"
    for precision in get_args(Precision):
        if name == precision:
            return precision  # type: ignore[no-any-return]
    raise ConfigError(f"precision '{name}' is unknown. {choose(name, ('auto', *get_args(Precision)))}")


def _has_bfloat16() -> bool:
    """Whether bfloat16 is faster here: on NVIDIA GPUs from Ampere on, and with PyTorch on CPUs that support it.

    JAX is not queried: after a query several workers cannot connect any more.
    """
    import keras  # noqa: PLC0415 - slow to load

    backend = keras.backend.backend()
    if backend == "torch":
        import torch  # noqa: PLC0415 - only where it is the back end

        return bool(torch.cuda.is_bf16_supported()) if torch.cuda.is_available() else _processor_has_bfloat16()
    generations = _gpus_of_tensorflow() if backend == "tensorflow" else []
    return bool(generations) and min(generations) >= _AMPERE


def _processor_has_bfloat16() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.is_file() else []
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def _gpus_of_tensorflow() -> list[float]:
    """The compute capability of each NVIDIA GPU."""
    import tensorflow as tf  # noqa: PLC0415 - only where it is the back end

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [float(".".join(map(str, detail["compute_capability"]))) for detail in details]
