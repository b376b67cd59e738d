"""Cylinders of the space-time scan: disks of H3 cells × the last 1, 2 … days.

What all permutations of the dates share is computed once: the disks, their cases over
all days, the cases of the last days, and so what each cylinder expects (Kulldorff et al.
2005, PLoS Medicine 2:e59). The search itself and its p-values are in ``geo/scan.py``.
Caveat: a disk near the edge of the study area, or over empty cells, is smaller than round.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from geo.cells import Cells, Floats, areas_km2
from geo.neighbours import rings

Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.float32]  # whole numbers below 2**24, exact in single precision


def spacing_m(cells: npt.ArrayLike) -> float:
    """Mean distance between the centres of neighbouring cells, metres (hexagons of their area)."""
    areas = areas_km2(cells)
    return math.sqrt(2e6 * float(areas.mean()) / math.sqrt(3)) if len(areas) else math.nan


def rings_within(cells: npt.ArrayLike, max_radius_m: float) -> int:
    """Rings of the largest disk of at most ``max_radius_m``; 0 (the cell alone) at least."""
    spacing = spacing_m(cells)
    return 0 if math.isnan(spacing) else max(0, math.floor(max_radius_m / spacing - 0.5))


def log_ratio(observed: npt.ArrayLike, expected: npt.ArrayLike, cases: int) -> Floats:
    """Logarithm of the generalised likelihood ratio of cylinders with more than expected.

    c ln(c/μ) + (C − c) ln((C − c)/(C − μ)) for c > μ, otherwise 0 (Kulldorff et al. 2005).

    Parameters
    ----------
    observed, expected : c and μ, of shapes that fit together
    cases : C, all cases

    Returns
    -------
    float64 of the common shape
    """
    c, mu = np.broadcast_arrays(np.asarray(observed, np.float64), np.asarray(expected, np.float64))
    ratio = np.zeros(c.shape)
    more = (c > mu) & (mu > 0)
    c, mu = c[more], mu[more]
    rest = cases - c
    # Of an outside without cases, the limit 0 · ln 0 = 0 is left.
    outside = np.log1p((mu - c) / (cases - mu), where=rest > 0, out=np.zeros(len(c)))
    ratio[more] = c * np.log(c / mu) + rest * outside
    return ratio


def by_duration(by_age: npt.NDArray) -> Counts:
    """(n, d) cases of the last 1, 2 … d days from cases by age."""
    return np.cumsum(by_age, axis=1, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Cylinders:
    """What all permutations share: the disks, and the margins that they keep.

    Attributes
    ----------
    rings : K + 1 sparse (n, n), cells exactly 0, 1 … K steps apart.
    tried : (K + 1, n) bool, disks that hold no more than their share of the cases.
    expected : (K + 1, n, d) by radius, centre and duration (1, 2 … d days).
    cases : of all days; min_cases : in a cylinder that is tried, at least.
    """

    rings: list[sp.csr_array]
    tried: npt.NDArray[np.bool_]
    expected: Floats
    cases: int
    min_cases: int

    @classmethod
    def of(
        cls,
        cells: Cells,
        kinds: list[tuple[Ints, Ints]],
        reach: int,
        max_days: int,
        max_share: float,
        min_cases: int,
    ) -> Cylinders:
        """The cylinders over ``cells`` for cases of each kind: position of the cell, and age in days."""
        n = len(cells)
        near = [ring.astype(np.float32) for ring in rings(cells, reach)]
        totals, base = np.zeros(n), np.zeros((n, max_days))
        for place, age in kinds:
            own = np.bincount(place, minlength=n).astype(np.float64)
            recent = np.cumsum(np.bincount(age[age < max_days], minlength=max_days))
            # What each cell expects: its cases of the kind × the share of the kind's that are recent.
            base += np.outer(own, recent / max(len(place), 1))
            totals += own
        in_disk = np.cumsum([ring @ totals for ring in near], axis=0).reshape(reach + 1, n)
        expected = np.cumsum([ring @ base for ring in near], axis=0).reshape(reach + 1, n, max_days)
        cases = int(totals.sum())
        return cls(near, in_disk <= max_share * cases, expected, cases, min_cases)

    def disk(self, centre: int, level: int) -> Ints:
        """Positions of the cells within ``level`` rings of a centre, ascending."""
        return np.sort(np.concatenate([ring[[centre]].indices for ring in self.rings[: level + 1]])).astype(
            np.int64
        )

    def observed(self, durations: Counts) -> Iterator[Counts]:
        """Sums over disks of 0, 1 … K rings; one array that grows, so use it before the next."""
        total = durations.copy()
        yield total
        for ring in self.rings[1:]:
            total += ring @ durations
            yield total

    def ratios(self, level: int, sums: Counts) -> Floats:
        """(n, d) llr of the disks of one size, 0 where it is not tried."""
        tried = (sums >= self.min_cases) & self.tried[level][:, None]
        return log_ratio(np.where(tried, sums, 0), self.expected[level], self.cases)

    def best(self, durations: Counts) -> tuple[Floats, Ints]:
        """Largest llr by (level, centre), and the duration (0 is one day) that gives it."""
        values = np.zeros(self.tried.shape)
        longest = np.zeros(self.tried.shape, dtype=np.int64)
        for level, sums in enumerate(self.observed(durations)):
            # Rounded, so that equal cylinders tie on every machine: the shortest comes first.
            ratios = np.round(self.ratios(level, sums), 9)
            longest[level] = ratios.argmax(axis=1)
            values[level] = np.take_along_axis(ratios, longest[level][:, None], axis=1)[:, 0]
        return values, longest

    def critical(self, floor: float) -> npt.NDArray[np.float32]:
        """(K + 1, n, d): the fewest cases with which a cylinder's llr reaches ``floor``.

        The margins are the same in every permutation, so what a cylinder expects is too,
        and its llr grows with its cases: one comparison replaces two logarithms.
        """
        count = np.arange(self.cases + 1, dtype=np.float64)
        low, high = np.zeros(len(count)), count.copy()
        for _ in range(60):  # the expected number at which `count` cases reach the floor, halving
            middle = (low + high) / 2
            reaches = log_ratio(count, middle, self.cases) >= floor * (1 - 1e-9)
            low, high = np.where(reaches, middle, low), np.where(reaches, high, middle)
        edge = np.maximum.accumulate(high)
        found = np.empty(self.expected.shape, dtype=np.float32)
        for level in range(len(self.rings)):
            fewest = np.maximum(np.searchsorted(edge, self.expected[level]), self.min_cases)
            found[level] = np.where(self.tried[level][:, None], fewest, np.inf)
        return found

    def maxima(self, stacked: Counts, critical: npt.NDArray[np.float32]) -> Floats:
        """(p,) largest llr of each permutation in (n, p, d), 0 where the floor is not reached."""
        n, p, d = stacked.shape
        best = np.zeros(p)
        for level, sums in enumerate(self.observed(stacked.reshape(n, p * d))):
            reached = np.flatnonzero(sums.reshape(n, p, d) >= critical[level][:, None, :])
            if len(reached):
                cell, which, age = np.unravel_index(reached, (n, p, d))
                found = log_ratio(sums.ravel()[reached], self.expected[level, cell, age], self.cases)
                np.maximum.at(best, which, found)
        return best


def greedy(space: Cylinders, values: Floats, most: int) -> Iterator[tuple[int, int]]:
    """(level, centre) of the best cylinder, of the best without its cells, and so on.

    Ties go to the smaller disk, then to the lower cell.
    """
    levels, n = values.shape
    left = np.full(n, levels - 1)  # largest disk that meets no cluster so far
    for _ in range(most):
        open_ones = np.where(np.arange(levels)[:, None] <= left, values, 0.0)
        if open_ones.max(initial=0.0) <= 0:
            return
        level, centre = divmod(int(open_ones.argmax()), n)
        yield level, centre
        taken = np.zeros(n, dtype=np.float32)
        taken[space.disk(centre, level)] = 1
        for step in range(levels - 1, -1, -1):
            left = np.where(space.rings[step] @ taken > 0, np.minimum(left, step - 1), left)
