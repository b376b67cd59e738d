"""Day plans: hours hold, sites come once, and small ones are as good as trying everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import InputError
from geo.rounds import Rounds, Shift, rounds


def town(n: int, seed: int, side_km: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Metres between a base in the middle and n sites, minutes at 3 a km, and places."""
    rng = np.random.default_rng(seed)
    km = np.vstack(([[side_km / 2] * 2], rng.uniform(0, side_km, (n, 2))))
    metres = 1000 * np.hypot(*(km[:, None] - km[None]).transpose(2, 0, 1))
    return metres, metres * 3 / 1000, km[1:]


def tours(found: Rounds, shifts: int) -> list[list[int]]:
    return [
        sorted(np.flatnonzero(found.shift == k).tolist(), key=lambda i: found.order[i]) for k in range(shifts)
    ]


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(0, 70),
    days=st.integers(1, 4),
    hours=st.sampled_from([1.5, 4.0]),
    seed=st.integers(0, 10_000),
)
def test_no_day_exceeds_its_hours_and_no_site_comes_twice(n: int, days: int, hours: float, seed: int) -> None:
    metres, travel, places = town(n, seed)
    rng = np.random.default_rng(seed)
    service, value = rng.uniform(1, 30, n), rng.uniform(0, 3, n)
    shifts = [Shift(day, 0.0, 60 * hours) for day in range(1, days)] + [Shift(days, 60.0, 60 * hours)]
    found = rounds(travel, metres, service, value, places, shifts)
    for k, tour in enumerate(tours(found, days)):
        at, stop = shifts[k].opens, 0
        driven = 0.0
        for turn, site in enumerate(tour, 1):
            at += travel[stop, site + 1]
            driven += metres[stop, site + 1]
            assert found.order[site] == turn
            assert found.arrive[site] == pytest.approx(at)
            at, stop = at + service[site], site + 1
        driven += metres[stop, 0]
        at += travel[stop, 0]
        assert found.metres[k] == pytest.approx(driven)
        assert found.minutes[k] == pytest.approx(at - shifts[k].opens)
        assert at <= shifts[k].closes + 1e-6
    assert ((found.shift >= 0) == (found.order > 0)).all()
    assert (np.isnan(found.arrive) == (found.shift < 0)).all()


def best_by_trying(
    travel: np.ndarray, service: np.ndarray, value: np.ndarray, minutes: float
) -> tuple[float, float]:
    """Most value, and the least travel at that value, of two days of so many minutes."""
    n = len(service)
    shortest = {(): 0.0}
    for k in range(1, n + 1):
        for chosen in itertools.combinations(range(n), k):
            ways = [[0, *(i + 1 for i in order), 0] for order in itertools.permutations(chosen)]
            shortest[chosen] = min(sum(travel[a, b] for a, b in itertools.pairwise(way)) for way in ways)
    fits = {c: t for c, t in shortest.items() if t + service[list(c)].sum() <= minutes}
    best = (0.0, 0.0)
    for one, other in itertools.combinations_with_replacement(fits, 2):
        if not set(one) & set(other):
            worth = value[list(one)].sum() + value[list(other)].sum()
            best = max(best, (worth, -fits[one] - fits[other]))
    return best[0], -best[1]


@pytest.mark.parametrize(("seed", "minutes"), [(1, 200.0), (2, 60.0), (3, 45.0), (4, 80.0)])
def test_six_sites_are_planned_as_well_as_by_trying_all_orders(seed: int, minutes: float) -> None:
    metres, travel, places = town(6, seed)
    travel = np.ceil(travel * 60) / 60  # the solver counts whole seconds
    service = np.array([10.0, 20, 15, 10, 25, 12])
    value = np.array([100.0, 40, 70, 55, 90, 30])
    shifts = [Shift(1, 0, minutes), Shift(2, 0, minutes)]
    found = rounds(travel, metres, service, value, places, shifts)
    worth, way = best_by_trying(travel, service, value, minutes)
    assert value[found.shift >= 0].sum() == worth
    done = [float(service[tour].sum()) for tour in tours(found, 2)]
    assert found.minutes.sum() - sum(done) == pytest.approx(way)


def test_sites_of_most_value_are_kept_and_come_first() -> None:
    metres, travel, places = town(120, 7)
    value = np.where(np.arange(120) % 6 == 0, 3.0, 0.2)  # 20 of 120
    shifts = [Shift(day, 0, 240) for day in (1, 2, 3)]  # about 45 fit
    found = rounds(travel, metres, np.full(120, 12.0), value, places, shifts)
    kept = found.shift >= 0
    assert 30 < kept.sum() < 60
    assert kept[value == 3.0].all()
    per_day = [value[found.shift == k].sum() for k in range(3)]
    assert per_day == sorted(per_day, reverse=True)


def test_the_same_sites_give_the_same_rounds() -> None:
    metres, travel, places = town(130, 3)
    shifts = [Shift(day, 0, 360) for day in range(1, 8)]
    ask = (travel, metres, np.full(130, 12.0), np.linspace(1, 2, 130), places, shifts)
    first, second = rounds(*ask), rounds(*ask)
    assert (first.shift == second.shift).all() and (first.order == second.order).all()
    assert (first.shift >= 0).all()  # 130 sites of 12 minutes are four to five days' work


def test_a_site_longer_than_a_day_has_no_day() -> None:
    metres, travel, places = town(3, 1)
    found = rounds(travel, metres, np.array([10.0, 500, 10]), np.ones(3), places, [Shift(1, 0, 360)])
    assert found.shift.tolist() == [0, -1, 0]


def test_sites_without_times_between_them_are_refused() -> None:
    with pytest.raises(InputError, match="2 by 2"):
        rounds(np.zeros((3, 3)), np.zeros((3, 3)), [1.0], [1.0], [[0.0, 0.0]], [Shift(1, 0, 60)])
