"""Parts of the weekly pack that are read report by report: what is late, campaigns, pictures, outlines.

Who was open comes from the replay (``data/past.py``); a limit is the one that held then: an
event that set another one later says what was there before it. Caveat: sites and finds of
visits are as told by the end of the period and known then; a visit that was corrected since
is told as corrected.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection, text

from data import campaigns as saved_plans
from data.analyses.campaigns import said
from data.analyses.effects import Effect, dates_of, effect
from data.campaigns import Saved
from data.life import Action
from data.pack import (
    Before,
    CampaignResult,
    Change,
    Late,
    LateReport,
    Outline,
    Overdue,
    Pair,
    Ring,
)
from data.past import COUNTED, parameters, past_statuses, replaced_since
from data.plan import Name
from data.query import AsOf, TerritoryFacts
from data.replay import states
from data.visits import KNOWN_VISIT, known_visit
from data.vocabulary import FINAL, Status
from geo.effects import Estimate
from geo.errors import InputError

LATEST = 12  # reports told one by one
RECENT_DAYS = 120  # after its end for which a campaign's result is told: four periods of 30 days
MOST_CAMPAIGNS = 6
MOST_PAIRS = 4
_SIGNS = 1 / 900  # of the territory's extent: what a line on paper can show
_COUNTED = COUNTED.replace("%(at)s", ":at").replace("%(known)s", ":known")


def area_names(conn: Connection, territory_id: int) -> dict[int, Name]:
    """Names of municipalities by id, those of older boundaries too."""
    # Served by a scan of `area`: a few hundred rows.
    rows = conn.execute(
        text(
            "SELECT id, name_ar, name_en FROM area WHERE territory_id = :territory AND level = 'municipality'"
        ),
        {"territory": territory_id},
    )
    return {row.id: Name(row.name_ar, row.name_en) for row in rows}


def municipality_at(
    conn: Connection, territory_id: int, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """``area.id`` of the current municipality at each point, (n,); 0 for none."""
    # Served by ix_area_current.
    rows = conn.execute(
        text(
            """SELECT id, ST_AsBinary(geom) AS shape FROM area
               WHERE territory_id = :territory AND level = 'municipality' AND valid_to IS NULL ORDER BY id"""
        ),
        {"territory": territory_id},
    ).all()
    found = np.zeros(len(lon), dtype=np.int64)
    if rows and len(lon):
        tree = shapely.STRtree(shapely.from_wkb([bytes(row.shape) for row in rows]))
        point, area = tree.query(shapely.points(lon, lat), predicate="intersects")
        found[point] = np.array([row.id for row in rows])[area]
    return found


def municipalities_of(conn: Connection, reports: npt.NDArray[np.int64]) -> list[int]:
    """Municipality of each report by id, (n,); 0 for none."""
    # Served by pk_report.
    rows = conn.execute(
        text("SELECT id, coalesce(municipality_id, 0) AS area FROM report WHERE id = ANY(:ids)"),
        {"ids": reports.tolist()},
    )
    found = {row.id: row.area for row in rows}
    return [found.get(one, 0) for one in reports.tolist()]


def elements_of(conn: Connection, reports: list[int], as_of: AsOf) -> dict[int, Name]:
    """Names of the elements that reports had then, by id of the report."""
    found = states(conn, as_of.at, reports=reports, known=as_of.known)
    # Served by a scan of `element`: a few dozen rows.
    names = {
        row.id: Name(row.name_ar, row.name_en)
        for row in conn.execute(text("SELECT id, name_ar, name_en FROM element"))
    }
    had = zip(found["report_id"].to_list(), found["element_id"].to_list(), strict=True)
    return {report: names[element] for report, element in had if element is not None}


# ---- late ----

# The limit that held then. Served by pk_report.
_LATE = f"""WITH due AS (
  SELECT r.id, r.reference, r.municipality_id, r.opened_at, r.geom,
    CASE WHEN u.report_id IS NULL THEN r.due_at ELSE (u.before->>'due_at')::timestamptz END AS due_at
  FROM report r LEFT JOIN ({replaced_since("due_at")}) u ON u.report_id = r.id
  WHERE r.id = ANY(:open))"""


def overdue(conn: Connection, facts: TerritoryFacts, as_of: AsOf, names: dict[int, Name]) -> Overdue:
    """What was open past its limit, by municipality, and the reports that were it longest."""
    ids, status = past_statuses(conn, facts, as_of)
    still = ~np.isin(status, [int(one) for one in FINAL])
    params = parameters(facts.id, as_of) | {"open": ids[still].tolist(), "limit": LATEST}
    counted = conn.execute(
        text(
            f"""{_LATE} SELECT municipality_id, count(due_at) AS limited,
                  count(*) FILTER (WHERE due_at < :at) AS late, min(due_at) AS due
                FROM due GROUP BY municipality_id"""
        ),
        params,
    ).all()
    longest = conn.execute(
        text(
            f"""{_LATE} SELECT id, reference, municipality_id, opened_at, due_at,
                  ST_X(geom) AS lon, ST_Y(geom) AS lat
                FROM due WHERE due_at < :at ORDER BY due_at, id LIMIT :limit"""
        ),
        params,
    ).all()
    elements = elements_of(conn, [row.id for row in longest], as_of)
    state = dict(zip(ids[still].tolist(), status[still].tolist(), strict=True))
    zone = ZoneInfo(facts.timezone)
    late = [
        Late(names.get(row.municipality_id, Name()), row.late, (as_of.at - row.due).days)
        for row in counted
        if row.late
    ]
    return Overdue(
        reports=sum(one.reports for one in late),
        limited=sum(row.limited for row in counted),
        open=int(still.sum()),
        places=tuple(sorted(late, key=lambda one: (-one.reports, -one.oldest, one.name.en))),
        oldest=tuple(
            LateReport(
                id=row.id,
                reference=row.reference,
                element=elements.get(row.id, Name()),
                municipality=names.get(row.municipality_id, Name()),
                status=int(Status(state[row.id])),
                opened=row.opened_at.astimezone(zone).date(),
                due=row.due_at.astimezone(zone).date(),
                days=(as_of.at - row.due_at).days,
                lon=row.lon,
                lat=row.lat,
            )
            for row in longest
        ),
    )


# ---- campaigns ----


def campaigns(
    conn: Connection, facts: TerritoryFacts, first: dt.date, last: dt.date, as_of: AsOf
) -> tuple[CampaignResult, ...]:
    """Campaigns that ran in the period, or ended so shortly before that their effect is news."""
    # Served by ix_campaign_territory_id and pk_campaign_event.
    ids = conn.execute(
        text(
            """SELECT c.id FROM campaign c JOIN LATERAL (
                 SELECT e.status FROM campaign_event e WHERE e.campaign_id = c.id AND e.at <= :known
                 ORDER BY e.seq DESC LIMIT 1) s ON s.status IN ('running', 'done')
               WHERE c.territory_id = :territory ORDER BY c.id"""
        ),
        {"territory": facts.id, "known": as_of.known},
    ).scalars()
    told = []
    for number in ids.all():
        saved = saved_plans.get_then(conn, number, as_of.known)
        try:
            start, end = dates_of(conn, saved, as_of)
        except InputError:
            continue  # without dates it is in no period
        if start <= last and end >= last - dt.timedelta(days=RECENT_DAYS):
            told.append(_campaign(conn, facts, saved, (start, end), (first, last), as_of))
    told.sort(key=lambda one: (-one.end.toordinal(), one.id))
    return tuple(told[:MOST_CAMPAIGNS])


def _campaign(
    conn: Connection,
    facts: TerritoryFacts,
    saved: Saved,
    dates: tuple[dt.date, dt.date],
    period: tuple[dt.date, dt.date],
    as_of: AsOf,
) -> CampaignResult:
    # Served by ix_visit_campaign_id.
    visits = conn.execute(
        text(
            f"""SELECT count(*) AS visits, count(*) FILTER (WHERE v.found) AS found,
                  count(*) FILTER (WHERE v.treated) AS treated,
                  count(*) FILTER (WHERE (v.visited_at AT TIME ZONE :zone)::date >= :first) AS new
                FROM visit v WHERE v.campaign_id = :id AND {KNOWN_VISIT}"""
        ),
        {"id": saved.id, "zone": facts.timezone, "first": period[0]} | known_visit(as_of),
    ).one()
    plan = saved.plan
    stretches = sum(one.chosen for one in plan.stretches)
    status: Literal["running", "done"] = "done" if dates[1] <= period[1] else "running"
    found: Effect | None = None
    untold = False
    if status == "done":
        try:
            found = effect(conn, saved.id, as_of=as_of)
        except InputError:
            untold = True  # too little time around it, or nobody knows where it worked: the pack says so
    return CampaignResult(
        id=saved.id,
        title=saved.title,
        kind=saved.kind,
        status=status,
        start=dates[0],
        end=dates[1],
        planned=sum(len(area.sites) for area in plan.areas) or stretches,
        expected=plan.finds,
        visits=visits.visits,
        new_visits=visits.new,
        found=visits.found,
        treated=visits.treated,
        change=None if found is None else _change(found.reports),
        course=() if found is None else _course(found),
        said=()
        if found is None
        else (said(found.sentence), *(said(one) for one in found.remarks if one.caution)),
        untold=untold,
    )


def _change(one: Estimate) -> Change:
    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return Change(one.observed, one.expected, finite(one.ratio), finite(one.low), finite(one.high), one.level)


def _course(found: Effect) -> tuple[Before, ...]:
    return tuple(
        Before(period.start, period.end, period.step.observed, period.step.expected, period.start > found.end)
        for period in found.course
    )


# ---- pictures ----


def pairs(
    conn: Connection,
    facts: TerritoryFacts,
    first: dt.date,
    last: dt.date,
    as_of: AsOf,
    names: dict[int, Name],
) -> tuple[Pair, ...]:
    """Reports that were closed in the period and have a picture of before and one of after."""
    # Served by ix_report_event_recorded: only what was done in Rasd has pictures.
    rows = conn.execute(
        text(
            f"""SELECT r.id, r.reference, r.municipality_id, r.opened_at, c.at AS closed_at,
                  b.photo AS before, a.photo AS after
                FROM report_event c JOIN report r ON r.id = c.report_id
                CROSS JOIN LATERAL (
                  SELECT e.detail->'photos'->>0 AS photo FROM report_event e WHERE e.report_id = r.id
                    AND e.seq < c.seq AND e.action = ANY(:seen) AND jsonb_exists(e.detail, 'photos')
                    AND jsonb_array_length(e.detail->'photos') > 0
                  ORDER BY e.seq LIMIT 1) b
                CROSS JOIN LATERAL (
                  SELECT e.detail->'photos'->> -1 AS photo FROM report_event e WHERE e.report_id = r.id
                    AND e.seq < c.seq AND e.action = :treated AND jsonb_exists(e.detail, 'photos')
                    AND jsonb_array_length(e.detail->'photos') > 0
                  ORDER BY e.seq DESC LIMIT 1) a
                WHERE c.batch_id IS NULL AND c.action = :passed AND r.territory_id = :territory
                  AND c.recorded_at >= CAST(:first AS timestamp) AT TIME ZONE :zone
                  AND {_COUNTED.format("c")}
                ORDER BY c.at DESC, r.id LIMIT :most"""
        ),
        parameters(facts.id, as_of)
        | {
            "seen": [int(Action.FILE), int(Action.CLASSIFY), int(Action.INSPECT)],
            "treated": int(Action.TREAT),
            "passed": int(Action.PASS),
            "first": first,
            "zone": facts.timezone,
            "most": MOST_PAIRS,
        },
    ).all()
    elements = elements_of(conn, [row.id for row in rows], as_of)
    zone = ZoneInfo(facts.timezone)
    return tuple(
        Pair(
            report_id=row.id,
            reference=row.reference,
            element=elements.get(row.id, Name()),
            municipality=names.get(row.municipality_id, Name()),
            opened=row.opened_at.astimezone(zone).date(),
            closed=row.closed_at.astimezone(zone).date(),
            before=row.before,
            after=row.after,
        )
        for row in rows
    )


# ---- outlines ----


def outlines(conn: Connection, territory_id: int) -> tuple[tuple[Outline, ...], bool]:
    """Current municipalities simplified for paper, in order of name; and whether they are illustrative."""
    # Served by ix_area_current.
    rows: list[Any] = list(
        conn.execute(
            text(
                """SELECT a.name_ar, a.name_en, s.illustrative, ST_AsBinary(a.geom) AS shape
                   FROM area a JOIN area_set s ON s.id = a.area_set_id
                   WHERE a.territory_id = :territory AND a.level = 'municipality' AND a.valid_to IS NULL
                   ORDER BY a.name_en, a.id"""
            ),
            {"territory": territory_id},
        )
    )
    if not rows:
        return (), False
    shapes = shapely.from_wkb([bytes(row.shape) for row in rows])
    west, south, east, north = shapely.total_bounds(shapes)
    step = max(east - west, north - south) * _SIGNS
    drawn = shapely.simplify(shapes, step / 2, preserve_topology=True)
    made = tuple(
        Outline(Name(row.name_ar, row.name_en), _rings(shape, step))
        for row, shape in zip(rows, drawn, strict=True)
    )
    return made, any(row.illustrative for row in rows)


def _rings(shape: shapely.Geometry, step: float) -> tuple[Ring, ...]:
    """Outer rings with five decimals (a metre); islands too small to see are left out."""
    kept: list[Ring] = []
    for part in shapely.get_parts(shape):
        if part.is_empty or (part.area < step * step and len(kept)):
            continue
        points = np.round(shapely.get_coordinates(part.exterior), 5).tolist()
        kept.append(tuple((x, y) for x, y in points))
    return tuple(kept)
