"""Windows over a stream of pictures: how the network's published padding is cut into model calls.

The published method pads the video with copies of its first and last picture, cuts it into windows
of 100 pictures that advance by 50, and keeps the middle 50 predictions of each. The padded stream
here is that one exactly; only the cut may be longer, which spares most of the overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONTEXT = 25
"""Predictions dropped on each side of a window; pictures repeated before the first and after the last."""

STEP = 50
"""The padded video is a whole number of steps, and its contexts, long."""


class Window(NamedTuple):
    """Pictures for one model call, T × H × W × 3; predictions [CONTEXT, CONTEXT + kept) count."""

    start: int
    kept: int
    pictures: NDArray[np.uint8]


def windows(pictures: Iterable[NDArray[np.uint8]], *, length: int) -> Iterator[Window]:
    """Yields windows that keep every picture once, in order, holding one window in memory.

    Args:
        pictures: Pictures (H × W × 3), of one size.
        length: Pictures in a window; the last one may be shorter, by a multiple of STEP.

    Raises:
        ValueError: `length` leaves no whole number of steps between the contexts.
    """
    advance = length - 2 * CONTEXT
    if advance <= 0 or advance % STEP:
        raise ValueError(f"A window of {length} pictures does not advance by a multiple of {STEP}.")
    buffer = np.empty(0, np.uint8)
    filled = start = count = 0
    for picture, real in _padded(pictures):
        if not len(buffer):
            buffer = np.empty((length, *picture.shape), np.uint8)
        count += real
        buffer[filled] = picture
        filled += 1
        if filled == length:
            yield Window(start, min(advance, count - start), buffer.copy())
            start += advance
            filled = 2 * CONTEXT
            buffer[:filled] = buffer[advance:].copy()
    if start < count:
        yield Window(start, count - start, buffer[:filled].copy())


def _padded(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    """Yields the padded stream; the second value tells a picture of the video from a copy."""
    count, last = 0, None
    for last in pictures:
        if count == 0:
            for _ in range(CONTEXT):
                yield last, False
        yield last, True
        count += 1
    if last is not None:
        for _ in range(CONTEXT + -count % STEP):
            yield last, False
