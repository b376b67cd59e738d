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

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection, text

from data import columns
from data.analyses.courses import courses
from data.analyses.effect_ground import EffectSettings, counted, data_days, ground_of, periods, resolution_of
from data.campaigns import Saved, get_then
from data.incidents import is_current
from data.plan import CampaignPlan
from data.query import AsOf, ReportQuery, TerritoryFacts
from data.visits import KNOWN_VISIT, known_visit, visited_cells
from geo.cells import Cells, cells_of, from_text, parents, to_text
from geo.chronic import returns
from geo.effect_matches import Panel
from geo.effects import Estimate, Findings, Step, effect_on, findings, placebo_windows
from geo.errors import InputError
from geo.remarks import Remark, caution, decided

Tick = Callable[[float], None]
_AXIS_RESOLUTION = 9  # of the cells along a stretch
_ALONG_DEGREES = 0.0005  # about 50 m: points along a stretch
_ABROAD = 0.5  # share of matches in other municipalities from which it is said


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
    conn: Connection,
    campaign_id: int,
    settings: EffectSettings | None = None,
    *,
    as_of: AsOf | None = None,
    tick: Tick | None = None,
) -> Effect:
    """The effect of a saved campaign, as seen now or as of a past moment.

    Raises
    ------
    InputError : no such campaign, no first day, or too little time before or after it.
    """
    settings = settings or EffectSettings()
    saved = get_then(conn, campaign_id, as_of.known if as_of else None)
    plan = saved.plan
    resolution = plan.resolution if plan.kind != "axes" else _AXIS_RESOLUTION
    visited = visited_cells(conn, campaign_id, resolution, as_of)
    planned = _planned_cells(plan, resolution)
    by_visits = len(visited) > 0 and not settings.planned
    cells = visited if by_visits else planned
    start, end = dates_of(conn, saved, as_of)
    how = [
        decided("effect_cells_visited", cells=len(cells), planned=len(planned))
        if by_visits
        else decided("effect_cells_planned", cells=len(cells))
    ]
    untold = np.setdiff1d(planned, visited)
    if by_visits and len(untold):
        how.append(caution("effect_cells_untold", cells=len(untold)))
    found = effect_of_cells(
        conn, replace(_kinds(plan, saved.territory_id), as_of=as_of), cells, start, end, settings,
        aside=np.union1d(visited, planned), tick=tick,
    )  # fmt: skip
    return replace(found, campaign_id=campaign_id, remarks=(*how, *found.remarks))


def effect_of_cells(
    conn: Connection,
    query: ReportQuery,
    cells: npt.ArrayLike,
    start: dt.date,
    end: dt.date,
    settings: EffectSettings | None = None,
    *,
    aside: npt.ArrayLike = (),
    tick: Tick | None = None,
) -> Effect:
    """The effect of work in some cells from ``start`` to ``end``, both included.

    Parameters
    ----------
    query : which reports are counted; its period and areas are not looked at, because the
        comparison needs the time before and the ground around.
    cells : (k,) int64, H3 of one resolution.
    aside : (m,) int64, cells of the same resolution that may have been worked in too: they are
        not compared with.

    Raises
    ------
    InputError : no cell, or too little time before or after.
    """
    settings = settings or EffectSettings()
    told = tick or (lambda share: None)
    treated = np.unique(np.asarray(cells, dtype=np.int64))
    if not len(treated):
        raise InputError("No cell was treated: there are neither visits with a place nor planned cells.")
    resolution = resolution_of(treated)
    query = replace(query, start=None, end=None, municipalities=(), districts=(), statuses=())
    panel, edges, facts = _panel(conn, query, treated, resolution, start, end, settings)
    told(0.4)
    unknown = np.isin(panel.cells, np.asarray(aside, dtype=np.int64))
    results = findings(panel, level=settings.level, aside=unknown)
    told(0.7)
    chronic = _chronic(conn, query, panel, results, resolution, edges, settings.level)
    told(1.0)
    course = tuple(
        Period(columns.as_date(low), columns.as_date(high - 1), step)
        for (low, high), step in zip(edges, results.course, strict=True)
    )
    placebo = tuple(
        (columns.as_date(edges[window][0]), one)
        for window, one in zip(placebo_windows(panel), results.placebo, strict=True)
    )
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
        near=tuple(to_text(panel.cells[results.near])),
        controls=tuple(to_text(panel.cells[results.matches.weight > 0])),
        reports=results.effect,
        chronic=chronic,
        spill=results.spill,
        placebo=placebo,
        course=course,
        sentence=_sentence(results.effect),
        remarks=_remarks(results, chronic, settings, panel.before, len(edges) - panel.before),
    )


