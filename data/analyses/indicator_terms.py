"""The question about indicators and its answer: what the page, the pack and the commands pass on.

``data/analyses/indicators.py`` answers it. Caveat: a reading without a value is an answer
too: nothing to tell it from, or a share of remedies that was not reached.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from data.lives import Freshness
from geo.errors import InputError
from geo.funnel import ALARM, Spread, limits
from geo.remarks import Remark

Floats = npt.NDArray[np.float64]


class Dimension(StrEnum):
    """What the rows of an answer are."""

    MUNICIPALITY = "municipality"
    DISTRICT = "district"
    DEPARTMENT = "department"  # the responsible department (report.agency_id, not an entity)
    ENTITY = "entity"  # the responsible external entity (report.agency_id, kind entity)
    CONTRACTOR = "contractor"
    ELEMENT = "element"
    GROUP = "group"
    MONTH = "month"


class Indicator(StrEnum):
    """The indicators, in the order in which they are shown."""

    VPI = "vpi"  # indicator units per covered km² and month
    RECEIVED = "received"
    CLOSED = "closed"
    ON_TIME = "on_time"
    REMEDY_MEDIAN = "remedy_median"
    REMEDY_P90 = "remedy_p90"
    BACKLOG = "backlog"
    OVERDUE = "overdue"
    REOPENED = "reopened"
    QUALITY_FAILED = "quality_failed"
    RECURRENCE = "recurrence"
    CONTRIBUTION = "contribution"
    COVERAGE = "coverage"
    SUSPICIOUS = "suspicious"  # any of the four that follow
    CLOSED_AT_ONCE = "closed_at_once"
    CLOSED_IN_BULK = "closed_in_bulk"
    CLOSED_UNTREATED = "closed_untreated"
    REOPENED_SOON = "reopened_soon"


Kind = Literal["count", "share", "rate", "days"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What kind of number an indicator is, and which way is better (+1 high, -1 low, 0 neither)."""

    kind: Kind
    better: int


MEANINGS: dict[Indicator, Meaning] = {
    Indicator.VPI: Meaning("rate", -1),
    Indicator.RECEIVED: Meaning("count", 0),
    Indicator.CLOSED: Meaning("count", 0),
    Indicator.ON_TIME: Meaning("share", 1),
    Indicator.REMEDY_MEDIAN: Meaning("days", -1),
    Indicator.REMEDY_P90: Meaning("days", -1),
    Indicator.BACKLOG: Meaning("count", -1),
    Indicator.OVERDUE: Meaning("count", -1),
    Indicator.REOPENED: Meaning("share", -1),
    Indicator.QUALITY_FAILED: Meaning("share", -1),
    Indicator.RECURRENCE: Meaning("share", -1),
    Indicator.CONTRIBUTION: Meaning("share", 0),
    Indicator.COVERAGE: Meaning("share", 1),
    Indicator.SUSPICIOUS: Meaning("count", -1),
    Indicator.CLOSED_AT_ONCE: Meaning("count", -1),
    Indicator.CLOSED_IN_BULK: Meaning("count", -1),
    Indicator.CLOSED_UNTREATED: Meaning("count", -1),
    Indicator.REOPENED_SOON: Meaning("count", -1),
}

#: First days of age of the bands of the backlog; the last band has no end.
AGE_BANDS = (0, 8, 31, 91, 181)


