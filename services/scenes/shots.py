"""Shots: where the network's probabilities say that one ends and the next begins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rushes.artifacts import Shot


class Cut(NamedTuple):
    """A transition: the last frame of the shot that it ends, and the network's certainty there."""

    frame: int
    probability: float


def find_cuts(cut: NDArray[np.float32], transition: NDArray[np.float32], *, threshold: float) -> list[Cut]:
    """Returns one cut for each transition, in order.

    A transition is a run of frames whose cut probability is above the threshold. Runs that one run
    of the transition probability spans are the same one: over a dissolve the network may be sure
    of a cut more than once.

    Args:
        cut: Probability (N,) that the frame is the last one before a change of shot.
        transition: Probability (N,) that the frame is part of a transition of any length.
        threshold: A frame counts when its probability is strictly greater.
    """
    found: list[Cut] = []
    previous_end = 0
    for start, end in _runs(cut, threshold):
        peak = start + int(np.argmax(cut[start:end]))  # argmax takes the first one on ties
        candidate = Cut(peak, float(cut[peak]))
        if found and bool((transition[previous_end - 1 : start + 1] > threshold).all()):
            found[-1] = max(found[-1], candidate, key=lambda one: one.probability)
        else:
            found.append(candidate)
        previous_end = end
    return found


def partition(cuts: Sequence[Cut], frame_count: int, *, min_shot_frames: int = 1) -> list[Shot]:
    """Returns the shots that cuts make of frames [0, frame_count): no gap, no overlap.

    Args:
        cuts: Cuts in any order.
        frame_count: Frames of the video.
        min_shot_frames: No shot is shorter, unless the video is; of cuts too close to each other
            the most probable one stays, the first on ties.
    """
    if frame_count == 0:
        return []
    bounds = [0, frame_count]
    certainty: dict[int, float] = {}
    for cut in sorted(cuts, key=lambda cut: (-cut.probability, cut.frame)):
        end = cut.frame + 1
        place = bisect_left(bounds, end)
        if end - bounds[place - 1] >= min_shot_frames <= bounds[place] - end:
            bounds.insert(place, end)
            certainty[end] = cut.probability
    return [Shot(start, end, certainty.get(end)) for start, end in pairwise(bounds)]


def _runs(probability: NDArray[np.float32], threshold: float) -> list[tuple[int, int]]:
    """Returns each run [start, end) of frames above the threshold."""
    above = np.concatenate(([False], probability > threshold, [False]))
    edges = np.flatnonzero(above[1:] != above[:-1])
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
