"""The smooth surface of "Where are there most?": its settings, image and answer in words.

``views/methods/most.py`` offers it beside the hexagons: ``settings`` draws the widgets,
``layer`` the image, ``answer`` the sentence; the numbers are ``data/analyses/density.py``'s.
"""

from __future__ import annotations

from data.analyses.density import DensityResult, DensitySettings
from layers.cellmap import ImageLayer
from layers.density import density_layer
from views import controls
from views.method import Scene
from views.words import Words, short

WIDTHS = (0, 100, 150, 200, 300, 500, 800, 1200, 2000, 3000, 5000)  # metres; 0: automatic


def settings(scene: Scene) -> DensitySettings | None:
    """The reader's choice: None for hexagons, else how the surface is drawn."""
    words = scene.words
    ways = {"hex": words("density.hexagons"), "surface": words("density.surface")}
    way = controls.choice("most_draw", words("density.draw"), ways, "hex", words("density.draw_help"))
    if way == "hex":
        return None
    labels = {width: _width(words, width) for width in WIDTHS}
    width = controls.choice("most_width", words("density.width"), labels, 0, words("density.width_help"))
    return DensitySettings(float(width) if width else None)


def layer(scene: Scene, result: DensityResult) -> ImageLayer | None:
    """The image for the map; None when there is nothing to draw."""
    if result.surface is None:
        return None
    return density_layer(result.surface, result.levels, scene.words("density.legend"), short, scene.palette)


def answer(words: Words, result: DensityResult) -> str:
    """The answer in one sentence; empty when there is nothing to draw."""
    found = result.surface
    if found is None or not result.levels:
        return ""
    drawn = found.values >= result.levels[0]
    held = float(found.values[drawn].sum()) * found.frame.pixel_km2
    return words(
        "density.answer",
        top=short(float(found.values.max())),
        km2=short(float(drawn.sum()) * found.frame.pixel_km2),
        share=short(100 * held / found.reports),
    )


def _width(words: Words, metres: int) -> str:
    if not metres:
        return words("density.auto")
    if metres < 1000:
        return words("density.metres", m=metres)
    return words("density.kilometres", km=short(metres / 1000))
