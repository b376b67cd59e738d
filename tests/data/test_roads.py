"""Roads in the store, and projects along axes: on a town whose worst street is known."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import itertools
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import polars as pl
import pytest
import shapely
from sqlalchemy import text
from typer.testing import CliRunner

from cli import application
from data import roads, territories
from data.analyses.axes import MOST, propose_axes
from data.analyses.rounds import _metres
from data.analyses.rules import CampaignClash
from data.analyses.stretches import point_reports
from data.analyses.works import chosen_works, costs_by_work, widths, work_costs, works
from data.plan import AxisTerms, Base, CampaignPlan, from_json
from data.query import ReportQuery
from data.reference import read
from geo.errors import Cancelled, InputError
from geo.network import straight_m
from geo.portfolio import Portfolio, portfolio
from geo.roads import CLASSES, DETOUR, lengths_m
from ingest.areas import ingest_areas
from ingest.pipeline import ingest_reports
from ingest.roads import ingest_roads
from tests.campaign_sample import planned_area

WEST, SOUTH, SIDE = 49.0, 26.0, 0.08
STREETS = 8  # each way
WORST = ("Street 3", 1)  # the third from the south, its second kilometre
TERMS = AxisTerms(budget=6e6, length_m=1_000)


def _street(number: int, eastwards: bool) -> shapely.LineString:
    steps = np.linspace(0, SIDE, STREETS + 1)
    at = np.full(STREETS + 1, (number + 0.5) * SIDE / STREETS)
    x, y = (steps, at) if eastwards else (at, steps)
    # A vertex at every crossing, so that the streets make one network.
    crossings = np.sort(np.concatenate([steps, (np.arange(STREETS) + 0.5) * SIDE / STREETS]))
    x, y = (
        (crossings, np.full(len(crossings), at[0]))
        if eastwards
        else (np.full(len(crossings), at[0]), crossings)
    )
    return shapely.LineString(np.column_stack([WEST + x, SOUTH + y]))


def _reports(path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = []

    def add(lon: float, lat: float, kind: str) -> None:
        day = dt.date(2024, 1, 1) + dt.timedelta(days=int(rng.integers(0, 730)))
        rows.append([f"R{len(rows)}", kind, day.isoformat(), f"{lat:.6f}", f"{lon:.6f}"])

    def along(number: int, low: float, high: float, count: int, kind: str) -> None:
        for share in rng.uniform(low, high, count):
            add(WEST + SIDE * share, SOUTH + (number + 0.5) * SIDE / STREETS + 5e-5, kind)

    for number in range(STREETS):
        along(number, 0.01, 0.99, 60, "السيارات التالفة")
    along(3, 0.14, 0.24, 120, "حفر الشوارع")
    for _ in range(40):  # in the blocks, near no road
        add(WEST + SIDE * (rng.integers(1, 7) + 0.25) / STREETS, SOUTH + SIDE * (rng.integers(1, 7) + 0.25) / STREETS,
            "السيارات التالفة")  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "type", "created", "lat", "lon"], *rows])


@pytest.fixture(scope="module")
def town(module_store: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("town")
    half = SIDE / 2
    halves = [shapely.box(WEST + k * half, SOUTH, WEST + (k + 1) * half, SOUTH + SIDE) for k in range(2)]
    gpd.GeoDataFrame({"name": ["West", "East"]}, geometry=halves, crs=4326).to_file(folder / "areas.geojson")
    ingest_areas(module_store.engine, folder / "areas.geojson", level="municipality", territory="town")
    _reports(folder / "reports.csv")
    ingest_reports(module_store.engine, folder / "reports.csv", territory="town")
    east = [_street(k, True) for k in range(STREETS)]
    north = [_street(k, False) for k in range(STREETS)]
    frame = gpd.GeoDataFrame(
        {
            "highway": ["primary"] * STREETS + ["residential"] * (STREETS - 1) + ["motorway"],
            "name:en": [f"Street {k}" for k in range(STREETS)] + [f"Lane {k}" for k in range(STREETS)],
            "oneway": ["no"] * (2 * STREETS),
        },
        geometry=east + north,
        crs=4326,
    )
    frame.to_file(folder / "roads.gpkg", driver="GPKG")
    with module_store.engine.connect() as conn:
        place = territories.find(conn, "town")
        assert place is not None
        without = propose_axes(conn, ReportQuery(place.id), TERMS)
    ingest_roads(module_store.engine, folder / "roads.gpkg")
    return module_store, place.id, without


@pytest.fixture(scope="module")
def plan(town: Any) -> CampaignPlan:
    store, territory, _ = town
    with store.engine.connect() as conn:
        return propose_axes(conn, ReportQuery(territory), TERMS)


def _proposed(town: Any, terms: AxisTerms, **query: Any) -> CampaignPlan:
    store, territory, _ = town
    with store.engine.connect() as conn:
        return propose_axes(conn, ReportQuery(territory, **query), terms)


# ---- roads ----


def test_places_are_as_far_apart_as_the_streets_between_them(town: Any) -> None:
    store, territory, _ = town
    step = SIDE / STREETS
    lon, lat = (
        np.array([WEST + 1.5 * step, WEST + 4.5 * step]),
        np.array([SOUTH + 2.5 * step, SOUTH + 5.5 * step]),
    )
    with store.engine.connect() as conn:
        ways = roads.road_ways(conn, territory, lon, lat)
        nothing = roads.road_ways(conn, territory + 1, lon, lat)
    assert nothing is None and ways is not None and ways.pairs_assumed == 0
    metres = ways.metres
    # Around the corner: east, then north.
    sides = straight_m(
        [WEST, WEST + 3 * step, WEST + 3 * step], [SOUTH + 4 * step, SOUTH + 4 * step, SOUTH + 7 * step]
    )
    assert metres[0, 1] == pytest.approx(sides[0, 1] + sides[1, 2], rel=0.005)
    assert metres[0, 1] > straight_m(lon, lat)[0, 1] * 1.2 and DETOUR > 1


def test_a_place_knows_whether_a_fast_road_is_near(town: Any) -> None:
    store, territory, _ = town
    step = SIDE / STREETS
    motorway = WEST + (STREETS - 0.5) * step
    # On a street, in a block, at the motorway, and where a street meets the motorway.
    lon = np.array([WEST + 2 * step, WEST + 2 * step, motorway, motorway - 1e-4])
    lat = np.array([SOUTH + 0.5 * step, SOUTH + step, SOUTH + step, SOUTH + 0.5 * step])
    with store.engine.connect() as conn:
        fast = roads.beside_fast_road(conn, territory, lon, lat)
        nothing = roads.beside_fast_road(conn, territory + 1, lon, lat)
    assert fast is not None and fast.tolist() == [False, False, True, True]
    assert nothing is None


def test_volunteers_walk_from_site_to_site_and_are_driven_to_them(town: Any) -> None:
    """One-way streets and a footpath across the block: the base is reached by car, sites on foot."""
    store, territory, _ = town
    step = SIDE / STREETS
    corners = [(0.0, 0.0), (step, 0.0), (step, step), (0.0, step), (0.0, 0.0)]
    ring = [
        shapely.LineString([(WEST + x, SOUTH + y) for x, y in pair]) for pair in itertools.pairwise(corners)
    ]
    across = shapely.LineString([(WEST, SOUTH), (WEST + step, SOUTH + step)])
    table = pl.DataFrame(
        {
            "name_ar": [None] * 5, "name_en": [None] * 5, "ref": [None] * 5, "source_class": [None] * 5,
            "road_class": ["local"] * 4 + ["path"], "direction": [1, 1, 1, 1, 0],
            "length_m": lengths_m(np.array([*ring, across])),
        },
        schema_overrides=dict.fromkeys(("name_ar", "name_en", "ref", "source_class"), pl.String)
        | {"direction": pl.Int16},
    )  # fmt: skip
    base = Base("B", WEST, SOUTH)
    spots = [(WEST + step, SOUTH), (WEST + step, SOUTH + step)]
    area = planned_area(1, SOUTH, WEST, size=2)
    sites = tuple(
        dataclasses.replace(site, lon=x, lat=y) for site, (x, y) in zip(area.sites, spots, strict=True)
    )
    area = dataclasses.replace(area, base=base, sites=sites)
    with store.engine.connect() as conn:
        roads.replace_set(
            conn, territory, table, np.array([*ring, across]), label="x", simulated=False, file_name="f",
            file_digest="d", content="c", read=5, accepted=5,
        )  # fmt: skip
        driven, _ = _metres(conn, territory, area, walking=False)
        walked, missing = _metres(conn, territory, area, walking=True)
        conn.rollback()
    east, north = straight_m([WEST, WEST + step, WEST], [SOUTH, SOUTH, SOUTH + step])[0, 1:]
    assert driven[2, 1] == pytest.approx(2 * east + north, rel=0.01)  # round the block
    assert walked[2, 1] == walked[1, 2] == pytest.approx(north, rel=0.01)
    assert (walked[0] == driven[0]).all() and (walked[:, 0] == driven[:, 0]).all() and missing == 0


# ---- axes ----


def test_the_worst_stretch_leads_and_its_potholes_get_a_new_surface(plan: CampaignPlan) -> None:
    first = plan.stretches[0]
    assert first.rank == 1 and (first.axis.en, first.number - 1) == WORST
    assert first.work == "surface" and first.elements[0].code == "R04" and first.chosen
    assert first.low < first.per_km < first.high and first.shrunk < first.per_km
    assert first.municipality.en == "West"
    assert plan.runs[0].axis.en == "Street 3" and first.key in plan.runs[0].keys
    assert plan.runs[0].reports > 3 * plan.runs[0].expected


def test_reports_are_counted_once_and_only_beside_main_roads(plan: CampaignPlan) -> None:
    told = {remark.code: dict(remark.values) for remark in plan.remarks}
    assert told["axes_snapped"]["reports"] == 60 * STREETS + 120 + 40
    assert told["axes_snapped"]["near"] == 60 * STREETS + 120
    on = sum(stretch.reports for stretch in plan.stretches)
    assert on == told["axes_snapped"]["on"] <= told["axes_snapped"]["near"]
    for stretch in plan.stretches:
        assert sum(part.sites for part in stretch.elements) == stretch.reports
        assert stretch.road_class in ("primary", "motorway")
        drawn = shapely.LineString(stretch.line[0])
        assert gpd.GeoSeries([drawn], crs=4326).to_crs(32639).length[0] / 1000 == pytest.approx(
            stretch.km, rel=0.01
        )


def test_the_portfolio_keeps_to_its_budget_and_beats_its_rivals(plan: CampaignPlan) -> None:
    chosen = [stretch for stretch in plan.stretches if stretch.chosen]
    assert 0 < sum(s.cost for s in chosen) <= TERMS.budget
    proof = plan.proof
    assert (
        proof is not None and proof.gap <= 1e-9 and proof.objective <= proof.bound <= proof.free_bound + 1e-9
    )
    assert proof.objective == pytest.approx(sum(s.benefit for s in chosen))
    assert {rival.code for rival in plan.rivals} == {"by_rate", "by_count", "by_ratio"}
    assert all(rival.weighted <= proof.objective + 1e-9 for rival in plan.rivals)


def test_a_choice_that_time_cut_short_is_not_said_to_be_the_best(
    town: Any, plan: CampaignPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan.proof is not None and plan.proof.complete

    def short(*given: Any, **named: Any) -> Portfolio:
        return dataclasses.replace(portfolio(*given, **named), status="time limit")

    monkeypatch.setattr("data.analyses.axes.portfolio", short)
    proof = _proposed(town, TERMS).proof
    assert proof is not None and not proof.complete


def test_the_same_question_has_the_same_answer_and_the_plan_survives_as_json(
    town: Any, plan: CampaignPlan
) -> None:
    again = _proposed(town, TERMS)
    assert again.proof is not None and plan.proof is not None
    same = dataclasses.replace(again, proof=dataclasses.replace(again.proof, seconds=plan.proof.seconds))
    assert same == plan and from_json(plan.to_json()) == plan
    assert len(plan.stretches) <= MOST


def test_pins_drops_shares_and_prices_of_ones_own_hold(town: Any, plan: CampaignPlan) -> None:
    worst, idle = plan.stretches[0], plan.stretches[-1]
    east = next(s.municipality_id for s in plan.stretches if s.municipality.en == "East")
    terms = dataclasses.replace(
        TERMS, budget=2e7, pinned=(idle.key, "gone"), dropped=(worst.key,), least_share=((east, 0.4),),
        costs=(("surface", 1e6),),
    )  # fmt: skip
    other = _proposed(town, terms)
    by_key = {stretch.key: stretch for stretch in other.stretches}
    assert by_key[idle.key].chosen and by_key[idle.key].pinned and not by_key[worst.key].chosen
    spent = sum(s.cost for s in other.stretches if s.chosen and s.municipality_id == east)
    assert spent >= 0.4 * 2e7
    assert by_key[worst.key].cost == pytest.approx(worst.cost / 1.8, abs=1000)
    assert any(r.code == "axes_keys_gone" and dict(r.values)["stretches"] == 1 for r in other.remarks)


def test_clashing_rules_are_named(town: Any, plan: CampaignPlan) -> None:
    some = tuple(stretch.key for stretch in plan.stretches[:20])
    with pytest.raises(CampaignClash) as clash:
        _proposed(town, dataclasses.replace(TERMS, pinned=some))
    assert [rule.code for rule in clash.value.rules] == ["clash_budget_pinned"]
    east = next(s.municipality_id for s in plan.stretches if s.municipality.en == "East")
    with pytest.raises(CampaignClash) as clash:
        _proposed(town, dataclasses.replace(TERMS, budget=1e9, least_share=((east, 0.9),)))
    assert [rule.code for rule in clash.value.rules] == ["clash_share_lacking"]


def test_the_filters_of_the_query_narrow_reports_and_roads(town: Any, plan: CampaignPlan) -> None:
    west = next(s.municipality_id for s in plan.stretches if s.municipality.en == "West")
    narrow = _proposed(town, TERMS, municipalities=(west,), elements=("R04",))
    assert {stretch.municipality_id for stretch in narrow.stretches} == {west}
    # Some stand nearer to the lane that crosses.
    assert 110 <= sum(stretch.reports for stretch in narrow.stretches) <= 120
    lanes = _proposed(town, dataclasses.replace(TERMS, classes=("local",)))
    assert {s.road_class for s in lanes.stretches} <= {"local"}


def test_days_that_are_not_on_record_are_no_quiet_years(town: Any, plan: CampaignPlan) -> None:
    """A period from 2015 to 2035 is the two years that there are reports of; so is that of a rare kind."""
    wide = _proposed(town, TERMS, start=dt.date(2015, 1, 1), end=dt.date(2035, 1, 1))
    assert [s.benefit for s in wide.stretches] == [s.benefit for s in plan.stretches]
    store, territory, _ = town
    with store.engine.connect() as conn:
        every = point_reports(conn, ReportQuery(territory))
        rare = point_reports(conn, ReportQuery(territory, elements=("R04",)))
        half = point_reports(conn, ReportQuery(territory, start=dt.date(2025, 1, 1)))
        conn.execute(
            text(
                """UPDATE report SET opened_at = opened_at - interval '20 years'
                   WHERE id = (SELECT min(id) FROM report WHERE territory_id = :t)"""
            ),
            {"t": territory},
        )
        # As if there were twice a thousand: one stray report in them does not begin the record.
        conn.execute(
            text(
                """INSERT INTO report SELECT (r).* FROM (
                     SELECT jsonb_populate_record(r, jsonb_build_object('id', r.id + k * 1000000,
                       'reference', r.reference || '-' || k, 'content', r.content + k)) AS r
                     FROM report r, generate_series(1, 3) k
                     WHERE territory_id = :t AND id > (SELECT min(id) FROM report WHERE territory_id = :t)) x"""
            ),
            {"t": territory},
        )
        territories.bump_version(conn, territory, incidents_hold=True)
        stray = point_reports(conn, ReportQuery(territory))
        conn.rollback()
    assert (rare.first, rare.years) == (every.first, every.years)
    assert every.years == pytest.approx(2, abs=0.02) and half.years == pytest.approx(1, abs=0.02)
    assert stray.years == pytest.approx(every.years, abs=0.02) and stray.at.min() >= stray.first


def test_what_is_not_there_is_refused_or_said(town: Any) -> None:
    _, _, without = town
    assert not without.stretches and [remark.code for remark in without.remarks] == ["axes_no_roads"]
    for terms, reason in (
        (dataclasses.replace(TERMS, classes=("alley",)), "no class of roads 'alley'"),
        (dataclasses.replace(TERMS, costs=(("gold", 1.0),)), "no class of work 'gold'"),
        (dataclasses.replace(TERMS, least_share=((987654, 0.1),)), "no municipality 987654"),
    ):
        with pytest.raises(InputError, match=reason):
            _proposed(town, terms)
    quiet = _proposed(town, TERMS, elements=("B07",))
    assert not quiet.stretches and "axes_no_reports" in [remark.code for remark in quiet.remarks]

    def stop(share: float) -> None:
        raise Cancelled("stopped")

    store, territory, _ = town
    with store.engine.connect() as conn, pytest.raises(Cancelled):
        propose_axes(conn, ReportQuery(territory), TERMS, tick=stop)


def test_the_command_tells_the_plan_and_writes_it(town: Any, plan: CampaignPlan, tmp_path: Path) -> None:
    target = tmp_path / "axes.json"
    given = ["campaign", "axes", "--budget", "6", "--out", str(target)]
    run = CliRunner().invoke(application(), given)
    assert run.exit_code == 0 and "million SAR" in run.output
    assert [s.key for s in from_json(target.read_text("utf-8")).stretches if s.chosen] == [
        s.key for s in plan.stretches if s.chosen
    ]
    told = CliRunner().invoke(application(), [*given, "--json", "--least-share", "East=0.1"])
    assert told.exit_code == 0 and json.loads(told.stdout)["kind"] == "axes"
    wrong = CliRunner().invoke(
        application(), ["campaign", "axes", "--budget", "1", "--least-share", "East=1"]
    )
    assert wrong.exit_code != 0


def test_the_command_tells_what_became_of_every_row(town: Any, tmp_path: Path) -> None:
    path = tmp_path / "same.geojson"
    lines = [_street(0, True), _street(0, True)]
    gpd.GeoDataFrame({"highway": ["primary"] * 2}, geometry=lines, crs=4326).to_file(path)
    # Into a territory of its own, so that the town keeps its roads.
    with town[0].engine.begin() as conn:
        territories.create(conn, "elsewhere", "هناك", "Elsewhere", "Asia/Riyadh", False)
    given = ["ingest", "roads", str(path), "--territory", "elsewhere"]
    run = CliRunner().invoke(application(), given)
    assert run.exit_code == 0 and "read 2 = accepted 1" in run.output and "row 2" in run.output
    told = json.loads(CliRunner().invoke(application(), [*given, "--json"]).stdout)
    assert told["unchanged"] and told["faults"] == [{"row": 2, "reason": "repeated"}]


# ---- works ----


def test_every_element_has_one_work_and_every_class_a_width() -> None:
    mended = [code for work in works() for code in sorted(work.elements)]
    assert sorted(mended) == sorted(row["code"] for row in read("elements.csv"))
    assert not works()[-1].elements and set(widths()) >= set(CLASSES)
    assert work_costs()["full"][1] == costs_by_work(())[-1]


def test_one_kind_of_work_is_enough_where_it_mends_half() -> None:
    width = len(works())
    weight = np.zeros((3, width))
    weight[0, :3] = 6, 3, 3
    weight[1, :3] = 5, 4, 4
    work, share = chosen_works(weight)
    assert work.tolist() == [0, width - 1, width - 1] and share.tolist() == [0.5, 1.0, 1.0]
