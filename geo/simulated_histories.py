"""The steps that simulated reports took, between the dates that their export tells.

Each report gets a course that ends where and when the export says: sorted, assigned,
inspected, dispatched, treated, checked, closed, with work that the check sends back, closings
that are opened again, referrals to other entities, fines and duplicates. How often is planted
by contractor and municipality (``Faults``), so that indicators can be judged by it. Draws are
hashes of the report's number: the same report takes the same steps whatever the chunk. Every
parameter is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.simulated_life import (
    ASSIGNED,
    CLOSED,
    CLOSED_BY_INSPECTOR,
    DUPLICATE,
    ENFORCEMENT,
    IN_PROGRESS,
    QUALITY_REVIEW,
    REJECTED,
)
from geo.simulated_scene import Reports

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Index = the code in Steps.step.
STEPS = (
    "classify", "assign", "inspect", "dispatch", "treat", "submit", "pass", "fail", "reject", "duplicate",
    "refer", "answer", "return", "enforce", "settle", "reopen", "closed",
)  # fmt: skip
_CODE = {name: code for code, name in enumerate(STEPS)}
# How long a step takes, as a share of the time from the assignment to the end.
_WEIGHTS = np.array(
    [0, 0.5, 1.0, 0.7, 3.0, 0.4, 0.6, 0.6, 1.0, 1.0, 1.0, 3.0, 2.0, 1.0, 4.0, 4.0, 3.0]
)  # fmt: skip
MOST_FAILS = 3

# What is drawn of a report, each with a hash of its own.
_FAILS, _REOPENED, _UNTREATED, _REFERRED, _RETURNED, _FINED, _ODD, _SORTED, _TIMES = range(9)


@dataclass(frozen=True)
class Faults:
    """Chances, planted: of all, and by contractor or municipality.

    Attributes
    ----------
    fail : (contractors,) that a quality check sends work back.
    reopened, untreated : (municipalities,) of a closing: that it is opened again; that no work is told.
    returned : of referred reports, that the entity sends them back.
    odd : of closed reports, that work is told after the closing: a step that cannot be.
    """

    fail: Floats
    reopened: Floats
    untreated: Floats
    returned: float = 0.2
    odd: float = 0.0003


@dataclass(frozen=True)
class Steps:
    """Steps, (m,) each, by report and in order; times are datetime64[s] local wall clock.

    ``row`` is the report's row in the chunk, ``step`` an index into STEPS.
    """

    row: Ints
    step: npt.NDArray[np.int8]
    at: npt.NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.row)


def uniform(seed: int, number: Ints, key: int) -> Floats:
    """A number in 0..1 for each report and key, (n,): splitmix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        x = number.astype(np.uint64) * np.uint64(1 << 16) + np.uint64(key)
        x = (x + np.uint64(seed & 0xFFFFFFFF) * np.uint64(0xD1342543DE82EF95)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def steps(
    reports: Reports,
    contractor: Ints,
    municipality: Ints,
    fined: Floats,
    referred: Floats,
    faults: Faults,
    seed: int,
) -> Steps:
    """The course of each report of a chunk that was sorted at all.

    Parameters
    ----------
    contractor, municipality : (n,) index of each report's.
    fined, referred : (n,) chance of a violation, and of a referral to the owner, where that is
        an external entity.
    """
    course = _courses(reports, municipality, fined, referred, faults, seed)
    chance, first = faults.fail[contractor], uniform(seed, reports.number, _FAILS)
    fails = sum(
        ((first < chance**k).astype(np.int64) for k in range(1, MOST_FAILS + 1)),
        np.zeros(len(reports), np.int64),
    )
    parts = []
    for code, name in enumerate(_COURSES):
        for again in range(MOST_FAILS + 1 if "*" in _COURSES[name] else 1):
            rows = np.flatnonzero((course == code) & ((fails == again) | ("*" not in _COURSES[name])))
            if len(rows):
                words = _COURSES[name].replace("*", "treat submit fail " * again).split()
                parts.append(_timed(reports, rows, [_CODE[word] for word in words], seed))
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Steps(nothing, nothing.astype(np.int8), nothing.astype("datetime64[s]"))
    row, step, at, place = (np.concatenate([part[i] for part in parts]) for i in range(4))
    order = np.lexsort((place, row))
    return Steps(row[order], step[order].astype(np.int8), at[order])


_BEGUN = "classify assign inspect dispatch"
# By name: the steps; * stands for work that the check sends back, as often as drawn.
_COURSES = {
    "assigned": "classify assign",
    "in_progress": f"{_BEGUN} *",
    "treated": f"{_BEGUN} * treat",
    "checked": f"{_BEGUN} * treat submit",
    "enforcement": "classify assign inspect enforce",
    "rejected": "classify assign inspect reject",
    "duplicate": "classify assign duplicate",
    "closed": f"{_BEGUN} * treat submit pass",
    "odd": f"{_BEGUN} treat submit pass treat pass",
    "answered": "classify refer answer",
    "returned": "classify refer return assign inspect dispatch * treat submit pass",
    "settled": "classify assign inspect enforce settle",
    "untreated": "classify assign closed",
    "reopened": f"{_BEGUN} treat submit pass reopen dispatch * treat submit pass",
}
_BY_STATUS = {
    ASSIGNED: "assigned", IN_PROGRESS: "in_progress", CLOSED_BY_INSPECTOR: "treated", QUALITY_REVIEW: "checked",
    ENFORCEMENT: "enforcement", REJECTED: "rejected", DUPLICATE: "duplicate", CLOSED: "closed",
}  # fmt: skip


def _courses(
    reports: Reports, municipality: Ints, fined: Floats, referred: Floats, faults: Faults, seed: int
) -> npt.NDArray[np.int64]:
    """The course of each report as a position in _COURSES, (n,); -1 where nothing is told yet."""

    def draw(key: int) -> Floats:
        return uniform(seed, reports.number, key)

    code = {name: at for at, name in enumerate(_COURSES)}
    by_status = np.full(int(reports.status.max(initial=0)) + max(_BY_STATUS) + 1, -1)
    for status, name in _BY_STATUS.items():
        by_status[status] = code[name]
    out: npt.NDArray[np.int64] = by_status[reports.status]
    handed = draw(_REFERRED) < referred
    returned = draw(_RETURNED) < faults.returned
    ways = {
        "odd": draw(_ODD) < faults.odd,
        "answered": handed & ~returned,
        "returned": handed,
        "settled": draw(_FINED) < fined,
        "untreated": draw(_UNTREATED) < faults.untreated[municipality],
        "reopened": draw(_REOPENED) < faults.reopened[municipality],
    }
    closed = np.select(list(ways.values()), [code[name] for name in ways], code["closed"])
    return np.where(reports.status == CLOSED, closed, out)


def _timed(
    reports: Reports, rows: Ints, course: list[int], seed: int
) -> tuple[Ints, Ints, npt.NDArray[np.datetime64], Ints]:
    """Rows, steps, times and places of the reports that share a course, (k·len(course),) each."""
    number = reports.number[rows]
    opened = reports.opened[rows].astype("datetime64[s]")
    end = np.fmax(reports.updated[rows].astype("datetime64[s]"), opened)
    # Unlike maximum, fmax takes the date that is there.
    second = np.minimum(np.fmax(reports.assigned[rows].astype("datetime64[s]"), opened), end)
    # An export that has both dates on one moment leaves no time for the steps between.
    half = opened + (end - opened) // 2
    second = np.where(end - second < np.timedelta64(30, "m"), np.minimum(second, half), second)
    k, length = len(rows), len(course)
    times = np.empty((k, length), dtype="datetime64[s]")
    early = (second - opened).astype(np.int64) * (0.1 + 0.8 * uniform(seed, number, _SORTED))
    times[:, 0] = opened + early.astype("timedelta64[s]")
    times[:, 1] = second
    if length > 2:
        noise = np.stack([uniform(seed, number, _TIMES + place) for place in range(2, length)], axis=1)
        spent = np.cumsum(_WEIGHTS[course[2:]] * (0.3 + 1.4 * noise), axis=1)
        share = spent / spent[:, -1:]
        span = (end - second).astype(np.int64)[:, None]
        times[:, 2:] = second[:, None] + np.floor(span * share).astype("timedelta64[s]")
    times[:, -1] = end
    place = np.broadcast_to(np.arange(length), (k, length))
    step = np.broadcast_to(np.array(course), (k, length))
    return np.repeat(rows, length), step.ravel(), times.ravel(), place.ravel()
