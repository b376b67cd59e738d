"""What waits for a step: which reports, the most urgent first, a page at a time.

Row-level security decides what is open to who asks, so nothing here speaks of areas or
parties of a person. Everything is answered by one partial index on reports that have not
ended (``ix_report_waiting``), which holds every column that is read: a million reports
cost what the few per cent that wait cost. How many there are, and where: ``data/waiting.py``.
Caveat: urgency is late first, then severity, then the nearest limit; a report without a
limit is never late.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from data.life import Role, waiting_for
from data.query import ReportQuery, element_ids
from data.vocabulary import CELL_RESOLUTION, FINAL, OPEN, Status
from geo.cells import child_range
from geo.errors import InputError

MOST_LINES = 100  # of a page
#: Ends at which nobody can take a further step; the predicate of ``ix_report_waiting``.
ENDED = FINAL - {Status.REFERRED}
_ENDED = ", ".join(str(int(status)) for status in sorted(ENDED))
#: States in the order of a report's life, for lists on the screen.
IN_ORDER = (
    Status.UNKNOWN, Status.DRAFT, Status.RECEIVED, Status.UNDER_REVIEW, Status.CLASSIFIED, Status.REOPENED,
    Status.ASSIGNED, Status.INSPECTED, Status.IN_PROGRESS, Status.TREATED, Status.QUALITY_REVIEW,
    Status.REFERRED, Status.ENFORCEMENT, Status.CLOSED, Status.REJECTED, Status.DUPLICATE,
)  # fmt: skip


class Band(StrEnum):
    """How a report stands against its limit, the most pressing first."""

    LATE_MONTH = "late_month"  # more than 30 days past it
    LATE_WEEK = "late_week"  # more than 7
    LATE = "late"
    DAY = "day"  # within the next 24 hours
    THREE_DAYS = "three_days"
    LATER = "later"
    NONE = "none"  # no limit is known


LATE = (Band.LATE_MONTH, Band.LATE_WEEK, Band.LATE)
# Position in Band; timestamps compare as they are, so no interval is computed a row.
BAND = """CASE WHEN r.due_at IS NULL THEN 6 WHEN r.due_at < :late_30 THEN 0 WHEN r.due_at < :late_7 THEN 1
  WHEN r.due_at < :now THEN 2 WHEN r.due_at < :in_1 THEN 3 WHEN r.due_at < :in_3 THEN 4 ELSE 5 END"""


@dataclass(frozen=True, slots=True)
class InboxQuery:
    """Which waiting reports of one territory are meant; an empty field does not narrow.

    Parameters
    ----------
    statuses : codes of states; none of them an end at which nothing can follow.
    now : the moment that limits are compared with, with its zone. Keep it from page to page.
    groups, elements : codes of the taxonomy; ``elements`` selects within ``groups``.
    municipalities : ``area.id``. bands : of ``Band``.
    late : only those past their limit.
    mine : only those on which who asks has taken a step, or which they follow; for roles that
        may take one (``data.life``).
    cell : only those in this H3 cell, resolution 0 to 12.

    Raises
    ------
    InputError : a state that nothing can follow, a time without zone, or what is no cell.
    """

    territory_id: int
    statuses: tuple[int, ...]
    now: dt.datetime
    groups: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    municipalities: tuple[int, ...] = ()
    bands: tuple[Band, ...] = ()
    late: bool = False
    mine: bool = False
    cell: int | None = None

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise InputError(f"An inbox as of {self.now}: a moment needs its time zone.")
        ended = [Status(code).name.lower() for code in self.statuses if code in ENDED]
        if ended:
            raise InputError(f"Nothing waits in the state {', '.join(ended)}: ask for others.")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: the place of its last line in the order of urgency."""

    in_time: bool
    mildness: int
    due: dt.datetime | None
    opened: dt.datetime
    id: int


