"""One step for all chosen reports of the inbox: what will happen to how many, then what happened.

Choosing a step changes nothing; it opens its form with a sentence on what will be done,
and only the second button acts. Every report is changed on its own (``data/stepping.py``),
and those that could not be are listed with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import streamlit as st

from data import stepping
from data.life import BY_ACTION, Action, Role
from data.stepping import Chosen, Fate, Outcome
from views import access, stepform
from views.cards import esc, note
from views.stepform import Form, Known, Offer
from views.words import Words, number

CHOSEN = "_inbox_chosen"  # report id to Chosen
STEP = "bulk_step"
RESULT = "_bulk_result"
CHANGED = "_bulk_changed"  # reports were changed since the page was drawn whole
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class _Result:
    action: Action
    outcomes: tuple[Outcome, ...]


def chosen() -> dict[int, Chosen]:
    """The reports that are chosen now."""
    found: dict[int, Chosen] = st.session_state.setdefault(CHOSEN, {})
    return found


def clear() -> None:
    """Choose nothing; call it in a callback or before the list is drawn."""
    st.session_state[CHOSEN] = {}
    for key in [k for k in st.session_state if str(k).startswith("pick_")]:
        del st.session_state[key]


def draw(words: Words, role: Role, offer: Offer, zone: ZoneInfo) -> None:
    """The bar above the list: how many, which step, its form, and what came of the last one."""
    _told(words)
    held = chosen()
    if not held:
        return
    with st.container(border=True, key="rasd_bulk"):
        offers = stepping.offered(held.values(), role)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(f"<b>{esc(words.plural('inboxcount.chosen', len(held)))}</b>")
            st.button(words("inbox.clear"), key="bulk_clear", on_click=_leave, type="tertiary")
        if not offers:
            st.html(note(words("bulk.none")))
            return
        labels = {
            action.name.lower(): f"{words(f'do.{action.name.lower()}')} ({number(len(some))})"
            for action, some in offers.items()
        }
        if st.session_state.get(STEP) not in labels:
            st.session_state[STEP] = None
        picked = st.selectbox(
            words("bulk.action"), list(labels), key=STEP, format_func=labels.__getitem__, placeholder=words("case.choose"),
            width=320,
        )  # fmt: skip
        if picked:
            _review(words, Action[picked.upper()], offers, len(held), offer, zone)


def _review(
    words: Words,
    action: Action,
    offers: Mapping[Action, tuple[Chosen, ...]],
    held: int,
    offer: Offer,
    zone: ZoneInfo,
) -> None:
    """Form, what will happen to how many, and the button that does it."""
    step, some = BY_ACTION[action], offers[action]
    form = Form("bulk", action)
    with st.container(width=stepform.WIDTH):
        stepform.draw(words, form, step, offer, Known(), many=True)
    before = Counter(one.status for one in some)
    target = words.status(step.target) if step.target is not None else words("bulk.stays")
    rows = "".join(
        f"<li><bdi>{esc(words.status(status))}</bdi> × {number(n)} "
        f"{'←' if words.rtl else '→'} <b><bdi>{esc(target)}</bdi></b></li>"
        for status, n in before.most_common()
    )
    rest = held - len(some)
    left = f"<p>{esc(words.plural('inboxcount.cannot', rest))}</p>" if rest else ""
    st.html(
        f'<div class="rd-review" role="note"><p>{esc(words.plural("inboxcount.will", len(some)))} '
        f"<b><bdi>{esc(target)}</bdi></b></p><ul>{rows}</ul>{left}<p>{esc(words('bulk.one_by_one'))}</p></div>"
    )
    empty = stepform.missing(form, step)
    if empty and st.session_state.get("_bulk_pressed"):
        what = words("order.comma").join(words(f"detail.{name}") for name in empty)
        st.html(note(words("case.missing_detail", what=what)))
    with st.container(horizontal=True):
        label = words("bulk.confirm", step=words(f"do.{action.name.lower()}"))
        st.button(label, key="bulk_confirm", type="primary", on_click=_act, args=(action, some, zone))
        st.button(words("bulk.cancel"), key="bulk_cancel", on_click=_leave)


def _leave() -> None:
    clear()
    st.session_state[STEP] = None
    st.session_state["_bulk_pressed"] = False


def _act(action: Action, some: tuple[Chosen, ...], zone: ZoneInfo) -> None:
    """Take the step on each, as they were seen when they were chosen."""
    step, form = BY_ACTION[action], Form("bulk", action)
    st.session_state["_bulk_pressed"] = True
    if stepform.missing(form, step):
        return
    told = stepform.detail(form, step, zone, many=True)
    outcomes = stepping.act_on_each(access.connection, some, action, told)
    st.session_state[RESULT] = _Result(action, outcomes)
    st.session_state[CHANGED] = True
    form.done()
    _leave()


def _told(words: Words) -> None:
    """What came of the last step on many, once."""
    result = st.session_state.pop(RESULT, None)
    if not isinstance(result, _Result):
        return
    done = sum(one.fate is Fate.DONE for one in result.outcomes)
    failed = [one for one in result.outcomes if one.fate is not Fate.DONE]
    parts = []
    if done or not failed:
        said = f"{words(f'do.{result.action.name.lower()}')}: {words.plural('inboxcount.done', done)}"
        parts.append(f'<p class="rd-done" role="status">✓ {esc(said)}</p>')
    if failed:
        rows = "".join(
            f"<li><bdi>{esc(one.chosen.reference)}</bdi>: {esc(words(f'fate.{one.fate}'))}</li>"
            for one in failed[:MOST_TOLD]
        )
        more = f"<li>+ {number(len(failed) - MOST_TOLD)}</li>" if len(failed) > MOST_TOLD else ""
        parts.append(
            f'<div class="rd-conflict" role="alert"><p>{esc(words.plural("inboxcount.failed", len(failed)))}</p>'
            f"<ul>{rows}{more}</ul></div>"
        )
    st.html("".join(parts))
