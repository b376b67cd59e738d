"""Writes the table of an analysis: GeoJSON, GeoPackage, GeoParquet, CSV or XLSX.

For results that fit into memory (cells, clusters, a backtest); reports stream through
``data/exports.py``. Texts are safe in a spreadsheet. CSV and XLSX leave the shapes out:
the ``cell`` column (H3 index as text) says where.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

import geopandas as gpd
import pandas as pd
import polars as pl

from data.sheets import CsvSheet, XlsxSheet
from geo.errors import InputError

FORMATS = ("geojson", "gpkg", "parquet", "csv", "xlsx")
SHAPELESS = ("csv", "xlsx", "parquet")


def write_frame(frame: pd.DataFrame, path: Path, layer: str = "rasd") -> int:
    """Write a frame to a file; the format is the file's ending. Returns the number of rows.

    Raises
    ------
    InputError : the ending is none of ``FORMATS``, or the format needs shapes and there are none.
    """
    format = path.suffix.lstrip(".").lower()
    body = frame_bytes(frame, format, layer)
    try:
        path.write_bytes(body)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place.") from error
    return len(frame)


def frame_bytes(frame: pd.DataFrame, format: str, layer: str = "rasd") -> bytes:
    """The frame as a file's content; see ``write_frame``."""
    if format not in FORMATS:
        raise InputError(f"The format {format!r} is not known: use {', '.join('.' + f for f in FORMATS)}.")
    shaped = isinstance(frame, gpd.GeoDataFrame)
    if not shaped and format not in SHAPELESS:
        raise InputError(f"This table has no shapes: write it as {' or '.join('.' + f for f in SHAPELESS)}.")
    out = io.BytesIO()
    if format == "geojson":
        return bytes(_timeless(frame).to_json(to_wgs84=True, drop_id=True, show_bbox=False).encode())
    if format == "gpkg":
        frame.to_file(out, driver="GPKG", layer=layer, engine="pyogrio")
    elif format == "parquet":
        frame.to_parquet(out, index=False)
    else:
        _sheet(frame, format, out, layer)
    return out.getvalue()


def _timeless(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The frame with its times as ISO 8601 texts, for JSON has none."""
    times = [name for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
    texts = {name: [None if pd.isna(at) else at.isoformat() for at in frame[name]] for name in times}
    return frame.assign(**texts)


def _sheet(frame: pd.DataFrame, format: str, out: IO[bytes], title: str) -> None:
    plain = (
        pd.DataFrame(frame.drop(columns=frame.geometry.name))
        if isinstance(frame, gpd.GeoDataFrame)
        else frame
    )
    table = pl.from_pandas(plain)
    with CsvSheet(out) if format == "csv" else XlsxSheet(out, title) as sheet:
        sheet.write(table)
