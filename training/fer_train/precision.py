"""What a training step computes in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from fer_edge.errors import ConfigError

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
"""Keras' policies."""


def parse_precision(name: str) -> Precision:
    """Return a precision by name; `auto` is `mixed_bfloat16` where the machine multiplies in it, else `float32`.

    Raises:
        ConfigError: it is unknown.
    """
    if name == "auto":
        return "mixed_bfloat16" if _has_bfloat16() else "float32"
    for precision in get_args(Precision):
        if name == precision:
            return precision  # type: ignore[no-any-return]
    raise ConfigError(f"precision '{name}' is unknown. Choose auto, {', '.join(get_args(Precision))}")


def _has_bfloat16() -> bool:
    """Whether PyTorch, the only back end that is faster so on a CPU, runs on a processor with the instructions."""
    import keras  # noqa: PLC0415 - slow to load

    if keras.backend.backend() != "torch":
        return False
    import torch  # noqa: PLC0415 - only where it is the back end

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.is_file() else []
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))
