"""The scan statistic: worked by hand, against plain enumeration, on planted and on null data."""

from __future__ import annotations

import math

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geo.cylinders import log_ratio, rings_within, spacing_m
from geo.errors import Cancelled, InputError
from geo.scan import ScanResult, gumbel_p, permuted, scan

CENTRE = h3.latlng_to_cell(26.42, 50.10, 9)


def disk(radius: int) -> np.ndarray:
    """Cells of a disk around Dammam, ascending."""
    return np.sort(np.array([h3.str_to_int(c) for c in h3.grid_disk(CENTRE, radius)], dtype=np.int64))


def nearby(cell: int, radius: int) -> set[int]:
    return {h3.str_to_int(c) for c in h3.grid_disk(h3.int_to_str(int(cell)), radius)}


def h3_order_by_longitude(cells: np.ndarray) -> np.ndarray:
    """Rank of each cell from west to east."""
    longitude = np.array([h3.cell_to_latlng(h3.int_to_str(int(c)))[1] for c in cells])
    return np.argsort(np.argsort(longitude))


def background(
    cells: np.ndarray, days: int, cases: float, seed: int, shape: float = 1.0
) -> tuple[np.ndarray, np.random.Generator]:
    """Counts whose intensity is a product of place and day: the null hypothesis."""
    rng = np.random.default_rng(seed)
    place, day = rng.gamma(shape, size=len(cells)), 1 + 0.5 * np.sin(np.arange(days) * 2 * np.pi / 7)
    mean = np.outer(place, day)
    return rng.poisson(cases * mean / mean.sum()), rng


