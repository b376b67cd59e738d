"""From coordinates and place names to areas: the "where" of a report.

A usable point is looked up in the current boundaries of every level. A report without one
is matched by the folded names it carries (district, municipality ...) and marked as
area-precise: it counts in the totals of its areas and is never drawn as a point. A name
that fits several areas counts only as far as it is certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import polars as pl

from data.vocabulary import LEVELS, Flag, Precision
from geo.cells import cells_of
from geo.locate import NEAR_METRES, AreaIndex, StudyArea
from ingest.coordinates import StudyBox
from ingest.text import fold_place

_FAR, _NEAR = 0, 1


@dataclass(frozen=True)
class Placement:
    """Where the reports of a chunk are; every array has one entry a report.

    ``areas`` holds area ids by level (0 = none); ``lon`` and ``lat`` are NaN without a
    usable point; ``cells`` are H3 cells of resolution 12 (0 = none); ``far`` marks points
    outside the study area and its margin.
    """

    lon: np.ndarray
    lat: np.ndarray
    cells: np.ndarray
    areas: dict[str, np.ndarray]
    precision: np.ndarray
    flags: np.ndarray
    far: np.ndarray


class Placer:
    """Places reports in one territory's areas.

    Parameters
    ----------
    areas : current areas of all levels (id, level, parent_id, geometry; EPSG:4326).
    names : (level, area id, folded names) of the same areas.
    study_area : union of the areas, or None while none are loaded: nothing is far then.
    """

    def __init__(
        self,
        areas: gpd.GeoDataFrame,
        names: list[tuple[str, int, list[str]]],
        study_area: object | None,
        near_metres: float = NEAR_METRES,
    ) -> None:
        self.area_ids = frozenset(int(i) for i in areas["id"]) if len(areas) else frozenset()
        self._near_metres = near_metres
        self._study = StudyArea(study_area) if study_area is not None else None
        self._indexes: dict[str, AreaIndex] = {}
        self._level: dict[int, str] = {}
        self._parent: dict[int, int] = {}
        for level in LEVELS:
            rows = areas[areas["level"] == level] if len(areas) else areas
            if not len(rows):
                continue
            self._indexes[level] = AreaIndex(rows["id"].to_numpy(np.int64), rows.geometry.to_numpy())
            for area_id, parent in zip(rows["id"], rows["parent_id"], strict=True):
                self._level[int(area_id)] = level
                if parent is not None and parent == parent:
                    self._parent[int(area_id)] = int(parent)
        self._names: dict[str, dict[str, list[int]]] = {level: {} for level in LEVELS}
        for level, area_id, folded in names:
            for name in folded:
                self._names[level].setdefault(name, []).append(area_id)
        self.box: StudyBox | None = None
        if study_area is not None:
            west, south, east, north = study_area.bounds  # type: ignore[attr-defined]
            self.box = StudyBox(west, south, east, north, 0.1)

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that have areas."""
        return tuple(self._indexes)

    def place(self, lon: np.ndarray, lat: np.ndarray, names: dict[str, pl.Series]) -> Placement:
        """Place n reports; ``names`` holds, by level, the area names they carry (nulls allowed)."""
        n = len(lon)
        cells = cells_of(lon, lat)
        usable = cells != 0
        far = np.zeros(n, dtype=bool)
        flags = np.zeros(n, dtype=np.int32)
        if self._study is not None:
            where = self._study.classify(lon, lat, self._near_metres, cells)
            far = usable & (where == _FAR)
            flags[usable & (where == _NEAR)] |= int(Flag.NEAR_BOUNDARY)
        areas = {level: index.locate(lon, lat, cells) for level, index in self._indexes.items()}
        precision = np.where(usable, int(Precision.POINT), int(Precision.NONE)).astype(np.int16)
        blank = np.flatnonzero(~usable)
        if len(blank):
            self._place_by_name(blank, names, areas, precision)
            flags[precision == int(Precision.NONE)] |= int(Flag.NO_LOCATION)
        return Placement(
            np.where(usable, lon, np.nan), np.where(usable, lat, np.nan), cells, areas, precision, flags, far
        )

    def _place_by_name(
        self,
        rows: np.ndarray,
        names: dict[str, pl.Series],
        areas: dict[str, np.ndarray],
        precision: np.ndarray,
    ) -> None:
        given = [level for level in LEVELS if level in names and self._names[level]]
        if not given:
            return
        keys = pl.DataFrame({level: names[level][rows] for level in given}).rows()
        known: dict[tuple[str | None, ...], dict[str, int]] = {}
        for row, key in zip(rows, keys, strict=True):
            if key not in known:
                known[key] = self._resolve(dict(zip(given, key, strict=True)))
            for level, area_id in known[key].items():
                areas[level][row] = area_id
                precision[row] = int(Precision.AREA)

    def _resolve(self, names: dict[str, str | None]) -> dict[str, int]:
        """Areas by level that the names agree on; the finest certain one brings its ancestors."""
        certain: dict[str, int] = {}
        for level in LEVELS:  # from coarse to fine: a coarse name narrows an ambiguous fine one
            name = names.get(level)
            if not name:
                continue
            found = self._names[level].get(fold_place(name), [])
            fitting = [area for area in found if self._agrees(area, certain)]
            if len(fitting) == 1:
                certain[level] = fitting[0]
                certain.update(self._ancestors(fitting[0]))
        return certain

    def _ancestors(self, area: int) -> dict[str, int]:
        above: dict[str, int] = {}
        while (area := self._parent.get(area, 0)) != 0:
            above[self._level[area]] = area
        return above

    def _agrees(self, area: int, certain: dict[str, int]) -> bool:
        above = self._ancestors(area)
        return all(above.get(level, known) == known for level, known in certain.items())
