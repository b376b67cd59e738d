"""Downloads: reports, or counts by H3 cell, as GeoJSON, GeoPackage, CSV, GeoParquet or XLSX.

Reports stream from the store in chunks, so a million rows need no more memory than ten
thousand. Columns and units are documented in ``docs/exports.md``, which a test holds to
``REPORT_COLUMNS`` and ``CELL_COLUMNS``. Caveat: the same reports as on the screen, so
those on a geocoder's default point are left out unless the query asks for them, and a
column says of every row whether it is simulated.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio.raw
import shapely
from sqlalchemy import Connection, text

from data.maps import cell_counts
from data.query import ReportQuery, TerritoryFacts, territory_facts, where
from data.sheets import CsvSheet, XlsxSheet
from data.vocabulary import LEVELS, Channel, Flag, Precision, Status
from geo.cells import areas_km2, boundaries, centres, to_text
from geo.errors import InputError

FORMATS = ("csv", "geojson", "gpkg", "parquet", "xlsx")
_CHUNK = 10_000
Progress = Callable[[float, int], None]

_TIME = pl.Datetime("us", "UTC")
REPORT_COLUMNS: dict[str, Any] = {
    "reference": pl.String,
    "source": pl.String,
    "type": pl.String,
    "element_code": pl.String,
    "element_ar": pl.String,
    "element_en": pl.String,
    "group_code": pl.String,
    "status": pl.String,
    "channel": pl.String,
    "opened_at": _TIME,
    "status_at": _TIME,
    "due_at": _TIME,
    "closed_at": _TIME,
    "severity": pl.Int16,
    "quantity": pl.Float64,
    "unit": pl.String,
    "agency": pl.String,
    "contractor": pl.String,
    "lon": pl.Float64,
    "lat": pl.Float64,
    "precision": pl.String,
    "cell": pl.String,
    **{f"{level}_{language}": pl.String for level in LEVELS for language in ("ar", "en")},
    "flags": pl.String,
    "simulated": pl.Boolean,
}
CELL_COLUMNS: dict[str, Any] = {
    "cell": pl.String,
    "resolution": pl.Int16,
    "reports": pl.Int64,
    "km2": pl.Float64,
    "reports_per_km2": pl.Float64,
    "municipality_ar": pl.String,
    "municipality_en": pl.String,
    "lon": pl.Float64,
    "lat": pl.Float64,
    "simulated": pl.Boolean,
}
_WORDS: dict[str, dict[int, str]] = {
    "status": {int(code): code.name.lower() for code in Status},
    "channel": {int(code): code.name.lower() for code in Channel},
    "precision": {int(code): code.name.lower() for code in Precision},
}


class _Sink(Protocol):
    """What takes chunks of a table, with the geometry of each row as WKB or None."""

    def write(self, frame: pl.DataFrame, geometry: np.ndarray) -> None: ...

    def close(self) -> None: ...


def export_reports(
    conn: Connection,
    query: ReportQuery,
    format: str,
    out: Path | IO[bytes],
    progress: Progress | None = None,
) -> int:
    """Write the reports that fit the query, in order of their arrival; returns how many.

    Parameters
    ----------
    format : csv, geojson, gpkg, parquet or xlsx.
    out : a file to make or replace, or a binary stream.
    progress : called with (share done, rows so far) after every chunk.

    Raises
    ------
    InputError : no such format or folder; too many rows for XLSX.
    """
    _check(format)
    facts = territory_facts(conn, query.territory_id)
    condition, params = where(conn, query)
    # The scan that the query's filters are served by: ix_report_opened, ix_report_municipality or all.
    total = int(conn.scalar(text(f"SELECT count(*) FROM report r WHERE {condition}"), params) or 0)
    written = 0
    with (
        _target(out) as stream,
        _sink(format, stream, facts, "reports", "Point") as sink,
        contextlib.closing(_report_frames(conn, condition, params, facts)) as frames,
    ):
        sink.write(pl.DataFrame(schema=REPORT_COLUMNS), np.zeros(0, dtype=object))
        for frame in frames:
            points = shapely.points(frame["lon"].to_numpy(), frame["lat"].to_numpy())
            geometry = np.asarray(shapely.to_wkb(points), dtype=object)
            geometry[frame["lon"].is_null().to_numpy()] = None
            sink.write(_local(frame, facts, format), geometry)
            written += frame.height
            if progress:
                progress(written / max(total, written), written)
    return written


def export_cells(conn: Connection, query: ReportQuery, resolution: int, format: str) -> bytes:
    """Counts by H3 cell at one resolution (0 to 10) as a file's content.

    Cells without reports are not in it. Raises InputError for a format or resolution that
    there is not.
    """
    _check(format)
    facts = territory_facts(conn, query.territory_id)
    level = cell_counts(conn, query, finest=resolution, max_cells=1 << 62).levels[resolution]
    # Served by pk_area.
    names = {
        row.id: row
        for row in conn.execute(
            text("SELECT id, name_ar, name_en FROM area WHERE id = ANY(:ids)"),
            {"ids": np.unique(level.area_ids).tolist()},
        )
    }
    areas = [names.get(i) for i in level.area_ids.tolist()]
    km2 = areas_km2(level.cells)
    lon, lat = centres(level.cells)
    frame = pl.DataFrame(
        {
            "cell": to_text(level.cells),
            "resolution": np.full(len(level.cells), resolution),
            "reports": level.counts,
            "km2": km2,
            "reports_per_km2": level.counts / km2,
            "municipality_ar": [area.name_ar if area else None for area in areas],
            "municipality_en": [area.name_en if area else None for area in areas],
            "lon": lon,
            "lat": lat,
            "simulated": np.full(len(level.cells), facts.simulated),
        },
        schema_overrides=CELL_COLUMNS,
    )
    out = io.BytesIO()
    with _sink(format, out, facts, "cells", "Polygon") as sink:
        sink.write(frame, shapely.to_wkb(boundaries(level.cells)))
    return out.getvalue()


def _check(format: str) -> None:
    if format not in FORMATS:
        raise InputError(f"There is no export as '{format}': choose one of {', '.join(FORMATS)}.")


def _report_frames(
    conn: Connection, condition: str, params: dict[str, Any], facts: TerritoryFacts
) -> Generator[pl.DataFrame, None, None]:
    areas = ", ".join(f"{level}.name_ar AS {level}_ar, {level}.name_en AS {level}_en" for level in LEVELS)
    joins = " ".join(f"LEFT JOIN area {level} ON {level}.id = r.{level}_id" for level in LEVELS)
    # Served by pk_report in order of id, or the filters' index and a sort; read through a cursor.
    found = conn.execute(
        text(
            f"""SELECT r.reference, s.code AS source, t.name AS type, e.code AS element_code,
                  e.name_ar AS element_ar, e.name_en AS element_en, e.group_code,
                  r.status, r.channel, r.opened_at, r.status_at, r.due_at, r.closed_at,
                  r.severity, r.quantity, r.unit, r.agency, r.contractor,
                  ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat, r.precision, r.cell, {areas},
                  r.flags, coalesce(b.simulated, false) OR :x_simulated AS simulated
                FROM report r
                JOIN source s ON s.id = r.source_id
                LEFT JOIN source_type t ON t.id = r.type_id
                LEFT JOIN element e ON e.id = r.element_id
                LEFT JOIN batch b ON b.id = r.batch_id
                {joins}
                WHERE {condition} ORDER BY r.id"""
        ),
        params | {"x_simulated": facts.simulated},
        execution_options={"yield_per": _CHUNK},
    )
    with found as rows:
        for part in rows.partitions(_CHUNK):
            yield _in_words([tuple(row) for row in part])


def _in_words(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows of the store, whose codes become words, as a frame of REPORT_COLUMNS."""
    coded = {
        "status": pl.Int16,
        "channel": pl.Int16,
        "precision": pl.Int16,
        "flags": pl.Int32,
        "cell": pl.Int64,
    }
    frame = pl.DataFrame(rows, schema=REPORT_COLUMNS | coded, orient="row")
    flags = {
        bits: "; ".join(flag.name.lower() for flag in Flag(bits) if flag.name) or None
        for bits in frame["flags"].unique()
    }
    cells = pl.Series("cell", to_text(frame["cell"].fill_null(0).to_numpy()), dtype=pl.String)
    return frame.with_columns(
        *(pl.col(name).replace_strict(table, return_dtype=pl.String) for name, table in _WORDS.items()),
        pl.col("flags").replace_strict(flags, return_dtype=pl.String),
        cells.replace("", None),
    ).select(list(REPORT_COLUMNS))


