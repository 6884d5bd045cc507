"""The one clock: exact where floating point is not."""

from fractions import Fraction

import pytest

from rushes import clock

PAL = Fraction(25)
NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("seconds", "frame"),
    [(0, 0), (0.039, 0), (0.04, 1), (1.16, 29), (2.28, 57), (4.52, 113), (8.04, 201), (3600.0, 90_000)],
)
def test_exact_frame_instants_survive_floats(seconds: float, frame: int) -> None:
    assert clock.frame_at(seconds, PAL) == frame


def test_every_frame_instant_falls_in_its_own_frame() -> None:
    assert all(clock.frame_at(frame / 25, PAL) == frame for frame in range(100_000))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(0.0, 0.1, range(0, 3), id="partly touched frames count"),
        pytest.param(0.5, 1.0, range(12, 25), id="the end is exclusive"),
        pytest.param(0.02, 0.03, range(0, 1), id="inside one frame"),
        pytest.param(1.0, 1.0, range(25, 25), id="empty"),
        pytest.param(1.0, 0.5, range(25, 25), id="backwards is empty"),
    ],
)
def test_frames_of_an_interval(start: float, end: float, expected: range) -> None:
    assert clock.frames_of(start, end, PAL) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (0, "00:00:00.000"),
        (1, "00:00:00.040"),
        (24, "00:00:00.960"),
        (25, "00:00:01.000"),
        (99, "00:00:03.960"),
        (1500, "00:01:00.000"),
        (89_999, "00:59:59.960"),
        (90_000, "01:00:00.000"),
    ],
)
def test_timecodes_of_the_specification(frame: int, expected: str) -> None:
    assert clock.timecode(frame, PAL) == expected


def test_durations_round_half_up() -> None:
    assert [clock.frame_count(Fraction(text), PAL) for text in ("1.00", "1.02", "2.50", "0.06", "0.02")] == [
        25,
        26,
        63,
        2,
        1,
    ]


def test_a_faster_source_drops_frames_and_a_slower_one_repeats_them() -> None:
    assert clock.source_frames([Fraction(i, 50) for i in range(8)], PAL, 4) == [0, 2, 4, 6]
    assert clock.source_frames([Fraction(i) / NTSC for i in range(12)], PAL, 10) == [
        0, 1, 2, 3, 4, 5, 7, 8, 9, 10,
    ]  # fmt: skip
    assert clock.source_frames([Fraction(7), Fraction(7) + Fraction(2, 25)], PAL, 4) == [0, 0, 1, 1]
    assert clock.source_frames([], PAL, 4) == []
