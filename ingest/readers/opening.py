"""From a path to bytes: what kind of file is this, and how is it unpacked?

The kind is judged by the first bytes, never by the name alone, because exports arrive
misnamed. Compressed files are read as a stream. Guard against decompression bombs: once
256 MiB have come out, at most 250 bytes may come out for each byte that went in, and
never more than 64 GiB (``MAX_RATIO``, ``MAX_UNPACKED``).
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from geo.errors import InputError

MAX_UNPACKED = 64 << 30
FREE_UNPACKED = 256 << 20
MAX_RATIO = 250
HEAD = 1 << 16

_TABLE_SUFFIXES = (
    ".csv", ".tsv", ".tab", ".txt", ".psv", ".json", ".jsonl", ".ndjson", ".geojson", ".geojsonl", ".xml",
    ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".parquet", ".geoparquet", ".gpkg", ".fgb", ".kml", ".kmz",
    ".gml", ".gz", ".zst", ".bz2",
)  # fmt: skip
_COMPRESSED = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zst"}
_UNPACK_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException)


class ByteStream:
    """Bytes of a file after decompression, read front to back and counted."""

    def __init__(
        self,
        inner: Any,
        raw: io.BufferedReader | None,
        packed_size: int,
        name: str,
        archive: zipfile.ZipFile | None = None,
    ) -> None:
        self._inner = inner
        self._raw = raw
        self._archive = archive
        self._size = max(packed_size, 1)
        self._packed = inner is not raw
        self._name = name
        self.produced = 0
        self.closed = False

    def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes; empty at the end."""
        try:
            data: bytes = self._inner.read(n)
        except _UNPACK_ERRORS as error:
            raise InputError(
                f"{self._name}: the compressed data is damaged or cut off after {self.produced:,} "
                "unpacked bytes "
                f"({error}). Fetch the file again, or unpack it and hand in what came out."
            ) from error
        self.produced += len(data)
        if self._packed:
            check_bomb(self.produced, self._size, self._name)
        return data

    def readable(self) -> bool:
        return True

    def position(self) -> float:
        """Return the share read, 0 to 1."""
        if self.closed:  # readers close a stream that they have exhausted
            return 1.0
        done = self._raw.tell() if self._raw is not None else self.produced
        return min(done / self._size, 1.0)

    def close(self) -> None:
        self.closed = True
        self._inner.close()
        for outer in (self._raw, self._archive):
            if outer is not None:
                outer.close()


def check_bomb(produced: int, packed: int, name: str) -> None:
    """Raise InputError when a file unpacks to more than an honest table would."""
    if produced > MAX_UNPACKED or (produced > FREE_UNPACKED and produced > MAX_RATIO * max(packed, 1)):
        raise InputError(
            f"{name}: {packed:,} packed bytes unpack to more than {produced:,}. That is beyond the limit "
            f"({MAX_RATIO} to 1 after {FREE_UNPACKED >> 20} MiB, {MAX_UNPACKED >> 30} GiB in all) and "
            "looks like "
            "a decompression bomb. If the file is honest, unpack it yourself and hand in the result."
        )


