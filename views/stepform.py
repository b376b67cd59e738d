"""The form of one step: a field for each thing that it needs or may carry, and what was typed.

Used for one report and for many. Which fields there are is said by ``data/life.py``; what
is typed stays in the session under keys of one ``Form`` until the step is done, so that a
conflict loses nothing. Caveat: a limit is a day, and means the end of it on the
territory's clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st
from sqlalchemy import Connection

from data import parties, photos
from data.elements import ElementRow, element_entries
from data.life import Action, Transition
from data.parties import PartyInfo
from data.routing import Route
from views.words import Words, number

MOST_TEXT = 4000
WIDTH = 720  # px at most: a line of text stays readable
PHOTO_TYPES = ("jpg", "jpeg", "png", "webp")
#: Fields in the order of a form. ``rule_id`` is never typed: it comes with the owner.
ORDER = (
    "of", "element_id", "severity", "quantity", "agency_id", "contractor_id", "due_at", "violation",
    "reason", "photos", "note",
)  # fmt: skip
#: Of one report alone: not asked for many.
OF_ONE = frozenset({"photos", "quantity", "of", "rule_id"})
_KINDS = {
    "owner": ("municipality", "department", "entity", "unsorted"),
    "entity": ("entity",),
    "contractor": ("contractor",),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What the lists of a form offer."""

    elements: tuple[ElementRow, ...]
    parties: tuple[PartyInfo, ...]

    def named(self, kind: str) -> list[PartyInfo]:
        """The active parties of a list: owner, entity or contractor."""
        return [p for p in self.parties if p.active and p.kind in _KINDS[kind]]


def offer(conn: Connection, territory_id: int) -> Offer:
    """Elements and parties of a territory, as far as they are open to the user."""
    return Offer(tuple(element_entries(conn)), tuple(parties.listed(conn, territory_id)))


