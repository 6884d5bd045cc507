"""The stage `finalize`: nothing is overwritten, nothing is lost, and the copy is what the source is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rushes.api.common.v1.common_pb2 import EngineChoice, StageResult
from rushes.api.events.v1.events_pb2 import Task
from rushes.context import Context
from rushes.errors import Cancelled, InvalidInput, NotFound, ResultsDiffer, StorageFull, Unavailable
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import Project, Workspace
from services.delivery.copying import copy_verified
from services.delivery.finalize import STAGE
from services.delivery.inventory import inventory

Run = Callable[..., StageResult]
WriteRecord = Callable[..., None]

NAMES = ("clip.mp4", "l'été d'Élodie [1].csv", "-rf", 'a "b".txt', "sub folder/日本/{x}.json", ".DS_Store")


@pytest.fixture
def filled(project: Project) -> Project:
    for number, name in enumerate(NAMES):
        path = project.docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * (1000 * number))
        os.utime(path, ns=(1_600_000_000_000_000_000 + number, 1_600_000_000_000_000_000 + number))
    (project.analysis / "clip").mkdir()
    (project.analysis / "clip" / "shots.json").write_text("{}")
    (project.analysis / "clip" / "scenes.manifest.json").write_text('{"seconds": 1}')
    (project.originals / "huge.mov").write_bytes(b"not delivered")
    return project


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def source(project: Project) -> dict[str, bytes]:
    return {item.path: item.source.read_bytes() for item in inventory(project)}


def test_a_verified_copy_with_its_list(
    filled: Project, workspace: Workspace, run: Run, listener: Any
) -> None:
    before = source(filled)
    result = run(STAGE)
    final = workspace.delivered / "13 Camille"
    copied = contents(final)
    listed = json.loads(copied.pop("rushes.json"))
    assert copied == before
    assert set(copied) == {f"docs/{name}" for name in NAMES} | {
        "analysis/clip/shots.json",
        "analysis/clip/scenes.manifest.json",
    }
    assert listed == {
        "schema": "rushes.delivery/1",
        "project": "13 Camille",
        "complete": True,
        "missing": [],
        "files": [
            {"path": path, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in sorted(before.items())
        ],
    }
    assert (final / "docs" / "-rf").stat().st_mtime_ns == 1_600_000_000_000_000_002
    assert result.facts["output"] == str(final)
    assert result.facts["files"] == "8"
    assert result.facts["complete"] == "true"
    assert list(result.notices) == []
    assert result.facts["bytes"] == str(sum(map(len, before.values())))
    assert result.artifacts[0].path == "delivered/13 Camille/rushes.json"
    assert [path.name for path in workspace.delivered.iterdir()] == ["13 Camille"]
    phase, done, total, unit = listener.phases[-1]
    assert (phase, done, unit) == ("copy", total, "bytes")


def fill(project: Project, video: str, *stages: str) -> None:
    folder = project.video(video)
    folder.analysis.mkdir(parents=True, exist_ok=True)
    for stage in stages:
        folder.manifest(stage).write_text("{}")
    if "convert" in stages:
        folder.video.parent.mkdir(exist_ok=True)
        folder.video.write_bytes(b"video")


def test_what_failed_is_missing_from_the_delivery_and_said(
    project: Project, workspace: Workspace, run: Run, write_record: WriteRecord
) -> None:
    write_record(project, "b", "sub/a", "broken", "half")
    fill(project, "b", "convert", "scenes", "audio", "export")
    fill(project, "sub/a", "convert", "scenes", "audio", "export")
    fill(project, "half", "convert", "audio")
    result = run(STAGE)
    listed = json.loads((workspace.delivered / "13 Camille" / "rushes.json").read_text())
    assert listed["complete"] is False
    assert listed["missing"] == [
        {"video": "broken", "stages": ["convert", "scenes", "audio", "export"]},
        {"video": "half", "stages": ["scenes", "export"]},
    ]
    assert result.facts["complete"] == "false"
    assert [notice for notice in result.notices if "incomplete" in notice] == [
        "The delivery of 13 Camille is incomplete: "
        "broken has no convert, scenes, audio, export; half has no scenes, export."
    ]


def test_a_video_file_that_is_gone_is_missing_though_it_was_converted(
    project: Project, workspace: Workspace, run: Run
) -> None:
    fill(project, "clip", "convert", "scenes")
    project.video("clip").video.unlink()
    run(STAGE)
    listed = json.loads((workspace.delivered / "13 Camille" / "rushes.json").read_text())
    assert listed["missing"] == [{"video": "clip", "stages": ["convert"]}]


def test_the_same_files_are_another_delivery_once_nothing_is_missing(
    project: Project, workspace: Workspace, run: Run, write_record: WriteRecord
) -> None:
    write_record(project, "a", "b")
    fill(project, "a", "convert", "scenes")
    fill(project, "b", "convert")
    run(STAGE)
    fill(project, "b", "scenes")  # Provenance alone is no other content.
    result = run(STAGE)
    assert result.facts["output"] == str(workspace.delivered / "13 Camille v2")
    assert json.loads((workspace.delivered / "13 Camille v2" / "rushes.json").read_text())["complete"] is True


def test_many_incomplete_videos_are_counted(
    project: Project, workspace: Workspace, run: Run, write_record: WriteRecord
) -> None:
    write_record(project, "ok", *(f"lost {number}" for number in range(7)))
    fill(project, "ok", "convert")
    (notice,) = run(STAGE).notices
    assert "lost 4 has no convert; 2 more videos lack results." in notice
    listed = json.loads((workspace.delivered / "13 Camille" / "rushes.json").read_text())
    assert len(listed["missing"]) == 7


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (None, NotFound),
        ('{"schema": "rushes.project/1"}', ResultsDiffer),
        ('{"schema": "rushes.project/1", "videos": [1]}', ResultsDiffer),
    ],
    ids=["absent", "without videos", "damaged"],
)
def test_a_project_whose_videos_are_not_known_is_not_called_complete(
    filled: Project, workspace: Workspace, run: Run, record: str | None, error: type[Exception]
) -> None:
    place = filled.root / "project.json"
    place.write_text(record) if record else place.unlink()
    with pytest.raises(error, match=r"project\.json"):
        run(STAGE)
    assert not list(workspace.delivered.iterdir())


def test_repeated_it_is_cached_even_though_its_own_manifest_is_new(filled: Project, run: Run) -> None:
    assert not run(STAGE).cached
    assert run(STAGE).cached


def test_a_removed_delivery_is_made_again(filled: Project, workspace: Workspace, run: Run) -> None:
    run(STAGE)
    first = contents(workspace.delivered / "13 Camille")
    subprocess.run(["rm", "-r", "--", str(workspace.delivered / "13 Camille")], check=True)
    assert not run(STAGE).cached
    assert contents(workspace.delivered / "13 Camille") == first


def test_a_delivery_that_lost_a_file_is_not_called_delivered(
    filled: Project, workspace: Workspace, run: Run
) -> None:
    first = Path(run(STAGE).facts["output"])
    lost = next(path for path in (first / "docs").iterdir() if path.is_file())
    lost.unlink()
    again = run(STAGE)
    assert not again.cached
    whole = Path(again.facts["output"])
    assert whole != first, "nothing existing is touched"
    assert (whole / "docs" / lost.name).exists()
    assert run(STAGE).facts["output"] == str(whole), "whole again, and not copied again"
    assert run(STAGE).cached


def test_identical_content_is_not_copied_twice(filled: Project, workspace: Workspace, run: Run) -> None:
    run(STAGE)
    inode = (workspace.delivered / "13 Camille" / "docs" / "clip.mp4").stat().st_ino
    os.utime(filled.docs / "clip.mp4")
    (filled.analysis / "clip" / "scenes.manifest.json").write_text('{"seconds": 2}')
    result = run(STAGE)
    assert not result.cached
    assert result.facts["already_delivered"] == "true"
    assert [path.name for path in workspace.delivered.iterdir()] == ["13 Camille"]
    assert (workspace.delivered / "13 Camille" / "docs" / "clip.mp4").stat().st_ino == inode


def test_other_content_of_the_same_name_goes_beside(filled: Project, workspace: Workspace, run: Run) -> None:
    run(STAGE)
    first = contents(workspace.delivered / "13 Camille")
    (filled.docs / "clip.mp4").write_bytes(b"second delivery")
    second = run(STAGE)
    (filled.docs / "clip.mp4").write_bytes(b"third delivery!")
    third = run(STAGE)
    assert contents(workspace.delivered / "13 Camille") == first
    assert second.facts["output"] == str(workspace.delivered / "13 Camille v2")
    assert third.facts["output"] == str(workspace.delivered / "13 Camille v3")
    assert (workspace.delivered / "13 Camille v2" / "docs" / "clip.mp4").read_bytes() == b"second delivery"


def _edit(final: Path) -> None:
    (final / "docs" / 'a "b".txt').write_bytes(b"X" * 3000)


def _lose(final: Path) -> None:
    (final / "docs" / 'a "b".txt').unlink()


def _break(final: Path) -> None:
    (final / "rushes.json").write_text(
        '{"schema": "rushes.delivery/1", "project": "13 Camille", "files": [7]}'
    )


@pytest.mark.parametrize("harm", [_edit, _lose, _break])
def test_a_delivery_that_is_no_longer_intact_does_not_count(
    filled: Project, workspace: Workspace, run: Run, harm: Callable[[Path], None]
) -> None:
    run(STAGE)
    harm(workspace.delivered / "13 Camille")
    harmed = contents(workspace.delivered / "13 Camille")
    filled.manifest("finalize").unlink()
    assert run(STAGE).facts["output"] == str(workspace.delivered / "13 Camille v2")
    assert contents(workspace.delivered / "13 Camille") == harmed


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_whatever_has_the_name_is_left_alone(
    filled: Project, workspace: Workspace, run: Run, kind: str
) -> None:
    workspace.delivered.mkdir()
    place = workspace.delivered / "13 Camille"
    if kind == "file":
        place.write_text("mine")
    elif kind == "dangling link":
        place.symlink_to("nowhere")
    else:
        place.mkdir()
        if kind == "folder":
            (place / "edit.aep").write_text("mine")
    before = contents(place) if place.is_dir() else os.lstat(place).st_ino
    assert run(STAGE).facts["output"] == str(workspace.delivered / "13 Camille v2")
    assert (contents(place) if place.is_dir() else os.lstat(place).st_ino) == before


def test_names_that_begin_alike_never_cross(
    filled: Project, workspace: Workspace, run: Run, write_record: WriteRecord
) -> None:
    run(STAGE)
    other = workspace.project("13 Camille v2")
    (other.docs).mkdir(parents=True)
    (other.docs / "clip.mp4").write_bytes(b"another project")
    write_record(other, "clip")
    unit = Unit(task=Task(stage="finalize"), workspace=workspace, project=other)
    execute(STAGE, unit, Context(), Engines())
    (filled.docs / "clip.mp4").write_bytes(b"second delivery")
    assert run(STAGE).facts["output"] == str(workspace.delivered / "13 Camille v3")
    assert (workspace.delivered / "13 Camille v2" / "docs" / "clip.mp4").read_bytes() == b"another project"


@pytest.mark.parametrize(
    "output",
    ["projects", "projects/13 Camille", "projects/13 Camille/docs", "link", "delivered/../projects"],
)
def test_a_destination_among_the_projects_is_refused(
    filled: Project, workspace: Workspace, run: Run, output: str
) -> None:
    (workspace.root / "link").symlink_to(workspace.projects)
    workspace.delivered.mkdir()
    before = contents(workspace.root)
    with pytest.raises(InvalidInput, match="overlap"):
        run(STAGE, output=output)
    assert contents(workspace.root) == before


def test_a_destination_above_the_projects_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "camille")
    project = workspace.project("camille")
    project.docs.mkdir(parents=True)
    project.analysis.mkdir()
    (project.docs / "a").write_text("a")
    choice = EngineChoice(settings={"output": str(tmp_path)})
    unit = Unit(task=Task(stage="finalize", engine=choice), workspace=workspace, project=project)
    with pytest.raises(InvalidInput, match="overlap"):
        execute(STAGE, unit, Context(), Engines())


def test_an_unmounted_destination_is_not_created(filled: Project, tmp_path: Path, run: Run) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        run(STAGE, output=str(tmp_path / "drive"))
    assert not (tmp_path / "drive").exists()


def test_links_are_not_followed_out_of_the_project(filled: Project, tmp_path: Path, run: Run) -> None:
    (tmp_path / "secret").mkdir()
    (filled.docs / "friendly").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInput, match="docs/friendly"):
        run(STAGE)


def test_an_empty_project_is_refused(project: Project, run: Run) -> None:
    with pytest.raises(InvalidInput, match="nothing to deliver"):
        run(STAGE)


def test_half_written_files_are_not_delivered(filled: Project, workspace: Workspace, run: Run) -> None:
    (filled.docs / ".0123abcdwxyz_123.partial.json").write_text("half")
    run(STAGE)
    assert ".0123abcdwxyz_123.partial.json" not in str(list(contents(workspace.delivered)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_too_small_is_told_before_anything_is_written(
    filled: Project, small_disk: Path, run: Run
) -> None:
    (filled.docs / "big.mov").write_bytes(bytes(1_000_000))
    with pytest.raises(StorageFull, match="free"):
        run(STAGE, output=str(small_disk))
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile(filled: Project, workspace: Workspace, small_disk: Path) -> None:
    (filled.docs / "zz big.mov").write_bytes(bytes(600_000))
    before = source(filled)

    class Intruder(Context):
        def progress(self, *_: object) -> None:
            if not (small_disk / "theirs").exists():
                (small_disk / "theirs").write_bytes(bytes(800_000))

    choice = EngineChoice(settings={"output": str(small_disk)})
    unit = Unit(task=Task(stage="finalize", engine=choice), workspace=workspace, project=filled)
    with pytest.raises(StorageFull, match="full"):
        execute(STAGE, unit, Intruder(), Engines())
    assert [path.name for path in small_disk.iterdir()] == ["theirs"]
    assert source(filled) == before
    assert not filled.manifest("finalize").exists()


class Meddler(Context):
    """Does something once, after the first piece has been copied."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action: Callable[[], object] | None = action

    def progress(self, *_: object) -> None:
        if action := self._action:
            self._action = None
            action()


