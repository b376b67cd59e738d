"""The steps that may be taken on one report now: their form, and what came of pressing the button.

The button carries the event that the reader has seen: when somebody else took a step
meanwhile, nothing is written, the page shows what they did, and what was typed stays. The
database decides what is allowed (``data/actions.py``); what is offered here is the same
table read beforehand (``data/life.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import streamlit as st
from sqlalchemy import Connection

from data import actions, cases, duplicates, photos, routing
from data.access import Principal
from data.cases import Case
from data.life import BY_ACTION, Action, Role, Transition, allowed
from data.routing import Route
from geo.errors import Conflict, InputError, RasdError, Refused
from views import access, casecards, stepform
from views.cards import esc, note, title
from views.stepform import Form, Known, Offer
from views.words import Words, number

STEP = "case_step"
_NOTE = "_case_note"
_SUGGESTED = 4


@dataclass(frozen=True, slots=True)
class _Note:
    """What came of a step on a report, shown until the next one."""

    report: int
    kind: str  # done, conflict, refused, wrong
    action: Action
    text: str = ""
    seen: int = 0
    missing: tuple[str, ...] = ()
    code: str = ""  # key of the catalogues, for a reference in ``text``


def steps_for(case: Case, who: Principal) -> tuple[Transition, ...]:
    """The steps that somebody may take now; of a contractor or entity only on its own report."""
    return tuple(
        step
        for step in allowed(case.status, who.role)
        if step.party is None or who.role is not Role.CONTRACTOR or getattr(case, step.party) == who.party_id
    )


def draw(words: Words, case: Case, zone: ZoneInfo) -> None:
    """The choice of a step, its form and its button, and what came of the last one."""
    who = access.principal()
    offered = steps_for(case, who)
    with access.connection() as conn:
        found = stepform.offer(conn, case.territory_id)
        candidates = duplicates.near_report(conn, case.id) if _offers_duplicate(offered) else ()
    with st.container(border=True, key="rasd_steps"):
        st.html(title(words("case.actions")))
        _told(words, case, offered, found, zone)
        if not offered:
            st.html(note(words("case.actions_none")))
            return
        names = {step.action.name.lower(): words(f"do.{step.action.name.lower()}") for step in offered}
        if st.session_state.get(STEP) not in names:
            st.session_state[STEP] = None
        picked = st.pills(
            words("case.choose"),
            list(names),
            key=STEP,
            format_func=names.__getitem__,
            label_visibility="collapsed",
        )
        if not picked:
            return
        step = BY_ACTION[Action[picked.upper()]]
        form = Form(f"case{case.id}", step.action)
        near = tuple(
            (
                one.reference,
                words(
                    "case.of_near",
                    reference=one.reference,
                    n=number(one.metres),
                    status=words.status(one.status),
                ),
            )
            for one in candidates[:_SUGGESTED]
        )
        route = _route(case, form, step)
        with st.container(width=stepform.WIDTH):
            stepform.draw(
                words,
                form,
                step,
                found,
                Known(case.element_id, case.severity, casecards.unit(words, case.unit), route, near),
            )
        if "agency_id" in (*step.needs, *step.offers) and step.action is not Action.REFER:
            st.html(note(_routed(words, route, found)))
        with st.form("case_send", border=False, enter_to_submit=False, width=stepform.WIDTH):
            stepform.pictures(words, form, step)
            st.form_submit_button(
                words("case.do_it", step=names[picked]), key="case_do", type="primary",
                on_click=_take, args=(case, step.action, route, zone),
            )  # fmt: skip


def _offers_duplicate(offered: Sequence[Transition]) -> bool:
    return any(step.action is Action.DUPLICATE for step in offered)


def _route(case: Case, form: Form, step: Transition) -> Route | None:
    """What the rules say of the report with the element that is chosen in the form."""
    if "rule_id" not in step.offers:
        return None
    element = form.value("element_id") if "element_id" in step.needs else None
    with access.connection() as conn:
        return routing.route(conn, case.territory_id, element or case.element_id, areas=case.areas)


def _routed(words: Words, route: Route | None, found: Offer) -> str:
    if route is None:
        return words("case.unrouted")
    party = next((p for p in found.parties if p.id == route.party_id), None)
    name = words.pick(party.name_ar, party.name_en) if party else number(route.party_id)
    return words("case.routed", n=route.rule_id, party=name)


# ---- taking the step ----


def _take(case: Case, action: Action, route: Route | None, zone: ZoneInfo) -> None:
    """Take the step after the event that was on the screen; what comes of it is kept to be told."""
    step, form = BY_ACTION[action], Form(f"case{case.id}", action)
    missing = stepform.missing(form, step)
    if missing:
        st.session_state[_NOTE] = _Note(case.id, "wrong", action, missing=tuple(missing))
        return
    told = stepform.detail(form, step, zone)
    stepform.with_rule(told, step, route, case.due)
    code = ""
    try:
        with access.connection() as conn:
            if "of" in step.needs:
                told["of"] = _repeated(conn, form)
            if form.value("photos"):
                told["photos"] = _stored(conn, case, form, zone)
            actions.act(conn, case.id, action, case.seq, told)
    except Conflict as error:
        kind, text = "conflict", str(error)
    except Refused as error:
        kind, text = "refused", str(error)
    except _NotOne as error:
        kind, text, code = "wrong", error.reference, error.code
    except RasdError as error:  # a photo or a value that is not taken, the store that does not answer
        kind, text = "wrong", str(error)
    else:
        form.done()
        st.session_state[STEP] = None
        kind, text = "done", ""
    st.session_state[_NOTE] = _Note(case.id, kind, action, text, case.seq, code=code)


class _NotOne(InputError):
    """A reference that names no report, or several; ``code`` is a key of the catalogues."""

    def __init__(self, code: str, reference: str) -> None:
        self.code, self.reference = code, reference
        super().__init__(f"The reference {reference} names no one report that is open to you.")


def _repeated(conn: Connection, form: Form) -> int:
    """The report that is repeated: the one chosen nearby, or the one whose reference was typed."""
    reference = str(form.value("of") or form.value("of_near") or "").strip()
    hits = cases.find(conn, reference)
    if len(hits) != 1:
        raise _NotOne("case.of_several" if hits else "case.of_unknown", reference)
    return duplicates.root_of(conn, hits[0])


def _stored(conn: Connection, case: Case, form: Form, zone: ZoneInfo) -> list[str]:
    """Digests of the photos of the form, kept with the report in the same transaction."""
    made = [photos.prepare(one.getvalue(), one.name, zone=zone) for one in form.value("photos")]
    return [photos.store(conn, case.id, photo) for photo in made]


def _told(words: Words, case: Case, offered: Sequence[Transition], found: Offer, zone: ZoneInfo) -> None:
    """What came of the last step on this report."""
    kept = st.session_state.get(_NOTE)
    if not isinstance(kept, _Note) or kept.report != case.id:
        return
    name = words(f"do.{kept.action.name.lower()}")
    if kept.kind == "done":
        st.html(f'<p class="rd-done" role="status">✓ {esc(words("case.done", step=name))}</p>')
    elif kept.kind == "conflict":
        gone = all(step.action is not kept.action for step in offered)
        typed = stepform.typed(words, Form(f"case{case.id}", kept.action), BY_ACTION[kept.action], found)
        since = [step for step in case.steps if step.seq > kept.seen]
        st.html(casecards.conflict(words, case, since, typed, zone, gone=gone))
    elif kept.kind == "refused":
        st.html(_box(words("case.refused"), words("case.refused_text")))
    elif kept.missing:
        what = words("order.comma").join(words(f"detail.{one}") for one in kept.missing)
        st.html(_box(words("case.wrong"), words("case.missing_detail", what=what)))
    else:
        text = words(kept.code, reference=kept.text) if kept.code else kept.text
        st.html(_box(words("case.wrong"), text))


def _box(head: str, text: str) -> str:
    return f'<div class="rd-conflict" role="alert"><h3>{esc(head)}</h3><p dir="auto">{esc(text)}</p></div>'
