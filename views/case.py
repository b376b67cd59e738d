"""One report's page: where it stands, what may be done now, its history, its place and its photos.

The address names the report (``report=``, its id or its reference). Everything is read as
the signed-in user, so a report outside their areas is as one that does not exist. Its parts
are in ``views/casecards.py``, the steps in ``views/casesteps.py``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit_folium import st_folium

from data import cases, duplicates, following, photos, territories
from data.cases import Case, Mention
from data.life import Action
from data.photos import PhotoRow
from data.rights import RIGHTS
from data.settings import settings
from layers import hexmap
from layers.palettes import DEFAULT
from views import (
    access,
    cards,
    casecards,
    casesteps,
    frame,
    links,
    notices,
    state,
    style,
    waitmap,
)
from views.cards import esc
from views.words import Words, number

HEIGHT = 420
_AFTER = frozenset({Action.TREAT, Action.SUBMIT, Action.PASS, Action.FAIL, Action.ANSWER, Action.SETTLE})


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("case", _whole, styled=style.uploader)


def _whole(words: Words) -> None:
    wanted = state.text("report").strip()
    state.finish()
    _body(words, wanted)


def _body(words: Words, wanted: str) -> None:
    links.link("inbox", words("case.back"), icon=":material/inbox:")
    if not wanted:
        st.html(_nothing(words("case.none"), words("case.none_text")))
        return
    with access.connection() as conn:
        named = cases.by_id(conn, wanted)
        hits = (named,) if named is not None else cases.find(conn, wanted)
        found = cases.case(conn, hits[0]) if len(hits) == 1 else None
        several = cases.mentions(conn, hits) if len(hits) > 1 else ()
    if several:
        st.html(cards.title(words("case.several")))
        _mentions(words, several, ZoneInfo("UTC"), "several")
    elif found is None:
        st.html(_nothing(words("case.missing"), words("case.missing_text")))
    else:
        _case(words, found)


def _nothing(head: str, text: str) -> str:
    return f'<div class="rd-empty"><h2>{esc(head)}</h2><p>{esc(text)}</p></div>'


@st.fragment
def _case(words: Words, known: Case) -> None:
    """The report; a step runs only this, and reads it anew."""
    zone, now = ZoneInfo(known.timezone), dt.datetime.now(dt.UTC)
    with access.connection() as conn:
        case = cases.case(conn, known.id)
        if case is None:  # a step or a transfer took it out of the user's sight
            st.html(_nothing(words("case.missing"), words("case.missing_text")))
            return
        near, same = cases.nearby(conn, case), cases.same_incident(conn, case.id)
        linked = duplicates.links(conn, case.id)
        others = cases.mentions(
            conn, tuple(i for i, _ in ((linked.of,) if linked.of else ()) + linked.duplicates)
        )
        pictures = photos.photos_of(conn, case.id)
        place = territories.find(conn, case.territory)
    st.html(casecards.head(words, case, now))
    if place is not None and place.simulated:
        st.html(notices.simulated(words, illustrative=False))
    _followers(words, case)
    casesteps.draw(words, case, zone)
    left, right = st.columns([1.15, 1], gap="medium")
    with left:
        with st.container(border=True):
            st.html(casecards.facts(words, case, now, zone))
        with st.container(border=True):
            st.html(casecards.timeline(words, case, zone))
    with right:
        _map(words, case, near, same, place.data_version if place else 0)
        _photos(words, case, pictures)
        _around(words, case, near, same, linked.of is not None, others, zone)


def _followers(words: Words, case: Case) -> None:
    """How many follow the report, and a button to be one of them."""
    if access.principal().role not in RIGHTS["report_follower"].select:
        return
    with access.connection() as conn:
        count, own = following.follows(conn, case.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(cards.note(words.plural("casecount.followers", count)), width="content")
        st.button(
            words("case.unfollow" if own else "case.follow"), key="case_follow", type="tertiary",
            on_click=_follow, args=(case.id, not own),
        )  # fmt: skip


def _follow(report: int, wanted: bool) -> None:
    with access.connection() as conn:
        if wanted:
            following.follow(conn, report)
        else:
            following.unfollow(conn, report)


# ---- beside the history ----


def _map(words: Words, case: Case, near: Sequence[Mention], same: Sequence[Mention], version: int) -> None:
    if case.lon is None:
        st.html(cards.note(words("case.no_point")))
        return
    tiles = settings().tile_url
    with st.container(key="rasd_map"):
        st_folium(
            hexmap.base_map(tiles, settings().tile_attribution),
            key=f"case_map_{case.id}",
            height=HEIGHT,
            use_container_width=True,
            feature_group_to_add=hexmap.feature_group(
                waitmap.around(words, version, DEFAULT, case, near, same, tiles=bool(tiles))
            ),
            returned_objects=[],
        )


def _photos(words: Words, case: Case, pictures: Sequence[PhotoRow]) -> None:
    """Photos before the work and after it, by the step that brought them."""
    after = {
        digest for step in case.steps if step.action in _AFTER for digest in step.detail.get("photos") or ()
    }
    with st.container(border=True, key="rasd_photos"):
        st.html(cards.title(words("case.photos")))
        if not pictures:
            st.html(cards.note(words("case.photos_none")))
        for name, some in (
            ("case.photos_before", [p for p in pictures if p.digest not in after]),
            ("case.photos_after", [p for p in pictures if p.digest in after]),
        ):
            if not some:
                continue
            st.html(f"<h4>{esc(words(name))}</h4>")
            with st.container(horizontal=True):
                for at, photo in enumerate(some, 1):
                    with access.connection() as conn:
                        content = photos.read(conn, case.id, photo.digest, small=True)
                    st.image(
                        content,
                        caption=words("case.photo_alt", n=number(at), reference=case.reference),
                        width=180,
                    )


def _around(
    words: Words,
    case: Case,
    near: Sequence[Mention],
    same: Sequence[Mention],
    repeats: bool,
    others: Sequence[Mention],
    zone: ZoneInfo,
) -> None:
    """Duplicates both ways, the same incident, and what lies nearby."""
    if others:
        with st.container(border=True):
            st.html(cards.title(words("case.duplicate_of" if repeats else "case.duplicated_by")))
            _mentions(words, others, zone, "duplicate")
    if same:
        with st.container(border=True):
            st.html(cards.title(words("case.incident")))
            _mentions(words, same, zone, "incident")
    with st.container(border=True):
        st.html(cards.title(words("case.nearby")))
        st.html(cards.note(words("case.nearby_about", n=number(cases.NEARBY_M))))
        if near:
            _mentions(words, near, zone, "near")
        else:
            st.html(cards.note(words("case.none_here")))


def _mentions(words: Words, some: Sequence[Mention], zone: ZoneInfo, place: str) -> None:
    """Reports as lines, each with its link."""
    for one in some:
        with st.container(horizontal=True, vertical_alignment="center", key=f"rasd_mention_{place}_{one.id}"):
            st.html(casecards.mention(words, one, zone), width="stretch")
            links.link("case", words("inbox.open_case"), report=str(one.id))
