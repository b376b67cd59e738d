"""Points on roads, and shortest ways along them: by hand, by brute force, by a graph library."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import InputError
from geo.network import Network, straight_m
from geo.roads import DETOUR, RoadPlane, Roads, lengths_m

WEST, SOUTH = 50.0, 26.4
STEP = 0.001  # about 100 m


def roads(lines: list[Any], **given: Any) -> Roads:
    """Roads in steps of ``STEP`` degrees from a corner; local streets both ways unless said."""
    shapes = np.array(
        [shapely.LineString([(WEST + x * STEP, SOUTH + y * STEP) for x, y in line]) for line in lines]
    )
    n = len(shapes)
    texts = {
        name: np.array([*given.get(name, [default] * n), None], dtype=object)[:-1]
        for name, default in (("road_class", "local"), ("name_ar", ""), ("name_en", ""), ("ref", ""))
    }
    direction = np.array(given.get("direction", [0] * n), dtype=np.int8)
    return Roads(np.arange(n), shapes, direction=direction, length_m=lengths_m(shapes), **texts)


def at(*places: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.array(places, dtype=float).T
    return WEST + x * STEP, SOUTH + y * STEP


def grid(side: int) -> list[list[tuple[int, int]]]:
    """Streets across a square with a vertex at every crossing."""
    whole = range(side + 1)
    return [[(x, y) for x in whole] for y in whole] + [[(x, y) for y in whole] for x in whole]


# ---- points on roads ----


def test_a_point_lies_on_its_nearest_road_if_that_is_within_reach() -> None:
    plane = RoadPlane(roads([[(0, 0), (10, 0)], [(0, 1), (10, 1)]]).lines)
    lon, lat = at((2, 0.1), (2, 0.9), (2, 0.5), (2, 5), (np.nan, 0))
    found = plane.snap(lon, lat, 30.0)
    assert found.road.tolist() == [0, 1, -1, -1, -1]
    assert found.along_m[:2] == pytest.approx(2 * STEP * 99_760, rel=0.01)
    assert np.isinf(found.distance_m[2:]).all() and np.isnan(found.along_m[2:]).all()


def test_of_two_roads_that_are_equally_near_the_first_is_taken() -> None:
    plane = RoadPlane(roads([[(0, 0), (1, 0)], [(1, 0), (1, 1)]]).lines)
    lon, lat = at((1, 0), (1.05, -0.05))
    assert plane.snap(lon, lat, 50.0).road.tolist() == [0, 0]
    assert plane.nearest(lon, lat).road.tolist() == [0, 0]


@given(seed=st.integers(0, 10_000), within=st.floats(5, 400))
@settings(max_examples=15, deadline=None)
def test_snapping_agrees_with_the_distance_to_every_line(seed: int, within: float) -> None:
    rng = np.random.default_rng(seed)
    lines = [rng.uniform(0, 20, (rng.integers(2, 5), 2)).tolist() for _ in range(8)]
    plane = RoadPlane(roads(lines).lines)
    lon, lat = at(*rng.uniform(-2, 22, (60, 2)).tolist())
    flat = shapely.linestrings(np.column_stack([plane.x, plane.y]), indices=plane.owner)
    x, y = plane.plane.metres(lon, lat)
    distance = shapely.distance(shapely.points(x, y)[:, None], flat[None, :])
    found, anywhere = plane.snap(lon, lat, within), plane.nearest(lon, lat)
    near = distance.min(axis=1) <= within
    assert (found.road >= 0).tolist() == near.tolist()
    assert found.road[near].tolist() == distance.argmin(axis=1)[near].tolist()
    assert found.distance_m[near] == pytest.approx(distance.min(axis=1)[near], abs=1e-6)
    assert anywhere.distance_m == pytest.approx(distance.min(axis=1), abs=1e-6)
    spots = shapely.line_interpolate_point(flat[found.road[near]], found.along_m[near])
    assert shapely.distance(spots, shapely.points(x, y)[near]) == pytest.approx(
        found.distance_m[near], abs=1e-5
    )


def test_roads_need_lines_and_columns_of_one_length() -> None:
    with pytest.raises(InputError, match="no roads"):
        RoadPlane(np.array([], dtype=object))
    some = roads([[(0, 0), (1, 0)]])
    with pytest.raises(InputError, match="differ in length"):
        Roads(
            some.ids,
            some.lines,
            some.road_class,
            some.name_ar,
            some.name_en,
            some.ref,
            some.direction,
            np.zeros(2),
        )


# ---- ways ----


def test_ways_in_a_grid_are_those_of_an_independent_library() -> None:
    side = 5
    network = Network(roads(grid(side)))
    corners = [(x, y) for x in range(side + 1) for y in range(side + 1)]
    lon, lat = at(*corners)
    found = network.distances(lon, lat)
    graph = nx.Graph()
    for street in grid(side):
        for a, b in itertools.pairwise(street):
            (x0, x1), (y0, y1) = at(a, b)
            (ax, bx), (ay, by) = network.plane.plane.metres(np.array([x0, x1]), np.array([y0, y1]))
            graph.add_edge(a, b, weight=float(np.hypot(bx - ax, by - ay)))
    known = dict(nx.all_pairs_dijkstra_path_length(graph))
    expected = np.array([[known[a][b] for b in corners] for a in corners])
    assert found.metres == pytest.approx(np.maximum(expected, straight_m(lon, lat)), abs=0.1)
    assert found.pairs_assumed == 0


def test_places_on_one_street_are_as_far_apart_as_along_it_and_to_it() -> None:
    network = Network(roads([[(0, 0), (10, 0), (10, 10)]]))
    lon, lat = at((2, 0), (7, 0), (7, 0.5), (7.2, 0.5))
    found = network.distances(lon, lat).metres
    assert found[0, 1] == pytest.approx(5 * STEP * 99_760, rel=0.01)
    assert found[0, 2] == pytest.approx(found[0, 1] + 0.5 * STEP * 110_800, rel=0.01)
    # The last two are nearer to each other than to their road and back.
    assert found[2, 3] == pytest.approx(0.2 * STEP * 99_760 * DETOUR, rel=0.01)


def test_one_way_streets_make_the_way_back_longer_except_on_foot() -> None:
    ring = [[(0, 0), (4, 0)], [(4, 0), (4, 4)], [(4, 4), (0, 4)], [(0, 4), (0, 0)]]
    around = roads(ring, direction=[1, 1, 1, 1])
    lon, lat = at((1, 0), (3, 0))
    there, back = Network(around).distances(lon, lat).metres[[0, 1], [1, 0]]
    assert there == pytest.approx(2 * STEP * 99_760, rel=0.01) and back > 6 * there
    on_foot = Network(around, on_foot=True).distances(lon, lat).metres
    assert on_foot[1, 0] == pytest.approx(on_foot[0, 1])


def test_people_on_foot_take_paths_and_no_fast_roads() -> None:
    # A path straight across a ring of streets, and a motorway beside it.
    lines = [[(2, 0), (0, 0), (0, 9), (2, 9)], [(2, 0), (2, 9)], [(2, 0), (3, 0), (3, 9), (2, 9)]]
    town = roads(lines, road_class=["local", "path", "motorway"])
    places = at((2, 0), (2, 9))
    straight = 9 * STEP * 110_800
    walked = Network(town, on_foot=True).distances(*places)
    assert walked.metres[0, 1] == pytest.approx(straight, rel=0.01)
    assert Network(town).distances(*places).metres[0, 1] == pytest.approx(
        straight + 2 * STEP * 99_760, rel=0.01
    )
    around = Network(town.take(np.array([0, 2])), on_foot=True).distances(*places)
    assert around.metres[0, 1] == pytest.approx(straight + 4 * STEP * 99_760, rel=0.01)


def test_straight_distances_are_geodesic() -> None:
    metres = straight_m([50.0, 50.0, 51.0], [26.0, 27.0, 26.0])
    assert metres[0, 1] == pytest.approx(110_770, rel=1e-3)
    assert metres[0, 2] == pytest.approx(100_090, rel=1e-3)
    assert (metres == metres.T).all() and (np.diag(metres) == 0).all()


def test_pairs_without_a_way_are_counted_and_flown_with_a_detour() -> None:
    # Two networks of the same size: each takes its own places, none leads to the other.
    apart = roads([[(0, 0), (5, 0)], [(0, 8), (5, 8)]])
    lon, lat = at((1, 0), (4, 0), (2, 8))
    found = Network(apart).distances(lon, lat)
    assert found.assumed.tolist() == [[False, False, True], [False, False, True], [True, True, False]]
    assert found.metres[0, 2] == pytest.approx(straight_m(lon, lat)[0, 2] * DETOUR)
    far = Network(apart).distances(*at((1, 0), (4, 40)))
    assert far.pairs_assumed == 2


def test_islands_take_no_places_and_footpaths_are_not_driven() -> None:
    long = [(0, 0), (60, 0)]
    town = roads([long, [(3, 1), (3.5, 1)], [(5, 0), (5, 5)]], road_class=["local", "service", "path"])
    found = Network(town).distances(*at((3.2, 0.9), (9, 2)))
    # Both are put on the long street, at its foot below them.
    foot = 5.8 * STEP * 99_760
    assert found.metres[0, 1] == pytest.approx(foot + 2.9 * STEP * 110_800, rel=0.01)
    assert found.pairs_assumed == 0
    with pytest.raises(InputError, match="only footpaths"):
        Network(roads([long], road_class=["path"]))


def test_a_dead_end_a_hand_before_the_other_street_is_joined_to_it() -> None:
    hand = 0.5 / 99_760 / STEP
    network = Network(roads([[(0, 0), (5, 0)], [(5 + hand, 0), (10, 0)]]))
    found = network.distances(*at((1, 0), (9, 0)))
    assert found.pairs_assumed == 0 and found.metres[0, 1] == pytest.approx(8 * STEP * 99_760, rel=0.01)


def test_a_detour_out_of_the_surroundings_is_found() -> None:
    # A river between them; the only bridge is far beyond the margin.
    network = Network(roads([[(0, 0), (60, 0)], [(60, 0), (60, 2)], [(0, 2), (60, 2)]]))
    found = network.distances(*at((0, 0), (0, 2)))
    assert found.pairs_assumed == 0
    assert found.metres[0, 1] == pytest.approx(120 * STEP * 99_760 + 2 * STEP * 110_800, rel=0.01)


def test_no_place_and_one_place_have_no_ways() -> None:
    network = Network(roads([[(0, 0), (5, 0)]]))
    assert network.distances([], []).metres.shape == (0, 0)
    assert network.distances(*at((1, 0))).metres.tolist() == [[0.0]]
    with pytest.raises(InputError, match="every place"):
        network.distances([50.0], [np.nan])
