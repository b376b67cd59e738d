"""The image of a density: classes where they belong, even in degrees, readable as PNG."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio
import shapely

from geo.density import Density, class_levels, density
from layers.density import coloured_png, density_classes, density_layer
from layers.palettes import PALETTES, sequential

AREA = shapely.box(50.0, 26.3, 50.2, 26.45)


pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def found() -> Density:
    rng = np.random.default_rng(1)
    x = np.r_[rng.normal(50.05, 0.01, 900), rng.normal(50.15, 0.01, 300)]
    y = np.r_[rng.normal(26.35, 0.01, 900), rng.normal(26.42, 0.01, 300)]
    return density(x, y, area=AREA, bandwidth_m=500, longest=200)


def test_a_class_is_that_of_the_density_at_its_pixel(found: Density) -> None:
    levels = class_levels(found, 6)
    classes, ((south, west), (north, east)) = density_classes(found, levels)
    rows, columns = classes.shape
    assert max(rows, columns) <= 1024
    assert west <= 50.0 and east >= 50.2 and south <= 26.3 and north >= 26.45
    rng = np.random.default_rng(2)
    r, c = rng.integers(0, rows, 500), rng.integers(0, columns, 500)
    lon = west + (c + 0.5) * (east - west) / columns
    lat = north - (r + 0.5) * (north - south) / rows
    own = found.at(lon, lat)
    expected = np.digitize(np.nan_to_num(own), levels[:-1])
    assert (classes[r, c] == expected).all()
    outside = ~shapely.contains_xy(AREA.buffer(0.002), lon, lat)
    assert (classes[r, c][outside] == 0).all()
    # The denser of the two heaps is the one in the south-west.
    row, column = np.argwhere(classes == classes.max()).mean(axis=0)
    assert row > rows / 2 and column < columns / 2


def test_the_layer_has_a_legend_of_the_palette_from_low_to_high(found: Density) -> None:
    levels = class_levels(found, 6)
    layer = density_layer(found, levels, "Reports per km²", lambda value: f"{value:g}", "gulf")
    assert layer.grey
    assert [label for label, _, _ in layer.legend] == [f"{low:g}" for low in levels[:-1]]
    assert layer.legend[0][1:] == (PALETTES["gulf"]["light"][0], PALETTES["gulf"]["dark"][0])
    with rasterio.MemoryFile(layer.png) as file, file.open() as image:
        assert image.read(1).max() == len(layer.legend)


def test_a_coloured_png_has_the_classes_colours_and_a_clear_ground() -> None:
    classes = np.array([[0, 1], [2, 0]], dtype=np.uint8)
    png = coloured_png(classes, sequential(2))
    with rasterio.MemoryFile(io.BytesIO(png)) as file, file.open() as image:
        assert (image.read(1) == classes).all()
        colours = image.colormap(1)
    shades = sequential(2)
    for k, shade in enumerate(shades, 1):
        assert "#{:02x}{:02x}{:02x}".format(*colours[k][:3]) == shade.light
    assert colours[0][3] == 0
    assert colours[1][3] == 255
