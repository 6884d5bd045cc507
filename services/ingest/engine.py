"""What the engines of this service do, and which ones there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from pydantic import Field

from rushes.context import Context
from rushes.errors import MissingPart
from rushes.stage import Engine, EngineSpec, StageSettings
from services.ingest.deliveries import Delivery
from services.ingest.limits import Limits


class ExtractSettings(StageSettings):
    """Settings of the stage `extract`."""

    keyword: str = Field(
        default="Camille",
        min_length=1,
        max_length=64,
        description="Word that marks a project in a delivery's name.",
    )
    max_total_bytes: int = Field(
        default=2 * 1024**4, ge=1, description="Most bytes that one archive may unpack to."
    )
    max_members: int = Field(default=100_000, ge=1, description="Most files that one archive may hold.")
    max_ratio: float = Field(
        default=100.0,
        ge=1,
        description="Most times its own size that an archive may unpack to, beyond 256 MiB.",
    )

    @property
    def limits(self) -> Limits:
        """The limits for one archive."""
        return Limits(self.max_total_bytes, self.max_members, self.max_ratio)


Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"]


class ConvertSettings(StageSettings):
    """Settings of the stage `convert`."""

    preset: Preset = Field(default="veryfast", description="Speed against size of the H.264 encoder.")
    crf: float = Field(default=20.0, ge=0, le=51, description="Constant quality; lower is better and larger.")
    audio_kbps: int = Field(
        default=192, ge=32, le=512, description="Rate of a sound track that is not AAC yet, in kbit/s."
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=128,
        description="Encoder threads; 0 fits the machine. The same number gives the same bytes.",
    )


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A file that has landed.

    Attributes:
        path: Where, below the folder.
        name: Its path as it was delivered.
        renamed: Whether a part of its path had to change.
        is_video: Whether its name promises a video.
    """

    path: PurePosixPath
    name: str
    renamed: bool
    is_video: bool


@dataclass(frozen=True, slots=True)
class Landed:
    """What a delivery has become on disk.

    Attributes:
        files: Every file, in the order of delivery.
        junk: Files dropped because a desktop system left them behind.
        skipped: Names left out: links that lead out of a delivered folder, devices.
        linked: Files that share their bytes with the delivered ones.
        size: Bytes of all files.
    """

    files: Sequence[LandedFile]
    junk: int
    skipped: Sequence[str]
    linked: int
    size: int


class Extractor(Engine, Protocol):
    """An engine of the stage `extract`."""

    def land(self, deliveries: Sequence[Delivery], folder: Path, limits: Limits, context: Context) -> Landed:
        """Puts all that was delivered into an empty folder, or fails without a usable part of it.

        Raises:
            ArchiveRejected: An archive is damaged, hostile, or without any video.
            InvalidInput: A delivered folder is empty or without any video.
            StorageFull: The disk has no room.
        """


@dataclass(frozen=True, slots=True)
class Encoding:
    """What to encode and how.

    Attributes:
        source: The delivered video.
        video_index: Stream to encode, by its index in the file.
        audio: Stream index and codec of each sound track to keep.
        timecode: Start timecode at 25 frames per second, or empty.
        settings: Quality and speed.
    """

    source: Path
    video_index: int
    audio: Sequence[tuple[int, str]]
    timecode: str
    settings: ConvertSettings


class Converter(Engine, Protocol):
    """An engine of the stage `convert`."""

    def encode(self, encoding: Encoding, target: Path, on_seconds: Callable[[float], None]) -> Sequence[str]:
        """Writes the video at 25 frames per second; returns what the program complained about.

        Raises:
            MediaUnreadable: The source cannot be decoded at all.
        """


def _load_local(_settings: ExtractSettings, _device: str) -> Extractor:
    from services.ingest.engines.local import LocalExtractor

    return LocalExtractor()


def _load_ffmpeg(_settings: ConvertSettings, _device: str) -> Converter:
    from services.ingest.engines.ffmpeg import FfmpegConverter

    return FfmpegConverter()


@lru_cache
def _ffmpeg_version() -> str:
    from services.ingest.engines.ffmpeg import program_version

    return f"{version('rushes')} ffmpeg {program_version()}"


def _ffmpeg_missing(_settings: ConvertSettings) -> str:
    from rushes.media.ffmpeg import program

    try:
        program()
    except MissingPart as error:
        return error.message
    return ""


EXTRACTORS: Mapping[str, EngineSpec[ExtractSettings]] = {
    "local": EngineSpec(name="local", version=lambda _settings: version("rushes"), load=_load_local)
}
"""Engines of the stage `extract`."""

CONVERTERS: Mapping[str, EngineSpec[ConvertSettings]] = {
    "ffmpeg": EngineSpec(
        name="ffmpeg",
        version=lambda _settings: _ffmpeg_version(),
        load=_load_ffmpeg,
        missing=_ffmpeg_missing,
    )
}
"""Engines of the stage `convert`."""
