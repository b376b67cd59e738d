"""The question that a page, a command or a notebook asks about the reports of a territory.

Every answer in ``data/`` starts from the same frozen ``ReportQuery``, turned into SQL in
this one place, so that map, ranking, chart and download cannot disagree about what is
meant. Caveat: days are local days of the territory's time zone, not UTC days, and
reports on a geocoder's default point are left out unless they are asked for.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from data.vocabulary import CELL_RESOLUTION, Flag
from geo.errors import InputError, StoreError


@dataclass(frozen=True, slots=True)
class AsOf:
    """A past moment, for an answer that comes out the same later (``data/past.py``).

    Attributes
    ----------
    at : reports opened and events dated later are left out.
    known : so is what the store learned of later; None takes all that it knows today.

    Raises
    ------
    InputError : a time has no zone.
    """

    at: dt.datetime
    known: dt.datetime | None = None

    def __post_init__(self) -> None:
        for moment in (self.at, self.known):
            if moment is not None and moment.tzinfo is None:
                raise InputError(f"As of {moment}: a moment needs its time zone.")


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Which reports of one territory are meant.

    Within one field the values are alternatives, the fields together narrow each other;
    an empty field does not narrow. ``elements`` therefore selects within ``groups``.

    Parameters
    ----------
    territory_id : ``territory.id``.
    start, end : first and last local day of opening, both included; None leaves it open.
    groups, elements : codes of the taxonomy, in whichever version a report carries.
    types : ``source_type.id``.
    municipalities, districts : ``area.id``.
    channels, statuses : codes of ``data/vocabulary.py``.
    default_points : True also counts reports on a geocoder's default point.
    incidents : True counts incidents instead: of each, its first report, if that one fits.
    as_of : the reports as they stood at a past moment; None as they are now.

    Raises
    ------
    InputError : the period ends before it starts, or a code cannot be one.
    """

    territory_id: int
    start: dt.date | None = None
    end: dt.date | None = None
    groups: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    municipalities: tuple[int, ...] = ()
    districts: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    default_points: bool = False
    incidents: bool = False
    as_of: AsOf | None = None

    def __post_init__(self) -> None:
        if self.start and self.end and self.end < self.start:
            raise InputError(f"The period ends ({self.end}) before it starts ({self.start}): exchange them.")
        for name in ("groups", "elements"):
            for code in getattr(self, name):
                # PostgreSQL text cannot hold NUL; an address typed by hand can.
                if "\x00" in code:
                    raise InputError(f"{name}: {code!r} is not a code of the taxonomy.")


@dataclass(frozen=True, slots=True)
class TerritoryFacts:
    """What answers need to know about a territory."""

    id: int
    code: str
    name_ar: str
    name_en: str
    timezone: str
    simulated: bool
    data_version: int


def territory_facts(conn: Connection, territory_id: int) -> TerritoryFacts:
    """The territory's names, time zone and data version; InputError when it does not exist."""
    # Served by pk_territory.
    row = conn.execute(
        text(
            "SELECT id, code, name_ar, name_en, timezone, simulated, data_version"
            " FROM territory WHERE id = :territory"
        ),
        {"territory": territory_id},
    ).one_or_none()
    if row is None:
        raise InputError(f"There is no territory {territory_id} in the store: choose one of `./rasd status`.")
    return TerritoryFacts(*row)


def require_incidents(conn: Connection, facts: TerritoryFacts) -> None:
    """Raise StoreError unless the territory's incidents are those of its reports."""
    # Served by pk_incident_run.
    version = conn.scalar(
        text("SELECT data_version FROM incident_run WHERE territory_id = :territory"), {"territory": facts.id}
    )
    if version != facts.data_version:
        raise StoreError(
            f"The incidents of {facts.code} have not been found since its reports changed. "
            f"Type: ./rasd incidents --territory {facts.code} --refresh"
        )


