"""Every stage of the pipeline doing next to nothing: what is left is orchestration.

For tests of faults and for the measure of what a task adds; the real stages have tests of their own.
"""

from __future__ import annotations

import time
from pathlib import Path

from rushes.artifacts import write_text
from rushes.context import Context
from rushes.errors import MediaUnreadable
from rushes.pipeline import BY_STAGE
from rushes.stage import EngineSpec, FoundVideo, Outcome, Stage, StageSettings, Unit


class Settings(StageSettings):
    videos: int = 1
    seconds: float = 0.0
    fail_on: str = ""
    output: str = ""


class Engine:
    def close(self) -> None:
        pass


def _folder(unit: Unit) -> Path:
    if unit.task.stage == "extract":
        return unit.require_workspace().project(f"project {unit.task.job}").analysis
    return unit.video.analysis if unit.video else unit.require_project().analysis


def _run(_engine: Engine, unit: Unit, settings: Settings, context: Context) -> Outcome:
    stage, stem = unit.task.stage, unit.task.video
    if settings.fail_on and settings.fail_on == stem:
        raise MediaUnreadable(f"{stem}.mp4 is broken.")
    end = time.monotonic() + settings.seconds
    while (left := end - time.monotonic()) > 0:
        context.progress("work", settings.seconds - left, settings.seconds, "seconds")
        time.sleep(min(left, 0.05))
    output = _folder(unit) / f"{stage}.txt"
    write_text(output, f"{stage} of {stem}\n")
    videos = [FoundVideo(stem=f"clip {n}", source=f"originals/clip {n}.mov") for n in range(settings.videos)]
    return Outcome(
        outputs={stage: output},
        done=1,
        expected=1,
        unit="files",
        facts={"output": settings.output or str(unit.require_workspace().delivered)},
        videos=videos if stage == "extract" else [],
        project=_folder(unit).parent.name if stage == "extract" else "",
    )


def _stage(name: str) -> Stage[Settings]:
    spec = EngineSpec(name="noop", version=lambda _settings: "1", load=lambda _settings, _device: Engine())
    return Stage(
        name=name,
        settings=Settings,
        engines={"noop": spec},
        inputs=lambda unit, _settings: {"task": f"{unit.task.job} {unit.task.id}"},
        run=_run,
        manifest=lambda unit, _digests: _folder(unit) / f"{name}.manifest.json",
    )


globals().update({name: _stage(name) for name in BY_STAGE})
