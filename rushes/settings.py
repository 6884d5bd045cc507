"""Settings of every process: from the environment (`RUSHES_…`), else from `rushes.toml`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rushes.errors import SettingsInvalid

_PREFIX = "RUSHES_"
_ELSEWHERE = frozenset({"RUSHES_TEST_MEDIA", "RUSHES_REQUIRE_MEDIA", "RUSHES_REQUIRE_GPU"})
"""Variables of the tests, which no process reads."""


class Settings(BaseSettings):
    """What a process needs to know about its surroundings; one object a process."""

    model_config = SettingsConfigDict(extra="forbid", toml_file="rushes.toml", frozen=True)

    workspace: Annotated[Path, Field(description="Storage root that the services share.")] = Path("workspace")
    allowed_roots: Annotated[
        tuple[Path, ...],
        Field(description="Folders outside the workspace that jobs may read from and deliver to."),
    ] = ()
    models_dir: Annotated[Path | None, Field(description="Folder of the model weights.")] = None
    nats_url: Annotated[str | None, Field(description="NATS server; `rushes` starts one when unset.")] = None
    jobs_address: Annotated[
        str | None, Field(description="Address of a running JobService, as host:port, for clients.")
    ] = None
    grpc_host: Annotated[str, Field(description="Interface that a service listens on.")] = "127.0.0.1"
    grpc_port: Annotated[int, Field(ge=0, le=65535, description="Port of a service; 0 for a free one.")] = 0
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Port of /metrics for Prometheus; 0 for none.")
    ] = 0
    slots: Annotated[int, Field(ge=1, le=256, description="Tasks that a service runs at a time.")] = 1
    warm: Annotated[
        bool, Field(description="Load the default engines at the start instead of at the first task.")
    ] = True
    ack_wait_s: Annotated[
        float, Field(ge=1, le=3600, description="Silence after which the bus gives a task to another worker.")
    ] = 60
    heartbeat_s: Annotated[
        float, Field(gt=0, le=1200, description="How often a worker says that it still works on a task.")
    ] = 20
    stall_timeout_s: Annotated[
        float, Field(gt=0, description="Time without any progress after which an engine is killed.")
    ] = 900
    max_deliveries: Annotated[
        int, Field(ge=1, le=100, description="Times that the bus delivers one attempt before it gives up.")
    ] = 5
    log_format: Annotated[Literal["text", "json"], Field(description="Form of the log lines.")] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="Least level.")] = (
        "info"
    )

    @field_validator("allowed_roots", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.split(os.pathsep))) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _heartbeats_outrun_the_bus(self) -> Self:
        if self.heartbeat_s > self.ack_wait_s / 2:
            raise ValueError("heartbeat_s may be half of ack_wait_s at most, or running tasks are given away")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads what `load` took from the environment first, then the file."""
        return init_settings, TomlConfigSettingsSource(settings_cls)


def load(environment: Mapping[str, str] | None = None, *, workspace: Path | None = None) -> Settings:
    """Returns the settings of this process.

    Args:
        environment: Used in place of the process environment, in tests.
        workspace: Overrides whatever else is said about it.

    Raises:
        SettingsInvalid: Names every unknown variable or key and every bad value.
    """
    if environment is None:
        environment = os.environ
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | _ELSEWHERE
    if unknown := sorted(name for name in environment if name.startswith(_PREFIX) and name not in known):
        raise SettingsInvalid(
            f"Unknown environment variable: {', '.join(unknown)}.",
            remedy=f"Known: {', '.join(sorted(known))}.",
        )
    given: dict[str, Any] = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(_PREFIX) and name not in _ELSEWHERE and value
    }
    if workspace is not None:
        given["workspace"] = workspace
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SettingsInvalid(f"Settings are not valid: {problems}.") from error
