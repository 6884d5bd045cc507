"""The engines on real faces, and what they do with a model that is missing or damaged."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rushes.errors import EngineCrashed, MissingPart, ResultsDiffer, SettingsInvalid
from rushes.media import Picture, Pictures
from services.tracking import engine as engines
from services.tracking.blendshapes import NAMES
from services.tracking.detections import Detection
from services.tracking.engine import ENGINES, LANDMARKER, FaceEngine
from services.tracking.settings import TrackingSettings
from services.tracking.stage import STAGE

SETTINGS = TrackingSettings()
JAW_OPEN, BLINK_LEFT = NAMES.index("jawOpen"), NAMES.index("eyeBlinkLeft")


@pytest.fixture
def load(weights: Callable[[str], Path]) -> Iterator[Callable[..., FaceEngine]]:
    """Loads engines with these settings, and closes them."""
    loaded = []

    def engine(name: str, **settings: float) -> FaceEngine:
        if name == "mediapipe":
            weights(LANDMARKER)
        loaded.append(ENGINES[name].load(TrackingSettings.model_validate(settings), "cpu"))
        return loaded[-1]

    yield engine
    for one in loaded:
        one.close()


@pytest.fixture
def mediapipe(load: Callable[..., FaceEngine]) -> FaceEngine:
    return load("mediapipe")


def pictures(path: Path, first: int, count: int) -> list[Picture]:
    return list(itertools.islice(Pictures(path, threads=1), first, first + count))


def look(
    engine: FaceEngine, shown: list[Picture], cuts: frozenset[int] = frozenset()
) -> list[tuple[int, list[Detection]]]:
    return [(frame, list(found)) for frame, found in engine.detect(shown, rate=Fraction(25), cuts=cuts)]


@pytest.mark.media
@pytest.mark.models
@pytest.mark.parametrize(
    ("clip", "frame", "points", "jaw_open", "blink_left", "total"),
    [
        # Points 1, 33 and 263 and scores of the FaceLandmarker at its own thresholds, measured apart
        # from this code.
        (
            "talking_head_512.mp4",
            0,
            [(275.09, 341.47), (181.02, 255.83), (368.77, 257.96)],
            0.0206,
            0.0267,
            2.067,
        ),
        (
            "interview_720p.mp4",
            100,
            [(789.08, 294.63), (691.76, 225.03), (835.25, 213.56)],
            0.0009,
            0.0074,
            3.999,
        ),
        (
            "face_motion_480.mp4",
            300,
            [(259.07, 291.63), (171.24, 226.68), (323.24, 225.58)],
            0.5925,
            0.0031,
            7.650,
        ),
        (
            "speech_face_1.mp4",
            50,
            [(323.11, 292.92), (219.04, 231.85), (392.40, 225.94)],
            0.0390,
            0.0416,
            3.425,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_mediapipe_measures_faces_as_its_network_does(
    media: Callable[[str], Path],
    load: Callable[..., FaceEngine],
    monkeypatch: pytest.MonkeyPatch,
    clip: str,
    frame: int,
    points: list[tuple[float, float]],
    jaw_open: float,
    blink_left: float,
    total: float,
) -> None:
    from services.tracking.engines import mediapipe as module

    seen = []
    original = module.detection
    monkeypatch.setattr(
        module, "detection", lambda marks, scores: seen.append(marks) or original(marks, scores)
    )
    thresholds = {f"min_{what}_confidence": 0.5 for what in ("detection", "presence", "tracking")}
    engine = load("mediapipe", **thresholds)
    ((number, (face,)),) = look(engine, pictures(media(clip), frame, 1))

    assert number == frame
    (marks,) = seen
    assert marks.shape == (478, 2)
    assert marks[[1, 33, 263]] == pytest.approx(np.array(points), abs=0.05)
    assert face.blendshapes is not None
    assert face.blendshapes[JAW_OPEN] == pytest.approx(jaw_open, abs=0.001)
    assert face.blendshapes[BLINK_LEFT] == pytest.approx(blink_left, abs=0.001)
    assert sum(face.blendshapes) == pytest.approx(total, abs=0.01)
    assert (face.x, face.y) == pytest.approx(marks.min(axis=0))
    assert (face.x + face.width, face.y + face.height) == pytest.approx(marks.max(axis=0))
    assert face.center == pytest.approx(marks.mean(axis=0))
    assert face.score is None


@pytest.mark.media
@pytest.mark.models
@pytest.mark.parametrize("name", ["mediapipe", "haar"])
def test_rows_of_any_length_are_seen_right(
    media: Callable[[str], Path], load: Callable[..., FaceEngine], name: str
) -> None:
    # 590 pixels: the decoder pads the rows. Read as they lie, they hold no face.
    shown = pictures(media("speech_face_3.mp4"), 0, 3)
    assert [len(found) for _, found in look(load(name), shown)] == [1, 1, 1]


@pytest.mark.media
@pytest.mark.models
def test_nothing_of_a_shot_reaches_the_next(
    media: Callable[[str], Path], load: Callable[..., FaceEngine]
) -> None:
    # The detector is sure enough of the first person (0.93) and not of the second (0.91), whom
    # MediaPipe therefore sees only where it carries the first one over.
    engine = load("mediapipe", min_detection_confidence=0.925)
    first = pictures(media("speech_face_1.mp4"), 48, 3)
    second = [Picture(51, Fraction(0), pictures(media("talking_head_512.mp4"), 0, 1)[0].pixels)]
    carried = look(engine, [*first, *second])
    reset = look(engine, [*first, *second], frozenset({51}))
    assert reset[:3] == carried[:3]
    assert [len(found) for _, found in carried] == [1, 1, 1, 1]  # Else the test could not fail.
    assert [len(found) for _, found in reset] == [1, 1, 1, 0]
    assert look(engine, second) == reset[3:]  # A new video is a new shot as well.


@pytest.mark.media
@pytest.mark.models
def test_one_engine_gives_the_same_again(media: Callable[[str], Path], mediapipe: FaceEngine) -> None:
    shown = pictures(media("face_motion_480.mp4"), 40, 12)
    assert look(mediapipe, shown) == look(mediapipe, shown)


@pytest.mark.media
@pytest.mark.parametrize(("clip", "factor"), [("talking_head_512.mp4", 2), ("interview_720p.mp4", 1)])
def test_haar_finds_the_face_of_a_large_picture_where_it_is(
    media: Callable[[str], Path],
    load: Callable[..., FaceEngine],
    monkeypatch: pytest.MonkeyPatch,
    clip: str,
    factor: int,
) -> None:
    from services.tracking.engines import haar

    engine = load("haar")
    shown = [
        Picture(picture.frame, picture.seconds, picture.pixels.repeat(factor, 0).repeat(factor, 1))
        for picture in pictures(media(clip), 0, 41)[::20]
    ]
    reduced = look(engine, shown)
    monkeypatch.setattr(haar, "_LONGEST_SIDE", 10_000)
    whole = look(engine, shown)
    assert [len(faces) for _, faces in reduced] == [1] * len(shown)
    for (_, (face,)), (_, (reference, *_)) in zip(reduced, whole, strict=True):
        assert face.center == pytest.approx(reference.center, abs=0.1 * reference.width)
        assert face.width == pytest.approx(reference.width, rel=0.15)


@pytest.mark.media
@pytest.mark.models
@pytest.mark.parametrize("name", ["mediapipe", "haar"])
def test_at_most_the_faces_asked_for_the_largest_first(
    media: Callable[[str], Path], load: Callable[..., FaceEngine], name: str
) -> None:
    (picture,) = pictures(media("speech_face_1.mp4"), 0, 1)
    small = np.zeros_like(picture.pixels)
    small[100:356, 128:384] = picture.pixels[::2, ::2]
    pair = Picture(0, Fraction(0), np.hstack([small, picture.pixels]))
    for limit in (1, 2):
        ((_, found),) = look(load(name, max_faces=limit), [pair])
        assert len(found) == limit
        assert found[0].center[0] > 512
        assert [face.center[0] > 512 for face in found[1:]] == [False] * (limit - 1)


@pytest.mark.media
@pytest.mark.models
def test_thresholds_that_see_faces_in_the_dark_do_not_carry_them_on(
    media: Callable[[str], Path], load: Callable[..., FaceEngine]
) -> None:
    engine = load("mediapipe", min_presence_confidence=0)
    shown = pictures(media("talking_head_512.mp4"), 0, 3)
    dark = [Picture(3, Fraction(0), np.zeros_like(shown[0].pixels))]
    assert look(engine, [*shown, *dark])[3] != (3, [])
    assert look(engine, [*shown, *dark], frozenset({3}))[3] == (3, [])


@pytest.mark.models
def test_a_picture_that_cannot_be_analysed_is_an_error_and_the_next_one_is_not(mediapipe: FaceEngine) -> None:
    bad = Picture(7, Fraction(0), np.zeros((0, 10, 3), np.uint8))
    with pytest.raises(EngineCrashed, match="MediaPipe fails on"):
        look(mediapipe, [bad])
    good = Picture(0, Fraction(0), np.zeros((64, 64, 3), np.uint8))
    assert look(mediapipe, [good]) == [(0, [])]
    gc.collect()  # The broken landmarker goes without a warning, and without waiting for ever.


@pytest.mark.models
def test_frames_closer_than_a_millisecond_are_all_seen(mediapipe: FaceEngine) -> None:
    blank = np.zeros((64, 64, 3), np.uint8)
    shown = [Picture(n, Fraction(0), blank) for n in range(5)]
    assert [frame for frame, _ in mediapipe.detect(shown, rate=Fraction(90_000), cuts=())] == [0, 1, 2, 3, 4]


def test_the_library_s_statistics_find_no_server_to_trust() -> None:
    from services.tracking.engines.mediapipe import _SilentOptions

    options = _SilentOptions().to_ctypes()
    assert "ca_bundle_path" in dict(options._fields_)  # A field of another name would be set in vain.
    assert options.ca_bundle_path == os.devnull.encode()


@pytest.mark.models
def test_nothing_of_the_library_reaches_the_user(weights: Callable[[str], Path]) -> None:
    weights(LANDMARKER)
    # The engine is held by the module, and nobody closes it before the process ends.
    script = """
