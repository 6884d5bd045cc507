"""Frames per second of the tracking engines on a video, decoding included, as JSON.

    python -m bench.tracking VIDEO [--engine mediapipe] [--runs 3] [--set max_faces=2]

Each run loads nothing twice: the engine is warm, as in a worker. The tracks of all runs must be the
same bytes, and every frame must have been decoded, or there are no figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from bench.machine import description
from rushes.api.common.v1.common_pb2 import EngineChoice
from rushes.api.events.v1.events_pb2 import Task
from rushes.context import Context
from rushes.execution import Engines, execute
from rushes.stage import Unit, stage
from rushes.workspace import VideoFolder


def _run(video: Path, choice: EngineChoice, engines: Engines) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        task = Task(job="bench", id="bench", stage="tracking", engine=choice)
        unit = Unit(task=task, video=VideoFolder(video=video, analysis=Path(folder)))
        started, cpu = time.monotonic(), time.process_time()
        result = execute(stage("tracking"), unit, Context(), engines)
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    frames = result.coverage.done
    if frames != result.coverage.expected:
        sys.exit(f"Only {frames:.0f} of {result.coverage.expected:.0f} frames of {video.name} were decoded.")
    return {
        "engine": {
            "name": result.engine.name,
            "version": result.engine.version,
            "device": result.engine.device,
        },
        "frames": int(frames),
        "facts": dict(result.facts),
        "sha256": result.artifacts[0].sha256,
        "seconds": round(seconds, 3),
        "frames_per_second": round(frames / seconds, 1),
        "cpu_ms_per_frame": round(1000 * cpu / frames, 2),
    }


def main() -> None:
    """Measures one engine on one video and prints JSON."""
    parser = argparse.ArgumentParser(description="Measures the tracking stage.")
    parser.add_argument("video", type=Path)
    parser.add_argument("--engine", default="mediapipe")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3, help="measured runs, after one that warms up")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    options = parser.parse_args()
    settings = dict(item.split("=", 1) for item in options.set)
    choice = EngineChoice(name=options.engine, device=options.device, settings=settings)
    engines = Engines()
    runs = [_run(options.video, choice, engines) for _ in range(options.runs + 1)]
    engines.close()
    if len({run["sha256"] for run in runs}) != 1:
        sys.exit("The runs differ in their tracks.")
    same = {key: runs[0][key] for key in ("engine", "frames", "facts", "sha256")}
    timed = [{key: value for key, value in run.items() if key not in same} for run in runs[1:]]
    report = {
        "what": "tracking, decoding included, engine warm",
        "video": options.video.name,
        "settings": settings,
        "machine": description(["mediapipe", "opencv-contrib-python", "av"]),
        **same,
        "runs": timed,
    }
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
