"""Where it is: a click on the map, the device's position, typed coordinates, or a named place.

Whichever came last holds. A click keeps the map where it is; the other ways take it there.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit_folium import st_folium

from data.duplicates import Candidate
from data.settings import settings
from ingest.typed_point import read_point
from layers import pickmap
from views import notices
from views.access import principal
from views.cards import esc, note
from views.filing import device, ground
from views.filing.draft import Draft, Setting
from views.words import Words, number

HEIGHT = 560  # before the style sheet sets it by screen size
DOUBTFUL = 100.0  # metres of doubt from which the reporter is asked to look
_TYPED_MOST = 300
WAYS = ("click", "device", "typed", "photo")
MAP_WORDS = ("label", "pin", "closer", "farther")


def draw(setting: Setting, draft: Draft) -> None:
    """The ways to say where it is, above the map."""
    words = setting.words
    if not draft.looks:
        who, territory = principal(), setting.territory
        places = tuple(p for p in who.places if p.territory == territory.code and p.area)
        found_box = ground.first_bounds(setting.version, territory.id, places, who.whole(territory.code))
        draft.bounds = found_box or territory.bounds
    with st.container(horizontal=True, key="rasd_where", vertical_alignment="bottom"):
        found = device.draw(words, draft.widget("device"))
        st.text_input(
            words("filing.typed"),
            key=draft.widget("typed"),
            placeholder="26.4207, 50.0888",
            max_chars=_TYPED_MOST,
            on_change=_take_typed,
            args=(setting, draft),
        )
        _goto(setting, draft)
    if isinstance(found, device.Position):
        draft.choose(found.lon, found.lat, "device", found.metres)
    elif found is not None:
        draft.fault = f"devicefault.{found}"
    if draft.fault:
        st.html(notices.cautions(words, [words(draft.fault)]))


def _take_typed(setting: Setting, draft: Draft) -> None:
    typed = str(st.session_state.get(draft.widget("typed")) or "")
    if not typed.strip():
        return
    found = read_point(typed, setting.territory.bounds)
    if found is None:
        draft.fault = "filing.typed_wrong"
    else:
        draft.choose(*found, "typed")


def _goto(setting: Setting, draft: Draft) -> None:
    """A named area for the map to show; it chooses no place."""
    words = setting.words
    named = {
        area.id: area
        for area in sorted(
            ground.ground(setting.version, setting.territory.id).named,
            key=lambda area: (area.level, words.pick(area.name_ar, area.name_en)),
        )
    }
    if not named:
        return
    labels = {
        id_: f"{words.pick(area.name_ar, area.name_en)} · {words(f'placelevel.{area.level}')}"
        for id_, area in named.items()
    }
    key = draft.widget("goto")

    def go() -> None:
        area = named.get(int(st.session_state.get(key) or 0))
        if area is not None:
            draft.look(area.bounds)

    st.selectbox(
        words("filing.goto"),
        list(named),
        index=None,
        key=key,
        format_func=labels.__getitem__,
        placeholder=words("filing.goto_hint"),
        on_change=go,
    )


def chart(setting: Setting, draft: Draft, beside: Sequence[Candidate]) -> None:
    """The map with the pin and the reports nearby; a click on it chooses the place."""
    words, chosen = setting.words, draft.chosen
    version, territory = setting.version, setting.territory.id
    behind = ground.ground(version, territory)
    tiles = settings().tile_url
    data = pickmap.payload(
        outlines=behind.outlines,
        roads=[] if tiles else ground.main_roads(version, territory),
        streets=[] if tiles or chosen is None else ground.streets(version, territory, chosen.lon, chosen.lat),
        places=[
            pickmap.Place(words.pick(a.name_ar, a.name_en), a.lon, a.lat, a.level == "district")
            for a in behind.named
        ],
        pin=None if chosen is None else pickmap.Pin(chosen.lon, chosen.lat, chosen.metres),
        dots=[pickmap.Dot(c.lon, c.lat, dot_label(words, c), c.suggested) for c in beside],
        bounds=draft.bounds,
        fit=f"{draft.territory} {draft.number} {draft.looks}",
        words={name: words(f"pickmap.{name}") for name in MAP_WORDS},
        language=words.language,
        over_tiles=bool(tiles),
    )
    with st.container(key="rasd_pickmap"):
        out = st_folium(
            pickmap.base_map(tiles, settings().tile_attribution),
            key="filing_map",
            height=HEIGHT,
            use_container_width=True,
            feature_group_to_add=pickmap.feature_group(data),
            returned_objects=["last_clicked"],
        )
    if take_click(draft, (out or {}).get("last_clicked")):
        st.rerun()
    st.html(chosen_line(words, draft))


def take_click(draft: Draft, clicked: object) -> bool:
    """Choose where the map was clicked; False when this click was taken before, or is none."""
    if not isinstance(clicked, dict):
        return False
    try:
        at = (round(float(clicked["lng"]), 6), round(float(clicked["lat"]), 6))
    except (KeyError, TypeError, ValueError):
        return False
    # A world that was dragged around once more counts on beyond 180 degrees.
    at = ((at[0] + 180) % 360 - 180, at[1])
    if at == draft.click:
        return False
    draft.click = at
    draft.choose(*at, "click")
    return True


def dot_label(words: Words, candidate: Candidate) -> str:
    return f"{candidate.reference} · {words.status(candidate.status)} · {distance(words, candidate.metres)}"


def distance(words: Words, metres: float) -> str:
    """Metres, or kilometres from one on."""
    if metres < 1000:
        return words("filing.metres", n=number(metres))
    return words("filing.km", n=number(metres / 1000, 1))


def chosen_line(words: Words, draft: Draft) -> str:
    """Coordinates of the pin and how it was set."""
    chosen = draft.chosen
    if chosen is None:
        return note(words("filing.no_place"))
    doubt = ""
    if chosen.metres:
        doubt = f" · {esc(words('filing.doubt', n=number(chosen.metres)))}"
    text = (
        f'<p class="rd-note"><bdi dir="ltr">{chosen.lat:.5f}, {chosen.lon:.5f}</bdi> · '
        f"{esc(words(f'placeby.{chosen.by}'))}{doubt}</p>"
    )
    if chosen.metres > DOUBTFUL:
        text += notices.cautions(words, [words("filing.doubtful")])
    return text
