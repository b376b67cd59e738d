"""The packed lives of a territory's reports: kept, handed out, and how fresh they are.

``data/eventcolumns.py`` reads them from the tables (7 s a million reports with six million
events); kept beside the other packed columns (``report_column``, names ``life.…``) a process
fetches each once a reading and holds it in memory. Whether who asks may read it is asked of the
database every time. Steps taken in Rasd do not change what is kept: the stamp
says when the tables were read, ``freshness`` counts what came since, and ``refresh_if_stale``
reads anew. Who may not read packed columns, and who asks what was known at a past moment,
gets the same arrays from the tables for this question. Caveat: numbers are as of the stamp,
not of now; every answer says so.
"""

from __future__ import annotations

import datetime as dt
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from data import eventcolumns
from data.copying import raw_cursor
from data.eventcolumns import FIELDS, KIND_BITS, KINDS, NEVER, Arrays, Tick
from data.query import TerritoryFacts, territory_facts
from geo.errors import StoreError
from geo.spells import OPEN, REFERRED

_PREFIX = "life."
_STAMP = _PREFIX + "stamp"
#: Which columns there are, as a number: others kept before are read anew.
_FORM = zlib.crc32(repr([(name, np.dtype(kind).str) for name, kind in KINDS.items()]).encode())
#: Steps are written in transactions that end within this: later ones are never missed.
_TAIL = dt.timedelta(minutes=2)
PATIENCE = dt.timedelta(minutes=15)
#: An older reading is made anew even if nothing was done since: limits pass all the same.
OLDEST = dt.timedelta(days=1)
_LOCK = 0x4C495645  # "LIVE", with the territory's id the advisory lock of a refresh
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

