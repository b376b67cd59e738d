"""One report with its history: what it is, where it stands, who acted, what lies around it.

Everything is read on the connection of who asks, so a report that is not open to them is
as one that does not exist, and what lies around it is only what they may see. Names that a
history speaks of (elements, parties) are looked up once for all of its steps. Caveat: what
a source called the owner stays beside the party that it was taken for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from data import actions
from data.actions import Step
from data.duplicates import ranges
from data.life import BEFORE, Role
from data.vocabulary import FINAL, Channel, Precision, Status

NEARBY_M = 150.0
MOST_NEARBY = 8
MOST_FOUND = 20


@dataclass(frozen=True, slots=True)
class Name:
    """What something is called."""

    ar: str | None
    en: str | None


@dataclass(frozen=True, slots=True)
class Mention:
    """Another report, as a line. ``metres`` from this one, None where that is not asked."""

    id: int
    reference: str
    status: Status
    opened: dt.datetime
    element: Name
    metres: float | None
    lon: float | None = None
    lat: float | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The routing rule that made the owner responsible.

    Attributes
    ----------
    kind : element or group that it is for; None for anything.
    area : None for everywhere.
    due_hours : its limit; ``assumed`` says that nobody set it yet.
    """

    id: int
    kind: Name | None
    area: Name | None
    party: Name
    due_hours: float | None
    assumed: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One report.

    Attributes
    ----------
    seq : of its last event, 0 without one.
    opened, due, closed : with zone. timezone : of its territory.
    unit : what ``quantity`` counts.
    agency, contractor : parties; ``*_text`` as the source writes them.
    steps : its history, the opening first. actors : who acted, by principal.
    elements, parties : names of what the steps speak of, by id.
    lon, lat : decimal degrees, None without a point.
    """

    id: int
    territory_id: int
    territory: str
    timezone: str
    reference: str
    source: str
    status: Status
    seq: int
    opened: dt.datetime
    due: dt.datetime | None
    closed: dt.datetime | None
    element_id: int | None
    element: Name
    element_code: str | None
    group: Name
    type: str | None
    severity: int | None
    quantity: float | None
    unit: str | None
    channel: Channel
    flags: int
    precision: Precision
    municipality: Name
    district: Name
    areas: tuple[int, ...]
    agency_id: int | None
    contractor_id: int | None
    agency_text: str | None
    contractor_text: str | None
    rule: Decided | None
    lon: float | None
    lat: float | None
    cell: int | None
    steps: tuple[Step, ...]
    actors: Mapping[int, tuple[str, Role]]
    elements: Mapping[int, Name]
    parties: Mapping[int, Name]


def find(conn: Connection, text_: str) -> tuple[int, ...]:
    """Ids of the reports with this reference, whatever their source, at most 20; else with this id."""
    wanted = text_.strip()
    if not wanted or "\x00" in wanted:
        return ()
    # Served by uq_report_source_id_reference, once for each source.
    found = conn.execute(
        text(
            """SELECT r.id FROM source s JOIN report r ON r.source_id = s.id AND r.reference = :reference
               ORDER BY r.opened_at DESC, r.id LIMIT :most"""
        ),
        {"reference": wanted, "most": MOST_FOUND},
    ).scalars()
    ids = tuple(int(one) for one in found)
    return ids or ((int(wanted),) if _exists(conn, wanted) else ())


def by_id(conn: Connection, text_: str) -> int | None:
    """The id that an address names, if such a report is open to the user; None otherwise."""
    return int(text_) if _exists(conn, text_) else None


def _exists(conn: Connection, text_: str) -> bool:
    if not (text_.isascii() and text_.isdecimal() and len(text_) < 19):
        return False
    # Served by pk_report.
    return bool(conn.scalar(text("SELECT EXISTS (SELECT FROM report WHERE id = :id)"), {"id": int(text_)}))


def case(conn: Connection, report_id: int) -> Case | None:
    """The report with its history; None when there is none that is open to the user."""
    # Served by pk_report, and by the primary keys of what it names.
    row = conn.execute(
        text(
            """SELECT r.id, r.territory_id, t.code AS territory, t.timezone, r.reference, s.title AS source,
                 r.status, r.opened_at, r.due_at, r.closed_at, r.element_id, e.code AS element_code,
                 e.name_ar AS element_ar, e.name_en AS element_en, e.group_ar, e.group_en,
                 y.name AS type, r.severity, r.quantity, coalesce(r.unit, e.work_unit) AS unit, r.channel,
                 r.flags, r.precision, m.name_ar AS m_ar, m.name_en AS m_en, d.name_ar AS d_ar,
                 d.name_en AS d_en, array_remove(ARRAY[r.region_id, r.amana_id, r.governorate_id,
                   r.municipality_id, r.district_id], NULL) AS areas,
                 r.agency_id, r.contractor_id, r.agency, r.contractor, r.rule_id,
                 ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat, r.cell
               FROM report r JOIN territory t ON t.id = r.territory_id JOIN source s ON s.id = r.source_id
               LEFT JOIN element e ON e.id = r.element_id LEFT JOIN source_type y ON y.id = r.type_id
               LEFT JOIN area m ON m.id = r.municipality_id LEFT JOIN area d ON d.id = r.district_id
               WHERE r.id = :id"""
        ),
        {"id": report_id},
    ).one_or_none()
    if row is None:
        return None
    steps = tuple(actions.steps(conn, report_id))
    told = [part for step in steps for part in (step.detail, step.detail.get(BEFORE) or {})]
    element_ids = {part.get("element_id") for part in told} | {row.element_id}
    party_ids = {part.get(key) for part in told for key in ("agency_id", "contractor_id")}
    return Case(
        row.id, row.territory_id, row.territory, row.timezone, row.reference, row.source, Status(row.status),
        steps[-1].seq, row.opened_at, row.due_at, row.closed_at, row.element_id,
        Name(row.element_ar, row.element_en), row.element_code, Name(row.group_ar, row.group_en), row.type,
        row.severity, row.quantity, row.unit, Channel(row.channel), row.flags, Precision(row.precision),
        Name(row.m_ar, row.m_en), Name(row.d_ar, row.d_en), tuple(row.areas), row.agency_id,
        row.contractor_id, row.agency, row.contractor, _decided(conn, row.rule_id), row.lon, row.lat,
        row.cell, steps, actions.names(conn, report_id), _names(conn, "element", element_ids),
        _names(conn, "party", party_ids | {row.agency_id, row.contractor_id}),
    )  # fmt: skip


def _names(conn: Connection, table: str, ids: set[int | None]) -> dict[int, Name]:
    """Names of elements or parties by id."""
    wanted = [one for one in ids if isinstance(one, int)]
    if not wanted:
        return {}
    # Served by pk_element or pk_party; the table's name is one of the two.
    rows = conn.execute(
        text(f"SELECT id, name_ar, name_en FROM {table} WHERE id = ANY(:ids)"), {"ids": wanted}
    )
    return {row.id: Name(row.name_ar, row.name_en) for row in rows}


def _decided(conn: Connection, rule_id: int | None) -> Decided | None:
    if rule_id is None:
        return None
    # Served by pk_routing_rule; a group's names are those of any of its elements.
    row = conn.execute(
        text(
            """SELECT k.id, coalesce(e.name_ar, g.group_ar) AS kind_ar, coalesce(e.name_en, g.group_en) AS kind_en,
                 a.name_ar AS area_ar, a.name_en AS area_en, p.name_ar, p.name_en, k.due_hours, k.assumed,
                 coalesce(k.valid_to <= now(), false) AS ended
               FROM routing_rule k JOIN party p ON p.id = k.party_id
               LEFT JOIN element e ON e.id = k.element_id LEFT JOIN area a ON a.id = k.area_id
               LEFT JOIN LATERAL (SELECT group_ar, group_en FROM element WHERE group_code = k.group_code
                 ORDER BY version DESC, id LIMIT 1) g ON true
               WHERE k.id = :id"""
        ),
        {"id": rule_id},
    ).one_or_none()
    if row is None:
        return None
    kind = Name(row.kind_ar, row.kind_en) if row.kind_ar or row.kind_en else None
    area = Name(row.area_ar, row.area_en) if row.area_ar or row.area_en else None
    return Decided(row.id, kind, area, Name(row.name_ar, row.name_en), row.due_hours, row.assumed, row.ended)


# -- around it --------------------------------------------------------------------------


def nearby(conn: Connection, found: Case, metres: float = NEARBY_M) -> tuple[Mention, ...]:
    """Other reports within ``metres`` of this one, open ones first, then the newest; at most 8."""
    if found.lon is None or found.lat is None:
        return ()
    spans = ranges(found.lon, found.lat, metres)
    # Served by ix_report_cell, one probe for each range of cells.
    rows = conn.execute(
        text(
            """SELECT n.*, e.name_ar, e.name_en FROM (
                 SELECT r.id, r.reference, r.status, r.opened_at, r.element_id, ST_X(r.geom) AS lon,
                   ST_Y(r.geom) AS lat, r.status = ANY(:final) AS ended, ST_Distance(r.geom::geography,
                     ST_SetSRID(ST_MakePoint(:lon, :lat), 4326)::geography) AS metres
                 FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS s (low, high)
                 CROSS JOIN LATERAL (SELECT x.id, x.reference, x.status, x.opened_at,
                   x.element_id, x.geom FROM report x WHERE x.territory_id = :territory
                   AND x.cell BETWEEN s.low AND s.high AND x.id <> :id OFFSET 0) r) n
               LEFT JOIN element e ON e.id = n.element_id
               WHERE n.metres <= :metres ORDER BY n.ended, n.opened_at DESC, n.id LIMIT :most"""
        ),
        {
            "lon": found.lon,
            "lat": found.lat,
            "lows": [low for low, _ in spans],
            "highs": [high for _, high in spans],
            "territory": found.territory_id,
            "id": found.id,
            "metres": metres,
            "most": MOST_NEARBY,
            "final": [int(status) for status in FINAL],
        },
    )
    return tuple(_mention(row, row.metres) for row in rows)


def same_incident(conn: Connection, report_id: int, most: int = MOST_NEARBY) -> tuple[Mention, ...]:
    """Other reports of the same incident, the newest first, as of when incidents were last found."""
    # Served by pk_report_incident, ix_report_incident_incident_id (and the lead by its own id).
    rows = conn.execute(
        text(
            """WITH own AS (SELECT incident_id FROM report_incident WHERE report_id = :id),
                 others AS (
                   SELECT o.report_id FROM own JOIN report_incident o ON o.incident_id = own.incident_id
                     AND NOT o.lead
                   UNION SELECT incident_id FROM own)
               SELECT r.id, r.reference, r.status, r.opened_at, ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat,
                 e.name_ar, e.name_en
               FROM others o JOIN report r ON r.id = o.report_id LEFT JOIN element e ON e.id = r.element_id
               WHERE r.id <> :id ORDER BY r.opened_at DESC, r.id LIMIT :most"""
        ),
        {"id": report_id, "most": most},
    )
    return tuple(_mention(row, None) for row in rows)


def mentions(conn: Connection, ids: tuple[int, ...]) -> tuple[Mention, ...]:
    """Reports by id as lines, in order of opening; those that are not open to the user are left out."""
    # Served by pk_report.
    rows = conn.execute(
        text(
            """SELECT r.id, r.reference, r.status, r.opened_at, ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat,
                 e.name_ar, e.name_en
               FROM report r LEFT JOIN element e ON e.id = r.element_id
               WHERE r.id = ANY(:ids) ORDER BY r.opened_at, r.id"""
        ),
        {"ids": list(ids)},
    )
    return tuple(_mention(row, None) for row in rows)


def _mention(row: Row[Any], metres: float | None) -> Mention:
    name = Name(row.name_ar, row.name_en)
    return Mention(
        row.id,
        row.reference,
        Status(row.status),
        row.opened_at,
        name,
        metres,
        row.lon,
        row.lat,
    )
