"""Areas chosen among candidates: every rule holds, small instances are optimal, clashes are named."""

import itertools
import math
from dataclasses import replace

import h3.api.numpy_int as h3
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import selection
from geo.clashes import ClashError
from geo.effort import Effort, filled
from geo.errors import Cancelled, InputError
from geo.master import Master
from geo.patches import Field, Limits
from geo.selection import candidates, choose, envelope, free_bound

LEAN = settings(max_examples=20, deadline=None, derandomize=True)


def blob(rng, size):
    """A connected set of cells, ascending."""
    found = {int(h3.latlng_to_cell(26.4, 50.1, 9))}
    while len(found) < size:
        near = h3.grid_disk(sorted(found)[rng.integers(len(found))], 1)
        found.add(int(near[rng.integers(len(near))]))
    return np.array(sorted(found), dtype=np.int64)


def effort_on(rng, cells):
    """Random concave curves with up to four steps a cell."""
    at, hours, value = [], [], []
    for cell in range(len(cells)):
        own = [(rng.uniform(0.2, 1.5), rng.gamma(0.7)) for _ in range(rng.integers(0, 5))]
        for step in sorted(own, key=lambda s: -s[1] / s[0]):
            at.append(cell)
            hours.append(step[0])
            value.append(step[1])
    enter = rng.uniform(0.02, 0.3, len(cells))
    return Effort(cells, enter, np.array(at, np.int64), np.array(hours), np.array(value))


