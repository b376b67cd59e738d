"""One visit typed in: what a team tells about a place, kept by the rules of a file of visits.

A visit that cannot be is refused with everything that is wrong with it. Sent twice it is one
visit; with other findings it corrects the first (``data/visits.py``).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl
from sqlalchemy import Connection

from data import territories
from data.elements import element_entries
from data.visits import (
    AHEAD,
    TEXT_MOST,
    VISIT_SCHEMA,
    Planned,
    PlannedSite,
    VisitCounts,
    planned,
    store_visits,
    visit_digest,
)
from geo.cells import cells_of
from geo.errors import InputError
from geo.locate import NEAR_METRES, OUTSIDE, StudyArea

_NAME_MOST = 200


@dataclass(frozen=True, slots=True)
class NewVisit:
    """What a team tells about one visit.

    Parameters
    ----------
    visited_at : with its time zone.
    found : whether there was a violation.
    area, site : number and key in the campaign's plan.
    element : code of what was found; the site's own when left out.
    treated : whether it was put right on the spot; None when not said.
    photo : a reference, such as a file name, not the picture.
    lon, lat : decimal degrees; the site's own when left out.
    """

    visited_at: dt.datetime
    found: bool
    campaign_id: int | None = None
    area: int | None = None
    site: str = ""
    team: str = ""
    element: str = ""
    treated: bool | None = None
    photo: str = ""
    note: str = ""
    lon: float | None = None
    lat: float | None = None


def record_visit(
    conn: Connection, territory_id: int, visit: NewVisit, *, now: dt.datetime | None = None
) -> VisitCounts:
    """Keep one visit that was typed in, by the rules of a file of visits; the caller commits.

    Sent twice it is one visit; with other findings it corrects the first. The element is not
    looked at where nothing was found.

    Parameters
    ----------
    now : the present, for judging future dates.

    Raises
    ------
    InputError : with everything that is wrong: no time zone, a day that is still to come,
        campaign, area, site or element that does not exist, no place at all or one outside the
        study area, treated without a find, a text that is too long.
    """
    plan = None if visit.campaign_id is None else planned(conn, visit.campaign_id)
    site = plan.sites.get(visit.site) if plan is not None and visit.site else None
    area = site.area if site is not None else visit.area
    lon, lat = visit.lon, visit.lat
    if lon is None and lat is None and site is not None:
        lon, lat = site.lon, site.lat
    faults = _faults_of(visit, now or dt.datetime.now(dt.UTC))
    faults += _misplaced(conn, territory_id, visit, plan, site, area, lon, lat)
    code = (visit.element or (site.element if site is not None else None)) if visit.found else None
    element = _element_id(conn, code) if code else None
    if visit.found and visit.element and element is None:
        faults.append(f"the taxonomy has no element '{visit.element}'")
    if faults:
        raise InputError("The visit cannot be kept: " + "; ".join(faults) + ".")
    team = _plain(visit.team)
    row = {
        "campaign_id": visit.campaign_id,
        "version": site.version if site is not None else plan.version if plan is not None else None,
        "area": area,
        "site": visit.site or None,
        "target": site.target if site is not None else None,
        "team": team,
        "visited_at": visit.visited_at.astimezone(dt.UTC),
        "found": visit.found,
        "element_id": element,
        "treated": visit.treated,
        "photo": _plain(visit.photo),
        "note": _plain(visit.note),
        "report_id": site.report_id if site is not None else None,
        "cell": None if lon is None else int(cells_of(np.array([lon]), np.array([lat]))[0]),
        "lon": lon,
        "lat": lat,
        "line": None,
        "digest": visit_digest(visit.campaign_id, visit.site, area, team, visit.visited_at, lon, lat),
    }
    territories.lock_territory(conn, territory_id)
    return store_visits(conn, territory_id, pl.DataFrame([row], schema=VISIT_SCHEMA))


def _faults_of(visit: NewVisit, now: dt.datetime) -> list[str]:
    """What is wrong with a visit by itself."""
    faults = []
    if visit.visited_at.tzinfo is None:
        faults.append("the time has no time zone")
    elif visit.visited_at > now + AHEAD:
        faults.append(f"{visit.visited_at:%Y-%m-%d %H:%M} is still to come")
    if visit.treated and not visit.found:
        faults.append("something was treated, and nothing found")
    for name, said, most in (
        ("team", visit.team, _NAME_MOST),
        ("photo", visit.photo, _NAME_MOST),
        ("note", visit.note, TEXT_MOST),
    ):
        if len(said) > most:
            faults.append(f"{name} is longer than {most} signs")
    return faults


def _misplaced(
    conn: Connection,
    territory_id: int,
    visit: NewVisit,
    plan: Planned | None,
    site: PlannedSite | None,
    area: int | None,
    lon: float | None,
    lat: float | None,
) -> list[str]:
    """What is wrong with where a visit was: in its plan, and on the ground."""
    faults = []
    if plan is not None and plan.territory_id != territory_id:
        faults.append(f"campaign {visit.campaign_id} is of another territory")
    if visit.site and site is None:
        faults.append(f"the plan has no site '{visit.site}'")
    if plan is not None and site is None and area is not None and area not in plan.areas:
        faults.append(f"the plan has no area {area}")
    if (lon is None) != (lat is None):
        faults.append("a point needs longitude and latitude")
    elif lon is not None and lat is not None:
        ground = territories.study_area(conn, territory_id)
        if not cells_of(np.array([lon]), np.array([lat]))[0]:
            faults.append(f"{lon}, {lat} is no place on Earth")
        elif ground is not None:
            where = StudyArea(ground).classify(np.array([lon]), np.array([lat]), NEAR_METRES)
            if where[0] == OUTSIDE:
                faults.append(f"{lon:.5f}, {lat:.5f} lies outside the study area")
    if not visit.site and lon is None and (plan is None or area is None):
        faults.append("it needs a site, an area of a plan, or a point")
    return faults


def _element_id(conn: Connection, code: str) -> int | None:
    """``element.id`` of a code in the current taxonomy."""
    return next((entry.id for entry in element_entries(conn) if entry.code == code), None)


def _plain(said: str) -> str | None:
    """A text without NUL and outer blanks; None for nothing."""
    return said.replace("\x00", "␀").strip() or None
