"""Saved plans: keep a proposal, find it again, take it through its course.

A plan is opened by its id in the address. What changes the store is a button with its
reason; it says what the reader saw, so that a change made meanwhile by somebody else is
told and not overwritten. A saved plan is shown from its document and never computed anew.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import streamlit as st

from data import campaigns
from data.analyses.campaigns import asked_query
from data.campaigns import CHANGEABLE, Listed, Saved
from data.plan import CampaignPlan
from geo.errors import InputError, RasdError
from views import access, notices, state
from views.access import connection
from views.cards import esc, title
from views.studio import effect, handout, mapping, proof, results, scenarios, visits
from views.studio.setting import Setting
from views.words import Words, number

TABS = ("areas", "proof", "handout", "visits", "effect", "history")
OPEN = "plan"  # key of the opened plan's id
NEW = "new"
MOST = 40  # plans in the list
EVENT_HEADS = ("when", "who", "status", "version", "note")
VERSION_HEADS = ("when", "who", "version", "data", "note")


def keep(setting: Setting, plan: CampaignPlan) -> None:
    """Save the proposal under a title, as a plan of its own or as the next version of one."""
    words = setting.words
    if not access.may("plan.save"):
        return
    with st.container(border=True, key="rasd_save"):
        st.html(title(words("save.title")))
        with connection() as conn:
            known = campaigns.listed(conn, setting.territory_id, statuses=CHANGEABLE, limit=MOST)
        ways = {NEW: words("save.own")} | {
            str(one.id): words("save.version_of", title=one.title) for one in known if one.kind == plan.kind
        }
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(
                words("save.name"), key="save_name", max_chars=campaigns.TITLE_MOST, width=420
            )
            way = NEW
            if len(ways) > 1:
                way = st.selectbox(
                    words("save.as"), list(ways), key="save_as", format_func=ways.__getitem__, width=320
                )
            pressed = st.button(words("save.button"), type="primary", key="save_plan")
        if pressed:
            _save(setting, plan, name, None if way == NEW else next(o for o in known if str(o.id) == way))


def _save(setting: Setting, plan: CampaignPlan, name: str, earlier: Listed | None) -> None:
    words = setting.words
    name = name.strip() or (earlier.title if earlier else "")
    if not name:
        st.html(notices.cautions(words, [words("save.no_name")]))
        return
    try:
        with connection() as conn:
            kept = campaigns.save(
                conn,
                plan,
                name,
                campaign_id=earlier.id if earlier else None,
                expected=earlier.version if earlier else None,
            )
    except RasdError as error:
        st.html(notices.failure(words, str(error), store=False))
        return
    said = words("save.done" if kept.changed else "save.same", title=kept.title, version=number(kept.version))
    st.html(notices.answer(said))
    st.button(words("save.open"), key="save_open", on_click=open_plan, args=(kept.id,))


def open_plan(campaign_id: int) -> None:
    """Show a saved plan; call it in a callback."""
    st.session_state["what"] = "saved"
    st.session_state[OPEN] = str(campaign_id)
    st.session_state[mapping.SPOT] = ""


def _close() -> None:
    st.session_state[OPEN] = ""
    st.session_state[mapping.SPOT] = ""


def draw(setting: Setting) -> None:
    """The list, or the plan that is opened."""
    text = state.text(OPEN)
    tab = state.one("stab", TABS[0], TABS)
    number_ = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
    if number_ is None:
        state.finish()
        _list(setting)
        return
    try:
        with connection() as conn:
            kept = campaigns.get(conn, number_)
        if kept.territory_id != setting.territory_id:
            raise InputError(setting.words("saved.elsewhere", id=number(kept.id)))
    except InputError as error:
        state.finish()
        st.html(notices.failure(setting.words, str(error), store=False))
        st.button(setting.words("saved.back"), key="saved_back", on_click=_close)
        return
    _plan(setting, kept, tab)


# ---- the list ----


def _list(setting: Setting) -> None:
    words = setting.words
    with connection() as conn:
        known = campaigns.listed(conn, setting.territory_id, limit=MOST)
    if not known:
        st.html(
            f'<div class="rd-empty"><h2>{esc(words("saved.none_title"))}</h2><p>{esc(words("saved.none"))}</p></div>'
        )
        return
    for one in known:
        with st.container(border=True, key=f"rasd_saved_{one.id}"):
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.html(line(words, one))
            right.button(
                words("saved.open"), key=f"open_{one.id}", on_click=open_plan, args=(one.id,), width="stretch"
            )


def line(words: Words, one: Listed) -> str:
    """A saved plan in the list."""
    facts = [words(f"what.{one.kind}")]
    if one.start is not None and one.days:
        facts.append(words("saved.from", date=words.date(one.start, hijri=False), days=number(one.days)))
    if one.kind == "axes":
        facts.append(words.plural("count3.stretches", one.areas))
    else:
        facts.append(words.plural("count3.areas", one.areas))
        facts.append(words("saved.finds", n=number(one.finds), hours=number(one.hours)))
    if one.visits:
        facts.append(words("saved.visits", visits=number(one.visits), found=number(one.found)))
    text = " · ".join(f"<bdi>{esc(fact)}</bdi>" for fact in facts)
    return (
        f'<div class="rd-saved"><h3><bdi>{esc(one.title)}</bdi> {chip(words, one.status)}</h3>'
        f'<p class="rd-sub">{text}</p></div>'
    )


def chip(words: Words, status: str) -> str:
    return f'<span class="rd-chip rd-status-{esc(status)}">{esc(words(f"state.{status}"))}</span>'


# ---- one plan ----


def _plan(setting: Setting, kept: Saved, tab: str) -> None:
    words, plan = setting.words, kept.plan
    with st.container(border=True, key="rasd_plan_head"):
        st.html(_head(words, kept))
        _steps(setting, kept)
    results.said(words, plan)
    state.finish()
    mapping.draw(setting, plan.kind, plan, ("saved", kept.id, kept.version), None, change=False)
    names = {code: words(f"tab.{code}") for code in TABS}
    st.segmented_control(
        words("tab.label"),
        TABS,
        key="stab",
        format_func=names.__getitem__,
        required=True,
        label_visibility="collapsed",
    )
    with st.container(key=f"rasd_tab_{tab}"):
        if tab == "areas":
            results.areas(words, plan)
        elif tab == "proof":
            proof.draw(words, setting.version, setting.territory_id, plan)
        elif tab == "handout":
            handout.draw(words, plan, kept.title, kept.id, kept.version)
        elif tab == "visits":
            visits.draw(setting, kept)
        elif tab == "effect":
            effect.draw(setting, kept)
        else:
            _history(words, kept)


def _head(words: Words, kept: Saved) -> str:
    made = words.date(kept.made_at.date(), hijri=False)
    facts = [words(f"what.{kept.kind}"), words("saved.version", n=number(kept.version), date=made)]
    if kept.plan.data_version:
        facts.append(words("saved.data", n=number(kept.plan.data_version)))
    text = " · ".join(f"<bdi>{esc(fact)}</bdi>" for fact in facts)
    note = f'<p class="rd-sub"><bdi>{esc(kept.note)}</bdi></p>' if kept.note else ""
    return (
        f'<div class="rd-saved"><h3><bdi>{esc(kept.title)}</bdi> {chip(words, kept.status)}</h3>'
        f'<p class="rd-sub">{text}</p>{note}</div>'
    )


def _steps(setting: Setting, kept: Saved) -> None:
    """What can be done with the plan now."""
    words = setting.words
    steps = kept.next_steps if access.may("plan.step") else ()
    if steps:
        st.text_input(words("saved.note"), key=f"note_{kept.id}", max_chars=500, width=420)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for step in steps:
            st.button(
                words(f"step.{step}"),
                key=f"step_{step}",
                type="primary" if step != "withdrawn" else "secondary",
                on_click=_step,
                args=(kept.id, step, kept.version, kept.status),
            )
        st.button(
            words("saved.again"),
            key="saved_again",
            on_click=_again,
            args=(kept,),
            help=words("saved.again_help"),
        )
        st.button(words("saved.back"), key="saved_back", on_click=_close)
    failed = st.session_state.pop("_step_failed", "")
    if failed:
        st.html(notices.failure(words, failed, store=False))


def _step(campaign_id: int, to: str, version: int, status: str) -> None:
    note = str(st.session_state.get(f"note_{campaign_id}") or "").strip()
    try:
        with connection() as conn:
            campaigns.change_status(conn, campaign_id, to, note, version=version, status=status)
    except RasdError as error:
        st.session_state["_step_failed"] = str(error)
        return
    st.session_state[f"note_{campaign_id}"] = ""


def _again(kept: Saved) -> None:
    """The plan's question with its terms, asked on today's data."""
    _close()
    scenarios.reopen(asked_query(kept.plan.query), kept.plan.terms)


def _history(words: Words, kept: Saved) -> None:
    """Every version and every step, oldest first."""
    with connection() as conn:
        past = campaigns.history(conn, kept.id)
    events = "".join(
        _row([_moment(words, e.at), e.actor, words(f"state.{e.status}"), number(e.version), e.note])
        for e in past.events
    )
    versions = "".join(
        _row([_moment(words, v.made_at), v.actor, number(v.version), number(v.data_version), v.note])
        for v in past.versions
    )
    with st.container(border=True):
        st.html(
            title(words("course.events"))
            + _table(words, EVENT_HEADS, events)
            + title(words("course.versions"))
            + _table(words, VERSION_HEADS, versions)
        )


def _moment(words: Words, at: dt.datetime) -> str:
    local = at.astimezone(ZoneInfo("Asia/Riyadh"))
    return f"{words.date(local.date(), hijri=False)} {local:%H:%M}"


def _row(cells: list[str]) -> str:
    return "<tr>" + "".join(f"<td><bdi>{esc(cell or '–')}</bdi></td>" for cell in cells) + "</tr>"


def _table(words: Words, keys: tuple[str, ...], body: str) -> str:
    heads = "".join(f"<th>{esc(words(f'coursehead.{key}'))}</th>" for key in keys)
    return f'<div class="rd-wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
