"""What an hour of work yields, cell by cell: the curve that every campaign plan is made of.

Entering a cell costs travel; after that, work is a list of steps, each with its hours and
the weighted finds they are expected to bring. Steps are worth less and less per hour, so a
set of cells with so many hours is best worked by taking steps in order of finds per hour
(the fractional knapsack of Dantzig 1957, exact because every curve is concave). Caveat: a
step can be done in part; a site half inspected stands for one chance in two to reach it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.cells import Cells
from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TOLERANCE = 1e-9  # hours below which two amounts of work are the same


@dataclass(frozen=True, slots=True, eq=False)
class Effort:
    """The curves of a study area; steps of one cell are neighbours, the best per hour first.

    Attributes
    ----------
    cells : (n,) int64, ascending, of one resolution.
    enter : (n,) hours to get to a cell and across it before anything is found, at least 0.
    step_cell : (s,) position in ``cells``, ascending.
    step_hours : (s,) hours of a step, above 0.
    step_value : (s,) weighted finds expected of the whole step, at least 0.

    Raises
    ------
    InputError : lengths differ, an amount is negative or not finite, or a curve is not concave.
    """

    cells: Cells
    enter: Floats
    step_cell: Ints
    step_hours: Floats
    step_value: Floats

    def __post_init__(self) -> None:
        faults = []
        if len(self.enter) != len(self.cells):
            faults.append(f"{len(self.enter)} hours to enter {len(self.cells)} cells")
        if not len(self.step_cell) == len(self.step_hours) == len(self.step_value):
            faults.append("cells, hours and values of the steps differ in number")
        elif len(self.step_cell):
            if not (np.isfinite(self.step_hours) & (self.step_hours > 0)).all():
                faults.append("a step without hours")
            elif not (np.isfinite(self.step_value) & (self.step_value >= 0)).all():
                faults.append("a step with a negative or unknown value")
            else:
                same = self.step_cell[1:] == self.step_cell[:-1]
                slope = self.step_value / self.step_hours
                if (np.diff(self.step_cell) < 0).any():
                    faults.append("steps that are not in order of cell")
                elif (same & (slope[1:] > slope[:-1] * (1 + 1e-9) + 1e-12)).any():
                    faults.append("a step that is worth more per hour than the one before it")
        if not (np.isfinite(self.enter) & (self.enter >= 0)).all():
            faults.append("a cell with negative or unknown hours to enter it")
        if faults:
            raise InputError("Effort cannot be planned with " + "; ".join(faults) + ".")

    @property
    def starts(self) -> Ints:
        """First step of each cell, (n + 1,)."""
        return np.searchsorted(self.step_cell, np.arange(len(self.cells) + 1)).astype(np.int64)

    def steps_of(self, members: npt.ArrayLike) -> Ints:
        """All steps of the cells at positions ``members`` (k,), ascending."""
        at = np.sort(np.asarray(members, dtype=np.int64))
        starts = self.starts
        lengths = starts[at + 1] - starts[at]
        first = np.repeat(starts[at] - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
        return first + np.arange(int(lengths.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """The best use of so many hours in a set of cells.

    Attributes
    ----------
    value : weighted finds.
    hours : used, entering included; at most what was given.
    steps : (m,) positions of steps that are done at least in part, ascending.
    shares : (m,) how much of each is done, above 0 and at most 1.
    price : finds that one hour more would bring, 0 when nothing is left to do.
    """

    value: float
    hours: float
    steps: Ints
    shares: Floats
    price: float


def filled(effort: Effort, members: npt.ArrayLike, hours: float) -> Filled | None:
    """Spend ``hours`` on the cells at positions ``members``; None when entering them takes longer."""
    at = np.asarray(members, dtype=np.int64)
    left = hours - float(effort.enter[at].sum())
    if left < -TOLERANCE:
        return None
    steps = effort.steps_of(at)
    slope = effort.step_value[steps] / effort.step_hours[steps]
    # Stable and by position on a tie: the same question has the same answer.
    order = np.argsort(-slope, kind="stable")
    amounts = effort.step_hours[steps[order]]
    before = np.concatenate(([0.0], np.cumsum(amounts)[:-1]))
    shares = np.clip((max(left, 0.0) - before) / amounts, 0.0, 1.0)
    shares[slope[order] <= 0] = 0.0
    done = shares > TOLERANCE
    partial = np.flatnonzero((shares < 1 - TOLERANCE) & (slope[order] > 0))
    taken, share = steps[order][done], shares[done]
    by_place = np.argsort(taken)
    used = float(effort.enter[at].sum() + (effort.step_hours[taken] * share).sum())
    return Filled(
        value=float((effort.step_value[taken] * share).sum()),
        hours=min(used, hours),
        steps=taken[by_place],
        shares=share[by_place],
        price=float(slope[order][partial[0]]) if len(partial) else 0.0,
    )
