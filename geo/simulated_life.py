"""What happens to a simulated report after it is sent: delays, statuses, dates.

Delays are log-normal with a median by element, scaled by municipality and responsible
party; the medians are assumptions (``data/reference/element_habits.csv``). An export is a
snapshot: whatever would happen after it is not known in it, so late reports are open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

# Index = the code in Reports.status.
STATUSES = (
    "received",
    "under_review",
    "assigned",
    "in_progress",
    "closed_by_inspector",
    "enforcement",
    "quality_review",
    "closed",
    "rejected",
    "duplicate",
)
RECEIVED, UNDER_REVIEW, ASSIGNED, IN_PROGRESS, CLOSED_BY_INSPECTOR = 0, 1, 2, 3, 4
ENFORCEMENT, QUALITY_REVIEW, CLOSED, REJECTED, DUPLICATE = 5, 6, 7, 8, 9
NEVER_CLOSED = 0.02  # share of reports that get stuck for good


@dataclass(frozen=True)
class Lives:
    """Dates are datetime64[s] in local time, NaT where it has not happened; all (n,)."""

    assigned: Times
    closed: Times
    updated: Times
    status: npt.NDArray[np.int8]


def lives(
    opened: Times,
    median_days: Floats,
    sigma: Floats,
    fined: Floats,
    snapshot: np.datetime64,
    rng: np.random.Generator,
) -> Lives:
    """Draw the course of each report as it would be known at `snapshot`.

    Parameters
    ----------
    opened : (n,) datetime64[s]
    median_days, sigma : (n,) of the log-normal time from opening to closing
    fined : (n,) chance that the way out is a violation (enforcement) and not treatment
    """
    n = len(opened)
    noise, draw = rng.normal(0, 1, (3, n)), rng.random((4, n))
    total = median_days * 86400.0 * np.exp(sigma * noise[0])
    review = 2.0 * 3600 * np.exp(0.8 * noise[1])
    assign = review + 7.0 * 3600 * np.exp(0.9 * noise[2]) * np.sqrt(median_days / 5 + 0.2)
    # Nothing is closed before it was assigned and somebody could go there.
    total = np.maximum(total, assign + 1800.0 + 5400 * draw[0])
    known = (snapshot - opened).astype(np.int64).astype(np.float64)  # seconds seen so far
    rejected = draw[1] < 0.045
    total = np.where(rejected, assign + 0.1 * (total - assign), total)
    stuck = (draw[1] > 1 - NEVER_CLOSED) & ~rejected
    closes = (total <= known) & ~stuck
    share = np.clip((known - assign) / np.maximum(total - assign, 1.0), 0, None)

    status = np.full(n, RECEIVED, dtype=np.int8)
    status[known > review] = UNDER_REVIEW
    going = known > assign
    status[going] = ASSIGNED
    status[going & (share > 0.3)] = IN_PROGRESS
    status[going & (share > 0.8) & ~stuck] = QUALITY_REVIEW
    status[going & (share > 0.9) & ~stuck & (draw[3] < 0.4)] = CLOSED_BY_INSPECTOR
    status[going & (share > 0.3) & (draw[2] < fined)] = ENFORCEMENT
    status[closes] = CLOSED
    status[closes & rejected] = REJECTED

    never = np.datetime64("NaT", "s")
    start = opened.astype("datetime64[s]")
    assigned = np.where(going, start + assign.astype("timedelta64[s]"), never)
    closed = np.where(closes, start + total.astype("timedelta64[s]"), never)
    since = np.select(
        [closes, status == RECEIVED, status == UNDER_REVIEW, status == ASSIGNED],
        [total, 0.0, review, assign],
        assign + 0.9 * np.minimum(known - assign, total - assign),
    )
    updated = start + np.clip(since, 0, np.maximum(known - 1, 0)).astype("timedelta64[s]")
    return Lives(assigned, closed, updated, status)
