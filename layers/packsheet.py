"""The weekly pack on paper: one HTML file that prints on A4, pictures in it, nothing to fetch.

It draws what it is handed: every word, number and date is ready to be read. A judgement is
said twice, by a word or sign and by a colour, so that a grey copy says the same. Caveat:
the pages are made when it is printed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from markupsafe import Markup

from layers.workorder import ROOM, Fact, fonts

#: Classes of hexagons and how their key is drawn: filled, hollow, or light with a thick edge.
FILLS = ("full", "ring", "soft")
_SHORT = 14  # rows of a table that is not torn apart


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: ``note`` small below, ``mark`` "good", "bad" or "" for its colour."""

    text: str
    note: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """A table: ``heads`` over ``rows``; the first ``names`` columns are texts, the rest numbers.

    ``total`` is the first row, drawn apart. A short table is kept on one page.
    """

    title: str
    note: str
    heads: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    names: int = 1

    @property
    def short(self) -> bool:
        return len(self.rows) <= _SHORT


@dataclass(frozen=True, slots=True)
class Key:
    """What a class of hexagons on a map is: one of FILLS, and words."""

    fill: str
    words: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A map or chart with its caption; ``half`` lets two stand side by side."""

    picture: Markup
    caption: str
    keys: tuple[Key, ...] = ()
    half: bool = False


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture from the store as JPEG, and what it shows; None where its file is gone."""

    body: bytes | None
    caption: str

    @property
    def address(self) -> Markup:
        """The picture as a data address, or an empty text."""
        if self.body is None:
            return Markup("")
        data = base64.b64encode(self.body).decode("ascii")
        return Markup(f"data:image/jpeg;base64,{data}")  # noqa: S704 - base64 only


@dataclass(frozen=True, slots=True)
class PhotoPair:
    """Before and after of one report."""

    title: str
    before: Photo
    after: Photo


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the pack; ``fresh`` begins a new page. ``remarks`` : (text, is a caution)."""

    title: str
    note: str = ""
    facts: tuple[Fact, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    boards: tuple[Board, ...] = ()
    photos: tuple[PhotoPair, ...] = ()
    remarks: tuple[tuple[str, bool], ...] = ()
    fresh: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is short enough to stand on one page with its heading."""
        return len(self.boards) == 1 and self.boards[0].short and not (self.sheets or self.photos)


@dataclass(frozen=True, slots=True)
class PackSheet:
    """All that is on the pages, in the language of the reader.

    Attributes
    ----------
    lines : below the title: territory, period, moments. notice : that the data is simulated.
    facts : the first row of numbers. foot : words and numbers only, nothing of a source.
    gone : said where a picture's file is not there.
    """

    language: str
    title: str
    lines: tuple[str, ...]
    notice: str
    facts: tuple[Fact, ...]
    parts: tuple[Part, ...]
    foot: str
    gone: str


def rendered(sheet: PackSheet) -> str:
    """The HTML file."""
    return ROOM.get_template("pack.html").render(
        sheet=sheet,
        foot=sheet.foot,
        fonts=fonts(),
        dir="rtl" if sheet.language == "ar" else "ltr",
    )
