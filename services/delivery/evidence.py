"""How well a face fits a voice, and the best links between all faces and voices of a shot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from services.delivery.faces import Series


@dataclass(frozen=True, slots=True)
class Evidence:
    """A face compared with a voice.

    Attributes:
        frames_on, frames_off: Frames in which the face is measured while the voice is heard, or is not.
        activity_on, activity_off: Mean activity of the face in these, 0 to 1; 0 without frames.
        value: Evidence that the voice is this face's, −1 to 1.
    """

    frames_on: int
    frames_off: int
    activity_on: float
    activity_off: float
    value: float


def weigh(face: Series, voice: NDArray[np.bool_], shot: range, *, fewest: int, shrink: float) -> Evidence:
    """Compares how a face moves while a voice is heard with how it moves while it is not.

    Args:
        face: The face.
        voice: Where the voice is heard in the shot (frames of the shot,).
        shot: Frames of the shot.
        fewest: Frames of the voice below which nothing can be said; the value is then 0.
        shrink: Frames without the voice that are needed for them to count half.
    """
    known = face.measured
    heard = voice[face.frames - shot.start]
    on, off = face.activity[known & heard], face.activity[known & ~heard]
    activity_on = float(on.mean()) if on.size else 0.0
    activity_off = float(off.mean()) if off.size else 0.0
    # A mouth that moves just as much when the voice is silent is no evidence; few such frames prove little.
    value = activity_on - activity_off * off.size / (off.size + shrink) if on.size >= fewest else 0.0
    return Evidence(on.size, off.size, activity_on, activity_off, value)


@dataclass(frozen=True, slots=True)
class Link:
    """A voice and its face; `margin` is the lead over the best explanation without this link, 0 to 1."""

    speaker: str
    track: int
    margin: float


def links(evidence: Mapping[tuple[str, int], Evidence], *, threshold: float) -> list[Link]:
    """Returns the one best assignment of voices to faces; a voice may be nobody's on screen.

    Args:
        evidence: By speaker and track.
        threshold: Value up to which nobody is the better explanation.
    """
    speakers = sorted({speaker for speaker, _ in evidence})
    tracks = sorted({track for _, track in evidence})
    if not speakers:
        return []
    gains = np.full((len(speakers), len(tracks) + len(speakers)), -1.0)
    gains[:, len(tracks) :] = 0  # Nobody on screen, as often as needed.
    for (speaker, track), found in evidence.items():
        gains[speakers.index(speaker), tracks.index(track)] = (found.value - threshold) / (1 - threshold)
    best, choice = _solve(gains)
    result = []
    for row, column in enumerate(choice):
        if column < len(tracks) and gains[row, column] > 0:
            other = gains.copy()
            other[row, column] = -1
            margin = min(1.0, best - _solve(other)[0])
            result.append(Link(speakers[row], tracks[column], margin))
    return result


def _solve(gains: NDArray[np.float64]) -> tuple[float, Sequence[int]]:
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return float(gains[rows, columns].sum()), [int(column) for column in columns]
