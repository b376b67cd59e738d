"""Numbers beside the map: ranked areas, months, headline figures and the filters' choices.

Computed on the columns of ``data/columns.py``; days and months are those of the
territory's time zone. Areas count every report that lies in them or was matched to them
by name. Caveat: reports follow people and reporting habits, so neither a count nor a rate
per km² says by itself where things are worst; reports on a geocoder's default point are
left out unless the query asks for them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, text

from data import columns
from data.maps import Part
from data.query import ReportQuery
from data.vocabulary import FINAL, LEVELS
from geo.errors import InputError


@dataclass(frozen=True, slots=True)
class AreaRank:
    """One current area and its reports.

    Attributes
    ----------
    open : of ``count``, those whose status is not final.
    rate_km2 : reports per km² of the area.
    illustrative : the boundary was derived for a demonstration and is not official.
    """

    id: int
    name_ar: str
    name_en: str
    count: int
    open: int
    area_km2: float
    rate_km2: float
    illustrative: bool


@dataclass(frozen=True, slots=True)
class MonthCount:
    """Reports opened in one local month.

    Attributes
    ----------
    month : its first day.
    open : of ``count``, those that are not in a final status today.
    partial : the month is cut by the query's period, or by the first or last report of
        the territory, so it must not be compared with whole months.
    """

    month: dt.date
    count: int
    open: int
    partial: bool


@dataclass(frozen=True, slots=True)
class Headline:
    """Totals of the reports that fit a query.

    Attributes
    ----------
    closed : in a final status (closed, rejected, duplicate, referred); the rest is ``open``.
    closed_share : ``closed`` ÷ ``reports``; None without reports.
    median_days_to_close : among the closed ones only, and of those the ones that say when;
        reports still open would make it longer. None when there are none.
    first, last : local days of opening; None without reports.
    """

    reports: int
    open: int
    closed: int
    closed_share: float | None
    median_days_to_close: float | None
    first: dt.date | None
    last: dt.date | None


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that a filter offers, and its reports in the whole territory.

    Names are None where the words come from the language catalogues (channel, status).
    """

    key: int | str
    name_ar: str | None
    name_en: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters of a territory can be set to.

    Areas are all current ones, also without reports; the rest is what occurs. Elements
    and groups are in the order of their codes, areas and types in falling order of count.
    """

    first: dt.date | None
    last: dt.date | None
    groups: tuple[Choice, ...]
    elements: tuple[Choice, ...]
    types: tuple[Choice, ...]
    municipalities: tuple[Choice, ...]
    districts: tuple[Choice, ...]
    channels: tuple[Choice, ...]
    statuses: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The reports that fit a query, parted in five ways; each adds up to ``total``.

    Parts are in falling order of count; ``key`` is None for reports without element or type.
    """

    total: int
    by_group: tuple[Part, ...]
    by_element: tuple[Part, ...]
    by_type: tuple[Part, ...]
    by_status: tuple[Part, ...]
    by_channel: tuple[Part, ...]


def ranked_areas(conn: Connection, query: ReportQuery, level: str) -> list[AreaRank]:
    """Current areas of a level with the reports that fit the query, most first.

    Areas without reports are listed too, unless the query's municipalities or districts
    leave them out.

    Raises
    ------
    InputError : there is no such level, or no such territory.
    """
    if level not in LEVELS:
        raise InputError(f"There is no area level '{level}': choose one of {', '.join(LEVELS)}.")
    found, chosen = columns.select(conn, query, {level})
    area = found.runs[level]
    counts = _by_area(area, found.per_run(chosen))
    opened = _by_area(area, found.per_run(chosen & _is_open(found.reports["state"])))
    # Served by ix_area_current.
    rows = conn.execute(
        text(
            """SELECT a.id, a.parent_id, a.name_ar, a.name_en, a.area_km2, s.illustrative
               FROM area a JOIN area_set s ON s.id = a.area_set_id
               WHERE a.territory_id = :territory AND a.level = :level AND a.valid_to IS NULL"""
        ),
        {"territory": query.territory_id, "level": level},
    )
    ranks = [
        AreaRank(
            id=row.id,
            name_ar=row.name_ar,
            name_en=row.name_en,
            count=counts.get(row.id, 0),
            open=opened.get(row.id, 0),
            area_km2=row.area_km2,
            rate_km2=counts.get(row.id, 0) / row.area_km2 if row.area_km2 > 0 else float("nan"),
            illustrative=row.illustrative,
        )
        for row in rows
        if counts.get(row.id) or _wanted(query, level, row.id, row.parent_id)
    ]
    return sorted(ranks, key=lambda rank: (-rank.count, rank.name_en, rank.id))


