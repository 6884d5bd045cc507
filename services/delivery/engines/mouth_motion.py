"""Talking faces told by the motion of their mouths."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rushes.artifacts import Sighting, TrackTable
from rushes.context import Context
from rushes.workspace import VideoFolder
from services.delivery.faces import Series
from services.delivery.mouth import SHAPES, activity, variation
from services.delivery.settings import SpeakingSettings


class _Buffer:
    """The mouth of one track during the shot at hand: 4 bytes a shape and frame."""

    def __init__(self) -> None:
        self.frames = array("q")
        self.shapes = array("f")


class MouthMotion:
    """Measures how much each mouth varies within a short window, shot by shot."""

    method = "mouth_motion"

    def __init__(self, settings: SpeakingSettings) -> None:
        self._settings = settings

    def observe(
        self,
        video: VideoFolder,
        table: TrackTable,
        shots: Sequence[range],
        context: Context,
    ) -> Iterator[Mapping[int, Series]]:
        """Yields the faces of each shot; memory grows with the longest shot, not with the video."""
        settings, header = self._settings, table.header
        half_window = max(1, round(settings.window * header.frame_rate))
        columns = [header.blendshape_names.index(name) for name in SHAPES if name in header.blendshape_names]
        unknown = [float("nan")] * max(1, len(columns))
        rows = table.frames()
        for shot in shots:
            buffers: dict[int, _Buffer] = {}
            for _ in shot:
                frame, sightings = next(rows, (header.frame_count, []))
                for face in filter(_is_face, sightings):
                    buffer = buffers.setdefault(face.track, _Buffer())
                    shapes = face.blendshapes
                    buffer.frames.append(frame)
                    buffer.shapes.extend([shapes[column] for column in columns] if shapes else unknown)
                if frame % 100 == 0:
                    context.check()
                    context.progress("faces", frame, header.frame_count, "frames")
            yield {track: self._series(buffer, half_window) for track, buffer in sorted(buffers.items())}

    def _series(self, buffer: _Buffer, half_window: int) -> Series:
        frames = np.frombuffer(buffer.frames, np.int64)
        shapes = np.frombuffer(buffer.shapes, np.float32).reshape(len(frames), -1)
        motion = variation(frames, shapes, half_window)
        return Series(frames, activity(motion, still=self._settings.still, talking=self._settings.talking))

    def close(self) -> None:
        """Has nothing to free."""


def _is_face(sighting: Sighting) -> bool:
    return sighting.source == "face_landmarker"
