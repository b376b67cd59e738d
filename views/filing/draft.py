"""The report that is being written: its place, its key, and where its map looks.

It lives in the session and not in the address, because it is nobody else's yet. Widgets carry
the draft's number in their keys, so a new draft starts with empty ones; its key makes a
second click on "send" no second report.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import streamlit as st

from data.elements import ElementRow
from data.photos import Photo
from data.territories import Territory
from views.words import Words

_DRAFT = "_filing_draft"
_AROUND = 0.004  # degrees that the map shows on each side of a place, about 400 m

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen place: decimal degrees, how it was chosen, and metres of doubt (0: none)."""

    lon: float
    lat: float
    by: str
    metres: float = 0.0


@dataclass(slots=True)
class Draft:
    """What is known of the report that is being written.

    Attributes
    ----------
    key : for ``data.filing.Filing``.
    bounds, looks : what the map fits, and how often it was told to look somewhere else.
    click : the last click of the map that was taken.
    photos : by the uploader's own id of a file: the photo, or the code of why it is refused.
    """

    territory: str
    number: int
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    chosen: Chosen | None = None
    bounds: Bounds | None = None
    looks: int = 0
    click: tuple[float, float] | None = None
    fault: str = ""
    photos: dict[str, Photo | str] = field(default_factory=dict)

    def widget(self, name: str) -> str:
        """The key of a widget of this draft."""
        return f"filing_{name}_{self.number}"

    def choose(self, lon: float, lat: float, by: str, metres: float = 0.0) -> None:
        """Take a place; the map goes there unless it was clicked."""
        self.chosen, self.fault = Chosen(lon, lat, by, metres), ""
        if by != "click":
            around = max(_AROUND, 1.5 * metres / 111_000)
            self.look((lon - around, lat - around, lon + around, lat + around))

    def look(self, bounds: Bounds) -> None:
        """Let the map show this part of the earth."""
        self.bounds, self.looks = bounds, self.looks + 1


@dataclass(frozen=True, slots=True)
class Setting:
    """What the parts of the page share."""

    words: Words
    territory: Territory
    version: int
    elements: dict[int, ElementRow]
    units: dict[int, str]

    def element_name(self, element_id: int) -> str:
        element = self.elements[element_id]
        return self.words.pick(element.name_ar, element.name_en)


def current(territory: Territory) -> Draft:
    """The draft of this session for a territory; another territory begins a new one."""
    held = st.session_state.get(_DRAFT)
    if not isinstance(held, Draft) or held.territory != territory.code:
        held = renew(territory)
    return held


def renew(territory: Territory) -> Draft:
    """Begin a new draft."""
    held = st.session_state.get(_DRAFT)
    number = held.number + 1 if isinstance(held, Draft) else 1
    made = Draft(territory.code, number, bounds=territory.bounds)
    if isinstance(held, Draft):
        made.click = held.click  # the map still tells of it: it chose the last report's place
    st.session_state[_DRAFT] = made
    return made
