"""Model weights: the catalogue, and downloads from a real server that cuts, lies or does not answer."""

from __future__ import annotations

import fcntl
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tenacity import wait_none
from typer.testing import CliRunner

from rushes import downloads, models
from rushes.cli.models import app
from rushes.downloads import download
from rushes.errors import MissingPart, NotFound, ResultsDiffer, RushesError, Unavailable

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Shop:
    """A server of one file, and how it misbehaves."""

    content: bytes = CONTENT
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    chunked: bool = False
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            handler.send_error(status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if start >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            total = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if not self.chunked:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.cut_after:
            body = body[: self.cut_after.pop(0)]
        try:
            handler.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # The client has seen enough.
            handler.close_connection = True


@pytest.fixture
def shop() -> Iterator[Shop]:
    state = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/weights"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads._complete.retry, "wait", wait_none())


@pytest.fixture
def fetch(shop: Shop, tmp_path: Path) -> Callable[[], bytes]:
    place = tmp_path / "folder" / "weights"

    def run() -> bytes:
        download(shop.url, place, size=len(CONTENT), sha256=SHA256)
        assert [path.name for path in place.parent.iterdir()] == ["weights"]
        return place.read_bytes()

    return run


def partial(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "weights.partial"
    path.parent.mkdir(exist_ok=True)
    return path


def test_download_is_whole_and_tells_its_progress(shop: Shop, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    place = tmp_path / "weights"
    download(
        shop.url,
        place,
        size=len(CONTENT),
        sha256=SHA256,
        progress=lambda done, total: told.append((done, total)),
    )
    assert place.read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "without length"])
def test_a_cut_connection_is_continued_where_it_ended(
    shop: Shop, fetch: Callable[[], bytes], *, chunked: bool
) -> None:
    shop.cut_after, shop.chunked = [300_000, 400_000], chunked
    assert fetch() == CONTENT
    assert shop.asked == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_call_continues_what_an_earlier_one_left(
    shop: Shop, fetch: Callable[[], bytes], tmp_path: Path
) -> None:
    partial(tmp_path).write_bytes(CONTENT[:1000])
    assert fetch() == CONTENT
    assert shop.asked == ["bytes=1000-"]


@pytest.mark.parametrize(
    "left",
    [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)],
    ids=["other beginning", "other file", "longer file"],
)
def test_a_wrong_beginning_is_not_kept(
    shop: Shop, fetch: Callable[[], bytes], tmp_path: Path, left: bytes
) -> None:
    partial(tmp_path).write_bytes(left)
    assert fetch() == CONTENT
    assert shop.asked[-1] is None


def test_a_server_without_ranges_starts_over(shop: Shop, fetch: Callable[[], bytes], tmp_path: Path) -> None:
    partial(tmp_path).write_bytes(CONTENT[:1000])
    shop.ranges = False
    assert fetch() == CONTENT


def test_passing_faults_of_the_server_are_waited_for(shop: Shop, fetch: Callable[[], bytes]) -> None:
    shop.statuses = [503, 429, 200]
    assert fetch() == CONTENT


def test_it_gives_up_on_a_server_that_keeps_failing_and_keeps_what_came(
    shop: Shop, fetch: Callable[[], bytes], tmp_path: Path
) -> None:
    shop.cut_after = [1000] * 20
    with pytest.raises(Unavailable, match="cut off at 5000 of"):
        fetch()
    assert partial(tmp_path).read_bytes() == CONTENT[:5000]
    assert len(shop.asked) == 5


