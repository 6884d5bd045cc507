"""The diarization error rate: exact, without a collar, overlapping speech counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from rushes.artifacts import Turn


@dataclass(frozen=True, slots=True)
class DiarizationError:
    """Speaker-seconds of each kind of error, and of the reference; they add up over recordings."""

    missed: float = 0.0
    false_alarm: float = 0.0
    confusion: float = 0.0
    total: float = 0.0

    @property
    def rate(self) -> float:
        """The error rate, 0 for none; above 1 when more is wrong than is spoken."""
        wrong = self.missed + self.false_alarm + self.confusion
        return wrong / self.total if self.total else float("inf") if wrong else 0.0

    def __add__(self, other: DiarizationError) -> DiarizationError:
        return DiarizationError(
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confusion + other.confusion,
            self.total + other.total,
        )


def diarization_error(reference: Sequence[Turn], found: Sequence[Turn]) -> DiarizationError:
    """Compares turns, once each found speaker stands for the reference speaker that suits best overall.

    Time is cut wherever any turn starts or ends, so the sums are exact and not counted in frames.
    """
    cuts = sorted({instant for turn in (*reference, *found) for instant in (turn.start, turn.end)})
    pieces = [
        (end - start, _active(reference, start, end), _active(found, start, end))
        for start, end in pairwise(cuts)
    ]
    names = sorted({turn.speaker for turn in reference})
    others = sorted({turn.speaker for turn in found})
    shared = np.zeros((len(names), len(others)))
    for seconds, true, said in pieces:
        for name in true:
            for other in said:
                shared[names.index(name), others.index(other)] += seconds
    pairs = {
        (names[row], others[column]) for row, column in zip(*linear_sum_assignment(-shared), strict=True)
    }
    error = DiarizationError()
    for seconds, true, said in pieces:
        right = sum((name, other) in pairs for name in true for other in said)
        error += DiarizationError(
            missed=seconds * max(0, len(true) - len(said)),
            false_alarm=seconds * max(0, len(said) - len(true)),
            confusion=seconds * (min(len(true), len(said)) - right),
            total=seconds * len(true),
        )
    return error


def _active(turns: Sequence[Turn], start: float, end: float) -> set[str]:
    return {turn.speaker for turn in turns if turn.start <= start and end <= turn.end}


def read_rttm(path: Path) -> dict[str, list[Turn]]:
    """Reads the turns of an RTTM file, by recording."""
    turns: dict[str, list[Turn]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("SPEAKER "):
            _, name, _, start, length, _, _, speaker, *_ = line.split()
            turns.setdefault(name, []).append(Turn(float(start), float(start) + float(length), speaker))
    return turns
