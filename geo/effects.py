"""What a campaign changed: treated cells against untreated ones that had the same course before.

Difference-in-differences on counts. The level before is not the count itself but what it
foretells: teams go where it was bad, part of that is chance, and chance does not return
(regression to the mean; empirical-Bayes before-after study, Hauer 1997). A Poisson model
with nested over-dispersion (cell, its surroundings, municipality), learned on untreated
ground, gives the interval. Caveat: it takes for granted that, given their course before,
treated cells would have gone on like the untreated ones; the placebo test looks for signs
that they would not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from geo.cells import parents, resolutions
from geo.effect_matches import LEAST_BEFORE, Flags, Floats, Ints, Matches, Panel, foretold, matches_of, ring

LEAST_COUNT = 5  # counts that treated cells need after, or were expected to have


@dataclass(frozen=True, slots=True)
class Spread:
    """Over-dispersion on untreated ground, as squared coefficients of variation.

    Attributes
    ----------
    cell : of each cell by itself; near, wide : shared by the cells of one parent one and two
    resolutions coarser; group : shared by a municipality.
    freedom : how many surroundings these were learned from, as degrees of freedom.
    """

    cell: float
    near: float
    wide: float
    group: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """The effect on one count.

    Attributes
    ----------
    ratio : reports after ÷ those expected without a campaign; 0.65 is 35 % fewer.
    low, high : its interval. p : of no effect, two-sided. level : of the interval.
    observed, expected : in treated cells after the campaign.
    cells, controls : treated cells that were matched, and different untreated cells behind them.
    """

    ratio: float
    low: float
    high: float
    p: float
    level: float
    observed: int
    expected: float
    cells: int
    controls: int
    spread: Spread

    @property
    def claims(self) -> bool:
        """Whether the interval leaves out "no effect"."""
        return not self.low <= 1 <= self.high


@dataclass(frozen=True, slots=True)
class Step:
    """One period of the course: what was counted and what matched cells let expect.

    Attributes
    ----------
    period : 0 is the first after the campaign, -1 the last before it.
    ratio, low, high : observed ÷ expected with its interval.
    """

    period: int
    observed: int
    expected: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything that is estimated for one campaign.

    Attributes
    ----------
    effect : in the treated cells. spill : in the untreated cells next to them; None without any.
    placebo : the same as ``effect`` for earlier periods (``placebo_windows``), in which nothing was
        done; newest first.
    course : period by period, before and after.
    matches : the untreated cells that stand for the treated ones.
    near : (n,) untreated cells next to treated ones, those set aside left out.
    barred : (n,) cells that nothing is compared with: treated, near, and set aside.
    """

    effect: Estimate
    spill: Estimate | None
    placebo: tuple[Estimate, ...]
    course: tuple[Step, ...]
    matches: Matches
    near: Flags
    barred: Flags


def findings(panel: Panel, *, level: float = 0.95, aside: Flags | None = None) -> Findings:
    """Effect, spill-over, placebo tests and course of a campaign.

    Parameters
    ----------
    aside : (n,) cells of which it is not known whether they were treated, such as planned ones
        from which no visit came back: neither treated nor compared with.

    A placebo test pretends that the campaign was followed by some earlier periods, in which
    nothing was done, and foretells them from all other periods before the campaign, the
    later ones too: these are what the cells were chosen by, and what they say about a cell
    has to be known on both sides. The last third is never tested for the same reason: it is
    high because cells were chosen for being high.
    """
    unknown = np.zeros(len(panel.cells), dtype=bool) if aside is None else aside & ~panel.treated
    near = ring(panel.cells, panel.treated) & ~unknown
    barred = panel.treated | near | unknown
    matches = matches_of(panel, barred)
    course = []
    for period in range(panel.counts.shape[1]):
        one = panel.counts[:, period].astype(np.float64)
        found = estimated(panel, matches, one, _learned(panel, matches, barred, one), level=level)
        step = (found.observed, found.expected, found.ratio, found.low, found.high)
        course.append(Step(period - panel.before, *step))
    spill = None
    if near.any():
        beside = replace(panel, treated=near)
        spill = _judged(beside, matches_of(beside, barred), barred, level)
    placebo = [
        _judged(earlier, matches_of(earlier, barred), barred, level)
        for earlier in (_without(panel, window) for window in placebo_windows(panel))
    ]
    effect = _judged(panel, matches, barred, level)
    return Findings(effect, spill, tuple(placebo), tuple(course), matches, near, barred)


