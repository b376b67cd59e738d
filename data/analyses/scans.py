"""What flared up: the space-time permutation scan over the newest reports of a question.

The reports of the last days are compared with those of the weeks before at every place,
given how many there were in the whole city each day (``geo/scan.py``; Kulldorff et al.
2005). A rise that happens everywhere, or every weekend, is therefore no flare-up. Caveat:
reports count as independent, so ask for incidents where one heap is reported many times;
new residents, a new inspector or reports dated in a batch look like a flare-up too.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import h3ronpy
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, text

from data import columns
from data.analyses.flares import FINEST, Flare, Flares, ScanSettings, from_kept, made, to_keep
from data.analyses.kept import key_of, recall, remember
from data.query import ReportQuery, territory_facts
from geo import scan as scans
from geo.cells import Cells, centres, parents
from geo.cylinders import rings_within
from geo.remarks import caution, decided
from geo.scale import width_m

Tick = Callable[[float], None]

KIND = "scan"
VERSION = 1  # of the kept form and of the method: results of another one are computed anew
COARSEST = 6
STEPS = 4.5  # cell widths from the centre to the edge of the largest disk, at least: four rings
MOST_CELLS = 20_000  # with reports; beyond it a scan takes more than a few minutes
FEW = 50  # reports in the window below which only strong flare-ups can show
BATCH, ONE_DAY = 5, 0.8  # so many reports, and this share of them on one day, look like a batch


def scan(
    conn: Connection, query: ReportQuery, settings: ScanSettings | None = None, *, tick: Tick | None = None
) -> Flares:
    """Where and since when something flared up, up to the last day of the question.

    The answer is kept in the store until the territory's data change; the caller commits.

    Parameters
    ----------
    query : its last day ends the window; its first day can only shorten it.
    tick : called with the share done; raise ``Cancelled`` in it to stop.

    Raises
    ------
    InputError : the territory does not exist, or disks are too many at the chosen resolution.
    """
    wanted = settings or ScanSettings()
    facts = territory_facts(conn, query.territory_id)
    key = key_of(VERSION, query, wanted)
    kept = recall(conn, facts.id, KIND, key, facts.data_version)
    if kept is not None:
        if tick:
            tick(1.0)
        return from_kept(query, wanted, kept)
    result = _computed(conn, query, wanted, tick)
    remember(conn, facts.id, KIND, key, facts.data_version, to_keep(result))
    return result


# ---- the computation ----


@dataclass(frozen=True, slots=True, eq=False)
class _Cases:
    """Reports of the window: fine cells (g,) ascending; place in them, day and kind, each (c,)."""

    cells: Cells
    place: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    first: dt.date
    last: dt.date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def at(self, resolution: int) -> _Cases:
        """The same by coarser cells."""
        cells, number = np.unique(parents(self.cells, resolution), return_inverse=True)
        return dataclasses.replace(self, cells=cells, place=number[self.place])


def _computed(conn: Connection, query: ReportQuery, settings: ScanSettings, tick: Tick | None) -> Flares:
    fine = _cases(conn, query, settings)
    if fine is None:
        return _nothing(query, settings)
    suited = settings.resolution or _resolution(fine.cells, settings.max_radius_m)
    resolution = _affordable(fine.cells, suited, settings.max_radius_m)
    cases = fine.at(resolution)
    reports, kinds = len(cases.place), len(np.unique(cases.kind))
    kind = cases.kind if settings.by_kind else np.zeros_like(cases.kind)
    if settings.by_weekday:
        kind = 7 * kind + cases.day % 7
    # A shorter history than asked for: what is compared stays at most half of it.
    max_days = max(1, min(settings.max_days, cases.days // 2))
    found = scans.scan(
        cases.cells,
        cases.place,
        cases.day,
        cases.days,
        np.random.default_rng(settings.seed),
        kind=kind,
        max_radius_m=settings.max_radius_m,
        max_days=max_days,
        permutations=settings.permutations,
        most=settings.most,
        tick=tick,
    )
    names = _kind_names(conn, cases.kind)
    flares = tuple(
        _flare(number, cluster, cases, settings, names) for number, cluster in enumerate(found.clusters, 1)
    )
    remarks = [
        decided(
            "scan_window",
            first=cases.first.isoformat(),
            last=cases.last.isoformat(),
            days=cases.days,
            reports=reports,
        ),
        decided(
            "scan_scale",
            resolution=resolution,
            metres=round(width_m(resolution), -1),
            cells=len(cases.cells),
            rings=found.rings,
        ),
    ]
    if kinds > 1:
        remarks.append(
            decided("scan_kinds", kinds=kinds) if settings.by_kind else caution("scan_mixed", kinds=kinds)
        )
    if resolution < suited:
        remarks.append(caution("scan_coarser", asked=suited, resolution=resolution))
    if max_days < settings.max_days:
        remarks.append(caution("scan_shortened", days=max_days, asked=settings.max_days, window=cases.days))
    if reports < FEW:
        remarks.append(caution("scan_few", reports=reports))
    if not query.incidents and any(flare.significant for flare in flares):
        remarks.append(caution("scan_repeats"))
    batched = [flare.number for flare in flares if flare.significant and _in_a_batch(flare)]
    if batched:
        remarks.append(caution("scan_one_day", numbers=", ".join(map(str, batched))))
    return made(
        query,
        settings,
        resolution,
        flares,
        (cases.first, cases.last),
        reports,
        len(cases.cells),
        found.rings,
        remarks,
    )


def _cases(conn: Connection, query: ReportQuery, settings: ScanSettings) -> _Cases | None:
    """What the scan counts; None when no report with a point lies in the window."""
    open_start = dataclasses.replace(query, start=None)
    found, chosen = columns.select(conn, open_start, {"cell", "day", "element", "type"})
    day = found.reports["day"]
    usable = day[(found.reports["state"] & columns.ON_DEFAULT_POINT) == 0]
    if not len(usable):
        return None
    # The newest report of the territory ends the window, not the newest that fits: a week
    # without any report of an element is a week of zeros.
    last = int(usable.max())
    if query.end:
        last = min(last, _number(query.end))
    first = max(last - settings.window_days + 1, int(usable.min()))
    if query.start:
        first = max(first, _number(query.start))
    keep = np.flatnonzero(chosen & (day >= first) & (day <= last) & found.spread(found.runs["cell"] != 0))
    if not len(keep):
        return None
    # Cells are in order, and a run is of one cell.
    run = np.searchsorted(np.cumsum(found.runs["length"], dtype=np.int64), keep, side="right")
    cells, place = np.unique(found.runs["cell"][run], return_inverse=True)
    element = found.reports["element"][keep].astype(np.int64)
    # A type that the taxonomy does not cover is a kind of its own; negative, apart from elements.
    kind = np.where(element > 0, element, -found.reports["type"][keep].astype(np.int64))
    since = day[keep].astype(np.int64) - first
    return _Cases(cells, place, since, kind, columns.as_date(first), columns.as_date(last))


def _resolution(cells: Cells, max_radius_m: float) -> int:
    """The coarsest cells of which four rings fit into the radius; coarser yet if they are too many."""
    fit = [r for r in range(COARSEST, FINEST + 1) if STEPS * width_m(r) <= max_radius_m]
    resolution = fit[0] if fit else FINEST
    while resolution > COARSEST and len(np.unique(parents(cells, resolution))) > MOST_CELLS:
        resolution -= 1
    return resolution


def _affordable(cells: Cells, resolution: int, max_radius_m: float) -> int:
    """The same or a coarser resolution whose disks fit into the memory."""
    while resolution > 4:
        at = np.unique(parents(cells, resolution))
        reach = rings_within(at, max_radius_m)
        if len(at) * min(len(at), 1 + 3 * reach * (reach + 1)) <= scans.MAX_PAIRS:
            break
        resolution -= 1
    return resolution


def _kind_names(conn: Connection, kinds: npt.NDArray[np.int64]) -> dict[int, tuple[str | None, str | None]]:
    """Arabic and English name of each kind that occurs."""
    there = np.unique(kinds)
    # Served by pk_element and pk_source_type. A source has one wording, given for both languages.
    elements = conn.execute(
        text("SELECT id, name_ar, name_en FROM element WHERE id = ANY(:ids)"),
        {"ids": there[there > 0].tolist()},
    )
    types = conn.execute(
        text("SELECT -id, name, name FROM source_type WHERE id = ANY(:ids)"),
        {"ids": (-there[there < 0]).tolist()},
    )
    return {row[0]: (row[1], row[2]) for row in (*elements, *types)}


def _flare(
    number: int,
    cluster: scans.Cluster,
    cases: _Cases,
    settings: ScanSettings,
    names: dict[int, tuple[str | None, str | None]],
) -> Flare:
    inside = np.searchsorted(cases.cells, cluster.cells)
    ever = np.isin(cases.place, inside)
    during = ever & (cases.day >= cluster.first)
    by_cell = np.bincount(cases.place[during], minlength=len(cases.cells))[inside]
    commonest = int(np.bincount(cases.day[during]).max())
    kinds, often = np.unique(cases.kind[during], return_counts=True)
    kind_ar, kind_en = names.get(int(kinds[often.argmax()]), (None, None))
    lon, lat = centres(np.array([cluster.centre]))
    return Flare(
        number=number,
        cells=cluster.cells,
        counts=by_cell.astype(np.int64),
        disk=_disk(cluster.centre, cluster.rings),
        centre=cluster.centre,
        lon=float(lon[0]),
        lat=float(lat[0]),
        rings=cluster.rings,
        radius_m=cluster.radius_m,
        first=cases.first + dt.timedelta(cluster.first),
        last=cases.first + dt.timedelta(cluster.last),
        observed=cluster.observed,
        expected=cluster.expected,
        llr=cluster.llr,
        p=cluster.p,
        p_gumbel=cluster.p_gumbel,
        recurrence_days=cluster.recurrence_days,
        significant=cluster.p <= settings.level,
        one_day=commonest / cluster.observed,
        daily=np.bincount(cases.day[ever], minlength=cases.days).astype(np.int64),
        kind_ar=kind_ar,
        kind_en=kind_en,
        kind_count=int(often.max()),
    )


def _in_a_batch(flare: Flare) -> bool:
    return flare.observed >= BATCH and flare.one_day >= ONE_DAY


def _disk(centre: int, rings: int) -> Cells:
    found = pa.array(h3ronpy.grid_disk(np.array([centre], dtype=np.uint64), rings, flatten=True))
    return np.sort(found.to_numpy().view(np.int64))


def _number(day: dt.date) -> int:
    return int((np.datetime64(day, "D") - columns.DAY_ZERO).astype(np.int64))


def _nothing(query: ReportQuery, settings: ScanSettings) -> Flares:
    resolution = settings.resolution or _resolution(np.zeros(0, dtype=np.int64), settings.max_radius_m)
    return made(query, settings, resolution, (), (None, None), 0, 0, 0, [caution("scan_empty")])
