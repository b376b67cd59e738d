"""What reports are measured against, in the reader's words: choices, units, sources."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from data import exposures
from data.exposures import ExposureSet
from views import controls
from views.access import connection
from views.method import Scene
from views.words import Words

NAMES = {
    "population": "exposure.population",
    "buildings": "exposure.buildings",
    "road_km": "exposure.road_km",
    "area": "exposure.area",
}
RATES = {
    "population": "exposure.per_population",
    "buildings": "exposure.per_buildings",
    "road_km": "exposure.per_road_km",
    "area": "exposure.per_area",
}


@st.cache_data(max_entries=32, show_spinner=False)
def available(version: int, territory_id: int) -> tuple[ExposureSet, ...]:
    """What is loaded for a territory, remembered by its data version."""
    with connection() as conn:
        return exposures.available(conn, territory_id)


def choose(scene: Scene, key: str, default: str = "") -> str | None:
    """The widget: kind of exposure that rates are measured against; None for counts."""
    words = scene.words
    sets = available(scene.version, scene.query.territory_id)
    kind = controls.choice(
        key, words("exposure.label"), choices(words, sets), default, words("exposure.help")
    )
    return kind or None


def choices(words: Words, sets: Iterable[ExposureSet]) -> dict[str, str]:
    """Kind to words, for a selection; the first, "", is no exposure at all."""
    return {"": words("exposure.none")} | {each.kind: source(words, each) for each in sets}


def source(words: Words, found: ExposureSet) -> str:
    """A set with its label: "People: Census 2020", marked when simulated."""
    kind = words(NAMES[found.kind])
    if not found.id:
        return kind
    if found.simulated:
        return words("exposure.simulated", kind=kind, label=found.label)
    return words("exposure.source", kind=kind, label=found.label)


def rate(words: Words, kind: str) -> str:
    """The unit of a rate: "reports per 1,000 people"."""
    return words(RATES[kind])
