"""The demo's past campaign: the one whose effect the simulation planted, as a plan that was carried out.

It is saved, approved, run and done like any other, and its visits come back, so that hit
rates and an effect are there to look at. Areas are contiguous parts of the treated cells;
sites are the reports that waited there when it began, and one round through each cell. What
the teams found is drawn. Everything in it is made up, and its title says so.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from sqlalchemy import Connection, Engine

from data import campaigns, territories
from data.analyses.campaigns import told_query
from data.areas import current_areas
from data.backlog import Waiting, waiting_on
from data.elements import element_entries
from data.plan import CampaignPlan, CampaignTerms, Name, Part, PlannedArea, Site, Target
from data.query import ReportQuery
from data.territories import Territory
from data.visits import VISIT_SCHEMA, planned, store_visits, visit_digest
from geo.cells import Cells, areas_km2, cells_of, centres, to_text
from geo.neighbours import neighbourhood
from geo.simulated_scene import Scene, generator
from ingest.demo_world import DemoWorld

TITLE = "حملة سابقة منفذة (محاكاة) · A past campaign, carried out (simulated)"
TEAMS = 6
HOURS = 6.0
MINUTES = 12.0
AREA_CELLS = 10
SITES_CELL = 6  # waiting reports that are visited in one cell, at most
#: What the plan expected and what the teams came to find, by kind of target.
CHANCES: dict[Target, tuple[float, float]] = {
    "overdue": (0.7, 0.78),
    "open": (0.6, 0.66),
    "new": (0.45, 0.38),
}
TREATED = 0.8  # share of what was found that was put right on the spot
_KEY = 11  # of the generator: no other part of the demo draws with it


@dataclass(frozen=True, slots=True)
class PastCampaign:
    """What was saved: the campaign and its visits."""

    campaign: int
    visits: int
    found: int


def save_past_campaign(engine: Engine, territory: str, demo: DemoWorld, scene: Scene) -> PastCampaign | None:
    """Save the planted campaign as done, with its visits; None without one, or when it is there already."""
    past = scene.plan.campaign
    if past is None or not len(scene.treated):
        return None
    with engine.begin() as conn:
        place = territories.find(conn, territory)
        if place is None or any(one.title == TITLE for one in campaigns.listed(conn, place.id)):
            return None
        codes = tuple(demo.habits.codes[element] for element in past.elements)
        start = past.start.astype(object)
        days = _working_days(start, past.end.astype(object))
        query = ReportQuery(place.id, end=start - dt.timedelta(days=1), elements=codes)
        waiting = waiting_on(conn, ReportQuery(place.id, elements=codes), scene.treated, start, 2_000)
        plan = _plan(conn, place, demo.world.municipalities[past.municipality], query, scene, waiting, days)
        saved = campaigns.save(conn, plan, TITLE, "محاكاة · simulated")
        for status in ("approved", "running", "done"):
            campaigns.change_status(conn, saved.id, status, "محاكاة · simulated")
        rows = _visits(conn, saved.id, plan, place, days, generator(scene.plan.seed, _KEY))
        territories.lock_territory(conn, place.id)
        counts = store_visits(conn, place.id, rows)
        return PastCampaign(saved.id, counts.accepted, int(rows["found"].sum()))


def _working_days(start: dt.date, end: dt.date) -> list[dt.date]:
    """Sundays to Thursdays from ``start`` to the day before ``end``."""
    every = [start + dt.timedelta(days=i) for i in range((end - start).days)]
    return [day for day in every if day.weekday() not in (4, 5)]


def _plan(
    conn: Connection,
    place: Territory,
    municipality: str,
    query: ReportQuery,
    scene: Scene,
    waiting: tuple[Waiting, ...],
    days: list[dt.date],
) -> CampaignPlan:
    """The campaign as the plan that it would have been."""
    known = current_areas(conn, place.id, "municipality")
    row = known[known["name_ar"] == municipality]
    owner = int(row["id"].iloc[0]) if len(row) else None
    name = Name(municipality, str(row["name_en"].iloc[0]) if len(row) else "")
    parts = contiguous_parts(scene.treated, AREA_CELLS)
    capacity = len(days) * HOURS * TEAMS / len(parts)
    by_cell: dict[int, list[Waiting]] = {}
    for one in waiting:
        by_cell.setdefault(one.cell, []).append(one)
    areas = tuple(
        _area(number, part, by_cell, owner, name, capacity) for number, part in enumerate(parts, start=1)
    )
    terms = CampaignTerms(
        start=days[0], days=len(days), teams=TEAMS, hours=HOURS, minutes_site=MINUTES, areas=len(parts),
        each_municipality=(owner,) if owner else (), resolution=8, since_visit=0,
    )  # fmt: skip
    return CampaignPlan(
        kind="inspection",
        territory=place.code,
        territory_name=Name(place.name_ar, place.name_en),
        data_version=place.data_version,
        simulated=True,
        query=told_query(query),
        terms=terms,
        resolution=8,
        areas=areas,
    )


def contiguous_parts(cells: Cells, most: int) -> list[Cells]:
    """Cells in parts that hang together, of at most so many cells each; ascending by first cell."""
    near = neighbourhood(cells, 1).matrix
    free = np.ones(len(cells), dtype=bool)
    parts = []
    while free.any():
        part = [int(np.flatnonzero(free)[0])]
        free[part[0]] = False
        for member in part:  # grows while it is walked through
            for other in near[[member]].indices:
                if free[other] and len(part) < most:
                    free[other] = False
                    part.append(int(other))
        parts.append(np.sort(cells[part]))
    return parts


def _area(
    number: int,
    cells: Cells,
    by_cell: dict[int, list[Waiting]],
    owner: int | None,
    municipality: Name,
    capacity: float,
) -> PlannedArea:
    sites = []
    for cell, text, lon, lat in zip(cells.tolist(), to_text(cells), *centres(cells), strict=True):
        for one in by_cell.get(cell, [])[:SITES_CELL]:
            sites.append(_waiting_site(one, text))
        sites.append(
            Site(
                key=f"c{text}", target="new", lon=float(lon), lat=float(lat), cell=text, element="",
                element_name=Name(), chance=CHANCES["new"][0], weight=1.0, minutes=MINUTES,
            )
        )  # fmt: skip
    finds = sum(site.chance for site in sites)
    # Independent visits: the spread of a sum of yes and no, 80 % of it.
    reach = 1.2816 * float(np.sqrt(sum(site.chance * (1 - site.chance) for site in sites)))
    hours = len(sites) * MINUTES / 60
    kinds = sorted({site.target for site in sites})
    return PlannedArea(
        number=number,
        cells=tuple(to_text(cells)),
        municipality_id=owner,
        municipality=municipality,
        districts=(),
        km2=float(areas_km2(cells).sum()),
        hours=min(hours, capacity),
        capacity=capacity,
        finds=finds,
        low=max(finds - reach, 0.0),
        high=finds + reach,
        weighted=finds,
        compactness=1.0 if len(cells) == 1 else 0.6,
        targets=tuple(_part(kind, sites) for kind in kinds),
        elements=(),
        drivers=("overdue",) if "overdue" in kinds else ("new",),
        base=None,
        sites=tuple(sites),
    )


def _part(kind: Target, sites: list[Site]) -> Part:
    own = [site for site in sites if site.target == kind]
    hours = sum(site.minutes for site in own) / 60
    return Part(kind, Name(), sum(site.chance for site in own), len(own), hours)


def _waiting_site(one: Waiting, cell: str) -> Site:
    late = one.late_days is not None and one.late_days > 0
    target: Target = "overdue" if late else "open"
    return Site(
        key=f"r{one.id}",
        target=target,
        lon=one.lon,
        lat=one.lat,
        cell=cell,
        element=one.element,
        element_name=Name(one.name_ar, one.name_en),
        chance=CHANCES[target][0],
        weight=1.0,
        minutes=MINUTES,
        report_id=one.id,
        reference=one.reference,
        severity=one.severity,
        late_days=one.late_days if late else None,
    )


def _visits(
    conn: Connection,
    campaign_id: int,
    plan: CampaignPlan,
    place: Territory,
    days: list[dt.date],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """One visit to each site, drawn: when, whether something was found, whether it was put right."""
    known = planned(conn, campaign_id)
    ids = {entry.code: entry.id for entry in element_entries(conn)}
    zone = ZoneInfo(place.timezone)
    codes = list(plan.query["elements"])
    rows = []
    for area in plan.areas:
        team = f"فريق {(area.number - 1) % TEAMS + 1} · Team {(area.number - 1) % TEAMS + 1}"
        for i, site in enumerate(area.sites):
            day = days[i * len(days) // len(area.sites)]
            minute = int(rng.integers(0, 60 * int(HOURS)))
            at = dt.datetime.combine(day, dt.time(8), zone) + dt.timedelta(minutes=minute)
            found = bool(rng.random() < CHANCES[site.target][1])
            element = site.element or str(rng.choice(codes))
            rows.append(
                {
                    "campaign_id": campaign_id, "version": known.version, "area": area.number,
                    "site": site.key, "target": site.target, "team": team, "visited_at": at.astimezone(dt.UTC),
                    "found": found, "element_id": ids.get(element) if found else None,
                    "treated": bool(rng.random() < TREATED) if found else None, "photo": None, "note": None,
                    "report_id": site.report_id,
                    "cell": int(cells_of(np.array([site.lon]), np.array([site.lat]))[0]),
                    "lon": site.lon, "lat": site.lat, "line": None,
                    "digest": visit_digest(campaign_id, site.key, area.number, team, at, site.lon, site.lat),
                }
            )  # fmt: skip
    return pl.DataFrame(rows, schema=VISIT_SCHEMA)
