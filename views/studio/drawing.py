"""The map of a campaign: reports by hexagon, the numbered areas above them, and a team's way.

An area is an outline with its number, a stretch of road a line with its rank; both answer a
click. When an area is picked, its sites are drawn by kind of target and its rounds by day.
Hexagons that are kept out, or must be in, are told by their class. Caveat: a round's line
joins its sites in their order; it does not show the streets in between.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import h3
import numpy as np
import streamlit as st
from numpy.typing import NDArray

from data.maps import CellCounts
from data.plan import TARGETS, CampaignPlan, PlannedArea, Site
from data.query import ReportQuery
from geo.cells import parents
from layers import hexmap, palettes
from layers.cellmap import CellLayer, Outline, Reading, classed
from layers.legend import class_limits, classes_of
from layers.linemap import Stop, StopClass, StopLayer, Track, TrackClass, TrackLayer
from layers.palettes import Shade
from views import answers
from views.words import Words, number, short

TARGET_SHADES = {
    "overdue": ("#b3261e", "#ff8a7a", "cross"),
    "open": ("#c46a00", "#f2a65a", "ring"),
    "chronic": ("#6a3fa0", "#c4a2f5", "up"),
    "new": ("#00658f", "#6cc6f0", "dot"),
    "unvisited": ("#3b6b4f", "#8fd0a8", "hatch"),
}
ROUND_SHADE = ("#0f6b52", "#5fd6ad")
STRETCH_SHADES = (
    ("chosen", "#0b1613", "#f6fbf9", 5.0, False),
    ("next", "#5b6b66", "#a9b8b3", 3.0, False),
    ("other", "#94a29d", "#5d6f6b", 1.5, False),
)
BASE_SHADE = ("#10211b", "#f6fbf9", "down")
NEXT = 30  # stretches after the chosen ones that are told apart


def cells_of_area(area: PlannedArea) -> NDArray[np.int64]:
    return np.array([h3.str_to_int(cell) for cell in area.cells], dtype=np.int64)


def outlines(words: Words, plan: CampaignPlan) -> tuple[Outline, ...]:
    """The areas with their numbers; on hover their finds and hours."""
    return tuple(
        Outline(
            area.number,
            words(
                "studio.area_hover",
                place=words.pick(area.municipality.ar, area.municipality.en),
                finds=number(area.finds),
                hours=number(area.hours),
            ),
            cells_of_area(area),
        )
        for area in plan.areas
    )


def layer(
    words: Words,
    counts: CellCounts,
    resolution: int,
    palette: str,
    keep_out: tuple[str, ...],
    include: tuple[str, ...],
) -> CellLayer | None:
    """Reports by cell of the plan's size, with what is kept out or must be in.

    None where the plan's cells are not among those that are counted for the map.
    """
    level = counts.levels.get(resolution)
    if level is None or not len(level.cells):
        return None
    out, inside = _among(level.cells, keep_out), _among(level.cells, include)
    limits = class_limits(level.counts)
    shades = palettes.sequential(len(limits), palette)
    classes = classes_of(level.counts.astype(np.float64), [float(x) for x in limits])
    lows = [1, *(int(x) + 1 for x in limits[:-1])]
    names = [
        number(high) if low == high else f"{number(low)}–{number(high)}"
        for low, high in zip(lows, limits, strict=True)
    ]
    legend: list[tuple[str, str, Shade]] = [
        (f"c{k}", name, shade) for k, (name, shade) in enumerate(zip(names, shades, strict=True))
    ]
    for code, name, which, shade in (
        ("out", words("studio.cells_out"), out, Shade("#7c8783", "#75837f", "cross")),
        ("incl", words("studio.cells_incl"), inside, Shade("#3f8f73", "#58b893", "ring")),
    ):
        if which.any():
            classes = np.where(which, len(legend), classes)
            legend.append((code, name, shade))
    reading = Reading(words("kpi.reports"), level.counts.astype(np.float64), 0)
    return classed(words("map.legend"), resolution, level.cells, classes, legend, (reading,))


def _among(cells: NDArray[np.int64], named: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of (n,) cells lie in cells that are named, of the same size or larger."""
    found = np.zeros(len(cells), dtype=bool)
    by_size: dict[int, list[int]] = {}
    for text in named:
        by_size.setdefault(h3.get_resolution(text), []).append(h3.str_to_int(text))
    own = int(cells[0] >> 52 & 15) if len(cells) else 0
    for size, some in by_size.items():
        if size <= own:
            found |= np.isin(parents(cells, size), np.array(some, dtype=np.int64))
    return found


def rounds(words: Words, area: PlannedArea, day: int | None) -> TrackLayer | None:
    """The picked area's round on one day, from its base and back."""
    stops = sorted((s for s in area.sites if day and s.day == day), key=lambda s: s.order or 0)
    line = [(s.lon, s.lat) for s in stops]
    if area.base is not None:
        line = [(area.base.lon, area.base.lat), *line, (area.base.lon, area.base.lat)]
    if not stops or len(line) < 2:
        return None
    label = words("studio.round", day=number(day or 0), n=number(len(stops)))
    legend = TrackClass("round", label, *ROUND_SHADE, 2.2, dashed=True)
    return TrackLayer(words("studio.rounds"), (Track(1, label, 0, (tuple(line),)),), (legend,))


