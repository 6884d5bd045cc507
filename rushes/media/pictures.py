"""Decoding pictures, one after the other, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from rushes.clock import frame_count
from rushes.errors import MediaUnreadable
from rushes.media.probe import best_video, opened, probe


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded frame: its 0-based number, its seconds of the file, its pixels (H × W × 3, uint8)."""

    frame: int
    seconds: Fraction
    pixels: NDArray[np.uint8]


@dataclass(slots=True)
class Pictures:
    """The pictures of a video, decoded as they are iterated over.

    Args:
        path: The video.
        size_wh: Size to scale to, in pixels; the video's own when none. The aspect is not kept.
        pixel_format: `rgb24` or `bgr24`.
        threads: Decoder threads; 0 for one a core.
        interpolation: How to resize, as PyAV names it; the ffmpeg program's own way is `BICUBIC`.

    Attributes:
        decoded: Pictures decoded so far; the coverage, once exhausted.
        damaged: Packets that the decoder refused.

    Raises:
        MediaUnreadable: The file cannot be opened, has no picture, or none can be decoded.
    """

    path: Path
    size_wh: tuple[int, int] | None = None
    pixel_format: str = "rgb24"
    threads: int = 0
    interpolation: str = "BILINEAR"
    decoded: int = 0
    damaged: int = 0
    expected: int = field(init=False)
    rate: Fraction = field(init=False)
    width: int = field(init=False)
    height: int = field(init=False)

    def __post_init__(self) -> None:
        info = probe(self.path)
        video = info.require_video()
        rate = video.average_rate or video.base_rate
        if not rate:
            raise MediaUnreadable(f"{self.path.name} states no frame rate.")
        self.rate = Fraction(rate)
        self.width, self.height = video.width, video.height
        self.expected = video.frame_count_from_header or (
            frame_count(info.duration, self.rate) if info.duration else 0
        )

    def __iter__(self) -> Iterator[Picture]:
        self.decoded = self.damaged = 0
        with opened(self.path) as container:
            stream = best_video(container)
            assert stream is not None  # __post_init__ has required it
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = self.threads
            width, height = self.size_wh or (self.width, self.height)
            origin = Fraction(container.start_time or 0, av.time_base)
            # One for all frames: each new one builds its tables again, which costs more than the scaling.
            reformatter = VideoReformatter()
            for frame in self._frames(container, stream):
                if frame.pts is None:
                    seconds = self.decoded / self.rate
                else:
                    seconds = Fraction(frame.pts) * Fraction(stream.time_base or 0) - origin
                scaled = reformatter.reformat(
                    frame,
                    width=width,
                    height=height,
                    format=self.pixel_format,
                    interpolation=self.interpolation,
                )
                pixels = np.asarray(scaled.to_ndarray(), np.uint8)
                yield Picture(self.decoded, seconds, pixels)
                self.decoded += 1
        if self.decoded == 0:
            raise MediaUnreadable(f"No picture of {self.path.name} can be decoded.")

    def _frames(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:  # The file breaks off; what was expected tells how much is missing.
                self.damaged += 1
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:  # damage shows as EINVAL, EPERM and others, by decoder
                self.damaged += 1
