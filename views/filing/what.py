"""What it is: the element by search, severity, quantity, photos, a note, and who reported.

Photos are decoded as they arrive; one that is refused says why. Place and time of the camera
are offered before they are stripped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st
from pyproj import Geod

from data import photos
from data.filing import CONTACT_MOST, NOTE_MOST
from data.photos import Photo, PhotoRefused
from data.settings import settings
from ingest.element_search import ElementSearch
from views import notices
from views.cards import esc, note
from views.filing.draft import Draft, Setting
from views.filing.where import distance
from views.words import Words, number

UNKNOWN = 0  # "I cannot say": the report waits to be classified
MOST_PHOTOS = 8
GRADES = (1, 2, 3, 4, 5)
#: Words of a unit (``workunit.<code>``) by how the taxonomy's text begins.
UNITS = {"m2": "m2", "m3": "m3", "linear": "m", "count": "count"}
_APART = 200.0  # metres between photo and pin from which it is said
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class Said:
    """What the reporter says besides the place; ``element_id`` None when not known or not chosen."""

    chosen: bool
    element_id: int | None
    severity: int | None
    quantity: float | None
    note: str
    photos: tuple[Photo, ...]
    contact_name: str
    contact_phone: str


def draw(setting: Setting, draft: Draft, search: ElementSearch) -> Said:
    """The fields, in the order in which somebody on the spot thinks of them."""
    words = setting.words
    element = _element(setting, draft, search)
    taken = _photos(setting, draft)
    with st.container(horizontal=True, key="rasd_amount", vertical_alignment="bottom"):
        severity = st.segmented_control(
            words("filing.severity"),
            GRADES,
            key=draft.widget("severity"),
            format_func={grade: words(f"grade.m{grade}") for grade in GRADES}.__getitem__,
        )
        unit = unit_words(words, setting.units.get(element or 0))
        quantity = st.number_input(
            words("filing.quantity", unit=unit) if unit else words("filing.quantity_plain"),
            min_value=0.0,
            max_value=1e6,
            value=None,
            step=1.0,
            format="%.10g",
            key=draft.widget("quantity"),
            width=190,
        )
    said = st.text_area(
        words("filing.note"),
        max_chars=NOTE_MOST,
        height=90,
        key=draft.widget("note"),
        help=words("filing.note_help"),
    )
    name = phone = ""
    if settings().keep_contacts:
        with st.container(horizontal=True, key="rasd_contact"):
            name = st.text_input(words("filing.name"), max_chars=CONTACT_MOST, key=draft.widget("name"))
            phone = st.text_input(words("filing.phone"), max_chars=CONTACT_MOST, key=draft.widget("phone"))
        st.html(note(words("filing.contact_note")))
    return Said(
        element is not None,
        element or None,
        severity,
        quantity or None,
        said or "",
        taken,
        name or "",
        phone or "",
    )


def unit_words(words: Words, unit: str | None) -> str:
    """A unit of the taxonomy in the reader's language; "" where it has none."""
    if not unit:
        return ""
    return words(f"workunit.{UNITS[unit.split()[0]]}")


def _element(setting: Setting, draft: Draft, search: ElementSearch) -> int | None:
    """The element: typed words narrow the list; UNKNOWN where the reporter cannot say."""
    words = setting.words
    typed = str(
        st.text_input(
            words("filing.search"),
            key=draft.widget("search"),
            placeholder=words("filing.search_hint"),
            max_chars=80,
        )
        or ""
    )
    found = search.find(typed)
    labels = {UNKNOWN: words("filing.unknown_element")} | {
        id_: f"{setting.element_name(id_)}" for id_ in setting.elements
    }
    if typed.strip() and not found:
        st.html(notices.cautions(words, [words("filing.search_none")]))
    if found:
        picked: Any = st.radio(
            words("filing.element"),
            [*found, UNKNOWN],
            index=0,
            key=f"{draft.widget('element')}_{'_'.join(map(str, found))}",
            format_func=labels.__getitem__,
            captions=[_group(setting, id_) for id_ in found] + [words("filing.unknown_note")],
            label_visibility="collapsed",
        )
    else:
        grouped = sorted(setting.elements, key=lambda id_: setting.elements[id_].code)
        picked = st.selectbox(
            words("filing.element"),
            [*grouped, UNKNOWN],
            index=None,
            key=draft.widget("all"),
            format_func=labels.__getitem__,
            placeholder=words("filing.all_elements"),
            label_visibility="collapsed",
        )
    return None if picked is None else int(picked)


