"""Which cells are like their neighbours, and which stand out against them: Local Moran's I.

Anselin (1995), Local indicators of spatial association, Geographical Analysis 27(2):
clusters (high among high, low among low) and outliers (high among low, low among high).
p by conditional permutation, as GeoDa and esda do: the cell keeps its value, the others
are dealt out anew; false finds are held down as in ``geo/hotspots.py``.
Caveat: a Gi* hot spot is a place whose whole neighbourhood is high; a single loud cell is
an outlier here and may be part of a hot spot there. The two answer different questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.errors import InputError
from geo.hotspots import fdr
from geo.neighbours import Neighbourhood
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HIGH_HIGH, LOW_HIGH, LOW_LOW, HIGH_LOW = 1, 2, 3, 4  # numbered as in esda
DRAWS = 99_999
_ROOM = 1 << 21  # numbers drawn at a time


@dataclass(frozen=True, slots=True)
class LocalMoran:
    """Answer of ``local_moran``; arrays (n,) in the order of the neighbourhood's cells.

    Attributes
    ----------
    i : Local Moran's I, above 0 where a cell is like its neighbours; nan where not tested.
    z : I as a standard score under conditional permutation, from its exact mean and variance.
    p : two-sided (twice the folded p of esda), from permutations; nan where not tested.
    q : p after Benjamini and Hochberg over the tested cells; nan where not tested.
    quadrant : int8, 1 high among high, 2 low among high, 3 low among low, 4 high among low,
        whether significant or not; 0 where not tested or where the cell is just average.
    classes : int8, the quadrant where q is at most the level, else 0.
    tested : False for isolates, for cells without a value and for cells that see them all.
    """

    i: Floats
    z: Floats
    p: Floats
    q: Floats
    quadrant: npt.NDArray[np.int8]
    classes: npt.NDArray[np.int8]
    tested: npt.NDArray[np.bool_]
    remarks: tuple[Remark, ...]


def local_moran(
    values: npt.ArrayLike,
    near: Neighbourhood,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    level: float = 0.05,
    tick: Callable[[float], None] | None = None,
) -> LocalMoran:
    """Clusters and outliers of one surface.

    I = (n − 1)/n · z · (mean of the neighbours' z), z the values about their mean over their
    standard deviation, the cell itself not among its neighbours. Neighbourhoods of one size
    share their draws: ``draws`` sets of as many cells, without replacement; for each cell
    the sets that hold the cell itself are left out, so that the others are dealt out as
    they should be. This gives what esda gives, without a loop over cells.

    Parameters
    ----------
    values : (n,) counts or rates; nan = no value, the cell is then nobody's neighbour.
    near : neighbourhood of the n cells, k at least 1.
    draws : permutations; the smallest two-sided p is about 2 / (draws + 1).
    level : of q, up to which a cell is given a class.
    tick : called with the share done; may raise ``Cancelled``.

    Raises
    ------
    InputError : the values do not fit the cells, k is 0 or there are no draws.
    """
    x = np.asarray(values, dtype=np.float64)
    cells = len(near.cells)
    if x.shape != (cells,) or np.isinf(x).any():
        raise InputError(f"Local Moran needs one finite value for each of {cells} cells.")
    if near.k < 1 or draws < 99:
        raise InputError("Local Moran needs at least one ring of neighbours and 99 permutations.")
    missing = np.isnan(x)
    held = np.flatnonzero(~missing)
    number = len(held)
    matrix = near.matrix[held][:, held] if missing.any() else near.matrix
    own = x[held]
    sizes = np.asarray(matrix.sum(axis=1)).astype(np.int64) - 1
    sums = matrix @ own - own
    about = own - own.mean() if number else own
    spread = float(np.sqrt((about**2).mean())) if number else 0.0
    constant = bool(number and spread <= 8 * np.finfo(np.float64).eps * np.abs(own).max())
    usable = (sizes > 0) & (sizes < number - 1)
    remarks = _remarks(int(missing.sum()), number, sizes, constant, draws)
    found = _Rows(cells, held)
    if constant or not usable.any():
        flat = np.where(usable, 1.0, np.nan)
        zero = found.floats(flat - 1)
        nothing = np.zeros(cells, dtype=np.int8)
        ones = found.floats(flat)
        return LocalMoran(
            zero, zero.copy(), ones, ones.copy(), nothing, nothing.copy(), found.flags(usable), remarks
        )
    score = about / spread
    lag = (sums / np.maximum(sizes, 1) - own.mean()) / spread
    # Mean and variance of the others' values, and of the mean of `sizes` of them drawn at random.
    others = number - 1
    mean = -score / others
    variance = (number - score**2) / others - mean**2
    deviation = np.sqrt(variance / np.maximum(sizes, 1) * (others - sizes) / max(others - 1, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.sign(score) * (lag - mean) / deviation
    p = _permuted(own, sums, np.where(usable, sizes, 0), draws, rng, tick)
    # A cell that is just average has I = 0 whatever its neighbours are.
    average = score == 0
    p[average & usable] = 1.0
    quadrant = np.where(
        score > 0, np.where(lag > 0, HIGH_HIGH, HIGH_LOW), np.where(lag > 0, LOW_HIGH, LOW_LOW)
    )
    quadrant = np.where(usable & ~average, quadrant, 0).astype(np.int8)
    full_p = found.floats(np.where(usable, p, np.nan))
    q = fdr(full_p)
    full_quadrant = found.codes(quadrant)
    return LocalMoran(
        i=found.floats(np.where(usable, others / number * score * lag, np.nan)),
        z=found.floats(np.where(usable, z, np.nan)),
        p=full_p,
        q=q,
        quadrant=full_quadrant,
        classes=np.where(q <= level, full_quadrant, 0).astype(np.int8),
        tested=found.flags(usable),
        remarks=remarks,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Puts answers for some of the cells back among all of them."""

    cells: int
    held: Ints

    def floats(self, values: Floats) -> Floats:
        whole = np.full(self.cells, np.nan)
        whole[self.held] = values
        return whole

    def codes(self, values: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        whole = np.zeros(self.cells, dtype=np.int8)
        whole[self.held] = values
        return whole

    def flags(self, values: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        whole = np.zeros(self.cells, dtype=bool)
        whole[self.held] = values
        return whole


def _permuted(
    x: Floats,
    sums: Floats,
    sizes: Ints,
    draws: int,
    rng: np.random.Generator,
    tick: Callable[[float], None] | None,
) -> Floats:
    """Two-sided p of the neighbours' sums (n,), by sets of ``sizes`` other cells; 1 where 0."""
    number = len(x)
    p = np.ones(number)
    asked = np.unique(sizes[sizes > 0])
    work = int(asked.sum()) * draws
    done = 0
    for size in asked.tolist():
        cells = np.flatnonzero(sizes == size)
        # Of all draws, how many reach as far, and of those that hold the cell itself.
        above, below = np.zeros(len(cells)), np.zeros(len(cells))
        valid = np.full(len(cells), float(draws))
        position = np.full(number, -1, dtype=np.int64)
        position[cells] = np.arange(len(cells))
        block = max(1, _ROOM // (size if 2 * size * size <= number else number))
        for begin in range(0, draws, block):
            picked = _sets(rng, number, size, min(block, draws - begin))
            totals = x[picked].sum(axis=1)
            ordered = np.sort(totals)
            above += len(totals) - np.searchsorted(ordered, sums[cells], side="left")
            below += np.searchsorted(ordered, sums[cells], side="right")
            at = position[picked]
            rows, columns = np.nonzero(at >= 0)
            who, total = at[rows, columns], totals[rows]
            reached = sums[cells[who]]
            above -= np.bincount(who, total >= reached, len(cells))
            below -= np.bincount(who, total <= reached, len(cells))
            valid -= np.bincount(who, minlength=len(cells))
            done += len(totals) * size
            if tick is not None:
                tick(min(0.99, done / work))
        p[cells] = np.minimum(1.0, 2 * (np.minimum(above, below) + 1) / (valid + 1))
    return p


def _sets(rng: np.random.Generator, number: int, size: int, draws: int) -> Ints:
    """``draws`` sets of ``size`` different numbers below ``number``, (draws, size)."""
    if 2 * size * size > number:
        return np.argpartition(rng.random((draws, number)), size - 1, axis=1)[:, :size]
    picked = rng.integers(0, number, (draws, size))
    again = np.arange(draws)
    while len(again):
        ordered = np.sort(picked[again], axis=1)
        again = again[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
        picked[again] = rng.integers(0, number, (len(again), size))
    return picked


def _remarks(missing: int, number: int, sizes: Ints, constant: bool, draws: int) -> tuple[Remark, ...]:
    found = [decided("moran_draws", draws=draws, least=2 / (draws + 1))]
    if missing:
        found.append(caution("gi_missing", cells=missing))
    if constant:
        found.append(caution("gi_constant"))
    isolated = int(np.count_nonzero(sizes == 0))
    if isolated and number:
        found.append(caution("gi_isolated", cells=isolated))
    return tuple(found)
