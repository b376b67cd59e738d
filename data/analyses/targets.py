"""Places worth a visit: reports past their limit, chronic places, and what is still to come.

Each place is counted once, as the first that applies: an overdue report (one an incident),
an open one within its limit, a chronic place, new violations expected in a cell, and the
same where a hot cell was not visited lately. Limits are the reports' own, else assumed by
element (``campaign_elements.csv``). Caveat: an open report is what the record says; new
ones follow the forecast, that is people and their habit of reporting.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data import columns, incidents
from data.analyses.forecasts import ForecastSettings, forecast
from data.analyses.hits import AreaTypes, visited
from data.analyses.hotspots import HotspotSettings, hotspots
from data.analyses.kinds import Kinds
from data.analyses.returning import ReturningSettings, returning
from data.analyses.study import places as positions
from data.analyses.terrain import YEAR, Terrain
from data.query import ReportQuery, where
from data.vocabulary import OPEN, Status
from geo.cells import cells_of
from geo.forecast import DEFAULT
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]
Tick = Callable[[float], None]

UNVISITED_DAYS = 90  # a hot cell without a visit for so long is "unvisited"
CHRONIC_RETURNS = 2
FADE_DAYS = 365.0  # a return so long ago counts half when chronic places are compared
#: A status that is not known, and a draft, are no evidence that something stands open.
STANDING = tuple(sorted(int(status) for status in OPEN - {Status.UNKNOWN, Status.DRAFT}))


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Known places, (s,) each, by key.

    Attributes
    ----------
    target : overdue, open or chronic. cell : position in the terrain.
    kind : position in the kinds. area_type : position in ``geo.hitrates.TYPES``.
    pace : of a chronic place, its returns ÷ those of an average one, old ones fading; else 1.
    late_days, severity, quantity : nan where there is none. report : id, 0 for none.
    returns : 0 for none.
    """

    key: Texts
    target: Texts
    lon: Floats
    lat: Floats
    cell: Ints
    kind: Ints
    area_type: Ints
    pace: Floats
    report: Ints
    reference: Texts
    severity: Floats
    quantity: Floats
    unit: Texts
    late_days: Floats
    assumed_limit: Flags
    returns: Ints

    def __len__(self) -> int:
        return len(self.key)

    def only(self, keep: npt.NDArray) -> Places:
        """Those at positions, or with True, in ``keep``."""
        return Places(**{f.name: getattr(self, f.name)[keep] for f in dataclasses.fields(self)})


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """All that is worth a visit.

    Attributes
    ----------
    places : the known ones.
    expected : (n,) new reports to come in the campaign's window, at chronic places too.
    spread : over-dispersion of their counts (variance = mean + spread · mean²).
    unvisited : (n,) hot cells that nobody visited lately: what is expected there counts as "unvisited".
    window : calendar days of the campaign.
    """

    places: Places
    expected: Floats
    spread: float
    unvisited: Flags
    window: int
    remarks: tuple[Remark, ...]


def targets(
    conn: Connection,
    query: ReportQuery,
    ground: Terrain,
    known: Kinds,
    types: AreaTypes,
    start: dt.date,
    last: dt.date,
    *,
    within: bool = False,
    expect: bool = True,
    tick: Tick | None = None,
) -> Targets:
    """What is worth a visit in a campaign from ``start`` to ``last``, both included.

    Parameters
    ----------
    within : True counts open reports within their limit too.
    expect : False leaves out what is still to come.
    """
    told = tick or (lambda done: None)
    current = incidents.is_current(conn, query.territory_id)
    remarks: list[Remark] = []
    if not current:
        remarks.append(caution("campaign_incidents"))
    standing, taken, said = _standing(conn, query, ground, known, types, start, current, within)
    remarks += said
    told(0.2)
    window = (last - start).days + 1
    chronic = _nothing()
    if current:
        chronic = _chronic(conn, query, ground, known, types, taken)
    told(0.4)
    expected, spread = np.zeros(len(ground.cells)), 0.0
    unvisited = np.zeros(len(ground.cells), dtype=bool)
    if expect:
        counted = dataclasses.replace(query, incidents=current)
        # The usual model, by the reports alone: a backtest is kept beside the data version, and one
        # that is run between two proposals on the same data must not make them differ.
        soon = forecast(
            conn, counted, ForecastSettings(resolution=ground.resolution, model=DEFAULT),
            kept=False, tick=lambda s: told(0.4 + 0.5 * s),
        )  # fmt: skip
        remarks += [decided("campaign_forecast"), *(r for r in soon.remarks if r.caution)]
        span = 30.0 if soon.first is None or soon.last is None else (soon.last - soon.first).days + 1.0
        expected, spread = soon.expected * (window / span), soon.alpha
        unvisited = _unvisited(conn, query, ground, start)
    told(1.0)
    return Targets(_together(standing, chronic), expected, spread, unvisited, window, tuple(remarks))


