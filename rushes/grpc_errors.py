"""Errors across gRPC: one place maps them out, with `google.rpc.ErrorInfo`, and one maps them back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from rushes.errors import BY_REASON, RushesError, Unavailable

log = logging.getLogger(__name__)

DOMAIN = "rushes"


def to_status(error: RushesError) -> status_pb2.Status:
    """Returns the richer status of an error."""
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata={"remedy": error.remedy} if error.remedy else {}
    )
    detail = any_pb2.Any()
    detail.Pack(info)
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code.name), message=error.message, details=[detail]
    )


def from_call(error: grpc.aio.AioRpcError) -> RushesError:
    """Returns the error that a server meant, the inverse of `to_status`."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # aio errors have what it reads
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            kind = BY_REASON.get(info.reason, RushesError)
            return kind(error.details() or "", remedy=info.metadata.get("remedy", ""))
    if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return Unavailable(f"The server does not answer: {error.details()}.")
    return RushesError(f"{error.code().name}: {error.details()}")


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns what a servicer raises into a status with reason and remedy."""

    async def intercept_service(
        self, continuation: Any, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Wraps unary and server-streaming calls, the only kinds that rushes has."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _streaming(handler.unary_stream), handler.request_deserializer, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary), handler.request_deserializer, handler.response_serializer
        )


def _unary(call: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def wrapped(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await call(request, context)
        except RushesError as error:
            await context.abort_with_status(rpc_status.to_status(to_status(error)))

    return wrapped


def _streaming(call: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def wrapped(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for response in call(request, context):
                yield response
        except RushesError as error:
            await context.abort_with_status(rpc_status.to_status(to_status(error)))

    return wrapped
