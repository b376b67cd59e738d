"""What every part of the campaign studio knows about the page it stands on."""

from __future__ import annotations

from dataclasses import dataclass

from data.query import ReportQuery
from views.studio.inputs import Options
from views.words import Words


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
