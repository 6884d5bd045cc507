"""`shots.json`: the shots of a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rushes.artifacts import store
from rushes.errors import ResultsDiffer

SCHEMA = "rushes.shots/1"


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames [start, end), 0-based; `cut_probability` is of the cut that ends it, none for the last."""

    start: int
    end: int
    cut_probability: float | None = None


@dataclass(frozen=True, slots=True)
class ShotList:
    """The shots of a video; together they cover every frame once.

    Raises:
        ResultsDiffer: They do not.
    """

    frame_rate: Fraction
    frame_count: int
    shots: Sequence[Shot]

    def __post_init__(self) -> None:
        expected = 0
        for shot in self.shots:
            if shot.start != expected or shot.end <= shot.start:
                raise ResultsDiffer(f"Shot {shot} does not begin at frame {expected} and end after it.")
            expected = shot.end
        if expected != self.frame_count:
            raise ResultsDiffer(f"The shots cover {expected} of {self.frame_count} frames.")

    @property
    def cuts(self) -> list[int]:
        """First frame of each shot but the first."""
        return [shot.start for shot in self.shots[1:]]


def write_shots(path: Path, shots: ShotList) -> None:
    """Writes `shots.json`."""
    store.write_json(
        path,
        {
            "schema": SCHEMA,
            "frame_rate": str(shots.frame_rate),
            "frame_count": shots.frame_count,
            "shots": [
                {"start": shot.start, "end": shot.end, "cut_probability": shot.cut_probability}
                for shot in shots.shots
            ],
        },
    )


def read_shots(path: Path) -> ShotList:
    """Reads `shots.json`.

    Raises:
        NotFound: There is none.
        ResultsDiffer: It is damaged.
    """
    value = store.read_json(path, schema=SCHEMA)
    return ShotList(
        Fraction(value["frame_rate"]), value["frame_count"], [Shot(**shot) for shot in value["shots"]]
    )
