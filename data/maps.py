"""Counts by cell for the map, and what is known about one cell.

Reports are counted by their H3 cell at the finest resolution that stays within a number
of cells, then rolled up in numpy; the browser picks the resolution that suits its zoom.
Caveat: H3 cells nest only approximately, so a coarse cell's count is that of its finer
cells, not of its exact outline. Reports without a point are never drawn, and reports on
a geocoder's default point only when the query asks for them; both are counted apart.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data import columns
from data.query import ReportQuery
from geo.cells import areas_km2, child_range, parents, resolutions
from geo.errors import InputError

COARSEST = 4
FINEST = columns.RESOLUTION
_AREA_SAMPLE = 100  # cells whose areas are averaged: those of one territory differ by a few per cent


@dataclass(frozen=True, slots=True)
class CellLevel:
    """Reports by cell at one resolution; arrays of shape (k,), cells in ascending order.

    Attributes
    ----------
    cells : H3 indexes, int64.
    counts : reports in the cell, int64.
    area_ids : municipality that holds most of the cell's reports, int64, 0 for none.
    km2 : mean area of one of these cells, square kilometres; nan without cells.
    """

    cells: NDArray[np.int64]
    counts: NDArray[np.int64]
    area_ids: NDArray[np.int64]
    km2: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Reports that fit the query and are not on the map, and why.

    Attributes
    ----------
    no_point : known by area name only, or without any place.
    default_points : on a geocoder's default point (0 when the query asks for them).
    area_only : of ``no_point``, those with a known area: they count in area totals.
    """

    no_point: int
    default_points: int
    area_only: int

    @property
    def total(self) -> int:
        """All reports that are not on the map."""
        return self.no_point + self.default_points


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Answer of ``cell_counts``: a ``CellLevel`` for each resolution, coarse to fine."""

    levels: dict[int, CellLevel]
    shown: int
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a whole.

    Attributes
    ----------
    key : code (element, group) or number (type, status, channel); None for reports that
        have none.
    name_ar, name_en : None where the words come from the language catalogues (status,
        channel) and where ``key`` is None.
    """

    key: int | str | None
    name_ar: str | None
    name_en: str | None
    count: int


@dataclass(frozen=True, slots=True)
class CellDetail:
    """What is known about one cell; parts in falling order of count.

    Attributes
    ----------
    rate : reports per km².
    municipality_*, district_* : the areas that hold most of its reports, None for none.
    by_month : (first day of the local month, count), empty months between included.
    first, last : local days of the first and the last report; None without reports.
    """

    cell: int
    resolution: int
    count: int
    km2: float
    rate: float
    municipality_ar: str | None
    municipality_en: str | None
    district_ar: str | None
    district_en: str | None
    by_element: tuple[Part, ...]
    by_type: tuple[Part, ...]
    by_group: tuple[Part, ...]
    by_status: tuple[Part, ...]
    by_channel: tuple[Part, ...]
    by_month: tuple[tuple[dt.date, int], ...]
    first: dt.date | None
    last: dt.date | None


def cell_counts(
    conn: Connection, query: ReportQuery, finest: int | None = None, max_cells: int = 60_000
) -> CellCounts:
    """Reports by cell at resolutions 4 to the finest that has at most ``max_cells`` cells.

    Parameters
    ----------
    finest : do not go finer than this resolution (at most 10, which is the default).
    max_cells : cells of the finest level; when even resolution 4 has more, it is given
        all the same, for nothing coarser is readable on a city's map.

    Raises
    ------
    InputError : ``finest`` is out of range, or the territory does not exist.
    """
    if finest is None:
        finest = FINEST
    if not 0 <= finest <= FINEST:
        raise InputError(f"Resolution {finest}: choose one from 0 to {FINEST}.")
    found, chosen = columns.select(conn, query, {"municipality"}, keep_default_points=True)
    state = found.reports["state"]
    on_default = (state & columns.ON_DEFAULT_POINT) != 0
    defaults = 0
    if not query.default_points:
        defaults = int(np.count_nonzero(chosen & on_default))
        chosen &= ~on_default
    counts = found.per_run(chosen)
    nowhere = found.runs["cell"] == 0
    without = int(counts[nowhere].sum())
    # Cells are sorted, so the reports without one are the first of the columns.
    placeless = int(found.runs["length"][nowhere].sum(dtype=np.int64))
    in_area = (state[:placeless] & columns.IN_AREA_ONLY) != 0
    used = (counts > 0) & ~nowhere
    pairs = _Pairs(found.runs["cell"][used], found.runs["municipality"][used], counts[used])
    levels: dict[int, CellLevel] = {}
    for resolution in range(finest, min(COARSEST, finest) - 1, -1):
        # Counting cells is cheap; a level that is too fine is not worth adding up.
        if resolution > COARSEST and pairs.cells_at(resolution) > max_cells:
            continue
        pairs = pairs.at(resolution)
        levels[resolution] = pairs.level()
    return CellCounts(
        levels=dict(sorted(levels.items())),
        shown=int(counts[used].sum()),
        left_out=LeftOut(
            no_point=without,
            default_points=defaults,
            area_only=int(np.count_nonzero(chosen[:placeless] & in_area)),
        ),
    )


