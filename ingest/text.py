"""Text as people and portals write it, made comparable: marks, digits, Arabic spelling.

Cleaning runs over polars Series and touches only the values that need it. Folding
(``geo/wording.py``) makes spellings equal that a reader takes for the same word; here it is
applied to whole columns and to names of places. Folded text is for matching only.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow as pa

from geo.wording import fold

# Marks that change how a text is drawn and not what it says: soft hyphen, Arabic letter
# mark, zero-width characters and joiners, direction marks, embeddings, isolates, BOM.
MARKS = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_MARKS = f"[{MARKS}]"
# White space other than the plain blank, and control characters (PostgreSQL refuses NUL).
_BLANKS = r"[\s\x00-\x1f\x7f\u0085\u00a0]+"
_ODD = rf"{_MARKS}|[\s\x00-\x1f\x7f\u0085\u00a0&&[^ ]]|^ | $|  "

#: What portals and spreadsheets write when they have nothing to say. Compared as a whole
#: value, in lower case, UPPER CASE and Title Case.
PLACEHOLDERS: frozenset[str] = frozenset(
    {
        "", "-", "--", "---", "_", "–", "—", "ـ", ".", "..", "...", "?", "/", "//", "\\", "*", "#",
        "null", "(null)", "<null>", "[null]", "\\n", "none", "nil", "n/a", "n.a.", "na", "#n/a", "#na",
        "#n/a n/a", "#null!", "#ref!", "#value!", "#div/0!", "#name?", "#num!", "nan", "NaN", "-nan",
        "nat", "NaT",
        "<na>", "undefined", "unspecified", "not specified", "not available", "not applicable", "no data",
        "(blank)", "blank", "empty",
        "لا يوجد", "لايوجد", "لا توجد", "غير محدد", "غير محددة", "غير متوفر", "غير متوفرة", "غير متاح",
        "غير موجود", "لا ينطبق", "بدون", "فارغ", "لا شيء", "لم يحدد",
    }
)  # fmt: skip
_PLACEHOLDER_LIST = sorted({form(p) for p in PLACEHOLDERS for form in (str, str.upper, str.title)})


# Words in front of a place name that say what kind of place it is (folded spelling).
_KINDS_BEFORE = frozenset(
    {"حي", "بلديه", "محافظه", "امانه", "منطقه", "مدينه", "مركز", "قريه", "هجره", "ضاحيه", "اماره", "قطاع"}
    | {"نطاق", "دائره", "مخطط", "فرعيه", "municipality", "sub", "submunicipality", "district", "of", "the"}
    | {"neighborhood", "neighbourhood", "governorate", "region", "city", "town", "village", "province"}
    | {"emirate", "amanah", "amana", "amanat", "centre", "center", "hai", "hay", "hayy"}
)
_KINDS_AFTER = frozenset(
    {"municipality", "submunicipality", "district", "neighborhood", "neighbourhood", "governorate"}
    | {"region", "city", "town", "village", "province", "amanah"}
)
# The Latin article, with the letter that it takes before a sun letter.
_ARTICLES = frozenset(["al", "el", "ad", "an", "ar", "as", "ash", "at", "ath", "az", "adh"])


def _as_text(values: pl.Series) -> pl.Series:
    return values if values.dtype == pl.String else values.cast(pl.String)


def _where(values: pl.Series, odd: pl.Series, mend: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Replace the values where ``odd`` holds by their mended form; the rest stays untouched."""
    rows = odd.fill_null(False).arg_true()
    if rows.is_empty():
        return values
    mended = mend(values.gather(rows))
    # scatter() writes in place, hence the clone: the caller keeps its Series.
    return mended.alias(values.name) if len(rows) == len(values) else values.clone().scatter(rows, mended)


def clean(values: pl.Series) -> pl.Series:
    """Strip white space and invisible marks, collapse blanks, turn placeholders into null.

    Parameters
    ----------
    values : (n,) any dtype; what is not text is written as text first.

    Returns
    -------
    (n,) String: no invisible marks, no control characters, single plain blanks inside,
    null for empty values and for the whole-value ``PLACEHOLDERS``.
    """
    text = _as_text(values)
    text = _where(
        text,
        text.str.contains(_ODD),
        lambda odd: odd.str.replace_all(_MARKS, "").str.replace_all(_BLANKS, " ").str.strip_chars(" "),
    )
    empty = text.is_in(_PLACEHOLDER_LIST).fill_null(False)
    if empty.any():
        text = text.set(empty, None)
    return text


