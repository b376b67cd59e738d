"""The roads of a territory: which set is current, points on its lines, distances along them.

One set of roads is current; older ones keep their row without roads. Lines, their index and
their graph are made once a set and remembered. Methods: ``geo/roads.py``, ``geo/network.py``.
Caveat: without roads every question here answers None, and the caller says what it does
instead; distances are then geodesic × ``geo.roads.DETOUR``.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely
from sqlalchemy import Connection, text

from data import columns, territories
from data.copying import copy_frame, raw_cursor
from geo.errors import InputError
from geo.network import Network, Ways
from geo.roads import FAST, RoadPlane, Roads, Texts

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SNAP_M = 30.0  # farthest that a report is thought to belong to a road
_REMEMBERED = 2
_held: OrderedDict[tuple[str, int], Streets] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class RoadSet:
    """One load of roads.

    Attributes
    ----------
    simulated : made up for a demonstration; said wherever a road is named.
    read, accepted : features of the file, and those of them that are in the store.
    content : digest of the roads as they are stored. km : of all lines. loaded : when.
    """

    id: int
    label: str
    simulated: bool
    file_name: str
    file_digest: str
    content: str
    read: int
    accepted: int
    km: float
    loaded: dt.datetime


class Streets:
    """The roads of one set in memory, with what is made of them when first asked for."""

    def __init__(self, roads: Roads) -> None:
        self.roads = roads
        self._making = threading.Lock()

    @cached_property
    def plane(self) -> RoadPlane:
        return RoadPlane(self.roads.lines)

    @cached_property
    def network(self) -> Network:
        return Network(self.roads)

    @cached_property
    def footways(self) -> Network:
        return Network(self.roads, on_foot=True)

    def prepared(self, name: str) -> None:
        """Make ``plane``, ``network`` or ``footways`` once, whoever asks first."""
        with self._making:
            getattr(self, name)


def current(conn: Connection, territory_id: int) -> RoadSet | None:
    """The current set, or None while no roads are loaded."""
    # Served by ix_road_set_current.
    row = conn.execute(
        text(
            """SELECT id, label, simulated, file_name, file_digest, notes->>'content' AS content,
                      read, accepted, km, valid_from AS loaded
               FROM road_set WHERE territory_id = :territory AND valid_to IS NULL"""
        ),
        {"territory": territory_id},
    ).one_or_none()
    return None if row is None else RoadSet(**row._mapping)


def streets(conn: Connection, territory_id: int) -> Streets | None:
    """The current roads, remembered; None while none are loaded."""
    found = current(conn, territory_id)
    if found is None:
        return None
    key = (conn.engine.url.render_as_string(), found.id)
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
    made = Streets(_read(conn, found.id))
    with _lock:
        # Whoever came first: its index may be made already.
        made = _held.setdefault(key, made)
        while len(_held) > _REMEMBERED:
            _held.popitem(last=False)
    return made


def of_territory(conn: Connection, territory_id: int) -> Roads | None:
    """All current roads of a territory in order of id; None while none are loaded."""
    found = streets(conn, territory_id)
    return None if found is None else found.roads


def beside_fast_road(
    conn: Connection, territory_id: int, lon: npt.ArrayLike, lat: npt.ArrayLike, within_m: float = SNAP_M
) -> Flags | None:
    """Whether a motorway or trunk road (``geo.roads.FAST``) is within reach of each point (n,)."""
    found = streets(conn, territory_id)
    if found is None:
        return None
    fast = np.isin(found.roads.road_class, FAST)
    if not fast.any():
        return np.zeros(len(np.asarray(lon)), dtype=bool)
    return RoadPlane(found.roads.lines[fast]).snap(lon, lat, within_m).road >= 0


def road_ways(
    conn: Connection, territory_id: int, lon: npt.ArrayLike, lat: npt.ArrayLike, *, on_foot: bool = False
) -> Ways | None:
    """Distances along roads between places (n,), driven or walked; None while no roads are loaded.

    Pairs without a path are geodesic × ``DETOUR``; ``Ways.assumed`` says which.
    """
    found = streets(conn, territory_id)
    if found is None:
        return None
    name = "footways" if on_foot else "network"
    found.prepared(name)
    ways: Ways = getattr(found, name).distances(lon, lat)
    return ways


def is_current(conn: Connection, territory_id: int, label: str, content: str) -> bool:
    """Whether the current set has this label and this digest of its roads."""
    found = current(conn, territory_id)
    return found is not None and (found.label, found.content) == (label, content)


def replace_set(
    conn: Connection,
    territory_id: int,
    roads: pl.DataFrame,
    lines: npt.NDArray[np.object_],
    *,
    label: str,
    simulated: bool,
    file_name: str,
    file_digest: str,
    content: str,
    read: int,
    accepted: int,
    notes: Iterable[str] = (),
) -> RoadSet:
    """Make these roads the current set; the caller commits.

    Waits for the territory's lock, ends the set before it and gives up its roads, and
    counts up the data version.

    Parameters
    ----------
    roads : name_ar, name_en, ref, road_class, source_class, direction, length_m; (n,) rows.
    lines : (n,) shapely linestrings, EPSG:4326.
    content : digest of both, by which the same roads are known again.

    Raises
    ------
    InputError : there is no road.
    """
    if not len(lines):
        raise InputError("A set of roads without any road cannot replace the current one.")
    territories.lock_territory(conn, territory_id)
    _end(conn, territory_id)
    set_id = conn.execute(
        text(
            """INSERT INTO road_set (territory_id, label, simulated, file_name, file_digest, read, accepted,
                 km, notes)
               VALUES (:territory, :label, :simulated, :file_name, :file_digest, :read, :accepted,
                 :km, CAST(:notes AS jsonb)) RETURNING id"""
        ),
        {
            "territory": territory_id,
            "label": label,
            "simulated": simulated,
            "file_name": file_name,
            "file_digest": file_digest,
            "read": read,
            "accepted": accepted,
            "km": float(roads["length_m"].sum() or 0.0) / 1000,
            "notes": json.dumps({"notes": list(notes), "content": content}, ensure_ascii=False),
        },
    ).scalar_one()
    shapes = shapely.to_wkb(shapely.set_srid(shapely.force_2d(lines), 4326), include_srid=True)
    rows = roads.with_columns(
        pl.lit(set_id, dtype=pl.Int32).alias("set_id"),
        pl.Series("geom", list(shapes), dtype=pl.Binary),
    )
    copy_frame(conn, "road", rows)
    territories.bump_version(conn, territory_id, incidents_hold=True)
    columns.carry(conn, territory_id)
    made = current(conn, territory_id)
    if made is None:
        raise AssertionError(f"The set of roads {set_id} was written and is not there.")
    return made


def remove_set(conn: Connection, territory_id: int) -> RoadSet | None:
    """End the current set without another in its place; the set, or None. The caller commits."""
    territories.lock_territory(conn, territory_id)
    found = current(conn, territory_id)
    if found is not None:
        _end(conn, territory_id)
        territories.bump_version(conn, territory_id, incidents_hold=True)
        columns.carry(conn, territory_id)
    return found


def _end(conn: Connection, territory_id: int) -> None:
    # Served by ix_road_set_current. clock_timestamp(): a set that waited must not end before it began.
    ended = conn.execute(
        text(
            """UPDATE road_set SET valid_to = clock_timestamp()
               WHERE territory_id = :territory AND valid_to IS NULL RETURNING id"""
        ),
        {"territory": territory_id},
    ).scalars()
    # What was loaded, and when, stays known; nobody asks for its lines again. Served by ix_road_set_id.
    for before in ended.all():
        conn.execute(text("DELETE FROM road WHERE set_id = :id"), {"id": before})


def _read(conn: Connection, set_id: int) -> Roads:
    with raw_cursor(conn) as cursor:
        # Served by ix_road_set_id.
        cursor.execute(
            """SELECT id, coalesce(name_ar, ''), coalesce(name_en, ''), coalesce(ref, ''), road_class,
                      direction, length_m, ST_AsBinary(geom)
               FROM road WHERE set_id = %s ORDER BY id""",
            (set_id,),
            binary=True,
        )
        rows = cursor.fetchall()
    fields = list(zip(*rows, strict=True)) if rows else [()] * 8

    def texts(values: Iterable[str]) -> Texts:
        return np.array([*values, None], dtype=object)[:-1]

    return Roads(
        ids=np.array(fields[0], dtype=np.int64),
        lines=shapely.from_wkb(texts(fields[7])),
        road_class=texts(fields[4]),
        name_ar=texts(fields[1]),
        name_en=texts(fields[2]),
        ref=texts(fields[3]),
        direction=np.array(fields[5], dtype=np.int8),
        length_m=np.array(fields[6], dtype=np.float64),
    )