def where(
    conn: Connection, query: ReportQuery, *, keep_default_points: bool = False
) -> tuple[str, dict[str, Any]]:
    """The query as an SQL condition on ``report`` under the alias ``r``, and its parameters.

    Parameters
    ----------
    keep_default_points : True leaves out the condition on default points, for a caller
        that counts them apart in the same scan.

    Returns
    -------
    (condition, parameters) : never empty; parameter names start with ``q_``.

    Raises
    ------
    InputError : the territory does not exist, or what a report was at a past moment is asked
        for: this condition sees what it is now.
    """
    facts = territory_facts(conn, query.territory_id)
    parts = ["r.territory_id = :q_territory"]
    params: dict[str, Any] = {"q_territory": query.territory_id}
    default_point = f"r.flags & {int(Flag.DEFAULT_POINT)} <> 0"
    if query.as_of is not None:
        if query.statuses or query.elements or query.groups or query.incidents:
            raise InputError(
                "Statuses, elements and incidents of a past moment are not a condition on reports."
            )
        known = query.as_of.known or dt.datetime.max.replace(tzinfo=dt.UTC)
        parts.append("r.opened_at <= :q_at AND (r.recorded_at IS NULL OR r.recorded_at <= :q_known)")
        params |= {"q_at": query.as_of.at, "q_known": known}
        # Served by pk_default_point; a territory has few, and one that was found later flags earlier reports.
        default_point += """ AND NOT EXISTS (SELECT FROM default_point d JOIN batch b ON b.id = d.batch_id
          WHERE d.territory_id = r.territory_id AND d.lon = ST_X(r.geom) AND d.lat = ST_Y(r.geom)
            AND coalesce(b.finished_at, b.started_at) > :q_known)"""
    if query.start or query.end:
        params["q_zone"] = facts.timezone
    if query.start:
        parts.append("r.opened_at >= CAST(:q_start AS timestamp) AT TIME ZONE :q_zone")
        params["q_start"] = query.start
    if query.end:
        # The day after, in SQL: 9999-12-31 is a legal date and has no next day in Python.
        parts.append("r.opened_at < CAST(CAST(:q_end AS date) + 1 AS timestamp) AT TIME ZONE :q_zone")
        params["q_end"] = query.end
    if query.groups or query.elements:
        parts.append("r.element_id = ANY(:q_elements)")
        params["q_elements"] = element_ids(conn, query)
    for column, values in (
        ("type_id", query.types),
        ("municipality_id", query.municipalities),
        ("district_id", query.districts),
        ("channel", query.channels),
        ("status", query.statuses),
    ):
        if values:
            parts.append(f"r.{column} = ANY(:q_{column})")
            params[f"q_{column}"] = [int(value) for value in values]
    if query.incidents:
        require_incidents(conn, facts)
        # Served by pk_report_incident.
        parts.append("NOT EXISTS (SELECT FROM report_incident m WHERE m.report_id = r.id AND NOT m.lead)")
    if not (query.default_points or keep_default_points):
        parts.append(f"NOT ({default_point})")
    return " AND ".join(parts), params


def parent_sql(resolution: int, column: str = "r.cell") -> str:
    """SQL of the H3 parent of a resolution-12 cell at ``resolution`` (0 to 12).

    The digits below are set to 7 (all ones), as in ``docs/architecture.md``.
    """
    if not 0 <= resolution <= CELL_RESOLUTION:
        raise InputError(f"Resolution {resolution}: choose one from 0 to {CELL_RESOLUTION}.")
    # Folded to one AND and one OR with constants: it runs once per scanned row.
    clear = ~(15 << 52)
    put = (resolution << 52) | ((1 << (3 * (15 - resolution))) - 1)
    return f"(({column} & {clear}::bigint) | {put}::bigint)"


def element_ids(conn: Connection, query: ReportQuery) -> list[int]:
    """``element.id`` of the query's groups and elements, in every version of the taxonomy."""
    # Served by a scan of `element`: a few dozen rows.
    rows = conn.execute(
        text(
            "SELECT id FROM element WHERE (:no_groups OR group_code = ANY(:groups))"
            " AND (:no_elements OR code = ANY(:elements))"
        ),
        {
            "no_groups": not query.groups,
            "groups": list(query.groups),
            "no_elements": not query.elements,
            "elements": list(query.elements),
        },
    )
    return [row.id for row in rows]
