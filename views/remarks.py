"""Remarks of a computation as sentences in the reader's language.

The numbers in them are written as everywhere on the screen, and so are days (``2026-03-05``);
other texts (names, codes) as they are. A ``Named`` place is given in the reader's language.
"""

from __future__ import annotations

import datetime as dt
import re

from geo.remarks import Named, Remark, Term, Value
from views.words import Words, number, short

_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


def sentence(words: Words, remark: Remark) -> str:
    """The words ``remark.<code>`` with the remark's values in their places."""
    values = {name: _shown(words, value) for name, value in remark.values}
    return words(f"remark.{remark.code}", **values)


def _shown(words: Words, value: Value) -> str:
    if isinstance(value, Named):
        return words.pick(value.ar, value.en)
    if isinstance(value, Term):
        return words(value.key)
    if isinstance(value, str):
        return words.date(dt.date.fromisoformat(value), hijri=False) if _DAY.fullmatch(value) else value
    return number(value) if isinstance(value, int) else short(value)