def monthly(conn: Connection, query: ReportQuery) -> list[MonthCount]:
    """Reports by month of opening, months without any included.

    From the first to the last report of the whole territory, or the period where that is
    shorter: before its first report a territory's count is not zero but unknown.
    """
    found, chosen = columns.select(conn, query, {"day"})
    days = found.reports["day"]
    if not len(days):
        return []
    start, end = columns.as_date(int(days.min())), columns.as_date(int(days.max()))
    start, end = max(start, query.start or start), min(end, query.end or end)
    if end < start:
        return []
    months = np.arange(np.datetime64(start, "M"), np.datetime64(end, "M") + 1)
    counts = _on_months(months, days[chosen])
    opened = _on_months(months, days[chosen & _is_open(found.reports["state"])])
    return [
        MonthCount(
            month=first,
            count=counts[i],
            open=opened[i],
            partial=first < start or (months[i] + 1).astype("datetime64[D]").item() > end + dt.timedelta(1),
        )
        for i, first in enumerate(months.astype("datetime64[D]").tolist())
    ]


def headline(conn: Connection, query: ReportQuery) -> Headline:
    """Totals of the reports that fit the query. Medians are of whole minutes, in days."""
    found, chosen = columns.select(conn, query, {"day", "minutes"})
    reports = int(np.count_nonzero(chosen))
    final = chosen & ~_is_open(found.reports["state"])
    closed = int(np.count_nonzero(final))
    took = found.reports["minutes"][final]
    took = took[took >= 0]
    days = found.reports["day"][chosen]
    return Headline(
        reports=reports,
        open=reports - closed,
        closed=closed,
        closed_share=closed / reports if reports else None,
        median_days_to_close=float(np.median(took)) / 1440 if len(took) else None,
        first=columns.as_date(int(days.min())) if reports else None,
        last=columns.as_date(int(days.max())) if reports else None,
    )


def parts(conn: Connection, query: ReportQuery) -> Parts:
    """The reports that fit the query by group, element, type, status and channel, in one pass."""
    found, chosen = columns.select(conn, query, {"element", "type", "channel"})
    report = {name: values[chosen] for name, values in found.reports.items()}
    elements, types = dict(columns.tally(report["element"])), dict(columns.tally(report["type"]))
    named = _elements(conn, elements)
    statuses = columns.tally(report["state"] & columns.STATUS_BITS)
    return Parts(
        total=int(np.count_nonzero(chosen)),
        by_group=_parts(
            _merged((r.group_code, r.group_ar, r.group_en, elements[r.id]) for r in named), elements.get(0, 0)
        ),
        by_element=_parts(
            _merged((r.code, r.name_ar, r.name_en, elements[r.id]) for r in named), elements.get(0, 0)
        ),
        by_type=_parts(
            (Choice(r.id, r.name, r.name, types[r.id]) for r in _types(conn, types)), types.get(0, 0)
        ),
        by_status=_parts(Choice(k, None, None, n) for k, n in statuses),
        by_channel=_parts(Choice(k, None, None, n) for k, n in columns.tally(report["channel"])),
    )


