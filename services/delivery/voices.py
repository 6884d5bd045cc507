"""When each voice is heard, shot by shot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rushes import clock
from rushes.artifacts import Speech


def shot_ranges(starts: Sequence[int], frame_count: int) -> list[range]:
    """Returns the frames of each shot, given the first frame of every shot but the first.

    Frames after the last known cut belong to the last shot; cuts outside the video are left out.
    """
    bounds = [0, *(start for start in starts if 0 < start < frame_count), frame_count]
    return [range(start, stop) for start, stop in pairwise(bounds) if stop > start]


def voices(
    speech: Speech, rate: Fraction, shots: Sequence[range]
) -> Iterator[Mapping[str, NDArray[np.bool_]]]:
    """Yields, for each shot, the frames in which each speaker heard in it speaks, as a mask (frames,)."""
    speakers = [turn.speaker for turn in speech.turns]
    ranges = [clock.frames_of(turn.start, turn.end, rate) for turn in speech.turns]
    starts = np.array([turn.start for turn in ranges], np.int64)
    stops = np.array([turn.stop for turn in ranges], np.int64)
    for shot in shots:
        heard: dict[str, NDArray[np.bool_]] = {}
        for index in np.flatnonzero((starts < shot.stop) & (stops > shot.start) & (stops > starts)):
            mask = heard.setdefault(speakers[index], np.zeros(len(shot), np.bool_))
            mask[max(0, starts[index] - shot.start) : stops[index] - shot.start] = True
        yield dict(sorted(heard.items()))


def intervals(mask: NDArray[np.bool_], origin: int) -> list[tuple[int, int]]:
    """Returns the runs of a mask as frames [start, end), the first element being frame `origin`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start) + origin, int(stop) + origin) for start, stop in edges.reshape(-1, 2)]