def finalize(workspace: Workspace, project: Project, context: Context) -> StageResult:
    unit = Unit(task=Task(stage="finalize"), workspace=workspace, project=project)
    return execute(STAGE, unit, context, Engines())


def test_stopped_nothing_is_left(filled: Project, workspace: Workspace) -> None:
    def stop() -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        finalize(workspace, filled, Meddler(stop))
    assert list(workspace.delivered.iterdir()) == []


def test_a_source_that_changes_is_noticed(filled: Project, workspace: Workspace) -> None:
    with pytest.raises(ResultsDiffer, match=r"sub folder.* changed"):
        finalize(
            workspace,
            filled,
            Meddler(lambda: (filled.docs / "sub folder/日本/{x}.json").write_bytes(b"changed meanwhile")),
        )
    assert list(workspace.delivered.iterdir()) == []


def test_a_second_task_does_not_interfere(filled: Project, workspace: Workspace) -> None:
    def second() -> None:
        with pytest.raises(Unavailable, match="another task"):
            finalize(workspace, filled, Context())

    finalize(workspace, filled, Meddler(second))
    assert contents(workspace.delivered / "13 Camille")["docs/-rf"] == source(filled)["docs/-rf"]


def test_what_a_killed_task_left_is_cleared(filled: Project, workspace: Workspace) -> None:
    class Killed(BaseException):
        pass

    left: list[Path] = []

    def look() -> None:
        left.extend(workspace.delivered.iterdir())
        raise Killed

    with pytest.raises(Killed):
        finalize(workspace, filled, Meddler(look))
    (left[0] / "docs").mkdir(parents=True)
    (left[0] / "docs" / "clip.mp4").write_bytes(b"half")
    finalize(workspace, filled, Context())
    assert [path.name for path in workspace.delivered.iterdir()] == ["13 Camille"]


def test_a_name_taken_meanwhile_is_not_replaced(filled: Project, workspace: Workspace) -> None:
    def take() -> None:
        (workspace.delivered / "13 Camille").mkdir()
        (workspace.delivered / "13 Camille" / "theirs").write_text("theirs")

    result = finalize(workspace, filled, Meddler(take))
    assert result.facts["output"] == str(workspace.delivered / "13 Camille v2")
    assert contents(workspace.delivered / "13 Camille") == {"theirs": b"theirs"}


def test_a_copy_that_came_out_wrong_is_noticed(filled: Project, tmp_path: Path) -> None:
    item = next(item for item in inventory(filled) if item.size_bytes)
    target = tmp_path / "copy"

    def lose(_size: int) -> None:
        # As a bad disk would: what was written is not what is read back.
        target.unlink()
        target.write_bytes(b"something else")

    with pytest.raises(ResultsDiffer, match="differs from the original"):
        copy_verified(item, target, lose)
