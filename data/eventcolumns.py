"""The lives of a territory's reports as columns of numbers, read from ``report`` and ``report_event``.

Reports in order of opening, with owner, limit and place; the turns of their histories and
their quality checks (``geo/spells.py``); and what steps taken in Rasd replaced on them. From
these columns any past moment can be told (``data/lives.py`` keeps them and hands them out).
The same statements serve everyone: under row-level security they see what is open to who
asks. Caveats: times are whole minutes, UTC; what a later load corrected in a report (its
place, its kind) is corrected for the past as well.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Connection

from data.copying import packed, raw_cursor
from data.life import BEFORE
from data.query import TerritoryFacts, parent_sql
from data.vocabulary import FINAL, Flag, Precision, Status
from geo.replay import counting_from, in_order
from geo.spells import ASIDE, CLOSED, OPEN, REFERRED, Meanings, Spells, since_last, spells

Arrays = dict[str, NDArray]
Tick = Callable[[float], None]

RESOLUTION = 11  # of a place: a hexagon of about 50 m across
NEVER = 2_147_483_647  # minutes: holds still, or is not known of yet
NO_TIME = -2_147_483_648  # minutes: none is told

# One entry a report, in order of `opened`, then `id`. Times: minutes since 2000, UTC. `due`
# NO_TIME: no limit. `element`, areas and parties: 0 for none. `place`: position in `place_cell`,
# 0 for no place of its own.
REPORTS: dict[str, type[np.generic]] = {
    "id": np.int64, "opened": np.int32, "due": np.int32, "element": np.int16,
    "municipality": np.int32, "district": np.int32, "agency": np.int32, "contractor": np.int32,
    "channel": np.int8, "place": np.int32,
}  # fmt: skip
# One entry a report too.
# `again`: minutes from the last closing of the same element in the same place to the opening,
# NEVER where there was none (with the elements as they are now).
AGAIN: dict[str, type[np.generic]] = {"again": np.int32}
# One entry a turn, in order of `since`; `report`: position above. `until`: NEVER while it
# holds. `kind`: one of geo.spells with the bits below.
SPELLS: dict[str, type[np.generic]] = {
    "spell_report": np.int32, "spell_since": np.int32, "spell_until": np.int32, "spell_kind": np.int8,
}  # fmt: skip
# One entry a quality check, in order of `at`.
CHECKS: dict[str, type[np.generic]] = {
    "check_report": np.int32,
    "check_at": np.int32,
    "check_failed": np.int8,
}
# One entry a value that a step replaced, by report and in the order of the steps; `field`:
# position in FIELDS; `before`: what it was (0 for none, minutes for `due`).
CHANGES: dict[str, type[np.generic]] = {
    "change_report": np.int32, "change_at": np.int32, "change_field": np.int8, "change_before": np.int32,
}  # fmt: skip
PLACES: dict[str, type[np.generic]] = {"place_cell": np.int64}
KINDS: dict[str, type[np.generic]] = REPORTS | AGAIN | SPELLS | CHECKS | CHANGES | PLACES
FIELDS = {"element": "element_id", "agency": "agency_id", "contractor": "contractor_id", "due": "due_at"}

KIND_BITS = 3
UNTREATED = 4  # a closing without any work told, where it would have been told
DAY_ONLY = 8  # a closing of which only the day is told
REOPENED = 16  # a closing that was followed by a reopening

MEANINGS = Meanings(
    kind=np.array(
        [
            {Status.CLOSED: CLOSED, Status.REJECTED: ASIDE, Status.DUPLICATE: ASIDE, Status.REFERRED: REFERRED}
            .get(status, OPEN)
            for status in Status
        ],
        dtype=np.int8,
    ),
    check=np.array([status is Status.QUALITY_REVIEW for status in Status]),
    worked=np.array([status in (Status.TREATED, Status.QUALITY_REVIEW) for status in Status]),
    other_way=np.array([status in (Status.ENFORCEMENT, Status.REFERRED) for status in Status]),
    opening=int(Status.RECEIVED),
)  # fmt: skip
if {status for status in Status if MEANINGS.kind[status] != OPEN} != FINAL:
    raise AssertionError("Every final status needs a meaning in the indicators.")

_MINUTE = 60_000_000
_DAY = 1440
_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_ZERO_MICROSECONDS = 946_684_800_000_000  # of 2000-01-01T00:00Z since 1970
_INFINITE = -(1 << 63)  # as PostgreSQL sends -infinity
_LOW = 0xFFFFFFFF
_EVENT_STEP = 1 << 17  # reports whose events are read at a time, to bound memory
_FEW = 100_000  # so many reports or fewer are asked for by id: row-level rules look once a statement
_KNOWN_REPORT = "(r.recorded_at IS NULL OR r.recorded_at <= %(known)s)"
_PLACED = f"(r.cell IS NOT NULL AND r.precision = {int(Precision.POINT)} AND r.flags & {int(Flag.DEFAULT_POINT)} = 0)"
_REPORT_FIELDS = (
    "int8send(r.id)",
    "timestamptz_send(r.opened_at)",
    "timestamptz_send(coalesce(r.due_at, '-infinity'))",
    "int8send((coalesce(r.element_id, 0)::bigint << 32) | (r.channel::bigint << 16) | r.source_id)",
    "int8send((coalesce(r.municipality_id, 0)::bigint << 32) | coalesce(r.district_id, 0))",
    "int8send((coalesce(r.agency_id, 0)::bigint << 32) | coalesce(r.contractor_id, 0))",
    f"int8send(CASE WHEN {_PLACED} THEN {parent_sql(RESOLUTION)} ELSE 0 END)",
)
_EVENT_FIELDS = (
    "int8send(e.report_id)",
    "timestamptz_send(coalesce(e.at, '-infinity'))",
    "timestamptz_send(e.recorded_at)",
    "int8send((e.seq::bigint << 16) | (e.status::bigint << 1) | (e.batch_id IS NULL)::int)",
)


def minutes(moment: dt.datetime) -> int:
    """Whole minutes since 2000 that have begun before a moment: events of earlier minutes are before it."""
    whole, part = divmod((moment - _EPOCH) // dt.timedelta(microseconds=1), _MINUTE)
    return int(np.clip(whole + (part > 0), NO_TIME + 1, NEVER - 1))


def as_moment(minute: int) -> dt.datetime:
    """The moment at which a minute since 2000 begins, UTC."""
    return _EPOCH + dt.timedelta(minutes=minute)


def read(
    conn: Connection,
    facts: TerritoryFacts,
    known: dt.datetime | None = None,
    tick: Tick | None = None,
    municipality: int | None = None,
) -> Arrays:
    """All columns of the reports of a territory that are open to who asks.

    Parameters
    ----------
    known : only what the store knew at that moment; None: all of it.
    tick : called with the share done; what it raises stops the reading.
    municipality : only reports that lie in it (``area.id``).
    """
    told = tick or (lambda done: None)
    reports = _reports(conn, facts, known, municipality)
    told(0.2)
    ids = np.sort(reports["id"])
    where = np.argsort(reports["id"], kind="stable").astype(np.int64)
    parts: list[tuple[Arrays, Arrays, Arrays]] = []
    ranges = _event_ranges(ids)
    for number, (condition, params) in enumerate(ranges):
        chunk = _events(conn, condition, params | {"known": known}, known)
        parts.append(_turns(chunk, ids, where, facts.timezone))
        told(0.2 + 0.7 * (number + 1) / len(ranges))
    whole = _judged(_joined([part[0] for part in parts]), _joined([part[2] for part in parts]), reports)
    checks = _joined([part[1] for part in parts])
    by_time = np.argsort(checks["check_at"], kind="stable")
    made = {name: reports[name] for name in (*REPORTS, *PLACES)}
    made |= whole | {name: checks[name][by_time] for name in CHECKS}
    made |= {"again": _again(made)} | _changes(conn, facts, ids, where, known)
    told(1.0)
    return {
        # Little-endian by declaration: a store may be read on another machine.
        name: np.ascontiguousarray(made[name].astype(np.dtype(kind).newbyteorder("<"), copy=False))
        for name, kind in KINDS.items()
    }


def _reports(
    conn: Connection, facts: TerritoryFacts, known: dt.datetime | None, municipality: int | None
) -> Arrays:
    """REPORTS, PLACES and `source` of the reports, in order of opening."""
    condition = "r.territory_id = %(territory)s" + (f" AND {_KNOWN_REPORT}" if known else "")
    if municipality is not None:
        condition += " AND r.municipality_id = %(municipality)s"
    params = {"territory": facts.id, "known": known, "municipality": municipality}
    # Served by pk_report, range by range.
    chunks = list(packed(conn, _REPORT_FIELDS, condition, params))
    numbers = [
        np.concatenate([np.zeros(0, np.int64), *(chunk[i] for chunk in chunks)])
        for i in range(len(_REPORT_FIELDS))
    ]
    chunks.clear()
    order = np.lexsort((numbers[0], numbers[1]))
    identity, opened, due, kind, areas, parties, cell = (column[order] for column in numbers)
    cells, place = np.unique(np.r_[0, cell], return_inverse=True)
    return {
        "id": identity,
        "opened": _as_minutes(opened),
        "due": _limits(due, facts.timezone),
        "element": kind >> 32,
        "municipality": areas >> 32,
        "district": areas & _LOW,
        "agency": parties >> 32,
        "contractor": parties & _LOW,
        "channel": (kind >> 16) & 0xFF,
        "place": place[1:],
        "place_cell": cells,
        "source": kind & 0xFFFF,
    }


def _as_minutes(microseconds: NDArray[np.int64]) -> NDArray[np.int32]:
    """Minutes of times since 2000 as PostgreSQL sends them; NO_TIME for -infinity."""
    whole = np.clip(microseconds // _MINUTE, NO_TIME + 1, NEVER - 1)
    return np.where(microseconds == _INFINITE, NO_TIME, whole).astype(np.int32)


def _midnight(microseconds: NDArray[np.int64], zone: str) -> NDArray[np.bool_]:
    """Which times are the first instant of a local day: a date that came without a time."""
    usable = np.where(microseconds == _INFINITE, 1, microseconds)
    at = pl.Series(usable + _ZERO_MICROSECONDS).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return (at == at.dt.truncate("1d")).to_numpy()


def _limits(due: NDArray[np.int64], zone: str) -> NDArray[np.int32]:
    """Limits in minutes; one without a time of day runs to the end of its day."""
    given = _as_minutes(due)
    whole_day = _midnight(due, zone) & (given != NO_TIME)
    return np.where(whole_day, given + (_DAY - 1), given).astype(np.int32)


def _event_ranges(ids: NDArray[np.int64]) -> list[tuple[str, dict[str, Any]]]:
    """Conditions on ``report_event e`` that take the reports' events together, in parts."""
    if not len(ids):
        return []
    if len(ids) <= _FEW or len(ids) * 10 < (ids[-1] - ids[0]) * 9:
        # A part of the table: their own events only.
        return [
            ("e.report_id = ANY(%(ids)s)", {"ids": part.tolist()})
            for part in np.array_split(ids, -(-len(ids) // _FEW))
        ]
    return [
        ("e.report_id >= %(low)s AND e.report_id < %(high)s", {"low": low, "high": low + _EVENT_STEP})
        for low in range(int(ids[0]), int(ids[-1]) + 1, _EVENT_STEP)
    ]


def _events(
    conn: Connection, condition: str, params: dict[str, Any], known: dt.datetime | None
) -> list[NDArray[np.int64]]:
    """_EVENT_FIELDS of some events, (m,) each, by report and in the order of telling."""
    later = " AND e.recorded_at <= %(known)s" if known else ""
    sums = ", ".join(f"string_agg({field}, ''::bytea)" for field in _EVENT_FIELDS)
    with raw_cursor(conn) as cursor:
        # Served by pk_report_event.
        cursor.execute(f"SELECT {sums} FROM report_event e WHERE {condition}{later}", params, binary=True)
        row = cursor.fetchone()
    if row is None or row[0] is None:
        return [np.zeros(0, dtype=np.int64) for _ in _EVENT_FIELDS]
    report, at, recorded, code = (np.frombuffer(data, dtype=">i8").astype(np.int64) for data in row)
    order = in_order(report, code >> 16)
    return [report[order], at[order], recorded[order], code[order]]


def _turns(
    events: list[NDArray[np.int64]], ids: NDArray[np.int64], where: NDArray[np.int64], zone: str
) -> tuple[Arrays, Arrays, Arrays]:
    """Turns, checks, and when work was told, of some events; `report` is the position."""
    report, at, recorded, code = events
    place = np.searchsorted(ids, report).clip(max=max(len(ids) - 1, 0))
    own = ids[place] == report if len(ids) else np.zeros(0, dtype=bool)
    report, at, recorded, code, place = (column[own] for column in (report, at, recorded, code, place))
    clock = np.datetime64("NaT"), at.astype("datetime64[us]")
    told = np.where(at == _INFINITE, *clock)
    counts = counting_from(told, recorded.astype("datetime64[us]")).astype(np.int64)
    status = ((code >> 1) & 0x7FFF).astype(np.int64)
    found, checks, standing = spells(report, status, counts, MEANINGS)
    closing = found.kind == CLOSED
    after = np.where(found.next >= 0, found.since[found.next], 0)
    to = np.where(found.next >= 0, found.kind[found.next], -1)
    bits = found.kind.astype(np.int64)
    bits |= np.where(closing & _midnight(found.since, zone), DAY_ONLY, 0)
    bits |= np.where(closing & (to == OPEN), REOPENED, 0)
    turns = {
        "spell_report": where[place[found.event]],
        "spell_since": _as_minutes(found.since),
        "spell_until": np.where(found.next >= 0, _as_minutes(after), NEVER),
        "spell_kind": bits,
        **_doubtful(found, (code[found.event] & 1).astype(bool)),
    }
    kept = {
        "check_report": where[place[checks.event]],
        "check_at": _as_minutes(checks.at),
        "check_failed": checks.failed.astype(np.int8),
    }
    work = np.flatnonzero(MEANINGS.worked[status] & standing)
    return turns, kept, {"worked_report": where[place[work]], "worked_at": _as_minutes(counts[work])}


def _doubtful(found: Spells, own: NDArray[np.bool_]) -> Arrays:
    """Closings without work: `unworked_here` by a step in Rasd, `unworked` as a source tells it."""
    idle = (found.kind == CLOSED) & ~found.worked & ~found.other_way
    return {"unworked_here": idle & own, "unworked": idle & ~own & found.shown}


def _joined(parts: list[Arrays]) -> Arrays:
    """Parts one after the other; without any, empty columns."""
    names = {
        *SPELLS, *CHECKS, "unworked", "unworked_here", "worked_report", "worked_at",
    } if not parts else set(parts[0])  # fmt: skip
    return {
        name: np.concatenate([np.zeros(0, dtype=np.int64), *(part[name] for part in parts)]) for name in names
    }


def _judged(turns: Arrays, work: Arrays, reports: Arrays) -> Arrays:
    """SPELLS in order of time, with UNTREATED where a source had told of work before then."""
    first = np.full(int(reports["source"].max(initial=0)) + 1, NEVER, dtype=np.int64)
    np.minimum.at(first, reports["source"][work["worked_report"]], work["worked_at"])
    tells = turns["spell_since"] >= first[reports["source"][turns["spell_report"]]]
    untreated = turns["unworked_here"].astype(bool) | (turns["unworked"].astype(bool) & tells)
    kind = turns["spell_kind"] | np.where(untreated, UNTREATED, 0)
    order = np.argsort(turns["spell_since"], kind="stable")
    return {name: (kind if name == "spell_kind" else turns[name])[order] for name in SPELLS}


def _again(made: Arrays) -> NDArray[np.int64]:
    """Minutes from the last closing of the like in the same place to each opening, (n,)."""
    report = made["spell_report"].astype(np.int64)
    since = made["spell_since"].astype(np.int64)
    closing = (made["spell_kind"] & KIND_BITS) == CLOSED
    every = np.arange(len(made["id"]), dtype=np.int64)
    return returned_after(
        every, report[closing], since[closing], made["place"], made["element"], made["opened"]
    )


def returned_after(
    wanted: NDArray[np.int64],
    report: NDArray[np.int64],
    since: NDArray[np.int64],
    place: NDArray,
    element: NDArray,
    opened: NDArray,
) -> NDArray[np.int64]:
    """Minutes from the last closing of the same element in the same place to some openings, (k,).

    Parameters
    ----------
    wanted : (k,) reports. report, since : (m,) closings, whose and when.
    place, element, opened : columns of all reports.

    NEVER for none, and for a report without place or element. A closing before its own
    opening is a slip of the pen and tells nothing of the place.
    """
    kinds = int(element.max(initial=0)) + 1
    key = place.astype(np.int64) * kinds + element
    true = (since >= opened[report]) & (place[report] > 0)
    found = since_last(key[wanted], opened[wanted].astype(np.int64), key[report[true]], since[true], NEVER)
    return np.where((place[wanted] > 0) & (element[wanted] > 0), found, NEVER)


def _changes(
    conn: Connection,
    facts: TerritoryFacts,
    ids: NDArray[np.int64],
    where: NDArray[np.int64],
    known: dt.datetime | None,
) -> Arrays:
    """CHANGES: values that steps taken in Rasd replaced; what is learned after ``known`` never happened."""
    rows: list[tuple[int, int, int, int]] = []
    with raw_cursor(conn) as cursor:
        # Served by ix_report_event_recorded: only steps taken in Rasd replace anything.
        cursor.execute(
            f"""SELECT e.report_id, e.recorded_at, e.detail -> '{BEFORE}' FROM report_event e
                WHERE e.batch_id IS NULL AND jsonb_exists(e.detail, '{BEFORE}')
                ORDER BY e.report_id, e.seq"""
        )
        for report, recorded, before in cursor:
            at = NEVER if known is not None and recorded > known else _minute(recorded)
            for number, key in enumerate(FIELDS.values()):
                if key in before:
                    rows.append((report, at, number, _value(key, before[key], facts.timezone)))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    place = np.searchsorted(ids, table[:, 0]).clip(max=max(len(ids) - 1, 0))
    own = ids[place] == table[:, 0] if len(ids) else np.zeros(len(table), dtype=bool)
    columns = (where[place[own]] if len(ids) else table[own, 0], *table[own, 1:].T)
    return dict(zip(CHANGES, columns, strict=True))


def _minute(moment: dt.datetime) -> int:
    """The minute since 2000 in which a moment lies."""
    return int(np.clip((moment - _EPOCH) // dt.timedelta(minutes=1), NO_TIME + 1, NEVER - _DAY))


def _value(key: str, before: Any, zone: str) -> int:
    """A replaced value as its column has it."""
    if key != "due_at":
        return int(before or 0)
    if before is None:
        return NO_TIME
    moment = dt.datetime.fromisoformat(before)
    local = moment.astimezone(ZoneInfo(zone))
    whole_day = (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
    return _minute(moment) + (_DAY - 1) * whole_day
