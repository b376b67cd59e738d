"""Chronic spots: places where the same thing is reported, closed, and reported again.

A return is an incident that opens at a place after the one before it there was closed; the
gap is the time between. Gaps that have not ended yet count as lasting at least until the
end of the data (Kaplan & Meier 1958), so that a place which has been quiet since its last
closing is not called worse than it is. Caveat: a closing is what the records say; whether
the thing was gone, nobody saw. Busy places have more returns by chance alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.errors import InputError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_NEVER = -60.0  # logarithm that stands for a chance of nothing


@dataclass(frozen=True, slots=True)
class Returns:
    """Incidents in order of place and opening, (n,) each.

    Attributes
    ----------
    order : position of the incident among those given.
    place : its place.
    returned : it opened after the incident before it at the place was closed.
    gap : days from that closing to this opening; nan unless ``returned``.
    closed_before : that closing; nan unless ``returned``.
    quiet : for the last incident of a place, if it is closed, days from its closing to the
        end of the data: a gap that has not ended; else nan.
    """

    order: Ints
    place: Ints
    returned: Bools
    gap: Floats
    closed_before: Floats
    quiet: Floats


def returns(place: npt.ArrayLike, opened: npt.ArrayLike, closed: npt.ArrayLike, until: float) -> Returns:
    """Which incidents are returns, and after how many days.

    Parameters
    ----------
    place : (n,) integers; incidents of one kind at one place share a number
    opened, closed : (n,) days; nan in ``closed`` while it is open
    until : the last day of the data; closings after it are not known yet

    Raises
    ------
    InputError : the arrays differ in length, or an opening is no number.
    """
    where = np.asarray(place, dtype=np.int64)
    begun, ended = np.asarray(opened, dtype=np.float64), np.asarray(closed, dtype=np.float64)
    if not len(where) == len(begun) == len(ended):
        raise InputError("Places, openings and closings of incidents must be of one length.")
    if not np.isfinite(begun).all():
        raise InputError("Every incident needs the time of its opening.")
    ended = np.where(ended <= until, ended, np.nan)
    # The closing settles incidents that open at the same moment, so that their order never matters.
    order = np.lexsort((np.nan_to_num(ended, nan=np.inf), begun, where))
    where, begun, ended = where[order], begun[order], ended[order]
    same = where[1:] == where[:-1]
    gap = np.full(len(order), np.nan)
    gap[1:] = np.where(same, begun[1:] - ended[:-1], np.nan)
    gap[~(gap >= 0)] = np.nan
    returned = ~np.isnan(gap)
    closed_before = np.where(returned, begun - gap, np.nan)
    last = np.append(~same, True)[: len(order)]
    return Returns(order, where, returned, gap, closed_before, np.where(last, until - ended, np.nan))


@dataclass(frozen=True, slots=True)
class Tally:
    """What the incidents of a group (a place, a cell) amount to; arrays (g,).

    Attributes
    ----------
    group : ascending.
    incidents, recurrences : incidents, and how many of them are returns.
    suspicious : returns within the suspicious days.
    judged : closings of which it is known whether a suspicious return followed.
    """

    group: Ints
    incidents: Ints
    recurrences: Ints
    suspicious: Ints
    judged: Ints


def tally(
    found: Returns, group: npt.ArrayLike, suspicious_days: npt.ArrayLike, counted: npt.ArrayLike
) -> Tally:
    """Add up the incidents that count, by group.

    Parameters
    ----------
    group : (n,) integers, in the order that ``returns`` was given
    suspicious_days : (n,) a return this soon means that the closing was hardly true
    counted : (n,) bool; the others only serve to tell what was there before
    """
    groups = np.asarray(group, dtype=np.int64)[found.order]
    soon = np.asarray(suspicious_days, dtype=np.float64)[found.order]
    use = np.asarray(counted, dtype=bool)[found.order]
    names, number = np.unique(groups[use], return_inverse=True)
    returned, quiet = found.returned[use], found.quiet[use]
    gap, limit = found.gap[use], soon[use]
    early = returned & (gap <= limit)
    # A closing is judged once it was followed by a return, or by a quiet long enough.
    waited = quiet > limit

    def total(which: Bools) -> Ints:
        return np.bincount(number[which], minlength=len(names))

    return Tally(
        group=names,
        incidents=total(np.ones(len(number), dtype=bool)),
        recurrences=total(returned),
        suspicious=total(early),
        judged=total(returned) + total(waited),
    )


def median_gaps(found: Returns, group: npt.ArrayLike, groups: int, counted: npt.ArrayLike) -> Floats:
    """Days until half of what was closed came back, (groups,), by Kaplan and Meier.

    Parameters
    ----------
    group : (n,) integers from 0 to ``groups`` - 1, in the order that ``returns`` was given;
        only looked at where an incident counts
    counted : (n,) bool

    A gap that has not ended counts with the incident whose closing began it. The answer is
    nan where fewer than half have come back so far.
    """
    use = np.asarray(counted, dtype=bool)[found.order]
    of = np.asarray(group, dtype=np.int64)[found.order]
    back, still = np.flatnonzero(use & found.returned), np.flatnonzero(use & ~np.isnan(found.quiet))
    return median_survival(
        np.concatenate([of[back], of[still]]),
        np.concatenate([found.gap[back], found.quiet[still]]),
        np.arange(len(back) + len(still)) < len(back),
        groups,
    )


def median_survival(group: npt.ArrayLike, time: npt.ArrayLike, ended: npt.ArrayLike, groups: int) -> Floats:
    """Median of times of which some have not ended, by Kaplan and Meier (1958), per group.

    Parameters
    ----------
    group : (n,) integers from 0 to ``groups`` - 1
    time : (n,) not negative
    ended : (n,) bool; False for a time that is only known to be at least so long

    Returns
    -------
    (groups,) the first time at which at most half are left; nan where it is not reached.
    """
    of, times = np.asarray(group, dtype=np.int64), np.asarray(time, dtype=np.float64)
    events = np.asarray(ended, dtype=bool)
    answer = np.full(groups, np.nan)
    if not len(of):
        return answer
    # At equal times those that end come first: the others are still at risk then.
    order = np.lexsort((~events, times, of))
    of, times, events = of[order], times[order], events[order]
    size = np.bincount(of, minlength=groups)
    begin = np.cumsum(size) - size
    at_risk = size[of] - (np.arange(len(of)) - begin[of])
    # One after the other, (n-1)/n · (n-2)/(n-1) … is (n-d)/n: ties need no care.
    left = np.where(at_risk > 1, 1 - 1 / np.maximum(at_risk, 1), np.exp(_NEVER))
    log = np.where(events, np.log(left), 0.0)
    running = np.cumsum(log)
    survival = running - (running - log)[begin[of]]
    reached = np.flatnonzero(survival <= np.log(0.5) + 1e-6)
    first = reached[np.r_[True, of[reached][1:] != of[reached][:-1]][: len(reached)]]
    answer[of[first]] = times[first]
    return answer
