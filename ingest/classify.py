"""Which element of the taxonomy a source's word means, and how that was found.

Each distinct text is looked up once: the profile's own table, exact name, alias, folded
spelling (``ingest/text.py``), then rapidfuzz on folded words. Fuzzy hits must clear a
threshold, lead every other element by a margin, and agree word by word: near names of
different things ("تسوير المباني…", "تغطية المباني…") share most of their letters. What is
not found stays unclassified, with suggestions; nothing is forced into a class.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz, process

from data.vocabulary import Classified
from geo.errors import InputError
from ingest.text import clean_text, fold

# Chosen on the taxonomy and its aliases (tests/ingest/test_classify.py): with each alias
# left out in turn, or each element with all its names, no text goes to a wrong element at
# any threshold from 70 to 92, and 8 of 23 aliases are found by likeness up to 88.
THRESHOLD = 88.0
# The best element has to lead the next one by this much.
_MARGIN = 4.0
# Every word has to have a counterpart at least this alike: a slip of the pen, not another word.
_WORD = 70.0
_SUGGEST = 45.0
_SUGGESTIONS = 3

_PARTS = re.compile(r"\s*(?:[/\\|>»:؛;←→]|\s[-–—]\s|[-–—](?=\s)|(?<=\s)[-–—])\s*")
# Words that carry no sense of their own.
_LINKS = frozenset({"في", "من", "على", "عن", "او", "the", "of", "and", "in", "on", "for", "a", "an"})


@dataclass(frozen=True)
class ElementEntry:
    """One element of the taxonomy, as the store has it."""

    id: int
    code: str
    name_ar: str
    name_en: str
    group_ar: str
    group_en: str


@dataclass(frozen=True)
class Match:
    """What one text means."""

    text: str
    element_id: int | None
    method: Classified
    score: float | None = None  # 0–100 where fuzzy
    suggestions: list[str] = field(default_factory=list)  # codes, best first


@dataclass(frozen=True)
class _Name:
    words: tuple[str, ...]
    element_id: int


def _key(text: str) -> str:
    """Folded, without articles and small words: "الأرصفة المتهالكة" is "ارصفه متهالكه"."""
    # "and" is a letter of the next word in Arabic; a blank behind it is a slip.
    words = re.sub(r"(?<!\S)و ", "و", fold(text)).split()
    bare = [w[2:] if w.startswith("ال") and len(w) > 4 else w for w in words if w not in _LINKS]
    return " ".join(bare or words)


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether every word on either side has a counterpart on the other."""
    if fuzz.ratio("".join(one), "".join(other)) >= 95:
        return True  # one word written as two, or the reverse
    return all(
        max(fuzz.ratio(word, candidate) for candidate in against) >= _WORD
        for words, against in ((one, other), (other, one))
        for word in words
    )


