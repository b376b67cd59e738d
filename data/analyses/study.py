"""The study area of a question as H3 cells, zeros included, and its reports by cell and time.

A cell belongs to the study area when its centre lies in the chosen areas: a cell without
reports is then a zero and not a hole. Without boundaries the area is guessed from the
reports (their cells and the cells around), and a remark says so. Caveat: a report close
to the boundary may lie in a cell whose centre is outside; such reports are counted as
``outside``, not hidden.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import h3ronpy
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from sqlalchemy import Connection, text

from data import columns, exposures
from data.access import reach
from data.maps import COARSEST, FINEST, LeftOut
from data.query import ReportQuery, TerritoryFacts, territory_facts
from data.territories import study_area
from geo.boundaries import areas_km2 as geometry_km2
from geo.cells import Cells, areas_km2, cells_covering, cells_of, parents
from geo.errors import InputError
from geo.remarks import Remark, caution, decided

if TYPE_CHECKING:
    from geo.scale import Choice

Step = Literal["day", "week", "month"]
MAX_CELLS = 400_000  # of a study area; beyond it the question is at the wrong resolution
MAX_STEPS = {"day": 800, "week": 260, "month": 120}

DROWNED = 0.5  # share under water from which a cell without any report is no place for one
_REMEMBERED = 48
_covers: OrderedDict[tuple[object, ...], tuple[Cells, bool, int]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Study:
    """Reports by cell of the whole study area.

    Attributes
    ----------
    cells : (n,) int64, ascending; all cells of the study area.
    counts : (n,) int64, reports that fit the query.
    km2 : (n,) float64, area of each cell.
    bounded : False when no boundaries are loaded and the area was guessed.
    left_out : reports that fit and have no usable point.
    outside : reports that fit, with a point, in no cell of the study area.
    remarks : what was decided and what to know.
    """

    facts: TerritoryFacts
    query: ReportQuery
    resolution: int
    cells: Cells
    counts: npt.NDArray[np.int64]
    km2: npt.NDArray[np.float64]
    bounded: bool
    left_out: LeftOut
    outside: int
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class Cube:
    """Reports by cell and time step.

    Attributes
    ----------
    cells : (n,) int64, ascending.
    starts : (t,) datetime64[D], first local day of each step.
    counts : (n, t) int32.
    partial : (t,) bool, steps of which only a part lies within the period or the data.
    remarks : what was cut.
    """

    cells: Cells
    step: Step
    starts: npt.NDArray[np.datetime64]
    counts: npt.NDArray[np.int32]
    partial: npt.NDArray[np.bool_]
    remarks: tuple[Remark, ...]

    def whole(self) -> Cube:
        """The same without the steps at both ends that are not whole."""
        keep = np.flatnonzero(~self.partial)
        if not len(keep):
            return replace(self, starts=self.starts[:0], counts=self.counts[:, :0], partial=self.partial[:0])
        span = slice(int(keep[0]), int(keep[-1]) + 1)
        return replace(
            self, starts=self.starts[span], counts=self.counts[:, span], partial=self.partial[span]
        )


def study(conn: Connection, query: ReportQuery, resolution: int) -> Study:
    """Reports by cell of the query's study area at one resolution.

    Raises
    ------
    InputError : the resolution is out of range or gives too many cells.
    """
    cells, bounded, drowned = _cover(conn, query, resolution)
    found, chosen = columns.select(conn, query, {"cell"}, keep_default_points=True)
    state = found.reports["state"]
    on_default = (state & columns.ON_DEFAULT_POINT) != 0
    defaults = 0
    if not query.default_points:
        defaults = int(np.count_nonzero(chosen & on_default))
        chosen = chosen & ~on_default
    counts = found.per_run(chosen)
    nowhere = found.runs["cell"] == 0
    placeless = int(found.runs["length"][nowhere].sum(dtype=np.int64))
    in_area = (state[:placeless] & columns.IN_AREA_ONLY) != 0
    by_cell, outside = _onto(cells, found.runs["cell"], counts, resolution)
    remarks = []
    if not bounded:
        remarks.append(caution("study_guessed", cells=len(cells)))
    if drowned:
        remarks.append(decided("study_water", cells=drowned))
    if outside:
        remarks.append(caution("study_outside", reports=outside))
    return Study(
        facts=found.facts,
        query=query,
        resolution=resolution,
        cells=cells,
        counts=by_cell,
        km2=areas_km2(cells),
        bounded=bounded,
        left_out=LeftOut(
            no_point=int(counts[nowhere].sum()),
            default_points=defaults,
            area_only=int(np.count_nonzero(chosen[:placeless] & in_area)),
        ),
        outside=outside,
        remarks=tuple(remarks),
    )


def study_cells(conn: Connection, query: ReportQuery, resolution: int) -> tuple[Cells, bool]:
    """All cells of the study area, (n,) ascending, and whether boundaries bound it."""
    cells, bounded, _ = _cover(conn, query, resolution)
    return cells, bounded


def counts_of(conn: Connection, query: ReportQuery, cells: Cells, resolution: int) -> npt.NDArray[np.int64]:
    """Reports that fit another query, on the same cells, (n,)."""
    found, chosen = columns.select(conn, query, {"cell"})
    return _onto(cells, found.runs["cell"], found.per_run(chosen), resolution)[0]


def best_resolution(conn: Connection, query: ReportQuery, steps: int = 1) -> Choice:
    """Resolution and number of rings that suit the reports, with the reasons as remarks.

    ``steps``: the reports fall into so many steps of time, and an average one has to do.
    """
    from geo.scale import choose

    found, chosen = columns.select(conn, query, {"cell"})
    counts = found.per_run(chosen)
    used = (counts > 0) & (found.runs["cell"] != 0)
    cells, counts = found.runs["cell"][used], counts[used]
    shape = study_shape(conn, query)
    # Once: a shape of many corners takes a tenth of a second.
    km2 = 0.0 if shape is None else float(geometry_km2([shape])[0])
    occupied: dict[int, npt.NDArray] = {}
    in_area: dict[int, int] = {}
    for resolution in range(FINEST, COARSEST, -1):
        cells, counts = _grouped(parents(cells, resolution), counts)
        occupied[resolution] = counts / steps
        # Without boundaries the guessed area is the cells with reports and those around them.
        in_area[resolution] = 3 * len(cells)
        if shape is not None:
            in_area[resolution] = max(len(cells), round(km2 / _cell_km2(shape, resolution)))
    return choose(occupied, in_area)


def cube(conn: Connection, query: ReportQuery, cells: Cells, resolution: int, step: Step) -> Cube:
    """Reports by cell and day, week or month, from the query's first to its last day.

    Without a first or last day in the query, those of the territory's reports are taken,
    so that two elements of one territory have the same steps. A week is seven days
    counted back from the last day; a month is a calendar month.

    Parameters
    ----------
    cells : (n,) int64, ascending, of ``resolution``.
    """
    if step not in MAX_STEPS:
        raise InputError(f"A cube has steps of a day, a week or a month, not of {step!r}.")
    found, chosen = columns.select(conn, query, {"cell", "day"})
    day = found.reports["day"].astype(np.int32)
    usable = day[(found.reports["state"] & columns.ON_DEFAULT_POINT) == 0]
    remarks: list[Remark] = []
    if not len(usable):
        nothing = np.zeros(0, dtype="datetime64[D]")
        empty = np.zeros((len(cells), 0), dtype=np.int32)
        return Cube(cells, step, nothing, empty, np.zeros(0, dtype=bool), ())
    first = _day_number(query.start) if query.start else int(usable.min())
    last = _day_number(query.end) if query.end else int(usable.max())
    # Days without any report at the far ends are not data: a period may be asked for too wide.
    first, last = max(first, int(usable.min())), min(last, int(usable.max()))
    starts, number_of_day = _steps(first, last, step)
    if len(starts) > MAX_STEPS[step]:
        remarks.append(decided("cube_cut", steps=MAX_STEPS[step], asked=len(starts)))
        gone = len(starts) - MAX_STEPS[step]
        starts = starts[gone:]
        number_of_day = number_of_day - gone
    partial = np.zeros(len(starts), dtype=bool)
    if len(starts):
        after = _after(starts[-1], step)
        partial[0] = starts[0] < first
        partial[-1] |= after - 1 > last
    place = places(cells, found.runs["cell"], resolution)
    of_report = found.spread(place)
    keep = chosen & (of_report >= 0) & (day >= first) & (day <= last)
    when = number_of_day[day[keep] - first]
    where = of_report[keep]
    late = when >= 0
    flat = where[late].astype(np.int64) * len(starts) + when[late]
    counts = np.bincount(flat, minlength=len(cells) * len(starts)).astype(np.int32)
    return Cube(
        cells=cells,
        step=step,
        starts=columns.DAY_ZERO + starts.astype("timedelta64[D]"),
        counts=counts.reshape(len(cells), len(starts)),
        partial=partial,
        remarks=tuple(remarks),
    )


# ---- the cover ----


def _cover(conn: Connection, query: ReportQuery, resolution: int) -> tuple[Cells, bool, int]:
    """Cells of the study area, whether it is bounded, and how many lie under water."""
    if not 0 <= resolution <= FINEST:
        raise InputError(f"Resolution {resolution}: choose one from 0 to {FINEST}.")
    facts = territory_facts(conn, query.territory_id)
    asked = (query.municipalities, query.districts, reach(conn, facts.id))
    store = conn.engine.url.render_as_string()
    key = (store, facts.id, facts.data_version, facts.code, asked, resolution, query.as_of)
    with _lock:
        if key in _covers:
            _covers.move_to_end(key)
            return _covers[key]
    made = _made_cover(conn, query, resolution)
    with _lock:
        _covers[key] = made
        while len(_covers) > _REMEMBERED:
            _covers.popitem(last=False)
    return made


def _made_cover(conn: Connection, query: ReportQuery, resolution: int) -> tuple[Cells, bool, int]:
    shape = study_shape(conn, query)
    if shape is None:
        found = columns.load(conn, query.territory_id, {"cell"}, query.as_of)
        with_point = found.runs["cell"][found.runs["cell"] != 0]
        cells = np.unique(parents(with_point, resolution))
        if not len(cells):
            return cells, False, 0
        around = pa.array(h3ronpy.grid_disk(cells.view(np.uint64), 1, flatten=True))
        return np.unique(around.to_numpy().view(np.int64)), False, 0
    expected = float(geometry_km2([shape])[0]) / _cell_km2(shape, resolution)
    if expected > MAX_CELLS:
        raise InputError(
            f"At resolution {resolution} the study area has about {expected:,.0f} cells, more than "
            f"{MAX_CELLS:,}: choose a coarser resolution or fewer areas."
        )
    cells = cells_covering(shape, resolution)
    drowned = exposures.water_share(conn, query.territory_id, cells, resolution) >= DROWNED
    if drowned.any():
        found = columns.load(conn, query.territory_id, {"cell"}, query.as_of)
        with_point = found.runs["cell"][found.runs["cell"] != 0]
        drowned &= ~np.isin(cells, parents(with_point, resolution))
    return cells[~drowned], True, int(drowned.sum())


def study_shape(conn: Connection, query: ReportQuery) -> shapely.Geometry | None:
    """The chosen areas as one shape, the territory's study area, or None without boundaries."""
    ids = [*query.municipalities, *query.districts]
    if not ids:
        return study_area(conn, query.territory_id)
    # Served by pk_area.
    rows = conn.execute(
        text(
            "SELECT level, ST_AsBinary(geom) AS shape FROM area"
            " WHERE id = ANY(:ids) AND territory_id = :territory AND valid_to IS NULL"
        ),
        {"ids": ids, "territory": query.territory_id},
    ).all()
    if not rows:
        raise InputError("The chosen areas are not areas of this territory: choose others.")
    by_level: dict[str, list[shapely.Geometry]] = {}
    for row in rows:
        by_level.setdefault(row.level, []).append(shapely.from_wkb(bytes(row.shape)))
    # As in the query: within one level the areas are alternatives, the levels narrow each other.
    merged = [shapely.union_all(shapes) for shapes in by_level.values()]
    whole = merged[0]
    for other in merged[1:]:
        whole = shapely.intersection(whole, other)
    return whole


