"""The reports of a territory as they stood at a past moment, as the columns of ``data/columns.py``.

For answers that come out the same next year: what was opened, done or learned later is left
out, status and closing are replayed from the events (``geo/replay.py`` says which event
counts), and incidents are found anew among what was known. Any analysis whose query carries
``as_of`` reads these columns. Caveat: a later load may correct a report's place, kind or
opening, and new boundaries move reports between areas; what was there before is not kept.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data import columns
from data.copying import packed
from data.incident_rows import NO_REMEDY, NO_TIME, PlacedReports
from data.life import BEFORE
from data.query import AsOf, TerritoryFacts
from data.replay import COUNTS_FROM
from data.vocabulary import FINAL, Status

Tick = Callable[[float], None]

_EVER = dt.datetime.max.replace(tzinfo=dt.UTC)
#: Whether an event counts at the moment that is asked for.
COUNTED = f"{COUNTS_FROM} <= %(at)s AND {{0}}.recorded_at <= %(known)s"
_FINAL = ", ".join(str(int(status)) for status in sorted(FINAL))
_STATUS = f"coalesce(e.status, {int(Status.RECEIVED)})"
# A later event may have rewritten the report's own closing; the one that counts then says it.
_CLOSED = f"""CASE WHEN e.seq IS DISTINCT FROM (SELECT max(l.seq) FROM report_event l WHERE l.report_id = r.id)
    THEN CASE WHEN e.status IN ({_FINAL}) THEN least(e.at, e.recorded_at) END
    WHEN r.closed_at <= %(at)s THEN r.closed_at END"""
# Served by pk_report, range by range, and pk_report_event, once a report.
_TABLES = f"""report r LEFT JOIN LATERAL (
    SELECT c.seq, c.status, c.at, c.recorded_at FROM report_event c
    WHERE c.report_id = r.id AND {COUNTED.format("c")} ORDER BY c.seq DESC LIMIT 1) e ON true
  CROSS JOIN (SELECT true AS lead, 0::bigint AS incident_id, 0::bigint AS place_id) m"""
_CONDITION = """r.territory_id = %(territory)s AND r.opened_at <= %(at)s
  AND (r.recorded_at IS NULL OR r.recorded_at <= %(known)s)"""
_OWN_PLACE = (
    "int8send(r.id)",
    "int8send((r.geom IS NOT NULL AND r.cell IS NOT NULL)::int::bigint)",
    "float8send(coalesce(ST_X(r.geom), 'NaN'))",
    "float8send(coalesce(ST_Y(r.geom), 'NaN'))",
)
_LOW = 0xFFFFFFFF
_REMEMBERED = 2  # about 46 bytes a report each
_RANGE = 1 << 17  # ids read at a time: a word of progress, and a chance to stop, every few seconds
_held: OrderedDict[tuple[Any, ...], dict[str, NDArray]] = OrderedDict()
_lock = threading.Lock()


def past_columns(
    conn: Connection, facts: TerritoryFacts, as_of: AsOf, tick: Tick | None = None
) -> dict[str, NDArray]:
    """All columns of a territory as of a moment, by name; see ``data.columns``.

    Beside them ``id`` and ``status`` of each report, in order of id.

    The last ones asked for are kept, since one pack asks many questions of the same moment.
    About 12 s a million reports on two cores, most of it to find the incidents.
    """
    key = _key(conn, facts, as_of)
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
    made = _made(conn, facts, as_of, tick or (lambda done: None))
    with _lock:
        _held[key] = made
        while len(_held) > _REMEMBERED:
            _held.popitem(last=False)
    return made


def past_statuses(
    conn: Connection, facts: TerritoryFacts, as_of: AsOf
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids of the reports that were there, ascending, and their statuses then; (n,) each."""
    made = past_columns(conn, facts, as_of)
    return made["id"], made["status"]


def parameters(territory_id: int, as_of: AsOf) -> dict[str, Any]:
    """Values for ``COUNTED`` and the like."""
    return {"territory": territory_id, "at": as_of.at, "known": as_of.known or _EVER}


def replaced_since(name: str) -> str:
    """SELECT of (report_id, before): what the first step after the moment had replaced, for one detail."""
    # Served by ix_report_event_recorded; a step is dated when it is recorded.
    return f"""SELECT DISTINCT ON (x.report_id) x.report_id, x.detail->'{BEFORE}' AS before FROM report_event x
      WHERE x.batch_id IS NULL AND x.recorded_at > least(CAST(:at AS timestamptz), CAST(:known AS timestamptz))
        AND jsonb_exists(x.detail->'{BEFORE}', '{name}') ORDER BY x.report_id, x.seq"""


