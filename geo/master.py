"""The choice among candidate areas as a linear programme: set packing with rules, by HiGHS.

One variable a candidate, chosen or not; each cell in at most one; at most so many areas; a
row for each rule. Relaxed, it tells what a cell or a rule is worth (its dual), by which more
candidates are grown (column generation, Gilmore & Gomory 1961); whole, it is solved exactly
by branch and cut (HiGHS, Huangfu & Hall 2018), one thread and a fixed seed, so that the same
question has the same answer. Caveat: a bound speaks of the candidates it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp

from geo.errors import RasdError
from geo.patches import Field, Flags, Floats, Ints, Patch
from geo.solver import Silent, passed, run

Tick = Callable[[float], None]
SECONDS = 120.0  # after which branching is stopped on any machine; said in the status
NODES = 20_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that candidates have to meet together.

    Attributes
    ----------
    kind : must, each_group or least_share.
    number : of the set of cells, or the group. value : the share, 0 for others.
    """

    kind: str
    number: int
    value: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """The programme with parts of areas allowed.

    Attributes
    ----------
    value : of its optimum, a bound for any choice among these candidates; pinned ones left out.
    cell : (n,) what each cell costs.
    part : (m,) how much of each candidate is taken. reduced : what taking it whole would bring.
    missed : how far rules are not met; 0 when all are.
    """

    value: float
    cell: Floats
    part: Floats
    reduced: Floats
    missed: float


@dataclass(frozen=True, slots=True)
class Solved:
    """The programme as it is. ``chosen`` is None when no choice meets all rules."""

    chosen: tuple[int, ...] | None
    value: float
    bound: float
    status: str