def clean_text(text: str) -> str:
    """``clean`` for one text: without invisible marks, single blanks; placeholders stay."""
    return re.sub(_BLANKS, " ", re.sub(_MARKS, "", text)).strip(" ")


def western_digits(values: pl.Series) -> pl.Series:
    """Arabic-Indic and Persian digits to ASCII; ``٫`` becomes a point and ``٬`` goes.

    Everything else stays as it is. (n,) String in, (n,) String out.
    """
    text = _as_text(values)
    text = _where(text, text.str.contains("[\u0660-\u0669\u06f0-\u06f9]"), _ascii_digits)
    return _where(
        text,
        text.str.contains("[\u066b\u066c]"),
        lambda odd: odd.str.replace_many(["\u066b", "\u066c"], [".", ""]),
    )


def _ascii_digits(text: pl.Series) -> pl.Series:
    """The digits of a Series without nulls as ASCII, on the bytes of all its values at once.

    In UTF-8 the Arabic-Indic digits are D9 A0-A9 and the Persian ones DB B0-B9: the first
    byte goes, and the low half of the second is the digit. Half the time of str.replace_many.
    """
    array = text.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())
    _, ends, content = array.buffers()
    offsets = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(text) + 1]
    data = np.frombuffer(content, np.uint8)[: offsets[-1]]
    following = np.append(data[1:], np.uint8(0))
    lead = (data == 0xD9) & (following >= 0xA0) & (following <= 0xA9)
    lead |= (data == 0xDB) & (following >= 0xB0) & (following <= 0xB9)
    digits = np.flatnonzero(lead) + 1
    written = data.copy()
    written[digits] = 48 + (data[digits] & 0x0F)
    kept = np.concatenate(([0], np.cumsum(~lead, dtype=np.int64)))
    buffers = (pa.py_buffer(kept[offsets]), pa.py_buffer(written[~lead]))
    return pl.Series(pa.LargeStringArray.from_buffers(len(text), *buffers))


def _strip_kinds(words: list[str]) -> list[str]:
    while len(words) > 1 and words[0] in _KINDS_BEFORE:
        words = words[1:]
    while len(words) > 1 and words[-1] in _KINDS_AFTER:
        words = words[:-1]
    return words


def fold_place(text: str) -> str:
    """``fold``, without the words that only say what kind of place it is, and without article.

    "بلدية وسط الدمام" and "وسط الدمام" become one; so do "حي الشاطئ" and "شاطي", "Al-Shati
    District" and "shati", "الخضراء" and "الخضرا" (a hamza that stands alone is often left
    out). At least one word always stays. Two places may fold to one key: the caller decides
    among them by level, parent or distance, and gives up where it cannot.
    """
    words = fold(text).replace("ء", "").split()
    while True:
        shorter = _strip_kinds(words)
        if len(shorter) > 1 and shorter[0] in _ARTICLES:
            shorter = shorter[1:]
        elif shorter and shorter[0].startswith("ال") and len(shorter[0]) >= 4:
            shorter = [shorter[0][2:], *shorter[1:]]
        if shorter == words:
            return " ".join(words)
        words = shorter


def _map_unique(values: pl.Series, function: Callable[[str], str]) -> pl.Series:
    """Apply ``function`` once to each distinct value; null stays null."""
    text = _as_text(values)
    distinct = text.drop_nulls().unique()
    if distinct.is_empty():
        return text
    folded = pl.Series([function(value) for value in distinct.to_list()], dtype=pl.String)
    return text.replace_strict(distinct, folded, default=None, return_dtype=pl.String)


def fold_series(values: pl.Series) -> pl.Series:
    """``fold`` over a Series, once for each distinct value. Null stays null."""
    return _map_unique(values, fold)


def fold_place_series(values: pl.Series) -> pl.Series:
    """``fold_place`` over a Series, once for each distinct value. Null stays null."""
    return _map_unique(values, fold_place)
