"""Was it worth it: what a campaign changed in the cells where it worked.

The cells that were visited (those of the plan, until visits come back) against untreated
cells with the same course before, by ``geo/effects.py``: reports after the campaign, and
incidents that returned to places where one had been closed. Caveat: fewer reports are
fewer reports; that people report less where inspectors have just been cannot be told apart.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import h3ronpy
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from sqlalchemy import Connection, text

from data import columns
from data.analyses.courses import courses
from data.campaigns import Saved, get
from data.plan import CampaignPlan
from data.query import ReportQuery
from data.visits import visited_cells
from geo.cells import Cells, cells_of, from_text, parents, resolutions, to_text
from geo.chronic import returns
from geo.effects import Estimate, Findings, Panel, Step, effect_on, findings
from geo.errors import InputError, StoreError
from geo.remarks import Remark, caution, decided

Tick = Callable[[float], None]
_AXIS_RESOLUTION = 9  # of the cells along a stretch
_ALONG_DEGREES = 0.0005  # about 50 m: points along a stretch
_ABROAD = 0.5  # share of matches in other municipalities from which it is said


@dataclass(frozen=True, slots=True)
class EffectSettings:
    """How an effect is measured.

    Parameters
    ----------
    before_days : how far back the course before is looked at.
    after_days : at most so many days after the campaign; less where the reports end earlier.
    period_days : length of a period.
    level : of intervals, between 0 and 1.
    planned : True takes the plan's cells although there are visits.

    Raises
    ------
    InputError : a value is out of its range.
    """

    before_days: int = 720
    after_days: int = 90
    period_days: int = 30
    level: float = 0.95
    planned: bool = False

    def __post_init__(self) -> None:
        if not 7 <= self.period_days <= 120:
            raise InputError(f"A period has 7 to 120 days, not {self.period_days}.")
        if self.before_days < 4 * self.period_days or self.after_days < self.period_days:
            raise InputError("An effect needs at least four periods before the campaign and one after it.")
        if not 0.5 <= self.level < 1:
            raise InputError(f"The level of an interval lies from 0.5 to below 1, not at {self.level:g}.")


@dataclass(frozen=True, slots=True)
class Period:
    """A period of the course: first and last day, and what ``geo.effects.Step`` says of it."""

    start: dt.date
    end: dt.date
    step: Step


@dataclass(frozen=True, slots=True)
class Effect:
    """What a campaign changed.

    Attributes
    ----------
    start, end : first and last day of the campaign, left out of the comparison.
    since, until : first day looked at before, last day looked at after.
    treated, near, controls : cells as H3 texts: worked in, next to those, and compared with.
    reports : the effect on reports. chronic : on returns of incidents; None where the incidents
        are not current. spill : on reports next to the treated cells; None without such cells.
    placebo : at earlier dates, newest first, with the first day of what was pretended.
    sentence : the answer in one sentence. remarks : what was decided and what to know.
    """

    territory: str
    campaign_id: int | None
    simulated: bool
    resolution: int
    start: dt.date
    end: dt.date
    since: dt.date
    until: dt.date
    treated: tuple[str, ...]
    near: tuple[str, ...]
    controls: tuple[str, ...]
    reports: Estimate
    chronic: Estimate | None
    spill: Estimate | None
    placebo: tuple[tuple[dt.date, Estimate], ...]
    course: tuple[Period, ...]
    sentence: Remark
    remarks: tuple[Remark, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the cells compared with."""
        values = asdict(replace(self, controls=(), near=(), treated=()))
        for name in ("controls", "near", "treated"):
            values[f"{name}_cells"] = len(getattr(self, name))
            del values[name]
        return _finite(values)


def effect(
    conn: Connection, campaign_id: int, settings: EffectSettings | None = None, *, tick: Tick | None = None
) -> Effect:
    """The effect of a saved campaign.

    Raises
    ------
    InputError : no such campaign, no first day, or too little time before or after it.
    """
    settings = settings or EffectSettings()
    saved = get(conn, campaign_id)
    plan = saved.plan
    resolution = plan.resolution if plan.kind != "axes" else _AXIS_RESOLUTION
    visited = visited_cells(conn, campaign_id, resolution)
    by_visits = len(visited) > 0 and not settings.planned
    cells = visited if by_visits else _planned_cells(plan, resolution)
    start, end = _dates(conn, saved)
    how = decided(
        "effect_cells_visited" if by_visits else "effect_cells_planned",
        cells=len(cells),
        planned=len(_planned_cells(plan, resolution)),
    )
    found = effect_of_cells(conn, _kinds(plan, saved.territory_id), cells, start, end, settings, tick=tick)
    return replace(found, campaign_id=campaign_id, remarks=(how, *found.remarks))


