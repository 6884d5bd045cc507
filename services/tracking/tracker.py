"""Gives the detections of a video lasting numbers, frame after frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.tracking.assignment import assign, cost_matrix
from services.tracking.detections import Detection

_DAMPING = 0.8
"""Share of its speed that an unseen face is taken to keep from one frame to the next."""


@dataclass(slots=True)
class _Track:
    """A track that may still go on: what was seen last, when, and its speed in pixels a frame."""

    number: int
    seen: Detection
    frame: int
    speed: tuple[float, float] = (0.0, 0.0)
    moving: bool = False

    def shift(self, frame: int) -> tuple[float, float]:
        """Returns how far it should have moved by a frame, in pixels.

        Faces that vanish turn away or stop more often than they go on at full speed for long.
        """
        reach = (1 - _DAMPING ** (frame - self.frame)) / (1 - _DAMPING)
        return self.speed[0] * reach, self.speed[1] * reach

    def continue_with(self, found: Detection, frame: int) -> None:
        """Takes a detection as the next sighting; nothing of the one before is kept but the speed."""
        elapsed = frame - self.frame
        across = (found.center[0] - self.seen.center[0]) / elapsed
        down = (found.center[1] - self.seen.center[1]) / elapsed
        if self.moving:  # A face's box trembles, so that half of the speed is what it was.
            across, down = (self.speed[0] + across) / 2, (self.speed[1] + down) / 2
        self.seen, self.frame, self.speed, self.moving = found, frame, (across, down), True


class Tracker:
    """Follows detections through one video.

    Args:
        max_gap_frames: Frames in a row that a face may be unseen and keep its number.
        max_shift: Farthest that a detection may be from where a track is expected, in face sizes.

    Attributes:
        count: Tracks begun so far; they are numbered from 1 and no number is used twice.
    """

    def __init__(self, *, max_gap_frames: int, max_shift: float) -> None:
        self._max_gap_frames = max_gap_frames
        self._max_shift = max_shift
        self._open: list[_Track] = []
        self._frame = -1
        self.count = 0

    def cut(self) -> None:
        """Ends every track: what comes next is another shot."""
        self._open.clear()

    def add(self, frame: int, found: Sequence[Detection]) -> list[tuple[int, Detection]]:
        """Returns the detections of a frame with their track numbers, from left to right.

        Args:
            frame: 0-based frame; frames left out count as frames in which nothing was seen.
            found: Detections in any order, which does not matter.

        Raises:
            ValueError: The frame does not follow the one before.
        """
        if frame <= self._frame:
            raise ValueError(f"Frame {frame} does not follow frame {self._frame}.")
        self._frame = frame
        found = sorted(found, key=lambda detection: (detection.center, detection.x, detection.y))
        self._open = [track for track in self._open if frame - track.frame <= self._max_gap_frames + 1]
        expected = [(track.seen, track.shift(frame)) for track in self._open]
        pairs = assign(cost_matrix(expected, found, max_shift=self._max_shift))
        continued = {column: self._open[row] for row, column in pairs}
        sightings = []
        for index, detection in enumerate(found):
            track = continued.get(index)
            if track is None:
                self.count += 1
                track = _Track(self.count, detection, frame)
                self._open.append(track)
            else:
                track.continue_with(detection, frame)
            sightings.append((track.number, detection))
        return sightings