def cases_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Place and day of each case of a table (n, t), and the number of days."""
    place, day = np.nonzero(counts)
    often = counts[place, day]
    return np.repeat(place, often), np.repeat(day, often), counts.shape[1]


def tabulated(place: np.ndarray, day: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    table = np.zeros(shape, dtype=int)
    np.add.at(table, (place, day), 1)
    return table


def plain_best(
    cells: np.ndarray,
    tables: list[np.ndarray],
    reach: int,
    max_days: int,
    share: float,
    fewest: int,
) -> dict[tuple[int, int, int], float]:
    """Every cylinder by plain loops, for a table (n, t) of each kind: (rings, centre, days) → llr."""
    counts = np.sum(tables, axis=0)
    total, found = counts.sum(), {}
    for centre in cells.tolist():
        for radius in range(reach + 1):
            inside = np.isin(cells, list(nearby(centre, radius)))
            in_disk = counts[inside].sum()
            if in_disk > share * total:
                continue
            for days in range(1, max_days + 1):
                c = int(counts[inside][:, -days:].sum())
                mu = sum(float(one[inside].sum()) * float(one[:, -days:].sum()) / one.sum() for one in tables)
                value = 0.0
                if c >= fewest and c > mu + 1e-12 > 0:
                    value = c * math.log(c / mu)
                    if c < total:
                        value += (total - c) * math.log((total - c) / (total - mu))
                found[(radius, centre, days)] = value
    return found


def test_the_likelihood_ratio_equals_one_worked_by_hand() -> None:
    # 100 cases; the disk holds 20 of them, the last two days 10, so 2 are expected; 6 are there.
    # GLR = (6/2)^6 · (94/98)^94 = 729 · 0.0199131… = 14.5166…
    assert math.exp(log_ratio(6, 2.0, 100)) == pytest.approx(729 * (94 / 98) ** 94, rel=1e-12)
    assert math.exp(log_ratio(6, 2.0, 100)) == pytest.approx(14.5, abs=0.1)
    assert log_ratio(2, 2.0, 100) == 0 and log_ratio(1, 2.0, 100) == 0
    # All cases inside: (C/μ)^C alone is left.
    assert log_ratio(5, 2.5, 5) == pytest.approx(5 * math.log(2))
    assert np.array_equal(log_ratio([0, 4], [[0.0], [1.0]], 8).shape, (2, 2))


def test_a_small_city_gives_the_numbers_worked_by_hand() -> None:
    # Three cells far apart. Cell 0: 6 of its 20 cases on the last two days, which hold 10 of 100.
    cells = np.sort(np.array([h3.str_to_int(h3.latlng_to_cell(26.42, 50.1 + i, 9)) for i in range(3)]))
    counts = np.zeros((3, 10), dtype=int)
    counts[0] = [2, 2, 2, 2, 2, 2, 1, 1, 3, 3]
    counts[1] = [6, 6, 6, 6, 6, 6, 2, 2, 1, 1]
    counts[2] = [5, 5, 5, 5, 5, 5, 4, 2, 1, 1]
    result = scan(cells, *cases_of(counts), np.random.default_rng(0), max_days=4, permutations=99, workers=1)
    first = result.clusters[0]
    assert result.cases == 100 and result.cells == 3 and result.days == 10
    assert first.cells.tolist() == [cells[0]] and first.centre == cells[0] and first.rings == 0
    assert (first.first, first.last, first.days, first.observed) == (8, 9, 2, 6)
    assert first.expected == pytest.approx(2.0) and first.ratio == pytest.approx(3.0)
    assert first.llr == pytest.approx(math.log(729 * (94 / 98) ** 94), abs=1e-8)
    assert first.p == (1 + np.count_nonzero(result.maxima >= first.llr - 1e-8)) / 100


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_best_cylinder_is_the_one_that_plain_enumeration_finds(seed: int) -> None:
    cells = disk(3)
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(cells, 25, replace=False))
    counts, _ = background(cells, 12, 120, seed)
    share = (0.5, 1.0, 0.3, 0.5)[seed]
    radius = 2.6 * spacing_m(cells)
    place, day, days = cases_of(counts)
    # Without kinds, and with two that have days of their own.
    kind = rng.integers(0, 2, len(place)) if seed % 2 else np.zeros(len(place), dtype=int)
    tables = [tabulated(place[kind == one], day[kind == one], counts.shape) for one in np.unique(kind)]
    result = scan(
        cells,
        place,
        day,
        days,
        rng,
        kind=kind if seed % 2 else None,
        max_radius_m=radius,
        max_days=5,
        max_share=share,
        permutations=9,
        most=50,
    )
    assert result.rings == 2
    every = plain_best(cells, tables, 2, 5, share, 2)
    best = max(every.values())
    assert result.clusters[0].llr == pytest.approx(best, abs=2e-9)
    # Secondary clusters: the best of those that share no cell with the ones before.
    taken: set[int] = set()
    for cluster in result.clusters:
        free = {
            key: value
            for key, value in every.items()
            if not nearby(key[1], key[0]) & set(cells.tolist()) & taken
        }
        assert cluster.llr == pytest.approx(max(free.values()), abs=2e-9)
        members = nearby(cluster.centre, cluster.rings) & set(cells.tolist())
        assert members == set(cluster.cells.tolist())
        inside = np.isin(cells, cluster.cells)
        assert cluster.observed == counts[inside][:, cluster.first :].sum()
        assert cluster.llr == pytest.approx(every[(cluster.rings, cluster.centre, cluster.days)], abs=2e-9)
        taken |= members
    assert max((v for k, v in every.items() if not nearby(k[1], k[0]) & taken), default=0.0) == pytest.approx(
        0, abs=1e-9
    )


def test_the_maxima_are_those_of_plain_enumeration_of_the_same_permutations() -> None:
    cells = disk(2)
    counts, rng = background(cells, 10, 90, 5)
    place, day, days = cases_of(counts)
    kind = rng.integers(0, 2, len(place))
    radius = 1.6 * spacing_m(cells)
    result = scan(
        cells,
        place,
        day,
        days,
        np.random.default_rng(8),
        kind=kind,
        max_radius_m=radius,
        max_days=4,
        permutations=70,
    )
    # The same draws: 19 cells × 4 days fit 64 times into a block, each with a generator of its own.
    seeds = np.random.default_rng(8).integers(0, 2**63, 2)
    # Cases are put in order of place, the newest first.
    order = np.lexsort((-day, place))
    place, day, kind = place[order], day[order], kind[order]
    own = [np.flatnonzero(kind == one) for one in (0, 1)]
    recent = [(place[k], 9 - day[k][day[k] >= 6]) for k in own]
    expected = []
    for seed, number in zip(seeds, (64, 6), strict=True):
        draw, again = np.random.default_rng(seed), np.random.default_rng(seed)
        for _ in range(number):
            dealt = permuted(recent, (len(cells), 4), draw)
            # Kind by kind, from the same numbers.
            tables = [permuted([one], (len(cells), 4), again)[:, ::-1] for one in recent]
            assert np.array_equal(sum(tables), dealt[:, ::-1])
            # The older days as one: they are in the disks' totals and in no cylinder.
            older = [
                np.bincount(p, minlength=19) - t.sum(axis=1) for (p, _), t in zip(recent, tables, strict=True)
            ]
            drawn = [np.column_stack([o, t]) for o, t in zip(older, tables, strict=True)]
            expected.append(max(plain_best(cells, drawn, 1, 4, 0.5, 2).values()))
    assert result.maxima == pytest.approx(np.array(expected), abs=2e-9)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_permutation_keeps_the_cases_of_every_cell_and_day_and_kind(data: st.DataObject) -> None:
    n, days = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    counts = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n * days, max_size=n * days)))
    counts = counts.reshape(n, days)
    place, day, _ = cases_of(counts)
    kind = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(place), max_size=len(place))))
    recent = data.draw(st.integers(1, days))
    seed = data.draw(st.integers(0, 99))
    kinds = []
    for one in range(3):
        age = days - 1 - day[kind == one]
        kinds.append((place[kind == one], age[age < recent]))
        if not len(kinds[-1][1]):
            kinds.pop()
            continue
        # Alone, so that each kind's margins are seen.
        dealt = permuted(kinds[-1:], (n, recent), np.random.default_rng(seed))
        mine = tabulated(place[kind == one], age, (n, days))
        assert dealt.sum(axis=0).tolist() == mine.sum(axis=0)[:recent].tolist()
        assert (dealt.sum(axis=1) <= mine.sum(axis=1)).all()
        if recent == days:
            assert dealt.sum(axis=1).tolist() == mine.sum(axis=1).tolist()
    if kinds:
        together = permuted(kinds, (n, recent), np.random.default_rng(seed))
        assert together.sum(axis=0).tolist() == counts.sum(axis=0)[::-1][:recent].tolist()


def planted(seed: int, cells: np.ndarray, centre: int, radius: int, days: int, extra: float) -> ScanResult:
    counts, rng = background(cells, 60, 3000, seed)
    inside = np.isin(cells, list(nearby(centre, radius)))
    counts[inside, -days:] += rng.poisson(extra / (inside.sum() * days), (inside.sum(), days))
    return scan(cells, *cases_of(counts), rng, max_radius_m=1500, max_days=21, permutations=99)


@pytest.mark.parametrize("seed", range(4))
def test_a_planted_flare_up_is_found_where_and_when_it_is(seed: int) -> None:
    cells = disk(9)
    rng = np.random.default_rng(100 + seed)
    centre = int(rng.choice(cells))
    found = planted(seed, cells, centre, 2, 7, 70)
    first = found.clusters[0]
    true = nearby(centre, 2) & set(cells.tolist())
    shared = len(true & set(first.cells.tolist()))
    assert first.p == 0.01 and first.p_gumbel < 1e-4 and first.recurrence_days > 10_000
    assert shared / len(true) > 0.7 and shared / len(first.cells) > 0.7
    assert 5 <= first.days <= 9


def test_two_planted_flare_ups_are_two_clusters_without_a_shared_cell() -> None:
    cells = disk(9)
    counts, rng = background(cells, 60, 3000, 11)
    ring = np.array([h3.str_to_int(c) for c in h3.grid_ring(CENTRE, 6)])
    for centre, days in ((ring[0], 5), (ring[18], 12)):
        inside = np.isin(cells, list(nearby(int(centre), 1)))
        counts[inside, -days:] += rng.poisson(60 / (inside.sum() * days), (inside.sum(), days))
    result = scan(cells, *cases_of(counts), rng, max_radius_m=1500, max_days=21, permutations=99)
    assert [c.p for c in result.clusters[:2]] == [0.01, 0.01] and result.clusters[2].p > 0.05
    assert {ring[0], ring[18]} <= set(np.concatenate([c.cells for c in result.clusters[:2]]).tolist())
    together = np.concatenate([c.cells for c in result.clusters])
    assert len(np.unique(together)) == len(together)
    assert [c.llr for c in result.clusters] == sorted((c.llr for c in result.clusters), reverse=True)


def test_a_rise_in_the_whole_city_is_no_flare_up() -> None:
    cells = disk(6)
    rng = np.random.default_rng(3)
    mean = np.outer(rng.gamma(1.0, size=len(cells)), np.r_[np.ones(50), np.full(10, 5.0)])
    counts = rng.poisson(2500 * mean / mean.sum())
    result = scan(cells, *cases_of(counts), rng, max_radius_m=1500, max_days=14, permutations=199)
    assert result.clusters[0].p > 0.05


def test_the_rise_of_one_kind_is_a_flare_up_only_when_the_kinds_are_not_told_apart() -> None:
    # One kind lives in the west and triples in the last days, everywhere; the other does not.
    cells = disk(6)
    rng = np.random.default_rng(12)
    west = h3_order_by_longitude(cells) < len(cells) / 5
    mean = np.stack([np.where(west, 3.0, 0.1), np.full(len(cells), 3.0)])[:, :, None] * np.ones(60)
    mean[0, :, -10:] *= 3
    counts = rng.poisson(9000 * mean / mean.sum())
    kinds = [cases_of(one) for one in counts]
    place, day = (np.concatenate([kinds[0][i], kinds[1][i]]) for i in (0, 1))
    kind = np.repeat([5, 9], [len(k[0]) for k in kinds])
    alike = scan(cells, place, day, 60, rng, max_radius_m=1500, max_days=14, permutations=199)
    apart = scan(cells, place, day, 60, rng, kind=kind, max_radius_m=1500, max_days=14, permutations=199)
    assert alike.clusters[0].p == 0.005 and apart.clusters[0].p > 0.05


def test_chance_alone_raises_few_alarms() -> None:
    # The full bench makes 200 sets of 999; with 120 sets at 5 % more than 13 alarms would be
    # seen once in 200 times, and p-values spread over 0 to 1.
    cells = disk(4)
    p_values = []
    for seed in range(120):
        counts, rng = background(cells, 30, 250, 1000 + seed)
        result = scan(
            cells, *cases_of(counts), rng, max_radius_m=900, max_days=7, permutations=99, most=1, workers=1
        )
        p_values.append(result.clusters[0].p)
    alarms = sum(p <= 0.05 for p in p_values)
    assert stats.binom.sf(13, 120, 0.05) < 0.005 and alarms <= 13
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_the_gumbel_fit_agrees_with_many_permutations() -> None:
    rng = np.random.default_rng(4)
    sample = stats.gumbel_r(8.0, 1.3).rvs(20_000, random_state=rng)
    for value in (9.0, 12.0, 16.0):
        assert gumbel_p(value, sample) == pytest.approx(stats.gumbel_r(8.0, 1.3).sf(value), rel=0.15)
    assert gumbel_p(-1e6, sample) == 1.0
    assert math.isnan(gumbel_p(3.0, np.full(9, 2.0))) and math.isnan(gumbel_p(3.0, [2.0]))
    cells = disk(4)
    counts, rng = background(cells, 30, 400, 21)
    result = scan(cells, *cases_of(counts), rng, max_radius_m=900, max_days=7, permutations=999, most=1)
    assert result.clusters[0].p_gumbel == pytest.approx(result.clusters[0].p, abs=0.05)


def test_the_result_is_the_same_for_one_seed_and_any_number_of_threads() -> None:
    cells = disk(5)
    counts, _ = background(cells, 30, 900, 2)
    one, three = (
        scan(cells, *cases_of(counts), np.random.default_rng(7), max_days=10, permutations=199, workers=w)
        for w in (1, 3)
    )
    other = scan(cells, *cases_of(counts), np.random.default_rng(8), max_days=10, permutations=199)
    assert np.array_equal(one.maxima, three.maxima) and not np.array_equal(one.maxima, other.maxima)
    for a, b in zip(one.clusters, three.clusters, strict=True):
        assert (a.centre, a.rings, a.first, a.llr, a.p) == (b.centre, b.rings, b.first, b.llr, b.p)
        assert np.array_equal(a.cells, b.cells)


def test_the_order_of_the_cases_does_not_matter() -> None:
    cells = disk(4)
    counts, rng = background(cells, 20, 300, 3)
    place, day, days = cases_of(counts)
    kind, mixed = rng.integers(0, 3, len(place)), rng.permutation(len(place))
    one, other = (
        scan(
            cells, place[o], day[o], days, np.random.default_rng(1), kind=kind[o], max_days=7, permutations=39
        )
        for o in (np.arange(len(place)), mixed)
    )
    assert np.array_equal(one.maxima, other.maxima)
    assert [c.llr for c in one.clusters] == [c.llr for c in other.clusters]


def test_equal_cylinders_are_told_apart_by_size_then_days_then_cell() -> None:
    # Two far cells with the same history: the lower index comes first, alone, for one day.
    cells = np.sort(np.array([h3.str_to_int(h3.latlng_to_cell(26.4, 50.1 + i / 5, 9)) for i in range(4)]))
    counts = np.zeros((4, 8), dtype=int)
    counts[:2, :4], counts[2:, -1] = 3, 6
    result = scan(cells, *cases_of(counts), np.random.default_rng(0), max_days=4, permutations=9)
    assert [(c.centre, c.rings, c.days) for c in result.clusters] == [(cells[2], 0, 1), (cells[3], 0, 1)]


def test_cells_without_cases_change_no_sum() -> None:
    cells = disk(5)
    counts, _ = background(cells, 20, 60, 6)
    used = counts.any(axis=1)
    assert not used.all()
    # The cells' mean area, and so the rings, must not depend on the choice: 3 rings either way.
    radius = 3.6 * spacing_m(cells)
    whole = scan(
        cells, *cases_of(counts), np.random.default_rng(0), max_radius_m=radius, max_days=6, permutations=9
    )
    part = scan(
        cells[used],
        *cases_of(counts[used]),
        np.random.default_rng(0),
        max_radius_m=radius,
        max_days=6,
        permutations=9,
    )
    assert whole.rings == part.rings == 3 and whole.clusters[0].llr >= part.clusters[0].llr - 1e-9
    centre, best = part.clusters[0].centre, part.clusters[0]
    inside = np.isin(cells, list(nearby(centre, best.rings)))
    assert counts[inside][:, best.first :].sum() == best.observed
    expected = counts[inside].sum() * counts[:, best.first :].sum() / counts.sum()
    assert best.expected == pytest.approx(expected)


def test_no_disk_with_more_than_its_share_of_the_cases_is_a_cluster() -> None:
    cells = disk(1)
    counts = np.ones((7, 10), dtype=int)
    counts[:, -1] = 1
    counts[0] = 40
    counts[0, -1] = 90
    result = scan(
        cells, *cases_of(counts), np.random.default_rng(0), max_days=3, max_share=0.5, permutations=9
    )
    assert all(cells[0] not in cluster.cells for cluster in result.clusters)


def test_progress_is_told_and_can_stop_the_scan() -> None:
    cells = disk(4)
    counts, _ = background(cells, 30, 300, 9)
    told: list[float] = []
    scan(cells, *cases_of(counts), np.random.default_rng(0), max_days=7, permutations=500, tick=told.append)
    assert told[0] == 0 and told[-1] == 1 and told == sorted(told) and len(told) > 5

    def stop(share: float) -> None:
        if share > 0.3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        scan(cells, *cases_of(counts), np.random.default_rng(0), max_days=7, permutations=500, tick=stop)


def test_without_cases_or_without_recent_ones_there_is_no_cluster() -> None:
    cells = disk(2)
    for counts in (np.zeros((19, 9), dtype=int), 5 * np.eye(19, 9, dtype=int)):
        counts[:, -3:] = 0
        result = scan(cells, *cases_of(counts), np.random.default_rng(0), max_days=3, permutations=19)
        assert result.clusters == () and result.maxima.tolist() == [0.0] * 19
    none = np.zeros(0, dtype=int)
    empty = scan(cells[:0], none, none, 9, np.random.default_rng(0), max_days=3, permutations=9)
    assert empty.clusters == () and empty.cells == 0 and empty.rings == 0


def test_a_radius_below_one_cell_leaves_the_cell_alone() -> None:
    cells = disk(2)
    spacing = spacing_m(cells)
    assert spacing == pytest.approx(
        h3.great_circle_distance(
            h3.cell_to_latlng(CENTRE), h3.cell_to_latlng(h3.grid_ring(CENTRE, 1)[0]), unit="m"
        ),
        rel=0.06,
    )
    assert rings_within(cells, 1.0) == 0 and rings_within(cells, 1.51 * spacing) == 1
    assert rings_within(cells, 1.49 * spacing) == 0 and rings_within(cells, 7.6 * spacing) == 7


def test_what_cannot_be_scanned_is_refused_with_every_fault() -> None:
    cells = disk(1)
    place, day, days = cases_of(np.ones((7, 5), dtype=int))
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="must be as many"):
        scan(cells, place, day[:3], days, rng, max_days=2)
    with pytest.raises(InputError, match="must be as many"):
        scan(cells, place, day, days, rng, kind=[1, 2], max_days=2)
    with pytest.raises(InputError, match=r"places run.*days run.*max_days is 9.*permutations is 0"):
        scan(cells, place + 1, day - 1, days, rng, max_days=9, permutations=0)
    with pytest.raises(InputError, match=r"max_radius_m.*max_share.*min_cases"):
        scan(cells, place, day, days, rng, max_days=2, max_radius_m=0, max_share=0, min_cases=0)
    with pytest.raises(InputError, match="rising order"):
        scan(cells[::-1], place, day, days, rng, max_days=2)
    with pytest.raises(InputError, match="coarser resolution"):
        many = disk(60)
        scan(many, place, day, days, rng, max_days=1, max_radius_m=30_000)
