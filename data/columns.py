"""The reports of a territory as columns of numbers, for questions about all of them at once.

PostgreSQL needs 300 to 450 ms to group a million reports by cell on two cores; numpy
needs 15 ms once it holds the columns. So ``report_column`` keeps each column as bytes,
in order of cell, and a question fetches only the columns it needs (about 40 ms).
``report`` stays the truth: the columns carry the territory's ``data_version``, and when
that has moved on they are read from ``report`` instead, by the same statement that
``refresh`` stores. Caveat: days are whole local days, and cells are kept to resolution 10.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psycopg import Cursor
from sqlalchemy import Connection

from data.query import ReportQuery, TerritoryFacts, element_ids, parent_sql, territory_facts
from data.staging import raw_cursor
from data.vocabulary import LEVELS, Flag, Precision

RESOLUTION = 10  # of the cells kept: about 76 m edge
DAY_ZERO = np.datetime64("2000-01-01", "D")
_CHUNK = 1 << 19  # ids read at a time, to bound memory

# Bits of the column `state`.
STATUS_BITS = 15
ON_DEFAULT_POINT = 64
IN_AREA_ONLY = 32

# One entry a run of reports of one cell in the same areas.
RUN_COLUMNS = {"cell": np.int64, "length": np.int32} | dict.fromkeys(LEVELS, np.int32)
# One entry a report. `day`: local days since DAY_ZERO. `minutes`: from opening to closing,
# -1 for not closed or closed before it was opened. 0 stands for no element and no type.
REPORT_COLUMNS = {
    "day": np.int16,
    "element": np.int16,
    "state": np.int8,
    "channel": np.int8,
    "type": np.int32,
    "minutes": np.int32,
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of one territory, in order of cell (reports without one come first).

    Attributes
    ----------
    facts : the territory.
    runs : RUN_COLUMNS that were asked for, each (g,); `length` adds up to n.
    reports : REPORT_COLUMNS that were asked for, each (n,).
    rows : n.
    """

    facts: TerritoryFacts
    runs: dict[str, NDArray]
    reports: dict[str, NDArray]
    rows: int

    def spread(self, values: NDArray) -> NDArray:
        """A value of each run (g,) to each of its reports (n,)."""
        return np.repeat(values, self.runs["length"])

    def per_run(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Number of chosen reports (n,) in each run, (g,)."""
        if not self.rows:
            return np.zeros(0, dtype=np.int64)
        ends = np.cumsum(self.runs["length"], dtype=np.int64)
        # One running sum over all reports; its differences at the runs' ends are their counts.
        total = np.cumsum(chosen, dtype=np.int32)
        return np.diff(total[ends - 1], prepend=np.int32(0)).astype(np.int64)


def select(
    conn: Connection, query: ReportQuery, names: Iterable[str] = (), *, keep_default_points: bool = False
) -> tuple[Columns, NDArray[np.bool_]]:
    """Columns ``names`` (and those the query needs) and which reports fit it, (n,) bool.

    The same choice as ``data.query.where``, on columns.
    """
    wanted = set(names)
    wanted |= {"day"} if query.start or query.end else set()
    wanted |= {"element"} if query.groups or query.elements else set()
    wanted |= {"type"} if query.types else set()
    wanted |= {"channel"} if query.channels else set()
    wanted |= {"municipality"} if query.municipalities else set()
    wanted |= {"district"} if query.districts else set()
    columns = load(conn, query.territory_id, wanted | {"state"})
    reports, runs = columns.reports, columns.runs
    chosen = np.ones(columns.rows, dtype=bool)
    if not (query.default_points or keep_default_points):
        chosen &= (reports["state"] & ON_DEFAULT_POINT) == 0
    if query.start:
        chosen &= reports["day"] >= _day(np.datetime64(query.start, "D"))
    if query.end:
        chosen &= reports["day"] <= _day(np.datetime64(query.end, "D"))
    if query.groups or query.elements:
        chosen &= _among(reports["element"], element_ids(conn, query))
    if query.types:
        chosen &= _among(reports["type"], query.types)
    if query.channels:
        chosen &= _among(reports["channel"], query.channels)
    if query.statuses:
        chosen &= _among(reports["state"] & STATUS_BITS, query.statuses)
    if query.municipalities:
        chosen &= columns.spread(_among(runs["municipality"], query.municipalities))
    if query.districts:
        chosen &= columns.spread(_among(runs["district"], query.districts))
    return columns, chosen


def load(conn: Connection, territory_id: int, names: Iterable[str]) -> Columns:
    """The columns ``names`` of all reports of a territory.

    Raises
    ------
    InputError : the territory does not exist.
    """
    facts = territory_facts(conn, territory_id)
    wanted = set(names)
    if wanted & set(RUN_COLUMNS):
        wanted |= {"cell", "length"}
    stored = _stored(conn, facts, wanted)
    everything = stored if stored is not None else _read(conn, facts)
    runs = {name: everything[name] for name in RUN_COLUMNS if name in wanted}
    reports = {name: everything[name] for name in REPORT_COLUMNS if name in wanted}
    rows = len(next(iter(reports.values()))) if reports else int(everything["length"].sum(dtype=np.int64))
    return Columns(facts, runs, reports, rows)


def refresh(conn: Connection, territory_id: int) -> int:
    """Write the columns of a territory anew; call it in the transaction that changed reports.

    Call it after ``territory.data_version`` has grown. Returns the number of reports.
    About 2 s a million.
    """
    facts = territory_facts(conn, territory_id)
    columns = _read(conn, facts)
    with _cursor(conn) as cursor:
        cursor.executemany(
            """INSERT INTO report_column (territory_id, name, data_version, data) VALUES (%s, %s, %s, %b)
               ON CONFLICT (territory_id, name) DO UPDATE
               SET data_version = excluded.data_version, data = excluded.data""",
            [(facts.id, name, facts.data_version, column.tobytes()) for name, column in columns.items()],
        )
    return len(columns["day"])


def is_current(conn: Connection, territory_id: int) -> bool:
    """Whether stored columns serve the questions about this territory."""
    facts = territory_facts(conn, territory_id)
    return _stored(conn, facts, {"state"}) is not None


def _stored(conn: Connection, facts: TerritoryFacts, wanted: set[str]) -> dict[str, NDArray] | None:
    """The stored columns, or None when they are not those of the current data version."""
    with _cursor(conn) as cursor:
        # Served by pk_report_column; one statement, so all columns are of one version.
        cursor.execute(
            """SELECT name, data FROM report_column
               WHERE territory_id = %s AND data_version = %s AND name = ANY(%s)""",
            (facts.id, facts.data_version, sorted(wanted)),
            binary=True,
        )
        found: dict[str, bytes] = dict(cursor.fetchall())
    if set(found) != wanted:
        return None
    kinds = RUN_COLUMNS | REPORT_COLUMNS
    # Little-endian by declaration: a store may be read on another machine.
    return {
        name: np.frombuffer(data, dtype=np.dtype(kinds[name]).newbyteorder("<"))
        for name, data in found.items()
    }


def _read(conn: Connection, facts: TerritoryFacts) -> dict[str, NDArray]:
    """All columns from ``report``, sorted by cell and areas."""
    packed = _packed(conn, facts)
    cell = packed[0]
    areas = {
        "municipality": (packed[1] >> 32),
        "district": packed[1] & 0xFFFFFFFF,
        "governorate": packed[2] >> 32,
        "amana": packed[2] & 0xFFFFFFFF,
        "region": packed[3] >> 32,
    }
    # One number for each combination of areas that occurs, so that one key sorts them all.
    combination = np.zeros(len(cell), dtype=np.int64)
    for ids in areas.values():
        codes, distinct = pd.factorize(ids)
        combination = pd.factorize(combination * max(len(distinct), 1) + codes)[0].astype(np.int64)
    order = np.lexsort((combination, cell))
    cell, combination = cell[order], combination[order]
    starts = np.flatnonzero(
        np.r_[True, (cell[1:] != cell[:-1]) | (combination[1:] != combination[:-1])][: len(cell)]
    )
    detail, small = packed[4][order], (packed[3] & 0xFFFFFFFF)[order]
    columns = {
        "cell": cell[starts],
        "length": np.diff(starts, append=len(cell)),
        "day": (detail >> 48),
        "element": (detail >> 32) & 0xFFFF,
        "type": detail & 0xFFFFFFFF,
        "state": small & 0x7F,
        "channel": (small >> 8) & 0x7F,
        "minutes": packed[5][order],
    } | {level: ids[order][starts] for level, ids in areas.items()}
    kinds = RUN_COLUMNS | REPORT_COLUMNS
    return {name: column.astype(np.dtype(kinds[name]).newbyteorder("<")) for name, column in columns.items()}


def _packed(conn: Connection, facts: TerritoryFacts) -> list[NDArray[np.int64]]:
    """Six integers a report, (n,) each, that hold its columns bit by bit.

    Six aggregates of eight bytes are three times as fast as fourteen of their own width,
    and all aggregates of one SELECT see its rows in the same order.
    """
    statement = f"""
        SELECT {", ".join(f"string_agg(int8send({number}), ''::bytea)" for number in _numbers())}
        FROM report r WHERE r.territory_id = %(territory)s AND r.id >= %(low)s AND r.id < %(high)s"""
    parts: list[list[NDArray]] = [[] for _ in _numbers()]
    with _cursor(conn) as cursor:
        # Served by pk_report (first and last id), then by its ranges.
        cursor.execute("SELECT min(id), max(id) FROM report")
        low, last = cursor.fetchone() or (None, None)
        while low is not None and low <= last:
            cursor.execute(
                statement,
                {
                    "territory": facts.id,
                    "low": low,
                    "high": low + _CHUNK,
                    "zone": facts.timezone,
                },
                binary=True,
            )
            row = cursor.fetchone()
            if row is not None and row[0] is not None:
                for part, data in zip(parts, row, strict=True):
                    part.append(np.frombuffer(data, dtype=">i8"))
            low += _CHUNK
    return [np.concatenate([*part, np.zeros(0, dtype=">i8")]).astype(np.int64) for part in parts]


def _numbers() -> list[str]:
    # Ids and codes are never negative, so OR and shifts keep them apart. A day outside
    # 1910 to 2089 is put at the end of that range (a smallint).
    since = "(r.opened_at AT TIME ZONE %(zone)s)::date - date '2000-01-01'"
    day = f"least(greatest({since}, -32768), 32767)::bigint"
    minutes = "extract(epoch FROM r.closed_at - r.opened_at)::bigint"
    flags = (
        f"(r.status | CASE WHEN r.flags & {int(Flag.DEFAULT_POINT)} <> 0 THEN {ON_DEFAULT_POINT} ELSE 0 END"
        f" | CASE WHEN r.precision = {int(Precision.AREA)} THEN {IN_AREA_ONLY} ELSE 0 END"
        " | (r.channel::int << 8))"
    )
    return [
        f"coalesce({parent_sql(RESOLUTION)}, 0)",
        "(coalesce(r.municipality_id, 0)::bigint << 32) | coalesce(r.district_id, 0)",
        "(coalesce(r.governorate_id, 0)::bigint << 32) | coalesce(r.amana_id, 0)",
        f"(coalesce(r.region_id, 0)::bigint << 32) | {flags}",
        f"({day} << 48) | (coalesce(r.element_id, 0)::bigint << 32) | coalesce(r.type_id, 0)",
        f"CASE WHEN r.closed_at >= r.opened_at THEN least({minutes} / 60, 2147483647) ELSE -1 END",
    ]


def as_date(day: int) -> dt.date:
    """The date of a value of the column `day`."""
    return (DAY_ZERO + day).item()


def by_month(days: NDArray) -> tuple[NDArray[np.datetime64], NDArray[np.int64]]:
    """Months from the first to the last day of (n,), and the number of days in each.

    Months without any are there too, with 0; both arrays are empty when n is 0.
    """
    if not len(days):
        return np.zeros(0, dtype="datetime64[M]"), np.zeros(0, dtype=np.int64)
    first = int(days.min())
    # Counted by day first: turning a million days into months one by one is slow.
    counts = np.bincount(days.astype(np.int64) - first)
    months = (DAY_ZERO + first + np.arange(len(counts))).astype("datetime64[M]")
    place = (months - months[0]).astype(np.int64)
    totals = np.bincount(place, weights=counts).astype(np.int64)
    return months[0] + np.arange(len(totals)), totals


def tally(codes: NDArray) -> list[tuple[int, int]]:
    """(code, how often) of the codes (n,) that occur, none negative, in order of code."""
    if not len(codes):
        return []
    counts = np.bincount(codes)
    return [(int(code), int(counts[code])) for code in np.flatnonzero(counts)]


def _cursor(conn: Connection) -> Cursor:
    return raw_cursor(conn)


def _day(day: np.datetime64) -> int:
    return int(np.clip((day - DAY_ZERO).astype(np.int64), -40_000, 40_000))


def _among(values: NDArray, wanted: Iterable[int]) -> NDArray[np.bool_]:
    """Which of the codes (n,), none negative, are wanted, (n,) bool."""
    top = int(values.max(initial=0))
    usable = [int(code) for code in wanted if 0 <= int(code) <= top]
    if top < 1 << 16:
        table = np.zeros(top + 1, dtype=bool)
        table[usable] = True
        return table[values]
    return np.isin(values, usable)
