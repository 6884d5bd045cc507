"""Where everything lies: the workspace, its projects, and the files of one video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from rushes.errors import InvalidInput, OutsideWorkspace


@dataclass(frozen=True, slots=True)
class VideoFolder:
    """The files of one video; also used outside any project, by single-stage commands.

    Attributes:
        video: The video that the stages analyse.
        analysis: Folder of the artefacts and manifests.
    """

    video: Path
    analysis: Path

    @property
    def shots(self) -> Path:
        """Shots of the video (JSON)."""
        return self.analysis / "shots.json"

    @property
    def speech(self) -> Path:
        """Who speaks when, with coverage and facts (JSON)."""
        return self.analysis / "speech.json"

    @property
    def diarization(self) -> Path:
        """Who speaks when, in the interchange format (RTTM)."""
        return self.analysis / "diarization.rttm"

    @property
    def tracks(self) -> Path:
        """Faces and objects per frame (Parquet)."""
        return self.analysis / "tracks.parquet"

    @property
    def speaking(self) -> Path:
        """Which face speaks when (JSON)."""
        return self.analysis / "speaking.json"

    def manifest(self, stage: str) -> Path:
        """Manifest of one stage."""
        return self.analysis / f"{stage}.manifest.json"


@dataclass(frozen=True, slots=True)
class Project:
    """The folder that a delivery becomes."""

    root: Path

    @property
    def name(self) -> str:
        """Folder name, unique in the workspace."""
        return self.root.name

    @property
    def originals(self) -> Path:
        """What was delivered, untouched."""
        return self.root / "originals"

    @property
    def docs(self) -> Path:
        """What the delivery held, with its videos at 25 fps and the reference exports."""
        return self.root / "docs"

    @property
    def analysis(self) -> Path:
        """Artefacts of every video."""
        return self.root / "analysis"

    def video(self, stem: str) -> VideoFolder:
        """Returns the files of one video.

        Raises:
            OutsideWorkspace: The stem leads out of the project.
        """
        return VideoFolder(video=confine(self.docs, f"{stem}.mp4"), analysis=confine(self.analysis, stem))

    def original(self, source: str) -> Path:
        """Returns a delivered file by its path relative to the project.

        Raises:
            OutsideWorkspace: The path leads out of the project.
        """
        return confine(self.root, source)

    def manifest(self, stage: str) -> Path:
        """Manifest of a stage that works on the whole project."""
        return self.analysis / f"{stage}.manifest.json"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The storage root that all services share."""

    root: Path

    @property
    def projects(self) -> Path:
        """Folder of the projects."""
        return self.root / "projects"

    @property
    def delivered(self) -> Path:
        """Where finished projects go when the caller names no other folder."""
        return self.root / "delivered"

    def project(self, name: str) -> Project:
        """Returns a project by its folder name.

        Raises:
            OutsideWorkspace: The name is not a plain folder name.
        """
        if name != PurePosixPath(name).name or name in {"", ".", ".."} or "\\" in name:
            raise OutsideWorkspace(f"{name!r} is not a project name.")
        return Project(confine(self.projects, name))

    def resolve(self, uri: str) -> Path:
        """Returns the path of a URI inside the workspace: relative, absolute or file://.

        Raises:
            InvalidInput: The URI has another scheme.
            OutsideWorkspace: It leads out of the workspace once links are resolved.
        """
        return confine(self.root, local_path(uri))


def permit(uri: str, workspace: Workspace, allowed_roots: Sequence[Path]) -> Path:
    """Returns the path of a URI that may lie in the workspace or below one of some other roots.

    Raises:
        InvalidInput: The URI is no path of this machine.
        OutsideWorkspace: It leads elsewhere once links are resolved.
    """
    path = local_path(uri)
    for root in (workspace.root, *allowed_roots):
        try:
            return confine(root, path)
        except OutsideWorkspace:
            continue
    raise OutsideWorkspace(
        f"{uri!r} is neither in the workspace nor in a folder that this server may use.",
        remedy="Put it into the workspace, or allow its folder (RUSHES_ALLOWED_ROOTS, `rushes up --allow`).",
    )


def local_path(uri: str) -> Path:
    """Returns the path that a plain path or file:// URI names.

    Raises:
        InvalidInput: The URI has another scheme or a host, or names nothing.
    """
    if not uri or "\0" in uri:
        raise InvalidInput("The path is empty or holds a null character.")
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        raise InvalidInput(f"{uri!r} is not a file of this machine.", remedy="Use a path or file:// URI.")
    return Path(unquote(parts.path))


def confine(root: Path, path: Path | str) -> Path:
    """Returns `path`, taken relative to `root`, once sure that it stays inside after resolution.

    Raises:
        OutsideWorkspace: It does not.
    """
    resolved_root = Path(os.path.realpath(root))
    resolved = Path(os.path.realpath(resolved_root / path))
    if resolved != resolved_root and not resolved.is_relative_to(resolved_root):
        raise OutsideWorkspace(f"{str(path)!r} leads out of {str(root)!r}.")
    return resolved
