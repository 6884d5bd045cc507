"""Measures the audio stage: error rate against a reference, and speed.

Run: python -m bench.audio FOLDER [--repeat 3] [--set threads=2] [--json FILE]
FOLDER holds `reference.rttm` and a recording for each name in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.der import DiarizationError, diarization_error, read_rttm
from bench.machine import description
from rushes.api.common.v1.common_pb2 import EngineChoice
from rushes.api.events.v1.events_pb2 import Task
from rushes.artifacts import Speech, read_speech
from rushes.context import Context
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import VideoFolder
from services.audio.stage import STAGE


def recording(folder: Path, name: str) -> Path:
    """Returns the file of a recording, whatever its suffix."""
    return next(path for path in sorted(folder.glob(f"{name}.*")) if path.suffix not in {".rttm", ".json"})


def measure(path: Path, choice: EngineChoice, engines: Engines, repeat: int) -> tuple[Speech, list[float]]:
    """Runs the stage `repeat` times on one file; returns its result and the seconds that each run took."""
    seconds = []
    task = Task(job="bench", id=path.stem, stage="audio", engine=choice)
    with tempfile.TemporaryDirectory(prefix="bench-audio-") as scratch:
        folder = VideoFolder(video=path, analysis=Path(scratch))
        for _ in range(repeat):
            folder.manifest("audio").unlink(missing_ok=True)
            started = time.perf_counter()
            execute(STAGE, Unit(task=task, video=folder), Context(), engines)
            seconds.append(time.perf_counter() - started)
        return read_speech(folder.speech), seconds


def main(arguments: list[str]) -> None:
    """Prints a line for each recording and their total."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="offline")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    settings = dict(pair.split("=", 1) for pair in options.set)
    choice = EngineChoice(name=options.engine, settings=settings)
    engines, rows, total, heard, spent = Engines(), [], DiarizationError(), 0.0, 0.0
    print(
        f"{'recording':12} {'missed':>8} {'false':>8} {'confused':>8} {'DER':>7} {'speakers':>8} {'RTF':>8}"
    )
    for name, reference in read_rttm(options.folder / "reference.rttm").items():
        speech, seconds = measure(recording(options.folder, name), choice, engines, options.repeat)
        error = diarization_error(reference, speech.turns)
        rtf = statistics.median(seconds) / speech.duration
        total, heard, spent = total + error, heard + speech.duration, spent + statistics.median(seconds)
        print(_row(name, error, f"{len(speech.speakers)}/{len({t.speaker for t in reference})}", rtf))
        rows.append({"recording": name, "der": error.rate, "rtf": rtf, "seconds": seconds})
    print(_row("total", total, "", spent / heard))
    if options.json:
        machine = description(["torch", "silero-vad", "resemblyzer", "numpy"])
        report = {"machine": machine, "settings": settings, "rows": rows}
        options.json.write_text(json.dumps(report | {"der": total.rate, "rtf": spent / heard}, indent=1))


def _row(name: str, error: DiarizationError, speakers: str, rtf: float) -> str:
    parts = [error.missed, error.false_alarm, error.confusion]
    shares = "".join(f" {part / error.total if error.total else 0:8.3f}" for part in parts)
    return f"{name:12}{shares} {error.rate:7.3f} {speakers:>8} {rtf:8.4f}"


if __name__ == "__main__":
    main(sys.argv[1:])
