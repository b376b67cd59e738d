"""The map's script in the machine's Chromium, without the app: what is drawn, said and sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import geopandas as gpd
import h3
import numpy as np
import pytest
import shapely

from geo.cells import cells_covering, centres, parents
from layers import assets
from layers.cellmap import CellLayer, Outline, Pane, Reading, classed, image
from layers.hexmap import SCRIPTS, AreaLabel, payload
from layers.hexpack import Level, pack
from layers.legend import class_limits
from layers.outlines import pack_outlines
from layers.palettes import NOT_DRAWN, Shade

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOST = "http://map.test"
HERE = (26.4, 50.0)
RED, BLUE = Shade("#aa0000", "#ffaaaa", "up"), Shade("#0000bb", "#aaaaff", "down")
LAND = {False: [251, 250, 246, 255], True: [24, 32, 36, 255]}
WORDS: dict[str, Any] = {
    "label": "Map of reports",
    "legend": "Reports per hexagon",
    "cell_size": "{km2} km²",
    "layer_size": "each {km2} km²",
    "classes": "Class",
    "cells": "Hexagons",
    "not_drawn": "(not coloured)",
    "far": "Zoomed out",
    "numbered": "Numbered",
    "zoom_in": "+",
    "zoom_out": "-",
    "all": "All",
    "no_area": "Outside",
    "area": "Whole area",
    "nothing": "Nothing here",
    "rate": "{rate} per km²",
    "reports": {"one": "{n} report", "other": "{n} reports"},
    "note": "",
}
TOOLS = """
  window.sent = []; rasd.on('click', (e) => sent.push(e.layer.toGeoJSON().properties));
  window.pixel = (lat, lng, grid) => {
    const g = grid || rasd, p = g._map.latLngToLayerPoint([lat, lng]).subtract(g._bounds.min), ratio = Math.min(devicePixelRatio, 2);
    return [...g._ctx.getImageData(Math.round(p.x * ratio), Math.round(p.y * ratio), 1, 1).data];
  };
  window.look = (lat, lng, zoom) => { rasd._moved = true; rasd._map.setView([lat, lng], zoom, {animate: false}); };
