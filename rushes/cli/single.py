"""`rushes scenes|audio|tracking`: one stage on one file, in this process, without any server."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rushes.api.common.v1.common_pb2 import EngineChoice
from rushes.api.events.v1.events_pb2 import Task
from rushes.cli.options import pairs
from rushes.cli.report import coverage_json
from rushes.context import Context
from rushes.errors import InvalidInput
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.stage import stage as find_stage
from rushes.workspace import VideoFolder


class _ScreenContext(Context):
    """Shows progress on stderr, when that is a terminal."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._row = bars.add_task("", total=None)

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        self._bars.update(self._row, description=phase, completed=done, total=total)

    def notice(self, message: str) -> None:
        self._bars.console.print(f"! {message}", soft_wrap=True, markup=False)


def run_stage(
    name: str, file: Path, output: Path, *, engine: str, device: str, settings: Sequence[str], as_json: bool
) -> None:
    """Runs one stage on one file and prints what it made.

    Raises:
        RushesError: In whatever way the stage fails.
    """
    if not file.exists():
        raise InvalidInput(f"There is no {file}.")
    if not file.is_file():
        raise InvalidInput(f"{file} is not a file.", remedy="A folder goes through `rushes run`.")
    if output.exists() and not output.is_dir():
        raise InvalidInput(f"{output} is not a folder; --output is the folder for the artefacts.")
    stage = find_stage(name)
    choice = EngineChoice(name=engine, device=device, settings=dict(pairs(settings, "KEY=VALUE")))
    task = Task(job="command-line", id=name, stage=name, engine=choice, attempt=1)
    unit = Unit(task=task, video=VideoFolder(file.resolve(), output.resolve()))
    output.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True, highlight=False)
    started = time.monotonic()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        engines = Engines()
        try:
            result = execute(stage, unit, _ScreenContext(bars), engines)
        finally:
            engines.close()
    seconds = time.monotonic() - started
    artifacts = {artifact.role: artifact.path for artifact in result.artifacts}
    coverage = coverage_json(result)
    if as_json:
        value = {
            "stage": name,
            "seconds": round(seconds, 3),
            "frames": int(coverage["done"]) if coverage["unit"] == "frames" else None,
            "engine": result.engine.name,
            "engine_version": result.engine.version,
            "device": result.engine.device,
            "cached": result.cached,
            "coverage": coverage,
            "facts": dict(result.facts),
            "notices": list(result.notices),
            # Kilobytes on Linux, bytes on macOS.
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024),
            "artifacts": artifacts,
        }
        print(json.dumps(value, ensure_ascii=False))
        return
    print(
        f"{name}: {result.engine.name} on {result.engine.device}, {seconds:.1f} s, "
        f"{coverage['done']:g} of {coverage['expected']:g} {coverage['unit']}"
        + (" (cached)" if result.cached else "")
    )
    for role, path in artifacts.items():
        print(f"  {role}: {path}")
