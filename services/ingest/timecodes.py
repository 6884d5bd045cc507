"""Start timecodes, carried over to 25 frames per second."""

from __future__ import annotations

import re
from fractions import Fraction

from rushes.clock import REFERENCE_RATE

_TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)[:;.](\d{2,3})")


def at_reference_rate(timecode: str, rate: Fraction) -> str:
    """Returns a start timecode at 25 frames per second, or an empty string if it is not one.

    Hours, minutes and seconds stay what the camera showed; the frame number becomes the one at the
    same part of the second. Drop-frame marks go, since 25 has none and a muxer refuses them.

    Args:
        timecode: `HH:MM:SS:FF`, or `HH:MM:SS;FF` for drop-frame.
        rate: Frame rate that it counts in.
    """
    match = _TIMECODE.fullmatch(timecode.strip())
    if match is None:
        return ""
    hours, minutes, seconds, frame = map(int, match.groups())
    frames_per_second = round(rate)
    if hours > 23 or frame >= frames_per_second:
        return ""
    return f"{hours:02}:{minutes:02}:{seconds:02}:{int(frame * REFERENCE_RATE / frames_per_second):02}"
