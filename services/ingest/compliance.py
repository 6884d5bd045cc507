"""Whether a delivered video already is what the analyses and the editor need."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from rushes.clock import REFERENCE_RATE

if TYPE_CHECKING:
    from services.ingest.sources import Source, Timing

_CONTAINER = "mp4"  # FFmpeg's one reader of MP4, M4V and QuickTime files bears all their names.


def faults_of_header(source: Source) -> Sequence[str]:
    """Returns what keeps a video from being used as it is, as far as its header tells; nothing if fine."""
    info, video = source.info, source.video
    faults = []
    if video.average_rate != REFERENCE_RATE:
        faults.append(f"{rate_text(video.average_rate)} fps")
    elif video.base_rate != REFERENCE_RATE:
        faults.append("variable frame rate")
    if _CONTAINER not in info.container.split(","):
        faults.append(f"{info.container.split(',')[0]} container")
    if video.codec != "h264":
        faults.append(f"{video.codec} video")
    if video.pixel_format != "yuv420p":
        faults.append(f"{video.pixel_format or 'unknown'} pixels")
    if video.rotation:
        faults.append(f"rotation of {video.rotation}°")
    if source.pictures != 1:
        faults.append(f"{source.pictures} video streams")
    foreign = sorted({sound.codec or "unknown" for sound in info.audio if sound.codec != "aac"})
    if foreign:
        faults.append(f"{', '.join(foreign)} sound")
    return faults


def faults_of_timing(timing: Timing, expected: int) -> Sequence[str]:
    """Returns what keeps a video from being used as it is, by the times of its pictures.

    Args:
        timing: When its pictures show.
        expected: Number of pictures that its header promises; 0 if it promises none.
    """
    if timing.count < expected - 1:  # A header's duration need not be a whole number of frames.
        return [f"{expected - timing.count} missing frames"]
    if not timing.constant:
        return ["irregular frame times"]
    if timing.start != 0:
        return [f"start at {float(timing.start):.3f} s"]
    return []


def rate_text(rate: Fraction | None) -> str:
    """Returns a frame rate for people: `30`, `29.97`, `unknown`."""
    if not rate:
        return "unknown"
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")
