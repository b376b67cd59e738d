"""The simulator: reproducible, bounded, and with the truths that it claims to plant."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from geo.cells import cells_of
from geo.errors import InputError
from geo.simulated_scene import (
    CHANNELS,
    CHRONIC_SPOTS,
    DIRT_NAMES,
    EMERGING,
    SEASONS,
    Campaign,
    Habits,
    Plan,
    Reports,
    Scene,
)
from geo.simulated_world import METRES_PER_DEGREE, Places, build_world, place_odds, reach_m
from geo.simulation import prepare, season_factors, simulate

ELEMENTS = 6
START, END = np.datetime64("2023-11-01", "D"), np.datetime64("2025-11-01", "D")


def small_places(n: int = 30) -> Places:
    rng = np.random.default_rng(1)
    side = np.arange(n)
    return Places(
        name_ar=[f"حي {i}" for i in side],
        lon=50.0 + (side % 6) * 0.02,
        lat=26.3 + (side // 6) * 0.02,
        radius_m=np.full(n, 900.0),
        population=rng.uniform(500, 2000, n),
        municipality=(side // 10).astype(np.int64),
        region=np.zeros(n, dtype=np.int64),
        industrial=side % 7 == 0,
        park=side % 5 == 0,
        sea_bearing_deg=np.full(n, np.nan),
        shore_m=np.full(n, np.nan),
    )


def small_habits() -> Habits:
    k = ELEMENTS
    taste = np.zeros((k, 5))
    taste[0, 0], taste[1, 0] = 2.0, -2.0  # element 0 likes the centre, element 1 avoids it
    return Habits(
        codes=[f"E{i}" for i in range(k)],
        share=np.ones(k),
        taste=taste,
        arterial=np.full(k, 0.3),
        corner=np.full(k, 0.3),
        season=["summer", "winter", "ramadan", "flat", "flat", "flat"],
        season_gain=np.array([2.0, 2.0, 2.0, 0, 0, 0]),
        weekend=np.ones(k),
        reach=np.ones((k, len(CHANNELS))),
        close_median_days=np.array([1.0, 3, 8, 20, 40, 5]),
        close_sigma=np.full(k, 0.8),
        due_days=np.full(k, 5.0),
        severity=np.full(k, 3.0),
        quantity=np.array([0.0, 1, 10, 0, 0, 0]),
        party=np.array([0, 0, 1, 0, 0, 1]),
        fined=np.full(k, 0.05),
    )


def scene_of(reports: int = 25_000, seed: int = 5, **more: object) -> Scene:
    plan = Plan(
        reports=reports,
        start=START,
        end=END,
        seed=seed,
        campaign=Campaign(
            municipality=1,
            elements=(3, 4),
            start=np.datetime64("2025-02-01", "D"),
            end=np.datetime64("2025-03-01", "D"),
            effect_end=np.datetime64("2025-06-01", "D"),
            cells=12,
        ),
        emerging_place=2,
        emerging_elements=(5,),
        chronic_elements=(0, 4),
    )
    world = build_world(small_places(), ["أ", "ب", "ج"], np.random.default_rng(2))
    return prepare(world, small_habits(), replace(plan, **more))


def joined(scene: Scene, chunk: int = 50_000) -> Reports:
    parts = list(simulate(scene, chunk))
    return Reports(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Reports)})


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scene_of()


@pytest.fixture(scope="module")
def reports(scene: Scene) -> Reports:
    return joined(scene)


def same(a: Reports, b: Reports) -> bool:
    return all(getattr(a, f.name).tobytes() == getattr(b, f.name).tobytes() for f in fields(Reports))


def test_the_same_plan_gives_the_same_bytes_for_any_chunk_size(reports: Reports) -> None:
    assert same(reports, joined(scene_of(), chunk=7_777))


def test_another_seed_gives_other_reports(reports: Reports) -> None:
    assert not same(reports, joined(scene_of(seed=6)))


def test_chunks_have_the_asked_size_and_numbers_run_on(scene: Scene) -> None:
    parts = list(simulate(scene, 4_000))
    assert [len(p) for p in parts] == [4_000] * 6 + [1_000]
    number = np.concatenate([p.number for p in parts])
    repeated = np.concatenate([p.dirt for p in parts]) == DIRT_NAMES.index("repeated_row")
    assert (number + repeated == np.arange(1, 25_001)).all()


def test_a_life_runs_forward_and_ends_before_the_export(reports: Reports) -> None:
    assert reports.opened.min() >= START and reports.opened.max() < END
    given, ended = ~np.isnat(reports.assigned), ~np.isnat(reports.closed)
    assert (reports.assigned[given] >= reports.opened[given]).all()
    assert (reports.closed[ended] >= reports.assigned[ended]).all()
    assert reports.closed[ended].max() < END and reports.updated.max() < END
    assert (reports.updated >= reports.opened).all()
    assert 0.02 < (~ended).mean() < 0.2


def test_slow_elements_take_longer(reports: Reports) -> None:
    days = (reports.closed - reports.opened).astype(float) / 86400
    medians = [
        np.nanmedian(days[(reports.element == e) & ~np.isnat(reports.closed)]) for e in (0, 1, 2, 3, 4)
    ]
    assert medians == sorted(medians)


def test_reports_stay_within_reach_of_their_place(scene: Scene, reports: Reports) -> None:
    places = scene.world.places
    plain = ~reports.diverted & (reports.spot < 0)
    east = (reports.lon - places.lon[reports.place]) * METRES_PER_DEGREE * np.cos(np.radians(reports.lat))
    north = (reports.lat - places.lat[reports.place]) * METRES_PER_DEGREE
    assert (np.hypot(east, north)[plain] <= reach_m(scene.world)[reports.place][plain]).all()


def test_reports_do_not_cross_a_given_shore() -> None:
    places = replace(small_places(1), sea_bearing_deg=np.array([90.0]), shore_m=np.array([300.0]))
    world = build_world(places, ["أ"], np.random.default_rng(3))
    plan = Plan(3_000, START, END, seed=1)
    found = joined(prepare(world, small_habits(), plan))
    east = (found.lon - 50.0) * METRES_PER_DEGREE * np.cos(np.radians(places.lat[0]))
    assert east.max() <= 300 + 50  # a duplicate stands up to 50 m from the first report


def test_reports_gather_on_streets(scene: Scene, reports: Reports) -> None:
    world = scene.world
    first = (reports.incident == reports.number) & (reports.spot < 0)
    place = reports.place[first]
    east = (reports.lon[first] - world.places.lon[place]) * METRES_PER_DEGREE
    east = east * np.cos(np.radians(world.places.lat[place]))
    north = (reports.lat[first] - world.places.lat[place]) * METRES_PER_DEGREE
    cos, sin = np.cos(world.street_angle[place]), np.sin(world.street_angle[place])
    off = []
    for axis in (east * cos + north * sin, -east * sin + north * cos):
        turns = axis / world.street_gap_m[place] + world.street_phase[place]
        off.append(np.abs(turns - np.round(turns)) * world.street_gap_m[place])
    near = (np.minimum(*off) < 15).mean()
    assert near > 0.75  # by chance it would be about a half


def test_an_element_that_likes_the_centre_is_found_there(scene: Scene, reports: Reports) -> None:
    centre = scene.world.features[reports.place, 0]
    assert centre[reports.element == 0].mean() > centre[reports.element == 1].mean() + 0.2


def test_place_odds_follow_the_taste() -> None:
    world = build_world(small_places(), ["أ", "ب", "ج"], np.random.default_rng(2))
    odds = place_odds(world, np.array([[0.0] * 5, [1.0, 0, 0, 0, 0]]))
    share = np.diff(odds, axis=1, prepend=0)
    people = world.places.population / world.places.population.sum()
    assert np.allclose(share[0], people)
    ratio = share[1] / share[0]
    assert np.allclose(ratio / ratio[0], np.exp(world.features[:, 0] - world.features[0, 0]))


def test_seasons_fall_when_they_should() -> None:
    days = START + np.arange(731)
    strength = season_factors(days, np.random.default_rng(0))
    month = days.astype("datetime64[M]")
    mean = {s: strength[SEASONS.index(s)] for s in SEASONS}
    assert mean["summer"][month == np.datetime64("2024-07")].min() > 0.9
    assert mean["summer"][month == np.datetime64("2024-01")].max() == 0
    assert mean["rain"][month == np.datetime64("2024-07")].max() == 0 < mean["rain"].max()
    # Umm al-Qura: Ramadan 1445 began on 11 March 2024 and had 30 days.
    ramadan = days[(mean["ramadan"] == 1) & (days < np.datetime64("2025-01-01"))]
    assert str(ramadan[0]) == "2024-03-11" and len(ramadan) == 30
    assert strength.min() >= 0 and strength.max() <= 1


def test_duplicates_stand_near_the_first_report_within_days(reports: Reports) -> None:
    clean = reports.dirt == 0
    copy = np.flatnonzero((reports.incident != reports.number) & clean)
    assert 0.08 < len(copy) / len(reports) < 0.14
    first = reports.incident[copy] - 1
    keep = clean[first]
    copy, first = copy[keep], first[keep]
    assert (reports.element[copy] == reports.element[first]).all()
    east = (reports.lon[copy] - reports.lon[first]) * METRES_PER_DEGREE * np.cos(np.radians(26.3))
    north = (reports.lat[copy] - reports.lat[first]) * METRES_PER_DEGREE
    assert np.hypot(east, north).max() < 51
    wait = (reports.opened[copy] - reports.opened[first]).astype(float) / 86400
    assert wait.min() >= 0 and wait.max() <= 6


def test_chronic_spots_return_after_they_were_closed(scene: Scene, reports: Reports) -> None:
    assert len(scene.spots.centres) == CHRONIC_SPOTS + 1
    for spot in range(CHRONIC_SPOTS):
        mine = np.flatnonzero(reports.spot == spot)
        assert len(mine) > 15
        closings = np.unique(reports.closed[mine][~np.isnat(reports.closed[mine])])
        later = [(reports.opened[mine] > closing).any() for closing in closings[:-1]]
        assert len(closings) > 5 and all(later)


def test_the_emerging_spot_begins_late_and_grows(reports: Reports) -> None:
    opened = reports.opened[reports.spot == EMERGING].astype("datetime64[D]")
    assert opened.min() >= END - 120
    months = np.histogram((opened - (END - 120)).astype(int), bins=[0, 30, 60, 90, 120])[0]
    assert (np.diff(months) > 0).all()


def test_the_campaign_takes_its_share_of_reports_in_its_cells_and_months() -> None:
    scene = scene_of(reports=400_000)
    campaign = scene.plan.campaign
    assert campaign is not None
    with_effect = joined(scene)
    without = joined(scene_of(reports=400_000, campaign=replace(campaign, effect=0.0)))

    def hit(r: Reports, first: np.datetime64, last: np.datetime64) -> int:
        rows = (r.opened >= first) & (r.opened < last) & np.isin(r.element, campaign.elements) & (r.spot < 0)
        return int(np.isin(cells_of(r.lon[rows], r.lat[rows], 8), scene.treated).sum())

    ratio = hit(with_effect, campaign.end, campaign.effect_end) / hit(
        without, campaign.end, campaign.effect_end
    )
    assert abs(ratio - 0.65) < 0.04
    before = hit(with_effect, START, campaign.start) / hit(without, START, campaign.start)
    assert abs(before - 1) < 0.02
    assert with_effect.diverted.sum() > 300 and without.diverted.sum() == 0
    home = scene.world.places.municipality
    assert (home[with_effect.place[with_effect.diverted]] != campaign.municipality).all()


def test_one_row_in_two_hundred_has_a_planted_fault(reports: Reports) -> None:
    assert 0.004 < (reports.dirt > 0).mean() < 0.006
    wide = joined(scene_of(reports=100_000))
    assert set(np.unique(wide.dirt)) == set(range(len(DIRT_NAMES)))


def test_a_repeated_row_equals_the_row_before_it() -> None:
    wide = joined(scene_of(reports=100_000))
    again = np.flatnonzero(wide.dirt == DIRT_NAMES.index("repeated_row"))
    assert len(again) > 5
    for f in fields(Reports):
        if f.name != "dirt":
            column = getattr(wide, f.name)
            assert column[again].tobytes() == column[again - 1].tobytes()


def test_a_small_run_keeps_most_of_its_background() -> None:
    few = joined(scene_of(reports=500))
    assert len(few) == 500 and (few.spot >= 0).sum() <= 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reports": 0}, "reports must be at least 1"),
        ({"end": START + 10}, "shorter than 28 days"),
    ],
)
def test_an_impossible_plan_is_refused_with_its_reason(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        scene_of(**change)


def test_a_world_reports_all_its_faults_at_once() -> None:
    places = replace(small_places(), radius_m=np.zeros(30))
    with pytest.raises(InputError, match=r"radius.*municipality index"):
        build_world(places, ["أ"], np.random.default_rng(0))


def test_a_chunk_size_below_one_is_refused(scene: Scene) -> None:
    with pytest.raises(InputError, match="chunk size"):
        next(simulate(scene, 0))