class Master:
    """The programme over the candidates that are not pinned.

    Parameters
    ----------
    patches : all candidates; pinned ones are always chosen and take their place and hours.
    areas : most areas, pinned ones included.
    """

    def __init__(self, field: Field, patches: Sequence[Patch], areas: int, rules: Sequence[Rule]) -> None:
        self.field, self.rules = field, tuple(rules)
        self.pinned = [p for p in patches if p.pinned]
        self.patches = [p for p in patches if not p.pinned]
        self.areas = areas - len(self.pinned)
        self.value = np.array([p.value for p in self.patches], np.float64)
        n, m = len(field.effort.cells), len(self.patches)
        lengths = [len(p.members) for p in self.patches]
        columns = np.repeat(np.arange(m), lengths)
        cells = np.concatenate([p.members for p in self.patches]) if m else np.zeros(0, np.int64)
        self.cover = sp.csr_array((np.ones(len(cells)), (cells, columns)), shape=(n, m))
        self._packing, self._alike = self._rows()
        self._rule_rows = [row for rule in self.rules for row in self._of_rule(rule)]

    def _rows(self) -> tuple[sp.csr_array, list[Ints]]:
        """Cells in several candidates, those in exactly the same ones put together."""
        cover = self.cover
        cover.sort_indices()
        alike: dict[bytes, list[int]] = {}
        for cell in np.flatnonzero(np.diff(cover.indptr) > 1).tolist():
            part = cover.indices[cover.indptr[cell] : cover.indptr[cell + 1]]
            alike.setdefault(part.tobytes(), []).append(cell)
        groups = [np.array(cells, np.int64) for cells in alike.values()]
        return cover[np.array([g[0] for g in groups], np.int64)], groups

    def _of_rule(self, rule: Rule) -> list[tuple[Floats, float]]:
        """Its rows: coefficients (m,) and the least that they must add up to."""
        if rule.kind == "must":
            one = self.field.limits.must[rule.number]
            if any(np.isin(p.members, one).any() for p in self.pinned):
                return []
            return [(np.minimum(self.cover[one].sum(axis=0), 1.0), 1.0)]
        of_group = np.array([p.group == rule.number for p in self.patches], bool)
        own = [p for p in self.pinned if p.group == rule.number]
        present = [] if own else [(of_group.astype(np.float64), 1.0)]
        if rule.kind == "each_group":
            return present
        # A share of no hours at all would be met by no areas: one of the group there must be.
        hours = np.array([p.hours for p in self.patches], np.float64)
        fixed = sum(p.hours for p in own) - rule.value * sum(p.hours for p in self.pinned)
        return [*present, (hours * (of_group - rule.value), -fixed)]

    def _model(
        self, whole: bool, elastic: float | None, worth: bool = True, keep: Flags | None = None
    ) -> highspy.Highs:
        """The programme for HiGHS, with the candidates of ``keep`` only."""
        extra = len(self._rule_rows) if elastic is not None else 0
        parts = [sp.csr_array(np.ones((1, len(self.patches)))), self._packing]
        parts += [sp.csr_array(row[None, :]) for row, _ in self._rule_rows]
        matrix = sp.vstack(parts, format="csc")
        value = self.value if worth else np.zeros(len(self.patches))
        if keep is not None:
            matrix, value = matrix[:, np.flatnonzero(keep)], value[keep]
        m = len(value)
        rows = matrix.shape[0]
        if extra:
            first = rows - extra
            slack = sp.csc_array(
                (np.ones(extra), (np.arange(first, rows), np.arange(extra))), shape=(rows, extra)
            )
            matrix = sp.hstack([matrix, slack], format="csc")
        lower = np.full(rows, -highspy.kHighsInf)
        upper = np.ones(rows)
        upper[0] = self.areas
        for place, (_, least) in enumerate(self._rule_rows, rows - len(self._rule_rows)):
            lower[place], upper[place] = least, highspy.kHighsInf
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = m + extra, rows
        lp.col_cost_ = np.concatenate([value, np.full(extra, -(elastic or 0.0))])
        lp.col_lower_ = np.zeros(m + extra)
        lp.col_upper_ = np.concatenate([np.ones(m), np.full(extra, highspy.kHighsInf)])
        lp.row_lower_, lp.row_upper_ = lower, upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = matrix.indptr.astype(np.int32)
        lp.a_matrix_.index_ = matrix.indices.astype(np.int32)
        lp.a_matrix_.value_ = matrix.data.astype(np.float64)
        lp.sense_ = highspy.ObjSense.kMaximize
        if whole:
            lp.integrality_ = [highspy.HighsVarType.kInteger] * m
        highs = Silent()
        for name, option in (("threads", 1), ("random_seed", self.field.limits.seed % (1 << 31))):
            highs.setOptionValue(name, option)
        passed(highs, lp)
        return highs

    def relaxed(self, tick: Tick | None = None) -> Relaxed:
        """The programme with parts of areas; rules that cannot be met are missed at a high price."""
        m, n = len(self.patches), len(self.field.effort.cells)
        dear = 10.0 * (float(np.sort(self.value)[-max(self.areas, 1) :].sum()) + 1.0)
        highs = self._model(False, dear)
        run(highs, None if tick is None else lambda: tick(0.0))
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RasdError(f"The linear programme ended with {highs.getModelStatus()}.")
        answer = highs.getSolution()
        duals = np.abs(np.array(answer.row_dual))
        cell = np.zeros(n)
        for dual, alike in zip(duals[1 : 1 + len(self._alike)], self._alike, strict=True):
            if dual > 0:
                cell[alike] = dual / len(alike)
        values = np.array(answer.col_value)
        missed = float(values[m:].sum())
        value = highs.getObjectiveValue() + dear * missed
        # The dual of a column that is not chosen is what choosing it whole would cost (negative).
        return Relaxed(value, cell, values[:m], np.array(answer.col_dual)[:m], missed)

    def solve(self, gap: float, tick: Tick | None = None) -> Solved:
        """The best choice, within a relative gap.

        A candidate that would cost more than lies between the relaxed programme and a choice
        that is known cannot be part of a better one: it is left out (reduced-cost fixing).
        """
        fixed = sum(p.value for p in self.pinned)
        if not self.patches or self.areas < 1:
            met = all(least <= 1e-9 for _, least in self._rule_rows)
            return Solved(() if met else None, fixed, fixed, "optimal")
        relaxed = self.relaxed(tick)
        known, taken = self.known(relaxed)
        if relaxed.missed > 1e-6:
            return Solved(None, 0.0, 0.0, "infeasible")
        if relaxed.value <= known + max(gap * abs(known), 1e-9):
            return Solved(taken, known + fixed, max(relaxed.value, known) + fixed, "optimal")
        worth = relaxed.value + np.minimum(relaxed.reduced, 0.0) >= known - 1e-6
        highs = self._model(True, None, keep=worth)
        highs.setOptionValue("mip_rel_gap", gap)
        status = self._branch(highs, tick)
        if status == "infeasible":
            # Nothing better than what is known is left; without that, nothing at all.
            if not np.isfinite(known):
                return Solved(None, 0.0, 0.0, status)
            return Solved(taken, known + fixed, known + fixed, "optimal")
        info = highs.getInfo()
        if info.primal_solution_status == 2:
            found = tuple(np.flatnonzero(worth)[np.array(highs.getSolution().col_value) > 0.5].tolist())
            total = float(self.value[list(found)].sum())
            if total > known:
                known, taken = total, found
        elif not np.isfinite(known):
            raise RasdError(f"The choice of areas found none in time ({status}); ask for fewer areas.")
        bound = min(max(float(info.mip_dual_bound), known), max(relaxed.value, known))
        return Solved(taken, known + fixed, bound + fixed, status)

    def possible(self, tick: Tick | None = None) -> bool:
        """Some choice meets all rules."""
        if not self.patches or self.areas < 1:
            return all(least <= 1e-9 for _, least in self._rule_rows)
        highs = self._model(True, None, worth=False)
        status = self._branch(highs, tick)
        return status != "infeasible"

    def keeps(self, taken: Sequence[int]) -> bool:
        """The choice meets all rules."""
        at = list(taken)
        return all(float(row[at].sum()) >= least - 1e-9 for row, least in self._rule_rows)

    def greedy(self, order: Ints | None = None) -> tuple[int, ...]:
        """The best candidate first (or in an order given), then the best that touches none taken."""
        used = np.zeros(len(self.field.effort.cells), bool)
        found: list[int] = []
        for place in (np.argsort(-self.value, kind="stable") if order is None else order).tolist():
            if len(found) >= self.areas:
                break
            members = self.patches[place].members
            if not used[members].any():
                used[members] = True
                found.append(place)
        return tuple(found)

    def known(self, relaxed: Relaxed) -> tuple[float, tuple[int, ...]]:
        """A good choice without search and its value: greedy by worth, or by what the relaxed one takes.

        Minus infinity and none when these do not meet the rules.
        """
        by_part = np.lexsort((-self.value, -np.round(relaxed.part, 9)))
        by_cost = np.lexsort((-self.value, -np.round(relaxed.reduced, 9)))
        found: tuple[float, tuple[int, ...]] = (-np.inf, ())
        for taken in (self.greedy(), self.greedy(by_part), self.greedy(by_cost)):
            value = float(self.value[list(taken)].sum())
            if value > found[0] and self.keeps(taken):
                found = (value, taken)
        return found

    def _branch(self, highs: highspy.Highs, tick: Tick | None) -> str:
        for name, value in (("mip_abs_gap", 1e-7), ("mip_max_nodes", NODES), ("time_limit", SECONDS)):
            highs.setOptionValue(name, value)
        run(highs, None if tick is None else lambda: tick(0.0))
        status = highs.getModelStatus()
        return {
            highspy.HighsModelStatus.kOptimal: "optimal",
            highspy.HighsModelStatus.kInfeasible: "infeasible",
            highspy.HighsModelStatus.kUnboundedOrInfeasible: "infeasible",
            highspy.HighsModelStatus.kTimeLimit: "time",
            highspy.HighsModelStatus.kSolutionLimit: "nodes",
        }.get(status, str(status))
