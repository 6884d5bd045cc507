"""The audio stage: who speaks when in a video."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rushes.artifacts import Speech, Turn, write_rttm, write_speech
from rushes.context import Context
from rushes.stage import Outcome, Stage, Unit
from rushes.workspace import VideoFolder
from services.audio.engine import ENGINES, Diarizer
from services.audio.settings import AudioSettings


def _inputs(unit: Unit, _settings: AudioSettings) -> Mapping[str, Path | str]:
    return {"video": unit.require_video().video}


def _made_by(unit: Unit) -> list[Path]:
    return [unit.require_video().manifest("convert")]


def _manifest(unit: Unit, _digests: Mapping[str, str]) -> Path:
    return unit.require_video().manifest("audio")


def _run(engine: Diarizer, unit: Unit, settings: AudioSettings, context: Context) -> Outcome:
    from rushes.media import Sound, probe

    video = unit.require_video()
    info = probe(video.video)
    if not info.audio:
        context.notice(f"{video.video.name} has no sound track.")
        return _written(video, Speech([], 0.0, has_audio=False), 0.0, {"no_audio_track": "true"})
    stated = float(info.duration) if info.duration else None
    sound = Sound(video.video)
    spans = engine.diarize(sound, stated, settings, context)
    seconds = sound.decoded / sound.rate
    turns = [
        Turn(span.start, min(span.end, seconds), f"SPEAKER_{span.speaker:02}")
        for span in spans
        if span.start < seconds
    ]
    facts = {}
    if not turns:
        facts["no_speech"] = "true"
    if sound.damaged:
        facts["damaged_packets"] = str(sound.damaged)
        context.notice(f"{sound.damaged} packets of the sound of {video.video.name} cannot be decoded.")
    return _written(video, Speech(turns, seconds), stated or seconds, facts)


def _written(video: VideoFolder, speech: Speech, expected: float, facts: Mapping[str, str]) -> Outcome:
    write_rttm(video.diarization, speech, uri=video.video.stem)
    write_speech(video.speech, speech)
    return Outcome(
        outputs={"speech": video.speech, "rttm": video.diarization},
        # A decoder may give a little more than the file states: the encoder's padding.
        done=min(speech.duration, expected),
        expected=expected,
        unit="seconds",
        facts=facts,
    )


STAGE = Stage(
    name="audio",
    settings=AudioSettings,
    engines=ENGINES,
    inputs=_inputs,
    made_by=_made_by,
    manifest=_manifest,
    run=_run,
)
