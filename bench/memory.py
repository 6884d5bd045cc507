"""Peak memory of every stage on a short and on a long video, as JSON: it must not grow with the length.

    python -m bench.memory VIDEO [--short 10] [--long 600]

VIDEO is repeated to each length, packed as a delivery and taken through every stage, each in a fresh
process. Every result must cover its input in full, or there are no figures.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from google.protobuf.json_format import MessageToDict, ParseDict

from bench.machine import description
from rushes.api.events.v1.events_pb2 import Task
from rushes.media.ffmpeg import run
from rushes.pipeline import PIPELINE


def _stage_in_this_process(workspace: Path, task: Task) -> None:
    from rushes.context import Context
    from rushes.engine_host import unit_of
    from rushes.execution import Engines, execute
    from rushes.stage import stage
    from rushes.workspace import Workspace

    started = time.monotonic()
    result = execute(stage(task.stage), unit_of(task, Workspace(workspace)), Context(), Engines())
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - started, 2),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "children_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
                "result": MessageToDict(result, preserving_proto_field_name=True),
            }
        )
    )


def _stage(workspace: Path, task: Task) -> dict[str, object]:
    command = [sys.executable, "-m", "bench.memory", "--workspace", workspace, "--task", "-"]
    done = subprocess.run(
        [*map(str, command)],
        input=json.dumps(MessageToDict(task)),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    result = figures.pop("result")
    assert isinstance(result, dict)
    coverage = result["coverage"]
    if coverage["done"] < 0.97 * coverage["expected"]:
        sys.exit(f"{task.stage} covered {coverage['done']} of {coverage['expected']}: no figures.")
    if task.stage == "extract":
        task.project, task.video = result["project"], result["videos"][0]["stem"]
        task.source = result["videos"][0]["source"]
    return figures


def _lengths(video: Path, seconds: int) -> dict[str, dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        clip, delivery = Path(folder) / "clip.mp4", Path(folder) / "delivery.zip"
        loop = ["-stream_loop", "-1", "-i", str(video), "-t", str(seconds)]
        run([*loop, "-c", "copy", str(clip)], subject=video)
        with zipfile.ZipFile(delivery, "w") as archive:
            archive.write(clip, clip.name)
        task = Task(job="bench", id="bench", delivery=[str(delivery)])
        figures = {}
        for step in PIPELINE:
            task.stage = step.stage
            figures[step.stage] = _stage(Path(folder) / "workspace", task)
            print(f"{seconds} s  {step.stage}: {figures[step.stage]}", file=sys.stderr)
        return figures


def main() -> None:
    """Measures, and prints JSON."""
    parser = argparse.ArgumentParser(description="Measures the peak memory of every stage.")
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--short", type=int, default=10, help="seconds")
    parser.add_argument("--long", type=int, default=600, help="seconds")
    parser.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        _stage_in_this_process(options.workspace, ParseDict(json.load(sys.stdin), Task()))
        return
    if options.video is None:
        parser.error("name a video")
    figures = {f"{seconds} s": _lengths(options.video, seconds) for seconds in (options.short, options.long)}
    print(json.dumps({"machine": description(), "video": options.video.name, **figures}, indent=1))


if __name__ == "__main__":
    main()
