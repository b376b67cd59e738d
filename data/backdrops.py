"""The roads around a plan, to draw faintly behind its maps: none are loaded, none are drawn.

Lines within reach of the plan's areas, sites and bases, from the roads that are loaded now;
main roads are told apart. Caveat: they are of today, the plan may be older.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from sqlalchemy import Connection

from data import roads, territories
from data.plan import CampaignPlan
from data.plan_frames import outline
from geo.roads import MAIN

_MARGIN = 0.012  # degrees, more than a kilometre
_SIMPLER = 0.00003  # degrees, about 3 m: less than a line's width on paper


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Roads: (k, 2) decimal degrees each, and whether it is a main road."""

    lines: tuple[npt.NDArray[np.float64], ...]
    main: tuple[bool, ...]


def backdrop(conn: Connection, plan: CampaignPlan) -> Lines | None:
    """Roads near the plan; None while no roads are loaded or the territory is not in the store."""
    place = territories.find(conn, plan.territory)
    found = None if place is None else roads.of_territory(conn, place.id)
    if found is None or not len(found):
        return None
    reach = _reach(plan)
    low_x, low_y, high_x, high_y = shapely.bounds(found.lines).T
    near = np.zeros(len(found), dtype=bool)
    for west, south, east, north in reach:
        near |= (low_x <= east) & (high_x >= west) & (low_y <= north) & (high_y >= south)
    chosen = np.flatnonzero(near)
    simple = shapely.simplify(found.lines[chosen], _SIMPLER)
    return Lines(
        tuple(shapely.get_coordinates(line) for line in simple),
        tuple(np.isin(found.road_class[chosen], MAIN).tolist()),
    )


def _reach(plan: CampaignPlan) -> list[tuple[float, float, float, float]]:
    """West, south, east and north around each area with its base, and around each stretch."""
    found = []
    for area in plan.areas:
        points = [(s.lon, s.lat) for s in area.sites]
        points += [(area.base.lon, area.base.lat)] if area.base else []
        box = np.array([outline(area).bounds])
        xy = np.vstack([box[:, :2], box[:, 2:], np.array(points).reshape(-1, 2)])
        found.append((*(xy.min(axis=0) - _MARGIN), *(xy.max(axis=0) + _MARGIN)))
    for stretch in plan.stretches:
        if stretch.chosen:
            xy = np.array([point for part in stretch.line for point in part])
            found.append((*(xy.min(axis=0) - _MARGIN), *(xy.max(axis=0) + _MARGIN)))
    return found
