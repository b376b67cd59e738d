"""Files of exposure, read: polygons, lines, points, tables of cells or points, rasters.

Whatever the file, the result says what kind of thing it holds, where, and how much of it.
A value that is no number, negative or missing stops the load with its row: an exposure
that is silently short makes every rate too high. Readers are those of reports and
boundaries; rasters are read by GDAL through rasterio.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import shapely

from geo.boundaries import repair
from geo.cells import Cells, from_text, resolutions
from geo.errors import InputError
from ingest.outlines import read_outlines
from ingest.point_texts import parse_numbers
from ingest.readers import LAT, LINE, LON, open_table
from ingest.readers.opening import kind_of, resolve, zip_kind, zip_members
from ingest.text import fold

Floats = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]

_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_CELL = ("cell", "h3", "h3index", "h3cell", "h3id", "hex", "hexid", "hexagon", "h3address", "cellid", "خلية")
_LON = ("lon", "lng", "long", "longitude", "x", "خطالطول")
_LAT = ("lat", "latitude", "y", "خطالعرض")
_VALUE = {
    "population": re.compile(
        r"^(total|tot)?(population|pop|people|persons|residents|inhabitants)(total|tot|count|sum)?"
        r"((19|20)?\d\d)?$|^(عدد)?(ال)?سكان$"
    ),
    "buildings": re.compile(r"^(n|num|number|count)?(of)?buildings?(count|s)?$|^(عدد)?(ال)?مباني$"),
    "road_km": re.compile(r"^(roads?)?(length)?km$|^roadlength$|^lengthkm$"),
}
_ANY_VALUE = re.compile(r"^(value|val|count|total|amount|sum|n|z|القيمه|العدد)$")


@dataclass(frozen=True)
class PointSource:
    """Places with an amount each (n,), or one each where ``values`` is None."""

    lon: Floats
    lat: Floats
    values: Floats | None
    column: str | None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CellSource:
    """H3 cells of one resolution with an amount each, (n,)."""

    cells: Cells
    values: Floats
    column: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ShapeSource:
    """Polygons or lines (n,), valid, EPSG:4326, with an amount each where a column was read."""

    shapes: Shapes
    values: Floats | None
    column: str | None
    lines: bool
    notes: list[str] = field(default_factory=list)


Source = PointSource | CellSource | ShapeSource


def is_raster(path: Path) -> bool:
    """Whether a file is a GeoTIFF, by its first bytes."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4) in _TIFF
    except OSError:
        return False


def read_source(path: Path, kind: str, column: str | None, layer: str | None) -> Source:
    """Read a file that is no raster.

    Parameters
    ----------
    kind : of exposure: says which column is meant, and what may be in the file.
    column : of the amounts; recognised when left out.
    layer : of a map file with several.

    Raises
    ------
    InputError : the file, a column or a value is wrong.
    """
    if _has_outlines(path, layer):
        return _shapes(path, kind, column, layer)
    return _table(path, kind, column, layer)


def _has_outlines(path: Path, layer: str | None) -> bool:
    opened = resolve(path, layer if path.suffix.lower() == ".zip" else None)
    if opened.path.is_dir():
        return True
    head = opened.head()
    kind = kind_of(head, opened.member or re.sub(r"\.(gz|bz2|zst)$", "", opened.name))
    if kind == "parquet":
        if opened.compression:
            return False
        try:
            schema = pq.read_schema(opened.path)
        except Exception as error:
            raise InputError(f"{opened.name} is damaged ({error}). Export it again.") from error
        return b"geo" in (schema.metadata or {}) or "geometry" in schema.names
    if kind == "json":
        marks = (b'"FeatureCollection"', b'"Feature"', b'"Topology"', b'"geometryType"')
        return any(mark in head for mark in marks)
    if kind == "zip":
        return zip_kind(zip_members(opened.path)) in ("shp", "gdb")
    return kind in ("sqlite", "fgb", "shp", "xml")


# ---- map files ----


