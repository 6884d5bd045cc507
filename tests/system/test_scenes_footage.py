"""The cuts of half a minute of real footage, in either precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rushes.api.events.v1.events_pb2 import Task
from rushes.artifacts import read_shots
from rushes.context import Context
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import VideoFolder
from services.scenes.stage import STAGE

pytestmark = [pytest.mark.system, pytest.mark.media]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_cuts_of_real_footage(media: Callable[[str], Path], tmp_path: Path, precision: str) -> None:
    task = Task(job="j", id="t", stage="scenes")
    task.engine.settings.update({"threads": "2", "precision": precision})
    files = VideoFolder(video=media("scenes_testvideo.mp4"), analysis=tmp_path)
    with closing(Engines()) as engines:
        execute(STAGE, Unit(task=task, video=files), Context(), engines)
    assert read_shots(files.shots).cuts == [30, 180, 226, 346, 409, 544, 679]
