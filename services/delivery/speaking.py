"""The stage `speaking`: which face on screen speaks when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rushes.artifacts import Speaking, TrackTable, read_shots, read_speech, write_speaking
from rushes.context import Context
from rushes.errors import NotFound, ResultsDiffer
from rushes.stage import Outcome, Stage, Unit
from services.delivery.engine import SPEAKING, SpeakingEngine
from services.delivery.settings import SpeakingSettings

SHORTEST_SECONDS = 0.2
"""Speech that a face must be measured over before it can be linked."""

SHRINK_SECONDS = 1.0
"""Silence of a voice that counts half when a face's motion during it is weighed."""


def _inputs(unit: Unit, _settings: SpeakingSettings) -> Mapping[str, Path | str]:
    video = unit.require_video()
    for path, stage in ((video.tracks, "tracking"), (video.speech, "audio")):
        if not path.exists():
            raise NotFound(
                f"{path.name} of {video.video.name} does not exist.", remedy=f"Run the stage {stage} first."
            )
    found: dict[str, Path | str] = {"tracks": video.tracks, "speech": video.speech}
    if video.shots.exists():
        found["shots"] = video.shots
    return found


def _run(engine: SpeakingEngine, unit: Unit, settings: SpeakingSettings, context: Context) -> Outcome:
    from services.delivery.cast import Cast, Rules
    from services.delivery.voices import shot_ranges, voices

    video = unit.require_video()
    table, speech = TrackTable(video.tracks), read_speech(video.speech)
    rate, count = table.header.frame_rate, table.header.frame_count
    cuts: list[int] = []
    facts: dict[str, str] = {}
    expected = count
    if video.shots.exists():
        shots = read_shots(video.shots)
        if shots.frame_rate != rate:
            raise ResultsDiffer(
                f"The shots of {video.video.name} count at {shots.frame_rate} fps, its tracks at {rate}.",
                remedy="Run the stages scenes and tracking again on the same file.",
            )
        cuts, expected = shots.cuts, max(count, shots.frame_count)
    else:
        facts["no_shots"] = "true"

    cast = Cast(
        Rules(
            threshold=settings.threshold,
            margin=settings.margin,
            fewest=max(1, round(SHORTEST_SECONDS * rate)),
            shrink=SHRINK_SECONDS * float(rate),
        )
    )
    ranges = shot_ranges(cuts, count)
    observed = engine.observe(video, table, ranges, context)
    for shot, faces, heard in zip(ranges, observed, voices(speech, rate, ranges), strict=True):
        context.check()
        cast.add(shot, faces, heard)
        context.progress("link", shot.stop, count, "frames")

    tracks = cast.tracks()
    facts["speech_frames"] = str(cast.speech_frames)
    facts["speaking_frames"] = str(cast.speaking_frames)
    facts["undecided_frames"] = str(sum(end - start for start, end in cast.undecided))
    if not speech.has_audio:
        facts["no_audio_track"] = "true"
    unmeasured = sum(track.evidence["frames_measured"] == 0 for track in tracks)
    if unmeasured:
        facts["unmeasured_tracks"] = str(unmeasured)
    if cast.speech_frames and unmeasured and unmeasured == len(tracks):
        context.notice(
            f"No face of {video.video.name} could be measured by {engine.method} on the tracks of"
            f" {table.header.engine}; who speaks on screen stays unknown."
        )
    speaking = Speaking(rate, count, engine.method, tracks, cast.off_screen, cast.undecided)
    write_speaking(video.speaking, speaking)
    return Outcome(
        outputs={"speaking": video.speaking}, done=count, expected=expected, unit="frames", facts=facts
    )


STAGE = Stage(
    name="speaking",
    settings=SpeakingSettings,
    engines=SPEAKING,
    inputs=_inputs,
    run=_run,
    manifest=lambda unit, _digests: unit.require_video().manifest("speaking"),
    made_by=lambda unit: [unit.require_video().manifest(stage) for stage in ("tracking", "audio", "scenes")],
)
