"""Nothing outside the workspace can be named."""

from pathlib import Path

import pytest

from rushes.errors import InvalidInput, OutsideWorkspace
from rushes.workspace import Workspace


@pytest.mark.parametrize(
    "uri",
    ["../secret", "/etc/passwd", "file:///etc/passwd", "projects/../../x", "file:///%2e%2e/etc", "link/x"],
)
def test_uris_that_lead_out_are_refused(tmp_path: Path, uri: str) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    with pytest.raises(OutsideWorkspace):
        Workspace(root).resolve(uri)


@pytest.mark.parametrize("uri", ["http://host/x.mp4", "file://host/x.mp4", "", "a\0b"])
def test_uris_that_are_no_local_files_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InvalidInput):
        Workspace(tmp_path).resolve(uri)


def test_the_three_forms_of_a_path_inside_agree(tmp_path: Path) -> None:
    workspace, expected = Workspace(tmp_path), (tmp_path / "projects" / "é à.mp4").resolve()
    assert workspace.resolve("projects/é à.mp4") == expected
    assert workspace.resolve(str(tmp_path / "projects/é à.mp4")) == expected
    assert workspace.resolve(f"file://{tmp_path}/projects/%C3%A9%20%C3%A0.mp4") == expected


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\\b"])
def test_project_names_are_plain_folder_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideWorkspace):
        Workspace(tmp_path).project(name)


def test_stems_stay_in_their_project(tmp_path: Path) -> None:
    project = Workspace(tmp_path).project("13 Camille")
    assert project.video("day 1/clip").shots == (project.analysis / "day 1/clip/shots.json").resolve()
    with pytest.raises(OutsideWorkspace):
        project.video("../../other/clip")
