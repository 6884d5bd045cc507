"""What is known of one face during one shot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One face track during one shot.

    Attributes:
        frames: 0-based frames in which the face is seen, ascending (n,).
        activity: How much it looks as if it were talking in each, 0 to 1; NaN where unknown (n,).
    """

    frames: NDArray[np.int64]
    activity: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.frames.shape != self.activity.shape or self.frames.ndim != 1:
            raise ValueError(f"{self.frames.shape} frames but {self.activity.shape} activities")

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Where the activity is known (n,)."""
        return ~np.isnan(self.activity)
