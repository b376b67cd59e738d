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

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from data.analyses.courses import Courses, courses
from data.analyses.readiness import CELL_LEVEL, CorrectedCounts, Level, ReportingRates, ReportingSettings
from data.areas import current_areas
from data.incidents import reach_of
from data.query import ReportQuery
from data.vocabulary import Channel
from geo.cells import boundaries, parents
from geo.remarks import Remark, caution, decided
from geo.reporting import LEAST_FURTHER, Readiness, factors, readiness

RESIDENTS = frozenset({Channel.CITIZEN, Channel.CALL_CENTRE})
OFFICIAL = frozenset({Channel.INSPECTOR, Channel.AI, Channel.STAFF})

_MIDNIGHTS = 0.95  # share of reports at one minute of the day from which on times are days only


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
