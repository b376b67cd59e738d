"""GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML, GML and file geodatabases, through OGR.

Features are streamed as Arrow batches. Geometry becomes ``__lon`` and ``__lat`` in
EPSG:4326. Date-times come as ISO text with their offset, because one column may mix
offsets. A DBF without a stated encoding is judged by its own bytes: OGR would take it for
Latin-1 and spoil Arabic.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyogrio
import pyproj
from pyogrio.errors import DataLayerError, DataSourceError
from pyogrio.raw import open_arrow

from geo.errors import InputError
from ingest.readers.columnar import as_frame
from ingest.readers.encoding import detect_bytes
from ingest.readers.geometry import Projector
from ingest.readers.header import clean_names
from ingest.readers.opening import check_bomb, zip_members
from ingest.readers.table import LAT, LINE, LON, Chunk, Table, split_bad

_KINDS = {
    "ESRI Shapefile": "shp", "GPKG": "gpkg", "GeoJSON": "geojson", "GeoJSONSeq": "geojson",
    "FlatGeobuf": "fgb", "OpenFileGDB": "gdb", "KML": "kml", "LIBKML": "kml", "ESRIJSON": "esrijson",
    "GML": "gml", "TopoJSON": "topojson", "SQLite": "sqlite",
}  # fmt: skip


# GDAL's fast path for FlatGeobuf gives corrupt offsets for features without geometry.
pyogrio.set_gdal_config_options({"OGR_FLATGEOBUF_STREAM_BASE_IMPL": True})


class VectorTable(Table):
    """One layer of an OGR source."""

    def __init__(self, target: str, name: str, layer: str | None, encoding: str | None = None) -> None:
        try:
            with warnings.catch_warnings():
                # Measures (M) are dropped with a warning for each layer: a report has no use for them.
                warnings.simplefilter("ignore", UserWarning)
                layers = [str(row[0]) for row in pyogrio.list_layers(target)]
                chosen = _layer(layers, layer, target, name)
                info = pyogrio.read_info(target, layer=chosen, encoding=encoding)
        except (DataSourceError, DataLayerError) as error:
            if ".shx" in str(error).lower():
                raise InputError(
                    f"{name}: the .shx file that belongs to it is missing. Hand in all parts of the "
                    "shapefile (.shp, "
                    ".shx, .dbf, .prj, .cpg) in one folder or one .zip."
                ) from error
            raise InputError(
                f"{name} cannot be read as map data ({error}). Open it in a GIS and save it as GeoPackage."
            ) from error
        super().__init__(_KINDS.get(info["driver"], str(info["driver"]).lower()))
        self._target, self._layer, self._name = target, chosen, name
        self._encoding = encoding
        self._fields = [str(field) for field in info["fields"]]
        self.columns = clean_names(self._fields)
        count = int(info["features"])
        self.rows_hint = count if count >= 0 else None
        self._done = 0
        self._spatial = info["geometry_type"] is not None
        if len(layers) > 1:
            self.notes.append(f"Layer {chosen!r} of: {', '.join(layers)}.")
        crs = pyproj.CRS.from_user_input(info["crs"]) if info["crs"] else None
        self._projector = Projector(crs, name) if self._spatial else None
        if self._projector is not None:
            self.crs = self._projector.label
            self.notes.extend(self._projector.notes)
        if encoding:
            self.notes.append(f"Attribute encoding {encoding}.")

    def position(self) -> float:
        return min(self._done / self.rows_hint, 1.0) if self.rows_hint else 0.0

    def chunks(self, size: int = 65536) -> Iterator[Chunk]:
        try:
            with open_arrow(
                self._target,
                layer=self._layer,
                encoding=self._encoding,
                batch_size=size,
                use_pyarrow=True,
                datetime_as_string=True,
            ) as (meta, reader):
                geometry = meta["geometry_name"] or "wkb_geometry"
                for batch in reader:
                    yield self._chunk(batch, geometry)
        except (DataSourceError, DataLayerError, pa.ArrowException) as error:
            raise InputError(
                f"{self._name} could not be read beyond feature {self._done:,} ({error}). Open it in "
                "a GIS, check "
                "it there, and save it as GeoPackage."
            ) from error
        if self._projector is not None:
            self.notes.extend(self._projector.last_notes())

    def _chunk(self, batch: pa.RecordBatch, geometry: str) -> Chunk:
        first = self._done + 1
        self._done += batch.num_rows
        lines = np.arange(first, first + batch.num_rows)
        names = [name for name in batch.schema.names if name != geometry]
        frame, undecodable = as_frame(batch.select(names), self.columns)
        frame = frame.with_columns(pl.Series(LINE, lines, dtype=pl.Int64))
        reasons = dict.fromkeys(
            undecodable, ("undecodable", "Bytes of this feature have no meaning in the file's encoding.")
        )
        if self._projector is not None and geometry in batch.schema.names:
            wkb = np.array(batch.column(geometry).to_pylist(), dtype=object)
            lon, lat, unreadable = self._projector.points(wkb)
            frame = frame.with_columns(pl.Series(LON, lon).fill_nan(None), pl.Series(LAT, lat).fill_nan(None))
            for i in np.flatnonzero(unreadable):
                reasons[int(i)] = ("unreadable_geometry", "The geometry of this feature is damaged.")
        return split_bad(frame, reasons)


def open_vector(path: Path, name: str, layer: str | None, encoding: str | None) -> VectorTable:
    """Open a file that OGR reads directly."""
    if path.suffix.lower() in (".shp", ".dbf") and encoding is None:
        dbf = path.with_suffix(".dbf")
        encoding = _dbf_encoding(dbf.read_bytes()[:1_000_000] if dbf.exists() else b"", _has_cpg(path))
    return VectorTable(str(path), name, layer, encoding)


def open_vector_zip(path: Path, name: str, layer: str | None, encoding: str | None) -> VectorTable:
    """Open a zipped shapefile or file geodatabase where it lies."""
    members = zip_members(path)
    with zipfile.ZipFile(path) as archive:
        check_bomb(sum(info.file_size for info in archive.infolist()), path.stat().st_size, name)
    base = f"/vsizip/{path.resolve()}"
    geodatabases = sorted({m[: m.lower().index(".gdb/") + 4] for m in members if ".gdb/" in m.lower()})
    if geodatabases:
        return VectorTable(f"{base}/{geodatabases[0]}", name, layer, encoding)
    shapes = [m for m in members if m.lower().endswith(".shp")]
    if layer is not None:
        shapes = [m for m in shapes if layer in (m, Path(m).name, Path(m).stem)] or shapes
    if len(shapes) > 1:
        listed = ", ".join(sorted(Path(m).stem for m in shapes))
        raise InputError(f"{name} holds {len(shapes)} shapefiles: {listed}. Say which one with --layer NAME.")
    stem = shapes[0][:-4].lower()
    if encoding is None:
        parts = {m.lower(): m for m in members}
        with zipfile.ZipFile(path) as archive:
            start = archive.open(parts[f"{stem}.dbf"]).read(1_000_000) if f"{stem}.dbf" in parts else b""
        encoding = _dbf_encoding(start, f"{stem}.cpg" in parts)
    return VectorTable(f"{base}/{shapes[0]}", name, None, encoding)


def _layer(layers: list[str], asked: str | None, target: str, name: str) -> str:
    if not layers:
        raise InputError(f"{name} holds no layer. Export it again.")
    if asked is None:
        if len(layers) == 1:
            return layers[0]
        # A geodatabase or GeoPackage: take the layer only if one clearly is the data.
        sizes: dict[str, Any] = {
            n: pyogrio.read_info(target, layer=n, force_feature_count=True)["features"] for n in layers
        }
        filled = [n for n, count in sizes.items() if count]
        if len(filled) == 1:
            return filled[0]
        listed = ", ".join(f"{n} ({count:,})" for n, count in sizes.items())
        raise InputError(f"{name} holds {len(layers)} layers: {listed}. Say which one with --layer NAME.")
    if asked not in layers:
        raise InputError(f"{name} has no layer {asked!r}. Layers: {', '.join(layers)}.")
    return asked


def _has_cpg(path: Path) -> bool:
    return any(path.with_suffix(suffix).exists() for suffix in (".cpg", ".CPG"))


def _dbf_encoding(start: bytes, stated: bool) -> str | None:
    """The encoding of a DBF that does not state one; None leaves it to OGR."""
    if stated or len(start) < 32 or start[29] != 0:  # byte 29: language driver
        return None
    codec = detect_bytes(start[int.from_bytes(start[8:10], "little") :])
    return {"utf-8": "UTF-8", "latin_1": "ISO-8859-1"}.get(codec, codec.upper())
