"""Routing rules: who is responsible for an element in an area, and within which time.

Rules are data: an element, a group of them or anything, in an area or everywhere, belongs to
one party, from a moment on. They are added and ended, never changed or deleted, so that it can
always be told which rule decided then; a trigger writes each change into the audit trail. The order in
which they go is in ``data/routing_pick.py``. Caveat: time limits and most departments of the default rules
(``data/reference/routing.csv``) are assumed, and marked so, until a city enters its own.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from data import parties
from data.reference import TAXONOMY, read
from data.routing_pick import pick, rules
from geo.errors import Conflict, InputError, Refused

MOST_PRIORITY = 1000
MOST_HOURS = 10 * 366 * 24
NOTE_MOST = 500
_NO_RIGHT = "42501"


@dataclass(frozen=True, slots=True)
class Route:
    """What a rule says of one report.

    Attributes
    ----------
    due_at : limit by the rule, counted from the moment asked about; None where it has none.
    """

    rule_id: int
    party_id: int
    due_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """A rule to be added.

    Attributes
    ----------
    party : code of the responsible party.
    element, group : code of one of them; both None for anything.
    area_id : ``area.id`` of a current area; None for everywhere.
    priority : -1000 to 1000; the higher goes first.
    due_hours : limit in hours; None for none.
    assumed : the limit (or the party) is nobody's rule yet.
    valid_from : from then on; None from now on.
    """

    party: str
    element: str | None = None
    group: str | None = None
    area_id: int | None = None
    priority: int = 0
    due_hours: float | None = None
    assumed: bool = False
    note: str = ""
    valid_from: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is kept, with names; ``ends`` and ``valid_to`` are the same moment or None.

    Attributes
    ----------
    area_current : False where boundaries were replaced and no area took over its name.
    state : "valid", "ended" or "coming", at the moment of asking.
    """

    id: int
    element: str | None
    element_ar: str | None
    element_en: str | None
    group: str | None
    group_ar: str | None
    group_en: str | None
    area_id: int | None
    area_level: str | None
    area_ar: str | None
    area_en: str | None
    area_current: bool
    party: str
    party_ar: str
    party_en: str
    party_kind: str
    priority: int
    due_hours: float | None
    assumed: bool
    note: str | None
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    state: str


def route(
    conn: Connection,
    territory_id: int,
    element_id: int | None,
    lon: float | None = None,
    lat: float | None = None,
    *,
    areas: Sequence[int] | None = None,
    at: dt.datetime | None = None,
) -> Route | None:
    """The rule that decides about one report; None for the queue.

    Parameters
    ----------
    element_id : ``element.id``; None where it is not known: then only rules for anything fit.
    lon, lat : decimal degrees (WGS 84), looked up among the current areas.
    areas : ``area.id`` of the report's areas, instead of a point.
    at : the moment, now when left out; limits count from it.

    Returns
    -------
    None when the report lies outside all areas of a territory that has some, or no rule fits.
    """
    if areas is None:
        if lon is None or lat is None:
            raise InputError("A report is routed by its point or by its areas: give one of them.")
        # Served by the spatial index of area.
        areas = (
            conn.execute(
                text(
                    """SELECT id FROM area WHERE territory_id = :territory AND valid_to IS NULL
                         AND ST_Covers(geom, ST_SetSRID(ST_MakePoint(:lon, :lat), 4326))"""
                ),
                {"territory": territory_id, "lon": lon, "lat": lat},
            )
            .scalars()
            .all()
        )
    params = {"territory": territory_id, "element": element_id, "areas": list(areas), "at": at}
    if not areas and has_areas(conn, territory_id):
        return None
    row = conn.execute(
        text(
            f"""WITH {rules()}
                SELECT p.rule_id, p.party_id, f.at + make_interval(secs => p.due_hours * 3600) AS due_at
                FROM (SELECT CAST(:element AS integer) AS element_id, CAST(:areas AS integer[]) AS areas,
                        (SELECT group_code FROM element WHERE id = :element) AS group_code,
                        coalesce(CAST(:at AS timestamptz), now()) AS at) f
                CROSS JOIN LATERAL ({pick(areas="ANY (f.areas)")}) p"""
        ),
        params,
    ).one_or_none()
    return None if row is None else Route(row.rule_id, row.party_id, row.due_at)


def has_areas(conn: Connection, territory_id: int) -> bool:
    """Whether boundaries are loaded; without any, nothing is outside."""
    # Served by ix_area_current.
    return bool(
        conn.scalar(
            text("SELECT EXISTS (SELECT FROM area WHERE territory_id = :territory AND valid_to IS NULL)"),
            {"territory": territory_id},
        )
    )


