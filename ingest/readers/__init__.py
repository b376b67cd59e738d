"""Files in, uniform chunks out.

``open_table`` looks at the first bytes of a file, unpacks it where it is compressed, and
hands it to the reader of its kind. Whatever the format, a chunk is a frame with the file's
own columns, the line of each row, and the point of each row where the format has geometry.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from geo.errors import InputError
from ingest.readers.columnar import ParquetTable
from ingest.readers.delimited import DelimitedTable
from ingest.readers.encoding import Encoding, detect_encoding, encoding_from_option
from ingest.readers.open311 import is_open311_xml, open_json, open_xml
from ingest.readers.opening import Opened, file_digest, kind_of, resolve, zip_kind, zip_members
from ingest.readers.spreadsheet import SheetTable, open_ole
from ingest.readers.table import LAT, LINE, LON, BadRow, Chunk, Table
from ingest.readers.vector import open_vector, open_vector_zip

__all__ = ["LAT", "LINE", "LON", "BadRow", "Chunk", "Table", "file_digest", "open_table"]


def open_table(
    path: Path,
    *,
    sheet: str | None = None,
    layer: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Table:
    """Open a file of rows.

    Parameters
    ----------
    path : the file; its kind is judged by its content, and .gz, .bz2, .zst and .zip are unpacked.
    sheet : name or number (from 1) of a workbook's sheet; otherwise the largest one.
    layer : name of a map file's layer, or of a zip's member.
    encoding : of text files and DBF tables; otherwise recognised.
    delimiter : of delimited text; otherwise recognised.

    Raises
    ------
    InputError : the file is no table that can be read; the message says what to do.
    """
    path = Path(path)
    if delimiter is not None and len(delimiter.replace("\\t", "\t")) != 1:
        raise InputError(f"The delimiter must be one character, not {delimiter!r}. For a tab write '\\t'.")
    delimiter = delimiter.replace("\\t", "\t") if delimiter else None
    with contextlib.ExitStack() as stack:
        table = _open(resolve(path, layer), stack, sheet, layer, encoding, delimiter, depth=0)
        # What was unpacked lives as long as the table.
        table.stack.push(stack.pop_all())
        return table


def _open(
    opened: Opened,
    stack: contextlib.ExitStack,
    sheet: str | None,
    layer: str | None,
    encoding: str | None,
    delimiter: str | None,
    depth: int,
) -> Table:
    name = opened.name
    if opened.path.is_dir():
        return open_vector(opened.path, name, layer, encoding)
    head = opened.head()
    kind = kind_of(head, opened.member or (name.rsplit(".", 1)[0] if opened.compression else name))
    if kind == "text":
        return DelimitedTable(opened, encoding, delimiter)
    if kind == "json" and not _is_map_json(head):
        return open_json(opened, _encoding(opened, encoding))
    local = opened.local_path(stack, _suffix(kind, head))
    if kind in ("gz", "bz2", "zst") or (kind == "zip" and opened.compression):
        if depth >= 2:
            raise InputError(f"{name} is compressed more than twice. Unpack it and hand in the result.")
        inner = resolve(local, layer)
        inner = Opened(inner.path, f"{name}", inner.compression, inner.member)
        return _open(inner, stack, sheet, layer, encoding, delimiter, depth + 1)
    if kind == "zip":
        inside = zip_kind(zip_members(local))
        if inside in ("gdb", "shp"):
            return open_vector_zip(local, name, layer, encoding)
        return SheetTable(local, name, inside, sheet)
    if kind == "ole":
        return open_ole(local, name, sheet)
    if kind == "parquet":
        return ParquetTable(local, name)
    if kind == "xml" and is_open311_xml(head):
        return open_xml(local, name)
    return open_vector(local, name, layer, encoding)


def _encoding(opened: Opened, asked: str | None) -> Encoding:
    return encoding_from_option(asked) if asked else detect_encoding(opened.stream, bool(opened.compression))


def _is_map_json(head: bytes) -> bool:
    """Whether JSON is GeoJSON, TopoJSON or Esri JSON, which OGR reads."""
    start = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if not start.startswith(b"{"):
        return False
    marks = (b'"FeatureCollection"', b'"Feature"', b'"Topology"', b'"geometryType"', b'"esriGeometry')
    return any(mark in start for mark in marks)


def _suffix(kind: str, head: bytes) -> str:
    if kind == "xml":
        return ".kml" if b"<kml" in head else ".gml" if not is_open311_xml(head) else ".xml"
    return {"json": ".geojson", "sqlite": ".gpkg", "ole": ".xls"}.get(kind, f".{kind}")
