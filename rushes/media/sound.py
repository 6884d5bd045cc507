"""Decoding sound to mono samples, in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from rushes.errors import MediaUnreadable
from rushes.media.probe import opened


@dataclass(slots=True)
class Sound:
    """The first sound track of a file as mono int16 blocks, decoded as they are iterated over.

    Silence is inserted where the track starts late or has holes, so that sample *n* is always
    heard at *n* / rate seconds after the file begins.

    Attributes:
        decoded: Samples decoded so far, inserted silence included.
        damaged: Packets that the decoder refused.

    Raises:
        MediaUnreadable: The file cannot be opened, or has sound that cannot be decoded.
    """

    path: Path
    rate: int = 16_000
    decoded: int = 0
    damaged: int = 0

    @property
    def exists(self) -> bool:
        """Whether the file has a sound track at all."""
        with opened(self.path) as container:
            return bool(container.streams.audio)

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        self.decoded = self.damaged = 0
        with opened(self.path) as container:
            if not container.streams.audio:
                return
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="s16", layout="mono", rate=self.rate)
            # Broadcast streams begin at any time of the day; the file's own start is zero here.
            origin = Fraction(container.start_time or 0, av.time_base)
            for frame in self._frames(container, stream):
                if frame.pts is not None and frame.time_base is not None:
                    gap = round((frame.pts * frame.time_base - origin) * self.rate) - self.decoded
                    # Timestamps jitter by a few samples; a real hole is longer than a frame of video.
                    while gap > self.rate // 25:
                        silence = np.zeros(min(gap, self.rate), np.int16)
                        self.decoded += silence.size
                        gap -= silence.size
                        yield silence
                frame.pts = None
                for resampled in resampler.resample(frame):
                    block = resampled.to_ndarray().reshape(-1).astype(np.int16, copy=False)
                    self.decoded += block.size
                    yield block
            for resampled in resampler.resample(None):
                block = resampled.to_ndarray().reshape(-1).astype(np.int16, copy=False)
                self.decoded += block.size
                yield block
        if self.decoded == 0:
            raise MediaUnreadable(f"The sound track of {self.path.name} cannot be decoded.")

    def _frames(
        self, container: av.container.InputContainer, stream: av.AudioStream
    ) -> Iterator[av.AudioFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.damaged += 1
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:  # damage shows as EINVAL, EPERM and others, by decoder
                self.damaged += 1

    def read(self) -> NDArray[np.int16]:
        """Returns all samples (n,) at once: 115 MB an hour at 16 kHz."""
        blocks = list(self)
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
