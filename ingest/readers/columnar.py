"""Parquet and GeoParquet, in batches; and Arrow batches as frames with few types.

Geometry is recognised by the ``geo`` metadata of GeoParquet or by a GeoArrow WKB column. Types
are reduced to text, whole and decimal numbers, booleans, dates and date-times (with a zone:
in UTC); nested values become JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj

from geo.errors import InputError
from ingest.readers.geometry import Projector
from ingest.readers.header import clean_names
from ingest.readers.table import LAT, LINE, LON, Chunk, Table, split_bad


def as_frame(batch: pa.RecordBatch, names: list[str]) -> tuple[pl.DataFrame, list[int]]:
    """Return a batch under new column names with reduced types, and the rows with broken text."""
    series, broken = [], set()
    for name, column in zip(names, batch.columns, strict=True):
        plain, faults = _plain(column)
        broken.update(faults)
        series.append(pl.Series(name, pl.from_arrow(plain)))
    return pl.DataFrame(series), sorted(broken)


def _plain(column: pa.Array) -> tuple[pa.Array, list[int]]:
    kind = column.type
    if isinstance(kind, pa.ExtensionType):
        return _plain(column.storage)
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            return _mended(column.cast(pa.large_binary()))
        return _nulled(column), []
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string()), []
    if pa.types.is_integer(kind):
        return column.cast(pa.int64(), safe=not pa.types.is_uint64(kind)), []
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64()), []
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", "UTC" if kind.tz else None), safe=False), []
    if pa.types.is_date(kind):
        return column.cast(pa.date32()), []
    if pa.types.is_boolean(kind):
        return column, []
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string()), []
    values = column.to_pylist()
    return pa.array([None if v is None else _json(v) for v in values], pa.string()), []


def _nulled(column: pa.Array) -> pa.Array:
    """Empty text as null, as every reader gives it."""
    frame = pl.Series(pl.from_arrow(column))
    return frame.replace("", None).to_arrow() if (frame == "").any() else column


def _mended(column: pa.Array) -> tuple[pa.Array, list[int]]:
    faults, values = [], []
    for i, value in enumerate(column.to_pylist()):
        try:
            values.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            faults.append(i)
            values.append(value.decode("utf-8", "replace"))
    return pa.array(values, pa.string()), faults


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class ParquetTable(Table):
    """A Parquet file, with its geometry where it has one."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{name} is a damaged or cut-off Parquet file ({error}). Fetch it again."
            ) from error
        geometry, crs = _geometry_of(file.schema_arrow, name)
        super().__init__("geoparquet" if geometry else "parquet")
        self.stack.callback(file.close)
        self._file, self._name, self._geometry = file, name, geometry
        self._names = [n for n in file.schema_arrow.names if n != geometry]
        self.columns = clean_names(self._names)
        self.rows_hint = file.metadata.num_rows
        self._done = 0
        self._projector = Projector(crs, name) if geometry else None
        if self._projector is not None:
            self.crs = self._projector.label
            self.notes.extend(self._projector.notes)

    def position(self) -> float:
        return min(self._done / self.rows_hint, 1.0) if self.rows_hint else 0.0

    def chunks(self, size: int = 65536) -> Iterator[Chunk]:
        try:
            for batch in self._file.iter_batches(batch_size=size):
                lines = np.arange(self._done + 1, self._done + 1 + batch.num_rows)
                self._done += batch.num_rows
                frame, undecodable = as_frame(batch.select(self._names), self.columns)
                frame = frame.with_columns(pl.Series(LINE, lines, dtype=pl.Int64))
                reasons = dict.fromkeys(undecodable, ("undecodable", "The text of this row is not UTF-8."))
                if self._projector is not None and self._geometry is not None:
                    column = batch.column(self._geometry)
                    storage = column.storage if isinstance(column.type, pa.ExtensionType) else column
                    wkb = np.array(storage.to_pylist(), dtype=object)
                    lon, lat, unreadable = self._projector.points(wkb)
                    frame = frame.with_columns(
                        pl.Series(LON, lon).fill_nan(None), pl.Series(LAT, lat).fill_nan(None)
                    )
                    for i in np.flatnonzero(unreadable):
                        reasons[int(i)] = ("unreadable_geometry", "The geometry of this row is damaged.")
                yield split_bad(frame, reasons)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self._name} could not be read beyond row {self._done:,} ({error}). Fetch it again."
            ) from error
        if self._projector is not None:
            self.notes.extend(self._projector.last_notes())


def _geometry_of(schema: pa.Schema, name: str) -> tuple[str | None, pyproj.CRS | None]:
    """The geometry column and its CRS; GeoParquet means longitude and latitude when it names none."""
    meta = json.loads((schema.metadata or {}).get(b"geo", b"null"))
    if meta:
        column = meta["primary_column"]
        about = meta["columns"][column]
        if about.get("encoding", "WKB").upper() != "WKB":
            raise InputError(
                f"{name} stores its geometry as {about['encoding']}. Save it with WKB geometry (the default)."
            )
        crs = about.get("crs", "OGC:CRS84")
        return column, None if crs is None else pyproj.CRS.from_user_input(crs)
    for field in schema:
        tags = field.metadata or {}
        label = tags.get(b"ARROW:extension:name", b"").decode()
        extension = getattr(field.type, "extension_name", label)
        if extension in ("geoarrow.wkb", "ogc.wkb"):
            said = tags.get(b"ARROW:extension:metadata", b"")
            crs = json.loads(said or b"{}").get("crs")
            return field.name, pyproj.CRS.from_user_input(crs) if crs else None
    return None, None