def placebo_windows(panel: Panel) -> tuple[int, ...]:
    """First periods of the placebo tests, newest first; each is as long as the time after."""
    after = panel.counts.shape[1] - panel.before
    if panel.before - after < LEAST_BEFORE:
        return ()
    return tuple(range(panel.before - max(panel.before // 3, 1) - after, -1, -after))


def _without(panel: Panel, window: int) -> Panel:
    """The time before the campaign, with some of its periods put last as what is to be explained."""
    after = panel.counts.shape[1] - panel.before
    tested = np.arange(window, window + after)
    known = np.setdiff1d(np.arange(panel.before), tested)
    return replace(panel, counts=panel.counts[:, np.concatenate([known, tested])], before=len(known))


def effect_on(panel: Panel, matches: Matches, barred: Flags, *, level: float = 0.95) -> Estimate:
    """The effect on another count in the same cells, compared with the same untreated cells.

    Parameters
    ----------
    panel : of the other count, with the cells and treated cells of the first.
    matches, barred : from the ``Findings`` of the first.
    """
    history = panel.counts[:, : panel.before].astype(np.float64)
    expected = foretold(panel.cells, history, panel.group, ~barred, panel.counts[:, panel.before :])
    return _judged(panel, replace(matches, expected=expected), barred, level)


def _judged(panel: Panel, matches: Matches, barred: Flags, level: float) -> Estimate:
    after = panel.counts[:, panel.before :].sum(axis=1).astype(np.float64)
    return estimated(panel, matches, after, _learned(panel, matches, barred, after), level=level)


def _learned(panel: Panel, matches: Matches, barred: Flags, after: Floats) -> Spread:
    """Over-dispersion of untreated ground that is about as busy as the treated."""
    busy = np.quantile(matches.expected[matches.members], 0.1)
    alike = (~barred & (matches.expected >= busy)) | (matches.weight > 0)
    return spread_of(panel, after, matches.expected, alike.astype(np.float64))


def spread_of(panel: Panel, after: Floats, expected: Floats, weight: Floats) -> Spread:
    """Over-dispersion of counts around what was expected, by moments over pairs of untreated cells.

    Parameters
    ----------
    after : (n,) counts. expected : (n,) up to a common factor. weight : (n,) 0 leaves a cell out.
    """
    use = weight > 0
    y, mean = after[use], expected[use] * after[use].sum() / max(expected[use].sum(), 1e-12)
    off = y - mean
    size = int(resolutions(panel.cells[:1])[0])
    near = parents(panel.cells[use], max(size - 1, 0))
    wide = parents(panel.cells[use], max(size - 2, 0))
    group = panel.group[use]
    levels = [_together(near, group), _together(wide, group), _together(group)]
    weights = np.bincount(levels[1], mean) ** 2
    freedom = max(float(weights.sum() ** 2 / max((weights**2).sum(), 1e-300)), 3.0)
    # Pairs of one level that are no pairs of the finer one tell what that level shares.
    below_off, below_mean = float((off**2).sum()), float((mean**2).sum())
    shared = []
    for level in levels:
        sum_off = float((np.bincount(level, off) ** 2).sum())
        sum_mean = float((np.bincount(level, mean) ** 2).sum())
        pairs = sum_mean - below_mean
        shared.append(max((sum_off - below_off) / pairs, 0.0) if pairs > 1e-9 else 0.0)
        below_off, below_mean = sum_off, sum_mean
    total = max(float((off**2 - mean).sum() / max((mean**2).sum(), 1e-12)), 0.0)
    group_part = shared[2]
    wide_part = max(shared[1] - group_part, 0.0)
    near_part = max(shared[0] - shared[1], 0.0)
    return Spread(max(total - max(shared[0], group_part), 0.0), near_part, wide_part, group_part, freedom)


def estimated(
    panel: Panel, matches: Matches, after: Floats, spread: Spread, *, level: float = 0.95
) -> Estimate:
    """The effect on counts ``after`` (n,), in all periods after the campaign or in one."""
    members, weight, expected = matches.members, matches.weight, matches.expected
    used = np.flatnonzero(weight > 0)
    observed = float(after[members].sum())
    others = float((weight[used] * after[used]).sum())
    level_own = float(expected[members].sum())
    level_others = float((weight[used] * expected[used]).sum())
    factor = others / max(level_others, 1e-12)
    hoped = level_own * factor
    if hoped < LEAST_COUNT or others <= 0:
        return Estimate(
            float("nan"), 0.0, float("inf"), 1.0, level, round(observed), hoped, len(members), len(used), spread
        )  # fmt: skip
    share = np.zeros(len(panel.cells))
    share[members] = expected[members] / level_own
    share[used] -= weight[used] * expected[used] / level_others
    own = hoped if observed == 0 else observed
    variance = 1 / own + float((weight[used] ** 2 * after[used]).sum()) / others**2
    extra = _shared_variance(panel, share, spread)
    error = float(np.sqrt(variance + extra))
    # Satterthwaite: only the shared part is estimated, and by so many surroundings.
    freedom = spread.freedom * ((variance + extra) / max(extra, 1e-12)) ** 2
    # Half a report keeps a campaign after which nothing was reported finite.
    log_ratio = float(np.log((observed if observed else 0.5) / hoped))
    reach = float(special.stdtrit(freedom, 0.5 + level / 2)) * error
    p = float(2 * special.stdtr(freedom, -abs(log_ratio) / error))
    return Estimate(
        ratio=observed / hoped,
        low=float(np.exp(log_ratio - reach)) if observed else 0.0,
        high=float(np.exp(log_ratio + reach)),
        p=p,
        level=level,
        observed=round(observed),
        expected=hoped,
        cells=len(members),
        controls=len(used),
        spread=spread,
    )


def _shared_variance(panel: Panel, share: Floats, spread: Spread) -> float:
    """Variance of the logarithm of the ratio that chance shared by cells, surroundings and places adds."""
    size = int(resolutions(panel.cells[:1])[0])
    near = parents(panel.cells, max(size - 1, 0))
    wide = parents(panel.cells, max(size - 2, 0))
    total = spread.cell * float((share**2).sum())
    for part, keys in (
        (spread.near, (near, panel.group)),
        (spread.wide, (wide, panel.group)),
        (spread.group, (panel.group,)),
    ):
        total += part * float((np.bincount(_together(*keys), share) ** 2).sum())
    return total


def _together(*keys: npt.NDArray) -> Ints:
    """Number of the group of each cell, (n,): cells of one group share all keys."""
    return np.unique(np.column_stack(keys), axis=0, return_inverse=True)[1].ravel()
