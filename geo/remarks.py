"""What a computation decided by itself, or what its reader must know, as a code with values.

An automatic choice is worth as much as its reason (ArcGIS's Optimized Hot Spot Analysis
prints its own; so do we). The words are in the catalogues of the screen, under
``remark.<code>``, so that a number has one meaning in every language; a test fails when a
code has no words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Named(NamedTuple):
    """A name in both languages, of an area for instance; None where it is not known."""

    ar: str | None
    en: str | None


class Term(NamedTuple):
    """A word of the catalogues by its key, such as ``channel.citizen``."""

    key: str


Value = str | int | float | Named | Term


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence, not yet in any language.

    Attributes
    ----------
    code : key of the words.
    values : names and values for the places in the sentence.
    caution : True warns the reader, False states a decision.
    """

    code: str
    values: tuple[tuple[str, Value], ...] = ()
    caution: bool = False


def decided(code: str, **values: Value) -> Remark:
    """A choice that was made automatically, with its reasons as values."""
    return Remark(code, tuple(values.items()))


def caution(code: str, **values: Value) -> Remark:
    """Something that a reader must know before trusting the numbers."""
    return Remark(code, tuple(values.items()), caution=True)
