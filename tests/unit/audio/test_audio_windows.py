"""Stretches, windows and levels."""

from __future__ import annotations

import numpy as np
import pytest

from services.audio.level import gain_of, same_power
from services.audio.windows import FRAME, HOP, WINDOW, examined, spoken_windows, stretches


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([300], [300], id="short"),
        pytest.param([1023, 1000], [1023 + 1000], id="one stretch up to twice the length"),
        pytest.param([1024, 1024], [1024, 1024], id="two"),
        pytest.param([5000], [1024, 1024, 1024, 5000 - 3 * 1024], id="one huge block"),
        pytest.param([700] * 5, [1024, 1024, 3500 - 2048], id="blocks across stretches"),
    ],
)
def test_stretches_keep_every_sample(blocks: list[int], expected: list[int]) -> None:
    samples = np.arange(sum(blocks), dtype=np.int16)
    cut = list(stretches(np.split(samples, np.cumsum(blocks)[:-1]) if blocks else [], samples=1024))
    assert [part.size for part in cut] == expected
    if cut:
        assert np.array_equal(np.concatenate(cut) * 32768, samples)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param(0, 0, id="none"),
        pytest.param(WINDOW - 1, 0, id="too short"),
        pytest.param(WINDOW, HOP, id="one window"),
        pytest.param(WINDOW + HOP - 1, HOP, id="almost two"),
        pytest.param(WINDOW + HOP, 2 * HOP, id="two"),
    ],
)
def test_examined(frames: int, expected: int) -> None:
    assert examined(frames) == expected


def test_windows_are_the_same_however_the_frames_arrive() -> None:
    probabilities = (np.random.default_rng(1).random(700) > 0.4).astype(np.float32)
    whole = spoken_windows(probabilities)
    pieces, first, kept = [], 0, probabilities[:0]
    for part in np.array_split(probabilities, 9):
        kept = np.concatenate([kept, part])
        pieces += [first + start for start in spoken_windows(kept)]
        first, kept = first + examined(kept.size), kept[examined(kept.size) :]
    assert pieces == whole
    assert 0 < len(whole) < 700 // HOP


def test_a_window_needs_speech_in_half_of_it() -> None:
    probabilities = np.zeros(WINDOW * 2, np.float32)
    probabilities[: WINDOW // 2 + HOP] = 1
    assert spoken_windows(probabilities) == [0, HOP]


@pytest.mark.parametrize(
    ("amplitude", "expected_db"),
    [
        pytest.param(1.0, -20.0, id="full scale is turned down"),
        pytest.param(0.01, 20.0, id="quiet is turned up"),
        pytest.param(1e-5, 40.0, id="hiss is not turned up without end"),
        pytest.param(0.0, 40.0, id="digital silence"),
    ],
)
def test_gain(amplitude: float, expected_db: float) -> None:
    square = np.tile(np.array([amplitude, -amplitude], np.float32), 10 * FRAME)
    assert 20 * np.log10(gain_of(square)) == pytest.approx(expected_db, abs=0.01)


def test_gain_follows_speech_and_not_one_bang() -> None:
    sound = np.full(100 * FRAME, 0.01, np.float32)
    calm = gain_of(sound)
    sound[:FRAME] = 1.0
    assert gain_of(sound) == pytest.approx(calm, rel=0.01)


def test_windows_get_one_power_and_silence_stays_finite() -> None:
    windows = np.stack([np.full(100, 0.5), np.full(100, 0.001), np.zeros(100)]).astype(np.float32)
    levelled = same_power(windows, -30.0)
    assert 10 * np.log10(np.mean(levelled[:2] ** 2, axis=1)) == pytest.approx([-30, -30], abs=0.01)
    assert not levelled[2].any()