def sites(words: Words, area: PlannedArea, only: int | None = None) -> StopLayer:
    """The picked area's sites by kind of target, and its base; those of one day with ``only``."""
    legend = [StopClass(t, words(f"target.{t}"), *TARGET_SHADES[t]) for t in TARGETS]  # type: ignore[arg-type]
    stops = [
        Stop(
            site.lon,
            site.lat,
            TARGETS.index(site.target),
            site_name(words, site),
            str(site.order or "") if only else "",
            tuple(site_notes(words, site)),
        )
        for site in area.sites
        if not only or site.day == only
    ]
    if area.base is not None:
        legend.append(StopClass("base", words("studio.base"), *BASE_SHADE))  # type: ignore[arg-type]
        name = words("studio.base_of", name=area.base.name)
        stops.append(Stop(area.base.lon, area.base.lat, len(TARGETS), name))
    return StopLayer(words("studio.sites"), tuple(stops), tuple(legend))


def site_name(words: Words, site: Site) -> str:
    """What a site is, in a few words."""
    if site.element_name.ar or site.element_name.en:
        return words.pick(site.element_name.ar, site.element_name.en)
    return words(f"target.{site.target}")


def site_notes(words: Words, site: Site) -> list[str]:
    notes = [words(f"target.{site.target}")]
    if site.late_days is not None and site.late_days > 0:
        notes.append(words("studio.late", days=number(site.late_days)))
    if site.returns:
        notes.append(words("studio.returns", n=number(site.returns)))
    notes.append(words("studio.chance", n=number(100 * site.chance)))
    if site.day is not None:
        notes.append(words("studio.at", day=number(site.day), order=number(site.order or 0)))
    return notes


def stretches(words: Words, plan: CampaignPlan) -> TrackLayer | None:
    """The stretches of road, the chosen ones numbered by rank and drawn last."""
    if not plan.stretches:
        return None
    tracks = []
    after = {s.key for s in sorted((s for s in plan.stretches if not s.chosen), key=lambda s: s.rank)[:NEXT]}
    for stretch in reversed(plan.stretches):
        kind = 0 if stretch.chosen else 1 if stretch.key in after else 2
        parts = tuple(part for part in stretch.line if len(part) > 1)
        if not parts:
            continue
        notes = (
            words("studio.per_km", rate=short(stretch.shrunk)),
            words("studio.stretch_cost", km=short(stretch.km), cost=number(stretch.cost / 1e6, 2)),
        )
        name = words.pick(stretch.axis.ar, stretch.axis.en)
        tracks.append(
            (kind, Track(stretch.rank, name, kind, parts, stretch.rank if kind == 0 else None, notes))
        )
    tracks.sort(key=lambda pair: -pair[0])
    legend = tuple(TrackClass(code, words(f"stretch.{code}"), *rest) for code, *rest in STRETCH_SHADES)  # type: ignore[arg-type]
    return TrackLayer(words("studio.stretches"), tuple(track for _, track in tracks), legend)


@st.cache_data(max_entries=24, show_spinner=False)
def payload(
    version: int,
    query: ReportQuery,
    whole: ReportQuery,
    language: str,
    palette: str,
    fit: str,
    pick: tuple[tuple[str, float], ...],
    tiles: bool,
    source: Hashable,
    area: int | None,
    day: int | None,
    keep_out: tuple[str, ...],
    include: tuple[str, ...],
    _plan: CampaignPlan | None,
) -> str:
    """Everything that the map shows of a campaign, as JSON.

    Parameters
    ----------
    source : stands for ``_plan`` in the key: what was asked, or the saved plan's id and version.
    area : number of the picked area, whose sites are drawn; with ``day`` its round on that day.
    others : as for ``views.answers.map_payload``.
    """
    words = Words(language)
    ground, counts = answers.ground(version, query, whole, words), answers.cells(version, query)
    drawn: dict[str, Any] = {}
    if _plan is not None and _plan.areas:
        drawn["numbered"] = outlines(words, _plan)
        chosen = next((a for a in _plan.areas if a.number == area), None)
        if chosen is not None:
            drawn |= {"tracks": rounds(words, chosen, day), "stops": sites(words, chosen, day)}
    elif _plan is not None:
        drawn["tracks"] = stretches(words, _plan)
    cells = None
    if _plan is not None and _plan.resolution:
        cells = layer(words, counts, _plan.resolution, palette, keep_out, include)
    drawn |= {"cell_layer": cells} if cells else answers.counted(counts, ground)
    said = answers.layer_words(words, illustrative=ground.illustrative)
    return hexmap.payload(
        **drawn,
        **ground.drawn,
        fit=fit,
        words=said | {"label": words("studio.map_label"), "numbered": words("studio.numbered")},
        language=language,
        palette=palette,
        pick=dict(pick) or None,
        over_tiles=tiles,
    )
