"""Where reports stood at a past moment: a history read up to that moment, on whole arrays.

A history is a list of events in the order in which they were told (``seq``). An event counts
from its date; one without a date, or with a date after it was recorded, counts from the
moment of recording, since nobody can have said so before. At a moment the event that was told
last among those that count says where a report stands, so at any moment after the last
recording the answer is the report's current state. Caveat: dates may run backwards. The order
of telling then wins, and an event that a later one predates never counted (``standing``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo.errors import InputError

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def counting_from(at: npt.NDArray, recorded: npt.NDArray) -> npt.NDArray:
    """The moment from which each event counts, (n,) datetime64 or numbers of one clock.

    Parameters
    ----------
    at : (n,) when it happened; NaT where nobody says.
    recorded : (n,) when the store learned of it, same type.
    """
    early: npt.NDArray = np.fmin(at, recorded)  # unlike minimum, it takes the date that is there
    return early


def in_order(report: Ints, seq: Ints) -> Ints:
    """Rows in the order that the functions below need: by report, then as told; (n,)."""
    rows: Ints = np.lexsort((seq, report))
    return rows


def last_before(report: Ints, at: npt.NDArray, n: int, moment: object) -> Ints:
    """The event that says where each report stands at ``moment``, (n,) row numbers; -1: none yet.

    Parameters
    ----------
    report : (m,) index of the report of each event, 0 to n - 1, ascending, and within a
        report in the order of telling (``in_order``).
    at : (m,) from when each event counts (``counting_from``).
    moment : same clock as ``at``; an event of that very moment counts.

    Raises
    ------
    InputError : the events are not in order.
    """
    require_order(report)
    rows = np.flatnonzero(at <= moment)
    out = np.full(n, -1, dtype=np.int64)
    if len(rows):
        own = report[rows]
        last = np.append(own[1:] != own[:-1], True)
        out[own[last]] = rows[last]
    return out


def status_at(
    report: Ints, status: npt.NDArray, at: npt.NDArray, n: int, moment: object, opening: int
) -> npt.NDArray:
    """The status of each report at ``moment``, (n,) of the type of ``status``.

    Parameters
    ----------
    report, at, moment : as for ``last_before``.
    status : (m,) where each event leads.
    opening : the status of a report of which nothing is told yet. Whether it was opened by
        then is for the caller to say.
    """
    rows = last_before(report, at, n, moment)
    out = np.full(n, opening, dtype=status.dtype)
    told = rows >= 0
    out[told] = status[rows[told]]
    return out


def standing(report: Ints, at: npt.NDArray) -> Flags:
    """Which events still stand: no event of the report that was told later has an earlier date; (m,).

    The others were told again, or contradicted, by what came later: they are never the answer
    at any moment (but see the caveat of ties: of events of one moment all stand, and the last
    is the answer). Counting steps of a life means counting events that stand.
    """
    require_order(report)
    m = len(report)
    if not m:
        return np.zeros(0, dtype=bool)
    clock = at.astype("datetime64[us]").astype(np.int64) if at.dtype.kind == "M" else at.astype(np.int64)
    # Ranks, so that one running minimum from the end serves all reports: a later report's
    # values lie above all of an earlier one's.
    _, rank = np.unique(clock, return_inverse=True)
    key = rank.astype(np.int64) + report.astype(np.int64) * (int(rank.max()) + 1)
    earliest_after = np.minimum.accumulate(key[::-1])[::-1]
    out: Flags = key <= earliest_after
    return out


def require_order(report: Ints) -> None:
    """Raise InputError unless the events are sorted by report."""
    if len(report) > 1 and bool((report[1:] < report[:-1]).any()):
        raise InputError("The events of a replay must be sorted by report, then by the order of telling.")
