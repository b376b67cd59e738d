"""The 17 patterns: a history for each by hand, all short histories, planted growth."""

from itertools import product

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import false_discovery_control, norm

from geo.cells import cells_covering
from geo.errors import Cancelled, InputError
from geo.hotspots import fdr
from geo.neighbours import Neighbourhood, neighbourhood
from geo.trends import TO_COLD, Pattern, _significant, classify, emerging_hot_spots

# A history a row: + hot, - cold, . neither; and whether z rises, falls or neither.
BY_HAND = {
    Pattern.HOT_NEW: [(".........+", 0), ("--------.+", 0), ("----------------------+", 1), ("+", 0)],
    Pattern.HOT_CONSECUTIVE: [("........++", 1), ("..++++++++", 0), ("-.......++", 0)],
    Pattern.HOT_INTENSIFYING: [("++++++++++", 1), (".+++++++++", 1), ("-+++++++++", 1), ("++", 1)],
    Pattern.HOT_PERSISTENT: [("++++++++++", 0), (".+++++++++", 0), ("++++.+++++++++++++++", 0)],
    Pattern.HOT_DIMINISHING: [("++++++++++", -1), ("++++.+++++", -1)],
    Pattern.HOT_SPORADIC: [("+..+..++.+", 0), ("+..+......", 0), ("...+......", 0), ("++++++++.", 0)],
    Pattern.HOT_OSCILLATING: [("-..+..++.+", 0), ("+-------.+", 0), ("+-+", 0)],
    Pattern.HOT_HISTORICAL: [("+++++++++.", 0), ("+++++++++.", -1), ("-++++++++++++++++++.", 1)],
    Pattern.NONE: [("..........", 0), ("..........", 1), ("+..-......", 0), ("-+-+-+-+-.", 0)],
}
MARKS = {"+": 1, "-": -1, ".": 0}


def one(history: str, way: int) -> Pattern:
    marks = np.array([[MARKS[mark] for mark in history]])
    return Pattern(int(classify(marks > 0, marks < 0, np.array([way]))[0]))


@pytest.mark.parametrize(
    ("pattern", "history", "way"), [(p, h, w) for p, cases in BY_HAND.items() for h, w in cases]
)
def test_a_history_worked_by_hand_has_its_pattern_and_its_mirror_the_cold_one(
    pattern: Pattern, history: str, way: int
) -> None:
    assert one(history, way) is pattern
    mirrored = Pattern(pattern + TO_COLD) if pattern else Pattern.NONE
    assert one(history.translate(str.maketrans("+-", "-+")), -way) is mirrored


def test_the_last_step_speaks_first() -> None:
    # Hot in 18 of 20 steps, and cold now: a new cold spot, not a historical hot one.
    assert one("++++++++++++++++++.-", 0) is Pattern.COLD_NEW
    assert one("+++++++++++++++++++-", -1) is Pattern.COLD_NEW
    assert one("------------------.+", 0) is Pattern.HOT_NEW


def definitions(marks: tuple[int, ...], way: int) -> set[str]:
    """Every hot pattern whose definition a history meets, read from the issue word by word."""
    t, hot = len(marks), [m > 0 for m in marks]
    now, cold_before = hot[-1], any(m < 0 for m in marks[:-1])
    share = 10 * sum(hot) >= 9 * t
    first = hot.index(True) if any(hot) else t
    met = {
        "NEW": now and sum(hot) == 1,
        "CONSECUTIVE": now and all(hot[first:]) and not share and sum(hot) > 1,
        "INTENSIFYING": share and now and way > 0,
        "PERSISTENT": share and way == 0,
        "DIMINISHING": share and now and way < 0,
        "SPORADIC": any(hot) and not share and all(m >= 0 for m in marks),
        "OSCILLATING": now and cold_before and not share,
        "HISTORICAL": share and not now,
    }
    return {name for name, yes in met.items() if yes}


