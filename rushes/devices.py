"""Where an engine runs: the one place that turns `auto`, `cpu` and `cuda:N` into a device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rushes.errors import MissingPart, SettingsInvalid


@lru_cache
def cuda_count() -> int:
    """Returns how many CUDA devices the driver shows, without importing torch."""
    try:
        import pynvml
    except ImportError:
        return 0
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def resolve(requested: str, supported: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the device to use, and what the user should be told about the choice.

    Args:
        requested: `auto` or empty, `cpu`, `cuda` or `cuda:N`.
        supported: Kinds that the engine can use, `cpu` and `cuda`.

    Raises:
        SettingsInvalid: `requested` is none of these.
        MissingPart: The engine needs a GPU and there is none.
    """
    wanted = requested or "auto"
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", wanted)
    if match is None:
        raise SettingsInvalid(f"{requested!r} is not a device.", remedy="Use auto, cpu or cuda:N.")
    index = int(match[1] or 0)
    if wanted != "cpu" and "cuda" in supported and index < cuda_count():
        return f"cuda:{index}", []
    if "cpu" not in supported:
        raise MissingPart("This engine needs a GPU, and none is found.", remedy="Choose another engine.")
    if wanted.startswith("cuda"):
        why = "this engine has no GPU code" if "cuda" not in supported else f"there is no GPU {index}"
        return "cpu", [f"Device {wanted} was asked for, but {why}; running on the CPU."]
    return "cpu", []
