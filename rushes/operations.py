"""Operations: the gRPC door of a stage service, over the same slots as the bus."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from rushes.api.common.v1.common_pb2 import Progress
from rushes.api.events.v1.events_pb2 import Task, TaskEvent
from rushes.api.operations.v1 import operations_pb2 as pb
from rushes.api.operations.v1 import operations_pb2_grpc as pb_grpc
from rushes.concurrency import stopped
from rushes.errors import Cancelled, InvalidInput, NotFound, OutsideWorkspace, from_failure, to_failure
from rushes.identifiers import identifier_of
from rushes.paging import page
from rushes.worker import Slots
from rushes.workspace import Workspace

log = logging.getLogger(__name__)

_KEPT = 1000
_OURS = frozenset({".rushes", "projects", "delivered"})
_ENDED = (
    pb.OperationState.OPERATION_STATE_SUCCEEDED,
    pb.OperationState.OPERATION_STATE_FAILED,
    pb.OperationState.OPERATION_STATE_CANCELLED,
)


class _Entry:
    def __init__(self, operation: pb.Operation) -> None:
        self.operation = operation
        self.changed = asyncio.Condition()
        self.work: asyncio.Task[None] | None = None


class Operations(pb_grpc.OperationsServiceServicer):
    """The operations of one service, kept in memory; the newest thousand are remembered."""

    def __init__(self, slots: Slots, workspace: Workspace) -> None:
        self.workspace = workspace
        self._slots = slots
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def start(self, stage: str, work: pb.Work) -> pb.Operation:
        """Starts a stage on one file; the same request_id returns the operation that it made.

        Raises:
            OutsideWorkspace: A URI leads out of the workspace, or into what rushes keeps there.
            InvalidInput: No folder for the artefacts is named, or request_id is no UUID.
            NotFound: The file does not exist.
        """
        video = self.workspace.resolve(work.video_uri)
        if not video.is_file():
            raise NotFound(f"{work.video_uri!r} is not a file of the workspace.")
        root = self.workspace.root.resolve()
        output = self.workspace.resolve(work.output_uri).relative_to(root)
        if not output.parts:
            raise InvalidInput("The artefacts need a folder of their own (output_uri).")
        if output.parts[0] in _OURS:
            raise OutsideWorkspace(f"{work.output_uri!r} is kept by rushes itself.")
        task = Task(stage=stage, source=str(video.relative_to(root)), output=str(output), engine=work.engine)
        return self.submit(task, work.request_id)

    def submit(self, task: Task, request_id: str) -> pb.Operation:
        """Starts a task of this service; the same request_id returns the operation that it made.

        Raises:
            InvalidInput: request_id is no UUID.
        """
        identifier = identifier_of(request_id)
        name = f"operations/{identifier}"
        if name in self._entries:
            return self._entries[name].operation
        task.job, task.id, task.attempt = "operations", identifier, 1
        operation = pb.Operation(name=name, stage=task.stage, state=pb.OperationState.OPERATION_STATE_QUEUED)
        operation.create_time.GetCurrentTime()
        task.job_create_time.CopyFrom(operation.create_time)
        entry = self._entries[name] = _Entry(operation)
        entry.work = asyncio.create_task(self._run(entry, task))
        self._forget()
        return operation

    async def watch(self, name: str) -> AsyncIterator[pb.Operation]:
        """Yields an operation now and after each change, until it has ended.

        Raises:
            NotFound: There is no such operation.
        """
        entry = self._entry(name)
        while True:
            snapshot = pb.Operation()
            snapshot.CopyFrom(entry.operation)
            yield snapshot
            if snapshot.state in _ENDED:
                return
            async with entry.changed:
                await entry.changed.wait_for(lambda: entry.operation != snapshot)  # noqa: B023 - awaited here

    async def cancel(self, name: str) -> pb.Operation:
        """Kills an operation and its children.

        Raises:
            NotFound: There is no such operation.
        """
        entry = self._entry(name)
        if entry.work is not None:
            await stopped(entry.work)
        if entry.operation.state not in _ENDED:  # It was stopped before it had begun.
            await self._end(entry, pb.OperationState.OPERATION_STATE_CANCELLED)
        return entry.operation

    async def close(self) -> None:
        """Kills every operation."""
        for name in list(self._entries):
            await self.cancel(name)

    async def _run(self, entry: _Entry, task: Task) -> None:
        operation = entry.operation

        def listen(event: TaskEvent) -> None:
            if event.HasField("progress"):
                operation.progress.CopyFrom(event.progress)
                updates.put_nowait(None)

        updates: asyncio.Queue[None] = asyncio.Queue()
        teller = asyncio.create_task(self._tell(entry, updates))
        state = pb.OperationState.OPERATION_STATE_FAILED
        try:
            async with self._slots.lend() as process:
                operation.state = pb.OperationState.OPERATION_STATE_RUNNING
                updates.put_nowait(None)
                event = await process.run(task, listen)
            if event.HasField("succeeded"):
                operation.result.CopyFrom(event.succeeded.result)
                state = pb.OperationState.OPERATION_STATE_SUCCEEDED
            else:
                operation.failure.CopyFrom(event.failed.failure)
        except asyncio.CancelledError:
            state = pb.OperationState.OPERATION_STATE_CANCELLED
            raise
        except Exception as error:  # The edge of the operation: whoever follows it is told.
            log.exception("%s failed.", operation.name)
            operation.failure.CopyFrom(to_failure(error))
        finally:
            await stopped(teller)
            await self._end(entry, state)

    async def _end(self, entry: _Entry, state: pb.OperationState.ValueType) -> None:
        entry.operation.state = state
        entry.operation.end_time.GetCurrentTime()
        async with entry.changed:
            entry.changed.notify_all()

    async def _tell(self, entry: _Entry, updates: asyncio.Queue[None]) -> None:
        while True:
            await updates.get()
            async with entry.changed:
                entry.changed.notify_all()

    def _entry(self, name: str) -> _Entry:
        try:
            return self._entries[name]
        except KeyError as error:
            raise NotFound(f"There is no {name!r} in this service.") from error

    def _forget(self) -> None:
        ended = [name for name, entry in self._entries.items() if entry.operation.state in _ENDED]
        for name in ended[: max(0, len(self._entries) - _KEPT)]:
            del self._entries[name]

    # The servicer: proto in, proto out.

    async def GetOperation(  # noqa: N802 - named by the contract
        self, request: pb.GetOperationRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> pb.GetOperationResponse:
        """Returns one operation."""
        return pb.GetOperationResponse(operation=self._entry(request.name).operation)

    async def ListOperations(  # noqa: N802
        self, request: pb.ListOperationsRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> pb.ListOperationsResponse:
        """Lists operations, newest first."""
        newest = [entry.operation for entry in reversed(self._entries.values())]
        operations, token = page(newest, request.page_size, request.page_token)
        return pb.ListOperationsResponse(operations=operations, next_page_token=token)

    async def WatchOperation(  # noqa: N802
        self, request: pb.WatchOperationRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> AsyncIterator[pb.WatchOperationResponse]:
        """Sends one operation now and after each change."""
        async for operation in self.watch(request.name):
            yield pb.WatchOperationResponse(operation=operation)

    async def CancelOperation(  # noqa: N802
        self, request: pb.CancelOperationRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> pb.CancelOperationResponse:
        """Kills one operation."""
        return pb.CancelOperationResponse(operation=await self.cancel(request.name))


async def followed(
    operations: Operations, operation: pb.Operation, role: str
) -> AsyncIterator[Progress | Path]:
    """Yields the progress of an operation, then where the artefact of a role lies.

    The operation is killed when the caller goes.

    Raises:
        RushesError: The operation failed.
        Cancelled: Somebody else, or the end of the service, has stopped it.
    """
    try:
        async for snapshot in operations.watch(operation.name):
            if snapshot.state == pb.OperationState.OPERATION_STATE_FAILED:
                raise from_failure(snapshot.failure)
            if snapshot.state == pb.OperationState.OPERATION_STATE_CANCELLED:
                raise Cancelled(f"{operation.name} was stopped.")
            if snapshot.HasField("result"):
                (path,) = (item.path for item in snapshot.result.artifacts if item.role == role)
                yield operations.workspace.resolve(path)
            elif snapshot.HasField("progress"):
                yield snapshot.progress
    finally:
        await operations.cancel(operation.name)
