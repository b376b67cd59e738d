"""Where do reports come from, as a smooth surface: kernel density in reports per km².

Reports are taken at the middle of their cell of resolution 10 (at most 76 m away, 35 m in
the quadratic mean along an axis), which widens a kernel of 150 m by under 3 %; for
narrower ones the exact points are read from the store. The study area is that of the
query, so a chosen municipality has an edge of its own. Method and sources:
``geo/density.py``. Caveat: counts follow people and reporting habits; this is no risk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection, text

from data import columns, exposures
from data.analyses.study import DROWNED, study_shape
from data.query import ReportQuery, TerritoryFacts, where
from geo.cells import Cells, boundaries, centres, parents
from geo.density import LEAST_PIXELS, LONGEST, Density, Tick, bands, class_levels
from geo.density import density as kernel_density
from geo.errors import InputError
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]

EXACT_BELOW_M = 150.0  # bandwidths for which a cell's size would show
NARROWEST_M, WIDEST_M = 20.0, 100_000.0
CLASSES = 6
_REACH_M = 80.0  # the middle of a cell lies at most this far outside the area that holds its reports
_LONGEST_BLOCK = 28  # days; shorter for short periods, so that both halves see the whole of them
_FEWEST_BLOCKS = 6


@dataclass(frozen=True, slots=True)
class DensitySettings:
    """How the surface is drawn.

    Attributes
    ----------
    bandwidth_m : standard deviation of the kernel, 20 to 100,000 m; None: automatic.
    longest : pixels of the raster along its longer side, at most.
    """

    bandwidth_m: float | None = None
    longest: int = LONGEST

    def __post_init__(self) -> None:
        if self.bandwidth_m is not None and not NARROWEST_M <= self.bandwidth_m <= WIDEST_M:
            raise InputError(
                f"A bandwidth of {self.bandwidth_m:g} m: choose {NARROWEST_M:g} to {WIDEST_M:,.0f} m, or none."
            )
        if not 16 <= self.longest <= 4096:
            raise InputError(f"A raster of {self.longest} pixels: choose 16 to 4096.")


@dataclass(frozen=True, slots=True, eq=False)
class DensityResult:
    """The surface and what it was made of.

    Attributes
    ----------
    surface : None when no report that fits has a point in the study area.
    levels : rising limits of the classes, reports per km²; the last is the greatest density.
    cells : (n,) int64, ascending; the cells with reports.
    counts : (n,) int64, reports that fit, by cell.
    exact : whether exact points were used.
    without_point : reports that fit and have no usable point.
    """

    facts: TerritoryFacts
    query: ReportQuery
    settings: DensitySettings
    surface: Density | None
    levels: tuple[float, ...]
    resolution: int
    cells: Cells
    counts: npt.NDArray[np.int64]
    exact: bool
    without_point: int
    remarks: tuple[Remark, ...]

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """Ground between neighbouring levels, EPSG:4326 multipolygons along the raster's pixels.

        Columns: ``low`` and ``high`` (reports per km²), ``km2`` (ground), ``reports`` (of the
        surface's mass).
        """
        if self.surface is None or not self.levels:
            empty = gpd.GeoDataFrame({"low": [], "high": [], "km2": [], "reports": []}, geometry=[])
            return empty.set_crs("EPSG:4326")
        return bands(self.surface, list(self.levels))

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        found = self.surface
        return {
            "territory": self.facts.code,
            "reports": 0 if found is None else round(found.reports),
            "outside": 0 if found is None else round(found.outside),
            "without_point": self.without_point,
            "kernel": "gaussian, cut at 4 bandwidths",
            "bandwidth_m": None if found is None else round(found.bandwidth_m, 1),
            "cell_m": None if found is None else round(found.cell_m, 2),
            "rows": 0 if found is None else found.values.shape[0],
            "columns": 0 if found is None else found.values.shape[1],
            "crs": None if found is None else found.crs.to_string(),
            "edge_corrected": False if found is None else found.bounded,
            "exact_points": self.exact,
            "greatest_per_km2": None if found is None else float(found.values.max()),
            "levels_per_km2": list(self.levels),
        }


def density(
    conn: Connection,
    query: ReportQuery,
    settings: DensitySettings | None = None,
    *,
    tick: Tick | None = None,
) -> DensityResult:
    """Density of the reports that fit a query, on the query's study area.

    Raises
    ------
    InputError : the territory or a chosen area does not exist.
    """
    own = settings or DensitySettings()
    found, chosen = columns.select(conn, query, {"cell", "day"})
    counts = found.per_run(chosen)
    nowhere = found.runs["cell"] == 0
    used = (counts > 0) & ~nowhere
    cells, starts = np.unique(found.runs["cell"][used], return_index=True)
    by_cell = np.add.reduceat(counts[used], starts) if len(starts) else counts[:0]
    area = study_shape(conn, query)
    water = None if area is None else _water(conn, query, found.runs["cell"])
    remarks: list[Remark] = []
    surface: Density | None = None
    exact = own.bandwidth_m is not None and own.bandwidth_m < EXACT_BELOW_M
    if exact and len(cells) and own.bandwidth_m is not None:
        exact = own.bandwidth_m >= _narrowest(area, cells, own.longest)
    if len(cells) and not (area is not None and area.is_empty):
        if exact:
            lon, lat = _points(conn, query)
            surface = kernel_density(
                lon,
                lat,
                area=area,
                without=water,
                bandwidth_m=own.bandwidth_m,
                longest=own.longest,
                tick=tick,
            )
        else:
            first = found.per_run(chosen & _first_half(found.reports["day"], chosen))[used]
            lon, lat = centres(cells)
            surface = kernel_density(
                lon,
                lat,
                by_cell,
                area=area,
                without=water,
                bandwidth_m=own.bandwidth_m,
                first=np.add.reduceat(first, starts),
                reach_m=_REACH_M,
                longest=own.longest,
                tick=tick,
            )
    levels: tuple[float, ...] = ()
    if surface is None or not surface.reports:
        surface = None
        remarks.append(caution("density_empty"))
    else:
        remarks.extend(surface.remarks)
        if water is not None:
            remarks.append(decided("density_water"))
        remarks.append(decided("density_exact") if exact else decided("density_cells"))
        levels = tuple(class_levels(surface, CLASSES))
    return DensityResult(
        facts=found.facts,
        query=query,
        settings=own,
        surface=surface,
        levels=levels,
        resolution=columns.RESOLUTION,
        cells=cells,
        counts=by_cell,
        exact=exact,
        without_point=int(counts[nowhere].sum()),
        remarks=tuple(remarks),
    )


def _first_half(day: npt.NDArray, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Reports (n,) of every second block of days; a block has 28 days, fewer in a short period."""
    days = day[chosen]
    if not len(days):
        return np.zeros(len(day), dtype=bool)
    low, high = int(days.min()), int(days.max())
    block = min(_LONGEST_BLOCK, max(1, (high - low + 1) // _FEWEST_BLOCKS))
    # By day first: a period has a thousand days and a million reports.
    table = np.zeros(65_536, dtype=bool)
    number = np.arange(low, high + 1)
    table[number + 32_768] = (number - low) // block % 2 == 0
    return table[day.astype(np.int32) + 32_768]


def _water(conn: Connection, query: ReportQuery, fine: Cells) -> shapely.Geometry | None:
    """Cells half or more under water that never had a report, as one shape; None without any."""
    known = exposures.current(conn, query.territory_id, exposures.WATER)
    if known is None:
        return None
    cells, share = exposures.water_cells(conn, query.territory_id)
    wet = cells[(share >= DROWNED) & ~np.isin(cells, parents(fine[fine != 0], known.resolution))]
    return shapely.MultiPolygon(list(boundaries(wet))) if len(wet) else None


def _narrowest(area: Any, cells: Cells, longest: int) -> float:
    """The narrowest bandwidth that the raster can show, metres, roughly."""
    if area is not None:
        west, south, east, north = area.bounds
    else:
        lon, lat = centres(cells)
        west, south, east, north = lon.min(), lat.min(), lon.max(), lat.max()
    across = (east - west) * math.cos(math.radians((south + north) / 2))
    return LEAST_PIXELS * max(across, north - south) * 111_320 / longest


def _points(conn: Connection, query: ReportQuery) -> tuple[Floats, Floats]:
    """Exact longitude and latitude of the reports that fit and have a point."""
    condition, params = where(conn, query)
    # A scan of the territory's reports; packed, so that no row becomes a Python object.
    row = conn.execute(
        text(
            f"""SELECT string_agg(float8send(ST_X(r.geom)), ''::bytea) AS lon,
                       string_agg(float8send(ST_Y(r.geom)), ''::bytea) AS lat
                FROM report r WHERE {condition} AND r.geom IS NOT NULL"""
        ),
        params,
    ).one()
    lon, lat = (np.frombuffer(bytes(side or b""), dtype=">f8").astype(np.float64) for side in row)
    return lon, lat