def _key(conn: Connection, facts: TerritoryFacts, as_of: AsOf) -> tuple[Any, ...]:
    """What the columns depend on: the store, who asks (rows may be hidden), the data, the moment."""
    # Served by ix_report_event_recorded: steps taken in Rasd do not count up the data version.
    row = conn.execute(
        text(
            """SELECT current_user, current_setting('rasd.token', true),
                 (SELECT max(recorded_at) FROM report_event WHERE batch_id IS NULL)"""
        )
    ).one()
    store = conn.engine.url.render_as_string()
    return (store, facts.id, facts.code, facts.data_version, as_of, *row)


def _made(conn: Connection, facts: TerritoryFacts, as_of: AsOf, tick: Tick) -> dict[str, NDArray]:
    params = parameters(facts.id, as_of)
    wanted = [*columns.fields(_STATUS, _CLOSED), *_OWN_PLACE]
    parts: list[list[NDArray[np.int64]]] = []
    for numbers in packed(conn, wanted, _CONDITION, params, _RANGE, _TABLES):
        parts.append(numbers)
        tick(0.4 * (1 - 0.7 ** len(parts)))
    whole = [
        np.concatenate([np.zeros(0, np.int64), *(part[i] for part in parts)]) for i in range(len(wanted))
    ]
    parts.clear()
    cell, first, second, third, kind, opened, closed, _, _, ids, placed, x, y = whole
    lon, lat = x.view(np.float64), y.view(np.float64)
    order = np.argsort(ids)
    kind = _kinds_then(conn, params, ids, kind, order)
    third = np.where(_late_default(conn, params, lon, lat), third & ~columns.ON_DEFAULT_POINT, third)
    barred = np.isin(third & columns.STATUS_BITS, [int(status) for status in NO_REMEDY])
    reports = PlacedReports(
        ids=ids,
        usable=(placed != 0) & (kind != 0) & (third & columns.ON_DEFAULT_POINT == 0),
        element=kind >> 32,
        type=kind & _LOW,
        cell=cell,
        lon=lon,
        lat=lat,
        opened=opened,
        closed=np.where(barred, NO_TIME, closed),
        incident=np.zeros(len(ids), np.int64),
        place=np.zeros(len(ids), np.int64),
    )
    from data.incidents import grouped  # which stands on data/columns.py too

    incident, place, _ = grouped(conn, reports, lambda done: tick(0.4 + 0.6 * done))
    leads = (incident == 0) | (incident == ids)
    third = np.where(leads, third, third & ~columns.LEADS)
    numbers = [cell, first, second, third, kind, opened, closed, incident, place]
    made = columns.assembled([[column[order] for column in numbers]], facts.timezone)
    made |= {"id": ids[order], "status": third[order] & columns.STATUS_BITS}
    tick(1.0)
    return made


def _kinds_then(
    conn: Connection,
    params: dict[str, Any],
    ids: NDArray[np.int64],
    kind: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Element and type as they were: where a step set an element later, the one that it replaced."""
    # Then by pk_report for the few that it finds.
    rows = conn.execute(
        text(
            f"""SELECT l.report_id, coalesce((l.before->>'element_id')::bigint, 0) AS element
                FROM ({replaced_since("element_id")}) l
                JOIN report r ON r.id = l.report_id AND r.territory_id = :territory"""
        ),
        params,
    ).all()
    if not rows or not len(ids):
        return kind
    changed = np.array([(row.report_id, row.element) for row in rows], dtype=np.int64)
    at = np.searchsorted(ids, changed[:, 0], sorter=order).clip(max=len(ids) - 1)
    known = ids[order[at]] == changed[:, 0]
    there = order[at[known]]
    out = kind.copy()
    out[there] = (changed[known, 1] << 32) | (kind[there] & _LOW)
    return out


def _late_default(
    conn: Connection, params: dict[str, Any], lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Reports on points that were found to be a geocoder's default only later, (n,)."""
    # Served by pk_default_point and pk_batch; a territory has few.
    points = conn.execute(
        text(
            """SELECT d.lon, d.lat FROM default_point d JOIN batch b ON b.id = d.batch_id
               WHERE d.territory_id = :territory AND coalesce(b.finished_at, b.started_at) > :known"""
        ),
        params,
    ).all()
    found = np.zeros(len(lon), dtype=bool)
    for point in points:
        found |= (lon == point.lon) & (lat == point.lat)
    return found
