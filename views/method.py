"""What a method of the Hotspots page is: the one small class that each of them fills in.

The page owns selector, address, caching, progress, map, table, downloads and card; a method
says which settings it has, which function of ``data/analyses`` answers, and how its answer
is drawn and told. A result is computed once for a data version, a query and settings, and
shared by all readers: it must never be changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from data.query import ReportQuery
from geo.remarks import Remark
from layers.cellmap import CellLayer, ImageLayer, Outline
from views.words import Words, number

MAP_CELLS = 40_000  # cells of the finest counted level; all levels together are about 1.2 times that
Tick = Callable[[float], None]
S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Scene:
    """What the page knows when it asks a method.

    Attributes
    ----------
    territory : its code; ``version`` is its data version and ``query`` holds its id.
    query : the reports that the filters let through.
    palette : the reader's map colours, a key of ``layers.palettes.PALETTES``.
    first, last : local days of the territory's first and newest report; None without any.
    sizes : (resolution, mean km² of a cell) that suit the territory, coarse to fine.
    """

    words: Words
    territory: str
    version: int
    query: ReportQuery
    palette: str
    first: dt.date | None
    last: dt.date | None
    sizes: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a method's table.

    Attributes
    ----------
    key : its name in the downloaded file (a column of ``Method.frame``).
    label : its heading in the reader's language.
    values : (n,) numbers, or texts in the reader's language.
    digits : decimals of a number; None for texts.
    help : a sentence that explains the heading, or "".
    """

    key: str
    label: str
    values: NDArray[Any] | Sequence[str]
    digits: int | None = 0
    help: str = ""

    def text(self, at: int) -> str:
        """The value at a position as the screen writes it."""
        value = self.values[at]
        if self.digits is None:
            return str(value)
        return "–" if np.isnan(value) else number(float(value), self.digits)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A method's cells as a table; the page adds each cell's place.

    Attributes
    ----------
    cells : (n,) H3 indexes, as in the result.
    order : (m,) positions in ``cells``, best first, m ≤ n: what is not worth a line is left out.
    columns : what stands in the table, most important first.
    lead : key of the column that ranks the list beside the map.
    title : heading of that list, e.g. "Hexagons most surely hot".
    numbers : (n,) numbers of outlines when a row is one; ``cells`` are then their middles.
    """

    cells: NDArray[np.int64]
    order: NDArray[np.int64]
    columns: tuple[Column, ...]
    lead: str
    title: str
    numbers: NDArray[np.int64] | None = None

    def column(self, key: str) -> Column:
        return next(column for column in self.columns if column.key == key)


@dataclass(frozen=True, slots=True)
class History:
    """One cell through time, for the sparkline of its card.

    Attributes
    ----------
    step : day, week or month.
    starts : (t,) first day of each step, oldest first.
    values : (t,) what the bars show (reports, unless ``title`` says otherwise).
    marks : (t,) "hot", "cold" or "" for each step; empty when the method marks none.
    title : heading in the reader's language, "" for the usual one.
    """

    step: str
    starts: tuple[dt.date, ...]
    values: tuple[float, ...]
    marks: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a method says of one cell or outline.

    Attributes
    ----------
    verdict : one sentence, such as "A hot spot at 99 % confidence".
    facts : (label, value) pairs in the reader's language, at most six.
    history : through time, as the method saw it; None: reports by month.
    title : heading of an outline's card.
    cells : (k,) an outline's cells, whose reports are listed; of one resolution.
    start, end : local days to which an outline's reports are narrowed, both included.
    """

    verdict: str
    facts: tuple[tuple[str, str], ...] = ()
    history: History | None = None
    title: str = ""
    cells: NDArray[np.int64] | None = None
    start: dt.date | None = None
    end: dt.date | None = None


class Method(Generic[S, R]):
    """Base of all methods. ``S`` are its frozen, hashable settings, ``R`` its frozen result."""

    code: ClassVar[str]
    slow: ClassVar[bool] = False  # True: computed as a job with progress and a Cancel button
    comparable: ClassVar[bool] = False  # True: cheap, and two answers have the same classes
    needs_incidents: ClassVar[bool] = False  # True: the page finds the incidents first
    says_measure: ClassVar[bool] = False  # True: its remarks say whether counts or rates are shown

    def settings(self, scene: Scene) -> S:
        """Draw the settings' widgets through ``views.controls`` and return what they say."""
        raise NotImplementedError

    def compute(self, conn: Connection, query: ReportQuery, settings: S, tick: Tick | None) -> R:
        """The answer: one call into ``data/analyses``. Runs in another thread when ``slow``.

        No widget, no ``st.session_state`` and no words in here. A condition of the data (too
        few reports, no exposure) is a caution of an empty result, not an error.
        """
        raise NotImplementedError

    def fixed(self, settings: S, result: R) -> S:
        """The settings with what a result decided by itself (its resolution, its k).

        The second of two maps is computed with these, so that both can be compared.
        """
        return settings

    def remarks(self, result: R) -> tuple[Remark, ...]:
        """What was decided automatically, and cautions."""
        found: tuple[Remark, ...] = result.remarks  # type: ignore[attr-defined]
        return found

    def answer(self, words: Words, result: R) -> str:
        """The answer in one plain sentence, for a director."""
        raise NotImplementedError

    def layer(self, scene: Scene, result: R, other: R | None = None) -> CellLayer | ImageLayer | None:
        """What the map shows; None for the count map.

        ``other`` is the result on the second map when two are compared: classes that depend
        on the values are then made from both, so that a colour means the same on each.
        """
        raise NotImplementedError

    def outlines(self, words: Words, result: R) -> Sequence[Outline]:
        """Numbered sets of cells above the map; a click on one asks ``outlined``."""
        return ()

    def table(self, words: Words, result: R) -> Table | None:
        """The table; None where there is nothing to list."""
        return None

    def frame(self, result: R) -> gpd.GeoDataFrame:
        """All rows for the download, EPSG:4326; made when the button is pressed."""
        found: gpd.GeoDataFrame = result.to_geodataframe()  # type: ignore[attr-defined]
        return found

    def finding(self, words: Words, result: R, cell: int) -> Finding | None:
        """What the method says of a clicked cell, for its card; None when nothing.

        The cell can be of another resolution than the result (``place`` then gives None).
        """
        return None

    def outlined(self, words: Words, result: R, number: int) -> Finding | None:
        """What the method says of a clicked outline; None when there is no such number."""
        return None

    def more(self, scene: Scene, result: R, settings: S) -> None:
        """Draw what else belongs to the answer, below the map (a chart, a backtest)."""


def place(cells: NDArray[np.int64], cell: int) -> int | None:
    """Position of ``cell`` in ascending ``cells`` (n,), or None."""
    at = int(np.searchsorted(cells, cell))
    return at if at < len(cells) and int(cells[at]) == cell else None