@pytest.mark.parametrize(
    ("content", "chunked", "message"),
    [
        (CONTENT[:-1], False, "has 1048575 bytes instead of 1048576"),
        (b"<html>quota exceeded</html>", False, "has 27 bytes instead of"),
        (CONTENT * 3, True, "more than the 1048576 bytes expected"),
        (CONTENT[:-1] + b"!", False, "has SHA-256"),
    ],
    ids=["shorter", "web page", "endless", "changed byte"],
)
def test_something_else_is_refused_and_not_kept(
    shop: Shop, fetch: Callable[[], bytes], tmp_path: Path, content: bytes, message: str, *, chunked: bool
) -> None:
    shop.content, shop.chunked = content, chunked
    with pytest.raises(ResultsDiffer, match=message):
        fetch()
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize(
    ("status", "kind", "asked"), [(404, NotFound, 1), (403, NotFound, 1), (500, Unavailable, 5)]
)
def test_refusals_are_told_apart_from_faults(
    shop: Shop, fetch: Callable[[], bytes], status: int, kind: type[RushesError], asked: int
) -> None:
    shop.statuses = [status] * 9
    with pytest.raises(kind, match=str(status)):
        fetch()
    assert len(shop.asked) == asked


def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}/weights cannot be read") as caught:
        download(f"http://127.0.0.1:{port}/weights", tmp_path / "w", size=1, sha256=SHA256)
    assert caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_two_processes_do_not_write_one_file(fetch: Callable[[], bytes], tmp_path: Path) -> None:
    with partial(tmp_path).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="Another process"):
            fetch()


# The catalogue


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUSHES_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def catalogue(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, models.Model]:
    """Replaces the catalogue by models of the local server; `pull` reaches it under an https name."""
    official = "https://models.example/weights"
    made = {
        path: models.Model(path, len(CONTENT), SHA256, "MIT", source, "a test")
        for path, source in {"a/weights": official, "b/weights": "A book, page 3"}.items()
    }
    monkeypatch.setattr(models, "catalogue", lambda: made)

    def local(url: str, place: Path, **options: object) -> None:
        assert url == official
        download(shop.url, place, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(models, "download", local)
    return made


def test_every_model_is_pinned_and_can_be_pulled() -> None:
    assert models.catalogue()
    for path, model in models.catalogue().items():
        assert model.path == path
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.bytes > 0
        assert model.license
        assert model.source.startswith("https://")


def test_unknown_models_are_refused() -> None:
    with pytest.raises(NotFound, match="no model 'x'"):
        models.pull("x")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RUSHES_MODELS_DIR": "/m", "XDG_CACHE_HOME": "/c"}, "/m"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/rushes/models"),
    ],
    ids=["named", "cache"],
)
def test_folder(environment: dict[str, str], expected: str) -> None:
    assert models.folder(environment) == Path(expected)


@pytest.mark.usefixtures("catalogue")
def test_pull_makes_a_model_usable_and_asks_once(shop: Shop, folder: Path) -> None:
    assert "rushes models pull a/weights" in models.missing("a/weights")
    with pytest.raises(MissingPart):
        models.verified("a/weights")
    assert models.pull("a/weights") == folder / "a/weights"
    assert models.missing("a/weights") == ""
    assert models.verified("a/weights").read_bytes() == CONTENT
    models.pull("a/weights")
    assert len(shop.asked) == 1


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("damaged", [b"short", b"!" * len(CONTENT)], ids=["size", "content"])
def test_pull_replaces_a_damaged_model(folder: Path, damaged: bytes) -> None:
    place = folder / "a/weights"
    place.parent.mkdir(parents=True)
    place.write_bytes(damaged)
    with pytest.raises(RushesError):
        models.verified("a/weights")
    assert models.pull("a/weights").read_bytes() == CONTENT


@pytest.mark.usefixtures("catalogue")
def test_a_model_without_address_says_where_it_goes(folder: Path) -> None:
    with pytest.raises(MissingPart, match="A book, page 3") as caught:
        models.pull("b/weights")
    assert str(folder / "b/weights") in caught.value.remedy


@pytest.mark.usefixtures("catalogue", "folder")
def test_commands_list_pull_and_check() -> None:
    run = CliRunner().invoke
    assert run(app, ["check", "a/weights"]).exit_code == 1
    assert run(app, ["pull", "a/weights"]).exit_code == 0
    checked = run(app, ["check"])
    assert checked.exit_code == 1
    assert "✓ a/weights" in checked.output
    assert "✗" in checked.output
    assert run(app, ["check", "a/weights"]).exit_code == 0
    listed = run(app, ["list"]).output
    assert "a/weights" in listed
    assert "b/weights" in listed
