"""Mann-Kendall and Sen: by hand, and equal to pymannkendall and SciPy, ties and constants too."""

import numpy as np
import pymannkendall
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from geo import kendall
from geo.errors import InputError
from geo.kendall import mann_kendall, sens_slope

SERIES = {
    "noise": lambda rng: rng.standard_normal((40, 36)),
    "many ties": lambda rng: rng.integers(0, 3, (40, 24)).astype(float),
    "trend with ties": lambda rng: np.round(np.arange(12) / 3 + rng.normal(0, 1, (40, 12))),
    "constant": lambda rng: np.full((2, 9), 4.0),
    "even number of slopes": lambda rng: rng.poisson(2, (40, 9)).astype(float),
    "two steps": lambda rng: rng.integers(0, 2, (6, 2)).astype(float),
    "memory of the last step": lambda rng: np.cumsum(rng.standard_normal((40, 30)), axis=1),
}


def test_four_steps_by_hand() -> None:
    # 1 2 2 4: five pairs rise, one is tied; variance (4·3·13 − 2·1·9) / 18 = 138/18.
    found = mann_kendall([[1.0, 2.0, 2.0, 4.0]])
    assert found.s.tolist() == [5]
    assert found.variance[0] == pytest.approx(138 / 18)
    assert found.z[0] == pytest.approx(4 / np.sqrt(138 / 18))
    assert found.p[0] == pytest.approx(2 * stats.norm.sf(found.z[0]))
    assert found.tau[0] == pytest.approx(5 / 6)
    # The six slopes: 1, 1/2, 1, 0, 1, 2; their middle two are 1 and 1.
    assert sens_slope([[1.0, 2.0, 2.0, 4.0]])[0] == 1.0


@pytest.mark.parametrize("kind", SERIES)
def test_the_test_and_the_slope_are_those_of_pymannkendall(kind: str) -> None:
    series = SERIES[kind](np.random.default_rng(7))
    found, slopes = mann_kendall(series), sens_slope(series)
    for i, row in enumerate(series):
        expected = pymannkendall.original_test(row)
        assert found.s[i] == expected.s
        own = (found.variance[i], found.z[i], found.p[i], found.tau[i], slopes[i])
        theirs = (expected.var_s, expected.z, expected.p, expected.Tau, expected.slope)
        assert own == pytest.approx(theirs, abs=1e-9)
        ways = {"increasing": 1, "decreasing": -1, "no trend": 0}
        assert found.direction(0.05)[i] == ways[expected.trend]


@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt")
@pytest.mark.parametrize("kind", ["noise", "memory of the last step", "trend with ties"])
def test_the_variance_for_autocorrelation_is_that_of_hamed_and_rao(kind: str) -> None:
    series = SERIES[kind](np.random.default_rng(11))
    found, plain = mann_kendall(series, autocorrelated=True), mann_kendall(series)
    for i, row in enumerate(series):
        expected = pymannkendall.hamed_rao_modification_test(row)
        if expected.var_s > 0:
            assert (found.variance[i], found.z[i]) == pytest.approx((expected.var_s, expected.z), abs=1e-9)
        else:  # their factor is negative: the variance stays as it was
            assert found.variance[i] == plain.variance[i]


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=st.integers(-3, 3)))
def test_turning_a_series_upside_down_or_round_turns_the_trend(series: np.ndarray) -> None:
    found, slopes = mann_kendall(series), sens_slope(series)
    for other in (-series, series[:, ::-1]):
        assert np.array_equal(mann_kendall(other).z, -found.z)
        assert np.allclose(sens_slope(other), -slopes)
    # Any rising change of scale leaves the test alone: it knows ranks only.
    assert np.array_equal(mann_kendall(series**3 + 2 * series).s, found.s)


def test_tau_without_ties_is_that_of_scipy() -> None:
    series = np.random.default_rng(3).standard_normal((20, 15))
    expected = [stats.kendalltau(np.arange(15), row).statistic for row in series]
    assert mann_kendall(series).tau == pytest.approx(expected, abs=1e-12)


def test_a_constant_series_has_no_trend() -> None:
    found = mann_kendall(np.zeros((3, 12)))
    assert (found.z.tolist(), found.p.tolist(), found.variance.tolist()) == ([0] * 3, [1] * 3, [0] * 3)
    assert mann_kendall(np.zeros((3, 12)), autocorrelated=True).p.tolist() == [1] * 3


def test_with_four_steps_no_trend_is_significant_and_with_five_one_is() -> None:
    assert mann_kendall([np.arange(4.0)]).direction(0.05)[0] == 0
    assert mann_kendall([np.arange(5.0)]).direction(0.05)[0] == 1


def test_on_series_without_a_trend_the_test_errs_at_its_level() -> None:
    found = mann_kendall(np.random.default_rng(5).poisson(3, (20_000, 24)).astype(float))
    share = np.count_nonzero(found.p < 0.05) / len(found.p)
    assert share == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 20_000) + 0.003)


def test_working_in_small_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    series = np.random.default_rng(9).integers(0, 5, (50, 10)).astype(float)
    whole = (mann_kendall(series, autocorrelated=True), sens_slope(series))
    monkeypatch.setattr(kendall, "_BLOCK_BYTES", 1)
    parts = (mann_kendall(series, autocorrelated=True), sens_slope(series))
    assert np.array_equal(whole[0].z, parts[0].z)
    assert np.array_equal(whole[1], parts[1])


def test_no_series_give_no_answers() -> None:
    assert mann_kendall(np.zeros((0, 5))).z.shape == sens_slope(np.zeros((0, 5))).shape == (0,)


@pytest.mark.parametrize("series", [[1.0, 2.0], [[1.0]], [[1.0, np.nan]], [[1.0, np.inf]]])
def test_what_is_no_series_without_gaps_is_refused(series: list) -> None:
    with pytest.raises(InputError):
        mann_kendall(series)
    with pytest.raises(InputError):
        sens_slope(series)
