"""The reference's three files as pure functions: artefacts in, pieces of text out, in constant memory.

Here frames turn 1-based with inclusive ends; formats in spec 03 §10, 04 §2 and 06 §3.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rushes import clock
from rushes.artifacts import Shot, Sighting, TrackSpeech

Speakers = Callable[[int, int], Sequence[str]]
"""Tells the active speakers of an object, given frame and track; frames ascend."""


@dataclass(frozen=True, slots=True)
class Head:
    """What both JSON files say of the video before its frames."""

    video_filename: str
    frame_rate: Fraction
    frame_count: int


def scenes_csv(shots: Iterable[Shot], rate: Fraction) -> Iterator[str]:
    """Yields the lines of `<stem>.csv`, CRLF included.

    Frames are 1-based and inclusive, timecodes those of the 0-based frames: `Timecode Out` is the
    start of the last frame.
    """
    yield "No,Timecode In,Timecode Out,Frame In,Frame Out\r\n"
    for number, shot in enumerate(shots, 1):
        first, last = clock.timecode(shot.start, rate), clock.timecode(shot.end - 1, rate)
        yield f"{number},{first},{last},{shot.start + 1},{shot.end}\r\n"


def audio_json(head: Head, voices: Iterable[tuple[int, Sequence[str]]]) -> Iterator[str]:
    """Yields `<stem>_audio.json`, one frame a piece.

    Args:
        head: The video.
        voices: Every 0-based frame in order, with the sorted speakers heard in it.
    """
    return _document(
        head,
        (
            {
                "frame": frame + 1,
                "audio_info": {
                    "is_speech_present": bool(speakers),
                    "active_speaker_labels": list(speakers),
                },
            }
            for frame, speakers in voices
        ),
    )


def tracking_json(
    head: Head,
    frames: Iterable[tuple[int, Sequence[Sighting]]],
    speakers: Speakers,
) -> Iterator[str]:
    """Yields `<stem>.json`, one frame a piece.

    Args:
        head: The video.
        frames: Every 0-based frame in order, with what is seen in it.
        speakers: Tells the active speakers of an object.
    """
    return _document(
        head,
        (
            {
                "frame": frame + 1,
                "tracked_objects": [
                    _tracked(sighting, speakers(frame, sighting.track))
                    for sighting in sorted(sightings, key=lambda seen: (int(seen.center[0]), seen.track))
                ],
            }
            for frame, sightings in frames
        ),
    )


def _tracked(sighting: Sighting, speakers: Sequence[str]) -> dict[str, Any]:
    return {
        "id": f"obj_{sighting.track}",
        "centroid_x": int(sighting.center[0]),
        "source": sighting.source,
        "label": sighting.label,
        "active_speakers": list(speakers),
        "bbox_width": int(sighting.width),
        "bbox_height": int(sighting.height),
    }


def _document(head: Head, frames: Iterable[dict[str, Any]]) -> Iterator[str]:
    # Escaped to ASCII as the reference's are: After Effects reads files in the system's code page.
    yield (
        f'{{"video_filename":{json.dumps(head.video_filename)},'
        f'"total_frames":{head.frame_count},"fps":{_number(head.frame_rate)},"frames_analysis":['
    )
    separator = "\n"
    for frame in frames:
        yield separator + json.dumps(frame, separators=(",", ":"))
        separator = ",\n"
    yield "\n]}\n"


def _number(rate: Fraction) -> str:
    return str(rate.numerator) if rate.denominator == 1 else f"{float(rate):.3f}"


class FaceVoices:
    """The speakers of each face track, asked for in frame order."""

    def __init__(self, tracks: Iterable[TrackSpeech]) -> None:
        self._coming: dict[int, list[tuple[int, int, str]]] = {}
        for track in tracks:
            if track.speaker is not None:
                spans = self._coming.setdefault(track.track, [])
                spans.extend((start, end, track.speaker) for start, end in track.intervals)
        for spans in self._coming.values():
            spans.sort(reverse=True)  # The next one is the last, which is cheap to take away.
        self._open: dict[int, list[tuple[int, int, str]]] = {}

    def __call__(self, frame: int, track: int) -> list[str]:
        """Returns who speaks with this face in this 0-based frame; frames must not descend."""
        coming = self._coming.get(track)
        if coming is None:
            return []
        current = [span for span in self._open.get(track, ()) if span[1] > frame]
        while coming and coming[-1][0] <= frame:
            span = coming.pop()
            if span[1] > frame:
                current.append(span)
        self._open[track] = current
        return sorted({speaker for _, _, speaker in current})
