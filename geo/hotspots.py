"""Where values are high or low together by more than chance: Gi*, with control of false finds.

Gi* in closed form (Ord & Getis 1995, binary weights, the cell itself included), two-sided
p, and the false discovery rate of Benjamini & Hochberg (1995) over all cells, as in
ArcGIS's Optimized Hot Spot Analysis. The null: the cells' values lie scattered over the
study area at random. p is taken from the exact null distribution of a neighbourhood's
sum, because counts are skewed: see ``gi_star_p``.
Caveats: on raw counts a hot spot may only say where people live; "high" means higher than
the study area as a whole, so another area chosen gives other hot spots; and a single loud
cell among quiet ones is no hot spot but an outlier (``geo/moran.py``): smaller cells show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.special import ndtr

from geo.errors import InputError
from geo.neighbours import Neighbourhood
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]
Null = Literal["exact", "normal"]

LEVELS = (0.10, 0.05, 0.01)  # of classes 1, 2, 3: 90, 95 and 99 % confidence
FEW_LOUD = 7  # cells; a neighbourhood of one ring has as many
FEW_CELLS = 30  # with fewer, the spread of the values themselves is hardly known
SMALLEST_P = 1e-12  # what the arithmetic of the exact null can still tell from 0
_ROOM = 1 << 20  # numbers held for the exact null
_STEPS = (512, 4096)  # between the smallest and the largest value, at least, and for rates at most


@dataclass(frozen=True, slots=True)
class GiStar:
    """Answer of ``gi_star``; arrays (n,) in the order of the neighbourhood's cells.

    Attributes
    ----------
    z : standard score; nan where the cell was not tested.
    p : two-sided; nan where not tested.
    q : p after Benjamini and Hochberg over the tested cells; nan where not tested.
    classes : int8, 3, 2, 1 = hot with 99, 95, 90 % confidence, negative = cold, 0 = neither.
    tested : False for isolates, for cells without a value and for cells that see them all.
    remarks : what was left out, and what needs care.
    """

    z: Floats
    p: Floats
    q: Floats
    classes: npt.NDArray[np.int8]
    tested: npt.NDArray[np.bool_]
    remarks: tuple[Remark, ...]


def gi_star(values: npt.ArrayLike, near: Neighbourhood, null: Null = "exact") -> GiStar:
    """Hot and cold spots of one surface.

    Isolates (no other cell within k steps) are not tested: one value is no neighbourhood.
    Cells at the edge are tested with the neighbours they have; their z allows for the
    smaller number. On a constant surface every z is 0 and every p is 1.

    Parameters
    ----------
    values : (n,) counts or rates of the cells; nan = no value (see ``gi_star_z``).
    near : neighbourhood of the n cells, k at least 1.
    null : where p comes from, see ``gi_star_p``.

    Raises
    ------
    InputError : k is 0, or the values do not fit the cells.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise InputError(f"Gi* tests one surface, (n,); these values are {x.shape}.")
    if near.k < 1:
        raise InputError("Gi* needs a neighbourhood of at least one ring.")
    z = gi_star_z(x, near)
    p = gi_star_p(x, near, null, z=z)
    members, number = _members(x, near)
    missing = np.isnan(x)
    tested = ~missing & (members > 1) & (members < number)
    z, p = np.where(tested, z, np.nan), np.where(tested, p, np.nan)
    q = fdr(p)
    remarks = _remarks(x[~missing], members[~missing], near.full, int(missing.sum()), z)
    return GiStar(z, p, q, classes(z, q), tested, remarks)


