"""The Inbox: what waits for a step of who is signed in, on a map and as a list by urgency.

The page reads from top to bottom: how many wait and how late they are, then the map beside
the list, which is read a page at a time. A click on a hexagon narrows the list to it;
moving the map asks nothing. Reports are chosen by their boxes for one step on all of them.
Everything is asked anew on each run: a step of somebody else shows at the next one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit_folium import st_folium

from data import cases, inbox, waiting
from data.inbox import Band, Cursor, InboxLine, InboxQuery
from data.life import Action, Role, allowed
from data.settings import settings
from data.stepping import Chosen
from data.territories import Territory
from data.vocabulary import Status
from data.waiting import InboxCounts, Named
from geo.errors import RasdError
from layers import hexmap
from layers.palettes import DEFAULT
from views import (
    access,
    beside,
    bulk,
    cards,
    frame,
    links,
    notices,
    state,
    stepform,
    urgency,
    waitmap,
)
from views.cards import esc
from views.words import Words, number

LINES = 20
HEIGHT = 620
VIEWS = ("waiting", "open")
CELL = "x_cell"
_TRAIL = "_inbox_trail"  # cursors of the pages that led here
_ASKED = "_inbox_asked"  # the query of the pages


@dataclass(frozen=True, slots=True)
class Desk:
    """What the whole page is about."""

    words: Words
    territory: Territory
    zone: ZoneInfo
    role: Role
    query: InboxQuery
    waits: bool  # what waits for the role, not all that is open


def page() -> None:
    """The whole page; errors of ours become a sentence."""
    frame.draw("inbox", _whole)


def _whole(words: Words) -> None:
    """The page; its address is written also where it ends in an error."""
    try:
        _body(words)
    except RasdError:
        state.finish()
        raise


def _body(words: Words) -> None:
    chosen = frame.territory(words)
    if chosen is None:
        return
    now = dt.datetime.now(dt.UTC)
    zone = ZoneInfo(chosen.timezone)
    desk = _filters(words, chosen, zone, now)
    state.text(CELL)
    cell = beside.cell_of(st.session_state[CELL])
    desk = replace(desk, query=replace(desk.query, cell=cell))
    state.finish()
    title = "inbox.view_waiting" if desk.waits else "inbox.view_open"
    st.html(
        cards.head(
            words,
            words.pick(chosen.name_ar, chosen.name_en),
            words("inbox.as_of", time=urgency.moment(words, now, zone, hijri=True)),
            title,
        )
    )
    if chosen.simulated:
        st.html(notices.simulated(words, illustrative=waitmap.illustrative(chosen.data_version, chosen.id)))
    if not desk.waits and not inbox.turn_of(desk.role):
        st.html(cards.note(words("inbox.nothing_for_role")))
    with access.connection() as conn:
        counted = waiting.counts(conn, replace(desk.query, cell=None))
    st.html(_figures(words, counted, desk.waits))
    if not counted.total:
        st.html(
            f'<div class="rd-empty"><h2>{esc(words("inbox.empty"))}</h2><p>{esc(words("inbox.empty_text"))}</p></div>'
        )
        return
    _work(desk)


# ---- filters ----


def _filters(words: Words, chosen: Territory, zone: ZoneInfo, now: dt.datetime) -> Desk:
    """The filters in the sidebar; their options are what waits without them."""
    role = access.principal().role
    turn = inbox.turn_of(role)
    with st.sidebar:
        _search(words)
        view = state.one("x_view", VIEWS[0] if turn else VIEWS[1], VIEWS if turn else VIEWS[1:])
        if turn:
            names = {code: words(f"inbox.view_{code}") for code in VIEWS}
            st.segmented_control(
                words("inbox.view"), VIEWS, key="x_view", format_func=names.__getitem__, required=True
            )
        waits = view == "waiting"
        base = InboxQuery(chosen.id, tuple(int(s) for s in (turn if waits else inbox.unended())), now)
        with access.connection() as conn:
            there = waiting.counts(conn, base)
        statuses = _several(
            words("inbox.statuses"),
            "x_status",
            {
                s.name.lower(): (words.status(s), dict(there.by_status).get(s, 0))
                for s in (turn if waits else inbox.unended())
            },
            words,
        )
        bands = _several(
            words("inbox.bands"),
            "x_band",
            {str(b): (words(f"band.{b}"), n) for b, n in there.by_band},
            words,
        )
        groups = _several(words("filters.groups"), "x_group", _named(words, there.by_group), words)
        elements = _several(words("filters.elements"), "x_element", _named(words, there.by_element), words)
        places = _several(
            words("filters.municipalities"), "x_place", _named(words, there.by_municipality), words
        )
        late = state.flag("x_late")
        st.checkbox(words("inbox.late"), key="x_late")
        mine = False
        if any(t.action is not Action.FILE for s in Status for t in allowed(s, role)):
            mine = state.flag("x_mine")
            st.checkbox(words("inbox.mine"), key="x_mine", help=words("inbox.mine_help"))
        st.button(words("filters.clear"), on_click=_clear, width="stretch", key="x_clear")
    query = replace(
        base,
        statuses=tuple(int(Status[s.upper()]) for s in statuses) or base.statuses,
        bands=tuple(Band(b) for b in bands),
        groups=groups,
        elements=elements,
        municipalities=tuple(int(p) for p in places),
        late=late,
        mine=mine,
    )
    return Desk(words, chosen, zone, role, query, waits)


def _named(words: Words, rows: tuple[Named, ...]) -> dict[str, tuple[str, int]]:
    return {str(row.key): (words.pick(row.name_ar, row.name_en), row.count) for row in rows}


def _several(label: str, key: str, options: dict[str, tuple[str, int]], words: Words) -> tuple[str, ...]:
    """A list of choices with how many wait behind each; nothing chosen means all."""
    chosen = state.many(key, list(options))
    if len(options) > 1 or chosen:
        names = {code: f"{name} ({number(n)})" for code, (name, n) in options.items()}
        st.multiselect(
            label, list(options), key=key, format_func=names.__getitem__, placeholder=words("filters.any")
        )
    return chosen


def _clear() -> None:
    for key in ("x_status", "x_band", "x_group", "x_element", "x_place"):
        st.session_state[key] = []
    for key in ("x_late", "x_mine"):
        st.session_state[key] = False
    st.session_state[CELL] = ""


def _search(words: Words) -> None:
    """A report by its reference; one that is found opens at once."""
    hits: tuple[int, ...] | None = st.session_state.get("_hits")
    if hits and len(hits) == 1:
        st.session_state["_hits"], st.session_state["_find"] = None, ""
        links.go("case", report=str(hits[0]))
    st.text_input(
        words("inbox.find"), key="_find", help=words("inbox.find_help"), max_chars=100, on_change=_found
    )
    if hits == ():
        st.caption(words("inbox.not_found"))
    elif hits:
        st.caption(words("inbox.found_many"))
        for one in hits:
            links.link("case", f"{st.session_state['_find']} · {one}", report=str(one))


def _found() -> None:
    wanted = str(st.session_state.get("_find") or "")
    if not wanted.strip():
        st.session_state["_hits"] = None
        return
    with access.connection() as conn:
        st.session_state["_hits"] = cases.find(conn, wanted)


# ---- figures ----


def _figures(words: Words, counted: InboxCounts, waits: bool) -> str:
    """Four figures, then how many by state and against the limit."""
    bands = dict(counted.by_band)
    share = words("units.percent", n=number(100 * counted.late / counted.total, 1)) if counted.total else ""
    cells = [
        (words("inbox.kpi_waiting" if waits else "inbox.kpi_open"), counted.total, ""),
        (words("inbox.kpi_late"), counted.late, words("inbox.share_late", share=share) if share else ""),
        (words("band.late_month"), bands[Band.LATE_MONTH], ""),
        (
            words("inbox.kpi_soon"),
            bands[Band.DAY],
            words("inbox.in_three", n=number(bands[Band.THREE_DAYS])) if bands[Band.THREE_DAYS] else "",
        ),
    ]
    figures = "".join(
        f'<div class="rd-kpi"><span>{esc(label)}</span><b>{number(n)}</b><small>{esc(more)}</small></div>'
        for label, n, more in cells
    )
    return f'<div class="rd-kpis" id="rd-inbox" data-count="{counted.total}">{figures}</div>'


def _shares(words: Words, title: str, rows: list[tuple[str, int]], late: frozenset[int] = frozenset()) -> str:
    """Parts of what waits as bars."""
    top = max([1, *(n for _, n in rows)])
    body = "".join(
        f'<div class="rd-part{" rd-part-late" if k in late else ""}"><span><bdi>{esc(name)}</bdi></span>'
        f"<b>{number(n)}</b>{cards.bar(n / top)}</div>"
        for k, (name, n) in enumerate(rows)
    )
    return f"<div><h4>{esc(title)}</h4>{body}</div>"


def _breakdown(words: Words, counted: InboxCounts) -> str:
    bands = [(words(f"band.{b}"), n) for b, n in counted.by_band if n]
    late = frozenset(
        k for k, (b, _) in enumerate((b, n) for b, n in counted.by_band if n) if urgency.worst(b)
    )
    places = [(words.pick(p.name_ar, p.name_en), p.count) for p in counted.by_municipality[:6]]
    parts = [
        _shares(words, words("inbox.by_status"), [(words.status(s), n) for s, n in counted.by_status]),
        _shares(words, words("inbox.by_band"), bands, late),
        _shares(words, words("inbox.by_place"), places) if places else "",
    ]
    return f'<div class="rd-breakdown">{"".join(parts)}</div>'


# ---- map and list ----


@st.fragment
def _work(desk: Desk) -> None:
    """Map and list; a click, a chosen report or a step runs only this."""
    words = desk.words
    if st.session_state.pop(bulk.CHANGED, False):
        st.rerun()  # the figures above count what was changed
    cell = beside.cell_of(st.session_state[CELL])
    desk = replace(desk, query=replace(desk.query, cell=cell))
    try:
        with access.connection() as conn:
            counted = waiting.counts(conn, replace(desk.query, cell=None))
            cells = waiting.cells(conn, desk.query)
            page = inbox.listed(conn, _paged(desk.query), _trail()[-1], LINES)
            offer = stepform.offer(conn, desk.territory.id)
    except RasdError as error:
        st.html(notices.failure(words, str(error)))
        return
    left, right = st.columns([1.15, 1], gap="medium")
    with right:
        with st.container(key="rasd_map"):
            out = st_folium(
                hexmap.base_map(settings().tile_url, settings().tile_attribution),
                key="inbox_map",
                height=HEIGHT,
                use_container_width=True,
                feature_group_to_add=hexmap.feature_group(
                    waitmap.waiting(
                        words,
                        desk.territory.data_version,
                        desk.territory.id,
                        DEFAULT,
                        cells,
                        counted.by_municipality,
                        page.lines,
                        pick=st.session_state.setdefault(
                            "_inbox_first", beside.place_of(st.session_state[CELL])
                        ),
                        tiles=bool(settings().tile_url),
                    )
                ),
                returned_objects=["last_active_drawing"],
            )
        missing = waitmap.count_note(words, cells)
        if missing:
            st.html(cards.note(missing))
        st.html(_breakdown(words, counted))
    if _take_click((out or {}).get("last_active_drawing")):
        st.rerun(scope="fragment")
    with left:
        bulk.draw(words, desk.role, offer, desk.zone)
        _list(desk, page.lines, page.after)


def _take_click(feature: dict[str, object] | None) -> bool:
    """Take a click once; whether it changed which hexagon the list is narrowed to."""
    properties = (feature or {}).get("properties") or {}
    stamp = properties.get("t") if isinstance(properties, dict) else None
    if stamp is None or stamp == st.session_state.get("_inbox_clicked"):
        return False
    st.session_state["_inbox_clicked"] = stamp
    pick = beside.read_pick(feature)
    cell = "" if pick is None or beside.cell_of(pick) is None else pick
    if cell == st.session_state[CELL]:
        return False
    state.put(CELL, cell)
    return True


def _paged(query: InboxQuery) -> InboxQuery:
    """The query with the moment that its first page was asked at, so that pages fit together."""
    asked = st.session_state.get(_ASKED)
    if isinstance(asked, InboxQuery) and replace(asked, now=query.now) == query and len(_trail()) > 1:
        return asked
    if not isinstance(asked, InboxQuery) or replace(asked, now=query.now) != query:
        st.session_state[_TRAIL] = [None]
    st.session_state[_ASKED] = query
    return query


def _trail() -> list[Cursor | None]:
    trail: list[Cursor | None] = st.session_state.setdefault(_TRAIL, [None])
    return trail


def _list(desk: Desk, lines: tuple[InboxLine, ...], after: Cursor | None) -> None:
    words = desk.words
    with st.container(horizontal=True, vertical_alignment="center", key="rasd_inbox_head"):
        st.html(cards.title(words("inbox.list")))
        if desk.query.cell is not None:
            st.html(cards.note(words("inbox.in_cell")))
            st.button(words("inbox.all_cells"), key="x_all", on_click=state.put, args=(CELL, ""))
    steps = bool(inbox.turn_of(desk.role))
    if steps and lines:
        st.button(
            words("inbox.pick_page"), key="x_pick_page", on_click=_pick_page, args=(lines,), type="tertiary"
        )
    with st.container(key="rasd_inbox_list", gap=None):
        for line in lines:
            _line(desk, line, steps)
    if len(_trail()) == 1 and after is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(words("inbox.first"), key="x_first", on_click=_first, disabled=len(_trail()) == 1)
        st.html(cards.note(words("inbox.page", n=number(len(_trail())))))
        st.button(words("inbox.next"), key="x_next", on_click=_next, args=(after,), disabled=after is None)


def _first() -> None:
    st.session_state[_TRAIL] = [None]


def _next(after: Cursor) -> None:
    st.session_state[_TRAIL] = [*_trail(), after]


def _seen(line: InboxLine) -> Chosen:
    return Chosen(line.id, line.reference, line.status, line.seq)


def _pick_page(lines: tuple[InboxLine, ...]) -> None:
    for line in lines:
        bulk.chosen()[line.id] = _seen(line)
        st.session_state[f"pick_{line.id}"] = True


def _pick(line: InboxLine) -> None:
    if st.session_state.get(f"pick_{line.id}"):
        bulk.chosen()[line.id] = _seen(line)
    else:
        bulk.chosen().pop(line.id, None)


def _line(desk: Desk, line: InboxLine, steps: bool) -> None:
    words = desk.words
    with st.container(horizontal=True, vertical_alignment="center", key=f"rasd_line_{line.id}"):
        if steps:
            key = f"pick_{line.id}"
            if key not in st.session_state:
                st.session_state[key] = line.id in bulk.chosen()
            st.checkbox(
                words("inbox.pick_one", reference=line.reference), key=key, label_visibility="collapsed",
                on_change=_pick, args=(line,), width=24,
            )  # fmt: skip
        st.html(_line_html(words, desk.zone, line, desk.query.now), width="stretch")
        links.link("case", words("inbox.open_case"), report=str(line.id))


def _line_html(words: Words, zone: ZoneInfo, line: InboxLine, now: dt.datetime) -> str:
    """What a line says: kind, place, reference, state, severity, limit and who has it."""
    known = line.element_ar or line.element_en
    kind = (
        words.pick(line.element_ar, line.element_en) if known else line.type or words("case.unknown_element")
    )
    where = [
        words.pick(ar, en)
        for ar, en in ((line.municipality_ar, line.municipality_en), (line.district_ar, line.district_en))
        if ar or en
    ]
    age = words.plural("inboxcount.days_old", max((now - line.opened).days, 0))
    does = ""
    if line.contractor_ar or line.contractor_en:
        does = words("inbox.does", name=words.pick(line.contractor_ar, line.contractor_en))
    elif line.agency_ar or line.agency_en:
        does = words("inbox.owner", name=words.pick(line.agency_ar, line.agency_en))
    small = " · ".join(
        f"<bdi>{esc(text)}</bdi>" for text in (" – ".join(where) or words("map.no_area"), age, does) if text
    )
    return (
        f'<div class="rd-line" data-reference="{esc(line.reference)}"><p><b><bdi>{esc(kind)}</bdi></b>'
        f"{urgency.severity_mark(words, line.severity)}</p>"
        f"<p>{urgency.limit_mark(words, line.late_days)}{urgency.status_mark(words, line.status)}"
        f'<code dir="ltr">{esc(line.reference)}</code></p><p class="rd-sub">{small}</p></div>'
    )