@dataclass(frozen=True, slots=True)
class IndicatorSettings:
    """What the rules take for granted; every value is an assumption unless a regulation says so.

    Parameters
    ----------
    ground : what VPI's km² are: ``served``, the cells with people, buildings or roads, where
        an exposure is loaded; ``area``, the whole of the boundaries.
    ground_resolution : H3 resolution of these cells.
    remedy_days : time to remedy is told of reports opened in so many days up to the end of
        the period.
    reopen_days : a closing is watched for so long; the reopening rate is of closings whose
        watch ended in the period.
    recurrence_days : a report recurs where the same kind, in the same place, was closed
        within so many days before.
    at_once_minutes : a closing so soon after the opening is suspicious.
    bulk_reports : so many closings in one minute are suspicious.
    soon_days : a reopening so soon after the closing is suspicious.
    level : of confidence of all intervals.

    Raises
    ------
    InputError : a value cannot be one.
    """

    ground: Literal["served", "area"] = "served"
    ground_resolution: int = 9
    remedy_days: int = 91
    reopen_days: int = 14
    recurrence_days: int = 365
    at_once_minutes: int = 10
    bulk_reports: int = 20
    soon_days: int = 7
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.ground not in ("served", "area"):
            raise InputError(f"The ground of VPI is 'served' or 'area', not {self.ground!r}.")
        if not 6 <= self.ground_resolution <= 10:
            raise InputError(
                f"Ground is measured in cells of resolution 6 to 10, not {self.ground_resolution}."
            )
        for name in ("remedy_days", "reopen_days", "recurrence_days", "soon_days"):
            if not 1 <= getattr(self, name) <= 3660:
                raise InputError(f"{name} is a number of days from 1 to 3,660, not {getattr(self, name)}.")
        if self.at_once_minutes < 0 or self.bulk_reports < 2:
            raise InputError(
                "Minutes are not negative, and two closings are the fewest that are many at once."
            )
        if not 0.5 <= self.level < 1:
            raise InputError(f"A level of confidence lies between 0.5 and 1, not at {self.level:g}.")


@dataclass(frozen=True, slots=True)
class IndicatorQuery:
    """Which rows, for which period, of which reports.

    Parameters
    ----------
    territory_id : ``territory.id``.
    by : what the rows are.
    start, end : first and last local day, both included. With ``Dimension.MONTH`` each month
        that the period touches is a row of its own, as of its own end.
    known_at : what the store knew at that moment only; None: all it knows. A moment without
        a zone is refused.
    municipalities, districts : ``area.id``; groups, elements : codes of the taxonomy;
        agencies, contractors : ``party.id``; channels : ``data.vocabulary.Channel``. As in
        ``ReportQuery``: alternatives within a field, fields narrow each other.

    Raises
    ------
    InputError : the period ends before it starts, or is longer than ten years.
    """

    territory_id: int
    by: Dimension
    start: dt.date
    end: dt.date
    known_at: dt.datetime | None = None
    municipalities: tuple[int, ...] = ()
    districts: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    agencies: tuple[int, ...] = ()
    contractors: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise InputError(f"The period ends ({self.end}) before it starts ({self.start}): exchange them.")
        if (self.end - self.start).days > 3660:
            raise InputError("Indicators are asked for at most ten years at a time.")
        if self.known_at is not None and self.known_at.tzinfo is None:
            raise InputError("known_at needs a time zone: without one it is no moment.")


