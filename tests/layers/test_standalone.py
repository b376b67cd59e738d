"""A map in one piece is drawn by a browser that asks nobody for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geo.cells import boundaries, cells_covering, to_text
from layers.palettes import DIVERGING
from layers.standalone import standalone_map

HOSTILE = '<img src=x onerror="window.hit=1">'


@pytest.fixture(scope="module")
def frame() -> gpd.GeoDataFrame:
    cells = cells_covering(shapely.box(50.0, 26.3, 50.1, 26.4), 8)
    count = np.arange(len(cells)) * 3
    found = gpd.GeoDataFrame(
        {"cell": to_text(cells), "count": count, "name": HOSTILE}, geometry=boundaries(cells), crs="EPSG:4326"
    )
    found["class"] = np.where(count > 60, "hot99", "other")
    found["rate"] = np.where(count > 0, count / 7, np.nan)
    return found


@pytest.mark.browser
def test_a_browser_draws_it_without_asking_anybody(
    frame: gpd.GeoDataFrame, browser: Any, tmp_path: Path
) -> None:
    file = tmp_path / "map.html"
    standalone_map(frame, "count", show=["name"], title=HOSTILE).save(str(file))
    page = browser.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition(",")[0]))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("canvas.leaflet-zoom-animated")
    box = page.locator(".folium-map").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".leaflet-tooltip")
    assert "count" in page.locator(".leaflet-tooltip").inner_text()
    assert not page.evaluate("window.hit")
    assert errors == []
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    page.close()


def test_numbers_are_classed_as_on_the_page_and_zeros_are_not_drawn(frame: gpd.GeoDataFrame) -> None:
    text = standalone_map(frame, "count").get_root().render()
    assert text.count('"type": "Feature"') == (frame["count"] > 0).sum()
    assert "http://" not in text and "cdn" not in text
    rates = standalone_map(frame, "rate", digits=1).get_root().render()
    assert rates.count('"type": "Feature"') == frame["rate"].notna().sum()


def test_codes_take_their_shades_and_others_are_not_drawn(frame: gpd.GeoDataFrame) -> None:
    shades = {"hot99": DIVERGING["hot99"], "cold99": DIVERGING["cold99"]}
    text = standalone_map(frame, "class", shades=shades, labels={"hot99": "surely hot"}).get_root().render()
    assert text.count('"type": "Feature"') == (frame["class"] == "hot99").sum()
    assert "surely hot" in text and "cold99" in text


def test_points_and_nothing_at_all_can_be_drawn(frame: gpd.GeoDataFrame) -> None:
    points = frame.set_geometry(frame.geometry.representative_point())
    assert standalone_map(points, "count").get_root().render().count('"Point"') > 10
    empty = gpd.GeoDataFrame({"count": pd.Series(dtype=float)}, geometry=[], crs="EPSG:4326")
    assert "leaflet" in standalone_map(empty, "count").get_root().render()
