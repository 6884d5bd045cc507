"""The stage `extract`: a delivery becomes a project, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rushes.artifacts import sync
from rushes.context import Context
from rushes.errors import InvalidInput, Unavailable
from rushes.stage import FoundVideo, Outcome, Stage, Unit
from rushes.workspace import Project
from services.ingest import projects
from services.ingest.deliveries import deliveries_of, digest_of
from services.ingest.engine import EXTRACTORS, Extractor, ExtractSettings, Landed
from services.ingest.naming import project_name, stamped
from services.ingest.projects import ProjectRecord
from services.ingest.remarks import remarks
from services.ingest.stems import stems_of
from services.ingest.storing import link_or_copy, storing


def _inputs(unit: Unit, _settings: ExtractSettings) -> Mapping[str, str]:
    return {"delivery": digest_of(deliveries_of(unit.task.delivery))}


def _manifest(unit: Unit, digests: Mapping[str, str]) -> Path:
    settings = STAGE.parse(unit.task.engine.settings)
    return _project(unit, digests["delivery"], settings).manifest("extract")


def _project(unit: Unit, digest: str, settings: ExtractSettings) -> Project:
    first = deliveries_of(unit.task.delivery)[0]
    name = stamped(project_name(first.stem, settings.keyword), _created(unit))
    return projects.place_for(unit.require_workspace(), digest, name)


def _created(unit: Unit) -> datetime | None:
    if not unit.task.HasField("job_create_time"):
        return None
    return unit.task.job_create_time.ToDatetime(tzinfo=UTC)


def _run(engine: Extractor, unit: Unit, settings: ExtractSettings, context: Context) -> Outcome:
    digest = digest_of(deliveries_of(unit.task.delivery))
    project = _project(unit, digest, settings)
    # A project that is there was finished, and only its manifest is missing or of other settings.
    if not project.root.exists():
        _make(engine, unit, project, digest, settings, context)
    record = ProjectRecord.read(project.root)
    for notice in remarks(project, record):
        context.notice(notice)
    return Outcome(
        outputs={"project": project.root / projects.RECORD},
        done=record.files,
        expected=record.files + len(record.skipped),
        unit="files",
        facts=record.facts,
        videos=[FoundVideo(stem=video["stem"], source=video["source"]) for video in record.videos],
        project=project.name,
    )


def _make(
    engine: Extractor,
    unit: Unit,
    project: Project,
    digest: str,
    settings: ExtractSettings,
    context: Context,
) -> None:
    workspace = unit.require_workspace()
    deliveries = deliveries_of(unit.task.delivery)
    with storing(workspace.projects):
        workspace.projects.mkdir(parents=True, exist_ok=True)
        task = hashlib.sha256(f"{unit.task.job}\0{unit.task.id}".encode()).hexdigest()[:16]
        for stale in workspace.projects.glob(f".{task}.*.partial"):
            shutil.rmtree(stale)
        partial = Path(tempfile.mkdtemp(prefix=f".{task}.", suffix=".partial", dir=workspace.projects))
        try:
            partial.chmod(0o755)
            made = Project(partial)
            made.originals.mkdir()
            made.analysis.mkdir()
            landed = engine.land(deliveries, made.originals, settings.limits, context)
            _fill_docs(made, landed)
            record = _record(landed, digest, [delivery.name for delivery in deliveries], _created(unit))
            record.write(partial)
            if digest_of(deliveries_of(unit.task.delivery)) != digest:
                raise InvalidInput(
                    f"{deliveries[0].name} changed while it was being read.",
                    remedy="Deliver it again once it is complete.",
                )
            for folder, _, _ in os.walk(partial):
                sync(Path(folder))
            context.check()
            _publish(partial, unit, project, digest)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, unit: Unit, project: Project, digest: str) -> None:
    workspace = unit.require_workspace()
    if projects.find(workspace, digest) or project.root.exists():
        raise Unavailable(f"The project {project.name!r} was made by another task at the same moment.")
    partial.rename(project.root)
    sync(workspace.projects)


def _fill_docs(project: Project, landed: Landed) -> None:
    project.docs.mkdir()
    for file in landed.files:
        if not file.is_video:
            target = project.docs / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(project.originals / file.path, target)


def _record(landed: Landed, digest: str, delivery: list[str], created: datetime | None) -> ProjectRecord:
    videos = [file.path for file in landed.files if file.is_video]
    others = [file.path for file in landed.files if not file.is_video]
    renamed = {f"originals/{file.path}": file.name for file in landed.files if file.renamed}
    return ProjectRecord(
        digest=digest,
        delivery=delivery,
        created=projects.iso(created),
        files=len(landed.files),
        videos=[
            {"stem": stem, "source": f"originals/{path}"}
            for stem, path in zip(stems_of(videos, others), videos, strict=True)
        ],
        facts={
            "members": str(len(landed.files)),
            "videos": str(len(videos)),
            "junk_dropped": str(landed.junk),
            "renamed": str(len(renamed)),
            "skipped": str(len(landed.skipped)),
            "linked": str(landed.linked),
            "bytes": str(landed.size),
        },
        renamed=renamed,
        skipped=landed.skipped,
    )


STAGE: Stage[ExtractSettings] = Stage(
    name="extract",
    settings=ExtractSettings,
    engines=EXTRACTORS,
    inputs=_inputs,
    run=_run,
    manifest=_manifest,
)
"""A delivery becomes a project."""
