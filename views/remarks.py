"""Remarks of a computation as sentences in the reader's language.

The numbers in them are written as everywhere on the screen; texts (names, codes) as they are.
"""

from __future__ import annotations

from geo.remarks import Remark
from views.words import Words, number, short


def sentence(words: Words, remark: Remark) -> str:
    """The words ``remark.<code>`` with the remark's values in their places."""
    values = {name: _shown(value) for name, value in remark.values}
    return words(f"remark.{remark.code}", **values)


def _shown(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return number(value) if isinstance(value, int) else short(value)
