"""A geocoder's default points: where it puts what it cannot find (Flag.DEFAULT_POINT).

A real place has its own habits; a default point holds a random draw of everything. So a
point is one when it holds at least PILE reports and five times as many as the busiest
hundredth of fine cells, and its number of kinds is at least SHARE of what a random draw of
as many reports from the whole batch would show (rarefaction: sum of 1 - (1 - p_i)^n;
Hurlbert 1971). Points once found stay known to their territory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data.tally import Tally, among
from data.vocabulary import Flag
from geo.cells import cells_of

PILE = 20
SHARE = 0.8
MIN_EXPECTED = 4.0
_BUSY = 0.99

# Reports on a default point: a look-up by cell first, then the exact place.
_ON_POINT = "cell = ANY(CAST(:cells AS bigint[])) AND ST_X({0}.geom) = d.lon AND ST_Y({0}.geom) = d.lat"


@dataclass(frozen=True, slots=True)
class Flagged:
    """Reports on default points: of this batch, and of earlier ones that were not flagged yet."""

    batch: int
    earlier: int


def flag_default_points(
    conn: Connection,
    *,
    territory_id: int,
    source_id: int,
    batch_id: int,
    tally: Tally,
    without: NDArray[np.int64],
) -> Flagged:
    """Find default points among the batch's rows, and flag all reports on known ones.

    Staged rows stand in the table (or view) ``stage``; ``without`` are cells of staged
    rows that were taken out as repeats.
    """
    flag = int(Flag.DEFAULT_POINT)
    new = [
        point
        for point in _piles(conn, territory_id, source_id, tally, without).iter_rows(named=True)
        if _is_random_draw(tally.kinds(), point["n"], point["kinds"])
    ]
    earlier = 0
    if new:
        conn.execute(
            text(
                """INSERT INTO default_point (territory_id, lon, lat, reports, kinds, batch_id)
                   VALUES (:territory, :lon, :lat, :n, :kinds, :batch)
                   ON CONFLICT (territory_id, lon, lat) DO NOTHING"""
            ),
            [point | {"territory": territory_id, "batch": batch_id} for point in new],
        )
        # Served by ix_report_cell.
        earlier = conn.execute(
            text(
                f"""UPDATE report r SET flags = r.flags | :flag FROM default_point d
                    WHERE d.territory_id = :territory AND r.territory_id = :territory
                      AND r.batch_id <> :batch AND r.flags & :flag = 0 AND r.{_ON_POINT.format("r")}"""
            ),
            {
                "flag": flag,
                "territory": territory_id,
                "batch": batch_id,
                "cells": _cells([point["lon"] for point in new], [point["lat"] for point in new]),
            },
        ).rowcount
    # A territory has few default points: no index needed.
    points = conn.execute(
        text("SELECT lon, lat FROM default_point WHERE territory_id = :territory"),
        {"territory": territory_id},
    ).all()
    if not points:
        return Flagged(0, earlier)
    params = {
        "flag": flag,
        "territory": territory_id,
        "source": source_id,
        "cells": _cells([p.lon for p in points], [p.lat for p in points]),
    }
    staged = conn.execute(
        text(
            f"""UPDATE stage s SET flags = s.flags | :flag FROM default_point d
                WHERE d.territory_id = :territory AND s.{_ON_POINT.format("s")}"""
        ),
        params,
    ).rowcount
    known = 0
    if tally.known.count:
        # Served by ix_report_cell.
        contents = conn.execute(
            text(
                """SELECT content FROM report WHERE territory_id = :territory AND source_id = :source
                   AND cell = ANY(CAST(:cells AS bigint[])) AND flags & :flag <> 0"""
            ),
            params,
        ).scalars()
        known = len(_held(np.array(contents.all(), np.int64), tally))
    return Flagged(staged + known, earlier)


def _is_random_draw(shares: NDArray[np.float64], n: int, kinds: int) -> bool:
    expected = float(np.sum(1 - (1 - shares) ** n))
    return expected >= MIN_EXPECTED and kinds >= SHARE * expected


def _piles(
    conn: Connection, territory_id: int, source_id: int, tally: Tally, without: NDArray[np.int64]
) -> pl.DataFrame:
    """Points with very many reports: lon, lat, n and number of kinds."""
    cells, counts = tally.cells(without)
    if not len(cells):
        return _points([])
    floor = max(PILE, 5 * int(np.sort(counts)[int(np.ceil(_BUSY * len(counts))) - 1]))
    suspects = cells[counts >= floor].tolist()
    if not suspects:
        return _points([])
    params: dict[str, Any] = {"cells": suspects, "territory": territory_id, "source": source_id}
    # One scan of the staged rows.
    rows: list[Any] = [
        tuple(row)
        for row in conn.execute(
            text(
                """SELECT ST_X(geom), ST_Y(geom), type_id FROM stage
                   WHERE cell = ANY(CAST(:cells AS bigint[]))"""
            ),
            params,
        )
    ]
    if tally.known.count:
        # Served by ix_report_cell.
        held = conn.execute(
            text(
                """SELECT ST_X(geom), ST_Y(geom), type_id, content FROM report
                   WHERE territory_id = :territory AND source_id = :source
                     AND cell = ANY(CAST(:cells AS bigint[]))"""
            ),
            params,
        ).all()
        here = set(_held(np.array([row.content for row in held], np.int64), tally).tolist())
        rows += [tuple(row)[:3] for row in held if row.content in here]
    return _points(rows).filter(pl.col("n") >= floor)


def _held(contents: NDArray[np.int64], tally: Tally) -> NDArray[np.int64]:
    """Those contents of reports that known rows of the batch have, each once."""
    column = tally.known.column("content")
    return np.unique(column[among(column, contents)])


def _points(rows: list[Any]) -> pl.DataFrame:
    frame = pl.DataFrame(
        rows, schema={"lon": pl.Float64, "lat": pl.Float64, "type_id": pl.Int32}, orient="row"
    )
    return frame.group_by("lon", "lat").agg(
        n=pl.len().cast(pl.Int64), kinds=pl.col("type_id").drop_nulls().n_unique().cast(pl.Int64)
    )


def _cells(lon: list[float], lat: list[float]) -> list[int]:
    cells: list[int] = cells_of(np.array(lon), np.array(lat)).tolist()
    return cells
