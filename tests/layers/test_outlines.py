"""Packing of boundaries."""

from __future__ import annotations

import base64

import geopandas as gpd
import numpy as np
import pytest
import shapely

from layers.outlines import label_points, pack_outlines, simplify


def frame(shapes: list, crs: str = "EPSG:4326") -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"id": range(10, 10 + len(shapes))}, geometry=shapes, crs=crs)


def unpack(text: str) -> list[list[list[tuple[float, float]]]]:
    data, at = base64.b64decode(text), 0

    def u() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def i() -> int:
        v = u()
        return -(v + 1) // 2 if v % 2 else v // 2

    areas, rings = u(), u()
    per_area, per_ring = [u() for _ in range(areas)], [u() for _ in range(rings)]
    xs = np.cumsum([i() for _ in range(sum(per_ring))]) / 1e5
    ys = np.cumsum([i() for _ in range(sum(per_ring))]) / 1e5
    assert at == len(data)
    out, ring, point = [], 0, 0
    for count in per_area:
        area = []
        for _ in range(count):
            n = per_ring[ring]
            area.append(
                list(zip(xs[point : point + n].tolist(), ys[point : point + n].tolist(), strict=True))
            )
            ring, point = ring + 1, point + n
        out.append(area)
    return out


def test_parts_and_holes_come_back_as_rings() -> None:
    ring = shapely.box(49, 26, 50, 27).difference(shapely.box(49.4, 26.4, 49.6, 26.6))
    pair = shapely.MultiPolygon([shapely.box(51, 26, 51.2, 26.2), shapely.box(52, 26, 52.5, 26.5)])
    packed = pack_outlines(frame([ring, pair]))
    got = unpack(packed.rings)
    assert packed.ids == (10, 11)
    assert [len(area) for area in got] == [2, 2]
    assert shapely.Polygon(got[0][0], [got[0][1]]).equals(ring)
    assert shapely.Polygon(got[1][1]).area == pytest.approx(0.25)
    assert packed.corners == 16


def test_neighbours_keep_their_common_border_when_they_are_simplified() -> None:
    t = np.linspace(0, 1, 2000)
    wavy = np.column_stack([50 + 0.004 * np.sin(40 * t), 26 + t])
    left = shapely.Polygon([(49, 26), *wavy.tolist(), (49, 27)])
    right = shapely.Polygon([(51, 26), (51, 27), *wavy[::-1].tolist()])
    simple = simplify(np.array([left, right], dtype=object), 200)
    assert shapely.get_num_coordinates(simple).sum() <= 200
    assert shapely.area(shapely.intersection(*simple)) == 0
    assert shapely.area(shapely.union_all(simple)) == pytest.approx(2, rel=1e-6)


def test_overlapping_areas_are_simplified_alone_and_none_is_lost() -> None:
    circles = shapely.buffer(shapely.points([[50, 26], [50.5, 26], [54, 26]]), [1, 1, 0.0001], quad_segs=400)
    simple = simplify(circles, 150)
    assert shapely.get_num_coordinates(simple[:2]).sum() <= 150
    assert not shapely.is_empty(simple).any()


def test_the_label_lies_inside_even_a_crescent() -> None:
    crescent = shapely.Point(50, 26).buffer(1).difference(shapely.Point(50.4, 26).buffer(1))
    [(lat, lng)] = label_points(np.array([crescent], dtype=object))
    assert crescent.contains(shapely.Point(lng, lat))


def test_no_areas_pack_to_nothing() -> None:
    packed = pack_outlines(frame([]))
    assert (packed.ids, packed.rings, packed.corners) == ((), "", 0)


def test_another_crs_is_refused() -> None:
    with pytest.raises(ValueError, match="EPSG:4326"):
        pack_outlines(frame([shapely.box(0, 0, 1, 1)], "EPSG:32639"))
