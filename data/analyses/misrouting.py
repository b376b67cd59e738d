"""Misrouting: reports whose recorded owner is not the one that the rules name.

Each report is compared with the rule that was valid at its opening (``data/routing_pick.py``):
a rule that came later says nothing about it. Where a source only says "the municipality" and
the rule names one of its departments, or the other way round, the two agree. Shares carry
Wilson's interval. Caveats: the rules are taken for right, assumed ones too; a wording that
nobody has sorted is no owner to compare with, and is counted apart.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from data.query import ReportQuery, territory_facts, where
from data.routing import has_areas
from data.routing_pick import KEYS, key, keys, moments, pick, rules
from data.vocabulary import LEVELS
from geo.errors import InputError
from geo.proportions import wilson

MOST_LINES = 200  # of a page of reports
_NOWHERE = " + ".join(f"f.{level}_id" for level in LEVELS) + " = 0"
# Of one report or of many with the same owner: o is the recorded party, n the rule's.
_COARSE = """(o.kind = 'municipality' AND n.kind IN ('municipality', 'department')
  OR n.kind = 'municipality' AND o.kind IN ('municipality', 'department'))"""
# Between which two moments a report was opened; 0 before the first of them.
_EPOCH = "coalesce(width_bucket(r.opened_at, (SELECT at FROM moments)), 0)"
_WRONG = f"o.kind <> 'unsorted' AND n.id <> o.id AND NOT {_COARSE}"


@dataclass(frozen=True, slots=True)
class Named:
    """A part by which misrouted reports are counted: an area, an element or a party."""

    id: int
    code: str
    name_ar: str | None
    name_en: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """Misrouted reports among those that could be compared.

    Attributes
    ----------
    misrouted, compared : reports.
    low, high : Wilson's 95 % interval of their share.
    """

    misrouted: int
    compared: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.misrouted / self.compared if self.compared else 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One municipality and element; None for those without one."""

    municipality: Named | None
    element: Named | None
    share: Share


@dataclass(frozen=True, slots=True)
class Pair:
    """How often one party was recorded where the rules name another."""

    recorded: Named
    ruled: Named
    reports: int


@dataclass(frozen=True, slots=True)
class WrongKind:
    """Reports of one combination of areas, element, owner and time that are misrouted alike.

    ``key`` is what ``data.routing_pick.key`` makes of such a report, its time and owner behind it.
    """

    key: str
    recorded: int
    ruled: int
    rule: int


@dataclass(frozen=True, slots=True)
class Misrouting:
    """What came out.

    Attributes
    ----------
    total : of all reports that could be compared.
    coarse : of these, those that agree only because one side says no more than "municipality".
    unsorted : reports whose owner's wording nobody has sorted; not compared.
    ownerless : reports without a recorded owner; unruled : without a rule at their opening.
    lines : by municipality and element, most misrouted first; those without any left out.
    by_municipality, by_element : the same, added up, all that could be compared.
    pairs : recorded and ruled party, most first.
    kinds, moments : by which the reports behind are found again (``misrouted``).
    """

    total: Share
    coarse: int
    unsorted: int
    ownerless: int
    unruled: int
    lines: tuple[Line, ...]
    by_municipality: tuple[Line, ...]
    by_element: tuple[Line, ...]
    pairs: tuple[Pair, ...]
    kinds: tuple[WrongKind, ...] = field(repr=False)
    moments: tuple[dt.datetime, ...] = field(repr=False)

    def frame(self) -> pl.DataFrame:
        """``lines`` as a table for a file."""
        return pl.DataFrame(
            [
                {
                    "municipality_ar": line.municipality.name_ar if line.municipality else None,
                    "municipality_en": line.municipality.name_en if line.municipality else None,
                    "element_code": line.element.code if line.element else None,
                    "element_ar": line.element.name_ar if line.element else None,
                    "element_en": line.element.name_en if line.element else None,
                    "compared": line.share.compared,
                    "misrouted": line.share.misrouted,
                    "share": line.share.share,
                    "low": line.share.low,
                    "high": line.share.high,
                }
                for line in self.lines
            ],
            schema={
                **dict.fromkeys(
                    ("municipality_ar", "municipality_en", "element_code", "element_ar", "element_en"),
                    pl.String,
                ),
                **dict.fromkeys(("compared", "misrouted"), pl.Int64),
                **dict.fromkeys(("share", "low", "high"), pl.Float64),
            },
        )


