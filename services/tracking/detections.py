"""What an engine finds in one frame, before it belongs to any track."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detection:
    """One face or object in one frame, in pixels of the video.

    Attributes:
        x, y, width, height: Box; may reach outside the picture, has an area.
        center: Point that stands for the face or object.
        score: Confidence 0 to 1; none when the engine gives none.
        source: Kind of engine, as in the delivered files; `face_landmarker` for every face engine.
        label: `face`, or the class of the object.
        blendshapes: Scores 0 to 1 in the order of the engine's names; none when not computed.

    Raises:
        ValueError: The box has no area, or a figure is not finite.
    """

    x: float
    y: float
    width: float
    height: float
    center: tuple[float, float]
    score: float | None = None
    source: str = "face_landmarker"
    label: str = "face"
    blendshapes: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x, self.y, self.width, self.height, *self.center))):
            raise ValueError(f"{self} is not finite.")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"{self} has no area.")

    @property
    def size(self) -> float:
        """Side of the square with the same area as the box."""
        return math.sqrt(self.width * self.height)
