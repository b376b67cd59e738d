"""Spellings that a reader takes for the same word, made equal: for matching names.

Unicode NFKD for hamza and accents, plus the letters that Unicode keeps apart: ة/ه, ى/ي,
Persian ک/ی, tatweel. Caveat: folding loses information, so folded text is never shown and
never stored as a name.
"""

from __future__ import annotations

import re
import unicodedata

# Letters that NFKD leaves apart although readers take them for one.
_LETTERS = {
    "ة": "ه", "ى": "ي", "ٱ": "ا", "ک": "ك", "ی": "ي", "ہ": "ه", "ھ": "ه", "ە": "ه", "ۃ": "ه",
    "گ": "ك", "ڤ": "ف", "پ": "ب", "چ": "ج", "ٳ": "ا", "ٲ": "ا",
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h",
}  # fmt: skip
# Apostrophes join ("Ra's" is "Ras"); so do the letters that transliterations use for ع and ء.
_JOINERS = dict.fromkeys(
    "'`´‘’‛′\u02b9\u02ba\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u0640\u0674", ""
)
_TRANSLATE = str.maketrans(_LETTERS | _JOINERS)
_NOT_WORD = re.compile(r"[\W_]+")
_ASCII_WORDS = re.compile(r"[a-z0-9 ]*", re.ASCII)


def _letters(text: str) -> str:
    out = unicodedata.normalize("NFKD", text)
    out = unicodedata.normalize("NFKD", out.casefold())
    kept = []
    for char in out:
        kind = unicodedata.category(char)
        if kind in ("Mn", "Me", "Cf"):
            continue
        kept.append(str(unicodedata.decimal(char)) if kind == "Nd" else char)
    return "".join(kept).translate(_TRANSLATE)


def fold(text: str) -> str:
    """The spelling of ``text`` that equal words share.

    Diacritics, tatweel and accents go; أ إ آ ٱ → ا, ؤ → و, ئ ى → ي, ة → ه; digits become
    western; Latin becomes lower case; apostrophes join; other punctuation becomes one blank.
    Folding twice changes nothing.
    """
    lowered = text.lower()
    if _ASCII_WORDS.fullmatch(lowered):
        return " ".join(lowered.split())
    return " ".join(_NOT_WORD.sub(" ", _letters(text)).split())