@dataclass(frozen=True, slots=True)
class Behind:
    """One misrouted report; ``opened`` is local time of the territory."""

    id: int
    reference: str
    opened: dt.datetime
    status: int
    element_ar: str | None
    element_en: str | None
    municipality_ar: str | None
    municipality_en: str | None
    recorded_ar: str
    recorded_en: str
    ruled_ar: str
    ruled_en: str
    rule_id: int


def misrouting(conn: Connection, query: ReportQuery) -> Misrouting:
    """Count recorded owners that are not the rules', among the reports that fit the query."""
    condition, params = where(conn, query)
    params |= _about(conn, query)
    # Served by ix_report_opened or a scan; rules are looked up once a combination, not a report.
    rows = conn.execute(
        text(
            f"""WITH {_picked(condition)}
                SELECT f.municipality_id, f.element_id, f.agency_id, p.party_id, p.rule_id, f.reports,
                  f.key || ' ' || f.agency_id AS key, o.kind AS kind, coalesce({_WRONG}, false) AS wrong,
                  coalesce(n.id <> o.id AND {_COARSE}, false) AS coarse, (SELECT at FROM moments) AS at
                FROM facts f JOIN picked p ON p.key = f.key
                LEFT JOIN party o ON o.id = f.agency_id LEFT JOIN party n ON n.id = p.party_id
                ORDER BY f.key, f.agency_id"""
        ),
        params,
    ).all()
    return _added_up(conn, rows)


def misrouted(
    conn: Connection,
    query: ReportQuery,
    *,
    found: Misrouting | None = None,
    recorded: int | None = None,
    ruled: int | None = None,
    skip: int = 0,
    lines: int = 20,
) -> tuple[list[Behind], bool]:
    """The misrouted reports behind the numbers, newest first, and whether more follow.

    Parameters
    ----------
    found : ``misrouting`` of the same query, where it is at hand.
    recorded, ruled : ``party.id`` of the owner, and of the one that the rules name.
    skip : lines of the pages before; lines : of this page, 1 to 200.
    """
    if skip < 0 or not 1 <= lines <= MOST_LINES:
        raise InputError(f"A page of {lines} lines after {skip}: ask for 1 to {MOST_LINES} lines.")
    found = found or misrouting(conn, query)
    wrong = {
        kind.key: kind.rule
        for kind in found.kinds
        if recorded in (None, kind.recorded) and ruled in (None, kind.ruled)
    }
    if not wrong:
        return [], False
    condition, params = where(conn, query)
    params |= {
        "zone": territory_facts(conn, query.territory_id).timezone, "skip": skip, "take": lines + 1,
        "wrong": json.dumps(wrong), "moments": list(found.moments),
    }  # fmt: skip
    rule = f"""(CAST(:wrong AS jsonb) -> ({key("r")} || ' '
      || width_bucket(r.opened_at, CAST(:moments AS timestamptz[])) || ' ' || r.agency_id))"""
    # Looked up in one object, report by report: joined, the planner may compare every report with
    # every combination. Served by ix_report_opened backwards, which stops when the page is full.
    rows = conn.execute(
        text(
            f"""SELECT p.id, p.reference, p.opened_at AT TIME ZONE :zone, p.status, e.name_ar, e.name_en,
                  a.name_ar, a.name_en, o.name_ar, o.name_en, n.name_ar, n.name_en, k.id
                FROM (SELECT r.id, r.reference, r.opened_at, r.status, r.element_id, r.municipality_id,
                        r.agency_id, CAST({rule} AS integer) AS rule
                      FROM report r WHERE {condition} AND {rule} IS NOT NULL
                      ORDER BY r.opened_at DESC, r.id DESC LIMIT :take OFFSET :skip) p
                JOIN routing_rule k ON k.id = p.rule
                JOIN party o ON o.id = p.agency_id JOIN party n ON n.id = k.party_id
                LEFT JOIN element e ON e.id = p.element_id LEFT JOIN area a ON a.id = p.municipality_id
                ORDER BY p.opened_at DESC, p.id DESC"""
        ),
        params,
    ).all()
    return [Behind(*row) for row in rows[:lines]], len(rows) > lines


def _about(conn: Connection, query: ReportQuery) -> dict[str, Any]:
    return {"territory": query.territory_id, "bounded": has_areas(conn, query.territory_id)}


