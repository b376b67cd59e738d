"""Incidents: which reports speak of the same thing, near each other in space and time.

ST-DBSCAN (Birant & Kut 2007) with one report enough to make a cluster joins whatever is
linked by a chain of neighbours, and a busy street never stops being linked. So growth is
limited to the first report's neighbourhood (the leader rule, Hartigan 1975, ch. 3, in
order of time): every report of an incident lies within ``metres`` of its first report,
was opened within ``days`` after it, and not after it was closed. Caveat: two different
things of one kind side by side at the same time are one incident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from geo.errors import InputError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SMALLEST_METRES = 1.0
_SLICE = 1 << 17  # first reports handled at a time, to bound memory


@dataclass(frozen=True, slots=True)
class Lives:
    """The course of each incident, arrays (m,), in order of the position of its first report.

    Attributes
    ----------
    first : position of the first report among those given.
    reports : number of reports, the first included.
    opened, last : days, opening of the first and of the last report.
    closed : days, when it was closed; nan while it is open.
    """

    first: Ints
    reports: Ints
    opened: Floats
    last: Floats
    closed: Floats


def first_reports(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    t: npt.ArrayLike,
    kind: npt.ArrayLike,
    ids: npt.ArrayLike,
    *,
    metres: npt.ArrayLike = 50.0,
    days: npt.ArrayLike = 14.0,
    closed: npt.ArrayLike | None = None,
    tick: Callable[[float], None] | None = None,
) -> Ints:
    """For each report the position of the first report of its incident.

    Reports are taken in order of time (of id, where times are equal). One that lies within
    reach of no earlier first report begins an incident. Each other joins the nearest first
    report that reaches it, by (distance / metres)² + (days between / days)², the earlier
    one on a tie. The answer does not depend on the order in which reports are given, and
    the work grows with their number, however many lie on one spot.

    Parameters
    ----------
    x, y : (n,) metres, in one local projection (UTM)
    t : (n,) days, opening of the report
    kind : (n,) integers; reports of different kinds never share an incident
    ids : (n,) integers, unique; they settle equal times
    metres, days : reach of an incident, numbers or (n,), equal for all reports of a kind;
        ``days`` may be infinite
    closed : (n,) days, when what the report speaks of was declared remedied; nan where it
        was not, and for a closing that says nothing of the thing (rejected, duplicate)
    tick : called with the share done; may raise Cancelled

    Returns
    -------
    (n,) int64; equal to its own position for a first report. A report with x, y or t that
    is not finite is an incident of its own.

    Raises
    ------
    InputError : a reach is too small, ids repeat, or the arrays differ in length.
    """
    if tick is not None:
        tick(0.0)
    given = _Reports.checked(x, y, t, kind, ids, metres, days, closed)
    answer = np.arange(given.total, dtype=np.int64)
    if len(given.t):
        answer[given.where] = given.where[_Sweep(given).run(tick)]
    return answer


def lives(leads: Ints, t: npt.ArrayLike, closed: npt.ArrayLike, ids: npt.ArrayLike | None = None) -> Lives:
    """Number of reports, first and last opening, and closing of each incident.

    An incident is closed when its first report is. Where that one never was remedied (it
    was rejected, say), it is closed with the last of its others to be closed, if that was
    after all of them were opened; else it is open.

    Parameters
    ----------
    leads : (n,) as ``first_reports`` gives them
    t, closed : (n,) days; nan in ``closed`` as there

    Returns
    -------
    Lives, in order of position, or of id where ``ids`` (n,) are given.
    """
    opened, ended = np.asarray(t, dtype=np.float64), _real_closings(t, closed)
    first = np.flatnonzero(leads == np.arange(len(leads)))
    if ids is not None:
        first = first[np.argsort(np.asarray(ids)[first], kind="stable")]
    number = np.empty(len(leads), dtype=np.int64)
    number[first] = np.arange(len(first))
    number = number[leads]
    reports = np.bincount(number, minlength=len(first))
    last, latest = opened[first].copy(), np.full(len(first), -np.inf)
    np.maximum.at(last, number, opened)
    np.maximum.at(latest, number, np.where(np.isnan(ended), -np.inf, ended))
    fallback = np.where(latest >= last, latest, np.nan)
    own = ended[first]
    return Lives(first, reports, opened[first], last, np.where(np.isnan(own), fallback, own))


def places(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    t: npt.ArrayLike,
    kind: npt.ArrayLike,
    ids: npt.ArrayLike,
    *,
    metres: npt.ArrayLike = 50.0,
    tick: Callable[[float], None] | None = None,
) -> Ints:
    """For each incident the position of the first incident at its place, whenever they were.

    The incident with most others of its kind within ``metres`` is the middle of a place,
    and so on among those that no middle reaches; each other belongs to the nearest middle
    that reaches it. So a spot whose points scatter is one place and not several, and still
    no place is wider than twice ``metres``.

    Parameters
    ----------
    x, y, t, kind, ids, metres, tick : as in ``first_reports``, one entry an incident

    Returns
    -------
    (n,) int64; equal to its own position for the first incident (by time, then id) of a place.
    """
    east, north, opened = (np.asarray(values, dtype=np.float64) for values in (x, y, t))
    kinds, numbers = np.asarray(kind, dtype=np.int64), np.asarray(ids, dtype=np.int64)
    far = np.broadcast_to(np.asarray(metres, dtype=np.float64), len(east))
    order = np.lexsort((numbers, opened))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    crowd = np.zeros(len(east))
    usable = np.isfinite(east) & np.isfinite(north)
    by_kind = np.flatnonzero(usable)[np.argsort(kinds[usable], kind="stable")]
    done = 0
    for same in np.split(by_kind, np.flatnonzero(np.diff(kinds[by_kind])) + 1):
        if tick is not None:
            tick(0.5 * done / max(len(by_kind), 1))
        done += len(same)
        if len(same):
            points = np.column_stack([east[same], north[same]])
            crowd[same] = cKDTree(points).query_ball_point(points, far[same], return_length=True)
    # Middles in order of crowd, as first reports are in order of time.
    half = None if tick is None else lambda share: tick(0.5 + 0.5 * share)
    middle = first_reports(east, north, -crowd, kinds, rank, metres=far, days=np.inf, tick=half)
    first = np.full(len(east), len(east), dtype=np.int64)
    np.minimum.at(first, middle, rank)
    return order[first[middle]] if len(order) else order


def _real_closings(t: npt.ArrayLike, closed: npt.ArrayLike | None) -> Floats:
    """Closings, nan for none and for one before the opening, which says nothing."""
    opened = np.asarray(t, dtype=np.float64)
    if closed is None:
        return np.full(len(opened), np.nan)
    ended = np.asarray(closed, dtype=np.float64)
    return np.where(ended >= opened, ended, np.nan)


@dataclass(frozen=True, slots=True)
class _Reports:
    """Usable reports, in order of kind, grid square and time; arrays (n,) unless said."""

    total: int  # given, usable or not
    where: Ints  # position among those given
    x: Floats
    y: Floats
    t: Floats
    ends: Floats  # last day on which it reaches others, as a first report
    metres: Floats
    days: Floats
    rank: Ints  # in order of time over all kinds
    square: Ints  # number of the grid square, 0 to m - 1
    starts: Ints  # (m + 1,) where squares begin
    near: npt.NDArray[np.int32]  # (m, 9) squares around and itself (first); -1 for none
    by_time: Floats  # t in order of rank

    @classmethod
    def checked(
        cls,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        t: npt.ArrayLike,
        kind: npt.ArrayLike,
        ids: npt.ArrayLike,
        metres: npt.ArrayLike,
        days: npt.ArrayLike,
        closed: npt.ArrayLike | None,
    ) -> _Reports:
        east, north, opened = (np.asarray(values, dtype=np.float64) for values in (x, y, t))
        n = len(opened)
        numbers, kinds = np.asarray(ids, dtype=np.int64), np.asarray(kind, dtype=np.int64)
        ended = _real_closings(opened, closed)
        if not len(east) == len(north) == len(numbers) == len(kinds) == len(ended) == n:
            raise InputError("Places, times, kinds and ids of reports must be of one length.")
        far, long = (np.broadcast_to(np.asarray(v, dtype=np.float64), n) for v in (metres, days))
        if n and not (far >= SMALLEST_METRES).all():
            raise InputError(f"An incident must reach at least {SMALLEST_METRES:g} m, not {far.min():g} m.")
        if n and not (long >= 0).all():
            raise InputError(f"An incident cannot last {long.min():g} days.")
        usable = np.isfinite(east) & np.isfinite(north) & np.isfinite(opened)
        where = np.flatnonzero(usable)
        where = where[np.lexsort((numbers[where], opened[where]))]
        if np.any((np.diff(opened[where]) == 0) & (np.diff(numbers[where]) == 0)):
            raise InputError("Two reports have the same id and time; ids must be unique.")
        by_time = opened[where]
        # A grid with squares of the reach: whatever is within reach lies in the nine around.
        column = np.floor(east[where] / far[where]).astype(np.int64)
        row = np.floor(north[where] / far[where]).astype(np.int64)
        _, code = np.unique(kinds[where], return_inverse=True)
        height, key = _square_keys(column, row, code)
        order = np.argsort(key, kind="stable")  # keeps the order of time within a square
        where, key = where[order], key[order]
        begins = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
        squares = key[begins]
        steps = [0] + [i * height + j for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        near = np.empty((len(squares), 9), dtype=np.int32)
        for place, step in enumerate(steps):
            found = np.searchsorted(squares, squares + step).clip(max=max(len(squares) - 1, 0))
            near[:, place] = np.where(squares[found] == squares + step, found, -1)
        reach = np.minimum(opened[where] + long[where], np.fmin(ended[where], np.inf))
        return cls(
            total=n,
            where=where,
            x=east[where],
            y=north[where],
            t=opened[where],
            ends=reach,
            metres=far[where],
            days=long[where],
            rank=order.astype(np.int64),
            square=np.repeat(np.arange(len(squares)), np.diff(begins, append=len(key))),
            starts=np.append(begins, len(key)).astype(np.int64),
            near=near,
            by_time=by_time,
        )


def _square_keys(column: Ints, row: Ints, code: npt.NDArray) -> tuple[int, Ints]:
    """Height of the grid, and one number for each (kind, column, row)."""
    if not len(column):
        return 1, np.zeros(0, dtype=np.int64)
    # One empty row and column between, so that a neighbour never falls into another column or kind.
    column, row = column - column.min() + 1, row - row.min() + 1
    width, height = int(column.max()) + 2, int(row.max()) + 2
    if width * height * (int(code.max()) + 1) > 1 << 62:
        raise InputError("The reports lie too far apart for so small a reach: are they in one projection?")
    return height, (code * width + column) * height + row


def _distinct(numbers: npt.NDArray, size: int) -> Ints:
    """The distinct of some numbers from 0 to ``size`` - 1, in order."""
    if len(numbers) * 20 < size:
        return np.unique(numbers)
    # Marking is several times faster than sorting or hashing once there are many.
    marks = np.zeros(size, dtype=bool)
    marks[numbers] = True
    return np.flatnonzero(marks)


class _Sweep:
    """First reports, found round by round wherever a report is the earliest of its neighbourhood."""

    def __init__(self, reports: _Reports) -> None:
        self.r = reports
        n = len(reports.t)
        self.n = n
        # Square and rank in one number: positions by a single search.
        self.place = reports.square * (n + 1) + reports.rank
        self.last_rank = np.searchsorted(reports.by_time, reports.ends, side="right")
        self.settled = np.zeros(n, dtype=bool)
        self.skip = np.arange(1, n + 1, dtype=np.int64)  # where to look on behind a settled report
        self.front = reports.starts[:-1].copy()  # (m,) first report of the square not yet settled
        self.front_rank = reports.rank[self.front]  # (m,) its rank; n where all are settled
        self.claims: list[tuple[Ints, Ints, Floats]] = []

    def run(self, tick: Callable[[float], None] | None) -> Ints:
        """Position of the first report for each report, (n,)."""
        squares = np.arange(len(self.front))
        while len(squares):
            around = self.r.near[squares]
            # Square -1 reads the last one's rank, which then does not count.
            ranks = np.where(around < 0, self.n, self.front_rank[around])
            earliest = squares[(ranks[:, 0] < self.n) & (ranks[:, 0] == ranks.min(axis=1))]
            leads = self.front[earliest]
            self.settled[leads] = True
            touched = [earliest]
            for begin in range(0, len(leads), _SLICE):
                touched.append(self._claim(leads[begin : begin + _SLICE]))
            moved = self._advance(_distinct(np.concatenate(touched), len(self.front)))
            around = self.r.near[moved]
            squares = _distinct(around[around >= 0], len(self.front))
            if tick is not None:
                tick(min(0.99, float(np.count_nonzero(self.settled)) / self.n))
        return self._nearest()

    def _claim(self, leads: Ints) -> Ints:
        """Settle what the first reports (k,) reach; the squares in which something was settled."""
        r = self.r
        around = r.near[r.square[leads]]
        one, place = np.nonzero(around >= 0)
        square, lead = around[one, place].astype(np.int64), leads[one]
        low = np.searchsorted(self.place, square * (self.n + 1) + r.rank[lead], side="right")
        high = np.searchsorted(self.place, square * (self.n + 1) + self.last_rank[lead], side="left")
        many = np.maximum(high - low, 0)
        lead = np.repeat(lead, many)
        later = np.repeat(low - np.cumsum(many) + many, many) + np.arange(many.sum())
        away = (r.x[later] - r.x[lead]) ** 2 + (r.y[later] - r.y[lead]) ** 2
        near = away <= r.metres[lead] ** 2
        lead, later, away = lead[near], later[near], away[near]
        # A first report of this or an earlier round cannot be within reach: it would have been settled.
        wait = (r.t[later] - r.t[lead]) / np.maximum(r.days[lead], 1e-9)
        self.claims.append((later, lead, away / r.metres[lead] ** 2 + wait**2))
        fresh = _distinct(later[~self.settled[later]], self.n)
        self.settled[fresh] = True
        if len(fresh):
            # Behind a run of settled reports the search goes on at its end.
            breaks = np.flatnonzero(np.diff(fresh) > 1)
            ends = np.append(fresh[breaks], fresh[-1]) + 1
            self.skip[fresh] = np.repeat(ends, np.diff(np.concatenate(([0], breaks + 1, [len(fresh)]))))
        return r.square[fresh]

    def _advance(self, squares: npt.NDArray) -> npt.NDArray:
        """Move the fronts of squares on to the next report not settled; those that moved."""
        front, ends = self.front[squares], self.r.starts[squares + 1]
        going = np.flatnonzero((front < ends) & self.settled[np.minimum(front, self.n - 1)])
        moved = squares[going]
        while len(going):
            front[going] = np.minimum(self.skip[front[going]], ends[going])
            still = front[going] < ends[going]
            going = going[still]
            going = going[self.settled[front[going]]]
        self.front[squares] = front
        left = front < ends
        self.front_rank[squares] = np.where(left, self.r.rank[np.minimum(front, self.n - 1)], self.n)
        return moved

    def _nearest(self) -> Ints:
        """Of the first reports that reach a report, the nearest; the earliest on a tie."""
        answer = np.arange(self.n)
        if self.claims:
            later, lead, away = (np.concatenate(parts) for parts in zip(*self.claims, strict=True))
            order = np.lexsort((self.r.rank[lead], away, later))
            later, lead = later[order], lead[order]
            keep = np.r_[True, later[1:] != later[:-1]][: len(later)]
            answer[later[keep]] = lead[keep]
        return answer