"""


class Drawn:
    """A page with the map alone."""

    def __init__(self, page: Any, hosts: set[str], errors: list[str]) -> None:
        self.page, self.hosts, self.errors = page, hosts, errors

    def show(self, data: str) -> None:
        """Hand data over and wait until it is drawn."""
        self.page.evaluate(f"window.before = rasd._dataTurn; rasd.setData({data}); 1")
        self.page.wait_for_function("rasd._dataTurn > window.before && rasd.stats.draws > 0")
        self.page.wait_for_timeout(60)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def look(self, place: tuple[float, float], zoom: float) -> None:
        self.run(f"look({place[0]}, {place[1]}, {zoom})")

    def pixel(self, place: tuple[float, float], grid: str = "rasd") -> list[int]:
        return self.run(f"pixel({place[0]}, {place[1]}, {grid})")

    def point(self, place: tuple[float, float], grid: str = "rasd") -> tuple[float, float]:
        """Where a place lies on the page, px."""
        x, y = self.run(
            f"""(() => {{ const p = {grid}._map.latLngToContainerPoint([{place[0]}, {place[1]}]);
                const b = {grid}._map.getContainer().getBoundingClientRect(); return [b.x + p.x, b.y + p.y]; }})()"""
        )
        return x, y


@pytest.fixture
def draw(browser: Any) -> Iterator[Callable[..., Drawn]]:
    """``draw(width=400, dark=True)``: an empty map; every file comes from ``static/``."""
    assets.prepare()
    contexts = []

    def make(width: int = 1000, height: int = 600, dark: bool = False, touch: bool = False) -> Drawn:
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch)
        contexts.append(context)
        page, hosts, errors = context.new_page(), set(), []
        page.on("request", lambda r: hosts.add(urlsplit(r.url).netloc))
        page.on("pageerror", lambda e: errors.append(str(e)))
        ground = "#101517" if dark else "#fdfdfb"
        scripts = "".join(f'<script src="/rasd/{name}.js"></script>' for name in SCRIPTS)
        document = f"""<!doctype html><link rel="stylesheet" href="/leaflet/leaflet.css">
            <link rel="stylesheet" href="/rasd/hexgrid.css"><div class="stApp" style="background:{ground}"></div>
            <div id="map_div"></div><script src="/leaflet/leaflet.js"></script>{scripts}<script>
            window.rasd = new L.RasdGrid({{}}).addTo(
              L.map('map_div', {{zoomControl: false, attributionControl: false, maxZoom: 18, zoomSnap: 0.25}}).setView([0, 0], 2));
            {TOOLS}</script>"""

        def answer(route: Any) -> None:
            path = urlsplit(route.request.url).path
            if path == "/":
                route.fulfill(body=document, content_type="text/html")
            else:
                route.fulfill(path=assets.STATIC / path.lstrip("/"))

        page.route(f"{HOST}/**", answer)
        page.goto(HOST + "/")
        return Drawn(page, hosts, errors)

    yield make
    for context in contexts:
        context.close()


STUDY = shapely.Point(HERE[1], HERE[0]).buffer(0.12)
CELLS = cells_covering(STUDY, 8)


def middle(k: int = 0) -> int:
    """Position of the cell that lies ``k`` steps east of the middle."""
    lng, lat = centres(CELLS)
    return int(np.argsort((lng - HERE[1] - 0.01 * k) ** 2 + (lat - HERE[0]) ** 2)[0])


def place_of(position: int) -> tuple[float, float]:
    lng, lat = centres(CELLS[[position]])
    return float(lat[0]), float(lng[0])


def near(position: int) -> tuple[float, float]:
    """In the cell, beside the mark in its middle."""
    lat, lng = place_of(position)
    return lat + 0.0032, lng


def some_layer(
    red: list[int], blue: list[int], readings: tuple[Reading, ...] = (), title: str = "Title"
) -> CellLayer:
    classes = np.full(len(CELLS), 1)
    classes[red], classes[blue] = 0, 2
    legend = [("red", "Much 0–1", RED), ("none", "Chance", NOT_DRAWN), ("blue", "Little", BLUE)]
    return classed(title, 8, CELLS, classes, legend, readings)


def data(**changes: Any) -> str:
    areas = gpd.GeoDataFrame({"id": [7]}, geometry=[STUDY], crs="EPSG:4326")
    values: dict[str, Any] = {
        "outlines": pack_outlines(areas),
        "labels": [AreaLabel("Town <b>", 12, 400.0)],
        "minor": None,
        "minor_names": [],
        "bounds": [[26.28, 49.87], [26.52, 50.13]],
        "extent": [[26.28, 49.87], [26.52, 50.13]],
        "fit": "t",
        "words": WORDS,
        "language": "en",
        "palette": "ember",
    }
    return payload(**(values | changes))


@pytest.mark.parametrize("dark", [False, True])
def test_cells_have_the_colours_of_their_classes_and_the_undrawn_let_the_ground_show(
    draw: Callable[..., Drawn], dark: bool
) -> None:
    red, blue, none = middle(), middle(3), middle(-3)
    view = draw(dark=dark)
    view.show(data(cell_layer=some_layer([red], [blue])))
    view.look(HERE, 13)
    assert view.pixel(near(red)) == ([255, 170, 170, 255] if dark else [170, 0, 0, 255])
    assert view.pixel(near(blue)) == ([170, 170, 255, 255] if dark else [0, 0, 187, 255])
    assert view.pixel(near(none)) == LAND[dark]
    assert view.errors == []
    assert view.hosts == {urlsplit(HOST).netloc}


def test_marks_are_drawn_in_cells_wide_enough_and_say_the_direction_without_colour(
    draw: Callable[..., Drawn],
) -> None:
    red = middle(9)  # beside the area's name
    view = draw()
    view.show(data(cell_layer=some_layer([red], [])))
    view.look(HERE, 12)
    assert view.pixel(place_of(red))[0] > 230  # white ink on dark red
    # At 5 px there is no mark, and the cell has its plain colour.
    view.look(HERE, 9.25)
    assert 2.5 < view.run("rasd.stats && rasd._level().width * rasd._scale()") < 7
    assert view.pixel(place_of(red))[:3] == [170, 0, 0]


def test_from_far_away_a_lone_cell_is_still_seen_and_no_larger_than_two_pixels(
    draw: Callable[..., Drawn],
) -> None:
    red = middle(9)  # beside the area's name
    view = draw()
    view.show(data(cell_layer=some_layer([red], [])))
    view.look(HERE, 7)
    assert view.run("rasd._small()")
    ink = view.run(
        """(() => { const c = rasd._container, d = rasd._ctx.getImageData(0, 0, c.width, c.height).data; let n = 0;
             for (let i = 0; i < d.length; i += 4) if (d[i] > 120 && d[i + 1] < 60 && d[i + 2] < 60) n++; return n; })()"""
    )
    assert 1 <= ink <= 4
    assert "Zoomed out" in view.page.locator(".rasd-legend").inner_text()
    # What is under the pointer is the cell that gave the square its colour.
    assert view.run(f"rasd._hit(L.latLng({place_of(red)[0]}, {place_of(red)[1]})).style[0]") == "Much 0–1"
    view.look(HERE, 12)
    assert "Zoomed out" not in view.page.locator(".rasd-legend").inner_text()


def test_from_far_away_most_of_a_square_decides_its_colour(draw: Callable[..., Drawn]) -> None:
    lng, _ = centres(CELLS)
    west = np.flatnonzero(lng < HERE[1]).tolist()
    blue = np.flatnonzero(lng >= HERE[1]).tolist()
    view = draw()
    view.show(data(cell_layer=some_layer(west, blue)))
    view.look(HERE, 7)
    share = view.run(
        """(() => { const c = rasd._container, d = rasd._ctx.getImageData(0, 0, c.width, c.height).data; let red = 0, blue = 0;
             for (let i = 0; i < d.length; i += 4) { if (d[i] > 140 && d[i + 2] < 40) red++; if (d[i + 2] > 150 && d[i] < 40) blue++; }
             return red / (red + blue); })()"""
    )
    assert share == pytest.approx(0.5, abs=0.1)


def test_the_legend_says_title_classes_marks_and_numbers_of_cells(draw: Callable[..., Drawn]) -> None:
    view = draw()
    view.show(
        data(cell_layer=some_layer([middle(), middle(1)], [middle(3)], title="<i>More</i> than chance?"))
    )
    legend = view.page.locator(".rasd-legend")
    assert legend.get_attribute("aria-label") == "<i>More</i> than chance?"
    rows = [
        [c.strip("\u2066\u2069 ") for c in row.locator("td").all_inner_texts()]
        for row in legend.locator("tbody tr").all()
    ]
    assert "\u20660–1\u2069" in legend.inner_text()  # a range keeps its order inside Arabic words
    assert view.run("RasdMap.apart('1 نوفمبر 2025 – 31 أكتوبر 2026')") == "1 نوفمبر 2025 – 31 أكتوبر 2026"
    assert [row[2] for row in rows] == ["2", str(len(CELLS) - 3), "1"]
    assert rows[1][1] == "Chance (not coloured)"
    shapes = [row.locator("svg > *").count() for row in legend.locator("tbody tr").all()]
    assert shapes == [2, 1, 2]  # a hexagon, and its mark where there is one
    assert "each 0.68 km²" in legend.inner_text()
    button = legend.locator("button")
    assert button.get_attribute("aria-expanded") == "true"
    button.press("Enter")
    assert legend.locator("button").get_attribute("aria-expanded") == "false"
    assert not legend.locator("table").is_visible()
    assert view.run("document.activeElement.className") == "rasd-fold"  # keys keep their place


def test_on_a_phone_the_legend_of_classes_opens_at_a_touch(draw: Callable[..., Drawn]) -> None:
    view = draw(width=370, height=430, touch=True)
    view.show(data(cell_layer=some_layer([middle()], [])))
    assert not view.page.locator(".rasd-legend table").is_visible()
    view.page.locator(".rasd-fold").tap()
    assert view.page.locator(".rasd-legend table").is_visible()
    assert view.run("sent") == []  # a touch on the legend is none on the map
    view.page.locator(".rasd-fold").tap()
    view.look(HERE, 12)
    view.page.touchscreen.tap(*view.point(place_of(middle())))
    view.page.wait_for_timeout(300)
    assert len(view.run("sent")) == 1
    assert "Much" in view.page.locator(".rasd-tip").inner_text()


def test_seventeen_classes_fit_a_phone_and_empty_ones_are_left_out(draw: Callable[..., Drawn]) -> None:
    legend = [(f"c{k}", f"Class {k}", Shade("#aa0000", "#ffaaaa", "dot")) for k in range(17)]
    view = draw(width=370, height=430)
    view.show(data(cell_layer=classed("t", 8, CELLS, np.arange(len(CELLS)) % 15, legend)))
    view.page.locator(".rasd-fold").click()
    assert view.page.locator(".rasd-legend tbody tr").count() == 15
    box = view.page.locator(".rasd-legend").bounding_box()
    assert box["y"] >= 0
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 370


def test_hover_says_area_class_and_readings_as_text_and_leaves_out_what_is_not_known(
    draw: Callable[..., Drawn],
) -> None:
    n = len(CELLS)
    z = np.full(n, -1.2345)
    readings = (
        Reading("z", z, 2),
        Reading("<b>q", np.full(n, np.nan), 3),
        Reading("Reports", np.full(n, 1234.0), 0),
    )
    view = draw()
    view.show(
        data(
            cell_layer=some_layer([middle()], [], readings), numbered=[Outline(4, "March", CELLS[[middle()]])]
        )
    )
    view.look(HERE, 12)
    view.page.mouse.move(*view.point(place_of(middle())))
    text = view.page.locator(".rasd-tip").inner_text().replace("\u2066", "").replace("\u2069", "").split("\n")
    assert [t for t in text if t.strip()] == [
        "Town <b>",
        "Much 0–1",
        "z",
        "\u22121.23",
        "Reports",
        "1,234",
        "4. March",
    ]
    view.page.mouse.move(*view.point(near(middle(-4))))
    assert "Chance" in view.page.locator(".rasd-tip").inner_text()  # the undrawn can be read too


def test_a_tooltip_at_the_edge_stays_inside_the_frame(draw: Callable[..., Drawn]) -> None:
    view = draw(width=370, height=430)
    many = tuple(Reading(f"A reading with a long name {k}", np.ones(len(CELLS)), 2) for k in range(4))
    view.show(data(cell_layer=some_layer([], [], many)))
    view.look(HERE, 12)
    for x, y in ((12, 200), (358, 200), (180, 25), (180, 415)):
        view.page.mouse.move(x, y)
        box = view.page.locator(".rasd-tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 370
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 430


def test_a_click_sends_the_cell_and_the_keyboard_says_it(draw: Callable[..., Drawn]) -> None:
    red = middle()
    view = draw()
    view.show(data(cell_layer=some_layer([red], [], (Reading("z", np.ones(len(CELLS)), 1),))))
    view.look(place_of(red), 12)
    view.page.mouse.click(*view.point(place_of(red)))
    [got] = view.run("sent")
    assert h3.str_to_int(h3.latlng_to_cell(got["lat"], got["lng"], got["res"])) == CELLS[red]
    assert "pane" not in got
    view.page.keyboard.press("Tab")
    view.run(
        "document.querySelector('.leaflet-container').blur(), document.querySelector('.leaflet-container').focus()"
    )
    view.page.wait_for_timeout(500)
    view.run("rasd._say()")
    said = view.run("rasd._live.textContent").replace("\u2066", "").replace("\u2069", "")
    assert said == "Town <b>, Much 0–1, z: 1.0"
    view.page.keyboard.press("Enter")
    assert len(view.run("sent")) == 2


def test_a_numbered_outline_goes_round_its_cells_and_answers_by_its_number(
    draw: Callable[..., Drawn],
) -> None:
    lng, lat = centres(CELLS)
    some = CELLS[np.hypot(lng - HERE[1], lat - HERE[0]) < 0.03]
    view = draw()
    view.show(data(cell_layer=some_layer([], []), numbered=[Outline(12, "14–28 March", some)]))
    assert view.run("rasd._badges.map((b) => b.item.id)") == [12]
    x, y = view.run(
        "(() => { const p = rasd._map.layerPointToContainerPoint([rasd._badges[0].x, rasd._badges[0].y]); return [p.x, p.y]; })()"
    )
    view.page.mouse.move(x, y)
    assert "12. " in view.page.locator(".rasd-tip b").inner_text()
    view.page.mouse.click(x, y)
    assert view.run("sent.map((s) => s.outline)") == [12]
    assert view.run("rasd._picked.number") == 12
    # Bold ink on the line, none a cell further in.
    rings = view.run("rasd._picked.rings[0].map((p) => [p[0], p[1]])")
    view.run("rasd.clear()")
    a, b = rings[0], rings[1]
    on = view.pixel(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))
    assert max(on[:3]) < 60
    assert "Numbered" in view.page.locator(".rasd-legend").inner_text()
    # The list beside the map brings it into sight; new data without it lets it go.
    view.run("look(20, 40, 5), rasd.goOutline(12)")
    assert view.run(f"rasd._map.getBounds().contains([{HERE[0]}, {HERE[1]}])")
    view.show(data(cell_layer=some_layer([], [])))
    assert view.run("rasd._picked") is None


def counts(seed: int) -> tuple[dict[int, Level], np.ndarray]:
    rng = np.random.default_rng(seed)
    levels, all_counts = {}, []
    for r in (6, 7, 8):
        cells = np.unique(parents(CELLS, r))
        n = rng.integers(1, 50, len(cells))
        levels[r] = Level(cells, n, np.ones(len(cells), np.int64))
        all_counts.append(n)
    return levels, np.concatenate(all_counts)


def test_an_image_lies_at_its_latitude_and_the_counts_below_it_can_be_read(
    draw: Callable[..., Drawn],
) -> None:
    # A band at 26.40 in an image that reaches from 10° to 40°: even in latitude, not in Mercator,
    # where its middle would lie 80 km to the north.
    rows = 3000
    levels = np.zeros((rows, 4), np.uint8)
    north = 40 - (np.arange(rows) + 0.5) * 30 / rows
    levels[(north > 26.38) & (north < 26.42)] = 2
    levels[(north > 26.30) & (north < 26.38)] = 1
    steps = [("0", "#00aa00", "#88ff88"), ("5", "#aa00aa", "#ff88ff")]
    density = image("Reports per km²", levels, ((10.0, 49.0), (40.0, 51.0)), steps)
    held, n = counts(1)
    for dark, want in ((False, [170, 0, 170, 255]), (True, [255, 136, 255, 255])):
        view = draw(dark=dark)
        shown = {
            "image": density,
            "cells": pack(held),
            "limits": {r: class_limits(n) for r in held},
            "cell_km2": {8: 0.7},
        }
        view.show(data(**shown))
        view.look((26.40, 50.0), 12)
        assert view.pixel((26.40, 50.013)) == want
        assert view.pixel((26.35, 50.013))[1] > 150  # the green below it
        assert view.pixel((26.45, 50.013)) == LAND[dark]  # the counts are not drawn
    view.page.mouse.move(*view.point((26.40, 50.0)))
    assert "report" in view.page.locator(".rasd-tip").inner_text()
    assert view.page.locator(".rasd-ramp i").count() == 2
    assert view.page.locator(".rasd-marks").inner_text().split() == ["0", "5"]


def test_the_labels_of_a_ramp_do_not_run_into_each_other(draw: Callable[..., Drawn]) -> None:
    labels = ["9.2", "17.0", "32.0", "60.0", "110", "1,210"]
    steps = [(label, "#aa0000", "#ffaaaa") for label in labels]
    view = draw(width=370, height=430)
    view.show(
        data(image=image("Reports per km²", np.ones((2, 2), np.uint8), ((26.0, 49.0), (27.0, 51.0)), steps))
    )
    ends = view.run(
        """[...document.querySelectorAll('.rasd-marks bdi')].map((e) => {
             const r = document.createRange(); r.selectNodeContents(e); const b = r.getBoundingClientRect(); return [b.left, b.right]; })"""
    )
    for (_, right), (left, _) in pairwise(ends):
        assert left - right > 3
    box = view.page.locator(".rasd-legend").bounding_box()
    assert ends[-1][1] < box["x"] + box["width"]


def test_new_data_keeps_place_and_zoom_and_the_newest_wins(draw: Callable[..., Drawn]) -> None:
    view = draw()
    held, n = counts(2)
    shown = {
        "cells": pack(held),
        "limits": {r: class_limits(n) for r in held},
        "cell_km2": dict.fromkeys(held, 1.0),
    }
    view.show(data(**shown))
    view.look((26.35, 49.95), 12.5)
    layered = data(cell_layer=some_layer([middle()], []))
    # Classes are unpacked aside; counts that arrive meanwhile must not be covered by them later.
    view.run(f"rasd.setData({layered}), rasd.setData({data(**shown)}), 1")
    view.page.wait_for_timeout(400)
    assert view.run("rasd.pane.layer") is None
    view.show(layered)
    assert view.run("[rasd._map.getCenter().lat, rasd._map.getZoom()]") == pytest.approx(
        [26.35, 12.5], abs=1e-3
    )
    view.show(data(panes=(Pane("a", layer=some_layer([], [])), Pane("b", layer=some_layer([], [])))))
    assert view.run("[rasd._map.getCenter().lat, rasd._map.getZoom()]") == pytest.approx(
        [26.35, 12.5], abs=1e-2
    )
    view.show(layered)
    assert view.run("[rasd._map.getCenter().lng, rasd._map.getZoom()]") == pytest.approx(
        [49.95, 12.5], abs=1e-2
    )
    assert view.page.locator(".leaflet-container").count() == 1
    assert view.errors == []


# ---- two maps ----


def pair(red: int, blue: int) -> str:
    n = len(CELLS)
    one = some_layer([red], [], (Reading("z", np.full(n, 1.0), 1),))
    two = some_layer([], [blue], (Reading("z", np.full(n, 2.0), 1),))
    return data(panes=(Pane("First half", layer=one), Pane("Second half", layer=two)))


def together(view: Drawn) -> bool:
    return view.run(
        """(() => { const a = rasd._map, b = rasd.other._map, p = b.latLngToContainerPoint(a.getCenter()), h = b.getSize().divideBy(2);
             return a.getZoom() === b.getZoom() && p.distanceTo(h) < 2; })()"""
    )


def test_two_maps_move_together_whichever_is_moved(draw: Callable[..., Drawn]) -> None:
    view = draw()
    view.show(pair(middle(), middle(2)))
    assert view.run("[rasd, rasd.other].every((g) => g._map.getBounds().contains(g.o.bounds))")
    view.look(HERE, 12)
    assert together(view)
    for x in (250, 750):
        before = view.run("rasd._map.getCenter().lng")
        view.page.mouse.move(x, 300)
        view.page.mouse.down()
        view.page.mouse.move(x - 90, 320, steps=6)
        assert together(view)  # already on the way
        view.page.mouse.up()
        view.page.wait_for_timeout(600)
        assert together(view)
        assert view.run("rasd._map.getCenter().lng") > before + 0.005
        view.page.mouse.move(x, 300)
        view.page.mouse.wheel(0, -240)
        view.page.wait_for_timeout(900)
        assert together(view)
    assert view.run("rasd._map.getZoom()") > 12
    # The second map's ground was drawn where it now is.
    assert view.run(
        "rasd.other._bounds.contains(rasd.other._map.getPixelBounds().min.subtract(rasd.other._map.getPixelOrigin()))"
    )
    assert view.errors == []


def test_two_maps_show_their_own_classes_one_legend_and_both_readings(draw: Callable[..., Drawn]) -> None:
    red, blue = middle(), middle(3)
    view = draw()
    view.show(pair(red, blue))
    view.look(HERE, 12.5)
    assert view.pixel(near(red)) == [170, 0, 0, 255]
    assert view.pixel(near(red), "rasd.other") == LAND[False]
    assert view.pixel(near(blue), "rasd.other") == [0, 0, 187, 255]
    assert view.page.locator(".rasd-heading").all_inner_texts() == ["First half", "Second half"]
    assert view.page.locator(".rasd-legend").count() == 1
    assert view.page.locator(".rasd-legend tbody tr").first.locator("td").all_inner_texts()[2:] == ["1", "0"]
    view.page.mouse.move(*view.point(place_of(red), "rasd.other"))
    tips = [t.split("\n") for t in view.page.locator(".rasd-tip").all_inner_texts()]
    assert sorted(line for tip in tips for line in tip if line in ("1.0", "2.0")) == ["1.0", "2.0"]
    view.page.mouse.click(*view.point(place_of(red), "rasd.other"))
    [got] = view.run("sent")
    assert got["pane"] == 1
    assert h3.str_to_int(h3.latlng_to_cell(got["lat"], got["lng"], 8)) == CELLS[red]
    assert view.run("[rasd, rasd.other].every((g) => g._map.hasLayer(g._pickLine))")


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_first_map_stands_where_reading_starts_and_above_on_a_phone(
    draw: Callable[..., Drawn], language: str
) -> None:
    both = (Pane("1", layer=some_layer([], [])), Pane("2", layer=some_layer([], [])))
    boxes = "['map_div', 'rasd_second'].map((id) => { const b = document.getElementById(id).getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })"
    view = draw()
    view.show(data(panes=both, language=language))
    first, second = view.run(boxes)
    assert (first[0] < second[0]) == (language == "en")
    assert first[2] == second[2] == 498
    view = draw(width=370, height=700)
    view.show(data(panes=both, language=language))
    first, second = view.run(boxes)
    assert first[1] < second[1]
    assert first[2] == second[2] == 370
    assert view.run("[rasd, rasd.other].every((g) => g._map.getBounds().contains(g.o.bounds))")


def test_two_maps_of_counts_share_their_limits(draw: Callable[..., Drawn]) -> None:
    (one, n), (two, m) = counts(3), counts(4)
    limits = {r: class_limits(np.concatenate([one[r].counts, two[r].counts])) for r in one}
    view = draw()
    view.show(
        data(
            panes=(Pane("a", cells=pack(one)), Pane("b", cells=pack(two))),
            limits=limits,
            cell_km2=dict.fromkeys(one, 1.0),
        )
    )
    assert view.run("[rasd.stats.drawn, rasd.other.stats.drawn].every((n) => n > 0)")
    assert view.run("rasd.o.limits === rasd.other.o.limits")
    assert len(n) == len(m)


def test_print_shows_the_whole_legend_and_no_buttons(draw: Callable[..., Drawn]) -> None:
    view = draw(width=370, height=430)
    view.show(data(cell_layer=some_layer([middle()], [])))
    view.page.emulate_media(media="print")
    assert view.page.locator(".rasd-legend table").is_visible()
    assert not view.page.locator(".leaflet-control-zoom").is_visible()


def test_fifty_thousand_cells_with_marks_are_drawn_within_a_frame_or_two(draw: Callable[..., Drawn]) -> None:
    cells = cells_covering(shapely.Point(HERE[1], HERE[0]).buffer(1.0), 8)[:50_000]
    layer = classed("t", 8, cells, np.arange(len(cells)) % 2, [("a", "A", RED), ("b", "B", BLUE)])
    view = draw()
    view.show(data(cell_layer=layer))
    times = {}
    for zoom in (6, 8, 9.75, 12):
        view.look(HERE, zoom)
        times[zoom] = min(
            view.run(
                "[0,1,2].map(() => { const t = performance.now(); rasd._draw(); return performance.now() - t; })"
            )
        )
    assert max(times.values()) < 1000, (
        times
    )  # tens of ms on an idle machine; one long path would take seconds
