"""`speech.json` and `diarization.rttm`: who speaks when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rushes import clock
from rushes.artifacts import store

SCHEMA = "rushes.speech/1"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one speaker, in seconds of the video; turns of different speakers may overlap."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Speech:
    """Who speaks when in a video.

    Attributes:
        turns: Turns, by start.
        duration: Length of the sound in seconds, as decoded; 0 without a sound track.
        has_audio: False when there is no sound track, which is not the same as silence.
    """

    turns: Sequence[Turn]
    duration: float
    has_audio: bool = True

    @property
    def speakers(self) -> list[str]:
        """Every speaker, sorted."""
        return sorted({turn.speaker for turn in self.turns})

    def active(self, rate: Fraction, frame_count: int) -> Iterator[tuple[int, list[str]]]:
        """Yields each 0-based frame with the sorted speakers whose turn touches it."""
        changes: dict[int, list[tuple[str, int]]] = {}
        for turn in self.turns:
            frames = clock.frames_of(turn.start, turn.end, rate)
            if frames:
                changes.setdefault(frames.start, []).append((turn.speaker, 1))
                changes.setdefault(frames.stop, []).append((turn.speaker, -1))
        open_turns: dict[str, int] = {}
        for frame in range(frame_count):
            for speaker, change in changes.get(frame, ()):
                open_turns[speaker] = open_turns.get(speaker, 0) + change
            yield frame, sorted(speaker for speaker, count in open_turns.items() if count > 0)


def write_speech(path: Path, speech: Speech) -> None:
    """Writes `speech.json`; times are rounded to the millisecond."""
    store.write_json(
        path,
        {
            "schema": SCHEMA,
            "has_audio": speech.has_audio,
            "duration": round(speech.duration, 3),
            "turns": [
                {"start": round(turn.start, 3), "end": round(turn.end, 3), "speaker": turn.speaker}
                for turn in speech.turns
            ],
        },
    )


def read_speech(path: Path) -> Speech:
    """Reads `speech.json`.

    Raises:
        NotFound: There is none.
        ResultsDiffer: It is damaged.
    """
    value = store.read_json(path, schema=SCHEMA)
    return Speech([Turn(**turn) for turn in value["turns"]], value["duration"], value["has_audio"])


def write_rttm(path: Path, speech: Speech, *, uri: str) -> None:
    """Writes the NIST RTTM file of a video; `uri` has its blanks replaced, which RTTM cannot hold."""
    name = "_".join(uri.split()) or "video"
    store.write_text(
        path,
        "".join(
            f"SPEAKER {name} 1 {turn.start:.3f} {turn.end - turn.start:.3f}"
            f" <NA> <NA> {turn.speaker} <NA> <NA>\n"
            for turn in speech.turns
        ),
    )