def _shapes(path: Path, kind: str, column: str | None, layer: str | None) -> Source:
    outlines = read_outlines(path, layer)
    frame, notes = outlines.frame, list(outlines.notes)
    shapes = np.asarray(frame.geometry.values, dtype=object)
    family = _families(shapes)
    present = [name for name in ("polygon", "line", "point") if (family == name).any()]
    if not present:
        raise InputError(f"{path.name}: none of its {len(frame):,} features has a geometry.")
    wanted = {"road_km": "line", "water": "polygon"}.get(
        kind, max(present, key=lambda f: (family == f).sum())
    )
    if wanted not in present or (wanted == "line" and kind != "road_km"):
        raise InputError(_wrong_family(path, kind, present))
    values, taken = None, None
    if kind in ("road_km", "water"):
        if column is not None:
            what = "length" if kind == "road_km" else "ground"
            raise InputError(f"{kind} is measured from the {what} of the shapes; leave --column out.")
    elif column is not None or kind != "buildings":
        taken = _value_column(path, kind, column, _number_columns(frame), list(map(str, frame.columns)))
        values = _amounts(path, taken, _series(frame[taken]), np.arange(1, len(frame) + 1))
    keep = family == wanted
    _refuse_lost(path, keep, values, wanted)
    if not keep.all():
        notes.append(f"{int((~keep).sum()):,} of {len(frame):,} features are no {wanted}s and were left out.")
    shapes, values = shapes[keep], None if values is None else values[keep]
    if wanted == "point":
        if shapely.get_num_geometries(shapes).max() > 1:
            raise InputError(
                f"{path.name} holds multi-points: it is not said how an amount is shared among them. "
                "Export single points."
            )
        single = shapely.get_geometry(shapes, 0)
        return PointSource(shapely.get_x(single), shapely.get_y(single), values, taken, notes)
    if wanted == "line":
        return ShapeSource(shapes, None, None, True, notes)
    mended, repaired, reasons = repair(shapes)
    for i in np.flatnonzero(repaired)[:5]:
        notes.append(f"Feature {int(np.flatnonzero(keep)[i]) + 1} was repaired: {reasons[i]}.")
    if repaired.sum() > 5:
        notes.append(f"{int(repaired.sum()):,} features were repaired in all.")
    solid = ~shapely.is_missing(mended)
    _refuse_lost(path, solid, values, "polygon", np.flatnonzero(keep))
    if kind == "buildings" and values is None:
        # A building is one, wherever its middle lies.
        middle = shapely.centroid(mended[solid])
        return PointSource(shapely.get_x(middle), shapely.get_y(middle), None, None, notes)
    return ShapeSource(mended[solid], None if values is None else values[solid], taken, False, notes)


def _families(shapes: Shapes) -> npt.NDArray[np.object_]:
    """polygon, line, point or '' of each shape (n,)."""
    dimension = shapely.get_dimensions(shapes)
    usable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    return np.where(usable, np.array(["point", "line", "polygon", ""], dtype=object)[dimension], "")


def _wrong_family(path: Path, kind: str, present: Sequence[str]) -> str:
    held = " and ".join(f"{name}s" for name in present)
    need = {
        "road_km": "Roads are read from lines (or from a table of cells with a column of kilometres).",
        "water": "Water is read from polygons: rivers drawn as lines have no ground.",
        "population": "People are read from polygons or points with a count, tables, or a raster.",
        "buildings": "Buildings are read from points or polygons, or tables with a count.",
    }
    return f"{path.name} holds {held}. {need[kind]}"


def _refuse_lost(
    path: Path,
    keep: npt.NDArray[np.bool_],
    values: Floats | None,
    wanted: str,
    numbers: npt.NDArray[np.int64] | None = None,
) -> None:
    """A feature without a usable shape may be left out only if nothing is lost with it."""
    if values is None or keep.all():
        return
    lost = ~keep & (values > 0)
    if lost.any():
        first = int(np.flatnonzero(lost)[0])
        row = first + 1 if numbers is None else int(numbers[first]) + 1
        raise InputError(
            f"{path.name}, feature {row}: {values[first]:g} is given without a {wanted} "
            f"({int(lost.sum()):,} such features). Give each its shape, or remove them."
        )


def _number_columns(frame: gpd.GeoDataFrame) -> list[str]:
    return [
        str(name)
        for name in frame.columns
        if name != frame.geometry.name and pd.api.types.is_numeric_dtype(frame[name])
    ]


