"""Hostile and damaged zips, each made by its test: refused whole, named, and the source left alone."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rushes.api.common.v1.common_pb2 import StageResult
from rushes.errors import ArchiveRejected, InvalidInput, StorageFull
from rushes.workspace import Workspace
from services.ingest.archives import foreign_kind, kind_of

Extract = Callable[..., StageResult]
MakeZip = Callable[..., Path]


def refused(do_extract: Extract, workspace: Workspace, path: Path, match: str, **settings: object) -> None:
    before = path.read_bytes()
    with pytest.raises(ArchiveRejected, match=match) as caught:
        do_extract(path, **settings)
    assert path.name in caught.value.message
    assert path.read_bytes() == before
    assert not workspace.projects.exists() or list(workspace.projects.iterdir()) == []


def patched(path: Path, *changes: tuple[bytes, bytes]) -> Path:
    content = path.read_bytes()
    for old, new in changes:
        assert old in content
        assert len(old) == len(new)
        content = content.replace(old, new)
    path.write_bytes(content)
    return path


def with_flags(path: Path, flags: int) -> Path:
    """Sets flag bits of every member, in both of its headers."""
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            old = struct.unpack_from("<H", content, at + offset)[0]
            struct.pack_into("<H", content, at + offset, old | flags)
            at = content.find(mark, at + 4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("../../evil.mp4", "climbs out"),
        ("ok/..\\..\\evil.mp4", "climbs out"),
        ("/etc/evil.mp4", "absolute"),
        ("\\evil.mp4", "absolute"),
        ("C:\\evil.mp4", "drive letter"),
        ("bad\x01.mp4", "control character"),
    ],
)
def test_a_member_that_leads_out_fails_the_whole_archive(
    name: str, match: str, make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    path = make_zip("a.zip", {"good.mp4": b"x", name: b"x"})
    refused(do_extract, workspace, path, match)


def test_a_null_in_a_name_is_not_cut_off(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    path = patched(make_zip("a.zip", {"good.mp4@.txt": b"x"}), (b"mp4@.txt", b"mp4\0.txt"))
    refused(do_extract, workspace, path, "control character")


@pytest.mark.parametrize(
    ("kind", "match"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "device"), (stat.S_IFIFO, "special")]
)
def test_links_and_devices_are_refused(
    kind: int, match: str, tmp_path: Path, do_extract: Extract, workspace: Workspace
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("good.mp4", "x")
        link = zipfile.ZipInfo("link.mp4")
        link.external_attr = (kind | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    refused(do_extract, workspace, path, f"'link.mp4' is refused: .*{match}")


def test_damaged_content_is_found(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    path = make_zip("a.zip", {"a.mp4": b"whole", "b.mp4": b""})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("c.mp4", b"stored content", zipfile.ZIP_STORED)
    refused(
        do_extract, workspace, patched(path, (b"stored content", b"changed conten")), "'c.mp4'.*damaged.*CRC"
    )


def test_a_damaged_stream_is_found(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    path = make_zip("a.zip", {"a.mp4": bytes(range(256)) * 100})
    content = bytearray(path.read_bytes())
    content[35:45] = b"\xff" * 10
    path.write_bytes(content)
    refused(do_extract, workspace, path, "'a.mp4'.*damaged")


def test_a_member_shorter_than_declared_is_found(
    tmp_path: Path, do_extract: Extract, workspace: Workspace
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.mp4", b"12345678")
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    struct.pack_into("<L", content, at + 24, 9)  # Only the directory's uncompressed size.
    path.write_bytes(content)
    refused(do_extract, workspace, path, "'a.mp4'")


def test_a_truncated_archive_is_refused(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    path = make_zip("a.zip", {"a.mp4": b"x" * 1000})
    path.write_bytes(path.read_bytes()[:-30])
    refused(do_extract, workspace, path, "directory cannot be read")


def test_encrypted_members_are_named(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    path = with_flags(make_zip("a.zip", {"a.mp4": b"x"}), 0x1)
    refused(do_extract, workspace, path, "'a.mp4' is refused: it is encrypted")


def test_an_unknown_method_is_named(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    path = make_zip("a.zip", {"a.mp4": b"x" * 100})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", content, content.index(mark) + offset, 98)
    path.write_bytes(content)
    refused(do_extract, workspace, path, "'a.mp4'.*cannot be unpacked.*compression method")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"max_members": 2}, "3 files"),
        ({"max_total_bytes": 1000}, "unpacks to"),
    ],
)
def test_limits_are_checked_before_anything_is_written(
    settings: dict[str, int], match: str, make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    path = make_zip("a.zip", {"a.mp4": b"x" * 500, "b.mp4": b"x" * 500, "c.txt": b"y"})
    refused(do_extract, workspace, path, match, **settings)


def test_a_bomb_is_refused_by_its_ratio(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    path = make_zip("a.zip", {"a.mp4": bytes(1000)})
    content = bytearray(path.read_bytes())
    # The declared size bounds what is read, so that declaring is enough.
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 2**31)
    path.write_bytes(content)
    refused(do_extract, workspace, path, "times its size")


def test_no_room_is_told_before_anything_is_written(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip("a.zip", {"a.mp4": b"x" * 5000})
    monkeypatch.setattr(
        "services.ingest.storing.shutil.disk_usage", lambda _: type("Usage", (), {"free": 4999})
    )
    with pytest.raises(StorageFull, match="4,999 bytes free; 5,000 are needed"):
        do_extract(path)
    assert list(workspace.projects.iterdir()) == []


@pytest.mark.parametrize(
    ("members", "match"),
    [({}, "holds no video"), ({"a.txt": b"x"}, "no video"), ({"__MACOSX/._a.mp4": b"x"}, "no video")],
    ids=["empty", "text only", "junk only"],
)
def test_an_archive_without_video_is_refused(
    members: dict[str, bytes], match: str, make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    refused(do_extract, workspace, make_zip("a.zip", members), match)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"Rar!\x1a\x07\x01\x00", "RAR"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\0" * 257 + b"ustar\0", "tar"),
    ],
)
def test_other_archives_are_named_whatever_their_suffix(
    content: bytes, name: str, tmp_path: Path, do_extract: Extract, workspace: Workspace
) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert kind_of(path) is None
    assert foreign_kind(path) == name
    refused(do_extract, workspace, path, f"{name} archive")


def test_a_zip_is_known_by_content(make_zip: MakeZip, do_extract: Extract, workspace: Workspace) -> None:
    result = do_extract(make_zip("13_Camille.mp4", {"a.mp4": b"x"}))
    assert [video.stem for video in result.videos] == ["a"]
    fake = make_zip("x.zip", {"a.mp4": b"x"})
    fake.write_bytes(b"not a zip")
    with pytest.raises(InvalidInput, match=r"x\.zip is neither"):
        do_extract(fake)


def test_names_without_a_flag_come_right(
    make_zip: MakeZip, do_extract: Extract, workspace: Workspace
) -> None:
    # zipfile flags what is not ASCII; same-length ASCII names leave the flag out, then get their bytes.
    path = patched(make_zip("a.zip", {"_t_.mp4": b"x"}), (b"_t_.mp4", "été.mp4".encode("cp850")))
    result = do_extract(path)
    assert [video.source for video in result.videos] == ["originals/été.mp4"]
