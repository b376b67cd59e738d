"""A small plan by hand: two areas, four sites of different kinds, in the square 49–50 E, 26–27 N."""

from __future__ import annotations

import datetime as dt

import h3

from data.plan import CampaignPlan, CampaignTerms, Name, Part, PlannedArea, Proof, Site

PLACES = {"r11": (49.50, 26.50), "p12": (49.501, 26.501), "r13": (49.60, 26.60), "c14": (49.601, 26.601)}


def small_plan(
    territory: str, data_version: int = 0, *, seconds: float = 0.1, teams: int = 2
) -> CampaignPlan:
    """The plan; ``seconds`` is how long solving took, which is no part of what it says."""
    areas = (
        _area(1, (_site("r11", "overdue", "R04", 0.9, 11), _site("p12", "chronic", "R04", 0.6))),
        _area(2, (_site("r13", "overdue", "C01", 0.8, 13), _site("c14", "new", "", 0.5))),
    )
    return CampaignPlan(
        kind="inspection",
        territory=territory,
        territory_name=Name("مدينة", "A city"),
        data_version=data_version,
        simulated=False,
        query={"territory_id": 1, "groups": ["R"], "end": "2025-06-30"},
        terms=CampaignTerms(start=dt.date(2025, 7, 1), days=5, teams=teams),
        resolution=9,
        areas=areas,
        proof=Proof(2.8, 2.9, 0.034, 3.1, 12, False, seconds, "Optimal"),
    )


def _site(key: str, target: str, element: str, chance: float, report: int | None = None) -> Site:
    lon, lat = PLACES[key]
    return Site(
        key=key,
        target=target,  # type: ignore[arg-type]
        lon=lon,
        lat=lat,
        cell=h3.latlng_to_cell(lat, lon, 9),
        element=element,
        element_name=Name("حفرة", "Pothole") if element else Name(),
        chance=chance,
        weight=1.0,
        minutes=12.0,
        report_id=report,
    )


def _area(number: int, sites: tuple[Site, ...]) -> PlannedArea:
    finds = sum(site.chance for site in sites)
    return PlannedArea(
        number=number,
        cells=tuple(sorted({site.cell for site in sites})),
        municipality_id=None,
        municipality=Name("بلدية", "Municipality"),
        districts=(),
        km2=0.3,
        hours=4.0,
        capacity=30.0,
        finds=finds,
        low=0.0,
        high=2.0,
        weighted=finds,
        compactness=0.9,
        targets=(Part("overdue", Name(), finds, len(sites), 4.0),),
        elements=(),
        drivers=("overdue",),
        base=None,
        sites=sites,
    )
