"""How often visits found something so far, by kind of target and type of area.

The visits of a territory (``data/visits.py``) on the priors of ``campaign_targets.csv``, by
the Beta–binomial model of ``geo/hitrates.py``. A proposal starts from these rates, and the
screen explains it with them. Caveat: rounds through cells keep their prior: that a round
found anything is not the share of what is there that it found.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data.analyses.kinds import target_terms
from data.analyses.study import best_resolution, study
from data.query import ReportQuery, territory_facts
from geo.cells import Cells, cells_of, parents
from geo.hitrates import HitRates, area_types
from geo.hitrates import hit_rates as rates_after

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Targets of rounds. Their rate is the share of what is there that a round finds, and a visit
#: says whether it found anything at all: that is nearly always so where much is to be found.
ROUNDS = ("new", "unvisited")


@dataclass(frozen=True, slots=True, eq=False)
class AreaTypes:
    """Types of area of a territory.

    Attributes
    ----------
    resolution : of the cells. cells : (n,) int64, ascending. types : (n,) position in ``geo.hitrates.TYPES``.
    """

    resolution: int
    cells: Cells
    types: Ints

    def of(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Ints:
        """Type at each point (m,), decimal degrees; outside the study area it is quiet."""
        return self.of_cells(cells_of(lon, lat, self.resolution))

    def of_cells(self, cells: npt.ArrayLike) -> Ints:
        """Type of each cell (m,) of this resolution or finer; -1 for 0 (no cell)."""
        up = parents(cells, self.resolution)
        found = np.zeros(len(up), dtype=np.int64)
        if len(self.cells):
            at = np.minimum(np.searchsorted(self.cells, up), len(self.cells) - 1)
            found = np.where(self.cells[at] == up, self.types[at], 0)
        return np.where(up == 0, -1, found)


def types_of(conn: Connection, territory_id: int, end: dt.date | None = None) -> AreaTypes:
    """Quiet, middle and busy cells of a territory by all its reports (until ``end``)."""
    query = ReportQuery(territory_id, end=end)
    area = study(conn, query, best_resolution(conn, query).resolution)
    return AreaTypes(area.resolution, area.cells, area_types(area.counts, area.km2))


def hit_rates(
    conn: Connection, territory_id: int, *, until: dt.date | None = None, types: AreaTypes | None = None
) -> HitRates:
    """Prior, visits, finds, mean and 80 % interval of each kind of target and type of area.

    Visits of rounds (``ROUNDS``) are not counted.

    Parameters
    ----------
    until : only visits before this local day count; None counts all.
    types : of the territory's cells, where they are at hand.

    Raises
    ------
    InputError : the territory does not exist.
    """
    facts = territory_facts(conn, territory_id)
    known = types or types_of(conn, territory_id)
    before = None if until is None else dt.datetime.combine(until, dt.time(), ZoneInfo(facts.timezone))
    # Served by ix_visit_when.
    rows = conn.execute(
        text(
            """SELECT target, found, coalesce(cell, 0) AS cell FROM visit
               WHERE territory_id = :territory AND NOT target = ANY(:rounds) AND (CAST(:before AS timestamptz) IS NULL OR visited_at < :before)
               ORDER BY id"""
        ),
        {"territory": facts.id, "before": before, "rounds": list(ROUNDS)},
    ).all()
    return rates_after(
        {target: (terms.prior_a, terms.prior_b) for target, terms in target_terms().items()},
        [row.target for row in rows],
        known.of_cells(np.array([row.cell for row in rows], dtype=np.int64)),
        np.array([row.found for row in rows], dtype=bool),
    )


def visited(
    conn: Connection, territory_id: int, cells: Cells, resolution: int, first: dt.date, last: dt.date
) -> npt.NDArray[np.bool_]:
    """Whether each cell (n,) was visited from local day ``first`` to before ``last``."""
    facts = territory_facts(conn, territory_id)
    zone = ZoneInfo(facts.timezone)
    # Served by ix_visit_when.
    found = conn.execute(
        text(
            """SELECT DISTINCT cell FROM visit WHERE territory_id = :territory AND cell IS NOT NULL
               AND visited_at >= :first AND visited_at < :last"""
        ),
        {
            "territory": facts.id,
            "first": dt.datetime.combine(first, dt.time(), zone),
            "last": dt.datetime.combine(last, dt.time(), zone),
        },
    ).scalars()
    return np.isin(cells, parents(np.array(list(found), dtype=np.int64), resolution))
