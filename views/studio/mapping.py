"""The map of a campaign and what stands beside it: the picked area's card, or all areas.

A click runs only this fragment. An area's card can pin the area (it comes out again) or
drop it (its hexagons are left out, and the plan is solved again); a hexagon's card can keep
it out, ask for it, or make it a team's base.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import h3
import streamlit as st
from streamlit_folium import st_folium

from data.plan import AxisTerms, CampaignPlan, Kind, PlannedArea, Terms
from data.settings import settings
from geo.errors import RasdError
from layers import hexmap, hexpack
from views import answers, beside, cards, notices, state
from views.studio import areacards, codes, drawing, inputs
from views.studio.setting import Setting
from views.words import number

HEIGHT = 620
SPOT = "spot"  # what is picked on this page
DAY = "day"  # whose round is shown


def bind_pick(territory: str) -> None:
    """Bind what is picked; it is dropped with its territory."""
    if st.session_state.get("_spot_territory", territory) != territory:
        st.session_state[SPOT] = ""
    st.session_state["_spot_territory"] = territory
    state.text(SPOT)
    state.text(DAY)


@st.fragment
def draw(
    setting: Setting,
    kind: Kind,
    plan: CampaignPlan | None,
    source: Hashable,
    terms: Terms | None,
    *,
    change: bool = True,
) -> None:
    """Map and card.

    Parameters
    ----------
    source : stands for the plan in the cache's key.
    terms : as the inputs have them now; None for a saved plan.
    change : whether areas and hexagons can be pinned, dropped, kept out or asked for.
    """
    tiles = settings().tile_url
    first = st.session_state.setdefault("_first_spot", beside.place_of(st.session_state[SPOT]))
    area = _picked_area(plan)
    keep_out, include = _chosen_cells(terms)
    payload = drawing.payload(
        setting.version,
        setting.query,
        setting.whole,
        setting.words.language,
        setting.palette,
        f"{setting.territory}:{plan.kind if plan else ''}",
        first,
        bool(tiles),
        source,
        area.number if area else None,
        _day(area),
        keep_out,
        include,
        plan,
    )
    left, right = st.columns([2.3, 1], gap="medium")
    with left, st.container(key="rasd_map"):
        out = st_folium(
            hexmap.base_map(tiles, settings().tile_attribution),
            key="campaign_map",
            height=HEIGHT,
            use_container_width=True,
            feature_group_to_add=hexmap.feature_group(payload),
            returned_objects=["last_active_drawing"],
        )
    if _take_click((out or {}).get("last_active_drawing")) and _picked_area(plan) != area:
        st.rerun(scope="fragment")  # the sites of the area that is now picked belong on the map
    with right:
        try:
            _beside(setting, kind, plan, terms, change=change)
        except RasdError as error:
            st.html(notices.failure(setting.words, str(error)))
    if area is not None and area.sites:
        day = _day(area)
        shown = [site for site in area.sites if day is None or site.day == day]
        with st.container(border=True, key="rasd_sites"):
            st.html(areacards.site_table(setting.words, shown, whole=day is not None))


def _day(area: PlannedArea | None) -> int | None:
    """The working day whose round is shown; None for all."""
    text = str(st.session_state.get(DAY) or "")
    day = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0
    return day if area is not None and day in {one.day for one in area.days} else None


def _choose_day(setting: Setting, area: PlannedArea) -> None:
    """All sites of an area, or one day's round."""
    words = setting.words
    labels = {0: words("studio.all_days")} | {
        one.day: words("studio.day_line", day=number(one.day), n=number(one.sites), km=number(one.km))
        for one in area.days
    }
    st.session_state["_day_shown"] = _day(area) or 0
    st.selectbox(
        words("studio.day"),
        list(labels),
        key="_day_shown",
        format_func=labels.__getitem__,
        on_change=lambda: state.put(DAY, str(st.session_state["_day_shown"] or "")),
    )


def _take_click(feature: dict[str, Any] | None) -> bool:
    """Take a click once; whether there was a new one."""
    stamp = ((feature or {}).get("properties") or {}).get("t")
    if stamp is None or stamp == st.session_state.get("_spot_clicked"):
        return False
    st.session_state["_spot_clicked"] = stamp
    pick = beside.read_pick(feature)
    if pick is not None:
        state.put(SPOT, pick)
    return pick is not None


def _picked_area(plan: CampaignPlan | None) -> PlannedArea | None:
    """The picked area: by its number, or by a hexagon of it."""
    if plan is None:
        return None
    pick = st.session_state[SPOT]
    at = beside.numbered(pick, "o")
    if at is not None:
        return next((area for area in plan.areas if area.number == at), None)
    cell = beside.cell_of(pick)
    return None if cell is None else next((a for a in plan.areas if _holds(a.cells, cell)), None)


def _holds(cells: Iterable[str], cell: int) -> bool:
    return any(h3.str_to_int(text) == cell for text in cells)


