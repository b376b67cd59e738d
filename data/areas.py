"""Boundaries in the store: current areas, their names, and replacing a level's set.

A new set of a level takes the place of the old one, which is kept with its validity. In
the same transaction parents are found again (largest common ground in the next coarser
level), the territory's study area becomes the union of all current areas, and every
report is assigned anew (``data/assignment.py``).
Caveat: a parent says where most of an area lies; levels of different sources rarely nest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from sqlalchemy import Connection, text

from data import assignment, columns, routing, territories
from data.vocabulary import LEVELS
from geo import boundaries
from geo.errors import InputError

# Below this share of its ground in common, a coarser area is a neighbour and no parent.
_PARENT_SHARE = 0.10


@dataclass(frozen=True)
class AreaSetResult:
    """What a new set changed.

    Attributes
    ----------
    id : of the set; ids : of its areas, in the order they were given.
    closed : areas of the replaced set, now of the past.
    orphans : areas without a parent although a coarser level exists.
    reassigned : reports whose areas, precision or flags changed.
    far : reports that now lie beyond the margin of the study area (kept and flagged).
    lost : area-precise reports whose area has no counterpart and that have no other.
    """

    id: int
    level: str
    ids: tuple[int, ...]
    closed: int
    orphans: int
    reassigned: int
    far: int
    lost: int


def current_areas(conn: Connection, territory_id: int, level: str | None = None) -> gpd.GeoDataFrame:
    """Current areas of a territory, of one level or all, coarse before fine.

    Returns
    -------
    GeoDataFrame (EPSG:4326): id, level, parent_id (int or None), code, name_ar, name_en,
    area_km2, illustrative, geometry (multipolygons).
    """
    if level is not None:
        require_level(level)
    # Served by ix_area_current.
    rows = conn.execute(
        text(
            """SELECT a.id, a.level, a.parent_id, a.code, a.name_ar, a.name_en, a.area_km2, s.illustrative,
                      ST_AsBinary(a.geom) AS shape
               FROM area a JOIN area_set s ON s.id = a.area_set_id
               WHERE a.territory_id = :territory AND a.valid_to IS NULL
                 AND (CAST(:level AS text) IS NULL OR a.level = :level)
               ORDER BY array_position(CAST(:levels AS text[]), a.level), a.id"""
        ),
        {"territory": territory_id, "level": level, "levels": list(LEVELS)},
    ).all()
    frame = pd.DataFrame(
        {
            "id": np.array([row.id for row in rows], dtype=np.int64),
            "level": pd.Series([row.level for row in rows], dtype=object),
            "parent_id": pd.Series([row.parent_id for row in rows], dtype=object),
            "code": pd.Series([row.code for row in rows], dtype=object),
            "name_ar": pd.Series([row.name_ar for row in rows], dtype=object),
            "name_en": pd.Series([row.name_en for row in rows], dtype=object),
            "area_km2": np.array([row.area_km2 for row in rows], dtype=np.float64),
            "illustrative": np.array([row.illustrative for row in rows], dtype=bool),
        }
    )
    shapes = shapely.from_wkb(np.array([bytes(row.shape) for row in rows], dtype=object))
    return gpd.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326")


@dataclass(frozen=True, slots=True)
class AreaName:
    """A current area without its outline."""

    id: int
    level: str
    name_ar: str
    name_en: str


def current_names(conn: Connection, territory_id: int) -> list[AreaName]:
    """Names of the current areas, to choose from."""
    # Served by ix_area_current.
    rows = conn.execute(
        text(
            """SELECT id, level, name_ar, name_en FROM area
               WHERE territory_id = :territory AND valid_to IS NULL ORDER BY id"""
        ),
        {"territory": territory_id},
    )
    return [AreaName(*row) for row in rows]


def current_ids(conn: Connection, territory_id: int) -> frozenset[int]:
    """Ids of the current areas of all levels."""
    # Served by ix_area_current.
    found = conn.execute(
        text("SELECT id FROM area WHERE territory_id = :territory AND valid_to IS NULL"),
        {"territory": territory_id},
    )
    return frozenset(found.scalars())


def area_names(conn: Connection, territory_id: int) -> list[tuple[str, int, list[str]]]:
    """(level, area id, folded names) of the current areas, for matching names in reports."""
    # Served by ix_area_current.
    rows = conn.execute(
        text(
            """SELECT level, id, folded_names FROM area
               WHERE territory_id = :territory AND valid_to IS NULL ORDER BY id"""
        ),
        {"territory": territory_id},
    )
    return [(row.level, row.id, list(row.folded_names)) for row in rows]


def require_level(level: str) -> None:
    """Raise InputError unless this is a level of areas."""
    if level not in LEVELS:
        raise InputError(f"'{level}' is no level of areas; use one of {', '.join(LEVELS)}.")


def is_current(
    conn: Connection, territory_id: int, level: str, areas: gpd.GeoDataFrame, illustrative: bool
) -> bool:
    """Whether exactly these areas (names, codes, outlines, label) are the current ones of the level."""
    # Served by ix_area_current.
    held = conn.execute(
        text(
            """SELECT a.code, a.ministry_code, a.iso_code, a.name_ar, a.name_en, a.folded_names,
                 ST_AsBinary(a.geom) AS shape, s.illustrative
               FROM area a JOIN area_set s ON s.id = a.area_set_id
               WHERE a.territory_id = :territory AND a.level = :level AND a.valid_to IS NULL ORDER BY a.id"""
        ),
        {"territory": territory_id, "level": level},
    ).all()
    if len(held) != len(areas) or any(row.illustrative != illustrative for row in held):
        return False
    fields = ["code", "ministry_code", "iso_code", "name_ar", "name_en"]
    given = areas[fields].astype(object).where(areas[fields].notna(), None).itertuples(index=False, name=None)
    shapes = shapely.to_wkb(boundaries.to_multipolygon(areas.geometry.values))
    return all(
        tuple(row[: len(fields)]) == values
        and sorted(row.folded_names) == sorted(folded)
        and bytes(row.shape) == shape
        for row, values, folded, shape in zip(held, given, areas["folded_names"], shapes, strict=True)
    )


def replace_set(
    conn: Connection,
    territory_id: int,
    level: str,
    areas: gpd.GeoDataFrame,
    *,
    file_name: str,
    file_digest: str,
    illustrative: bool = False,
    read: int | None = None,
    repaired: int = 0,
    overlap_km2: float = 0.0,
    gap_km2: float = 0.0,
    notes: Iterable[str] = (),
    assign: bool = True,
) -> AreaSetResult:
    """Make these areas the current set of a level; the caller commits.

    Parameters
    ----------
    areas : one row an area, EPSG:4326, valid multipolygons, with the columns code,
        ministry_code, iso_code (None where unknown), name_ar, name_en, folded_names
        (list of str), area_km2, geometry; optional parent_folded (list of str): folded
        names of the parent as the file says it
    assign : False when another level follows in the same transaction: then reports are
        assigned once, by the last

    Waits for the territory's lock. Raises InputError for an unknown level or no areas.
    """
    require_level(level)
    if not len(areas):
        raise InputError("A set without areas cannot replace the current one.")
    territories.lock_territory(conn, territory_id)
    old = _folded_by_id(conn, territory_id, level)
    _close(conn, territory_id, level)
    set_id = conn.execute(
        text(
            """INSERT INTO area_set (territory_id, level, file_name, file_digest, illustrative, read,
                 accepted, repaired, overlap_km2, gap_km2, notes)
               VALUES (:territory, :level, :file_name, :file_digest, :illustrative, :read, :accepted,
                 :repaired, :overlap, :gap, CAST(:notes AS jsonb)) RETURNING id"""
        ),
        {
            "territory": territory_id,
            "level": level,
            "file_name": file_name,
            "file_digest": file_digest,
            "illustrative": illustrative,
            "read": len(areas) if read is None else read,
            "accepted": len(areas),
            "repaired": repaired,
            "overlap": overlap_km2,
            "gap": gap_km2,
            "notes": json.dumps({"notes": list(notes)}, ensure_ascii=False),
        },
    ).scalar_one()
    ids = _insert(conn, territory_id, level, set_id, areas)
    successors = _successors(old, _folded_by_id(conn, territory_id, level))
    said = areas["parent_folded"].tolist() if "parent_folded" in areas.columns else [[]] * len(ids)
    orphans = _find_parents(conn, territory_id, level, dict(zip(ids, said, strict=True)), successors)
    _rebuild_study_area(conn, territory_id)
    current = current_areas(conn, territory_id)
    routing.follow_areas(conn, territory_id, successors)
    followed = assignment.follow_names(conn, territory_id, level, old, successors, _parents(current))
    outcome = assignment.Reassigned(0, 0)
    if assign:
        study_area = territories.study_area(conn, territory_id)
        outcome = assignment.assign_reports(conn, territory_id, current, study_area)
    territories.bump_version(conn, territory_id, incidents_hold=True)
    columns.refresh(conn, territory_id)
    return AreaSetResult(
        id=set_id,
        level=level,
        ids=tuple(ids),
        closed=len(old),
        orphans=orphans,
        reassigned=outcome.changed + followed.moved,
        far=outcome.far,
        lost=followed.lost,
    )


def _close(conn: Connection, territory_id: int, level: str) -> None:
    # clock_timestamp(), not now(): a set that waited for the lock must not end before it began.
    for table in ("area", "area_set"):
        conn.execute(
            text(
                f"""UPDATE {table} SET valid_to = clock_timestamp()
                    WHERE territory_id = :territory AND level = :level AND valid_to IS NULL"""
            ),
            {"territory": territory_id, "level": level},
        )


def _insert(
    conn: Connection, territory_id: int, level: str, set_id: int, areas: gpd.GeoDataFrame
) -> list[int]:
    shapes = boundaries.to_multipolygon(areas.geometry.values)
    fields = ("code", "ministry_code", "iso_code", "name_ar", "name_en", "area_km2")
    rows: list[dict[str, Any]] = [
        {
            "territory": territory_id,
            "level": level,
            "set": set_id,
            "shape": shape,
            "folded": list(folded),
            **dict(zip(fields, values, strict=True)),
        }
        for shape, folded, values in zip(
            shapely.to_wkb(shapes),
            areas["folded_names"],
            areas[list(fields)]
            .astype(object)
            .where(areas[list(fields)].notna(), None)
            .itertuples(index=False, name=None),
            strict=True,
        )
    ]
    conn.execute(
        text(
            """INSERT INTO area (area_set_id, territory_id, level, code, ministry_code, iso_code, name_ar,
                 name_en, folded_names, area_km2, geom)
               VALUES (:set, :territory, :level, :code, :ministry_code, :iso_code, :name_ar, :name_en,
                 CAST(:folded AS text[]), :area_km2, ST_SetSRID(ST_GeomFromWKB(:shape), 4326))"""
        ),
        rows,
    )
    # Ids grow in the order of insertion; served by ix_area_area_set_id.
    found = conn.execute(text("SELECT id FROM area WHERE area_set_id = :set ORDER BY id"), {"set": set_id})
    return list(found.scalars())


def _folded_by_id(conn: Connection, territory_id: int, level: str) -> dict[int, frozenset[str]]:
    return {area: frozenset(folded) for kind, area, folded in area_names(conn, territory_id) if kind == level}


def _successors(old: dict[int, frozenset[str]], new: dict[int, frozenset[str]]) -> dict[int, int]:
    """Old area id → the one new area that shares most names with it; ambiguous ones are left out."""
    by_name: dict[str, list[int]] = {}
    for area, folded in new.items():
        for name in folded:
            by_name.setdefault(name, []).append(area)
    found: dict[int, int] = {}
    for area, folded in old.items():
        shared: dict[int, int] = {}
        for name in folded:
            for candidate in by_name.get(name, ()):
                shared[candidate] = shared.get(candidate, 0) + 1
        most = max(shared.values(), default=0)
        best = [candidate for candidate, count in shared.items() if count == most]
        if len(best) == 1:
            found[area] = best[0]
    return found


def _find_parents(
    conn: Connection,
    territory_id: int,
    level: str,
    said: dict[int, list[str]],
    successors: dict[int, int],
) -> int:
    """Set the parents of this level's areas and of the next finer level's; returns orphans of this level."""
    # Served by ix_area_current.
    present = set(
        conn.execute(
            text("SELECT DISTINCT level FROM area WHERE territory_id = :territory AND valid_to IS NULL"),
            {"territory": territory_id},
        ).scalars()
    )
    chain = [name for name in LEVELS if name in present]
    at = chain.index(level)
    orphans = 0
    for child, parent in ((at, at - 1), (at + 1, at)):
        if child >= len(chain) or parent < 0:
            continue
        children = current_areas(conn, territory_id, chain[child])
        coarser = current_areas(conn, territory_id, chain[parent])
        found = _largest_overlap(children.geometry.values, coarser.geometry.values)
        parents = [int(coarser["id"].iloc[i]) if i >= 0 else None for i in found]
        named = _folded_by_id(conn, territory_id, chain[parent])
        for i, (own, before) in enumerate(zip(children["id"], children["parent_id"], strict=True)):
            by_name = [area for area, folded in named.items() if folded & set(said.get(int(own), ()))]
            if child == at and len(by_name) == 1:
                parents[i] = by_name[0]
            elif parents[i] is None and before in successors:
                parents[i] = successors[before]
        conn.execute(
            text("UPDATE area SET parent_id = :parent WHERE id = :id AND parent_id IS DISTINCT FROM :parent"),
            [{"id": int(own), "parent": up} for own, up in zip(children["id"], parents, strict=True)],
        )
        if child == at:
            orphans = sum(up is None for up in parents)
    return orphans


def _largest_overlap(children: npt.ArrayLike, coarser: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Position of the coarser area that covers most of each child; -1 where none covers enough."""
    inner, outer = np.asarray(children, dtype=object), np.asarray(coarser, dtype=object)
    shapely.prepare(inner)
    child, parent = shapely.STRtree(outer).query(inner, predicate="intersects")
    # Ties go to the first: order by child and parent.
    order = np.lexsort((parent, child))
    child, parent = child[order], parent[order]
    shapely.prepare(outer)
    whole = shapely.covers(outer[parent], inner[child])
    # Degrees are fine for a share: both areas lie at the same latitude.
    common = shapely.area(inner[child])
    common[~whole] = shapely.area(shapely.intersection(inner[child[~whole]], outer[parent[~whole]]))
    result = np.full(len(inner), -1, dtype=np.int64)
    best = _PARENT_SHARE * shapely.area(inner)
    for i, j, ground in zip(child, parent, common, strict=True):
        if ground > best[i]:
            best[i], result[i] = ground, j
    return result


def _parents(current: gpd.GeoDataFrame) -> dict[int, tuple[str, int]]:
    level_of = dict(zip(current["id"], current["level"], strict=True))
    pairs = current.loc[current["parent_id"].notna(), ["id", "parent_id"]].itertuples(index=False, name=None)
    return {int(own): (level_of[parent], int(parent)) for own, parent in pairs if parent in level_of}


def _rebuild_study_area(conn: Connection, territory_id: int) -> None:
    union = boundaries.study_area(current_areas(conn, territory_id).geometry.values)
    conn.execute(
        text("UPDATE territory SET study_area = ST_SetSRID(ST_GeomFromWKB(:shape), 4326) WHERE id = :id"),
        {"shape": shapely.to_wkb(union), "id": territory_id},
    )