def _cell_km2(shape: shapely.Geometry, resolution: int) -> float:
    """Area of a cell in the middle of a shape, km²."""
    point = shape.representative_point()
    return float(areas_km2(cells_of([point.x], [point.y], resolution))[0])


# ---- reports onto the cells ----


def places(cells: Cells, fine: Cells, resolution: int) -> npt.NDArray[np.int64]:
    """Position in ``cells`` of the parent of each finer cell (g,); -1 where it is not there."""
    if not len(cells):
        return np.full(len(fine), -1, dtype=np.int64)
    up = parents(fine, resolution)
    at = np.minimum(np.searchsorted(cells, up), len(cells) - 1)
    return np.where(cells[at] == up, at, -1)


def _onto(
    cells: Cells, fine: Cells, counts: npt.NDArray[np.int64], resolution: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Counts (g,) of finer cells added up on the study cells, (n,), and how many fit none."""
    place = places(cells, fine, resolution)
    inside = place >= 0
    # Weights are exact: counts stay far below 2^53.
    total = np.bincount(place[inside], weights=counts[inside], minlength=len(cells)).astype(np.int64)
    return total, int(counts[~inside & (fine != 0)].sum())


def _grouped(cells: Cells, counts: npt.NDArray[np.int64]) -> tuple[Cells, npt.NDArray[np.int64]]:
    """Sums by cell of (g,) cells in ascending order."""
    if not len(cells):
        return cells, counts
    first = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]])
    return cells[first], np.add.reduceat(counts, first)


# ---- time steps; days are numbers since columns.DAY_ZERO ----


def _day_number(day: dt.date) -> int:
    return int((np.datetime64(day, "D") - columns.DAY_ZERO).astype(np.int64))


def _steps(first: int, last: int, step: Step) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First day of each step that touches first … last, and the step of each of these days."""
    days = np.arange(first, last + 1, dtype=np.int64)
    if step == "day":
        return days, days - first
    if step == "week":
        number = (days - last - 1) // 7
        number -= number[0]
        starts = last + 1 - 7 * np.arange(int(number[-1]) + 1, 0, -1, dtype=np.int64)
        return starts, number
    months = (columns.DAY_ZERO + days.astype("timedelta64[D]")).astype("datetime64[M]")
    number = (months - months[0]).astype(np.int64)
    begins = (months[0] + np.arange(int(number[-1]) + 1)).astype("datetime64[D]")
    return (begins - columns.DAY_ZERO).astype(np.int64), number


def _after(start: np.int64, step: Step) -> int:
    """Day after the last of the step that begins on ``start``."""
    if step != "month":
        return int(start) + (7 if step == "week" else 1)
    month = (columns.DAY_ZERO + np.timedelta64(int(start), "D")).astype("datetime64[M]") + 1
    return int((month.astype("datetime64[D]") - columns.DAY_ZERO).astype(np.int64))
