"""What a method draws: a decoder written apart from the packer gets the same cells back."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import h3
import numpy as np
import pytest
import shapely
from PIL import Image

from geo.cells import areas_km2, boundaries, cells_covering, centres
from layers import cellmap
from layers.cellmap import (
    CellClass,
    CellLayer,
    ImageLayer,
    Outline,
    Pane,
    Reading,
    classed,
    dissolve,
    grey_png,
    image,
    pack_layer,
    pack_numbered,
)
from layers.hexmap import payload
from layers.outlines import Outlines
from layers.palettes import DIVERGING, NOT_DRAWN, Shade
from tests.layers.test_hexpack import Reader

SHADES = [
    ("a", "A", Shade("#ffffff", "#000000", "dot")),
    ("b", "B", Shade("#111111", "#eeeeee")),
    ("c", "C", NOT_DRAWN),
]


def town(resolution: int = 8) -> np.ndarray:
    return cells_covering(shapely.Point(50, 26.4).buffer(0.1), resolution)


def layer(
    cells: np.ndarray, readings: tuple[Reading, ...] = (), classes: np.ndarray | None = None
) -> CellLayer:
    held = np.arange(len(cells)) % 3 if classes is None else classes
    return classed("Title", 8, cells, held, SHADES, readings)


def unpack(text: str) -> tuple[dict[int, int], list[list[float | None]], list[int]]:
    """Class by cell; readings in order of cell; the cells in that order."""
    r = Reader(base64.b64encode(zlib.decompress(base64.b64decode(text))).decode())
    resolution, n, shapes, stretches = r.many(4)
    [r.i() for _ in range(12 * shapes)]
    r.many(2 * shapes)
    lng = np.cumsum([r.i() for _ in range(n)]) / 1e5
    lat = np.cumsum([r.i() for _ in range(n)]) / 1e5
    classes = r.many(n)
    r.many(2 * stretches)
    readings: list[list[float | None]] = []
    for _ in range(r.u()):
        digits = r.u()
        steps = r.many(n)
        signed = [None if s == 0 else ((s - 1) // 2 if (s - 1) % 2 == 0 else -s // 2) for s in steps]
        readings.append([None if v is None else v / 10**digits for v in signed])
    assert r.at == len(r.bytes)
    cells = [h3.str_to_int(h3.latlng_to_cell(y, x, resolution)) for x, y in zip(lng, lat, strict=True)]
    return dict(zip(cells, classes, strict=True)), readings, cells


def test_every_cell_comes_back_with_its_class_and_its_readings_rounded_to_their_digits() -> None:
    cells = town()
    rng = np.random.default_rng(1)
    cells = cells[rng.permutation(len(cells))]  # any order is taken
    z = rng.normal(0, 3, len(cells))
    z[::7] = np.nan
    count = rng.poisson(2, len(cells)).astype(float)
    given = layer(cells, (Reading("z", z, 2), Reading("n", count, 0)))
    classes, readings, order = unpack(pack_layer(given))
    assert classes == dict(zip(cells.tolist(), given.classes.tolist(), strict=True))
    for (reading, digits), got in zip(((z, 2), (count, 0)), readings, strict=True):
        known = dict(zip(cells.tolist(), reading.tolist(), strict=True))
        for cell, value in zip(order, got, strict=True):
            if np.isnan(known[cell]):
                assert value is None
            else:
                assert value == pytest.approx(round(known[cell], digits), abs=1.01 * 10**-digits / 2)


def test_the_legend_counts_the_cells_of_each_class_and_keeps_empty_ones() -> None:
    cells = town()
    given = layer(cells, classes=np.zeros(len(cells), dtype=int))
    assert [c.count for c in given.legend] == [len(cells), 0, 0]
    assert [c.code for c in given.legend] == ["a", "b", "c"]
    assert (given.legend[0].mark, given.legend[2].light) == ("dot", "")


def test_no_cells_are_a_layer_too() -> None:
    nothing = layer(np.zeros(0, dtype=np.int64))
    assert unpack(pack_layer(nothing)) == ({}, [], [])
    assert json.loads(show(cell_layer=nothing))["panes"][0]["layer"]["km2"] == 0


def test_sixty_thousand_cells_with_two_readings_stay_below_half_a_megabyte() -> None:
    cells = cells_covering(shapely.Point(50, 26.4).buffer(1.1), 8)[:60_000]
    rng = np.random.default_rng(1)
    z, n = rng.normal(0, 2, len(cells)), rng.poisson(3, len(cells)).astype(float)
    text = pack_layer(layer(cells, (Reading("z", z, 2), Reading("n", n, 0))))
    assert len(cells) == 60_000
    assert len(text) < 500_000
    # streamlit-folium drops what follows an underscore when it compares two maps.
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def test_of_a_huge_layer_only_what_is_drawn_is_sent_and_the_legend_counts_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = town()
    n = np.arange(len(cells)).astype(float)
    huge = layer(cells, (Reading("n", n, 0),))
    monkeypatch.setattr(cellmap, "MAX_PACKED", len(cells) - 1)
    classes, [readings], order = unpack(pack_layer(huge))
    assert sorted(classes) == sorted(cells[huge.classes < 2].tolist())
    assert dict(zip(order, readings, strict=True)) == {
        int(c): v for c, v in zip(cells, n, strict=True) if c in classes
    }
    assert sum(c.count for c in huge.legend) == len(cells)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda c: CellLayer("t", 8, c, np.zeros(len(c) - 1, np.uint8), ()), "cells, but"),
        (lambda c: CellLayer("t", 9, c, np.zeros(len(c), np.uint8), ()), "resolution 9"),
        (lambda c: layer(c, classes=np.full(len(c), 3)), "class 3 is not in the legend"),
        (lambda c: layer(c, (Reading("r", np.zeros(1), 0),)), "cells, but"),
        (lambda c: layer(c, (Reading("r", np.zeros(len(c)), 0),) * 5), "4 readings"),
        (lambda c: pack_layer(layer(c, (Reading("r", np.zeros(len(c)), 7),))), "7 digits"),
        (lambda c: pack_layer(layer(c, (Reading("r", np.full(len(c), np.inf), 1),))), "too large"),
        (lambda c: CellClass("x", "X", "#fff", "#000", "star", 0), "mark 'star' is unknown"),
        (lambda c: CellClass("x", "X", "#ffffff", "", "", 0), "both colours"),
        (
            lambda c: CellLayer("t", 8, c, np.zeros(len(c), np.uint8), (CellClass("x", "X", "", "", "", 1),)),
            r"counts of \['x'\]",
        ),
    ],
)
def test_what_would_be_drawn_wrongly_is_refused(make: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(town())


# ---- outlines ----


def test_the_outline_of_cells_is_their_union_with_its_hole() -> None:
    ring = set(h3.grid_ring(h3.latlng_to_cell(26.4, 50, 8), 2))
    cells = np.array(sorted(h3.str_to_int(c) for c in ring), dtype=np.int64)
    got = dissolve(cells)
    true = shapely.union_all(shapely.buffer(boundaries(cells), 1e-9))
    assert shapely.area(got.symmetric_difference(true)) < 1e-7 * true.area + 1e-8
    assert sum(len(p.interiors) for p in shapely.get_parts(got)) == 1
    assert got.is_valid


def test_cells_that_do_not_touch_stay_two_parts() -> None:
    two = np.sort(np.array([h3.str_to_int(h3.latlng_to_cell(26.4, x, 8)) for x in (50.0, 50.2)]))
    assert len(shapely.get_parts(dissolve(two))) == 2
    assert dissolve(two).area == pytest.approx(sum(b.area for b in boundaries(two)))


@pytest.mark.parametrize("cells", [[], [h3.str_to_int("88518c1b01fffff"), h3.str_to_int("89518c1b003ffff")]])
def test_an_outline_needs_cells_of_one_resolution(cells: list[int]) -> None:
    with pytest.raises(ValueError, match="one resolution"):
        dissolve(np.array(cells, dtype=np.int64))


def test_numbers_stand_for_their_outlines_and_only_for_one() -> None:
    cells = town()
    packed = pack_numbered([Outline(2, "second", cells[:9]), Outline(1, "first", cells[20:25])])
    assert packed.ids == (2, 1)
    lat, lng = packed.labels[1]
    assert dissolve(cells[20:25]).contains(shapely.Point(lng, lat))
    with pytest.raises(ValueError, match="two outlines"):
        pack_numbered([Outline(1, "a", cells[:2]), Outline(1, "b", cells[3:5])])


# ---- images ----


def test_an_image_of_classes_is_a_greyscale_png_with_the_same_levels() -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    read = Image.open(io.BytesIO(grey_png(levels)))
    assert (read.mode, read.size) == ("L", (4, 3))
    assert np.array_equal(np.asarray(read), levels)


def test_a_level_without_a_legend_is_refused_and_a_photograph_is_drawn_as_it_is() -> None:
    box = ((26.0, 50.0), (27.0, 51.0))
    legend = [("0", "#ffffff", "#000000"), ("5", "#ff0000", "#00ff00")]
    assert image("t", np.full((2, 2), 2, np.uint8), box, legend).grey
    with pytest.raises(ValueError, match="level 3"):
        image("t", np.full((2, 2), 3, np.uint8), box, legend)
    out = io.BytesIO()
    Image.new("RGBA", (2, 2)).save(out, "png")
    assert not ImageLayer("t", out.getvalue(), box, ()).grey
    with pytest.raises(ValueError, match="rows and columns"):
        grey_png(np.zeros((0, 3), np.uint8))


# ---- the payload ----


def show(**changes: Any) -> str:
    values: dict[str, Any] = {
        "outlines": Outlines((), "", np.empty((0, 2)), 0),
        "labels": [],
        "minor": None,
        "minor_names": [],
        "bounds": None,
        "extent": None,
        "fit": "t",
        "words": {},
        "language": "en",
        "palette": "ember",
    }
    return payload(**(values | changes))


def test_the_payload_says_classes_in_words_colours_marks_and_numbers() -> None:
    cells = town()
    [pane] = json.loads(show(cell_layer=layer(cells, (Reading("z", np.ones(len(cells)), 2),))))["panes"]
    third = -(-len(cells) // 3)
    assert pane["layer"]["legend"][0] == ["A", "#ffffff", "#000000", "dot", third]
    assert pane["layer"]["legend"][2][1:4] == ["", "", ""]
    assert pane["layer"]["readings"] == ["z"]
    assert pane["layer"]["km2"] == pytest.approx(areas_km2(cells).mean(), rel=1e-3)
    assert (pane["cells"], pane["image"], pane["numbered"], pane["heading"]) == ("", None, None, "")


def test_numbered_outlines_travel_with_their_labels() -> None:
    [pane] = json.loads(show(numbered=[Outline(3, "</script>", town()[:4])]))["panes"]
    assert pane["numbered"]["ids"] == [3]
    assert pane["numbered"]["names"] == ["</script>"]


def test_two_panes_share_classes_and_bring_their_own_cells() -> None:
    cells = town()
    first, second = layer(cells), layer(cells[::2])
    shown = json.loads(show(panes=(Pane("one", layer=first), Pane("two", layer=second))))["panes"]
    assert [p["heading"] for p in shown] == ["one", "two"]
    assert [sum(c[4] for c in p["layer"]["legend"]) for p in shown] == [len(cells), len(cells[::2])]

    other = classed("t", 8, cells, np.zeros(len(cells), int), [("x", "X", DIVERGING["hot99"])])
    with pytest.raises(ValueError, match="same classes"):
        show(panes=(Pane("one", layer=first), Pane("two", layer=other)))
    with pytest.raises(ValueError, match="same classes"):
        show(panes=(Pane("one", layer=first), Pane("two", cells="AA==")))
    with pytest.raises(ValueError, match="their own"):
        show(panes=(Pane("one", layer=first), Pane("two", layer=second)), cell_layer=first)


def test_two_images_side_by_side_need_one_legend() -> None:
    box, levels = ((26.0, 50.0), (27.0, 51.0)), np.ones((2, 2), np.uint8)
    ends = [image("t", levels, box, [("0", "#ffffff", dark)]) for dark in ("#000000", "#000001")]
    with pytest.raises(ValueError, match="same legend"):
        show(panes=(Pane("a", image=ends[0]), Pane("b", image=ends[1])))
    [a, b] = json.loads(show(panes=(Pane("a", image=ends[0]), Pane("b", image=ends[0]))))["panes"]
    assert a["image"] == b["image"]
    assert a["image"]["grey"] is True


def test_a_cells_place_names_the_same_cell() -> None:
    cells = town()
    lng, lat = centres(cells)
    assert [
        h3.str_to_int(h3.latlng_to_cell(round(y, 5), round(x, 5), 8)) for x, y in zip(lng, lat, strict=True)
    ] == cells.tolist()
