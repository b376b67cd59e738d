"""A weekly pack put into words and pictures: what is on its pages, in one language.

Numbers have Latin digits, dates stand with the Hijri date beside them in Arabic, as on the
screens. A change is coloured only where it is more than chance, a target where it is met or
missed; both are said in words too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

from data.analyses.campaigns import remark_of
from data.analyses.indicators import AGE_BANDS
from data.pack import CampaignResult, Heat, Line, Measure, WeeklyPack
from data.plan import Name
from layers.coursechart import Point, course
from layers.packsheet import Board, Cell, PackSheet, Part, Photo, PhotoPair, Sheet
from layers.workorder import Fact
from views.orders import TITLES
from views.packmaps import maps
from views.remarks import sentence
from views.words import Words, number, short

#: Columns of the tables of counts, and the facts at the top, by code of the indicator.
COUNTED = ("received", "closed", "backlog", "overdue", "on_time", "remedy_median", "suspicious", "vpi")
FIRST = (
    "received", "closed", "backlog", "overdue", "on_time", "remedy_median", "remedy_p90", "vpi",
)  # fmt: skip
#: Part of the remarks → its name.
PARTS = {
    "recording": "weekly.recording",
    "counts": "weekly.counts",
    "chronic": "weekly.chronic",
    "hot": "weekly.hot",
    "emerging": "weekly.emerging",
}
REPEATED_HEADS = ("number", "element", "received", "share", "recurrence")
PLACE_HEADS = ("name", "reports", "oldest")
LATE_HEADS = ("reference", "what", "where", "status", "opened", "due", "late")
CHRONIC_HEADS = (
    "what", "where", "incidents", "returns", "suspect", "gap", "last_closed", "last_opened", "state",
)  # fmt: skip
WHERE_HEADS = ("number", "name", "cells", "reports")
CAMPAIGN_HEADS = ("campaign", "dates", "visits", "found", "treated", "expected", "effect")
#: Keys of the words of parts, put together with a code.
TITLED = ("counts_municipality", "counts_element", "hot", "hot_none", "emerging", "emerging_none")
_REPEATED = 10
_PLACES = 12  # municipalities of what is late; all of them are in the workbook
_MINUS = "\u2212"
#: The JPEG of a report's picture by its digest; None where the file is gone.
Pictures = Callable[[int, str], bytes | None]


def pack_sheet(pack: WeeklyPack, words: Words, pictures: Pictures | None = None) -> PackSheet:
    """The document of a pack, ready to be drawn."""
    return _Doc(pack, words, pictures or (lambda report_id, digest: None)).sheet()


def heading(pack: WeeklyPack, words: Words) -> str:
    """What the pack is called."""
    return words("weekly.title_week" if pack.days == 7 else "weekly.title")


def span(pack: WeeklyPack, words: Words, *, hijri: bool = True) -> str:
    """Territory and period."""
    return words(
        "weekly.of",
        name=words.pick(pack.name.ar, pack.name.en),
        first=words.date(pack.first, hijri=hijri),
        last=words.date(pack.last, hijri=hijri),
    )


def shown(words: Words, measure: Measure | None, value: float | None = None) -> str:
    """A measure's value (or another one of its kind) as it is written."""
    if measure is None:
        return words("weekly.none")
    found = measure.value if value is None else value
    if found is None:
        waits = measure.kind == "days" and measure.base > 0
        return words("weekly.not_yet" if waits else "weekly.none")
    if measure.kind == "share":
        return words("weekly.share", n=number(100 * found))
    if measure.kind == "days":
        return words("weekly.days", n=number(found, 1))
    return number(found) if measure.kind == "count" else short(found)


def change(words: Words, measure: Measure) -> str:
    """The change from the period before, with its sign; empty where it cannot be told."""
    if measure.value is None or measure.before is None:
        return ""
    by = measure.value - measure.before
    if measure.kind == "share":
        text = words("weekly.change_share", n=_signed(100 * by, 0))
        return words("weekly.same") if round(100 * by) == 0 else text
    if measure.kind == "count":
        return words("weekly.same") if round(by) == 0 else _signed(by, 0)
    if measure.kind == "days":
        return words("weekly.same") if round(by, 1) == 0 else words("weekly.days", n=_signed(by, 1))
    return words("weekly.before", n=short(measure.before))


def target(words: Words, measure: Measure) -> str:
    """The target; empty without one."""
    if measure.target is None:
        return ""
    key = "weekly.target_high" if measure.better > 0 else "weekly.target_low"
    return words(key, n=shown(words, measure, measure.target))


def iso(day: dt.date) -> str:
    """A date for tables, between isolates: after Arabic letters its parts would change places."""
    return f"\u2066{day.isoformat()}\u2069"


