"""`probabilities.npz`: what the network says of each frame, so that another threshold needs no inference."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rushes.artifacts import replacing
from rushes.errors import EngineCrashed, NotFound, ResultsDiffer

SCHEMA = "rushes.probabilities/1"


@dataclass(frozen=True, slots=True)
class Probabilities:
    """What the network says of each frame.

    Attributes:
        cut: Probability (N,) that the frame is the last one before a change of shot, float32.
        transition: Probability (N,) that it is part of a transition of any length, float32.
        expected: Frames that the video should have, by its header.
        rate: Frame rate that the frames count in, as a fraction.
        drift: Greatest distance, in seconds, between a frame's time and its number over the rate.
        source: Identifies the video, the engine and all that the values depend on.

    Raises:
        EngineCrashed: A value is not a probability.
    """

    cut: NDArray[np.float32]
    transition: NDArray[np.float32]
    expected: int
    rate: str
    drift: float
    source: str

    def __post_init__(self) -> None:
        for head in (self.cut, self.transition):
            if head.shape != self.cut.shape or not bool(((head >= 0) & (head <= 1)).all()):
                raise EngineCrashed("The network gave values that are no probabilities.")


def write_probabilities(path: Path, value: Probabilities) -> None:
    """Writes `probabilities.npz` whole; the same values give the same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            schema=SCHEMA,
            cut=value.cut,
            transition=value.transition,
            expected=value.expected,
            rate=value.rate,
            drift=value.drift,
            source=value.source,
        )


def read_probabilities(path: Path) -> Probabilities:
    """Reads `probabilities.npz`.

    Raises:
        NotFound: There is none.
        ResultsDiffer: It is damaged or of another schema.
    """
    try:
        # np.load leaves a file that it opened itself open when it is damaged.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            value = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist.", remedy="Run the stage scenes first.") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ResultsDiffer(
            f"{path} is damaged: {error}.", remedy="Delete it and run the stage again."
        ) from error
    if str(value.get("schema")) != SCHEMA:
        raise ResultsDiffer(f"{path} holds {value.get('schema')}, not {SCHEMA!r}.")
    return Probabilities(
        value["cut"],
        value["transition"],
        int(value["expected"]),
        str(value["rate"]),
        float(value["drift"]),
        str(value["source"]),
    )
