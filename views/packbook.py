"""A weekly pack as a workbook: the same document, its numbers as numbers, a sheet a part.

Columns of counts stand three by three: the value, the one of the period before, the target.
Shares are from 0 to 1 and shown as percent; an empty cell is "not known" or "not reached".
"""

from __future__ import annotations

from data.analyses.campaigns import remark_of
from data.pack import Heat, Line, WeeklyPack
from data.plan import Name
from data.workbooks import BookSheet, Value, book
from geo.cells import centres, from_text
from views.orders import TITLES
from views.packdoc import PLACE_HEADS, heading, span
from views.packmaps import CLASSES
from views.remarks import sentence
from views.words import Words

LATE_HEADS = ("reference", "what", "where", "status", "opened", "due", "late", "lat", "lon")
CHRONIC_HEADS = (
    "what", "where", "incidents", "returns", "suspect", "gap", "last_closed", "last_opened",
    "state", "lat", "lon",
)  # fmt: skip
CELL_HEADS = ("cell", "class", "lat", "lon")
CAMPAIGN_HEADS = (
    "campaign", "class", "state", "start", "end", "visits", "found", "treated", "expected", "observed",
    "without",
)  # fmt: skip
COURSE_HEADS = ("campaign", "start", "end", "observed", "without", "after")
REMARK_HEADS = ("part", "caution", "said")
#: Sheets, by the code of their title.
SHEETS = (
    "about", "municipalities", "elements", "overdue_places", "overdue", "chronic", "hot", "emerging",
    "campaigns", "course", "remarks",
)  # fmt: skip


def pack_book(pack: WeeklyPack, words: Words) -> bytes:
    """The workbook's content."""
    made = _Book(pack, words)
    sheets = (
        made.about(),
        made.counts("municipalities", pack.municipalities, "name"),
        made.counts("elements", pack.elements, "element"),
        made.late_places(),
        made.late(),
        made.chronic(),
        made.cells("hot", pack.hot),
        made.cells("emerging", pack.emerging),
        made.campaigns(),
        made.course(),
        made.remarks(),
    )
    return book(sheets, title=heading(pack, words), rtl=words.rtl)


class _Book:
    """The sheets of a workbook, from one pack in one language."""

    def __init__(self, pack: WeeklyPack, words: Words) -> None:
        self.pack, self.words = pack, words

    def about(self) -> BookSheet:
        words, pack = self.words, self.pack
        rows: list[tuple[Value, ...]] = [
            (words("weekly.territory"), self._name(pack.name)),
            (words("weekly.period"), span(pack, words)),
            (words("weekly.as_of"), pack.as_of.isoformat(timespec="seconds")),
            (words("weekly.known_at"), pack.known_at.isoformat(timespec="seconds")),
            (words("weekly.digest"), pack.digest()),
        ]
        if pack.simulated:
            rows.append((words("weekly.beware"), words("weekly.simulated")))
        rows += [(words(f"packhead.{one.code}"), one.value) for one in pack.total.measures]
        return BookSheet(words("weekly.sheet_about"), (), tuple(rows))

    def counts(self, sheet: str, lines: tuple[Line, ...], what: str) -> BookSheet:
        words, total = self.words, self.pack.total
        heads, kinds = [words(f"packhead.{what}")], [""]
        targeted = {one.code for line in (total, *lines) for one in line.measures if one.target is not None}
        for measure in total.measures:
            name = words(f"packhead.{measure.code}")
            heads += [name, words("packhead.before", name=name)]
            kinds += [measure.kind] * 2
            if measure.code in targeted:
                heads.append(words("packhead.target", name=name))
                kinds.append(measure.kind)
        empty = words("weekly.nobody" if what == "name" else "weekly.no_element")
        rows: list[tuple[Value, ...]] = []
        for line in (total, *lines):
            first = words("weekly.all") if line is total else self._name(line.name) if line.key else empty
            row: list[Value] = [first]
            for measure in total.measures:
                found = line.measure(measure.code)
                row += [None, None] if found is None else [found.value, found.before]
                if measure.code in targeted:
                    row.append(None if found is None else found.target)
            rows.append(tuple(row))
        return BookSheet(words(f"weekly.sheet_{sheet}"), tuple(heads), tuple(rows), tuple(kinds))

    def late_places(self) -> BookSheet:
        rows = tuple((self._place(one.name), one.reports, one.oldest) for one in self.pack.overdue.places)
        return self._sheet("overdue_places", PLACE_HEADS, rows)

    def late(self) -> BookSheet:
        rows = tuple(
            (
                one.reference, self._name(one.element), self._place(one.municipality),
                self.words.status(one.status), one.opened, one.due, one.days, one.lat, one.lon,
            )
            for one in self.pack.overdue.oldest
        )  # fmt: skip
        return self._sheet("overdue", LATE_HEADS, rows)

    def chronic(self) -> BookSheet:
        rows = tuple(
            (
                self._name(one.name), self._place(one.municipality), one.incidents, one.returns, one.suspicious,
                one.gap, one.last_closed, one.last_opened,
                self.words("weekly.yes_open" if one.open else "weekly.no_open"), one.lat, one.lon,
            )
            for one in self.pack.chronic
        )  # fmt: skip
        return self._sheet("chronic", CHRONIC_HEADS, rows, ("", "", "", "", "", "days"))

    def cells(self, code: str, heat: Heat) -> BookSheet:
        cells = [cell for spots in heat.spots for cell in spots.cells]
        classes = [self.words(CLASSES[spots.code][1]) for spots in heat.spots for _ in spots.cells]
        lon, lat = centres(from_text(cells))
        places = zip(cells, classes, lat.round(6).tolist(), lon.round(6).tolist(), strict=True)
        rows: tuple[tuple[Value, ...], ...] = tuple(places)
        return self._sheet(code, CELL_HEADS, rows)

    def campaigns(self) -> BookSheet:
        words = self.words
        rows = tuple(
            (
                one.title, words(TITLES[one.kind]),
                words("weekly.campaign_runs" if one.status == "running" else "weekly.campaign_done"),
                one.start, one.end, one.visits, one.found, one.treated, one.expected,
                None if one.change is None else one.change.observed,
                None if one.change is None else one.change.expected,
            )
            for one in self.pack.campaigns
        )  # fmt: skip
        return self._sheet(
            "campaigns", CAMPAIGN_HEADS, rows, ("", "", "", "", "", "", "", "", "days", "", "days")
        )

    def course(self) -> BookSheet:
        rows = tuple(
            (one.title, step.start, step.end, step.observed, step.expected, step.after)
            for one in self.pack.campaigns
            for step in one.course
        )
        return self._sheet("course", COURSE_HEADS, rows, ("", "", "", "", "days"))

    def remarks(self) -> BookSheet:
        rows = tuple(
            (part, one.caution, sentence(self.words, remark_of(one)))
            for part, said in self.pack.said
            for one in said
        )
        return self._sheet("remarks", REMARK_HEADS, rows)

    # ---- small things ----

    def _sheet(
        self,
        sheet: str,
        heads: tuple[str, ...],
        rows: tuple[tuple[Value, ...], ...],
        kinds: tuple[str, ...] = (),
    ) -> BookSheet:
        words = self.words
        named = tuple(words(f"packhead.{head}") for head in heads)
        return BookSheet(words(f"weekly.sheet_{sheet}"), named, rows, kinds)

    def _name(self, name: Name) -> str:
        return self.words.pick(name.ar, name.en) if name.ar or name.en else ""

    def _place(self, name: Name) -> str:
        return self._name(name) or self.words("weekly.nobody")
