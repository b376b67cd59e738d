"""Places for volunteers: what they can remove, near people, on streets that are safe.

Elements with the volunteer flag of ``campaign_elements.csv``; a place counts for more where
more people live around it, and is left out beside a motorway or trunk road. Work is
person-minutes by quantity, shared among the volunteers of a team. Caveat: minutes and
material a unit are assumed, and so is that a team carries on foot what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from sqlalchemy import Connection, text

from data import exposures, roads
from data.analyses.kinds import Kinds
from data.analyses.targets import Places
from data.analyses.terrain import Terrain
from data.plan import CampaignTerms
from geo.neighbours import neighbourhood
from geo.remarks import Remark, caution, decided

Floats = npt.NDArray[np.float64]

WALK_MINUTES_KM = 12.0  # 5 km/h
USUAL_PEOPLE_KM2 = 1000.0  # so many within one ring around a cell count half
NEAR_KM = 1.5  # to a neighbourhood's point: at this distance a place counts half


@dataclass(frozen=True, slots=True, eq=False)
class Volunteering:
    """What volunteers can do.

    Attributes
    ----------
    keep : (s,) places that are for them. near : (s,) factor of the weight, 0 to 1.
    minutes : (s,) of a team at the place.
    """

    keep: npt.NDArray[np.bool_]
    near: Floats
    minutes: Floats
    remarks: tuple[Remark, ...]


def volunteering(
    conn: Connection, places: Places, ground: Terrain, known: Kinds, terms: CampaignTerms
) -> Volunteering:
    """Which places volunteers can work at, how near to people, and how long."""
    fits = known.numbers("volunteer")[places.kind] > 0
    remarks: list[Remark] = []
    beside = roads.beside_fast_road(conn, ground.facts.id, places.lon, places.lat)
    if beside is None:
        remarks.append(caution("campaign_roads_unknown"))
        beside = np.zeros(len(places), dtype=bool)
    elif (fits & beside).any():
        remarks.append(decided("campaign_beside_roads", places=int((fits & beside).sum())))
    crew = known.numbers("crew_minutes")[places.kind] * amounts(places, known)
    minutes = terms.minutes_site + crew / terms.volunteers
    large = minutes > 60 * terms.hours
    if (fits & ~beside & large).any():
        remarks.append(decided("campaign_too_large", places=int((fits & ~beside & large).sum())))
    near, said = _near(conn, places, ground)
    return Volunteering(fits & ~beside & ~large, near, minutes, (*remarks, *said))


def amounts(places: Places, known: Kinds) -> Floats:
    """Units of work at each place (s,): the report's own quantity, else the usual one."""
    usual = known.numbers("usual_quantity")[places.kind]
    return np.where(places.quantity > 0, places.quantity, usual)


def _near(conn: Connection, places: Places, ground: Terrain) -> tuple[Floats, list[Remark]]:
    """How near to people each place is, (s,) 0 to 1, and by what that was judged."""
    if exposures.current(conn, ground.facts.id, "population") is not None:
        people = exposures.of_cells(conn, ground.facts.id, "population", ground.cells, ground.resolution)
        around = neighbourhood(ground.cells, 1)
        density = (around.matrix @ people) / (around.matrix @ ground.km2)
        return (density / (density + USUAL_PEOPLE_KM2))[places.cell], [
            decided("campaign_near_people", people=int(USUAL_PEOPLE_KM2))
        ]
    points = _neighbourhood_points(conn, ground)
    if not len(points):
        return np.ones(len(places)), [caution("campaign_people_unknown")]
    scale = np.cos(np.radians(float(ground.lat.mean()))) if len(ground.lat) else 1.0
    tree = cKDTree(points * [scale * 111.32, 111.32])
    km, _ = tree.query(np.column_stack([places.lon * scale, places.lat]) * 111.32)
    return 1 / (1 + km / NEAR_KM), [decided("campaign_near_points", km=NEAR_KM)]


def _neighbourhood_points(conn: Connection, ground: Terrain) -> Floats:
    """Points of the gazetteer's neighbourhoods in the box of the study area, (p, 2) decimal degrees."""
    if not len(ground.cells):
        return np.zeros((0, 2))
    # A scan of `gazetteer`: some hundred rows.
    rows = conn.execute(
        text(
            """SELECT ST_X(point) AS lon, ST_Y(point) AS lat FROM gazetteer
               WHERE kind = 'neighbourhood' AND point && ST_MakeEnvelope(:west, :south, :east, :north, 4326)
               ORDER BY id"""
        ),
        {
            "west": float(ground.lon.min()),
            "south": float(ground.lat.min()),
            "east": float(ground.lon.max()),
            "north": float(ground.lat.max()),
        },
    ).all()
    return np.array([(row.lon, row.lat) for row in rows], dtype=np.float64).reshape(-1, 2)
