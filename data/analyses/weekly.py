"""What the weekly pack of a control room says, all of it as of the end of its period.

Counts and targets come from ``data/analyses/indicators.py``, chronic, hot and emerging spots
and the effect of campaigns from the analyses that the pages ask too, each with a query that
carries the moment (``data.query.AsOf``): what was opened, done or learned later changes
nothing. Caveat: boundaries, targets and titles of campaigns are today's; a pack that was kept
(``data/packs.py``) is never changed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data import columns, territories
from data.analyses import weekly_parts as parts
from data.analyses.campaigns import said
from data.analyses.hotspots import HotspotSettings, hotspots
from data.analyses.indicators import (
    MEANINGS,
    Dimension,
    Indicator,
    IndicatorQuery,
    IndicatorResult,
    Row,
    indicators,
)
from data.analyses.recording import recording_warnings
from data.analyses.returning import returning
from data.analyses.trends import trends
from data.pack import Chronic, Heat, Line, Measure, Spots, WeeklyPack, Where
from data.past import past_columns
from data.plan import Name, Said
from data.query import AsOf, ReportQuery, territory_facts
from geo.cells import Cells, centres, to_text
from geo.errors import InputError
from geo.remarks import Remark
from geo.trends import CODES

Tick = Callable[[float], None]
#: Indicators of the tables, in the order of their columns.
SHOWN = (
    Indicator.RECEIVED, Indicator.CLOSED, Indicator.BACKLOG, Indicator.OVERDUE, Indicator.ON_TIME,
    Indicator.REMEDY_MEDIAN, Indicator.REMEDY_P90, Indicator.REOPENED, Indicator.QUALITY_FAILED,
    Indicator.RECURRENCE, Indicator.SUSPICIOUS, Indicator.VPI,
)  # fmt: skip
HOT = ("hot_99", "hot_95")
#: Patterns of a history that are new or growing, the most urgent first.
EMERGING = ("hot_new", "hot_consecutive", "hot_intensifying")
LONGEST = 366  # days of a period
SETTLE_S = 1.0  # from the writing of a step to its end, at most
_NAMED = 10  # chronic spots and places that are told one by one


@dataclass(frozen=True, slots=True)
class PackTerms:
    """Which pack.

    Parameters
    ----------
    territory_id : ``territory.id``.
    first, last : local days, both included.
    known_at : what the store knew then only; None takes what it knows now.
    hot_days : hot spots are told of so many days up to the last one: one week has too few
        reports to tell them from chance.

    Raises
    ------
    InputError : the period ends before it starts or is longer than a year, or a moment has
        no zone.
    """

    territory_id: int
    first: dt.date
    last: dt.date
    known_at: dt.datetime | None = None
    hot_days: int = 84

    def __post_init__(self) -> None:
        days = (self.last - self.first).days + 1
        if not 1 <= days <= LONGEST:
            raise InputError(f"A pack is of 1 to {LONGEST} days, not of {self.first} to {self.last}.")
        if self.known_at is not None and self.known_at.tzinfo is None:
            raise InputError("known_at needs a time zone: without one it is no moment.")
        if not 7 <= self.hot_days <= 3660:
            raise InputError(f"Hot spots are told of 7 to 3,660 days, not of {self.hot_days}.")


def week(text_: str) -> tuple[dt.date, dt.date]:
    """First and last day of an ISO week such as ``2026-W40`` (Monday to Sunday).

    Raises
    ------
    InputError : it is no week.
    """
    try:
        year, number = text_.upper().replace("-", "").split("W")
        first = dt.date.fromisocalendar(int(year), int(number), 1)
    except ValueError:
        raise InputError(f"{text_!r} is no week: write it as 2026-W40.") from None
    return first, first + dt.timedelta(days=6)


def latest_week(newest: dt.date) -> tuple[dt.date, dt.date]:
    """The last whole working week of the Kingdom (Sunday to Saturday) up to the newest report."""
    last = newest - dt.timedelta(days=(newest.weekday() - 5) % 7)
    return last - dt.timedelta(days=6), last


def end_of(day: dt.date, zone: str) -> dt.datetime:
    """The last microsecond of a local day, UTC."""
    after = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), ZoneInfo(zone))
    return (after - dt.timedelta(microseconds=1)).astimezone(dt.UTC)


def known_now(conn: Connection, territory_id: int) -> dt.datetime:
    """This moment, once everything that was recorded up to it can be seen, UTC.

    Loads write under the territory's lock, so one that is writing is waited for; a step of a
    person takes a moment from its writing to its end, so a second is waited.
    """
    territories.await_writers(conn, territory_id)
    found: dt.datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    conn.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": SETTLE_S})
    return found.astimezone(dt.UTC)


def weekly_pack(conn: Connection, terms: PackTerms, *, tick: Tick | None = None) -> WeeklyPack:
    """The pack of a period; the same terms with the same ``known_at`` give the same one again.

    Raises
    ------
    InputError : the territory does not exist, or the period lies ahead.
    """
    told = tick or (lambda done: None)
    facts = territory_facts(conn, terms.territory_id)
    known = (terms.known_at or known_now(conn, facts.id)).astimezone(dt.UTC)
    as_of = AsOf(end_of(terms.last, facts.timezone), known)
    if as_of.at > known:
        raise InputError(
            f"{terms.last} was not over at {known:%Y-%m-%d %H:%M} UTC: a pack is made when its period is over."
        )
    told(0.0)
    past_columns(conn, facts, as_of, tick=_part(told, 0.0, 0.35))
    counts = {}
    # The reports and events are read for the first and remembered for the second.
    for by, low, high in ((Dimension.MUNICIPALITY, 0.35, 0.6), (Dimension.ELEMENT, 0.6, 0.65)):
        asked = IndicatorQuery(facts.id, by, terms.first, terms.last, known_at=known)
        counts[by] = indicators(conn, asked, tick=_part(told, low, high))
    whole = counts[Dimension.MUNICIPALITY]
    query = ReportQuery(facts.id, end=terms.last, as_of=as_of)
    recent = dataclasses.replace(query, start=terms.last - dt.timedelta(days=terms.hot_days - 1))
    names = parts.area_names(conn, facts.id)
    chronic, chronic_spots, of_chronic = _chronic(conn, query, terms, names, _part(told, 0.65, 0.75))
    hot, of_hot = _hot(conn, recent, names, _part(told, 0.75, 0.8))
    emerging, of_emerging = _emerging(conn, query, names, _part(told, 0.8, 0.9))
    outlines, illustrative = parts.outlines(conn, facts.id)
    pack = WeeklyPack(
        territory=facts.code,
        name=Name(facts.name_ar, facts.name_en),
        timezone=facts.timezone,
        simulated=facts.simulated,
        illustrative=illustrative,
        first=terms.first,
        last=terms.last,
        as_of=as_of.at,
        known_at=known,
        newest=_newest(conn, query),
        total=_line(whole.whole, Name(facts.name_ar, facts.name_en)),
        municipalities=_lines(whole),
        elements=_lines(counts[Dimension.ELEMENT]),
        ages=whole.whole.ages,
        overdue=parts.overdue(conn, facts, as_of, names),
        chronic=chronic,
        chronic_spots=chronic_spots,
        hot=hot,
        emerging=emerging,
        campaigns=parts.campaigns(conn, facts, terms.first, terms.last, as_of),
        pairs=parts.pairs(conn, facts, terms.first, terms.last, as_of, names),
        outlines=outlines,
        said=_said(
            recording=recording_warnings(conn, recent),
            counts=_together(counts.values()),
            chronic=of_chronic,
            hot=of_hot,
            emerging=of_emerging,
        ),
    )
    told(1.0)
    return pack


def _part(tick: Tick, low: float, high: float) -> Tick:
    """A tick for one part of the whole."""
    return lambda done: tick(low + (high - low) * done)


# ---- counts ----


def _lines(found: IndicatorResult) -> tuple[Line, ...]:
    return tuple(_line(row, Name(row.name_ar, row.name_en)) for row in found.rows)


def _line(row: Row, name: Name) -> Line:
    measures = []
    for indicator in SHOWN:
        one = row.reading(indicator)
        if one is None:
            continue
        meaning = MEANINGS[indicator]
        measures.append(
            Measure(
                code=str(indicator),
                kind=meaning.kind,
                value=one.value,
                before=one.before,
                base=one.base,
                differs=one.change is not None and one.change.differs,
                better=meaning.better,
                target=one.target,
                met=one.met,
            )
        )
    return Line("" if row.key is None else str(row.key), name, tuple(measures))


def _newest(conn: Connection, query: ReportQuery) -> dt.date | None:
    found, chosen = columns.select(conn, query, {"day"})
    days = found.reports["day"][chosen]
    return columns.as_date(int(days.max())) if len(days) else None


# ---- places ----


def _chronic(
    conn: Connection, query: ReportQuery, terms: PackTerms, names: dict[int, Name], tick: Tick
) -> tuple[tuple[Chronic, ...], int, tuple[Remark, ...]]:
    """Chronic spots, those that came back in the period first; how many there are; what to know."""
    found = returning(conn, query, tick=tick)
    spots = found.spots
    again = np.array([terms.first <= day <= terms.last for day in spots.last_opened], dtype=bool)
    order = np.lexsort((np.arange(len(spots)), ~again))[:_NAMED]
    municipality = parts.municipalities_of(conn, spots.place[order])
    told = tuple(
        Chronic(
            element=spots.element[i],
            name=Name(spots.name_ar[i], spots.name_en[i]),
            municipality=names.get(area, Name()),
            incidents=int(spots.incidents[i]),
            returns=int(spots.recurrences[i]),
            suspicious=int(spots.suspicious[i]),
            gap=None if np.isnan(spots.median_gap[i]) else float(spots.median_gap[i]),
            last_closed=spots.last_closed[i],
            last_opened=spots.last_opened[i],
            returned=bool(again[i]),
            open=bool(spots.open[i]),
            lon=float(spots.lon[i]),
            lat=float(spots.lat[i]),
        )
        for i, area in zip(order.tolist(), municipality, strict=True)
    )
    # Nothing of a map of cells is in the pack.
    remarks = tuple(remark for remark in found.remarks if not remark.code.startswith("scale_"))
    return told, len(spots), remarks


def _hot(
    conn: Connection, query: ReportQuery, names: dict[int, Name], tick: Tick
) -> tuple[Heat, tuple[Remark, ...]]:
    found = hotspots(conn, query, HotspotSettings(), tick=tick)
    assert query.start is not None and query.end is not None  # noqa: S101 - set by the caller
    held = {code: found.among((code,)) for code in HOT}
    heat = _heat(conn, query, names, found.cells, found.resolution, found.counts, held)
    return dataclasses.replace(heat, since=query.start, until=query.end), found.remarks


def _emerging(
    conn: Connection, query: ReportQuery, names: dict[int, Name], tick: Tick
) -> tuple[Heat, tuple[Remark, ...]]:
    found = trends(conn, query, tick=tick)
    patterns = np.array(CODES, dtype=object)[found.history.patterns]
    held = {code: patterns == code for code in EMERGING}
    end = query.end or dt.date.min
    if not found.steps:
        return Heat(end, end, found.step, found.resolution, len(found.cells), 0), found.remarks
    last = found.series[:, -1].astype(np.int64)
    since = found.starts[-1].item()
    after = since + dt.timedelta(days=7)
    if found.step == "month":
        after = (since.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    whole = dataclasses.replace(query, start=since, end=after - dt.timedelta(days=1))
    heat = _heat(conn, whole, names, found.cells, found.resolution, last, held)
    return dataclasses.replace(
        heat, since=found.starts[0].item(), until=after - dt.timedelta(days=1), step=found.step
    ), found.remarks


def _heat(
    conn: Connection,
    query: ReportQuery,
    names: dict[int, Name],
    cells: Cells,
    resolution: int,
    counts: npt.NDArray[np.int64],
    held: dict[str, npt.NDArray[np.bool_]],
) -> Heat:
    """Classes that stand out, with their cells and reports, and in which municipalities they lie."""
    spots = tuple(
        Spots(code, tuple(to_text(cells[those])), int(counts[those].sum()))
        for code, those in held.items()
        if those.any()
    )
    out = np.zeros(len(cells), dtype=bool)
    for those in held.values():
        out |= those
    end = query.end or dt.date.min
    return Heat(
        since=query.start or end,
        until=end,
        step="",
        resolution=resolution,
        cells=len(cells),
        reports=int(counts.sum()),
        spots=spots,
        places=_places(conn, query.territory_id, names, cells[out], counts[out]),
    )


def _places(
    conn: Connection,
    territory_id: int,
    names: dict[int, Name],
    cells: Cells,
    counts: npt.NDArray[np.int64],
) -> tuple[Where, ...]:
    """Municipalities of the cells, by the middle of each, with the reports in them."""
    own = parts.municipality_at(conn, territory_id, *centres(cells))
    told = [
        Where(names.get(area, Name()), int((own == area).sum()), int(counts[own == area].sum()))
        for area in np.unique(own).tolist()
    ]
    return tuple(sorted(told, key=lambda one: (-one.reports, -one.cells, one.name.en))[:_NAMED])


# ---- what to know ----


def _together(found: Iterable[IndicatorResult]) -> tuple[Remark, ...]:
    return tuple(dict.fromkeys(remark for one in found for remark in one.remarks))


def _said(**by_part: tuple[Remark, ...]) -> tuple[tuple[str, tuple[Said, ...]], ...]:
    """The remarks of each part, in a form that can be kept."""
    return tuple(
        (part, tuple(dict.fromkeys(said(remark) for remark in remarks)))
        for part, remarks in by_part.items()
        if remarks
    )
