"""Which resolution and how many rings suit the reports at hand, and why.

As fine as the reports allow: the finest cells for which a neighbourhood still holds
enough of them for Gi* to tell a hot spot from chance. The guidelines are those that ArcGIS
gives for Gi* (at least 30 features, about eight neighbours where values are skewed, none
that has all others as neighbours); the decisions come back as remarks, as its Optimized
Hot Spot Analysis prints its own.
Caveat: it is a rule of thumb. A pattern that shows at one scale may not at another
(Openshaw 1984, The modifiable areal unit problem), so look at a second resolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.errors import InputError
from geo.remarks import Remark, caution, decided

MOST_CELLS = 25_000  # on a map of a million pixels a cell is then some 6 pixels wide
LEAST_CELLS = 30
LEAST_EXPECTED = 30.0  # reports in an average neighbourhood
MOST_SKEW = 1.0  # of the counts of cells: beyond it, "highly skewed" (Bulmer 1979)
GATHERED = 30  # fewer cells than this for half of the reports, with seven and more in each
USUAL_K = 2
LARGEST_K = 3
_EARTH_KM2 = 510_065_622.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Resolution, number of rings, and the reasons."""

    resolution: int
    k: int
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    """What the reports look like at one resolution."""

    resolution: int
    cells: int
    reports: float
    skew: float
    half: int

    @property
    def gathered(self) -> bool:
        """Whether so few cells hold half of the reports that they are no pattern, only loud cells."""
        return 0 < self.half < GATHERED and self.reports / 2 >= 7 * self.half

    def expected(self, k: int) -> float:
        """Reports in an average whole neighbourhood."""
        return disk(k) * self.reports / self.cells

    def large(self, k: int) -> bool:
        """Whether the area is much larger than a neighbourhood, which else is compared with itself."""
        return self.cells >= max(LEAST_CELLS, 4 * disk(k))

    def rings(self) -> int:
        """Fewest rings with enough neighbours for the skewness and enough reports."""
        least = USUAL_K if self.skew > MOST_SKEW else 1
        fit = [k for k in range(least, LARGEST_K + 1) if self.expected(k) >= LEAST_EXPECTED and self.large(k)]
        return fit[0] if fit else least


def disk(k: int) -> int:
    """Cells of a whole neighbourhood of ``k`` rings, the cell itself included."""
    return 1 + 3 * k * (k + 1)


def width_m(resolution: int) -> float:
    """Average distance between opposite sides of a cell, metres (to 15 % anywhere on earth)."""
    km2 = _EARTH_KM2 / (2 + 120 * 7**resolution)
    return 1000 * math.sqrt(2 * km2 / math.sqrt(3))


def choose(counts_by_resolution: Mapping[int, npt.NDArray], cells_in_area: Mapping[int, int]) -> Choice:
    """The finest resolution, and then the fewest rings, that suit the reports.

    Resolution: the finest with at most 25,000 cells in the study area for which a
    neighbourhood of two rings (19 cells) holds 30 reports on average, in an area of at
    least four such neighbourhoods; where there is none, the same with three rings (37);
    where there is none either, the coarsest of at least 30 cells, with a warning. Where
    fewer than 30 cells then hold half of the reports, a finer one that spreads them out:
    a single loud cell is no neighbourhood, and no test of neighbourhoods can see it.
    Rings: one where the cells' counts are not highly skewed (skewness at most 1), else two,
    for ArcGIS's eight neighbours are more than one ring has; three if fewer are too thin.

    Parameters
    ----------
    counts_by_resolution : resolution → (m,) reports of each cell that has any.
    cells_in_area : resolution → cells of the study area, those without reports included.

    Raises
    ------
    InputError : no resolution is given, or the two do not have the same ones.
    """
    if not counts_by_resolution or set(counts_by_resolution) != set(cells_in_area):
        raise InputError("A choice of scale needs the counts and the cells of the same resolutions.")
    scales = [
        _scale(resolution, np.asarray(counts_by_resolution[resolution]), cells_in_area[resolution])
        for resolution in sorted(counts_by_resolution, reverse=True)
    ]
    readable = [s for s in scales if s.cells <= MOST_CELLS] or scales[-1:]
    taken = spread = _dense(readable)
    for finer in reversed(readable[: readable.index(taken)]):
        # Reports on the very same spots are in as few cells, however fine these are.
        if not spread.gathered or finer.half < 1.5 * spread.half:
            break
        spread = finer
    if spread is not taken:
        return _chosen(spread, spread.rings(), scales, taken)
    return _chosen(taken, taken.rings(), scales)


