"""Incidents: equal to a plain loop, bounded where ST-DBSCAN chains, whatever the order of the reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Transformer
from sklearn.cluster import DBSCAN

from geo.errors import Cancelled, InputError
from geo.incidents import first_reports, lives, places

NAN = float("nan")


def plain(
    x: NDArray,
    y: NDArray,
    t: NDArray,
    kind: NDArray,
    ids: NDArray,
    metres: NDArray,
    days: NDArray,
    closed: NDArray,
) -> NDArray:
    """The rule, report by report."""
    answer = np.arange(len(t))
    leads: list[int] = []
    for i in np.lexsort((ids, t)):
        reach: list[tuple[float, int, int]] = []
        for rank, lead in enumerate(leads):
            away = (x[i] - x[lead]) ** 2 + (y[i] - y[lead]) ** 2
            late = t[i] > t[lead] + days[lead] or (closed[lead] >= t[lead] and t[i] > closed[lead])
            if kind[lead] == kind[i] and away <= metres[lead] ** 2 and not late:
                wait = (t[i] - t[lead]) / max(days[lead], 1e-9)
                reach.append((away / metres[lead] ** 2 + wait**2, rank, lead))
        if reach:
            answer[i] = min(reach)[2]
        else:
            leads.append(int(i))
    return answer


def a_city(seed: int, n: int, side: float) -> tuple[tuple[NDArray, ...], dict[str, NDArray]]:
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    t = rng.uniform(0, 60, n) if seed % 2 else rng.integers(0, 60, n).astype(float)
    closed = np.where(rng.random(n) < 0.5, t + rng.exponential(6, n) - 1, NAN)
    reach = {
        "metres": np.array([50.0, 30.0, 80.0])[kind],
        "days": np.array([14.0, 3.0, np.inf])[kind],
        "closed": closed,
    }
    return (rng.uniform(0, side, n), rng.uniform(0, 200, n), t, kind, rng.permutation(n)), reach


def test_a_later_report_close_by_joins_and_others_do_not() -> None:
    x = np.array([0.0, 30, 51, 0, 0, 10])
    t = np.array([0.0, 3, 3, 15, 3, 14])
    kind = np.array([1, 1, 1, 1, 2, 1])
    leads = first_reports(x, np.zeros(6), t, kind, np.arange(6))
    # 1 is near, 2 too far away, 3 too late, 4 of another kind, 5 on the last day.
    assert leads.tolist() == [0, 0, 2, 3, 4, 0]


def test_a_chain_does_not_grow_beyond_the_reach_of_its_first_report() -> None:
    # A report every 40 m and 10 days: ST-DBSCAN makes one incident of 950 m and 8 months of it.
    x, t = 40.0 * np.arange(25), 10.0 * np.arange(25)
    ids = np.arange(25)
    chained = DBSCAN(eps=1.0, min_samples=1, metric="chebyshev").fit(np.c_[x / 50, t / 14]).labels_
    assert len(set(chained.tolist())) == 1
    leads = first_reports(x, np.zeros(25), t, np.zeros(25), ids)
    assert (np.abs(x - x[leads]) <= 50).all() and (t - t[leads] <= 14).all()
    assert leads.tolist() == (ids // 2 * 2).tolist()


def test_what_is_reported_after_the_closing_is_something_new() -> None:
    t, closed = np.array([0.0, 2, 4, 5]), np.array([3.0, NAN, 4.5, NAN])
    leads = first_reports(np.zeros(4), np.zeros(4), t, np.zeros(4), np.arange(4), closed=closed)
    assert leads.tolist() == [0, 0, 2, 3]
    # A closing before the opening says nothing.
    assert first_reports([0, 0], [0, 0], [5, 6], [1, 1], [0, 1], closed=[4, NAN]).tolist() == [0, 0]


def test_a_report_between_two_incidents_joins_the_nearer_one() -> None:
    leads = first_reports([0.0, 70, 30, 45], np.zeros(4), [0, 0, 1, 1], np.zeros(4), [3, 4, 5, 6])
    assert leads.tolist() == [0, 1, 0, 1]
    # Equally near: the earlier one; at equal times the smaller id.
    assert first_reports([0, 80, 40], [0, 0, 0], [0, 0, 0], [1, 1, 1], [7, 2, 9]).tolist() == [0, 1, 1]


def test_equal_times_are_settled_by_the_smallest_id() -> None:
    assert first_reports([0, 0], [0, 0], [1, 1], [0, 0], [9, 4]).tolist() == [1, 1]


def test_reports_without_a_place_or_time_are_incidents_of_their_own() -> None:
    leads = first_reports([0, NAN, 0, 0], [0, 0, np.inf, 0], [0, 0, 0, NAN], [1] * 4, [1, 2, 3, 4])
    assert leads.tolist() == [0, 1, 2, 3]
    assert first_reports([], [], [], [], []).tolist() == []


@pytest.mark.parametrize("seed", range(40))
def test_the_rounds_give_what_a_plain_loop_gives(seed: int) -> None:
    n, side = (1, 40, 120)[seed % 3], (10.0, 150.0, 900.0)[seed // 3 % 3]
    (x, y, t, kind, ids), reach = a_city(seed, n, side)
    np.testing.assert_array_equal(
        first_reports(x, y, t, kind, ids, **reach),
        plain(x, y, t, kind, ids, reach["metres"], reach["days"], reach["closed"]),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 80), st.floats(5, 600))
def test_the_answer_does_not_depend_on_the_order_of_the_reports(seed: int, n: int, side: float) -> None:
    (x, y, t, kind, ids), reach = a_city(seed, n, side)
    leads = first_reports(x, y, t, kind, ids, **reach)
    mixed = np.random.default_rng(seed).permutation(n)
    again = first_reports(
        *(values[mixed] for values in (x, y, t, kind, ids)),
        **{name: values[mixed] for name, values in reach.items()},
    )
    np.testing.assert_array_equal(mixed[again], leads[mixed])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 80), st.floats(5, 600))
def test_an_incident_is_part_of_one_cluster_of_st_dbscan(seed: int, n: int, side: float) -> None:
    (x, y, t, _, ids), _ = a_city(seed, n, side)
    leads = first_reports(x, y, t, np.zeros(n), ids)
    near = (np.hypot(x[:, None] - x, y[:, None] - y) <= 50) & (np.abs(t[:, None] - t) <= 14)
    labels = DBSCAN(eps=0.5, min_samples=1, metric="precomputed").fit(1.0 - near).labels_
    np.testing.assert_array_equal(labels, labels[leads])
    # And first reports are out of each other's reach, so no incident could have been avoided.
    first = np.flatnonzero(leads == np.arange(n))
    assert not (near[np.ix_(first, first)] & ~np.eye(len(first), dtype=bool)).any()


def test_a_pile_of_reports_on_one_spot_is_an_incident_every_fourteen_days() -> None:
    n = 20_000
    t = np.linspace(0, 700, n)
    leads = first_reports(np.zeros(n), np.zeros(n), t, np.zeros(n), np.arange(n))
    assert len(np.unique(leads)) == 50


def test_the_course_of_an_incident_is_that_of_its_first_report_or_of_the_last_to_be_closed() -> None:
    leads = np.array([0, 0, 2, 2, 4, 4, 4])
    t = np.array([0.0, 1, 0, 5, 0, 2, 6])
    closed = np.array([4.0, 9, NAN, 8, NAN, 3, NAN])
    found = lives(leads, t, closed)
    assert found.first.tolist() == [0, 2, 4]
    assert found.reports.tolist() == [2, 2, 3]
    assert found.opened.tolist() == [0, 0, 0] and found.last.tolist() == [1, 5, 6]
    # The third was reported again after one of its reports was closed: it is open.
    np.testing.assert_array_equal(found.closed, [4, 8, NAN])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metres": 0.5}, "at least 1 m"),
        ({"days": -1}, "cannot last"),
        ({"kind": [1]}, "one length"),
        ({"ids": [1, 1]}, "unique"),
        ({"metres": 1.0, "x": [0, 1e12], "y": [0, 1e12]}, "one projection"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    given = {"x": [0, 1], "y": [0, 1], "t": [0, 0], "kind": [1, 1], "ids": [1, 2]} | change
    with pytest.raises(InputError, match=message):
        first_reports(**given)  # type: ignore[arg-type]


def test_a_tick_hears_of_the_progress_and_can_stop_it() -> None:
    shares: list[float] = []
    (x, y, t, kind, ids), reach = a_city(3, 120, 100.0)
    first_reports(x, y, t, kind, ids, **reach, tick=shares.append)
    assert shares == sorted(shares) and 0 < shares[-1] <= 1

    def stop(share: float) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        first_reports(x, y, t, kind, ids, **reach, tick=stop)


def test_a_place_lies_around_its_most_crowded_incident_and_is_named_by_its_first() -> None:
    # The first incident lies at the edge: a circle around it would cut the spot in two.
    x = np.array([0.0, 40, 45, 50, 90, 40])
    found = places(x, np.zeros(6), np.arange(6), [1, 1, 1, 1, 1, 2], np.arange(6))
    assert found.tolist() == [0, 0, 0, 0, 0, 5]
    assert first_reports(x, np.zeros(6), np.arange(6), [1] * 6, np.arange(6), days=np.inf)[4] == 4


def test_places_do_not_depend_on_the_order_and_are_no_wider_than_twice_the_reach() -> None:
    rng = np.random.default_rng(8)
    x, y, t, kind = *rng.uniform(0, 500, (2, 300)), rng.integers(0, 40, 300), rng.integers(0, 2, 300)
    ids = rng.permutation(300)
    found = places(x, y, t, kind, ids, metres=60)
    mixed = rng.permutation(300)
    again = places(x[mixed], y[mixed], t[mixed], kind[mixed], ids[mixed], metres=60)
    np.testing.assert_array_equal(mixed[again], found[mixed])
    assert (found[found] == found).all() and (kind[found] == kind).all() and (t[found] <= t).all()
    for place in np.unique(found):
        here = found == place
        assert np.hypot(np.ptp(x[here]), np.ptp(y[here])) <= 2 * 60 * np.sqrt(2)
    assert places([np.nan], [0], [0], [0], [0]).tolist() == [0]
    assert places([], [], [], [], []).tolist() == []


def test_what_baltimore_called_duplicates_shares_incidents_three_times_as_often(shared_data: Path) -> None:
    """The city marked 4,146 reports of 2020 as duplicates; nothing here knows which."""
    found = pd.read_csv(shared_data / "baltimore" / "reports.csv.gz").drop_duplicates()
    duplicate = (found["srstatus"] == "Closed (Duplicate)").to_numpy()
    at = [pd.to_datetime(found[name], format="mixed") for name in ("createddate", "statusdate")]
    opened, ended = ((column - pd.Timestamp("2000-01-01")).dt.total_seconds() / 86_400 for column in at)
    x, y = Transformer.from_crs(4326, 32618, always_xy=True).transform(found["longitude"], found["latitude"])
    kind, ids = pd.factorize(found["srtype"])[0], np.arange(len(found))
    closed = ended.where(found["srstatus"] == "Closed")

    def shared(closings: pd.Series | None) -> tuple[float, float]:
        leads = first_reports(x, y, opened, kind, ids, closed=closings)
        several = np.bincount(leads, minlength=len(leads))[leads] > 1
        return several[duplicate].mean(), several[~duplicate].mean()

    marked, others = shared(closed)
    assert marked > 0.78 and others < 0.27
    # Without the rule of the closing hardly more duplicates are found, and many more of the others.
    marked_without, others_without = shared(None)
    assert marked_without - marked < 0.02 and others_without - others > 0.14
