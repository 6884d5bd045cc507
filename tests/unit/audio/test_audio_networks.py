"""The networks give what the packages that their weights come from give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rushes.errors import MissingPart, ResultsDiffer
from rushes.media import Sound
from services.audio.engines.networks import (
    VAD_WEIGHTS,
    SpeechDetector,
    VoiceEncoder,
    packaged,
)
from services.audio.level import same_power
from services.audio.mel import filter_bank
from services.audio.windows import FRAME


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def speech(media: Callable[[str], Path]) -> NDArray[np.float32]:
    """Ten seconds of two people, with a partial frame at the end."""
    samples = Sound(media("sample.wav")).read()[6 * 16_000 : 16 * 16_000 + 100]
    return samples.astype(np.float32) / np.float32(32768)


@pytest.mark.media
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@torch.inference_mode()
def test_speech_probabilities_equal_the_packages(speech: NDArray[np.float32]) -> None:
    from silero_vad import load_silero_vad

    theirs = load_silero_vad()
    padded = torch.from_numpy(np.pad(speech, (0, -speech.size % FRAME)))
    expected = [float(theirs(frame[None], 16_000)) for frame in padded.split(FRAME)]
    found = SpeechDetector().hear(speech)
    assert found == pytest.approx(expected, abs=1e-4)
    assert max(expected) > 0.9 > 0.1 > min(expected)


@pytest.mark.media
def test_hearing_in_parts_changes_nothing_and_reset_forgets(speech: NDArray[np.float32]) -> None:
    detector = SpeechDetector()
    whole = detector.hear(speech)
    detector.reset()
    parts = [detector.hear(part) for part in np.split(speech, [FRAME * 90, FRAME * 200])]
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-6)


@pytest.mark.media
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_voices_equal_the_packages(speech: NDArray[np.float32]) -> None:
    from resemblyzer import VoiceEncoder as Theirs
    from resemblyzer.audio import wav_to_mel_spectrogram

    windows = np.stack([speech[start : start + 25_600] for start in range(0, 120_000, 24_000)])
    spectra = np.stack([wav_to_mel_spectrogram(window) for window in same_power(windows, -30)])
    with torch.inference_mode():
        expected = Theirs("cpu", verbose=False)(torch.from_numpy(spectra)).numpy()
    found = VoiceEncoder().tell(windows)
    assert np.abs(found - expected).max() < 1e-5
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_filter_bank_equals_librosa() -> None:
    import librosa

    expected = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=40)
    assert np.abs(filter_bank(16_000, 400, 40) - expected).max() < 1e-7


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingPart, match="no_such_package"):
        packaged("no_such_package", "weights", "")


def test_other_weights_are_refused() -> None:
    with pytest.raises(ResultsDiffer, match="silero"):
        packaged(*VAD_WEIGHTS, "0" * 64)
