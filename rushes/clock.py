"""The one clock: frames ↔ time, in exact integers and rationals.

Inside rushes frames are 0-based and ranges half-open; time *t* falls in frame ⌊t·fps⌋.
Only the delivered reference files count from 1 with inclusive ends (spec 03 §10, 04 §2).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

REFERENCE_RATE = Fraction(25)
"""Frame rate of every converted video."""


def frame_at(seconds: Fraction | float, rate: Fraction) -> int:
    """Returns the 0-based frame that shows at a time.

    A float is first read as the decimal number that it prints as, so that 1.16 s at 25 fps
    is frame 29 and not 28 (binary floats lose 4.6 % of the exact frame instants).
    """
    exact = seconds if isinstance(seconds, Fraction) else Fraction(str(seconds))
    return (exact * rate).__floor__()


def seconds_at(frame: int, rate: Fraction) -> Fraction:
    """Returns the time, in seconds, at which a 0-based frame begins."""
    return Fraction(frame) / rate


def frames_of(start_seconds: float, end_seconds: float, rate: Fraction) -> range:
    """Returns the frames that an interval [start, end) touches, as a half-open range."""
    start = frame_at(start_seconds, rate)
    end = -((-Fraction(str(end_seconds)) * rate).__floor__())
    return range(start, max(start, end))


def frame_count(seconds: Fraction, rate: Fraction) -> int:
    """Returns how many frames a duration holds, rounded half up."""
    return (seconds * rate + Fraction(1, 2)).__floor__()


def timecode(frame: int, rate: Fraction) -> str:
    """Returns `HH:MM:SS.mmm` of the start of a 0-based frame, rounded to the millisecond."""
    milliseconds = (Fraction(frame) / rate * 1000 + Fraction(1, 2)).__floor__()
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def source_frames(pts_seconds: Sequence[Fraction], rate: Fraction, count: int) -> list[int]:
    """Maps each output frame of a constant rate to the source frame that shows then.

    Args:
        pts_seconds: Presentation times of the source frames, ascending, in seconds.
        rate: Output frame rate.
        count: Number of output frames.

    Returns:
        For each output frame *i* the last source frame whose time is ≤ i/rate after the first.
    """
    if not pts_seconds:
        return []
    origin, source, mapping = pts_seconds[0], 0, []
    for frame in range(count):
        instant = origin + seconds_at(frame, rate)
        while source + 1 < len(pts_seconds) and pts_seconds[source + 1] <= instant:
            source += 1
        mapping.append(source)
    return mapping
