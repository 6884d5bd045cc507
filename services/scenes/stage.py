"""The stage `scenes`: a video in, `shots.json` and `probabilities.npz` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rushes.context import Context
from rushes.stage import Outcome, Stage, Unit
from services.scenes.engine import ENGINES, ShotEngine
from services.scenes.settings import ScenesSettings

if TYPE_CHECKING:
    from services.scenes.probabilities import Probabilities


def _inputs(unit: Unit, _settings: ScenesSettings) -> Mapping[str, Path | str]:
    return {"video": unit.require_video().video}


def _made_by(unit: Unit) -> Sequence[Path]:
    return [unit.require_video().manifest("convert")]


def _manifest(unit: Unit, _digests: Mapping[str, str]) -> Path:
    return unit.require_video().manifest("scenes")


def _run(engine: ShotEngine, unit: Unit, settings: ScenesSettings, context: Context) -> Outcome:
    from fractions import Fraction

    from rushes.artifacts import ShotList, digest_of, write_shots
    from services.scenes.detection import detect
    from services.scenes.probabilities import write_probabilities
    from services.scenes.shots import find_cuts, partition

    files = unit.require_video()
    stored = files.analysis / "probabilities.npz"
    source = f"{digest_of(files.video, _made_by(unit))} {engine.identity}"
    values = _reusable(stored, source)
    if values is None:
        values = detect(engine, files.video, source=source, threads=settings.threads, context=context)
        write_probabilities(stored, values)
    frame_count, rate = len(values.cut), Fraction(values.rate)
    cuts = find_cuts(values.cut, values.transition, threshold=settings.threshold)
    shots = partition(cuts, frame_count, min_shot_frames=settings.min_shot_frames)
    write_shots(files.shots, ShotList(rate, frame_count, shots))
    _tell(files.video, values, context)
    return Outcome(
        outputs={"shots": files.shots, "probabilities": stored},
        done=frame_count,
        expected=max(values.expected, frame_count),
        unit="frames",
        facts={"shots": str(len(shots)), "frame_rate": values.rate, "scored_by": engine.identity},
    )


def _reusable(path: Path, source: str) -> Probabilities | None:
    """Returns stored probabilities of the same video by the same engine, if they are whole."""
    from rushes.errors import NotFound, ResultsDiffer
    from services.scenes.probabilities import read_probabilities

    try:
        values = read_probabilities(path)
    except (NotFound, ResultsDiffer):
        return None
    return values if values.source == source else None


def _tell(video: Path, values: Probabilities, context: Context) -> None:
    """Tells the user where the frame numbers do not mean what they seem to."""
    from fractions import Fraction

    decoded = len(values.cut)
    if decoded < values.expected:
        context.notice(
            f"{video.name}: {decoded} of {values.expected} frames that its header states could be decoded."
        )
    if values.drift * Fraction(values.rate) > 1:
        context.notice(
            f"{video.name}: its frame times stray up to {values.drift:.3f} s from a constant "
            f"{float(Fraction(values.rate)):g} frames/s, so frame numbers are not times; convert it first."
        )


STAGE = Stage(
    name="scenes",
    settings=ScenesSettings,
    engines=ENGINES,
    inputs=_inputs,
    run=_run,
    manifest=_manifest,
    made_by=_made_by,
)
