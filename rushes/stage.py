"""A stage: what it reads, what it writes and which engines it has.

Services declare their stages with the classes here and name them in the entry-point group
`rushes.stages`; the worker, the command line and the gRPC doors all run them through
`rushes.execution`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from rushes.api.events.v1.events_pb2 import Task
from rushes.context import Context
from rushes.errors import MissingPart, NotFound, SettingsInvalid
from rushes.workspace import Project, VideoFolder, Workspace


class StageSettings(BaseModel):
    """Base of a stage's settings; values arrive as text, unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SettingsT = TypeVar("SettingsT", bound=StageSettings)


class Engine(Protocol):
    """What `EngineSpec.load` returns; each stage extends it with its own method."""

    def close(self) -> None:
        """Frees models and threads."""


@dataclass(frozen=True, kw_only=True)
class EngineSpec(Generic[SettingsT]):
    """An interchangeable implementation inside a stage.

    Attributes:
        name: What the user calls it.
        version: Returns the version of its code and weights, without loading them.
        missing: Returns why it cannot run here, or an empty string; cheap, imports nothing heavy.
        load: Loads it on a device; heavy imports happen here.
        devices: Kinds of device that it can use.
    """

    name: str
    version: Callable[[SettingsT], str]
    load: Callable[[SettingsT, str], Any]
    missing: Callable[[SettingsT], str] = lambda _settings: ""
    devices: Sequence[str] = ("cpu",)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Where one task works.

    Attributes:
        task: The task as it was sent.
        workspace: None when a single stage runs on a file of its own.
        project: None then as well, and for `extract`, which makes it.
        video: None for a stage that works on the whole project.
    """

    task: Task
    workspace: Workspace | None = None
    project: Project | None = None
    video: VideoFolder | None = None

    def require_video(self) -> VideoFolder:
        """Returns the files of the video.

        Raises:
            SettingsInvalid: The task names none.
        """
        if self.video is None:
            raise SettingsInvalid(f"The stage {self.task.stage!r} works on one video; none was named.")
        return self.video

    def require_project(self) -> Project:
        """Returns the project.

        Raises:
            SettingsInvalid: The task names none.
        """
        if self.project is None:
            raise SettingsInvalid(f"The stage {self.task.stage!r} works on a project; none was named.")
        return self.project

    def require_workspace(self) -> Workspace:
        """Returns the workspace.

        Raises:
            SettingsInvalid: The task runs outside any.
        """
        if self.workspace is None:
            raise SettingsInvalid(f"The stage {self.task.stage!r} needs a workspace.")
        return self.workspace


@dataclass(frozen=True, kw_only=True)
class FoundVideo:
    """A video that `extract` found or `convert` made; see the contract's Video."""

    stem: str
    source: str
    frame_count: int = 0
    frame_rate: str = "25"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a stage made.

    Attributes:
        outputs: Files written, by role.
        done, expected, unit: Coverage; unit is `frames`, `seconds` or `files`.
        facts: Stated facts, for instance {"no_audio_track": "true"}.
        videos: Videos found or converted.
        project: Project that the delivery became, from `extract`.
    """

    outputs: Mapping[str, Path]
    done: float
    expected: float
    unit: str
    facts: Mapping[str, str] = field(default_factory=dict)
    videos: Sequence[FoundVideo] = ()
    project: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[SettingsT]):
    """A kind of work.

    Attributes:
        name: Name of the stage.
        settings: Its settings.
        engines: Its engines by name; the first one that is not missing is the default.
        inputs: Returns what the outputs depend on, by role: files, or digests where the stage knows better.
        run: Does the work with a loaded engine and commits every output before it returns.
        manifest: Returns where the manifest of a unit lies, given the digests of its inputs.
        made_by: Returns manifests that may already know the digests of the input files.
    """

    name: str
    settings: type[SettingsT]
    engines: Mapping[str, EngineSpec[SettingsT]]
    inputs: Callable[[Unit, SettingsT], Mapping[str, Path | str]]
    run: Callable[[Any, Unit, SettingsT, Context], Outcome]
    manifest: Callable[[Unit, Mapping[str, str]], Path]
    made_by: Callable[[Unit], Sequence[Path]] = lambda _unit: ()

    def parse(self, values: Mapping[str, str]) -> SettingsT:
        """Returns the settings for text values.

        Raises:
            SettingsInvalid: Names every key that is unknown or out of bounds.
        """
        try:
            return self.settings.model_validate(dict(values))
        except ValidationError as error:
            problems = " ".join(self._explained(problem) for problem in error.errors())
            known = ", ".join(self.settings.model_fields) or "none"
            raise SettingsInvalid(problems, remedy=f"Known settings: {known}.") from error

    def _explained(self, problem: ErrorDetails) -> str:
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] != "extra_forbidden":
            return f"{self.name}.{key}: {problem['msg']}."
        close = get_close_matches(key, self.settings.model_fields, n=1)
        return f"Unknown setting {key!r} of {self.name}" + (f"; did you mean {close[0]!r}?" if close else ".")

    def choose(self, name: str, settings: SettingsT) -> tuple[EngineSpec[SettingsT], list[str]]:
        """Returns the engine of a name, or the default, and what the user should be told about it.

        Raises:
            SettingsInvalid: There is no engine of that name.
            MissingPart: The named engine, or every engine, lacks something.
        """
        if name:
            if name not in self.engines:
                raise SettingsInvalid(
                    f"The stage {self.name!r} has no engine {name!r}.",
                    remedy=f"Engines: {', '.join(self.engines)}.",
                )
            if reason := self.engines[name].missing(settings):
                raise MissingPart(f"The engine {name!r} cannot run: {reason}", remedy="See `rushes doctor`.")
            return self.engines[name], []
        notices: list[str] = []
        for spec in self.engines.values():
            reason = spec.missing(settings)
            if not reason:
                return spec, [f"{notice} Falling back to {spec.name}." for notice in notices[:1]]
            notices.append(f"The {self.name} engine {spec.name!r} cannot run: {reason}")
        raise MissingPart(" ".join(notices), remedy="See `rushes doctor`.")


@lru_cache
def stages() -> Mapping[str, Stage[Any]]:
    """Returns every installed stage by name, importing their declarations."""
    return {entry.name: entry.load() for entry in entry_points(group="rushes.stages")}


def stage(name: str) -> Stage[Any]:
    """Returns a stage by name, importing only its own declaration.

    Raises:
        NotFound: There is none.
    """
    for entry in entry_points(group="rushes.stages", name=name):
        found = entry.load()
        assert isinstance(found, Stage)
        return found
    known = ", ".join(sorted(entry.name for entry in entry_points(group="rushes.stages")))
    raise NotFound(f"There is no stage {name!r}.", remedy=f"Stages: {known}.")
