"""The rows of an answer about indicators, and which report belongs to which.

A row is an area, a party, an element or a group; reports are sorted to rows by a table of
the ids in one column. A department's rows are those of reports whose responsible party is
no external entity, and the other way round; whoever asks about entities asks about the
reports that are theirs. Caveat: areas are today's boundaries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data.lives import Lives, Standing

Ints = NDArray[np.int64]

#: Column of the lives that sorts reports to rows, and the kinds of party that count.
AREAS = {"municipality": "municipality", "district": "district"}
PARTIES = {
    "department": ("agency", lambda kind: kind != "entity"),
    "entity": ("agency", lambda kind: kind == "entity"),
    "contractor": ("contractor", lambda kind: True),
}
TERMS = ("element", "group")


@dataclass(frozen=True, slots=True, eq=False)
class RowSet:
    """Rows and the way to them.

    Attributes
    ----------
    keys, name_ar, name_en : of each row; the last one, with key None, is for reports that
        have none.
    column : of the lives that decides; "" where all reports are one row.
    table : (top + 1,) row of each id; -1 where a report belongs to no row at all.
    km2 : (rows,) of areas, else nan.
    """

    keys: tuple[int | str | None, ...]
    name_ar: tuple[str, ...]
    name_en: tuple[str, ...]
    column: str
    table: Ints
    km2: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, standing: Standing, positions: Ints) -> Ints:
        """The row of each report (k,), as of the moment; -1 for none at all."""
        if not self.column:
            return np.zeros(len(positions), dtype=np.int64)
        ids = standing.column(self.column)[positions]
        return self.table[np.minimum(ids, len(self.table) - 1)]


def one_row() -> RowSet:
    """All reports in one row."""
    return RowSet((None,), ("",), ("",), "", np.zeros(1, dtype=np.int64), np.full(1, np.nan))


def row_set(conn: Connection, lives: Lives, by: str) -> RowSet:
    """The rows of a dimension. Areas are all that are current or have reports, the rest what there is."""
    if by in AREAS:
        return _areas(conn, lives, by)
    if by in PARTIES:
        return _parties(conn, lives, by)
    return _terms(conn, by)


def column_of(by: str) -> str:
    """The column of the lives that a dimension needs; "" for months."""
    if by in PARTIES:
        return PARTIES[by][0]
    return "element" if by in TERMS else AREAS.get(by, "")


def _areas(conn: Connection, lives: Lives, level: str) -> RowSet:
    used = np.flatnonzero(np.bincount(lives.columns[level], minlength=1))
    # Served by ix_area_current, and pk_area for those that reports still carry.
    found = conn.execute(
        text(
            """SELECT id, name_ar, name_en, area_km2 FROM area WHERE territory_id = :territory
               AND level = :level AND (valid_to IS NULL OR id = ANY(:used)) ORDER BY name_ar, id"""
        ),
        {"territory": lives.facts.id, "level": level, "used": used.tolist()},
    ).all()
    ids = [row.id for row in found]
    return _made(
        ids,
        [row.name_ar for row in found],
        [row.name_en for row in found],
        level,
        {one: place for place, one in enumerate(ids)},
        len(ids),
        [row.area_km2 for row in found],
    )


def _parties(conn: Connection, lives: Lives, by: str) -> RowSet:
    column, belongs = PARTIES[by]
    # Served by uq_party_territory_id_code.
    parties = conn.execute(
        text(
            "SELECT id, kind, name_ar, name_en FROM party WHERE territory_id = :territory ORDER BY name_ar, id"
        ),
        {"territory": lives.facts.id},
    ).all()
    there = [row for row in parties if belongs(row.kind)]
    rows = {row.id: place for place, row in enumerate(there)}
    # Reports of parties of the other kind belong to no row here. Without any party a report
    # may still be a department's or a contractor's to be; it is never an entity's.
    others = {row.id: -1 for row in parties if not belongs(row.kind)}
    return _made(
        [row.id for row in there],
        [row.name_ar for row in there],
        [row.name_en for row in there],
        column,
        rows | others | ({0: -1} if by == "entity" else {}),
        len(there),
    )


def _terms(conn: Connection, by: str) -> RowSet:
    # Served by a scan of `element`: a few dozen rows.
    elements = conn.execute(
        text(
            "SELECT id, code, group_code, group_ar, group_en, name_ar, name_en FROM element ORDER BY code, id"
        )
    ).all()
    names: dict[str, tuple[str, str]] = {}
    for row in elements:
        if by == "group":
            names.setdefault(row.group_code, (row.group_ar, row.group_en))
        else:
            names[row.code] = (row.name_ar, row.name_en)
    keys = sorted(names)
    place = {key: number for number, key in enumerate(keys)}
    return _made(
        keys,
        [names[key][0] for key in keys],
        [names[key][1] for key in keys],
        "element",
        {row.id: place[row.group_code if by == "group" else row.code] for row in elements},
        len(keys),
    )


def _made(
    keys: list[int] | list[str],
    name_ar: list[str],
    name_en: list[str],
    column: str,
    rows: dict[int, int],
    none: int,
    km2: Iterable[float] | None = None,
) -> RowSet:
    # One more id than there is, for whatever is not in the table.
    table = np.full(max(rows, default=0) + 2, none, dtype=np.int64)
    for one, row in rows.items():
        table[one] = row
    return RowSet(
        (*keys, None),
        (*name_ar, ""),
        (*name_en, ""),
        column,
        table,
        np.array([*(km2 if km2 is not None else [np.nan] * len(keys)), np.nan]),
    )
