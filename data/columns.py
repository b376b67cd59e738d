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
import polars as pl
from numpy.typing import NDArray
from psycopg import Cursor
from sqlalchemy import Connection

from data.copying import packed, raw_cursor
from data.query import (
    AsOf,
    ReportQuery,
    TerritoryFacts,
    element_ids,
    parent_sql,
    require_incidents,
    territory_facts,
)
from data.vocabulary import LEVELS, Flag, Precision

RESOLUTION = 10  # of the cells kept: about 76 m edge
DAY_ZERO = np.datetime64("2000-01-01", "D")
_CHUNK = 1 << 19  # ids read at a time, to bound memory
_ZERO_MICROSECONDS = 946_684_800_000_000  # of 2000-01-01T00:00Z since 1970

# Bits of the column `state`. LEADS: no other report opened this one's incident.
STATUS_BITS = 15
LEADS = 16
ON_DEFAULT_POINT = 64
IN_AREA_ONLY = 32

# One entry a run of reports of one cell in the same areas.
RUN_COLUMNS = {"cell": np.int64, "length": np.int32} | dict.fromkeys(LEVELS, np.int32)
# One entry a report. `day`: local days since DAY_ZERO. `minutes`: from opening to closing,
# -1 for not closed or closed before it was opened. `opened`: minutes since DAY_ZERO, UTC.
# 0 stands for no element and no type. `incident` and `place` are ids as in `report_incident`,
# 0 for a report without a row there; they hold while `data.incidents.is_current`.
REPORT_COLUMNS = {
    "day": np.int16,
    "element": np.int16,
    "state": np.int8,
    "channel": np.int8,
    "type": np.int32,
    "minutes": np.int32,
    "opened": np.int32,
    "incident": np.int64,
    "place": np.int64,
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
    columns = load(conn, query.territory_id, wanted | {"state"}, query.as_of)
    reports, runs = columns.reports, columns.runs
    chosen = np.ones(columns.rows, dtype=bool)
    if query.incidents:
        if query.as_of is None:
            require_incidents(conn, columns.facts)
        chosen &= (reports["state"] & LEADS) != 0
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


def load(conn: Connection, territory_id: int, names: Iterable[str], as_of: AsOf | None = None) -> Columns:
    """The columns ``names`` of all reports of a territory, now or as of a past moment.

    Raises
    ------
    InputError : the territory does not exist.
    """
    facts = territory_facts(conn, territory_id)
    wanted = set(names)
    if wanted & set(RUN_COLUMNS):
        wanted |= {"cell", "length"}
    if as_of is not None:
        from data.past import past_columns  # which stands on this module

        everything = past_columns(conn, facts, as_of)
    else:
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
    rows = len(columns["day"])
    with _cursor(conn) as cursor:
        for name in tuple(columns):
            # One at a time: a queue of all columns would hold them a second time.
            cursor.execute(
                """INSERT INTO report_column (territory_id, name, data_version, data)
                   VALUES (%s, %s, %s, %b) ON CONFLICT (territory_id, name) DO UPDATE
                   SET data_version = excluded.data_version, data = excluded.data""",
                (facts.id, name, facts.data_version, columns.pop(name).tobytes()),
            )
    return rows


def carry(conn: Connection, territory_id: int) -> None:
    """Let the columns serve the current data version too, after a change that was not to reports.

    Call it in the transaction that counted the version up by one. Columns that were not
    current before stay so.
    """
    facts = territory_facts(conn, territory_id)
    with _cursor(conn) as cursor:
        # Served by pk_report_column; the bytes themselves are not written again.
        cursor.execute(
            "UPDATE report_column SET data_version = %(now)s"
            " WHERE territory_id = %(territory)s AND data_version = %(now)s - 1",
            {"now": facts.data_version, "territory": territory_id},
        )


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
    """All columns from ``report``; 46 bytes a report while it works."""
    condition = "r.territory_id = %(territory)s"
    tables = "report r LEFT JOIN report_incident m ON m.report_id = r.id"
    ranges = packed(conn, fields(), condition, {"territory": facts.id}, _CHUNK, tables)
    return assembled(ranges, facts.timezone)


def assembled(ranges: Iterable[list[NDArray[np.int64]]], zone: str) -> dict[str, NDArray]:
    """RUN_COLUMNS and REPORT_COLUMNS, sorted by cell and areas, from ranges of ``fields``."""
    kinds = RUN_COLUMNS | REPORT_COLUMNS
    parts: dict[str, list[NDArray]] = {name: [] for name in ("cell", "combination", *REPORT_COLUMNS)}
    # One number for each combination of areas that occurs, so that one key sorts them all.
    combinations: dict[tuple[int, ...], int] = {}
    for numbers in ranges:
        for name, column in _unpacked(numbers, zone, combinations).items():
            parts[name].append(column)
    # Column by column, so that no more than one is held twice.
    whole = {
        name: np.concatenate([*parts.pop(name), np.zeros(0, dtype=kinds.get(name, np.int32))])
        for name in tuple(parts)
    }
    order = np.lexsort((whole["combination"], whole["cell"]))
    cell, combination = whole.pop("cell")[order], whole.pop("combination")[order]
    new = (cell[1:] != cell[:-1]) | (combination[1:] != combination[:-1])
    starts = np.flatnonzero(np.r_[True, new][: len(cell)])
    areas = np.array(list(combinations), dtype=np.int32).reshape(-1, len(LEVELS))[combination[starts]]
    columns = {"cell": cell[starts], "length": np.diff(starts, append=len(cell))}
    columns |= {level: areas[:, place] for place, level in enumerate(LEVELS)}
    columns |= {name: whole.pop(name)[order] for name in REPORT_COLUMNS}
    # Little-endian by declaration: see _stored.
    return {
        name: column.astype(np.dtype(kinds[name]).newbyteorder("<"), copy=False)
        for name, column in columns.items()
    }


def fields(status: str = "r.status", closed_at: str = "r.closed_at") -> list[str]:
    """Expressions of eight bytes over ``report r`` and ``report_incident m`` for ``assembled``."""
    # Ids and codes are never negative, so OR and shifts keep them apart.
    flags = (
        f"({status} | CASE WHEN r.flags & {int(Flag.DEFAULT_POINT)} <> 0 THEN {ON_DEFAULT_POINT} ELSE 0 END"
        f" | CASE WHEN r.precision = {int(Precision.AREA)} THEN {IN_AREA_ONLY} ELSE 0 END"
        f" | CASE WHEN m.lead IS FALSE THEN 0 ELSE {LEADS} END"
        " | (r.channel::int << 8))"
    )
    areas = [f"coalesce(r.{level}_id, 0)" for level in LEVELS]
    return [
        f"int8send(coalesce({parent_sql(RESOLUTION)}, 0))",
        f"int8send(({areas[0]}::bigint << 32) | {areas[1]})",
        f"int8send(({areas[2]}::bigint << 32) | {areas[3]})",
        f"int8send(({areas[4]}::bigint << 32) | {flags})",
        "int8send((coalesce(r.element_id, 0)::bigint << 32) | coalesce(r.type_id, 0))",
        # Microseconds since 2000, as PostgreSQL holds them; days of a zone are faster in polars.
        "timestamptz_send(r.opened_at)",
        f"timestamptz_send(coalesce({closed_at}, '-infinity'))",
        "int8send(coalesce(m.incident_id, 0))",
        "int8send(coalesce(m.place_id, 0))",
    ]


def _unpacked(
    numbers: list[NDArray[np.int64]], zone: str, combinations: dict[tuple[int, ...], int]
) -> dict[str, NDArray]:
    """The columns of a range of reports, (n,) each; ``combinations`` grows by those first met."""
    low = 0xFFFFFFFF
    cell, first, second, third, kind, opened, closed, incident, place = numbers
    areas = (first >> 32, first & low, second >> 32, second & low, third >> 32)
    codes = np.zeros(len(cell), dtype=np.int64)
    for packed_ids in (first, second, areas[4]):
        more, distinct = pd.factorize(packed_ids)
        codes = pd.factorize(codes * max(len(distinct), 1) + more)[0].astype(np.int64)
    shown = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    shown[codes] = np.arange(len(codes))
    met = zip(*(ids[shown].tolist() for ids in areas), strict=True)
    number = np.array([combinations.setdefault(one, len(combinations)) for one in met], dtype=np.int32)
    # A day outside 1910 to 2089 is put at the end of that range (a smallint).
    at = pl.Series(opened + _ZERO_MICROSECONDS).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    day = at.dt.date().cast(pl.Int32).to_numpy() - int(DAY_ZERO.astype(np.int64))
    # To whole seconds first, as the sources give them.
    minutes = (np.maximum(closed, opened) - opened + 500_000) // 60_000_000
    return {
        "cell": cell,
        "combination": number[codes],
        "day": np.clip(day, -32768, 32767).astype(np.int16),
        "element": (kind >> 32).astype(np.int16),
        "state": (third & 0x7F).astype(np.int8),
        "channel": ((third >> 8) & 0x7F).astype(np.int8),
        "type": (kind & low).astype(np.int32),
        "minutes": np.where(closed >= opened, np.minimum(minutes, 2147483647), -1).astype(np.int32),
        "opened": np.clip(opened // 60_000_000, -2147483648, 2147483647).astype(np.int32),
        "incident": incident,
        "place": place,
    }


def as_date(day: int) -> dt.date:
    """The date of a value of the column `day`."""
    return (DAY_ZERO + day).item()


def first_day(days: NDArray) -> int:
    """The first day of the record; a few stray reports of long before do not begin it."""
    low = int(days.min())
    seen = np.cumsum(np.bincount(days.astype(np.int64) - low))
    return low + int(np.searchsorted(seen, max(1, seen[-1] // 1000)))


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
