"""The words of the screens: one catalogue per language, plurals, numbers and dates.

``Words`` is made once per run for the reader's language and handed on, so nothing looks
at the session later. Numbers have Latin digits in both languages. Dates are Gregorian; in
Arabic the Hijri date (Umm al-Qura) stands beside it, where the calendar's tables reach.
"""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from hijridate import Gregorian

from data.vocabulary import Channel, Status

FOLDER = Path(__file__).resolve().parent / "words"
LANGUAGES = ("ar", "en")


@functools.cache
def catalogue(language: str) -> MappingProxyType[str, Any]:
    """All words of a language, by dotted key; a plural is a dictionary by category.

    The files of a language's folder make one catalogue; sections may go on in another file.

    Raises
    ------
    ValueError : a key stands in two files.
    """
    flat: dict[str, Any] = {}
    for file in sorted((FOLDER / language).glob("*.yaml")):
        nested = yaml.safe_load(file.read_text("utf-8")) or {}
        for section, words in nested.items():
            for key, word in words.items():
                name = f"{section}.{key}"
                if name in flat:
                    raise ValueError(f"{file.name}: {name} stands in another file of {language} too")
                flat[name] = word
    return MappingProxyType(flat)


def plural_category(language: str, n: int) -> str:
    """CLDR plural category of a whole number, for Arabic and English."""
    if language == "en":
        return "one" if n == 1 else "other"
    if n in (0, 1, 2):
        return ("zero", "one", "two")[n]
    rest = n % 100
    if 3 <= rest <= 10:
        return "few"
    return "many" if rest >= 11 else "other"


def number(value: float, digits: int = 0) -> str:
    """A number with Latin digits and a comma between thousands."""
    return f"{value:,.{digits}f}"


def short(value: float) -> str:
    """A measure with three significant digits, never in powers of ten."""
    if value >= 100:
        return number(value)
    if value >= 10:
        return number(value, 1)
    if value >= 1 or value == 0:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{float(f'{value:.2g}'):.6f}".rstrip("0").rstrip(".")


class Words:
    """The words of one language: call it with a key and the values for its places."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._all = catalogue(language)

    @property
    def rtl(self) -> bool:
        return self.language == "ar"

    def __call__(self, key: str, **values: object) -> str:
        text: str = self._all[key]
        return text.format(**values) if values else text

    def forms(self, key: str) -> dict[str, str]:
        """All plural forms of a key, for the map's script."""
        forms: dict[str, str] = self._all[key]
        return dict(forms)

    def plural(self, key: str, n: int) -> str:
        """The form of a key that goes with ``n``, with the number in its place."""
        forms = self._all[key]
        return str(forms.get(plural_category(self.language, n), forms["other"])).format(n=number(n))

    def pick(self, arabic: str | None, english: str | None) -> str:
        """A name in the reader's language, else in the other one."""
        first, second = (arabic, english) if self.rtl else (english, arabic)
        return first or second or self("card.unknown")

    def status(self, code: int) -> str:
        return self(f"status.{Status(code).name.lower()}")

    def channel(self, code: int) -> str:
        return self(f"channel.{Channel(code).name.lower()}")

    def month(self, day: dt.date) -> str:
        """Month and year, as on an axis."""
        return f"{self(f'months.m{day.month}')} {day.year}"

    def date(self, day: dt.date, *, hijri: bool = True) -> str:
        """A date; in Arabic with the Hijri date beside it unless ``hijri`` is False."""
        shown = self("date.day", day=day.day, month=self(f"months.m{day.month}"), year=day.year)
        if not (hijri and self.rtl):
            return shown
        try:
            other = Gregorian(day.year, day.month, day.day).to_hijri()
        except OverflowError:  # outside the tables of the Umm al-Qura calendar
            return shown
        beside = self("date.hijri", day=other.day, month=self(f"hijri.m{other.month}"), year=other.year)
        return self("date.both", day=shown, hijri=beside)