def gi_star_z(values: npt.ArrayLike, near: Neighbourhood) -> Floats:
    """Gi* as a standard score, for one surface or for many at once.

    z = (Σ w x − W x̄) / (s √((n W − W²) / (n − 1))) with W the members of the neighbourhood,
    x̄ and s the mean and the standard deviation (divisor n) of the n cells: Ord & Getis
    (1995), Local spatial autocorrelation statistics, Geographical Analysis 27(4), 286–306.

    Parameters
    ----------
    values : (n,) or (n, t), counts or rates in the order of ``near.cells``; each column is
        a surface of its own. nan = no value: the cell takes no part in that column, neither
        as itself nor as a neighbour.
    near : neighbourhood of the n cells.

    Returns
    -------
    As ``values``; 0 where nothing can be said: all values of the column are equal, the
    neighbourhood is the whole study area, or it holds no other cell. nan where the value is.

    Raises
    ------
    InputError : there is not one row of values for each cell, or one is infinite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim not in (1, 2) or len(x) != len(near.cells):
        raise InputError(f"Gi* needs one row of values for each of {len(near.cells)} cells, not {x.shape}.")
    if np.isinf(x).any():
        raise InputError("Gi* cannot use infinite values: give nan to cells without exposure.")
    members, number = _members(x, near)
    missing = np.isnan(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        # About the mean, so that a small spread around a large mean keeps its digits.
        about = np.where(missing, 0.0, x - np.nansum(x, axis=0) / number)
        variance = (about**2).sum(axis=0) / number
        # Rounding gives a constant surface a variance of 1e-30, and z of any size.
        largest = np.max(np.abs(x), axis=0, initial=0.0, where=~missing)
        variance = np.where(variance <= (8 * np.finfo(np.float64).eps * largest) ** 2, np.nan, variance)
        z = (near.matrix @ about) / np.sqrt(variance * members * (number - members) / (number - 1))
    z[~np.isfinite(z) | (members <= 1)] = 0.0
    z[missing] = np.nan
    return z


def gi_star_p(
    values: npt.ArrayLike, near: Neighbourhood, null: Null = "exact", *, z: Floats | None = None
) -> Floats:
    """Two-sided chance of a Gi* at least as far out as each cell's.

    "normal" reads z from the normal distribution, as ArcGIS and esda's ``p_norm`` do. On
    counts of a city that is wrong by orders of magnitude: a few busy cells skew them, and
    sums of 7 are still skewed. Among scattered (Poisson) counts with 14 reports in an
    average neighbourhood, it finds a "95 % hot" cell in 28 of 100 maps where there is none.

    "exact" asks what z does: how often would W cells drawn at random from those of the
    study area hold as much (or as little)? The distribution of that sum is the W-fold
    convolution of the cells' own values, by fast Fourier transform: what esda approaches
    with ever more permutations, in closed form and without noise. Draws are with
    replacement, which errs on the careful side by a factor √((n − 1)/(n − W)) in z. Values
    that are not whole numbers, or spread too far, are set on a fine grid, rounded to the
    careful side. p is twice the smaller tail and at least 1e-12.

    Parameters
    ----------
    values, near : as for ``gi_star_z``, (n,) or (n, t).
    z : the answer of ``gi_star_z`` when it is at hand.

    Returns
    -------
    As ``values``; 1 where z is 0, nan where the value is.
    """
    x = np.asarray(values, dtype=np.float64)
    if z is None:
        z = gi_star_z(x, near)
    if null == "normal":
        return two_sided(z)
    missing = np.isnan(x)
    members, _ = _members(x, near)
    sums = near.matrix @ np.where(missing, 0.0, x)
    p = np.ones_like(x)
    columns = [(slice(None),)] if x.ndim == 1 else [(slice(None), t) for t in range(x.shape[1])]
    for column in columns:
        sizes = np.broadcast_to(members if members.ndim == x.ndim else members[:, None], x.shape)[column]
        p[column] = _drawn(x[column], sums[column], sizes, z[column])
    p[missing] = np.nan
    return p


def two_sided(z: npt.ArrayLike) -> Floats:
    """Chance of a normal standard score at least as far from 0, either way; nan stays nan."""
    return 2 * ndtr(-np.abs(np.asarray(z, dtype=np.float64)))


def fdr(p: npt.ArrayLike, axis: int = 0) -> Floats:
    """Adjusted p-values ("q") of Benjamini and Hochberg (1995).

    Calling q ≤ α a find keeps the expected share of false finds among all finds at α when
    tests are independent or positively dependent (Benjamini & Yekutieli 2001), as those of
    overlapping neighbourhoods are. Where nothing is to be found, every find is false, and α
    bounds the chance of any.

    Parameters
    ----------
    p : any shape; nan = not tested, and not counted among the tests.
    axis : the tests of one family lie along it; along the others are families of their own.

    Returns
    -------
    As ``p``, nan where p is nan. Equal to ``scipy.stats.false_discovery_control``.

    Raises
    ------
    InputError : a p lies outside 0 to 1.
    """
    given = np.moveaxis(np.asarray(p, dtype=np.float64), axis, -1)
    if np.any((given < 0) | (given > 1)):
        raise InputError("A p-value lies outside 0 to 1.")
    order = np.argsort(given, axis=-1)  # nan comes last
    ranked = np.take_along_axis(given, order, axis=-1)
    tests = np.count_nonzero(~np.isnan(ranked), axis=-1, keepdims=True)
    ranked *= tests / np.arange(1, given.shape[-1] + 1)
    # fmin, so that the nan at the end do not reach the others.
    ranked = np.fmin.accumulate(ranked[..., ::-1], axis=-1)[..., ::-1]
    q = np.empty_like(ranked)
    np.put_along_axis(q, order, np.minimum(ranked, 1.0), axis=-1)
    q[np.isnan(given)] = np.nan
    return np.moveaxis(q, -1, axis)


def classes(z: npt.ArrayLike, q: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """3, 2, 1 where q is at most 0.01, 0.05, 0.10, with the sign of z; else, and for nan, 0."""
    sure = np.zeros(np.shape(z), dtype=np.int8)
    for level in LEVELS:
        sure += np.asarray(q) <= level
    return np.where(np.asarray(z) < 0, -sure, sure).astype(np.int8)


def _members(x: Floats, near: Neighbourhood) -> tuple[Floats, Floats]:
    """Cells with a value in each neighbourhood, (n,), (n, 1) or (n, t), and in all, () or (t,)."""
    missing = np.isnan(x)
    if missing.any():
        present = (~missing).astype(np.float64)
        return near.matrix @ present, present.sum(axis=0)
    members = near.members.astype(np.float64)
    return members if x.ndim == 1 else members[:, None], np.asarray(float(len(x)))


def _drawn(x: Floats, sums: Floats, members: Floats, z: Floats) -> Floats:
    """p of one surface by the exact null, (n,); ``sums`` over ``members`` cells each."""
    p = np.ones(len(x))
    asked = np.isfinite(z) & (z != 0)
    if not asked.any():
        return p
    held = x[~np.isnan(x)]
    sizes, which = np.unique(members[asked].astype(np.int64), return_inverse=True)
    low, high = float(held.min()), float(held.max())
    most = max(_STEPS[0], _ROOM // (int(sizes[-1]) * len(sizes)))
    whole = bool((held == np.rint(held)).all()) and high - low <= most
    step = 1.0 if whole else (high - low) / min(most, _STEPS[1])
    # Split between the two nearest points of the grid: the mean stays, the spread cannot shrink.
    place = (held - low) / step
    below = np.floor(place).astype(np.int64)
    share = place - below
    points = int(below.max()) + 2
    mass = np.bincount(below, 1 - share, points) + np.bincount(below + 1, share, points)
    length = int(sizes[-1]) * (points - 1) + 1
    room = fft.next_fast_len(length, real=True)
    spectrum = fft.rfft(mass / len(held), room)
    upward = z[asked] > 0
    where = (sums[asked] - sizes[which] * low) / step
    # Values off the grid blur the sum by at most √W/2 steps: three times that, to the careful side.
    blur = 1.5 * np.sqrt(sizes[which]) if share.any() else 0.0
    where = np.where(upward, np.floor(where - blur + 1e-6), np.ceil(where + blur - 1e-6))
    where = np.clip(where, 0, length - 1).astype(np.int64)
    tails = np.empty(len(where))
    power, reached = np.ones_like(spectrum), 0
    for number, size in enumerate(sizes.tolist()):
        power = power * spectrum ** (size - reached)
        reached = size
        chance = fft.irfft(power, room)[:length]
        cumulated = np.concatenate(([0.0], np.cumsum(chance)))
        own = which == number
        at = where[own]
        # At least as much: from `at` on; at most as much: up to and including `at`.
        tails[own] = np.where(upward[own], 1 - cumulated[at], cumulated[at + 1])
    p[asked] = np.clip(2 * tails, SMALLEST_P, 1.0)
    return p


def _loud(x: Floats) -> int:
    """The fewest cells that hold half of the sum; 0 for values that are no amounts."""
    if not len(x) or x.min() < 0 or x.max() == 0:
        return 0
    rising = np.cumsum(np.sort(x)[::-1])
    return int(np.searchsorted(rising, rising[-1] / 2)) + 1


def _remarks(x: Floats, members: Floats, full: int, missing: int, z: Floats) -> tuple[Remark, ...]:
    """What the reader of a surface has to know; ``x`` and ``members`` of the cells with a value."""
    found: list[Remark] = []
    if missing:
        found.append(caution("gi_missing", cells=missing))
    if len(x) < FEW_CELLS:
        found.append(caution("gi_few", cells=len(x), least=FEW_CELLS))
    if len(x) and not np.nan_to_num(z).any():
        found.append(caution("gi_constant"))
    loud = _loud(x)
    if 0 < loud < FEW_LOUD:
        found.append(caution("gi_loud", cells=loud))
    isolated = int(np.count_nonzero(members == 1))
    if isolated:
        found.append(caution("gi_isolated", cells=isolated))
    whole = int(np.count_nonzero((members == len(x)) & (members > 1)))
    if whole:
        found.append(caution("gi_whole", cells=whole))
    edge = int(np.count_nonzero((members > 1) & (members < full)))
    if edge:
        found.append(decided("gi_edge", cells=edge, share=round(100 * edge / len(x), 1)))
    return tuple(found)
