from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.legacy_names import encoding_of
from services.ingest.limits import RATIO_FLOOR_BYTES, Limits
from services.ingest.members import (
    COMPONENT_BYTES,
    distinct,
    fit,
    identity,
    is_junk,
    is_renamed,
    safe_path,
    without_single_root,
)
from services.ingest.stems import stems_of


def paths(*names: str) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.mp4", "a/b.mp4"),
        ("dir\\x.mp4", "dir/x.mp4"),
        ("./a//b.mp4", "a/b.mp4"),
        ("a:.mp4", "a_.mp4"),
        ("c:x.mp4", "c_x.mp4"),
        ('<>"|?*.mp4', "______.mp4"),
        (".hidden", ".hidden"),
        ("end. ", "end"),
        (" start.mp4", "start.mp4"),
        ("...", "_"),
        ("CON.mp4", "safe_CON.mp4"),
        ("aux.tar.gz", "safe_aux.tar.gz"),
        ("NUL .txt", "safe_NUL .txt"),
        ("COM0.txt", "COM0.txt"),
        ("lpt1/x", "safe_lpt1/x"),
        ("console.mp4", "console.mp4"),
        ("e\u0301.mp4", "é.mp4"),
        ("a／b", "a／b"),
        ("é" * 204 + ".mp4", "é" * 118 + ".mp4"),
        ("a..b/c", "a..b/c"),
    ],
)
def test_safe_path(name: str, expected: str) -> None:
    assert str(safe_path(name)) == expected


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../x", "climbs out"),
        ("a/../../x", "climbs out"),
        ("a\\..\\x", "climbs out"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share", "absolute"),
        ("C:\\x.mp4", "drive letter"),
        ("c:/x.mp4", "drive letter"),
        ("a\0b.mp4", "control character"),
        ("a\x7fb.mp4", "control character"),
        ("", "empty"),
        ("./.", "empty"),
        ("/".join(["d" * 200] * 6), "longer than"),
    ],
)
def test_safe_path_refuses(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        safe_path(name)


@given(st.text(max_size=400))
def test_safe_path_never_leads_out(name: str) -> None:
    try:
        path = safe_path(name)
    except ValueError:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert all(len(part.encode(errors="surrogatepass")) <= COMPONENT_BYTES + 6 for part in path.parts)


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("__MACOSX/._clip.mp4", True),
        ("a/__MACOSX/clip.mp4", True),
        ("a/._clip.mp4", True),
        ("a\\.DS_Store", True),
        ("Thumbs.db", True),
        ("THUMBS.DB", True),
        ("a/desktop.ini", True),
        ("a/Icon\r", True),
        ("a/.hidden.mp4", False),
        ("MACOSX/clip.mp4", False),
        ("DS_Store", False),
        ("thumbs.db/clip.mp4", False),
    ],
)
def test_is_junk(name: str, junk: bool) -> None:
    assert is_junk(name) is junk


@pytest.mark.parametrize(
    ("given_paths", "expected"),
    [
        (["a.mp4", "A.mp4", "a.mp4"], ["a.mp4", "A (2).mp4", "a (3).mp4"]),
        (["a_.mp4", "a_.mp4", "a_ (2).mp4"], ["a_.mp4", "a_ (2).mp4", "a_ (2) (2).mp4"]),
        (["Été/a", "été/b"], ["Été/a", "Été/b"]),
        (["x", "x/y"], ["x (2)", "x/y"]),
        (["D/e/1", "d/E/1"], ["D/e/1", "D/e/1 (2)"]),
    ],
    ids=["case", "suffix taken", "folders merge", "file against folder", "deep"],
)
def test_distinct(given_paths: list[str], expected: list[str]) -> None:
    assert distinct(paths(*given_paths)) == paths(*expected)


@given(st.lists(st.lists(st.sampled_from("aAbé"), min_size=1, max_size=3).map("/".join), max_size=12))
def test_distinct_never_collides(names: list[str]) -> None:
    placed = distinct(paths(*names))
    files = [identity(path) for path in placed]
    folders = {identity(folder) for path in placed for folder in path.parents}
    assert len(set(files)) == len(names)
    assert not folders & set(files)


def test_distinct_keeps_long_names_short() -> None:
    name = "é" * 118 + ".mp4"
    first, second = distinct(paths(name, name))
    assert first != second
    assert len(second.name.encode()) <= COMPONENT_BYTES
    assert second.suffix == ".mp4"


