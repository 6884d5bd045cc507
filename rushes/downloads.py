"""Downloads of pinned files: resumed after a cut, checked, and whole or not at all."""

from __future__ import annotations

import fcntl
import http.client
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tenacity import (
    RetryCallState,
    retry,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from rushes.artifacts.store import sha256 as sha256_of
from rushes.artifacts.store import sync
from rushes.errors import NotFound, ResultsDiffer, Unavailable

logger = logging.getLogger(__name__)

_CHUNK = 1 << 18
_TIMEOUT_S = 30
"""Longest silence of the server, for a connection and for each read."""
_TRY_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived and the bytes that there are."""


def _silent(_done: int, _total: int) -> None: ...


def download(url: str, place: Path, *, size: int, sha256: str, progress: Progress = _silent) -> None:
    """Downloads a file of known size and content.

    What has arrived is kept in `<place>.partial` when the connection is cut, and continued from by the
    next attempt or the next call. `place` appears only once its content has been checked.

    Args:
        url: http or https address of the file.
        place: Where the file goes; its folder is made.
        size: Its size in bytes; the server is not read past it.
        sha256: Its SHA-256, lower-case hexadecimal.
        progress: Told how far it is.

    Raises:
        Unavailable: The server cannot be reached, or keeps cutting the connection, or another process is
            downloading the same file.
        NotFound: The server does not have the file or does not give it to us.
        ResultsDiffer: The server gave something else; it has been deleted.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.partial")
    with partial.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"Another process is downloading {place.name}.") from error
        if not partial.exists() or not partial.samefile(f"/proc/self/fd/{file.fileno()}"):
            raise Unavailable(f"Another process has just downloaded {place.name}.")
        try:
            continued = os.fstat(file.fileno()).st_size > 0
            _complete(url, file, size, progress)
            if continued and sha256_of(partial) != sha256:
                # The beginning, from an earlier call, may be of another version of the file.
                file.truncate(0)
                _complete(url, file, size, progress)
            if (found := sha256_of(partial)) != sha256:
                file.truncate(0)
                raise _differs(url, f"has SHA-256 {found[:12]}…, not {sha256[:12]}…")
            sync(partial)
            partial.replace(place)
            sync(place.parent)
        finally:
            if os.fstat(file.fileno()).st_size == 0:
                partial.unlink(missing_ok=True)


def _tell(state: RetryCallState) -> None:
    logger.warning("%s Trying again.", state.outcome.exception() if state.outcome else "")


@retry(
    retry=retry_if_exception_type(Unavailable),
    stop=stop_after_attempt(5),
    wait=wait_exponential_jitter(multiplier=0.5, max=8),
    before_sleep=_tell,
    reraise=True,
)
def _complete(url: str, file: IO[bytes], size: int, progress: Progress) -> None:
    """Appends what is still missing of a file that was opened for appending."""
    done = os.fstat(file.fileno()).st_size
    if done > size:
        file.truncate(0)
        done = 0
    progress(done, size)
    if done == size:
        return
    request = urllib.request.Request(url, headers={"User-Agent": "rushes", "Accept-Encoding": "identity"})  # noqa: S310 - the caller's pinned address
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            if not _continues(answer, url, done, size):
                file.truncate(0)
                done = 0
            # One byte more than pinned is asked for, to notice a file that is too long.
            while chunk := answer.read(min(_CHUNK, size - done + 1)):
                done += len(chunk)
                if done > size:
                    file.truncate(0)
                    raise _differs(url, f"has more than the {size} bytes expected")
                file.write(chunk)
                file.flush()
                progress(done, size)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _TRY_LATER:
            raise Unavailable(f"{url} answers {error.code} {error.reason}.") from error
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            file.truncate(0)
            raise Unavailable(f"{url} does not go on where it was cut off.") from error
        raise NotFound(f"{url} answers {error.code} {error.reason}.") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise Unavailable(
            f"{url} cannot be read: {reason}.", remedy="Check the network, then run it again."
        ) from error
    if done < size:
        raise Unavailable(f"{url} was cut off at {done} of {size} bytes.", remedy="Run it again to go on.")


def _continues(answer: http.client.HTTPResponse, url: str, done: int, size: int) -> bool:
    """Returns whether an answer goes on at byte `done`; false when it starts at the beginning.

    Raises:
        ResultsDiffer: It announces another size, or goes on elsewhere.
    """
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        announced = answer.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", announced)
        if match is None or int(match[1]) != done or match[2] not in {"*", str(size)}:
            raise _differs(url, f"sends {announced!r} when asked for byte {done} and on of {size}")
        return True
    if (length := answer.headers.get("Content-Length")) and int(length) != size:
        raise _differs(url, f"has {length} bytes instead of {size}")
    return done == 0


def _differs(url: str, how: str) -> ResultsDiffer:
    return ResultsDiffer(
        f"{url} {how}.",
        remedy="The address serves something else now, or a proxy answers for it: open it in a browser.",
    )
