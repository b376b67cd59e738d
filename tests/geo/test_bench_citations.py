"""House numbers are placed on ranges by hand here; the real citations are the benchmark's."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from tools import bench

COLUMNS = ("fullname", "fraddl", "toaddl", "fraddr", "toaddr", "subtype_label")


def streets() -> gpd.GeoDataFrame:
    """Two blocks of W OAK ST going east, E OAK ST beyond them, and ELM DWY going west."""
    rows = [
        ("W OAK ST", 100, 198, 101, 199, "Paved Road"),
        ("W OAK ST", 200, 298, 201, 299, "Paved Road"),
        ("E OAK ST", 700, 798, 701, 799, "Paved Road"),
        ("ELM DWY", 18, 2, 17, 1, "Paved Road"),
    ]
    ends = [((0, 0), (100, 0)), ((100, 0), (200, 0)), ((5000, 0), (5100, 0)), ((0, 500), (100, 500))]
    lines = [shapely.LineString([(360000 + x, 4350000 + y) for x, y in pair]) for pair in ends]
    return gpd.GeoDataFrame(pd.DataFrame(rows, columns=COLUMNS), geometry=lines, crs=26918).to_crs(4326)


def placed(*addresses: str) -> tuple[list[str], np.ndarray]:
    module = bench.load("citations")
    found = module.place_addresses(pd.Series(addresses), streets())
    points = gpd.GeoSeries(gpd.points_from_xy(found.lon, found.lat), crs=4326).to_crs(26918)
    xy = np.column_stack([points.x - 360000, points.y - 4350000])
    return found.how.tolist(), xy


def test_a_number_lies_at_its_share_of_its_own_side() -> None:
    how, xy = placed("0100 W OAK ST", "149 W OAK ST", "250 West Oak Street")
    assert how == ["exact"] * 3
    # Even numbers are on the left of a line to the east, which is north.
    assert xy == pytest.approx(np.array([[0, 8], [100 * 48 / 98, -8], [100 + 100 * 50 / 98, 8]]), abs=0.01)


def test_a_range_may_fall_along_its_line() -> None:
    how, xy = placed("2 ELM DRWY", "18 ELM DWY")
    assert how == ["exact"] * 2
    assert xy == pytest.approx(np.array([[100, 508], [0, 508]]), abs=0.01)


def test_a_street_without_its_direction_is_told_by_the_number() -> None:
    how, xy = placed("750 OAK ST", "120 OAK ST")
    assert how == ["exact"] * 2
    assert xy[0, 0] > 5000 > 100 > xy[1, 0]


def test_what_cannot_be_placed_says_why() -> None:
    how, xy = placed("310 W OAK ST", "640 W OAK ST", "12 ASH ST", "ALLEY OFF OAK ST", "0000 W OAK ST")
    assert how == ["near", "no_range", "no_street", "no_number", "no_number"]
    assert xy[0] == pytest.approx([200, 8], abs=0.01) and np.isnan(xy[1:]).all()


def test_a_number_that_fits_in_two_distant_places_is_ambiguous() -> None:
    module = bench.load("citations")
    twice = pd.concat([streets(), streets().set_geometry(streets().translate(0.05, 0))], ignore_index=True)
    found = module.place_addresses(pd.Series(["100 W OAK ST"]), twice)
    assert found.how.tolist() == ["ambiguous"] and not found.found.any()
