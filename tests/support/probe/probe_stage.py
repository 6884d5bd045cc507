"""A stage for tests: does on request what real engines do at their worst."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from rushes.artifacts import write_text
from rushes.context import Context
from rushes.errors import MediaUnreadable
from rushes.stage import EngineSpec, Outcome, Stage, StageSettings, Unit


class Settings(StageSettings):
    action: Literal["ok", "crash", "hang", "spawn", "fail", "defect", "print", "slow"] = "ok"
    seconds: float = 0.0


class Engine:
    def __init__(self) -> None:
        self.loads = 1
        self.runs = 0

    def close(self) -> None:
        pass


def _run(engine: Engine, unit: Unit, settings: Settings, context: Context) -> Outcome:
    engine.runs += 1
    folder = unit.require_video().analysis
    context.progress("probe", 0, 2, "steps")
    match settings.action:
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(600)
        case "spawn":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (folder / "child.pid").write_text(str(child.pid))
            child.wait()
        case "fail":
            raise MediaUnreadable("clip.mp4 is broken.", remedy="Ask for it again.")
        case "defect":
            raise ZeroDivisionError("division by zero")
        case "print":
            print("noise on stdout")
    for step in range(int(settings.seconds * 10)):
        context.progress("probe", step, settings.seconds * 10, "steps")
        time.sleep(0.1)
    write_text(folder / "probe.txt", f"run {engine.runs} in {os.getpid()}\n")
    context.progress("probe", 2, 2, "steps")
    return Outcome(outputs={"probe": folder / "probe.txt"}, done=2, expected=2, unit="frames")


STAGE = Stage(
    name="probe",
    settings=Settings,
    engines={
        "probe": EngineSpec(
            name="probe", version=lambda _settings: "1", load=lambda _settings, _device: Engine()
        )
    },
    inputs=lambda unit, _settings: {"video": Path(unit.require_video().video)},
    run=_run,
    manifest=lambda unit, _digests: unit.require_video().manifest("probe"),
)
