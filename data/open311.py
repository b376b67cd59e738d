"""What the Open311 service shows: elements as services, reports as requests.

Every question runs as a principal under row-level security (``data/access.py``); drafts are
not shown, and a geocoder's default point is not given out as a place. Numbers: a report
filed here goes by its reference (R-2026-000123), any other by its id in the store, because
references of several sources can be the same. Standard: Open311 GeoReport v2.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from data.life import Action
from data.reference import TAXONOMY
from data.vocabulary import OPEN, Flag, Precision, Status

#: ``service_code`` of reports of another taxonomy, or of none.
OTHER = "other"
_ANSWERS = ", ".join(str(int(action)) for action in (Action.ANSWER, Action.SETTLE))


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One element: what can be reported."""

    element_id: int
    code: str
    group_ar: str
    group_en: str
    name_ar: str
    name_en: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One report as a request.

    Attributes
    ----------
    code : of its element; None for another taxonomy, whose word is ``type``.
    updated_at : of its last change of state; for a closed one when it was closed.
    lon, lat : decimal degrees, EPSG:4326; None where no point is known.
    description, reason : None unless notes are shown.
    """

    number: str
    open: bool
    code: str | None
    name_ar: str | None
    name_en: str | None
    type: str | None
    opened_at: dt.datetime
    updated_at: dt.datetime
    due_at: dt.datetime | None
    lon: float | None
    lat: float | None
    address_ar: str | None
    address_en: str | None
    agency_ar: str | None
    agency_en: str | None
    description: str | None
    reason: str | None


def services(conn: Connection) -> list[ServiceRow]:
    """All elements of the current taxonomy, by code."""
    # A scan of `element`: some dozens of rows.
    rows = conn.execute(
        text(
            """SELECT id, code, group_ar, group_en, name_ar, name_en, work_unit FROM element
               WHERE version = :version ORDER BY code"""
        ),
        {"version": TAXONOMY},
    )
    return [ServiceRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which requests are asked for.

    Attributes
    ----------
    numbers : overrides all others when not empty.
    elements : ids; other : also reports without an element. Neither: all.
    open : True, False, or None for both.
    """

    territory_id: int
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    numbers: Sequence[str] = ()
    elements: Sequence[int] = ()
    other: bool = False
    open: bool | None = None
    offset: int = 0
    limit: int = 1000


def requests(conn: Connection, asked: Asked, *, notes: bool) -> list[RequestRow]:
    """Requests, the newest first, as far as they are open to the user."""
    # By time: ix_report_opened, backwards. By number: pk_report and uq_report_source_id_reference.
    # Areas, parties and events are looked up for the rows of the answer only.
    where = _BY_NUMBER if asked.numbers else _BY_TIME
    rows = conn.execute(
        text(_SELECT.format(where=where)),
        {
            "territory": asked.territory_id,
            "start": asked.start,
            "end": asked.end,
            "references": [n for n in asked.numbers if not _is_id(n)],
            "ids": [int(n) for n in asked.numbers if _is_id(n)],
            "any": not asked.elements and not asked.other,
            "elements": list(asked.elements),
            "other": asked.other,
            "states": [int(s) for s in _states(asked.open)],
            "open": [int(s) for s in OPEN],
            "offset": asked.offset,
            "limit": asked.limit,
            "notes": notes,
        },
    )
    return [RequestRow(*row) for row in rows]


def _is_id(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) <= 18


def _states(open_: bool | None) -> list[Status]:
    shown = [status for status in Status if status is not Status.DRAFT]
    return [s for s in shown if open_ is None or (s in OPEN) is open_]


_BY_TIME = """r.opened_at BETWEEN :start AND :end
    AND (:any OR r.element_id = ANY (:elements) OR (:other AND r.element_id IS NULL))"""
_BY_NUMBER = """r.id IN (
      SELECT unnest(CAST(:ids AS bigint[]))
      UNION ALL
      SELECT q.id FROM source s JOIN report q ON q.source_id = s.id AND q.reference = ANY (:references)
      WHERE s.territory_id = :territory AND s.code = 'rasd')"""

_SELECT = f"""
WITH page AS MATERIALIZED (
  SELECT r.* FROM (
    SELECT id, source_id, reference, status, element_id, type_id, opened_at, status_at, closed_at, due_at,
      precision, flags, geom, district_id, municipality_id, agency_id, agency
    FROM report r
    WHERE r.territory_id = :territory AND r.status = ANY (:states) AND {{where}}
    ORDER BY r.opened_at DESC, r.id DESC OFFSET :offset LIMIT :limit) r)
SELECT CASE WHEN s.code = 'rasd' THEN p.reference ELSE p.id::text END,
  p.status = ANY (:open), e.code, e.name_ar, e.name_en, t.name, p.opened_at,
  coalesce(p.status_at, p.closed_at, p.opened_at), p.due_at,
  CASE WHEN seen THEN ST_X(p.geom) END, CASE WHEN seen THEN ST_Y(p.geom) END,
  nullif(concat_ws('، ', d.name_ar, m.name_ar), ''), nullif(concat_ws(', ', d.name_en, m.name_en), ''),
  coalesce(a.name_ar, p.agency), coalesce(a.name_en, p.agency),
  CASE WHEN :notes THEN (
    SELECT v.detail->>'note' FROM report_event v
    WHERE v.report_id = p.id AND v.seq = 1 AND v.action = {int(Action.FILE)}) END,
  CASE WHEN :notes THEN (
    SELECT coalesce(v.detail->>'reason', CASE WHEN v.action IN ({_ANSWERS}) THEN v.detail->>'note' END)
    FROM report_event v WHERE v.report_id = p.id AND v.status = p.status AND v.action <> {int(Action.COMMENT)}
    ORDER BY v.seq DESC LIMIT 1) END
FROM (SELECT *, precision = {int(Precision.POINT)} AND flags & {int(Flag.DEFAULT_POINT)} = 0 AS seen FROM page) p
JOIN source s ON s.id = p.source_id
LEFT JOIN element e ON e.id = p.element_id
LEFT JOIN source_type t ON t.id = p.type_id
LEFT JOIN area d ON d.id = p.district_id
LEFT JOIN area m ON m.id = p.municipality_id
LEFT JOIN party a ON a.id = p.agency_id
ORDER BY p.opened_at DESC, p.id DESC"""
