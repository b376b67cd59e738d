"""The reports behind a place on the map, newest first, a page at a time.

The same choice of reports as everywhere (``data.query.where``), narrowed to one or more H3
cells through the index on (territory, cell): descendants of a cell are a contiguous range
of integers. Caveat: personal fields are not stored, so a line holds what a crew needs to
find the case again, and no more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data.query import ReportQuery, territory_facts, where
from data.vocabulary import CELL_RESOLUTION
from geo.cells import child_range
from geo.errors import InputError

MOST_LINES = 200  # of a page


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One report as a list shows it.

    Attributes
    ----------
    opened : local time of the territory.
    closed : local day, or None.
    element_ar, element_en : of the taxonomy, None without an element.
    type : as the source names it, or None.
    status, channel : codes of ``data/vocabulary.py``.
    same : reports of the same incident, itself included; None while incidents are not known.
    id : ``report.id``.
    """

    reference: str
    opened: dt.datetime
    closed: dt.date | None
    element_ar: str | None
    element_en: str | None
    type: str | None
    status: int
    channel: int
    same: int | None
    id: int = 0


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Lines of one page; ``more`` says whether another page follows."""

    lines: tuple[ReportLine, ...]
    more: bool


def reports_behind(
    conn: Connection, query: ReportQuery, cells: npt.ArrayLike, *, skip: int = 0, lines: int = 10
) -> ReportPage:
    """Reports that fit the query in these cells, newest first.

    Parameters
    ----------
    cells : (k,) H3 indexes of resolution 0 to 12, none within another.
    skip : lines of the pages before.
    lines : of this page, 1 to 200.

    Raises
    ------
    InputError : a page that cannot be, a cell finer than the store keeps, or no such territory.
    """
    if skip < 0 or not 1 <= lines <= MOST_LINES:
        raise InputError(f"A page of {lines} lines after {skip}: ask for 1 to {MOST_LINES} lines.")
    facts = territory_facts(conn, query.territory_id)
    spans = [child_range(int(cell), CELL_RESOLUTION) for cell in np.atleast_1d(np.asarray(cells, np.int64))]
    condition, params = where(conn, query)
    params |= {"zone": facts.timezone, "skip": skip, "take": lines + 1}
    if len(spans) == 1:
        source, near = "report r", "r.cell BETWEEN :low AND :high"
        params |= {"low": spans[0][0], "high": spans[0][1]}
    else:
        source = "unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS s (low, high) JOIN report r"
        source += " ON r.cell BETWEEN s.low AND s.high"
        near = "true"
        params |= {"lows": [low for low, _ in spans], "highs": [high for _, high in spans]}
    # Served by ix_report_cell, or by ix_report_opened backwards where a cell holds very many;
    # names are looked up for the lines of this page only.
    chosen = (
        f"{source} WHERE {condition} AND {near} ORDER BY r.opened_at DESC, r.id DESC LIMIT :take OFFSET :skip"
    )
    rows = conn.execute(text(_lines(chosen)), params).all()
    return ReportPage(tuple(ReportLine(*row) for row in rows[:lines]), len(rows) > lines)


def reports_of(conn: Connection, territory_id: int, ids: Sequence[int]) -> ReportPage:
    """The reports with these ids that are open to the user, newest first.

    Raises
    ------
    InputError : no such territory.
    """
    facts = territory_facts(conn, territory_id)
    # Served by pk_report.
    chosen = "report r WHERE r.id = ANY(:ids) AND r.territory_id = :territory"
    rows = conn.execute(
        text(_lines(chosen)),
        {"ids": [int(i) for i in ids], "territory": territory_id, "zone": facts.timezone},
    ).all()
    return ReportPage(tuple(ReportLine(*row) for row in rows), False)


def _lines(chosen: str) -> str:
    """SQL of the lines of some reports; ``chosen`` is what follows FROM, with the report as ``r``."""
    return f"""SELECT p.reference, p.opened_at AT TIME ZONE :zone AS opened,
                  CAST(p.closed_at AT TIME ZONE :zone AS date) AS closed,
                  e.name_ar, e.name_en, t.name, p.status, p.channel, i.reports, p.id
                FROM (SELECT r.id, r.reference, r.opened_at, r.closed_at, r.element_id, r.type_id,
                        r.status, r.channel
                      FROM {chosen}) p
                LEFT JOIN element e ON e.id = p.element_id
                LEFT JOIN source_type t ON t.id = p.type_id
                LEFT JOIN report_incident m ON m.report_id = p.id
                LEFT JOIN incident i ON i.id = m.incident_id
                ORDER BY p.opened_at DESC, p.id DESC"""