def month_query(territory_id: int, month: dt.date, by: Dimension, **narrowed: object) -> IndicatorQuery:
    """The query for the calendar month that ``month`` lies in."""
    first = month.replace(day=1)
    following = (first + dt.timedelta(days=32)).replace(day=1)
    return IndicatorQuery(territory_id, by, first, following - dt.timedelta(days=1), **narrowed)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Change:
    """From the period before (the calendar month before, or as many days) to this one.

    Attributes
    ----------
    kind : ``ratio``, this value over the one before (counts, rates); ``difference``, this
        value less the one before (shares, days).
    value, low, high : with its interval; None where it cannot be told.
    differs : the interval leaves out "no change"; False where it cannot be told.
    """

    kind: Literal["ratio", "difference"]
    value: float | None
    low: float | None
    high: float | None
    differs: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """One indicator of one row.

    Attributes
    ----------
    value : counts as they are, shares 0 to 1, days, VPI in units per km² and month; None
        where there is nothing to tell it from. For time to remedy None with ``base`` above 0
        means "not reached": more than that share was still open.
    low, high : interval of shares, rates and days; an end of None is "not known" for days.
    count : reports that the number counts (numerator), as ``reports_behind`` gives them.
    base : reports that it is a share of, or that were followed; 0 for plain counts.
    amount : what is divided: units for VPI, km² seen for coverage; else ``count``.
    over : what it is divided by: km² × months for VPI, km² for coverage; else ``base``.
    shrunken : the value drawn towards the whole as far as its size does not carry it; None
        where nothing is compared.
    position : ``low``, ``inside`` or ``high``, against the funnel around the whole; None
        where nothing is compared.
    rank : place among the rows, 1 the best, all that lie inside the funnel at one and the
        same place; None where nothing is compared.
    before : the value of the period before. change : from then to now.
    target : what was to be reached. met : whether it is; None without a target or value.
    """

    indicator: Indicator
    value: float | None
    low: float | None
    high: float | None
    count: int
    base: int
    amount: float
    over: float
    shrunken: float | None = None
    position: Literal["low", "inside", "high"] | None = None
    rank: int | None = None
    before: float | None = None
    change: Change | None = None
    target: float | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One municipality, department, element … with all its readings.

    Attributes
    ----------
    key : ``area.id``, ``party.id``, code of the element or group, or ``2026-09``; None for
        reports that have none.
    name_ar, name_en : as the store has them; both "" where key is None.
    readings : in the order of ``Indicator``, without those that have no meaning for such rows.
    ages : reports open at the end by age, in the bands of ``AGE_BANDS``.
    """

    key: int | str | None
    name_ar: str
    name_en: str
    readings: tuple[Reading, ...]
    ages: tuple[int, ...]

    def reading(self, indicator: Indicator) -> Reading | None:
        """The reading of one indicator; None where it has no meaning here."""
        return next((one for one in self.readings if one.indicator is indicator), None)


@dataclass(frozen=True, slots=True)
class Funnel:
    """What the rows are compared with (``geo.funnel``).

    Attributes
    ----------
    overall : share or rate of all rows together.
    spread : of the rows beyond chance, in units of 1 / base.
    compared : number of rows.
    weight : of one counted report in the rate (mean units); 1 for shares.
    """

    indicator: Indicator
    overall: float
    spread: float
    compared: int
    weight: float = 1.0

    def limits(self, sizes: Floats, level: float = ALARM) -> tuple[Floats, Floats]:
        """Lower and upper limit at sizes (n,): ``Reading.base`` of shares, ``Reading.over`` of rates."""
        if MEANINGS[self.indicator].kind == "rate":
            low, high = limits(
                sizes, Spread("rate", self.overall / self.weight, self.spread, self.compared), level
            )
            return low * self.weight, high * self.weight
        return limits(sizes, Spread("share", self.overall, self.spread, self.compared), level)


@dataclass(frozen=True, slots=True)
class IndicatorResult:
    """The answer.

    Attributes
    ----------
    as_of : the moment whose statuses count: the end of the period, or of what is known.
    whole : all reports that fit, as one row (key None).
    rows : in order of name; months in order of time.
    funnels : one for each indicator that is compared among rows.
    ground_km2 : km² that VPI and coverage reckon with; ``ground`` which ("served", "area").
    remarks : what was decided and what to beware of.
    """

    query: IndicatorQuery
    settings: IndicatorSettings
    timezone: str
    simulated: bool
    as_of: dt.datetime
    freshness: Freshness
    whole: Row
    rows: tuple[Row, ...]
    funnels: tuple[Funnel, ...]
    ground: Literal["served", "area"]
    ground_km2: float
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RemedyCurve:
    """Share not remedied by age, of one row's reports (Kaplan and Meier).

    Attributes
    ----------
    days, remaining, low, high : (k,) steps; the share holds from that age on, with its interval.
    at_risk : (k,) reports followed at least so long.
    reports, remedied : followed, and remedied among them.
    """

    key: int | str | None
    days: Floats
    remaining: Floats
    low: Floats
    high: Floats
    at_risk: npt.NDArray[np.int64]
    reports: int
    remedied: int
    median: float | None
    p90: float | None


WHOLE = "whole"  #: key of the row of all reports, for ``reports_behind`` and ``remedy_curves``
Part = Literal["count", "base"]
