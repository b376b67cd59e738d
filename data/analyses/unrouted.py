"""What the rules leave open now: the queue, and what a change of a rule would move.

In the queue are open reports that lie outside all areas of a territory that has some, or that
no rule fits: they wait for a person, and are never dropped. A change of a rule is tried out
on the open reports before it is saved: how many would belong to another party.
Caveat: a change moves no report by itself; a report gets its owner when somebody classifies or
assigns it, or when it is filed.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from data.query import territory_facts
from data.routing import RuleDraft, checked, has_areas
from data.routing_pick import IS_OPEN, KEYS, key, keys, pick, rules
from data.vocabulary import LEVELS
from geo.errors import InputError

REASONS = ("outside", "no_rule", "no_element")
MOST_LINES = 200  # of a page
_NOWHERE = " + ".join(f"f.{level}_id" for level in LEVELS) + " = 0"
_NAMES = ", ".join(KEYS)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Open reports of one reason and kind.

    Attributes
    ----------
    reason : "outside" all areas; "no_element" where only rules for elements could fit and it has
        none; else "no_rule".
    oldest : opening of the oldest, local time.
    """

    reason: str
    element: str | None
    element_ar: str | None
    element_en: str | None
    municipality_ar: str | None
    municipality_en: str | None
    reports: int
    oldest: dt.datetime


@dataclass(frozen=True, slots=True)
class Queued:
    """One report of the queue; ``opened`` is local time, lon and lat are WGS 84 or None."""

    id: int
    reference: str
    opened: dt.datetime
    status: int
    reason: str
    element_ar: str | None
    element_en: str | None
    type: str | None
    municipality_ar: str | None
    municipality_en: str | None
    lon: float | None
    lat: float | None


