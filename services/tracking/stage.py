"""The stage `tracking`: the faces of a video, frame by frame, each with a number that lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from rushes.artifacts import ShotList, Sighting, TrackHeader, read_shots, writing_tracks
from rushes.context import Context
from rushes.errors import ResultsDiffer
from rushes.stage import Outcome, Stage, Unit
from rushes.workspace import VideoFolder
from services.tracking.engine import ENGINES, FaceEngine
from services.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from services.tracking.detections import Detection

_DECODER_THREADS = 2
"""Enough to decode faster than any engine looks, and the same memory on every machine."""


def _inputs(unit: Unit, _settings: TrackingSettings) -> Mapping[str, Path | str]:
    folder = unit.require_video()
    inputs = {"video": folder.video}
    return inputs | {"shots": folder.shots} if folder.shots.exists() else inputs


def _made_by(unit: Unit) -> Sequence[Path]:
    folder = unit.require_video()
    return [folder.manifest("convert"), folder.manifest("scenes")]


def _manifest(unit: Unit, _digests: Mapping[str, str]) -> Path:
    return unit.require_video().manifest("tracking")


def _run(engine: FaceEngine, unit: Unit, settings: TrackingSettings, context: Context) -> Outcome:
    # Decoding and the tracker's mathematics are heavy to import.
    from rushes.media import Pictures
    from services.tracking.tracker import Tracker

    folder = unit.require_video()
    pictures = Pictures(folder.video, threads=_DECODER_THREADS)
    shots = _shots(folder, pictures.rate, context)
    cuts = frozenset(shots.cuts if shots else ())
    expected = shots.frame_count if shots else pictures.expected
    tracker = Tracker(max_gap_frames=settings.max_gap_frames, max_shift=settings.max_shift)
    faces = 0
    with (
        writing_tracks(folder.tracks) as table,
        closing(engine.detect(pictures, rate=pictures.rate, cuts=cuts)) as frames,
    ):
        for frame, found in frames:
            context.check()
            if shots and frame >= shots.frame_count:
                raise _other_length(folder, shots, f"more than {frame}")
            if frame in cuts:
                tracker.cut()
            for number, detection in tracker.add(frame, found):
                table.add(_sighting(frame, number, detection))
                faces += 1
            context.progress("faces", frame + 1, expected or None, "frames")
        if shots and pictures.decoded != shots.frame_count:
            raise _other_length(folder, shots, str(pictures.decoded))
        table.finish(
            TrackHeader(
                frame_rate=pictures.rate,
                frame_count=pictures.decoded,
                width=pictures.width,
                height=pictures.height,
                engine=engine.name,
                blendshape_names=engine.blendshape_names,
            )
        )
    facts = {
        "faces": str(faces),
        "tracks": str(tracker.count),
        "cuts": str(len(cuts)) if shots else "unknown",
    }
    if pictures.damaged:
        facts["damaged_packets"] = str(pictures.damaged)
        context.notice(f"{folder.video.name} has {pictures.damaged} packets that cannot be decoded.")
    return Outcome(
        outputs={"tracks": folder.tracks},
        done=pictures.decoded,
        # A header that promises too little, or nothing, must not make the coverage exceed one.
        expected=max(pictures.expected, pictures.decoded),
        unit="frames",
        facts=facts,
    )


def _shots(folder: VideoFolder, rate: Fraction, context: Context) -> ShotList | None:
    if not folder.shots.exists():
        context.notice(
            f"The cuts of {folder.video.name} are not known; a track may go on from one shot into the next. "
            "Run scenes first with the same -o folder, or include the stage scenes."
        )
        return None
    shots = read_shots(folder.shots)
    if shots.frame_rate != rate:
        raise ResultsDiffer(
            f"{folder.shots} is of {shots.frame_rate} frames a second, {folder.video.name} of {rate}.",
            remedy="Run the stage scenes on this video again.",
        )
    return shots


def _other_length(folder: VideoFolder, shots: ShotList, found: str) -> ResultsDiffer:
    return ResultsDiffer(
        f"{folder.shots} is of a video of {shots.frame_count} frames; {folder.video.name} has {found}.",
        remedy="Run the stage scenes on this video again.",
    )


def _sighting(frame: int, number: int, detection: Detection) -> Sighting:
    return Sighting(
        frame=frame,
        track=number,
        x=detection.x,
        y=detection.y,
        width=detection.width,
        height=detection.height,
        center=detection.center,
        score=detection.score,
        source=detection.source,
        label=detection.label,
        blendshapes=detection.blendshapes,
    )


STAGE: Stage[TrackingSettings] = Stage(
    name="tracking",
    settings=TrackingSettings,
    engines=ENGINES,
    inputs=_inputs,
    made_by=_made_by,
    manifest=_manifest,
    run=_run,
)
