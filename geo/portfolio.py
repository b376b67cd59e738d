"""Which projects a budget buys: the choice with most benefit, exactly, and fair to each place.

A 0/1 knapsack (Kellerer, Pferschy & Pisinger 2004, Knapsack Problems) with rows for the
shares of places, solved by branch and cut (HiGHS, Huangfu & Hall 2018) on one thread, so
that the same question has the same answer. The bound without rules is Dantzig's (1957):
projects by benefit per SAR, the last one in part. Caveat: benefits are taken as
independent; a project beside another one may be worth less, or cheaper.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt

from geo.errors import InputError, RasdError
from geo.solver import Silent, passed, run

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SECONDS = 30.0  # after which the best choice so far is taken, with its gap
TINY = 1e-6  # of the budget: two sums that differ by less are the same


@dataclass(frozen=True, slots=True, eq=False)
class Portfolio:
    """A choice.

    Attributes
    ----------
    chosen : (n,). spent : SAR, at most the budget. objective : benefit of what is chosen.
    bound : no choice by the same rules has more; ``gap`` = 1 − objective ÷ bound.
    free_bound : no choice at all has more, without rules and with parts of projects.
    candidates : projects that could be chosen.
    """

    chosen: Flags
    spent: float
    objective: float
    bound: float
    gap: float
    free_bound: float
    candidates: int
    seconds: float
    status: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that cannot be met: ``code`` is budget_pinned, share_lacking or shares.

    ``place`` is the group (-1: none); ``need`` and ``have`` are SAR.
    """

    code: str
    place: int = -1
    need: float = 0.0
    have: float = 0.0


class PortfolioClash(InputError):
    """Rules of a portfolio that cannot all be met; ``rules`` says which."""

    def __init__(self, rules: Sequence[Broken]) -> None:
        self.rules = tuple(rules)
        told = "; ".join(f"{r.code}: {r.need:,.0f} needed, {r.have:,.0f} there" for r in self.rules)
        super().__init__(f"These rules of the budget cannot all be met: {told}. Change at least one of them.")


