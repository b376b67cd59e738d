"""The work order that goes to the field: one HTML file that prints on A4, with nothing to fetch.

Fonts and maps stand in the file, texts are escaped, and headings of tables come again on
each page. It draws what it is handed: every word, number and date is ready to be read.
Caveat: on the screen it is one long page; its pages are made when it is printed.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from layers.assets import STATIC

ROOM = jinja2.Environment(
    loader=jinja2.PackageLoader("layers", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_RANGES = {
    "arabic": "U+0600-06FF,U+0750-077F,U+FB50-FDFF,U+FE70-FEFC,U+200C-200F",
    "latin": "U+0000-02FF,U+2000-200B,U+2010-206F,U+2190-2193,U+2212",
}
_WEIGHTS = (400, 700)


@dataclass(frozen=True, slots=True)
class Fact:
    """A number or text with its name; ``note`` is small beside it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A plain table: ``heads`` over ``rows`` of texts; ``wide`` is the column that takes the room."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """A site in the table of a day: what to look for, and empty boxes for what is found.

    Attributes
    ----------
    number : its turn, empty without a day. time : when, as written.
    what : the element. notes : lines below it. code : key by which it comes back.
    place : latitude and longitude. bring : material.
    """

    number: str
    time: str
    what: str
    notes: tuple[str, ...]
    code: str
    place: str
    bring: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """A team's day."""

    title: str
    note: str
    map: Markup
    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class Area:
    """One area, on pages of its own; ``left`` are the sites without a day."""

    title: str
    note: str
    facts: tuple[Fact, ...]
    map: Markup
    key: str
    tables: tuple[tuple[str, Grid], ...]
    days: tuple[Day, ...]
    left: tuple[Stop, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """All that is on the pages, in the language of the reader.

    Attributes
    ----------
    words : headings of the tables and other fixed texts, by name (``WORDS``).
    notice : that the data is simulated; empty when it is not.
    tables : of the first page, each with its heading.
    remarks : (text, is a caution).
    """

    language: str
    title: str
    subtitle: str
    notice: str
    facts: tuple[Fact, ...]
    map: Markup
    tables: tuple[tuple[str, Grid], ...]
    areas: tuple[Area, ...]
    remarks: tuple[tuple[str, bool], ...]
    foot: str
    words: dict[str, str]
    bring: bool = False


#: Fixed texts that a work order needs.
WORDS = (
    "turn", "time", "look_for", "place", "bring", "is_found", "is_treated", "yes", "no", "element_seen",
    "photo_no", "notes", "left", "team_name", "signature", "remarks", "done_by",
)  # fmt: skip


def rendered(order: WorkOrder) -> str:
    """The HTML file."""
    # Words are written before numbers; where both meet, bdi keeps each in its own direction.
    return ROOM.get_template("workorder.html").render(
        order=order,
        w=order.words,
        foot=order.foot,
        fonts=fonts(),
        dir="rtl" if order.language == "ar" else "ltr",
    )


@functools.cache
def fonts() -> Markup:
    """The faces as data addresses: two weights, Arabic and Latin."""
    faces = []
    for weight in _WEIGHTS:
        for script, letters in _RANGES.items():
            file = STATIC / "fonts" / f"ibm-plex-sans-arabic-{script}-{weight}-normal.woff2"
            data = base64.b64encode(file.read_bytes()).decode("ascii")
            faces.append(
                f"@font-face{{font-family:Plex;font-weight:{weight};src:url(data:font/woff2;base64,{data})"
                f" format('woff2');unicode-range:{letters}}}"
            )
    return Markup("\n".join(faces))  # noqa: S704 - our own files
