"""The rules as a table, and the form that adds one or ends one.

While a rule is being written, the page says how many open reports would belong to another
party; nothing is written before the button is pressed. Who may not change rules reads them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import streamlit as st

from data import areas, elements, parties, routing
from data.analyses.unrouted import Change
from data.parties import PartyInfo
from data.routing import Rule, RuleDraft
from data.territories import Territory
from data.vocabulary import LEVELS
from geo.errors import InputError, RasdError
from views import access, cards, notices, state
from views.access import connection
from views.cards import esc
from views.routes import answers
from views.words import Words, number

HEADS = ("number", "priority", "what", "where", "party", "limit", "since", "until")
STATES = ("valid", "coming", "ended")
ANYTHING, EVERYWHERE, NONE = "*", 0, 0
SAID = "_rule_said"
TOP_MOVES = 4


def draw(words: Words, place: Territory, rules: Sequence[Rule]) -> None:
    """Table, then the form for those who may."""
    past = state.flag("ended")
    with st.container(border=True):
        st.html(cards.title(words("rule.title")) + cards.note(words("rule.order")))
        shown = [rule for rule in rules if past or rule.state != "ended"]
        if shown:
            st.html(table(words, shown, ZoneInfo(place.timezone)))
        else:
            st.html(notices.command(words("rule.none"), f"./rasd routing defaults --territory {place.code}"))
        st.checkbox(words("rule.past"), key="ended")
    if not access.may("rules"):
        st.html(cards.note(words("rule.readers")))
    elif not access.principal().whole(place.code):
        st.html(cards.note(words("rule.whole")))
    else:
        _told(words)
        left, right = st.columns([1.7, 1], gap="medium")
        with left, st.container(border=True):
            _adding(words, place, rules)
        with right, st.container(border=True):
            _ending(words, place, rules)


def table(words: Words, rules: Sequence[Rule], zone: ZoneInfo) -> str:
    """Rules in the order in which they decide."""
    heads = "".join(f"<th>{esc(words(f'rulehead.{key}'))}</th>" for key in HEADS)
    body = "".join(f"<tr>{''.join(_cells(words, rule, zone))}</tr>" for rule in rules)
    return (
        '<div class="rd-wide rd-tall"><table><thead><tr>'
        f"{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def what(words: Words, rule: Rule) -> str:
    """The element, the group, or anything."""
    if rule.element:
        return f"{rule.element} · {words.pick(rule.element_ar, rule.element_en)}"
    if rule.group:
        return words("rule.group_of", name=words.pick(rule.group_ar, rule.group_en))
    return words("rule.anything")


def where(words: Words, rule: Rule) -> str:
    """The area, or everywhere."""
    if rule.area_id is None:
        return words("rule.everywhere")
    name = words.pick(rule.area_ar, rule.area_en)
    return name if rule.area_current else words("rule.area_gone", name=name)


def _cells(words: Words, rule: Rule, zone: ZoneInfo) -> list[str]:
    limit = words("rule.hours", n=f"{rule.due_hours:g}") if rule.due_hours else "–"
    if rule.assumed:
        limit += f" <span class='rd-chip'>{esc(words('rule.assumed'))}</span>"
    state_chip = (
        f" <span class='rd-chip'>{esc(words(f'rulestate.{rule.state}'))}</span>"
        if rule.state != "valid"
        else ""
    )
    until = f"{rule.valid_to.astimezone(zone):%Y-%m-%d}" if rule.valid_to else "–"
    texts = [
        f"<bdi>{rule.id}</bdi>",
        f"<bdi>{rule.priority}</bdi>",
        f"<bdi>{esc(what(words, rule))}</bdi>",
        f"<bdi>{esc(where(words, rule))}</bdi>",
        f"<bdi>{esc(words.pick(rule.party_ar, rule.party_en))}</bdi>",
        limit,
        f"<bdi>{rule.valid_from.astimezone(zone):%Y-%m-%d}</bdi>{state_chip}",
        f"<bdi>{until}</bdi>",
    ]
    note = f' title="{esc(rule.note)}"' if rule.note else ""
    return [f"<td{note if at == 2 else ''}>{text}</td>" for at, text in enumerate(texts)]


# ---- adding ----


def _adding(words: Words, place: Territory, rules: Sequence[Rule]) -> None:
    st.html(cards.title(words("rule.add_title")))
    with connection() as conn:
        kinds = elements.element_entries(conn)
        known = [
            p for p in parties.listed(conn, place.id) if p.active and p.kind not in ("contractor", "unsorted")
        ]
        ground = areas.current_names(conn, place.id)
    if not known:
        st.html(notices.command(words("rule.no_party"), f"./rasd routing defaults --territory {place.code}"))
        return
    named = {ANYTHING: words("rule.anything")}
    groups = {e.code[0]: (e.group_ar, e.group_en) for e in kinds}
    named |= {f"g:{code}": words("rule.group_of", name=words.pick(*names)) for code, names in groups.items()}
    named |= {f"e:{e.code}": f"{e.code} · {words.pick(e.name_ar, e.name_en)}" for e in kinds}
    levels = {area.id: (area.level, words.pick(area.name_ar, area.name_en)) for area in ground}
    order = sorted(levels, key=lambda i: (-LEVELS.index(levels[i][0]), levels[i][1]))
    order.sort(key=lambda i: levels[i][0] != "municipality")
    lands = {EVERYWHERE: words("rule.everywhere")}
    lands |= {i: f"{levels[i][1]} · {words(f'arealevel.{levels[i][0]}')}" for i in order}
    ending = {NONE: words("rule.replaces_none")} | {
        rule.id: f"{rule.id} · {what(words, rule)} · {where(words, rule)}"
        for rule in rules
        if rule.valid_to is None
    }
    draft, replaces = _form(words, named, lands, {p.code: _party(words, p) for p in known}, ending)
    found = None if draft is None else _tried(words, place, draft, replaces)
    st.button(
        words("rule.save"),
        key="rule_save",
        type="primary",
        disabled=found is None,
        on_click=_save,
        args=(words, place.id, draft, replaces),
    )


def _form(
    words: Words,
    named: dict[str, str],
    lands: dict[int, str],
    known: dict[str, str],
    ending: dict[int, str],
) -> tuple[RuleDraft | None, int | None]:
    """The widgets, as a draft; None until a party is chosen."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="rasd_row_rule"):
        kind = st.selectbox(
            words("rulehead.what"), list(named), key="rule_what", format_func=named.__getitem__, width=300
        )
        area = st.selectbox(
            words("rulehead.where"), list(lands), key="rule_area", format_func=lands.__getitem__, width=280
        )
        party = st.selectbox(
            words("rulehead.party"), list(known), index=None, key="rule_party", format_func=known.__getitem__,
            placeholder=words("rule.choose_party"), width=300,
        )  # fmt: skip
        hours = st.number_input(
            words("rule.due_hours"), 0.0, float(routing.MOST_HOURS), 0.0, 24.0, key="rule_hours",
            format="%g", help=words("rule.due_help"), width=150,
        )  # fmt: skip
        priority = st.number_input(
            words("rulehead.priority"), -routing.MOST_PRIORITY, routing.MOST_PRIORITY, 0, key="rule_priority",
            help=words("rule.priority_help"), width=130,
        )  # fmt: skip
        old = st.selectbox(
            words("rule.replaces"),
            list(ending),
            key="rule_replaces",
            format_func=ending.__getitem__,
            width=340,
        )
        note = st.text_input(words("rule.note"), key="rule_note", max_chars=routing.NOTE_MOST, width=340)
    assumed = st.checkbox(words("rule.is_assumed"), key="rule_assumed")
    if party is None:
        return None, None
    draft = RuleDraft(
        party=party,
        element=kind[2:] if kind.startswith("e:") else None,
        group=kind[2:] if kind.startswith("g:") else None,
        area_id=area or None,
        priority=int(priority),
        due_hours=float(hours) or None,
        assumed=assumed,
        note=note,
    )
    return draft, old or None


