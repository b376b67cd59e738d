"""The reports of the past by cell and day, as forecasts see them: up to an origin, never beyond.

``History.before`` is the only way in which a forecast or a backtest gets at the past: what
it returns holds nothing of the origin's day or later, so a model cannot use what it should
predict. Decayed counts weigh a report by 0.5 ^ (age / half-life). Caveat: a day is a whole
local day, and a report counts on the day it was opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geo.cells import Cells
from geo.errors import InputError

Floats = npt.NDArray[np.float64]

FOREVER = float("inf")
MOST_KINDS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A span of days to forecast: from ``start`` (the origin) to the day before ``end``."""

    start: int
    end: int

    @property
    def days(self) -> int:
        """Its length in days."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Reports by cell and day.

    Attributes
    ----------
    cells : (n,) int64, ascending; all cells of the study area.
    place : (m,) int32, position in ``cells`` of each report.
    day : (m,) int32, ascending; any running number of days.
    kind : (m,) int32, what each report is about; any code.
    first : the first day on which a report could have been recorded.
    end : the day after the last one recorded; no report lies on it or later.
    """

    cells: Cells
    place: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int32]
    first: int
    end: int

    @property
    def days(self) -> int:
        """Days recorded."""
        return self.end - self.first

    def before(self, origin: int) -> History:
        """The same up to the day before ``origin``: what a forecast made then can know."""
        if not self.first < origin <= self.end:
            raise InputError(
                f"Day {origin} is not within the days recorded ({self.first} to {self.end}): "
                "there is nothing before it, or nothing yet."
            )
        cut = int(np.searchsorted(self.day, origin, "left"))
        return replace(self, place=self.place[:cut], day=self.day[:cut], kind=self.kind[:cut], end=origin)

    def by_kind(self) -> list[History]:
        """Histories of the MOST_KINDS − 1 most common kinds, and one of all others together.

        Which are the most common is told by this history alone, so that a forecast of an
        early day is not told what became common later.
        """
        found, number, counts = np.unique(self.kind, return_inverse=True, return_counts=True)
        rank = np.empty(len(found), dtype=np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(found))
        most = len(found) if len(found) <= MOST_KINDS else MOST_KINDS - 1
        group = np.minimum(rank, most)[number]
        return [
            replace(self, place=self.place[own], day=self.day[own], kind=self.kind[own])
            for own in (group == one for one in range(int(group.max(initial=-1)) + 1))
        ]

    def counts(self, window: Window) -> Floats:
        """Reports by cell within a window, (n,)."""
        begin, end = np.searchsorted(self.day, [window.start, window.end], "left")
        return np.bincount(self.place[begin:end], minlength=len(self.cells)).astype(np.float64)

    def daily(self) -> Floats:
        """Reports by day in all cells together, (days,)."""
        return np.bincount(self.day - self.first, minlength=self.days).astype(np.float64)

    def decayed(self, half_lives: Sequence[float], origins: Sequence[int]) -> Iterator[Floats]:
        """Decayed counts by half-life and cell, (h, n), at one origin after the other.

        What comes at an origin holds nothing of its day or later.

        Parameters
        ----------
        half_lives : days, larger than 0; ``FOREVER`` counts every report fully.
        origins : ascending days.
        """
        n = len(self.cells)
        state, seen, now = np.zeros((len(half_lives), n)), 0, self.first
        for origin in origins:
            cut = int(np.searchsorted(self.day, origin, "left"))
            place, age = self.place[seen:cut], origin - self.day[seen:cut]
            ages = np.arange(origin - self.first + 1, dtype=np.float64)
            for i, half_life in enumerate(half_lives):
                # From one origin to the next: fade what is there, add what came since.
                weights = None
                if half_life != FOREVER:
                    state[i] *= 0.5 ** ((origin - now) / half_life)
                    weights = (0.5 ** (ages / half_life))[age]
                state[i] += np.bincount(place, weights, minlength=n)
            seen, now = cut, origin
            yield state.copy()

    def weight_days(self, half_life: float, origin: int) -> float:
        """Days that a decayed count stands for at an origin: a steady rate is count / these days."""
        days = origin - self.first
        if half_life == FOREVER:
            return float(days)
        fade = 0.5 ** (1 / half_life)
        return float(fade * (1 - fade**days) / (1 - fade))


def history(
    cells: Cells,
    place: npt.ArrayLike,
    day: npt.ArrayLike,
    first: int | None = None,
    end: int | None = None,
    kind: npt.ArrayLike | None = None,
) -> History:
    """A history of reports in any order.

    Parameters
    ----------
    cells : (n,) int64, ascending.
    place : (m,) position in ``cells``; negative ones (outside the study area) are left out.
    day : (m,) running number of the day.
    first, end : first day recorded, and the day after the last; from the reports when left out.
    kind : (m,) any whole number for what each report is about; all of one kind when left out.

    Raises
    ------
    InputError : places and days do not go together, or reports lie outside first … end.
    """
    places, days = np.asarray(place, dtype=np.int32), np.asarray(day, dtype=np.int32)
    if places.shape != days.shape or places.ndim != 1:
        raise InputError(f"Each report needs a place and a day; there are {places.shape} and {days.shape}.")
    if len(places) and int(places.max()) >= len(cells):
        raise InputError(f"A report lies in cell number {int(places.max())} of {len(cells)}.")
    inside = places >= 0
    order = np.flatnonzero(inside)[np.argsort(days[inside], kind="stable")]
    places, days = places[order], days[order]
    kinds = np.zeros(len(order), dtype=np.int32)
    if kind is not None:
        kinds = np.asarray(kind, dtype=np.int32)[order]
    begin = first if first is not None else (int(days[0]) if len(days) else 0)
    stop = end if end is not None else (int(days[-1]) + 1 if len(days) else begin)
    if len(days) and (days[0] < begin or days[-1] >= stop):
        raise InputError(
            f"Reports of days {int(days[0])} to {int(days[-1])} do not lie within {begin} to {stop - 1}."
        )
    return History(np.asarray(cells, dtype=np.int64), places, days, kinds, begin, stop)


def training_windows(past: History, days: int, most: int = 24, lead: int | None = None) -> list[Window]:
    """Windows of the past on which a model can learn to forecast ``days`` days, ascending.

    They end at the origin (``past.end``) and before, at even distances of at most their own
    length and at least a quarter of it (never less than a day): at most ``most`` of them.
    Before the first one lie ``lead`` days (their own length when left out) to look back on.
    """
    if days < 1:
        raise InputError(f"A forecast of {days} days is not possible; ask for at least one.")
    room = past.days - days - (days if lead is None else lead)
    if room < 0:
        return []
    step = min(days, max(1, days // 4, -(-room // max(most - 1, 1))))
    number = min(most, room // step + 1)
    ends = [past.end - step * i for i in range(number)]
    return [Window(end - days, end) for end in reversed(ends)]