def _local(frame: pl.DataFrame, facts: TerritoryFacts, format: str) -> pl.DataFrame:
    """Times in the territory's zone for the eye; Parquet and GeoPackage keep UTC."""
    if format in ("parquet", "gpkg"):
        return frame
    return frame.with_columns(
        pl.col(name).dt.convert_time_zone(facts.timezone)
        for name, kind in frame.schema.items()
        if kind == _TIME
    )


@contextlib.contextmanager
def _target(out: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """The stream to write to; a file appears under its name only when it is complete."""
    if not isinstance(out, Path):
        yield out
        return
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder does not exist; make it first.")
    draft = out.with_name(f".{out.name}.part")
    try:
        with draft.open("wb") as stream:
            yield stream
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _sink(format: str, out: IO[bytes], facts: TerritoryFacts, title: str, shape: str) -> Iterator[_Sink]:
    kinds: dict[str, Callable[[], _Sink]] = {
        "csv": lambda: _Table(CsvSheet(out)),
        "xlsx": lambda: _Table(XlsxSheet(out, title)),
        "geojson": lambda: _GeoJson(out, facts),
        "parquet": lambda: _GeoParquet(out, facts, shape),
        "gpkg": lambda: _GeoPackage(out, facts, title, shape),
    }
    with contextlib.closing(kinds[format]()) as sink:
        yield sink


class _Table:
    """CSV or XLSX: no geometry, only its coordinates."""

    def __init__(self, sheet: CsvSheet | XlsxSheet) -> None:
        self._sheet = sheet

    def write(self, frame: pl.DataFrame, geometry: np.ndarray) -> None:
        self._sheet.write(frame)

    def close(self) -> None:
        self._sheet.__exit__(None, None, None)


class _GeoJson:
    """GeoJSON (RFC 7946), one feature a line."""

    def __init__(self, out: IO[bytes], facts: TerritoryFacts) -> None:
        self._out = out
        self._rows = 0
        about = json.dumps(_about(facts), ensure_ascii=False)[1:-1]
        out.write(f'{{"type": "FeatureCollection", {about}, "features": ['.encode())

    def write(self, frame: pl.DataFrame, geometry: np.ndarray) -> None:
        shapes = shapely.to_geojson(shapely.from_wkb(geometry)) if len(geometry) else []
        lines = []
        for properties, shape in zip(frame.iter_rows(named=True), shapes, strict=True):
            said = json.dumps(properties, ensure_ascii=False, default=lambda time: time.isoformat())
            lines.append(f'{{"type": "Feature", "geometry": {shape or "null"}, "properties": {said}}}')
        if lines:
            self._out.write(((",\n" if self._rows else "\n") + ",\n".join(lines)).encode())
        self._rows += len(lines)

    def close(self) -> None:
        self._out.write(b"\n]}\n")


class _GeoParquet:
    """GeoParquet 1.1: geometry as WKB, WGS 84 longitude and latitude (OGC:CRS84, its default)."""

    def __init__(self, out: IO[bytes], facts: TerritoryFacts, shape: str) -> None:
        self._out = out
        self._writer: pq.ParquetWriter | None = None
        column = {"encoding": "WKB", "geometry_types": [shape]}
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        self._metadata = {"geo": json.dumps(geo), "rasd": json.dumps(_about(facts), ensure_ascii=False)}

    def write(self, frame: pl.DataFrame, geometry: np.ndarray) -> None:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        table = table.append_column("geometry", pa.array(geometry.tolist(), type=pa.binary()))
        if self._writer is None:
            schema = table.schema.with_metadata(self._metadata)
            self._writer = pq.ParquetWriter(self._out, schema, compression="zstd")
        self._writer.write_table(table.cast(self._writer.schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _GeoPackage:
    """GeoPackage through GDAL, which needs a file: it is written aside and copied at the end."""

    def __init__(self, out: IO[bytes], facts: TerritoryFacts, layer: str, shape: str) -> None:
        self._out, self._facts, self._layer, self._shape = out, facts, layer, shape
        self._folder = tempfile.TemporaryDirectory(prefix="rasd-")
        self._file = Path(self._folder.name) / "export.gpkg"

    def write(self, frame: pl.DataFrame, geometry: np.ndarray) -> None:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        table = table.append_column("geometry", pa.array(geometry.tolist(), type=pa.binary()))
        pyogrio.raw.write_arrow(
            table,
            self._file,
            layer=self._layer,
            driver="GPKG",
            geometry_name="geometry",
            geometry_type=self._shape,
            crs="EPSG:4326",
            append=self._file.exists(),
            layer_metadata=None
            if self._file.exists()
            else {k: str(v) for k, v in _about(self._facts).items()},
        )

    def close(self) -> None:
        if self._file.exists():
            with self._file.open("rb") as done:
                shutil.copyfileobj(done, self._out)
        self._folder.cleanup()


def _about(facts: TerritoryFacts) -> dict[str, Any]:
    """What a file says about itself."""
    return {
        "territory": facts.code,
        "name_ar": facts.name_ar,
        "name_en": facts.name_en,
        "timezone": facts.timezone,
        "simulated": facts.simulated,
    }