@dataclass(frozen=True, slots=True)
class Move:
    """Open reports that would go from one party to another; None is the queue."""

    before: str | None
    before_ar: str | None
    before_en: str | None
    after: str | None
    after_ar: str | None
    after_en: str | None
    reports: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of a rule would do to the open reports.

    Attributes
    ----------
    open : open reports of the territory that the asker may see.
    decided : of these, those that the new rule would decide about.
    moved : of these, those whose party would be another one; moves : from whom to whom.
    """

    open: int
    decided: int
    moved: int
    moves: tuple[Move, ...]


def queue(conn: Connection, territory_id: int) -> list[Waiting]:
    """The queue by reason, municipality and element, most reports first."""
    rows = conn.execute(
        text(
            f"""WITH {_unrouted()}
                SELECT q.reason, e.code, e.name_ar, e.name_en, a.name_ar, a.name_en,
                  sum(f.reports)::bigint AS reports, min(f.oldest) AT TIME ZONE :zone
                FROM queued q JOIN facts f ON f.key = q.key
                LEFT JOIN element e ON e.id = q.element_id LEFT JOIN area a ON a.id = q.municipality_id
                GROUP BY q.reason, e.id, a.id ORDER BY reports DESC, q.reason, e.code, a.id"""
        ),
        _about(conn, territory_id),
    )
    return [Waiting(*row) for row in rows]


def queued(
    conn: Connection, territory_id: int, *, reason: str | None = None, skip: int = 0, lines: int = 20
) -> tuple[list[Queued], bool]:
    """Reports of the queue, oldest first, and whether more follow."""
    if reason is not None and reason not in REASONS:
        raise InputError(f"{reason!r} is no reason of the queue; use one of {', '.join(REASONS)}.")
    if skip < 0 or not 1 <= lines <= MOST_LINES:
        raise InputError(f"A page of {lines} lines after {skip}: ask for 1 to {MOST_LINES} lines.")
    about = _about(conn, territory_id)
    kinds = conn.execute(text(f"WITH {_unrouted()} SELECT key, reason FROM queued"), about).all()
    kinds = [row for row in kinds if reason in (None, row.reason)]
    # Served by ix_report_open; the reason is looked up in one object, report by report.
    rows = conn.execute(
        text(
            f"""SELECT p.id, p.reference, p.opened_at AT TIME ZONE :zone, p.status, p.reason,
                  e.name_ar, e.name_en, t.name, a.name_ar, a.name_en, ST_X(p.geom), ST_Y(p.geom)
                FROM (SELECT r.id, r.reference, r.opened_at, r.status, r.element_id, r.type_id,
                        r.municipality_id, r.geom, CAST(:reasons AS jsonb) ->> {key("r")} AS reason
                      FROM report r WHERE r.territory_id = :territory AND {IS_OPEN} OFFSET 0) p
                LEFT JOIN element e ON e.id = p.element_id
                LEFT JOIN source_type t ON t.id = p.type_id LEFT JOIN area a ON a.id = p.municipality_id
                WHERE p.reason IS NOT NULL
                ORDER BY p.opened_at, p.id LIMIT :take OFFSET :skip"""
        ),
        about
        | {"reasons": json.dumps({row.key: row.reason for row in kinds}), "skip": skip, "take": lines + 1},
    ).all()
    return [Queued(*row) for row in rows[:lines]], len(rows) > lines


def change(
    conn: Connection, territory_id: int, *, draft: RuleDraft | None = None, ending: int | None = None
) -> Change:
    """Try out a rule that is to be added, one that is to end, or both at once.

    Raises
    ------
    InputError : as ``data.routing.add``; or neither is given.
    """
    if draft is None and ending is None:
        raise InputError("Nothing would change: name a rule to add or one to end.")
    params = _about(conn, territory_id) | {"ending": ending}
    more = ""
    if draft is not None:
        params |= {f"new_{name}": value for name, value in checked(conn, territory_id, draft).items()}
        more = """SELECT 0, CAST(:new_element_id AS smallint), CAST(:new_group AS text),
            CAST(:new_area_id AS integer), CAST(:new_party_id AS integer), CAST(:new_priority AS integer),
            CAST(:new_due_hours AS double precision),
            least(coalesce(CAST(:new_valid_from AS timestamptz), now()), now()), CAST(NULL AS timestamptz)"""
    kept = "(CAST(:ending AS integer) IS NULL OR k.id <> :ending)"
    rows = conn.execute(
        text(
            f"""WITH {rules()}, {rules("wanted", kept, more)}, {_facts()},
                combined AS (SELECT c.*, e.group_code FROM (SELECT {_NAMES}, key FROM facts) c
                  LEFT JOIN element e ON e.id = c.element_id),
                moved AS (SELECT f.*, b.party_id AS before, w.party_id AS after, w.rule_id
                  FROM combined f
                  LEFT JOIN LATERAL ({pick(at="now()")}) b ON NOT (:bounded AND {_NOWHERE})
                  LEFT JOIN LATERAL ({pick("wanted", at="now()")}) w ON NOT (:bounded AND {_NOWHERE}))
                SELECT b.code, b.name_ar, b.name_en, a.code, a.name_ar, a.name_en,
                  sum(f.reports)::bigint AS reports,
                  coalesce(sum(f.reports) FILTER (WHERE m.rule_id = 0), 0)::bigint AS decided
                FROM moved m JOIN facts f ON f.key = m.key
                LEFT JOIN party b ON b.id = m.before LEFT JOIN party a ON a.id = m.after
                GROUP BY b.id, a.id ORDER BY reports DESC, b.id, a.id"""
        ),
        params,
    ).all()
    moves = tuple(Move(*row[:7]) for row in rows if row[0] != row[3])
    return Change(
        open=sum(row.reports for row in rows),
        decided=sum(row.decided for row in rows),
        moved=sum(move.reports for move in moves),
        moves=moves,
    )


def _about(conn: Connection, territory_id: int) -> dict[str, Any]:
    facts = territory_facts(conn, territory_id)
    return {"territory": territory_id, "zone": facts.timezone, "bounded": has_areas(conn, territory_id)}


def _facts() -> str:
    # Served by ix_report_open.
    return f"""facts AS MATERIALIZED (
      SELECT f.*, {key("f")} AS key
      FROM (SELECT {keys("r")}, count(*) AS reports, min(r.opened_at) AS oldest
            FROM report r WHERE r.territory_id = :territory AND {IS_OPEN}
            GROUP BY {", ".join(str(i) for i in range(1, len(KEYS) + 1))}) f)"""


def _unrouted() -> str:
    """CTEs that end in queued: combinations of open reports that no rule decides about, and why."""
    return f"""{rules()}, {_facts()},
      queued AS MATERIALIZED (
        SELECT f.*, CASE WHEN :bounded AND {_NOWHERE} THEN 'outside'
                         WHEN f.element_id = 0 THEN 'no_element' ELSE 'no_rule' END AS reason
        FROM (SELECT c.*, e.group_code FROM (SELECT {_NAMES}, key FROM facts) c
              LEFT JOIN element e ON e.id = c.element_id) f
        LEFT JOIN LATERAL ({pick(at="now()")}) p ON NOT (:bounded AND {_NOWHERE})
        WHERE p.rule_id IS NULL)"""
