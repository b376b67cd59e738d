"""Histories as spells: from when to when a report was open, closed, handed over or set aside.

Indicators ask what stood at a moment and what happened in a period. Of a history they need
only the turns: where a report changed between these four, which quality checks it had, and
whether work was told before a closing. A state holds from its event until the next turn, so
"as of T" is one comparison. Events that a later one contradicts never counted
(``geo.replay.standing``). Caveat: before its first turn a report is open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.errors import InputError
from geo.replay import require_order, standing

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: What a status means for the indicators.
OPEN, CLOSED, ASIDE, REFERRED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, eq=False)
class Meanings:
    """What the statuses mean, each (k,) by status code.

    Attributes
    ----------
    kind : OPEN, CLOSED (remedied), ASIDE (rejected or a duplicate: not a task), REFERRED.
    check : the report waits for a quality check.
    worked : says that the work was done: treated, or waiting for the check.
    other_way : a closing from here needs no work: a violation settled, an entity's answer.
    opening : status of a report of which nothing is told.
    """

    kind: npt.NDArray[np.int8]
    check: Flags
    worked: Flags
    other_way: Flags
    opening: int


@dataclass(frozen=True, slots=True, eq=False)
class Spells:
    """Turns, (s,) each, in the order of the events; the opening is not among them.

    Attributes
    ----------
    event : row of the event that began it.
    report : as given; since : when it began; kind : what the report was from then on.
    next : row in these arrays of the turn that ended it; -1 while it holds.
    worked : of closings: work was told since the report was last opened.
    shown : of closings: some step before them was told, or they follow a reopening.
    other_way : of closings: they needed no work.
    """

    event: Ints
    report: Ints
    since: npt.NDArray
    kind: npt.NDArray[np.int8]
    next: Ints
    worked: Flags
    shown: Flags
    other_way: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Checks:
    """Quality checks that were decided, (c,) each."""

    event: Ints
    report: Ints
    at: npt.NDArray
    failed: Flags


def spells(
    report: Ints, status: npt.NDArray, at: npt.NDArray, meanings: Meanings
) -> tuple[Spells, Checks, Flags]:
    """Turns and quality checks of many histories, and which events count, (m,).

    Parameters
    ----------
    report : (m,) of each event, ascending, and within a report in the order of telling.
    status : (m,) where each event leads.
    at : (m,) from when it counts (``geo.replay.counting_from``).

    A quality check is decided by the event that leaves a status of ``check``: passed where
    it closes the report, failed where the report stays open; else it was not decided.

    Raises
    ------
    InputError : the events are not in order, or a status has no meaning.
    """
    require_order(report)
    if len(status) and not 0 <= int(status.min()) <= int(status.max()) < len(meanings.kind):
        raise InputError("A status of the histories has no meaning here.")
    counts = standing(report, at)
    row = np.flatnonzero(counts)
    own, to, when = report[row], status[row].astype(np.int64), at[row]
    m = len(row)
    first = np.r_[True, own[1:] != own[:-1]][:m]
    before = np.where(first, meanings.opening, np.r_[to[:1], to[:-1]])
    kind, kind_before = meanings.kind[to], meanings.kind[before]
    kind_before[first] = OPEN
    turn = np.flatnonzero(kind != kind_before)

    worked = meanings.worked[to]
    total = np.cumsum(worked)
    # What had been told when the report was last opened, or before its first event: a running
    # maximum, since the total only grows.
    opened = first | ((kind == OPEN) & (kind_before != OPEN))
    at_opening = np.maximum.accumulate(np.where(opened, total - worked, 0)) if m else total
    nexts = np.full(len(turn), -1, dtype=np.int64)
    same = own[turn][1:] == own[turn][:-1]
    nexts[:-1][same] = np.flatnonzero(same) + 1
    found = Spells(
        event=row[turn],
        report=own[turn],
        since=when[turn],
        kind=kind[turn],
        next=nexts,
        worked=(total - worked - at_opening > 0)[turn],
        shown=~first[turn],
        other_way=meanings.other_way[before][turn] & ~first[turn],
    )
    decided = meanings.check[before] & ~first & ~meanings.check[to] & ((kind == CLOSED) | (kind == OPEN))
    check = np.flatnonzero(decided)
    return found, Checks(row[check], own[check], when[check], kind[check] == OPEN), counts


def since_last(key: Ints, at: Ints, known_key: Ints, known_at: Ints, never: int) -> Ints:
    """How long before each moment the last known one with the same key was, (k,); ``never`` for none.

    Parameters
    ----------
    key, at : (k,) keys from 0 to 2^31 - 1, and moments as whole numbers of 32 bits.
    known_key, known_at : (m,) likewise. One at the very moment is not before it.
    """
    low = -(1 << 31)
    known = np.sort((known_key << 32) + (known_at - low))
    wanted = (key << 32) + (at - low)
    place = np.searchsorted(known, wanted) - 1
    before = known[place.clip(min=0)] if len(known) else np.full(len(wanted), -1, dtype=np.int64)
    same = (place >= 0) & (before >= key << 32)
    return np.where(same, np.minimum(wanted - before, never), never)
