"""Loudness: the gain that brings quiet, far recordings to the level that networks were trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TARGET_DB = -20.0
"""Level, in dBFS, that the louder parts of a stretch are brought to."""

HIGHEST_GAIN_DB = 40.0
"""More gain than this would turn the hiss of an empty room into something to listen to."""


def gain_of(samples: NDArray[np.float32], frame: int = 512) -> float:
    """Returns the factor that brings a stretch of sound to the target level.

    The level is the 95th percentile of the frames' power: it follows who speaks,
    not the pauses between, nor one slammed door.

    Args:
        samples: Mono samples (n,), full scale at 1.
        frame: Samples over which power is averaged.
    """
    whole = samples.size // frame * frame
    if not whole:
        return 1.0
    power = np.mean(np.square(samples[:whole].reshape(-1, frame), dtype=np.float64), axis=1)
    level_db = 10 * np.log10(np.percentile(power, 95) + 1e-12)
    return float(10 ** (min(TARGET_DB - level_db, HIGHEST_GAIN_DB) / 20))


def same_power(windows: NDArray[np.float32], level_db: float) -> NDArray[np.float32]:
    """Returns windows (n, samples), each scaled to one mean power; silent windows stay silent."""
    power = np.mean(np.square(windows, dtype=np.float64), axis=1, keepdims=True)
    factor: NDArray[np.float64] = 10 ** (level_db / 20) / np.sqrt(np.maximum(power, 1e-10))
    return (windows * factor).astype(np.float32)