def _group(setting: Setting, element_id: int) -> str:
    element = setting.elements[element_id]
    return setting.words.pick(element.group_ar, element.group_en)


# -- photos ---------------------------------------------------------------------------


def _photos(setting: Setting, draft: Draft) -> tuple[Photo, ...]:
    """The uploader, what came of each file, and the camera's place to take over."""
    words = setting.words
    sent = st.file_uploader(
        words("filing.photos", most=number(MOST_PHOTOS), mb=number(settings().photo_mb)),
        type=["jpg", "jpeg", "png", "webp"],
        accept_multiple_files=True,
        key=draft.widget("photos"),
        max_upload_size=math.ceil(settings().photo_mb),
    )
    zone = ZoneInfo(setting.territory.timezone)
    read = {file.file_id: _read(draft, file, zone) for file in sent[:MOST_PHOTOS]}
    draft.photos = read  # those that were taken out again go
    faults = [
        f"{file.name}: {words(f'photofault.{found}', **limit_words())}"
        for file in sent
        if isinstance(found := read.get(file.file_id), str)
    ]
    if len(sent) > MOST_PHOTOS:
        faults.append(words("filing.photos_many", most=number(MOST_PHOTOS)))
    if faults:
        st.html(notices.cautions(words, faults))
    taken = tuple({photo.digest: photo for photo in read.values() if isinstance(photo, Photo)}.values())
    if taken:
        st.image([photo.small for photo in taken], width=104)
        st.html(note(words("filing.photos_clean")))
        _offer(setting, draft, taken)
    return taken


def _read(draft: Draft, file: Any, zone: ZoneInfo) -> Photo | str:
    known = draft.photos.get(file.file_id)
    if known is not None:
        return known
    try:
        return photos.prepare(file.getvalue(), file.name, zone=zone)
    except PhotoRefused as error:
        return error.code


def limit_words() -> dict[str, str]:
    """The limits, written as numbers of the screen."""
    return {name: number(value) for name, value in photos.limits().items()}


def _offer(setting: Setting, draft: Draft, taken: Iterable[Photo]) -> None:
    """The first photo that knows its place: take it over, or hear that it lies elsewhere."""
    words, chosen = setting.words, draft.chosen
    photo = next((photo for photo in taken if photo.lon is not None and photo.lat is not None), None)
    if photo is None or photo.lon is None or photo.lat is None:
        return
    if chosen is not None:
        apart = float(_GEOD.inv(photo.lon, photo.lat, chosen.lon, chosen.lat)[2])
        if chosen.by == "photo" or apart <= _APART:
            return
        st.html(notices.cautions(words, [words("filing.photo_apart", far=distance(words, apart))]))
    when = ""
    if photo.taken_at is not None:
        local = photo.taken_at.astimezone(ZoneInfo(setting.territory.timezone))
        when = f" · {words.date(local.date(), hijri=False)} {local:%H:%M}"
    place = f'<bdi dir="ltr">{photo.lat:.5f}, {photo.lon:.5f}</bdi>'
    st.html(f'<p class="rd-note">{esc(words("filing.photo_place"))} {place}{esc(when)}</p>')
    # A callback, so that the map above is drawn with it in the same run.
    st.button(
        words("filing.photo_use"),
        key=draft.widget("photo_place"),
        on_click=draft.choose,
        args=(photo.lon, photo.lat, "photo"),
    )
