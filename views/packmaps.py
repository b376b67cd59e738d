"""Maps of the weekly pack: all hexagons that stand out, and closer where most lie together.

North is up, municipalities are outlined, numbers are those of the table beside. Caveat:
on the map of all, hexagons are drawn larger than they are, or nobody could see them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from markupsafe import Markup
from scipy.spatial import cKDTree

from data.pack import Heat, Outline, WeeklyPack
from data.plan import Name
from geo.cells import boundaries, centres, from_text
from layers.packsheet import Key, Sheet
from layers.sitemap import Fill, Mark, Picture, drawn
from views.words import Words, number

#: Class of a hexagon → how it is drawn, and its words.
CLASSES = {
    "hot_99": ("full", "chance.hot_99"),
    "hot_95": ("ring", "chance.hot_95"),
    "hot_new": ("full", "growing.hot_new"),
    "hot_consecutive": ("soft", "growing.hot_consecutive"),
    "hot_intensifying": ("ring", "growing.hot_intensifying"),
}
_WIDTH, _HEIGHT = 186.0, 84.0  # mm
_NEAR_WIDTH, _NEAR_HEIGHT = 90.0, 62.0
_NEAR_KM = 9.0  # half the width of what a closer map shows, about
_CLOSER = 2  # closer maps at most
_FEW = 4  # hexagons that are worth a closer map
_KM = 111.32  # of a degree of latitude


def maps(words: Words, pack: WeeklyPack, heat: Heat, title: str) -> tuple[Sheet, ...]:
    """The map of all, with its key, then the closer ones side by side."""
    cells = [cell for spots in heat.spots for cell in spots.cells]
    if not cells:
        return ()
    kinds = [CLASSES[spots.code][0] for spots in heat.spots for _ in spots.cells]
    ids = from_text(cells)
    rings = [shapely.get_coordinates(shape) for shape in boundaries(ids)]
    fills = tuple(Fill(ring, kind) for ring, kind in zip(rings, kinds, strict=True))
    lon, lat = centres(ids)
    points = np.column_stack([lon, lat])
    shapes = _shapes(pack.outlines)
    keys = tuple(
        Key(
            CLASSES[spots.code][0],
            words(
                "weekly.key",
                words=words(CLASSES[spots.code][1]),
                cells=number(len(spots.cells)),
                reports=number(spots.reports),
            ),
        )
        for spots in heat.spots
    )
    outlines = tuple((shape, "") for shape, _ in shapes)
    marks = _numbers(points, shapes, heat)
    whole = Picture(outlines, marks, fit="fills", fills=fills)
    made = [Sheet(_drawn(words, whole, _WIDTH, _HEIGHT, title), words("weekly.map_all"), keys)]
    for middle in _middles(points):
        near = _within(points, middle)
        place = _holding(middle, shapes)
        caption = words("weekly.map_near_of", place=words.pick(place.ar, place.en)) if place else None
        picture = Picture(
            outlines,
            _numbers(points[near], shapes, heat),
            fit="fills",
            fills=tuple(fill for fill, keep in zip(fills, near, strict=True) if keep),
        )
        svg = _drawn(words, picture, _NEAR_WIDTH, _NEAR_HEIGHT, caption or words("weekly.map_near"))
        made.append(Sheet(svg, caption or words("weekly.map_near"), half=True))
    return tuple(made)


def _drawn(words: Words, picture: Picture, width: float, height: float, title: str) -> Markup:
    return drawn(
        picture,
        width=width,
        height=height,
        north=words("order.north"),
        scale={"m": words("order.scale_m"), "km": words("order.scale_km")},
        title=title,
    )


def _shapes(outlines: tuple[Outline, ...]) -> list[tuple[shapely.Geometry, Name]]:
    return [
        (shapely.MultiPolygon([shapely.Polygon(ring) for ring in one.rings if len(ring) > 3]), one.name)
        for one in outlines
        if any(len(ring) > 3 for ring in one.rings)
    ]


def _numbers(
    points: npt.NDArray[np.float64], shapes: list[tuple[shapely.Geometry, Name]], heat: Heat
) -> tuple[Mark, ...]:
    """A number at the middle of the hexagons of each municipality in the table."""
    at = shapely.points(points)
    marks = []
    for turn, place in enumerate(heat.places, 1):
        inside = np.zeros(len(points), dtype=bool)
        for shape, name in shapes:
            if name == place.name:
                inside |= shapely.contains(shape, at)
        if inside.any():
            own = points[inside]
            best = own[np.argmin(((own - own.mean(axis=0)) ** 2).sum(axis=1))]
            marks.append(Mark(float(best[0]), float(best[1]), str(turn)))
    return tuple(marks)


def _plane(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Kilometres around the middle of the points; good to a thousandth over a region."""
    cosine = np.cos(np.radians(points[:, 1].mean()))
    return points * np.array([_KM * cosine, _KM])


def _within(points: npt.NDArray[np.float64], middle: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    plane = _plane(np.vstack([points, middle]))
    off = np.abs(plane[:-1] - plane[-1])
    near: npt.NDArray[np.bool_] = (off[:, 0] <= _NEAR_KM) & (
        off[:, 1] <= _NEAR_KM * _NEAR_HEIGHT / _NEAR_WIDTH
    )
    return near


def _middles(points: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Places around which most hexagons lie, far enough apart; none where one map shows all well."""
    plane = _plane(points)
    if float(np.ptp(plane, axis=0).max()) <= 3 * _NEAR_KM:
        return []
    tree, left = cKDTree(plane), np.ones(len(points), dtype=bool)
    found: list[npt.NDArray[np.float64]] = []
    while len(found) < _CLOSER:
        held = np.array([left[near].sum() for near in tree.query_ball_point(plane, _NEAR_KM)])
        held[~left] = 0
        best = int(held.argmax())
        if held[best] < _FEW:
            break
        found.append(points[best])
        left[tree.query_ball_point(plane[best], 2 * _NEAR_KM)] = False
    return found


def _holding(middle: npt.NDArray[np.float64], shapes: list[tuple[shapely.Geometry, Name]]) -> Name | None:
    point = shapely.Point(middle)
    return next((name for shape, name in shapes if shape.contains(point)), None)
