"""How much a mouth moves."""

from __future__ import annotations

import numpy as np
import pytest

from services.delivery.mouth import FEWEST, activity, variation

FRAMES = np.arange(50, dtype=np.int64)


def test_variation_is_the_standard_deviation_over_the_window() -> None:
    shapes = np.random.default_rng(7).random((50, 3)).astype(np.float32)
    found = variation(FRAMES, shapes, 8)
    for frame in (0, 3, 25, 49):
        window = shapes[max(0, frame - 8) : frame + 9].astype(np.float64)
        assert found[frame] == pytest.approx(np.sqrt(window.var(axis=0).sum()), rel=1e-6)


@pytest.mark.parametrize("opening", [0.0, 0.4, 1.0], ids=["closed", "ajar", "wide open"])
def test_a_mouth_that_keeps_still_does_not_vary_however_open(opening: float) -> None:
    shapes = np.full((50, 4), opening, np.float32)
    assert variation(FRAMES, shapes, 8) == pytest.approx(np.zeros(50), abs=1e-6)


def test_windows_count_frames_and_not_rows() -> None:
    frames = np.array([0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105], np.int64)
    shapes = np.repeat([[0.0], [1.0]], 6, axis=0).astype(np.float32)
    assert variation(frames, shapes, 8) == pytest.approx(np.zeros(12), abs=1e-6)


def test_too_few_frames_and_missing_blendshapes_are_unknown() -> None:
    shapes = np.random.default_rng(7).random((50, 1)).astype(np.float32)
    shapes[10:] = np.nan
    shapes[40 : 40 + FEWEST - 1] = 0.5
    known = ~np.isnan(variation(FRAMES, shapes, 8))
    assert known.tolist() == [True] * 10 + [False] * 40


def test_no_blendshapes_at_all() -> None:
    assert np.isnan(variation(FRAMES, np.full((50, 1), np.nan, np.float32), 8)).all()


def test_activity_runs_from_still_to_talking() -> None:
    motion = np.array([0.0, 0.05, 0.125, 0.2, 3.0, np.nan])
    assert activity(motion, still=0.05, talking=0.2) == pytest.approx([0, 0, 0.5, 1, 1, np.nan], nan_ok=True)
