"""Which detection continues which track: the cheapest assignment of all, not the nearest one each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from services.tracking.detections import Detection

_MAX_SIZE_RATIO = 2.0

UNRELATED = 1.0
"""Cost at which a pair is no better than ending the track and beginning another."""


def cost(expected: Detection, shift: tuple[float, float], found: Detection, *, max_shift: float) -> float:
    """Returns how unlike what a track expects a detection is, 0 (same place) to 1 (unrelated).

    Half of it is the distance of the centres against `max_shift`, half the lack of overlap.

    Args:
        expected: Where the track was seen last.
        shift: How far it should have moved since, in pixels.
        found: The detection.
        max_shift: Farthest distance of the centres, in face sizes.
    """
    if (expected.source, expected.label) != (found.source, found.label):
        return UNRELATED
    small, large = sorted((expected.size, found.size))
    if large > _MAX_SIZE_RATIO * small:
        return UNRELATED
    across = expected.center[0] + shift[0] - found.center[0]
    down = expected.center[1] + shift[1] - found.center[1]
    distance = float(np.hypot(across, down)) / ((small + large) / 2)
    if distance > max_shift:
        return UNRELATED
    return (distance / max_shift + 1 - _overlap(expected, shift, found)) / 2


def assign(costs: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Returns the pairs (row, column) whose costs sum to the least, pairs at `UNRELATED` left out.

    As each pair that is left out counts as `UNRELATED`, a good pair is not given up to make
    two bad ones.

    Args:
        costs: (tracks × detections), each 0 to `UNRELATED`.
    """
    rows, columns = linear_sum_assignment(costs)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if costs[row, column] < UNRELATED
    ]


def cost_matrix(
    expected: Sequence[tuple[Detection, tuple[float, float]]],
    found: Sequence[Detection],
    *,
    max_shift: float,
) -> NDArray[np.float64]:
    """Returns `cost` for every track and detection (tracks × detections)."""
    return np.array(
        [
            [cost(seen, shift, detection, max_shift=max_shift) for detection in found]
            for seen, shift in expected
        ],
        dtype=np.float64,
    ).reshape(len(expected), len(found))


def _overlap(expected: Detection, shift: tuple[float, float], found: Detection) -> float:
    # Intersection over union of the boxes, the expected one moved by `shift`.
    x, y = expected.x + shift[0], expected.y + shift[1]
    width = min(x + expected.width, found.x + found.width) - max(x, found.x)
    height = min(y + expected.height, found.y + found.height) - max(y, found.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (expected.width * expected.height + found.width * found.height - shared)
