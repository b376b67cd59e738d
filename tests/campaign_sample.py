"""Plans by hand for hand-outs and day plans: an inspection, a community campaign, axes.

Two areas of H3 cells in Dammam with sites of every kind of target; some names are hostile,
as files from anywhere may be.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import h3
import numpy as np

from data.plan import (
    AxisTerms,
    Base,
    CampaignPlan,
    CampaignTerms,
    Name,
    Part,
    PlannedArea,
    Said,
    Site,
    Stretch,
    Target,
    WorkDay,
)

HOSTILE = '<img src=x onerror="window.hit=1">&"\''
FORMULA = '=HYPERLINK("http://x","y")'
_ELEMENTS = (
    ("R04", Name("حفر الشوارع", "Street excavations & potholes")),
    ("C01", Name("الحواجز الخرسانية", "Concrete barriers")),
    ("B03", Name("الكتابة المشوهة للجدران والدهان", "Graffiti & defaced paintwork")),
)
_KINDS: tuple[Target, ...] = ("overdue", "chronic", "overdue", "open", "unvisited")


def sites(cells: list[str], number: int, seed: int, *, material: bool = False) -> tuple[Site, ...]:
    """Sites in the middle of cells or somewhat beside it, of all kinds in turn."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(number):
        cell, target = cells[i % len(cells)], _KINDS[i % len(_KINDS)]
        lat, lng = h3.cell_to_latlng(cell)
        code, name = _ELEMENTS[i % 3]
        beside = rng.normal(0, 0.0004, 2) if target != "unvisited" else (0.0, 0.0)
        key = {"chronic": f"p{seed}{i}", "unvisited": f"c{cell}"}.get(target, f"r{seed}{i}")
        found.append(
            Site(
                key=key,
                target=target,
                lon=float(lng + beside[0]),
                lat=float(lat + beside[1]),
                cell=cell,
                element=code,
                element_name=name,
                chance=0.5 + 0.4 * float(rng.random()),
                weight=1.0 + i % 2,
                minutes=12.0,
                report_id=1000 * seed + i if target in ("overdue", "open") else None,
                reference=(FORMULA if i == 0 else f"2026-{seed}{i:03}") if target == "overdue" else "",
                severity=1 + i % 3 if target == "overdue" else None,
                quantity=3.0 if i % 3 == 1 else None,
                unit="m2" if i % 3 == 1 else "",
                late_days=12.5 + i if target == "overdue" else None,
                assumed_limit=i % 4 == 0 and target == "overdue",
                returns=4 if target == "chronic" else None,
                material=(("bags", 6.0),) if material else (),
            )
        )
    return tuple(found)


