"""Untreated cells that stand for treated ones: the same level and trend before a campaign.

The level is not the count before but what such a course foretold in untreated cells: teams
go where it was bad, part of that is chance, and chance does not return (regression to the
mean; empirical-Bayes before-after study, Hauer 1997). Nearest neighbours in level and
trend, of the same municipality where these are near enough. Caveat: the worst cells of a
city may have no equal; ``Matches.loose`` says for how many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, spatial

from geo.cells import Cells
from geo.errors import InputError
from geo.neighbours import neighbourhood

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MATCHED = 8  # untreated cells for each treated one
CALIPER = 0.5  # farthest a match may be in the logarithm of level or trend: a factor of 1.6
LEAST_BEFORE = 4  # periods
_SMALL = 0.25  # reports a period that are added before logarithms are taken


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Counts of a study area before and after a campaign; the time of the campaign is left out.

    Attributes
    ----------
    cells : (n,) int64, ascending, of one resolution.
    counts : (n, t), the first ``before`` periods end where the campaign begins; all equally long.
    group : (n,) municipality of each cell, 0 for none.
    treated : (n,) cells in which the campaign worked.

    Raises
    ------
    InputError : too few periods, nothing treated, or shapes that differ.
    """

    cells: Cells
    counts: Ints
    before: int
    group: Ints
    treated: Flags

    def __post_init__(self) -> None:
        n = len(self.cells)
        faults = []
        if self.counts.shape[:1] != (n,) or self.group.shape != (n,) or self.treated.shape != (n,):
            faults.append("cells, counts, groups and treated differ in number")
        elif not self.treated.any():
            faults.append("no cell of the study area was treated")
        if self.before < LEAST_BEFORE:
            faults.append(f"{self.before} periods lie before it, at least {LEAST_BEFORE} are needed")
        if self.counts.shape[1] <= self.before:
            faults.append("no whole period lies after it")
        if faults:
            raise InputError("An effect cannot be estimated: " + "; ".join(faults) + ".")


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Untreated cells for treated ones.

    Attributes
    ----------
    members : (k,) treated cells that were matched, positions in the panel.
    weight : (n,) of each untreated cell; adds up to k. 0 for cells that match nobody.
    expected : (n,) reports a period that a cell's course foretells, up to a common factor.
    abroad : share of the weight in another municipality than its treated cell.
    loose : share of treated cells without a match within the caliper.
    """

    members: Ints
    weight: Floats
    expected: Floats
    abroad: float
    loose: float


def ring(cells: Cells, treated: Flags, k: int = 1) -> Flags:
    """Untreated cells within ``k`` steps of a treated one, (n,)."""
    near = neighbourhood(cells, k).matrix @ treated.astype(np.float64)
    return (near > 0) & ~treated


def matches_of(panel: Panel, barred: Flags) -> Matches:
    """Untreated cells with the same level and trend before, in the same municipality where possible.

    Parameters
    ----------
    barred : (n,) cells that are nobody's match and are not learned from: treated ones, and
        those next to them, which the campaign may have touched.
    """
    history = panel.counts[:, : panel.before].astype(np.float64)
    expected = foretold(panel.cells, history, panel.group, ~barred, panel.counts[:, panel.before :])
    recent, earlier = _halves(history)
    trend = np.log((recent + _SMALL) / (earlier + _SMALL))
    place = np.column_stack([np.log(expected + _SMALL), trend / 2])
    members = np.flatnonzero(panel.treated)
    free = np.flatnonzero(~barred)
    if len(free) < MATCHED:
        raise InputError(
            f"Only {len(free)} cells were neither treated nor next to treated ones; at least {MATCHED} are needed "
            "to compare with. Look at a larger area, or at finer cells."
        )
    weight = np.zeros(len(panel.cells))
    tree = spatial.cKDTree(place[free])
    abroad = loose = 0.0
    own_trees: dict[int, tuple[Ints, spatial.cKDTree]] = {}
    for group in np.unique(panel.group[members]):
        at = free[panel.group[free] == group]
        if len(at) and group:
            own_trees[int(group)] = (at, spatial.cKDTree(place[at]))
    for member in members:
        chosen = np.zeros(0, dtype=np.int64)
        if int(panel.group[member]) in own_trees:
            at, own = own_trees[int(panel.group[member])]
            gap, near = own.query(place[member], k=min(MATCHED, len(at)))
            chosen = at[np.atleast_1d(near)[np.atleast_1d(gap) <= CALIPER]]
        if len(chosen) < MATCHED:
            gap, near = tree.query(place[member], k=2 * MATCHED)
            others = free[near]
            fresh = ~np.isin(others, chosen)
            loose += len(chosen) == 0 and float(gap[0]) > CALIPER
            chosen = np.concatenate([chosen, others[fresh][: MATCHED - len(chosen)]])
        weight[chosen] += 1 / len(chosen)
        abroad += float(np.mean(panel.group[chosen] != panel.group[member]))
    return Matches(members, weight, expected, abroad / len(members), loose / len(members))


def _halves(history: Floats) -> tuple[Floats, Floats]:
    """Mean counts a period of the later and of the earlier half, (n,) each."""
    half = history.shape[1] // 2
    return history[:, -half:].mean(axis=1), history[:, :-half].mean(axis=1)


def foretold(cells: Cells, history: Floats, group: Ints, learn: Flags, after: Ints) -> Floats:
    """Counts a period that each cell's course lets expect, (n,).

    A sum, with weights not below 0, of its means in the latest quarter, the later and the
    earlier half, of the mean around it, and of its municipality's: what an untreated cell came to, given its course (the posterior
    mean of a Poisson count under a gamma prior is such a sum). Weights by iterated least
    squares with the Poisson variance.
    """
    recent, earlier = _halves(history)
    matrix = neighbourhood(cells, 1).matrix
    whole = history.mean(axis=1)
    around = (matrix @ whole - whole) / np.maximum(np.asarray(matrix.sum(axis=1)).ravel() - 1, 1)
    place = np.unique(group, return_inverse=True)[1]
    common = (np.bincount(place, whole) / np.bincount(place))[place]
    latest = history[:, -max(history.shape[1] // 4, 1) :].mean(axis=1)
    design = np.column_stack([latest, recent, earlier, around, common, np.full(len(cells), whole.mean())])
    target = after.mean(axis=1)[learn]
    known = design[learn]
    mean = np.maximum(known.mean(axis=1), 1e-3)
    weights = np.zeros(design.shape[1])
    for _ in range(8):
        scale = 1 / np.sqrt(np.maximum(mean, 1e-3))
        weights, _ = optimize.nnls(known * scale[:, None], target * scale)
        mean = known @ weights
    if not weights.any():
        return whole
    return design @ weights
