"""The offline engine: Silero VAD, a GE2E voice encoder and clustering; no network, no token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rushes.context import Context
from rushes.media import Sound
from services.audio.clustering import Separation, speakers_of
from services.audio.engines.networks import SpeechDetector, VoiceEncoder
from services.audio.level import gain_of
from services.audio.settings import AudioSettings
from services.audio.turns import Span, attributed, merged, numbered, settled, spoken
from services.audio.windows import (
    FRAME,
    FRAME_SECONDS,
    RATE,
    WINDOW,
    WINDOW_SECONDS,
    examined,
    spoken_windows,
    stretches,
)

_BATCH = 64  # windows that the encoder hears at once: 40 MB at its widest


@dataclass(frozen=True, slots=True)
class _Heard:
    probabilities: NDArray[np.float32]  # (frames,)
    starts: NDArray[np.int64]  # (windows,), in frames
    voices: NDArray[np.float32]  # (windows, 256)


class Offline:
    """Who speaks when, from networks that run anywhere; follows `Diarizer`."""

    def __init__(self, settings: AudioSettings) -> None:
        self._threads = settings.threads
        self._detector = SpeechDetector()
        self._encoder = VoiceEncoder()

    def diarize(
        self, sound: Sound, seconds: float | None, settings: AudioSettings, context: Context
    ) -> list[Span]:
        """Listens to a sound track; see `Diarizer.diarize`."""
        heard = self._listen(sound, seconds, context)
        context.check()
        context.progress("grouping voices", 0, len(heard.starts), "windows")
        speakers = speakers_of(
            heard.voices,
            Separation(self._encoder.scale),
            fewest=settings.fewest,
            most=settings.most,
        )
        middles = heard.starts.astype(np.float64) * FRAME_SECONDS + WINDOW_SECONDS / 2
        turns = attributed(spoken(heard.probabilities, FRAME_SECONDS), middles, speakers)
        turns = numbered(merged(settled(turns, settings.min_turn), settings.min_gap))
        context.progress("grouping voices", len(heard.starts), len(heard.starts), "windows")
        return turns

    def close(self) -> None:
        """Frees the networks."""
        del self._detector, self._encoder

    def _listen(self, sound: Sound, seconds: float | None, context: Context) -> _Heard:
        self._detector.reset()
        probabilities = [np.zeros(0, np.float32)]
        starts: list[int] = []
        voices = [np.zeros((0, 256), np.float32)]
        first = 0  # frame at which `kept` and `likely` start: that of the next window to look at
        kept, likely = np.zeros(0, np.float32), np.zeros(0, np.float32)
        done = 0
        for stretch in stretches(sound):
            context.check()
            # The detector runs frame after frame: more threads would only wait for each other.
            torch.set_num_threads(1)
            new = self._detector.hear(np.clip(stretch * gain_of(stretch), -1, 1))
            probabilities.append(new)
            likely = np.concatenate([likely, new])
            kept = np.concatenate([kept, np.pad(stretch, (0, -stretch.size % FRAME))])

            torch.set_num_threads(self._threads)
            chosen = spoken_windows(likely)
            for windows in _batches(kept, chosen):
                context.check()
                voices.append(self._encoder.tell(windows))
            starts += [first + start for start in chosen]

            passed = examined(likely.size)
            first, kept, likely = first + passed, kept[passed * FRAME :], likely[passed:]
            done += stretch.size
            context.progress("listening", done / RATE, seconds, "seconds")
        return _Heard(np.concatenate(probabilities), np.array(starts, np.int64), np.concatenate(voices))


def _batches(samples: NDArray[np.float32], starts: list[int]) -> Iterator[NDArray[np.float32]]:
    """Yields windows of sound (n ≤ 64, samples) for their starts, in frames."""
    for index in range(0, len(starts), _BATCH):
        yield np.stack([samples[s * FRAME : (s + WINDOW) * FRAME] for s in starts[index : index + _BATCH]])