def _picked(condition: str) -> str:
    """CTEs: facts (reports by owner and combination) and picked (the rule of each combination)."""
    return f"""{rules()}, {moments()},
      facts AS MATERIALIZED (
        SELECT f.*, {key("f")} || ' ' || f.epoch AS key
        FROM (SELECT {keys("r")}, {_EPOCH} AS epoch, r.agency_id, count(*) AS reports
              FROM report r WHERE {condition}
              GROUP BY {", ".join(str(i) for i in range(1, len(KEYS) + 3))}) f),
      picked AS MATERIALIZED (
        SELECT f.key, p.rule_id, p.party_id
        FROM (SELECT c.*, e.group_code, (SELECT at FROM moments)[c.epoch] AS at
              FROM (SELECT DISTINCT {", ".join(KEYS)}, epoch, key FROM facts) c
              LEFT JOIN element e ON e.id = c.element_id) f
        LEFT JOIN LATERAL ({pick()}) p ON NOT (:bounded AND {_NOWHERE}))"""


def _added_up(conn: Connection, rows: Sequence[Any]) -> Misrouting:
    wrong: dict[tuple[int, int], int] = defaultdict(int)
    compared: dict[tuple[int, int], int] = defaultdict(int)
    pairs: dict[tuple[int, int], int] = defaultdict(int)
    kinds: list[WrongKind] = []
    coarse = unsorted = ownerless = unruled = 0
    for row in rows:
        count = int(row.reports)
        if row.agency_id is None:
            ownerless += count
        elif row.kind == "unsorted":
            unsorted += count
        elif row.party_id is None:
            unruled += count
        else:
            place = (row.municipality_id, row.element_id)
            compared[place] += count
            coarse += count if row.coarse else 0
            if row.wrong:
                wrong[place] += count
                pairs[row.agency_id, row.party_id] += count
                kinds.append(WrongKind(row.key, row.agency_id, row.party_id, row.rule_id))
    areas = _named(conn, "area", "coalesce(code, '')", {m for m, _ in compared})
    elements = _named(conn, "element", "code", {e for _, e in compared})
    owners = _named(conn, "party", "code", {party for pair in pairs for party in pair})
    lines = _lines(wrong, compared, areas, elements)
    return Misrouting(
        total=_share(sum(wrong.values()), sum(compared.values())),
        coarse=coarse,
        unsorted=unsorted,
        ownerless=ownerless,
        unruled=unruled,
        lines=tuple(line for line in lines if line.share.misrouted),
        by_municipality=_lines(_sums(wrong, 0), _sums(compared, 0), areas, {}),
        by_element=_lines(_sums(wrong, 1), _sums(compared, 1), {}, elements),
        pairs=tuple(
            Pair(owners[recorded], owners[ruled], count)
            for (recorded, ruled), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        ),
        kinds=tuple(kinds),
        moments=tuple(rows[0].at or ()) if rows else (),
    )


def _sums(counts: dict[tuple[int, int], int], side: int) -> dict[tuple[int, int], int]:
    """Counts by one of the two keys; the other becomes 0."""
    found: dict[tuple[int, int], int] = defaultdict(int)
    for place, count in counts.items():
        found[(place[0], 0) if side == 0 else (0, place[1])] += count
    return found


def _lines(
    wrong: dict[tuple[int, int], int],
    compared: dict[tuple[int, int], int],
    areas: dict[int, Named],
    elements: dict[int, Named],
) -> tuple[Line, ...]:
    lines = [
        Line(areas.get(place[0]), elements.get(place[1]), _share(wrong.get(place, 0), count))
        for place, count in sorted(compared.items())
    ]
    return tuple(sorted(lines, key=lambda line: (-line.share.misrouted, -line.share.low)))


def _share(misrouted: int, compared: int) -> Share:
    low, high = wilson(misrouted, compared)
    return Share(misrouted, compared, float(low), float(high))


def _named(conn: Connection, table: str, code: str, ids: set[int]) -> dict[int, Named]:
    # Served by the table's key.
    rows = conn.execute(
        text(f"SELECT id, {code}, name_ar, name_en FROM {table} WHERE id = ANY(:ids)"),
        {"ids": sorted(ids - {0})},
    )
    return {row.id: Named(*row) for row in rows}
