"""Messages on a byte stream: four bytes of length, big-endian, then the message."""

from __future__ import annotations

import asyncio
import socket
import struct

_LENGTH = struct.Struct("!I")


def write_frame(link: socket.socket, payload: bytes) -> None:
    """Sends one message whole."""
    link.sendall(_LENGTH.pack(len(payload)) + payload)


def read_frame(link: socket.socket) -> bytes | None:
    """Returns the next message, none once the other side has closed."""
    header = _read(link, _LENGTH.size)
    return None if header is None else _read(link, _LENGTH.unpack(header)[0])


def _read(link: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        try:
            more = link.recv(size - len(data))
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    return data


def frame(payload: bytes) -> bytes:
    """Returns a message with its length, for an asyncio writer."""
    return _LENGTH.pack(len(payload)) + payload


async def next_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Returns the next message, none once the other side has closed."""
    try:
        return await reader.readexactly(_LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0])
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
