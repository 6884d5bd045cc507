"""Who is who: the links of all shots gathered into one answer per face track and voice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rushes.artifacts import TrackSpeech
from services.delivery.evidence import Evidence, Link, links, weigh
from services.delivery.faces import Series
from services.delivery.voices import intervals


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When a face is linked to a voice; counts are in frames, the rest as in the settings."""

    threshold: float
    margin: float
    fewest: int
    shrink: float


@dataclass(slots=True)
class _Role:
    """One voice of one track, over all shots."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    shots: list[tuple[Evidence, float]] = field(default_factory=list)

    def mean(self, name: str, weight: str) -> float:
        """Mean of a figure over the shots, weighted by a count of frames."""
        total = sum(getattr(found, weight) for found, _ in self.shots)
        if total == 0:
            return 0.0
        return float(sum(getattr(found, name) * getattr(found, weight) for found, _ in self.shots) / total)

    @property
    def confidence(self) -> float:
        """Mean margin of the links, weighted by the frames of speech behind each."""
        total = sum(found.frames_on for found, _ in self.shots)
        return sum(margin * found.frames_on for found, margin in self.shots) / total

    def figures(self) -> dict[str, float]:
        return {
            "shots": len(self.shots),
            "frames_on": sum(found.frames_on for found, _ in self.shots),
            "frames_off": sum(found.frames_off for found, _ in self.shots),
            "activity_on": self.mean("activity_on", "frames_on"),
            "activity_off": self.mean("activity_off", "frames_off"),
            "value": self.mean("value", "frames_on"),
        }


class Cast:
    """Takes shots in order and tells in the end which face speaks when.

    Attributes:
        off_screen: Frames [start, end) with a voice that is no visible face's.
        undecided: Frames [start, end) with a voice that is not linked to a visible face, but may be the
            voice of one: a face whose motion was not measured or not for long enough, or moves as a
            talking one does without standing out. With several voices, a frame may be in both lists.
        speech_frames: Frames in which any voice is heard.
        speaking_frames: Of these, frames in which a face speaks.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._seen: dict[int, int] = {}
        self._measured: dict[int, int] = {}
        self._roles: dict[tuple[int, str], _Role] = {}
        self._rejected: dict[int, Evidence] = {}
        self.off_screen: list[tuple[int, int]] = []
        self.undecided: list[tuple[int, int]] = []
        self.speech_frames = self.speaking_frames = 0

    def add(self, shot: range, faces: Mapping[int, Series], voices: Mapping[str, NDArray[np.bool_]]) -> None:
        """Links the faces of a shot to the voices heard in it.

        Args:
            shot: Frames of the shot; shots come in order.
            faces: Faces seen in it, by track.
            voices: Where each speaker is heard (frames of the shot,).
        """
        rules = self._rules
        for track, face in faces.items():
            self._seen[track] = self._seen.get(track, 0) + len(face.frames)
            self._measured[track] = self._measured.get(track, 0) + int(face.measured.sum())
        evidence = {
            (speaker, track): weigh(face, voice, shot, fewest=rules.fewest, shrink=rules.shrink)
            for speaker, voice in voices.items()
            for track, face in faces.items()
        }
        found = links(evidence, threshold=rules.threshold)
        certain = [link for link in found if link.margin >= rules.margin]
        linked = {link.track for link in certain}
        self._remember_rejected(evidence, linked)

        shown, speaking = self._mark(shot, faces, voices, certain, evidence)
        heard, off_screen, undecided = np.zeros((3, len(shot)), np.bool_)
        for speaker, voice in voices.items():
            heard |= voice
            unseen = voice & ~shown.get(speaker, np.zeros(len(shot), np.bool_))
            possible = np.zeros(len(shot), np.bool_)
            for track, face in faces.items():
                if track not in linked:  # Whose voice a linked face has is known.
                    possible[self._possible(face, evidence[speaker, track]) - shot.start] = True
            undecided |= unseen & possible
            off_screen |= unseen & ~possible
        _extend(self.off_screen, intervals(off_screen, shot.start))
        _extend(self.undecided, intervals(undecided, shot.start))
        self.speech_frames += int(heard.sum())
        self.speaking_frames += int(speaking.sum())

    def _possible(self, face: Series, found: Evidence) -> NDArray[np.int64]:
        """Returns the frames in which a voice that is not linked to a face may still be its voice."""
        if found.frames_on < self._rules.fewest or found.value > self._rules.threshold:
            return face.frames
        return face.frames[~face.measured]

    def _mark(
        self,
        shot: range,
        faces: Mapping[int, Series],
        voices: Mapping[str, NDArray[np.bool_]],
        certain: list[Link],
        evidence: Mapping[tuple[str, int], Evidence],
    ) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
        shown: dict[str, NDArray[np.bool_]] = {}
        speaking = np.zeros(len(shot), np.bool_)
        for link in certain:
            face = faces[link.track]
            visible = np.zeros(len(shot), np.bool_)
            visible[face.frames - shot.start] = True
            shown[link.speaker] = visible
            # A still mouth vetoes; where the motion could not be measured, the link decides.
            moving = np.zeros(len(shot), np.bool_)
            moving[face.frames - shot.start] = ~(face.activity <= 0)
            mask = voices[link.speaker] & moving
            speaking |= mask
            role = self._roles.setdefault((link.track, link.speaker), _Role())
            _extend(role.spans, intervals(mask, shot.start))
            role.shots.append((evidence[link.speaker, link.track], link.margin))
        return shown, speaking

    def _remember_rejected(self, evidence: Mapping[tuple[str, int], Evidence], linked: set[int]) -> None:
        for (_, track), found in evidence.items():
            best = self._rejected.get(track)
            if track not in linked and (best is None or found.value > best.value):
                self._rejected[track] = found

    def tracks(self) -> list[TrackSpeech]:
        """Returns every face track, once for each voice linked to it, by track and speaker."""
        result = []
        for track in sorted(self._seen):
            seen = {"frames_seen": self._seen[track], "frames_measured": self._measured[track]}
            roles = sorted(
                (speaker, role) for (owner, speaker), role in self._roles.items() if owner == track
            )
            for speaker, role in roles:
                evidence = seen | role.figures()
                result.append(TrackSpeech(track, speaker, role.confidence, role.spans, evidence))
            if not roles:
                best = self._rejected.get(track)
                figures = _Role(shots=[(best, 0.0)]).figures() if best else {}
                result.append(TrackSpeech(track, None, 0.0, [], seen | figures))
        return result


def _extend(spans: list[tuple[int, int]], more: list[tuple[int, int]]) -> None:
    for start, stop in more:
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((start, stop))
