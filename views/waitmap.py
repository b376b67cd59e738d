"""The maps of the inbox and of one report: what waits by hexagon, and what lies around a report.

Boundaries and roads are those of the territory, the same for everybody who may look into
it; what is counted and named on them comes from the user's own questions. Moving a map
asks nothing. Caveat: roads are drawn as they were loaded, none where none are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import shapely
import streamlit as st

from data import areas, roads
from data.cases import Case, Mention
from data.inbox import InboxLine
from data.maps import CellCounts
from data.waiting import Named
from geo.roads import MAIN
from layers import hexmap, outlines
from layers.linemap import Stop, StopClass, StopLayer, Track, TrackClass, TrackLayer
from layers.palettes import Shade
from views import answers
from views.access import connection
from views.urgency import limit_text
from views.words import Words, number

if TYPE_CHECKING:
    import geopandas as gpd

LEVELS = ("municipality", "governorate", "district", "amana", "region")
AROUND = 0.0022  # degrees shown around a report, about 250 m
ROADS_AROUND = 0.01
MOST_ROADS = 600
LATE = Shade("#b3261e", "#ff8a7a", "cross")
WAITS = Shade("#00658f", "#6cc6f0", "dot")
SAME = Shade("#0f6b52", "#5fd6ad", "ring")


@st.cache_data(max_entries=16, show_spinner=False)
def _areas(version: int, territory_id: int) -> gpd.GeoDataFrame:
    """Areas of the first level that a territory has; ``version`` is its data version."""
    with connection() as conn:
        for level in LEVELS:
            frame = areas.current_areas(conn, territory_id, level)
            if len(frame):
                return frame
    return frame


@st.cache_data(max_entries=16, show_spinner=False)
def _outlines(version: int, territory_id: int) -> outlines.Outlines:
    return outlines.pack_outlines(_areas(version, territory_id), 15_000)


def illustrative(version: int, territory_id: int) -> bool:
    """Whether the boundaries are for illustration only."""
    frame = _areas(version, territory_id)
    return bool(len(frame)) and bool(frame["illustrative"].any())


def _ground(
    words: Words, version: int, territory_id: int, places: Sequence[Named], counts: CellCounts | None
) -> answers.Ground:
    frame, main = _areas(version, territory_id), _outlines(version, territory_id)
    waiting = {place.key: place.count for place in places}
    names = {
        int(i): (words.pick(ar, en), float(km2))
        for i, ar, en, km2 in zip(
            frame["id"], frame["name_ar"], frame["name_en"], frame["area_km2"], strict=True
        )
    }
    labels = [hexmap.AreaLabel(names[i][0], waiting.get(i, 0), names[i][1]) for i in main.ids]
    bounds, extent = answers.first_view(counts or _NOTHING, frame)
    return answers.Ground(
        main,
        illustrative(version, territory_id),
        {
            "outlines": main,
            "labels": labels,
            "minor": None,
            "minor_names": [],
            "bounds": bounds,
            "extent": extent,
        },
    )


_NOTHING = CellCounts({}, 0, answers.maps.LeftOut(0, 0, 0))


def waiting(
    words: Words,
    version: int,
    territory_id: int,
    palette: str,
    counts: CellCounts,
    places: Sequence[Named],
    lines: Sequence[InboxLine],
    *,
    pick: tuple[tuple[str, float], ...],
    tiles: bool,
) -> str:
    """What waits by hexagon, with the reports of the list's page as points."""
    under = _ground(words, version, territory_id, places, counts)
    stops = tuple(
        Stop(
            line.lon,
            line.lat,
            0 if line.late_days is not None and line.late_days > 0 else 1,
            line.reference,
            notes=(
                words.pick(line.element_ar, line.element_en) if line.element_ar else line.type or "",
                limit_text(words, line.late_days),
            ),
        )
        for line in lines
        if line.lon is not None and line.lat is not None
    )
    legend = (
        StopClass("late", words("inbox.kpi_late"), *LATE),
        StopClass("waits", words("inbox.sites"), *WAITS),
    )
    return hexmap.payload(
        **answers.counted(counts, under),
        **under.drawn,
        stops=StopLayer(words("inbox.sites"), stops, legend),
        fit=str(territory_id),
        words=answers.layer_words(words, illustrative=under.illustrative)
        | {"label": words("inbox.map_label"), "legend": words("inbox.legend")},
        language=words.language,
        palette=palette,
        pick=dict(pick) or None,
        over_tiles=tiles,
    )


