"""Elements of the taxonomy by what a person types, in Arabic or English, best first.

Spellings are folded (``geo/wording.py``), so hamza, diacritics and the article do not matter;
a word that begins like the typed one goes before one that only holds it, and both before what
is merely alike (rapidfuzz, for slips of the pen). Everyday words (``data/reference/element_words.csv``)
and names of groups lead to elements too.
Caveat: this offers a choice to a person; ``ingest/classify.py`` decides without one.
"""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import fuzz

from data import reference
from data.elements import ElementRow
from geo.wording import fold

MOST = 8
_ALIKE = 72.0  # below this likeness of any word a name is not offered
_LEAST = 50.0
# Of equal hits the element's own name goes first; the group's name only finds what nothing else does.
_OWN, _ALIAS, _WORD, _GROUP = 0.0, -1.0, -2.0, -250.0


class ElementSearch:
    """Finds elements among all their names.

    Parameters
    ----------
    elements : the taxonomy in one version.
    aliases : (element id, other wording).
    """

    def __init__(self, elements: Iterable[ElementRow], aliases: Iterable[tuple[int, str]] = ()) -> None:
        self._codes: dict[str, int] = {}
        self._names: list[tuple[str, int, float]] = []
        for element in elements:
            self._codes[element.code.casefold()] = element.id
            for names, weight in (
                ((element.name_ar, element.name_en), _OWN),
                ((element.group_ar, element.group_en), _GROUP),
            ):
                self._names += [(_key(name), element.id, weight) for name in names if name]
        self._names += [(_key(alias), element_id, _ALIAS) for element_id, alias in aliases]
        self._names += [
            (_key(row["word"]), self._codes[row["code"].casefold()], _WORD)
            for row in reference.read("element_words.csv")
        ]

    def find(self, typed: str, most: int = MOST) -> list[int]:
        """Ids of the elements that fit, best first; [] when nothing does.

        Parameters
        ----------
        typed : words in Arabic or English, or a code such as R04.
        """
        code = self._codes.get("".join(typed.split()).casefold())
        if code is not None:
            return [code]
        key = _key(typed)
        if not key:
            return []
        best: dict[int, float] = {}
        for name, element_id, weight in self._names:
            score = _score(key, name) + weight
            if score > _LEAST:
                best[element_id] = max(best.get(element_id, 0.0), score)
        return sorted(best, key=lambda element_id: (-best[element_id], element_id))[:most]


def _key(text: str) -> str:
    """Folded words without the Arabic article."""
    return " ".join(w[2:] if w.startswith("ال") and len(w) > 4 else w for w in fold(text).split())


def _score(key: str, name: str) -> float:
    """How well a name fits: 400 equal, 300 begins, 200 holds, below 101 alike; 0 not at all."""
    if name == key:
        return 400.0
    if name.startswith(key):
        return 350.0
    words = name.split()
    typed = key.split()
    if all(any(word.startswith(part) for word in words) for part in typed):
        return 300.0
    if all(part in name for part in typed) and len(key) > 2:
        return 200.0
    # Word by word: each typed word has to be like some word of the name.
    if min(len(part) for part in typed) < 3:
        return 0.0
    alike = [max(fuzz.ratio(part, word) for word in words) for part in typed]
    return sum(alike) / len(alike) if min(alike) >= _ALIKE else 0.0
