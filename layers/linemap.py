"""Lines and stops above the cells of the map: stretches of road, rounds of a team, its sites.

A ``TrackLayer`` holds polylines with a class each, said by colour, width and words; a line
with a number carries it on the map and answers a click. A ``StopLayer`` holds points with a
class and a few words on hover. Packed as differences of 1e-5 degree (about 1 m), so a
thousand stretches are some 40 kB. Caveat: a line is drawn as it is given; where it only
joins two places, its legend must say so.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layers.cellmap import MARKS
from layers.hexpack import DEGREE, deltas, number, varints
from layers.palettes import Mark

MAX_CLASSES = 32

Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class TrackClass:
    """One line of the legend of tracks.

    Attributes
    ----------
    code : short name that belongs to no language. label : in the reader's language.
    light, dark : colours ``#rrggbb`` on a light and a dark screen.
    width : px. dashed : drawn in dashes, for a line that follows no road.
    """

    code: str
    label: str
    light: str
    dark: str
    width: float
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One polyline.

    Attributes
    ----------
    id : at least 1, each once; a click names it. number : shown on the map; None for none.
    label : in the reader's language; notes : further lines on hover.
    kind : position in the layer's legend.
    parts : polylines of (lon, lat) in decimal degrees, two points or more each.
    """

    id: int
    label: str
    kind: int
    parts: tuple[Line, ...]
    number: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackLayer:
    """Polylines with a class each; those that come later lie above."""

    title: str
    tracks: tuple[Track, ...]
    legend: tuple[TrackClass, ...]

    def __post_init__(self) -> None:
        if len(self.legend) > MAX_CLASSES:
            raise ValueError(f"at most {MAX_CLASSES} classes of lines can be shown")
        ids = [track.id for track in self.tracks]
        if len(set(ids)) != len(ids):
            raise ValueError("two lines have the same id")
        wrong = [t.id for t in self.tracks if not 0 <= t.kind < len(self.legend)]
        short = [t.id for t in self.tracks if not t.parts or any(len(part) < 2 for part in t.parts)]
        if wrong or short:
            raise ValueError(f"lines of no class: {wrong}; lines of fewer than two points: {short}")


@dataclass(frozen=True, slots=True)
class StopClass:
    """One line of the legend of stops: as ``TrackClass``, with a mark."""

    code: str
    label: str
    light: str
    dark: str
    mark: Mark = ""

    def __post_init__(self) -> None:
        if self.mark not in MARKS:
            raise ValueError(f"class {self.code}: mark {self.mark!r} is unknown; use one of {MARKS}")


@dataclass(frozen=True, slots=True)
class Stop:
    """One point: decimal degrees, position in the legend, text on it, lines on hover."""

    lon: float
    lat: float
    kind: int
    label: str
    sign: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopLayer:
    """Points with a class each."""

    title: str
    stops: tuple[Stop, ...]
    legend: tuple[StopClass, ...]

    def __post_init__(self) -> None:
        wrong = [k for k, stop in enumerate(self.stops) if not 0 <= stop.kind < len(self.legend)]
        if wrong:
            raise ValueError(f"stops of no class: {wrong}")


def _steps(values: NDArray[np.float64]) -> bytes:
    return deltas(np.rint(values * DEGREE).astype(np.int64))


def pack_tracks(layer: TrackLayer) -> dict[str, Any]:
    """A layer of lines, ready for JSON."""
    parts = [part for track in layer.tracks for part in track.parts]
    xy = np.array([point for part in parts for point in part], dtype=np.float64).reshape(-1, 2)
    body = b"".join(
        [
            number(len(layer.tracks), len(parts)),
            varints(np.array([len(track.parts) for track in layer.tracks], dtype=np.int64)),
            varints(np.array([len(part) for part in parts], dtype=np.int64)),
            _steps(xy[:, 0]),
            _steps(xy[:, 1]),
        ]
    )
    held = np.bincount([t.kind for t in layer.tracks], minlength=len(layer.legend)).tolist()
    return {
        "title": layer.title,
        "lines": base64.b64encode(body).decode("ascii"),
        "ids": [track.id for track in layer.tracks],
        "numbers": [track.number or 0 for track in layer.tracks],
        "names": [track.label for track in layer.tracks],
        "notes": [list(track.notes) for track in layer.tracks],
        "kinds": [track.kind for track in layer.tracks],
        "legend": [
            [c.label, c.light, c.dark, c.width, int(c.dashed), held[k]] for k, c in enumerate(layer.legend)
        ],
    }


def pack_stops(layer: StopLayer) -> dict[str, Any]:
    """A layer of points, ready for JSON."""
    xy = np.array([(stop.lon, stop.lat) for stop in layer.stops], dtype=np.float64).reshape(-1, 2)
    body = number(len(layer.stops)) + _steps(xy[:, 0]) + _steps(xy[:, 1])
    held = np.bincount([s.kind for s in layer.stops], minlength=len(layer.legend)).tolist()
    return {
        "title": layer.title,
        "points": base64.b64encode(body).decode("ascii"),
        "kinds": [stop.kind for stop in layer.stops],
        "names": [stop.label for stop in layer.stops],
        "signs": [stop.sign for stop in layer.stops],
        "notes": [list(stop.notes) for stop in layer.stops],
        "legend": [[c.label, c.light, c.dark, c.mark, held[k]] for k, c in enumerate(layer.legend)],
    }
