"""Breaks in the recording: planted ones are found, and series without one give few alarms."""

import functools

import numpy as np
import pytest

from geo.breaks import (
    FEWEST_STEPS,
    Null,
    Shift,
    compared,
    everywhere,
    level_shifts,
    recurs,
    same_direction,
    simulated_null,
)
from geo.errors import InputError

SLOW = 26


@functools.cache
def null(steps: int, memory: float) -> Null:
    return simulated_null(steps, memory, np.random.default_rng(1), slow=SLOW)


def shifts(counts: np.ndarray, exposure: np.ndarray | None = None, **more: object) -> tuple[Shift, ...]:
    base = np.full(len(counts), 7.0) if exposure is None else exposure
    return level_shifts(counts, base, functools.partial(null, len(counts)), slow=SLOW, **more)


def weeks(
    steps: int, rng: np.random.Generator, mean: float = 600, cv: float = 0.07, memory: float = 0.0
) -> np.ndarray:
    """Expected counts with noise beyond chance, and a memory of last week's."""
    noise = rng.standard_normal(steps)
    for i in range(1, steps):
        noise[i] = memory * noise[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    return mean * np.exp(cv * noise)


def shift(begin: int, end: int, steps: int, level: float) -> Shift:
    return Shift(begin, end, *compared(begin, end, steps), level, 1.0, 0.001)


NULLS = {
    "chance only": lambda rng: rng.poisson(500, 60),
    "weeks that vary": lambda rng: rng.poisson(weeks(60, rng, cv=0.15)),
    "a memory": lambda rng: rng.poisson(weeks(60, rng, cv=0.1, memory=0.4)),
    "steady growth": lambda rng: rng.poisson(weeks(60, rng) * np.linspace(0.5, 2, 60)),
    "a season": lambda rng: rng.poisson(
        weeks(60, rng) * np.exp(0.4 * np.sin(np.arange(60) / 52 * 2 * np.pi))
    ),
}


@pytest.mark.parametrize("kind", NULLS)
def test_series_without_a_break_give_an_alarm_at_most_as_often_as_stated(kind: str) -> None:
    rng = np.random.default_rng(21)
    alarms = sum(bool(shifts(NULLS[kind](rng))) for _ in range(300))
    # 5 % of 300 is 15; three standard errors more are 26.
    assert alarms <= 26


def test_shares_without_a_break_give_few_alarms() -> None:
    rng = np.random.default_rng(22)
    alarms = 0
    for _ in range(300):
        whole = rng.poisson(weeks(60, rng, cv=0.2))
        alarms += bool(shifts(rng.binomial(whole, 0.1), whole, share=True))
    assert alarms <= 26


@pytest.mark.parametrize(
    ("begin", "end", "factor"),
    [(40, 80, 1.7), (30, 80, 0.55), (25, 29, 0.5), (50, 52, 0.0), (60, 66, 1.6)],
    ids=["a new channel", "half the staff", "half a month loaded", "two weeks missing", "a campaign"],
)
def test_a_planted_shift_is_found_with_its_edges_and_size(begin: int, end: int, factor: float) -> None:
    hits = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        mean = weeks(80, rng)
        mean[begin:end] *= factor
        found = shifts(rng.poisson(mean))
        if found and abs(found[0].begin - begin) <= 1 and abs(found[0].end - end) <= 1:
            hits += 1
            assert found[0].level / found[0].expected == pytest.approx(factor, abs=0.2)
            assert found[0].p <= 0.05
    assert hits >= 8


def test_two_gaps_are_both_found() -> None:
    mean = weeks(104, np.random.default_rng(3), cv=0.05)
    mean[20:22] = 0
    mean[70:74] *= 0.4
    found = shifts(np.random.default_rng(4).poisson(mean))
    assert {(s.begin, s.end) for s in found} == {(20, 22), (70, 74)}


def test_two_shifts_side_by_side_are_not_compared_with_each_other() -> None:
    mean = weeks(80, np.random.default_rng(8), cv=0.04)
    mean[40:43] = 0
    mean[43:46] *= 0.5
    found = {(s.begin, s.end): s for s in shifts(np.random.default_rng(9).poisson(mean))}
    assert (40, 43) in found
    assert found[40, 43].expected == pytest.approx(600 / 7, rel=0.3)


def test_an_exchange_of_types_is_found_in_the_shares() -> None:
    rng = np.random.default_rng(5)
    whole = rng.poisson(weeks(80, rng))
    old = rng.binomial(whole, np.where(np.arange(80) < 33, 0.2, 0.0))
    (found,) = shifts(old, whole, share=True)
    assert (found.begin, found.end) == (33, 80)
    assert (found.level, found.expected) == (0.0, pytest.approx(0.2, abs=0.02))
    # The total did not change.
    assert shifts(whole) == ()


def test_a_step_in_a_series_without_noise_is_found() -> None:
    (found,) = shifts(np.where(np.arange(60) < 30, 100, 200))
    assert (found.begin, found.end, found.level, found.expected) == (30, 60, 200 / 7, 100 / 7)


@pytest.mark.parametrize("counts", [np.zeros(40), np.full(40, 12), np.arange(FEWEST_STEPS - 1)])
def test_nothing_to_find_is_found_in_zeros_constants_and_short_series(counts: np.ndarray) -> None:
    assert shifts(counts) == ()


def test_a_shift_is_everywhere_or_in_one_place() -> None:
    rng = np.random.default_rng(6)
    rates = rng.uniform(10, 60, 20)[:, None] * np.ones(60)
    rise = shift(30, 60, 60, 2.0)
    days = np.full((20, 60), 7.0)
    one = rates.copy()
    one[3, 30:] *= 30
    same, areas = same_direction(rng.poisson(one), days, rise)
    assert areas == 20
    assert not everywhere(same, areas)
    rates[:, 30:] *= 1.5
    same, areas = same_direction(rng.poisson(rates), days, rise)
    assert same >= 19
    assert everywhere(same, areas)


def test_areas_with_too_few_reports_have_no_say() -> None:
    counts = np.zeros((3, 40))
    counts[0] = 30
    counts[0, 20:] = 60
    counts[1, ::5] = 1
    assert same_direction(counts, np.full((3, 40), 7.0), shift(20, 40, 40, 2.0)) == (1, 1)
    assert not everywhere(1, 1)
    assert not everywhere(0, 0)


def test_a_dip_of_every_year_recurs_and_one_of_this_year_does_not() -> None:
    counts = np.full(120, 500.0)
    counts[30:34] = 250
    dip = shift(30, 34, 120, 0.5)
    days = np.full(120, 7.0)
    assert not recurs(counts, days, dip, year=52)
    # Half as deep and two weeks earlier, as a moving holiday is.
    counts[80:84] = 330
    assert recurs(counts, days, dip, year=52)
    assert not recurs(counts[:70], days[:70], dip, year=52)


def test_p_is_counted_and_beyond_the_simulations_follows_their_tail() -> None:
    found = null(60, 0.0)
    middle = float(np.median(found.maxima))
    assert found.p(middle) == pytest.approx(0.5, abs=0.01)
    far = float(found.maxima[-1]) * 2
    assert 0 < found.p(far) < 1 / (1 + len(found.maxima))
    ps = [found.p(x) for x in np.linspace(0, far, 200)]
    assert ps == sorted(ps, reverse=True)


def test_a_memory_makes_the_same_shift_less_surprising() -> None:
    assert null(60, 0.6).p(20.0) > null(60, 0.0).p(20.0)


@pytest.mark.parametrize(
    ("counts", "exposure", "share"),
    [
        ([1.0] * 12, [1.0] * 11, False),
        ([-1.0] * 12, [1.0] * 12, False),
        ([np.nan] * 12, [1.0] * 12, False),
        ([2.0] * 12, [1.0] * 12, True),
    ],
)
def test_series_that_cannot_be_are_refused(counts: list, exposure: list, share: bool) -> None:
    with pytest.raises(InputError):
        level_shifts(counts, exposure, functools.partial(null, 12), slow=SLOW, share=share)
