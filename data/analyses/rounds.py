"""Day plans of a campaign: who works which area when, and which site comes after which.

Each area has one team; a team with several works them one after the other, those that lie
together. Its days start and end at its base (``geo/rounds.py``). Times are road distances
where roads are loaded, else geodesic × ``geo.roads.DETOUR``, at the minutes per km of the
terms; volunteers walk from site to site, by footpaths and against one-way signs too. Caveat: minutes per km are the same on every road
and at every hour; sites that no day has time for stay without one, and are counted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from data import roads, territories
from data.analyses.volunteers import WALK_MINUTES_KM
from data.plan import CampaignPlan, CampaignTerms, PlannedArea, Said, Site, WorkDay
from geo.errors import InputError
from geo.network import straight_m
from geo.remarks import Remark, caution, decided
from geo.roads import DETOUR
from geo.rounds import Shift, rounds

Floats = npt.NDArray[np.float64]
Tick = Callable[[float], None]
_CODES = ("rounds_roads", "rounds_crow", "rounds_no_path", "rounds_left")


def with_rounds(conn: Connection, plan: CampaignPlan, *, tick: Tick | None = None) -> CampaignPlan:
    """The plan with day, order and time of its sites, and the team and days of its areas.

    Parameters
    ----------
    plan : of an inspection or community campaign; one of axes comes back as it is. Day plans
        that it has already are made anew.
    tick : called with the share done; raise ``Cancelled`` in it to stop.

    Raises
    ------
    InputError : the territory of the plan is not in the store.
    """
    told = tick or (lambda done: None)
    terms = plan.terms
    if not isinstance(terms, CampaignTerms) or not plan.areas:
        return plan
    place = territories.find(conn, plan.territory)
    if place is None:
        raise InputError(f"The store has no territory {plan.territory!r}, of which the plan is.")
    done: dict[int, PlannedArea] = {}
    pathless, on_roads = 0, False
    for team, mine in enumerate(teams_of(plan.areas, terms.teams), 1):
        free = _shifts(terms)
        for position, area in enumerate(mine):
            # By key: the order in which sites are listed has no say in their rounds.
            area = dataclasses.replace(area, sites=tuple(sorted(area.sites, key=lambda s: s.key)))
            metres, missing = _metres(conn, place.id, area, plan.kind == "community")
            on_roads, pathless = on_roads or missing is not None, pathless + (missing or 0)
            given, later = _own(free, [each.hours for each in mine[position:]])
            planned, used = _area_rounds(area, team, terms, plan.kind, metres, given)
            # What an area does not need is for the team's next one.
            free = [shift for shift in given if shift.opens >= used.get(shift.day, 0.0)] + later
            free.sort(key=lambda shift: (shift.day, shift.opens))
            done[area.number] = planned
            told(len(done) / len(plan.areas))
    areas = tuple(done[area.number] for area in plan.areas)
    said = _remarks(areas, on_roads, pathless)
    kept = tuple(each for each in plan.remarks if each.code not in _CODES)
    return dataclasses.replace(plan, areas=areas, remarks=(*kept, *said))


def teams_of(areas: Sequence[PlannedArea], teams: int) -> list[list[PlannedArea]]:
    """The areas of each team, those nearest to each other; no team has two more than another."""
    each, over = divmod(len(areas), max(teams, 1))
    left = sorted(areas, key=lambda area: area.number)
    found: list[list[PlannedArea]] = []
    while left:
        mine, most = [left.pop(0)], each + (len(found) < over)
        while left and len(mine) < most:
            lon, lat = _middle(mine[0])
            apart = [
                math.hypot((x - lon) * math.cos(math.radians(lat)), y - lat) for x, y in map(_middle, left)
            ]
            mine.append(left.pop(int(np.argmin(apart))))
        found.append(sorted(mine, key=lambda area: area.number))
    return found


def _middle(area: PlannedArea) -> tuple[float, float]:
    if area.base is not None:
        return area.base.lon, area.base.lat
    if not area.sites:
        return 0.0, 0.0
    return float(np.mean([s.lon for s in area.sites])), float(np.mean([s.lat for s in area.sites]))


def _shifts(terms: CampaignTerms) -> list[Shift]:
    return [Shift(day, 0.0, 60 * terms.hours) for day in range(1, terms.days + 1)]


def _own(free: list[Shift], hours: Sequence[float]) -> tuple[list[Shift], list[Shift]]:
    """The shifts of the first of several areas, by its share of the hours, and those of the others.

    Whole days while there is one for each; else a day is parted.
    """
    if len(hours) == 1 or not free:
        return free, []
    share = hours[0] / sum(hours) if sum(hours) > 0 else 1 / len(hours)
    if len(free) >= len(hours):
        days = min(max(round(share * len(free)), 1), len(free) - len(hours) + 1)
        return free[:days], free[days:]
    first = free[0]
    middle = first.opens + (first.closes - first.opens) * len(free) / len(hours)
    return [Shift(first.day, first.opens, middle)], [Shift(first.day, middle, first.closes), *free[1:]]


def _metres(
    conn: Connection, territory_id: int, area: PlannedArea, walking: bool
) -> tuple[Floats, int | None]:
    """Metres between base and sites (n + 1, n + 1), and pairs without a path; None without roads.

    ``walking`` : sites are walked to from each other; the way from the base and back is driven.
    """
    lon, lat = np.array([_middle(area), *((site.lon, site.lat) for site in area.sites)]).T
    ways = roads.road_ways(conn, territory_id, lon, lat)
    if ways is None:
        return straight_m(lon, lat) * DETOUR, None
    metres, assumed = ways.metres.copy(), ways.assumed.copy()
    on_foot = roads.road_ways(conn, territory_id, lon[1:], lat[1:], on_foot=True) if walking else None
    if on_foot is not None:
        metres[1:, 1:], assumed[1:, 1:] = on_foot.metres, on_foot.assumed
    return metres, int(assumed.sum())


def _area_rounds(
    area: PlannedArea, team: int, terms: CampaignTerms, kind: str, metres: Floats, shifts: list[Shift]
) -> tuple[PlannedArea, dict[int, float]]:
    """The area with its day plans, and until when it takes up each day, in minutes."""
    sites = area.sites
    travel = metres * terms.minutes_km / 1000
    if kind == "community":
        travel[1:, 1:] = metres[1:, 1:] * WALK_MINUTES_KM / 1000
    lat = np.array([site.lat for site in sites])
    flat = np.column_stack(
        [np.array([site.lon for site in sites]) * np.cos(np.radians(lat.mean() if len(lat) else 0.0)), lat]
    )
    found = rounds(
        travel,
        metres,
        [site.minutes for site in sites],
        [site.chance * site.weight for site in sites],
        flat,
        shifts,
    )
    planned = tuple(
        dataclasses.replace(site, day=None, order=None, arrive=None)
        if at < 0
        else dataclasses.replace(site, day=shifts[at].day, order=int(order), arrive=round(float(arrive), 1))
        for site, at, order, arrive in zip(sites, found.shift, found.order, found.arrive, strict=True)
    )
    worked = [k for k in range(len(shifts)) if np.isfinite(found.back[k])]
    days = tuple(
        WorkDay(
            day=shifts[k].day,
            sites=int((found.shift == k).sum()),
            km=round(float(found.metres[k]) / 1000, 2),
            hours=round(float(found.minutes[k]) / 60, 3),
            back=round(float(found.back[k]), 1),
        )
        for k in worked
    )
    used = {shifts[k].day: shifts[k].closes for k in worked}
    return dataclasses.replace(area, sites=_in_turn(planned), team=team, days=days), used


def _in_turn(sites: tuple[Site, ...]) -> tuple[Site, ...]:
    """Sites in order of their turn; those without a day are last, the most worth first."""
    return tuple(
        sorted(sites, key=lambda s: (s.day is None, s.day or 0, s.order or 0, -s.chance * s.weight, s.key))
    )


def _remarks(areas: tuple[PlannedArea, ...], on_roads: bool, pathless: int) -> list[Said]:
    left = sum(site.day is None for area in areas for site in area.sites)
    total = sum(len(area.sites) for area in areas)
    found: list[Remark] = [decided("rounds_roads") if on_roads else caution("rounds_crow", detour=DETOUR)]
    if pathless:
        found.append(caution("rounds_no_path", pairs=pathless))
    if left:
        found.append(caution("rounds_left", sites=left, total=total))
    return [Said(each.code, each.values, each.caution) for each in found]  # type: ignore[arg-type]
