"""Which open reports may speak of the same thing as one that is being filed or reviewed.

Open reports of the same element within a radius of the element's own
(``data/reference/duplicate_radius.csv``): all of them to look at, the near ones suggested,
the nearest first and the newest of those that are equally near. The disc is covered with
ranges of H3 cells, because under row-level security only numbers use an index; distances
are geodesic, in metres. Caveat: the radii are assumed, and reports on a default point say
nothing about where, so they are left out.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from dataclasses import dataclass

import h3
from sqlalchemy import Connection, text

from data import actions, reference
from data.life import Action
from data.vocabulary import CELL_RESOLUTION, FINAL, Flag, Status
from geo.cells import child_range
from geo.errors import InputError, Refused

_FINAL = ", ".join(str(int(status)) for status in sorted(FINAL))
_STEP = 10.0  # metres: how well a phone knows its place at best; nearer than that is equal
_MOST = 20  # suggestions
_ANY = "*"
# Edge of a cell by resolution, metres (H3 core library, mean): a disc is covered with cells
# about a third as wide as it is.
_RESOLUTIONS = (12, 11, 10, 9, 8, 7)


@dataclass(frozen=True, slots=True)
class Radius:
    """How far to look for duplicates of an element, and how far to suggest them, in metres."""

    look: float
    suggest: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """An open report that may be the same thing.

    Attributes
    ----------
    metres : distance from the place that was asked about.
    suggested : within the element's narrower radius.
    duplicates, followers : how many reports were called its duplicates; how many follow it.
    """

    report_id: int
    reference: str
    status: Status
    opened_at: dt.datetime
    metres: float
    suggested: bool
    lon: float
    lat: float
    duplicates: int
    followers: int


@functools.cache
def _table() -> dict[str, Radius]:
    return {
        row["code"]: Radius(float(row["look_metres"]), float(row["suggest_metres"]))
        for row in reference.read("duplicate_radius.csv")
    }


def radius_of(element: str | None) -> Radius:
    """The radii of an element by its code; those of every kind without a row else."""
    table = _table()
    return table.get(element or _ANY, table[_ANY])


def ranges(lon: float, lat: float, metres: float) -> list[tuple[int, int]]:
    """Ranges of H3 cells (resolution 12, both ends included) that hold every point of a disc.

    Cells nest only approximately, so a point's own cell may be the descendant of a cell beside
    the one that holds the point; the ring around the disc is covered too.
    """
    resolution = next(
        (r for r in _RESOLUTIONS if h3.average_hexagon_edge_length(r, unit="m") * 3 >= metres),
        _RESOLUTIONS[-1],
    )
    edge = h3.average_hexagon_edge_length(resolution, unit="m")
    centre = h3.latlng_to_cell(lat, lon, resolution)
    # Neighbours' centres are at least 1.4 edges apart where cells are smallest.
    steps = math.ceil((metres + 2 * edge) / (1.4 * edge))
    # A cell reaches at most 1.3 edges from its centre, its descendants a fifth farther.
    reach = metres + 1.7 * edge
    cells = sorted(
        child_range(h3.str_to_int(cell), CELL_RESOLUTION)
        for cell in h3.grid_disk(centre, steps)
        if h3.great_circle_distance((lat, lon), h3.cell_to_latlng(cell), unit="m") <= reach
    )
    merged: list[tuple[int, int]] = []
    for low, high in cells:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def near(
    conn: Connection,
    territory_id: int,
    element_id: int | None,
    lon: float,
    lat: float,
    *,
    besides: int | None = None,
) -> tuple[Candidate, ...]:
    """Open reports of the element near a place, suggested ones first, at most 20.

    Parameters
    ----------
    lon, lat : decimal degrees, EPSG:4326.
    element_id : without one nothing is suggested: anything may lie beside anything.
    besides : a report that is left out, as when it is reviewed itself.
    """
    if element_id is None:
        return ()
    # Served by pk_element.
    code = conn.scalar(text("SELECT code FROM element WHERE id = :id"), {"id": element_id})
    radius = radius_of(code)
    spans = ranges(lon, lat, radius.look)
    # Served by ix_report_cell, one probe for each range; names and counts for what is left only.
    rows = conn.execute(
        text(
            f"""SELECT n.*, (SELECT count(*) FROM report d WHERE d.duplicate_of = n.id) AS duplicates,
                  (SELECT count(*) FROM report_follower f WHERE f.report_id = n.id) AS followers
                FROM (
                  SELECT r.id, r.reference, r.status, r.opened_at, ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat,
                    ST_Distance(r.geom::geography,
                                ST_SetSRID(ST_MakePoint(:lon, :lat), 4326)::geography) AS metres
                  FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS s (low, high)
                  CROSS JOIN LATERAL (
                    SELECT x.id, x.reference, x.status, x.opened_at, x.geom FROM report x WHERE x.territory_id = :territory
                      AND x.cell BETWEEN s.low AND s.high AND x.element_id = :element
                      AND x.status NOT IN ({_FINAL}) AND x.flags & {int(Flag.DEFAULT_POINT)} = 0
                      AND x.id IS DISTINCT FROM CAST(:besides AS bigint) OFFSET 0) r
                ) n WHERE n.metres <= :look
                ORDER BY n.metres > :suggest, floor(n.metres / {_STEP}), n.opened_at DESC, n.id LIMIT {_MOST}"""
        ),
        {
            "lon": lon,
            "lat": lat,
            "lows": [low for low, _ in spans],
            "highs": [high for _, high in spans],
            "territory": territory_id,
            "element": element_id,
            "besides": besides,
            "look": radius.look,
            "suggest": radius.suggest,
        },
    )
    return tuple(
        Candidate(
            row.id,
            row.reference,
            Status(row.status),
            row.opened_at,
            row.metres,
            row.metres <= radius.suggest,
            row.lon,
            row.lat,
            row.duplicates,
            row.followers,
        )
        for row in rows
    )


def near_report(conn: Connection, report_id: int) -> tuple[Candidate, ...]:
    """As ``near``, for a report that is open to the user; () when it has no point or no element."""
    # Served by pk_report.
    row = conn.execute(
        text(
            """SELECT territory_id, element_id, ST_X(geom) AS lon, ST_Y(geom) AS lat
               FROM report WHERE id = :id AND geom IS NOT NULL"""
        ),
        {"id": report_id},
    ).one_or_none()
    if row is None:
        return ()
    return near(conn, row.territory_id, row.element_id, row.lon, row.lat, besides=report_id)


# -- saying so ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Links:
    """What a report repeats, and what repeats it: (report id, reference) each."""

    of: tuple[int, str] | None
    duplicates: tuple[tuple[int, str], ...]


def links(conn: Connection, report_id: int) -> Links:
    """Both directions, as far as they are open to the user."""
    # Served by pk_report, ix_report_duplicate_of.
    of = conn.execute(
        text(
            """SELECT o.id, o.reference FROM report r JOIN report o ON o.id = r.duplicate_of
               WHERE r.id = :id"""
        ),
        {"id": report_id},
    ).one_or_none()
    rows = conn.execute(
        text("SELECT id, reference FROM report WHERE duplicate_of = :id ORDER BY opened_at, id"),
        {"id": report_id},
    )
    return Links(
        None if of is None else (of.id, of.reference), tuple((row.id, row.reference) for row in rows)
    )


def root_of(conn: Connection, report_id: int) -> int:
    """The report that this one repeats, or itself; there are no chains.

    Raises
    ------
    Refused : it is not open to the user.
    """
    # Served by pk_report.
    row = conn.execute(
        text("SELECT id, duplicate_of FROM report WHERE id = :id"), {"id": report_id}
    ).one_or_none()
    if row is None:
        raise Refused(f"There is no report {report_id} that is open to you.")
    return int(row.duplicate_of or row.id)


def mark(conn: Connection, report_id: int, of: int, expected_seq: int, note: str = "") -> int:
    """Call a report a duplicate of another, or of what that one repeats; returns the event's ``seq``.

    Its followers and its own duplicates move along; REOPEN takes all of it back.

    Raises
    ------
    InputError : the two would repeat each other, or themselves.
    Conflict, Refused : as ``data.actions.act``.
    """
    root = root_of(conn, of)
    if root == report_id:
        said = "itself" if of == report_id else f"a report that repeats it ({of})"
        raise InputError(f"Report {report_id} cannot be a duplicate of {said}.")
    detail = {"of": root} | ({"note": note} if note else {})
    return actions.act(conn, report_id, Action.DUPLICATE, expected_seq, detail)