def _dense(readable: list[_Scale]) -> _Scale:
    """The finest scale, of fine to coarse ones, whose neighbourhoods hold enough."""
    for k in (USUAL_K, LARGEST_K):
        for scale in readable:
            if scale.large(k) and scale.expected(k) >= LEAST_EXPECTED:
                return scale
    # Too few reports, or too small an area, for any: the coarsest that still shows a pattern.
    enough = [s for s in readable if s.large(USUAL_K)] or [s for s in readable if s.large(1)]
    return enough[-1] if enough else readable[0]


def _scale(resolution: int, occupied: npt.NDArray, cells: int) -> _Scale:
    """Moments of the counts of all cells, from those of the occupied ones: the others are 0."""
    counts = occupied.astype(np.float64)
    cells = max(int(cells), len(counts), 1)
    mean = float(counts.sum()) / cells
    empty = cells - len(counts)
    second = float(((counts - mean) ** 2).sum()) + empty * mean**2
    third = float(((counts - mean) ** 3).sum()) - empty * mean**3
    skew = third / cells / (second / cells) ** 1.5 if second > 0 else 0.0
    rising = np.cumsum(np.sort(counts)[::-1])
    half = int(np.searchsorted(rising, rising[-1] / 2)) + 1 if len(counts) else 0
    return _Scale(resolution, cells, float(counts.sum()), skew, half)


def _chosen(scale: _Scale, k: int, scales: list[_Scale], coarser: _Scale | None = None) -> Choice:
    """The choice with its reasons: what was taken, and what spoke against finer cells."""
    resolution, metres = scale.resolution, width_m(scale.resolution)
    remarks = [
        decided(
            "scale_chosen",
            resolution=resolution,
            metres=round(metres, -1 if metres < 1000 else -2),
            cells=scale.cells,
        )
    ]
    if coarser is not None:
        remarks.append(decided("scale_gathered", resolution=coarser.resolution, cells=coarser.half))
    for finer in [s for s in scales if s.resolution == resolution + 1]:
        if finer.cells > MOST_CELLS:
            remarks.append(
                decided("scale_many", resolution=finer.resolution, cells=finer.cells, most=MOST_CELLS)
            )
        elif finer.expected(USUAL_K) < LEAST_EXPECTED and coarser is None:
            expected = round(finer.expected(USUAL_K), 1)
            remarks.append(
                decided(
                    "scale_thin",
                    resolution=finer.resolution,
                    members=disk(USUAL_K),
                    expected=expected,
                    least=int(LEAST_EXPECTED),
                )
            )
    expected = round(scale.expected(k), 1)
    remarks.append(decided("scale_rings", k=k, members=disk(k), expected=expected))
    if k == USUAL_K and scale.skew > MOST_SKEW and scale.expected(1) >= LEAST_EXPECTED:
        remarks.append(decided("scale_skewed", skew=round(scale.skew, 1), most=MOST_SKEW))
    if not scale.large(k):
        remarks.append(caution("scale_small_area", cells=scale.cells, members=disk(k)))
    if scale.expected(k) < LEAST_EXPECTED and coarser is None:
        remarks.append(
            caution("scale_few_reports", members=disk(k), expected=expected, least=int(LEAST_EXPECTED))
        )
    return Choice(resolution, k, tuple(remarks))