def around(
    words: Words,
    version: int,
    palette: str,
    case: Case,
    near: Sequence[Mention],
    same: Sequence[Mention],
    *,
    tiles: bool,
) -> str:
    """One report with what lies around it, roads faint behind; the report has a point."""
    if case.lon is None or case.lat is None:
        raise ValueError(f"report {case.id} has no point to be drawn at")
    under = _ground(words, version, case.territory_id, (), None)
    of_incident = {one.id for one in same}
    others = {one.id: one for one in (*near, *same) if one.lon is not None and one.lat is not None}
    stops = [
        Stop(
            one.lon or 0.0,
            one.lat or 0.0,
            2 if one.id in of_incident else 1,
            one.reference,
            notes=(words.pick(one.element.ar, one.element.en), words.status(one.status)),
        )
        for one in others.values()
    ]
    stops.append(Stop(case.lon, case.lat, 0, case.reference, notes=(words.status(case.status),)))
    legend = (
        StopClass("own", words("case.this_one"), *LATE),
        StopClass("near", words("case.near_one"), *WAITS),
        StopClass("same", words("case.same_one"), *SAME),
    )
    box = [
        [round(case.lat - AROUND, 5), round(case.lon - AROUND, 5)],
        [round(case.lat + AROUND, 5), round(case.lon + AROUND, 5)],
    ]
    return hexmap.payload(
        **(under.drawn | {"bounds": box}),
        tracks=_streets(words, case.territory_id, case.lon, case.lat),
        stops=StopLayer(words("case.map_legend"), tuple(stops), legend),
        fit=f"case {case.id}",
        words=answers.layer_words(words, illustrative=under.illustrative)
        | {"label": words("case.map_label")},
        language=words.language,
        palette=palette,
        over_tiles=tiles,
    )


def _streets(words: Words, territory_id: int, lon: float, lat: float) -> TrackLayer | None:
    """Roads near a point; None where none are loaded."""
    with connection() as conn:  # read once, then in memory (data/roads.py)
        found = roads.of_territory(conn, territory_id)
    if found is None or not len(found):
        return None
    reach = shapely.box(lon - ROADS_AROUND, lat - ROADS_AROUND, lon + ROADS_AROUND, lat + ROADS_AROUND)
    chosen = np.flatnonzero(shapely.intersects(found.lines, reach))[:MOST_ROADS]
    main = np.isin(found.road_class[chosen], MAIN)
    tracks = tuple(
        Track(
            int(k) + 1,
            str(found.name_ar[at] if words.rtl else found.name_en[at] or found.name_ar[at] or ""),
            int(main[k]),
            (tuple(map(tuple, shapely.get_coordinates(found.lines[at]).tolist())),),
        )
        for k, at in enumerate(chosen.tolist())
    )
    legend = (
        TrackClass("street", words("case.street"), "#c3ccc8", "#4a5753", 1.5),
        TrackClass("road", words("case.road"), "#9aa8a3", "#6c7b76", 3.0),
    )
    return TrackLayer(words("case.roads"), tracks, legend) if tracks else None


def count_note(words: Words, counts: CellCounts) -> str:
    """How many of what waits are not on the map; "" where all are."""
    missing = counts.left_out.total
    return words("inbox.no_point", n=number(missing)) if missing else ""