def cell_detail(conn: Connection, query: ReportQuery, cell: int, resolution: int | None = None) -> CellDetail:
    """Everything about the reports of one cell that fit the query.

    Parameters
    ----------
    cell : H3 index of resolution 0 to 10.
    resolution : checked against the cell's own when given.

    Raises
    ------
    InputError : it is no cell, or one of another resolution than said.
    """
    # The smallest and largest index of H3's resolutions 0 to 15, before numpy's int64 overflows.
    own = int(resolutions(np.array([cell]))[0]) if 1 << 59 <= cell < 1 << 60 else -1
    if not 0 <= own <= FINEST:
        raise InputError(f"{cell} is not an H3 cell of resolution 0 to {FINEST}.")
    if resolution is not None and resolution != own:
        raise InputError(f"Cell {cell:x} has resolution {own}, not {resolution}.")
    names = {"municipality", "district", "element", "type", "channel", "day"}
    found, chosen = columns.select(conn, query, names)
    # Descendants of a cell are a contiguous range of integers, and the columns are sorted.
    low, high = child_range(cell, FINEST)
    runs = slice(
        int(np.searchsorted(found.runs["cell"], low, "left")),
        int(np.searchsorted(found.runs["cell"], high, "right")),
    )
    before = int(found.runs["length"][: runs.start].sum(dtype=np.int64))
    inside = slice(before, before + int(found.runs["length"][runs].sum(dtype=np.int64)))
    keep = chosen[inside]
    lengths = found.runs["length"][runs]
    count = int(np.count_nonzero(keep))
    km2 = float(areas_km2(np.array([cell]))[0])
    report = {name: values[inside][keep] for name, values in found.reports.items()}
    main = [
        _most_common(np.repeat(found.runs[level][runs], lengths)[keep])
        for level in ("municipality", "district")
    ]
    area_names = _area_names(conn, main)
    by_element, by_group = _taxonomy_parts(conn, report["element"])
    months, month_counts = columns.by_month(report["day"])
    days = report["day"]
    return CellDetail(
        cell=cell,
        resolution=own,
        count=count,
        km2=km2,
        rate=count / km2,
        municipality_ar=area_names.get(main[0], (None, None))[0],
        municipality_en=area_names.get(main[0], (None, None))[1],
        district_ar=area_names.get(main[1], (None, None))[0],
        district_en=area_names.get(main[1], (None, None))[1],
        by_element=by_element,
        by_type=_type_parts(conn, report["type"]),
        by_group=by_group,
        by_status=_falling(
            Part(k, None, None, n) for k, n in columns.tally(report["state"] & columns.STATUS_BITS)
        ),
        by_channel=_falling(Part(k, None, None, n) for k, n in columns.tally(report["channel"])),
        by_month=tuple(zip(months.astype("datetime64[D]").tolist(), month_counts.tolist(), strict=True)),
        first=columns.as_date(int(days.min())) if count else None,
        last=columns.as_date(int(days.max())) if count else None,
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Counts by cell and municipality, (m,) each, in order of cell; cells may repeat."""

    cells: NDArray[np.int64]
    areas: NDArray[np.int32]
    counts: NDArray[np.int64]

    def cells_at(self, resolution: int) -> int:
        """Number of cells at a resolution."""
        cells = parents(self.cells, resolution)
        return int(np.count_nonzero(cells[1:] != cells[:-1])) + bool(len(cells))

    def at(self, resolution: int) -> _Pairs:
        """The same by parent cell, each pair of cell and municipality once, in that order."""
        if not len(self.cells):
            return self
        # Parents keep the order of their children, so new cells begin where the value changes.
        cells = parents(self.cells, resolution)
        starts = np.r_[True, cells[1:] != cells[:-1]]
        key = (np.cumsum(starts) << 32) | self.areas
        order = np.argsort(key, kind="stable")  # nearly sorted already: a merge sort is quick
        key = key[order]
        first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
        counts = np.add.reduceat(self.counts[order], first)
        return replace(self, cells=cells[order][first], areas=self.areas[order][first], counts=counts)

    def level(self) -> CellLevel:
        """Totals by cell, with the municipality that has most; the lower id on a tie."""
        empty = np.zeros(0, dtype=np.int64)
        if not len(self.cells):
            return CellLevel(empty, empty, empty, float("nan"))
        starts = np.flatnonzero(np.r_[True, self.cells[1:] != self.cells[:-1]])
        cells, totals = self.cells[starts], np.add.reduceat(self.counts, starts)
        # Reports outside every municipality do not outvote those inside one.
        votes = np.where(self.areas > 0, self.counts, 0)
        most = np.repeat(np.maximum.reduceat(votes, starts), np.diff(starts, append=len(votes)))
        areas = np.where((votes == most) & (votes > 0), self.areas, np.iinfo(np.int32).max)
        winner = np.minimum.reduceat(areas, starts).astype(np.int64)
        winner[winner == np.iinfo(np.int32).max] = 0
        step = max(1, len(cells) // _AREA_SAMPLE)
        return CellLevel(cells, totals, winner, float(areas_km2(cells[::step]).mean()))


def _falling(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: (-part.count, str(part.key))))


def _most_common(ids: NDArray) -> int:
    """The id that occurs most (the lower on a tie), 0 when there is none above 0."""
    return min(columns.tally(ids[ids > 0]), key=lambda item: (-item[1], item[0]), default=(0, 0))[0]


def _area_names(conn: Connection, ids: list[int]) -> dict[int, tuple[str, str]]:
    # Served by pk_area.
    rows = conn.execute(text("SELECT id, name_ar, name_en FROM area WHERE id = ANY(:ids)"), {"ids": ids})
    return {row.id: (row.name_ar, row.name_en) for row in rows}


def _taxonomy_parts(conn: Connection, elements: NDArray) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Parts by element and by group of the element ids (n,); versions of a code are one part."""
    counted = dict(columns.tally(elements))
    # Served by pk_element.
    rows = conn.execute(
        text(
            "SELECT id, code, name_ar, name_en, group_code, group_ar, group_en FROM element"
            " WHERE id = ANY(:ids) ORDER BY version"
        ),
        {"ids": list(counted)},
    )
    by_element: dict[str, Part] = {}
    by_group: dict[str, Part] = {}
    for row in rows:
        n = counted[row.id]
        before = by_element.get(row.code)
        by_element[row.code] = Part(row.code, row.name_ar, row.name_en, n + (before.count if before else 0))
        before = by_group.get(row.group_code)
        by_group[row.group_code] = Part(
            row.group_code, row.group_ar, row.group_en, n + (before.count if before else 0)
        )
    none = [Part(None, None, None, counted[0])] if 0 in counted else []
    return _falling([*by_element.values(), *none]), _falling([*by_group.values(), *none])


def _type_parts(conn: Connection, types: NDArray) -> tuple[Part, ...]:
    """Parts by source type of the ids (n,). A source has one wording, given for both languages."""
    counted = dict(columns.tally(types))
    # Served by pk_source_type.
    rows = conn.execute(text("SELECT id, name FROM source_type WHERE id = ANY(:ids)"), {"ids": list(counted)})
    parts = [Part(row.id, row.name, row.name, counted[row.id]) for row in rows]
    none = [Part(None, None, None, counted[0])] if 0 in counted else []
    return _falling([*parts, *none])
