"""`speaking.json`: which face speaks when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from rushes.artifacts import store

SCHEMA = "rushes.speaking/1"


@dataclass(frozen=True, slots=True)
class TrackSpeech:
    """One face track and its voice.

    Attributes:
        track: Number of the track.
        speaker: Speaker that the track is linked to; none when no voice fits.
        confidence: Of the link, 0 to 1.
        intervals: Frames [start, end) in which this face speaks, ascending, disjoint.
        evidence: Figures behind the decision, by name.
    """

    track: int
    speaker: str | None
    confidence: float
    intervals: Sequence[tuple[int, int]]
    evidence: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Speaking:
    """Which face speaks when in a video.

    Attributes:
        frame_rate: Rate that the frame numbers count in.
        frame_count: Frames of the video.
        method: How it was decided, for instance `mouth_motion`.
        tracks: Every face track.
        off_screen: Frames [start, end) of speech in which no visible face can be the speaker.
        undecided: Frames [start, end) of speech that may or may not be a visible face's; a frame with
            several voices may be in both lists.
    """

    frame_rate: Fraction
    frame_count: int
    method: str
    tracks: Sequence[TrackSpeech]
    off_screen: Sequence[tuple[int, int]]
    undecided: Sequence[tuple[int, int]]


def write_speaking(path: Path, speaking: Speaking) -> None:
    """Writes `speaking.json`."""
    store.write_json(
        path,
        {
            "schema": SCHEMA,
            "frame_rate": str(speaking.frame_rate),
            "frame_count": speaking.frame_count,
            "method": speaking.method,
            "tracks": [
                {
                    "track": track.track,
                    "speaker": track.speaker,
                    "confidence": round(track.confidence, 4),
                    "intervals": [list(interval) for interval in track.intervals],
                    "evidence": {name: round(value, 4) for name, value in track.evidence.items()},
                }
                for track in speaking.tracks
            ],
            "off_screen": [list(interval) for interval in speaking.off_screen],
            "undecided": [list(interval) for interval in speaking.undecided],
        },
    )


def read_speaking(path: Path) -> Speaking:
    """Reads `speaking.json`.

    Raises:
        NotFound: There is none.
        ResultsDiffer: It is damaged.
    """
    value = store.read_json(path, schema=SCHEMA)
    return Speaking(
        Fraction(value["frame_rate"]),
        value["frame_count"],
        value["method"],
        [_track(track) for track in value["tracks"]],
        [(start, end) for start, end in value["off_screen"]],
        [(start, end) for start, end in value["undecided"]],
    )


def _track(value: Mapping[str, Any]) -> TrackSpeech:
    return TrackSpeech(
        value["track"],
        value["speaker"],
        value["confidence"],
        [(start, end) for start, end in value["intervals"]],
        value["evidence"],
    )
