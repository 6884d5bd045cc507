"""Numbers last as long as a face does: gaps, crossings, cuts, kinds."""

from __future__ import annotations

import random

import numpy as np
import pytest

from services.tracking.assignment import UNRELATED, assign, cost
from services.tracking.detections import Detection
from services.tracking.tracker import Tracker


def at(x: float, y: float = 100, size: float = 80, **rest: object) -> Detection:
    return Detection(x - size / 2, y - size / 2, size, size, (x, y), **rest)  # type: ignore[arg-type]


def follow(
    frames: dict[int, list[Detection]], cuts: tuple[int, ...] = (), **settings: object
) -> list[list[int]]:
    """Returns the numbers given in each frame, in the order of the detections given."""
    tracker = Tracker(**{"max_gap_frames": 7, "max_shift": 1.0} | settings)  # type: ignore[arg-type]
    numbers = []
    for frame, found in frames.items():
        if frame in cuts:
            tracker.cut()
        given = {id(detection): number for number, detection in tracker.add(frame, found)}
        numbers.append([given[id(detection)] for detection in found])
    return numbers


@pytest.mark.parametrize(
    ("missed", "limit", "same"),
    [(0, 7, True), (1, 7, True), (7, 7, True), (8, 7, False), (0, 0, True), (1, 0, False), (20, 20, True)],
)
def test_a_gap_up_to_the_limit_keeps_the_number(missed: int, limit: int, same: bool) -> None:
    frames = {0: [at(100)]} | {n: [] for n in range(1, missed + 1)} | {missed + 1: [at(102)]}
    assert follow(frames, max_gap_frames=limit)[-1] == ([1] if same else [2])


def test_frames_left_out_count_as_a_gap() -> None:
    assert follow({0: [at(100)], 9: [at(100)]})[-1] == [2]
    assert follow({0: [at(100)], 8: [at(100)]})[-1] == [1]


def test_each_track_goes_on_when_the_nearest_one_of_two_detections_is_the_same() -> None:
    # Nearest-neighbour matching orphans the second track and begins a third (spec 05 §4.3).
    assert follow({0: [at(100), at(160)], 1: [at(105), at(120)]})[-1] == [1, 2]


def test_a_good_pair_is_not_given_up_to_make_two_bad_ones() -> None:
    # The left face stays, the far left one has gone, and somebody appears on the right.
    frames = {0: [at(30, size=80), at(100, size=80)], 1: [at(100, size=80), at(172, size=80)]}
    assert follow(frames)[-1] == [2, 3]


def test_faces_that_cross_keep_their_numbers() -> None:
    frames = {n: [at(100 + 20 * n, 100), at(500 - 20 * n, 110)] for n in range(21)}
    assert follow(frames)[-1] == [1, 2]


def test_a_face_hidden_while_it_walks_on_keeps_its_number() -> None:
    frames = {n: [at(100 + 12 * n)] for n in range(5)} | {11: [at(100 + 12 * 11)]}
    assert follow(frames)[-1] == [1]
    assert follow(frames, max_shift=0.3)[-1] == [2]  # It is the limit that decides.


def test_a_cut_ends_every_track() -> None:
    frames = {n: [at(100), at(300)] for n in range(4)}
    assert follow(frames, cuts=(2,)) == [[1, 2], [1, 2], [3, 4], [3, 4]]


@pytest.mark.parametrize(
    ("later", "same"),
    [
        pytest.param(at(100, label="chair", source="object_detector"), False, id="other-kind"),
        pytest.param(at(100, size=170), False, id="twice-as-large"),
        pytest.param(at(100, size=140), True, id="a-little-larger"),
        pytest.param(at(179), True, id="just-within-one-size"),
        pytest.param(at(181), False, id="beyond-one-size"),
    ],
)
def test_what_may_continue_a_face(later: Detection, same: bool) -> None:
    assert follow({0: [at(100)], 1: [later]})[-1] == ([1] if same else [2])


@pytest.mark.parametrize("scale", [0.25, 1, 6])
def test_the_limit_grows_with_the_face(scale: float) -> None:
    frames = {0: [at(100 * scale, size=80 * scale)], 1: [at(150 * scale, size=80 * scale)]}
    assert follow(frames)[-1] == [1]


def test_nothing_of_an_earlier_sighting_is_left_in_a_later_one() -> None:
    tracker = Tracker(max_gap_frames=7, max_shift=1)
    tracker.add(0, [at(100, score=0.9, blendshapes=[0.5])])
    ((number, found),) = tracker.add(1, [at(101)])
    assert (number, found.score, found.blendshapes) == (1, None, None)


def test_the_order_of_the_detections_does_not_matter() -> None:
    shuffler = random.Random(5)
    frames = {n: [at(100 + 3 * n), at(300 - 5 * n), at(310), at(200, 300)] for n in range(40)}

    def tracks(order: bool) -> list[list[tuple[int, Detection]]]:
        tracker = Tracker(max_gap_frames=7, max_shift=1)
        return [
            tracker.add(frame, shuffler.sample(found, len(found)) if order else found)
            for frame, found in frames.items()
        ]

    assert tracks(order=True) == tracks(order=False)


def test_sightings_come_from_left_to_right() -> None:
    tracker = Tracker(max_gap_frames=7, max_shift=1)
    assert [(n, d.center[0]) for n, d in tracker.add(0, [at(500), at(50)])] == [(1, 50), (2, 500)]


def test_frames_must_ascend() -> None:
    tracker = Tracker(max_gap_frames=7, max_shift=1)
    tracker.add(3, [])
    with pytest.raises(ValueError, match="does not follow"):
        tracker.add(3, [])


def test_tracks_that_are_over_are_let_go() -> None:
    tracker = Tracker(max_gap_frames=2, max_shift=1)
    for frame in range(200):
        tracker.add(frame, [at(100 + 200 * (frame % 50), 100 + 500 * (frame % 3))])
    assert tracker.count == 200
    assert len(tracker._open) <= 4  # 200 of them would mean memory that grows with the video


def test_the_cheapest_assignment_is_found() -> None:
    costs = np.array([[0.1, 0.2], [0.2, 0.9], [UNRELATED, UNRELATED]])
    assert sorted(assign(costs)) == [(0, 1), (1, 0)]
    assert assign(np.ones((2, 3))) == []
    assert assign(np.ones((0, 3))) == []


@pytest.mark.parametrize(
    ("found", "shift", "expected"),
    [
        pytest.param(at(100), (0, 0), 0.0, id="same-place"),
        pytest.param(at(140), (40, 0), 0.0, id="where-expected"),
        pytest.param(at(140), (0, 0), (0.5 + 1 - 1 / 3) / 2, id="half-a-size-away"),
        pytest.param(at(300), (0, 0), UNRELATED, id="far-away"),
    ],
)
def test_cost(found: Detection, shift: tuple[float, float], expected: float) -> None:
    assert cost(at(100), shift, found, max_shift=1) == pytest.approx(expected)


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 5, (0, 0)),
        (0, 0, 5, -1, (0, 0)),
        (float("nan"), 0, 5, 5, (0, 0)),
        (0, 0, 5, 5, (0, float("inf"))),
    ],
)
def test_a_box_that_is_none_is_refused(box: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"area|finite"):
        Detection(*box)  # type: ignore[arg-type]
