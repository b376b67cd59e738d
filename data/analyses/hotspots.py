"""Where is it more than chance? Hot and cold spots, or clusters and outliers, of the reports.

Gi* (``geo/hotspots.py``) or Local Moran (``geo/moran.py``) over all cells of the study
area, on counts or, where an exposure is loaded, on rates (``geo/rates.py``). Resolution and
rings are chosen by ``geo/scale.py`` unless they are given. Caveat: without an exposure the
answer is about counts and not about risk; with one, it is as good as the exposure is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data import exposures
from data.analyses.reporting import corrected_counts
from data.analyses.study import Study, best_resolution, study
from data.maps import COARSEST, FINEST, LeftOut
from data.query import ReportQuery, TerritoryFacts
from geo.cells import Cells, boundaries, to_text
from geo.errors import InputError
from geo.hotspots import Null, gi_star
from geo.moran import DRAWS, HIGH_HIGH, HIGH_LOW, LOW_HIGH, LOW_LOW, local_moran
from geo.neighbours import Neighbourhood, neighbourhood
from geo.rates import ShrunkRates, shrunk_rates
from geo.remarks import Remark, caution, decided
from geo.scale import choose

Floats = npt.NDArray[np.float64]
Kind = Literal["gi", "moran"]

GI_CLASSES = ("hot_99", "hot_95", "hot_90", "none", "cold_90", "cold_95", "cold_99")
MORAN_CLASSES = ("high_high", "high_low", "low_high", "low_low", "none")
#: Classes that say "high, surely": what a director is pointed to.
SURELY_HIGH = ("hot_99", "hot_95", "high_high")
SURELY_LOW = ("cold_99", "cold_95", "low_low")
_QUADRANTS = {HIGH_HIGH: 0, HIGH_LOW: 1, LOW_HIGH: 2, LOW_LOW: 3, 0: 4}
TIMES = 2.0  # "exceeds" means so many times the overall rate, unless a level is given


@dataclass(frozen=True, slots=True)
class HotspotSettings:
    """How hot spots are found.

    Attributes
    ----------
    resolution : H3 resolution, 4 to 10; None: as fine as the reports allow.
    k : rings of a neighbourhood, 1 to 10; None: chosen with the resolution.
    method : "gi" (hot and cold spots) or "moran" (clusters and outliers).
    exposure : kind of ``data/exposures.py`` that rates are measured against; None: counts.
    exceeds : rate whose chance to be exceeded is told, in reports per unit of the exposure
        (per 1,000 people …); None: twice the overall rate.
    null : "exact", or "normal" as in ArcGIS (``geo.hotspots.gi_star_p``); for "gi".
    corrected : count incidents as if all places reported as readily (``data/analyses/reporting.py``).
    draws, seed : permutations of "moran".
    """

    resolution: int | None = None
    k: int | None = None
    method: Kind = "gi"
    exposure: str | None = None
    exceeds: float | None = None
    null: Null = "exact"
    corrected: bool = False
    draws: int = DRAWS
    seed: int = 1

    def __post_init__(self) -> None:
        faults = []
        if self.resolution is not None and not COARSEST <= self.resolution <= FINEST:
            faults.append(f"resolution {self.resolution} is not from {COARSEST} to {FINEST}")
        if self.k is not None and not 1 <= self.k <= 10:
            faults.append(f"{self.k} rings are not from 1 to 10")
        if self.method not in ("gi", "moran"):
            faults.append(f"method {self.method!r} is neither gi nor moran")
        if self.null not in ("exact", "normal"):
            faults.append(f"null {self.null!r} is neither exact nor normal")
        if self.exceeds is not None and not 0 <= self.exceeds < math.inf:
            faults.append(f"a rate of {self.exceeds} cannot be exceeded")
        if not 99 <= self.draws <= 1_000_000:
            faults.append(f"{self.draws} permutations are not from 99 to 1,000,000")
        if faults:
            raise InputError(f"Settings of hot spots: {'; '.join(faults)}.")


@dataclass(frozen=True, slots=True, eq=False)
class RatesOfCells:
    """Rates by cell, (n,), in reports per ``per`` units of the exposure; nan without exposure.

    Attributes
    ----------
    exposure : in units (people, buildings, km, km²).
    crude : reports over exposure; ``rate``, ``low``, ``high``: Empirical Bayes with its 95 % interval.
    exceed : chance that the rate is above ``level``.
    score : what Gi* or Moran was asked about (``geo.rates.ShrunkRates``).
    overall : rate of the whole study area.
    """

    kind: str
    unit: str
    per: int
    label: str
    simulated: bool
    exposure: Floats
    crude: Floats
    rate: Floats
    low: Floats
    high: Floats
    exceed: Floats
    score: Floats
    level: float
    overall: float


@dataclass(frozen=True, slots=True, eq=False)
class HotspotResult:
    """Hot spots of all cells of the study area; arrays (n,), cells in ascending order.

    Attributes
    ----------
    counts : reports (or incidents) in each cell.
    corrected : counts corrected for reporting; None unless asked for.
    members : cells of the study area in each neighbourhood; ``around``: reports in them.
    z, p, q : standard score, two-sided p, p after FDR; nan where not tested.
    i : Local Moran's I; None with Gi*.
    classes : int8, position in ``codes``, the class as text.
    before : as ``classes``, of the same incidents without the correction (those that residents
        reported first: ``CorrectedCounts.counts``); None unless corrected.
    rates : None without exposure.
    left_out, outside : reports of the query that no cell holds.
    """

    facts: TerritoryFacts
    query: ReportQuery
    settings: HotspotSettings
    resolution: int
    k: int
    cells: Cells
    counts: npt.NDArray[np.int64]
    corrected: Floats | None
    members: npt.NDArray[np.int64]
    around: npt.NDArray[np.int64]
    km2: Floats
    z: Floats
    p: Floats
    q: Floats
    i: Floats | None
    codes: tuple[str, ...]
    classes: npt.NDArray[np.int8]
    before: npt.NDArray[np.int8] | None
    rates: RatesOfCells | None
    left_out: LeftOut
    outside: int
    remarks: tuple[Remark, ...]

    def among(self, codes: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Whether each cell has one of the classes, (n,)."""
        wanted = [place for place, code in enumerate(self.codes) if code in codes]
        return np.isin(self.classes, wanted)

    @property
    def expected(self) -> Floats:
        """Reports in each neighbourhood if all cells had as many, (n,)."""
        average = float(self.counts.sum()) / max(len(self.counts), 1)
        return self.members.astype(np.float64) * average

    @property
    def hot(self) -> npt.NDArray[np.bool_]:
        """Cells that are surely high: hot with 95 % or more, or high among high."""
        return self.among(SURELY_HIGH)

    def class_counts(self) -> dict[str, int]:
        """Number of cells of each class, in the order of ``codes``."""
        held = np.bincount(self.classes, minlength=len(self.codes))
        return {code: int(count) for code, count in zip(self.codes, held, strict=True)}

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """One row a cell, zeros included, EPSG:4326.

        Columns: ``cell`` (H3 index as text), ``count``, ``z``, ``p`` (two-sided), ``q`` (after
        FDR), ``class`` (hot_99 … none … cold_99, or high_high, high_low, low_high, low_low,
        none), ``km2``, ``members`` and ``around`` (cells of the neighbourhood, the cell itself
        among them, and the reports in them). With Local Moran also ``i``. With an exposure also ``exposure``,
        ``crude``, ``rate``, ``low``, ``high`` (95 % interval), ``exceed`` (chance of a rate
        above the level), ``score`` (of which z is the Gi*). With the correction for reporting
        also ``corrected`` and ``class_before``.
        """
        names = np.array(self.codes, dtype=object)
        columns: dict[str, Any] = {
            "cell": to_text(self.cells),
            "count": self.counts,
            "z": self.z,
            "p": self.p,
            "q": self.q,
            "class": names[self.classes],
            "km2": self.km2,
            "members": self.members,
            "around": self.around,
        }
        if self.i is not None:
            columns["i"] = self.i
        if self.rates is not None:
            for name in ("exposure", "crude", "rate", "low", "high", "exceed", "score"):
                columns[name] = getattr(self.rates, name)
        if self.corrected is not None and self.before is not None:
            columns |= {"corrected": self.corrected, "class_before": names[self.before]}
        return gpd.GeoDataFrame(columns, geometry=boundaries(self.cells), crs="EPSG:4326")

    def summary(self) -> dict[str, Any]:
        """JSON-ready: what was used, how many cells of each class, and what the hot ones hold."""
        hot, total = self.hot, int(self.counts.sum())
        rates = self.rates
        return {
            "territory": self.facts.code,
            "simulated": self.facts.simulated,
            "method": self.settings.method,
            "null": self.settings.null if self.settings.method == "gi" else "permutations",
            "resolution": self.resolution,
            "k": self.k,
            "unit": "incidents" if self.query.incidents else "reports",
            "corrected": self.settings.corrected,
            "cells": len(self.cells),
            "tested": int(np.isfinite(self.p).sum()),
            "count": total,
            "outside": self.outside,
            "not_on_map": self.left_out.total,
            "classes": self.class_counts(),
            "hot": {
                "cells": int(hot.sum()),
                "km2": float(self.km2[hot].sum()),
                "area_percent": 100 * float(self.km2[hot].sum()) / max(float(self.km2.sum()), 1e-12),
                "count": int(self.counts[hot].sum()),
                "count_percent": 100 * float(self.counts[hot].sum()) / max(total, 1),
            },
            "exposure": None
            if rates is None
            else {
                "kind": rates.kind,
                "unit": rates.unit,
                "per": rates.per,
                "simulated": rates.simulated,
                "overall": _number(rates.overall),
                "level": _number(rates.level),
                "without": int((rates.exposure == 0).sum()),
            },
            "remarks": [{"code": r.code, "caution": r.caution, **dict(r.values)} for r in self.remarks],
        }