class ElementClassifier:
    """Finds elements for the words of one source.

    Parameters
    ----------
    elements : the taxonomy in one version.
    aliases : (element id, other wording).
    profile_map : the profile's table, source text → element code, None for "no counterpart".
    own_taxonomy : the source claims this taxonomy, so an unknown word is for review. A
        foreign taxonomy gets its element by exact, alias or folded name only, else none:
        its codes and near words mean something else.
    threshold : least fuzzy score, 0–100.

    Raises
    ------
    InputError : an alias or the profile's table names an element that is not there.
    """

    def __init__(
        self,
        elements: Iterable[ElementEntry],
        aliases: Iterable[tuple[int, str]] = (),
        profile_map: Mapping[str, str | None] | None = None,
        own_taxonomy: bool = True,
        threshold: float = THRESHOLD,
    ) -> None:
        self.elements = {entry.id: entry for entry in elements}
        self.own_taxonomy = own_taxonomy
        self.threshold = threshold
        self._codes = {entry.code.casefold(): entry.id for entry in self.elements.values()}
        self._exact: dict[str, set[int]] = defaultdict(set)
        self._alias: dict[str, set[int]] = defaultdict(set)
        self._folded: dict[str, set[int]] = defaultdict(set)
        self._groups = {
            _key(name) for entry in self.elements.values() for name in (entry.group_ar, entry.group_en)
        }
        for entry in self.elements.values():
            for name in (entry.name_ar, entry.name_en):
                if name:
                    self._exact[clean_text(name)].add(entry.id)
                    self._folded[_key(name)].add(entry.id)
        for element_id, alias in aliases:
            if element_id not in self.elements:
                raise InputError(f"Alias '{alias}' belongs to element {element_id}, which does not exist.")
            self._alias[clean_text(alias)].add(element_id)
            self._folded[_key(alias)].add(element_id)
        self._folded.pop("", None)
        self._profile = self._profile_table(profile_map or {})
        self._names = [
            _Name(tuple(key.split()), element_id)
            for key, ids in self._folded.items()
            for element_id in sorted(ids)
        ]
        self._choices = [" ".join(name.words) for name in self._names]

    def _profile_table(self, table: Mapping[str, str | None]) -> dict[str, int | None]:
        out: dict[str, int | None] = {}
        unknown = sorted({code for code in table.values() if code and code.casefold() not in self._codes})
        if unknown:
            raise InputError(
                f"The profile maps to elements that do not exist: {', '.join(unknown)}. "
                "Use codes of the taxonomy such as R04, or null for 'no counterpart'."
            )
        for text, code in table.items():
            found = self._codes[code.casefold()] if code else None
            out[fold(text)] = found
            out[clean_text(text)] = found
        return out

    def classify_unique(self, texts: Iterable[str]) -> list[Match]:
        """One match for each text, in order. Pass distinct texts: each costs a look-up of its own."""
        return [self._classify(text) for text in texts]

    def _classify(self, text: str) -> Match:
        plain = clean_text(text)
        for key in (plain, fold(plain)):
            if key in self._profile:
                found = self._profile[key]
                return Match(text, found, Classified.NONE if found is None else Classified.PROFILE)
        whole = self._named(text, plain)
        if whole:
            return whole
        if not self.own_taxonomy:
            return Match(text, None, Classified.NONE)
        return self._coded(text, plain) or self._in_parts(text, plain) or self._near(text, plain)

    def _named(self, text: str, plain: str) -> Match | None:
        """By name, alias or folded spelling, where these mean one element only."""
        tables = ((Classified.EXACT, self._exact, plain), (Classified.ALIAS, self._alias, plain))
        for method, table, key in (*tables, (Classified.FOLDED, self._folded, _key(plain))):
            found = table.get(key, set())
            if len(found) == 1:
                return Match(text, next(iter(found)), method)
            if len(found) > 1:
                codes = sorted(self.elements[i].code for i in found)
                return Match(text, None, Classified.UNCLASSIFIED, None, codes[:_SUGGESTIONS])
        return None

    def _coded(self, text: str, plain: str) -> Match | None:
        """By code: "R04", "R04 - حفر الشوارع". A name beside the code must not contradict it."""
        match = re.match(r"\(?\[?([^\W\d_]{1,3}[\s\-]?\d{1,3})\]?\)?(?![\w.])(.*)$", plain, re.DOTALL)
        if match is None:
            match = re.match(r"(.*?)[\s(\[\-–]+([^\W\d_]{1,3}\d{1,3})[)\]]?$", plain, re.DOTALL)
            code, rest = (match[2], match[1]) if match else ("", "")
        else:
            code, rest = match[1], match[2]
        element_id = self._codes.get(re.sub(r"[\s\-]", "", code).casefold())
        if element_id is None:
            return None
        rest = rest.strip(" -–—:/|.()[]")
        if not rest:
            return Match(text, element_id, Classified.EXACT)
        named = self._named(text, rest) or self._in_parts(text, rest) or self._near(text, rest)
        if named.element_id == element_id:
            return Match(text, element_id, named.method, named.score)
        if named.element_id is None and self.elements[element_id].code not in named.suggestions:
            both = [self.elements[element_id].code, *named.suggestions]
        else:
            other = [] if named.element_id is None else [self.elements[named.element_id].code]
            both = [self.elements[element_id].code, *other, *named.suggestions]
        return Match(text, None, Classified.UNCLASSIFIED, None, list(dict.fromkeys(both))[:_SUGGESTIONS])

    def _in_parts(self, text: str, plain: str) -> Match | None:
        """A path such as "الطرق/حفر الشوارع": the part that names an element, if just one does."""
        parts = [part for part in _PARTS.split(plain) if part]
        if len(parts) < 2:
            return None
        found = [
            match
            for part in parts
            if _key(part) not in self._groups
            and (match := self._coded(text, part) or self._named(text, part))
        ]
        ids = {match.element_id for match in found if match.element_id is not None}
        if len(ids) == 1:
            return next(match for match in found if match.element_id is not None)
        if len(ids) > 1:
            codes = sorted(self.elements[i].code for i in ids)
            return Match(text, None, Classified.UNCLASSIFIED, None, codes[:_SUGGESTIONS])
        near = self._near(text, parts[-1])
        return near if near.element_id is not None else None

    def _near(self, text: str, plain: str) -> Match:
        """By likeness, or not at all: then with the likest codes as suggestions."""
        key = _key(plain)
        best: dict[int, float] = {}
        agreeing: dict[int, float] = {}
        words = tuple(key.split())
        for scorer in (fuzz.ratio, fuzz.token_sort_ratio):
            for _, score, at in process.extract(
                key, self._choices, scorer=scorer, score_cutoff=_SUGGEST, limit=None
            ):
                name = self._names[at]
                best[name.element_id] = max(score, best.get(name.element_id, 0.0))
                if score >= self.threshold and _agree(words, name.words):
                    agreeing[name.element_id] = max(score, agreeing.get(name.element_id, 0.0))
        # For a person to choose from, a name that holds all the words is close too.
        likely = dict(best)
        for _, score, at in process.extract(key, self._choices, scorer=fuzz.token_set_ratio, limit=None):
            element_id = self._names[at].element_id
            likely[element_id] = max(0.95 * score, likely.get(element_id, 0.0))
        likely = {element_id: score for element_id, score in likely.items() if score >= _SUGGEST}
        ranked = sorted(likely.items(), key=lambda item: (-item[1], self.elements[item[0]].code))
        suggestions = [self.elements[i].code for i, _ in ranked[:_SUGGESTIONS]]
        if agreeing:
            leader = max(agreeing, key=lambda i: agreeing[i])
            rival = max((score for i, score in best.items() if i != leader), default=0.0)
            if agreeing[leader] - rival >= _MARGIN:
                return Match(text, leader, Classified.FUZZY, round(agreeing[leader], 1), suggestions)
        return Match(text, None, Classified.UNCLASSIFIED, None, suggestions)
