"""What reports are measured against, by cell: the sets that are loaded, and their values.

A set belongs to a territory and a kind; one of each kind is current, older ones keep their
rows without cells. Every kind is a quantity that adds up (people, buildings, kilometres,
km² of water), so a coarser cell is the sum of its finer ones. Caveat: asked for finer
cells than are stored, each stored cell is spread evenly over its own; ``remarks`` says so.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Connection, text

from data import columns, territories
from data.copying import copy_frame, raw_cursor
from geo.cells import FINEST, Cells, areas_km2
from geo.errors import InputError
from geo.exposure import at_resolution, shares
from geo.remarks import Remark, caution

Floats = npt.NDArray[np.float64]

#: Kinds that a rate can be measured against, in the order in which they are offered.
KINDS = ("population", "buildings", "road_km", "area")
WATER = "water"
UNITS = {"population": "people", "buildings": "buildings", "road_km": "km", "area": "km2", WATER: "km2"}
#: A rate is reports per so many units.
PER = {"population": 1000, "buildings": 100, "road_km": 1, "area": 1, WATER: 1}

_REMEMBERED = 12
_sets: OrderedDict[tuple[str, int], tuple[Cells, Floats]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ExposureSet:
    """One load of a kind.

    Attributes
    ----------
    id : of the set; 0 for ``area``, which is computed.
    unit : people, buildings, km or km2.
    per : a rate is reports per this many units.
    simulated : made up for a demonstration; said wherever a rate is shown.
    resolution : of the stored cells.
    total : of all stored cells, those around the study area's edge included.
    loaded : when; None for ``area``.
    """

    id: int
    kind: str
    label: str
    unit: str
    per: int
    simulated: bool
    file_name: str
    resolution: int
    cells: int
    total: float
    loaded: dt.datetime | None


_AREA = ExposureSet(0, "area", "area", UNITS["area"], PER["area"], False, "", FINEST, 0, float("nan"), None)


def available(conn: Connection, territory_id: int) -> tuple[ExposureSet, ...]:
    """What a rate can be measured against here, in the order of ``KINDS``; area is always there."""
    loaded = _current(conn, territory_id)
    return (*(loaded[kind] for kind in KINDS if kind in loaded), _AREA)


def current(conn: Connection, territory_id: int, kind: str) -> ExposureSet | None:
    """The current set of a kind (``water`` and ``area`` too), or None.

    Raises
    ------
    InputError : there is no such kind.
    """
    require_kind(kind, computed=True)
    return _AREA if kind == "area" else _current(conn, territory_id).get(kind)


def of_cells(conn: Connection, territory_id: int, kind: str, cells: npt.ArrayLike, resolution: int) -> Floats:
    """Exposure of each cell (n,), in the unit of its kind; 0 where the set says nothing.

    Raises
    ------
    InputError : nothing of this kind is loaded.
    """
    wanted = np.asarray(cells, dtype=np.int64)
    found = current(conn, territory_id, kind)
    if found is None:
        loaded = ", ".join(each.kind for each in available(conn, territory_id))
        raise InputError(
            f"No {kind} is loaded for this territory (there is: {loaded}). Load it: "
            f"./rasd ingest exposure FILE --kind {kind}"
        )
    if found.kind == "area":
        return areas_km2(wanted)
    stored, values = _values(conn, found.id)
    return at_resolution(stored, values, wanted, resolution)


def water_share(conn: Connection, territory_id: int, cells: npt.ArrayLike, resolution: int) -> Floats:
    """Share of each cell under water (n,), 0 to 1; all 0 when no water is loaded."""
    wanted = np.asarray(cells, dtype=np.int64)
    found = current(conn, territory_id, WATER)
    if found is None or not len(wanted):
        return np.zeros(len(wanted))
    stored, values = _values(conn, found.id)
    return shares(at_resolution(stored, values, wanted, resolution), wanted)


def water_cells(conn: Connection, territory_id: int) -> tuple[Cells, Floats]:
    """Cells with any water at the resolution of the water set, ascending, and their share under water."""
    found = current(conn, territory_id, WATER)
    if found is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    cells, covered = _values(conn, found.id)
    return cells, shares(covered, cells)


def cells_with(conn: Connection, territory_id: int, kind: str) -> Cells:
    """Cells with any of a loaded kind, at the resolution of its set, ascending; none where it is not loaded."""
    found = current(conn, territory_id, kind)
    if found is None or not found.id:
        return np.zeros(0, dtype=np.int64)
    cells, values = _values(conn, found.id)
    return cells[values > 0]


def remarks(found: ExposureSet, resolution: int) -> tuple[Remark, ...]:
    """What a reader of rates must know about a set, shown at ``resolution``."""
    said = []
    if found.simulated:
        said.append(caution("exposure_simulated", label=found.label))
    if found.id and resolution > found.resolution:
        said.append(caution("exposure_spread", stored=found.resolution, shown=resolution))
    return tuple(said)


def require_kind(kind: str, *, computed: bool = False) -> None:
    """Raise InputError unless this is a kind of exposure that can be loaded (or computed)."""
    known = [each for each in (*KINDS, WATER) if computed or each != "area"]
    if kind not in known:
        raise InputError(f"'{kind}' is no kind of exposure; use one of {', '.join(known)}.")


def is_current(
    conn: Connection, territory_id: int, kind: str, label: str, resolution: int, cells: Cells, values: Floats
) -> bool:
    """Whether exactly these cells are the current set of a kind."""
    found = current(conn, territory_id, kind)
    if found is None or (found.label, found.resolution, found.cells) != (label, resolution, len(cells)):
        return False
    stored, amounts = _values(conn, found.id)
    return np.array_equal(stored, cells) and np.array_equal(amounts, values)


def replace_set(
    conn: Connection,
    territory_id: int,
    kind: str,
    *,
    label: str,
    resolution: int,
    cells: Cells,
    values: Floats,
    simulated: bool,
    file_name: str,
    file_digest: str,
    notes: Iterable[str] = (),
) -> ExposureSet:
    """Make these cells the current set of a kind; the caller commits.

    Waits for the territory's lock, ends the set before it and gives up its cells, and
    counts up the data version.

    Raises
    ------
    InputError : the kind does not exist, or there is no cell.
    """
    require_kind(kind)
    if not len(cells):
        raise InputError(f"A set of {kind} without any cell cannot replace the current one.")
    territories.lock_territory(conn, territory_id)
    _end(conn, territory_id, kind)
    set_id = conn.execute(
        text(
            """INSERT INTO exposure_set (territory_id, kind, label, unit, simulated, file_name, file_digest,
                 resolution, cells, total, notes)
               VALUES (:territory, :kind, :label, :unit, :simulated, :file_name, :file_digest,
                 :resolution, :cells, :total, CAST(:notes AS jsonb)) RETURNING id"""
        ),
        {
            "territory": territory_id,
            "kind": kind,
            "label": label,
            "unit": UNITS[kind],
            "simulated": simulated,
            "file_name": file_name,
            "file_digest": file_digest,
            "resolution": resolution,
            "cells": len(cells),
            "total": float(values.sum()),
            "notes": json.dumps({"notes": list(notes)}, ensure_ascii=False),
        },
    ).scalar_one()
    rows = pl.DataFrame(
        {
            "set_id": pl.Series(np.full(len(cells), set_id, dtype=np.int32)),
            "cell": pl.Series(cells),
            "value": pl.Series(values),
        }
    )
    copy_frame(conn, "exposure_cell", rows)
    territories.bump_version(conn, territory_id, incidents_hold=True)
    columns.carry(conn, territory_id)
    made = current(conn, territory_id, kind)
    if made is None:
        raise AssertionError(f"The set {set_id} was written and is not there.")
    return made


def remove_set(conn: Connection, territory_id: int, kind: str) -> ExposureSet | None:
    """End the current set of a kind without another in its place; the set, or None. The caller commits."""
    require_kind(kind)
    territories.lock_territory(conn, territory_id)
    found = current(conn, territory_id, kind)
    if found is not None:
        _end(conn, territory_id, kind)
        territories.bump_version(conn, territory_id, incidents_hold=True)
        columns.carry(conn, territory_id)
    return found


def _end(conn: Connection, territory_id: int, kind: str) -> None:
    # Served by ix_exposure_set_current. clock_timestamp(): a set that waited must not end before it began.
    ended = conn.execute(
        text(
            """UPDATE exposure_set SET valid_to = clock_timestamp()
               WHERE territory_id = :territory AND kind = :kind AND valid_to IS NULL RETURNING id"""
        ),
        {"territory": territory_id, "kind": kind},
    ).scalars()
    # What was loaded, and when, stays known; nobody asks for its cells again. Served by pk_exposure_cell.
    for before in ended.all():
        conn.execute(text("DELETE FROM exposure_cell WHERE set_id = :id"), {"id": before})


def _current(conn: Connection, territory_id: int) -> dict[str, ExposureSet]:
    # Served by ix_exposure_set_current.
    rows = conn.execute(
        text(
            """SELECT id, kind, label, unit, simulated, file_name, resolution, cells, total, valid_from
               FROM exposure_set WHERE territory_id = :territory AND valid_to IS NULL"""
        ),
        {"territory": territory_id},
    )
    return {
        row.kind: ExposureSet(
            id=row.id,
            kind=row.kind,
            label=row.label,
            unit=row.unit,
            per=PER[row.kind],
            simulated=row.simulated,
            file_name=row.file_name,
            resolution=row.resolution,
            cells=row.cells,
            total=row.total,
            loaded=row.valid_from,
        )
        for row in rows
    }


def _values(conn: Connection, set_id: int) -> tuple[Cells, Floats]:
    """Cells of a set in ascending order and their values; a set never changes once it is there."""
    key = (conn.engine.url.render_as_string(), set_id)
    with _lock:
        if key in _sets:
            _sets.move_to_end(key)
            return _sets[key]
    with raw_cursor(conn) as cursor:
        # Served by pk_exposure_cell; packed, so that no row becomes a Python object.
        cursor.execute(
            """SELECT string_agg(int8send(cell), ''::bytea), string_agg(float8send(value), ''::bytea)
               FROM exposure_cell WHERE set_id = %s""",
            (set_id,),
            binary=True,
        )
        cells_packed, values_packed = cursor.fetchone() or (None, None)
    cells = np.frombuffer(cells_packed or b"", dtype=">i8").astype(np.int64)
    values = np.frombuffer(values_packed or b"", dtype=">f8").astype(np.float64)
    order = np.argsort(cells)
    made = (cells[order], values[order])
    with _lock:
        _sets[key] = made
        while len(_sets) > _REMEMBERED:
            _sets.popitem(last=False)
    return made