# ---- open reports ----


def _standing(
    conn: Connection,
    query: ReportQuery,
    ground: Terrain,
    known: Kinds,
    types: AreaTypes,
    start: dt.date,
    current: bool,
    within: bool,
) -> tuple[Places, Ints, list[Remark]]:
    """Reports past their limit (``within``: all open ones), one an incident, the one that is due first.

    Also the ids of the places they lie at, and remarks.
    """
    rows = _open_rows(conn, query, ground.facts.timezone, current)
    zone = ZoneInfo(ground.facts.timezone)
    begin = dt.datetime.combine(start, dt.time(), zone).timestamp()
    number = np.array([row[:8] for row in rows], dtype=np.float64).reshape(-1, 8)
    opened, due, lon, lat, severity, quantity = (number[:, i] for i in range(2, 8))
    report = np.array([row.id for row in rows], dtype=np.int64)
    incident = np.array([row.incident for row in rows], dtype=np.int64)
    place = np.array([row.place for row in rows], dtype=np.int64)
    kind = known.at(np.array([row.kind for row in rows], dtype=np.int64))
    assumed = np.isnan(due)
    due = np.where(assumed, opened + known.numbers("limit_days")[kind] * 86_400, due)
    # One an incident: the one that is due first, the older one on a tie.
    order = np.lexsort((report, due, incident))
    order = order[np.r_[True, incident[order][1:] != incident[order][:-1]][: len(order)]]
    late = (begin - due) / 86_400
    if not within:
        order = order[late[order] > 0]
    cell = positions(ground.cells, cells_of(lon, lat, 12), ground.resolution)
    order = np.sort(order[cell[order] >= 0])
    texts = np.array([(row.reference, row.unit or "") for row in rows], dtype=object).reshape(-1, 2)
    found = Places(
        key=np.array([f"r{one}" for one in report[order]], dtype=object),
        target=np.where(late[order] > 0, "overdue", "open").astype(object),
        lon=lon[order], lat=lat[order], cell=cell[order], kind=kind[order],
        area_type=types.of(lon[order], lat[order]), pace=np.ones(len(order)),
        report=report[order], reference=texts[order, 0], severity=severity[order],
        quantity=quantity[order], unit=texts[order, 1],
        late_days=late[order], assumed_limit=assumed[order],
        returns=np.zeros(len(order), dtype=np.int64),
    )  # fmt: skip
    overdue = late[order] > 0
    remarks = []
    if (without := int((assumed[order] & overdue).sum())) > 0:
        remarks.append(caution("campaign_assumed_limit", reports=without, overdue=int(overdue.sum())))
    return found, np.unique(place[order]), remarks


def _open_rows(conn: Connection, query: ReportQuery, zone: str, current: bool) -> list:
    """Open reports with a point that fit the query, as they stood at the end of its period."""
    condition, params = where(conn, dataclasses.replace(query, incidents=False))
    standing = "r.status = ANY(:standing)"
    if query.end is not None:
        # What was closed later stood open then.
        params["zone"] = zone
        standing = (
            f"({standing} OR (NOT r.status = ANY(:vague) AND coalesce(r.closed_at, r.status_at)"
            " >= CAST(CAST(:q_end AS date) + 1 AS timestamp) AT TIME ZONE :zone))"
        )
        params["vague"] = [int(Status.UNKNOWN), int(Status.DRAFT)]
    of = "coalesce(m.incident_id, r.id)" if current else "r.id"
    place = "coalesce(m.place_id, 0)" if current else "0"
    # One pass over report (26 ms for 100,000 rows); pk_report_incident for the few that are open.
    return list(
        conn.execute(
            text(
                f"""SELECT r.id, {of} AS incident, extract(epoch FROM r.opened_at)::float8 AS opened,
                      coalesce(extract(epoch FROM r.due_at)::float8, 'NaN') AS due, ST_X(r.geom) AS lon,
                      ST_Y(r.geom) AS lat, coalesce(r.severity, 'NaN'::float8) AS severity,
                      coalesce(r.quantity, 'NaN') AS quantity, {place} AS place,
                      coalesce(r.element_id, -r.type_id, 0) AS kind, r.reference, r.unit
                    FROM report r LEFT JOIN report_incident m ON m.report_id = r.id
                    WHERE {condition} AND r.geom IS NOT NULL AND {standing}"""
            ),
            {**params, "standing": list(STANDING)},
        )
    )


