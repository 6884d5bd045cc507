"""What a media file holds, found out without decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error

from rushes.errors import MediaUnreadable

VIDEO_SUFFIXES = frozenset(
    suffix
    for line in (
        ".mp4 .m4v .mov .mkv .webm .avi .mxf .mts .m2ts .ts",
        ".mpg .mpeg .wmv .flv .3gp .ogv",
    )
    for suffix in line.split()
)
"""Suffixes, in lower case, of the files that a delivery is expected to be analysed for."""


def is_video_name(path: Path) -> bool:
    """Tells whether a file's name promises a video; hidden files (`._clip.mp4`) never do."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


@dataclass(frozen=True, slots=True)
class VideoStream:
    """A video stream, as its header describes it; `rotation` in degrees, clockwise."""

    index: int
    codec: str
    pixel_format: str
    width: int
    height: int
    average_rate: Fraction | None
    base_rate: Fraction | None
    frame_count_from_header: int
    rotation: int


@dataclass(frozen=True, slots=True)
class AudioStream:
    """An audio stream, as its header describes it; `codec` is empty when nothing here decodes it."""

    index: int
    codec: str
    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A media file; `video` is the stream to analyse: the largest picture, the first on ties."""

    path: Path
    container: str
    duration: Fraction | None
    video: VideoStream | None
    audio: tuple[AudioStream, ...]

    def require_video(self) -> VideoStream:
        """Returns the video stream.

        Raises:
            MediaUnreadable: There is none.
        """
        if self.video is None:
            kind = "only sound" if self.audio else "no media stream"
            raise MediaUnreadable(f"{self.path.name} has no picture: it holds {kind}.")
        return self.video


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Opens a local media file, or says in one sentence why it cannot be.

    Raises:
        MediaUnreadable: The file is missing, empty, not media, or damaged.
    """
    if not path.is_file():
        raise MediaUnreadable(f"{path.name} does not exist or is not a file ({path}).")
    if path.stat().st_size == 0:
        raise MediaUnreadable(f"{path.name} is empty (0 bytes).", remedy="Ask for the file again.")
    try:
        # The protocol list keeps playlists and other indirections from reaching the network.
        container = av.open(str(path), options={"protocol_whitelist": "file,crypto,data"})
    except av.error.FFmpegError as error:
        raise MediaUnreadable(
            f"{path.name} is not a readable media file: {error.strerror}.",
            remedy="It may be truncated or of another type; ask for the file again.",
        ) from error
    with container:
        yield container


def best_video(container: av.container.InputContainer) -> av.VideoStream | None:
    """Returns the stream with the largest picture, cover art left out; the first one on ties."""
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None  # Nothing here decodes it.
        and not stream.disposition & av.stream.Disposition.attached_pic
    ]
    return max(streams, key=lambda stream: stream.width * stream.height, default=None)


def probe(path: Path) -> MediaInfo:
    """Returns what a media file holds.

    Raises:
        MediaUnreadable: It cannot be opened.
    """
    with opened(path) as container:
        stream = best_video(container)
        duration = None
        if container.duration is not None:
            duration = Fraction(container.duration, av.time_base)
        video = None
        if stream is not None:
            if stream.duration is not None and stream.time_base is not None:
                duration = stream.duration * stream.time_base
            video = VideoStream(
                index=stream.index,
                codec=stream.codec_context.name,
                pixel_format=stream.codec_context.pix_fmt or "",
                width=stream.width,
                height=stream.height,
                average_rate=stream.average_rate,
                base_rate=stream.base_rate,
                frame_count_from_header=stream.frames,
                rotation=_rotation(path, stream.index),
            )
        audio = tuple(
            AudioStream(sound.index, sound.codec_context.name, sound.sample_rate, sound.channels)
            if sound.codec_context is not None
            else AudioStream(sound.index, "", 0, 0)
            for sound in container.streams.audio
        )
        return MediaInfo(path, container.format.name, duration, video, audio)


def _rotation(path: Path, index: int) -> int:
    # The display matrix reaches Python only with a decoded frame.
    with opened(path) as container:
        stream = container.streams[index]
        try:
            for frame in container.decode(stream):
                return int(-getattr(frame, "rotation", 0)) % 360
        except av.error.FFmpegError:
            return 0  # An undecodable picture is reported by whoever decodes it.
    return 0
