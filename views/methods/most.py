"""Where are there most? Reports by hexagon, at the resolution that suits the zoom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
from sqlalchemy import Connection

from data.analyses.density import NARROWEST_M, DensityResult, DensitySettings, density
from data.maps import CellCounts, cell_counts
from data.query import ReportQuery
from geo.cells import areas_km2, boundaries, to_text
from geo.remarks import Remark
from layers.cellmap import ImageLayer
from layers.density import density_layer
from views import controls
from views.method import MAP_CELLS, Column, Method, Scene, Table, Tick
from views.words import Words, number, short

LIST_RESOLUTION = 8  # about 0.7 km², a few streets: where a crew would go
HEXAGONS, SMOOTH = "hexagons", "density"
WIDEST_M = 5_000  # of the setting; wider ones say nothing about a city


@dataclass(frozen=True, slots=True)
class MostSettings:
    """How the counts are drawn and listed.

    Attributes
    ----------
    draw : ``hexagons`` or ``density``.
    resolution : of the list and the table; None for the size nearest to 0.7 km².
    bandwidth_m : of the density, metres; None: automatic.
    """

    draw: str = HEXAGONS
    resolution: int | None = None
    bandwidth_m: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Most:
    """Counts at every resolution, which of them the list holds, and the density if it is drawn."""

    counts: CellCounts
    resolution: int | None
    density: DensityResult | None
    remarks: tuple[Remark, ...]


class MostMethod(Method[MostSettings, Most]):
    code = "most"
    comparable = True

    def settings(self, scene: Scene) -> MostSettings:
        words = scene.words
        ways = {HEXAGONS: words("most.hexagons"), SMOOTH: words("most.density")}
        draw = controls.choice("most_draw", words("most.draw"), ways, HEXAGONS)
        width = None
        if draw == SMOOTH:
            metres = controls.whole(
                "most_metres", words("most.metres"), 0, 0, WIDEST_M, 50, words("most.metres_help")
            )
            width = max(float(metres), NARROWEST_M) if metres else None
        return MostSettings(draw, controls.resolution(scene), width)

    def compute(
        self, conn: Connection, query: ReportQuery, settings: MostSettings, tick: Tick | None
    ) -> Most:
        counts = cell_counts(conn, query, max_cells=MAP_CELLS)
        wanted = settings.resolution or LIST_RESOLUTION
        usable = [r for r, level in counts.levels.items() if len(level.cells)]
        listed = min(usable, key=lambda r: abs(r - wanted), default=None)
        if settings.draw != SMOOTH:
            return Most(counts, listed, None, ())
        found = density(conn, query, DensitySettings(bandwidth_m=settings.bandwidth_m), tick=tick)
        return Most(counts, listed, found, found.remarks)

    def fixed(self, settings: MostSettings, result: Most) -> MostSettings:
        surface = result.density.surface if result.density else None
        return replace(settings, bandwidth_m=surface.bandwidth_m) if surface else settings

    def answer(self, words: Words, result: Most) -> str:
        level = None if result.resolution is None else result.counts.levels[result.resolution]
        if level is None:
            return ""
        rising = np.cumsum(np.sort(level.counts)[::-1])
        half = int(np.searchsorted(rising, rising[-1] / 2)) + 1
        cells = words.plural("units.cells", half)
        return words("most.half", cells=cells, all=number(len(level.cells)), km2=short(level.km2))

    def layer(self, scene: Scene, result: Most, other: Most | None = None) -> ImageLayer | None:
        found = [each.density for each in (result, other) if each and each.density and each.density.surface]
        if result.density is None or result.density.surface is None:
            return None
        # On two maps the levels are those of the denser one, so that a colour means the same.
        levels = max((each.levels for each in found), key=lambda rising: rising[-1])
        words = scene.words
        return density_layer(result.density.surface, levels, words("most.per_km2"), short, scene.palette)

    def table(self, words: Words, result: Most) -> Table | None:
        if result.resolution is None:
            return None
        level = result.counts.levels[result.resolution]
        # Ties go to the lower cell, so the list is the same on every run.
        order = np.lexsort((level.cells, -level.counts))
        return Table(
            level.cells,
            order,
            (
                Column("reports", words("kpi.reports"), level.counts),
                Column("reports_per_km2", words("card.rate"), level.counts / areas_km2(level.cells), 1),
            ),
            "reports",
            words("rank.cells_title", km2=short(level.km2)),
        )

    def frame(self, result: Most) -> gpd.GeoDataFrame:
        level = result.counts.levels[result.resolution] if result.resolution is not None else None
        cells = level.cells if level is not None else np.zeros(0, dtype=np.int64)
        counts = level.counts if level is not None else np.zeros(0, dtype=np.int64)
        km2 = areas_km2(cells)
        return gpd.GeoDataFrame(
            {"cell": to_text(cells), "reports": counts, "km2": km2, "reports_per_km2": counts / km2},
            geometry=boundaries(cells),
            crs="EPSG:4326",
        )


METHOD = MostMethod()