def test_fit_cuts_between_characters_and_keeps_the_suffix() -> None:
    assert fit("ééé.mp4", 9) == "éé.mp4"
    assert fit("ab." + "c" * 40, 10) == "ab.ccccccc"
    assert fit("short", 10) == "short"


@pytest.mark.parametrize(
    ("given_paths", "expected"),
    [
        (["r/a", "r/b/c"], ["a", "b/c"]),
        (["r/s/a"], ["s/a"]),
        (["R/a", "r/b"], ["a", "b"]),
        (["r/a", "q/b"], ["r/a", "q/b"]),
        (["r/a", "b"], ["r/a", "b"]),
        (["a"], ["a"]),
        ([], []),
    ],
)
def test_without_single_root(given_paths: list[str], expected: list[str]) -> None:
    assert without_single_root(paths(*given_paths)) == paths(*expected)


@pytest.mark.parametrize(
    ("name", "path", "renamed"),
    [
        ("r/a.mp4", "a.mp4", False),
        ("r\\a.mp4", "r/a.mp4", False),
        ("a.mp4", "below/a.mp4", False),
        ("e\u0301.mp4", "é.mp4", False),
        ("a?.mp4", "a_.mp4", True),
        ("d?/a.mp4", "d_/a.mp4", True),
    ],
)
def test_is_renamed(name: str, path: str, renamed: bool) -> None:
    assert is_renamed(name, PurePosixPath(path)) is renamed


@pytest.mark.parametrize(
    ("text", "written_as"),
    [
        ("été à Noël.mp4", "utf-8"),
        ("été à Noël.mp4", "cp437"),
        ("À la fenêtre, Été, Évêque.mp4", "cp850"),
        ("été à Noël.mp4", "cp1252"),
        ("œuvre.mp4", "cp1252"),
    ],
)
def test_french_names_come_right(text: str, written_as: str) -> None:
    raw = text.encode(written_as)
    assert raw.decode(encoding_of([b"plain.txt", raw])) == text


def test_names_without_any_clue_are_read_as_the_format_says() -> None:
    assert encoding_of([b"\xb3\xc5"]) == "cp437"


@pytest.mark.parametrize(
    ("videos", "others", "expected"),
    [
        (["a.mov", "d/b.mp4"], [], ["a", "d/b"]),
        (["a.mov", "a.mp4"], [], ["a.mov", "a.mp4"]),
        (["a.mov", "A.mp4"], [], ["a.mov", "A.mp4"]),
        (["a.mov", "a.mp4", "a.mov.mp4"], [], ["a.mov", "a.mp4", "a.mov.mp4"]),
        (["d/a.mov", "e/a.mov"], [], ["d/a", "e/a"]),
        (["a.mov"], ["a.mp4/notes.txt"], ["a.mov"]),
        (["a.mov", "b.mov"], ["b.csv"], ["a", "b"]),
    ],
)
def test_stems(videos: list[str], others: list[str], expected: list[str]) -> None:
    assert stems_of(paths(*videos), paths(*others)) == expected


@given(
    st.lists(
        st.builds("{}{}".format, st.text("aAé./", max_size=4), st.sampled_from([".mp4", ".mov", ".mp4.mov"]))
        .map(lambda name: "x" + name.replace("//", "/").strip("/"))
        .map(lambda name: str(PurePosixPath(name))),
        max_size=8,
        unique_by=identity,
    )
)
def test_stems_are_unique_in_any_case(names: list[str]) -> None:
    videos = [path for path in paths(*names) if ".." not in path.parts]
    assert len({identity(stem) for stem in stems_of(videos)}) == len(videos)


@pytest.mark.parametrize(
    ("members", "total", "archive", "why"),
    [
        (10, 1000, 100, ""),
        (11, 1000, 100, "11 files"),
        (1, 10**12 + 1, 10**12, "unpacks to"),
        (1, RATIO_FLOOR_BYTES + 1, RATIO_FLOOR_BYTES // 60, "60 times"),
        (1, RATIO_FLOOR_BYTES, 1, ""),
    ],
    ids=["fine", "members", "bytes", "ratio", "small content may be tight"],
)
def test_limits(members: int, total: int, archive: int, why: str) -> None:
    problem = Limits(10**12, 10, 50).problem(members=members, total_bytes=total, archive_bytes=archive)
    assert why in problem
    assert bool(problem) is bool(why)