def _signed(value: float, digits: int) -> str:
    # Between isolates, or the sign would stand behind the number in Arabic.
    return f"\u2066{'+' if value > 0 else _MINUS}{number(abs(value), digits)}\u2069"


def _mark(measure: Measure) -> str:
    """Good or bad: by the target, else by a change that is more than chance."""
    if measure.met is not None:
        return "good" if measure.met else "bad"
    if not (measure.differs and measure.better) or measure.value is None or measure.before is None:
        return ""
    return "good" if (measure.value - measure.before) * measure.better > 0 else "bad"


class _Doc:
    """The parts of a document, from one pack in one language."""

    def __init__(self, pack: WeeklyPack, words: Words, pictures: Pictures) -> None:
        self.pack, self.words, self.pictures = pack, words, pictures

    def sheet(self) -> PackSheet:
        words, pack = self.words, self.pack
        zone = ZoneInfo(pack.timezone)
        known = pack.known_at.astimezone(zone)
        lines = [
            span(pack, words),
            words(
                "weekly.moment",
                day=words.date(pack.last, hijri=False),
                known=words.date(known.date(), hijri=False),
                time=f"{known:%H:%M}",
            ),
        ]
        if pack.newest is not None:
            lines.append(words("weekly.newest", day=words.date(pack.newest, hijri=False)))
        notices = [words("weekly.simulated")] if pack.simulated else []
        notices += [words("weekly.illustrative")] if pack.illustrative else []
        parts = [
            self.repeated(),
            self.counts("counts_municipality", pack.municipalities, "name"),
            self.counts("counts_element", pack.elements, "element"),
            self.overdue(),
            self.chronic(),
            self.heat("hot", pack.hot),
            self.heat("emerging", pack.emerging),
            self.campaigns(),
            self.photos(),
            *self.remarks(),
        ]
        return PackSheet(
            language=words.language,
            title=heading(pack, words),
            lines=tuple(lines),
            notice=" ".join(notices),
            facts=self.facts(),
            parts=tuple(part for part in parts if part is not None),
            foot=words(
                "weekly.foot",
                first=iso(pack.first),
                last=iso(pack.last),
                digest=pack.digest()[:12],
            ),
            gone=words("weekly.gone"),
        )

    def facts(self) -> tuple[Fact, ...]:
        words = self.words
        found = []
        for code in FIRST:
            measure = self.pack.total.measure(code)
            if measure is None:
                continue
            notes = [change(words, measure), target(words, measure)]
            if measure.met is not None:
                notes.append(words("weekly.met" if measure.met else "weekly.missed"))
            told = " · ".join(filter(None, notes))
            found.append(Fact(words(f"packhead.{code}"), shown(words, measure), told))
        return tuple(found)

    # ---- counts ----

    def counts(self, title: str, lines: tuple[Line, ...], what: str) -> Part:
        words, total = self.words, self.pack.total
        codes = [code for code in COUNTED if total.measure(code) is not None]
        ordered = sorted(lines, key=lambda one: (-one.value("received"), -one.value("backlog"), one.key))
        empty = words("weekly.nobody" if what == "name" else "weekly.no_element")
        rows = tuple(
            (Cell(self._name(line.name) if line.key else empty), *self._measures(line, codes))
            for line in ordered
            if any(line.value(code) for code in ("received", "closed", "backlog"))
        )
        heads = [Cell(words(f"packhead.{what}"))]
        for code in codes:
            measure = total.measure(code)
            note = "" if measure is None else target(words, measure)
            heads.append(Cell(words(f"packhead.{code}"), words("weekly.vpi_unit") if code == "vpi" else note))
        return Part(
            title=words(f"weekly.{title}"),
            note=words("weekly.counts_note", days=number(self.pack.days)),
            boards=(
                Board("", "", tuple(heads), rows, (Cell(words("weekly.all")), *self._measures(total, codes))),
            ),
            fresh=True,
        )

    def _measures(self, line: Line, codes: list[str]) -> tuple[Cell, ...]:
        words, found = self.words, []
        for code in codes:
            measure, whole = line.measure(code), self.pack.total.measure(code)
            if measure is None:
                found.append(Cell(words("weekly.none")))
                continue
            notes = [change(words, measure)]
            if whole is not None and measure.target not in (None, whole.target):
                notes.append(target(words, measure))
            if measure.met is not None:
                notes.append(words("weekly.met" if measure.met else "weekly.missed"))
            found.append(Cell(shown(words, measure), " · ".join(filter(None, notes)), _mark(measure)))
        return tuple(found)

    def age_board(self) -> Board:
        """What was open at the end, by age."""
        words = self.words
        ends = [*AGE_BANDS[1:], None]
        heads = []
        for low, end in zip(AGE_BANDS, ends, strict=True):
            if end is None:
                heads.append(Cell(words("weekly.age_last", n=number(low))))
            elif low == 0:
                heads.append(Cell(words("weekly.age_first", n=number(end - 1))))
            else:
                heads.append(Cell(words("weekly.age_band", low=number(low), high=number(end - 1))))
        row = tuple(Cell(number(count)) for count in self.pack.ages)
        return Board(words("weekly.ages"), "", tuple(heads), (row,) if row else (), names=0)

    def repeated(self) -> Part:
        words, whole = self.words, max(self.pack.total.value("received"), 1.0)
        top = sorted(self.pack.elements, key=lambda one: (-one.value("received"), one.key))[:_REPEATED]
        rows = []
        for turn, line in enumerate((one for one in top if one.value("received")), 1):
            received, recurring = line.measure("received"), line.measure("recurrence")
            rows.append(
                (
                    Cell(number(turn)),
                    Cell(self._name(line.name) if line.key else words("weekly.no_element")),
                    Cell(shown(words, received), "" if received is None else change(words, received)),
                    Cell(words("weekly.share", n=number(100 * line.value("received") / whole, 1))),
                    Cell(shown(words, recurring)),
                )
            )
        return Part(
            title=words("weekly.repeated"),
            note=words("weekly.repeated_note"),
            boards=(Board("", "", self._heads(REPEATED_HEADS), tuple(rows), names=2), self.age_board()),
        )

    # ---- late and chronic ----

    def overdue(self) -> Part:
        words, late = self.words, self.pack.overdue
        if not late.reports:
            return Part(words("weekly.overdue"), words("weekly.overdue_none"))
        places = tuple(
            (Cell(self._place(one.name)), Cell(number(one.reports)), Cell(number(one.oldest)))
            for one in late.places[:_PLACES]
        )
        oldest = tuple(
            (
                Cell(one.reference),
                Cell(self._name(one.element) or words("weekly.no_element")),
                Cell(self._place(one.municipality), self._point(one.lon, one.lat)),
                Cell(words.status(one.status)),
                Cell(self._day(one.opened)),
                Cell(self._day(one.due)),
                Cell(number(one.days)),
            )
            for one in late.oldest
        )
        return Part(
            title=words("weekly.overdue"),
            note=words(
                "weekly.overdue_note",
                late=number(late.reports),
                open=number(late.open),
                limited=number(late.limited),
            ),
            boards=(
                Board(words("weekly.overdue_places"), "", self._heads(PLACE_HEADS), places),
                Board(
                    words("weekly.overdue_oldest"),
                    "",
                    self._heads(LATE_HEADS),
                    oldest,
                    names=4,
                ),
            ),
            fresh=True,
        )

    def chronic(self) -> Part:
        words = self.words
        if not self.pack.chronic:
            return Part(words("weekly.chronic"), words("weekly.chronic_none"))
        rows = tuple(
            (
                Cell(self._name(one.name)),
                Cell(self._place(one.municipality), self._point(one.lon, one.lat)),
                Cell(number(one.incidents)),
                Cell(number(one.returns)),
                Cell(number(one.suspicious)),
                Cell(words("weekly.none") if one.gap is None else words("weekly.days", n=number(one.gap))),
                Cell(self._day(one.last_closed)),
                Cell(self._day(one.last_opened), words("weekly.returned") if one.returned else ""),
                Cell(words("weekly.yes_open" if one.open else "weekly.no_open")),
            )
            for one in self.pack.chronic
        )
        return Part(
            title=words("weekly.chronic"),
            note=words("weekly.chronic_note", n=number(self.pack.chronic_spots)),
            boards=(Board("", "", self._heads(CHRONIC_HEADS), rows, names=2),),
        )

    # ---- hot and emerging ----

    def heat(self, code: str, heat: Heat) -> Part:
        words = self.words
        title = words(f"weekly.{code}")
        if not heat.spots:
            return Part(title, words(f"weekly.{code}_none"))
        note = "weekly.hot_note"
        if heat.step:
            note = "weekly.emerging_note_month" if heat.step == "month" else "weekly.emerging_note_week"
        rows = tuple(
            (
                Cell(number(turn)),
                Cell(self._place(one.name)),
                Cell(number(one.cells)),
                Cell(number(one.reports)),
            )
            for turn, one in enumerate(heat.places, 1)
        )
        return Part(
            title=title,
            note=words(note, since=self._date(heat.since), until=self._date(heat.until)),
            sheets=maps(words, self.pack, heat, title),
            boards=(
                Board(
                    words("weekly.places"),
                    "",
                    self._heads(WHERE_HEADS),
                    rows,
                    names=2,
                ),
            ),
            fresh=True,
        )

    # ---- campaigns and pictures ----

    def campaigns(self) -> Part:
        words, ran = self.words, self.pack.campaigns
        if not ran:
            return Part(words("weekly.campaigns"), words("weekly.campaigns_none"))
        rows = tuple(
            (
                Cell(one.title, words(TITLES[one.kind])),
                Cell(
                    words("order.from_to", first=self._day(one.start), last=self._day(one.end)),
                    words("weekly.campaign_runs" if one.status == "running" else "weekly.campaign_done"),
                ),
                Cell(number(one.visits), f"+{number(one.new_visits)}" if one.new_visits else ""),
                Cell(number(one.found)),
                Cell(number(one.treated)),
                Cell(number(one.expected) if one.expected else words("weekly.none")),
                Cell(*effect_of(words, one)),
            )
            for one in ran
        )
        said = [(sentence(words, remark_of(item)), item.caution) for one in ran for item in one.said]
        return Part(
            title=words("weekly.campaigns"),
            note=words("weekly.campaigns_note"),
            sheets=tuple(self._course(one) for one in ran if len(one.course) > 1),
            boards=(Board("", "", self._heads(CAMPAIGN_HEADS), rows, names=2),),
            remarks=tuple(dict.fromkeys(said)),
        )

    def _course(self, one: CampaignResult) -> Sheet:
        words = self.words
        points = [Point(step.start, step.observed, step.expected) for step in one.course]
        days = (one.course[0].end - one.course[0].start).days + 1
        caption = words("weekly.course", title=f"\u2068{one.title}\u2069", days=number(days))
        return Sheet(course(points, (one.start, one.end), width=186.0, height=52.0, title=caption), caption)

    def photos(self) -> Part | None:
        words = self.words
        if not self.pack.pairs:
            return None

        def photo(report_id: int, digest: str, caption: str) -> Photo:
            return Photo(self.pictures(report_id, digest), caption)

        return Part(
            title=words("weekly.photos"),
            note=words("weekly.photos_note"),
            photos=tuple(
                PhotoPair(
                    words(
                        "weekly.photo_of",
                        reference=f"\u2068{one.reference}\u2069",
                        element=self._name(one.element),
                        place=self._place(one.municipality),
                    ),
                    photo(
                        one.report_id, one.before, words("weekly.photo_before", day=self._date(one.opened))
                    ),
                    photo(one.report_id, one.after, words("weekly.photo_after", day=self._date(one.closed))),
                )
                for one in self.pack.pairs
            ),
        )

    def remarks(self) -> list[Part]:
        """Cautions, then decisions, each once, and of which part."""
        words = self.words
        told: dict[bool, list[str]] = {True: [], False: []}
        for part, items in self.pack.said:
            for item in items:
                text = f"{words(PARTS[part])}: {sentence(words, remark_of(item))}"
                if text not in told[item.caution]:
                    told[item.caution].append(text)
        return [
            Part(words("weekly.beware"), remarks=tuple((text, True) for text in told[True]), fresh=True),
            Part(
                words("weekly.decided"),
                words("weekly.decided_note"),
                remarks=tuple((text, False) for text in told[False]),
            ),
        ]

    # ---- small things ----

    def _heads(self, codes: tuple[str, ...]) -> tuple[Cell, ...]:
        return tuple(Cell(self.words(f"packhead.{code}")) for code in codes)

    def _name(self, name: Name) -> str:
        return self.words.pick(name.ar, name.en) if name.ar or name.en else ""

    def _place(self, name: Name) -> str:
        return self._name(name) or self.words("weekly.nobody")

    def _date(self, day: dt.date) -> str:
        return self.words.date(day, hijri=False)

    def _day(self, day: dt.date) -> str:
        return iso(day)

    def _point(self, lon: float | None, lat: float | None) -> str:
        return "" if lon is None or lat is None else f"{lat:.5f} {lon:.5f}"


def effect_of(words: Words, one: CampaignResult) -> tuple[str, str]:
    """What a campaign changed, and from which numbers."""
    if one.status == "running":
        return words("weekly.effect_later"), ""
    found = one.change
    if found is None or found.ratio is None:
        return words("weekly.effect_untold"), ""
    signed = _percent(found.ratio)
    if found.low is not None and found.high is not None:
        signed = words("weekly.effect_range", n=signed, low=_percent(found.low), high=_percent(found.high))
    counts = words("weekly.effect", observed=number(found.observed), expected=number(found.expected, 1))
    return signed, counts


def _percent(ratio: float) -> str:
    value = 100 * (ratio - 1)
    return f"\u2066{'+' if value >= 0 else _MINUS}{number(abs(value))}%\u2069"
