"""Turns: from probabilities of speech and the speakers of windows to who speaks from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

_CELL = 0.05  # seconds; finer than what a window of 1.6 s can tell


@dataclass(frozen=True, slots=True)
class Span:
    """Somebody speaks in [start, end), in seconds; `speaker` counts from 0."""

    start: float
    end: float
    speaker: int = 0


def spoken(
    probabilities: NDArray[np.float32],
    frame_seconds: float,
    *,
    on: float = 0.5,
    off: float = 0.35,
    margin: float = 0.064,
) -> list[Span]:
    """Returns where somebody speaks.

    Args:
        probabilities: Probability of speech in each frame (n,).
        frame_seconds: Length of a frame.
        on: Probability at which speech begins.
        off: Probability below which it ends.
        margin: Seconds added at both ends, where soft sounds are missed.

    Returns:
        Disjoint spans by start, within the frames' time.
    """
    spans: list[Span] = []
    first: int | None = None
    length = probabilities.size * frame_seconds
    for frame, probability in enumerate([*probabilities.tolist(), 0.0]):
        if first is None and probability >= on:
            first = frame
        elif first is not None and probability < off:
            span = Span(max(0.0, first * frame_seconds - margin), min(length, frame * frame_seconds + margin))
            spans.append(span)
            first = None
    return merged(spans, 0.0)


def merged(spans: Sequence[Span], gap: float) -> list[Span]:
    """Joins neighbours of one speaker that are at most `gap` seconds apart; spans come by start."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].speaker == span.speaker and span.start - joined[-1].end <= gap:
            joined[-1] = replace(joined[-1], end=max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def attributed(spans: Sequence[Span], middles: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Span]:
    """Cuts spans where the speaker changes; each instant is whoever the nearest window belongs to.

    Args:
        spans: Where somebody speaks.
        middles: Middles of the windows in seconds, ascending (n,).
        labels: Speaker of each window (n,); with none, all is speaker 0.
    """
    if middles.size == 0:
        return list(spans)
    borders = (middles[1:] + middles[:-1]) / 2
    cut: list[Span] = []
    for span in spans:
        starts = np.arange(span.start, span.end, _CELL)
        owners = labels[np.searchsorted(borders, starts + _CELL / 2)]
        first = 0
        for speaker, cells in groupby(owners.tolist()):
            last = first + len(list(cells))
            end = span.end if last == starts.size else float(starts[last])
            cut.append(Span(float(starts[first]), end, int(speaker)))
            first = last
    return cut


def settled(spans: Sequence[Span], shortest: float) -> list[Span]:
    """Gives each span shorter than `shortest` to the longer one that it touches; drops those that touch none.

    Args:
        spans: Disjoint spans by start.
        shortest: Seconds that a turn must last.
    """
    left = merged(spans, 0.0)
    while True:
        short = [index for index, span in enumerate(left) if span.end - span.start < shortest]
        if not short:
            return left
        index = min(short, key=lambda i: (left[i].end - left[i].start, i))
        span = left.pop(index)
        beside = [
            other
            for other in (index - 1, index)
            if 0 <= other < len(left) and (left[other].end == span.start or left[other].start == span.end)
        ]
        if beside:
            taker = max(beside, key=lambda i: left[i].end - left[i].start)
            left[taker] = replace(
                left[taker],
                start=min(left[taker].start, span.start),
                end=max(left[taker].end, span.end),
            )
            left = merged(left, 0.0)


def numbered(spans: Sequence[Span]) -> list[Span]:
    """Renumbers speakers from 0 in order of first appearance."""
    order: dict[int, int] = {}
    return [replace(span, speaker=order.setdefault(span.speaker, len(order))) for span in spans]