def instance(seed, size, areas, rules, hours=3.0):
    """An effort and limits with some of the ``rules``, drawn from a seed."""
    rng = np.random.default_rng(seed)
    cells = blob(rng, size)
    effort = effort_on(rng, cells)
    group = (rng.integers(0, 3) + np.arange(size) // max(2, size // 3)) % 3
    limits = Limits(
        areas=areas,
        capacity=hours + rng.uniform(-0.5, 0.5, size),
        most_cells=int(rng.integers(3, 8)) if "cells" in rules else None,
        most_km2=0.55 if "km2" in rules else None,
        km2=rng.uniform(0.08, 0.13, size),
        compactness=0.8 if "compact" in rules else 0.0,
        group=group,
        one_group="group" in rules,
        closed=rng.random(size) < 0.2 if "closed" in rules else None,
        must=tuple(rng.choice(size, 2, replace=False) for _ in range(2)) if "must" in rules else (),
        each_group=tuple(np.unique(group)[:2].tolist()) if "each" in rules else (),
        least_share=((int(group[0]), 0.45),) if "share" in rules else (),
    )
    if "pinned" in rules:
        open_ = np.flatnonzero(~limits.closed) if limits.closed is not None else np.arange(size)
        limits = replace(limits, pinned=(open_[:1],))
    return effort, limits


def graph_of(cells):
    place = {int(cell): at for at, cell in enumerate(cells)}
    graph = nx.Graph()
    graph.add_nodes_from(place.values())
    for cell, at in place.items():
        graph.add_edges_from((at, place[int(o)]) for o in h3.grid_ring(cell, 1) if int(o) in place)
    return graph


def allowed(graph, effort, limits, members):
    """A set of cells keeps the limits of one area, by ways of its own."""
    own, k = set(members), len(members)
    inside = graph.subgraph(own)
    if not nx.is_connected(inside) or (limits.closed is not None and limits.closed[list(own)].any()):
        return False
    if limits.most_cells is not None and k > limits.most_cells:
        return False
    if limits.most_km2 is not None and limits.km2[list(own)].sum() > limits.most_km2:
        return False
    edges = 6 * k - 2 * inside.number_of_edges()
    if 2 * math.ceil(math.sqrt(12 * k - 3)) / edges < limits.compactness - 1e-9:
        return False
    if limits.one_group and len(set(limits.group[list(own)].tolist())) > 1:
        return False
    for piece in nx.connected_components(graph.subgraph(set(graph) - own)):
        fill = [
            c
            for c in piece
            if (limits.closed is None or not limits.closed[c])
            and effort.enter[c] <= limits.capacity.max()
            and not any(c in pinned for pinned in limits.pinned)
            and (not limits.one_group or limits.group[c] == limits.group[next(iter(own))])
        ]
        if fill and all(graph.degree(c) == 6 for c in piece):
            return False
    return filled(effort, sorted(own), float(limits.capacity[list(own)].mean())) is not None


def holds(effort, limits, areas):
    """A choice (a list of sets of cells) keeps all rules together."""
    taken = [cell for area in areas for cell in area]
    if len(areas) > limits.areas or len(taken) != len(set(taken)):
        return False
    if not all(set(one.tolist()) & set(taken) for one in limits.must):
        return False
    if not all(any(sorted(area) == sorted(one.tolist()) for area in areas) for one in limits.pinned):
        return False
    group, hours = [], []
    for area in areas:
        group.append(int(np.bincount(limits.group[sorted(area)]).argmax()))
        hours.append(filled(effort, sorted(area), float(limits.capacity[sorted(area)].mean())).hours)
    if not all(one in group for one in limits.each_group):
        return False
    for one, share in limits.least_share:
        own = sum(h for g, h in zip(group, hours, strict=True) if g == one)
        if one not in group or own < share * sum(hours) - 1e-6:
            return False
    return True


def best_by_hand(effort, limits):
    """The optimum over all families of connected sets; None when no family keeps the rules."""
    graph = graph_of(effort.cells)
    pinned = [frozenset(one.tolist()) for one in limits.pinned]
    fixed = {cell for one in pinned for cell in one}
    free = [c for c in graph if c not in fixed]
    sets = [
        frozenset(some)
        for k in range(1, len(free) + 1)
        for some in itertools.combinations(free, k)
        if allowed(graph, effort, limits, some)
    ]
    worth = {
        one: filled(effort, sorted(one), float(limits.capacity[sorted(one)].mean())).value
        for one in (*sets, *pinned)
    }
    best = None
    for number in range(limits.areas - len(pinned) + 1):
        for some in itertools.combinations(sets, number):
            areas = [*pinned, *some]
            value = sum(worth[one] for one in areas)
            if (best is None or value > best) and holds(effort, limits, areas):
                best = value
    return best


RULES = st.sets(
    st.sampled_from(["cells", "km2", "compact", "group", "closed", "must", "each", "share", "pinned"]),
    max_size=5,
)


def check(effort, limits, choice):
    graph = graph_of(effort.cells)
    areas = [patch.members.tolist() for patch in choice.patches]
    assert holds(effort, limits, areas)
    for patch in choice.patches:
        assert patch.pinned or allowed(graph, effort, limits, patch.members.tolist())
        use = filled(effort, patch.members, float(limits.capacity[patch.members].mean()))
        assert patch.value == pytest.approx(use.value)
        assert patch.hours == pytest.approx(use.hours)
        assert patch.hours <= patch.capacity + 1e-9
    assert choice.objective == pytest.approx(sum(patch.value for patch in choice.patches))
    assert choice.objective <= choice.bound + 1e-9 <= choice.free_bound + 2e-9
    assert choice.gap * choice.bound == pytest.approx(choice.bound - choice.objective, abs=1e-9)


@LEAN
@given(seed=st.integers(0, 10_000), size=st.integers(4, 8), areas=st.integers(1, 2), rules=RULES)
def test_on_small_instances_the_choice_is_the_optimum_by_brute_force(seed, size, areas, rules):
    effort, limits = instance(seed, size, areas, rules)
    best = best_by_hand(effort, limits)
    try:
        choice = choose(effort, limits)
    except ClashError as error:
        assert best is None and error.proven
        return
    check(effort, limits, choice)
    assert choice.complete and choice.gap == pytest.approx(0.0, abs=1e-9)
    assert choice.objective == pytest.approx(best)


@LEAN
@given(seed=st.integers(0, 10_000), size=st.integers(20, 60), areas=st.integers(1, 4), rules=RULES)
def test_every_rule_holds_where_areas_are_grown(seed, size, areas, rules):
    effort, limits = instance(seed, size, areas, rules, hours=6.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "EVERY", 0)
        try:
            choice = choose(effort, limits)
        except ClashError as error:
            assert error.rules
            return
    assert not choice.complete
    check(effort, limits, choice)


@LEAN
@given(seed=st.integers(0, 10_000), rules=RULES)
def test_a_clash_names_rules_that_exclude_each_other_and_none_that_does_not_matter(seed, rules):
    effort, limits = instance(seed, 8, 1, rules | {"must", "each", "cells"})
    try:
        choose(effort, limits)
    except ClashError as error:
        told = [r for r in error.rules if r.code in ("clash_must", "clash_each_group", "clash_least_share")]
        if not told:
            return  # a plain one, of a single rule; tested below

        def only(kept):
            return replace(
                limits,
                must=tuple(limits.must[r.number] for r in kept if r.code == "clash_must"),
                each_group=tuple(r.number for r in kept if r.code == "clash_each_group"),
                least_share=tuple((r.number, r.value) for r in kept if r.code == "clash_least_share"),
            )

        assert best_by_hand(effort, only(told)) is None
        for one in told:
            assert best_by_hand(effort, only([r for r in told if r is not one])) is not None
        assert str(error).count(";") == len(error.rules) - 1


def codes(effort, limits):
    with pytest.raises(ClashError) as caught:
        choose(effort, limits)
    assert caught.value.proven
    return [(rule.code, rule.number) for rule in caught.value.rules]


def test_plain_clashes_are_found_without_a_search():
    effort, limits = instance(3, 12, 2, set())
    closed = np.arange(12) == 5
    shut = replace(limits, closed=closed)
    assert codes(effort, replace(shut, must=(np.array([5]),))) == [("clash_must_closed", 0)]
    assert codes(effort, replace(shut, pinned=(np.array([5]),))) == [("clash_pinned_closed", 0)]
    one = np.array([2])
    assert codes(effort, replace(limits, pinned=(one, one))) == [("clash_pinned_overlap", 1)]
    three = (np.array([0]), np.array([1]), np.array([2]))
    assert codes(effort, replace(limits, pinned=three)) == [("clash_pinned_many", -1), ("clash_areas", -1)]
    graph = graph_of(effort.cells)
    far = next(c for c in range(1, 12) if not graph.has_edge(0, c))
    assert codes(effort, replace(limits, pinned=(np.array([0, far]),))) == [("clash_pinned_apart", 0)]
    slow = replace(limits, capacity=np.full(12, 0.001))
    assert codes(effort, replace(slow, must=(np.array([4]),))) == [("clash_must_far", 0)]
    assert codes(effort, replace(slow, pinned=(np.array([4]),))) == [("clash_pinned_far", 0)]
    assert codes(effort, replace(limits, closed=limits.group == 1, each_group=(1,))) == [
        ("clash_group_closed", 1)
    ]


def test_more_municipalities_than_areas_clash_with_the_number_of_areas():
    effort, limits = instance(5, 12, 2, {"group"})
    assert codes(effort, replace(limits, each_group=(0, 1, 2))) == [
        ("clash_each_group", 0),
        ("clash_each_group", 1),
        ("clash_each_group", 2),
        ("clash_areas", -1),
    ]


def test_limits_with_faults_are_refused_with_all_of_them():
    with pytest.raises(InputError, match=r"0 areas.*compactness of 2.*names a cell.*group 7"):
        Limits(areas=0, capacity=np.ones(3), compactness=2, must=(np.array([9]),), each_group=(7,))
    effort, limits = instance(1, 6, 1, set())
    with pytest.raises(InputError, match="6 cells"):
        choose(effort, replace(limits, capacity=np.ones(4), km2=None, group=None))


@pytest.fixture(scope="module")
def town():
    """400 cells with two rich quarters, grown and not enumerated."""
    rng = np.random.default_rng(4)
    cells = np.sort(np.asarray(h3.grid_disk(h3.latlng_to_cell(26.4, 50.1, 9), 11)).astype(np.int64))
    effort = effort_on(rng, cells)
    rich = np.isin(cells, h3.grid_disk(int(cells[40]), 3)) | np.isin(cells, h3.grid_disk(int(cells[300]), 3))
    effort = Effort(
        cells,
        effort.enter,
        effort.step_cell,
        effort.step_hours,
        effort.step_value * np.where(rich[effort.step_cell], 6.0, 1.0),
    )
    n = len(cells)
    return effort, Limits(areas=3, capacity=np.full(n, 14.0), group=(np.arange(n) * 2 // n))


def test_the_same_question_has_the_same_answer(town):
    first, again = (choose(*town) for _ in range(2))
    assert [p.members.tolist() for p in first.patches] == [p.members.tolist() for p in again.patches]
    assert (first.objective, first.bound, first.candidates) == (
        again.objective,
        again.bound,
        again.candidates,
    )
    check(*town, first)


def test_candidates_serve_for_another_number_of_areas(town):
    effort, limits = town
    among = candidates(effort, limits)
    values = [choose(effort, replace(limits, areas=areas), among).objective for areas in (1, 2, 3)]
    assert values[0] < values[1] < values[2]


def test_a_cell_that_must_be_visited_is_joined_even_where_nothing_is_found(town):
    effort, limits = town
    poor = int(np.argmin(np.bincount(effort.step_cell, effort.step_value, len(effort.cells))))
    choice = choose(effort, replace(limits, must=(np.array([poor]),)))
    assert any(poor in patch.members for patch in choice.patches)
    check(effort, replace(limits, must=(np.array([poor]),)), choice)


def test_what_tick_raises_stops_the_growing_and_the_solver(town):
    class Stop:
        calls = 0

        def __init__(self, after):
            self.after = after

        def __call__(self, share):
            self.calls += 1
            if self.calls > self.after:
                raise Cancelled("stopped")

    for after in (0, 5):
        with pytest.raises(Cancelled):
            choose(*town, tick=Stop(after))
    among = candidates(*town)
    master = Master(Field(*town), among.patches, 3, ())
    counted = Stop(10**9)
    master.relaxed(counted)
    assert counted.calls
    with pytest.raises(Cancelled):
        master.relaxed(Stop(0))


def test_the_free_bound_of_a_hand_worked_case():
    cells = blob(np.random.default_rng(0), 2)
    effort = Effort(
        cells, np.array([1.0, 0.5]), np.array([0, 0, 1]), np.array([1.0, 1, 1]), np.array([6.0, 4, 3])
    )
    # First cell: 6 in 2 h, then 4 in 1 h: together 10 in 3 h are better than 6 in 2. Second: 3 in 1.5 h.
    slope, hours = envelope(effort, np.array([True, True]))
    assert slope.tolist() == pytest.approx([10 / 3, 2.0])
    assert hours.tolist() == pytest.approx([3.0, 1.5])
    limits = Limits(areas=1, capacity=np.array([3.5, 3.0]))
    assert free_bound(effort, limits) == pytest.approx((10 + 0.5 * 2, 2.0))
    assert free_bound(effort, replace(limits, closed=np.array([True, False])))[0] == pytest.approx(3.0)


@pytest.mark.parametrize("rules", [{"cells", "group"}, {"cells", "must"}, {"cells", "compact", "closed"}])
def test_grown_areas_come_within_five_per_cent_of_the_optimum(rules):
    effort, limits = instance(11, 80, 3, rules, hours=4.0)
    limits = replace(limits, most_cells=4)
    best = choose(effort, limits)
    assert best.complete
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "EVERY", 0)
        grown = choose(effort, limits)
    assert 0.95 * best.objective <= grown.objective <= best.objective + 1e-9
    assert grown.candidates < best.candidates / 10
