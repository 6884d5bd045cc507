"""Cutting sound, as it arrives, into stretches, and stretches into the windows that voices are told by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Samples a second that the networks hear."""

FRAME = 512
"""Samples that one probability of speech stands for: 32 ms."""

WINDOW = 50
"""Frames that a voice is told by: 1.6 s, the length that the encoder was trained on."""

HOP = 6
"""Frames between the starts of two windows: 0.192 s."""

FRAME_SECONDS = FRAME / RATE
WINDOW_SECONDS = WINDOW * FRAME_SECONDS


def stretches(blocks: Iterable[NDArray[np.int16]], samples: int = 30 * RATE) -> Iterator[NDArray[np.float32]]:
    """Regroups blocks of any size into stretches of `samples`, the last one up to twice as long.

    No short rest is left at the end, because a level cannot be judged from it.

    Args:
        blocks: Mono int16 blocks (n,).
        samples: Length of a stretch; a multiple of `FRAME`, so that frames never straddle two.

    Yields:
        Float samples (n,), full scale at 1.
    """
    held: list[NDArray[np.int16]] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += block.size
        if count < 2 * samples:
            continue
        joined = np.concatenate(held)
        while joined.size >= 2 * samples:
            yield _floats(joined[:samples])
            joined = joined[samples:]
        held, count = [joined], joined.size
    if count:
        yield _floats(np.concatenate(held))


def _floats(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(32768)


def spoken_windows(probabilities: NDArray[np.float32], least: float = 0.5) -> list[int]:
    """Returns the starts, in frames, of the windows in which mostly somebody speaks.

    Args:
        probabilities: Probability of speech in each frame (n,); a window starts at every `HOP` frames.
        least: Mean probability that a window must reach.
    """
    sums = np.concatenate([[0.0], np.cumsum(probabilities, dtype=np.float64)])
    starts = range(0, examined(probabilities.size), HOP)
    return [start for start in starts if sums[start + WINDOW] - sums[start] >= least * WINDOW]


def examined(frames: int) -> int:
    """Returns the frames that no later window will start in, once `frames` are known."""
    return max(0, (frames - WINDOW) // HOP + 1) * HOP
