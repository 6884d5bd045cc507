"""What the engines of the delivery stages must offer, and which there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from rushes.stage import Engine, EngineSpec
from services.delivery.settings import ExportSettings, FinalizeSettings, SpeakingSettings

if TYPE_CHECKING:
    from rushes.artifacts import TrackTable
    from rushes.context import Context
    from rushes.workspace import VideoFolder
    from services.delivery.faces import Series


class SpeakingEngine(Engine, Protocol):
    """Tells how much each face looks as if it were talking; linking faces to voices is common to all."""

    method: str
    """Name that `speaking.json` states."""

    def observe(
        self, video: VideoFolder, table: TrackTable, shots: Sequence[range], context: Context
    ) -> Iterator[Mapping[int, Series]]:
        """Yields, for each shot in order, the faces seen in it by track.

        Args:
            video: Files of the video.
            table: Its tracks.
            shots: Frames of each shot, ascending; together they cover the video.
            context: Told the progress, asked whether to stop.
        """


class Plain:
    """The engine of a stage that needs no model."""

    def close(self) -> None:
        """Has nothing to free."""


def _load_mouth_motion(settings: SpeakingSettings, _device: str) -> Any:
    from services.delivery.engines.mouth_motion import MouthMotion

    return MouthMotion(settings)


def _version(_settings: object) -> str:
    return version("rushes")


SPEAKING: Mapping[str, EngineSpec[SpeakingSettings]] = {
    "mouth_motion": EngineSpec(name="mouth_motion", version=_version, load=_load_mouth_motion)
}
EXPORT: Mapping[str, EngineSpec[ExportSettings]] = {
    "reference": EngineSpec(name="reference", version=_version, load=lambda _settings, _device: Plain())
}
FINALIZE: Mapping[str, EngineSpec[FinalizeSettings]] = {
    "copy": EngineSpec(name="copy", version=_version, load=lambda _settings, _device: Plain())
}