def _panel(
    conn: Connection,
    query: ReportQuery,
    treated: Cells,
    resolution: int,
    start: dt.date,
    end: dt.date,
    settings: EffectSettings,
) -> tuple[Panel, list[tuple[int, int]], TerritoryFacts]:
    """Reports by cell and period, the days of the periods, and the territory."""
    found, chosen = columns.select(conn, query, {"cell", "day", "municipality"})
    first, last = data_days(found)
    edges, before = periods(start, end, first, last, settings)
    day = found.reports["day"].astype(np.int64)
    run = np.repeat(np.arange(len(found.runs["cell"])), found.runs["length"])
    up = parents(found.runs["cell"], resolution)
    ground, group = ground_of(found, up, run, chosen, day, edges, before, treated)
    at = np.searchsorted(ground, up).clip(max=len(ground) - 1)
    inside = (ground[at] == up) & (up != 0)
    counts = counted(at[run], day, chosen & inside[run], edges, len(ground))
    return Panel(ground, counts, before, group, np.isin(ground, treated)), edges, found.facts


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
    if query.as_of is None and not is_current(conn, query.territory_id):
        return None  # a remark says so
    course = courses(conn, replace(query, incidents=True))
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
    counts = counted(at, day, kept, edges, len(panel.cells))
    return effect_on(replace(panel, counts=counts), results.matches, results.barred, level=level)


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


def dates_of(conn: Connection, saved: Saved, as_of: AsOf | None = None) -> tuple[dt.date, dt.date]:
    """First and last day: of the terms and the visits, else of the statuses running and done.

    Raises
    ------
    InputError : there are no dates yet.
    """
    told = "(CAST(:known AS timestamptz) IS NULL OR e.at <= :known)"
    # Served by ix_visit_campaign_id and pk_campaign_event.
    row = conn.execute(
        text(
            f"""SELECT min(z.visited)::date AS first, max(z.visited)::date AS last,
                 (SELECT min(e.at AT TIME ZONE t.timezone)::date FROM campaign_event e
                  WHERE e.campaign_id = :id AND e.status = 'running' AND {told}) AS ran,
                 (SELECT max(e.at AT TIME ZONE t.timezone)::date FROM campaign_event e
                  WHERE e.campaign_id = :id AND e.status = 'done' AND {told}) AS done
               FROM territory t
               LEFT JOIN LATERAL (SELECT v.visited_at AT TIME ZONE t.timezone AS visited FROM visit v
                                  WHERE v.campaign_id = :id AND {KNOWN_VISIT}) z ON true
               WHERE t.id = :territory GROUP BY t.id, t.timezone"""
        ),
        {"id": saved.id, "territory": saved.territory_id} | known_visit(as_of),
    ).one()
    terms = saved.plan.terms
    if terms.kind != "axes" and terms.start != dt.date.min:
        start = min(terms.start, row.first) if row.first else terms.start
        planned = terms.dates[-1]
        # Until it is said to be done, teams may still be out whose visits have not come back.
        end = max(row.last, planned) if row.last and saved.status != "done" else row.last or planned
        return start, max(end, start)
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
    percent, observed, expected = _percent(found.ratio), found.observed, round(found.expected)
    level = round(100 * found.level)
    if found.high < 1:
        return decided(
            "effect_fewer",
            percent=percent,
            observed=observed,
            expected=expected,
            level=level,
            least=_percent(found.high),
            most=_percent(found.low),
        )
    if found.low > 1:
        return decided(
            "effect_more",
            percent=percent,
            observed=observed,
            expected=expected,
            level=level,
            least=_percent(found.low),
            most=_percent(found.high),
        )
    return decided(
        "effect_unclear",
        observed=observed,
        expected=expected,
        level=level,
        fewer=_percent(found.low),
        more=_percent(found.high),
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
    # Several tests: each has to be clearer, so that all together fail by chance as rarely as one.
    failed = sum(one.p < (1 - settings.level) / len(judged) for one in judged)
    if not judged:
        said.append(caution("effect_no_placebo"))
    elif failed:
        said.append(caution("effect_placebo_fails", failed=failed, tests=len(judged)))
    else:
        said.append(decided("effect_placebo_holds", tests=len(judged)))
    spill = results.spill
    if spill is not None and math.isfinite(spill.ratio) and spill.claims:
        percent = _percent(spill.ratio)
        said.append(
            caution("effect_spill_fewer", percent=percent)
            if spill.ratio < 1
            else caution("effect_spill_more", percent=percent)
        )
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