# -- reading and changing rules -------------------------------------------------------


def listed(conn: Connection, territory_id: int, *, ended: bool = False) -> list[Rule]:
    """Rules in the order in which they decide, elements by code; ``ended`` adds those of the past."""
    rows = conn.execute(
        text(
            f"""WITH {rules()}
                SELECT k.id, e.code, e.name_ar, e.name_en, g.group_code, g.group_ar, g.group_en,
                  k.area_id, a.level, a.name_ar, a.name_en,
                  coalesce(a.valid_to IS NULL, true), p.code, p.name_ar, p.name_en, p.kind,
                  k.priority, k.due_hours, o.assumed, o.note, k.valid_from, k.valid_to,
                  CASE WHEN k.valid_to <= now() THEN 'ended' WHEN k.valid_from > now() THEN 'coming'
                       ELSE 'valid' END
                FROM rules k JOIN routing_rule o ON o.id = k.id
                JOIN party p ON p.id = k.party_id
                LEFT JOIN element e ON e.id = k.element_id
                LEFT JOIN area a ON a.id = k.area_id
                LEFT JOIN LATERAL (SELECT group_code, group_ar, group_en FROM element
                  WHERE group_code = coalesce(k.group_code, e.group_code) ORDER BY version DESC, id LIMIT 1) g
                  ON true
                WHERE :ended OR k.valid_to IS NULL OR k.valid_to > now()
                ORDER BY k.priority DESC, k.element_id IS NULL, k.group_code IS NULL,
                  coalesce(e.code, k.group_code), k.rank"""
        ),
        {"territory": territory_id, "ended": ended},
    )
    return [Rule(*row) for row in rows]


def add(conn: Connection, territory_id: int, draft: RuleDraft, *, replaces: int | None = None) -> int:
    """Add a rule; returns its id.

    Parameters
    ----------
    conn : the signed-in user's transaction, or the owner's.
    replaces : a rule that ends when this one begins.

    Raises
    ------
    InputError : all that is wrong with the draft, in one message.
    Refused : the user's role, or their areas, do not allow it.
    Conflict : the replaced rule was ended by somebody else.
    """
    values = checked(conn, territory_id, draft)
    try:
        with conn.begin_nested():
            found = conn.execute(
                text(
                    """INSERT INTO routing_rule (territory_id, element_id, group_code, area_id, party_id,
                         priority, due_hours, assumed, note, valid_from, principal_id)
                       VALUES (:territory, :element_id, :group, :area_id, :party_id, :priority, :due_hours,
                         :assumed, :note, coalesce(CAST(:valid_from AS timestamptz), now()),
                         rasd_principal_id())
                       RETURNING id, valid_from"""
                ),
                values,
            ).one()
    except DBAPIError as error:
        raise _told(error) from error
    if replaces is not None:
        end(conn, territory_id, replaces, at=found.valid_from)
    return int(found.id)


def end(conn: Connection, territory_id: int, rule_id: int, *, at: dt.datetime | None = None) -> None:
    """End a rule, now or at a moment to come; it stays in the list of the past.

    Raises
    ------
    InputError : there is no such rule, or the moment has passed.
    Conflict : it was ended already.
    Refused : the user's role, or their areas, do not allow it.
    """
    # Served by pk_routing_rule.
    row = conn.execute(
        text(
            """SELECT valid_to, valid_from, CAST(:at AS timestamptz) < now() AS late FROM routing_rule
               WHERE id = :id AND territory_id = :territory"""
        ),
        {"id": rule_id, "territory": territory_id, "at": at},
    ).one_or_none()
    if row is None:
        raise InputError(f"There is no rule {rule_id} in this territory. See them: ./rasd routing list")
    if row.late:
        raise InputError(
            f"Rule {rule_id} cannot end at {at:%Y-%m-%d %H:%M}, which has passed: it decided until now."
        )
    try:
        with conn.begin_nested():
            done = conn.execute(
                text(
                    """UPDATE routing_rule SET valid_to =
                         greatest(coalesce(CAST(:at AS timestamptz), now()), valid_from)
                       WHERE id = :id AND valid_to IS NULL"""
                ),
                {"id": rule_id, "at": at},
            ).rowcount
    except DBAPIError as error:
        raise _told(error) from error
    if not done and row.valid_to is None:
        raise Refused(f"Rule {rule_id} is not yours to end: your role or your areas do not allow it.")
    if not done:
        raise Conflict(f"Rule {rule_id} was ended already, at {row.valid_to:%Y-%m-%d %H:%M} UTC.")


