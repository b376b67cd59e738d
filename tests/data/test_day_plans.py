"""Day plans of a campaign: teams, days, roads or not, and areas one after the other."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from sqlalchemy import text

from data.analyses.rounds import teams_of, with_rounds
from data.plan import CampaignPlan, from_json
from geo.errors import InputError
from tests.campaign_sample import axes, community, inspection, planned_area


@pytest.fixture(scope="module")
def conn(module_store: Any) -> Any:
    with module_store.engine.begin() as conn:
        conn.execute(
            text("INSERT INTO territory (code, name_ar, name_en, timezone) VALUES ('town', 'م', 'T', 'UTC')")
        )
    with module_store.engine.connect() as conn:
        yield conn


def check(plan: CampaignPlan) -> None:
    """Days within hours, times in order, no two areas of a team at once."""
    busy: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for area in plan.areas:
        for day in area.days:
            mine = sorted((s for s in area.sites if s.day == day.day), key=lambda s: s.order or 0)
            assert [s.order for s in mine] == list(range(1, day.sites + 1))
            times = [s.arrive or 0.0 for s in mine]
            assert all(a + s.minutes <= b + 0.11 for a, b, s in zip(times, times[1:], mine, strict=False))
            assert times[-1] + mine[-1].minutes <= day.back + 0.11
            assert day.back <= 60 * plan.terms.hours + 0.11  # type: ignore[union-attr]
            assert day.hours <= plan.terms.hours + 0.01  # type: ignore[union-attr]
            assert 1 <= day.day <= plan.terms.days  # type: ignore[union-attr]
            busy.setdefault((area.team or 0, day.day), []).append((times[0], day.back))
    for spans in busy.values():
        spans.sort()
        assert all(a[1] <= b[0] + 0.11 for a, b in itertools.pairwise(spans))


def codes(plan: CampaignPlan) -> set[str]:
    return {said.code for said in plan.remarks}


def test_each_area_gets_its_team_and_the_sites_their_turn(conn: Any) -> None:
    told: list[float] = []
    plan = with_rounds(conn, inspection(), tick=told.append)
    check(plan)
    assert [area.team for area in plan.areas] == [1, 2]
    assert all(site.day for area in plan.areas for site in area.sites)
    assert told == [0.5, 1.0]
    assert "rounds_crow" in codes(plan) and "campaign_bases_assumed" in codes(plan)
    again = with_rounds(conn, plan)
    assert again == plan and from_json(plan.to_json()) == plan


@pytest.mark.parametrize(("days", "hours"), [(4, 2.0), (1, 3.0)])
def test_areas_of_one_team_are_worked_one_after_the_other(conn: Any, days: int, hours: float) -> None:
    plan = with_rounds(conn, inspection(teams=1, days=days, hours=hours))
    check(plan)
    assert [area.team for area in plan.areas] == [1, 1]
    first, second = ([day.day for day in area.days] for area in plan.areas)
    assert first and second and max(first) <= min(second)


def test_sites_without_a_day_are_counted_and_come_last(conn: Any) -> None:
    plan = with_rounds(conn, inspection(size=40, days=1))
    check(plan)
    left = [site.day is None for area in plan.areas for site in area.sites]
    said = next(said for said in plan.remarks if said.code == "rounds_left")
    assert dict(said.values) == {"sites": sum(left), "total": 80}
    for area in plan.areas:
        missing = [site.day is None for site in area.sites]
        assert missing == sorted(missing)


def test_teams_take_areas_that_lie_together() -> None:
    places = ((26.40, 50.00), (26.60, 50.30), (26.41, 50.01), (26.61, 50.31))
    areas = [planned_area(k, lat, lon) for k, (lat, lon) in enumerate(places, 1)]
    assert [[a.number for a in mine] for mine in teams_of(areas, 2)] == [[1, 3], [2, 4]]
    # No team is idle while another has two more than it.
    assert sorted(len(mine) for mine in teams_of((*areas, *areas), 6)) == [1, 1, 1, 1, 2, 2]
    assert [[a.number for a in mine] for mine in teams_of(areas, 9)] == [[1], [2], [3], [4]]


def test_volunteers_walk_between_sites(conn: Any) -> None:
    walking = with_rounds(conn, community())
    check(walking)
    driving = with_rounds(conn, dataclasses.replace(community(), kind="inspection"))
    assert walking.areas[0].days[0].hours > driving.areas[0].days[0].hours


def test_axes_have_no_day_plans_and_an_unknown_territory_is_said(conn: Any) -> None:
    assert with_rounds(conn, axes()) == axes()
    with pytest.raises(InputError, match="no territory 'nowhere'"):
        with_rounds(conn, inspection("nowhere"))
