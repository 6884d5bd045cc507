"""Detection: a video decoded at the network's size and scored, in memory that its length does not change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rushes.context import Context
from rushes.media import Pictures
from services.scenes.engine import ShotEngine
from services.scenes.probabilities import Probabilities


def detect(engine: ShotEngine, video: Path, *, source: str, threads: int, context: Context) -> Probabilities:
    """Returns the probabilities of a video: eight bytes a frame is all that is kept.

    Args:
        engine: A loaded engine.
        video: The video.
        source: What identifies the result; see `Probabilities`.
        threads: Decoder threads; 0 for one a core.
        context: Progress and cancellation.

    Raises:
        MediaUnreadable: The video cannot be decoded.
        Cancelled: On request.
    """
    # The network was trained on pictures that the ffmpeg program had made small in its own way.
    pictures = Pictures(video, size_wh=engine.size_wh, threads=threads, interpolation="BICUBIC")
    clock = _Clock()
    done, cuts, transitions = 0, [], []
    for cut, transition in engine.score(clock.watching(pictures, context)):
        cuts.append(cut)
        transitions.append(transition)
        done += len(cut)
        context.progress("shots", done, max(pictures.expected, done), "frames")
    return Probabilities(
        np.concatenate(cuts),
        np.concatenate(transitions),
        expected=pictures.expected,
        rate=str(pictures.rate),
        drift=clock.drift,
        source=source,
    )


class _Clock:
    """Compares each picture's time with its number: a rate that varies, or a gap, shows as drift."""

    def __init__(self) -> None:
        self.drift = 0.0

    def watching(self, pictures: Pictures, context: Context) -> Iterator[NDArray[np.uint8]]:
        """Yields the pixels of each picture."""
        origin = None
        for picture in pictures:
            context.check()
            origin = picture.seconds if origin is None else origin
            distance = abs(picture.seconds - origin - picture.frame / pictures.rate)
            self.drift = max(self.drift, float(distance))
            yield picture.pixels
