"""How much a mouth moves, from the blendshapes of its face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHAPES = (
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
)
"""Blendshapes that articulation moves; smiles, frowns and sideways mouths come without speech as well."""

FEWEST = 5
"""Frames that a window needs for its variation to mean anything."""


def variation(
    frames: NDArray[np.int64], shapes: NDArray[np.float32], half_window: int
) -> NDArray[np.float64]:
    """Returns how much the mouth varies around each frame, however open it is.

    Args:
        frames: Frames in which the face is seen, ascending (n,).
        shapes: Mouth blendshapes 0 to 1 in these frames (n, k); rows of NaN where there are none.
        half_window: Frames on either side that count.

    Returns:
        Root of the summed variances over the window (n,); NaN where it holds fewer than `FEWEST` frames
        with blendshapes, or where the frame itself has none.
    """
    known = ~np.isnan(shapes).any(axis=1)
    result = np.full(len(frames), np.nan)
    at = frames[known]
    if at.size == 0:
        return result
    # Running sums; centred first, so that the difference of squares stays accurate over hours.
    values = shapes[known].astype(np.float64)
    values -= values.mean(axis=0)
    zero = np.zeros((1, values.shape[1]))
    sums = np.vstack([zero, np.cumsum(values, axis=0)])
    squares = np.vstack([zero, np.cumsum(values**2, axis=0)])
    first = np.searchsorted(at, at - half_window, side="left")
    last = np.searchsorted(at, at + half_window, side="right")
    count = (last - first).astype(np.float64)
    mean = (sums[last] - sums[first]) / count[:, None]
    variance = (squares[last] - squares[first]) / count[:, None] - mean**2
    motion = np.sqrt(np.maximum(variance, 0).sum(axis=1))
    motion[count < FEWEST] = np.nan
    result[known] = motion
    return result


def activity(motion: NDArray[np.float64], *, still: float, talking: float) -> NDArray[np.float64]:
    """Returns the variation as 0 (still) to 1 (moves as talking mouths do); NaN stays NaN (n,)."""
    result: NDArray[np.float64] = np.clip((motion - still) / (talking - still), 0, 1)
    return result
