"""The engines that tell who speaks when, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from rushes.context import Context
from rushes.stage import EngineSpec
from services.audio.settings import AudioSettings

if TYPE_CHECKING:
    from rushes.media import Sound
    from services.audio.turns import Span


class Diarizer(Protocol):
    """Tells who speaks when."""

    def diarize(
        self, sound: Sound, seconds: float | None, settings: AudioSettings, context: Context
    ) -> Sequence[Span]:
        """Listens to a sound track, to its end.

        Args:
            sound: The track, known to exist; its `decoded` tells how much of it was heard.
            seconds: Length that the file states, for the progress.
            settings: Settings of the stage.
            context: Told about the progress, asked whether to stop.

        Returns:
            Turns by start; speakers count from 0 in order of first appearance.

        Raises:
            MediaUnreadable: The track does not decode.
        """

    def close(self) -> None:
        """Frees models and threads."""


_OFFLINE_PARTS = ("torch", "scipy", "av", "silero_vad", "resemblyzer")


def _offline_missing(_settings: AudioSettings) -> str:
    absent = [name for name in _OFFLINE_PARTS if find_spec(name) is None]
    return f"not installed: {', '.join(absent)}; run `pip install 'rushes[audio]'`." if absent else ""


def _offline_version(_settings: AudioSettings) -> str:
    return f"1 (silero-vad {version('silero-vad')}, resemblyzer {version('resemblyzer')})"


def _offline(settings: AudioSettings, _device: str) -> Any:
    from services.audio.engines.offline import Offline

    return Offline(settings)


ENGINES: Mapping[str, EngineSpec[AudioSettings]] = {
    "offline": EngineSpec(name="offline", version=_offline_version, missing=_offline_missing, load=_offline)
}
"""Engines by name, the default first."""
