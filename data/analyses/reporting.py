"""How readily do places report, and what would the map look like if all did alike?

Further reports of one incident show how eagerly a place reports (``geo/reporting.py``,
after Liu, Bhandaram & Garg 2023). Only what residents say themselves counts as reporting
(citizens and the call centre). An incident that an inspector, the AI sweep or the
municipality's staff found first is left out, and one of their reports ends the observation
of any other: from then on the municipality knows. Caveat: the corrected map rests on an
assumed lifetime of things nobody reported (``ReportingSettings.lifetime_days``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from data.analyses.courses import Courses, courses
from data.areas import current_areas
from data.incidents import reach_of
from data.query import ReportQuery
from data.vocabulary import Channel
from geo.cells import boundaries, parents, to_text
from geo.errors import InputError
from geo.remarks import Remark, caution, decided
from geo.reporting import LEAST_FURTHER, Readiness, factors, readiness

Level = Literal["district", "municipality", "cell"]
LEVELS: tuple[Level, ...] = ("district", "municipality", "cell")
CELL_LEVEL = 7  # resolution of the cells (about 5 km²) that stand in for areas
RESIDENTS = frozenset({Channel.CITIZEN, Channel.CALL_CENTRE})
OFFICIAL = frozenset({Channel.INSPECTOR, Channel.AI, Channel.STAFF})

_MIDNIGHTS = 0.95  # share of reports at one minute of the day from which on times are days only


@dataclass(frozen=True, slots=True)
class ReportingSettings:
    """How reporting is measured and corrected for.

    Parameters
    ----------
    level : areas that share a readiness to report: district, municipality or cell (H3
        resolution 7); None takes the finest that is loaded.
    confidence : of the intervals; default 0.95.
    lifetime_days : how long a thing lies there if nobody reports it (assumed); None takes
        the days of each element from ``data/reference/incident_settings.csv``.
    most : a correction beyond this factor is cut and marked; default 10.

    Raises
    ------
    InputError : a value is out of its range.
    """

    level: Level | None = None
    confidence: float = 0.95
    lifetime_days: float | None = None
    most: float = 10.0

    def __post_init__(self) -> None:
        if self.level not in (None, *LEVELS):
            raise InputError(f"Reporting is measured by {', '.join(LEVELS)}, not by {self.level!r}.")
        if not 0.5 <= self.confidence < 1:
            raise InputError(f"A confidence is from 0.5 to below 1, not {self.confidence:g}.")
        if self.lifetime_days is not None and not 0 < self.lifetime_days <= 3650:
            raise InputError(f"A lifetime is above 0 and at most 3,650 days, not {self.lifetime_days:g}.")
        if not 1 <= self.most <= 1000:
            raise InputError(f"A correction is cut at a factor from 1 to 1,000, not {self.most:g}.")


@dataclass(frozen=True, slots=True, eq=False)
class ReportingRates:
    """Answer of ``reporting_rates``; arrays (a,), one entry an area with such incidents.

    Attributes
    ----------
    level : of the areas; ``areas``: ``area.id``, or H3 cells where the level is cell.
    names_ar, names_en : empty texts for cells.
    incidents : incidents that residents reported first; ``further``: their further reports
        while they were observed; ``days``: the days of that.
    rate, low, high : reports a day of an average thing, and its interval.
    delay, delay_low, delay_high : expected days until the first report, 1 / rate.
    weight : share of the area's own reports in its rate; the rest is the mean of all.
    overall : the rate of an average area; ``spread``: standard deviation of the areas'
        readiness around 1; ``dispersion``: variance of the counts over Poisson's.
    identified : False when there are too few further reports; the arrays are then empty.
    """

    query: ReportQuery
    settings: ReportingSettings
    level: Level
    areas: NDArray[np.int64]
    names_ar: tuple[str, ...]
    names_en: tuple[str, ...]
    incidents: NDArray[np.int64]
    further: NDArray[np.int64]
    days: NDArray[np.float64]
    rate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    weight: NDArray[np.float64]
    overall: float
    spread: float
    dispersion: float
    identified: bool
    shapes: NDArray[np.object_]
    remarks: tuple[Remark, ...]

    @property
    def delay(self) -> NDArray[np.float64]:
        return 1 / self.rate

    @property
    def delay_low(self) -> NDArray[np.float64]:
        return 1 / self.high

    @property
    def delay_high(self) -> NDArray[np.float64]:
        return 1 / self.low

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """One row an area, EPSG:4326, the slowest to report first.

        Columns: ``area`` (id, or H3 as text), ``name_ar``, ``name_en``, ``incidents``,
        ``further``, ``days``, ``rate``, ``rate_low``, ``rate_high`` (a day),
        ``delay_days``, ``delay_low``, ``delay_high``, ``own_weight``.
        """
        names = to_text(self.areas) if self.level == "cell" else [str(one) for one in self.areas.tolist()]
        frame = gpd.GeoDataFrame(
            {
                "area": names,
                "name_ar": list(self.names_ar),
                "name_en": list(self.names_en),
                "incidents": self.incidents,
                "further": self.further,
                "days": self.days,
                "rate": self.rate,
                "rate_low": self.low,
                "rate_high": self.high,
                "delay_days": self.delay,
                "delay_low": self.delay_low,
                "delay_high": self.delay_high,
                "own_weight": self.weight,
            },
            geometry=self.shapes,
            crs="EPSG:4326",
        )
        return frame.sort_values(["rate", "area"], ignore_index=True)

    def summary(self) -> dict[str, Any]:
        """The rates over all and the ten slowest areas, JSON-ready."""
        slowest = self.to_geodataframe().head(10).drop(columns="geometry")
        return {
            "level": self.level,
            "identified": self.identified,
            "areas": len(self.areas),
            "incidents": int(self.incidents.sum()),
            "further": int(self.further.sum()),
            "rate": self.overall if self.identified else None,
            "delay_days": 1 / self.overall if self.identified else None,
            "spread": self.spread if self.identified else None,
            "dispersion": self.dispersion if self.identified else None,
            "slowest": slowest.to_dict("records"),
        }


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedCounts:
    """Answer of ``corrected_counts``; arrays (n,), one entry a cell.

    Attributes
    ----------
    counts : incidents that residents reported first.
    corrected : how many there were, reported or not; equal to ``counts`` when not identified.
    low, high : the same at both ends of the areas' rates (the counts' own chance left out).
    capped : half of the cell's incidents or more had their correction cut at
        ``ReportingSettings.most``: what stands there cannot be told from the reports.
    """

    counts: NDArray[np.int64]
    corrected: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    capped: NDArray[np.bool_]
    identified: bool
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class _Observed:
    """Incidents that residents reported first, (m,) each, numbered by area and kind."""

    course: Courses
    rows: NDArray[np.int64]  # positions in the course
    level: Level
    areas: NDArray[np.int64]  # (a,)
    kinds: NDArray[np.int64]  # (k,)
    area: NDArray[np.int64]
    kind: NDArray[np.int64]
    reach: NDArray[np.float64]  # days of the kind
    further: NDArray[np.int64]
    days: NDArray[np.float64]
    remarks: tuple[Remark, ...]


def reporting_rates(
    conn: Connection, query: ReportQuery, settings: ReportingSettings | None = None
) -> ReportingRates:
    """How many reports a day an average thing gets, by area, and how long until the first.

    Raises
    ------
    StoreError : the incidents are not current (``data/incidents.py`` finds them).
    """
    settings = settings or ReportingSettings()
    query = replace(query, incidents=True)
    seen = _observed(conn, query, settings)
    fit, remarks = _fit(seen, settings)
    real = np.flatnonzero(seen.areas != 0) if fit else np.zeros(0, dtype=np.int64)
    areas = seen.areas[real]
    names, shapes = _described(conn, query.territory_id, seen.level, areas)
    size = len(seen.areas)

    def total(values: NDArray) -> NDArray[np.float64]:
        return np.bincount(seen.area, weights=values, minlength=size)[real].astype(np.float64)

    nothing = np.zeros(0)
    rate, low, high = (
        (fit.rate * values[real] for values in (fit.readiness, fit.low, fit.high))
        if fit
        else (nothing, nothing, nothing)
    )
    return ReportingRates(
        query=query,
        settings=settings,
        level=seen.level,
        areas=areas,
        names_ar=tuple(name[0] for name in names),
        names_en=tuple(name[1] for name in names),
        incidents=total(np.ones(len(seen.rows))).astype(np.int64),
        further=total(seen.further).astype(np.int64),
        days=total(seen.days),
        rate=rate,
        low=low,
        high=high,
        weight=fit.weight[real] if fit else nothing,
        overall=fit.rate if fit else float("nan"),
        spread=fit.spread if fit else float("nan"),
        dispersion=fit.dispersion if fit else float("nan"),
        identified=fit is not None,
        shapes=shapes,
        remarks=remarks,
    )


def corrected_counts(
    conn: Connection,
    query: ReportQuery,
    cells: NDArray[np.int64],
    resolution: int,
    settings: ReportingSettings | None = None,
) -> CorrectedCounts:
    """Incidents by cell as if every area reported alike: each counts 1 / P(reported at all).

    Parameters
    ----------
    cells : (n,) int64, ascending, of ``resolution``

    Raises
    ------
    StoreError : the incidents are not current.
    """
    settings = settings or ReportingSettings()
    seen = _observed(conn, replace(query, incidents=True), settings)
    fit, remarks = _fit(seen, settings)
    up = parents(seen.course.found.runs["cell"][seen.course.runs[seen.rows]], resolution)
    at = np.searchsorted(cells, up).clip(max=max(len(cells) - 1, 0))
    inside = cells[at] == up if len(cells) else np.zeros(len(up), dtype=bool)

    def by_cell(values: NDArray) -> NDArray[np.float64]:
        found = np.bincount(at[inside], weights=values[inside], minlength=len(cells))
        return found.astype(np.float64)

    counts = by_cell(np.ones(len(up)))
    if fit is None:
        nothing = np.zeros(len(cells), dtype=bool)
        return CorrectedCounts(counts.astype(np.int64), counts, counts, counts, nothing, False, remarks)
    rate = fit.kind_rates[seen.kind]
    life = seen.reach if settings.lifetime_days is None else np.full(len(up), settings.lifetime_days)
    factor, capped = factors(rate * fit.readiness[seen.area], life, settings.most)
    least, _ = factors(rate * fit.high[seen.area], life, settings.most)
    largest, _ = factors(rate * fit.low[seen.area], life, settings.most)
    told = [
        *remarks,
        decided("reporting_factor", factor=float(np.median(factor)), times=float(settings.most)),
        caution("reporting_lifetime", days=float(np.median(life))),
    ]
    if (capped & inside).any():
        told.append(caution("reporting_capped", incidents=int((capped & inside).sum()), times=settings.most))
    return CorrectedCounts(
        counts=counts.astype(np.int64),
        corrected=by_cell(factor),
        low=by_cell(least),
        high=by_cell(largest),
        capped=(counts > 0) & (2 * by_cell(capped.astype(np.float64)) >= counts),
        identified=True,
        remarks=tuple(told),
    )


def _fit(seen: _Observed, settings: ReportingSettings) -> tuple[Readiness | None, tuple[Remark, ...]]:
    """The fitted rates, or None and why there are none."""
    further = int(seen.further.sum())
    if further < LEAST_FURTHER or seen.days.sum() <= 0:
        few = caution("reporting_few", further=further, least=LEAST_FURTHER, incidents=len(seen.rows))
        return None, (few, *seen.remarks)
    fit = readiness(
        seen.area,
        seen.kind,
        seen.further,
        seen.days,
        areas=len(seen.areas),
        kinds=len(seen.kinds),
        level=settings.confidence,
    )
    remarks = [
        *seen.remarks,
        decided(
            "reporting_seen",
            incidents=len(seen.rows),
            further=further,
            areas=int(np.count_nonzero(seen.areas)),
        ),
        decided("reporting_delay", days=1 / fit.rate, spread=100 * fit.spread),
    ]
    if fit.dispersion > 1.5:
        remarks.append(decided("reporting_dispersed", times=fit.dispersion))
    return fit, tuple(remarks)


def _observed(conn: Connection, query: ReportQuery, settings: ReportingSettings) -> _Observed:
    """Resident-first incidents, with the further reports and days until they were closed,
    an official came, the reach of the kind or the data ended."""
    course = courses(conn, query)
    remarks: list[Remark] = []
    residents = set(RESIDENTS)
    present = set(np.unique(course.channel).tolist())
    if present <= {int(Channel.UNKNOWN)}:
        residents.add(Channel.UNKNOWN)
        if present:
            remarks.append(caution("reporting_channels_unknown"))
    mine = np.isin(course.channel, [int(one) for one in residents])
    rows = np.flatnonzero(course.fits & mine)
    left = int(course.fits.sum()) - len(rows)
    if left:
        remarks.append(decided("reporting_left_out", incidents=left))
    _, reach, _ = reach_of(conn, course.element)
    official = np.isin(course.later_channel, [int(one) for one in OFFICIAL])
    visited = np.full(len(course.rows), np.inf)
    np.minimum.at(visited, course.later[official], course.later_opened[official])
    ends = np.minimum(np.minimum(course.opened + reach, visited), course.until)
    ends = np.fmin(ends, course.closed)
    counted = np.isin(course.later_channel, [int(one) for one in residents])
    counted &= course.later_opened <= ends[course.later]
    further = np.bincount(course.later[counted], minlength=len(course.rows))
    days = np.maximum(ends - course.opened, 0.0)
    if _days_only(course.opened):
        # Reports of the first day may have come before or after the first: half of it was observed.
        days = days + 0.5
        remarks.append(decided("reporting_whole_days"))
    level, area = _areas(course, settings.level)
    areas, number = np.unique(area[rows], return_inverse=True)
    kinds, kind = np.unique(course.kind[rows], return_inverse=True)
    remarks.append(_level_remark(level))
    return _Observed(
        course=course,
        rows=rows,
        level=level,
        areas=areas,
        kinds=kinds,
        area=number,
        kind=kind,
        reach=reach[rows],
        further=further[rows],
        days=days[rows],
        remarks=tuple(remarks),
    )


def _level_remark(level: Level) -> Remark:
    if level == "cell":
        return decided("reporting_by_cell", resolution=CELL_LEVEL)
    return decided("reporting_by_district") if level == "district" else decided("reporting_by_municipality")


def _days_only(opened: NDArray[np.float64]) -> bool:
    """Whether the source gives days without times: nearly all at one minute of the (UTC) day, or two."""
    if not len(opened):
        return False
    minute = np.rint(opened % 1 * 1440).astype(np.int64) % 1440
    # Two, because summer time moves local midnight by an hour.
    common = np.sort(np.bincount(minute, minlength=2))[-2:].sum()
    return bool(common >= _MIDNIGHTS * len(opened))


def _areas(course: Courses, wanted: Level | None) -> tuple[Level, NDArray[np.int64]]:
    """The level, and each incident's area (0 for none)."""
    runs = course.found.runs
    level: Level = "cell"
    if wanted is not None:
        level = wanted
    elif (runs["district"] > 0).any():
        level = "district"
    elif (runs["municipality"] > 0).any():
        level = "municipality"
    by_run = parents(runs["cell"], CELL_LEVEL) if level == "cell" else runs[level].astype(np.int64)
    return level, by_run[course.runs]


def _described(
    conn: Connection, territory_id: int, level: Level, areas: NDArray[np.int64]
) -> tuple[list[tuple[str, str]], NDArray[np.object_]]:
    """Arabic and English name and outline of each area."""
    if level == "cell":
        return [("", "")] * len(areas), boundaries(areas)
    found = current_areas(conn, territory_id, level).set_index("id")
    rows = found.loc[areas.tolist()]
    names = list(zip(rows["name_ar"].tolist(), rows["name_en"].tolist(), strict=True))
    return names, np.asarray(rows.geometry.values, dtype=object)
