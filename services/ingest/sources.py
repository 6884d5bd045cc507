"""What a delivered video is, from its header and from the times of its packets; nothing is decoded."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error

from rushes.errors import MediaUnreadable
from rushes.media.probe import MediaInfo, VideoStream, best_video, opened, probe

_REORDER = 64  # Packets; pictures are stored at most 16 away from where they are shown.


@dataclass(frozen=True, slots=True)
class Source:
    """A video file.

    Attributes:
        info: What its header says.
        video: The stream to work on.
        pictures: Number of video streams, cover art included.
        timecode: Start timecode as written, or empty.
    """

    info: MediaInfo
    video: VideoStream
    pictures: int
    timecode: str


@dataclass(frozen=True, slots=True)
class Timing:
    """When the pictures of a video show.

    Attributes:
        count: Pictures that are shown.
        start: Time of the first, in seconds.
        end: Time at which the last one ends, in seconds after the origin of the file.
        constant: Whether each shows exactly one frame period after the one before.
    """

    count: int
    start: Fraction
    end: Fraction
    constant: bool


def read_source(path: Path) -> Source:
    """Returns what the header of a video file says.

    Raises:
        MediaUnreadable: It is no media file, or has no picture that can be decoded.
    """
    info = probe(path)
    video = info.require_video()
    with opened(path) as container:
        stream = container.streams[video.index]
        timecode = stream.metadata.get("timecode") or container.metadata.get("timecode", "")
        return Source(info, video, len(container.streams.video), timecode)


def measure(path: Path, rate: Fraction, check: Callable[[], None]) -> Timing:
    """Reads the times of all pictures of a video, in constant memory.

    Args:
        path: The video.
        rate: Frame rate to compare with.
        check: Called often; may raise to stop.

    Raises:
        MediaUnreadable: It has no picture at all.
    """
    with opened(path) as container:
        stream = best_video(container)
        if stream is None or stream.time_base is None:
            raise MediaUnreadable(f"{path.name} has no picture.")
        unit = Fraction(stream.time_base)
        period = 1 / (rate * unit)
        count, constant = 0, period.denominator == 1
        first = last = None
        for instant in _sorted_times(container, stream):
            if count % 256 == 0:
                check()
            if last is not None and instant - last != period:
                constant = False
            first = instant if first is None else first
            last = instant if last is None else max(last, instant)
            count += 1
        if first is None or last is None:
            raise MediaUnreadable(f"{path.name} holds no picture.")
        origin = Fraction(container.start_time or 0, av.time_base)
        end = last * unit + 1 / rate - min(origin, first * unit)
        return Timing(count, first * unit, end, constant)


def _sorted_times(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[int]:
    waiting: list[int] = []
    for packet in _packets(container, stream):
        # Old containers store only the order of decoding.
        instant = packet.pts if packet.pts is not None else packet.dts
        if instant is None or packet.size == 0 or packet.is_discard:
            continue
        heapq.heappush(waiting, instant)
        if len(waiting) > _REORDER:
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


def _packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet[av.VideoStream]]:
    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, av.error.FFmpegError):  # A file that breaks off simply has fewer packets.
            return
