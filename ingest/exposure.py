"""Exposure into the store: a file of people, buildings, roads or water becomes a set by H3 cell.

What a file holds decides how it gets into cells: polygons by areal interpolation (tobler),
lines by their length in each cell, points and buildings by counting, tables of cells or
of a regular grid as they are, rasters by their pixels, water by its share of each cell.
The total read is always accounted for: in cells of the study area, in cells around its
edge (kept, because coarser cells reach over it), or left out as outside. The set replaces
the one of the same kind in one transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Engine

from data import exposures, schema, territories
from geo.boundaries import areas_km2
from geo.cells import Cells, cells_covering, centres, resolutions
from geo.errors import InputError
from geo.exposure import (
    FINEST,
    MOST_CELLS,
    Spread,
    lattice,
    nearby,
    of_cells,
    of_lines,
    of_points,
    of_polygons,
    of_water,
    resolution_for,
    subpixels,
)
from ingest.destination import known_territory
from ingest.exposure_rasters import grounds_km2, of_raster
from ingest.exposure_sources import CellSource, PointSource, ShapeSource, Source, is_raster, read_source
from ingest.readers import file_digest

Progress = Callable[[float, int], None]

_SAMPLE = 2000  # places of the file by which its territory is found
_TOO_WET = 0.9  # share of the study area from which a file of water must be something else
_HARD_LIMIT = 2_000_000  # cells of a resolution that was asked for


@dataclass(frozen=True)
class ExposureResult:
    """What a load of exposure did. read = inside + edge + outside, in ``unit``.

    Attributes
    ----------
    form : cells, points, grid, polygons, lines or raster.
    inside : in cells whose centre lies in the study area (all, without boundaries).
    edge : in the cells kept around it.
    outside : left out.
    cells : kept, of ``resolution``.
    unchanged : the same set was current already, and nothing was written.
    """

    file: str
    territory: str
    kind: str
    label: str
    unit: str
    form: str
    column: str | None
    simulated: bool
    resolution: int
    cells: int
    read: float
    inside: float
    edge: float
    outside: float
    unchanged: bool
    notes: list[str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; key order is the reading order."""
        return dict(self.__dict__) | {"seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class _Ground:
    """The territory's study area; None where no boundaries are loaded."""

    area: shapely.Geometry | None
    km2: float

    def resolution(self, asked: int | None, source_km2: float | None, extent_km2: float) -> int:
        """The resolution asked for, else the finest that suits the ground and the source."""
        km2 = self.km2 if self.area is not None else extent_km2
        if asked is None:
            return resolution_for(km2, source_km2)
        if not 0 <= asked <= FINEST:
            raise InputError(
                f"Resolution {asked}: choose one from 0 to {FINEST}; reports are not kept finer."
            )
        if resolution_for(km2 * MOST_CELLS / _HARD_LIMIT) < asked:
            raise InputError(
                f"At resolution {asked} {km2:,.0f} km² have more than {_HARD_LIMIT:,} cells; choose a coarser one."
            )
        return asked

    def within(self, resolution: int) -> Cells | None:
        """Cells to keep; None for all."""
        return None if self.area is None else nearby(self.area, resolution)

    def box(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north of the cells to keep, generously; None for everything."""
        if self.area is None:
            return None
        west, south, east, north = self.area.bounds
        wide = 0.05 / max(float(np.cos(np.radians((south + north) / 2))), 0.1)
        return west - wide, south - 0.05, east + wide, north + 0.05


def ingest_exposure(
    engine: Engine,
    path: Path | str,
    *,
    kind: str,
    territory: str | None = None,
    column: str | None = None,
    label: str | None = None,
    resolution: int | None = None,
    layer: str | None = None,
    simulated: bool = False,
    progress: Progress | None = None,
) -> ExposureResult:
    """Load exposure of one kind for a territory.

    Parameters
    ----------
    path : map file, GeoTIFF, or table with H3 cells or lon and lat (docs/exposure.md).
    kind : population, buildings, road_km or water.
    territory : code; when left out, the only one, or the one in which the file lies.
    column : of the amounts; recognised when left out.
    label : what the set is called on screen; the file's name when left out.
    resolution : H3, at most 10; chosen by the size of the study area when left out.
    layer : of a map file or zip with several.
    simulated : made up for a demonstration; only a simulated territory takes it.
    progress : called with the share done and a number of rows.

    Raises
    ------
    InputError : the file, a value, the kind or the territory is wrong; nothing is stored.
    """
    began = time.monotonic()
    path = Path(path)
    exposures.require_kind(kind)
    tell = progress or (lambda share, rows: None)
    raster = is_raster(path)
    if raster and kind not in ("population", "buildings"):
        raise InputError(f"{path.name} is a raster; only population and buildings are read from pixels.")
    if raster and column is not None:
        raise InputError(f"{path.name} is a raster and has no columns; leave --column out.")
    source = None if raster else read_source(path, kind, column, layer)
    tell(0.3, 0)
    with engine.connect() as conn:
        schema.require_current(conn)
        lon, lat = (np.empty(0), np.empty(0)) if source is None else _places(source)
        step = max(1, len(lon) // _SAMPLE)
        place = known_territory(
            conn, path, territory, lon[::step], lat[::step], simulated, "this exposure belongs"
        )
        area = territories.study_area(conn, place.id)
    ground = _Ground(area, 0.0 if area is None else float(areas_km2([area])[0]))
    if source is None:
        own, whole = grounds_km2(path, ground.box())
        level = ground.resolution(resolution, own, whole)
        spread, notes = of_raster(
            path, level, ground.within(level), ground.box(), own, lambda share, n: tell(0.3 + 0.5 * share, n)
        )
        form, taken = "raster", None
    else:
        spread, level, form, more = _spread(source, kind, ground, resolution)
        notes, taken = [*source.notes, *more], source.column
    tell(0.8, len(spread.cells))
    inside = float(spread.values.sum())
    if area is not None:
        central = cells_covering(area, level)
        inside = float(spread.values[np.isin(spread.cells, central)].sum())
    if not inside > 0:
        raise InputError(
            f"{path.name}: nothing of it lies in the study area of '{place.code}'. Check the file's "
            "coordinates, or name another territory with --territory."
        )
    if kind == exposures.WATER and area is not None and inside > _TOO_WET * ground.km2:
        raise InputError(
            f"{path.name} would put {inside / ground.km2:.0%} of the study area under water, and such ground is "
            "left out of every analysis. Give water bodies only."
        )
    unit = exposures.UNITS[kind]
    edge = max(spread.read - spread.lost - inside, 0.0)
    notes.append(_account(spread, inside, edge, unit, level))
    name = label or path.name
    made_up = simulated or place.simulated
    with engine.begin() as conn:
        territories.lock_territory(conn, place.id)
        same = exposures.is_current(conn, place.id, kind, name, level, spread.cells, spread.values)
        if same:
            notes.append("This set is the current one already: nothing was changed.")
        else:
            exposures.replace_set(
                conn,
                place.id,
                kind,
                label=name,
                resolution=level,
                cells=spread.cells,
                values=spread.values,
                simulated=made_up,
                file_name=path.name,
                file_digest=file_digest(path) if path.is_file() else "",
                notes=notes,
            )
    tell(1.0, len(spread.cells))
    return ExposureResult(
        file=path.name,
        territory=place.code,
        kind=kind,
        label=name,
        unit=unit,
        form=form,
        column=taken,
        simulated=made_up,
        resolution=level,
        cells=len(spread.cells),
        read=spread.read,
        inside=inside,
        edge=edge,
        outside=spread.lost,
        unchanged=same,
        notes=notes,
        seconds=time.monotonic() - began,
    )


def _spread(
    source: Source, kind: str, ground: _Ground, asked: int | None
) -> tuple[Spread, int, str, list[str]]:
    """The file's amounts by cell; the resolution, the form of the file, and notes."""
    if isinstance(source, CellSource):
        own = int(resolutions(source.cells[:1])[0])
        if asked is not None and asked > own:
            raise InputError(
                f"The cells of the file have resolution {own}; nothing finer can be made of them. Leave "
                "--resolution out."
            )
        level = own
        if asked is not None or own > FINEST:
            level = ground.resolution(asked, None, _extent_km2(source))
        return of_cells(source.cells, source.values, level, ground.within(level)), level, "cells", []
    if isinstance(source, PointSource):
        return _of_places(source, ground, asked)
    level = ground.resolution(asked, None, _extent_km2(source))
    within = ground.within(level)
    if source.lines:
        return of_lines(source.shapes, level, within), level, "lines", []
    if within is None:
        within = np.unique(np.concatenate([cells_covering(s, level, "touch") for s in source.shapes]))
    if kind == exposures.WATER:
        return of_water(source.shapes, within), level, "polygons", []
    values = np.ones(len(source.shapes)) if source.values is None else source.values
    return of_polygons(source.shapes, values, within), level, "polygons", []


def _of_places(source: PointSource, ground: _Ground, asked: int | None) -> tuple[Spread, int, str, list[str]]:
    lon, lat, values = source.lon, source.lat, source.values
    spacing = lattice(lon, lat) if values is not None else None
    if spacing is None or values is None:
        level = ground.resolution(asked, None, _extent_km2(source))
        return of_points(lon, lat, values, level, ground.within(level)), level, "points", []
    # A regular grid is a raster in a table: each point stands for its rectangle.
    own = spacing[0] * 111.32 * float(np.cos(np.radians(lat.mean()))) * spacing[1] * 110.57
    level = ground.resolution(asked, own, _extent_km2(source))
    note = (
        f"The points form a regular grid of {spacing[0]:.5g}° by {spacing[1]:.5g}° (about {own:.4g} km²): each "
        "was spread over its rectangle."
    )
    box = ground.box()
    if box is not None:
        near = (lon >= box[0]) & (lon <= box[2]) & (lat >= box[1]) & (lat <= box[3])
    else:
        near = np.ones(len(lon), dtype=bool)
    near &= values > 0
    cuts = subpixels(own, level)
    offsets = (np.arange(cuts) + 0.5) / cuts - 0.5
    x = lon[near][:, None, None] + offsets[None, None, :] * spacing[0] + np.zeros((1, cuts, 1))
    y = lat[near][:, None, None] + offsets[None, :, None] * spacing[1] + np.zeros((1, 1, cuts))
    parts = np.repeat(values[near] / cuts**2, cuts**2)
    found = of_points(x.ravel(), y.ravel(), parts, level, ground.within(level))
    total = float(values.sum())
    lost = max(total - float(found.values.sum()), 0.0)
    whole = Spread(found.cells, found.values, total, lost if lost > 1e-9 * total else 0.0)
    return whole, level, "grid", [note]


def _account(spread: Spread, inside: float, edge: float, unit: str, level: int) -> str:
    """Where the total went, in one sentence."""

    def told(amount: float) -> str:
        return f"{amount:,.0f}" if amount >= 100 or amount == 0 else f"{amount:.3g}"

    return (
        f"{told(spread.read)} {unit} read: {told(inside)} in cells of the study area (resolution {level}), "
        f"{told(edge)} in cells around its edge, {told(spread.lost)} outside and left out."
    )


def _extent_km2(source: Source) -> float:
    """Ground of the box around a source, km²; bounds the number of cells without a study area."""
    if isinstance(source, ShapeSource):
        west, south, east, north = shapely.total_bounds(source.shapes)
    else:
        lon, lat = _places(source)
        west, south, east, north = lon.min(), lat.min(), lon.max(), lat.max()
    box = shapely.box(west, south, max(east, west + 1e-4), max(north, south + 1e-4))
    return float(areas_km2([box])[0])


def _places(source: Source) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where the rows of a source lie, in the middle of each; decimal degrees."""
    if isinstance(source, PointSource):
        return source.lon, source.lat
    if isinstance(source, CellSource):
        return centres(source.cells)
    middle = shapely.centroid(source.shapes)
    return shapely.get_x(middle), shapely.get_y(middle)