def hotspots(
    conn: Connection,
    query: ReportQuery,
    settings: HotspotSettings | None = None,
    *,
    tick: Callable[[float], None] | None = None,
) -> HotspotResult:
    """Where the reports that fit the query are high or low together by more than chance.

    Too few reports are no error: the classes are then all "none", and cautions say why.

    Parameters
    ----------
    tick : told the share done, 0 to 1; may raise ``Cancelled``.

    Raises
    ------
    InputError : the territory does not exist, nothing of the exposure is loaded, or the
        resolution gives too many cells.
    StoreError : incidents are asked for (or the correction) and are not current.
    """
    chosen = settings or HotspotSettings()
    told = tick or (lambda done: None)
    told(0.0)
    if chosen.corrected:
        query = replace(query, incidents=True)
    area, k, remarks = _area(conn, query, chosen)
    told(0.3)
    near = neighbourhood(area.cells, k)
    remarks += area.remarks
    corrected: Floats | None = None
    seen: npt.NDArray[np.int64] | None = None
    if chosen.corrected:
        found = corrected_counts(conn, query, area.cells, area.resolution)
        corrected, seen = found.corrected, found.counts
        remarks += found.remarks
    told(0.5)
    rates, said = _rates(conn, area, area.counts if corrected is None else corrected, chosen)
    remarks += said
    if rates is not None:
        values = rates.score
    else:
        values = (area.counts if corrected is None else corrected).astype(np.float64)
    tested = _tested(values, near, chosen, lambda done: told(0.5 + 0.4 * done))
    before = None
    if seen is not None:
        plain, _ = _rates(conn, area, seen, chosen)
        without = seen.astype(np.float64) if plain is None else plain.score
        before = _tested(without, near, chosen, lambda done: told(0.9 + 0.1 * done)).classes
    told(1.0)
    return HotspotResult(
        facts=area.facts,
        query=query,
        settings=chosen,
        resolution=area.resolution,
        k=k,
        cells=area.cells,
        counts=area.counts,
        corrected=corrected,
        members=near.members,
        around=np.rint(near.matrix @ area.counts).astype(np.int64),
        km2=area.km2,
        z=tested.z,
        p=tested.p,
        q=tested.q,
        i=tested.i,
        codes=GI_CLASSES if chosen.method == "gi" else MORAN_CLASSES,
        classes=tested.classes,
        before=before,
        rates=rates,
        left_out=area.left_out,
        outside=area.outside,
        remarks=(*remarks, *(r for r in tested.remarks if rates is None or r.code != "gi_missing")),
    )


