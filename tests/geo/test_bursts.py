"""Floods: a planted day is found, busy places and habits are not, and FDR holds on null data."""

import numpy as np
import pytest

from geo.bursts import bursts
from geo.errors import InputError


def history(rates: np.ndarray, days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Group and day of each report, with ``rates`` (g,) a day."""
    counts = rng.poisson(rates[:, None], (len(rates), days))
    group, day = np.nonzero(counts)
    times = counts[group, day]
    return np.repeat(group, times), np.repeat(day, times)


def test_a_flood_is_found_and_only_the_flood() -> None:
    rng = np.random.default_rng(1)
    group, day = history(rng.gamma(0.5, 0.4, 400), 365, rng)
    group, day = np.append(group, np.full(25, 7)), np.append(day, np.full(25, 200))
    found = bursts(group, day, 365)
    assert (found.groups.tolist(), found.days.tolist()) == ([7], [200])
    assert found.counts[0] >= 25
    assert found.q[0] < 1e-6
    others = np.count_nonzero(group == 7) - found.counts[0]
    assert found.usual[0] == pytest.approx(others / 364, rel=0.2, abs=0.01)


def test_a_place_that_is_always_busy_is_not_flooded() -> None:
    rng = np.random.default_rng(2)
    group, day = history(np.r_[np.full(300, 0.05), 15.0], 365, rng)
    assert len(bursts(group, day, 365).days) == 0


def test_a_place_without_any_other_report_can_be_flooded() -> None:
    rng = np.random.default_rng(3)
    group, day = history(np.full(200, 0.05), 365, rng)
    group, day = np.append(group, np.full(12, 999)), np.append(day, np.full(12, 10))
    found = bursts(group, day, 365)
    assert found.groups.tolist() == [999]
    assert found.usual[0] > 0


def test_where_reports_come_in_clumps_a_larger_one_is_needed() -> None:
    rng = np.random.default_rng(4)
    group, day = history(np.full(300, 0.05), 300, rng)
    flood = (np.append(group, np.full(11, 3)), np.append(day, np.full(11, 100)))
    assert len(bursts(*flood, 300).days) == 1
    clumped = (np.repeat(flood[0][:-11], 4), np.repeat(flood[1][:-11], 4))
    clumped = (np.append(clumped[0], np.full(11, 3)), np.append(clumped[1], np.full(11, 100)))
    assert len(bursts(*clumped, 300).days) == 0


def test_on_null_data_there_is_almost_never_a_flood() -> None:
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        rates = rng.gamma(0.5, 1.0, 60)
        # Days vary as well, more than chance: a negative binomial of size 3.
        counts = rng.poisson(rates[:, None] * rng.gamma(3, 1 / 3, (60, 200)))
        group, day = np.nonzero(counts)
        times = counts[group, day]
        found += bool(len(bursts(np.repeat(group, times), np.repeat(day, times), 200).days))
    assert found <= 2


def test_no_reports_have_no_flood() -> None:
    assert len(bursts([], [], 30).days) == 0


@pytest.mark.parametrize(
    ("groups", "days", "length"), [([1], [1, 2], 5), ([1], [5], 5), ([-1], [0], 5), ([0], [0], 1)]
)
def test_what_does_not_fit_is_refused(groups: list, days: list, length: int) -> None:
    with pytest.raises(InputError):
        bursts(groups, days, length)