_REMEMBERED = 400_000_000  # bytes of readings held in memory; about 60 a report each
_MOMENTS = 16  # of a reading, for which it is held how every report stood: a course of a year asks 15
_STOOD = "stood "
_held: OrderedDict[tuple[object, ...], _Reading] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """Columns of one reading, when it was, and what was found from them (``Lives.derived``)."""

    read_at: dt.datetime
    columns: Arrays
    derived: dict[str, tuple[NDArray, ...]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes."""
        found = (part for parts in tuple(self.derived.values()) for part in parts)
        return sum(column.nbytes for column in (*tuple(self.columns.values()), *found))


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the numbers reach.

    Attributes
    ----------
    read_at : when the reports and their events were read.
    packed : from packed columns; False: from the tables, for this question.
    later_events : steps taken in Rasd since, not counted yet.
    later_data : files were loaded or areas changed since.
    """

    read_at: dt.datetime
    packed: bool
    later_events: int
    later_data: bool

    @property
    def stale(self) -> bool:
        """Whether something came since."""
        return self.later_data or self.later_events > 0


@dataclass(frozen=True, eq=False)
class Lives:
    """Columns of one territory (``data.eventcolumns.KINDS``) that were asked for.

    ``derived``: what is the same for every moment, found once a reading and never changed.
    """

    facts: TerritoryFacts
    columns: Arrays
    freshness: Freshness
    derived: dict[str, tuple[NDArray, ...]] = field(default_factory=dict)

    def at(self, minute: int) -> Standing:
        """How all reports opened before a minute stood when it began."""
        return Standing(self, minute, place(self.columns["opened"], minute))

    def stood(self, minute: int) -> tuple[NDArray, ...]:
        """What every report was when a minute began, and since when, (n,) each; the last few are held."""
        name = f"{_STOOD}{minute}"
        found = self.derived.pop(name, None) or self._stood(minute)
        self.derived[name] = found
        held = [one for one in tuple(self.derived) if one.startswith(_STOOD)]
        for one in held[:-_MOMENTS]:
            self.derived.pop(one, None)
        return found

    def _stood(self, minute: int) -> tuple[NDArray, ...]:
        c = self.columns
        kind = np.full(len(c["opened"]), OPEN, dtype=np.int8)
        since = c["opened"].astype(np.int32)
        told = slice(place(c["spell_since"], minute))
        # In order of time, turns of one moment as told: the last one written stays.
        own = c["spell_report"][told]
        kind[own] = c["spell_kind"][told] & np.int8(KIND_BITS)
        since[own] = c["spell_since"][told]
        return kind, since

    @property
    def by_limit(self) -> tuple[NDArray, ...]:
        """Reports in order of their limits as they are now, and these limits, (n,) each."""
        if "by_limit" not in self.derived:
            order = np.argsort(self.columns["due"], kind="stable").astype(np.int32)
            self.derived["by_limit"] = (order, self.columns["due"][order])
        return self.derived["by_limit"]


@dataclass(eq=False)
class Standing:
    """The reports as of a moment: the first ``reports`` of the columns.

    Attributes
    ----------
    minute : since 2000; events of this minute and later are not counted.
    """

    lives: Lives
    minute: int
    reports: int
    _fields: dict[str, NDArray] = field(default_factory=dict)

    def stood(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        """What some reports (k,) were, one of ``geo.spells``, and since when (minutes; else the opening)."""
        kind, since = self.lives.stood(self.minute)
        return kind[positions], since[positions]

    def waiting(self) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Reports that were neither closed nor set aside, ascending, and whether they were referred."""
        kind = self.lives.stood(self.minute)[0][: self.reports]
        waits = np.flatnonzero((kind == OPEN) | (kind == REFERRED))
        return waits, kind[waits]

    def limits_between(self, start: int, end: int) -> NDArray[np.int64]:
        """Reports whose limit, as it was then, lay in some minutes, ascending."""
        order, limits = self.lives.by_limit
        found = order[place(limits, start) : place(limits, end)].astype(np.int64)
        moved = self.changed("due")
        found = np.unique(np.r_[found, moved]) if len(moved) else np.sort(found)
        found = found[found < self.reports]
        due = self.column("due")[found]
        return found[(due >= start) & (due < end)]

    def column(self, name: str) -> NDArray:
        """A column as it was then, (reports,): what steps replaced later is put back."""
        if name not in self._fields:
            values = self.lives.columns[name][: self.reports]
            if name in FIELDS:
                values = self._put_back(values, list(FIELDS).index(name))
            self._fields[name] = values
        return self._fields[name]

    def changed(self, name: str) -> NDArray[np.int64]:
        """Reports of which a column was replaced later, (k,), some more than once."""
        return self.lives.columns["change_report"][self._later(list(FIELDS).index(name))].astype(np.int64)

    def _later(self, number: int) -> NDArray[np.int64]:
        columns = self.lives.columns
        return np.flatnonzero(
            (columns["change_field"] == number)
            & (columns["change_at"] >= self.minute)
            & (columns["change_report"] < self.reports)
        )

    def _put_back(self, values: NDArray, number: int) -> NDArray:
        columns = self.lives.columns
        later = self._later(number)
        if not len(later):
            return values
        # By report and in the order of the steps: the first one later knows what it was.
        report = columns["change_report"][later]
        first = later[np.r_[True, report[1:] != report[:-1]]]
        out = values.copy()
        out[columns["change_report"][first]] = columns["change_before"][first]
        return out


def place(times: NDArray[np.int32], minute: int) -> int:
    """How many of some ascending times lie before a minute."""
    # Of the array's own type: else all of it is copied for the search.
    return int(np.searchsorted(times, times.dtype.type(np.clip(minute, -(1 << 31), NEVER))))


def load(
    conn: Connection,
    territory_id: int,
    names: Iterable[str],
    *,
    known: dt.datetime | None = None,
    tick: Tick | None = None,
) -> Lives:
    """The columns ``names``, packed where that is allowed and says what is asked, else from the tables.

    Parameters
    ----------
    known : only what the store knew at that moment.
    tick : called with the share done while the tables are read; what it raises stops it.

    Raises
    ------
    InputError : the territory does not exist.
    """
    facts = territory_facts(conn, territory_id)
    wanted = set(names)
    for _ in range(2):  # once more if a refresh ended between the stamp and the columns
        stamp = _stamp(conn, facts)
        if stamp is None:
            break
        freshness = _freshness(conn, facts, stamp)
        # Asked for a moment, packed columns answer only if nothing else was known by then.
        if known is not None and (known < freshness.read_at or freshness.stale):
            break
        stored = _stored(conn, facts, wanted, stamp)
        if stored is not None:
            return Lives(facts, {name: stored.columns[name] for name in wanted}, freshness, stored.derived)
    reading = _from_tables(conn, facts, known, tick)
    later = 0 if known is not None else _steps_since(conn, facts, reading.read_at)
    return Lives(
        facts,
        {name: reading.columns[name] for name in wanted},
        Freshness(reading.read_at, False, later, False),
        reading.derived,
    )


def freshness(conn: Connection, territory_id: int) -> Freshness | None:
    """How far the packed columns reach; None when there are none, or not for who asks."""
    facts = territory_facts(conn, territory_id)
    stamp = _stamp(conn, facts)
    return None if stamp is None else _freshness(conn, facts, stamp)


def refresh(engine: Engine, territory_id: int, tick: Tick | None = None) -> Freshness:
    """Read the lives of a territory's reports anew and keep them, on the owner's connection.

    Raises
    ------
    InputError : the territory does not exist.
    """
    # One snapshot for all statements: a load that ends meanwhile is in none of them.
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn:
        facts = territory_facts(conn, territory_id)
        made = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
        columns = eventcolumns.read(conn, facts, tick=tick)
        tail = made - _TAIL
        stamp = (_number(made), _number(tail), _steps_since(conn, facts, tail), _FORM)
    with engine.begin() as conn, raw_cursor(conn) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, facts.id))
        columns["stamp"] = np.array(stamp, dtype="<i8")
        for name in tuple(columns):
            # Served by pk_report_column; one at a time, so that no two are held twice.
            cursor.execute(
                """INSERT INTO report_column (territory_id, name, data_version, data, made_at)
                   VALUES (%s, %s, %s, %b, %s) ON CONFLICT (territory_id, name) DO UPDATE
                   SET data_version = excluded.data_version, data = excluded.data, made_at = excluded.made_at""",
                (facts.id, _PREFIX + name, facts.data_version, columns.pop(name).tobytes(), made),
            )
    with engine.connect() as conn:
        found = freshness(conn, territory_id)
    if found is None:
        raise StoreError(f"The packed lives of territory {territory_id} were written and are not there.")
    return found


def refresh_if_stale(
    engine: Engine, territory_id: int, *, patience: dt.timedelta = PATIENCE, tick: Tick | None = None
) -> Freshness:
    """Read anew if files were loaded since, steps were taken and ``patience`` has passed, or after a day.

    Pages call it as a background job, commands with a patience of none.
    """
    with engine.connect() as conn:
        found = freshness(conn, territory_id)
        now: dt.datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    if found is not None and not found.later_data:
        age = now - found.read_at
        if age < (min(patience, OLDEST) if found.later_events else OLDEST):
            return found
    return refresh(engine, territory_id, tick)


def _number(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _stamp(conn: Connection, facts: TerritoryFacts) -> tuple[dt.datetime, dt.datetime, int, int] | None:
    """When the tables were read, from when steps are counted, how many were read, the data version."""
    # A contractor has no right to packed columns at all; from others who may not see all
    # reports a row-level policy hides them. Served by pk_report_column.
    if not conn.scalar(text("SELECT has_table_privilege('report_column', 'SELECT')")):
        return None
    row = conn.execute(
        text("SELECT data, data_version FROM report_column WHERE territory_id = :territory AND name = :name"),
        {"territory": facts.id, "name": _STAMP},
    ).one_or_none()
    if row is None:
        return None
    made, tail, steps, form = np.frombuffer(row.data, dtype="<i8").tolist()
    if form != _FORM:
        return None  # kept by another version of Rasd
    return _EPOCH + made * _MICROSECOND, _EPOCH + tail * _MICROSECOND, steps, row.data_version


def _freshness(
    conn: Connection, facts: TerritoryFacts, stamp: tuple[dt.datetime, dt.datetime, int, int]
) -> Freshness:
    made, tail, steps, version = stamp
    later = _steps_since(conn, facts, tail) - steps
    return Freshness(made, True, max(0, later), version != facts.data_version)


def _steps_since(conn: Connection, facts: TerritoryFacts, moment: dt.datetime) -> int:
    # Served by ix_report_event_recorded, then pk_report.
    return int(
        conn.execute(
            text(
                """SELECT count(*) FROM report_event e JOIN report r ON r.id = e.report_id
                   WHERE e.batch_id IS NULL AND e.recorded_at > :moment AND r.territory_id = :territory"""
            ),
            {"moment": moment, "territory": facts.id},
        ).scalar_one()
    )


def _stored(
    conn: Connection,
    facts: TerritoryFacts,
    wanted: set[str],
    stamp: tuple[dt.datetime, dt.datetime, int, int],
) -> _Reading | None:
    """Packed columns of the reading that a stamp tells of, whatever their data version; None: they went.

    The stamp lies behind the same row-level policy as the columns, so whoever was shown it
    may have from memory what another one fetched.
    """
    key = ("packed", conn.engine.url.render_as_string(), facts.id, facts.code, stamp)
    with _lock:
        reading = _held.get(key) or _Reading(stamp[0], {})
    missing = wanted - set(reading.columns)
    if missing:
        with raw_cursor(conn) as cursor:
            # Served by pk_report_column; `made_at` is the stamp's, so all columns are of one reading.
            cursor.execute(
                """SELECT name, data FROM report_column
                   WHERE territory_id = %s AND name = ANY(%s) AND made_at = %s""",
                (facts.id, [_PREFIX + name for name in sorted(missing)], stamp[0]),
                binary=True,
            )
            found = {name.removeprefix(_PREFIX): data for name, data in cursor.fetchall()}
        if set(found) != missing:
            return None
        for name, data in found.items():
            reading.columns[name] = np.frombuffer(data, dtype=np.dtype(KINDS[name]).newbyteorder("<"))
    _hold(key, reading)
    return reading


def _hold(key: tuple[object, ...], reading: _Reading) -> None:
    """Keep a reading in memory, and of the others those used last, as far as there is room."""
    with _lock:
        _held[key] = reading
        _held.move_to_end(key)
        while len(_held) > 1 and sum(one.size for one in _held.values()) > _REMEMBERED:
            _held.popitem(last=False)


def _from_tables(
    conn: Connection, facts: TerritoryFacts, known: dt.datetime | None, tick: Tick | None
) -> _Reading:
    """The columns read from the tables for who asks.

    Reading takes seconds on a million reports, so the last few are kept, as packed columns
    are, until files are loaded or ``PATIENCE`` has passed; by the token of the session, which
    stands for what is open to who asks.
    """
    row = conn.execute(
        text("SELECT current_user, current_setting('rasd.token', true), clock_timestamp() AS now")
    ).one()
    key = (conn.engine.url.render_as_string(), facts.id, facts.code, facts.data_version, known, *row[:2])
    with _lock:
        found = _held.get(key)
        if found is not None and (known is not None or row.now - found.read_at < PATIENCE):
            _held.move_to_end(key)
            return found
    read_at = row.now if known is None else min(row.now, known)
    made = _Reading(read_at, eventcolumns.read(conn, facts, known, tick))
    _hold(key, made)
    return made


def forget() -> None:
    """Drop what was read for earlier questions (for benchmarks)."""
    with _lock:
        _held.clear()