def _area(conn: Connection, query: ReportQuery, chosen: HotspotSettings) -> tuple[Study, int, list[Remark]]:
    """The reports by cell, the rings, and why this resolution and these rings."""
    if chosen.resolution is None:
        best = best_resolution(conn, query)
        area = study(conn, query, best.resolution)
    else:
        area = study(conn, query, chosen.resolution)
        best = choose({area.resolution: area.counts[area.counts > 0]}, {area.resolution: len(area.cells)})
    given = {"scale_chosen", "scale_many", "scale_thin"} if chosen.resolution is not None else set()
    if chosen.k is not None:
        given |= {"scale_rings", "scale_skewed"}
    return area, chosen.k or best.k, [remark for remark in best.remarks if remark.code not in given]


def _rates(
    conn: Connection, area: Study, counts: npt.NDArray, chosen: HotspotSettings
) -> tuple[RatesOfCells | None, list[Remark]]:
    """Rates of the cells where an exposure is asked for, and what to know about them."""
    if chosen.exposure is None:
        return None, [caution("hotspots_counts")]
    values = exposures.of_cells(conn, area.facts.id, chosen.exposure, area.cells, area.resolution)
    found = exposures.current(conn, area.facts.id, chosen.exposure)
    if found is None:
        raise InputError(f"No {chosen.exposure} is loaded for {area.facts.code}.")
    shrunk: ShrunkRates = shrunk_rates(counts, values)
    level = TIMES * shrunk.overall if chosen.exceeds is None else chosen.exceeds / found.per
    exceed = shrunk.exceed(level) if math.isfinite(level) else np.full(len(values), np.nan)
    said = [*exposures.remarks(found, area.resolution), *shrunk.remarks]
    if chosen.exposure == "area":
        said.append(caution("hotspots_area"))
    if math.isfinite(shrunk.shape) and "rates_alike" not in {remark.code for remark in shrunk.remarks}:
        said.append(decided("hotspots_shrunk", amount=shrunk.per_unit))
    return (
        RatesOfCells(
            kind=found.kind,
            unit=found.unit,
            per=found.per,
            label=found.label,
            simulated=found.simulated,
            exposure=values,
            crude=shrunk.crude * found.per,
            rate=shrunk.rate * found.per,
            low=shrunk.low * found.per,
            high=shrunk.high * found.per,
            exceed=exceed,
            score=shrunk.score,
            level=level * found.per,
            overall=shrunk.overall * found.per,
        ),
        said,
    )


@dataclass(frozen=True, slots=True)
class _Tested:
    """Gi* and Local Moran under one roof."""

    z: Floats
    p: Floats
    q: Floats
    i: Floats | None
    classes: npt.NDArray[np.int8]
    remarks: tuple[Remark, ...]


def _tested(
    values: Floats, near: Neighbourhood, chosen: HotspotSettings, tick: Callable[[float], None]
) -> _Tested:
    if chosen.method == "gi":
        gi = gi_star(values, near, chosen.null)
        remarks = list(gi.remarks)
        if chosen.null == "normal":
            remarks.append(caution("hotspots_normal"))
        place = (3 - gi.classes).astype(np.int8)
        return _Tested(gi.z, gi.p, gi.q, None, place, tuple(remarks))
    rng = np.random.default_rng(chosen.seed)
    moran = local_moran(values, near, rng, draws=chosen.draws, tick=tick)
    table = np.array([_QUADRANTS[quadrant] for quadrant in range(5)], dtype=np.int8)
    return _Tested(moran.z, moran.p, moran.q, moran.i, table[moran.classes], moran.remarks)


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return float(value) if math.isfinite(value) else None
