"""A map on paper: an area's outline, its sites numbered, its base, roads faint behind them.

Inline SVG in millimetres, north up, with a scale bar; no tiles and no script, so that it
prints the same everywhere. Numbers that would cover each other move aside with a thin line
to their place. Caveat: the plane is equirectangular around the middle of the map, true to
scale within 0.1 % over 30 km; a line between sites is not the way on the streets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely
from markupsafe import Markup, escape

Floats = npt.NDArray[np.float64]

_METRES = 111_320.0  # a degree of latitude
_STEPS = (1, 2, 5)
_RADIUS = 2.3  # mm, of a number's disc
_LEAST_SIDE_M = 400.0  # a map shows at least so much
_LEAST_FILL = 1.5  # mm, of a small area's width


@dataclass(frozen=True, slots=True)
class Mark:
    """A site: ``label`` in a disc, or a plain dot where it is empty. Decimal degrees."""

    lon: float
    lat: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """Roads to find one's way by: lines of (k, 2) degrees, and which of them are main roads."""

    lines: tuple[Floats, ...] = ()
    main: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Fill:
    """A small area drawn in the colours of its class, such as a hexagon: (k, 2) degrees.

    ``kind`` is a class of the style sheet. On a map of a whole region it is drawn larger than
    it is (``_LEAST_FILL``), or it could not be seen.
    """

    ring: Floats
    kind: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What a map shows.

    Attributes
    ----------
    fills : small areas below everything but the roads; they too decide what is seen, where
        ``fit`` is "fills".
    outlines : (polygon or lines, label) of areas or stretches; the label may be empty.
    marks : sites; they decide with ``outlines`` what part of the earth is seen.
    base : where the team starts. route : join base and marks in their order.
    fit : "all", "marks" to zoom to the sites, or "fills" to zoom to the small areas.
    """

    outlines: tuple[tuple[shapely.Geometry, str], ...] = ()
    marks: tuple[Mark, ...] = ()
    base: Mark | None = None
    backdrop: Backdrop = field(default_factory=Backdrop)
    route: bool = False
    fit: str = "all"
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True)
class _Frame:
    """From degrees to millimetres of the picture."""

    west: float
    north: float
    cosine: float
    scale: float  # mm a metre
    width: float
    height: float

    def xy(self, points: npt.ArrayLike) -> Floats:
        """(n, 2) degrees to (n, 2) mm."""
        degrees = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        x = (degrees[:, 0] - self.west) * _METRES * self.cosine * self.scale
        return np.column_stack([x, (self.north - degrees[:, 1]) * _METRES * self.scale])


def drawn(
    picture: Picture, *, width: float, height: float, north: str, scale: Mapping[str, str], title: str
) -> Markup:
    """The picture as SVG.

    Parameters
    ----------
    width, height : millimetres.
    north : letter at the arrow. scale : words of the bar in m and in km, with a place ``{n}``.
    title : what it is, for those who cannot see it.
    """
    frame = _frame(picture, width, height)
    parts = [
        f'<svg class="map" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">',
        f'<rect width="{width:g}" height="{height:g}" class="paper"/>',
        *_roads(picture.backdrop, frame),
        *_fills(picture.fills, frame),
        *_outlines(picture.outlines, frame),
        *_route(picture, frame),
        *_marks(picture, frame),
        *_furniture(frame, north, scale),
        "</svg>",
    ]
    # Numbers and escaped texts only.
    return Markup("".join(parts))  # noqa: S704


def _frame(picture: Picture, width: float, height: float) -> _Frame:
    points = [(mark.lon, mark.lat) for mark in picture.marks]
    if picture.base and picture.fit != "all":
        points.append((picture.base.lon, picture.base.lat))
    if picture.fit == "fills":
        points += [tuple(corner) for fill in picture.fills for corner in fill.ring.tolist()]
    boxes = [shape.bounds for shape, _ in picture.outlines if not shape.is_empty]
    if picture.fit == "all" or not points:
        points += [(x, y) for w, s, e, n in boxes for x, y in ((w, s), (e, n))]
    lon, lat = np.array(points or [(0.0, 0.0)]).T
    middle = float(lat.min() + lat.max()) / 2
    cosine = max(math.cos(math.radians(middle)), 0.01)
    across = max(float(np.ptp(lon)) * _METRES * cosine, _LEAST_SIDE_M)
    down = max(float(np.ptp(lat)) * _METRES, _LEAST_SIDE_M)
    edge = 2 * _RADIUS + 3
    scale = min((width - 2 * edge) / across, (height - 2 * edge) / down)
    west = float(lon.min() + lon.max()) / 2 - width / 2 / scale / _METRES / cosine
    return _Frame(west, middle + height / 2 / scale / _METRES, cosine, scale, width, height)


def _path(xy: Floats, closed: bool = False) -> str:
    steps = "L".join(f"{x:.2f} {y:.2f}" for x, y in xy.tolist())
    return f"M{steps}{'Z' if closed else ''}"


def _roads(backdrop: Backdrop, frame: _Frame) -> list[str]:
    """Faint lines, main roads wider; only what is inside the frame."""
    small: list[str] = []
    large: list[str] = []
    for line, main in zip(backdrop.lines, backdrop.main, strict=True):
        xy = frame.xy(line)
        low, high = xy.min(axis=0), xy.max(axis=0)
        if high[0] < 0 or high[1] < 0 or low[0] > frame.width or low[1] > frame.height:
            continue
        seen = shapely.clip_by_rect(shapely.LineString(xy), 0, 0, frame.width, frame.height)
        for part in shapely.get_parts(shapely.simplify(seen, 0.1)):
            if not part.is_empty and part.geom_type == "LineString":
                (large if main else small).append(_path(shapely.get_coordinates(part)))
    return [
        f'<path class="{name}" d="{"".join(paths)}"/>'
        for name, paths in (("street", small), ("road", large))
        if paths
    ]


def _fills(fills: Sequence[Fill], frame: _Frame) -> list[str]:
    """One path a class; each small area at least as wide as can be seen."""
    paths: dict[str, list[str]] = {}
    for fill in fills:
        xy = frame.xy(fill.ring)
        middle = xy.mean(axis=0)
        if not (0 <= middle[0] <= frame.width and 0 <= middle[1] <= frame.height):
            continue
        width = float(np.ptp(xy[:, 0]))
        grown = middle + (xy - middle) * max(1.0, _LEAST_FILL / max(width, 1e-9))
        paths.setdefault(fill.kind, []).append(_path(grown, True))
    return [f'<path class="fill {escape(kind)}" d="{"".join(ways)}"/>' for kind, ways in paths.items()]


def _outlines(outlines: Sequence[tuple[shapely.Geometry, str]], frame: _Frame) -> list[str]:
    shapes, labels = [], []
    for shape, label in outlines:
        lines = shape.geom_type.endswith("LineString")
        rings = shapely.get_parts(shape) if lines else _rings(shape)
        way = "".join(_path(frame.xy(shapely.get_coordinates(ring)), not lines) for ring in rings)
        shapes.append(f'<path class="{"stretch" if lines else "outline"}" d="{way}"/>')
        if label:
            spot = shape.interpolate(0.5, normalized=True) if lines else shape.representative_point()
            x, y = frame.xy([(spot.x, spot.y)])[0].tolist()
            labels.append(_disc(x, y, label, "number"))
    return shapes + labels


def _rings(shape: shapely.Geometry) -> list[shapely.Geometry]:
    return [r for p in shapely.get_parts(shape) for r in (p.exterior, *p.interiors)]


def _route(picture: Picture, frame: _Frame) -> list[str]:
    if not picture.route or not picture.marks:
        return []
    ends = [(picture.base.lon, picture.base.lat)] if picture.base else []
    way = frame.xy([*ends, *((m.lon, m.lat) for m in picture.marks), *ends])
    return [f'<path class="route" d="{_path(way)}"/>']


def _marks(picture: Picture, frame: _Frame) -> list[str]:
    """Dots, then discs with numbers, each where it covers no other."""
    found = []
    if picture.base:
        x, y = frame.xy([(picture.base.lon, picture.base.lat)])[0].tolist()
        x, y = min(max(x, 3), frame.width - 3), min(max(y, 3), frame.height - 3)
        found.append(f'<path class="base" d="M{x - 2.4:.2f} {y + 1.8:.2f}h4.8v-2.6l-2.4-2-2.4 2z"/>')
    if not picture.marks:
        return found
    spots = frame.xy([(m.lon, m.lat) for m in picture.marks])
    named = [bool(mark.label) for mark in picture.marks]
    size = 0.75 if all(named) else 0.5  # many dots without a number are an overview
    found += [f'<circle class="dot" cx="{x:.2f}" cy="{y:.2f}" r="{size}"/>' for x, y in spots.tolist()]
    places = _apart(spots[named], frame)
    labels = [mark.label for mark in picture.marks if mark.label]
    for (x, y), (px, py) in zip(spots[named].tolist(), places, strict=True):
        if (x, y) != (px, py):
            found.append(f'<path class="lead" d="M{x:.2f} {y:.2f}L{px:.2f} {py:.2f}"/>')
    found += [_disc(x, y, label, "site") for (x, y), label in zip(places, labels, strict=True)]
    return found


def _apart(spots: Floats, frame: _Frame) -> list[tuple[float, float]]:
    """Where the discs go: at their spot, or the nearest free place around it."""
    taken: list[tuple[float, float]] = []
    tries = [(0.0, 0.0)] + [
        (r * math.cos(a), r * math.sin(a))
        for r in (1.6 * _RADIUS, 2.4 * _RADIUS, 3.4 * _RADIUS, 4.6 * _RADIUS)
        for a in np.linspace(0, 2 * math.pi, 12, endpoint=False) - math.pi / 2
    ]
    for x, y in spots.tolist():
        best, cover = (x, y), math.inf
        for dx, dy in tries:
            at = (x + dx, y + dy)
            if not (_RADIUS < at[0] < frame.width - _RADIUS and _RADIUS < at[1] < frame.height - _RADIUS):
                continue
            covered = sum(max(0.0, 2 * _RADIUS - math.dist(at, other)) for other in taken)
            if covered < cover - 1e-9:
                best, cover = at, covered
            if cover == 0:
                break
        taken.append(best)
    return taken


def _disc(x: float, y: float, label: str, name: str) -> str:
    return (
        f'<g class="{name}"><circle cx="{x:.2f}" cy="{y:.2f}" r="{_RADIUS}"/>'
        f'<text x="{x:.2f}" y="{y + 0.95:.2f}">{escape(label)}</text></g>'
    )


def _furniture(frame: _Frame, north: str, scale: Mapping[str, str]) -> list[str]:
    """North arrow and scale bar: the longest round length that takes a quarter of the width."""
    most = frame.width / 4 / frame.scale
    power = 10 ** math.floor(math.log10(most))
    metres = max(step * power for step in _STEPS if step * power <= most)
    long = metres * frame.scale
    n, unit = (f"{metres / 1000:g}", "km") if metres >= 1000 else (f"{metres:g}", "m")
    y = frame.height - 3
    return [
        f'<g class="scale"><rect x="2" y="{y - 3.4:.2f}" width="{long + 4:.2f}" height="5.4"/>'
        f'<path d="M4 {y - 1:.2f}v1.4h{long:.2f}v-1.4"/>'
        f'<text x="{4 + long / 2:.2f}" y="{y - 0.6:.2f}">{escape(scale[unit].format(n=n))}</text></g>',
        f'<g class="north"><path d="M{frame.width - 5:.2f} 3l1.8 5.4-1.8-1.3-1.8 1.3z"/>'
        f'<text x="{frame.width - 5:.2f}" y="11.4">{escape(north)}</text></g>',
    ]
