"""The stage `export`: the reference's files beside the video, which the After Effects script reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rushes.artifacts import (
    Shot,
    ShotList,
    Sighting,
    TrackTable,
    read_shots,
    read_speaking,
    read_speech,
    replacing,
)
from rushes.clock import REFERENCE_RATE, frame_count
from rushes.context import Context
from rushes.errors import MediaUnreadable, ResultsDiffer
from rushes.stage import Outcome, Stage, Unit
from rushes.workspace import VideoFolder
from services.delivery.engine import EXPORT, Plain
from services.delivery.names import SUFFIXES, export_paths
from services.delivery.reference import FaceVoices, Head, Speakers, audio_json, scenes_csv, tracking_json
from services.delivery.settings import ExportSettings

_NEEDED = {"scenes_csv": "shots", "audio_json": "speech", "tracking_json": "tracks"}


def _artefacts(video: VideoFolder) -> dict[str, Path]:
    places = {
        "shots": video.shots,
        "speech": video.speech,
        "tracks": video.tracks,
        "speaking": video.speaking,
    }
    return {role: path for role, path in places.items() if path.exists()}


def _inputs(unit: Unit, _settings: ExportSettings) -> Mapping[str, Path | str]:
    video = unit.require_video()
    names = json.dumps([path.name for path in export_paths(unit).values()])
    return {"video": video.video, "names": names, **_artefacts(video)}


def _run(_engine: Plain, unit: Unit, settings: ExportSettings, context: Context) -> Outcome:
    video, paths = unit.require_video(), export_paths(unit)
    found, head = _artefacts(video), _head(video.video)
    facts: dict[str, str] = {}
    covered = {"video": head.frame_count}
    documents: dict[str, Iterator[str]] = {}
    if head.frame_rate != REFERENCE_RATE:
        context.notice(f"{head.video_filename} has {head.frame_rate} fps, not 25; its timecodes follow that.")
    if "shots" in found:
        shots = read_shots(video.shots)
        _require_rate(head, video.shots, shots.frame_rate)
        covered[video.shots.name] = shots.frame_count
        documents["scenes_csv"] = scenes_csv(_within(shots, head.frame_count), head.frame_rate)
    if "speech" in found:
        speech = read_speech(video.speech)
        if not speech.has_audio:
            facts["no_audio_track"] = "true"
        documents["audio_json"] = audio_json(head, speech.active(head.frame_rate, head.frame_count))
    if "tracks" in found:
        table = TrackTable(video.tracks)
        _require_rate(head, video.tracks, table.header.frame_rate)
        covered[video.tracks.name] = table.header.frame_count
        frames = _exactly(table.frames(), head.frame_count)
        needed = "speech" if settings.active_speakers == "compat" else "speaking"
        if needed in found:
            speakers = _heard(video, head) if needed == "speech" else _own(video)
        else:
            speakers = _nobody
            facts["active_speakers"] = f"unknown: no {needed}"
            context.notice(f"{head.video_filename} has no {needed} result; its objects name no speakers.")
        documents["tracking_json"] = tracking_json(head, frames, speakers)

    for role, document in documents.items():
        if paths[role].name != f"{video.video.stem}{SUFFIXES[role]}":
            context.notice(
                f"The delivery holds a {video.video.stem}{SUFFIXES[role]}; ours is {paths[role].name}."
            )
        _write(paths[role], document, head.frame_count, context)
    if missing := [f"{role}: no {needed}" for role, needed in _NEEDED.items() if needed not in found]:
        facts["not_exported"] = "; ".join(missing)
    for name, count in covered.items():
        if count != head.frame_count:
            context.notice(
                f"{name} counts {count} frames of the {head.frame_count} of {head.video_filename}."
            )
    return Outcome(
        outputs={role: paths[role] for role in documents},
        done=min(covered.values()) if documents else 0,
        expected=head.frame_count,
        unit="frames",
        facts=facts,
    )


def _head(video: Path) -> Head:
    from rushes.media import probe

    info = probe(video)
    stream = info.require_video()
    rate = stream.average_rate or stream.base_rate
    count = stream.frame_count_from_header
    if rate and not count and info.duration:
        count = frame_count(info.duration, rate)
    if not rate or not count:
        raise MediaUnreadable(f"{video.name} states no frame rate or no length.", remedy="Convert it first.")
    return Head(video.name, rate, count)


def _require_rate(head: Head, artefact: Path, rate: object) -> None:
    if rate != head.frame_rate:
        raise ResultsDiffer(
            f"{artefact.name} counts frames at {rate} fps but {head.video_filename} has {head.frame_rate}.",
            remedy="It was made from another version of the video; run its stage again.",
        )


def _within(shots: ShotList, count: int) -> Iterator[Shot]:
    for shot in shots.shots:
        if shot.start < count:
            yield Shot(shot.start, min(shot.end, count))


def _exactly(
    frames: Iterable[tuple[int, Sequence[Sighting]]], count: int
) -> Iterator[tuple[int, Sequence[Sighting]]]:
    done = 0
    for frame, sightings in frames:
        if frame >= count:
            return
        yield frame, sightings
        done = frame + 1
    yield from ((frame, ()) for frame in range(done, count))


def _nobody(_frame: int, _track: int) -> Sequence[str]:
    return ()


def _own(video: VideoFolder) -> Speakers:
    return FaceVoices(read_speaking(video.speaking).tracks)


def _heard(video: VideoFolder, head: Head) -> Speakers:
    voices = read_speech(video.speech).active(head.frame_rate, head.frame_count)
    current: tuple[int, Sequence[str]] = (-1, ())

    def heard(frame: int, _track: int) -> Sequence[str]:
        nonlocal current
        while current[0] < frame:
            current = next(voices)
        return current[1]

    return heard


def _write(path: Path, document: Iterator[str], count: int, context: Context) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for done, piece in enumerate(document):
            file.write(piece)
            if done % 1000 == 0:
                context.check()
                context.progress(path.name, min(done, count), count, "frames")


STAGE = Stage(
    name="export",
    settings=ExportSettings,
    engines=EXPORT,
    inputs=_inputs,
    run=_run,
    manifest=lambda unit, _digests: unit.require_video().manifest("export"),
    made_by=lambda unit: [
        unit.require_video().manifest(stage)
        for stage in ("convert", "scenes", "audio", "tracking", "speaking")
    ],
)
