"""Shots: one cut for each transition, and a partition without gap or overlap."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rushes.artifacts import Shot
from services.scenes.shots import Cut, find_cuts, partition


def head(count: int, values: dict[int, float]) -> NDArray[np.float32]:
    found = np.zeros(count, np.float32)
    for frame, value in values.items():
        found[frame] = value
    return found


def spans(shots: list[Shot]) -> list[tuple[int, int]]:
    return [(shot.start, shot.end) for shot in shots]


@pytest.mark.parametrize(
    ("count", "cut", "expected"),
    [
        pytest.param(200, {}, [(0, 200)], id="no cut"),
        pytest.param(200, {99: 0.9}, [(0, 100), (100, 200)], id="hard cut"),
        pytest.param(200, {99: 0.5}, [(0, 200)], id="exactly the threshold is no cut"),
        pytest.param(200, {99: 0.6, 100: 0.9, 101: 0.7}, [(0, 101), (101, 200)], id="run cut at its peak"),
        pytest.param(200, {99: 0.75, 100: 0.75}, [(0, 100), (100, 200)], id="first of equal peaks"),
        pytest.param(200, {0: 0.9}, [(0, 1), (1, 200)], id="cut after the first frame"),
        pytest.param(200, {199: 0.9}, [(0, 200)], id="cut after the last frame ends nothing"),
        pytest.param(1, {0: 0.9}, [(0, 1)], id="one frame"),
        pytest.param(300, dict.fromkeys(range(300), 0.9), [(0, 1), (1, 300)], id="every frame"),
        pytest.param(9, {3: 0.9, 5: 0.8}, [(0, 4), (4, 6), (6, 9)], id="two runs are two cuts"),
    ],
)
def test_cuts_and_shots(count: int, cut: dict[int, float], expected: list[tuple[int, int]]) -> None:
    cuts = find_cuts(head(count, cut), head(count, {}), threshold=0.5)
    assert spans(partition(cuts, count)) == expected


@pytest.mark.parametrize(
    ("cut", "transition", "expected"),
    [
        pytest.param({4: 0.6, 7: 0.9}, range(2, 10), [7], id="one dissolve, seen twice"),
        pytest.param({4: 0.9, 7: 0.9}, range(2, 10), [4], id="first of equal peaks of a dissolve"),
        pytest.param({4: 0.6, 7: 0.9}, range(2, 7), [4, 7], id="the dissolve ends before the second cut"),
        pytest.param({4: 0.6, 7: 0.9}, [4, 7], [4, 7], id="two hard cuts, each its own transition"),
        pytest.param({4: 0.6, 6: 0.7, 8: 0.65}, range(4, 9), [6], id="three runs in one dissolve"),
        pytest.param({4: 0.6, 5: 0.6, 8: 0.7}, range(5, 9), [8], id="the dissolve begins inside a run"),
        pytest.param({}, range(2, 10), [], id="a dissolve that the cut head does not see"),
    ],
)
def test_one_transition_is_cut_once(cut: dict[int, float], transition: range, expected: list[int]) -> None:
    cuts = find_cuts(head(20, cut), head(20, dict.fromkeys(transition, 0.8)), threshold=0.5)
    assert [one.frame for one in cuts] == expected


def test_each_shot_carries_the_probability_of_the_cut_that_ends_it() -> None:
    shots = partition([Cut(9, 0.75), Cut(19, 0.5)], 30)
    assert shots == [Shot(0, 10, 0.75), Shot(10, 20, 0.5), Shot(20, 30, None)]


@pytest.mark.parametrize(
    ("cuts", "minimum", "expected"),
    [
        pytest.param([(9, 0.9), (12, 0.8)], 3, [(0, 10), (10, 13), (13, 30)], id="just long enough"),
        pytest.param([(9, 0.9), (12, 0.8)], 4, [(0, 10), (10, 30)], id="the weaker one goes"),
        pytest.param([(9, 0.7), (12, 0.8)], 4, [(0, 13), (13, 30)], id="also when it is the first"),
        pytest.param([(9, 0.8), (12, 0.8)], 4, [(0, 10), (10, 30)], id="the first on ties"),
        pytest.param([(2, 0.9), (26, 0.9)], 4, [(0, 30)], id="too near the ends"),
        pytest.param([(3, 0.9), (25, 0.9)], 4, [(0, 4), (4, 26), (26, 30)], id="far enough from the ends"),
        pytest.param([], 100, [(0, 30)], id="the video is shorter"),
    ],
)
def test_minimum_length(cuts: list[tuple[int, float]], minimum: int, expected: list[tuple[int, int]]) -> None:
    shots = partition([Cut(*cut) for cut in cuts], 30, min_shot_frames=minimum)
    assert spans(shots) == expected


def test_no_frames_are_no_shots() -> None:
    assert partition([], 0) == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=1, max_size=60),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 12),
)
def test_any_probabilities_give_a_partition(
    values: list[tuple[float, float]], threshold: float, minimum: int
) -> None:
    cut, transition = np.array(values, np.float32).T
    cuts = find_cuts(cut, transition, threshold=threshold)
    shots = partition(cuts, len(values), min_shot_frames=minimum)
    assert shots[0].start == 0
    assert shots[-1].end == len(values)
    assert all(before.end == after.start for before, after in pairwise(shots))
    assert len(shots) == 1 or min(shot.end - shot.start for shot in shots) >= minimum
    assert {shot.end - 1 for shot in shots[:-1]} <= {one.frame for one in cuts}