@dataclass(frozen=True, slots=True)
class Form:
    """Where a form keeps what is typed: ``place`` and a number that grows when it is done."""

    place: str
    action: Action

    @property
    def _count(self) -> str:
        return f"_form_{self.place}"

    def key(self, field: str) -> str:
        """The session's key of a field."""
        return f"{self.place}_{st.session_state.get(self._count, 0)}_{self.action.name.lower()}_{field}"

    def done(self) -> None:
        """Begin anew: what was typed is no longer shown."""
        st.session_state[self._count] = int(st.session_state.get(self._count, 0)) + 1

    def value(self, field: str) -> Any:
        """What is typed or chosen; None, "" or [] for nothing."""
        return st.session_state.get(self.key(field))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one report beforehand; for many reports nothing is."""

    element_id: int | None = None
    severity: int | None = None
    unit: str | None = None
    route: Route | None = None
    candidates: tuple[tuple[str, str], ...] = ()  # reference and label of reports nearby


def fields_of(step: Transition, *, many: bool = False) -> list[str]:
    """The fields of a step, those that are needed first."""
    wanted = [name for name in ORDER if name in step.needs]
    wanted += [name for name in ORDER if name in step.offers]
    return [name for name in wanted if not (many and name in OF_ONE)]


def draw(
    words: Words, form: Form, step: Transition, found: Offer, known: Known, *, many: bool = False
) -> None:
    """Draw the fields, but for photos: see ``pictures``."""
    for name in fields_of(step, many=many):
        if name != "photos":
            _field(words, form, step, name, _label(words, step, name), found, known)


def pictures(words: Words, form: Form, step: Transition) -> None:
    """Draw the field of photos where the step takes some.

    Draw it in one ``st.form`` with the button: that waits for an upload to end. A button of
    its own would take the step without a picture that is still on its way.
    """
    if "photos" not in fields_of(step):
        return
    st.file_uploader(
        _label(words, step, "photos"),
        list(PHOTO_TYPES),
        accept_multiple_files=True,
        key=form.key("photos"),
        help=words("case.photo_help", mb=number(photos.limits()["mb"])),
    )


def _label(words: Words, step: Transition, name: str) -> str:
    label = words(f"detail.{name}")
    return label if name in step.needs else words("case.optional", what=label)


def _field(
    words: Words, form: Form, step: Transition, name: str, label: str, found: Offer, known: Known
) -> None:
    key = form.key(name)
    if name == "element_id":
        names = {row.id: f"{words.pick(row.name_ar, row.name_en)} · {row.code}" for row in found.elements}
        _choose(key, label, names, words("case.choose_element"), known.element_id)
    elif name == "severity":
        names = {k: words("case.of_five", n=number(k)) for k in range(1, 6)}
        _choose(key, label, names, words("case.choose_severity"), known.severity)
    elif name in ("agency_id", "contractor_id"):
        kind = (
            "contractor" if name == "contractor_id" else "entity" if step.action is Action.REFER else "owner"
        )
        names = {p.id: words.pick(p.name_ar, p.name_en) for p in found.named(kind)}
        routed = known.route.party_id if known.route and name == "agency_id" else None
        _choose(key, label, names, words("case.choose_party"), routed if name in step.needs else None)
    elif name == "quantity":
        unit = f"{label} ({known.unit})" if known.unit else label
        st.number_input(unit, min_value=0.0, value=None, step=1.0, key=key)
    elif name == "due_at":
        st.date_input(label, value=None, key=key, help=words("case.limit_help"))
    elif name == "of":
        st.text_input(label, key=key, max_chars=100, help=words("case.of_help"))
        if known.candidates:
            labels = dict(known.candidates)
            st.pills(
                words("case.nearby"),
                list(labels),
                key=form.key("of_near"),
                format_func=labels.__getitem__,
                label_visibility="collapsed",
            )
    elif name == "violation":
        st.text_input(label, key=key, max_chars=100)
    else:
        st.text_area(label, key=key, max_chars=MOST_TEXT, height=80)


def _choose(key: str, label: str, names: dict[int, str], empty: str, default: int | None) -> None:
    options = list(names)
    st.selectbox(
        label,
        options,
        index=options.index(default) if default in names and key not in st.session_state else None,
        key=key,
        format_func=names.__getitem__,
        placeholder=empty,
    )


def missing(form: Form, step: Transition) -> list[str]:
    """The needed fields that are empty."""
    empty = []
    for name in step.needs:
        value = form.value(name)
        if name == "of":
            value = value or form.value("of_near")
        if value is None or (isinstance(value, str) and not value.strip()) or value in ([], 0.0):
            empty.append(name)
    return empty


def detail(form: Form, step: Transition, zone: ZoneInfo, *, many: bool = False) -> dict[str, Any]:
    """What was typed as the step's detail; photos and the repeated report are not in it."""
    told: dict[str, Any] = {}
    for name in fields_of(step, many=many):
        value = form.value(name)
        if name in ("photos", "of") or value is None or value == "":
            continue
        if isinstance(value, str):
            if value.strip():
                told[name] = value.strip()
        elif isinstance(value, dt.date):
            end = dt.datetime.combine(value, dt.time(23, 59), zone)
            told[name] = end.isoformat()
        elif not (name == "quantity" and value == 0):
            told[name] = value
    return told


def with_rule(told: dict[str, Any], step: Transition, route: Route | None, due: dt.datetime | None) -> None:
    """Name the rule in a detail whose owner is the one that it says, and its limit where none is set."""
    if route is None or "rule_id" not in step.offers or told.get("agency_id") != route.party_id:
        return
    told["rule_id"] = route.rule_id
    if due is None and "due_at" not in told and route.due_at is not None:
        told["due_at"] = route.due_at.isoformat()


def typed(words: Words, form: Form, step: Transition, found: Offer) -> Sequence[tuple[str, str]]:
    """What stands in the form as lines of label and text, to be shown when the form itself cannot be."""
    rows = []
    for name in fields_of(step):
        value = form.value(name)
        if value in (None, "", []):
            continue
        text = str(value)
        if name == "element_id":
            text = next((words.pick(e.name_ar, e.name_en) for e in found.elements if e.id == value), text)
        elif name in ("agency_id", "contractor_id"):
            text = next((words.pick(p.name_ar, p.name_en) for p in found.parties if p.id == value), text)
        elif name == "photos":
            text = number(len(value))
        rows.append((words(f"detail.{name}"), text))
    return rows