def _series(values: pd.Series) -> pl.Series:
    if pd.api.types.is_numeric_dtype(values):
        return pl.Series(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return pl.Series([None if pd.isna(value) else str(value) for value in values], dtype=pl.String)


# ---- tables ----


def _table(path: Path, kind: str, column: str | None, layer: str | None) -> Source:
    if kind == "water":
        raise InputError(
            f"{path.name} is a table. Water is read from polygons (GeoPackage, GeoJSON, Shapefile …)."
        )
    with open_table(path, layer=layer) as opened:
        chunks = list(opened.chunks())
        notes = list(opened.notes)
    bad = [row for chunk in chunks for row in chunk.bad]
    if bad:
        raise InputError(f"{path.name}, row {bad[0].line}: {bad[0].message}")
    frames = [chunk.frame for chunk in chunks if chunk.frame.height]
    if not frames:
        raise InputError(f"{path.name} holds no rows.")
    frame = pl.concat(frames, how="vertical_relaxed")
    lines = frame[LINE].to_numpy()
    names = [name for name in frame.columns if name not in (LINE, LON, LAT)]
    plain = {name: _key(name) for name in names}
    cell = next((name for name in names if plain[name] in _CELL), None)
    lon = next((name for name in names if plain[name] in _LON), None)
    lat = next((name for name in names if plain[name] in _LAT), None)
    if cell is None and (lon is None or lat is None):
        raise InputError(
            f"{path.name} has neither a column of H3 cells (named cell or h3) nor lon and lat. Its columns "
            f"are: {', '.join(names)}. Polygons are read from GeoPackage, GeoJSON, Shapefile or GeoParquet."
        )
    places = {cell} if cell is not None else {lon, lat}
    taken: str | None = None
    values: Floats | None = None
    if column is not None or kind != "buildings" or cell is not None or _named(kind, names):
        numbers = [n for n in names if n not in places and _looks_numeric(frame[n])]
        taken = _value_column(path, kind, column, numbers, [n for n in names if n not in places])
        values = _amounts(path, taken, frame[taken], lines)
    if cell is not None and values is not None and taken is not None:
        return CellSource(_cells(path, cell, frame[cell], lines), values, taken, notes)
    x, y = (_coordinates(path, str(name), frame[str(name)], lines) for name in (lon, lat))
    beyond = (np.abs(x) > 180) | (np.abs(y) > 90)
    if beyond.any():
        i = int(np.flatnonzero(beyond)[0])
        raise InputError(
            f"{path.name}, row {lines[i]}: ({x[i]:g}, {y[i]:g}) is no longitude and latitude. Give decimal "
            "degrees (EPSG:4326), or a map file that states its reference system."
        )
    return PointSource(x, y, values, taken, notes)


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", fold(name))


def _looks_numeric(values: pl.Series) -> bool:
    if values.dtype.is_numeric():
        return True
    some = values.drop_nulls().head(200)
    return bool(len(some)) and parse_numbers(some).null_count() <= 0.1 * len(some)


def _cells(path: Path, name: str, values: pl.Series, lines: npt.NDArray[np.int64]) -> Cells:
    if values.null_count():
        row = int(lines[int(values.is_null().arg_true()[0])])
        raise InputError(f"{path.name}, row {row}: the column '{name}' is empty; every row needs its cell.")
    if values.dtype.is_integer():
        texts = [f"{int(cell):x}" for cell in values.to_list()]
    else:
        texts = [str(cell).strip().lower() for cell in values.to_list()]
        # 18 and 19 digits: the same index written as a decimal number.
        texts = [f"{int(t):x}" if t.isdigit() and len(t) > 16 else t for t in texts]
    try:
        found = from_text(texts)
    except InputError as error:
        raise InputError(f"{path.name}, column '{name}': {error}") from None
    sizes = np.unique(resolutions(found))
    if len(sizes) > 1 or sizes[0] < 0:
        listed = ", ".join("empty" if s < 0 else str(s) for s in sizes)
        raise InputError(
            f"{path.name}, column '{name}': the cells have several resolutions ({listed}). Give all at one, "
            "so that no ground is counted twice."
        )
    return found


def _coordinates(path: Path, name: str, values: pl.Series, lines: npt.NDArray[np.int64]) -> Floats:
    numbers = parse_numbers(values)
    if numbers.null_count():
        i = int(numbers.is_null().arg_true()[0])
        raise InputError(
            f"{path.name}, row {lines[i]}, column '{name}': {values[i]!r} is no coordinate in decimal degrees."
        )
    return numbers.to_numpy()


# ---- values ----


def _named(kind: str, names: Sequence[str]) -> list[str]:
    pattern = _VALUE.get(kind)
    return [name for name in names if pattern is not None and pattern.match(_key(name))]


def _value_column(
    path: Path, kind: str, asked: str | None, numeric: Sequence[str], names: Sequence[str]
) -> str:
    if asked is not None:
        if asked not in names:
            raise InputError(
                f"{path.name} has no column '{asked}'. Its columns are: {', '.join(names) or 'none'}."
            )
        return asked
    named = _named(kind, names) or [name for name in numeric if _ANY_VALUE.match(_key(name))]
    if len(named) == 1:
        return named[0]
    if not named and len(numeric) == 1:
        return numeric[0]
    what = "several columns could be" if len(named) > 1 else "no column is clearly"
    listed = ", ".join(named or numeric) or "none"
    raise InputError(
        f"{path.name}: {what} the {kind}. Say which with --column NAME; columns of numbers: {listed}."
    )


def _amounts(path: Path, name: str, values: pl.Series, lines: npt.NDArray[np.int64]) -> Floats:
    """Amounts (n,), all at least 0; InputError names the first row that is not."""
    numbers = parse_numbers(values)
    amounts = numbers.fill_null(np.nan).to_numpy()
    wrong = ~np.isfinite(amounts) | (amounts < 0)
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        more = f" ({int(wrong.sum()):,} such rows)" if wrong.sum() > 1 else ""
        value = values[i]
        empty = value is None or (isinstance(value, float) and np.isnan(value)) or str(value).strip() == ""
        if empty:
            said = "is empty. Write 0 where there is nothing, or remove the row where it is not known"
        elif np.isfinite(amounts[i]):
            said = f"is {amounts[i]:g}: an exposure cannot be negative. Correct it, or remove the row"
        else:
            said = f"is {str(value)!r}, which is no number. Correct it, or name another column with --column"
        raise InputError(f"{path.name}, row {lines[i]}, column '{name}' {said}{more}.")
    if not amounts.sum() > 0:
        raise InputError(f"{path.name}, column '{name}': every value is 0; there is nothing to load.")
    return amounts
