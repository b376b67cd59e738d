"""How long it takes until something is done, where some of it is not done yet.

The share that is left by age after Kaplan & Meier (1958, JASA 53, 457-481): what is still
open counts as lasting at least as long as it was followed, so a backlog is neither ignored
nor taken for finished. Variance after Greenwood (1926); limits on the scale of log(-log)
(Kalbfleisch & Prentice 1980), which stay within 0 and 1; limits of a median or another
quantile where these bands cross it (Brookmeyer & Crowley 1982, Biometrics 38, 29-41).
Caveats: that following ends must say nothing of how long it would have taken; where fewer
than the share in question were done, the answer is "not reached", which is no fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TIE = 1e-9  # products of fractions that should be one half are so a little off


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One group's steps, (k,) each; before the first the share is 1.

    Attributes
    ----------
    time : ascending, where something was done; remaining : share left from then on.
    low, high : its limits; where nothing is left the upper one is that of the step before.
    at_risk : followed at least so long; done : of these, done then.
    """

    time: Floats
    remaining: Floats
    low: Floats
    high: Floats
    at_risk: Ints
    done: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Survival:
    """Answer of ``kaplan_meier`` for g groups and q shares.

    Attributes
    ----------
    followed, done : (g,) durations that count, and those that ended among them.
    negative, missing : (g,) durations below 0, or not a number: left out.
    reached : (g, q) first time by which at least the share was done; nan: not reached.
    low, high : (g, q) its limits; nan: the limit is not reached.
    """

    followed: Ints
    done: Ints
    negative: Ints
    missing: Ints
    reached: Floats
    low: Floats
    high: Floats
    _starts: Ints
    _steps: Curve

    def curve(self, group: int) -> Curve:
        """The steps of one group."""
        span = slice(int(self._starts[group]), int(self._starts[group + 1]))
        s = self._steps
        return Curve(
            s.time[span], s.remaining[span], s.low[span], s.high[span], s.at_risk[span], s.done[span]
        )


def kaplan_meier(
    duration: npt.ArrayLike,
    ended: npt.ArrayLike,
    group: npt.ArrayLike | None = None,
    groups: int = 1,
    *,
    shares: tuple[float, ...] = (0.5, 0.9),
    level: float = 0.95,
) -> Survival:
    """The share left by age in each group, and when given shares were done.

    Parameters
    ----------
    duration : (n,) age at the end, or at the moment until which it was followed; any unit.
    ended : (n,) bool; False: only known to last at least so long (right-censored). At equal
        durations what ends comes first: the censored are still at risk then.
    group : (n,) integers 0 to ``groups`` - 1; None puts all into one.
    shares : above 0 and at most 1; 0.5 is the median, 0.9 the time by which nine of ten are done.
    level : of confidence.

    Raises
    ------
    InputError : arrays differ in length, a group or share is out of range.
    """
    times, events = np.asarray(duration, dtype=np.float64), np.asarray(ended, dtype=bool)
    of = np.zeros(len(times), np.int64) if group is None else np.asarray(group, dtype=np.int64)
    if not times.shape == events.shape == of.shape or times.ndim != 1:
        raise InputError("Durations, their ends and their groups must be of one length.")
    if len(of) and not (of.min() >= 0 and of.max() < groups):
        raise InputError(f"Groups of durations are numbered from 0 to {groups - 1}.")
    if not all(0 < share <= 1 for share in shares) or not 0 < level < 1:
        raise InputError("Shares lie above 0 and up to 1, a level of confidence between 0 and 1.")
    missing, negative = np.isnan(times), times < 0
    use = ~(missing | negative)
    starts, steps = _steps(times[use], events[use], of[use], groups, level)
    quantiles = [
        np.array([_reached(values, steps, starts, share) for share in shares]).T.reshape(groups, len(shares))
        for values in (steps.remaining, steps.low, steps.high)
    ]

    def count(which: npt.NDArray[np.bool_]) -> Ints:
        if groups == 1:
            return np.full(1, np.count_nonzero(which), dtype=np.int64)
        return np.bincount(of[which], minlength=groups)

    return Survival(
        followed=count(use),
        done=count(use & events),
        negative=count(negative),
        missing=count(missing),
        reached=quantiles[0],
        low=quantiles[1],
        high=quantiles[2],
        _starts=starts,
        _steps=steps,
    )


def _steps(
    times: Floats, events: npt.NDArray[np.bool_], of: Ints, groups: int, level: float
) -> tuple[Ints, Curve]:
    """Where each group's steps begin, (groups + 1,), and the steps of all groups."""
    if groups > 1:
        # By time, then stably by a short group number, which numpy sorts by radix: a third of
        # the time of sorting by both at once.
        order = np.argsort(times)
        short = of[order].astype(np.uint16 if groups <= 1 << 16 else np.int64)
        order = order[np.argsort(short, kind="stable")]
        times, events, of = times[order], events[order], of[order]
    else:
        # Times that are not negative are in the order of their bits, and their sign is no bit
        # of theirs: the end takes its place, and whole numbers are sorted, several times faster.
        bits = np.sort((times.view(np.uint64) << np.uint64(1)) | events)
        times, events = (bits >> np.uint64(1)).view(np.float64), (bits & np.uint64(1)).astype(bool)
    n = len(times)
    first = np.flatnonzero(np.r_[True, (times[1:] != times[:-1]) | (of[1:] != of[:-1])][:n])
    ends = np.cumsum(np.bincount(of, minlength=groups))
    own, when = of[first], times[first]
    at_risk = ends[own] - first
    done = np.add.reduceat(events.astype(np.int64), first) if n else np.zeros(0, np.int64)
    keep = done > 0
    own, when, at_risk, done = own[keep], when[keep], at_risk[keep], done[keep]
    starts = np.searchsorted(own, np.arange(groups + 1)).astype(np.int64)
    share, variance = np.ones(len(own)), np.zeros(len(own))
    with np.errstate(divide="ignore"):
        greenwood = np.where(at_risk > done, done / (at_risk * (at_risk - done).clip(min=1)), np.inf)
    for low, high in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        share[low:high] = np.cumprod(1 - done[low:high] / at_risk[low:high])
        variance[low:high] = np.cumsum(greenwood[low:high])
    return starts, Curve(when, share, *_bands(share, variance, starts, level), at_risk, done)


def _bands(share: Floats, variance: Floats, starts: Ints, level: float) -> tuple[Floats, Floats]:
    """Limits of the share on the scale of log(-log), (k,) each."""
    z = float(ndtri(0.5 + level / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(share)
        wide = z * np.sqrt(variance) / np.abs(logarithm)
        low, high = share ** np.exp(wide), share ** np.exp(-wide)
    gone = share <= 0
    low[gone] = 0.0
    # With nothing left the variance has no bound: the limit stays where it was.
    last = np.flatnonzero(gone)
    begins = np.isin(last, starts[:-1])
    high[last] = np.where(begins, 1.0, high[np.maximum(last - 1, 0)])
    return low, high


def _reached(values: Floats, steps: Curve, starts: Ints, share: float) -> Floats:
    """First time of each group at which ``values`` are down to 1 - share, (g,); nan: never."""
    out = np.full(len(starts) - 1, np.nan)
    there = np.flatnonzero(values <= 1 - share + _TIE)
    own = np.searchsorted(starts, there, side="right") - 1
    first = np.r_[True, own[1:] != own[:-1]][: len(there)]
    out[own[first]] = steps.time[there[first]]
    return out