@dataclass(frozen=True, slots=True)
class InboxLine:
    """One waiting report as a list shows it.

    Attributes
    ----------
    seq : of its last event, 0 without one: what a step on it has to name.
    opened, due : with zone. late_days : past its limit, negative before it, None without one.
    element_* : of the taxonomy, None without an element; ``type`` as its source names it.
    lon, lat : decimal degrees, None without a point.
    """

    id: int
    seq: int
    reference: str
    status: Status
    severity: int | None
    opened: dt.datetime
    due: dt.datetime | None
    late_days: float | None
    element_ar: str | None
    element_en: str | None
    type: str | None
    municipality_ar: str | None
    municipality_en: str | None
    district_ar: str | None
    district_en: str | None
    agency_ar: str | None
    agency_en: str | None
    contractor_ar: str | None
    contractor_en: str | None
    lon: float | None
    lat: float | None


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Lines by urgency; ``after`` asks for the next page, None when there is none."""

    lines: tuple[InboxLine, ...]
    after: Cursor | None


def turn_of(role: Role) -> tuple[Status, ...]:
    """The states in which a report waits for this role, in the order of its life."""
    return tuple(status for status in IN_ORDER if status in waiting_for(role))


def unended() -> tuple[Status, ...]:
    """The states in which a report is open, in the order of its life."""
    return tuple(status for status in IN_ORDER if status in OPEN)


def listed(conn: Connection, query: InboxQuery, after: Cursor | None = None, lines: int = 25) -> InboxPage:
    """A page of waiting reports, the most urgent first.

    Parameters
    ----------
    after : of the page before. lines : of this page, 1 to 100.

    Raises
    ------
    InputError : a page of no or of too many lines.
    """
    if not 1 <= lines <= MOST_LINES:
        raise InputError(f"A page of {lines} lines: ask for 1 to {MOST_LINES}.")
    condition, params = waiting_where(conn, query)
    params |= {"take": lines + 1}
    rank = (
        "(r.due_at IS NULL OR r.due_at >= :now) AS in_time, -coalesce(r.severity, 0) AS mildness,"
        " coalesce(r.due_at, 'infinity') AS due"
    )
    beyond = ""
    if after is not None:
        beyond = """WHERE (p.in_time, p.mildness, p.due, p.opened_at, p.id) >
                      (:a_in_time, :a_mildness, coalesce(:a_due, CAST('infinity' AS timestamptz)), :a_opened, :a_id)"""
        params |= {
            "a_in_time": after.in_time,
            "a_mildness": after.mildness,
            "a_due": after.due,
            "a_opened": after.opened,
            "a_id": after.id,
        }
    # Served by ix_report_waiting alone; what else a line says is looked up for these lines
    # only, by primary keys.
    rows = conn.execute(
        text(
            f"""WITH p AS MATERIALIZED (
                  SELECT * FROM (SELECT r.id, r.opened_at, {rank} FROM report r WHERE {condition}) p {beyond}
                  ORDER BY p.in_time, p.mildness, p.due, p.opened_at, p.id LIMIT :take)
                SELECT p.id, coalesce(s.seq, 0) AS seq, r.reference, r.status, r.severity,
                  p.opened_at AS opened, r.due_at AS due,
                  extract(epoch FROM :now - r.due_at)::float8 / 86400 AS late_days,
                  e.name_ar AS element_ar, e.name_en AS element_en, t.name AS type,
                  m.name_ar AS municipality_ar, m.name_en AS municipality_en,
                  d.name_ar AS district_ar, d.name_en AS district_en,
                  a.name_ar AS agency_ar, a.name_en AS agency_en,
                  c.name_ar AS contractor_ar, c.name_en AS contractor_en,
                  ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat, p.in_time, p.mildness
                FROM p JOIN report r ON r.id = p.id
                LEFT JOIN LATERAL (SELECT max(v.seq) AS seq FROM report_event v WHERE v.report_id = p.id) s
                  ON true
                LEFT JOIN element e ON e.id = r.element_id
                LEFT JOIN source_type t ON t.id = r.type_id
                LEFT JOIN area m ON m.id = r.municipality_id
                LEFT JOIN area d ON d.id = r.district_id
                LEFT JOIN party a ON a.id = r.agency_id
                LEFT JOIN party c ON c.id = r.contractor_id
                ORDER BY p.in_time, p.mildness, p.due, p.opened_at, p.id"""
        ),
        params,
    ).all()
    found = tuple(_line(row) for row in rows[:lines])
    last = rows[lines - 1] if len(rows) > lines else None
    return InboxPage(
        found, None if last is None else Cursor(last.in_time, last.mildness, last.due, last.opened, last.id)
    )


def _line(row: Any) -> InboxLine:
    values = {name: value for name, value in row._mapping.items() if name not in ("in_time", "mildness")}
    return InboxLine(**values | {"status": Status(row.status)})


def waiting_where(conn: Connection, query: InboxQuery) -> tuple[str, dict[str, Any]]:
    """The query as a condition on ``report r``, and its parameters.

    It names no column that ``ix_report_waiting`` does not hold.
    """
    # States stand in the text, so that the planner sees that the partial index holds them all.
    wanted = ", ".join(str(int(status)) for status in query.statuses) or "NULL"
    parts = [f"r.territory_id = :territory AND r.status NOT IN ({_ENDED}) AND r.status IN ({wanted})"]
    day = dt.timedelta(days=1)
    params: dict[str, Any] = {"territory": query.territory_id, "now": query.now}
    params |= {"late_30": query.now - 30 * day, "late_7": query.now - 7 * day}
    params |= {"in_1": query.now + day, "in_3": query.now + 3 * day}
    if query.groups or query.elements:
        parts.append("r.element_id = ANY(:elements)")
        codes = ReportQuery(query.territory_id, groups=query.groups, elements=query.elements)
        params["elements"] = element_ids(conn, codes)
    if query.municipalities:
        parts.append("r.municipality_id = ANY(:municipalities)")
        params["municipalities"] = list(query.municipalities)
    if query.late:
        parts.append("r.due_at < :now")
    if query.bands:
        parts.append(f"{BAND} = ANY(:bands)")
        params["bands"] = [list(Band).index(band) for band in query.bands]
    if query.cell is not None:
        params["low"], params["high"] = child_range(query.cell, CELL_RESOLUTION)
        parts.append("r.cell BETWEEN :low AND :high")
    if query.mine:
        # Served by ix_report_event_actor_id and pk_report_follower.
        parts.append(
            """(EXISTS (SELECT FROM report_event v WHERE v.report_id = r.id
                          AND v.actor_id = (SELECT rasd_principal_id()))
                OR EXISTS (SELECT FROM report_follower f WHERE f.report_id = r.id
                          AND f.principal_id = (SELECT rasd_principal_id())))"""
        )
    return " AND ".join(parts), params