def _chosen_cells(terms: Terms | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if terms is None or isinstance(terms, AxisTerms):
        return (), ()
    return terms.keep_out, terms.include


# ---- beside the map ----


def _beside(
    setting: Setting, kind: Kind, plan: CampaignPlan | None, terms: Terms | None, *, change: bool
) -> None:
    words, pick = setting.words, st.session_state[SPOT]
    area, cell = _picked_area(plan), beside.cell_of(pick)
    line = beside.numbered(pick, "l")
    stretch = next((s for s in plan.stretches if s.rank == line), None) if plan and line else None
    if area is not None:
        if area.days:
            _choose_day(setting, area)
        st.html(areacards.full(words, area))
        if change and terms is not None and not isinstance(terms, AxisTerms):
            _area_buttons(setting, kind, area, terms.pinned)
    elif stretch is not None:
        st.html(areacards.stretch(words, stretch))
        if change and isinstance(terms, AxisTerms):
            _stretch_buttons(setting, stretch.key, terms)
    elif cell is not None:
        st.html(cards.cell_card(words, answers.cell(setting.version, setting.query, cell)))
    elif beside.numbered(pick, "a") is not None:
        _municipality(setting, pick)
    elif plan is not None and plan.areas:
        st.html(areacards.ranked(words, plan))
    elif plan is not None and plan.stretches:
        st.html(areacards.ranked_stretches(words, plan))
    else:
        st.html(notices.about(words("studio.nothing_yet")))
    if cell is not None and change and terms is not None and not isinstance(terms, AxisTerms):
        _cell_buttons(setting, kind, cell)


def _municipality(setting: Setting, pick: str) -> None:
    """The usual card of a clicked municipality."""
    ranked = answers.level(setting.version, setting.query)
    row = next((r for r in ranked.rows if r.id == beside.numbered(pick, "a")), None)
    if row is not None:
        st.html(cards.area_card(setting.words, row, None, [], []))


def _area_buttons(
    setting: Setting, kind: Kind, area: PlannedArea, pinned: tuple[tuple[str, ...], ...]
) -> None:
    words, own = setting.words, tuple(sorted(area.cells))
    is_pinned = own in pinned
    with st.container(horizontal=True, key="rasd_area_buttons"):
        label = words("studio.unpin") if is_pinned else words("studio.pin")
        if st.button(label, key="area_pin", help=words("studio.pin_help")):
            rest = [cells for cells in pinned if cells != own]
            _set(kind, "pin", ".".join(codes.pack_cells(c) for c in (rest if is_pinned else [*rest, own])))
        if st.button(words("studio.drop"), key="area_drop", help=words("studio.drop_help")):
            rest = [cells for cells in pinned if cells != own]
            inputs.set_text(kind, "pin", ".".join(codes.pack_cells(cells) for cells in rest))
            out = set(codes.unpack_cells(st.session_state[inputs.key(kind, "out")])) | set(own)
            state.put(SPOT, "")
            _set(kind, "out", codes.pack_cells(out), solve=True)


def _stretch_buttons(setting: Setting, own: str, terms: AxisTerms) -> None:
    words = setting.words
    with st.container(horizontal=True, key="rasd_area_buttons"):
        label = words("studio.unpin") if own in terms.pinned else words("studio.pin_stretch")
        if st.button(label, key="stretch_pin", help=words("studio.pin_stretch_help")):
            rest = [k for k in terms.pinned if k != own]
            _set("axes", "pin", ",".join(rest if own in terms.pinned else [*rest, own]), solve=True)
        back = own in terms.dropped
        label = words("studio.undrop") if back else words("studio.drop_stretch")
        if st.button(label, key="stretch_drop"):
            rest = [k for k in terms.dropped if k != own]
            _set("axes", "out", ",".join(rest if back else [*rest, own]), solve=True)


def _cell_buttons(setting: Setting, kind: Kind, cell: int) -> None:
    """Keep a hexagon out, ask for it, or start a team there."""
    words, own = setting.words, h3.int_to_str(cell)
    with st.container(horizontal=True, key="rasd_cell_buttons"):
        for name, on, off in (
            ("out", "studio.cell_out", "studio.cell_out_undo"),
            ("incl", "studio.cell_incl", "studio.cell_incl_undo"),
        ):
            k = inputs.key(kind, name)
            chosen = set(codes.unpack_cells(st.session_state[k]))
            if st.button(words(off if own in chosen else on), key=f"cell_{name}"):
                _set(kind, name, codes.pack_cells(chosen ^ {own}))
        if st.button(words("studio.cell_base"), key="cell_base"):
            k = inputs.key(kind, "bases")
            bases = codes.read_bases(st.session_state[k])
            lat, lon, _ = hexpack.cell_point(cell)
            added = codes.Base(words("studio.base_name", n=number(len(bases) + 1)), lon, lat)
            _set(kind, "bases", codes.base_text([*bases, added]))


def _set(kind: Kind, name: str, text: str, *, solve: bool = False) -> None:
    """Change a term from the map and run the page; with ``solve`` the plan is asked for anew."""
    inputs.set_text(kind, name, text)
    if solve:
        st.session_state["_solve"] = True
    st.rerun()