@pytest.mark.parametrize("t", [1, 2, 3, 5, 8])
def test_every_history_has_one_pattern_that_it_meets_and_none_only_when_it_meets_none(t: int) -> None:
    histories = [marks for marks in product((1, -1, 0), repeat=t) for _ in range(3)]
    ways = np.tile([1, 0, -1], len(histories) // 3)
    marks = np.array(histories)
    found = classify(marks > 0, marks < 0, ways)
    mirrored = classify(marks < 0, marks > 0, -ways)
    assert np.array_equal(mirrored, np.where(found == 0, 0, (found + 7) % 16 + 1))
    for history, way, code in zip(histories, ways.tolist(), found.tolist(), strict=True):
        hot = {f"HOT_{name}" for name in definitions(history, way)}
        cold = {f"COLD_{name}" for name in definitions(tuple(-m for m in history), -way)}
        assert (Pattern(code).name in hot | cold) if code else not (hot | cold), (history, way)


def test_long_random_histories_have_a_pattern_that_they_meet() -> None:
    rng = np.random.default_rng(4)
    shares = rng.dirichlet([0.6, 0.3, 0.3], 3000)
    marks = np.array([rng.choice([1, -1, 0], 24, p=p) for p in shares])
    ways = rng.integers(-1, 2, len(marks))
    found = classify(marks > 0, marks < 0, ways)
    seen = set()
    for history, way, code in zip(marks.tolist(), ways.tolist(), found.tolist(), strict=True):
        hot = {f"HOT_{name}" for name in definitions(tuple(history), way)}
        cold = {f"COLD_{name}" for name in definitions(tuple(-m for m in history), -way)}
        assert (Pattern(code).name in hot | cold) if code else not (hot | cold)
        seen.add(code)
    assert len(seen) >= 12


@pytest.mark.parametrize("t", range(1, 30))
def test_historical_is_impossible_below_ten_steps(t: int) -> None:
    assert (one("+" * (t - 1) + ".", 0) is Pattern.HOT_HISTORICAL) == (t >= 10)


def test_a_step_that_is_hot_and_cold_or_a_shape_that_does_not_fit_is_refused() -> None:
    yes = np.ones((2, 3), dtype=bool)
    for hot, cold, way in [
        (yes, yes, [0, 0]),
        (yes, ~yes, [0]),
        (yes, ~yes[:, :2], [0, 0]),
        (yes[0], ~yes[0], 0),
    ]:
        with pytest.raises(InputError):
            classify(hot, cold, np.array(way))
    with pytest.raises(InputError):
        classify(np.zeros((2, 0)), np.zeros((2, 0)), np.zeros(2))


# ---- from counts to patterns ----


@pytest.fixture(scope="module")
def city() -> Neighbourhood:
    return neighbourhood(cells_covering(shapely.box(50.0, 26.3, 50.12, 26.42), 8))


def planted(city: Neighbourhood, t: int, course: np.ndarray, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scattered counts with one disk in the middle whose rate follows ``course`` (t,)."""
    rng = np.random.default_rng(seed)
    rate = np.full((len(city.cells), t), 4.0)
    middle = np.flatnonzero(~city.edge)[np.count_nonzero(~city.edge) // 2]
    disk = city.matrix[[middle]].nonzero()[1]
    rate[disk] = course
    return rng.poisson(rate), np.array([middle])


COURSES = {
    Pattern.HOT_NEW: np.r_[np.full(23, 4.0), 30.0],
    Pattern.HOT_CONSECUTIVE: np.r_[np.full(18, 4.0), np.full(6, 30.0)],
    Pattern.HOT_INTENSIFYING: np.linspace(15, 120, 24),
    Pattern.HOT_DIMINISHING: np.linspace(120, 15, 24),
    Pattern.HOT_HISTORICAL: np.r_[np.full(23, 30.0), 4.0],
    Pattern.HOT_SPORADIC: np.where(np.arange(24) % 4 == 1, 30.0, 4.0),
}


@pytest.mark.parametrize("pattern", COURSES)
def test_a_planted_course_is_recognised(city: Neighbourhood, pattern: Pattern) -> None:
    counts, middle = planted(city, 24, COURSES[pattern])
    found = emerging_hot_spots(counts, city)
    assert Pattern(int(found.patterns[middle[0]])) is pattern
    far = np.ones(len(city.cells), dtype=bool)
    far[(city.matrix @ city.matrix[[int(middle[0])]].T.toarray().ravel()) > 0] = False
    assert np.count_nonzero(found.patterns[far]) <= 3


def test_the_parts_are_gi_star_fdr_and_kendall(city: Neighbourhood) -> None:
    counts, _ = planted(city, 12, np.linspace(4, 60, 12))
    found = emerging_hot_spots(counts, city, null="normal", level=0.1)
    dense = city.matrix.toarray()
    n, w = len(dense), dense.sum(axis=1)
    for step in (0, 11):
        x = counts[:, step].astype(float)
        z = (dense @ x - w * x.mean()) / (x.std() * np.sqrt((n * w - w**2) / (n - 1)))
        assert found.z[:, step] == pytest.approx(z, abs=1e-9)
        sure = false_discovery_control(2 * norm.sf(np.abs(z))) <= 0.1
        assert np.array_equal(found.hot[:, step], sure & (z > 0))
        assert np.array_equal(found.cold[:, step], sure & (z < 0))
    assert found.whole.s[0] == sum(
        np.sign(b - a) for i, a in enumerate(counts.sum(0)) for b in counts.sum(0)[i + 1 :]
    )


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 12), st.integers(1, 4)), elements=st.floats(0, 1)),
    st.floats(0.01, 0.5),
)
def test_finds_are_those_of_fdr_ties_included(p: np.ndarray, level: float) -> None:
    assert np.array_equal(_significant(p, level), fdr(p, axis=0) <= level)


def test_scattered_reports_give_almost_no_patterns(city: Neighbourhood) -> None:
    rng = np.random.default_rng(12)
    shares = []
    for _ in range(10):
        found = emerging_hot_spots(rng.poisson(0.3, (len(city.cells), 24)), city)
        shares.append(np.count_nonzero(found.patterns) / len(city.cells))
    # At most one step in twenty has a false find, which then touches a few cells.
    assert np.mean(shares) < 0.03


def test_a_city_that_grows_everywhere_alike_has_a_trend_but_no_hot_spot(city: Neighbourhood) -> None:
    found = emerging_hot_spots(np.tile(np.arange(1, 13), (len(city.cells), 1)), city)
    assert not found.patterns.any()
    assert not found.z.any()
    assert found.whole.p[0] < 0.001
    assert found.whole_slope == len(city.cells)


def test_a_tick_is_told_and_can_stop_the_work(city: Neighbourhood) -> None:
    counts, _ = planted(city, 6, np.full(6, 4.0))
    told: list[float] = []
    emerging_hot_spots(counts, city, tick=told.append)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)

    def stop(done: float) -> None:
        if done > 0.3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        emerging_hot_spots(counts, city, tick=stop)


@pytest.mark.parametrize("wrong", ["rows", "gap", "level", "steps"])
def test_counts_that_do_not_fit_are_refused(city: Neighbourhood, wrong: str) -> None:
    counts = np.ones((len(city.cells), 4))
    if wrong == "gap":
        counts[0, 0] = np.nan
    with pytest.raises(InputError):
        emerging_hot_spots(
            {"rows": counts[1:], "steps": counts[:, :1]}.get(wrong, counts),
            city,
            level=1.5 if wrong == "level" else 0.05,
        )