def choices(conn: Connection, territory_id: int) -> Choices:
    """What the filters can be set to, with counts over the whole territory.

    Raises
    ------
    InputError : the territory does not exist.
    """
    names = {"day", "element", "type", "channel", "municipality", "district"}
    found, chosen = columns.select(conn, ReportQuery(territory_id), names)
    report = {name: values[chosen] for name, values in found.reports.items()}
    per_run = found.per_run(chosen)
    elements = dict(columns.tally(report["element"]))
    types = dict(columns.tally(report["type"]))
    named, typed = _elements(conn, elements), _types(conn, types)
    # Served by ix_area_current.
    areas = conn.execute(
        text(
            "SELECT id, level, name_ar, name_en FROM area WHERE territory_id = :territory"
            " AND level IN ('municipality', 'district') AND valid_to IS NULL"
        ),
        {"territory": territory_id},
    ).all()
    by_level = {
        level: (_by_area(found.runs[level], per_run), [row for row in areas if row.level == level])
        for level in ("municipality", "district")
    }
    days = report["day"]
    return Choices(
        first=columns.as_date(int(days.min())) if len(days) else None,
        last=columns.as_date(int(days.max())) if len(days) else None,
        groups=_merged((r.group_code, r.group_ar, r.group_en, elements[r.id]) for r in named),
        elements=_merged((r.code, r.name_ar, r.name_en, elements[r.id]) for r in named),
        types=_falling(Choice(r.id, r.name, r.name, types[r.id]) for r in typed),
        municipalities=_area_choices(*by_level["municipality"]),
        districts=_area_choices(*by_level["district"]),
        channels=tuple(Choice(k, None, None, n) for k, n in columns.tally(report["channel"])),
        statuses=tuple(
            Choice(k, None, None, n) for k, n in columns.tally(report["state"] & columns.STATUS_BITS)
        ),
    )


def _elements(conn: Connection, ids: Iterable[int]) -> Sequence[Row]:
    """Codes and names of elements by id, older versions of the taxonomy first."""
    # Served by pk_element.
    statement = text(
        "SELECT id, code, name_ar, name_en, group_code, group_ar, group_en FROM element"
        " WHERE id = ANY(:ids) ORDER BY version"
    )
    return conn.execute(statement, {"ids": list(ids)}).all()


def _types(conn: Connection, ids: Iterable[int]) -> Sequence[Row]:
    """Ids and names of source types."""
    # Served by pk_source_type.
    statement = text("SELECT id, name FROM source_type WHERE id = ANY(:ids)")
    return conn.execute(statement, {"ids": list(ids)}).all()


def _is_open(state: NDArray) -> NDArray[np.bool_]:
    final = np.zeros(columns.STATUS_BITS + 1, dtype=bool)
    final[list(FINAL)] = True
    return ~final[state & columns.STATUS_BITS]


def _by_area(area: NDArray, counts: NDArray[np.int64]) -> dict[int, int]:
    """Counts of the runs (g,) by area id; runs outside every area are left out."""
    if not len(area):
        return {}
    # Sums of whole numbers below 2**53 are exact as float64.
    totals = np.bincount(area, weights=counts).astype(np.int64)
    return {int(i): int(totals[i]) for i in np.flatnonzero(totals) if i}


def _on_months(months: NDArray[np.datetime64], days: NDArray) -> list[int]:
    """Number of the days (n,) in each of the consecutive months (k,), none outside."""
    found, counts = columns.by_month(days)
    totals = np.zeros(len(months), dtype=np.int64)
    if len(found):
        at = int((found[0] - months[0]).astype(np.int64))
        totals[at : at + len(found)] = counts
    return totals.tolist()


def _wanted(query: ReportQuery, level: str, area: int, parent: int | None) -> bool:
    """Whether the query's own areas allow an area of this level without reports."""
    if level == "municipality" and query.municipalities:
        return area in query.municipalities
    if level == "district":
        if query.districts:
            return area in query.districts
        if query.municipalities:
            return parent in query.municipalities
    return True


def _merged(rows: Iterable[tuple[str, str, str, int]]) -> tuple[Choice, ...]:
    """Choices by code, versions of one code added up under the names of the last version."""
    found: dict[str, Choice] = {}
    for code, name_ar, name_en, count in rows:
        before = found[code].count if code in found else 0
        found[code] = Choice(code, name_ar, name_en, before + count)
    return tuple(found[code] for code in sorted(found))


def _parts(found: Iterable[Choice], without: int = 0) -> tuple[Part, ...]:
    """Choices as parts of a whole, most first, with the reports that have none of them."""
    rows = [Part(c.key, c.name_ar, c.name_en, c.count) for c in found]
    if without:
        rows.append(Part(None, None, None, without))
    return tuple(sorted(rows, key=lambda part: (-part.count, str(part.key))))


def _falling(found: Iterable[Choice]) -> tuple[Choice, ...]:
    return tuple(sorted(found, key=lambda choice: (-choice.count, choice.name_en or "", str(choice.key))))


def _area_choices(counts: dict[int, int], areas: Iterable) -> tuple[Choice, ...]:
    return _falling(Choice(row.id, row.name_ar, row.name_en, counts.get(row.id, 0)) for row in areas)