def planned_area(
    number: int, lat: float, lon: float, size: int = 14, *, base: bool = True, material: bool = False
) -> PlannedArea:
    """An area of seven cells around a point, with so many sites."""
    cells = sorted(h3.grid_disk(h3.latlng_to_cell(lat, lon, 9), 1))
    own = sites(cells, size, number, material=material)
    finds = sum(site.chance for site in own)
    return PlannedArea(
        number=number,
        cells=tuple(cells),
        municipality_id=number,
        municipality=Name("بلدية وسط الدمام", "Central Dammam") if number == 1 else Name(HOSTILE, HOSTILE),
        districts=(Name("حي الشاطئ", "Ash Shati"), Name("حي البادية", "Al Badiyah")),
        km2=0.74,
        hours=4.2,
        capacity=8.0,
        finds=finds,
        low=finds - 2,
        high=finds + 2,
        weighted=1.5 * finds,
        compactness=1.0,
        targets=(Part("overdue", Name(), finds * 0.7, size // 2, 3.0), Part("chronic", Name(), 2.0, 2, 1.2)),
        elements=tuple(Part(code, name, finds / 3, size // 3, 1.4) for code, name in _ELEMENTS),
        drivers=("overdue", "chronic"),
        base=Base("مقر الفريق", lon + 0.004, lat - 0.003) if base else None,
        sites=own,
        growth=1.2,
        material=(("bags", 6.0 * size),) if material else (),
    )


def inspection(territory: str = "town", size: int = 14, **terms: object) -> CampaignPlan:
    """Two areas, two teams, two days from Thursday 2026-11-05 on."""
    asked = {"start": dt.date(2026, 11, 5), "days": 2, "teams": 2, "hours": 4.0} | terms
    return CampaignPlan(
        kind="inspection",
        territory=territory,
        territory_name=Name("المنطقة الشرقية", "Eastern Province"),
        data_version=7,
        simulated=True,
        query={"territory_id": 1},
        terms=CampaignTerms(**asked),  # type: ignore[arg-type]
        resolution=9,
        areas=(planned_area(1, 26.43, 50.10, size), planned_area(2, 26.44, 50.07, size, base=False)),
        remarks=(Said("campaign_bases_assumed", (("bases", 1),), True),),
    )


def community(territory: str = "town") -> CampaignPlan:
    """One area for six volunteers, with bags."""
    plan = inspection(territory)
    terms = CampaignTerms(
        kind="community", start=dt.date(2026, 11, 5), days=1, teams=1, hours=5.0, volunteers=6
    )
    area = planned_area(1, 26.43, 50.10, 8, material=True)
    return dataclasses.replace(plan, kind="community", terms=terms, areas=(area,), remarks=())


def axes(territory: str = "town") -> CampaignPlan:
    """Three stretches of two roads, two of them chosen; the third is in two parts."""
    lines = (
        (((50.09, 26.42), (50.10, 26.425)),),
        (((50.10, 26.425), (50.11, 26.43)),),
        (((50.08, 26.41), (50.085, 26.41)), ((50.085, 26.412), (50.09, 26.412))),
    )
    stretches = tuple(
        Stretch(
            key=f"s{k}",
            axis=Name("طريق الملك فهد", "King Fahd Road") if k < 2 else Name("", HOSTILE),
            number=k + 1,
            line=line,
            km=1.1,
            road_class="primary",
            municipality_id=1,
            municipality=Name("بلدية وسط الدمام", "Central Dammam"),
            reports=40 - 10 * k,
            per_km=36.0 - 9 * k,
            low=25.0,
            high=50.0 - 9 * k,
            shrunk=33.0 - 8 * k,
            severity=1.4,
            trend=1.1 if k else None,
            elements=(Part("R04", _ELEMENTS[0][1], 20.0, 0, 0.0),),
            work="surface",
            cost=1_200_000.0,
            benefit=30.0 - 8 * k,
            chosen=k != 1,
            rank=k + 1,
        )
        for k, line in enumerate(lines)
    )
    plan = inspection(territory)
    return dataclasses.replace(
        plan,
        kind="axes",
        terms=AxisTerms(budget=2_500_000.0),
        areas=(),
        stretches=stretches,
        resolution=0,
        remarks=(),
    )


def with_days(plan: CampaignPlan, a_day: int = 7) -> CampaignPlan:
    """The plan with day plans by hand: so many sites a day, the last two of an area left without one."""
    areas = []
    for team, area in enumerate(plan.areas, 1):
        turn = [
            dataclasses.replace(site, day=i // a_day + 1, order=i % a_day + 1, arrive=5.0 + 25 * (i % a_day))
            if i < min(len(area.sites) - 2, a_day * plan.terms.days)  # type: ignore[union-attr]
            else site
            for i, site in enumerate(area.sites)
        ]
        counts = [sum(s.day == day for s in turn) for day in range(1, 10)]
        days = tuple(
            WorkDay(day, count, 4.5, 25 * count / 60, 25.0 * count)
            for day, count in enumerate(counts, 1)
            if count
        )
        areas.append(dataclasses.replace(area, sites=tuple(turn), team=team, days=days))
    return dataclasses.replace(plan, areas=tuple(areas))
