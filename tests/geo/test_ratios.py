"""The ratio of two Poisson rates: known cases, an independent library, and its own promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from geo.errors import InputError
from geo.ratios import dispersion, rate_ratio


@pytest.mark.parametrize(
    ("a", "b", "ta", "tb"), [(12, 7, 30, 30), (100, 80, 365, 365), (3, 0, 10, 5), (0, 4, 1, 2)]
)
def test_the_interval_is_that_of_clopper_and_pearson_for_the_share(
    a: int, b: int, ta: float, tb: float
) -> None:
    found = rate_ratio(a, b, ta, tb)
    share = binomtest(a, a + b).proportion_ci(0.95, method="exact")
    assert found.low == pytest.approx(share.low / (1 - share.low) * tb / ta)
    expected = math.inf if share.high == 1 else share.high / (1 - share.high) * tb / ta
    assert found.high == pytest.approx(expected)


def test_a_case_of_the_literature() -> None:
    """Breast cancer after fluoroscopy: 41 cases in 28,010 and 15 in 19,017 years (Boice and Monson 1977)."""
    found = rate_ratio(41, 15, 28_010, 19_017)
    assert found.ratio == pytest.approx(1.856, abs=5e-4)
    assert (found.low, found.high) == pytest.approx((1.005, 3.611), abs=2e-3)
    assert found.differs


def test_without_reports_nothing_is_known() -> None:
    found = rate_ratio(0, 0)
    assert math.isnan(found.ratio)
    assert (found.low, found.high) == (0, math.inf)
    assert not found.differs


@given(st.integers(0, 500), st.integers(0, 500), st.floats(1, 30))
def test_dispersion_widens_the_interval_and_keeps_the_ratio(a: int, b: int, scatter: float) -> None:
    narrow, wide = rate_ratio(a, b), rate_ratio(a, b, dispersion=scatter)
    assert wide.low <= narrow.low + 1e-12
    assert wide.high >= narrow.high - 1e-12
    assert wide.ratio == narrow.ratio or (math.isnan(wide.ratio) and math.isnan(narrow.ratio))


@given(st.integers(1, 500), st.integers(1, 500))
def test_turned_round_it_is_the_inverse(a: int, b: int) -> None:
    one, other = rate_ratio(a, b, 2, 3), rate_ratio(b, a, 3, 2)
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    pairs = zip(rng.poisson(30, 2_000), rng.poisson(20, 2_000), strict=True)
    inside = sum(found.low <= 1.5 <= found.high for found in (rate_ratio(a, b) for a, b in pairs))
    # Exact intervals hold at least 95 %; three standard errors of 2,000 draws are 1.5 %.
    assert 0.94 < inside / 2_000 < 0.99


def test_dispersion_is_variance_by_mean_around_each_series_own_mean() -> None:
    # Means 4 and 10; squares 4+0+4 and 4+4; X² = 8/4 + 8/10 = 2.8 with 3 degrees of freedom.
    assert dispersion([[2, 4, 6], [8, 12]]) == 1  # 0.93, and less than Poisson is not believed
    assert dispersion([[0, 8, 4]]) == pytest.approx(32 / 4 / 2)
    assert dispersion([[5], []]) == 1
    rng = np.random.default_rng(1)
    assert dispersion([rng.poisson(50, 400)]) == pytest.approx(1, abs=0.2)
    assert dispersion([3 * rng.poisson(50, 400)]) == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize("wrong", [(-1, 2, 1, 1), (1, -2, 1, 1), (1, 2, 0, 1), (1, 2, 1, -1)])
def test_what_is_no_count_is_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError):
        rate_ratio(*wrong)
