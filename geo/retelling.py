"""A history that comes in pieces: what has to be told again when a late piece fits in between.

Events are only ever appended, and the one told last counts (``geo/replay.py``). So when a
file brings steps that lie before ones that are known already, those are told again behind
them: from the first new step on, the whole rest of the history is appended in order. What
was told before in another order then never counts, and every past moment reads right.

Order is that of the dates; equal dates keep the order of the file. A step without a date
stays behind the one that it follows. Caveat: the last known step, where it has no date or the
date of the last new one, stays last only if it can follow and could not be followed
(``follows``): a file that lacks the closing does not open a report again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.replay import require_order

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_FIRST, _LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
UNDATED = _FIRST  # in arrays of dates: nobody says when


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Steps of many reports, (m,) each, by report, then in the order of telling.

    Attributes
    ----------
    report : index of the report, ascending.
    at : date in whole numbers of one clock, UNDATED where none is told.
    status : where the step leads, a small code.
    """

    report: Ints
    at: Ints
    status: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.report)


@dataclass(frozen=True, slots=True, eq=False)
class Retelling:
    """What to append, (a,) each, by report and in order.

    Attributes
    ----------
    report : index of the report.
    known : row of the known step that is told again; -1 for any other.
    new : row of the new step; -1 for any other. Where both are -1, the opening is told again,
        to begin the retelling before ``before``.
    before : date of the report's first new step, UNDATED where it has none.
    """

    report: Ints
    known: Ints
    new: Ints
    before: Ints


def carried(report: Ints, at: Ints) -> Ints:
    """Dates with gaps filled by the date of the step before, (m,); UNDATED while there was none."""
    row = np.where(at == UNDATED, -1, np.arange(len(at)))
    first = _begins(report)
    # A report's first step starts anew: it takes its own row, dated or not.
    row[first] = np.flatnonzero(first)
    filled: Ints = at[np.maximum.accumulate(row)] if len(at) else at
    return filled


def retell(known: Told, new: Told, same: Ints, covered: Flags, follows: Flags) -> Retelling:
    """Place new steps among known ones, and say what to append.

    Parameters
    ----------
    known : steps that stand (``geo.replay.standing``).
    new : steps of the file, those that are known already included.
    same : (len(new),) row of the known step that a new one repeats, -1 for none. It is not
        appended, and the known one takes its place in the file's order.
    covered : (len(known),) known steps of which a new one tells more: not told again.
    follows : (k, k) whether status b may follow status a, ``follows[a, b]``.
    """
    require_order(known.report)
    require_order(new.report)
    fresh = same < 0
    key_new = carried(new.report, new.at)
    key_known = carried(known.report, known.at)
    place_known = np.full(len(known), -1, dtype=np.int64)
    repeated = same[~fresh]
    key_known[repeated], place_known[repeated] = key_new[~fresh], np.flatnonzero(~fresh)
    _keep_last(known, new, key_known, key_new, place_known, follows)

    kept, added = np.flatnonzero(~covered), np.flatnonzero(fresh)
    report = np.concatenate([known.report[kept], new.report[added]])
    key = np.concatenate([key_known[kept], key_new[added]])
    place = np.concatenate([place_known[kept], added])
    row_known = np.concatenate([kept, np.full(len(added), -1)])
    row_new = np.concatenate([np.full(len(kept), -1), added])
    order = np.lexsort((place, key, report))
    report, key, row_known, row_new = report[order], key[order], row_known[order], row_new[order]

    is_new = row_new >= 0
    total = np.cumsum(is_new)
    n_reports = int(max(report.max(initial=-1), known.report.max(initial=-1))) + 1
    before = np.full(n_reports, UNDATED)
    # The first new step of each report: written in reverse, so the first is written last.
    firsts = np.flatnonzero(is_new)[::-1]
    before[report[firsts]] = key[firsts]
    has_new = np.zeros(n_reports, dtype=bool)
    has_new[report[firsts]] = True
    begins = _begins(report)
    earlier = np.maximum.accumulate(np.where(begins, total - is_new, 0)) if len(report) else total
    rest = total - earlier > 0

    # Of equal dates all stand. A known step with the date of the first new one would stand
    # beside its own retelling, so that begins one step earlier there.
    tied = np.zeros(n_reports, dtype=bool)
    tied[known.report] |= (known.at == before[known.report]) & (known.at != UNDATED)
    tied &= has_new
    rest |= tied[report] & (key >= before[report])
    lead = (
        np.flatnonzero(rest & ~np.append(False, rest[:-1] & ~begins[1:])) if len(report) else np.zeros(0, int)
    )
    lead = lead[tied[report[lead]]]
    prior = lead - 1
    good = (prior >= 0) & ~begins[lead]
    good[good] = known.at[row_known[prior[good]]] != UNDATED
    rest[prior[good]] = True
    opening = np.unique(report[lead[~good]])
    rest |= np.isin(report, opening) & has_new[report]
    return _laid_out(report, row_known, row_new, rest, opening, before)


def _laid_out(report: Ints, known: Ints, new: Ints, rest: Flags, opening: Ints, before: Ints) -> Retelling:
    """The steps to append, with the openings that lead some of them."""
    owner = np.concatenate([opening, report[rest]])
    nothing = np.full(len(opening), -1, dtype=np.int64)
    known, new = np.concatenate([nothing, known[rest]]), np.concatenate([nothing, new[rest]])
    order = np.argsort(owner, kind="stable")
    owner = owner[order]
    return Retelling(owner, known[order], new[order], before[owner])


def _begins(report: Ints) -> Flags:
    """Where a report's steps begin, (m,)."""
    return np.append(True, report[1:] != report[:-1])[: len(report)]


def _keep_last(
    known: Told, new: Told, key_known: Ints, key_new: Ints, place_known: Ints, follows: Flags
) -> None:
    """Move last known steps to the end where only they can be the end; in place."""
    if not len(known) or not len(new):
        return
    last_known = np.flatnonzero(np.append(known.report[1:] != known.report[:-1], True))
    order = np.lexsort((np.arange(len(new)), key_new, new.report))
    last_new = order[np.append(new.report[order][1:] != new.report[order][:-1], True)]
    at = np.searchsorted(known.report[last_known], new.report[last_new])
    there = at < len(last_known)
    there[there] = known.report[last_known[at[there]]] == new.report[last_new[there]]
    k, n = last_known[at[there]], last_new[there]
    open_end = (known.at[k] == UNDATED) | (key_known[k] == key_new[n])
    only = follows[new.status[n], known.status[k]] & ~follows[known.status[k], new.status[n]]
    moved = k[open_end & only & (place_known[k] < 0)]
    key_known[moved], place_known[moved] = _LAST, _LAST


def impossible(report: Ints, status: npt.NDArray[np.integer], follows: Flags) -> Flags:
    """Which steps cannot follow the one before them in their report, (m,); the first always can."""
    require_order(report)
    out = np.zeros(len(report), dtype=bool)
    if len(report) > 1:
        out[1:] = (report[1:] == report[:-1]) & ~follows[status[:-1], status[1:]]
    return out
