"""Running one task of a stage: find it done, or load its engine, do it and write its manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from rushes.api.common.v1.common_pb2 import Coverage, CoverageUnit, EngineUsed, Rational, StageResult
from rushes.artifacts import FileRecord, Manifest, digest_of, key_of
from rushes.context import Context
from rushes.devices import resolve
from rushes.errors import InvalidInput, ResultsDiffer
from rushes.stage import EngineSpec, Stage, StageSettings, Unit
from rushes.workspace import VideoFolder


class Engines:
    """Loaded engines, kept warm: the last one of each stage."""

    def __init__(self) -> None:
        self._loaded: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def get(self, stage: Stage[Any], spec: EngineSpec[Any], settings: StageSettings, device: str) -> Any:
        """Returns the engine, loading it when it is not the one at hand."""
        wanted = (spec.name, device, settings)
        held = self._loaded.get(stage.name)
        if held is None or held[0] != wanted:
            if held is not None:
                del self._loaded[stage.name]
                held[1].close()
            self._loaded[stage.name] = (wanted, spec.load(settings, device))
        return self._loaded[stage.name][1]

    def close(self) -> None:
        """Frees every engine."""
        for _, engine in self._loaded.values():
            engine.close()
        self._loaded.clear()


def execute(stage: Stage[Any], unit: Unit, context: Context, engines: Engines) -> StageResult:
    """Runs one task, or finds that it has been done before.

    Raises:
        RushesError: In whatever way the stage fails; nothing half-written is left under a final name.
    """
    choice = unit.task.engine
    settings = stage.parse(choice.settings)
    spec, notices = stage.choose(choice.name, settings)
    device, fallback = resolve(choice.device, spec.devices)
    notices += fallback
    recorder = _Recorder(context)
    for notice in notices:
        recorder.notice(notice)
    used = {"name": spec.name, "version": spec.version(settings), "device": device}
    made_by = stage.made_by(unit)
    digests = {
        role: value if isinstance(value, str) else digest_of(value, made_by)
        for role, value in stage.inputs(unit, settings).items()
    }
    if unit.project is None and unit.video is not None:
        _refuse_another_video(unit.video, digests)
    values = settings.model_dump(mode="json")
    key = key_of(stage=stage.name, engine=used, settings=values, inputs=digests)
    path = stage.manifest(unit, digests)
    if earlier := Manifest.matching(path, key):
        return _result(earlier, path.parent, unit, cached=True)

    context.check()
    started = time.monotonic()
    outcome = stage.run(engines.get(stage, spec, settings, device), unit, settings, recorder)
    made = Manifest(
        stage=stage.name,
        key=key,
        engine=used,
        settings=values,
        inputs=digests,
        outputs=[FileRecord.of(output, path.parent, role) for role, output in outcome.outputs.items()],
        coverage={"done": outcome.done, "expected": outcome.expected, "unit": outcome.unit},
        facts=dict(outcome.facts),
        seconds=round(time.monotonic() - started, 3),
        notices=recorder.notices,
        videos=[asdict(video) for video in outcome.videos],
        project=outcome.project,
    )
    made.write(path)
    return _result(made, path.parent, unit, cached=False)


def _refuse_another_video(folder: VideoFolder, digests: Mapping[str, str]) -> None:
    # Inside a project each video has a folder of its own; elsewhere the caller has chosen it.
    for path in folder.analysis.glob("*.manifest.json"):
        try:
            other = Manifest.read(path).inputs.get("video")
        except ResultsDiffer:
            continue  # Damaged, and written anew by its own stage.
        if other and other != digests.get("video", other):
            raise InvalidInput(
                f"{folder.analysis} holds results of another video than {folder.video.name}.",
                remedy="Name another folder for this one.",
            )


class _Recorder(Context):
    """Keeps what the user is told, for the manifest: a cached result must say it again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.log = context.log
        self.notices: list[str] = []

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        self._context.progress(phase, done, total, unit)

    def notice(self, message: str) -> None:
        self.notices.append(message)
        self._context.notice(message)

    def check(self) -> None:
        self._context.check()


_UNITS = {
    "frames": CoverageUnit.COVERAGE_UNIT_FRAMES,
    "seconds": CoverageUnit.COVERAGE_UNIT_SECONDS,
    "files": CoverageUnit.COVERAGE_UNIT_FILES,
}


def _result(manifest: Manifest, base: Path, unit: Unit, *, cached: bool) -> StageResult:
    root = unit.workspace.root.resolve() if unit.workspace else None
    result = StageResult(
        engine=EngineUsed(**manifest.engine),
        coverage=Coverage(
            done=manifest.coverage["done"],
            expected=manifest.coverage["expected"],
            unit=_UNITS[manifest.coverage["unit"]],
        ),
        facts=manifest.facts,
        cached=cached,
        project=manifest.project,
        notices=manifest.notices,
    )
    result.elapsed.FromTimedelta(timedelta(seconds=manifest.seconds))
    for record in manifest.outputs:
        path = (base / record.path).resolve()
        inside = root is not None and path.is_relative_to(root)
        result.artifacts.add(
            role=record.role,
            path=str(path.relative_to(root) if root and inside else path),
            size_bytes=record.size_bytes,
            sha256=record.sha256,
        )
    for video in manifest.videos:
        rate = Fraction(video["frame_rate"])
        result.videos.add(
            stem=video["stem"],
            source=video["source"],
            frame_count=video["frame_count"],
            frame_rate=Rational(numerator=rate.numerator, denominator=rate.denominator),
        )
    return result
