"""What every part of the campaign studio knows about the page it stands on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from data.query import ReportQuery
from data.summaries import Choices
from views.words import Words

FRIDAY, SATURDAY = 4, 5
STALE = 60  # days; older data is planned from its own end, not from today


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen in a territory.

    Attributes
    ----------
    municipalities, elements : key to name in the reader's language.
    sizes : (resolution, mean km² of a cell), coarse to fine.
    first_day : suggested for the campaign's start.
    """

    municipalities: Mapping[int, str]
    elements: Mapping[str, str]
    sizes: tuple[tuple[int, float], ...]
    first_day: dt.date


def options(words: Words, choices: Choices, sizes: tuple[tuple[int, float], ...]) -> Options:
    """The choices of a territory as the inputs offer them."""
    return Options(
        {int(row.key): words.pick(row.name_ar, row.name_en) for row in choices.municipalities},
        {str(row.key): words.pick(row.name_ar, row.name_en) for row in choices.elements},
        sizes,
        first_day(choices.last, dt.date.today()),
    )


def first_day(last: dt.date | None, today: dt.date) -> dt.date:
    """The next day of work (Sunday to Thursday), counted from today or from the end of old data."""
    day = today if last is None or (today - last).days <= STALE else last
    day += dt.timedelta(days=1)
    while day.weekday() in (FRIDAY, SATURDAY):
        day += dt.timedelta(days=1)
    return day


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """The reader's language, the territory, its data version and the filters.

    Attributes
    ----------
    territory : its code. query : the reports that the filters let through; ``whole`` all of them.
    palette : the reader's map colours.
    """

    words: Words
    territory: str
    territory_id: int
    version: int
    query: ReportQuery
    whole: ReportQuery
    palette: str
    options: Options

    @property
    def municipalities(self) -> tuple[int, ...]:
        return tuple(self.options.municipalities)
