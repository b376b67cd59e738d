"""Readings of indicators in words, in classes of the map, and the reports behind a number."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from data.analyses.indicators import (
    Change,
    Dimension,
    Freshness,
    Indicator,
    IndicatorQuery,
    IndicatorResult,
    IndicatorSettings,
    Reading,
    Row,
)
from tests.views.opened import APP, address, forget, shown
from tests.views.sample_city import HOSTILE, City, build_city
from views.gauge import behind, choropleth, ranking, telling
from views.gauge.behind import Chosen
from views.words import Words

NOW = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
RATIO = Change("ratio", 1.12, 1.05, 1.2, True)


def reading(indicator: Indicator = Indicator.ON_TIME, value: float | None = 0.8, **more: object) -> Reading:
    plain = {"low": None, "high": None, "count": 8, "base": 10, "amount": 8.0, "over": 10.0}
    return Reading(indicator, value, **(plain | more))  # type: ignore[arg-type]


def result(rows: tuple[Row, ...]) -> IndicatorResult:
    query = IndicatorQuery(1, Dimension.MUNICIPALITY, dt.date(2026, 9, 1), dt.date(2026, 9, 30))
    return IndicatorResult(
        query, IndicatorSettings(), "Asia/Riyadh", True, NOW, Freshness(NOW, True, 0, False),
        Row(None, "", "", (reading(),), (1, 2, 3, 4, 5)), rows, (), "area", 10.0, (),
    )  # fmt: skip


def row(key: int, **more: object) -> Row:
    return Row(key, f"م {key}", f"town <{key}>", (reading(**more),), (0, 0, 0, 0, 0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (reading(), "80%"),
        (reading(value=0.0512), "5.1%"),
        (reading(Indicator.REMEDY_MEDIAN, 3.25), "3.25 d"),
        (reading(Indicator.REMEDY_MEDIAN, 0.25), "6 h"),
        (reading(Indicator.REMEDY_P90, None), "not reached"),
        (reading(Indicator.REMEDY_P90, None, base=0), "–"),
        (reading(Indicator.VPI, 1.5), "1.5 per km²"),
        (reading(Indicator.RECEIVED, 12345.0), "12,345"),
    ],
)
def test_a_reading_is_told_with_its_unit(told: Reading, text: str) -> None:
    assert telling.value(Words("en"), told) == text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (RATIO, "up \u2066+12%\u2069 (\u2066+5%\u2069 to \u2066+20%\u2069)"),
        (replace(RATIO, differs=False, low=0.9), "change within chance (\u2066−10%\u2069 to \u2066+20%\u2069)"),
        (Change("difference", -0.1, -0.15, -0.05, True), "down \u2066−10%\u2069 (\u2066−15%\u2069 to \u2066−5%\u2069)"),
        (Change("difference", 0.0, None, None, False), "unchanged"),
        (None, "nothing to compare with"),
    ],
)  # fmt: skip
def test_a_change_is_only_called_one_where_chance_does_not_explain_it(
    change: Change | None, said: str
) -> None:
    assert telling.change(Words("en"), reading(before=0.7, change=change)) == said


def test_a_number_comes_back_from_the_address_and_nonsense_does_not() -> None:
    rows = (row(7), replace(row(0), key=None))
    for chosen in (
        Chosen(Indicator.ON_TIME, "count", None, 7),
        Chosen(Indicator.BACKLOG, "base", 2, None),
        Chosen(Indicator.VPI, "count", None, "whole"),
    ):
        assert behind.read(behind.code(chosen), rows) == chosen
    for text in ("", "on_time.count..8", "nothing.count..7", "on_time.all..7", "on_time.count.9.7", "a.b"):
        assert behind.read(text, rows) is None


def test_what_is_worse_is_worse_whichever_way_the_indicator_counts() -> None:
    high, low = reading(position="high"), reading(position="low")
    assert choropleth.differs(Indicator.ON_TIME, high) == "better"
    assert choropleth.differs(Indicator.ON_TIME, low) == "worse"
    assert choropleth.differs(Indicator.BACKLOG, high) == "worse"
    assert choropleth.differs(Indicator.ON_TIME, reading(position="inside")) == "inside"
    assert choropleth.differs(Indicator.ON_TIME, reading()) == "no_value"


@pytest.mark.parametrize("way", choropleth.WAYS)
def test_every_hexagon_has_the_class_of_its_area(way: str) -> None:
    boxes = [shapely.box(50 + k / 10, 26, 50 + (k + 1) / 10, 26.1) for k in range(3)]
    ids, cells = choropleth.areas_in_cells(gpd.GeoDataFrame({"id": [1, 2, 3]}, geometry=boxes, crs=4326))
    assert set(ids) == {1, 2, 3} and len(np.unique(cells)) == len(cells) <= choropleth.CELLS
    answer = result((row(1, value=0.2, position="low"), row(2, value=0.9, position="inside")))
    layer = choropleth.layer(Words("ar"), answer, Indicator.ON_TIME, way, "ember", ids, cells)
    shown = {area: {layer.legend[k].code for k in layer.classes[ids == area]} for area in (1, 2, 3)}
    assert shown == (
        {1: {"c0"}, 2: {"c1"}, 3: {"none"}}
        if way == "value"
        else {1: {"worse"}, 2: {"inside"}, 3: {"no_value"}}
    )


def test_rows_inside_the_funnel_share_a_place_and_names_are_shown_as_text() -> None:
    answer = result(
        (
            row(1, rank=2, position="inside"),
            row(2, rank=1, position="high"),
            row(3, rank=2, position="inside"),
        )
    )
    page = ranking.table(Words("en"), answer, Indicator.ON_TIME)
    assert page.index("town &lt;2&gt;") < page.index("town &lt;1&gt;")
    assert page.count("<i>2</i>") == 2 and "<1>" not in page


# ---- the page, on a small city ----


@pytest.fixture(scope="module")
def city(module_store: Any) -> City:
    return build_city(module_store.engine)


def opened(**values: str) -> AppTest:
    """The page at an address, in a process that remembers nothing."""
    forget()
    page = AppTest.from_file(APP, default_timeout=120)
    for key, value in values.items():
        page.query_params[key] = value
    page._page_hash = calc_hash("indicators")
    return page.run()


@pytest.mark.parametrize("by", ["municipality", "contractor", "month"])
def test_the_page_opens_for_a_comparison(city: City, by: str) -> None:
    text = shown(opened(lang="ar" if by == "month" else "en", by=by, month="2025-06"))
    assert "rd-gauge" in text and "stException" not in text
    assert HOSTILE not in text


def test_a_number_opens_as_many_reports_as_it_says(city: City) -> None:
    page = opened(lang="en", month="2025-06", behind="received.count..whole")
    text = shown(page)
    figure = re.search(r"Received</span><b><bdi>([\d,]+)</bdi>", text)
    assert figure is not None and int(figure[1].replace(",", "")) > 0
    assert f"{figure[1]} reports" in [caption.value for caption in page.caption]
    assert len(page.selectbox(key="behind_one").options) == min(20, int(figure[1].replace(",", "")))


def test_a_chosen_number_stands_in_the_address_and_closes_again(city: City) -> None:
    page = opened(lang="en", month="2025-06")
    page.button(key="behind_backlog.count..whole").click().run()
    assert address(page)["behind"] == "backlog.count..whole"
    page.button(key="behind_close").click().run()
    assert "behind" not in address(page)