def _told(error: DBAPIError) -> Exception:
    if getattr(error.orig, "sqlstate", "") == _NO_RIGHT:
        return Refused(
            "Routing rules are changed by a supervisor or an administrator of the whole territory."
        )
    return error


def checked(conn: Connection, territory_id: int, draft: RuleDraft) -> dict[str, Any]:
    """A draft as values of a row; InputError with everything that is wrong with it."""
    faults = []
    values: dict[str, Any] = {
        "territory": territory_id,
        "group": draft.group,
        "area_id": draft.area_id,
        "priority": draft.priority,
        "due_hours": draft.due_hours,
        "assumed": draft.assumed,
        "note": draft.note.replace("\x00", "").strip() or None,
        "valid_from": draft.valid_from,
    }
    party = next((p for p in parties.listed(conn, territory_id) if p.code == draft.party), None)
    if party is None or not party.active:
        faults.append(f"there is no active party {draft.party!r} here: see ./rasd routing parties")
    values["party_id"] = party.id if party else None
    if draft.element and draft.group:
        faults.append("name an element or a group, not both")
    # Served by a scan of `element`: a few dozen rows.
    known = conn.execute(
        text("SELECT id, code, group_code FROM element WHERE version = :version"), {"version": TAXONOMY}
    ).all()
    elements = {row.code: row.id for row in known}
    if draft.element and draft.element not in elements:
        faults.append(f"there is no element {draft.element!r}")
    values["element_id"] = elements.get(draft.element or "")
    if draft.group and draft.group not in {row.group_code for row in known}:
        faults.append(f"there is no group {draft.group!r}")
    # Served by pk_area.
    if draft.area_id is not None and not conn.scalar(
        text(
            "SELECT EXISTS (SELECT FROM area WHERE id = :area_id AND territory_id = :territory"
            " AND valid_to IS NULL)"
        ),
        values,
    ):
        faults.append(f"there is no current area {draft.area_id} here")
    if abs(draft.priority) > MOST_PRIORITY:
        faults.append(f"the priority lies between {-MOST_PRIORITY} and {MOST_PRIORITY}")
    hours = draft.due_hours
    if hours is not None and not (math.isfinite(hours) and 0 < hours <= MOST_HOURS):
        faults.append(f"the limit is between 0 and {MOST_HOURS:,} hours, or left out")
    if len(draft.note) > NOTE_MOST:
        faults.append(f"the note has more than {NOTE_MOST} letters")
    if draft.valid_from is not None and draft.valid_from.tzinfo is None:
        faults.append("the moment from which it holds has no time zone")
    if faults:
        raise InputError(f"The rule was not added: {'; '.join(faults)}.")
    return values


def load_defaults(conn: Connection, territory_id: int, *, since: dt.datetime | None = None) -> int:
    """The assumed rules of ``routing.csv`` and their parties; returns rules added.

    Loading them again adds only what is new there; an ended one stays ended.

    Parameters
    ----------
    since : from when they hold; else from the first report's opening, so that reports which
        are there already can be compared with them.
    """
    parties.load_reference(conn, territory_id)
    if since is None:
        # Served by ix_report_opened.
        since = conn.scalar(
            text("SELECT min(opened_at) FROM report WHERE territory_id = :territory"),
            {"territory": territory_id},
        )
    known = {
        (rule.element, rule.group if rule.element is None else None)
        for rule in listed(conn, territory_id, ended=True)
        if rule.assumed and rule.area_id is None
    }
    added = 0
    for row in read("routing.csv"):
        element = None if row["element"] == "*" else row["element"] or None
        group = row["group"] or None
        if (element, group) not in known:
            add(
                conn,
                territory_id,
                RuleDraft(
                    row["party"], element, group, due_hours=float(row["due_hours"]), assumed=True,
                    note=row["source"], valid_from=since,
                ),
            )  # fmt: skip
            added += 1
    return added


def follow_areas(conn: Connection, territory_id: int, successors: Mapping[int, int]) -> int:
    """Rules of areas that were replaced hold for the areas with their names; returns how many moved.

    A rule means the area by its name: new boundaries bring new ids, not new rules.
    """
    if not successors:
        return 0
    # Served by ix_routing_rule_territory_id.
    return conn.execute(
        text(
            """UPDATE routing_rule k SET area_id = s.new
               FROM unnest(CAST(:old AS integer[]), CAST(:new AS integer[])) AS s (old, new)
               WHERE k.territory_id = :territory AND k.area_id = s.old"""
        ),
        {"territory": territory_id, "old": list(successors), "new": list(successors.values())},
    ).rowcount
