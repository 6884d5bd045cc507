"""How many voices, and whose windows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from services.audio.clustering import Separation, in_order, speakers_of

SEPARATION = Separation(scale=70.0)


def voices(turns: list[tuple[int, int]], spread: float = 0.6, seed: int = 4) -> NDArray[np.float32]:
    """Makes unit vectors for turns (speaker, windows): a direction each, and what the words add to it."""
    random = np.random.default_rng(seed)
    directions = np.abs(random.normal(size=(8, 256)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rows = np.concatenate(
        [directions[who] + spread * np.abs(random.normal(size=(count, 256))) / 16 for who, count in turns]
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def truth(turns: list[tuple[int, int]]) -> list[int]:
    return [int(label) for label in in_order(np.concatenate([np.full(n, who) for who, n in turns]))]


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param([(0, 1)], id="one window"),
        pytest.param([(0, 40)], id="one speaker"),
        pytest.param([(0, 700)], id="one speaker over several stretches"),
        pytest.param([(3, 30), (1, 25), (3, 20)], id="two, the higher direction first"),
        pytest.param([(0, 30), (1, 30), (2, 30), (0, 10)], id="three"),
        pytest.param([(0, 200), (1, 150), (0, 100), (2, 160), (1, 90)], id="three over several stretches"),
        pytest.param([(0, 300), (1, 25), (0, 275)], id="one who says little in a long recording"),
    ],
)
def test_speakers_are_found_and_numbered_in_order(turns: list[tuple[int, int]]) -> None:
    assert speakers_of(voices(turns), SEPARATION).tolist() == truth(turns)


def test_no_windows_no_speakers() -> None:
    assert speakers_of(np.zeros((0, 256), np.float32), SEPARATION).size == 0


@pytest.mark.parametrize(
    ("turns", "bounds", "expected"),
    [
        pytest.param([(0, 60)], {"fewest": 2}, 2, id="more than estimated"),
        pytest.param([(0, 60), (1, 60), (2, 60)], {"most": 2}, 2, id="fewer than estimated"),
        pytest.param([(0, 400), (1, 300), (2, 400)], {"most": 2}, 2, id="fewer, over stretches"),
        pytest.param([(0, 60), (1, 60)], {"fewest": 2, "most": 2}, 2, id="as estimated"),
        pytest.param([(0, 60), (1, 60)], {"most": 1}, 1, id="one"),
        pytest.param([(0, 2)], {"fewest": 5}, 2, id="no more than windows"),
    ],
)
def test_bounds_are_kept(turns: list[tuple[int, int]], bounds: dict[str, int], expected: int) -> None:
    assert len(set(speakers_of(voices(turns), SEPARATION, **bounds).tolist())) == expected


def test_the_same_vectors_give_the_same_labels() -> None:
    vectors = voices([(0, 80), (1, 90), (2, 70)], spread=1.2)
    assert np.array_equal(speakers_of(vectors, SEPARATION), speakers_of(vectors.copy(), SEPARATION))


def test_equal_windows_are_one_speaker_even_when_more_are_asked_for() -> None:
    vectors = np.repeat(voices([(0, 1)]), 50, axis=0)
    assert speakers_of(vectors, SEPARATION, fewest=3).tolist() == [0] * 50