def portfolio(
    benefit: npt.ArrayLike,
    cost: npt.ArrayLike,
    budget: float,
    *,
    place: npt.ArrayLike | None = None,
    least: Mapping[int, float] | None = None,
    pinned: npt.ArrayLike | None = None,
    dropped: npt.ArrayLike | None = None,
    seconds: float = SECONDS,
    tick: Callable[[], None] | None = None,
) -> Portfolio:
    """The projects with most benefit that the budget pays for.

    Parameters
    ----------
    benefit : (n,) at least 0. cost : (n,) SAR, above 0.
    place : (n,) group of each project. least : SAR that is spent in a group at least.
    pinned, dropped : (n,) flags of projects that must, or must not, be chosen.
    seconds : after which the search stops. tick : called now and then; raise in it to stop.

    Raises
    ------
    InputError : numbers are missing or negative; ``PortfolioClash`` : rules cannot be met.
    """
    began = time.monotonic()
    value, price = np.asarray(benefit, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    n = len(value)
    group = np.full(n, -1, dtype=np.int64) if place is None else np.asarray(place, dtype=np.int64)
    must = np.zeros(n, dtype=bool) if pinned is None else np.asarray(pinned, dtype=bool)
    out = np.zeros(n, dtype=bool) if dropped is None else np.asarray(dropped, dtype=bool)
    shares = {int(key): float(amount) for key, amount in (least or {}).items() if amount > 0}
    if not len(price) == len(group) == len(must) == len(out) == n:
        raise InputError("A portfolio needs a benefit, a cost and a place for each project.")
    if not (np.isfinite(value) & (value >= 0)).all() or not (np.isfinite(price) & (price > 0)).all():
        raise InputError("A portfolio needs benefits of 0 or more and costs above 0.")
    free = must | (~out & (price <= budget))
    _require(price, group, must, free, budget, shares)
    # A project without benefit is only of use where a place must get its share.
    useful = must | (free & ((value > 0) | np.isin(group, list(shares))))
    rows = np.flatnonzero(useful)
    chosen = np.zeros(n, dtype=bool)
    picked, bound, status = _solved(
        value[rows], price[rows], group[rows], must[rows], budget, shares, seconds, tick
    )
    chosen[rows[picked]] = True
    objective = float(value[chosen].sum())
    bound = max(bound, objective)
    return Portfolio(
        chosen=chosen,
        spent=float(price[chosen].sum()),
        objective=objective,
        bound=bound,
        gap=1 - objective / bound if bound > 0 else 0.0,
        free_bound=max(fractional(value[~out], price[~out], budget), objective),
        candidates=len(rows),
        seconds=time.monotonic() - began,
        status=status,
    )


def greedy(order: npt.ArrayLike, cost: npt.ArrayLike, budget: float) -> Flags:
    """Projects in ``order`` (n,) of a score, the greatest first, each taken if what is left pays for it."""
    price = np.asarray(cost, dtype=np.float64)
    chosen, left = np.zeros(len(price), dtype=bool), budget
    for at in np.argsort(-np.asarray(order, dtype=np.float64), kind="stable"):
        if price[at] <= left * (1 + 1e-12):
            chosen[at] = True
            left -= price[at]
    return chosen


def fractional(benefit: Floats, cost: Floats, budget: float) -> float:
    """Benefit of the best choice when projects can be done in part (Dantzig 1957)."""
    order = np.argsort(-benefit / cost, kind="stable")
    before = np.concatenate(([0.0], np.cumsum(cost[order])[:-1])) if len(order) else np.zeros(0)
    return float((benefit[order] * np.clip((budget - before) / cost[order], 0.0, 1.0)).sum())


def _require(
    price: Floats, group: Ints, must: Flags, free: Flags, budget: float, shares: Mapping[int, float]
) -> None:
    """Refuse what needs no search to be impossible."""
    broken = []
    pinned = float(price[must].sum())
    if pinned > budget * (1 + TINY):
        broken.append(Broken("budget_pinned", -1, pinned, budget))
    for key, amount in sorted(shares.items()):
        there = float(price[free & (group == key)].sum())
        if there < amount * (1 - TINY):
            broken.append(Broken("share_lacking", key, amount, there))
    if sum(shares.values()) > budget * (1 + TINY):
        broken.append(Broken("shares", -1, sum(shares.values()), budget))
    if broken:
        raise PortfolioClash(broken)


def _solved(
    value: Floats,
    price: Floats,
    group: Ints,
    must: Flags,
    budget: float,
    shares: Mapping[int, float],
    seconds: float,
    tick: Callable[[], None] | None,
) -> tuple[Flags, float, str]:
    """Which are chosen, the solver's bound, and how it ended."""
    if not len(value):
        return np.zeros(0, dtype=bool), 0.0, "optimal"
    highs = _model(value, price, group, must, budget, shares, seconds)
    if tick is not None:
        tick()
    run(highs, tick)
    ended = highs.getModelStatus()
    if ended == highspy.HighsModelStatus.kInfeasible:
        raise PortfolioClash([Broken("shares", -1, sum(shares.values()), budget)])
    if ended not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
        raise RasdError(f"The solver ended with {highs.modelStatusToString(ended)}.")
    info = highs.getInfo()
    if not np.isfinite(info.primal_solution_status) or info.primal_solution_status != 2:
        raise RasdError(f"The solver found no choice within {seconds:g} seconds: give it a smaller budget.")
    picked = np.array(highs.getSolution().col_value) > 0.5
    if price[picked].sum() > budget * (1 + TINY):
        raise AssertionError("The solver spent more than the budget.")
    optimal = ended == highspy.HighsModelStatus.kOptimal
    bound = float(value[picked].sum()) if optimal else float(info.mip_dual_bound)
    return picked, bound, "optimal" if optimal else "time limit"


def _model(
    value: Floats,
    price: Floats,
    group: Ints,
    must: Flags,
    budget: float,
    shares: Mapping[int, float],
    seconds: float,
) -> highspy.Highs:
    """The programme for HiGHS: one variable a project, a row for the budget and one for each share."""
    n = len(value)
    # In shares of the budget: HiGHS compares sums to an absolute millionth.
    scale = max(budget, float(price.max()), 1.0)
    sizes = price / scale
    keys = sorted(shares)
    rows = [np.arange(n), *(np.flatnonzero(group == key) for key in keys)]
    highs = Silent()
    for option, setting in (
        ("threads", 1),
        ("random_seed", 0),
        ("time_limit", seconds),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 1e-9 * max(float(value.sum()), 1.0)),
        ("mip_feasibility_tolerance", 1e-9),
        ("primal_feasibility_tolerance", 1e-9),
    ):
        highs.setOptionValue(option, setting)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n, len(rows)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = value
    lp.col_lower_, lp.col_upper_ = must.astype(np.float64), np.ones(n)
    lp.row_lower_ = np.array([-highspy.kHighsInf, *(shares[key] / scale for key in keys)])
    lp.row_upper_ = np.array([budget / scale, *([highspy.kHighsInf] * len(keys))])
    lp.integrality_ = [highspy.HighsVarType.kInteger] * n
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int32)
    lp.a_matrix_.index_ = np.concatenate(rows).astype(np.int32)
    lp.a_matrix_.value_ = np.concatenate([sizes[row] for row in rows])
    passed(highs, lp)
    return highs
