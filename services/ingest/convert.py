"""The stage `convert`: a delivered video becomes 25 frames per second, unless it already is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from rushes.artifacts import replacing
from rushes.clock import REFERENCE_RATE, frame_count
from rushes.context import Context
from rushes.errors import MediaUnreadable, ResultsDiffer, SettingsInvalid
from rushes.stage import FoundVideo, Outcome, Stage, Unit
from services.ingest.compliance import faults_of_header, faults_of_timing
from services.ingest.engine import CONVERTERS, Converter, ConvertSettings, Encoding
from services.ingest.storing import link_or_copy, storing
from services.ingest.timecodes import at_reference_rate

if TYPE_CHECKING:
    from services.ingest.sources import Source, Timing


@dataclass(frozen=True, slots=True)
class _Made:
    """Frames written, frames that the source promised, and facts about the way."""

    frames: int
    expected: int
    facts: Mapping[str, str]


def _source(unit: Unit) -> Path:
    if not unit.task.source:
        raise SettingsInvalid("The stage 'convert' works on a delivered file; none was named.")
    return unit.require_project().original(unit.task.source)


def _inputs(unit: Unit, _settings: ConvertSettings) -> Mapping[str, Path]:
    path = _source(unit)
    if not path.is_file():
        raise MediaUnreadable(f"{unit.task.source} does not exist in {unit.require_project().name!r}.")
    return {"source": path}


def _manifest(unit: Unit, _digests: Mapping[str, str]) -> Path:
    return unit.require_video().manifest("convert")


def _run(engine: Converter, unit: Unit, settings: ConvertSettings, context: Context) -> Outcome:
    from services.ingest.sources import measure, read_source

    path, target = _source(unit), unit.require_video().video
    source = read_source(path)
    promised = frame_count(source.info.duration, REFERENCE_RATE) if source.info.duration else 0
    faults = faults_of_header(source)
    timing = None
    if not faults:
        timing = measure(path, REFERENCE_RATE, context.check)
        faults = faults_of_timing(timing, promised)
    with storing(target.parent):
        if timing is not None and not faults:
            made = _keep(path, target, timing)
        else:
            made = _encode(engine, source, target, promised, settings, context)
    facts = {"converted": "true", "reason": ", ".join(faults)} if faults else {"converted": "false"}
    return Outcome(
        outputs={"video": target},
        done=made.frames,
        expected=made.expected,
        unit="frames",
        facts={**facts, **made.facts},
        videos=[
            FoundVideo(
                stem=unit.task.video,
                source=unit.task.source,
                frame_count=made.frames,
                frame_rate=str(REFERENCE_RATE),
            )
        ],
    )


def _keep(path: Path, target: Path, timing: Timing) -> _Made:
    with replacing(target) as temporary:
        temporary.unlink()
        link_or_copy(path, temporary)
    return _Made(timing.count, timing.count, {})


def _encode(
    engine: Converter,
    source: Source,
    target: Path,
    promised: int,
    settings: ConvertSettings,
    context: Context,
) -> _Made:
    info = source.info

    def on_seconds(seconds: float) -> None:
        context.check()
        context.progress("convert", int(seconds * REFERENCE_RATE), promised or None, "frames")

    undecodable = [sound.index for sound in info.audio if not sound.codec]
    if undecodable:
        context.notice(
            f"{info.path.name}: sound in streams {undecodable} is of an unknown kind and was left out."
        )
    rate = source.video.average_rate or source.video.base_rate or REFERENCE_RATE
    encoding = Encoding(
        source=info.path,
        video_index=source.video.index,
        audio=[(sound.index, sound.codec) for sound in info.audio if sound.codec],
        timecode=at_reference_rate(source.timecode, rate),
        settings=settings,
    )
    with replacing(target) as temporary:
        complaints = engine.encode(encoding, temporary, on_seconds)
        frames = _verified(info.path, temporary, len(encoding.audio), context)
        expected = _expected(info.path, frames, promised, rate, context)
    facts = {}
    if undecodable:
        facts["sound_left_out"] = str(len(undecodable))
    if complaints:
        facts["damage"] = str(len(complaints))
        context.notice(
            f"{info.path.name} is damaged: ffmpeg reported {len(complaints)} problems, "
            f"the last one: {complaints[-1]}"
        )
    return _Made(frames, expected, facts)


def _verified(path: Path, made: Path, sounds: int, context: Context) -> int:
    """Returns the number of frames of what was made, once sure that it is at 25 frames per second."""
    from rushes.media import probe
    from services.ingest.sources import measure

    try:
        timing = measure(made, REFERENCE_RATE, context.check)
    except MediaUnreadable as error:
        raise MediaUnreadable(
            f"No picture of {path.name} can be decoded.",
            remedy="It may be truncated or of an unknown kind; ask for the file again.",
        ) from error
    info = probe(made)
    if not timing.constant or timing.start != 0 or len(info.audio) != sounds:
        raise ResultsDiffer(
            f"The conversion of {path.name} is not regular: {timing.count} frames from "
            f"{float(timing.start):.3f} s, {len(info.audio)} of {sounds} sound tracks."
        )
    return timing.count


def _expected(path: Path, frames: int, promised: int, rate: Fraction, context: Context) -> int:
    """Returns how many frames the source should have given; tells the user when it gave fewer."""
    from services.ingest.sources import measure

    if abs(frames - promised) <= 1:
        return frames
    # The header is wrong, or the file is shorter than its header says: its packets tell which.
    shown = frame_count(measure(path, rate, context.check).end, REFERENCE_RATE)
    tolerance = max(1, shown // 100)
    if frames > max(promised, shown) + tolerance:
        raise ResultsDiffer(
            f"The conversion of {path.name} has {frames} frames, its source only {max(promised, shown)}."
        )
    expected = max(promised, shown)
    if frames >= expected - 1:
        return frames
    context.notice(
        f"{path.name} is incomplete: {frames} of {expected} frames could be read, "
        f"{float((expected - frames) / REFERENCE_RATE):.1f} s are missing."
    )
    return expected


STAGE: Stage[ConvertSettings] = Stage(
    name="convert",
    settings=ConvertSettings,
    engines=CONVERTERS,
    inputs=_inputs,
    run=_run,
    manifest=_manifest,
)
"""A delivered video becomes 25 frames per second."""
