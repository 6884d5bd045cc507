"""Deliveries become projects: whole, once, recognised again, the sources untouched."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rushes.api.common.v1.common_pb2 import CoverageUnit, StageResult
from rushes.errors import Cancelled, InvalidInput, SettingsInvalid, StorageFull, Unavailable
from rushes.workspace import Workspace
from services.ingest import storing
from services.ingest.projects import ProjectRecord

Extract = Callable[..., StageResult]
MakeZip = Callable[..., Path]
Tree = Callable[[Path], dict[str, bytes]]
NAME = "13 Camille 2025-10-06_07-51-55"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in" / "13_Camille"
    (root / "cam").mkdir(parents=True)
    (root / "cam" / "a.mov").write_bytes(b"video a")
    (root / "b.mp4").write_bytes(b"video b")
    (root / "notes.txt").write_text("notes")
    (root / ".DS_Store").write_bytes(b"junk")
    return root


def test_a_zip_becomes_a_project(
    tree: Tree, make_zip: MakeZip, do_extract: Extract, workspace: Workspace, told: Any
) -> None:
    path = make_zip(
        "13_Camille.zip",
        {
            "Rushes/a.mp4": b"aa",
            "Rushes/sub/b.mov": b"bb",
            "Rushes/notes.txt": b"n",
            "Rushes/empty/": b"",
            "__MACOSX/Rushes/._a.mp4": b"j",
            "Rushes/Thumbs.db": b"j",
        },
    )
    before = path.read_bytes()
    result = do_extract(path)
    project = workspace.project(NAME)
    assert result.project == NAME
    assert tree(project.originals) == {"a.mp4": b"aa", "sub/b.mov": b"bb", "notes.txt": b"n"}
    assert tree(project.docs) == {"notes.txt": b"n"}
    assert [(video.stem, video.source) for video in result.videos] == [
        ("a", "originals/a.mp4"),
        ("sub/b", "originals/sub/b.mov"),
    ]
    assert dict(result.facts) == {
        "members": "3",
        "videos": "2",
        "junk_dropped": "2",
        "renamed": "0",
        "skipped": "0",
        "linked": "0",
        "bytes": "5",
    }
    coverage = result.coverage
    assert (coverage.done, coverage.expected, coverage.unit) == (3, 3, CoverageUnit.COVERAGE_UNIT_FILES)
    assert [artifact.path for artifact in result.artifacts] == [f"projects/{NAME}/project.json"]
    assert told.phases[-1] == ("extract", 5, 5, "bytes")
    assert path.read_bytes() == before
    assert [entry.name for entry in workspace.projects.iterdir()] == [NAME]
    record = ProjectRecord.read(project.root)
    assert (record.delivery, record.created) == (["13_Camille.zip"], "2025-10-06T07:51:55+00:00")


def test_members_keep_their_time(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    do_extract(make_zip("13_Camille.zip", {"a.mp4": b"aa"}))
    modified = (workspace.project(NAME).originals / "a.mp4").stat().st_mtime
    assert modified != 0
    assert modified % 2 == 0  # Zip times count in steps of two seconds.


def test_the_same_archive_twice_is_recognised(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    path = make_zip("13_Camille.zip", {"a.mp4": b"aa"})
    first = do_extract(path)
    moved = path.parent / "elsewhere" / path.name
    moved.parent.mkdir()
    shutil.copyfile(path, moved)
    second = do_extract(moved, task="later", created=None)
    assert (first.cached, second.cached) == (False, True)
    assert second.project == first.project
    assert len(list(workspace.projects.iterdir())) == 1


def test_the_same_name_with_other_content_is_a_project_of_its_own(
    tree: Tree, make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    names = [
        do_extract(make_zip("13_Camille.zip", {"a.mp4": content})).project for content in (b"1", b"2", b"3")
    ]
    assert names == [NAME, f"{NAME}-2", f"{NAME}-3"]
    assert tree(workspace.project(f"{NAME}-2").originals) == {"a.mp4": b"2"}


def test_a_crash_between_project_and_manifest_is_recovered(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    path = make_zip("13_Camille.zip", {"a.mp4": b"aa", "b?.mp4": b"b"})
    first = do_extract(path)
    workspace.project(NAME).manifest("extract").unlink()
    second = do_extract(path)
    assert not second.cached
    assert (second.project, second.facts, second.videos) == (first.project, first.facts, first.videos)
    assert len(list(workspace.projects.iterdir())) == 1


def test_other_settings_find_the_same_project(make_zip: MakeZip, do_extract: Extract) -> None:
    path = make_zip("13_Camille.zip", {"a.mp4": b"aa"})
    assert do_extract(path).project == do_extract(path, keyword="Zoe").project == NAME


def test_what_a_killed_attempt_left_is_cleared(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip("13_Camille.zip", {"a.mp4": b"aa"})
    with monkeypatch.context() as patch:
        patch.setattr("services.ingest.extract._publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr("services.ingest.extract.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            do_extract(path)
    other = workspace.projects / ".0123.x.partial"
    other.mkdir()
    assert len(list(workspace.projects.iterdir())) == 2
    do_extract(path)
    assert sorted(entry.name for entry in workspace.projects.iterdir()) == [other.name, NAME]


def test_losing_the_race_for_a_name_is_passing(
    tree: Tree, make_zip: MakeZip, do_extract: Extract, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip("13_Camille.zip", {"a.mp4": b"aa"})
    from services.ingest import extract

    fill = extract._fill_docs

    def rival(*arguments: object) -> None:
        fill(*arguments)
        (workspace.projects / NAME / "docs").mkdir(parents=True)

    with monkeypatch.context() as patch:
        patch.setattr(extract, "_fill_docs", rival)
        with pytest.raises(Unavailable) as caught:
            do_extract(path)
    assert caught.value.retryable
    assert do_extract(path).project == f"{NAME}-2"
    assert tree(workspace.projects / NAME) == {}


def test_a_folder_is_linked_and_left_as_it_was(
    tree: Tree, folder: Path, do_extract: Extract, workspace: Workspace
) -> None:
    before = tree(folder)
    result = do_extract(folder)
    project = workspace.project(NAME)
    assert tree(project.originals) == {
        name: content for name, content in before.items() if "DS_Store" not in name
    }
    assert tree(project.docs) == {"notes.txt": b"notes"}
    assert tree(folder) == before
    assert (project.originals / "b.mp4").samefile(folder / "b.mp4")
    assert (project.docs / "notes.txt").samefile(folder / "notes.txt")
    assert (result.facts["linked"], result.facts["junk_dropped"]) == ("3", "1")
    assert do_extract(folder).cached


def test_a_folder_on_another_disk_is_copied_with_its_times(
    folder: Path, do_extract: Extract, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(storing.os, "link", refuse)
    os.utime(folder / "b.mp4", ns=(0, 1_600_000_000_000_000_000))
    result = do_extract(folder)
    copy = workspace.project(NAME).originals / "b.mp4"
    assert result.facts["linked"] == "0"
    assert copy.read_bytes() == b"video b"
    assert not copy.samefile(folder / "b.mp4")
    assert copy.stat().st_mtime_ns == 1_600_000_000_000_000_000


def test_a_full_disk_is_said_and_leaves_nothing(
    folder: Path, do_extract: Extract, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storing.os, "link", full)
    with pytest.raises(StorageFull, match="is full"):
        do_extract(folder)
    assert list(workspace.projects.iterdir()) == []


def test_a_changed_folder_is_another_delivery(folder: Path, do_extract: Extract) -> None:
    do_extract(folder)
    (folder / ".DS_Store").write_bytes(b"the finder was here")
    assert do_extract(folder).cached
    (folder / "c.mp4").write_bytes(b"one more")
    assert do_extract(folder).project == f"{NAME}-2"


def test_a_folder_that_changes_meanwhile_is_not_taken(
    folder: Path, do_extract: Extract, workspace: Workspace, told: Any
) -> None:
    told.progress = lambda *_: (folder / "late.mp4").write_bytes(b"still coming")
    with pytest.raises(InvalidInput, match="changed while it was being read"):
        do_extract(folder)
    assert list(workspace.projects.iterdir()) == []


def test_links_never_lead_out_of_a_folder(
    tree: Tree, folder: Path, tmp_path: Path, do_extract: Extract, workspace: Workspace, told: Any
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "s.mp4").write_bytes(b"secret")
    (folder / "out.mp4").symlink_to(secret / "s.mp4")
    (folder / "outdir").symlink_to(secret)
    (folder / "gone.mp4").symlink_to("nowhere")
    (folder / "inside.mp4").symlink_to("cam/a.mov")
    os.mkfifo(folder / "pipe.mp4")
    result = do_extract(folder)
    landed = tree(workspace.project(NAME).originals)
    assert landed["inside.mp4"] == b"video a"
    assert b"secret" not in landed.values()
    assert not any(path.is_symlink() for path in workspace.project(NAME).root.rglob("*"))
    assert result.facts["skipped"] == "4"
    assert (result.coverage.done, result.coverage.expected) == (4, 8)
    assert any("left out" in notice for notice in told.notices)


def test_loose_videos_become_one_project(
    tree: Tree, tmp_path: Path, do_extract: Extract, workspace: Workspace
) -> None:
    first, second, third = (tmp_path / name for name in ("13_Camille.mp4", "b/clip.mov", "c/clip.mov"))
    for index, path in enumerate((first, second, third)):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([index]))
    result = do_extract(first, second, third)
    assert result.project == NAME
    assert tree(workspace.project(NAME).originals) == {
        "13_Camille.mp4": b"\0",
        "clip.mov": b"\1",
        "clip (2).mov": b"\2",
    }
    assert [video.stem for video in result.videos] == ["13_Camille", "clip", "clip (2)"]


def test_several_deliveries_keep_apart(
    tree: Tree, folder: Path, tmp_path: Path, make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    loose = tmp_path / "loose.mp4"
    loose.write_bytes(b"l")
    result = do_extract(make_zip("14_Camille.zip", {"b.mp4": b"z"}), folder, loose)
    assert result.project.startswith("14 Camille")
    assert set(tree(workspace.project(result.project).originals)) == {
        "14_Camille/b.mp4",
        "13_Camille/b.mp4",
        "13_Camille/cam/a.mov",
        "13_Camille/notes.txt",
        "loose.mp4",
    }


def test_names_that_must_change_are_recorded(
    tree: Tree, make_zip: MakeZip, do_extract: Extract, workspace: Workspace, told: Any
) -> None:
    result = do_extract(make_zip("13_Camille.zip", {"a:x.mp4": b"1", "a?x.mp4": b"2", "é.mp4": b"3"}))
    project = workspace.project(NAME)
    assert tree(project.originals) == {"a_x.mp4": b"1", "a_x (2).mp4": b"2", "é.mp4": b"3"}
    assert ProjectRecord.read(project.root).renamed == {
        "originals/a_x.mp4": "a:x.mp4",
        "originals/a_x (2).mp4": "a?x.mp4",
    }
    assert result.facts["renamed"] == "2"
    assert any("2 files were renamed" in notice for notice in told.notices)


def test_videos_that_differ_by_suffix_have_stems_of_their_own(make_zip: MakeZip, do_extract: Extract) -> None:
    result = do_extract(make_zip("13_Camille.zip", {"a.mov": b"1", "A.mp4": b"2", "b.mkv": b"3"}))
    assert [video.stem for video in result.videos] == ["a.mov", "A.mp4", "b"]
    (notice,) = result.notices
    assert (
        notice == "Videos whose names would be the same without their suffix keep it as part: a.mov, A.mp4."
    )


@pytest.mark.parametrize(
    ("names", "ending"),
    [
        (["Sound/boom.WAV"], ": Sound/boom.WAV."),
        (
            [f"{kind}.{kind}" for kind in ("aac", "aiff", "bwf", "flac", "m4a")],
            "bwf.bwf, flac.flac, m4a.m4a.",
        ),
        (
            [f"take {n}.mp3" for n in range(8)],
            ": " + ", ".join(f"take {n}.mp3" for n in range(5)) + " and 3 more.",
        ),
        (["notes.txt", "edit.aep"], ""),
    ],
    ids=["one", "five", "many", "none"],
)
def test_sound_files_are_kept_and_said_not_to_be_analysed(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace, names: list[str], ending: str
) -> None:
    path = make_zip("13_Camille.zip", {"a.mp4": b"1", **dict.fromkeys(names, b"s")})
    notices = list(do_extract(path).notices)
    assert [notice.startswith("Sound files are kept but not analysed") for notice in notices] == (
        [True] if ending else []
    )
    assert all(notice.endswith(ending) for notice in notices)
    assert all((workspace.project(NAME).docs / name).is_file() for name in names)
    workspace.project(NAME).manifest("extract").unlink()
    assert list(do_extract(path).notices) == notices  # A project that was there is told about as well.


def test_a_file_uri_and_a_relative_path_are_understood(
    folder: Path, do_extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = do_extract(Path(folder))
    monkeypatch.chdir(folder.parent)
    assert do_extract(Path(folder.name)).project == first.project
    assert do_extract(folder.as_uri()).cached


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("nothing.mp4", None, "does not exist"),
        ("empty.zip", b"", "empty"),
        ("letter.docx", b"\xd0\xcf\x11\xe0", "neither a video nor an archive"),
        ("folder", "dir", "empty folder"),
    ],
)
def test_what_cannot_be_taken_is_named(
    name: str, content: bytes | str | None, match: str, tmp_path: Path, do_extract: Extract
) -> None:
    path = tmp_path / name
    if content == "dir":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=match) as caught:
        do_extract(path)
    assert name in caught.value.message


def test_a_folder_without_video_is_named(folder: Path, do_extract: Extract) -> None:
    for path in (folder / "cam" / "a.mov", folder / "b.mp4"):
        path.unlink()
    with pytest.raises(InvalidInput, match="13_Camille holds no video"):
        do_extract(folder)


def test_no_delivery_at_all(do_extract: Extract) -> None:
    with pytest.raises(InvalidInput, match="Nothing was delivered"):
        do_extract()


def test_the_workspace_cannot_be_delivered_to_itself(workspace: Workspace, do_extract: Extract) -> None:
    workspace.root.mkdir(parents=True)
    (workspace.root / "a.mp4").write_bytes(b"x")
    with pytest.raises(InvalidInput, match="holds the workspace"):
        do_extract(workspace.root)


def test_settings_are_bounded(folder: Path, do_extract: Extract) -> None:
    with pytest.raises(SettingsInvalid, match=r"extract\.max_members"):
        do_extract(folder, max_members=0)


def test_cancelling_leaves_nothing(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace, told: Any
) -> None:
    def cancel() -> None:
        if told.phases:
            raise Cancelled("Stopped.")

    told.check = cancel
    with pytest.raises(Cancelled):
        do_extract(make_zip("13_Camille.zip", {"a.mp4": b"x" * 10, "b.mp4": b"y" * 10}))
    assert list(workspace.projects.iterdir()) == []


def test_names_that_are_not_utf8_are_read(
    tree: Tree, folder: Path, do_extract: Extract, workspace: Workspace
) -> None:
    (folder / os.fsdecode("été.mp4".encode("cp1252"))).write_bytes(b"latin")
    result = do_extract(folder)
    assert tree(workspace.project(NAME).originals)["été.mp4"] == b"latin"
    assert "été" in [video.stem for video in result.videos]


def test_what_may_not_be_read_is_named(
    folder: Path, do_extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "cam":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("services.ingest.deliveries.os.scandir", guarded)
    with pytest.raises(InvalidInput, match=r"13_Camille/cam may not be read"):
        do_extract(folder)
