"""Flare-ups as an answer: its settings, its clusters, its tables, and the form that is kept.

``data/analyses/scans.py`` computes it. Tables and summary carry the same columns wherever
they go: download, ``--out``, notebook.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

from data import columns
from data.query import ReportQuery
from geo.cells import Cells, boundaries, from_text, to_text
from geo.errors import InputError
from geo.remarks import Remark

FINEST = columns.RESOLUTION


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """What counts as a flare-up, and how surely it is told from chance.

    Parameters
    ----------
    max_radius_m : radius of the largest place that is tried, metres; default 2,000.
    max_days : a flare-up began at most so many days ago; default 28.
    window_days : length of the history that it is compared with, the flare-up included;
        default 90. It ends with the query's last day, or with the newest report.
    permutations : of the dates; 999 tell p down to 0.001.
    seed : of the permutations: the same question gives the same answer.
    resolution : H3, None for the one that suits the radius.
    by_kind : compare each element (or type that the taxonomy does not cover) with its own days
        only: a season of weeds in the whole city is then no flare-up where weeds grow.
    by_weekday : and each weekday with its own, for rounds that visit a place on a fixed one.
    level : clusters with p at most this are called significant; default 0.05.
    most : clusters that are listed at most, the others included.

    Raises
    ------
    InputError : a value is out of its range, or the flare-up is longer than half the window.
    """

    max_radius_m: float = 2000.0
    max_days: int = 28
    window_days: int = 90
    permutations: int = 999
    seed: int = 940
    resolution: int | None = None
    by_kind: bool = True
    by_weekday: bool = False
    level: float = 0.05
    most: int = 10

    def __post_init__(self) -> None:
        ranges = {
            "max_radius_m": (100, 50_000),
            "max_days": (1, 365),
            "window_days": (7, 730),
            "permutations": (19, 9999),
            "level": (0.001, 0.2),
            "most": (1, 50),
        }
        faults = [
            f"{name} is {getattr(self, name)}, not from {low:,} to {high:,}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ]
        if self.resolution is not None and not 4 <= self.resolution <= FINEST:
            faults.append(f"resolution is {self.resolution}, not from 4 to {FINEST}")
        if self.level * (self.permutations + 1) < 1:
            faults.append(
                f"{self.permutations} permutations cannot show p ≤ {self.level}: "
                f"make at least {math.ceil(1 / self.level) - 1}"
            )
        if 2 * self.max_days > self.window_days:
            faults.append(
                f"flare-ups of {self.max_days} days need a window of at least {2 * self.max_days} days, "
                f"not {self.window_days}: what is compared must be at most half of it"
            )
        if faults:
            raise InputError("The scan's settings cannot be used: " + "; ".join(faults) + ".")


@dataclass(frozen=True, slots=True, eq=False)
class Flare:
    """One place where more was reported lately than space and time explain.

    Attributes
    ----------
    number : 1 is the most unusual.
    cells : (m,) int64, ascending: cells with reports in the window.
    counts : (m,) int64, their reports during the flare-up; they add up to ``observed``.
    disk : (d,) int64, ascending: all cells of the circle, as it is drawn.
    centre : cell in the middle; lon, lat : its centre, decimal degrees.
    rings, radius_m : size of the circle in cells and metres.
    first, last : local days, both included.
    observed, expected, ratio : reports, reports expected, and one over the other.
    llr, p, p_gumbel, recurrence_days : see ``geo.scan.Cluster``.
    significant : p is at most the level of the settings.
    one_day : share of the reports that carry the commonest day.
    daily : (t,) int64, reports in ``cells`` by day of the whole window.
    kind_ar, kind_en : the commonest element (or type, where the taxonomy does not cover it),
        None for reports without either; kind_count : its reports during the flare-up.
    """

    number: int
    cells: Cells
    counts: npt.NDArray[np.int64]
    disk: Cells
    centre: int
    lon: float
    lat: float
    rings: int
    radius_m: float
    first: dt.date
    last: dt.date
    observed: int
    expected: float
    llr: float
    p: float
    p_gumbel: float
    recurrence_days: float
    significant: bool
    one_day: float
    daily: npt.NDArray[np.int64]
    kind_ar: str | None
    kind_en: str | None
    kind_count: int

    @property
    def ratio(self) -> float:
        return self.observed / self.expected

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True, eq=False)
class Flares:
    """Answer of ``scan``.

    Attributes
    ----------
    flares : the most unusual first; no two share a cell with reports. Those that are not
        significant are what chance alone gives, listed to be seen beside the others.
    cells, numbers, reports : (n,) cells of all flares, ascending; each one's flare and
        reports during it.
    first, last : local days of the window; None when there is no report in it.
    cases : reports in the window that were scanned.
    scanned : cells with such reports.
    rings : radius of the largest circle tried, in cells.
    """

    query: ReportQuery
    settings: ScanSettings
    resolution: int
    flares: tuple[Flare, ...]
    cells: Cells
    numbers: npt.NDArray[np.int64]
    reports: npt.NDArray[np.int64]
    first: dt.date | None
    last: dt.date | None
    cases: int
    scanned: int
    rings: int
    remarks: tuple[Remark, ...]

    @property
    def significant(self) -> tuple[Flare, ...]:
        """The flares that chance alone does not explain."""
        return tuple(flare for flare in self.flares if flare.significant)

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """One row a flare, EPSG:4326, the shape is the whole circle of cells.

        Columns: ``number``; ``cell`` (centre, H3 as text); ``lon``, ``lat`` of the centre;
        ``resolution``; ``radius_m``; ``first_day``, ``last_day``, ``days``; ``reports``,
        ``expected``, ``ratio``; ``log_likelihood_ratio``; ``p`` (Monte Carlo), ``p_gumbel``,
        ``recurrence_days``; ``significant``; ``cells`` (with reports); ``one_day_share``;
        ``kind_ar``, ``kind_en``, ``kind_reports`` (the commonest element or type).
        """
        rows = [
            {
                "number": flare.number,
                "cell": f"{flare.centre:x}",
                "lon": flare.lon,
                "lat": flare.lat,
                "resolution": self.resolution,
                "radius_m": round(flare.radius_m),
                "first_day": flare.first.isoformat(),
                "last_day": flare.last.isoformat(),
                "days": flare.days,
                "reports": flare.observed,
                "expected": flare.expected,
                "ratio": flare.ratio,
                "log_likelihood_ratio": flare.llr,
                "p": flare.p,
                "p_gumbel": flare.p_gumbel,
                "recurrence_days": flare.recurrence_days,
                "significant": flare.significant,
                "cells": len(flare.cells),
                "one_day_share": flare.one_day,
                "kind_ar": flare.kind_ar,
                "kind_en": flare.kind_en,
                "kind_reports": flare.kind_count,
            }
            for flare in self.flares
        ]
        shapes = [shapely.union_all(boundaries(flare.disk)) for flare in self.flares]
        return gpd.GeoDataFrame(rows, columns=None if rows else [*_ROW], geometry=shapes, crs="EPSG:4326")

    def cells_frame(self) -> gpd.GeoDataFrame:
        """One row a cell of a flare, EPSG:4326.

        Columns: ``cell`` (H3 as text); ``number`` of its flare; ``significant``; ``p``;
        ``reports`` of the cell during the flare; ``first_day``, ``last_day``.
        """
        of = {flare.number: flare for flare in self.flares}
        own = [of[number] for number in self.numbers.tolist()]
        return gpd.GeoDataFrame(
            {
                "cell": to_text(self.cells),
                "number": self.numbers,
                "significant": np.array([flare.significant for flare in own], dtype=bool),
                "p": np.array([flare.p for flare in own], dtype=np.float64),
                "reports": self.reports,
                "first_day": [flare.first.isoformat() for flare in own],
                "last_day": [flare.last.isoformat() for flare in own],
            },
            geometry=boundaries(self.cells),
            crs="EPSG:4326",
        )

    def summary(self) -> dict[str, Any]:
        """The answer without shapes, ready for JSON."""
        rows = self.to_geodataframe().drop(columns="geometry").to_dict("records")
        return {
            "resolution": self.resolution,
            "rings": self.rings,
            "first_day": self.first.isoformat() if self.first else None,
            "last_day": self.last.isoformat() if self.last else None,
            "reports": self.cases,
            "cells": self.scanned,
            "settings": dataclasses.asdict(self.settings),
            "significant": len(self.significant),
            "clusters": [{name: _plain(value) for name, value in row.items()} for row in rows],
            "remarks": [
                {"code": r.code, "caution": r.caution, "values": dict(r.values)} for r in self.remarks
            ],
        }


_ROW = (
    "number", "cell", "lon", "lat", "resolution", "radius_m", "first_day", "last_day", "days", "reports",
    "expected", "ratio", "log_likelihood_ratio", "p", "p_gumbel", "recurrence_days", "significant", "cells",
    "one_day_share", "kind_ar", "kind_en", "kind_reports",
)  # fmt: skip


def made(
    query: ReportQuery,
    settings: ScanSettings,
    resolution: int,
    flares: tuple[Flare, ...],
    window: tuple[dt.date | None, dt.date | None],
    cases: int,
    scanned: int,
    rings: int,
    remarks: list[Remark],
) -> Flares:
    """The answer of these flares, with the cells of all of them in ascending order."""
    cells = np.concatenate([np.zeros(0, dtype=np.int64), *(flare.cells for flare in flares)])
    numbers = np.repeat(
        np.array([flare.number for flare in flares], dtype=np.int64), [len(flare.cells) for flare in flares]
    )
    reports = np.concatenate([np.zeros(0, dtype=np.int64), *(flare.counts for flare in flares)])
    order = np.argsort(cells)
    return Flares(
        query,
        settings,
        resolution,
        flares,
        cells[order],
        numbers[order],
        reports[order],
        *window,
        cases,
        scanned,
        rings,
        tuple(remarks),
    )


# ---- the kept form: JSON with cells as text, dates in ISO, an endless interval as null ----


def to_keep(result: Flares) -> dict[str, Any]:
    """The answer for ``data.analyses.kept``; query and settings are its key."""
    return {
        "resolution": result.resolution,
        "first": result.first.isoformat() if result.first else None,
        "last": result.last.isoformat() if result.last else None,
        "cases": result.cases,
        "scanned": result.scanned,
        "rings": result.rings,
        "flares": [
            {
                field.name: to_text(value)
                if field.name in ("cells", "disk")
                else value.tolist()
                if isinstance(value, np.ndarray)
                else _plain(value)
                for field in dataclasses.fields(Flare)
                for value in [getattr(flare, field.name)]
            }
            for flare in result.flares
        ],
        "remarks": [[r.code, r.values, r.caution] for r in result.remarks],
    }


def from_kept(query: ReportQuery, settings: ScanSettings, kept: dict[str, Any]) -> Flares:
    """The answer that ``to_keep`` was given."""
    flares = tuple(
        Flare(
            **{
                **told,
                "cells": from_text(told["cells"]),
                "disk": from_text(told["disk"]),
                "counts": np.array(told["counts"], dtype=np.int64),
                "daily": np.array(told["daily"], dtype=np.int64),
                "first": dt.date.fromisoformat(told["first"]),
                "last": dt.date.fromisoformat(told["last"]),
                "p_gumbel": math.nan if told["p_gumbel"] is None else told["p_gumbel"],
                "recurrence_days": math.inf if told["recurrence_days"] is None else told["recurrence_days"],
            }
        )
        for told in kept["flares"]
    )
    window = tuple(dt.date.fromisoformat(kept[name]) if kept[name] else None for name in ("first", "last"))
    remarks = [
        Remark(code, tuple((name, value) for name, value in values), warns)
        for code, values, warns in kept["remarks"]
    ]
    return made(
        query,
        settings,
        kept["resolution"],
        flares,
        (window[0], window[1]),
        kept["cases"],
        kept["scanned"],
        kept["rings"],
        remarks,
    )


def _plain(value: Any) -> Any:
    """A value for JSON, which has no nan and no infinity."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
