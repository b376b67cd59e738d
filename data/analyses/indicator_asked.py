"""A question about indicators with all that is needed to answer it for any period.

Which reports belong to it as of a moment, which row each belongs to, and the shape that one
indicator's numbers have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data.analyses.ground import Ground
from data.analyses.indicator_rows import RowSet, column_of
from data.analyses.indicator_terms import Dimension, IndicatorQuery, IndicatorSettings
from data.analyses.measures import Limits, Rules, Span
from data.eventcolumns import AGAIN, CHANGES, CHECKS, SPELLS
from data.lives import Lives, Standing
from data.query import ReportQuery, element_ids

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_DAY = 1440


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """One indicator, (rows + 1,) each; the last entry is all reports. nan where there is nothing."""

    value: Floats
    low: Floats
    high: Floats
    count: Ints
    base: Ints
    amount: Floats
    over: Floats
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question with all that is needed to answer it for any period."""

    conn: Connection
    query: IndicatorQuery
    settings: IndicatorSettings
    lives: Lives
    rows: RowSet
    ground: Ground
    units: Floats  # by element id
    tables: dict[str, NDArray[np.bool_]]  # of the filters, by column and id

    def rules(self, span: Span) -> Rules:
        """The rules as of the end of a period."""
        standing = self.lives.at(span.end)
        s = self.settings
        limits = Limits(
            remedy=s.remedy_days * _DAY,
            reopen=s.reopen_days * _DAY,
            recurrence=s.recurrence_days * _DAY,
            at_once=s.at_once_minutes,
            bulk=s.bulk_reports,
            soon=s.soon_days * _DAY,
        )
        return Rules(
            standing,
            span,
            limits,
            (lambda positions: self.fits(standing, positions)) if self.tables or self.rows.column else None,
            referred_open=self.query.by is Dimension.ENTITY,
        )

    def fits(self, standing: Standing, positions: Ints) -> NDArray[np.bool_]:
        """Which reports belong to the question: to the filters, and to some row."""
        keep = np.ones(len(positions), dtype=bool)
        for name, table in self.tables.items():
            keep &= table[np.minimum(standing.column(name)[positions], len(table) - 1)]
        if self.rows.column:
            keep &= self.rows.of(standing, positions) >= 0
        return keep


def columns_for(query: IndicatorQuery, *, ids: bool = False) -> set[str]:
    """Names of the columns that a question needs."""
    wanted = {"opened", "due", "element", "place", "place_cell", *AGAIN, *SPELLS, *CHECKS, *CHANGES}
    filtered = {
        "municipality": query.municipalities,
        "district": query.districts,
        "agency": query.agencies,
        "contractor": query.contractors,
        "channel": query.channels,
    }
    wanted |= {name for name, values in filtered.items() if values} | {column_of(query.by)} - {""}
    return wanted | {"id"} if ids else wanted


def filter_tables(conn: Connection, query: IndicatorQuery) -> dict[str, NDArray[np.bool_]]:
    """For each column that the question narrows, which ids are meant, (top + 2,) bool."""
    wanted: dict[str, tuple[int, ...]] = {
        "municipality": query.municipalities,
        "district": query.districts,
        "agency": query.agencies,
        "contractor": query.contractors,
        "channel": query.channels,
    }
    if query.groups or query.elements:
        found = element_ids(
            conn, ReportQuery(query.territory_id, groups=query.groups, elements=query.elements)
        )
        wanted["element"] = tuple(found) or (-1,)
    tables = {}
    for name, values in wanted.items():
        if values:
            table = np.zeros(max(*values, 0) + 2, dtype=bool)
            table[[value for value in values if value >= 0]] = True
            tables[name] = table
    return tables


def unit_weights(conn: Connection) -> Floats:
    """Indicator units of one report by element id; a report without element counts as one unit."""
    # Served by a scan of `element`: a few dozen rows.
    rows = conn.execute(text("SELECT id, vpi_units_per_report AS units FROM element")).all()
    table = np.ones(max((row.id for row in rows), default=0) + 1)
    for row in rows:
        table[row.id] = row.units
    return table


def by_row(asked: Asked, standing: Standing, positions: Ints) -> Ints:
    """How many of some reports each row has, and all together, (rows + 1,)."""
    if not asked.rows.column:
        return np.full(2, len(positions), dtype=np.int64)
    counts = np.bincount(asked.rows.of(standing, positions), minlength=len(asked.rows))
    return np.append(counts, len(positions)).astype(np.int64)


def nothing(size: int) -> Floats:
    """No number, (size,)."""
    return np.full(size, np.nan)
