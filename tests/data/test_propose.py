"""Campaigns proposed on a town that is known: places once, sums, rules, the same answer twice."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from h3 import cell_to_parent, grid_disk, str_to_int
from sqlalchemy import Connection, text
from typer.testing import CliRunner

from cli import application
from commands.campaign_propose import read_terms
from data.analyses import forecasts
from data.analyses.campaigns import asked_query, propose, remark_of, said, told_query
from data.analyses.hits import hit_rates, types_of
from data.analyses.kinds import element_terms, kinds, target_terms
from data.analyses.rules import CampaignClash, rules_of
from data.analyses.stakes import lateness
from data.analyses.targets import Targets, targets
from data.analyses.terrain import Terrain, terrain
from data.plan import TARGETS, Base, CampaignPlan, CampaignTerms, PlannedArea, from_json
from data.query import ReportQuery
from geo.cells import cells_of
from geo.errors import Cancelled, InputError
from geo.forecast import DEFAULT
from geo.hitrates import TYPES
from geo.remarks import Named, caution
from tests.data.campaign_town import END, SIDE, SOUTH, SPOT, WEST, Town, build_town

TERMS = CampaignTerms(teams=2, days=1, hours=3, resolution=8)


@pytest.fixture(scope="module")
def town(module_store: Any) -> Iterator[tuple[Connection, Town, ReportQuery]]:
    made = build_town(module_store.engine)
    with module_store.engine.connect() as conn:
        yield conn, made, ReportQuery(made.territory)


@pytest.fixture(scope="module")
def plan(town: Any) -> CampaignPlan:
    conn, _, query = town
    return propose(conn, query, TERMS)


def found_targets(conn: Connection, query: ReportQuery, **more: Any) -> tuple[Terrain, Targets]:
    known = kinds(conn, query.territory_id)
    ground = terrain(conn, query, TERMS, 8, known)
    assert ground is not None
    types = types_of(conn, query.territory_id)
    return ground, targets(
        conn, query, ground, known, types, ground.today, ground.today + dt.timedelta(days=1), **more
    )


# ---- targets ----


def test_each_place_is_counted_once_as_the_first_that_applies(town: Any) -> None:
    conn, made, query = town
    _, found = found_targets(conn, query, within=True)
    places = found.places
    kind = dict(zip(places.key, places.target, strict=True))
    keys = {name: [f"r{one}" for one in ids] for name, ids in made.known.items()}
    # Two reports of one thing are one place: the one that is due first.
    assert kind[keys["A"][0]] == "overdue" and keys["A"][1] not in kind
    assert kind[keys["B"][0]] == "overdue" and kind[keys["C"][0]] == "open"
    # D comes back and nothing stands open; at E an overdue report does, so E is no chronic place.
    near = {
        name: {k for k, x, y in zip(places.key, places.lon, places.lat, strict=True) if abs(x - SPOT[name][0]) < 2e-4 and abs(y - SPOT[name][1]) < 5e-4}
        for name in "DE"
    }  # fmt: skip
    assert {kind[k] for k in near["D"]} == {"chronic"}
    assert near["E"] == {keys["E"][0]} and kind[keys["E"][0]] == "overdue"
    assert len(set(places.key)) == len(places)


def test_limits_are_the_reports_own_else_the_elements_and_lateness_counts_to_the_first_day(
    town: Any,
) -> None:
    conn, made, query = town
    ground, found = found_targets(conn, query)
    assert ground.today == END + dt.timedelta(days=1)
    at = {key: i for i, key in enumerate(found.places.key)}
    own, assumed = at[f"r{made.known['A'][0]}"], at[f"r{made.known['B'][0]}"]
    # Due 30 days before the newest day at 09:00 local time; the campaign begins at midnight.
    assert found.places.late_days[own] == pytest.approx(30 + 15 / 24)
    assert not found.places.assumed_limit[own]
    limit = element_terms()["R04"].limit_days
    assert found.places.late_days[assumed] == pytest.approx(10 + 15 / 24 - limit)
    assert found.places.assumed_limit[assumed]
    assert "campaign_assumed_limit" in {remark.code for remark in found.remarks}
    # Within its limit: not a target unless asked for.
    assert f"r{made.known['C'][0]}" not in at
    assert lateness([np.nan, -3, 0, 30, 1e9]) == pytest.approx([1, 1, 1, 1.25, 1.5])


def test_what_closed_after_the_period_stood_open_at_its_end(town: Any) -> None:
    conn, made, query = town
    early = dataclasses.replace(query, end=END - dt.timedelta(days=299 - 101))
    ground, found = found_targets(conn, early)
    assert ground.today == END - dt.timedelta(days=299 - 102)
    # The report of day 100 at D closed on day 102: nobody could know that on day 101.
    known = kinds(conn, query.territory_id)
    later = targets(
        conn, early, ground, known, types_of(conn, query.territory_id), ground.today + dt.timedelta(days=30),
        ground.today + dt.timedelta(days=31), expect=False,
    )  # fmt: skip
    assert f"r{made.known['D'][2]}" in set(later.places.key)
    assert f"r{made.known['A'][0]}" not in set(later.places.key)
    assert found.expected.sum() > 0


def test_what_is_to_come_is_the_forecast_less_what_chronic_places_stand_for(town: Any) -> None:
    conn, _, query = town
    ground, found = found_targets(conn, query)
    assert len(found.expected) == len(ground.cells) and (found.expected >= 0).all()
    assert found.window == 2
    assert found.spread >= 0
    # Nobody visited anything: every hot cell is unvisited, and hot cells are in the busy east.
    assert found.unvisited.any() and (ground.lon[found.unvisited] > WEST + SIDE).mean() > 0.8


def test_a_backtest_that_is_kept_meanwhile_changes_nothing(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn, _, query = town
    _, before = found_targets(conn, query)
    kept = SimpleNamespace(best="last", alpha=9.0, starts=())
    monkeypatch.setattr(forecasts, "kept_backtest", lambda *_: kept)
    _, after = found_targets(conn, query)
    assert (after.expected == before.expected).all() and after.spread == before.spread
    assert "campaign_forecast" in {remark.code for remark in after.remarks}
    monkeypatch.setattr(forecasts, "kept_backtest", lambda *_: SimpleNamespace(best=DEFAULT, alpha=9.0))
    assert found_targets(conn, query)[1].spread == before.spread


def test_the_days_of_a_campaign_follow_its_weekend(town: Any) -> None:
    conn, _, query = town
    # Tuesday 28 October to Sunday, Friday and Saturday off; without a weekend to Friday.
    for weekend, days in (((4, 5), 6), ((), 4)):
        told = propose(conn, query, dataclasses.replace(TERMS, days=4, weekend=weekend, teams=1))
        assert dict(_remark(told, "campaign_targets").values)["days"] == days


# ---- the proposal ----


def test_areas_are_contiguous_disjoint_and_within_their_hours(plan: CampaignPlan) -> None:
    assert len(plan.areas) == 2 and plan.resolution == 8
    held = [cell for area in plan.areas for cell in area.cells]
    assert len(held) == len(set(held))
    for area in plan.areas:
        graph = nx.Graph()
        graph.add_nodes_from(area.cells)
        graph.add_edges_from((a, b) for a in area.cells for b in grid_disk(a, 1) if b in area.cells)
        assert nx.is_connected(graph)
        assert 0 < area.hours <= area.capacity + 1e-9 <= TERMS.team_hours + 1e-9
        assert area.municipality.en in ("West", "East") and area.base is not None


def test_parts_add_up_to_the_finds_and_the_interval_holds_them(plan: CampaignPlan) -> None:
    for area in plan.areas:
        assert sum(part.finds for part in area.targets) == pytest.approx(area.finds)
        assert sum(part.finds for part in area.elements) == pytest.approx(area.finds, rel=0.02)
        assert area.low <= area.finds <= area.high and area.low < area.high
        assert sum(part.hours for part in area.targets) < area.hours  # the rest is the way in
        assert sum(part.sites for part in area.targets) == len(area.sites)
        assert {part.code for part in area.targets} <= set(TARGETS)
        assert len({site.key for site in area.sites}) == len(area.sites)
        assert {site.cell for site in area.sites} <= set(area.cells)
        worth = sum(site.chance * site.weight for site in area.sites)
        assert worth == pytest.approx(area.weighted, rel=0.05)  # the last place is reached in part
        assert area.drivers
    assert plan.proof is not None
    assert plan.proof.objective == pytest.approx(sum(area.weighted for area in plan.areas))
    assert plan.proof.objective <= plan.proof.bound <= plan.proof.free_bound * (1 + 1e-9)
    assert [other.code for other in plan.what_if] == ["teams_fewer", "teams_more"]
    fewer, more = plan.what_if
    assert (fewer.teams, more.teams) == (1, 3)
    assert fewer.weighted < plan.proof.objective <= more.weighted
    assert fewer.finds < plan.finds
    assert {rival.code for rival in plan.rivals} == {"top_cells", "municipality_share", "greedy"}
    for rival in plan.rivals:
        assert rival.finds > 0 and 0 < rival.hours <= 2 * TERMS.team_hours + 1e-9
        # What it is compared with stands beside it.
        assert rival.plan is not None
        assert rival.better == pytest.approx(rival.plan / rival.weighted - 1)
        assert rival.plan == pytest.approx(plan.proof.objective, rel=0.2)


def test_a_plan_survives_as_json_and_its_question_has_the_same_answer_again(
    town: Any, plan: CampaignPlan
) -> None:
    conn, _, query = town

    def timeless(one: CampaignPlan) -> CampaignPlan:
        assert one.proof is not None
        return dataclasses.replace(one, proof=dataclasses.replace(one.proof, seconds=0.0))

    assert from_json(plan.to_json()) == plan
    assert isinstance(plan.terms, CampaignTerms) and plan.terms.start == END + dt.timedelta(days=1)
    again = asked_query(plan.query)
    assert again == query and timeless(propose(conn, again, plan.terms)) == timeless(plan)


def test_a_query_and_a_remark_come_back_from_a_plan() -> None:
    query = ReportQuery(3, start=dt.date(2025, 1, 2), groups=("R",), municipalities=(4, 5), incidents=True)
    assert asked_query(told_query(query)) == query
    with pytest.raises(InputError, match="no query has"):
        asked_query({"territory_id": 1, "mood": "good"})
    with pytest.raises(InputError, match="no day"):
        asked_query({"territory_id": 1, "end": "soon"})
    remark = caution("clash_each_group", municipality=Named("الغربية", "West"))
    assert remark_of(said(remark)) == remark


def test_rules_hold(town: Any, plan: CampaignPlan) -> None:
    conn, made, query = town
    west, east = made.municipalities
    corner = f"{int(cells_of([WEST + 0.004], [SOUTH + 0.03], 8)[0]):x}"
    terms = dataclasses.replace(
        TERMS, each_municipality=(west, east), include=(corner,), most_km2=6.0, teams=3
    )
    asked = propose(conn, query, terms)
    assert {area.municipality_id for area in asked.areas} == {west, east}
    assert any(corner in area.cells for area in asked.areas)
    assert all(area.km2 <= 6.0 + 1e-9 for area in asked.areas)
    best, other = (area.cells for area in plan.areas)
    kept = propose(conn, query, dataclasses.replace(TERMS, pinned=(best,), keep_out=other))
    assert [area.cells for area in kept.areas if area.pinned] == [best]
    assert not set(other) & {cell for area in kept.areas for cell in area.cells}


def test_clashing_rules_are_named_with_what_they_stand_for(town: Any, plan: CampaignPlan) -> None:
    conn, made, query = town
    west, east = made.municipalities
    terms = dataclasses.replace(TERMS, teams=1, each_municipality=(west, east))
    with pytest.raises(CampaignClash) as caught:
        propose(conn, query, terms)
    told = {(rule.code, dict(rule.values).get("municipality")) for rule in caught.value.rules}
    assert ("clash_each_group", Named("الغربية", "West")) in told
    assert ("clash_each_group", Named("الشرقية", "East")) in told
    cell = plan.areas[0].cells[0]
    with pytest.raises(CampaignClash) as caught:
        propose(conn, query, dataclasses.replace(TERMS, keep_out=(cell,), include=(cell,)))
    assert [(r.code, dict(r.values)) for r in caught.value.rules] == [("clash_must_closed", {"cell": cell})]


def test_what_the_terms_name_must_be_there(town: Any) -> None:
    conn, _, query = town
    for wrong, words in (
        ({"each_municipality": (999,)}, "no municipality"),
        ({"keep_out": ("8853638f4bfffff",)}, "outside"),
        ({"keep_out": ("banana",)}, "no H3 cell"),
        ({"include": (f"{int(cells_of([50.01], [26.41], 9)[0]):x}",)}, "of at most resolution 8"),
    ):
        with pytest.raises(InputError, match=words):
            propose(conn, query, dataclasses.replace(TERMS, **wrong))
    with pytest.raises(Cancelled):
        propose(conn, query, TERMS, tick=_cancel)


def _cancel(share: float) -> None:
    if share > 0.4:
        raise Cancelled("stopped")


def test_bases_take_the_way_off_and_more_areas_than_teams_share_the_hours(town: Any) -> None:
    conn, _, query = town
    far = Base("Depot", WEST + 0.25, SOUTH)
    terms = dataclasses.replace(TERMS, hours=5, areas=3, bases=(far,))
    assert terms.number_of_areas == 4
    shared = propose(conn, query, terms)
    # Some 20 km there and back at 2.5 minutes a km and a detour of 1.3: over two of five hours;
    # and four areas for two teams are two each, so each area has half of the hours.
    assert all(0.2 < area.capacity / (5 / 2) < 0.8 for area in shared.areas)
    assert "campaign_bases_assumed" not in {remark.code for remark in shared.remarks}
    assert dict(_remark(shared, "campaign_turns").values) == {"areas": 4, "teams": 2, "turns": 2}
    assert dict(_remark(shared, "campaign_rounded").values) == {"asked": 3, "areas": 4, "teams": 2}


def test_areas_above_the_teams_are_a_multiple_of_them_so_that_all_hours_are_used() -> None:
    def hours(**given: int) -> float:
        terms = CampaignTerms(teams=6, hours=6, **{"days": 5} | given)
        return terms.number_of_areas * terms.team_hours / terms.turns

    assert [hours(areas=areas) for areas in (6, 7, 12, 18)] == [180] * 4
    assert CampaignTerms(teams=6, days=5, areas=7).number_of_areas == 12
    # Fewer areas than teams are as asked; at most 200 areas, and a multiple still.
    assert CampaignTerms(teams=6, areas=4).number_of_areas == 4
    assert [CampaignTerms(teams=teams, areas=200).number_of_areas for teams in (6, 200, 150)] == [
        198,
        200,
        150,
    ]
    assert CampaignTerms(teams=150, days=15).number_of_areas == 150


def test_idle_teams_are_told_and_more_teams_than_areas_change_nothing(town: Any, plan: CampaignPlan) -> None:
    conn, _, query = town
    few = propose(conn, query, dataclasses.replace(TERMS, areas=2, teams=5))
    assert dict(_remark(few, "campaign_idle").values) == {"areas": 2, "teams": 5, "idle": 3}
    assert [(one.teams, round(one.finds - few.finds, 6)) for one in few.what_if] == [(4, 0), (6, 0)]
    assert "campaign_idle" not in {remark.code for remark in plan.remarks}


def test_a_plan_keeps_the_number_of_areas_that_it_was_made_with(plan: CampaignPlan) -> None:
    assert TERMS.areas is None
    assert isinstance(plan.terms, CampaignTerms) and plan.terms.areas == 2


def _remark(plan: CampaignPlan, code: str) -> Any:
    return next(remark for remark in plan.remarks if remark.code == code)


def test_volunteers_get_what_they_can_remove_with_what_they_need(town: Any) -> None:
    conn, _, query = town
    terms = dataclasses.replace(TERMS, kind="community", volunteers=10, minutes_site=5)
    found = propose(conn, query, terms)
    known = element_terms()
    sites = {site.key: site for area in found.areas for site in area.sites}
    assert sites and all(known[site.element].volunteer for site in sites.values())
    assert {site.target for site in sites.values()} <= {"overdue", "open", "chronic"}
    bins = known["P06"]
    one = next(site for site in sites.values() if site.element == "P06" and site.quantity)
    assert one.quantity is not None
    assert one.material == ((bins.material, float(np.ceil(one.quantity * bins.per_unit))),)
    assert one.minutes == pytest.approx(5 + one.quantity * bins.crew_minutes / 10)
    for area in found.areas:
        bags = sum(amount for site in area.sites for code, amount in site.material if code == "bags")
        assert dict(area.material).get("bags", 0.0) == pytest.approx(bags)
    codes = {remark.code for remark in found.remarks}
    # Neither roads nor people are loaded here: both are said.
    assert "campaign_roads_unknown" in codes and codes & {"campaign_near_points", "campaign_people_unknown"}


# ---- visits ----


def test_visits_move_the_hit_rate_leave_out_their_cells_and_make_them_visited(
    town: Any, plan: CampaignPlan
) -> None:
    conn, made, query = town
    before = hit_rates(conn, made.territory)
    prior = target_terms()["overdue"]
    assert before.of("overdue", "busy").mean == prior.prior_a / (prior.prior_a + prior.prior_b)
    area: PlannedArea = plan.areas[0]
    site = next(one for one in area.sites if one.target == "overdue")
    day = plan.terms.start  # type: ignore[union-attr]
    nested = conn.begin_nested()
    for number in range(40):
        conn.execute(
            text(
                """INSERT INTO visit (territory_id, target, visited_at, found, cell, digest)
                   VALUES (:t, 'overdue', :at, false, :cell, :n)"""
            ),
            {
                "t": made.territory, "n": number, "cell": int(cells_of([site.lon], [site.lat])[0]),
                "at": dt.datetime.combine(day, dt.time(), dt.UTC) - dt.timedelta(days=5),
            },
        )  # fmt: skip
    after = hit_rates(conn, made.territory)
    moved = [name for name in TYPES if after.of("overdue", name).visits]
    assert len(moved) == 1 and after.of("overdue", moved[0]).mean < 0.25
    # Plans of days before the visits do not know of them.
    assert hit_rates(conn, made.territory, until=day - dt.timedelta(days=6)) == before
    # That rounds found anything is no share of what is there.
    conn.execute(
        text(
            """INSERT INTO visit (territory_id, target, visited_at, found, cell, digest)
               SELECT :t, target, :at, true, :cell, 1000 + n FROM unnest(ARRAY['new', 'unvisited']) WITH ORDINALITY u(target, n)"""
        ),
        {"t": made.territory, "cell": int(cells_of([site.lon], [site.lat])[0]), "at": dt.datetime.combine(day, dt.time(), dt.UTC) - dt.timedelta(days=400)},
    )  # fmt: skip
    assert hit_rates(conn, made.territory) == after
    # A coarse cell to include opens nothing in it that was visited lately, the cell itself does.
    known = kinds(conn, query.territory_id)
    ground = terrain(conn, query, TERMS, 8, known)
    assert ground is not None
    here = ground.cells == str_to_int(site.cell)
    start = dataclasses.replace(TERMS, start=day)
    for cell, shut in ((cell_to_parent(site.cell, 7), True), (site.cell, False)):
        limits = rules_of(conn, ground, dataclasses.replace(start, include=(cell,))).limits
        assert limits.closed is not None and limits.closed[here].all() == shut
    later = propose(conn, query, TERMS)
    assert site.cell not in {cell for one in later.areas for cell in one.cells}
    assert {"campaign_visits", "campaign_visited"} <= {remark.code for remark in later.remarks}
    ground, found = found_targets(conn, query)
    assert not found.unvisited[ground.cells == str_to_int(site.cell)].any()
    nested.rollback()


def test_an_empty_question_gives_an_empty_plan_that_says_so(town: Any) -> None:
    conn, _, query = town
    none = propose(conn, dataclasses.replace(query, elements=("B07",)), TERMS)
    assert none.areas == () and _remark(none, "campaign_nothing").caution
    nothing = propose(conn, dataclasses.replace(query, end=dt.date(2020, 1, 1)), TERMS)
    assert nothing.areas == () and _remark(nothing, "campaign_no_reports").caution
    assert from_json(nothing.to_json()) == nothing


# ---- the command ----


def rasd(*arguments: str) -> Any:
    return CliRunner().invoke(application(), ["campaign", "propose", *arguments])


def test_the_command_takes_terms_from_a_file_and_options_over_it(town: Any, tmp_path: Path) -> None:
    _, made, _ = town
    terms = tmp_path / "terms.yaml"
    terms.write_text("teams: 5\ndays: 1\nhours: 3\nresolution: 8\nweights: {new: 0.5}\nstart: 2025-10-28\n")
    done = rasd(
        "--terms", str(terms), "--teams", "2", "--least-share", "West=0.3", "--each-municipality", "الشرقية",
        "--out", str(tmp_path / "plan.json"), "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    asked = told["terms"]
    assert (asked["teams"], asked["hours"], asked["start"]) == (2, 3.0, "2025-10-28")
    assert asked["weights"] == [["new", 0.5]] and asked["least_share"] == [[made.municipalities[0], 0.3]]
    assert asked["each_municipality"] == [made.municipalities[1]]
    hours = {area["municipality"]["en"]: area["hours"] for area in told["areas"]}
    assert hours["West"] >= 0.3 * sum(hours.values()) and set(hours) == {"West", "East"}
    assert from_json((tmp_path / "plan.json").read_text()).terms.kind == "inspection"


def test_the_command_says_a_plan_and_a_clash_in_words(town: Any) -> None:
    said_ = rasd("--teams", "2", "--days", "1", "--hours", "3", "--resolution", "8")
    assert said_.exit_code == 0, said_.output
    assert "2 areas," in said_.stdout and "With 3 teams:" in said_.stdout
    clash = rasd(
        "--resolution",
        "8",
        "--teams",
        "1",
        "--areas",
        "1",
        "--each-municipality",
        "West",
        "--each-municipality",
        "East",
    )
    assert isinstance(clash.exception, InputError)
    assert "West is to get an area." in str(clash.exception)
    assert "East is to get an area." in str(clash.exception)


def test_terms_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "terms.yaml"
    for text_, words in (
        ("teams: many", "The term teams"),
        ("people: 3", "no term 'people'"),
        ("- 1", "should hold terms"),
        ("teams: [", "cannot be read"),
        ("teams: 0", "teams is 0"),
        ("seed: -1", "seed is -1"),
    ):
        path.write_text(text_)
        with pytest.raises(InputError, match=words):
            read_terms(path, {})
    for option in (["--weight", "new"], ["--base", "Depot=50"], ["--base", "Depot=500,2"]):
        assert isinstance(rasd(*option).exception, InputError)