import logging
from services.tracking.engine import ENGINES
from services.tracking.settings import TrackingSettings
logging.basicConfig(level="DEBUG", format="logged: %(message)s")
engine = ENGINES["mediapipe"].load(TrackingSettings(), "cpu")
"""

    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert any("inference_feedback_manager" in line for line in lines)
    assert [line for line in lines if not line.startswith("logged: ")] == []


def test_what_a_library_says_before_it_fails_is_an_error_in_the_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    from services.tracking.engines.mediapipe import _hushed

    def fail() -> None:
        with _hushed():
            os.write(2, b"first 100 %s\nsecond\n")
            raise RuntimeError

    with caplog.at_level(logging.DEBUG), pytest.raises(RuntimeError):
        fail()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "first 100 %s"),
        ("ERROR", "second"),
    ]
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"


@pytest.mark.models
@pytest.mark.parametrize("damage", ["flipped", "short", "absent"])
def test_a_model_that_is_not_the_pinned_one_is_never_used(
    weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    place = tmp_path / LANDMARKER
    place.parent.mkdir()
    if damage != "absent":
        content = bytearray(weights(LANDMARKER).read_bytes())
        content[1_000_000] ^= 1
        place.write_bytes(content if damage == "flipped" else content[:-1])
    monkeypatch.setenv("RUSHES_MODELS_DIR", str(tmp_path))
    expected = ResultsDiffer if damage == "flipped" else MissingPart
    with pytest.raises(expected, match=r"face_landmarker\.task"):
        ENGINES["mediapipe"].load(SETTINGS, "cpu")


def test_mediapipe_says_so_when_it_refuses_a_bundle(tmp_path: Path) -> None:
    from services.tracking.engines.mediapipe import MediapipeEngine

    bundle = tmp_path / "other.task"
    bundle.write_bytes(b"not a bundle")
    with pytest.raises(ResultsDiffer, match=r"MediaPipe refuses .*other\.task"):
        MediapipeEngine(bundle, SETTINGS)


def test_a_cascade_that_is_none_is_an_error(tmp_path: Path) -> None:
    from services.tracking.engines.haar import HaarEngine

    broken = tmp_path / "cascade.xml"
    broken.write_text("<opencv_storage></opencv_storage>")
    with pytest.raises(ResultsDiffer, match=r"cascade\.xml"):
        HaarEngine(broken, SETTINGS)


def test_an_opencv_without_cascades_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ENGINES["haar"].missing(SETTINGS) == ""
    monkeypatch.setattr(engines, "cascade", lambda: tmp_path / "none.xml")
    assert "before 5" in ENGINES["haar"].missing(SETTINGS)


@pytest.mark.models
def test_which_engine_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Callable[[str], Path]
) -> None:
    model = weights(LANDMARKER)
    assert list(ENGINES) == ["mediapipe", "haar"]
    monkeypatch.setenv("RUSHES_MODELS_DIR", str(tmp_path))
    spec, notices = STAGE.choose("", SETTINGS)
    assert spec.name == "haar"
    assert "rushes models pull mediapipe/face_landmarker.task" in notices[0]
    assert notices[0].endswith("Falling back to haar.")
    with pytest.raises(MissingPart, match=r"'mediapipe' cannot run"):
        STAGE.choose("mediapipe", SETTINGS)
    with pytest.raises(SettingsInvalid, match="yolo"):
        STAGE.choose("yolo", SETTINGS)
    (tmp_path / LANDMARKER).parent.mkdir()
    shutil.copyfile(model, tmp_path / LANDMARKER)
    assert STAGE.choose("", SETTINGS) == (ENGINES["mediapipe"], [])