@dataclass(frozen=True)
class Opened:
    """A file, and how its bytes are reached: as it stands, compressed, or as a member of a zip."""

    path: Path
    name: str
    compression: str = ""  # "", gz, bz2, zst, zip
    member: str = ""

    def stream(self) -> ByteStream:
        """Open the unpacked bytes from the start."""
        packed = self.path.stat().st_size
        if self.compression == "zip":
            archive = zipfile.ZipFile(self.path)
            info = archive.getinfo(self.member)
            try:
                if info.flag_bits & 1:
                    raise InputError(
                        f"{self.name}: {self.member} is encrypted. Unpack it with its password first."
                    )
                check_bomb(info.file_size, info.compress_size, self.name)
                inner = archive.open(info)
            except (InputError, NotImplementedError, zipfile.BadZipFile) as error:
                archive.close()
                if isinstance(error, InputError):
                    raise
                raise InputError(
                    f"{self.name}: {self.member} cannot be unpacked ({error}). Unpack it yourself."
                ) from error
            return ByteStream(inner, None, info.file_size, self.name, archive)
        raw = open(self.path, "rb")  # noqa: SIM115 - closed by the stream
        if self.compression == "gz":
            return ByteStream(gzip.GzipFile(fileobj=raw), raw, packed, self.name)
        if self.compression == "bz2":
            return ByteStream(bz2.BZ2File(raw), raw, packed, self.name)
        if self.compression == "zst":
            return ByteStream(
                pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"), raw, packed, self.name
            )
        return ByteStream(raw, raw, packed, self.name)

    def head(self, size: int = HEAD) -> bytes:
        """Return the first ``size`` unpacked bytes."""
        stream = self.stream()
        try:
            parts, got = [], 0
            while got < size and (data := stream.read(size - got)):
                parts.append(data)
                got += len(data)
            return b"".join(parts)
        finally:
            stream.close()

    def local_path(self, stack: ExitStack, suffix: str) -> Path:
        """Return a path to the unpacked file; a temporary one lives as long as ``stack``."""
        if not self.compression:
            return self.path
        folder = Path(tempfile.mkdtemp(prefix="rasd-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        target = folder / f"table{suffix}"
        stream = self.stream()
        try:
            with target.open("wb") as out:
                while data := stream.read(1 << 20):
                    out.write(data)
        finally:
            stream.close()
        return target


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve(path: Path, member: str | None = None) -> Opened:
    """Return how to reach the bytes of ``path``; a zip of one table is opened as that table.

    Zips that are a format of their own (XLSX, ODS, zipped shapefile or geodatabase) come
    back as they are, for their reader. Raises InputError for what cannot be a table.
    """
    name = path.name
    if path.is_dir():
        if path.suffix.lower() == ".gdb":
            return Opened(path, name)
        raise InputError(f"{path} is a folder. Name one file in it.")
    if not path.exists():
        raise InputError(f"{path} does not exist. Check the spelling of the path.")
    if path.stat().st_size == 0:
        raise InputError(f"{name} is empty (0 bytes). Export it again.")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    for magic, compression in _COMPRESSED.items():
        if head.startswith(magic):
            return Opened(path, name, compression)
    if head.startswith(b"PK"):
        return _resolve_zip(path, member)
    return Opened(path, name)


def zip_members(path: Path) -> list[str]:
    """Return the file names in a zip without folders and the litter of operating systems."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path.name} is a damaged or cut-off zip file ({error}). Fetch it again."
        ) from error
    return [
        info.filename
        for info in infos
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not Path(info.filename).name.startswith(".")
    ]


def zip_kind(members: list[str]) -> str:
    """Return 'xlsx', 'ods', 'gdb', 'shp' or '' (an ordinary archive)."""
    lower = [member.lower() for member in members]
    if "[content_types].xml" in lower and any(member.startswith("xl/") for member in lower):
        return "xlsx"
    if "content.xml" in lower and "mimetype" in lower:
        return "ods"
    if any(".gdb/" in member for member in lower):
        return "gdb"
    if any(member.endswith(".shp") for member in lower):
        return "shp"
    return ""


def _resolve_zip(path: Path, member: str | None) -> Opened:
    members = zip_members(path)
    if not members:
        raise InputError(f"{path.name} is a zip with nothing in it. Export it again.")
    if zip_kind(members):
        return Opened(path, path.name)
    tables = [m for m in members if m.lower().endswith(_TABLE_SUFFIXES)]
    if member is not None:
        tables = [m for m in members if m == member or Path(m).name == member or Path(m).stem == member]
    if len(tables) == 1:
        return Opened(path, f"{path.name}/{tables[0]}", "zip", tables[0])
    if not tables:
        listed = ", ".join(sorted(members)[:12])
        raise InputError(
            f"{path.name} holds no table{f' named {member}' if member else ''}. It holds: {listed}."
        )
    listed = "\n  ".join(sorted(tables)[:40])
    raise InputError(
        f"{path.name} holds {len(tables)} tables. Say which one with --layer NAME, or unpack it:\n  {listed}"
    )


def kind_of(head: bytes, name: str) -> str:
    """Return the kind of a file by its first bytes.

    One of: gz, bz2, zst, zip, ole, parquet, sqlite, fgb, shp, dbf, xml, json, text.
    Raises InputError, with what to do, for what is certainly no table.
    """
    for magic, compression in _COMPRESSED.items():
        if head.startswith(magic):
            return compression
    suffix = Path(name).suffix.lower()
    if suffix == ".dbf" and head[:1] in b"\x02\x03\x30\x31\x32\x43\x63\x83\x8b\xcb\xf5\xfb":
        return "dbf"
    if suffix in (".prj", ".cpg", ".shx", ".sbn", ".sbx", ".qix"):
        raise InputError(f"{name} is a side file of a shapefile. Hand in the .shp, or all parts as one .zip.")
    fixed = {
        b"PK": "zip", b"\xd0\xcf\x11\xe0": "ole", b"PAR1": "parquet", b"SQLite format 3\x00": "sqlite",
        b"fgb\x03": "fgb", b"\x00\x00\x27\x0a": "shp",
    }  # fmt: skip
    for magic, kind in fixed.items():
        if head.startswith(magic):
            return kind
    refused = {
        b"%PDF": "a PDF. A PDF holds a picture of a table, not its data: ask for the export as XLSX or CSV",
        b"\x89PNG": "an image. Hand in the table itself",
        b"\xff\xd8\xff": "an image. Hand in the table itself",
        b"Rar!": "a RAR archive. Unpack it and hand in the file inside",
        b"7z\xbc\xaf": "a 7-Zip archive. Unpack it and hand in the file inside",
        b"{\\rtf": "a rich-text document. Save the table as XLSX or CSV",
        b"ARROW1": "an Arrow IPC (Feather) file. Save it as Parquet",
    }
    for magic, what in refused.items():
        if head.startswith(magic):
            raise InputError(f"{name} is {what}.")
    start = head[:4096]
    for bom in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"):
        start = start.removeprefix(bom)
    start = start.replace(b"\x00", b"").lstrip()
    if not start:
        raise InputError(f"{name} holds only blanks. Export it again.")
    if start.startswith(b"<"):
        _refuse_html(start.lower(), name)
        return "xml"
    if start.startswith((b"{", b"[")):
        return "json"
    if start.startswith(b"HTTP/1."):
        line = start.splitlines()[0].decode("latin-1").strip()
        raise InputError(
            f"{name} is a saved answer of a web server ({line}), not a table. Download it again."
        )
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{name} is a Git LFS pointer, not the data. Fetch the real file first.")
    _refuse_binary(head, name)
    return "text"


def _refuse_html(start: bytes, name: str) -> None:
    if b"<!doctype html" in start[:512] or b"<html" in start[:1024]:
        title = ""
        if b"<title>" in start:
            title = start.split(b"<title>", 1)[1].split(b"<", 1)[0].decode("utf-8", "replace").strip()
        about = f' ("{title}")' if title else ""
        raise InputError(
            f"{name} is a web page{about}, not a table. Servers send one instead of the file when a session "
            "has ended or a link is wrong: sign in, download it again, and check that it opens as a table."
        )


def _refuse_binary(head: bytes, name: str) -> None:
    # UTF-16 text has a zero byte in every second place; anything else with many control
    # bytes is no text in any encoding.
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return
    sample = head[:8192]
    evens, odds = sample[0::2].count(0), sample[1::2].count(0)
    half = max(len(sample) // 2, 1)
    if max(evens, odds) > 0.3 * half and min(evens, odds) < 0.1 * half:
        return
    control = sum(sample.count(bytes([c])) for c in (*range(9), *range(14, 32), 127) if c != 0)
    if control + sample.count(0) > 0.05 * len(sample) + 2:
        raise InputError(
            f"{name} is a binary file of a kind that is not read here. Tables are read from CSV, TSV, "
            "XLSX, XLS, "
            "ODS, GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML, Parquet and Open311 JSON or XML."
        )