def effect_of_cells(
    conn: Connection,
    query: ReportQuery,
    cells: npt.ArrayLike,
    start: dt.date,
    end: dt.date,
    settings: EffectSettings | None = None,
    *,
    tick: Tick | None = None,
) -> Effect:
    """The effect of work in some cells from ``start`` to ``end``, both included.

    Parameters
    ----------
    query : which reports are counted; its period and areas are not looked at, because the
        comparison needs the time before and the ground around.
    cells : (k,) int64, H3 of one resolution.

    Raises
    ------
    InputError : no cell, or too little time before or after.
    """
    settings = settings or EffectSettings()
    told = tick or (lambda share: None)
    treated = np.unique(np.asarray(cells, dtype=np.int64))
    if not len(treated):
        raise InputError("No cell was treated: there are neither visits with a place nor planned cells.")
    resolution = _resolution_of(treated)
    query = replace(query, start=None, end=None, municipalities=(), districts=(), statuses=())
    found, chosen = columns.select(conn, query, {"cell", "day", "municipality"})
    told(0.2)
    first, last = _data_days(found)
    edges, before = _periods(start, end, first, last, settings)
    day = found.reports["day"].astype(np.int64)
    run = np.repeat(np.arange(len(found.runs["cell"])), found.runs["length"])
    up = parents(found.runs["cell"], resolution)
    ground, group = _ground(found, up, run, chosen, day, edges, before, treated)
    at = np.searchsorted(ground, up).clip(max=len(ground) - 1)
    inside = (ground[at] == up) & (up != 0)
    counts = _counted(at[run], day, chosen & inside[run], edges, len(ground))
    panel = Panel(ground, counts, before, group, np.isin(ground, treated))
    told(0.4)
    results = findings(panel, level=settings.level)
    told(0.7)
    chronic = _chronic(conn, query, panel, results, resolution, edges, settings.level)
    told(1.0)
    course = tuple(
        Period(columns.as_date(low), columns.as_date(high - 1), step)
        for (low, high), step in zip(edges, results.course, strict=True)
    )
    placebo = tuple(
        (columns.as_date(edges[before - max(before // 4, 1) - (i + 1) * (len(edges) - before)][0]), one)
        for i, one in enumerate(results.placebo)
    )
    facts = found.facts
    return Effect(
        territory=facts.code,
        campaign_id=None,
        simulated=facts.simulated,
        resolution=resolution,
        start=start,
        end=end,
        since=course[0].start,
        until=course[-1].end,
        treated=tuple(to_text(treated)),
        near=tuple(to_text(ground[results.near])),
        controls=tuple(to_text(ground[results.matches.weight > 0])),
        reports=results.effect,
        chronic=chronic,
        spill=results.spill,
        placebo=placebo,
        course=course,
        sentence=_sentence(results.effect),
        remarks=_remarks(results, chronic, settings, before, len(edges) - before),
    )


def _resolution_of(cells: Cells) -> int:
    """The one resolution of cells; InputError where they have several."""
    found = np.unique(resolutions(cells))
    if len(found) != 1:
        raise InputError("The cells of a campaign must be of one resolution.")
    return int(found[0])


def _data_days(found: columns.Columns) -> tuple[int, int]:
    """First and last day with reports of any kind: what lies outside is not known to be zero."""
    day = found.reports["day"]
    if not len(day):
        raise InputError("The territory has no reports to measure an effect by.")
    return int(day.min()), int(day.max())


def _periods(
    start: dt.date, end: dt.date, first: int, last: int, settings: EffectSettings
) -> tuple[list[tuple[int, int]], int]:
    """Whole periods before and after, as days since 2000 (first included, last not); how many before."""
    if end < start:
        raise InputError(f"The campaign ends ({end}) before it starts ({start}).")
    length = settings.period_days
    zero = columns.DAY_ZERO.astype(object)
    begins, over = (start - zero).days, (end - zero).days + 1
    before = min((begins - first) // length, settings.before_days // length)
    after = min((last + 1 - over) // length, settings.after_days // length)
    if before < 4:
        raise InputError(
            f"Reports begin on {columns.as_date(first)}: that leaves {max(before, 0)} whole periods of {length} days "
            f"before {start}, and an effect needs four. Shorter periods may do."
        )
    if after < 1:
        raise InputError(
            f"Reports end on {columns.as_date(last)}: no whole period of {length} days lies after {end} yet. Come "
            "back later, or take shorter periods."
        )
    lows = [begins - length * (before - i) for i in range(before)]
    lows += [over + length * i for i in range(after)]
    return [(low, low + length) for low in lows], before


def _ground(
    found: columns.Columns,
    up: Cells,
    run: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.bool_],
    day: npt.NDArray[np.int64],
    edges: list[tuple[int, int]],
    before: int,
    treated: Cells,
) -> tuple[Cells, npt.NDArray[np.int64]]:
    """Cells with such reports before, treated ones and those around them; and their municipalities."""
    seen = chosen & (day >= edges[0][0]) & (day < edges[before - 1][1])
    had = np.unique(up[np.bincount(run[seen], minlength=len(up)) > 0])
    # H3's own neighbours, whether or not anything was reported there.
    wider = np.asarray(pa.array(h3ronpy.grid_disk(treated.view(np.uint64), 1, flatten=True)))
    ground = np.unique(np.concatenate([had[had != 0], treated, wider.astype(np.int64)]))
    pairs = np.column_stack([up, found.runs["municipality"].astype(np.int64)])
    kinds, which = np.unique(pairs, axis=0, return_inverse=True)
    weight = np.bincount(which.ravel(), found.runs["length"])
    order = np.lexsort((weight, kinds[:, 0]))
    # The last of each cell has most of its reports.
    cell, municipality = kinds[order, 0], kinds[order, 1]
    ends = np.append(np.flatnonzero(cell[1:] != cell[:-1]), len(cell) - 1)
    at = np.searchsorted(cell[ends], ground).clip(max=len(ends) - 1)
    group = np.where(cell[ends][at] == ground, municipality[ends][at], 0)
    return ground, group


def _counted(
    at: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
    edges: list[tuple[int, int]],
    n: int,
) -> npt.NDArray[np.int64]:
    """Counts (n, t) of reports by cell and period."""
    lows = np.array([low for low, _ in edges])
    highs = np.array([high for _, high in edges])
    rows, days = at[kept], day[kept]
    period = np.searchsorted(lows, days, side="right") - 1
    good = (period >= 0) & (days < highs[period.clip(min=0)])
    flat = rows[good] * len(edges) + period[good]
    return np.bincount(flat, minlength=n * len(edges)).reshape(n, len(edges))


def _chronic(
    conn: Connection,
    query: ReportQuery,
    panel: Panel,
    results: Findings,
    resolution: int,
    edges: list[tuple[int, int]],
    level: float,
) -> Estimate | None:
    """The effect on incidents that open where one was closed before; None without current incidents."""
    try:
        course = courses(conn, replace(query, incidents=True))
    except StoreError:
        return None  # a remark says so
    back = returns(course.place, course.opened, course.closed, course.until)
    again = np.zeros(len(course.ids), dtype=bool)
    again[back.order] = back.returned
    up = parents(course.found.runs["cell"][course.runs], resolution)
    at = np.searchsorted(panel.cells, up).clip(max=len(panel.cells) - 1)
    kept = course.fits & again & (panel.cells[at] == up)
    zone = ZoneInfo(course.found.facts.timezone)
    # Whole local days; a zone's offset is that of the campaign's time, which moves a period by an hour at most.
    middle = dt.datetime.combine(columns.as_date(edges[panel.before][0]), dt.time(12), zone)
    offset = (middle.utcoffset() or dt.timedelta()).total_seconds() / 86_400
    day = np.floor(course.opened + offset).astype(np.int64)
    counts = _counted(at, day, kept, edges, len(panel.cells))
    return effect_on(replace(panel, counts=counts), results.matches, results.near, level=level)


def _kinds(plan: CampaignPlan, territory_id: int) -> ReportQuery:
    """The reports that a plan was made for, by kind only."""
    asked = plan.query

    def codes(name: str) -> tuple[Any, ...]:
        return tuple(asked.get(name) or ())

    return ReportQuery(
        territory_id,
        groups=codes("groups"),
        elements=codes("elements"),
        types=codes("types"),
        channels=codes("channels"),
    )


def _planned_cells(plan: CampaignPlan, resolution: int) -> Cells:
    if plan.kind != "axes":
        found = [cell for area in plan.areas for cell in area.cells]
        return np.unique(from_text(sorted(set(found)))) if found else np.zeros(0, dtype=np.int64)
    lines = [
        shapely.LineString(part) for one in plan.stretches if one.chosen for part in one.line if len(part) > 1
    ]
    if not lines:
        return np.zeros(0, dtype=np.int64)
    along = shapely.get_coordinates(shapely.segmentize(np.array(lines), _ALONG_DEGREES))
    return np.unique(cells_of(along[:, 0], along[:, 1], resolution))


def _dates(conn: Connection, saved: Saved) -> tuple[dt.date, dt.date]:
    """First and last day: of the terms and the visits, else of the statuses running and done."""
    # Served by ix_visit_campaign_id and pk_campaign_event.
    row = conn.execute(
        text(
            """SELECT min(z.visited)::date AS first, max(z.visited)::date AS last,
                 (SELECT min(e.at AT TIME ZONE t.timezone)::date FROM campaign_event e
                  WHERE e.campaign_id = :id AND e.status = 'running') AS ran,
                 (SELECT max(e.at AT TIME ZONE t.timezone)::date FROM campaign_event e
                  WHERE e.campaign_id = :id AND e.status = 'done') AS done
               FROM territory t
               LEFT JOIN LATERAL (SELECT v.visited_at AT TIME ZONE t.timezone AS visited FROM visit v
                                  WHERE v.campaign_id = :id) z ON true
               WHERE t.id = :territory GROUP BY t.id, t.timezone"""
        ),
        {"id": saved.id, "territory": saved.territory_id},
    ).one()
    terms = saved.plan.terms
    if terms.kind != "axes" and terms.start != dt.date.min:
        start = min(terms.start, row.first) if row.first else terms.start
        # Working days: a week of five.
        planned = terms.start + dt.timedelta(days=math.ceil(terms.days * 7 / 5) - 1)
        return start, max(row.last or planned, start)
    start, end = row.first or row.ran, row.last or row.done
    if start is None or end is None:
        raise InputError(
            f"Campaign {saved.id} has no dates yet: neither visits nor the statuses running and done."
        )
    return start, max(start, end)


def _percent(ratio: float) -> int:
    return round(100 * abs(1 - ratio))


def _sentence(found: Estimate) -> Remark:
    """The answer: how many fewer or more, with the interval; or that it cannot be told."""
    if not math.isfinite(found.ratio):
        return caution("effect_too_few", observed=found.observed, expected=round(found.expected, 1))
    values: dict[str, str | int | float] = {
        "percent": _percent(found.ratio),
        "observed": found.observed,
        "expected": round(found.expected),
        "level": round(100 * found.level),
    }
    if found.high < 1:
        return decided(
            "effect_fewer", **values, least=_percent(found.high), most=_percent(max(found.low, 0.0))
        )
    if found.low > 1:
        return decided("effect_more", **values, least=_percent(found.low), most=_percent(found.high))
    return decided(
        "effect_unclear",
        **values,
        fewer=_percent(min(found.low, 1.0)),
        more=_percent(max(found.high, 1.0)),
    )


def _remarks(
    results: Findings, chronic: Estimate | None, settings: EffectSettings, before: int, after: int
) -> tuple[Remark, ...]:
    matches = results.matches
    said = [
        decided("effect_periods", before=before, after=after, days=settings.period_days),
        decided(
            "effect_matched",
            cells=len(matches.members),
            controls=results.effect.controls,
            near=int(results.near.sum()),
        ),
        decided("effect_regression"),
    ]
    if matches.abroad > _ABROAD:
        said.append(caution("effect_other_municipality", percent=round(100 * matches.abroad)))
    if matches.loose > 0.1:
        said.append(caution("effect_loose", percent=round(100 * matches.loose)))
    judged = [one for one in results.placebo if math.isfinite(one.ratio)]
    failed = sum(one.claims for one in judged)
    if not judged:
        said.append(caution("effect_no_placebo"))
    elif failed:
        said.append(caution("effect_placebo_fails", failed=failed, tests=len(judged)))
    else:
        said.append(decided("effect_placebo_holds", tests=len(judged)))
    spill = results.spill
    if spill is not None and math.isfinite(spill.ratio) and spill.claims:
        code = "effect_spill_fewer" if spill.ratio < 1 else "effect_spill_more"
        said.append(caution(code, percent=_percent(spill.ratio)))
    if chronic is None:
        said.append(caution("effect_no_incidents"))
    return tuple(said)


def _finite(value: Any) -> Any:
    """Numbers that JSON cannot hold become None; dates become texts."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