# ---- chronic places ----


def _chronic(
    conn: Connection,
    query: ReportQuery,
    ground: Terrain,
    known: Kinds,
    types: AreaTypes,
    taken: Ints,
) -> Places:
    """Chronic places, ``taken`` ones left out: those where a report stands open that is counted itself.

    Without ``within``, that is one past its limit: a place with a report within its limit stays in.
    """
    settings = ReturningSettings(resolution=ground.resolution, least=CHRONIC_RETURNS)
    spots = returning(conn, query, settings).spots
    cell = positions(ground.cells, spots.cell, ground.resolution)
    keep = np.flatnonzero((cell >= 0) & ~np.isin(spots.place, taken))
    last = np.array([(ground.today - day).days for day in spots.last_opened], dtype=np.float64)
    weight = spots.recurrences * 0.5 ** (last / FADE_DAYS)
    pace = weight / weight[keep].mean() if len(keep) else weight
    code = np.array(spots.element, dtype=object)
    by_code = {one: place for place, one in enumerate(known.code) if one}
    by_name = {name.en: place for place, name in enumerate(known.name) if not known.code[place]}
    kind = [by_code.get(code[i], by_name.get(spots.name_en[i], int(known.at([0])[0]))) for i in keep]
    return Places(
        key=np.array([f"p{one}" for one in spots.place[keep]], dtype=object),
        target=np.full(len(keep), "chronic", dtype=object),
        lon=spots.lon[keep], lat=spots.lat[keep], cell=cell[keep],
        kind=np.array(kind, dtype=np.int64), area_type=types.of(spots.lon[keep], spots.lat[keep]),
        pace=pace[keep], report=np.zeros(len(keep), dtype=np.int64),
        reference=np.full(len(keep), "", dtype=object), severity=np.full(len(keep), np.nan),
        quantity=np.full(len(keep), np.nan), unit=np.full(len(keep), "", dtype=object),
        late_days=np.full(len(keep), np.nan), assumed_limit=np.zeros(len(keep), dtype=bool),
        returns=spots.recurrences[keep],
    )  # fmt: skip


# ---- what is to come ----


def _unvisited(conn: Connection, query: ReportQuery, ground: Terrain, start: dt.date) -> Flags:
    """Cells that were hot in the last year and that nobody visited lately, (n,)."""
    first = columns.as_date(ground.day - YEAR + 1)
    lately = dataclasses.replace(
        query,
        start=max(first, query.start or first),
        end=columns.as_date(ground.day),
        incidents=False,
    )
    hot = hotspots(conn, lately, HotspotSettings(resolution=ground.resolution)).hot
    since = start - dt.timedelta(days=UNVISITED_DAYS)
    seen = visited(conn, ground.facts.id, ground.cells, ground.resolution, since, start)
    return hot & ~seen


def _nothing() -> Places:
    empty = np.zeros(0, dtype=object)
    return Places(
        *(empty,) * 2, *(np.zeros(0),) * 2, *(np.zeros(0, np.int64),) * 3, np.zeros(0), np.zeros(0, np.int64),
        empty, np.zeros(0), np.zeros(0), empty, np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64),
    )  # fmt: skip


def _together(one: Places, other: Places) -> Places:
    return Places(
        **{
            f.name: np.concatenate([getattr(one, f.name), getattr(other, f.name)])
            for f in dataclasses.fields(one)
        }
    )
