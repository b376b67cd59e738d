"""Rates of reporting as an answer: settings, areas, and counts corrected for them.

``data/analyses/reporting.py`` computes it. Table and summary carry the same columns
wherever they go: page, ``--out``, notebook.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from data.query import ReportQuery
from geo.cells import to_text
from geo.errors import InputError
from geo.remarks import Remark

Level = Literal["district", "municipality", "cell"]
LEVELS: tuple[Level, ...] = ("district", "municipality", "cell")
CELL_LEVEL = 7  # resolution of the cells (about 5 km²) that stand in for areas


@dataclass(frozen=True, slots=True)
class ReportingSettings:
    """How reporting is measured and corrected for.

    Parameters
    ----------
    level : areas that share a readiness to report: district, municipality or cell (H3
        resolution 7); None takes the finest that is loaded.
    confidence : of the intervals; default 0.95.
    lifetime_days : how long a thing lies there if nobody reports it (assumed); None takes
        the days of each element from ``data/reference/incident_settings.csv``.
    most : a correction beyond this factor is cut and marked; default 10.

    Raises
    ------
    InputError : a value is out of its range.
    """

    level: Level | None = None
    confidence: float = 0.95
    lifetime_days: float | None = None
    most: float = 10.0

    def __post_init__(self) -> None:
        if self.level not in (None, *LEVELS):
            raise InputError(f"Reporting is measured by {', '.join(LEVELS)}, not by {self.level!r}.")
        if not 0.5 <= self.confidence < 1:
            raise InputError(f"A confidence is from 0.5 to below 1, not {self.confidence:g}.")
        if self.lifetime_days is not None and not 0 < self.lifetime_days <= 3650:
            raise InputError(f"A lifetime is above 0 and at most 3,650 days, not {self.lifetime_days:g}.")
        if not 1 <= self.most <= 1000:
            raise InputError(f"A correction is cut at a factor from 1 to 1,000, not {self.most:g}.")


@dataclass(frozen=True, slots=True, eq=False)
class ReportingRates:
    """Answer of ``reporting_rates``; arrays (a,), one entry an area with such incidents.

    Attributes
    ----------
    level : of the areas; ``areas``: ``area.id``, or H3 cells where the level is cell.
    names_ar, names_en : empty texts for cells.
    incidents : incidents that residents reported first; ``further``: their further reports
        while they were observed; ``days``: the days of that.
    rate, low, high : reports a day of an average thing, and its interval.
    delay, delay_low, delay_high : expected days until the first report, 1 / rate.
    weight : share of the area's own reports in its rate; the rest is the mean of all.
    overall : the rate of an average area; ``spread``: standard deviation of the areas'
        readiness around 1; ``dispersion``: variance of the counts over Poisson's.
    identified : False when there are too few further reports; the arrays are then empty.
    """

    query: ReportQuery
    settings: ReportingSettings
    level: Level
    areas: NDArray[np.int64]
    names_ar: tuple[str, ...]
    names_en: tuple[str, ...]
    incidents: NDArray[np.int64]
    further: NDArray[np.int64]
    days: NDArray[np.float64]
    rate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    weight: NDArray[np.float64]
    overall: float
    spread: float
    dispersion: float
    identified: bool
    shapes: NDArray[np.object_]
    remarks: tuple[Remark, ...]

    @property
    def delay(self) -> NDArray[np.float64]:
        return 1 / self.rate

    @property
    def delay_low(self) -> NDArray[np.float64]:
        return 1 / self.high

    @property
    def delay_high(self) -> NDArray[np.float64]:
        return 1 / self.low

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """One row an area, EPSG:4326, the slowest to report first.

        Columns: ``area`` (id, or H3 as text), ``name_ar``, ``name_en``, ``incidents``,
        ``further``, ``days``, ``rate``, ``rate_low``, ``rate_high`` (a day),
        ``delay_days``, ``delay_low``, ``delay_high``, ``own_weight``.
        """
        names = to_text(self.areas) if self.level == "cell" else [str(one) for one in self.areas.tolist()]
        frame = gpd.GeoDataFrame(
            {
                "area": names,
                "name_ar": list(self.names_ar),
                "name_en": list(self.names_en),
                "incidents": self.incidents,
                "further": self.further,
                "days": self.days,
                "rate": self.rate,
                "rate_low": self.low,
                "rate_high": self.high,
                "delay_days": self.delay,
                "delay_low": self.delay_low,
                "delay_high": self.delay_high,
                "own_weight": self.weight,
            },
            geometry=self.shapes,
            crs="EPSG:4326",
        )
        return frame.sort_values(["rate", "area"], ignore_index=True)

    def summary(self) -> dict[str, Any]:
        """The rates over all and the ten slowest areas, JSON-ready."""
        slowest = self.to_geodataframe().head(10).drop(columns="geometry")
        return {
            "level": self.level,
            "identified": self.identified,
            "areas": len(self.areas),
            "incidents": int(self.incidents.sum()),
            "further": int(self.further.sum()),
            "rate": self.overall if self.identified else None,
            "delay_days": 1 / self.overall if self.identified else None,
            "spread": self.spread if self.identified else None,
            "dispersion": self.dispersion if self.identified else None,
            "slowest": slowest.to_dict("records"),
        }


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedCounts:
    """Answer of ``corrected_counts``; arrays (n,), one entry a cell.

    Attributes
    ----------
    counts : incidents that residents reported first.
    corrected : how many there were, reported or not; equal to ``counts`` when not identified.
    low, high : the same at both ends of the areas' rates (the counts' own chance left out).
    capped : half of the cell's incidents or more had their correction cut at
        ``ReportingSettings.most``: what stands there cannot be told from the reports.
    """

    counts: NDArray[np.int64]
    corrected: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    capped: NDArray[np.bool_]
    identified: bool
    remarks: tuple[Remark, ...]