def _party(words: Words, party: PartyInfo) -> str:
    return f"{words.pick(party.name_ar, party.name_en)} · {words(f'partykind.{party.kind}')}"


def _tried(words: Words, place: Territory, draft: RuleDraft | None, ending: int | None) -> Change | None:
    """What the change would do, drawn; None where it cannot be."""
    try:
        found = answers.change(place.id, draft, ending)
    except InputError as error:
        st.html(notices.cautions(words, [str(error)]))
        return None
    st.html(effect(words, found))
    return found


def effect(words: Words, found: Change) -> str:
    """How many open reports would belong to another party, and from whom to whom."""
    said = notices.answer(words("rule.moved", n=number(found.moved), all=number(found.open)))
    moves = [
        words(
            "rule.move",
            n=number(move.reports),
            before=words.pick(move.before_ar, move.before_en) if move.before else words("rule.queue"),
            after=words.pick(move.after_ar, move.after_en) if move.after else words("rule.queue"),
        )
        for move in found.moves[:TOP_MOVES]
    ]
    return said + (cards.bullets(moves) if moves else "") + cards.note(words("rule.moves_nothing"))


def _save(words: Words, territory_id: int, draft: RuleDraft, replaces: int | None) -> None:
    try:
        with connection() as conn:
            made = routing.add(conn, territory_id, draft, replaces=replaces)
    except RasdError as error:
        st.session_state[SAID] = (False, str(error))
        return
    st.session_state[SAID] = (True, words("rule.saved", n=number(made)))
    st.session_state["rule_note"] = ""
    st.session_state["rule_replaces"] = NONE


# ---- ending ----


def _ending(words: Words, place: Territory, rules: Sequence[Rule]) -> None:
    st.html(cards.title(words("rule.end_title")))
    running = {NONE: words("rule.choose")} | {
        rule.id: f"{rule.id} · {what(words, rule)} · {words.pick(rule.party_ar, rule.party_en)}"
        for rule in rules
        if rule.valid_to is None
    }
    if st.session_state.get("rule_end") not in running:
        st.session_state["rule_end"] = NONE
    chosen = st.selectbox(words("rule.which"), list(running), key="rule_end", format_func=running.__getitem__)
    if chosen == NONE:
        st.html(cards.note(words("rule.end_note")))
        return
    found = _tried(words, place, None, chosen)
    st.button(
        words("rule.end"),
        key="rule_end_now",
        disabled=found is None,
        on_click=_end,
        args=(words, place.id, chosen),
    )


def _end(words: Words, territory_id: int, rule_id: int) -> None:
    try:
        with connection() as conn:
            routing.end(conn, territory_id, rule_id)
    except RasdError as error:
        st.session_state[SAID] = (False, str(error))
        return
    st.session_state[SAID] = (True, words("rule.ended", n=number(rule_id)))


def _told(words: Words) -> None:
    """What the last button did, once."""
    done, text = st.session_state.pop(SAID, (True, ""))
    if text:
        st.html(notices.answer(text) if done else notices.failure(words, text, store=False))


def stamp(rules: Sequence[Rule], now: dt.datetime) -> tuple[int, int]:
    """Newest rule and how many have ended: equal for equal sets of rules."""
    return max((rule.id for rule in rules), default=0), sum(
        rule.valid_to is not None and rule.valid_to <= now for rule in rules
    )
